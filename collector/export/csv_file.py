"""CSV, for spreadsheets and for databases such as PostgreSQL: any row, and an export's line for each hour."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import BinaryIO

from collector.export.hours import COLUMNS, MeterHours

HEAD = ("meter", "utc", "local", *COLUMNS)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_QUOTED = re.compile(r'["\r\n]')


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
    out.write(row(HEAD, decimal, delimiter).encode())
    for each in meters:
        name = _text(each.name, delimiter)
        for hour in each.hours():
            # As in `row`, and twice as fast: only the name may need quotes.
            utc = datetime.fromtimestamp(hour.start, UTC).isoformat()[:19]
            values = delimiter.join([_number(value, decimal) for value in hour[3:]])
            line = f"{name}{delimiter}{utc}Z{delimiter}{hour.local.isoformat()}{delimiter}{values}\n"
            out.write(line.encode())


def row(fields: Iterable[str | int | Decimal | None], decimal: str = ".", delimiter: str = ",") -> str:
    """A line of a file; `None` is an empty field. No spreadsheet takes a text in it for a formula: an
    apostrophe goes before `=`, `+`, `-`, `@`, and white space that may be followed by one.
    """
    texts = [
        _text(str(each), delimiter) if isinstance(each, str | int) else _number(each, decimal)
        for each in fields
    ]
    return f"{delimiter.join(texts)}\n"


def _number(value: Decimal | None, decimal: str) -> str:
    if value is None:
        return ""
    return f"{value:f}" if decimal == "." else f"{value:f}".replace(".", decimal)


def _text(value: str, delimiter: str) -> str:
    safe = f"'{value}" if value.startswith(_FORMULA) else value
    if delimiter in safe or _QUOTED.search(safe):
        return '"' + safe.replace('"', '""') + '"'
    return safe
