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
    """How a request for a day ended."""

    WRITTEN = "written"  # complete, and its file changed
    UNCHANGED = "unchanged"  # the file has it already
    PARTIAL = "partial"  # written, and not complete
    EMPTY = "empty"  # the cloud has no hour of it
    FAILED = "failed"  # no answer that could be used, or not saved


HELD_BACK = "every hour is there, but this machine's rules of the time zone are in doubt"
"""Why a day that has every hour is not complete: begins the `reason` of its `LastAttempt`."""


class LastAttempt(NamedTuple):
    """The last request for a day: how it ended, when (epoch seconds), tries so far, why it failed."""

    outcome: Outcome
    requested_at: int
    tries: int
    reason: str = ""

    @classmethod
    def requested_again(cls, tries: int, reason: str) -> LastAttempt:
        """A day that is due in the next run: stored as a failed request of very long ago."""
        return cls(Outcome.FAILED, 0, tries, reason)

    @property
    def is_requested_again(self) -> bool:
        """Whether the day is due regardless of what is stored."""
        return self.outcome is Outcome.FAILED and self.requested_at == 0

    @property
    def is_held_back(self) -> bool:
        """Whether a day with every hour was stored as partial, because the zone's rules were in doubt."""
        return self.reason.startswith(HELD_BACK)


class DayRecord(NamedTuple):
    """What is known of a day: whether a file is there and complete, and the last attempt."""

    stored: bool
    complete: bool
    last_attempt: LastAttempt | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the cloud answered and had no data."""
        return (
            not self.stored and self.last_attempt is not None and self.last_attempt.outcome is Outcome.EMPTY
        )

    @property
    def had_file(self) -> bool:
        """Whether there was a file at the last scan, or after the last request."""
        attempt = self.last_attempt
        return self.stored or (attempt is not None and attempt.outcome not in (Outcome.EMPTY, Outcome.FAILED))


NOTHING = DayRecord(stored=False, complete=False)

DayRecords = Callable[[], Mapping[date, DayRecord]]
"""Returns the present records; they change while a plan is carried out."""


_DAY = timedelta(days=1)
_DAY_S = 86400
_AGAIN_S = 30 * _DAY_S  # empty days may have got data meanwhile
_REFUSED_AGAIN_S = 7 * _DAY_S
_WORTH_DAYS = 45  # fewer days are fetched about as fast as their totals
_TOTALS_SLACK_S = 6 * 3600  # the schedule checks once a day, at about the same time


@dataclass(frozen=True, slots=True)
class Availability:
    """Which of the days from `first` to `last` have a total above zero, as of `requested_at` (epoch seconds).

    `runs` are the stretches of such days, `(first, last)` each, ascending; none if the cloud has no
    usable daily totals.
    """

    requested_at: int
    first: date
    last: date
    runs: tuple[tuple[date, date], ...] = ()

    @classmethod
    def of(cls, requested_at: int, first: date, last: date, days: Iterable[date]) -> Availability:
        """The same from the days with a total above zero, in any order."""
        runs: list[tuple[date, date]] = []
        for day in sorted(set(days)):
            if runs and runs[-1][1] + _DAY == day:
                runs[-1] = runs[-1][0], day
            else:
                runs.append((day, day))
        return cls(requested_at, first, last, tuple(runs))

    @property
    def is_usable(self) -> bool:
        """Whether any total was above zero; else the totals prove nothing."""
        return bool(self.runs)

    @property
    def beginning(self) -> date:
        """The first day with a total above zero: the assumed beginning of the meter's data."""
        return self.runs[0][0] if self.runs else self.first

    def beginning_seen(self, kept_from: date) -> date | None:
        """The same to show to people; `None` if it may only be the edge of what was read.

        `kept_from`: the first day that the cloud still has.
        """
        is_seen = self.beginning > self.first or self.first <= kept_from
        return self.beginning if self.is_usable and is_seen else None

    def days(self) -> Iterator[date]:
        """The days with a total above zero, ascending."""
        for first, last in self.runs:
            yield from (first + number * _DAY for number in range((last - first).days + 1))

    def may_have(self, day: date) -> bool:
        """Whether there are data of that day, or it is not known."""
        if not self.is_usable or not self.first <= day <= self.last:
            return True
        place = bisect_right(self.runs, day, key=lambda run: run[0])
        return place > 0 and day <= self.runs[place - 1][1]

    def is_before_the_beginning(self, day: date) -> bool:
        """Whether the meter was probably not installed yet."""
        return self.is_usable and self.first <= day < self.beginning

    def is_due(self, now: datetime) -> bool:
        """Whether the totals are to be requested again: monthly, weekly if they were not usable."""
        waited_s = now.timestamp() - self.requested_at
        return (
            waited_s < -_TOTALS_SLACK_S
            or waited_s >= (_AGAIN_S if self.is_usable else _REFUSED_AGAIN_S) - _TOTALS_SLACK_S
        )


