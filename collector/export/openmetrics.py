"""OpenMetrics: totals since the first hour, for `promtool tsdb create-blocks-from openmetrics`.

https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from decimal import Decimal
from tempfile import TemporaryFile
from typing import IO, BinaryIO

from collector.export.hours import COLUMNS, MeterHours

FAMILIES = {name: f"shelly_{name.removesuffix('_kwh')}_kilowatt_hours" for name in COLUMNS}
"""The counters by the hour's values; `_total` is added to the name of a sample."""
_HELP = {
    "import_kwh": "Energy from the grid.",
    "export_kwh": "Energy to the grid.",
    "solar_kwh": "Solar energy.",
    "solar_used_kwh": "Solar energy that was not exported.",
    "consumption_kwh": "Energy from the grid and solar energy that was not exported.",
}


def write(meters: Iterable[MeterHours], out: BinaryIO) -> None:
    """Writes a counter for each value: at the end of each hour what was counted since the first one.

    All samples of one counter have to be together, so each is collected in a temporary file.
    """
    with ExitStack() as opened:
        parts = [opened.enter_context(TemporaryFile()) for _ in COLUMNS]
        for each in meters:
            _add(each, parts)
        for name, part in zip(COLUMNS, parts, strict=True):
            family = FAMILIES[name]
            unit = "kilowatt_hours"
            head = f"# TYPE {family} counter\n# UNIT {family} {unit}\n# HELP {family} {_HELP[name]}\n"
            out.write(head.encode())
            part.seek(0)
            shutil.copyfileobj(part, out)
    out.write(b"# EOF\n")


def _add(each: MeterHours, parts: Sequence[IO[bytes]]) -> None:
    label = as_label(each.name)
    heads = [f'{family}_total{{meter="{label}"}}' for family in FAMILIES.values()]
    totals = [Decimal(0)] * len(COLUMNS)
    for hour in each.hours():
        for place, value in enumerate(hour[3:]):
            if value is not None:
                totals[place] += value
                parts[place].write(f"{heads[place]} {totals[place]:f} {hour.end}\n".encode())


def as_label(text: str) -> str:
    """A label's value."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
