"""What the cloud still keeps: the oldest day to ask for, days about to be forgotten, days lost. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from itertools import dropwhile

from collector.energy.knowledge import NOTHING, Knowledge, Known

RETENTION_DAYS = 3 * 365  # the cloud keeps three years
EXPIRING_DAYS = 30  # so long before the cloud forgets a day it counts as at risk
EMPTY_RUN = 14  # so many empty days at the old end: the meter was not installed before

_DAY = timedelta(days=1)
_UNDER_WAY_MAX = 8  # no account collects more days at once


def first_day(today: date, days: int | None, since: date | None) -> date:
    """The oldest day to ask for: `days` full days back, all for `None`, never beyond what is kept."""
    kept = today - timedelta(days=RETENTION_DAYS)
    wanted = kept if days is None else max(kept, today - timedelta(days=days))
    return wanted if since is None else max(wanted, since)


def expected_from(today: date, first: date, known: Mapping[date, Known]) -> date:
    """The oldest day that the archive should have: where the meter began, as far as that is known.

    `first` is the oldest day that the service asks for. What is stored below it belongs to it, too.
    """
    oldest = _oldest_stored(known, today)
    return oldest if oldest < first or old_end(known, today) is not None else first


def expiring_days(today: date, first: date, known: Mapping[date, Known]) -> list[date]:
    """Days that will be lost within 30 days: incomplete or missing, and the cloud still keeps them.

    Oldest first. A day that the cloud answered and had nothing for is not lost by being forgotten.
    """
    days = _in_danger(today, expected_from(today, first, known))
    states = ((day, known.get(day, NOTHING)) for day in days)
    return [day for day, state in states if not state.complete and not state.is_empty]


def most_urgent(today: date, first: date, knowledge: Knowledge, *, insist: bool) -> Iterator[date]:
    """The days before today down to `first`: yesterday, those at risk oldest first, the rest newest first.

    Days at risk end after 14 empty ones, for the meter was not there so early. The rest ends, unless
    `insist`, where the 14 days after one were found empty and nothing older is stored.
    """
    yesterday = today - _DAY
    told = set()
    for day in [yesterday, *_in_danger(today, first)]:
        known = knowledge()
        if day != yesterday and (old_end(known, today) is not None or begins_after(day, known)):
            break
        if first <= day and day not in told:
            told.add(day)
            yield day
    for day in newest_first(yesterday, first):
        known = knowledge()
        if not insist and not known.get(day, NOTHING).stored and ends_before(day, known, today):
            return
        if day not in told:
            yield day


def old_end(known: Mapping[date, Known], today: date) -> date | None:
    """The oldest of the 14 empty days below the oldest stored one; `None` where there is no such run."""
    oldest = _oldest_stored(known, today)
    run = [oldest - number * _DAY for number in range(1, EMPTY_RUN + 1)]
    return run[-1] if all(known.get(each, NOTHING).is_empty for each in run) else None


def ends_before(day: date, known: Mapping[date, Known], today: date) -> bool:
    """Whether 14 days after `day` were found empty, and nothing older is stored."""
    answered = _answered_beside(day, known, _DAY)
    if len(answered) < EMPTY_RUN or answered[-1] >= today:
        return False
    if not all(known.get(each, NOTHING).is_empty for each in answered):
        return False
    return not any(state.stored for older, state in known.items() if older < day)


def begins_after(day: date, known: Mapping[date, Known]) -> bool:
    """Whether 14 days before `day` were found empty: the meter was not there so early."""
    answered = _answered_beside(day, known, -_DAY)
    return len(answered) == EMPTY_RUN and all(known.get(each, NOTHING).is_empty for each in answered)


def lost_days(first: date, known: Mapping[date, Known], reported_before: date | None) -> list[date]:
    """Days that the cloud forgot before they were complete: older than `first`, after the oldest stored.

    A day that the cloud answered and had nothing for was not lost.
    """
    oldest = _oldest_stored(known, first)
    start = oldest if reported_before is None else max(oldest, reported_before)
    days = (start + number * _DAY for number in range((first - start).days))
    states = ((day, known.get(day, NOTHING)) for day in days)
    return [day for day, state in states if not state.complete and not state.is_empty]


def newest_first(newest: date, oldest: date) -> Iterator[date]:
    """The days from `newest` down to `oldest`, both included."""
    return (newest - number * _DAY for number in range((newest - oldest).days + 1))


def _in_danger(today: date, first: date) -> list[date]:
    """The days down to `first` that the cloud will forget within 30 days, oldest first."""
    kept = first_day(today, None, None)
    days = (kept + number * _DAY for number in range(EXPIRING_DAYS))
    return [day for day in days if first <= day < today]


def _oldest_stored(known: Mapping[date, Known], otherwise: date) -> date:
    return min((day for day, state in known.items() if state.stored), default=otherwise)


def _answered_beside(day: date, known: Mapping[date, Known], step: timedelta) -> list[date]:
    """The 14 days next to `day` in that direction; the nearest may still be under way and say nothing."""
    beside = [day + number * step for number in range(1, EMPTY_RUN + _UNDER_WAY_MAX + 1)]
    return list(dropwhile(lambda each: each not in known, beside))[:EMPTY_RUN]
