"""What is stored of a day against the cloud's total of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from collector.energy.readings import HourReading

_LEAST_DECIMALS = 3  # of files that say 0.25 where others say 0.2500
_ZERO = Decimal(0)

CLOUD_HALF_UNIT_KWH = Decimal("0.000005")
"""How far a number of the cloud may be off by its rounding: it gives hundredths of a Wh."""


@dataclass(frozen=True, slots=True)
class DaySums:
    """What is stored of a day: kWh, added over its hours; of solar only what is known.

    `decimals`: of the stored numbers, so that a day of them may be off by their rounding.
    """

    import_kwh: Decimal
    export_kwh: Decimal
    solar_kwh: Decimal
    hours: int
    decimals: int


NOTHING_STORED = DaySums(_ZERO, _ZERO, _ZERO, 0, 4)


@dataclass(frozen=True, slots=True)
class DayTotal:
    """What the cloud says of a day in total: kWh, scaled as the hours are.

    Solar lies from `solar_low_kwh` to `solar_high_kwh`, for a total does not tell how much a discard
    took off each hour; `None` where solar is not told. `scale` is what import and export were
    multiplied with.
    """

    import_kwh: Decimal
    export_kwh: Decimal
    solar_low_kwh: Decimal | None
    solar_high_kwh: Decimal | None
    scale: Decimal = Decimal(1)


class Difference(NamedTuple):
    """A column whose stored hours do not add up to the cloud's total. kWh."""

    column: str
    stored_kwh: Decimal
    cloud_kwh: Decimal


def sums_of(readings: Iterable[HourReading], decimals: int) -> DaySums:
    """The sums of a day's stored hours, whose numbers have so many decimals; at least three count."""
    hours = list(readings)
    return DaySums(
        sum((hour.import_kwh for hour in hours), _ZERO),
        sum((hour.export_kwh for hour in hours), _ZERO),
        sum((hour.solar_kwh for hour in hours if hour.solar_kwh is not None), _ZERO),
        len(hours),
        max(_LEAST_DECIMALS, decimals),
    )


def are_distrusted(compared: int, different: int) -> bool:
    """Whether so many days differ that their totals must mean something else: more than a fifth, and two."""
    return different > max(1, compared // 5)


def decimals_of(number: Decimal) -> int:
    """How many digits a finite number has behind its point."""
    exponent = number.as_tuple().exponent
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def differences(stored: DaySums, total: DayTotal, *, complete: bool) -> tuple[Difference, ...]:
    """The columns that differ by more than rounding explains.

    Of a day that is not complete only those count of which the cloud has more than is stored: late
    data has arrived. That it has less was so when the day was stored.
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
