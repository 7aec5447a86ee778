"""What a meter's folder holds: its day files, whether each is complete. Reads only."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from collector.archive.dayfile import MAX_BYTES, DayFile, DayFormat, decode, has_record, is_outdated
from collector.archive.files import read_at_most
from collector.energy.days import local_day
from collector.energy.knowledge import Known
from collector.errors import DamagedFile, UnreadableFile

OWN_FOLDER = ".collector"
LEDGER_NAME = "ledger.jsonl"
COMPLETE = Known(stored=True, complete=True)
PARTIAL = Known(stored=True, complete=False)

_OURS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR)  # this process's trouble, not the file's
_NO_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.ENODEV, errno.ELOOP)
_DAY_FILE = re.compile(r"(\d{4}-\d\d-\d\d)\.jsonl")


def obstacle_in_the_way(archive: Path) -> str:
    """Why no archive can be there, in words: what it or a folder above is instead; else empty."""
    for place in (archive, *archive.absolute().parents):
        try:
            is_folder = stat.S_ISDIR(place.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:  # it may be one: whoever uses it will see
            return ""
        return "" if is_folder else f"{place} is not a folder"
    return ""


def day_files(folder: Path) -> dict[date, int]:
    """The days that have a file, and its stamp."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if (match := _DAY_FILE.fullmatch(entry.name)) is not None:
                with suppress(ValueError, FileNotFoundError):
                    found[date.fromisoformat(match[1])] = stamp_of(entry.stat(follow_symlinks=False))
    return found


def stray_names(folder: Path) -> list[str]:
    """The names that a reader of `*.jsonl` would read besides the days: copies, conflicts, notes."""
    names = [name for name in os.listdir(folder) if name.lower().endswith(".jsonl")]  # noqa: PTH208
    days = {f"{day}.jsonl" for day in day_files(folder)}
    return sorted(name for name in names if name not in days)


def quarantined_in(folder: Path) -> int:
    """How many files that could not be trusted lie aside."""
    try:
        return len(os.listdir(folder / OWN_FOLDER / "quarantine"))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return 0


def state_of_file(path: Path, day: date, zone: ZoneInfo | None, day_format: DayFormat) -> Known:
    """Whether the file's day is complete. Raises `DamagedFile`."""
    return state_of(decode_file(path, day), day, zone, day_format)


def state_of(file: DayFile, day: date, zone: ZoneInfo | None, day_format: DayFormat) -> Known:
    """The same for what is in it. An outdated one is as complete as it says: which hours, is not known."""
    if file.partial or any(reading.solar_kwh is None for reading in file.readings.values()):
        return PARTIAL
    if zone is None or is_outdated(file, zone):
        return COMPLETE
    local = local_day(day, zone)  # the older utility called a day with a fat hour complete
    if day_format.merge_repeated_hour:
        local = local.with_twins_as_one()
    return COMPLETE if all(ts in file.readings for ts in local.hours) else PARTIAL


def decode_file(path: Path, day: date) -> DayFile:
    """The file's content. Raises `DamagedFile`."""
    return decode(read_day_file(path), day)


def may_have_record(path: Path, day: date) -> bool:
    """Whether anything of that day can be read in the file, damaged as it is; or perhaps by another user."""
    try:
        return has_record(read_day_file(path), day)
    except DamagedFile as error:
        return isinstance(error, UnreadableFile)


def read_day_file(path: Path) -> bytes:
    """The file's bytes. Raises `DamagedFile` where it is none: a folder, a socket, a link to nowhere.

    Raises `UnreadableFile` where it may be a whole one: it is another user's, or the disk is in trouble.
    """
    try:
        return read_at_most(path, MAX_BYTES)
    except OSError as error:
        if error.errno in _OURS:
            raise
        kind = DamagedFile if error.errno in _NO_FILE else UnreadableFile
        raise kind(f"it cannot be read: {error.strerror}") from error


def stamp_of(stat: os.stat_result) -> int:
    """Changes whenever the file does."""
    return hash((stat.st_mtime_ns, stat.st_size, stat.st_ino))
