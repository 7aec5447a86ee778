"""Files as the older utility wrote them, and other things that the archive's tests need."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from collector.archive.dayfile import DayFormat, encode
from collector.archive.store import Archive
from collector.cloud.meters import Meter
from collector.energy.days import local_day
from collector.energy.history import PlanPolicy
from collector.energy.readings import EnergyDay, HourReading
from collector.overview import ArchiveFiles, MeterFiles
from collector.simulator import Device
from collector.verify.report import Comparison, MeterReport
from tests.support.energy_days import BERLIN, ORDINARY
from tests.support.world import DEVICE, kwh, mark_as, records_of

KEEP, MERGE = DayFormat(), DayFormat(merge_repeated_hour=True)

Columns = Callable[[int], Mapping[str, float]]
MEASURED: Mapping[str, float] = {"import": 1.23456, "export": 0.25, "solar": 0.75}


def older_record(ts: int, columns: Mapping[str, float], *, partial: bool, zone: ZoneInfo = BERLIN) -> str:
    """One line with its keys in its order: floats of five decimals, and integers for zeros."""
    local = datetime.fromtimestamp(ts, zone)
    record: dict[str, Any] = {
        "import": columns["import"],
        "export": columns["export"],
        "solar": columns.get("solar", 0),
        "ts": ts,
        "datetime": f"{local:%Y/%m/%d %H:%M:%S}",
        "hour": local.hour,
        "day": f"{local:%Y-%m-%d}",
        "month": f"{local:%Y-%m}",
        "year": f"{local:%Y}",
        "weekday": f"{local:%u %a}",
        "week": f"{local:%Y-%W}",
    }
    if "solar" in columns:
        record["solar_consumed"] = round(max(0, columns["solar"] - columns["export"]), 5)
        record["consumed"] = round(columns["import"] + record["solar_consumed"], 5)
    record |= {key: value for key, value in columns.items() if key == "solar_discard"}
    if partial:
        record["partial"] = True
    return json.dumps(record) + "\n"


def older_file(
    columns: Columns = lambda label: MEASURED,
    *,
    day: date = ORDINARY,
    zone: ZoneInfo = BERLIN,
    partial: bool = False,
) -> bytes:
    """A day of it: a record for each local hour, on a fall-back day one for the two that are repeated."""
    local = local_day(day, zone).merge_repeated_hours()
    pairs = zip(local.hours, local.labels, strict=True)
    return "".join(
        older_record(ts, columns(label), partial=partial, zone=zone) for ts, label in pairs
    ).encode()


def everything_in(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Every file below: its inode, its time of change, its bytes."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            stat = path.lstat()
            found[str(path.relative_to(folder))] = (stat.st_ino, stat.st_mtime_ns, path.read_bytes())
    return found


def write_files(folder: Path, device: Device, days: list[date]) -> None:
    """Files as the cloud would have told them, without asking it a thousand times."""
    folder.mkdir()
    for day in days:
        local = local_day(day, device.zone)
        readings = {}
        for ts in local.hours:
            grid, sun = device.energy(0, ts), device.energy(1, ts)
            readings[ts] = HourReading(kwh(grid.consumption), kwh(grid.reversed), kwh(sun.consumption))
        (folder / f"{day}.jsonl").write_bytes(encode(EnergyDay(local, readings), 4, complete=True))
    mark_as(folder, device.id)


def files_of(folder: Path, *, merge: bool = False, **meter: Any) -> ArchiveFiles:
    """An archive whose only meter has that folder, which is named like it; `meter` as in `Meter`."""
    day_format = DayFormat(merge_repeated_hour=merge)
    each = MeterFiles(Meter(folder.name, DEVICE, **meter), "home", folder, day_format, PlanPolicy())
    return ArchiveFiles(folder.parent, (each,), 26 * 3600.0)


def flip(path: Path, column: str, change: str = "0.1") -> None:
    """Changes a number and what follows from it, so that the contract holds; and says nothing about it."""
    lines = path.read_text().splitlines()
    record = records_of(path)[12]
    new = {key: record[key] for key in ("import", "export", "solar")}
    new[column] += Decimal(change)
    new["solar_consumed"] = max(Decimal(0), new["solar"] - new["export"])
    new["consumed"] = new["import"] + new["solar_consumed"]
    for key, value in new.items():
        lines[12] = lines[12].replace(f'"{key}": {record[key]}', f'"{key}": {value}')
    path.write_text("\n".join(lines) + "\n")


def of_an_inverter(folder: Path, today: date) -> None:
    """Another tool's day files: stamps some minutes past the hour, battery columns."""
    folder.mkdir(parents=True)
    for number in range(1, 9):
        day = today - timedelta(days=number)
        lines = [
            f'{{"ts": {int(datetime(day.year, day.month, day.day, hour, 7, tzinfo=UTC).timestamp())}, '
            f'"datetime": "{day:%Y/%m/%d} {hour:02}:07:00", "day": "{day}", "import": 0.{hour:02}1, '
            f'"export": 0, "soc": 80, "battery": 1.2}}\n'
            for hour in range(24)
        ]
        (folder / f"{day}.jsonl").write_text("".join(lines))


@contextmanager
def opened(folder: Path, day_format: DayFormat = KEEP, *, no_solar: bool = False) -> Iterator[Archive]:
    archive = Archive(folder, day_format, no_solar=no_solar)
    try:
        yield archive
    finally:
        archive.close()


def compared(report: MeterReport) -> Comparison:
    """The comparison with the cloud that was made for that report."""
    assert report.comparison is not None
    return report.comparison
