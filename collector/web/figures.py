"""The figures behind the charts of the page as rows: what its tables show, from the same files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from collector.energy.history import DayState
from collector.energy.totals import (
    NO_HOURS,
    HourEnergy,
    Period,
    Totals,
    energy_of,
    totals_of_hours,
)
from collector.overview import History

Row = tuple[str | int | Decimal | None, ...]
"""The fields of a line; `None` is missing, or not yet known."""

RANGES = ("day", "week", "month", "year", "all")
QUANTITIES = {
    "consumption": "consumption_kwh",
    "solar": "solar_kwh",
    "imported": "import_kwh",
    "exported": "export_kwh",
}
"""What a heat map shows, by its name in the page's address."""

_COLUMNS = ("consumption_kwh", "solar_used_kwh", "import_kwh", "export_kwh", "solar_kwh")
_WITHOUT_SOLAR = ("import_kwh", "export_kwh")
_PERIODS = {"week": Period.DAY, "month": Period.DAY, "year": Period.MONTH, "all": Period.YEAR}
_PLACE = {"day": 11, "month": 8, "year": 5, "all": 0}  # where the hour, day or month begins in a bar's name
_ZERO = Decimal(0)
_LEAST = Decimal("0.000001")
_DAY = timedelta(days=1)


class Span(NamedTuple):
    """Local days `[since, until)`, and the hours of `until` before its local hour `hour`."""

    since: date
    until: date
    hour: int = 0


class _Hour(NamedTuple):
    label: int
    is_over: bool
    energy: HourEnergy | None


class _Day(NamedTuple):
    state: DayState
    reason: str
    hours: Sequence[_Hour]


_NO_DAY = _Day(DayState.MISSING, "", ())


class Figures:
    """Those of some meters in one time zone, added up hour by hour: where one lacks a value, the sum does.

    Of several meters, each counts from its first stored day on. All methods return rows, the first one with
    the columns' names, and raise `OSError`.
    """

    def __init__(self, histories: Sequence[History]) -> None:
        self._histories = histories
        self._firsts = [min(each.stored, default=date.max) for each in histories]
        self._has_solar = not all(each.files.meter.has_no_solar for each in histories)
        self._columns = _COLUMNS if self._has_solar else _WITHOUT_SOLAR

    def energy(self, bars: str, span: Span, before: Span | None) -> Iterator[Row]:
        """Bars of one of `RANGES`: hours of a day, days of a week or month, months of a year, or years. Each
        is beside the one in the same place of the span `before`, if there is one.
        """
        now = self._bars(bars, span)
        then = {_place(bars, name): (name, sums) for name, sums in self._bars(bars, before).items()}
        rows = [(name, sums, then.get(_place(bars, name), ("", NO_HOURS))[1]) for name, sums in now.items()]
        places = {_place(bars, name) for name in now}
        rows += [
            (name, NO_HOURS, sums)
            for place, (name, sums) in then.items()
            if place not in places and sums.expected_hours
        ]
        beside = [f"year_before_{name}" for name in self._columns] if before else []
        yield ("period", *self._columns, "hours_stored", "hours_expected", *beside)
        for name, sums, was in sorted(rows, key=lambda row: _place(bars, row[0])) if before else rows:
            compared = self._values(was) if before else ()
            yield (name, *self._values(sums), sums.whole_hours, sums.expected_hours, *compared)

    def average_day(self, span: Span) -> Iterator[Row]:
        """The mean of each hour of the day, weekdays and weekends apart; only hours with all quantities."""
        found: dict[tuple[bool, int], Totals] = {}
        for day, (_, _, hours) in self._days(span):
            for label, _, energy in hours:
                if energy is not None and energy.consumption_kwh is not None:
                    place = day.weekday() >= 5, label
                    found[place] = found.get(place, NO_HOURS) + totals_of_hours([energy], 1)
        groups = ("weekdays", "weekends")
        yield ("hour", *(f"{group}_{name}" for group in groups for name in self._columns))
        for label in range(24):
            sums = [found.get((is_weekend, label), NO_HOURS) for is_weekend in (False, True)]
            yield (label, *(_mean(value, each.whole_hours) for each in sums for value in self._values(each)))

    def heat_map(self, quantity: str, span: Span) -> Iterator[Row]:
        """A row for each day, with the hours 0 to 23; the two hours that a clock repeats are one."""
        yield ("day", *(f"hour_{label}" for label in range(24)))
        for day, (_, _, hours) in self._days(span):
            values: dict[int, Decimal | None] = {}
            for label, _, energy in hours:
                value = energy and getattr(energy, QUANTITIES[quantity])
                values[label] = _plus(values.get(label, _ZERO), value)
            yield (day.isoformat(), *(values.get(label) for label in range(24)))

    def stored_days(self) -> Iterator[Row]:
        """The days that are not complete, newest first; `hours_stored`: those with all quantities."""
        yield ("day", "state", "hours_stored", "hours", "reason")
        rows = []
        for day, (state, reason, hours) in self._days(Span(date.min, date.max)):
            if state not in (DayState.COMPLETE, DayState.TODAY):
                rows.append((day.isoformat(), state, _sums(hours).whole_hours, len(hours), reason))
        yield from reversed(rows)

    def _values(self, sums: Totals) -> Iterator[Decimal | None]:
        return (getattr(sums, name) for name in self._columns)

    def _bars(self, bars: str, span: Span | None) -> dict[str, Totals]:
        """The bars of a span by their names, ascending; those of days that are not known are empty."""
        found: dict[str, Totals] = {}
        if span is None:
            return found
        if bars != "day":
            name_of, days = _PERIODS[bars].name_of, (span.until - span.since).days
            found = {name_of(span.since + _DAY * number): NO_HOURS for number in range(days)}
        for day, (_, _, hours) in self._days(span):
            for name, part in _parts(bars, day, hours):
                found[name] = found.get(name, NO_HOURS) + _sums(part)
        return found

    def _days(self, span: Span) -> Iterator[tuple[date, _Day]]:
        """The days that the archive should have, ascending."""
        for day in sorted({day for each in self._histories for day in each.states}):
            if span.since <= day < span.until or (day == span.until and span.hour):
                found = self._day(day)
                if day == span.until:
                    found = found._replace(hours=[each for each in found.hours if each.label < span.hour])
                if found.hours:
                    yield day, found

    def _day(self, day: date) -> _Day:
        found: list[_Day] = []
        for history, first in zip(self._histories, self._firsts, strict=True):
            if day in history.states and (len(self._histories) == 1 or first <= day):
                found.append(self._day_of(history, day))
        if not found:
            return _NO_DAY
        sum_ = found[0]
        for other in found[1:]:
            worse = other if sum_.state is DayState.COMPLETE else sum_
            sum_ = _Day(worse.state, worse.reason, _added(sum_.hours, other.hours))
        return sum_

    def _day_of(self, history: History, day: date) -> _Day:
        found, no_solar = history.day(day), history.files.meter.has_no_solar
        energies = [None if each is None else energy_of(each, no_solar=no_solar) for each in found.readings]
        if no_solar and self._has_solar:  # so that the meter counts in the sum with the others
            energies = [each and each._replace(solar_kwh=_ZERO, solar_used_kwh=_ZERO) for each in energies]
        hours = [
            _Hour(label, index < found.finished, energy)
            for index, (label, energy) in enumerate(zip(found.labels, energies, strict=True))
        ]
        return _Day(found.state, found.reason, hours)


