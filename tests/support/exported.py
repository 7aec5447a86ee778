"""Exports read back: each hour of a meter as the file of a format has it, and the sums that must come out."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, NamedTuple
from xml.etree import ElementTree
from zipfile import ZipFile

from collector.archive.dayfile import encode
from collector.archive.folder import day_files
from collector.energy.readings import EnergyDay, HourReading
from collector.energy.totals import Period, Totals, totals_by
from collector.export import csv_file, hdf, homeassistant, influx, openmetrics, sqlite, xlsx
from collector.export.hours import COLUMNS, MeterHours
from collector.overview import MeterFiles, history_of
from tests.support.energy_days import BERLIN

WRITERS: Mapping[str, Callable[[Sequence[MeterHours], BinaryIO], None]] = {
    "csv": csv_file.write,
    "xlsx": xlsx.write,
    "sqlite": sqlite.write,
    "influx": influx.write,
    "openmetrics": openmetrics.write,
    "homeassistant": homeassistant.write,
    "hdf": hdf.write,
}
Sums = dict[tuple[str, str], Decimal]
"""kWh by meter and column; a column without any value is not there."""


def store(folder: Path, days: Iterable[EnergyDay], decimals: int = 4) -> None:
    """Day files of these days, whose values get smaller until they have so many decimals."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in days:
        readings = {ts: _smaller(reading, 4 - decimals) for ts, reading in each.readings.items()}
        data = encode(replace(each, readings=readings), decimals, complete=each.is_whole())
        if data:
            (folder / f"{each.day.date}.jsonl").write_bytes(data)


def _smaller(reading: HourReading, places: int) -> HourReading:
    solar = None if reading.solar_kwh is None else reading.solar_kwh.scaleb(places)
    return HourReading(reading.import_kwh.scaleb(places), reading.export_kwh.scaleb(places), solar)


def hours_of(files: MeterFiles, since: date = date.min, until: date = date.max) -> MeterHours:
    return MeterHours(files, BERLIN, since, until)


def exported(form: str, *meters: MeterHours) -> bytes:
    """The export's bytes with the format's usual options."""
    out = io.BytesIO()
    WRITERS[form](meters, out)
    return out.getvalue()


def totals_of_archive(files: MeterFiles) -> Totals:
    """The sums of everything that is stored, as `report` has them."""
    newest = max(day_files(files.folder), default=date(2024, 1, 1))
    now = datetime.combine(newest + timedelta(days=2), time(), UTC)
    days = history_of(files, BERLIN, now).days(date.min, now.date())
    sums = totals_by(days, Period.YEAR, no_solar=files.meter.has_no_solar).values()
    return sum(sums, Totals())


def sums_of_archive(files: MeterFiles) -> Sums:
    totals = totals_of_archive(files)
    return {
        (files.meter.name, name): value for name in COLUMNS if (value := getattr(totals, name)) is not None
    }


def sums_of(form: str, data: bytes, meter: str) -> Sums:
    """What is in the file, added up; for counters what they have grown by."""
    return _READERS[form](data, meter)


def csv_rows(data: bytes, delimiter: str = ",") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), delimiter=delimiter))


def _of_csv(data: bytes, meter: str) -> Sums:
    found: Sums = defaultdict(Decimal)
    for row in csv_rows(data):
        for name in COLUMNS:
            if row[name]:
                found[row["meter"], name] += Decimal(row[name])
    return dict(found)


_CELL = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def sheet_rows(data: bytes) -> dict[str, list[dict[str, str]]]:
    """The cells of each sheet by the letter of their column, a row after the other, from the second on."""
    with ZipFile(io.BytesIO(data)) as book:
        listed = ElementTree.fromstring(book.read("xl/workbook.xml")).iter(f"{_CELL}sheet")
        names = [each.get("name", "") for each in listed]
        found = {}
        for number, name in enumerate(names, 1):
            root = ElementTree.fromstring(book.read(f"xl/worksheets/sheet{number}.xml"))
            rows = []
            for row in root.iter(f"{_CELL}row"):
                cells = {}
                for cell in row:
                    assert cell.get("r", "").endswith(row.get("r", "?"))
                    value = cell.find(f"{_CELL}v")
                    cells[cell.get("r", "")[0]] = "" if value is None else value.text or ""
                rows.append(cells)
            found[name] = rows[1:]
        return found


