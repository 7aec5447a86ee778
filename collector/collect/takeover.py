"""Whether day files without a mark are the meter's: a few of its days beside the cloud's answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from collector.archive.dayfile import DayFile, is_outdated
from collector.cloud.meters import Meter
from collector.energy.identity import Match, match
from collector.energy.readings import EnergyDay

_ENOUGH_DISAGREE = 3

Answered = Callable[[date], Awaitable[EnergyDay | None]]
"""Gives what the cloud answers with for a day, `None` where that cannot be used."""


def unscaled(meter: Meter) -> Meter:
    """The meter as its device counts, without what the configuration makes of it."""
    return replace(meter, grid_scale_factor=Decimal(1), pv_kwh_discard=Decimal(0))


class Proof(NamedTuple):
    """Whether day files are the meter's.

    `since`: the first day that is known to be, where an older one is clearly another meter's. `others`: the
    newest that is another one's although an older day agrees.
    """

    found: Match
    since: date | None = None
    others: date | None = None


async def compared(samples: Sequence[tuple[date, DayFile]], answered: Answered) -> Proof:
    """Compares the samples, the newest first, until one agrees or three do not; then the oldest ones.

    Of those the first that decides counts: a meter may have been replaced.
    """
    found: dict[date, Match] = {}

    async def compare(day: date, file: DayFile) -> Match:
        answer = await answered(day)
        found[day] = Match.UNDECIDED if answer is None else _match(file, answer)
        return found[day]

    for day, file in samples:
        one = await compare(day, file)
        if one is Match.AGREES:
            break
        if Counter(found.values())[Match.DISAGREES] == _ENOUGH_DISAGREE:
            return Proof(one)
    else:
        return Proof(Match.DISAGREES if Match.DISAGREES in found.values() else Match.UNDECIDED)
    others = next((each for each, one in found.items() if one is Match.DISAGREES), None)
    for each, file in reversed(samples[len(found) :]):
        one = await compare(each, file)
        if one is not Match.UNDECIDED:
            return Proof(Match.AGREES, day if one is Match.DISAGREES else None, others)
    return Proof(Match.AGREES, None, others)


def _match(file: DayFile, answer: EnergyDay) -> Match:
    """Also by its local times, where the file was saved by other rules of the zone than today's."""
    zone = answer.day.zone
    found = match(file.readings, answer.readings)
    if found is Match.AGREES or not is_outdated(file, zone):
        return found
    starts = {ts: int(wall.replace(tzinfo=zone).timestamp()) for ts, wall in file.walls.items()}
    return match({starts[ts]: hour for ts, hour in file.readings.items()}, answer.readings)
