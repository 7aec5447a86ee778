"""InfluxDB's line protocol, with seconds; VictoriaMetrics and Telegraf read it, too.

https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import BinaryIO

from collector.export.hours import COLUMNS, Hour, MeterHours

_TOTALS = tuple(f"{name.removesuffix('_kwh')}_total_kwh" for name in COLUMNS)
_SPECIAL = re.compile(r"([,= ])")
_IMPOSSIBLE = re.compile(r"[\x00-\x1f\x7f\\]")  # a backslash escapes what follows it, at the end the field


def write(
    meters: Iterable[MeterHours], out: BinaryIO, *, measurement: str = "energy", cumulative: bool = False
) -> None:
    """Writes a point for each hour, at its start; an unknown value is no field.

    `cumulative`: also a point at each hour's end with the totals since the first hour, in the fields
    `import_total_kwh` and so on, as a meter shows them at that moment.
    """
    for each in meters:
        totals = [Decimal(0)] * len(COLUMNS) if cumulative else None
        for line in points(head_of(measurement, each.name), each.hours(), totals):
            out.write(line.encode())


def head_of(measurement: str, meter: str) -> str:
    """What stands before the fields of each point: the measurement, and the meter as a tag."""
    return f"{as_name(measurement)},meter={as_name(meter)}"


def as_name(text: str) -> str:
    """A measurement's or a tag's value; signs that the protocol cannot express become `_`."""
    return _SPECIAL.sub(r"\\\1", _IMPOSSIBLE.sub("_", text))


def points(head: str, hours: Iterable[Hour], totals: list[Decimal] | None = None) -> Iterator[str]:
    """A line for each hour. `head`: measurement and tags. With `totals`, the sums of each column before the
    first hour, also a line with those at each hour's end; they are advanced.
    """
    for hour in hours:
        known = [(place, value) for place, value in enumerate(hour[3:]) if value is not None]
        fields = ",".join(f"{COLUMNS[place]}={value:f}" for place, value in known)
        yield f"{head} {fields} {hour.start}\n"
        if totals is not None:
            for place, value in known:
                totals[place] += value
            fields = ",".join(f"{_TOTALS[place]}={totals[place]:f}" for place, _ in known)
            yield f"{head} {fields} {hour.end}\n"
