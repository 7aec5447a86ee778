"""EnergyDay <-> bytes: the only module that knows the day file's format."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from collector.energy.days import LocalDay
from collector.energy.readings import EnergyDay, HourReading
from collector.errors import DamagedFile

MAX_BYTES = 64 * 1024  # a day of 25 records takes 8 kB; adopted ones with long floats 12 kB

_WEEKDAYS = ("1 Mon", "2 Tue", "3 Wed", "4 Thu", "5 Fri", "6 Sat", "7 Sun")
_BASE_KEYS = ("ts", "datetime", "import", "export", "hour", "day", "month", "year", "weekday", "week")
OUR_KEYS = {
    _BASE_KEYS + solar + partial
    for solar in ((), ("solar", "consumed", "solar_consumed"))
    for partial in ((), ("partial",))
}
_DATETIME = re.compile(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d")
_MEASURED = re.compile(rb"\d\.\d|\b(?:import|export|solar|consumed)\W{1,6}\d")
_ZERO, _MAX_KWH = Decimal(0), Decimal(1_000_000)
_MAX_RECORDS = 30
_YEARS = range(2000, 2200)
_OFFSETS_S = range(-14 * 3600, 15 * 3600, 900)
_NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class DayFormat:
    """How day files are written: kWh decimals (4 to 6), and whether a repeated hour is one record."""

    decimals: int = 4
    merge_repeated_hour: bool = False


@dataclass(frozen=True, slots=True)
class DayFile:
    """The content of a day file: readings by epoch seconds, and whether it is marked as partial.

    `ours` is false for files of the older utility, whose partial days have zeros where data was missing.
    `walls` has the local time of each in the file, as if it were UTC.
    """

    readings: Mapping[int, HourReading]
    partial: bool
    ours: bool
    walls: Mapping[int, datetime] = field(default_factory=dict, compare=False, repr=False)


def encode(energy_day: EnergyDay, decimals: int, *, complete: bool) -> bytes:
    """The bytes of the day's file. Values must be rounded; without `complete` it is marked as partial."""
    zone = energy_day.day.zone
    lines = [
        line_of(datetime.fromtimestamp(ts, zone), ts, reading, decimals, complete=complete)
        for ts, reading in energy_day.readings.items()
    ]
    return "".join(lines).encode()


def line_of(local: datetime, ts: int, reading: HourReading, decimals: int, *, complete: bool) -> str:
    """The line of one hour; `local` is the start that `ts` names, in the meter's zone."""
    tail = "}\n" if complete else ', "partial": true}\n'
    slashed, calendar = _calendar(local.date())
    text = (
        f'{{"ts": {ts}, "datetime": "{slashed} {local.hour:02}:{local.minute:02}:{local.second:02}", '
        f'"import": {reading.import_kwh:.{decimals}f}, "export": {reading.export_kwh:.{decimals}f}, '
        f'"hour": {local.hour}, {calendar}'
    )
    if reading.solar_kwh is None:
        return text + tail
    solar_consumed = max(_ZERO, reading.solar_kwh - reading.export_kwh)
    return text + (
        f', "solar": {reading.solar_kwh:.{decimals}f}, '
        f'"consumed": {reading.import_kwh + solar_consumed:.{decimals}f}, '
        f'"solar_consumed": {solar_consumed:.{decimals}f}{tail}'
    )


@lru_cache(maxsize=8)
def _calendar(day: date) -> tuple[str, str]:
    """A date in the form of `datetime`, and the columns that are equal for all its hours."""
    columns = (
        f'"day": "{day:%Y-%m-%d}", "month": "{day:%Y-%m}", "year": "{day:%Y}", '
        f'"weekday": "{_WEEKDAYS[day.weekday()]}", "week": "{day:%Y-%W}"'
    )
    return f"{day:%Y/%m/%d}", columns


def decode(data: bytes, day: date) -> DayFile:
    """The content of the file of that date. Raises `DamagedFile`.

    Accepts what the older utility wrote: any number of decimals, keys in any order, further keys.
    """
    return read_records(parse_records(data), day)


def lines_of(data: bytes) -> dict[int, bytes]:
    """The lines by their numbers, without byte order mark, line ends, blank lines and blanks around a line.

    Editors and other systems add or remove these; they are no damage.
    """
    lines = enumerate(data.removeprefix(codecs.BOM_UTF8).splitlines(), 1)
    return {number: text for number, line in lines if (text := line.strip(b" \t"))}


def parse_records(data: bytes) -> dict[int, dict[str, Any]]:
    """The JSON object of each line by its number, numbers with a point as `Decimal`. Raises `DamagedFile`."""
    if len(data) > MAX_BYTES:
        raise DamagedFile(f"it is larger than {MAX_BYTES} bytes")
    lines = lines_of(data)
    if not lines:
        raise DamagedFile("it is empty")
    if len(lines) > _MAX_RECORDS:
        raise DamagedFile(f"it has {len(lines)} lines")
    return {number: _parse_line(line, number) for number, line in lines.items()}


def has_record(data: bytes, day: date) -> bool:
    """Whether a person could recover anything of that date from a damaged file.

    The date and a measured number are enough: in quotes, with a comma too many, in UTF-16. Also true if
    the file is longer than the part that is read.
    """
    if len(data) > MAX_BYTES:
        return True
    text = data.replace(b"\0", b"")  # then UTF-16 is as good as UTF-8
    dates = (day.isoformat().encode(), day.isoformat().replace("-", "/").encode())
    return day.year in _YEARS and any(each in text for each in dates) and bool(_MEASURED.search(text))


