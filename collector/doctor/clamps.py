"""Doubts about the clamps, in words: what it looks like, what else looks like it, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from collector.cloud.meters import Meter
from collector.doctor.checks import Check, ok, skip, warn
from collector.energy.plausibility import ENOUGH_DAYS, Clamps, Doubt, doubts
from collector.energy.readings import EnergyDay

_AT_NOON = "In the app, on a sunny noon, the roof's channel is the one that shows most."
_DOUBTS = {
    Doubt.CHANNELS_SWAPPED: (
        "Import has the shape of the sun, nothing at night and most around noon, and solar has a house's, "
        "more at night than by day: grid and solar clamp look swapped",
        f"Swap grid_channel and solar_channel. {_AT_NOON}",
    ),
    Doubt.GRID_LIKE_A_ROOF: (
        "Import has the shape of the sun, nothing at night and most around noon, and nothing is exported",
        "Either grid and solar clamp are swapped, or a battery feeds the house at night and is charged from "
        f"the grid by day: then all is right. {_AT_NOON}",
    ),
    Doubt.SOLAR_AT_NIGHT: (
        "Solar is counted at night, many nights",
        "With a hybrid inverter, or a battery behind the solar clamp, this is right: nothing to do. Without "
        "one, the clamp is on another wire, or the time zone in the app is wrong: check where it is, and "
        f"solar_channel. {_AT_NOON}",
    ),
    Doubt.EXPORT_AT_NIGHT: (
        "More is exported than bought at night, without sun: the grid clamp looks turned around",
        "If no battery sells at night, turn it around, or reverse it in the app.",
    ),
    Doubt.EXPORT_EXCEEDS_SOLAR: (
        "More was exported than generated: a clamp looks reversed, or sees a part of the roof alone",
        "Look at both clamps. A battery, or a second inverter, looks like this, too.",
    ),
    Doubt.SOLAR_ALWAYS_ZERO: (
        "Solar was never above zero: the solar clamp looks missing or reversed",
        "Look at it; where there is none, set solar = false.",
    ),
    Doubt.IMPORT_ALWAYS_ZERO: (
        "Nothing was ever bought: the grid clamp looks missing or reversed",
        "Look at it, and whether grid_channel is right. A large battery looks like this, too.",
    ),
}


def clamps_check(meter: Meter, days: Iterable[EnergyDay]) -> Check:
    """What these days of the meter look like. Of a day that comes twice the later one counts.

    No sentence holds a number of kWh: they tell when people are at home.
    """
    unique = list({day.day.date: day for day in days}.values())
    found = doubts(unique, Clamps(meter.solar, meter.pv_kwh_discard))
    if found is None:
        return skip("clamps", f"Too early to tell: it takes {ENOUGH_DAYS} days.", meter.name)
    if not found:
        return ok("clamps", f"Nothing odd in the last {len(unique)} days.", meter.name)
    says, cure = _DOUBTS[found[0]]
    more = "".join(f"; {_DOUBTS[each][0][0].lower()}{_DOUBTS[each][0][1:]}" for each in found[1:])
    return warn("clamps", f"{says}{more}.", cure, meter.name)
