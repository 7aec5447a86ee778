"""The true energy of any hour of any clamp, as a pure function.

The simulator serves it, the tests compare what was stored with it. A house at longitude 0: a night
load of 150 to 400 Wh, peaks in the morning and in the evening, a roof that exports around noon on
bright days. Only integers and plain float products: the same numbers on every machine.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

GRID, SOLAR = 0, 1

_DAY_S, _HOUR_S = 86_400, 3_600
_WINTER_SOLSTICE_DAY = -10  # days since 1970-01-01
_YEAR_DAYS = 365.2425
_ROOF_WH = 3_600.0  # the best hour of a bright midsummer day
_EXPORT_COVERS_ALL = 2.5  # with so many times the load nothing is imported


class Energy(NamedTuple):
    """One hour of one channel: both directions in Wh with two decimals, not netted, never negative."""

    consumption: Decimal
    reversed: Decimal


NOTHING = Energy(Decimal("0.00"), Decimal("0.00"))


@lru_cache(maxsize=8192)
def truth(device_id: str, channel: int, ts: int) -> Energy:
    """The hour that starts at epoch seconds `ts`: channel 0 is the grid, any other one solar.

    The grid's `consumption` is import and its `reversed` export. True zeros are frequent: no sun at
    night, no import at a bright noon.
    """
    solar = _solar_wh(device_id, ts)
    if channel != GRID:
        return Energy(_wh(solar * (1 if channel == SOLAR else 0.5)), NOTHING.reversed)
    load = _load_wh(device_id, ts)
    if solar > load * _EXPORT_COVERS_ALL:
        return Energy(NOTHING.consumption, _wh(solar - load))
    # Clouds pass within the hour: some is imported although more was produced than used.
    passing = 0.1 * load * chance(f"cloud/{device_id}/{ts}") if solar > 0 else 0.0
    return Energy(_wh(max(load - solar, 0.0) + passing), _wh(max(solar - load, 0.0)))


@lru_cache(maxsize=4096)
def phases(device_id: str, channel: int, ts: int) -> tuple[Energy, Energy, Energy]:
    """The same hour on three phases, which add up to `truth(device_id, channel, ts)` exactly."""
    whole = truth(device_id, channel, ts)
    first = _share(whole, Decimal("0.3") + Decimal("0.2") * int(10 * chance(f"1/{device_id}/{ts}")) / 10)
    second = _share(whole, Decimal("0.25"))
    return first, second, subtract(subtract(whole, first), second)


def split(energy: Energy, parts: int, ts: int) -> list[Energy]:
    """Splits an hour into uneven parts that add up exactly, as a time-of-use tariff does."""
    rest, cut = energy, []
    for number in range(parts - 1):
        part = _share(rest, Decimal((ts // _HOUR_S + number) % 7 + 1) / 10)
        cut.append(part)
        rest = subtract(rest, part)
    return [*cut, rest]


def add(one: Energy, other: Energy) -> Energy:
    """Both columns added."""
    return Energy(one.consumption + other.consumption, one.reversed + other.reversed)


def subtract(one: Energy, other: Energy) -> Energy:
    """Both columns subtracted."""
    return Energy(one.consumption - other.consumption, one.reversed - other.reversed)


def portion(energy: Energy, elapsed: float) -> Energy:
    """The energy when the part `elapsed` (0 to 1) of the hour has passed."""
    return _share(energy, Decimal(elapsed))


def _share(energy: Energy, factor: Decimal) -> Energy:
    cent = Decimal("0.01")
    return Energy((energy.consumption * factor).quantize(cent), (energy.reversed * factor).quantize(cent))


def _solar_wh(device_id: str, ts: int) -> float:
    day = ts // _DAY_S
    year = (day - _WINTER_SOLSTICE_DAY) % _YEAR_DAYS / _YEAR_DAYS
    summer = 4 * year * (1 - year)
    half_day_h = 4 + 4.25 * summer
    from_noon = ((ts % _DAY_S + _HOUR_S / 2) / _HOUR_S - 12.4) / half_day_h
    bell = max(0.0, 1 - from_noon * from_noon)
    # One sky for all devices: a grid meter and a roof meter have the same weather.
    sky = 0.12 + 0.88 * chance(f"sky/{day}")
    flicker = 0.75 + 0.25 * chance(f"flicker/{ts}")
    panels = 0.95 + 0.05 * chance(f"panels/{device_id}/{ts}")
    return _ROOF_WH * (0.25 + 0.75 * summer) * sky * bell * flicker * panels


def _load_wh(device_id: str, ts: int) -> float:
    hour = ts % _DAY_S // _HOUR_S
    load = 150 + 250 * chance(f"load/{device_id}/{ts}")
    if 17 <= hour <= 21:
        load += 300 + 1400 * chance(f"evening/{device_id}/{ts}")
    elif hour in (7, 8):
        load += 500 * chance(f"morning/{device_id}/{ts}")
    return load


def _wh(value: float) -> Decimal:
    return Decimal(int(value * 100)).scaleb(-2)


def chance(name: str) -> float:
    """A number in `[0, 1)` that depends only on the name."""
    return int.from_bytes(blake2b(name.encode(), digest_size=6).digest(), "big") / 2**48
