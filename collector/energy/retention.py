"""What the cloud still keeps: the oldest day to ask for, days about to be forgotten, days lost. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from collector.energy.availability import Availability
from collector.energy.knowledge import NOTHING, Known

RETENTION_DAYS = 3 * 365  # the cloud keeps three years
EXPIRING_DAYS = 30  # so long before the cloud forgets a day it counts as at risk

_DAY = timedelta(days=1)
_EMPTY_DAYS = 14  # fewer at the old end may be a gap
_BEFORE_BEGINNING = timedelta(days=14)  # data of a new meter's first days may come late


def first_day(today: date, days: int | None, since: date | None) -> date:
    """The oldest day to ask for: `days` full days back, all for `None`, never beyond what is kept."""
    kept = today - timedelta(days=RETENTION_DAYS)
    wanted = kept if days is None else max(kept, today - timedelta(days=days))
    return wanted if since is None else max(wanted, since)


def latest(*days: date | None) -> date | None:
    """The last of several first days; `None` where none is set."""
    return max(filter(None, days), default=None)


def expected_from(
    today: date, first: date, known: Mapping[date, Known], availability: Availability | None
) -> date:
    """The oldest day that the archive should have: where the meter began, as far as that is known.

    `first` is the oldest day that the service asks for. What is stored below it belongs to it, too.
    """
    oldest = _oldest_stored(known, today)
    if oldest < first:
        return oldest
    if availability is not None and availability.is_usable:
        return max(first, min(oldest, availability.beginning))
    before = [first + number * _DAY for number in range((oldest - first).days)]
    was_not_there = len(before) >= _EMPTY_DAYS and all(known.get(day, NOTHING).is_empty for day in before)
    return oldest if was_not_there else first


def expiring_days(
    today: date, first: date, known: Mapping[date, Known], availability: Availability | None
) -> list[date]:
    """Days that will be lost within 30 days: incomplete or missing, and the cloud still keeps them.

    Oldest first. A day that the cloud answered and had nothing for is not lost by being forgotten.
    """
    days = in_danger(today, expected_from(today, first, known, availability))
    states = ((day, known.get(day, NOTHING)) for day in days)
    return [day for day, state in states if not state.complete and not state.is_empty]


def most_urgent(
    today: date, first: date, availability: Availability | None, *, insist: bool
) -> Iterator[date]:
    """The days before today down to `first`: yesterday, those at risk oldest first, the rest newest first.

    Days without a total above zero come last. Of those before the meter's beginning only the ones at risk
    come at all, unless `insist`: what is thought of the beginning may be wrong.
    """
    yesterday = today - _DAY
    at_risk = in_danger(today, first)
    days = dict.fromkeys(
        day for day in [yesterday, *at_risk, *newest_first(yesterday, first)] if day >= first
    )
    doubtful = []
    for day in days:
        if day == yesterday or availability is None or availability.may_have(day):
            yield day
        else:
            doubtful.append(day)
    for day in doubtful:
        if insist or day in at_risk or not (availability and availability.is_before_the_beginning(day)):
            yield day


def heals_from(today: date, known: Mapping[date, Known], availability: Availability | None) -> date:
    """The oldest day whose emptiness may be a gap: two weeks before the meter's first data.

    Nothing stored and no totals: two weeks before today.
    """
    begins = _oldest_stored(known, today)
    if availability is not None and availability.is_usable:
        begins = min(begins, availability.beginning)
    return begins - _BEFORE_BEGINNING


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


def in_danger(today: date, first: date) -> list[date]:
    """The days down to `first` that the cloud will forget within 30 days, oldest first."""
    kept = first_day(today, None, None)
    days = (kept + number * _DAY for number in range(EXPIRING_DAYS))
    return [day for day in days if first <= day < today]


def _oldest_stored(known: Mapping[date, Known], otherwise: date) -> date:
    return min((day for day, state in known.items() if state.stored), default=otherwise)
