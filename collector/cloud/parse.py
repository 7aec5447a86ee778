"""A body of an answer -> the energy of a day, or the totals of many days. Pure.

Everything is checked: what breaks the API's format is an `AnswerError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from collector.cloud.meters import Kind, Meter
from collector.energy.daily_totals import DayTotal
from collector.energy.days import (
    ARRIVAL_S,
    LocalDay,
    UnknownZone,
    known_zone,
    local_day,
    local_span,
    zone_named,
)
from collector.energy.readings import EnergyDay, HourReading
from collector.errors import AnswerError, ZoneContradicted, ZoneUnknown

_MAX_DIGITS = 40
MAX_PARTS = 50_000  # three phases of a long day in many tariffs have 20,000; an object takes a hundred bytes


def parse_body(data: bytes, most_parts: int = MAX_PARTS) -> dict[str, Any]:
    """The JSON object in `data`, numbers with a point as `Decimal`. Raises `AnswerError`."""
    if sum(map(data.count, (b",", b"[", b"{"))) > most_parts:
        raise AnswerError("body", "more values than any answer has")
    try:
        body = json.loads(
            data.decode("utf-8"),
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_refuse,
            object_pairs_hook=_unique_keys,
        )
    except UnicodeDecodeError as error:
        raise AnswerError("body", "not UTF-8") from error
    except RecursionError as error:
        raise AnswerError("body", "nested too deeply") from error
    except ValueError as error:
        raise AnswerError("body", "not JSON") from error
    if not isinstance(body, dict):
        raise AnswerError("body", "not a JSON object")
    return body


def _decimal(text: str) -> Decimal:
    if len(text) > _MAX_DIGITS:
        raise AnswerError("body", "a number with too many digits")
    try:
        number = Decimal(text)
    except InvalidOperation as error:  # an exponent too large for Decimal
        raise AnswerError("body", "a number out of all range") from error
    if not -50 < number.adjusted() < 50:
        raise AnswerError("body", "a number out of all range")
    return number


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise AnswerError("body", "a number with too many digits")
    return int(text)


def _refuse(constant: str) -> Any:
    raise AnswerError("body", f"{constant} is not a number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise AnswerError("body", "a key occurs twice")
    return found


LOCAL_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
UTC_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.0+)?Z", re.ASCII)
MOST_TARIFFS = 16  # more than any contract has
MOST_ROWS = 30 * MOST_TARIFFS  # hours of a long day
MOST_WH = 10_000_000  # of an hour or a day of any device: 25 hours of three phases at 400 A
_HOUR_S = 3600
_LATE_S = 24 * _HOUR_S
_MOST_OUTSIDE = 2  # hours beside a span, one at each end
_CLOCK_TOLERANCE_S = 3600  # this machine's clock may be behind; such an hour is left out
_REST_TARIFF = "0"  # also of a row without a tariff
_ENOUGH_COPIES = 3  # in one hour remainder and sum may be equal by chance
_LATE, _EARLY = 20, 5  # clocks are changed at night
_SHIFT_S = 7200  # no country has ever changed its clocks by more


class Energy(NamedTuple):
    """One hour of one channel, Wh, in both directions of the clamp."""

    consumption_wh: Decimal
    reversed_wh: Decimal | None


class Anomaly(NamedTuple):
    """An hour that is impossible or ambiguous in the answer; it counts as missing.

    `field` is of the row, or of a phase: `consumption`, `history[1].reversed`, `tariff_id`.
    """

    ts: int
    field: str
    reason: str


@dataclass(slots=True)
class ChannelHours:
    """The energy of one channel by the start of the hour, epoch seconds; only finished hours.

    `doubtful`: first hours of repeated pairs with one row instead of two. `unfinished`: the reported energy
    of hours that have not ended, or ended less than ten minutes ago. `rowless`: finished hours without any
    row, not even one that says that the hour is missing.
    """

    energy: dict[int, Energy] = field(default_factory=dict)
    unfinished: dict[int, Energy] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    rowless: set[int] = field(default_factory=set)
    anomalies: list[Anomaly] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as received; `energy` is `None` if it is missing.

    `tariff` is `None` only then: a row with data and no tariff has the tariff `"0"`. `phases` is the energy
    of each phase of a 3EM. The numbers are finite, but not checked further.
    """

    stamp: str
    tariff: str | None
    energy: Energy | None
    phases: tuple[Energy, ...] = ()


