"""Day files against format and checksums: reads only, without the lock, beside a service that writes."""

from __future__ import annotations

import json
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from collector.archive.checksums import FILE_NAME, Checksums, Recorded
from collector.archive.dayfile import (
    OUR_KEYS,
    DayFile,
    is_outdated,
    line_of,
    lines_of,
    outdated_by,
    parse_records,
    read_records,
)
from collector.archive.files import is_there
from collector.archive.folder import (
    LEDGER_NAME,
    OWN_FOLDER,
    day_files,
    quarantined_in,
    read_day_file,
    stray_names,
)
from collector.archive.ledger import Ledger
from collector.energy.days import LocalDay, known_zone, local_day
from collector.energy.totals import DaySums, decimals_of, sums_of
from collector.errors import DamagedFile

_HOUR = timedelta(hours=1)

CODES = {
    "unreadable": "cannot be read as a day file: empty, cut off, not JSON, a link, a folder",
    "order": "the hours do not ascend",
    "duplicate": "an hour is in it twice",
    "foreign_hour": "an hour is of another day",
    "missing_hour": "not marked `partial`, but an hour, or the solar of one, is missing",
    "partial": "not marked `partial` although the day has not ended, or marked on some lines only",
    "keys": "a key is missing, or keys, their order or separators are not those of the file format",
    "decimals": "a number has other decimals than the rest",
    "identity": "`consumed` or `solar_consumed` does not follow from the other columns",
    "columns": "a calendar column (`datetime`, `hour`, `day` … `week`) is not that of `ts`",
    "checksum": "differs from its recorded checksum: corrupted or edited",
    "gone": "was complete when it was saved, and its file is gone",
    "older": "was complete when it was saved, and was replaced by an older file with hours missing",
    "neighbour": "overlaps with the previous day's file, or there is a gap between them",
    "stray": "not a day's file, but its name ends in `.jsonl`: programs that read `*.jsonl` read it, too",
    "archive": "no day file is there, but an archive was there before: its disk may not be mounted",
    "ledger": "the ledger has lines that cannot be read; the next start makes it again",
    "checksums": "the list of checksums has lines that cannot be read; the next start makes it again",
}
"""What may be found, by its code. Stable: scripts rely on them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: a code, the file's line where there is one, a sentence.

    `day` is `None` for what is no day's file.
    """

    day: date | None
    code: str
    line: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Edge:
    """The first or the last hour in a file: epoch seconds, and the local time that it says, as if UTC."""

    ts: int
    wall: datetime

    def is_followed_by(self, other: Edge) -> bool:
        """Whether no hour lies between: by elapsed time, or by local time across a change of the clocks."""
        return other.ts - self.ts == 3600 or other.wall - self.wall == _HOUR


@dataclass(frozen=True, slots=True)
class CheckedDay:
    """What was found in one file; where it could be read, also what it holds."""

    day: date
    findings: tuple[Finding, ...]
    complete: bool = False
    sums: DaySums | None = None
    edges: tuple[Edge, Edge] | None = None


def unreadable(day: date, damage: DamagedFile) -> CheckedDay:
    """A day whose file cannot be read as one."""
    return CheckedDay(day, (Finding(day, damage.code, damage.line, damage.fault),))


_KWH = ("import", "export", "solar", "consumed", "solar_consumed")
_DERIVED = ("consumed", "solar_consumed")
_DECIMALS = range(4, 7)
_FLOAT_NOISE_KWH = Decimal("0.001")  # of the older utility's derived columns


def check_day(
    data: bytes,
    day: date,
    zone: ZoneInfo | None,
    now: datetime,
    recorded: Sequence[Recorded],
    *,
    was_complete: bool = False,
) -> CheckedDay:
    """Everything that is wrong with the file of that date, of which a complete one `was_complete`, or not.

    Where the zone is not known, what depends on it is left out. A file that we wrote, to go by its
    record or by its keys, is held to the contract to the letter; one of the older utility only to
    what it means.
    """
    try:
        records = parse_records(data)
        file = read_records(records, day)
    except DamagedFile as damage:
        return unreadable(day, damage)
    strict = file.ours or any(each.saved for each in recorded)
    decimals = _decimals_of(file, strict=strict)
    lines = _lines(data, day, file, records, zone, decimals, strict=strict)
    if zone is not None and is_outdated(file, zone):
        lines = iter([Finding(day, "columns", None, outdated_by(zone))])
    found = [*lines, *_hours(file, day, records, zone), *_marks(file, day, zone, now)]
    complete = not file.partial and not any(each.code == "missing_hour" for each in found)
    if file.partial and was_complete:
        text = "it was complete when it was saved; this is an older file, with hours missing"
        found.append(Finding(day, "older", None, text))
    if recorded and not file.partial:
        found += _checksum(data, day, recorded)
    edges = _edge(records[min(records)]), _edge(records[max(records)])
    return CheckedDay(day, tuple(found), complete, sums_of(file.readings.values(), decimals), edges)