def is_worth_it(first: date, today: date) -> bool:
    """Whether reading the totals saves requests before days down to `first` are fetched."""
    return (today - first).days > _WORTH_DAYS


RETENTION_DAYS = 3 * 365  # the cloud keeps three years
EXPIRING_DAYS = 30  # a day that the cloud deletes within so many days is at risk

_EMPTY_DAYS = 14  # fewer before the oldest stored day may be a gap
_BEFORE_BEGINNING = timedelta(days=14)  # data of a new meter's first days may come late


def first_day(today: date, days: int | None, since: date | None) -> date:
    """The oldest day to request: `days` full days back, all if `None`; not before `since` or what is kept."""
    kept = today - timedelta(days=RETENTION_DAYS)
    first = kept if days is None else max(kept, today - timedelta(days=days))
    return first if since is None else max(first, since)


def latest(*days: date | None) -> date | None:
    """The last of several first days; `None` where none is set."""
    return max(filter(None, days), default=None)


def expected_from(
    today: date, first: date, known: Mapping[date, DayRecord], availability: Availability | None
) -> date:
    """The oldest day that the archive should have: the meter's beginning, as far as it is known.

    `first` is the oldest day that the service requests. Stored days before it count, too.
    """
    oldest = _oldest_stored(known, today)
    if oldest < first:
        return oldest
    if availability is not None and availability.is_usable:
        return max(first, min(oldest, availability.beginning))
    before = [first + number * _DAY for number in range((oldest - first).days)]
    is_before = len(before) >= _EMPTY_DAYS and all(known.get(day, NOTHING).is_empty for day in before)
    return oldest if is_before else first


def expiring_days(
    today: date, first: date, known: Mapping[date, DayRecord], availability: Availability | None
) -> list[date]:
    """Days that are incomplete or missing and that the cloud deletes within 30 days, oldest first.

    Without days that the cloud had no data for.
    """
    days = in_danger(today, expected_from(today, first, known, availability))
    states = ((day, known.get(day, NOTHING)) for day in days)
    return [day for day, state in states if not state.complete and not state.is_empty]


def most_urgent(
    today: date, first: date, availability: Availability | None, *, insist: bool
) -> Iterator[date]:
    """The days before today down to `first`: yesterday, those at risk oldest first, the rest newest first.

    Days without a total above zero come last. Of those before the meter's beginning only the ones at risk
    are included, unless `insist`: the assumed beginning may be wrong.
    """
    yesterday = today - _DAY
    at_risk = in_danger(today, first)
    urgent = dict.fromkeys(day for day in [yesterday, *at_risk] if day >= first)

    def days() -> Iterator[date]:  # not as a list: of three years, with a thousand meters, that is 70 MB
        return chain(urgent, (day for day in newest_first(yesterday, first) if day not in urgent))

    for day in days():
        if day == yesterday or availability is None or availability.may_have(day):
            yield day
    if availability is None:
        return
    for day in days():
        if day == yesterday or availability.may_have(day):
            continue
        if insist or day in at_risk or not availability.is_before_the_beginning(day):
            yield day


def heals_from(today: date, known: Mapping[date, DayRecord], availability: Availability | None) -> date:
    """The oldest day that may be a gap if it is empty: two weeks before the meter's first data.

    If nothing is stored and there are no totals: two weeks before today.
    """
    begins = _oldest_stored(known, today)
    if availability is not None and availability.is_usable:
        begins = min(begins, availability.beginning)
    return begins - _BEFORE_BEGINNING