def _place(bars: str, name: str) -> str:
    """What a bar's name has in common with that of the bar a year before."""
    return str(date.fromisoformat(name).weekday()) if bars == "week" else name[_PLACE[bars] :]


def _parts(bars: str, day: date, hours: Sequence[_Hour]) -> Iterator[tuple[str, Sequence[_Hour]]]:
    """The names of the bars with hours of that day, each with these."""
    if bars != "day":
        yield _PERIODS[bars].name_of(day), hours
        return
    before = None
    for hour in hours:
        yield f"{day}T{hour.label:02}:00{' second' if hour.label == before else ''}", [hour]
        before = hour.label


def _sums(hours: Sequence[_Hour]) -> Totals:
    expected = sum(each.is_over or each.energy is not None for each in hours)
    return totals_of_hours([each.energy for each in hours if each.energy is not None], expected)


def _added(one: Sequence[_Hour], other: Sequence[_Hour]) -> list[_Hour]:
    energies = [each.energy for each in other] + [None] * len(one)
    return [
        hour._replace(energy=_energy_added(hour.energy, energy))
        for hour, energy in zip(one, energies, strict=False)
    ]


def _energy_added(one: HourEnergy | None, other: HourEnergy | None) -> HourEnergy | None:
    if one is None or other is None:
        return None
    return HourEnergy(
        one.import_kwh + other.import_kwh,
        one.export_kwh + other.export_kwh,
        _plus(one.solar_kwh, other.solar_kwh),
        _plus(one.solar_used_kwh, other.solar_used_kwh),
        _plus(one.consumption_kwh, other.consumption_kwh),
    )


def _plus(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one + other


def _mean(total: Decimal | None, hours: int) -> Decimal | None:
    return None if total is None else (total / hours).quantize(_LEAST, ROUND_HALF_UP)
