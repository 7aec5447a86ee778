"""Checks day files: format and checksums. Read-only, without the lock, also while the service writes."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
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
from collector.energy.daily_totals import decimals_of, sums_of
from collector.energy.days import known_zone, local_day
from collector.errors import DamagedFile
from collector.verify.report import CheckedDay, Finding, MeterReport

CODES = {
    "unreadable": "cannot be read as a day file: empty, cut off, not JSON, a link, a folder",
    "order": "the hours do not ascend",
    "duplicate": "an hour occurs twice",
    "foreign_hour": "an hour is of another day",
    "missing_hour": "not marked `partial`, but an hour, or the solar of one, is missing",
    "partial": "not marked `partial` although the day has not ended, or marked on some lines only",
    "keys": "a key is missing, or the keys, their order or the separators differ from the file format",
    "decimals": "a number has more or fewer decimals than the others",
    "identity": "`consumed` or `solar_consumed` does not follow from the other columns",
    "columns": "a calendar column (`datetime`, `hour`, `day` … `week`) does not match `ts`",
    "checksum": "differs from its recorded checksum: corrupted or edited",
    "gone": "was complete when it was saved, and its file is gone",
    "older": "was complete when it was saved, and was replaced by an older file with hours missing",
    "neighbour": "overlaps with the previous day's file, or there is a gap between them",
    "stray": "not a day's file, but its name ends in `.jsonl`: programs that read `*.jsonl` read it, too",
    "archive": "there are no day files, but there was an archive before: its disk may not be mounted",
    "ledger": "the request history has lines that cannot be read; the next start rebuilds it",
    "checksums": "the list of checksums has lines that cannot be read; the next start rebuilds it",
}
"""The findings by code. The codes are stable: scripts rely on them."""


def _unreadable(day: date, damage: DamagedFile) -> CheckedDay:
    return CheckedDay((Finding(day, damage.code, damage.line, damage.fault),))


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
    """Checks the file of that date; `was_complete`: there was a complete one before.

    Without a zone, checks that depend on it are left out. A file that we wrote, by its record or its keys,
    is checked in every character; for one of the older utility only the values are checked.
    """
    try:
        records = parse_records(data)
        file = read_records(records, day)
    except DamagedFile as damage:
        return _unreadable(day, damage)
    strict = file.ours or any(each.saved for each in recorded)
    decimals = _decimals_of(file, strict=strict)
    if zone is not None and is_outdated(file, zone):
        found = [Finding(day, "columns", None, outdated_by(zone))]
    else:
        found = list(_lines(data, day, file, records, zone, decimals, strict=strict))
    found += _hours(file, day, list(records), zone, now)
    complete = not file.partial and not any(each.code == "missing_hour" for each in found)
    if file.partial and was_complete:
        text = "it was complete when it was saved; this is an older file with hours missing"
        found.append(Finding(day, "older", None, text))
    digest = sha256(data).digest()
    if recorded and not file.partial and digest not in [each.digest for each in recorded]:
        how = "saved" if recorded[-1].saved else "found"
        text = f"its SHA-256 is {digest.hex()[:12]}…, it was {recorded[-1].digest.hex()[:12]}… when {how}"
        found.append(Finding(day, "checksum", None, text))
    hours = list(file.walls.items())
    sums = sums_of(file.readings.values(), decimals)
    return CheckedDay(tuple(found), complete, sums, (hours[0], hours[-1]))


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
    """Compares each line with the same hour encoded again; diagnoses those that differ."""
    written = decimals if strict else _DECIMALS[-1]
    pairs = zip(lines_of(data).items(), file.readings.items(), records.values(), strict=True)
    for (number, line), (ts, reading), record in pairs:
        local = file.walls[ts] if zone is None else datetime.fromtimestamp(ts, zone)
        expected_line = line_of(local, ts, reading, written, complete=not file.partial)
        if line + b"\n" != expected_line.encode():
            expected: dict[str, Any] = json.loads(expected_line, parse_float=Decimal)
            found = list(_unequal_columns(record, expected, decimals, strict=strict))
            if strict and not found:
                text = "its separators, or the form of its values, differ from the file format"
                found.append(("keys", text))
            for code, text in found:
                yield Finding(day, code, number, text)


def _decimals_of(file: DayFile, *, strict: bool) -> int:
    """The decimals of a file of ours; of the longest number in one of the older utility."""
    if not strict:
        numbers = (number for hour in file.readings.values() for number in hour if number is not None)
        return max(decimals_of(number) for number in numbers)
    decimals = decimals_of(next(iter(file.readings.values())).import_kwh)
    return decimals if decimals in _DECIMALS else _DECIMALS[0]


def _unequal_columns(
    record: Mapping[str, Any], expected: Mapping[str, Any], decimals: int, *, strict: bool
) -> Iterator[tuple[str, str]]:
    """Code and text for each column that does not match its hour, or the others.

    A file of the older utility, not `strict`, may have any decimals, keys in any order, and further ones.
    """
    for key in ("datetime", "hour", "day", "month", "year", "weekday", "week"):
        if key not in record:
            yield "keys", f"{key} is missing"
        elif record[key] != expected[key] and (
            strict or key != "weekday" or not _is_that_day_abroad(record[key], expected[key])
        ):
            yield "columns", f"{key} is {_shown(record[key])}, expected {_shown(expected[key])} (from ts)"
    if strict:
        if tuple(record) not in OUR_KEYS:
            yield "keys", "its keys, or their order, differ from the file format"
            return
        for key in _KWH:
            value = record.get(key)
            if isinstance(value, int | Decimal) and decimals_of(Decimal(value)) != decimals:
                yield "decimals", f"{key} does not have {decimals} decimals"
    elif "solar_discard" in record:
        return  # its columns depend on the undiscounted solar, which is not in the file
    tolerance = Decimal(0) if strict else _FLOAT_NOISE_KWH
    for key in _DERIVED if "solar" in expected else ():
        value, kwh = record.get(key), expected[key]
        is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
        is_near = is_number and kwh - tolerance <= value <= kwh + tolerance
        if not is_near and (strict or value is not None):
            yield "identity", f"{key} is {_shown(value)}, expected {_shown(kwh)} (from the other columns)"


def _shown(value: Any) -> str:
    if isinstance(value, str | int | Decimal):
        return (repr(value) if isinstance(value, str) else str(value))[:40]
    return "neither a text nor a number"


def _is_that_day_abroad(value: Any, expected: str) -> bool:
    """The older utility names weekdays in the language of its user."""
    return isinstance(value, str) and value[:2] == expected[:2] and value[2:].isalpha()


def _hours(
    file: DayFile, day: date, numbers: Sequence[int], zone: ZoneInfo | None, now: datetime
) -> Iterator[Finding]:
    """Hours of another day; if the file is not marked as partial, what it lacks. `numbers`: of its lines."""
    local = None if zone is None else local_day(day, zone)
    if local is not None:
        for number, ts in zip(numbers, file.readings, strict=True):
            if ts not in local.hours:
                yield Finding(day, "foreign_hour", number, f"its hour is not in that day in {local.zone.key}")
    if file.partial:
        return
    if local is None:
        for number, (hour, following) in zip(numbers[1:], pairwise(file.walls.items()), strict=True):
            if not _is_followed_by(hour, following):
                text = "not marked `partial`, but hours before this one are missing"
                yield Finding(day, "missing_hour", number, text)
    # Of a repeated hour one is enough: both may be merged, by us or by the older utility.
    elif missing := [ts for ts in local.merge_repeated_hours().hours if ts not in file.readings]:
        labels = dict(zip(local.hours, local.labels, strict=True))
        hours = ", ".join(f"{labels[ts]:02}:00" for ts in missing)
        yield Finding(day, "missing_hour", None, f"not marked `partial`, but without {hours}")
    readings = zip(numbers, file.readings.values(), strict=True)
    lacking = [number for number, hour in readings if hour.solar_kwh is None]
    if file.ours or len(lacking) < len(numbers):  # else by the older utility, of a meter without solar
        for number in lacking:
            yield Finding(day, "missing_hour", number, "not marked `partial`, but without the hour's solar")
    if local is not None and not local.is_over(now):
        yield Finding(day, "partial", None, "not marked `partial`, but its day has not ended")


def _is_followed_by(hour: tuple[int, datetime], other: tuple[int, datetime]) -> bool:
    """Whether no hour is missing between: by elapsed time, or by local time if the clocks changed."""
    return other[0] - hour[0] == 3600 or other[1] - hour[1] == timedelta(hours=1)


_DOUBTED = ("checksum", "older")
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


def inspect(folder: Path, zone_name: str | None, now: datetime) -> MeterReport:
    """Checks each day file, its checksum and its neighbours. `zone_name` is used if none is recorded.

    Raises `ArchiveError` and `OSError` if the folder itself cannot be read.
    """
    own: list[Finding] = []
    ledger = Ledger(folder / OWN_FOLDER / LEDGER_NAME)
    if ledger.rebuilt:
        own.append(Finding(None, "ledger", None, "the request history has lines that cannot be read"))
    zone = known_zone(ledger.zone)
    unknown = ledger.zone if zone is None else None
    zone = zone or known_zone(zone_name)
    present = sorted(day_files(folder), reverse=True)
    checksums = Checksums(folder / OWN_FOLDER / FILE_NAME)
    if checksums.damaged:
        own.append(Finding(None, "checksums", None, f"{checksums.damaged} lines of the list cannot be read"))
    days = _checked(folder, present, zone, now, checksums)
    doubted = [day for day, each in days.items() if any(found.code in _DOUBTED for found in each.findings)]
    gone = _gone(folder, checksums)
    if doubted or gone:  # a service may have saved or moved them meanwhile, and recorded that
        checksums = Checksums(folder / OWN_FOLDER / FILE_NAME)
        days |= _checked(folder, doubted, zone, now, checksums)
        gone = _gone(folder, checksums)
    _check_neighbours(days)
    of_days = [*(finding for each in days.values() for finding in each.findings), *gone]
    of_days.sort(key=lambda finding: finding.day or date.min, reverse=True)
    findings = (*of_days, *_strays(folder), *own)
    return MeterReport(folder, zone, days, findings, quarantined_in(folder), unknown)


def _gone(folder: Path, checksums: Checksums) -> list[Finding]:
    """The days that had a complete file and now have no file."""
    return [
        Finding(day, "gone", None, "it was complete when it was saved, and its file is gone")
        for day in checksums.days()
        if checksums.was_complete(day) and not is_there(folder / f"{day}.jsonl")
    ]


def _strays(folder: Path) -> Iterator[Finding]:
    """The files that match `*.jsonl` and are no day files."""
    for name in stray_names(folder):
        with suppress(FileNotFoundError):
            kind = _KINDS.get(stat.S_IFMT((folder / name).lstat().st_mode), "a file")
            text = f"{name!r} is {kind} of no day, but programs that read *.jsonl read it, too: move it away"
            yield Finding(None, "stray", None, text)


def _checked(
    folder: Path, days: list[date], zone: ZoneInfo | None, now: datetime, checksums: Checksums
) -> dict[date, CheckedDay]:
    found = {}
    for day in days:
        try:
            data = _read(folder / f"{day}.jsonl")
        except FileNotFoundError:
            continue  # it was moved away meanwhile
        except DamagedFile as damage:
            found[day] = _unreadable(day, damage)
        else:
            recorded, was_complete = checksums.of(day), checksums.was_complete(day)
            found[day] = check_day(data, day, zone, now, recorded, was_complete=was_complete)
    return found


def _read(path: Path) -> bytes:
    kind = stat.S_IFMT(path.lstat().st_mode)
    if kind != stat.S_IFREG:
        raise DamagedFile(f"it is {_KINDS.get(kind, 'a device')}, not a file")
    return read_day_file(path)


def _check_neighbours(days: dict[date, CheckedDay]) -> None:
    """Adds overlaps and gaps between a day and the day before, unless a finding of either explains them."""
    for day, checked in days.items():
        day_before = day - timedelta(days=1)
        before = days.get(day_before)
        if before is None or before.edges is None or checked.edges is None:
            continue
        codes = {found.code for each in (before, checked) for found in each.findings}
        if codes & {"foreign_hour", "missing_hour"}:
            continue
        last, first = before.edges[1], checked.edges[0]
        if first[0] <= last[0]:
            text = f"it overlaps with the file of {day_before}"
        elif before.complete and checked.complete and not _is_followed_by(last, first):
            text = f"neither is marked `partial`, but there is a gap after the file of {day_before}"
        else:
            continue
        finding = Finding(day, "neighbour", None, text)
        days[day] = replace(checked, findings=(*checked.findings, finding))
