"""Which days to ask for next, in which order, from today and what is known. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain
from zoneinfo import ZoneInfo

from collector.energy.availability import Availability
from collector.energy.days import LocalDay, date_in, local_day
from collector.energy.knowledge import NOTHING, Asked, Knowledge, Known, Outcome
from collector.energy.retention import EXPIRING_DAYS, first_day, heals_from, most_urgent, newest_first

DAILY_TRIES = 16  # after so many fruitless ones a day is asked for once a week only

_DAY = timedelta(days=1)
_HOUR_S, _DAY_S = 3600, 86400
_SLACK_S = 300  # the schedule's own spread must not push a re-read to the next round
_FAR_FUTURE_S = 2 * _HOUR_S


@dataclass(frozen=True, slots=True)
class PlanPolicy:
    """Which days the service asks for by itself.

    `backfill_days` full days before today, `None` for all that the cloud keeps. A complete day is
    read again `settle_days` after its end. `heal` asks for incomplete past days again and again.
    """

    backfill_days: int | None = None
    settle_days: tuple[int, ...] = (1, 3)
    heal: bool = True


def refresh_days(today: date, known: Mapping[date, Known], now: datetime) -> Iterator[date]:
    """Today, and yesterday as long as it is incomplete and due."""
    yield today
    yesterday = today - _DAY
    state = known.get(yesterday, NOTHING)
    if not state.complete and is_due(state.asked, now):
        yield yesterday


def heal_days(
    zone: ZoneInfo,
    first: date,
    known: Mapping[date, Known],
    availability: Availability | None,
    now: datetime,
    policy: PlanPolicy,
) -> Iterator[date]:
    """Past days that are due again: incomplete, empty, failed, or not yet settled.

    Those that the cloud is about to forget come first, oldest first; then newest first. Empty ones from
    before the meter was there are not asked for again, but once before the cloud forgets them.
    """
    today = date_in(zone, now)
    oldest_gap = heals_from(today, known, availability)
    safe = first_day(today, None, None) + timedelta(days=EXPIRING_DAYS)
    days = sorted(known, reverse=True)
    for day in [*reversed([day for day in days if day < safe]), *(day for day in days if day >= safe)]:
        if not first <= day < today:
            continue
        state = known[day]
        if state.complete:
            recent = state.asked is not None or (today - day).days <= max(policy.settle_days, default=0) + 2
            if recent and settles(local_day(day, zone), state.asked, now, policy):
                yield day
        elif _heals(state, policy) and _is_gap_due(
            state, now, at_risk=day < safe, is_before=day < oldest_gap
        ):
            yield day


def backfill_days(
    today: date, first: date, knowledge: Knowledge, availability: Availability | None
) -> Iterator[date]:
    """Days never stored and never asked for, down to `first`, the most urgent first."""
    for day in most_urgent(today, first, availability, insist=False):
        if day not in knowledge():
            yield day


def wanted_days(
    today: date,
    first: date,
    knowledge: Knowledge,
    availability: Availability | None,
    now: datetime,
    *,
    insist: bool,
) -> Iterator[date]:
    """What a person asks for: today and every day down to `first` that is not complete, or could not be read.

    Days before the meter's beginning, and empty ones that are not due, are left out, unless `insist`.
    """
    for day in chain(
        newest_first(today, max(first, today)), most_urgent(today, first, availability, insist=insist)
    ):
        state = knowledge().get(day, NOTHING)
        waits = state.is_empty and not is_due(state.asked, now)
        failed = state.asked is not None and state.asked.outcome is Outcome.FAILED
        if (failed or not state.complete) and (insist or not waits):
            yield day


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
    return _DAY_S if tries <= DAILY_TRIES else 7 * _DAY_S


def settles(day: LocalDay, asked: Asked | None, now: datetime, policy: PlanPolicy) -> bool:
    """Whether a complete day is due for one more reading, because late data may have changed it.

    A day without a remembered reading counts as settled once the time of the last of these has come:
    from then on the ledger forgets it.
    """
    if asked is not None and asked.outcome is Outcome.FAILED:
        return is_due(asked, now)
    dues = [day.end + days * _DAY_S for days in policy.settle_days]
    if asked is None or _is_of_a_wrong_clock(asked, now):
        return bool(dues) and min(dues) <= now.timestamp() < max(dues)
    return any(asked.asked_at < due <= now.timestamp() for due in dues)


def _is_gap_due(state: Known, now: datetime, *, at_risk: bool, is_before: bool) -> bool:
    """Whether an incomplete day is asked for again now.

    An empty one that is about to be forgotten is no longer asked for daily: its hours may be gone before
    its total. From before the meter was there: once, as its last chance.
    """
    if not is_due(state.asked, now):
        return False
    if not state.is_empty or state.asked is None:
        return True
    waited_s = now.timestamp() - state.asked.asked_at
    if is_before:
        return at_risk and abs(waited_s) >= EXPIRING_DAYS * _DAY_S
    return not at_risk or abs(waited_s) >= 7 * _DAY_S - _SLACK_S


def _heals(state: Known, policy: PlanPolicy) -> bool:
    """Whether an incomplete past day is asked for again at all; what somebody wishes for is."""
    if state.asked is not None and state.asked.is_wish:
        return True
    return policy.heal and (state.stored or state.asked is not None)


def _is_of_a_wrong_clock(asked: Asked, now: datetime) -> bool:
    """Whether the stamp lies in the future: asking once more heals it."""
    return asked.asked_at > now.timestamp() + _FAR_FUTURE_S
