"""Home Assistant's long-term statistics as TSV, for the integration homeassistant-statistics.

https://github.com/klausj1/homeassistant-statistics
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import BinaryIO

from collector.errors import NotExpressible
from collector.export.hours import MeterHours

KINDS = ("import", "export", "solar")
"""The statistics of a meter, in the order of an hour's values."""
_HOUR_S = 3600


def write(meters: Sequence[MeterHours], out: BinaryIO) -> None:
    """Writes a line for each statistic and hour: `start` in UTC, `sum` the total since the first hour.

    Raises `NotExpressible` for an hour that begins at half past in UTC, as in India, and if two meters would
    have the same statistics.
    """
    out.write(b"statistic_id\tstart\tunit\tstate\tsum\n")
    for slug, each in zip(slugs([each.name for each in meters]), meters, strict=True):
        for line in _lines(slug, each):
            out.write(line.encode())


def slugs(names: Iterable[str]) -> list[str]:
    """What stands for each meter in the IDs of its statistics. Raises `NotExpressible` if two are equal."""
    found: dict[str, str] = {}
    for name in names:
        slug = slug_of(name)
        if slug in found:
            raise NotExpressible(
                f"the meters {found[slug]} and {name} would both be shelly_collector:{slug}_... in Home "
                "Assistant: rename one of them, or export one at a time with --meter"
            )
        found[slug] = name
    return list(found)


def slug_of(name: str) -> str:
    """A name in small letters, digits and single underscores, as Home Assistant requires of an ID."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_") or "meter"


def _lines(slug: str, each: MeterHours) -> Iterator[str]:
    totals = [Decimal(0)] * len(KINDS)
    for hour in each.hours():
        if hour.start % _HOUR_S:
            raise NotExpressible(
                f"{hour.local.isoformat()} of {each.name} is no full hour of UTC, and Home "
                "Assistant has no others: export the meters of other time zones with --meter"
            )
        at = datetime.fromtimestamp(hour.start, UTC).strftime("%d.%m.%Y %H:%M")
        for place, value in enumerate((hour.import_kwh, hour.export_kwh, hour.solar_kwh)):
            if value is not None:
                totals[place] += value
                total = f"{totals[place]:f}"
                yield f"shelly_collector:{slug}_{KINDS[place]}\t{at}\tkWh\t{total}\t{total}\n"
