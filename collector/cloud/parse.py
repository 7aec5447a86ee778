"""A body of the cloud's -> the energy of a day, or the totals of many days. Pure.

Believes nothing: what breaks the API's format is an `AnswerError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from collector.cloud.meters import Kind, Meter
from collector.energy.days import ARRIVAL_S, LocalDay, UnknownZone, known_zone, local_day, zone_named
from collector.energy.readings import EnergyDay, HourReading
from collector.energy.totals import DayTotal
from collector.errors import AnswerError, ZoneContradicted, ZoneUnknown

_MAX_DIGITS = 40
_MAX_PARTS = 50_000  # three phases of a long day in many tariffs have 20,000; an object takes a hundred bytes


def parse_body(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`. Numbers with a point are `Decimal`; `AnswerError` for anything else."""
    if sum(map(data.count, (b",", b"[", b"{"))) > _MAX_PARTS:
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
    except InvalidOperation as error:  # an exponent that even Decimal has no room for
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
MOST_TARIFFS = 16  # more than anybody sells
MOST_ROWS = 30 * MOST_TARIFFS  # hours of a long day
MOST_WH = 10_000_000  # of an hour or a day, whatever measured it: 25 hours of three phases at 400 A
_HOUR_S = 3600
_CLOCK_TOLERANCE_S = 3600  # this machine's clock may be behind; the hour is left out all the same
_REST_TARIFF = "0"  # also of a row that names none
_ENOUGH_COPIES = 3  # one hour may be half and half by chance
_LATE, _EARLY = 20, 5  # clocks are changed at night
_SHIFT_S = 7200  # no country has ever put its clocks further


class Energy(NamedTuple):
    """One hour of one channel, Wh: from and to whatever the clamp is on."""

    consumption_wh: Decimal
    reversed_wh: Decimal | None


class Anomaly(NamedTuple):
    """An hour that the answer tells in a way nobody can be sure of; it counts as missing.

    `field` is the row's, or a phase's: `consumption`, `history[1].reversed`, `tariff_id`.
    """

    ts: int
    field: str
    reason: str


@dataclass(slots=True)
class ChannelHours:
    """What one channel measured, by the start of the hour; only hours that are over.

    `doubtful`: hours of a fall-back day that came once where two were due. `unfinished`: what is told of
    hours that are not over, or not long enough.
    """

    energy: dict[int, Energy] = field(default_factory=dict)
    unfinished: dict[int, Energy] = field(default_factory=dict)
    doubtful: set[int] = field(default_factory=set)
    anomalies: list[Anomaly] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the server gave it; `energy` is `None` where the row says missing.

    `tariff` is `None` only there: a row with data that names no tariff has the tariff `"0"`. `phases`
    is what each phase of a 3EM had in the hour that the row sums up. Any finite number may stand there.
    """

    stamp: str
    tariff: str | None
    energy: Energy | None
    phases: tuple[Energy, ...] = ()


def hours_of(rows: Sequence[Row], day: LocalDay, now: datetime, name: str, most_wh: int) -> ChannelHours:
    """The energy of each hour of `day` that the rows tell and that was over ten minutes before `now`.

    Until then the cloud may tell a part of an hour that it has not received whole. `name` is the
    field to blame: `history`. `most_wh` is the most that an hour can have; one that has more, or less
    than nothing, is an anomaly. Raises `AnswerError`.
    """
    buckets = _lay_out(rows, day, name)
    has_copies = has_copies_in(list(buckets.values()), most_wh=most_wh)
    # Also while the second hour is under way: the row may hold a part of it already.
    fat = {first: second for first, second in day.repeated_hours if day.hours.index(second) not in buckets}
    found = ChannelHours()
    for place, parts in buckets.items():
        ts = day.hours[place]
        end = day.end_of(ts)
        if all(part.energy for part in parts) and ts > now.timestamp() + _CLOCK_TOLERANCE_S:
            raise AnswerError(f"{name}.datetime", "it has data of an hour in the future")
        is_finished = end + ARRIVAL_S <= now.timestamp()
        lasts_s = day.end_of(fat.get(ts, ts)) - ts
        anomalies = found.anomalies if is_finished else []  # an hour under way is in no doubt yet
        energy = whole(ts, parts, anomalies, has_copies=has_copies, most_wh=most_wh * lasts_s // _HOUR_S)
        if energy is not None:
            (found.energy if is_finished else found.unfinished)[ts] = energy
    found.doubtful.update(first for first in fat if first in found.energy)
    return found


def parse_rows(raw: Any, name: str, most_rows: int = MOST_ROWS) -> list[Row]:
    """The rows of one list of an answer. Raises `AnswerError` with the place of what is wrong."""
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
    """The rows by the index of their hour, each hour's in a list of its own."""
    buckets: dict[int, list[Row]] = {}
    place = -1
    for number, row in enumerate(rows):
        at = f"{name}[{number}].datetime"
        candidates = _hours_for(row, day, at)
        if not candidates:
            continue  # a placeholder of an hour that the day has not
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
        # Another day's, though all it tells are zeros and gaps; a skipped hour's placeholder is not.
        raise AnswerError(f"{name}.datetime", "none of the rows is of the day that was asked for")
    return buckets


def _hours_for(row: Row, day: LocalDay, at: str) -> list[int]:
    """The indices of the hours that the row's stamp may mean; none for harmless rows of no hour."""
    if UTC_STAMP.fullmatch(row.stamp):
        ts = epoch_of(row.stamp, at)
        places = [place for place, start in enumerate(day.hours) if start == ts]
        contradicts = day.start - _SHIFT_S <= ts < day.end + _SHIFT_S
        reason = "not an hour of the day that was asked for"
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
    """Whether a row for the hour of `parts` has measured another hour: the clocks were put back there."""
    beside = [part.energy for part in parts if part.tariff == row.tariff and part.energy is not None]
    at_night = label >= _LATE or label < _EARLY
    return at_night and row.energy is not None and any(row.energy != each for each in beside)