def _of_xlsx(data: bytes, meter: str) -> Sums:
    found: Sums = defaultdict(Decimal)
    for sheet, rows in sheet_rows(data).items():
        for cells in rows:
            for letter, name in zip("CDEFG", COLUMNS, strict=True):
                if letter in cells:
                    found[sheet, name] += Decimal(cells[letter])
    return dict(found)


def asked_of_sqlite(data: bytes, question: str) -> list[tuple[object, ...]]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        database = sqlite3.connect(file.name)
        try:
            return database.execute(question).fetchall()
        finally:
            database.close()


def _of_sqlite(data: bytes, meter: str) -> Sums:
    columns = ", ".join(f"sum({name.removesuffix('_kwh')}_micro_kwh)" for name in COLUMNS)
    rows = asked_of_sqlite(data, f"SELECT meter, {columns} FROM hours GROUP BY meter")
    return {
        (str(name), column): Decimal(int(str(value))) / sqlite.SCALE
        for name, *values in rows
        for column, value in zip(COLUMNS, values, strict=True)
        if value is not None
    }


class Point(NamedTuple):
    """A line of the line protocol."""

    head: str
    fields: dict[str, Decimal]
    ts: int


def points(data: bytes) -> list[Point]:
    found = []
    for line in data.decode().splitlines():
        head, fields, ts = re.split(r"(?<!\\) ", line)
        pairs = dict(each.split("=") for each in fields.split(","))
        found.append(Point(head, {name: Decimal(value) for name, value in pairs.items()}, int(ts)))
    return found


def _of_influx(data: bytes, meter: str) -> Sums:
    found: Sums = defaultdict(Decimal)
    for point in points(data):
        for name, value in point.fields.items():
            found[point.head.removeprefix("energy,meter="), name] += value
    return dict(found)


def _of_openmetrics(data: bytes, meter: str) -> Sums:
    """The last sample of each counter, for it begins at zero."""
    found: Sums = {}
    families = {family: name for name, family in openmetrics.FAMILIES.items()}
    for line in data.decode().splitlines():
        if not line.startswith("#"):
            match = re.fullmatch(r'(\w+)_total\{meter="(.*)"\} (\S+) \d+', line)
            assert match is not None
            found[match[2], families[match[1]]] = Decimal(match[3])
    return found


def _of_homeassistant(data: bytes, meter: str) -> Sums:
    """The last sum of each statistic."""
    found: Sums = {}
    for row in csv_rows(data, "\t"):
        kind = row["statistic_id"].rpartition("_")[2]
        found[meter, f"{kind}_kwh"] = Decimal(row["sum"])
    return found


def _of_hdf(data: bytes, meter: str) -> Sums:
    """Half of each mean power, as its hour has two."""
    found: Sums = defaultdict(Decimal)
    kinds = {"Active Import Interval (kW)": "import_kwh", "Active Export Interval (kW)": "export_kwh"}
    for row in csv_rows(data):
        found[meter, kinds[row["Read Type"]]] += Decimal(row["Read Value"]) / 2
    return dict(found)


_READERS: Mapping[str, Callable[[bytes, str], Sums]] = {
    "csv": _of_csv,
    "xlsx": _of_xlsx,
    "sqlite": _of_sqlite,
    "influx": _of_influx,
    "openmetrics": _of_openmetrics,
    "homeassistant": _of_homeassistant,
    "hdf": _of_hdf,
}
COLUMNS_OF: Mapping[str, Sequence[str]] = dict.fromkeys(WRITERS, COLUMNS) | {
    "homeassistant": COLUMNS[:3],
    "hdf": COLUMNS[:2],
}
"""The columns that a format has."""
