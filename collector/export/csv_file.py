"""CSV: a line for each hour, for spreadsheets and for databases such as PostgreSQL."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO

from collector.export.hours import COLUMNS, Hour, MeterHours

HEAD = ("meter", "utc", "local", *COLUMNS)
_FORMULA = ("=", "+", "-", "@")


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
    if bom:
        out.write(codecs.BOM_UTF8)
    lines = csv.writer(_Encoded(out), delimiter=delimiter, lineterminator="\n")
    lines.writerow(HEAD)
    for each in meters:
        lines.writerows(_rows(as_text(each.name), each.hours(), decimal))


class _Encoded:
    """Writes text as UTF-8. Unlike a `TextIOWrapper` it never closes what it writes to."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, text: str) -> int:
        return self._out.write(text.encode())


def as_text(value: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe goes before `=`, `+`, `-` and `@`."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def _rows(name: str, hours: Iterator[Hour], decimal: str) -> Iterator[tuple[str, ...]]:
    for hour in hours:
        utc = f"{datetime.fromtimestamp(hour.start, UTC).isoformat()[:19]}Z"
        values = ("" if value is None else f"{value:f}" for value in hour[3:])
        if decimal != ".":
            values = (value.replace(".", decimal) for value in values)
        yield (name, utc, hour.local.isoformat(), *values)
