"""Coverage: what became of each day since the meter began. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum

from collector.energy.availability import Availability
from collector.energy.knowledge import NOTHING, Known
from collector.energy.planning import DAILY_TRIES, PlanPolicy
from collector.energy.retention import expected_from, first_day, newest_first


class DayState(StrEnum):
    """What became of a day."""

    TODAY = "today"  # still under way
    COMPLETE = "complete"  # every hour on every channel
    PARTIAL = "partial"  # stored with hours missing, and asked for again
    EMPTY = "empty"  # the cloud had nothing for it so far, and it is asked for again
    MISSING = "missing"  # not had yet
    GIVEN_UP = "given_up"  # incomplete, and after two weeks of asking asked for once a week at most
    LOST = "lost"  # incomplete, and the cloud no longer keeps it


def coverage(
    today: date,
    known: Mapping[date, Known],
    availability: Availability | None,
    policy: PlanPolicy,
    since: date | None,
) -> dict[date, DayState]:
    """The state of each day from the oldest that the archive should have to today, oldest first."""
    kept = first_day(today, None, None)
    first = expected_from(today, first_day(today, policy.backfill_days, since), known, availability)
    past = {
        day: _state_of(known.get(day, NOTHING), policy, is_kept=day >= kept)
        for day in reversed(list(newest_first(today, first)))
    }
    return past | {today: DayState.TODAY}


def forgotten(today: date, states: Mapping[date, DayState]) -> int:
    """How many of the complete days the cloud no longer keeps: this archive is all there is of them."""
    kept = first_day(today, None, None)
    return sum(state is DayState.COMPLETE for day, state in states.items() if day < kept)


def _state_of(known: Known, policy: PlanPolicy, *, is_kept: bool) -> DayState:
    if known.complete:
        return DayState.COMPLETE
    if not is_kept:
        return DayState.LOST
    asked = known.asked
    if asked is not None and (not policy.heal or asked.tries > DAILY_TRIES):
        return DayState.GIVEN_UP
    if known.stored:
        return DayState.PARTIAL
    return DayState.EMPTY if known.is_empty else DayState.MISSING
