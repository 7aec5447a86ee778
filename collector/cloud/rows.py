"""A channel's rows -> energy by hour. Knows repeated hours, tariff parts, placeholders and holes.

Rows come in chronological order, so they are laid on the day's hours one after the other; that is
what tells the second of two equal local hours from the first, whatever offset it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from collector.energy.days import ARRIVAL_S, LocalDay
from collector.errors import AnswerError, ZoneContradicted

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
    fat = {first: second for first, second in day.twins if day.hours.index(second) not in buckets}
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
