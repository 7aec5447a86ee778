"""What is known of each day, and what follows: which days to request next, what is missing or lost. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collector.energy.days import LocalDay, date_in, local_day


class Outcome(StrEnum):
    """How asking for a day ended."""

    WRITTEN = "written"  # complete, and its file changed
    UNCHANGED = "unchanged"  # what the file says already
    PARTIAL = "partial"  # written, and not complete
    EMPTY = "empty"  # the cloud has no hour of it
    FAILED = "failed"  # no answer that could be used, or not saved


HELD_BACK = "every hour is there, but this machine's rules of the time zone are in doubt"
"""Why a day that has every hour is not complete: begins the `reason` of its `LastAttempt`."""


class LastAttempt(NamedTuple):
    """The last time a day was requested: how it ended, epoch seconds, tries so far, why it failed."""

    outcome: Outcome
    asked_at: int
    tries: int
    reason: str = ""

    @classmethod
    def requested_again(cls, tries: int, reason: str) -> LastAttempt:
        """A day that is due in the next round: as one that was requested in vain very long ago."""
        return cls(Outcome.FAILED, 0, tries, reason)

    @property
    def is_requested_again(self) -> bool:
        """Whether the day is due whatever is stored of it."""
        return self.outcome is Outcome.FAILED and self.asked_at == 0

    @property
    def is_held_back(self) -> bool:
        """Whether every hour of the day was stored as partial, because the zone's rules were in doubt."""
        return self.reason.startswith(HELD_BACK)


class DayRecord(NamedTuple):
    """What is known of a day: whether a file is there and complete, and the last attempt."""

    stored: bool
    complete: bool
    last_attempt: LastAttempt | None = None

    @property
    def is_empty(self) -> bool:
        """Asked for, answered, and nothing there."""
        return (
            not self.stored and self.last_attempt is not None and self.last_attempt.outcome is Outcome.EMPTY
        )

    @property
    def had_file(self) -> bool:
        """Whether there was a file when the day was last looked at, or asked for."""
        attempt = self.last_attempt
        return self.stored or (attempt is not None and attempt.outcome not in (Outcome.EMPTY, Outcome.FAILED))


NOTHING = DayRecord(stored=False, complete=False)

DayRecords = Callable[[], Mapping[date, DayRecord]]
"""Gives what is known now; it grows while a plan is being followed."""


_DAY = timedelta(days=1)
_DAY_S = 86400
_AGAIN_S = 30 * _DAY_S  # what was empty may have been filled meanwhile
_REFUSED_AGAIN_S = 7 * _DAY_S
_WORTH_DAYS = 45  # fewer are collected about as fast as it is known which of them have data
_TOTALS_SLACK_S = 6 * 3600  # the schedule asks once a day, at about the same time


@dataclass(frozen=True, slots=True)
class Availability:
    """Which of the days from `first` to `last` have a total above zero, as of `asked_at` (epoch seconds).

    `runs` are the stretches of such days, `(first, last)` each, ascending; none where the cloud gives no
    daily totals that could be used.
    """

    asked_at: int
    first: date
    last: date
    runs: tuple[tuple[date, date], ...] = ()

    @classmethod
    def of(cls, asked_at: int, first: date, last: date, days: Iterable[date]) -> Availability:
        """The same from the days with a total above zero, in any order."""
        runs: list[tuple[date, date]] = []
        for day in sorted(set(days)):
            if runs and runs[-1][1] + _DAY == day:
                runs[-1] = runs[-1][0], day
            else:
                runs.append((day, day))
        return cls(asked_at, first, last, tuple(runs))

    @property
    def is_usable(self) -> bool:
        """Whether any total was above zero. Totals that show nothing of a whole meter prove nothing."""
        return bool(self.runs)

    @property
    def beginning(self) -> date:
        """The first day with a total above zero: where the meter's data are thought to begin."""
        return self.runs[0][0] if self.runs else self.first

    def beginning_seen(self, kept_from: date) -> date | None:
        """The same, for people: `None` where it is but the edge of what was read.

        Before it there are days without data, or such as the cloud, which keeps all from `kept_from` on, no
        longer has.
        """
        is_seen = self.beginning > self.first or self.first <= kept_from
        return self.beginning if self.is_usable and is_seen else None

    def days(self) -> Iterator[date]:
        """The days with a total above zero, ascending."""
        for first, last in self.runs:
            yield from (first + number * _DAY for number in range((last - first).days + 1))

    def may_have(self, day: date) -> bool:
        """Whether there are data of that day for certain, or nobody has looked."""
        if not self.is_usable or not self.first <= day <= self.last:
            return True
        place = bisect_right(self.runs, day, key=lambda run: run[0])
        return place > 0 and day <= self.runs[place - 1][1]

    def is_before_the_beginning(self, day: date) -> bool:
        """Whether the meter is thought not to have been there yet."""
        return self.is_usable and self.first <= day < self.beginning

    def is_due(self, now: datetime) -> bool:
        """Whether the totals are to be requested again: monthly, weekly where they could not be used."""
        waited_s = now.timestamp() - self.asked_at
        return (
            waited_s < -_TOTALS_SLACK_S
            or waited_s >= (_AGAIN_S if self.is_usable else _REFUSED_AGAIN_S) - _TOTALS_SLACK_S
        )


def is_worth_it(first: date, today: date) -> bool:
    """Whether the totals are worth their requests before days down to `first` are collected."""
    return (today - first).days > _WORTH_DAYS


