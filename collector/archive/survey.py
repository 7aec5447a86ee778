"""What a meter's folder tells those who only look: no lock is taken and nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collector.archive.dayfile import MAX_BYTES, DayFormat, stored_day
from collector.archive.files import read_at_most
from collector.archive.folder import COMPLETE, OWN_FOLDER, day_files, decode_file, state_of_file
from collector.archive.ledger import Ledger
from collector.energy.availability import Availability
from collector.energy.days import known_zone, local_day, local_span
from collector.energy.knowledge import NOTHING, Known
from collector.energy.readings import HourReading
from collector.errors import DamagedFile

_HOUR_S = 3600
_ORDINARY_S = 24 * _HOUR_S


class Surveyed(NamedTuple):
    """What a folder holds; its zone, and which days the cloud has, where that is known."""

    known: Mapping[date, Known]
    zone: ZoneInfo | None = None
    availability: Availability | None = None


def survey(folder: Path, day_format: DayFormat) -> Surveyed:
    """What a folder holds."""
    known: dict[date, Known] = {}
    if not folder.is_dir():
        return Surveyed(known)
    ledger = Ledger(folder / OWN_FOLDER / "ledger.jsonl")
    zone = known_zone(ledger.zone)
    for day in day_files(folder):
        path = folder / f"{day}.jsonl"
        with suppress(DamagedFile):
            whole = _looks_complete(path, day, zone)
            known[day] = COMPLETE if whole else state_of_file(path, day, zone, day_format)
    for day, asked in ledger.asked.items():
        known[day] = known.get(day, NOTHING)._replace(asked=asked)
    return Surveyed(known, zone, ledger.availability)


def recorded_zone(folder: Path) -> str | None:
    """The name of the meter's zone as it was recorded, known to this machine or not."""
    return Ledger(folder / OWN_FOLDER / "ledger.jsonl").zone


def newest_whole_hour(
    folder: Path, known: Mapping[date, Known], zone: ZoneInfo, *, no_solar: bool
) -> int | None:
    """The start of the newest hour that is known on every channel, epoch seconds; `None` without one."""
    for day in sorted((day for day, state in known.items() if state.stored), reverse=True):
        held_back = _is_held_back(known[day])
        if whole := _whole_hours(folder, day, zone, no_solar=no_solar, held_back=held_back):
            return max(whole)
    return None


def missing_hours(
    folder: Path,
    known: Mapping[date, Known],
    zone: ZoneInfo,
    days: Iterable[date],
    now: datetime,
    *,
    no_solar: bool,
) -> int:
    """How many hours of these days are over and not known on every channel."""
    count = 0
    for day in days:
        state = known.get(day, NOTHING)
        start, end = local_span(day, zone)
        if not state.stored and end <= now.timestamp() and (end - start) % _HOUR_S == 0:
            count += (end - start) // _HOUR_S  # without laying out its hours: there may be a thousand
        elif not state.complete:
            local = local_day(day, zone)
            over = {ts for ts in local.hours if local.end_of(ts) <= now.timestamp()}
            if state.stored:
                held_back = _is_held_back(state)
                over -= _whole_hours(folder, day, zone, no_solar=no_solar, held_back=held_back)
            count += len(over)
    return count


def hours_of_today(
    folder: Path, today: date, zone: ZoneInfo, now: datetime, *, no_solar: bool
) -> tuple[int, int]:
    """How many hours of today are known whole, and how many are over."""
    local = local_day(today, zone)
    over = sum(local.end_of(ts) <= now.timestamp() for ts in local.hours)
    return len(_whole_hours(folder, today, zone, no_solar=no_solar, held_back=False)), over


def _is_held_back(state: Known) -> bool:
    return state.asked is not None and state.asked.is_held_back


def _whole_hours(folder: Path, day: date, zone: ZoneInfo, *, no_solar: bool, held_back: bool) -> set[int]:
    readings: Mapping[int, HourReading] = {}
    path, local = folder / f"{day}.jsonl", local_day(day, zone)
    with suppress(DamagedFile):
        file = decode_file(path, day)
        readings = stored_day(file, local, no_solar=no_solar, held_back=held_back).readings
    return {ts for ts, reading in readings.items() if reading.solar_kwh is not None}


def _looks_complete(path: Path, day: date, zone: ZoneInfo | None) -> bool:
    """Whether the file of an ordinary day of 24 hours has all signs of a complete one of ours.

    A glance, so that three years are seen in a moment; what has not all signs is read in full.
    """
    if zone is None:
        return False
    start, end = local_span(day, zone)
    if end - start != _ORDINARY_S:
        return False
    try:
        data = read_at_most(path, MAX_BYTES)
    except OSError:
        return False
    return (
        data.startswith(f'{{"ts": {start}, '.encode())
        and f'\n{{"ts": {end - 3600}, '.encode() in data
        and data.endswith(b"}\n")
        and data.count(b"\n") == data.count(b', "solar_consumed": ') == 24
        and b'"partial"' not in data
    )
