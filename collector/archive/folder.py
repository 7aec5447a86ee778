"""Reading a meter's folder without the lock; nothing is changed."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collector.archive.dayfile import (
    MAX_BYTES,
    DayFile,
    DayFormat,
    decode,
    has_record,
    is_outdated,
    stored_day,
)
from collector.archive.files import read_at_most
from collector.archive.ledger import Ledger
from collector.energy.days import known_zone, local_day, local_span
from collector.energy.history import NOTHING, Availability, DayRecord
from collector.energy.readings import HourReading
from collector.energy.spans import SpanLimit
from collector.errors import DamagedFile, UnreadableFile

OWN_FOLDER = ".collector"
LEDGER_NAME = "ledger.jsonl"
COMPLETE = DayRecord(stored=True, complete=True)
PARTIAL = DayRecord(stored=True, complete=False)

_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR)  # errors of this process, not of the file
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.ENODEV, errno.ELOOP)
_DAY_FILE = re.compile(r"(\d{4}-\d\d-\d\d)\.jsonl")


def obstacle_in_the_way(archive: Path) -> str:
    """Why no archive can be there: it, or a folder above, is no folder; else empty."""
    for place in (archive, *archive.absolute().parents):
        try:
            is_folder = stat.S_ISDIR(place.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:  # it may be a folder: using it will show
            return ""
        return "" if is_folder else f"{place} is not a folder"
    return ""


def day_files(folder: Path) -> dict[date, int]:
    """The days that have a file, and its stamp (`stamp_of`). Raises `OSError`."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if (match := _DAY_FILE.fullmatch(entry.name)) is not None:
                with suppress(ValueError, FileNotFoundError):
                    found[date.fromisoformat(match[1])] = stamp_of(entry.stat(follow_symlinks=False))
    return found


def stray_names(folder: Path) -> list[str]:
    """The names that match `*.jsonl` and are no day files: copies, conflicts, notes."""
    names = [name for name in os.listdir(folder) if name.lower().endswith(".jsonl")]  # noqa: PTH208
    days = {f"{day}.jsonl" for day in day_files(folder)}
    return sorted(name for name in names if name not in days)


def quarantined_in(folder: Path) -> int:
    """The number of files in the quarantine folder."""
    try:
        return len(os.listdir(folder / OWN_FOLDER / "quarantine"))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return 0


def state_of(file: DayFile, day: date, zone: ZoneInfo | None, day_format: DayFormat) -> DayRecord:
    """Whether the day is complete. An outdated file is complete unless marked: its hours are not known."""
    if file.partial or any(reading.solar_kwh is None for reading in file.readings.values()):
        return PARTIAL
    if zone is None or is_outdated(file, zone):
        return COMPLETE
    local = local_day(day, zone)  # the older utility also has one row for a repeated hour
    if day_format.merge_repeated_hour:
        local = local.merge_repeated_hours()
    return COMPLETE if all(ts in file.readings for ts in local.hours) else PARTIAL


def decode_file(path: Path, day: date) -> DayFile:
    """The file's content. Raises `DamagedFile`."""
    return decode(read_day_file(path), day)


def may_have_record(path: Path, day: date) -> bool:
    """Whether anything of that day can be recovered from a damaged file, or may be if it is unreadable."""
    try:
        return has_record(read_day_file(path), day)
    except DamagedFile as error:
        return isinstance(error, UnreadableFile)


def read_day_file(path: Path) -> bytes:
    """The file's bytes. Raises `DamagedFile` if it is none: a folder, a socket, a broken link.

    Raises `UnreadableFile` if it may be intact: it is another user's, or the disk has errors.
    """
    try:
        return read_at_most(path, MAX_BYTES)
    except OSError as error:
        if error.errno in _OURS:
            raise
        kind = DamagedFile if error.errno in _NO_FILE else UnreadableFile
        raise kind(f"it cannot be read: {error.strerror}") from error


def stamp_of(stat: os.stat_result) -> int:
    """A number that changes whenever the file does."""
    return hash((stat.st_mtime_ns, stat.st_size, stat.st_ino))