def _lines(
    data: bytes,
    day: date,
    file: DayFile,
    records: Mapping[int, Mapping[str, Any]],
    zone: ZoneInfo | None,
    decimals: int,
    *,
    strict: bool,
) -> Iterator[Finding]:
    """Writes each line again as the format has it: an equal one is right in all its columns."""
    written = decimals if strict else _DECIMALS[-1]
    pairs = zip(lines_of(data).items(), file.readings.items(), records.values(), strict=True)
    for (number, line), (ts, reading), record in pairs:
        local = _wall(record) if zone is None else datetime.fromtimestamp(ts, zone)
        wanted = line_of(local, ts, reading, written, complete=not file.partial)
        if line + b"\n" != wanted.encode():
            contract: dict[str, Any] = json.loads(wanted, parse_float=Decimal)
            diagnose = _strictly if strict else _leniently
            for code, text in diagnose(record, contract, decimals):
                yield Finding(day, code, number, text)


def _decimals_of(file: DayFile, *, strict: bool) -> int:
    """Of all numbers in a file of ours; of the longest one in a file of the older utility."""
    if not strict:
        numbers = (number for hour in file.readings.values() for number in hour if number is not None)
        return max(decimals_of(number) for number in numbers)
    decimals = decimals_of(next(iter(file.readings.values())).import_kwh)
    return decimals if decimals in _DECIMALS else _DECIMALS[0]


def _strictly(
    record: Mapping[str, Any], contract: Mapping[str, Any], decimals: int
) -> Iterable[tuple[str, str]]:
    found = [*_calendar(record, contract)]
    if tuple(record) not in OUR_KEYS:
        return [*found, ("keys", "its keys are not those of the contract, in their order")]
    for key in _KWH:
        value = record.get(key)
        if isinstance(value, int | Decimal) and decimals_of(Decimal(value)) != decimals:
            found.append(("decimals", f"{key} has not {decimals} decimals"))
    for key in _DERIVED:
        if key in contract and not _is_near(record[key], contract[key], Decimal(0)):
            found.append(("identity", _unequal(key, record[key], contract[key])))
    return found or [("keys", "its separators, or the form of its values, are not those of the contract")]


def _leniently(
    record: Mapping[str, Any], contract: Mapping[str, Any], decimals: int
) -> Iterator[tuple[str, str]]:
    """A file of the older utility may have any decimals, keys in any order, and further ones."""
    if _is_that_day_abroad(record.get("weekday"), contract["weekday"]):
        contract = {**contract, "weekday": record["weekday"]}
    yield from _calendar(record, contract)
    if "solar_discard" in record:
        return  # then its columns follow from one that is not there
    for key in _DERIVED:
        value = record.get(key)
        if key in contract and value is not None and not _is_near(value, contract[key], _FLOAT_NOISE_KWH):
            yield "identity", _unequal(key, value, contract[key])


def _is_near(value: Any, wanted: Decimal, tolerance: Decimal) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return False
    return wanted - tolerance <= value <= wanted + tolerance


def _unequal(key: str, value: Any, wanted: Any) -> str:
    return f"{key} is {_shown(value)}, expected {_shown(wanted)} (from the other columns)"


def _shown(value: Any) -> str:
    if isinstance(value, str | int | Decimal):
        return (repr(value) if isinstance(value, str) else str(value))[:40]
    return "neither a text nor a number"