def hours_of(rows: Sequence[Row], day: LocalDay, now: datetime, name: str, most_wh: int) -> ChannelHours:
    """The energy of each hour of `day` in the rows that ended at least ten minutes before `now`.

    Earlier the cloud may have only a part of the hour. `name` is the field for errors: `history`. An hour
    above `most_wh` or below zero is an anomaly. Raises `AnswerError`.
    """
    buckets = _lay_out(rows, day, name)
    has_copies = has_copies_in(list(buckets.values()), most_wh=most_wh)
    # Also during the second hour: the row may already contain a part of it.
    merged = {first: second for first, second in day.repeated_hours if day.hours.index(second) not in buckets}
    found = ChannelHours()
    for place, parts in buckets.items():
        ts = day.hours[place]
        end = day.end_of(ts)
        if all(part.energy for part in parts) and ts > now.timestamp() + _CLOCK_TOLERANCE_S:
            raise AnswerError(f"{name}.datetime", "it has data of an hour in the future")
        is_finished = end + ARRIVAL_S <= now.timestamp()
        lasts_s = day.end_of(merged.get(ts, ts)) - ts
        anomalies = found.anomalies if is_finished else []  # an unfinished hour is no anomaly yet
        energy = whole(ts, parts, anomalies, has_copies=has_copies, most_wh=most_wh * lasts_s // _HOUR_S)
        if energy is not None:
            (found.energy if is_finished else found.unfinished)[ts] = energy
    found.doubtful.update(first for first in merged if first in found.energy)
    found.rowless.update(
        ts
        for place, ts in enumerate(day.hours)
        if place not in buckets and day.end_of(ts) + ARRIVAL_S <= now.timestamp()
    )
    return found


def parse_rows(raw: Any, name: str, most_rows: int = MOST_ROWS) -> list[Row]:
    """The rows of one list of an answer. Raises `AnswerError`; `name` is the field for errors."""
    if not isinstance(raw, list):
        raise AnswerError(name, "not a list")
    if len(raw) > most_rows:
        raise AnswerError(name, f"{len(raw)} rows")
    return [_parse_row(row, f"{name}[{number}]") for number, row in enumerate(raw)]


def _parse_row(raw: Any, name: str) -> Row:
    if not isinstance(raw, dict):
        raise AnswerError(name, "not an object")
    stamp = raw.get("datetime")
    if not isinstance(stamp, str):
        raise AnswerError(f"{name}.datetime", "not a string")
    tariff = raw.get("tariff_id")
    if isinstance(tariff, bool) or not isinstance(tariff, str | int | None):
        raise AnswerError(f"{name}.tariff_id", "not a string")
    missing = raw.get("missing", False)
    if not isinstance(missing, bool):
        raise AnswerError(f"{name}.missing", "not true or false")
    consumption, returned = raw.get("consumption"), raw.get("reversed")
    name_of_tariff = None if tariff is None else str(tariff)
    if missing or (consumption is None and returned is None):
        return Row(stamp, name_of_tariff, None)
    energy = Energy(
        _wh(consumption, f"{name}.consumption"),
        None if returned is None else _wh(returned, f"{name}.reversed"),
    )
    return Row(stamp, name_of_tariff or _REST_TARIFF, energy)


def _wh(value: Any, name: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise AnswerError(name, "not a number")
    return Decimal(value) if value < 0 else abs(Decimal(value))  # a negative zero is a zero


def _lay_out(rows: Sequence[Row], day: LocalDay, name: str) -> dict[int, list[Row]]:
    """The rows by the index of their hour.

    Rows are assigned to the hours of the day in order. This distinguishes the two equal local hours in
    autumn.
    """
    buckets: dict[int, list[Row]] = {}
    place = -1
    for number, row in enumerate(rows):
        at = f"{name}[{number}].datetime"
        candidates = _hours_for(row, day, at)
        if not candidates:
            continue  # a placeholder of an hour that is not in the day
        if place in candidates and is_part(row, buckets[place]):
            buckets[place].append(row)
            continue
        later = [candidate for candidate in candidates if candidate > place]
        if not later:
            if place in candidates and _may_be_another_hour(row, buckets[place], day.labels[place]):
                reason = (
                    f"rows are out of order, or an hour comes twice that {day.zone.key} has once that day"
                )
                raise ZoneContradicted(at, reason, day.zone.key)
            raise AnswerError(at, "rows are out of order, or an hour comes twice")
        place = later[0]
        buckets[place] = [row]
    if rows and not buckets and not any(row.stamp.startswith(day.date.isoformat()) for row in rows):
        # An answer for another day, even if it has only zeros and gaps; not one with skipped hours only.
        raise AnswerError(f"{name}.datetime", "none of the rows is of the day that was requested")
    return buckets


def _hours_for(row: Row, day: LocalDay, at: str) -> list[int]:
    """The indices of the hours that the row's stamp may be of; none for rows of no hour without data."""
    if UTC_STAMP.fullmatch(row.stamp):
        ts = epoch_of(row.stamp, at)
        places = [place for place, start in enumerate(day.hours) if start == ts]
        contradicts = day.start - _SHIFT_S <= ts < day.end + _SHIFT_S
        reason = "not an hour of the day that was requested"
    else:
        match = LOCAL_STAMP.fullmatch(row.stamp)
        if match is None:
            raise AnswerError(at, "not a time")
        label, minutes = int(match[2]), match[3] + match[4]
        places = [place for place, each in enumerate(day.labels) if each == label]
        if match[1] != day.date.isoformat():
            places = []
        elif minutes != "0000" and minutes not in {_minutes_at(day, place) for place in places}:
            raise AnswerError(at, "not the start of an hour")
        contradicts = match[1] == day.date.isoformat() and label < 24
        reason = "data of another day, or of an hour that daylight saving skips"
    if not places and row.energy is not None and any(row.energy):
        if contradicts:
            raise ZoneContradicted(at, f"{reason} in {day.zone.key}", day.zone.key)
        raise AnswerError(at, reason)
    return places


def _may_be_another_hour(row: Row, parts: Sequence[Row], label: int) -> bool:
    """Whether a second row for the hour of `parts` may be of a repeated hour that our rules do not have."""
    beside = [part.energy for part in parts if part.tariff == row.tariff and part.energy is not None]
    at_night = label >= _LATE or label < _EARLY
    return at_night and row.energy is not None and any(row.energy != each for each in beside)


def _minutes_at(day: LocalDay, place: int) -> str:
    """Minutes and seconds of the hour's start: not 0000 after a change of the clocks by half an hour."""
    return datetime.fromtimestamp(day.hours[place], day.zone).strftime("%M%S")


def epoch_of(stamp: str, at: str) -> int:
    """A UTC stamp in epoch seconds. `at` is the field for errors. Raises `AnswerError`."""
    try:
        return int(datetime.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise AnswerError(at, "not a time") from error


def is_part(row: Row, parts: Sequence[Row]) -> bool:
    """Whether the row is of another tariff of the same hour as `parts`."""
    tariffs = {part.tariff for part in parts}
    return row.tariff is not None and None not in tariffs and row.tariff not in tariffs


def whole(
    ts: int, parts: Sequence[Row], anomalies: list[Anomaly], *, has_copies: bool, most_wh: int = MOST_WH
) -> Energy | None:
    """The energy of an hour or a day: the sum of its tariffs' parts; `None` if it is not known.

    An impossible number in any part, or a sum above `most_wh`, makes it an anomaly.

    A part of tariff `"0"` beside others may be the remainder or a copy of their sum. It is ignored if the
    day shows that it is a copy (`has_copies`) or if it is zero; else the hour is an anomaly.
    """
    known = [part.energy for part in parts if part.energy is not None]
    if len(known) < len(parts):
        return None
    energy = known[0] if len(known) == 1 else _sum(known)
    doubt = next(_impossible(parts, most_wh), None)
    if doubt is None and len(known) == 1:
        return energy
    rest, others = _rest_and_others(parts)
    if rest is not None and others is not None and any(rest):
        energy = others
        if not has_copies:
            doubt = doubt or (
                "tariff_id",
                "several tariffs and a tariff 0 that may be the remainder or the total",
            )
    doubt = doubt or _impossible_in(energy, most_wh)
    if doubt is None:
        return energy
    anomalies.append(Anomaly(ts, *doubt))
    return None


def _impossible(parts: Sequence[Row], most_wh: int) -> Iterator[tuple[str, str]]:
    """Field and reason of each impossible number in these rows; a phase may have a third of `most_wh`."""
    for part in parts:
        if part.energy is not None and (doubt := _impossible_in(part.energy, most_wh)):
            yield doubt
        for number, phase in enumerate(part.phases):
            if doubt := _impossible_in(phase, most_wh // 3):
                yield f"history[{number}].{doubt[0]}", doubt[1]


def _impossible_in(energy: Energy, most_wh: int) -> tuple[str, str] | None:
    for name, wh in (("consumption", energy.consumption_wh), ("reversed", energy.reversed_wh)):
        if wh is not None and wh < 0:
            return name, "a negative number"
        if wh is not None and wh > most_wh:
            return name, f"above {most_wh:,} Wh, more than a meter of this kind can measure"
    return None


def has_copies_in(hours: Sequence[Sequence[Row]], *, most_wh: int = MOST_WH) -> bool:
    """Whether tariff `"0"` is a copy of the others' sum: equal in every hour of the day that has both.

    Hours with an impossible number are left out.
    """
    pairs = [
        _rest_and_others(parts)
        for parts in hours
        if len(parts) > 1 and all(part.energy for part in parts) and not any(_impossible(parts, most_wh))
    ]
    both = [(rest, others) for rest, others in pairs if rest is not None and others is not None]
    return (
        all(rest == others for rest, others in both) and sum(any(rest) for rest, _ in both) >= _ENOUGH_COPIES
    )


def _rest_and_others(parts: Sequence[Row]) -> tuple[Energy | None, Energy | None]:
    rest = [part.energy for part in parts if part.energy and part.tariff == _REST_TARIFF]
    others = [part.energy for part in parts if part.energy and part.tariff != _REST_TARIFF]
    return (rest[0] if rest else None), (_sum(others) if others else None)


def _sum(parts: Sequence[Energy]) -> Energy:
    returned = [part.reversed_wh for part in parts if part.reversed_wh is not None]
    consumption = sum((part.consumption_wh for part in parts), Decimal(0))
    return Energy(consumption, sum(returned, Decimal(0)) if len(returned) == len(parts) else None)


_WH_PER_KWH = Decimal(1000)


@dataclass(frozen=True, slots=True)
class DayAnswer:
    """The bodies for one day of one meter: grid, and solar if it needs its own request.

    `*_age_s`: seconds since the request was started. Only hours that had ended by then are complete.
    """

    date: date
    grid: Mapping[str, Any]
    solar: Mapping[str, Any] | None
    grid_age_s: float = 0.0
    solar_age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReadDay:
    """One day from the cloud, and the hours that are impossible or ambiguous.

    `unfinished`: reported import and export, kWh, of hours that are not finished. They are not stored.
    `rowless`: finished hours for which some channel has no row. `zone_name`: as in the grid's answer; this
    machine may not know it.
    """

    energy_day: EnergyDay
    anomalies: tuple[Anomaly, ...]
    unfinished: Mapping[int, tuple[Decimal, Decimal]]
    rowless: frozenset[int]
    zone_name: str

    def is_certain(self, now: datetime) -> bool:
        """Whether the day can be taken from the answer to a span: nothing in it is absent or doubtful.

        Hours that ended less than a day ago may be missing: they come late, and are requested again soon.
        A whole day of zeros on the grid is doubtful: they may stand for hours that the cloud does not have.
        """
        day = self.energy_day
        old = [ts for ts in day.missing_hours() if day.day.end_of(ts) + _LATE_S <= now.timestamp()]
        has_begun = bool(day.day.hours) and day.day.end_of(day.day.hours[0]) + ARRIVAL_S <= now.timestamp()
        has_hours = bool(day.readings) or not has_begun
        is_zero = day.is_whole() and not any(any(hour[:2]) for hour in day.readings.values())
        return has_hours and not (is_zero or old or self.anomalies or day.doubtful or self.rowless)


def read_day(answer: DayAnswer, meter: Meter, now: datetime) -> ReadDay:
    """The hours that were finished when the day was requested, kWh, scaled and with the discard subtracted.

    `now` is when the answer was received. Raises `AnswerError`; then nothing of it may be stored.
    """
    day = local_day(answer.date, zone_of(answer.grid, meter))
    grid = _channel(answer.grid, day, meter, now - timedelta(seconds=answer.grid_age_s))
    missing_return = [ts for ts, energy in grid.energy.items() if energy.reversed_wh is None]
    if missing_return:
        raise AnswerError("history.reversed", "absent beside consumption")
    if answer.solar is None:
        solar = None
    else:
        if zone_of(answer.solar, meter).key != day.zone.key:
            raise AnswerError("timezone", "the solar device is in another time zone than the grid device")
        solar = _channel(answer.solar, day, meter, now - timedelta(seconds=answer.solar_age_s))
    readings = {
        ts: HourReading(*_grid_kwh(energy, meter), _solar_kwh(ts, grid, solar, meter))
        for ts, energy in sorted(grid.energy.items())
    }
    unfinished = {ts: _grid_kwh(energy, meter) for ts, energy in grid.unfinished.items()}
    anomalies = grid.anomalies + ([] if solar is None else solar.anomalies)
    rowless = frozenset(grid.rowless) if solar is None else frozenset(grid.rowless | solar.rowless)
    energy_day = EnergyDay(day, readings, frozenset(grid.doubtful))
    return ReadDay(energy_day, tuple(anomalies), unfinished, rowless, answer.grid["timezone"])


def zone_of(body: Mapping[str, Any], meter: Meter) -> ZoneInfo:
    """The zone of the answer's local times. Raises `AnswerError`.

    An answer with UTC stamps may have the zone UTC although the device's is another; then the configured
    zone is used. So it is if this machine's list lacks the zone of the answer; without a configured one
    `ZoneUnknown` is raised.
    """
    name = body.get("timezone")
    if not isinstance(name, str):
        raise AnswerError("timezone", "not a string")
    configured = known_zone(meter.timezone)
    if name == "UTC" and configured is not None and _has_utc_stamps(body):
        return configured
    try:
        return zone_named(name)
    except UnknownZone as error:
        if configured is None:
            raise ZoneUnknown(name) from error
        return configured
    except ValueError as error:
        raise AnswerError("timezone", f"{error}: {name[:64]!a}") from error


def _has_utc_stamps(body: Mapping[str, Any]) -> bool:
    rows = body.get("sum", body.get("history"))
    first = rows[0] if isinstance(rows, list) and rows else None
    stamp = first.get("datetime") if isinstance(first, dict) else None
    return isinstance(stamp, str) and stamp.endswith("Z")


def _channel(body: Mapping[str, Any], day: LocalDay, meter: Meter, now: datetime) -> ChannelHours:
    if body.get("interval") != "hour":
        raise AnswerError("interval", "not hour")
    rows, name = rows_of(body, meter)
    return hours_of(rows, day, now, name, meter.kind.most_wh)


def rows_of(body: Mapping[str, Any], meter: Meter, most_rows: int = MOST_ROWS) -> tuple[list[Row], str]:
    """The rows to use from a body of that kind of device, and their field. Raises `AnswerError`."""
    if meter.kind is Kind.EM3:
        return _three_phase_rows(body, most_rows), "sum"
    history = body.get("history")
    if isinstance(history, list) and history and isinstance(history[0], list):
        raise AnswerError("history", 'lists of phases: if the device is a 3EM, set kind = "3em" (--kind 3em)')
    return parse_rows(history, "history", most_rows), "history"


def _three_phase_rows(body: Mapping[str, Any], most_rows: int) -> list[Row]:
    """The rows of `sum`; one without all three phases is missing, because its sum is too small."""
    phases = body.get("history")
    if "sum" not in body:
        raise AnswerError("sum", 'absent: if the device is an EM with clamps, set kind = "em" (--kind em)')
    rows = parse_rows(body["sum"], "sum", most_rows)
    if not isinstance(phases, list) or (len(phases) != 3 and (phases or rows)):
        raise AnswerError("history", "not three lists of phases")
    for number, phase in enumerate(phases):
        phase_rows = parse_rows(phase, f"history[{number}]", most_rows)
        if len(phase_rows) != len(rows):
            raise AnswerError(f"history[{number}]", "not as long as sum")
        rows = [
            _without_gap(row, beside, f"history[{number}][{place}]")
            for place, (row, beside) in enumerate(zip(rows, phase_rows, strict=True))
        ]
    return rows


def _without_gap(row: Row, beside: Row, name: str) -> Row:
    if row.stamp != beside.stamp:
        raise AnswerError(f"{name}.datetime", "not aligned with sum")
    if beside.energy is None:
        return replace(row, energy=None)
    return replace(row, phases=(*row.phases, beside.energy))


def _grid_kwh(energy: Energy, meter: Meter) -> tuple[Decimal, Decimal]:
    returned_wh = energy.reversed_wh or Decimal(0)
    scale = meter.grid_scale_factor
    return energy.consumption_wh / _WH_PER_KWH * scale, returned_wh / _WH_PER_KWH * scale


def _solar_kwh(ts: int, grid: ChannelHours, solar: ChannelHours | None, meter: Meter) -> Decimal | None:
    if solar is None:
        return Decimal(0)  # no solar clamp: a true zero
    energy: Energy | None = solar.energy.get(ts)
    if energy is None or (ts in solar.doubtful) != (ts in grid.doubtful):
        return None
    return max(Decimal(0), energy.consumption_wh / _WH_PER_KWH - meter.pv_kwh_discard)


SPAN_DAYS = 30  # such spans come in days; see `shelly-cloud-api`: from 5 days on
_LEAST_DAYS = 7  # a span of up to four days may come in hours
_MOST_HOURS = 26  # of a day, for its upper bound
_DAY = timedelta(days=1)
_AROUND = 2 * _DAY  # beyond it the start of a day is not computed: the calendar may end there


@dataclass(frozen=True, slots=True)
class SpanAnswer:
    """The bodies for the days from `first` to `last`: grid, and solar if it has its own."""

    first: date
    last: date
    grid: Mapping[str, Any]
    solar: Mapping[str, Any] | None
    grid_age_s: float = 0.0
    solar_age_s: float = 0.0


def split_days(answer: SpanAnswer, meter: Meter) -> dict[date, DayAnswer]:
    """The hourly rows of a span, laid on its days by their local date. Raises `AnswerError`.

    A row that has no readable time goes to the days of its neighbours, which it spoils. An hour of the day
    before or after the span is left out; more of them are an answer to another request.
    """
    zone = zone_of(answer.grid, meter)
    days = [answer.first + number * _DAY for number in range((answer.last - answer.first).days + 1)]
    grid = _split(answer.grid, days, zone, meter)
    solar = None if answer.solar is None else _split(answer.solar, days, zone, meter)
    return {
        day: DayAnswer(
            day, grid[day], None if solar is None else solar[day], answer.grid_age_s, answer.solar_age_s
        )
        for day in days
    }


def _split(
    body: Mapping[str, Any], days: Sequence[date], zone: ZoneInfo, meter: Meter
) -> dict[date, dict[str, Any]]:
    name = "sum" if meter.kind is Kind.EM3 else "history"
    rows, phases = body.get(name), body.get("history")
    if not isinstance(rows, list):
        raise AnswerError(name, "not a list")
    if meter.kind is Kind.EM3 and not (
        isinstance(phases, list) and all(isinstance(each, list) and len(each) == len(rows) for each in phases)
    ):
        raise AnswerError("history", "not lists of phases as long as sum")
    dates = [_date_of(row, zone) for row in rows]
    known = [day for day in dates if day is not None]
    if known != sorted(known):
        raise AnswerError(f"{name}.datetime", "rows are out of order")
    outside = {row["datetime"] for row, day in zip(rows, dates, strict=True) if day and day not in days}
    if len(outside) > _MOST_OUTSIDE:
        raise AnswerError(f"{name}.datetime", "rows of days that were not requested")
    places_of: dict[date | None, list[int]] = {day: [] for day in days}
    for place, (before, after) in enumerate(zip(_filled(dates), _filled(dates[::-1])[::-1], strict=True)):
        for day in {before, after}:
            places_of.get(day, []).append(place)
    bodies = {}
    for day in days:
        places = places_of[day]
        parts: dict[str, Any] = {name: [rows[place] for place in places]}
        if meter.kind is Kind.EM3:
            parts["history"] = [[phase[place] for place in places] for phase in phases or ()]
        bodies[day] = {**body, **parts}
    return bodies


def _date_of(row: Any, zone: ZoneInfo) -> date | None:
    """The local date of a row; `None` if it cannot be read."""
    stamp = row.get("datetime") if isinstance(row, dict) else None
    if not isinstance(stamp, str):
        return None
    with suppress(ValueError, OverflowError):
        if UTC_STAMP.fullmatch(stamp):
            return datetime.fromisoformat(stamp[:19]).replace(tzinfo=UTC).astimezone(zone).date()
        if LOCAL_STAMP.fullmatch(stamp):
            return date.fromisoformat(stamp[:10])
    return None


def _filled(dates: Sequence[date | None]) -> list[date | None]:
    """The same with the last known date where there is none."""
    filled: list[date | None] = []
    for day in dates:
        filled.append(day or (filled[-1] if filled else None))
    return filled


@dataclass(frozen=True, slots=True)
class SpanTotals:
    """The totals in an answer, by day.

    `uncertain`: days with an ambiguous tariff 0 or an impossible number. `with_data`: days on which the grid
    clamp counted something. `of_utc_days`: the rows are of UTC days, so there are no totals of local days,
    and `with_data` has the days before and after, too.
    """

    zone: ZoneInfo
    totals: Mapping[date, DayTotal]
    uncertain: frozenset[date]
    with_data: frozenset[date] = frozenset()
    of_utc_days: bool = False


def span_before(first: date, last: date, days: int) -> tuple[date, date]:
    """The newest span of `days` days in `[first, last]`; at least a week, even if fewer are left."""
    start = max(first, last - (days - 1) * _DAY)
    return min(start, last - (_LEAST_DAYS - 1) * _DAY), last


def spans(first: date, last: date) -> Iterator[tuple[date, date]]:
    """The spans to request, newest first: 30 days each, the oldest at least a week."""
    while first <= last:
        span = span_before(first, last, SPAN_DAYS)
        yield span
        last = span[0] - _DAY


def read_totals(answer: SpanAnswer, meter: Meter) -> SpanTotals:
    """The totals in kWh, scaled as the hours are. Raises `AnswerError`."""
    zone = zone_of(answer.grid, meter)
    grid = _channel_totals(answer.grid, answer, meter, zone)
    doubts = set(grid.doubts)
    solar: Mapping[date, Energy] = {}
    of_utc_days = grid.of_utc_days
    if answer.solar is not None:
        if zone_of(answer.solar, meter).key != zone.key:
            raise AnswerError("timezone", "the solar device is in another time zone than the grid device")
        sun = _channel_totals(answer.solar, answer, meter, zone)
        solar = sun.energy
        doubts |= sun.doubts
        of_utc_days = of_utc_days or sun.of_utc_days
    with_data = {day for day, energy in grid.energy.items() if any(energy)} | grid.doubts
    if of_utc_days:
        with_data = {day + step for day in with_data for step in (-_DAY, 0 * _DAY, _DAY)}
        return SpanTotals(zone, {}, frozenset(), frozenset(with_data), of_utc_days=True)
    totals = {
        day: _total(energy, solar.get(day), meter, day, zone)
        for day, energy in grid.energy.items()
        if day not in doubts
    }
    return SpanTotals(zone, totals, frozenset(doubts), frozenset(with_data))


def _total(grid: Energy, solar: Energy | None, meter: Meter, day: date, zone: ZoneInfo) -> DayTotal:
    if grid.reversed_wh is None:
        raise AnswerError("history.reversed", "absent beside consumption")
    scale = meter.grid_scale_factor / _WH_PER_KWH
    high = None if solar is None else solar.consumption_wh / _WH_PER_KWH
    hours = len(local_day(day, zone).hours) if meter.pv_kwh_discard else 0
    low = None if high is None else max(Decimal(0), high - hours * meter.pv_kwh_discard)
    return DayTotal(grid.consumption_wh * scale, grid.reversed_wh * scale, low, high, meter.grid_scale_factor)


@dataclass(slots=True)
class _ChannelTotals:
    """The energy of each day in a body, and the uncertain days."""

    energy: dict[date, Energy] = field(default_factory=dict)
    doubts: set[date] = field(default_factory=set)
    of_utc_days: bool = False


def _channel_totals(
    body: Mapping[str, Any], answer: SpanAnswer, meter: Meter, zone: ZoneInfo
) -> _ChannelTotals:
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
        start = local_span(day, zone)[0]
        energy = whole(start, each, anomalies, has_copies=has_copies, most_wh=most_wh)
        if energy is not None:
            found.energy[day] = energy
        elif len(anomalies) > before:
            found.doubts.add(day)
    return found


def _by_day(
    rows: Sequence[Row], answer: SpanAnswer, zone: ZoneInfo, name: str, found: _ChannelTotals
) -> dict[date, list[Row]]:
    parts: dict[date, list[Row]] = {}
    newest = answer.first - _DAY
    for number, row in enumerate(rows):
        at = f"{name}[{number}].datetime"
        day, is_local = _day_of(row, answer, zone, at)
        found.of_utc_days = found.of_utc_days or not is_local
        if not answer.first - (0 if is_local else 1) * _DAY <= day <= answer.last:
            if row.energy is not None and any(row.energy):
                raise AnswerError(at, "data of a day that was not requested")
            continue
        if day < newest or (day in parts and not is_part(row, parts[day])):
            raise AnswerError(at, "rows are out of order, or a day comes twice")
        newest = day
        parts.setdefault(day, []).append(row)
    return parts


def _day_of(row: Row, answer: SpanAnswer, zone: ZoneInfo, at: str) -> tuple[date, bool]:
    """The day that starts at the row's stamp, and whether it is a local day (true) or one of UTC."""
    if UTC_STAMP.fullmatch(row.stamp):
        moment = datetime.fromtimestamp(epoch_of(row.stamp, at), UTC)
        if not answer.first - _AROUND <= moment.date() <= answer.last + _AROUND:
            return moment.date(), True
        day = moment.astimezone(zone).date()
        if local_span(day, zone)[0] == moment.timestamp():
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
        first_moment = datetime.fromtimestamp(local_span(day, zone)[0], zone)
        if f"{match[2]}:{match[3]}:{match[4]}" in ("00:00:00", f"{first_moment:%H:%M:%S}"):
            return day, True
    raise AnswerError(at, "not the start of a day")


def _date_named(text: str, at: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise AnswerError(at, "not a time") from error
