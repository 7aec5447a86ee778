"""All files of one meter, looked at: reads only, without the lock, beside a service that writes."""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from collector.archive.checking import check_day
from collector.archive.checksums import FILE_NAME, Checksums
from collector.archive.files import is_there
from collector.archive.findings import CheckedDay, Finding, unreadable
from collector.archive.folder import (
    LEDGER_NAME,
    OWN_FOLDER,
    day_files,
    quarantined_in,
    read_day_file,
    stray_names,
)
from collector.archive.ledger import Ledger
from collector.energy.days import known_zone
from collector.errors import DamagedFile

_DOUBTED = ("checksum", "older")
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in a meter's folder, newest first. `zone` is `None` where it is not known.

    `days` are those that have a file. `quarantined` files were moved aside, now or long ago.
    `unknown_zone` is the recorded name of one that this machine's list lacks. That is no finding: it says
    nothing of the files.
    """

    zone: ZoneInfo | None
    days: Mapping[date, CheckedDay]
    findings: tuple[Finding, ...]
    quarantined: int = 0
    unknown_zone: str | None = None

    @property
    def counts(self) -> Counter[str]:
        """The findings by code."""
        return Counter(each.code for each in self.findings)

    @property
    def by_day(self) -> Mapping[date, list[Finding]]:
        """The findings of days, newest first."""
        found: dict[date, list[Finding]] = {}
        for finding in self.findings:
            if finding.day is not None:
                found.setdefault(finding.day, []).append(finding)
        return found


NOTHING_THERE = Inspection(None, {}, ())


def inspect(folder: Path, zone_name: str | None, now: datetime) -> Inspection:
    """Checks each day file, its checksum and its neighbours; the zone where the ledger does not know it.

    Raises `ArchiveError` and `OSError` where the folder itself cannot be read.
    """
    own: list[Finding] = []
    ledger = Ledger(folder / OWN_FOLDER / LEDGER_NAME)
    if ledger.rebuilt:
        own.append(Finding(None, "ledger", None, "the ledger has lines that cannot be read"))
    zone = known_zone(ledger.zone)
    unknown = ledger.zone if zone is None else None
    zone = zone or known_zone(zone_name)
    present = sorted(day_files(folder), reverse=True)
    checksums = Checksums(folder / OWN_FOLDER / FILE_NAME)
    if checksums.damaged:
        own.append(Finding(None, "checksums", None, f"{checksums.damaged} lines of it cannot be read"))
    days = _checked(folder, present, zone, now, checksums)
    doubted = [day for day, each in days.items() if any(found.code in _DOUBTED for found in each.findings)]
    gone = _gone(folder, checksums)
    if doubted or gone:  # a service may have saved them meanwhile, or moved them aside, and recorded that
        checksums = Checksums(folder / OWN_FOLDER / FILE_NAME)
        days |= _checked(folder, doubted, zone, now, checksums)
        gone = _gone(folder, checksums)
    for day, finding in _check_neighbours(days).items():
        days[day] = replace(days[day], findings=(*days[day].findings, finding))
    of_days = [*(finding for each in days.values() for finding in each.findings), *gone]
    of_days.sort(key=lambda finding: finding.day or date.min, reverse=True)
    strays = [Finding(None, "stray", None, text) for text in _strays(folder)]
    return Inspection(zone, days, (*of_days, *strays, *own), quarantined_in(folder), unknown)


def _gone(folder: Path, checksums: Checksums) -> list[Finding]:
    """The days that had a complete file, and have none."""
    return [
        Finding(day, "gone", None, "it was complete when it was saved, and its file is not there any more")
        for day in checksums.days()
        if checksums.was_complete(day) and not is_there(folder / f"{day}.jsonl")
    ]


def _strays(folder: Path) -> Iterator[str]:
    """What lies beside the days, under a name that readers take for a day's. It may be somebody's."""
    for name in stray_names(folder):
        with suppress(FileNotFoundError):
            kind = _KINDS.get(stat.S_IFMT((folder / name).lstat().st_mode), "a file")
            yield f"{name!r} is {kind} of no day, and who reads *.jsonl reads it too: move it away"


def _checked(
    folder: Path, days: list[date], zone: ZoneInfo | None, now: datetime, checksums: Checksums
) -> dict[date, CheckedDay]:
    found = {}
    for day in days:
        try:
            data = _read(folder / f"{day}.jsonl")
        except FileNotFoundError:
            continue  # somebody has just moved it away
        except DamagedFile as damage:
            found[day] = unreadable(day, damage)
        else:
            recorded, was_complete = checksums.of(day), checksums.was_complete(day)
            found[day] = check_day(data, day, zone, now, recorded, was_complete=was_complete)
    return found


def _read(path: Path) -> bytes:
    kind = stat.S_IFMT(path.lstat().st_mode)
    if kind != stat.S_IFREG:
        raise DamagedFile(f"it is {_KINDS.get(kind, 'a device')}, not a file")
    return read_day_file(path)


def _check_neighbours(days: Mapping[date, CheckedDay]) -> dict[date, Finding]:
    """The days that do not meet the day before, where neither of the two tells why by itself."""
    found = {}
    for day, checked in days.items():
        before = days.get(day - timedelta(days=1))
        if before is None or before.edges is None or checked.edges is None:
            continue
        if _tells_hours(before) or _tells_hours(checked):
            continue
        last, first = before.edges[1], checked.edges[0]
        if first.ts <= last.ts:
            text = f"hours of it stand in the file of {before.day}, too"
        elif before.complete and checked.complete and not last.is_followed_by(first):
            text = f"both say complete, and hours are missing between it and the file of {before.day}"
        else:
            continue
        found[day] = Finding(day, "neighbour", None, text)
    return found


def _tells_hours(checked: CheckedDay) -> bool:
    return any(each.code in ("foreign_hour", "missing_hour") for each in checked.findings)
