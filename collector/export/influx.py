"""InfluxDB's line protocol, with seconds; VictoriaMetrics and Telegraf read it, too.

https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import BinaryIO

from collector.export.hours import COLUMNS, MeterHours

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
        head = f"{as_name(measurement)},meter={as_name(each.name)}"
        for line in _lines(head, each, cumulative=cumulative):
            out.write(line.encode())


def as_name(text: str) -> str:
    """A measurement's or a tag's value; signs that the protocol cannot express become `_`."""
    return _SPECIAL.sub(r"\\\1", _IMPOSSIBLE.sub("_", text))


def _lines(head: str, each: MeterHours, *, cumulative: bool) -> Iterator[str]:
    totals = dict.fromkeys(COLUMNS, Decimal(0))
    for hour in each.hours():
        known = {name: value for name, value in zip(COLUMNS, hour[3:], strict=True) if value is not None}
        yield f"{head} {','.join(f'{name}={value:f}' for name, value in known.items())} {hour.start}\n"
        if cumulative:
            for name, value in known.items():
                totals[name] += value
            fields = ",".join(f"{name.removesuffix('_kwh')}_total_kwh={totals[name]:f}" for name in known)
            yield f"{head} {fields} {hour.end}\n"