def _minutes_at(day: LocalDay, place: int) -> str:
    """Where a zone shifts by half an hour, one hour of the year starts at half past."""
    return datetime.fromtimestamp(day.hours[place], day.zone).strftime("%M%S")


def epoch_of(stamp: str, at: str) -> int:
    """The moment that a UTC stamp names. `at` is the field to blame. Raises `AnswerError`."""
    try:
        return int(datetime.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC).timestamp())
    except ValueError as error:
        raise AnswerError(at, "not a time") from error


def is_part(row: Row, parts: Sequence[Row]) -> bool:
    """Whether the row is one more tariff's part of the hour that `parts` already tell."""
    told = {part.tariff for part in parts}
    return row.tariff is not None and None not in told and row.tariff not in told


def whole(
    ts: int, parts: Sequence[Row], anomalies: list[Anomaly], *, has_copies: bool, most_wh: int = MOST_WH
) -> Energy | None:
    """The energy of an hour or a day: its only part, or all parts' sum; `None` where not known.

    An impossible number in any part, or a sum above `most_wh`, makes the whole an anomaly: a clamp's
    noise around zero is no zero, and which of the parts is right nobody knows.

    Nobody knows whether a `"0"` part beside others is a rest or a copy of their sum. It is dropped
    where the day shows that it is a copy, counts for nothing where it is zero, and else the hour is
    not told.
    """
    known = [part.energy for part in parts if part.energy is not None]
    if len(known) < len(parts):
        return None
    energy = _sum(known)
    doubt = next(_impossible(parts, most_wh), None)
    rest, others = _rest_and_others(parts)
    if rest is not None and others is not None and any(rest):
        energy = others
        if not has_copies:
            doubt = doubt or ("tariff_id", "a part of tariff 0 that may be a rest or a copy")
    doubt = doubt or _impossible_in(energy, most_wh)
    if doubt is None:
        return energy
    anomalies.append(Anomaly(ts, *doubt))
    return None


def _impossible(parts: Sequence[Row], most_wh: int) -> Iterator[tuple[str, str]]:
    """Field and reason of what cannot be in these rows; a phase has at most a third."""
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
    """Whether `"0"` is a copy of the others' sum: equal in every hour of the day that has both.

    Hours with an impossible number show nothing.
    """
    pairs = [
        _rest_and_others(parts)
        for parts in hours
        if all(part.energy for part in parts) and not any(_impossible(parts, most_wh))
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
    """The bodies for one day of one meter: the grid's, and the solar's where that is requested apart.

    The ages are the seconds since each was requested: only hours that had ended by then are complete.
    """

    date: date
    grid: Mapping[str, Any]
    solar: Mapping[str, Any] | None
    grid_age_s: float = 0.0
    solar_age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReadDay:
    """One day as the cloud tells it, and what in it nobody can be sure of.

    `unfinished`: import and export, kWh, that are told of hours that are not over. They are not stored.
    """

    energy_day: EnergyDay
    anomalies: tuple[Anomaly, ...]
    unfinished: Mapping[int, tuple[Decimal, Decimal]]


def read_day(answer: DayAnswer, meter: Meter, now: datetime) -> ReadDay:
    """The hours that were over when the day was asked for, in kWh, scaled and with the discard taken off.

    `now` is when the answer was there. Raises `AnswerError`; nothing of such an answer may be stored.
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
    return ReadDay(EnergyDay(day, readings, frozenset(grid.doubtful)), tuple(anomalies), unfinished)


def zone_of(body: Mapping[str, Any], meter: Meter) -> ZoneInfo:
    """The zone that the answer's local times are in. Raises `AnswerError`.

    An answer with UTC stamps may call its zone UTC although the device's is another; then the
    configured one tells where the local day begins. It also counts where this machine's list of zones
    lacks the one that the answer names; without it that is `ZoneUnknown`.
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
    """The rows that count in a body of that kind of device, and their field. Raises `AnswerError`."""
    if meter.kind is Kind.EM3:
        return _three_phase_rows(body, most_rows), "sum"
    history = body.get("history")
    if isinstance(history, list) and history and isinstance(history[0], list):
        raise AnswerError("history", 'lists of phases: if the device is a 3EM, set kind = "3em" (--kind 3em)')
    return parse_rows(history, "history", most_rows), "history"


def _three_phase_rows(body: Mapping[str, Any], most_rows: int) -> list[Row]:
    """The rows of `sum`; one that lacks a phase is missing, for a sum of two phases is a wrong number."""
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


SPAN_DAYS = 30  # by the day in everybody's experience; see `shelly-cloud-api`: from 5 days on
_LEAST_DAYS = 7  # a span of up to four days may come in hours
_MOST_HOURS = 26  # of a day, for what it can measure at most
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
    grid = _channel_totals(answer.grid, answer, meter, zone)
    doubts = set(grid.doubts)
    solar: Mapping[date, Energy] = {}
    of_utc_days = grid.of_utc_days
    if answer.solar is not None:
        if zone_of(answer.solar, meter).key != zone.key:
            raise AnswerError("timezone", "the solar device is in another time zone than the grid device")
        told = _channel_totals(answer.solar, answer, meter, zone)
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


def _channel_totals(
    body: Mapping[str, Any], answer: TotalsAnswer, meter: Meter, zone: ZoneInfo
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
