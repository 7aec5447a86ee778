"""A day's stored hours compared with the cloud's total of the day. Pure."""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from collector.energy.readings import HourReading

_LEAST_DECIMALS = 3  # of files with 0.25 where others have 0.2500
_ZERO = Decimal(0)

CLOUD_HALF_UNIT_KWH = Decimal("0.000005")
"""The largest rounding error of a number from the cloud: it sends hundredths of a Wh."""


@dataclass(frozen=True, slots=True)
class DaySums:
    """Sums over a day's stored hours, kWh; solar over the hours that have it.

    `decimals` of the stored numbers: their rounding errors add up.
    """

    import_kwh: Decimal
    export_kwh: Decimal
    solar_kwh: Decimal
    hours: int
    decimals: int


NOTHING_STORED = DaySums(_ZERO, _ZERO, _ZERO, 0, 4)


@dataclass(frozen=True, slots=True)
class DayTotal:
    """The cloud's total of a day, kWh, scaled as the hours are.

    Solar is between `solar_low_kwh` and `solar_high_kwh`, because the discard is subtracted from each hour
    and the total does not show the hours; `None` without solar. `scale` is the factor of import and export.
    """

    import_kwh: Decimal
    export_kwh: Decimal
    solar_low_kwh: Decimal | None
    solar_high_kwh: Decimal | None
    scale: Decimal = Decimal(1)


def packed(totals: Mapping[date, DayTotal]) -> bytes:
    """The totals in little memory: three years take 0.6 MB, and are kept until a backfill is over."""
    return zlib.compress(pickle.dumps(totals))


def unpacked(data: bytes) -> Mapping[date, DayTotal]:
    """What was `packed`."""
    totals: Mapping[date, DayTotal] = pickle.loads(zlib.decompress(data))  # noqa: S301 - made by this process
    return totals


class Difference(NamedTuple):
    """A column whose stored hours do not add up to the cloud's total. kWh."""

    column: str
    stored_kwh: Decimal
    cloud_kwh: Decimal


def sums_of(readings: Iterable[HourReading], decimals: int) -> DaySums:
    """The sums of a day's stored hours, whose numbers have that many decimals; three at least."""
    hours = list(readings)
    return DaySums(
        sum((hour.import_kwh for hour in hours), _ZERO),
        sum((hour.export_kwh for hour in hours), _ZERO),
        sum((hour.solar_kwh for hour in hours if hour.solar_kwh is not None), _ZERO),
        len(hours),
        max(_LEAST_DECIMALS, decimals),
    )


def are_distrusted(compared: int, different: int) -> bool:
    """Whether so many days differ that the totals are unusable: more than a fifth, and at least two."""
    return different > max(1, compared // 5)


def decimals_of(number: Decimal) -> int:
    """The number of decimals of a finite number."""
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def differences(stored: DaySums, total: DayTotal, *, complete: bool) -> tuple[Difference, ...]:
    """The columns that differ by more than rounding explains.

    For a day that is not complete only those of which the cloud has more than is stored: late data has
    arrived.
    """
    half_unit = Decimal(5).scaleb(-stored.decimals - 1)
    clouds = CLOUD_HALF_UNIT_KWH * (stored.hours + 1)
    grid = half_unit * stored.hours + clouds * max(total.scale, Decimal(1))
    sun = half_unit * stored.hours + clouds
    columns = [
        ("import", stored.import_kwh, total.import_kwh, total.import_kwh, grid),
        ("export", stored.export_kwh, total.export_kwh, total.export_kwh, grid),
    ]
    if total.solar_low_kwh is not None and total.solar_high_kwh is not None:
        columns.append(("solar", stored.solar_kwh, total.solar_low_kwh, total.solar_high_kwh, sun))
    found = []
    for column, stored_kwh, low, high, tolerance in columns:
        if stored_kwh < low - tolerance:
            found.append(Difference(column, stored_kwh, low))
        elif complete and stored_kwh > high + tolerance:
            found.append(Difference(column, stored_kwh, high))
    return tuple(found)
