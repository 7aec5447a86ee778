"""One day file against its contract and its checksum: bytes in, findings out. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from collector.archive.checksums import Recorded
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
from collector.archive.findings import CheckedDay, Edge, Finding, unreadable
from collector.energy.comparing import decimals_of, sums_of
from collector.energy.days import LocalDay, local_day
from collector.errors import DamagedFile

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
    """Writes each line anew as the contract has it: an equal one is right in all its columns."""
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
) -> Iterator[tuple[str, str]]:
    found = False
    for code, text in _calendar(record, contract):
        found = True
        yield code, text
    if tuple(record) not in OUR_KEYS:
        yield "keys", "its keys are not those of the contract, in their order"
        return
    for key in _KWH:
        value = record.get(key)
        if isinstance(value, int | Decimal) and decimals_of(Decimal(value)) != decimals:
            found = True
            yield "decimals", f"{key} has not {decimals} decimals"
    for key in _DERIVED:
        if key in contract and not _is_near(record[key], contract[key], Decimal(0)):
            found = True
            yield "identity", _unequal(key, record[key], contract[key])
    if not found:
        yield "keys", "its separators, or the form of its values, are not those of the contract"


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
    return f"{key} is {_shown(value)}, and the other columns make it {_shown(wanted)}"


def _shown(value: Any) -> str:
    if isinstance(value, str | int | Decimal):
        return (repr(value) if isinstance(value, str) else str(value))[:40]
    return "neither a text nor a number"


def _calendar(record: Mapping[str, Any], contract: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("datetime", "hour", "day", "month", "year", "weekday", "week"):
        if key not in record:
            yield "keys", f"{key} is missing"
        elif record[key] != contract[key]:
            yield "columns", f"{key} is {_shown(record[key])}, and ts makes it {_shown(contract[key])}"


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
    """Of twins one is enough: they may be told as one, by us or by the older utility."""
    missing = [ts for ts in local.with_twins_as_one().hours if ts not in file.readings]
    if missing:
        labels = dict(zip(local.hours, local.labels, strict=True))
        hours = ", ".join(f"{labels[ts]:02}:00" for ts in missing)
        yield Finding(local.date, "missing_hour", None, f"it says complete, and lacks {hours}")
    yield from _without_solar(file, local.date, records)


def _without_solar(file: DayFile, day: date, records: Iterable[int]) -> Iterator[Finding]:
    numbered = zip(records, file.readings.values(), strict=True)
    lacking = [number for number, hour in numbered if hour.solar_kwh is None]
    if len(lacking) == len(file.readings) and not file.ours:
        return  # the older utility's, of a meter without solar
    for number in lacking:
        yield Finding(day, "missing_hour", number, "it says complete, and lacks the hour's solar")


def _steps(file: DayFile, day: date, records: Mapping[int, Mapping[str, Any]]) -> Iterator[Finding]:
    if file.partial:
        return
    places = [(number, _edge(record)) for number, record in records.items()]
    for (_, one), (number, other) in pairwise(places):
        if not one.is_followed_by(other):
            yield Finding(
                day, "missing_hour", number, "it says complete, and lacks what comes before this hour"
            )
    yield from _without_solar(file, day, records)


def _marks(file: DayFile, day: date, zone: ZoneInfo | None, now: datetime) -> Iterator[Finding]:
    if zone is not None and not file.partial and not local_day(day, zone).is_over(now):
        yield Finding(day, "partial", None, "it says complete, and its day is not over")


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