RETENTION_DAYS = 3 * 365  # the cloud keeps three years
EXPIRING_DAYS = 30  # so long before the cloud forgets a day it counts as at risk

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
    today: date, first: date, known: Mapping[date, DayRecord], availability: Availability | None
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
    today: date, first: date, known: Mapping[date, DayRecord], availability: Availability | None
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


def heals_from(today: date, known: Mapping[date, DayRecord], availability: Availability | None) -> date:
    """The oldest day whose emptiness may be a gap: two weeks before the meter's first data.

    Nothing stored and no totals: two weeks before today.
    """
    begins = _oldest_stored(known, today)
    if availability is not None and availability.is_usable:
        begins = min(begins, availability.beginning)
    return begins - _BEFORE_BEGINNING


def lost_days(first: date, known: Mapping[date, DayRecord], reported_before: date | None) -> list[date]:
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


def _oldest_stored(known: Mapping[date, DayRecord], otherwise: date) -> date:
    return min((day for day, state in known.items() if state.stored), default=otherwise)


DAILY_TRIES = 16  # after so many fruitless ones a day is asked for once a week only

_HOUR_S = 3600
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


def refresh_days(today: date, known: Mapping[date, DayRecord], now: datetime) -> Iterator[date]:
    """Today, and yesterday as long as it is incomplete and due."""
    yield today
    yesterday = today - _DAY
    state = known.get(yesterday, NOTHING)
    if not state.complete and is_due(state.last_attempt, now):
        yield yesterday


def heal_days(
    zone: ZoneInfo,
    first: date,
    known: Mapping[date, DayRecord],
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
            recent = (
                state.last_attempt is not None or (today - day).days <= max(policy.settle_days, default=0) + 2
            )
            if recent and settles(local_day(day, zone), state.last_attempt, now, policy):
                yield day
        elif _heals(state, policy) and _is_gap_due(
            state, now, at_risk=day < safe, is_before=day < oldest_gap
        ):
            yield day


def backfill_days(
    today: date, first: date, records: DayRecords, availability: Availability | None
) -> Iterator[date]:
    """Days never stored and never asked for, down to `first`, the most urgent first."""
    for day in most_urgent(today, first, availability, insist=False):
        if day not in records():
            yield day


def wanted_days(
    today: date,
    first: date,
    records: DayRecords,
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
        state = records().get(day, NOTHING)
        waits = state.is_empty and not is_due(state.last_attempt, now)
        failed = state.last_attempt is not None and state.last_attempt.outcome is Outcome.FAILED
        if (failed or not state.complete) and (insist or not waits):
            yield day


def is_due(attempt: LastAttempt | None, now: datetime) -> bool:
    """Whether an incomplete past day may be asked for again: 1 h, 6 h, daily for 2 weeks, weekly."""
    if attempt is None:
        return True
    waited_s = now.timestamp() - attempt.asked_at
    return _is_of_a_wrong_clock(attempt, now) or waited_s >= wait_after(attempt.tries) - _SLACK_S


def wait_after(tries: int) -> int:
    """Seconds to wait after that many fruitless tries."""
    if tries <= 1:
        return _HOUR_S
    if tries == 2:
        return 6 * _HOUR_S
    return _DAY_S if tries <= DAILY_TRIES else 7 * _DAY_S


def settles(day: LocalDay, attempt: LastAttempt | None, now: datetime, policy: PlanPolicy) -> bool:
    """Whether a complete day is due for one more reading, because late data may have changed it.

    A day without a remembered reading counts as settled once the time of the last of these has come:
    from then on the ledger forgets it.
    """
    if attempt is not None and attempt.outcome is Outcome.FAILED:
        return is_due(attempt, now)
    dues = [day.end + days * _DAY_S for days in policy.settle_days]
    if attempt is None or _is_of_a_wrong_clock(attempt, now):
        return bool(dues) and min(dues) <= now.timestamp() < max(dues)
    return any(attempt.asked_at < due <= now.timestamp() for due in dues)


def _is_gap_due(state: DayRecord, now: datetime, *, at_risk: bool, is_before: bool) -> bool:
    """Whether an incomplete day is asked for again now.

    An empty one that is about to be forgotten is no longer asked for daily: its hours may be gone before
    its total. From before the meter was there: once, as its last chance.
    """
    if not is_due(state.last_attempt, now):
        return False
    if not state.is_empty or state.last_attempt is None:
        return True
    waited_s = now.timestamp() - state.last_attempt.asked_at
    if is_before:
        return at_risk and abs(waited_s) >= EXPIRING_DAYS * _DAY_S
    return not at_risk or abs(waited_s) >= 7 * _DAY_S - _SLACK_S


def _heals(state: DayRecord, policy: PlanPolicy) -> bool:
    """Whether an incomplete past day is asked for again at all; what was requested again is."""
    if state.last_attempt is not None and state.last_attempt.is_requested_again:
        return True
    return policy.heal and (state.stored or state.last_attempt is not None)


def _is_of_a_wrong_clock(attempt: LastAttempt, now: datetime) -> bool:
    """Whether the stamp lies in the future: asking once more heals it."""
    return attempt.asked_at > now.timestamp() + _FAR_FUTURE_S


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
    known: Mapping[date, DayRecord],
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


def _state_of(known: DayRecord, policy: PlanPolicy, *, is_kept: bool) -> DayState:
    if known.complete:
        return DayState.COMPLETE
    if not is_kept:
        return DayState.LOST
    attempt = known.last_attempt
    if attempt is not None and (not policy.heal or attempt.tries > DAILY_TRIES):
        return DayState.GIVEN_UP
    if known.stored:
        return DayState.PARTIAL
    return DayState.EMPTY if known.is_empty else DayState.MISSING
