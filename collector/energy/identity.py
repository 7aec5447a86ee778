"""The identity of an archive's meter, and whether stored hours are from that meter. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from collector.energy.daily_totals import CLOUD_HALF_UNIT_KWH, decimals_of
from collector.energy.readings import HourReading


class Identity(NamedTuple):
    """The meter of an archive: the kind of its device, the ids of its devices, its clamps.

    `devices` are the grid's and, of a 3EM pair, the solar one's. `channels` are an EM's: the grid clamp
    and, where there is one, the solar clamp; a 3EM has none.
    """

    kind: str
    devices: tuple[str, ...]
    channels: tuple[int, ...] = ()

    def __str__(self) -> str:
        """`device e8db84d2a1b3 (em, grid channel 0, solar channel 1)`."""
        noun = "devices" if len(self.devices) > 1 else "device"
        roles = zip(("grid", "solar"), self.channels, strict=False)
        details = [self.kind, *(f"{role} channel {channel}" for role, channel in roles)]
        if len(self.channels) == 1:
            details.append("no solar")
        return f"{noun} {' and '.join(self.devices)} ({', '.join(details)})"


ENOUGH_HOURS = 6
"""This many different hours above zero must be equal: two meters never have that many in common."""

_MOST_REVISED = 8  # one hour of so many may have been revised since it was stored
_SCALES = Decimal("0.0001"), Decimal(100)  # what grid_scale_factor may be
_LARGEST_DISCARD_KWH = Decimal(10)  # what pv_kwh_discard may be
_ZERO, _ONE = Decimal(0), Decimal(1)


class Match(StrEnum):
    """How a stored day compares with the cloud's answer."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    UNDECIDED = "undecided"  # too few hours in common above zero


def distinct_hours(readings: Iterable[HourReading]) -> int:
    """The number of different readings that are not zero."""
    return len({each for each in readings if _is_nonzero(each)})


def match(stored: Mapping[int, HourReading], answered: Mapping[int, HourReading]) -> Match:
    """Compares hours by epoch seconds, kWh, within the stored numbers' own rounding.

    `answered` has neither factor nor discard applied: those of the stored hours are estimated from the
    numbers, because they may differ from the ones configured now.
    """
    pairs = [(hour, answered[ts]) for ts, hour in stored.items() if ts in answered and _is_nonzero(hour)]
    if distinct_hours(hour for hour, _ in pairs) < ENOUGH_HOURS:
        return Match.UNDECIDED
    half_unit = Decimal(5).scaleb(-_decimals(stored.values()) - 1)
    discards = [_ZERO, _discard_of(pairs)]
    for scale, slack in ((_ONE, _ZERO), _scale_of(pairs, half_unit)):
        for discard in discards:
            same = [
                hour
                for hour, cloud in pairs
                if _is_same_grid(hour, cloud, scale, half_unit, slack)
                and _is_same_solar(hour, cloud, discard, half_unit)
            ]
            revised = len(pairs) - len(same)
            if distinct_hours(same) >= ENOUGH_HOURS and revised * _MOST_REVISED <= len(pairs):
                return Match.AGREES
    return Match.DISAGREES


def _is_nonzero(hour: HourReading) -> bool:
    return bool(hour.import_kwh or hour.export_kwh or hour.solar_kwh)


def _decimals(readings: Iterable[HourReading]) -> int:
    return max(decimals_of(number) for hour in readings for number in hour if number is not None)


def _is_same_grid(
    hour: HourReading, cloud: HourReading, scale: Decimal, half_unit: Decimal, slack: Decimal
) -> bool:
    return all(
        abs(stored - scale * raw) <= half_unit + scale * CLOUD_HALF_UNIT_KWH + slack * stored
        for stored, raw in ((hour.import_kwh, cloud.import_kwh), (hour.export_kwh, cloud.export_kwh))
    )


def _is_same_solar(hour: HourReading, cloud: HourReading, discard: Decimal, half_unit: Decimal) -> bool:
    if hour.solar_kwh is None or cloud.solar_kwh is None:
        return True
    expected = max(_ZERO, cloud.solar_kwh - discard)
    return abs(hour.solar_kwh - expected) <= 2 * half_unit + CLOUD_HALF_UNIT_KWH


def _scale_of(
    pairs: Sequence[tuple[HourReading, HourReading]], half_unit: Decimal
) -> tuple[Decimal, Decimal]:
    """The factor between the stored grid values and the cloud's, and its relative error.

    From the larger half of the hours, where the rounding of the stored numbers matters least.
    """
    sums = [(hour.import_kwh + hour.export_kwh, cloud.import_kwh + cloud.export_kwh) for hour, cloud in pairs]
    sums = sorted(((stored, raw) for stored, raw in sums if stored and raw), reverse=True)
    larger = sums[: (len(sums) + 1) // 2]
    low, high = _SCALES
    if not larger or not low <= (scale := _median(stored / raw for stored, raw in larger)) <= high:
        return _ONE, _ZERO
    return scale, 2 * half_unit / larger[-1][0]


def _discard_of(pairs: Sequence[tuple[HourReading, HourReading]]) -> Decimal:
    """The kWh that were subtracted from each solar hour."""
    missing = [
        cloud.solar_kwh - hour.solar_kwh
        for hour, cloud in pairs
        if hour.solar_kwh and cloud.solar_kwh is not None
    ]
    discard = _median(missing) if missing else _ZERO
    return discard if _ZERO < discard <= _LARGEST_DISCARD_KWH else _ZERO


def _median(values: Iterable[Decimal]) -> Decimal:
    from statistics import median  # here: rarely needed, and the service keeps 0.2 MB less

    return median(values)
