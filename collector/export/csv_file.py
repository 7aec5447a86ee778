"""CSV: a line for each hour, for spreadsheets and for databases such as PostgreSQL."""

from __future__ import annotations

import codecs
import csv
import io
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

    `decimal`: the sign before the decimals. `delimiter`: the sign between two fields, which no number and no
    time has in it. `bom`: begin with a byte order mark, by which Excel recognises UTF-8. Times are ISO 8601
    with their difference from UTC.
    """
    if bom:
        out.write(codecs.BOM_UTF8)
    out.write(f"{delimiter.join(HEAD)}\n".encode())
    for each in meters:
        name = _quoted(as_text(each.name), delimiter)
        for line in _lines(name, each.hours(), decimal, delimiter):
            out.write(line.encode())


def as_text(value: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe goes before `=`, `+`, `-` and `@`."""
    return f"'{value}" if value.startswith(_FORMULA) else value


def _quoted(text: str, delimiter: str) -> str:
    """The text as a field."""
    field = io.StringIO()
    csv.writer(field, delimiter=delimiter, lineterminator="").writerow([text])
    return field.getvalue()


def _lines(name: str, hours: Iterator[Hour], decimal: str, delimiter: str) -> Iterator[str]:
    """The lines, put together here, because that is twice as fast as `csv`: only the name may need quotes."""
    for hour in hours:
        utc = datetime.fromtimestamp(hour.start, UTC).isoformat()[:19]
        values = delimiter.join(["" if value is None else f"{value:f}" for value in hour[3:]])
        if decimal != ".":
            values = values.replace(".", decimal)
        yield f"{name}{delimiter}{utc}Z{delimiter}{hour.local.isoformat()}{delimiter}{values}\n"
