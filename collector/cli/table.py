"""A small table of days, with a sparkline of each."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

from collector.archive.dayfile import MAX_BYTES, DayFile, decode
from collector.archive.files import read_at_most

_BARS = " ▁▂▃▄▅▆▇█"


def day_table(archive: Path) -> str:
    """The days in that folder, oldest first: hours, kWh, and what was consumed hour by hour."""
    lines = ["day         hours   import   export    solar  consumed  each hour"]
    for path in sorted(archive.glob("????-??-??.jsonl")):
        file = decode(read_at_most(path, MAX_BYTES), date.fromisoformat(path.stem))
        lines.append(_line(path.stem, file))
    return "\n".join(lines)


def _line(day: str, file: DayFile) -> str:
    consumed = [
        reading.import_kwh + max(Decimal(0), (reading.solar_kwh or Decimal(0)) - reading.export_kwh)
        for reading in file.readings.values()
    ]
    sums = [
        sum((reading.import_kwh for reading in file.readings.values()), Decimal(0)),
        sum((reading.export_kwh for reading in file.readings.values()), Decimal(0)),
        sum((reading.solar_kwh or Decimal(0) for reading in file.readings.values()), Decimal(0)),
    ]
    numbers = "".join(f"{value:9.2f}" for value in sums)
    mark = " so far" if file.partial else ""
    return f"{day}  {len(consumed):5}{numbers} {sum(consumed):9.2f}  {_sparkline(consumed)}{mark}"


def _sparkline(values: list[Decimal]) -> str:
    top = max(values, default=Decimal(0)) or Decimal(1)
    return "".join(_BARS[round(float(value / top) * (len(_BARS) - 1))] for value in values)
