"""Files as the older utility wrote them, and other things that the archive's tests need."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from collector.energy.days import local_day
from collector.verify.report import Comparison, MeterReport
from tests.support.energy_days import BERLIN, ORDINARY

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
    local = local_day(day, zone).with_twins_as_one()
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


def compared(report: MeterReport) -> Comparison:
    """The comparison with the cloud that was made for that report."""
    assert report.comparison is not None
    return report.comparison
