"""CSV: a line for each hour, for spreadsheets and for databases such as PostgreSQL."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from collector.export.hours import COLUMNS, Hour, MeterHours

HEAD = ("meter", "utc", "local", *COLUMNS)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write(
    meters: Iterable[MeterHours],
    out: BinaryIO,
    *,
    decimal: str = ".",
    delimiter: str = ",",
    bom: bool = False,
) -> None:
    """Writes the hours of the meters, one meter after the other; an unknown value is an empty field.

    `decimal`: the sign before the decimals. `delimiter`: the sign between two fields. `bom`: begin with a
    byte order mark, by which Excel recognises UTF-8. Times are ISO 8601 with their difference from UTC.
    """
    text = io.TextIOWrapper(out, encoding="utf-8-sig" if bom else "utf-8", newline="", write_through=False)
    lines = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    lines.writerow(HEAD)
    for each in meters:
        name = as_text(each.meter.name)
        lines.writerows(_rows(name, each.hours(), decimal))
    text.flush()
    text.detach()


def as_text(value: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe goes before `=`, `+`, `-` and `@`."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def _rows(name: str, hours: Iterator[Hour], decimal: str) -> Iterator[tuple[str, ...]]:
    for hour in hours:
        utc = datetime.fromtimestamp(hour.start, UTC).isoformat().replace("+00:00", "Z")
        values = ("" if value is None else f"{value:f}" for value in hour[3:])
        if decimal != ".":
            values = (value.replace(".", decimal) for value in values)
        yield (name, utc, hour.local.isoformat(), *values)
