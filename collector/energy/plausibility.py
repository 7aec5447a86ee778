"""Whether the clamps sit where the configuration says, judged by days of energy. Pure.

What it tells is a doubt, never a fact: a battery, a hybrid inverter or the midnight sun can look like
a clamp in the wrong place. So each rule asks for several days, and stays silent where it cannot know.
That two clamps are each other takes proof from both: the grid's behaves like a roof, the solar clamp
like a house. One of the two alone has other readings, and is a doubt of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from collector.energy.readings import EnergyDay, HourReading

NIGHT_LABELS = (23, 0, 1, 2)  # 23:00 to 03:00: dark all year up to about 60 degrees, summer time included
DAY_LABELS = (10, 11, 12, 13, 14, 15)
NOON_LABELS = (11, 12, 13, 14)  # of them the sun shines somewhere on every roof, in any zone and month
DARK_LABELS = (18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4, 5)  # half of the day; a house has its evening in it
NIGHT_KWH = Decimal("0.020")  # an hour; an inverter's standby and a clamp's noise stay below 15 W
NIGHT_SHARE = Decimal("0.25")  # of the day's mean; the midnight sun gives less, a house's base load more
SUN_SHARE = Decimal("0.05")  # of the best hour's mean; what has more belongs to the bell of the sun
EDGE_SHARE = Decimal("0.6")  # of the same; the sun's first and last hour have less, a timer's have not
ENOUGH_NIGHTS = 3  # one odd night is a test run or a data error
ENOUGH_DAYS = 3
EXPORT_MARGIN = Decimal("1.10")  # two clamps, each a few per cent off
EXPORT_SLACK_KWH = Decimal("0.5")  # so that two noisy zeros are no finding
ZERO_DAYS = 5  # a roof in cloud still gives a little on one of five days
BRIGHT_MONTHS = range(4, 11)  # outside of them snow and polar night keep northern roofs at zero for weeks


class Doubt(StrEnum):
    """What looks wrong, the most telling first."""

    CHANNELS_SWAPPED = "channels_swapped"  # the grid's is a roof, and the solar clamp's a house
    GRID_LIKE_A_ROOF = "grid_like_a_roof"
    SOLAR_AT_NIGHT = "solar_at_night"
    EXPORT_AT_NIGHT = "export_at_night"
    EXPORT_EXCEEDS_SOLAR = "export_exceeds_solar"
    SOLAR_ALWAYS_ZERO = "solar_always_zero"
    IMPORT_ALWAYS_ZERO = "import_always_zero"


@dataclass(frozen=True, slots=True)
class Clamps:
    """What the configuration says: whether solar is counted, and the kWh taken off each of its hours."""

    has_solar: bool = True
    pv_kwh_discard: Decimal = Decimal(0)


def doubts(days: Sequence[EnergyDay], clamps: Clamps) -> tuple[Doubt, ...] | None:
    """What looks wrong in these days; `None` where they are too few to say anything.

    Days with hours missing count for what they have.
    """
    known = [day for day in days if day.readings]
    if len(known) < ENOUGH_DAYS:
        return None
    rules = (
        (Doubt.CHANNELS_SWAPPED, clamps.has_solar and _is_roof(known) and _is_house(known)),
        (Doubt.GRID_LIKE_A_ROOF, clamps.has_solar and _is_roof(known)),
        (Doubt.SOLAR_AT_NIGHT, clamps.has_solar and _shines_at_night(known)),
        (Doubt.EXPORT_AT_NIGHT, _exports_at_night(known)),
        (Doubt.EXPORT_EXCEEDS_SOLAR, clamps.has_solar and _exports_too_much(known, clamps)),
        (Doubt.SOLAR_ALWAYS_ZERO, clamps.has_solar and _is_always_dark(known, clamps)),
        (Doubt.IMPORT_ALWAYS_ZERO, not any(hour.import_kwh for hour in _hours(known))),
    )
    found = [doubt for doubt, holds in rules if holds]
    if Doubt.CHANNELS_SWAPPED in found:  # it explains the others
        return (Doubt.CHANNELS_SWAPPED,)
    return tuple(found)


def _is_roof(days: Sequence[EnergyDay]) -> bool:
    """Whether what is bought could be what a roof gives: nothing in any night, something at every noon.

    Nothing is ever exported, as a grid's clamp would show it at a bright noon. And over the days it is
    one bell, which rises and falls slowly.
    """
    nights = _nights(days)
    noons = [noon for day in days if (noon := _labelled(day, NOON_LABELS))]
    if len(nights) < ENOUGH_NIGHTS or len(noons) < ENOUGH_DAYS:
        return False
    if any(_mean_import(night) > NIGHT_KWH for night in nights):
        return False
    if any(_mean_import(noon) <= NIGHT_KWH for noon in noons):
        return False
    return not any(hour.export_kwh > NIGHT_KWH for hour in _hours(days)) and _is_bell(
        [_mean_import([hour for day in days for hour in _labelled(day, [label])]) for label in range(24)]
    )


def _is_bell(by_label: Sequence[Decimal]) -> bool:
    """Whether these means of the local hours have one peak by day, with slopes on the way to nothing."""
    best = max(by_label)
    least = max(best * SUN_SHARE, NIGHT_KWH)
    sunny = [label for label, mean in enumerate(by_label) if mean > least]
    return (
        by_label.index(best) in DAY_LABELS
        and sunny == list(range(sunny[0], sunny[-1] + 1))
        and max(by_label[sunny[0]], by_label[sunny[-1]]) < best * EDGE_SHARE
    )


def _is_house(days: Sequence[EnergyDay]) -> bool:
    """Whether what is counted as solar could be what a house buys beside a roof that import is of.

    Something most nights, and less of it by day; the roof is not too small to be told from noise.
    """
    nights = [hour for night in _nights(days) for hour in night]
    noon, by_day, dark = (
        [hour for day in days for hour in _labelled(day, labels)]
        for labels in (NOON_LABELS, DAY_LABELS, DARK_LABELS)
    )
    return (
        _shines_at_night(days)
        and _mean_solar(by_day) < _mean_solar(dark)
        and _mean_import(noon) > NIGHT_SHARE * _mean_solar(nights)
    )


def _shines_at_night(days: Sequence[EnergyDay]) -> bool:
    nights = _nights(days)
    bright = [night for night in nights if _mean_solar(night) > NIGHT_KWH]
    if len(bright) < ENOUGH_NIGHTS or len(bright) * 2 <= len(nights):
        return False
    at_night = [hour for night in nights for hour in night]
    by_day = [hour for day in days for hour in _labelled(day, DAY_LABELS)]
    return _mean_solar(at_night) > NIGHT_SHARE * _mean_solar(by_day)


def _exports_at_night(days: Sequence[EnergyDay]) -> bool:
    nights = _nights(days)
    odd = [
        night
        for night in nights
        if _mean_export(night) > NIGHT_KWH
        and _mean_export(night) > _mean_import(night)
        and _mean_solar(night) < NIGHT_KWH
    ]
    return len(odd) >= ENOUGH_NIGHTS and len(odd) * 2 > len(nights)


def _exports_too_much(days: Sequence[EnergyDay], clamps: Clamps) -> bool:
    """Over all days: within one hour the clamps may disagree about which minute it was."""
    whole = [hour for hour in _hours(days) if hour.solar_kwh is not None]
    exported = sum((hour.export_kwh for hour in whole), Decimal(0))
    generated = sum((hour.solar_kwh or Decimal(0) for hour in whole), Decimal(0))
    generated += len(whole) * clamps.pv_kwh_discard  # at most so much was taken off
    return exported > generated * EXPORT_MARGIN + EXPORT_SLACK_KWH


def _is_always_dark(days: Sequence[EnergyDay], clamps: Clamps) -> bool:
    bright = [day for day in days if day.day.date.month in BRIGHT_MONTHS]
    if clamps.pv_kwh_discard or len(bright) < ZERO_DAYS:
        return False
    return all(hour.solar_kwh == 0 for hour in _hours(days))


def _nights(days: Sequence[EnergyDay]) -> list[list[HourReading]]:
    """The dark hours of each date, where all that it has of them are known: in spring one is skipped."""
    nights = [(_labelled(day, NIGHT_LABELS), sum(map(day.day.labels.count, NIGHT_LABELS))) for day in days]
    return [night for night, hours in nights if len(night) == hours]


def _labelled(day: EnergyDay, labels: Iterable[int]) -> list[HourReading]:
    """The readings of these local hours that are known on both clamps."""
    hours = (ts for label in labels for ts in day.day.hours_labelled(label))
    readings = (day.readings[ts] for ts in hours if ts in day.readings)
    return [each for each in readings if each.solar_kwh is not None]


def _hours(days: Sequence[EnergyDay]) -> Iterable[HourReading]:
    return (hour for day in days for hour in day.readings.values())


def _mean_import(hours: Sequence[HourReading]) -> Decimal:
    return _mean([hour.import_kwh for hour in hours])


def _mean_export(hours: Sequence[HourReading]) -> Decimal:
    return _mean([hour.export_kwh for hour in hours])


def _mean_solar(hours: Sequence[HourReading]) -> Decimal:
    return _mean([hour.solar_kwh or Decimal(0) for hour in hours])


def _mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, Decimal(0)) / len(values) if values else Decimal(0)
