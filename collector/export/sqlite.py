"""SQLite: one table of exact integers, and a view of it in kWh."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from collector.export.hours import COLUMNS, MeterHours

SCALE = 1_000_000
"""Units of the table's integers in a kWh. Values have up to six decimals, so that none is rounded."""
_PREFIXES = [name.removesuffix("_kwh") for name in COLUMNS]
_SCHEMA = f"""
CREATE TABLE hours (
    meter TEXT NOT NULL,
    start INTEGER NOT NULL,  -- seconds since 1970-01-01 UTC
    local TEXT NOT NULL,     -- the same in the meter's time zone, ISO 8601
    {", ".join(f"{name}_micro_kwh INTEGER" for name in _PREFIXES)},  -- NULL: not known
    PRIMARY KEY (meter, start)
) WITHOUT ROWID;
CREATE VIEW energy AS SELECT
    meter, strftime('%Y-%m-%dT%H:%M:%SZ', start, 'unixepoch') AS utc, local,
    {", ".join(f"{name}_micro_kwh / {SCALE:.1f} AS {name}_kwh" for name in _PREFIXES)}
FROM hours;
"""  # noqa: S608
_INSERT = f"INSERT INTO hours VALUES (?, ?, ?{', ?' * len(COLUMNS)})"  # noqa: S608


def write(meters: Iterable[MeterHours], out: BinaryIO) -> None:
    """Writes a database with the table `hours` and the view `energy`. Raises `OSError`.

    It is made as a file in the folder for temporary files, and copied from there.
    """
    with TemporaryDirectory(prefix="shelly-export-") as folder:
        path = Path(folder) / "hours.sqlite"
        try:
            _make(path, meters)
        except sqlite3.OperationalError as error:
            code = errno.ENOSPC if error.sqlite_errorcode == sqlite3.SQLITE_FULL else errno.EIO
            raise OSError(code, str(error), str(path)) from None
        with path.open("rb") as made:
            shutil.copyfileobj(made, out)


def _make(path: Path, meters: Iterable[MeterHours]) -> None:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        # A half-made file is thrown away: nothing needs a journal.
        database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; {_SCHEMA} BEGIN;")
        for each in meters:
            database.executemany(_INSERT, _rows(each))
        database.execute("COMMIT")
    finally:
        database.close()


def _rows(each: MeterHours) -> Iterator[tuple[str | int | None, ...]]:
    name = each.name
    for hour in each.hours():
        yield (name, hour.start, hour.local.isoformat(), *map(_units, hour[3:]))


def _units(value: Decimal | None) -> int | None:
    return None if value is None else int(value * SCALE)
