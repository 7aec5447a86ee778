"""Which days to ask for next, in which order, from today and what is known. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import dropwhile
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collector.energy.days import LocalDay, date_in, local_day

RETENTION_DAYS = 3 * 365  # the cloud keeps three years
EMPTY_RUN = 14  # so many empty days at the old end: the meter was not installed before

_DAY = timedelta(days=1)
_HOUR_S, _DAY_S = 3600, 86400
_SLACK_S = 300  # the schedule's own spread must not push a re-read to the next round
_FAR_FUTURE_S = 2 * _HOUR_S
_UNDER_WAY_MAX = 8  # no account collects more days at once


class Outcome(StrEnum):
    """How asking for a day ended."""

    WRITTEN = "written"  # complete, and its file changed
    UNCHANGED = "unchanged"  # what the file says already
    PARTIAL = "partial"  # written, and not complete
    EMPTY = "empty"  # the cloud has no hour of it
    FAILED = "failed"  # no answer that could be used, or not saved


class Asked(NamedTuple):
    """The last time a day was asked for: how it ended, epoch seconds, tries so far, why it failed."""

    outcome: Outcome
    asked_at: int
    tries: int
    reason: str = ""


class Known(NamedTuple):
    """What is known of a day: whether a file is there, whether it is complete, the last asking."""

    stored: bool
    complete: bool
    asked: Asked | None = None

    @property
    def is_empty(self) -> bool:
        """Asked for, answered, and nothing there."""
        return not self.stored and self.asked is not None and self.asked.outcome is Outcome.EMPTY


NOTHING = Known(stored=False, complete=False)

Knowledge = Callable[[], Mapping[date, Known]]
"""Gives what is known now; it grows while a plan is being followed."""


@dataclass(frozen=True, slots=True)
class PlanPolicy:
    """Which days the service asks for by itself.

    `backfill_days` full days before today, `None` for all that the cloud keeps. A complete day is
    read again `settle_days` after its end. `heal` asks for incomplete past days again and again.
    """

    backfill_days: int | None = None
    settle_days: tuple[int, ...] = (1, 3)
    heal: bool = True


def first_day(today: date, days: int | None, since: date | None) -> date:
    """The oldest day to ask for: `days` full days back, all for `None`, never beyond what is kept."""
    kept = today - timedelta(days=RETENTION_DAYS)
    wanted = kept if days is None else max(kept, today - timedelta(days=days))
    return wanted if since is None else max(wanted, since)


def refresh_days(today: date, known: Mapping[date, Known], now: datetime) -> Iterator[date]:
    """Today, and yesterday as long as it is incomplete and due."""
    yield today
    yesterday = today - _DAY
    state = known.get(yesterday, NOTHING)
    if not state.complete and is_due(state.asked, now):
        yield yesterday


def heal_days(
    zone: ZoneInfo, first: date, known: Mapping[date, Known], now: datetime, policy: PlanPolicy
) -> Iterator[date]:
    """Past days that are due again, newest first: incomplete, empty, failed, or not yet settled."""
    today = date_in(zone, now)
    horizon = old_end(known, today)
    for day in sorted(known, reverse=True):
        if not first <= day < today or (horizon is not None and day < horizon):
            continue
        state = known[day]
        if state.complete:
            recent = state.asked is not None or (today - day).days <= max(policy.settle_days, default=0) + 2
            if recent and settles(local_day(day, zone), state.asked, now, policy):
                yield day
        elif policy.heal and (state.stored or state.asked) and is_due(state.asked, now):
            yield day


def backfill_days(today: date, first: date, knowledge: Knowledge) -> Iterator[date]:
    """Days never stored and never asked for, newest first, down to `first`.

    Once the 14 days after it have been found empty and nothing older is stored, a day is not asked for.
    """
    for day in _newest_first(today - _DAY, first):
        known = knowledge()
        if day not in known:
            if _ends_here(day, known, today):
                return
            yield day


def wanted_days(
    today: date, first: date, knowledge: Knowledge, now: datetime, *, insist: bool
) -> Iterator[date]:
    """What a person asks for: today and every day down to `first` that is not complete, newest first.

    Days older than 14 empty ones, and empty ones that are not due, are left out, unless `insist`.
    """
    for day in _newest_first(today, first):
        known = knowledge()
        state = known.get(day, NOTHING)
        if not insist:
            if _ends_here(day, known, today):
                return
            if state.is_empty and not is_due(state.asked, now):
                continue
        if not state.complete:
            yield day


def old_end(known: Mapping[date, Known], today: date) -> date | None:
    """The oldest of the 14 empty days below the oldest stored one; `None` where there is no such run."""
    day = min((day for day, state in known.items() if state.stored), default=today)
    run = [day - number * _DAY for number in range(1, EMPTY_RUN + 1)]
    return run[-1] if all(known.get(each, NOTHING).is_empty for each in run) else None


def is_due(asked: Asked | None, now: datetime) -> bool:
    """Whether an incomplete past day may be asked for again: 1 h, 6 h, daily for 2 weeks, weekly."""
    if asked is None:
        return True
    waited_s = now.timestamp() - asked.asked_at
    return _is_of_a_wrong_clock(asked, now) or waited_s >= wait_after(asked.tries) - _SLACK_S


def wait_after(tries: int) -> int:
    """Seconds to wait after that many fruitless tries."""
    if tries <= 1:
        return _HOUR_S
    if tries == 2:
        return 6 * _HOUR_S
    return _DAY_S if tries <= 16 else 7 * _DAY_S


def settles(day: LocalDay, asked: Asked | None, now: datetime, policy: PlanPolicy) -> bool:
    """Whether a complete day is due for one more reading, because late data may have changed it.

    A day without a remembered reading counts as settled once the time of the last of these has come:
    from then on the ledger forgets it.
    """
    dues = [day.end + days * _DAY_S for days in policy.settle_days]
    if asked is None or _is_of_a_wrong_clock(asked, now):
        return bool(dues) and min(dues) <= now.timestamp() < max(dues)
    if asked.outcome is Outcome.FAILED:
        return is_due(asked, now)
    return any(asked.asked_at < due <= now.timestamp() for due in dues)


def lost_days(first: date, known: Mapping[date, Known], reported_before: date | None) -> list[date]:
    """Days that the cloud forgot before they were complete: older than `first`, after the oldest stored.

    A day that the cloud answered and had nothing for was not lost.
    """
    oldest = min((day for day, state in known.items() if state.stored), default=first)
    start = oldest if reported_before is None else max(oldest, reported_before)
    days = (start + number * _DAY for number in range((first - start).days))
    states = ((day, known.get(day, NOTHING)) for day in days)
    return [day for day, state in states if not state.complete and not state.is_empty]


def _is_of_a_wrong_clock(asked: Asked, now: datetime) -> bool:
    """Whether the stamp lies in the future: asking once more heals it."""
    return asked.asked_at > now.timestamp() + _FAR_FUTURE_S


def _newest_first(newest: date, oldest: date) -> Iterator[date]:
    return (newest - number * _DAY for number in range((newest - oldest).days + 1))


def _ends_here(day: date, known: Mapping[date, Known], today: date) -> bool:
    """Whether 14 days after `day` were found empty, and nothing older is stored.

    The days next to it may still be under way; they say nothing yet.
    """
    after = [day + number * _DAY for number in range(1, EMPTY_RUN + _UNDER_WAY_MAX + 1)]
    answered = list(dropwhile(lambda each: each not in known, after))[:EMPTY_RUN]
    if len(answered) < EMPTY_RUN or answered[-1] >= today:
        return False
    if not all(known.get(each, NOTHING).is_empty for each in answered):
        return False
    return not any(state.stored for older, state in known.items() if older < day)
