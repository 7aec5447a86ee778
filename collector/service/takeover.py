"""Whether day files without a mark are the meter's: a few of its days beside the cloud's answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal

from collector.archive.dayfile import DayFile, is_outdated
from collector.cloud.meters import Meter
from collector.energy.matching import Match, match
from collector.energy.readings import EnergyDay

_ENOUGH_DISAGREE = 3

Answered = Callable[[date], Awaitable[EnergyDay | None]]
"""Gives what the cloud answers with for a day, `None` where that cannot be used."""


def unscaled(meter: Meter) -> Meter:
    """The meter as its device counts, without what the configuration makes of it."""
    return replace(meter, grid_scale_factor=Decimal(1), pv_kwh_discard=Decimal(0))


async def compared(samples: Iterable[tuple[date, DayFile]], answered: Answered) -> Match:
    """Compares the samples one by one. One day that agrees is enough, and so are three that do not."""
    found: Counter[Match] = Counter()
    for day, file in samples:
        answer = await answered(day)
        one = Match.UNDECIDED if answer is None else _match(file, answer)
        found[one] += 1
        if one is Match.AGREES or found[Match.DISAGREES] == _ENOUGH_DISAGREE:
            return one
    return Match.DISAGREES if found[Match.DISAGREES] else Match.UNDECIDED


def _match(file: DayFile, answer: EnergyDay) -> Match:
    """Also by its local times, where the file was saved by other rules of the zone than today's."""
    zone = answer.day.zone
    found = match(file.readings, answer.readings)
    if found is Match.AGREES or not is_outdated(file, zone):
        return found
    starts = {ts: int(wall.replace(tzinfo=zone).timestamp()) for ts, wall in file.walls.items()}
    return match({starts[ts]: hour for ts, hour in file.readings.items()}, answer.readings)