def lost_days(first: date, known: Mapping[date, DayRecord], reported_before: date | None) -> list[date]:
    """Days that the cloud deleted before they were complete: older than `first`, after the oldest stored.

    Without days that the cloud had no data for, and those before `reported_before`.
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
    """The days down to `first` that the cloud deletes within 30 days, oldest first."""
    kept = first_day(today, None, None)
    days = (kept + number * _DAY for number in range(EXPIRING_DAYS))
    return [day for day in days if first <= day < today]


def _oldest_stored(known: Mapping[date, DayRecord], otherwise: date) -> date:
    return min((day for day, state in known.items() if state.stored), default=otherwise)


DAILY_TRIES = 16  # after so many failed tries a day is requested once a week only

_HOUR_S = 3600
_SLACK_S = 300  # the schedule's jitter must not delay a request to the next run
_FAR_FUTURE_S = 2 * _HOUR_S


@dataclass(frozen=True, slots=True)
class PlanPolicy:
    """Which days the service requests.

    `backfill_days` full days before today, `None` for all that the cloud keeps. A complete day is
    requested again `settle_days` after its end. `heal`: incomplete past days are requested again.
    """

    backfill_days: int | None = None
    settle_days: tuple[int, ...] = (1, 3)
    heal: bool = True


def refresh_days(today: date, known: Mapping[date, DayRecord], now: datetime) -> Iterator[date]:
    """Today, and yesterday while it is incomplete and due."""
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

    Those that the cloud is about to delete come first, oldest first; then newest first. Empty ones from
    before the meter's beginning are requested only once more, before the cloud deletes them.
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
    """Days never stored and never requested, down to `first`, the most urgent first."""
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
    """The days of a backfill by hand: today and each day down to `first` that is not complete, or failed.

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
    """Whether an incomplete past day may be requested again: 1 h, 6 h, daily for 2 weeks, weekly."""
    if attempt is None:
        return True
    waited_s = now.timestamp() - attempt.requested_at
    return _is_of_a_wrong_clock(attempt, now) or waited_s >= wait_after(attempt.tries) - _SLACK_S


def wait_after(tries: int) -> int:
    """Seconds to wait after that many failed tries."""
    if tries <= 1:
        return _HOUR_S
    if tries == 2:
        return 6 * _HOUR_S
    return _DAY_S if tries <= DAILY_TRIES else 7 * _DAY_S


def settles(day: LocalDay, attempt: LastAttempt | None, now: datetime, policy: PlanPolicy) -> bool:
    """Whether a complete day is due for another request, because late data may have changed it.

    A day without a recorded attempt counts as settled once the last of these times has passed: from then
    on the ledger has no line for it.
    """
    if attempt is not None and attempt.outcome is Outcome.FAILED:
        return is_due(attempt, now)
    dues = [day.end + days * _DAY_S for days in policy.settle_days]
    if attempt is None or _is_of_a_wrong_clock(attempt, now):
        return bool(dues) and min(dues) <= now.timestamp() < max(dues)
    return any(attempt.requested_at < due <= now.timestamp() for due in dues)


def _is_gap_due(state: DayRecord, now: datetime, *, at_risk: bool, is_before: bool) -> bool:
    """Whether an incomplete day is requested again now.

    An empty one `at_risk` is requested weekly instead of daily: its hours may be gone before its total. One
    that `is_before` the meter's beginning is requested once.
    """
    if not is_due(state.last_attempt, now):
        return False
    if not state.is_empty or state.last_attempt is None:
        return True
    waited_s = now.timestamp() - state.last_attempt.requested_at
    if is_before:
        return at_risk and abs(waited_s) >= EXPIRING_DAYS * _DAY_S
    return not at_risk or abs(waited_s) >= 7 * _DAY_S - _SLACK_S


def _heals(state: DayRecord, policy: PlanPolicy) -> bool:
    """Whether an incomplete past day is requested again at all."""
    if state.last_attempt is not None and state.last_attempt.is_requested_again:
        return True
    return policy.heal and (state.stored or state.last_attempt is not None)


def _is_of_a_wrong_clock(attempt: LastAttempt, now: datetime) -> bool:
    """Whether the attempt is in the future; another request corrects that."""
    return attempt.requested_at > now.timestamp() + _FAR_FUTURE_S


class DayState(StrEnum):
    """The state of a past day, or of today."""

    TODAY = "today"  # in progress
    COMPLETE = "complete"  # every hour on every channel
    PARTIAL = "partial"  # stored with hours missing, requested again
    EMPTY = "empty"  # the cloud has had no data for it, requested again
    MISSING = "missing"  # not fetched yet
    GIVEN_UP = "given_up"  # incomplete after two weeks of requests, now requested once a week at most
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
    """How many of the complete days the cloud no longer has."""
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
