"""Excel's XLSX, one sheet for each meter, by the standard library alone.

Every row and cell has its place (`r=`), every cell a style, every number is in `<v>`: Gnumeric refuses other
files, though LibreOffice and openpyxl read them. The rows are written one after the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import BinaryIO
from xml.sax.saxutils import escape, quoteattr
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from collector.export.hours import COLUMNS, Hour, MeterHours

_HEAD = ("local", "utc", *COLUMNS)
_LETTERS = "ABCDEFG"
_GENERAL, _BOLD, _TIME, _KWH = range(4)  # the cell formats in `_STYLES`
_WIDTHS = (17, 17, 12, 12, 12, 15, 17)
_LONGEST_NAME = 31
_FORBIDDEN = re.compile(r"[\[\]:*?/\\]|[^\x20-\ud7ff\ue000-\ufffd]")
_EPOCH_DAY = 25569  # 1970-01-01 as Excel counts days
_DAY_S = 86400

_XML = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_STYLES = (
    f'{_XML}<styleSheet xmlns="{_MAIN}">'
    '<numFmts count="2"><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd\\ hh:mm"/>'
    '<numFmt numFmtId="165" formatCode="0.0000"/></numFmts>'
    '<fonts count="2"><font><sz val="11"/><name val="Calibri"/></font>'
    '<font><b/><sz val="11"/><name val="Calibri"/></font></fonts>'
    '<fills count="2"><fill><patternFill patternType="none"/></fill>'
    '<fill><patternFill patternType="gray125"/></fill></fills>'
    '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
    '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs>'
    '<cellXfs count="4"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
    '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>'
    '<xf numFmtId="164" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
    '<xf numFmtId="165" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs>'
    '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles></styleSheet>'
)


def write(meters: Sequence[MeterHours], out: BinaryIO) -> None:
    """Writes a workbook with a sheet for each meter: local time, UTC, kWh; an unknown value is no cell."""
    names = sheet_names([each.name for each in meters])
    with ZipFile(out, "w", ZIP_DEFLATED) as book:
        for place, text in _frame(names).items():
            book.writestr(_entry(place), text)
        for number, each in enumerate(meters, 1):
            with book.open(_entry(f"xl/worksheets/sheet{number}.xml"), "w") as sheet:
                for part in _sheet(each.hours()):
                    sheet.write(part.encode())


def sheet_names(names: Sequence[str]) -> list[str]:
    """Names that Excel accepts: up to 31 signs, none of []:*?/\\, each once also if capitals do not count."""
    found: list[str] = []
    used = set()
    for name in names:
        base = _FORBIDDEN.sub("_", name).strip("'") or "_"
        number, candidate = 1, base[:_LONGEST_NAME]
        while candidate.casefold() in used:
            number += 1
            ending = f"~{number}"
            candidate = base[: _LONGEST_NAME - len(ending)] + ending
        used.add(candidate.casefold())
        found.append(candidate)
    return found


def _entry(place: str) -> ZipInfo:
    """A part of the file, without the time of writing: equal hours make equal files."""
    entry = ZipInfo(place)
    entry.compress_type = ZIP_DEFLATED
    return entry


def _frame(names: Sequence[str]) -> dict[str, str]:
    """Everything but the sheets, by its place in the file."""
    numbers = range(1, len(names) + 1)
    kinds = "".join(
        f'<Override PartName="/xl/worksheets/sheet{number}.xml" ContentType="{_TYPES}.worksheet+xml"/>'
        for number in numbers
    )
    sheets = "".join(
        f'<sheet name={quoteattr(name)} sheetId="{number}" r:id="rId{number}"/>'
        for number, name in zip(numbers, names, strict=True)
    )
    links = "".join(
        f'<Relationship Id="rId{number}" Type="{_OFFICE}/worksheet" Target="worksheets/sheet{number}.xml"/>'
        for number in numbers
    )
    return {
        "[Content_Types].xml": (
            f'{_XML}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPES}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{_TYPES}.styles+xml"/>{kinds}</Types>'
        ),
        "_rels/.rels": (
            f'{_XML}<Relationships xmlns="{_RELATIONS}"><Relationship Id="rId1" '
            f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
        ),
        "xl/workbook.xml": (
            f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{sheets}</sheets></workbook>'
        ),
        "xl/_rels/workbook.xml.rels": (
            f'{_XML}<Relationships xmlns="{_RELATIONS}">{links}<Relationship Id="rId{len(names) + 1}" '
            f'Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>'
        ),
        "xl/styles.xml": _STYLES,
    }


def _sheet(hours: Iterator[Hour]) -> Iterator[str]:
    columns = "".join(
        f'<col min="{number}" max="{number}" width="{width}" customWidth="1"/>'
        for number, width in enumerate(_WIDTHS, 1)
    )
    head = "".join(
        f'<c r="{letter}1" s="{_BOLD}" t="inlineStr"><is><t>{escape(name)}</t></is></c>'
        for letter, name in zip(_LETTERS, _HEAD, strict=True)
    )
    yield (
        f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews><sheetView workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews>'
        f'<cols>{columns}</cols><sheetData><row r="1">{head}</row>'
    )
    for row, hour in enumerate(hours, 2):
        yield _row(row, hour)
    yield "</sheetData></worksheet>"


def _row(row: int, hour: Hour) -> str:
    cells = [
        f'<c r="A{row}" s="{_TIME}"><v>{serial(hour.local)}</v></c>'
        f'<c r="B{row}" s="{_TIME}"><v>{serial(datetime.fromtimestamp(hour.start, UTC))}</v></c>'
    ]
    for letter, value in zip("CDEFG", hour[3:], strict=True):
        if value is not None:
            cells.append(f'<c r="{letter}{row}" s="{_KWH}"><v>{value:f}</v></c>')
    return f'<row r="{row}">{"".join(cells)}</row>'


def serial(moment: datetime) -> Decimal:
    """The date and time on the clock, without a zone, as Excel counts it: in days, to a microsecond."""
    wall_s = int(moment.replace(tzinfo=UTC).timestamp())
    return round(_EPOCH_DAY + Decimal(wall_s) / _DAY_S, 11)