_HOUR_S = 3600
_ORDINARY_S = 24 * _HOUR_S


class Surveyed(NamedTuple):
    """The days of a folder; its zone, and which days the cloud has, if that is known."""

    known: Mapping[date, DayRecord]
    zone: ZoneInfo | None = None
    availability: Availability | None = None


def survey(folder: Path, day_format: DayFormat) -> Surveyed:
    """The days of a folder, from its files and its ledger."""
    known: dict[date, DayRecord] = {}
    if not folder.is_dir():
        return Surveyed(known)
    ledger = ledger_of(folder)
    zone = known_zone(ledger.zone)
    for day in day_files(folder):
        path = folder / f"{day}.jsonl"
        with suppress(DamagedFile):
            whole = _looks_complete(path, day, zone)
            known[day] = COMPLETE if whole else state_of(decode_file(path, day), day, zone, day_format)
    for day, attempt in ledger.attempts.items():
        known[day] = known.get(day, NOTHING)._replace(last_attempt=attempt)
    return Surveyed(known, zone, ledger.availability)


def ledger_of(folder: Path) -> Ledger:
    """The folder's ledger."""
    return Ledger(folder / OWN_FOLDER / LEDGER_NAME)


def recorded_span_limit(folder: Path, path: str) -> SpanLimit:
    """What was learned of spans of that host, path and kind; the first assumption if nothing was."""
    noted = Ledger(folder / OWN_FOLDER / LEDGER_NAME).span_limit if folder.is_dir() else None
    return noted[1] if noted is not None and noted[0] == path else SpanLimit()


def newest_whole_hour(
    folder: Path, known: Mapping[date, DayRecord], zone: ZoneInfo, *, no_solar: bool
) -> int | None:
    """The start of the newest hour with a value on every channel, epoch seconds; `None` without one."""
    for day in sorted((day for day, state in known.items() if state.stored), reverse=True):
        if whole := _whole_hours(folder, day, known[day], zone, no_solar=no_solar):
            return max(whole)
    return None


def missing_hours(
    folder: Path,
    known: Mapping[date, DayRecord],
    zone: ZoneInfo,
    days: Iterable[date],
    now: datetime,
    *,
    no_solar: bool,
) -> int:
    """The number of finished hours of these days without a value on every channel."""
    count = 0
    for day in days:
        state = known.get(day, NOTHING)
        start, end = local_span(day, zone)
        if not state.stored and end <= now.timestamp() and (end - start) % _HOUR_S == 0:
            count += (end - start) // _HOUR_S  # without `local_day`: there may be a thousand days
        elif not state.complete:
            local = local_day(day, zone)
            over = {ts for ts in local.hours if local.end_of(ts) <= now.timestamp()}
            if state.stored:
                over -= _whole_hours(folder, day, state, zone, no_solar=no_solar)
            count += len(over)
    return count


def hours_of_today(
    folder: Path, today: date, zone: ZoneInfo, now: datetime, *, no_solar: bool
) -> tuple[int, int]:
    """The number of today's hours stored with every channel, and of the finished ones."""
    local = local_day(today, zone)
    over = sum(local.end_of(ts) <= now.timestamp() for ts in local.hours)
    return len(_whole_hours(folder, today, NOTHING, zone, no_solar=no_solar)), over


def _whole_hours(folder: Path, day: date, state: DayRecord, zone: ZoneInfo, *, no_solar: bool) -> set[int]:
    readings: Mapping[int, HourReading] = {}
    held_back = state.last_attempt is not None and state.last_attempt.is_held_back
    with suppress(DamagedFile):
        file = decode_file(folder / f"{day}.jsonl", day)
        readings = stored_day(file, local_day(day, zone), no_solar=no_solar, held_back=held_back).readings
    return {ts for ts, reading in readings.items() if reading.solar_kwh is not None}


def _looks_complete(path: Path, day: date, zone: ZoneInfo | None) -> bool:
    """Whether the file of a day of 24 hours looks like a complete one of ours, without parsing it.

    So that three years are read quickly; all other files are parsed.
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