def _calendar(record: Mapping[str, Any], contract: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("datetime", "hour", "day", "month", "year", "weekday", "week"):
        if key not in record:
            yield "keys", f"{key} is missing"
        elif record[key] != contract[key]:
            yield "columns", f"{key} is {_shown(record[key])}, expected {_shown(contract[key])} (from ts)"


def _is_that_day_abroad(value: Any, wanted: str) -> bool:
    """The older utility names weekdays in the language of its user."""
    return isinstance(value, str) and value[:2] == wanted[:2] and value[2:].isalpha()


def _hours(
    file: DayFile, day: date, records: Mapping[int, Mapping[str, Any]], zone: ZoneInfo | None
) -> Iterator[Finding]:
    if zone is None:
        yield from _steps(file, day, records)
        return
    local = local_day(day, zone)
    for number, ts in zip(records, file.readings, strict=True):
        if ts not in local.hours:
            yield Finding(day, "foreign_hour", number, f"its hour is not of that day in {zone.key}")
    if not file.partial:
        yield from _missing(file, local, records)


def _missing(file: DayFile, local: LocalDay, records: Iterable[int]) -> Iterator[Finding]:
    """Of repeated hours one is enough: both may be stored as one, by us or by the older utility."""
    missing = [ts for ts in local.merge_repeated_hours().hours if ts not in file.readings]
    if missing:
        labels = dict(zip(local.hours, local.labels, strict=True))
        hours = ", ".join(f"{labels[ts]:02}:00" for ts in missing)
        yield Finding(local.date, "missing_hour", None, f"not marked `partial`, but without {hours}")
    yield from _without_solar(file, local.date, records)


def _without_solar(file: DayFile, day: date, records: Iterable[int]) -> Iterator[Finding]:
    numbered = zip(records, file.readings.values(), strict=True)
    lacking = [number for number, hour in numbered if hour.solar_kwh is None]
    if len(lacking) == len(file.readings) and not file.ours:
        return  # the older utility's, of a meter without solar
    for number in lacking:
        yield Finding(day, "missing_hour", number, "not marked `partial`, but without the hour's solar")


def _steps(file: DayFile, day: date, records: Mapping[int, Mapping[str, Any]]) -> Iterator[Finding]:
    if file.partial:
        return
    places = [(number, _edge(record)) for number, record in records.items()]
    for (_, one), (number, other) in pairwise(places):
        if not one.is_followed_by(other):
            yield Finding(
                day, "missing_hour", number, "not marked `partial`, but without what comes before this hour"
            )
    yield from _without_solar(file, day, records)


def _marks(file: DayFile, day: date, zone: ZoneInfo | None, now: datetime) -> Iterator[Finding]:
    if zone is not None and not file.partial and not local_day(day, zone).is_over(now):
        yield Finding(day, "partial", None, "not marked `partial`, but its day is not over")


def _checksum(data: bytes, day: date, recorded: Sequence[Recorded]) -> Iterator[Finding]:
    digest = sha256(data).digest()
    if digest not in [each.digest for each in recorded]:
        how = "saved" if recorded[-1].saved else "found"
        text = f"its SHA-256 is {digest.hex()[:12]}…, it was {recorded[-1].digest.hex()[:12]}… when {how}"
        yield Finding(day, "checksum", None, text)


def _edge(record: Mapping[str, Any]) -> Edge:
    return Edge(record["ts"], _wall(record))


def _wall(record: Mapping[str, Any]) -> datetime:
    """The local time that the record says, as if it were UTC."""
    text: str = record["datetime"]
    return datetime.fromisoformat(text.replace("/", "-")).replace(tzinfo=UTC)


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
            yield f"{name!r} is {kind} of no day, but readers of *.jsonl take it for one: move it away"


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
    """The days that do not meet the day before, where neither of the two has a finding that explains it."""
    found = {}
    for day, checked in days.items():
        before = days.get(day - timedelta(days=1))
        if before is None or before.edges is None or checked.edges is None:
            continue
        if _has_wrong_hours(before) or _has_wrong_hours(checked):
            continue
        last, first = before.edges[1], checked.edges[0]
        if first.ts <= last.ts:
            text = f"hours of it are in the file of {before.day}, too"
        elif before.complete and checked.complete and not last.is_followed_by(first):
            text = (
                f"neither is marked `partial`, but hours are missing between it and the file of {before.day}"
            )
        else:
            continue
        found[day] = Finding(day, "neighbour", None, text)
    return found


def _has_wrong_hours(checked: CheckedDay) -> bool:
    return any(each.code in ("foreign_hour", "missing_hour") for each in checked.findings)
