"""Whether day files without a mark are the meter's: compares a few days with the cloud's answers."""

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
"""Fetches a day from the cloud; `None` if the answer cannot be used."""


def unscaled(meter: Meter) -> Meter:
    """The meter without the configured scaling, as its device counts."""
    return replace(meter, grid_scale_factor=Decimal(1), pv_kwh_discard=Decimal(0))


class Proof(NamedTuple):
    """Whether day files are the meter's.

    `since`: the first day known to be the meter's, if an older day is clearly another meter's. `others`: the
    newest day of another meter, if an older day agrees.
    """

    found: Match
    since: date | None = None
    others: date | None = None


async def compared(samples: Sequence[tuple[date, DayFile]], answered: Answered) -> Proof:
    """Compares the samples, newest first, until one agrees or three do not; then from the oldest up.

    Of the oldest, the first that is not undecided counts: a meter may have been replaced.
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
    """Compares by epoch time; also by local time, if the file was saved with other rules of the zone."""
    zone = answer.day.zone
    found = match(file.readings, answer.readings)
    if found is Match.AGREES or not is_outdated(file, zone):
        return found
    starts = {ts: int(wall.replace(tzinfo=zone).timestamp()) for ts, wall in file.walls.items()}
    return match({starts[ts]: hour for ts, hour in file.readings.items()}, answer.readings)