def read_records(records: Mapping[int, Mapping[str, Any]], day: date) -> DayFile:
    """The day file made of these records, by their line numbers. Raises `DamagedFile`."""
    if day.year not in _YEARS:
        raise DamagedFile(f"its year is not between {_YEARS[0]} and {_YEARS[-1]}")
    readings: dict[int, HourReading] = {}
    walls: dict[int, datetime] = {}
    newest = 0
    for number, record in records.items():
        ts, wall = _hour_start(record, day, number)
        if ts <= newest:
            code = "duplicate" if ts in readings else "order"
            raise DamagedFile("its hours do not ascend", number, code)
        newest = ts
        readings[ts], walls[ts] = _reading(record, number), wall
    marks = [record.get("partial", False) for record in records.values()]
    if any(mark is not True and mark is not False for mark in marks):
        raise DamagedFile("partial is not true or false", code="partial")
    if any(mark is not marks[0] for mark in marks):
        raise DamagedFile("`partial` is set on some lines only", code="partial")
    ours = all(tuple(record) in OUR_KEYS for record in records.values())
    return DayFile(readings, marks[0], ours, walls)


def outdated_by(zone: ZoneInfo) -> str:
    """What is wrong with an outdated file, in words."""
    return f"its local times are not those of its hours by today's rules of {zone.key}"


def is_outdated(file: DayFile, zone: ZoneInfo) -> bool:
    """Whether the file was saved with other rules of the zone than today's, or in another zone.

    Then `ts` and `datetime` disagree for all hours from one on, by the same difference. A single hour
    where they disagree is damage, or a quirk of the older utility.
    """
    off = [wall - _wall_at(ts, zone) for ts, wall in file.walls.items()]
    switches = sum(one != other for one, other in pairwise(off))
    return len(off) - off.count(_NONE) > 1 and switches <= 1 and len({*off, _NONE}) <= 2


def stored_day(file: DayFile, day: LocalDay, *, no_solar: bool, held_back: bool = False) -> EnergyDay:
    """The file's readings as a day in its zone; `DamagedFile` where an hour is not of that day.

    Zeros in a zero-filled partial day of the older utility are no measurements: they are dropped, and so
    requested again. With `held_back` this collector wrote a day with every hour as partial: its zeros
    count. Raises `DamagedFile` for an outdated file as well: which hours it has is not known.
    """
    if is_outdated(file, day.zone):
        raise DamagedFile(outdated_by(day.zone), code="foreign_hour")
    if not set(file.readings) <= set(day.hours):
        raise DamagedFile(f"it has hours that are not of that day in {day.zone.key}", code="foreign_hour")
    readings = file.readings
    if not held_back and _is_zero_filled(file, day):
        readings = _without_fillings(readings, no_solar=no_solar)
    doubtful = frozenset(
        first for first, second in day.repeated_hours if first in readings and second not in readings
    )
    return EnergyDay(day, readings, doubtful)


def _wall_at(ts: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(ts, zone).replace(tzinfo=UTC)


def _is_zero_filled(file: DayFile, day: LocalDay) -> bool:
    """Whether a day is marked as partial but has a record for every local hour, as we never write it."""
    labels = {label for ts, label in zip(day.hours, day.labels, strict=True) if ts in file.readings}
    if not file.partial or labels != set(day.labels):
        return False
    solar_known = all(hour.solar_kwh is not None for hour in file.readings.values())
    return not file.ours or (solar_known and len(file.readings) == len(day.hours))


def _without_fillings(readings: Mapping[int, HourReading], *, no_solar: bool) -> dict[int, HourReading]:
    kept = {}
    for ts, reading in readings.items():
        if reading.import_kwh or reading.export_kwh:
            solar_known = bool(reading.solar_kwh) or no_solar
            kept[ts] = reading if solar_known else reading._replace(solar_kwh=None)
    return kept


def _parse_line(line: bytes, number: int) -> dict[str, Any]:
    try:
        record = _DECODER.decode(line.decode("utf-8"))
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise DamagedFile("not a JSON object", number) from error
    if not isinstance(record, dict):
        raise DamagedFile("not a JSON object", number)
    return record


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key occurs twice")
    return record


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number")


_DECODER = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_unique_keys)


def _hour_start(record: Mapping[str, Any], day: date, number: int) -> tuple[int, datetime]:
    ts, local = record.get("ts"), record.get("datetime")
    if type(ts) is not int or not isinstance(local, str) or not _DATETIME.fullmatch(local):
        raise DamagedFile("no hour", number)
    try:
        wall = datetime.fromisoformat(local.replace("/", "-")).replace(tzinfo=UTC)
    except ValueError as error:
        raise DamagedFile("no hour", number) from error
    if wall.date() != day or record.get("day") != day.isoformat():
        raise DamagedFile("its hour is of another day", number, "foreign_hour")
    if int(wall.timestamp()) - ts not in _OFFSETS_S:
        raise DamagedFile("ts and datetime are not the same hour", number, "columns")
    return ts, wall


def _reading(record: Mapping[str, Any], number: int) -> HourReading:
    import_kwh, export_kwh = _kwh(record, "import", number), _kwh(record, "export", number)
    # The older utility puts a zero first and the other two columns only with the measurement.
    measured = "solar" in record and "consumed" in record
    return HourReading(import_kwh, export_kwh, _kwh(record, "solar", number) if measured else None)


def _kwh(record: Mapping[str, Any], key: str, number: int) -> Decimal:
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise DamagedFile(f"{key} is not a number", number)
    kwh = Decimal(value)
    if not 0 <= kwh <= _MAX_KWH:
        raise DamagedFile(f"{key} is out of range", number)
    return abs(kwh)  # -0.0 is 0.0
