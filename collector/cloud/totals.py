"""The answer to a long span -> the totals of its days. Pure, and as strict as for hours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from collector.cloud.answers import rows_of, zone_of
from collector.cloud.meters import Meter
from collector.cloud.rows import (
    LOCAL_STAMP,
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

_SPAN_DAYS = 30
_LEAST_DAYS = 7  # a span of up to four days may come in hours
_WH_PER_KWH = Decimal(1000)


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

    `uncertain` are days whose tariffs' parts nobody can be sure of.
    """

    zone: ZoneInfo
    totals: Mapping[date, DayTotal]
    uncertain: frozenset[date]


def spans(first: date, last: date) -> Iterator[tuple[date, date]]:
    """The spans to ask for, newest first: 30 days each, the oldest at least a week, however few are left."""
    while first <= last:
        start = max(first, last - timedelta(days=_SPAN_DAYS - 1))
        yield min(start, last - timedelta(days=_LEAST_DAYS - 1)), last
        last = start - timedelta(days=1)


def read_totals(answer: TotalsAnswer, meter: Meter) -> SpanTotals:
    """The totals in kWh, scaled as the hours are. Raises `AnswerError`."""
    zone = zone_of(answer.grid, meter)
    grid, doubts = _channel(answer.grid, answer, meter, zone)
    solar: Mapping[date, Energy] = {}
    if answer.solar is not None:
        if zone_of(answer.solar, meter).key != zone.key:
            raise AnswerError("timezone", "the solar device is in another time zone than the grid device")
        solar, more = _channel(answer.solar, answer, meter, zone)
        doubts |= more
    totals = {
        day: _total(energy, solar.get(day), meter, len(local_day(day, zone).hours))
        for day, energy in grid.items()
        if day not in doubts
    }
    return SpanTotals(zone, totals, frozenset(doubts))


def _total(grid: Energy, solar: Energy | None, meter: Meter, hours: int) -> DayTotal:
    if grid.reversed_wh is None:
        raise AnswerError("history.reversed", "absent beside consumption")
    scale = meter.grid_scale_factor / _WH_PER_KWH
    high = None if solar is None else solar.consumption_wh / _WH_PER_KWH
    low = None if high is None else max(Decimal(0), high - hours * meter.pv_kwh_discard)
    return DayTotal(grid.consumption_wh * scale, grid.reversed_wh * scale, low, high, meter.grid_scale_factor)


def _channel(
    body: Mapping[str, Any], answer: TotalsAnswer, meter: Meter, zone: ZoneInfo
) -> tuple[dict[date, Energy], set[date]]:
    """The energy of each day that the body tells, and the days that it tells doubtfully."""
    if body.get("interval") != "day":
        raise AnswerError("interval", "not day")
    rows, name = rows_of(body, meter)
    parts = _by_day(rows, answer, zone, name)
    has_copies = has_copies_in(list(parts.values()))
    anomalies: list[Anomaly] = []
    told: dict[date, Energy] = {}
    doubts: set[date] = set()
    for day, each in parts.items():
        before = len(anomalies)
        energy = whole(local_day(day, zone).start, each, anomalies, has_copies=has_copies)
        if energy is not None:
            told[day] = energy
        elif len(anomalies) > before:
            doubts.add(day)
    return told, doubts


def _by_day(rows: Sequence[Row], answer: TotalsAnswer, zone: ZoneInfo, name: str) -> dict[date, list[Row]]:
    parts: dict[date, list[Row]] = {}
    newest = answer.first
    for number, row in enumerate(rows):
        at = f"{name}[{number}].datetime"
        day = _day_of(row, answer, zone, at)
        if day is None:
            if row.energy is not None and any(row.energy):
                raise AnswerError(at, "data of a day that was not asked for")
            continue
        if day < newest or (day in parts and not is_part(row, parts[day])):
            raise AnswerError(at, "rows are out of order, or a day comes twice")
        newest = day
        parts.setdefault(day, []).append(row)
    return parts


def _day_of(row: Row, answer: TotalsAnswer, zone: ZoneInfo, at: str) -> date | None:
    """The day that starts at the row's stamp; `None` for one outside the span."""
    start, end = local_day(answer.first, zone).start, local_day(answer.last, zone).end
    if UTC_STAMP.fullmatch(row.stamp):
        ts = epoch_of(row.stamp, at)
        if not start <= ts < end:
            return None
        day = datetime.fromtimestamp(ts, zone).date()
        starts_there = local_day(day, zone).start == ts
    else:
        match = LOCAL_STAMP.fullmatch(row.stamp)
        if match is None:
            raise AnswerError(at, "not a time")
        day = _date_named(match[1], at)
        if not answer.first <= day <= answer.last:
            return None
        first_moment = datetime.fromtimestamp(local_day(day, zone).start, zone)
        starts_there = f"{match[2]}:{match[3]}:{match[4]}" in ("00:00:00", f"{first_moment:%H:%M:%S}")
    if not starts_there:
        raise AnswerError(at, "not the start of a day")
    return day


def _date_named(text: str, at: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise AnswerError(at, "not a time") from error
