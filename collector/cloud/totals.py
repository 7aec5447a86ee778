"""The answer to a long span -> the totals of its days. Pure, and as strict as for hours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from collector.cloud.answers import rows_of, zone_of
from collector.cloud.meters import Meter
from collector.cloud.rows import (
    LOCAL_STAMP,
    MOST_TARIFFS,
    UTC_STAMP,
    Anomaly,
    Energy,
    Row,
    epoch_of,
    has_copies_in,
    is_part,
    whole,
)
from collector.energy.comparing import DayTotal
from collector.energy.days import local_day
from collector.errors import AnswerError

SPAN_DAYS = 30  # by the day in everybody's experience; see `shelly-cloud-api`: from 5 days on
_LEAST_DAYS = 7  # a span of up to four days may come in hours
_MOST_HOURS = 26  # of a day, for what it can measure at most
_WH_PER_KWH = Decimal(1000)
_DAY = timedelta(days=1)
_AROUND = 2 * _DAY  # of days further off nobody needs to know when they begin: the calendar may end there


@dataclass(frozen=True, slots=True)
class TotalsAnswer:
    """The bodies for the totals of the days from `first` to `last`: the grid's, and the sun's."""

    first: date
    last: date
    grid: Mapping[str, Any]
    solar: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class SpanTotals:
    """The totals that an answer tells, by day; days that it says nothing of are not in it.

    `uncertain` are days of which nobody can be sure: their tariffs' parts, or a number that cannot be.
    `with_data` are days of which the
    grid clamp counted something. `of_utc_days`: the rows begin at UTC midnight, so that no total is one of
    a local day: there are none then, and `with_data` has the days on either side, too.
    """

    zone: ZoneInfo
    totals: Mapping[date, DayTotal]
    uncertain: frozenset[date]
    with_data: frozenset[date] = frozenset()
    of_utc_days: bool = False


def span_before(first: date, last: date, days: int) -> tuple[date, date]:
    """The newest span of `days` days in `[first, last]`; at least a week, however few are left."""
    start = max(first, last - (days - 1) * _DAY)
    return min(start, last - (_LEAST_DAYS - 1) * _DAY), last


def spans(first: date, last: date) -> Iterator[tuple[date, date]]:
    """The spans to ask for, newest first: 30 days each, the oldest at least a week, however few are left."""
    while first <= last:
        span = span_before(first, last, SPAN_DAYS)
        yield span
        last = span[0] - _DAY


def read_totals(answer: TotalsAnswer, meter: Meter) -> SpanTotals:
    """The totals in kWh, scaled as the hours are. Raises `AnswerError`."""
    zone = zone_of(answer.grid, meter)
    grid = _channel(answer.grid, answer, meter, zone)
    doubts = set(grid.doubts)
    solar: Mapping[date, Energy] = {}
    of_utc_days = grid.of_utc_days
    if answer.solar is not None:
        if zone_of(answer.solar, meter).key != zone.key:
            raise AnswerError("timezone", "the solar device is in another time zone than the grid device")
        told = _channel(answer.solar, answer, meter, zone)
        solar = told.energy
        doubts |= told.doubts
        of_utc_days = of_utc_days or told.of_utc_days
    with_data = {day for day, energy in grid.energy.items() if any(energy)} | grid.doubts
    if of_utc_days:
        with_data = {day + step for day in with_data for step in (-_DAY, 0 * _DAY, _DAY)}
        return SpanTotals(zone, {}, frozenset(), frozenset(with_data), of_utc_days=True)
    totals = {
        day: _total(energy, solar.get(day), meter, len(local_day(day, zone).hours))
        for day, energy in grid.energy.items()
        if day not in doubts
    }
    return SpanTotals(zone, totals, frozenset(doubts), frozenset(with_data))


def _total(grid: Energy, solar: Energy | None, meter: Meter, hours: int) -> DayTotal:
    if grid.reversed_wh is None:
        raise AnswerError("history.reversed", "absent beside consumption")
    scale = meter.grid_scale_factor / _WH_PER_KWH
    high = None if solar is None else solar.consumption_wh / _WH_PER_KWH
    low = None if high is None else max(Decimal(0), high - hours * meter.pv_kwh_discard)
    return DayTotal(grid.consumption_wh * scale, grid.reversed_wh * scale, low, high, meter.grid_scale_factor)


@dataclass(slots=True)
class _ChannelTotals:
    """The energy of each day that a body tells, and the days that it tells doubtfully."""

    energy: dict[date, Energy] = field(default_factory=dict)
    doubts: set[date] = field(default_factory=set)
    of_utc_days: bool = False


def _channel(body: Mapping[str, Any], answer: TotalsAnswer, meter: Meter, zone: ZoneInfo) -> _ChannelTotals:
    if body.get("interval") != "day":
        raise AnswerError("interval", "not day")
    most_rows = ((answer.last - answer.first).days + 2) * MOST_TARIFFS
    rows, name = rows_of(body, meter, most_rows)
    found = _ChannelTotals()
    parts = _by_day(rows, answer, zone, name, found)
    most_wh = meter.kind.most_wh * _MOST_HOURS
    has_copies = has_copies_in(list(parts.values()), most_wh=most_wh)
    anomalies: list[Anomaly] = []
    for day, each in parts.items():
        before = len(anomalies)
        energy = whole(local_day(day, zone).start, each, anomalies, has_copies=has_copies, most_wh=most_wh)
        if energy is not None:
            found.energy[day] = energy
        elif len(anomalies) > before:
            found.doubts.add(day)
    return found


def _by_day(
    rows: Sequence[Row], answer: TotalsAnswer, zone: ZoneInfo, name: str, found: _ChannelTotals
) -> dict[date, list[Row]]:
    parts: dict[date, list[Row]] = {}
    newest = answer.first - _DAY
    for number, row in enumerate(rows):
        at = f"{name}[{number}].datetime"
        day, is_local = _day_of(row, answer, zone, at)
        found.of_utc_days = found.of_utc_days or not is_local
        if not answer.first - (0 if is_local else 1) * _DAY <= day <= answer.last:
            if row.energy is not None and any(row.energy):
                raise AnswerError(at, "data of a day that was not asked for")
            continue
        if day < newest or (day in parts and not is_part(row, parts[day])):
            raise AnswerError(at, "rows are out of order, or a day comes twice")
        newest = day
        parts.setdefault(day, []).append(row)
    return parts


def _day_of(row: Row, answer: TotalsAnswer, zone: ZoneInfo, at: str) -> tuple[date, bool]:
    """The day that starts at the row's stamp, and whether it is a local one; else one of UTC."""
    if UTC_STAMP.fullmatch(row.stamp):
        moment = datetime.fromtimestamp(epoch_of(row.stamp, at), UTC)
        if not answer.first - _AROUND <= moment.date() <= answer.last + _AROUND:
            return moment.date(), True
        day = moment.astimezone(zone).date()
        if local_day(day, zone).start == moment.timestamp():
            return day, True
        if moment.time() == time():
            return moment.date(), False
    else:
        match = LOCAL_STAMP.fullmatch(row.stamp)
        if match is None:
            raise AnswerError(at, "not a time")
        day = _date_named(match[1], at)
        if not answer.first - _AROUND <= day <= answer.last + _AROUND:
            return day, True
        first_moment = datetime.fromtimestamp(local_day(day, zone).start, zone)
        if f"{match[2]}:{match[3]}:{match[4]}" in ("00:00:00", f"{first_moment:%H:%M:%S}"):
            return day, True
    raise AnswerError(at, "not the start of a day")


def _date_named(text: str, at: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise AnswerError(at, "not a time") from error
