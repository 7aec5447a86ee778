"""Home Assistant's long-term statistics as TSV, for the integration homeassistant-statistics.

https://github.com/klausj1/homeassistant-statistics
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import BinaryIO, NamedTuple

from collector.errors import NotExpressible
from collector.export.hours import Hour, MeterHours

KINDS = ("import", "export", "solar")
"""The statistics of a meter, in the order of an hour's values."""
SOURCE = "shelly_collector"
"""What stands before the colon in the IDs of all statistics."""
_HOUR_S = 3600


class Row(NamedTuple):
    """An hour in Home Assistant's statistics: its start in epoch seconds, and for each of `KINDS` the total
    in kWh at its end, since the first hour; `None` if the hour's energy is not known.
    """

    start: int
    sums: tuple[Decimal | None, ...]


def write(meters: Sequence[MeterHours], out: BinaryIO) -> None:
    """Writes a line for each statistic and hour: `start` in UTC, `sum` the total since the first hour.

    Raises `NotExpressible` for an hour that begins at half past in UTC, as in India, and if two meters would
    have the same statistics.
    """
    out.write(b"statistic_id\tstart\tunit\tstate\tsum\n")
    slugs([each.name for each in meters])
    for each in meters:
        ids = ids_of(each.name)
        for start, sums in rows(each.name, each.hours()):
            at = datetime.fromtimestamp(start, UTC).strftime("%d.%m.%Y %H:%M")
            for name, total in zip(ids, sums, strict=True):
                if total is not None:
                    out.write(f"{name}\t{at}\tkWh\t{total:f}\t{total:f}\n".encode())


def rows(name: str, hours: Iterable[Hour], totals: Iterable[Decimal] = ()) -> Iterator[Row]:
    """The hours of the meter of that name as rows; `totals`: those of `KINDS` before the first hour, if any.

    Raises `NotExpressible` for an hour that begins at half past in UTC.
    """
    sums = list(totals) or [Decimal(0)] * len(KINDS)
    for hour in hours:
        if hour.start % _HOUR_S:
            raise NotExpressible(
                f"{hour.local.isoformat()} of {name} is no full hour of UTC, and Home Assistant has no "
                "others: choose the meters of other time zones"
            )
        values = hour.import_kwh, hour.export_kwh, hour.solar_kwh
        sums = [total if value is None else total + value for total, value in zip(sums, values, strict=True)]
        known = (None if value is None else total for total, value in zip(sums, values, strict=True))
        yield Row(hour.start, tuple(known))


def ids_of(name: str) -> tuple[str, ...]:
    """The IDs of the statistics of the meter of that name, in the order of `KINDS`."""
    slug = slug_of(name)
    return tuple(f"{SOURCE}:{slug}_{kind}" for kind in KINDS)


def slugs(names: Iterable[str]) -> list[str]:
    """What stands for each meter in the IDs of its statistics. Raises `NotExpressible` if two are equal."""
    found: dict[str, str] = {}
    for name in names:
        slug = slug_of(name)
        if slug in found:
            raise NotExpressible(
                f"the meters {found[slug]} and {name} would both be {SOURCE}:{slug}_... in Home "
                "Assistant: rename one of them, or choose one"
            )
        found[slug] = name
    return list(found)


def slug_of(name: str) -> str:
    """A name in small letters, digits and single underscores, as Home Assistant requires of an ID."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "meter"
