"""Whether day files without a mark are the meter's: a few of its days beside the cloud's answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal

from collector.archive.dayfile import DayFile
from collector.cloud.meters import Meter
from collector.energy.matching import Match, match
from collector.energy.readings import HourReading

_ENOUGH_DISAGREE = 3

Answered = Callable[[date], Awaitable[Mapping[int, HourReading]]]
"""Gives the hours that the cloud answers with for a day, kWh by epoch seconds; none where it has none."""


def unscaled(meter: Meter) -> Meter:
    """The meter as its device counts, without what the configuration makes of it."""
    return replace(meter, grid_scale_factor=Decimal(1), pv_kwh_discard=Decimal(0))


async def compared(samples: Iterable[tuple[date, DayFile]], answered: Answered) -> Match:
    """Compares the samples one by one. One day that agrees is enough, and so are three that do not."""
    found: Counter[Match] = Counter()
    for day, file in samples:
        one = match(file.readings, await answered(day))
        found[one] += 1
        if one is Match.AGREES or found[Match.DISAGREES] == _ENOUGH_DISAGREE:
            return one
    return Match.DISAGREES if found[Match.DISAGREES] else Match.UNDECIDED
