"""Sums of stored hours over days, weeks, months and years, and what follows from them. Pure and exact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from collector.energy.history import DayState
from collector.energy.readings import HourReading

_ZERO = Decimal(0)


class Period(StrEnum):
    """What hours are summed over. Weeks are those of ISO 8601: Monday first, week 1 has the year's first
    Thursday.
    """

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"

    def name_of(self, day: date) -> str:
        """The name of the period with that day: `2026-11-29`, `2026-W48`, `2026-11`, `2026`. Names ascend."""
        if self is Period.DAY:
            return f"{day.year:04}-{day.month:02}-{day.day:02}"
        if self is Period.WEEK:
            year, week, _ = day.isocalendar()
            return f"{year:04}-W{week:02}"
        return f"{day.year:04}-{day.month:02}" if self is Period.MONTH else f"{day.year:04}"


class DayHours(NamedTuple):
    """One day of a meter with all its hours, in order.

    `start`: epoch seconds of the first one. `labels`: the local hour of each; a label may be skipped or
    repeated when the clocks change. `readings`: of each hour, `None` if it is not stored. `finished`: how
    many of the hours are over and expected: the last one may not have been fetched yet. `reason`: why the
    day is not complete, a sentence; empty if it is.
    """

    date: date
    start: int
    labels: tuple[int, ...]
    readings: tuple[HourReading | None, ...]
    finished: int
    state: DayState
    reason: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over hours, kWh; `None` if no hour has the quantity.

    Import and export are summed over the `stored_hours`, of `expected_hours` that are over. The others are
    summed over the `whole_hours`, which have solar, too: solar energy, the part of it that was used here
    (not exported), and consumption, as in the day files: hour by hour, the solar energy used here is
    `max(0, solar - export)`, and consumption is that plus import. A meter without solar has no solar energy,
    and its consumption is its import.
    """

    import_kwh: Decimal | None = None
    export_kwh: Decimal | None = None
    solar_kwh: Decimal | None = None
    solar_used_kwh: Decimal | None = None
    consumption_kwh: Decimal | None = None
    stored_hours: int = 0
    whole_hours: int = 0
    expected_hours: int = 0

    @property
    def self_consumption(self) -> Decimal | None:
        """The part of the solar energy that was used here, 0 to 1; `None` without solar energy."""
        return _ratio(self.solar_used_kwh, self.solar_kwh)

    @property
    def self_sufficiency(self) -> Decimal | None:
        """The part of the consumption that was solar energy, 0 to 1; `None` without consumption or solar."""
        return _ratio(self.solar_used_kwh, self.consumption_kwh)

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            _sum(self.import_kwh, other.import_kwh),
            _sum(self.export_kwh, other.export_kwh),
            _sum(self.solar_kwh, other.solar_kwh),
            _sum(self.solar_used_kwh, other.solar_used_kwh),
            _sum(self.consumption_kwh, other.consumption_kwh),
            self.stored_hours + other.stored_hours,
            self.whole_hours + other.whole_hours,
            self.expected_hours + other.expected_hours,
        )


NO_HOURS = Totals()


class HourEnergy(NamedTuple):
    """The quantities of an hour, or of several meters in an hour, as in `Totals`; `None` is not known."""

    import_kwh: Decimal
    export_kwh: Decimal
    solar_kwh: Decimal | None
    solar_used_kwh: Decimal | None
    consumption_kwh: Decimal | None


def energy_of(reading: HourReading, *, no_solar: bool) -> HourEnergy:
    """What a reading means. `no_solar`: the meter measures none, and the zeros in its files mean that."""
    import_kwh, export_kwh, solar_kwh = reading
    if no_solar:
        return HourEnergy(import_kwh, export_kwh, None, None, import_kwh)
    if solar_kwh is None:
        return HourEnergy(import_kwh, export_kwh, None, None, None)
    used = solar_used(reading)
    return HourEnergy(import_kwh, export_kwh, solar_kwh, used, import_kwh + used)


def totals_of(day: DayHours, *, no_solar: bool) -> Totals:
    """The sums of a day of a meter; `no_solar` as in `energy_of`."""
    stored = [energy_of(each, no_solar=no_solar) for each in day.readings if each is not None]
    return totals_of_hours(stored, day.finished)


def totals_of_hours(stored: Sequence[HourEnergy], expected_hours: int) -> Totals:
    """The sums of these hours, which are stored."""
    return Totals(
        _total(each.import_kwh for each in stored),
        _total(each.export_kwh for each in stored),
        _total(each.solar_kwh for each in stored),
        _total(each.solar_used_kwh for each in stored),
        _total(each.consumption_kwh for each in stored),
        len(stored),
        sum(each.consumption_kwh is not None for each in stored),
        expected_hours,
    )


def totals_by(days: Iterable[DayHours], period: Period, *, no_solar: bool) -> dict[str, Totals]:
    """The sums of each period with a day, by its name, in the order of the days."""
    found: dict[str, Totals] = {}
    for day in days:
        name = period.name_of(day.date)
        found[name] = found.get(name, NO_HOURS) + totals_of(day, no_solar=no_solar)
    return found


def solar_used(reading: HourReading) -> Decimal:
    """The part of an hour's solar energy that was used here, kWh; 0 if its solar energy is not known."""
    own = (reading.solar_kwh or _ZERO) - reading.export_kwh
    return own if own > 0 else own - own  # a zero with as many decimals


def _total(values: Iterable[Decimal | None]) -> Decimal | None:
    found = [value for value in values if value is not None]
    return sum(found, _ZERO) if found else None


def _sum(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _ratio(part: Decimal | None, whole: Decimal | None) -> Decimal | None:
    return part / whole if part is not None and whole else None
