"""Which days are requested, in which order, and how often: dates only, no clock, no cloud."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.energy.days import local_day
from collector.energy.history import (
    EXPIRING_DAYS,
    NOTHING,
    RETENTION_DAYS,
    Availability,
    DayRecord,
    LastAttempt,
    Outcome,
    PlanPolicy,
    backfill_days,
    first_day,
    heal_days,
    is_due,
    lost_days,
    refresh_days,
    settles,
    wait_after,
    wanted_days,
)
from tests.support.energy_days import BERLIN, after

NOW = datetime(2024, 6, 15, 10, 5, tzinfo=UTC)
TODAY = date(2024, 6, 15)
OLDEST = date(2021, 6, 16)
POLICY = PlanPolicy()
COMPLETE, PARTIAL = DayRecord(stored=True, complete=True), DayRecord(stored=True, complete=False)
HOUR_S, DAY_S = 3600, 86400


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def requested(outcome: Outcome = Outcome.PARTIAL, hours_ago: float = 48, tries: int = 1) -> LastAttempt:
    return LastAttempt(outcome, int(NOW.timestamp() - hours_ago * HOUR_S), tries)


def empties(days_ago: Iterable[int], hours_ago: float = 0.1, tries: int = 1) -> dict[date, DayRecord]:
    return {
        ago(days): NOTHING._replace(last_attempt=requested(Outcome.EMPTY, hours_ago, tries))
        for days in days_ago
    }


def healed(
    known: dict[date, DayRecord],
    policy: PlanPolicy = POLICY,
    first: date = OLDEST,
    availability: Availability | None = None,
) -> list[date]:
    return list(heal_days(BERLIN, first, known, availability, NOW, policy))


def available(*days_ago: int) -> Availability:
    """What the cloud's totals show: something of these days, and nothing of the others."""
    days = [ago(number) for number in days_ago]
    return Availability.of(int(NOW.timestamp()), ago(RETENTION_DAYS), ago(1), days)


def test_the_oldest_day_is_what_the_cloud_keeps() -> None:
    """Three years; less with `days`; never before `since`; never more than is kept."""
    kept = ago(RETENTION_DAYS)
    assert first_day(TODAY, None, None) == kept
    assert first_day(TODAY, 30, None) == ago(30)
    assert first_day(TODAY, 99_999, date(2000, 1, 1)) == kept
    assert first_day(TODAY, None, ago(5)) == ago(5)
    assert first_day(TODAY, 3, ago(5)) == ago(3)
    assert first_day(TODAY, 0, None) == TODAY


def test_a_refresh_requests_today_first() -> None:
    """And for yesterday as long as that is incomplete and due."""
    assert list(refresh_days(TODAY, {}, NOW)) == [TODAY, ago(1)]
    assert list(refresh_days(TODAY, {ago(1): COMPLETE}, NOW)) == [TODAY]
    waiting = PARTIAL._replace(last_attempt=requested(hours_ago=0.5))
    assert list(refresh_days(TODAY, {ago(1): waiting}, NOW)) == [TODAY]
    due = PARTIAL._replace(last_attempt=requested(hours_ago=1))
    assert list(refresh_days(TODAY, {ago(1): due}, NOW)) == [TODAY, ago(1)]


def test_waits_grow_from_an_hour_to_a_week() -> None:
    """1 h, 6 h, daily for two weeks, weekly."""
    waits = [wait_after(tries) for tries in range(1, 20)]
    assert waits == [HOUR_S, 6 * HOUR_S, *[DAY_S] * 14, *[7 * DAY_S] * 3]
    assert wait_after(0) == HOUR_S


@given(tries=st.integers(0, 10_000), early_s=st.integers(301, 100_000))
def test_a_day_is_due_when_its_wait_is_over(tries: int, early_s: int) -> None:
    """Five minutes before is near enough: the schedule's own spread must not cost a round."""
    wait = wait_after(tries)
    last = LastAttempt(Outcome.PARTIAL, int(NOW.timestamp()) - wait, tries)
    assert is_due(last, NOW)
    assert is_due(last._replace(requested_at=last.requested_at + 300), NOW)
    early = last._replace(requested_at=last.requested_at + min(early_s, wait))
    assert not is_due(early, NOW)


def test_what_was_never_requested_is_due() -> None:
    """A partial file without a recorded attempt."""
    assert is_due(None, NOW)


@pytest.mark.parametrize("hours_ago", [-2.1, -24 * 365 * 10, 24 * 365 * 54])
def test_a_stamp_of_a_wrong_clock_does_not_delay(hours_ago: float) -> None:
    """Neither one from the future nor one from long ago."""
    assert is_due(requested(hours_ago=hours_ago, tries=99), NOW)


def test_a_small_step_of_the_clock_is_no_reason_to_ask() -> None:
    """Half an hour into the future is not a wrong clock."""
    assert not is_due(requested(hours_ago=-0.5), NOW)


def test_healing_goes_from_new_to_old() -> None:
    """Partial, empty and failed days that are due; not today, not the future, not before the first."""
    known = {
        ago(9): PARTIAL,
        ago(3): PARTIAL._replace(last_attempt=requested()),
        ago(5): NOTHING._replace(last_attempt=requested(Outcome.FAILED)),
        ago(4): NOTHING._replace(last_attempt=requested(Outcome.EMPTY)),
        ago(0): PARTIAL,
        ago(-1): PARTIAL,
        ago(6): PARTIAL._replace(last_attempt=requested(hours_ago=0.2)),
        ago(2000): PARTIAL,
        ago(7): COMPLETE,
        ago(8): NOTHING,
    }
    assert healed(known) == [ago(3), ago(4), ago(5), ago(9)]
    assert healed(known, first=ago(4)) == [ago(3), ago(4)]


def test_healing_can_be_switched_off() -> None:
    """Complete days settle all the same."""
    known = {ago(3): PARTIAL, ago(2): COMPLETE}
    assert healed(known, PlanPolicy(heal=False)) == [ago(2)]
    assert healed(known, PlanPolicy(heal=False, settle_days=())) == []


def test_empty_days_before_the_meter_was_there_are_not_healed() -> None:
    """Two weeks before the oldest that has data: the first days of a new meter may come late."""
    known = {ago(2): PARTIAL} | empties(range(3, 30), hours_ago=400)
    assert healed(known) == [ago(days) for days in range(2, 17)]
    assert healed(known, availability=available(5)) == [ago(days) for days in range(2, 20)]
    failed = {ago(25): NOTHING._replace(last_attempt=requested(Outcome.FAILED))}
    assert healed(known | failed)[-1] == ago(25)


def test_an_empty_day_of_long_before_is_requested_once_more_before_it_goes() -> None:
    """What is thought of the beginning may be wrong, and it is the last chance."""
    days = {RETENTION_DAYS: 31 * 24, RETENTION_DAYS - 10: 3 * 24, RETENTION_DAYS - 31: 40 * 24}
    known = {ago(2): COMPLETE}
    for days_ago, hours_ago in days.items():
        known |= empties([days_ago], hours_ago)
    assert healed(known, PlanPolicy(settle_days=())) == [ago(RETENTION_DAYS)]


def test_an_empty_day_that_is_about_to_be_forgotten_is_not_retried_daily() -> None:
    """Its total may outlive its hours: once a week is enough, where a day in the middle is retried daily."""
    edge = RETENTION_DAYS - 10
    old = {ago(RETENTION_DAYS): COMPLETE}
    assert healed(old | empties([edge, 500], hours_ago=30, tries=3)) == [ago(500)]
    assert healed(old | empties([edge], hours_ago=7 * 24, tries=3)) == [ago(edge)]


def test_a_backfill_requests_what_was_never_requested() -> None:
    """Newest first; neither today nor what is known in any way."""
    known = {
        ago(2): COMPLETE,
        ago(3): PARTIAL,
        ago(4): NOTHING._replace(last_attempt=requested(Outcome.FAILED)),
    }
    assert list(backfill_days(TODAY, ago(6), lambda: known, None)) == [ago(1), ago(5), ago(6)]
    assert list(backfill_days(TODAY, TODAY, lambda: known, None)) == []
    assert list(backfill_days(TODAY, ago(-9), lambda: known, None)) == []


def test_a_gap_of_any_length_does_not_end_a_backfill() -> None:
    """Bug: after 14 empty days the meter was taken for not installed yet, and older days were forgotten."""
    known: dict[date, DayRecord] = {}
    taken = []
    for day in backfill_days(TODAY, ago(200), lambda: known, None):
        taken.append(day)
        known[day] = (
            NOTHING._replace(last_attempt=requested(Outcome.EMPTY, 0))
            if ago(90) < day < ago(20)
            else COMPLETE
        )
    assert taken == [ago(days) for days in range(1, 201)]


def test_days_that_the_totals_show_come_first_and_those_in_a_gap_last() -> None:
    """A total that is zero, missing or absent proves nothing: such a day is requested last, not never."""
    totals = available(*range(2, 20), *range(50, 80))
    planned = list(backfill_days(TODAY, ago(79), dict, totals))
    assert planned == [ago(days) for days in (1, *range(2, 20), *range(50, 80), *range(20, 50))]
    later = list(backfill_days(TODAY + timedelta(days=9), ago(3), dict, totals))
    assert later == [ago(days) for days in (*range(-8, 1), 2, 3, 1)]  # newer than the totals: not looked at


def test_days_before_the_meters_beginning_are_requested_when_they_are_about_to_go() -> None:
    """Not before: they cost a request each and very likely have nothing."""
    totals = available(*range(1, 100))
    at_risk = [ago(RETENTION_DAYS - number) for number in range(EXPIRING_DAYS)]
    planned = list(backfill_days(TODAY, ago(RETENTION_DAYS), dict, totals))
    assert planned == [*(ago(days) for days in range(1, 100)), *at_risk]
    insisted = list(wanted_days(TODAY, ago(RETENTION_DAYS), dict, totals, NOW, insist=True))
    assert len(insisted) == RETENTION_DAYS + 1


def test_totals_that_show_nothing_at_all_are_not_believed() -> None:
    """Nobody has a meter that never counted anything."""
    assert list(backfill_days(TODAY, ago(60), dict, available())) == [ago(days) for days in range(1, 61)]
    assert healed(empties(range(1, 30), 400), availability=available()) == [
        ago(days) for days in range(1, 15)
    ]


def test_what_a_person_wants_is_every_incomplete_day() -> None:
    """Newest first from today; empty ones that are not due are left out."""
    known = {
        ago(0): PARTIAL,
        ago(1): COMPLETE,
        ago(2): PARTIAL._replace(last_attempt=requested(hours_ago=0)),
        ago(3): NOTHING._replace(last_attempt=requested(Outcome.EMPTY, 0.1)),
        ago(4): NOTHING._replace(last_attempt=requested(Outcome.EMPTY, 30)),
    }
    wanted = list(wanted_days(TODAY, ago(5), lambda: known, None, NOW, insist=False))
    assert wanted == [ago(0), ago(2), ago(4), ago(5)]
    wanted = list(wanted_days(TODAY, ago(5), lambda: known, None, NOW, insist=True))
    assert wanted == [ago(0), ago(2), ago(3), ago(4), ago(5)]


def test_since_insists_on_empty_days() -> None:
    """A person may know better."""
    known = {ago(0): PARTIAL, ago(1): COMPLETE} | empties(range(2, 16))
    wanted = list(wanted_days(TODAY, ago(20), lambda: known, None, NOW, insist=False))
    assert wanted == [TODAY, *(ago(days) for days in range(16, 21))]
    insisted = list(wanted_days(TODAY, ago(20), lambda: known, None, NOW, insist=True))
    assert insisted == [TODAY, *(ago(days) for days in range(2, 21))]


@given(
    states=st.dictionaries(
        st.integers(-2, 40).map(ago),
        st.sampled_from([COMPLETE, PARTIAL, NOTHING, *empties([0]).values(), *empties([0], 999).values()]),
    ),
    insist=st.booleans(),
)
def test_plans_go_down_and_never_request_a_complete_day(states: dict[date, DayRecord], insist: bool) -> None:
    """Whatever is known: strictly newest first, within bounds, nothing that is complete."""
    wanted = list(wanted_days(TODAY, ago(30), lambda: states, None, NOW, insist=insist))
    missing = list(backfill_days(TODAY, ago(30), lambda: states, None))
    for days in (wanted, missing):
        assert days == sorted(set(days), reverse=True)
        assert all(ago(30) <= day <= TODAY for day in days)
        assert not any(states.get(day, NOTHING).complete for day in days)
    if insist:
        assert set(wanted) >= set(missing)
    again = healed(states)
    assert again == sorted(set(again), reverse=True)
    assert all(day < TODAY for day in again)


def test_a_complete_day_is_read_again_after_one_and_three_days() -> None:
    """Late data may have changed it."""
    day = local_day(date(2024, 6, 10), BERLIN)
    at_midnight = LastAttempt(Outcome.WRITTEN, day.end + 300, 0)
    assert not settles(day, at_midnight, after(day, hours=23), POLICY)
    assert settles(day, at_midnight, after(day, days=1), POLICY)
    after_a_day = at_midnight._replace(requested_at=day.end + DAY_S + 60)
    assert not settles(day, after_a_day, after(day, days=2), POLICY)
    assert settles(day, after_a_day, after(day, days=3), POLICY)
    after_three = at_midnight._replace(requested_at=day.end + 3 * DAY_S)
    assert not settles(day, after_three, after(day, days=400), POLICY)
    assert not settles(day, at_midnight, after(day, days=400), PlanPolicy(settle_days=()))


def test_a_day_without_a_remembered_reading_settles_within_the_time_for_it() -> None:
    """After the last of the re-readings it counts as settled: the ledger forgets it then."""
    day = local_day(date(2024, 6, 10), BERLIN)
    assert not settles(day, None, after(day, hours=23), POLICY)
    assert settles(day, None, after(day, days=2), POLICY)
    assert not settles(day, None, after(day, days=3.5), POLICY)
    assert not settles(day, None, after(day, days=400), POLICY)
    assert not settles(day, None, after(day, days=2), PlanPolicy(settle_days=()))


def test_a_settled_day_that_the_ledger_forgot_is_not_read_in_a_loop() -> None:
    """Bug: after the last re-reading the ledger forgets a day, and until a day later it counted as due."""
    day = local_day(ago(4), BERLIN)
    now = after(day, days=3, hours=1)
    assert list(heal_days(BERLIN, OLDEST, {day.date: COMPLETE}, None, now, POLICY)) == []


def test_a_failed_rereading_is_tried_again() -> None:
    """Bug: a re-reading that failed counted as one that was done."""
    day = local_day(ago(4), BERLIN)
    failed = LastAttempt(Outcome.FAILED, day.end + 3 * DAY_S + 60, 1)
    assert not settles(day, failed, after(day, days=3, hours=0.5), POLICY)
    assert settles(day, failed, after(day, days=3, hours=1.1), POLICY)


def test_a_rereading_stamped_by_a_wrong_clock_is_done_again() -> None:
    """Bug: a stamp from the future made a complete day count as settled."""
    day = local_day(ago(3), BERLIN)
    future = LastAttempt(Outcome.WRITTEN, day.end + 4000 * DAY_S, 0)
    assert settles(day, future, after(day, days=1.5), POLICY)
    assert not settles(day, future, after(day, days=9), POLICY)


def test_a_rereading_that_failed_by_a_wrong_clock_is_tried_again_however_late_the_clock_is_set() -> None:
    """Bug: set after the third day, the day passed for one that had been read well in the future."""
    day = local_day(date(2026, 3, 20), BERLIN)
    failed = LastAttempt(Outcome.FAILED, day.end + 26 * DAY_S, 1)
    for days in (0.5, 1.5, 3.4, 9):
        assert settles(day, failed, after(day, days=days), POLICY)
    assert not settles(day, failed, after(day, days=26, hours=0.5), POLICY)  # the clock was right


def test_a_settling_day_is_healed_from_what_is_remembered() -> None:
    """Old complete days are not even looked at."""
    known = {
        ago(2): COMPLETE,
        ago(30): COMPLETE,
        ago(9): COMPLETE._replace(last_attempt=requested(hours_ago=7 * 24)),
    }
    assert healed(known) == [ago(2), ago(9)]


def test_lost_days_lie_between_the_oldest_stored_and_what_is_kept() -> None:
    """Told once: those before `reported_before` were."""
    known = {ago(10): COMPLETE, ago(9): PARTIAL, ago(7): COMPLETE}
    assert lost_days(ago(6), known, None) == [ago(9), ago(8)]
    assert lost_days(ago(6), known, ago(8)) == [ago(8)]
    assert lost_days(ago(6), known, ago(6)) == []
    assert lost_days(ago(6), {}, None) == []
    assert lost_days(ago(12), known, None) == []


class Life:
    """A meter's life in dates: the days the service requests, hour by hour, and what is then known."""

    def __init__(self, installed: date, gaps: Iterable[date] = ()) -> None:
        self.installed, self.gaps = installed, set(gaps)
        self.known: dict[date, DayRecord] = {}
        self.requests: Counter[date] = Counter()
        self.requested: Counter[date] = Counter()

    def hour(self, now: datetime) -> None:
        today = now.astimezone(BERLIN).date()
        first = first_day(today, None, None)
        self._ask(refresh_days(today, dict(self.known), now), now)
        totals = Availability(0, first, today, ((self.installed, today - timedelta(days=1)),))
        self._ask(heal_days(BERLIN, first, dict(self.known), totals, now, POLICY), now)
        self._ask(backfill_days(today, first, lambda: self.known, totals), now)

    def _ask(self, days: Iterable[date], now: datetime) -> None:
        for day in days:
            self.requests[now.astimezone(BERLIN).date()] += 1
            self.requested[day] += 1
            self.known[day] = self._answered(day, now)

    def _answered(self, day: date, now: datetime) -> DayRecord:
        local, at = local_day(day, BERLIN), int(now.timestamp())
        if not local.is_over(now):
            return PARTIAL
        if day >= self.installed and day not in self.gaps:
            remembered = at < local.end + max(POLICY.settle_days) * DAY_S
            return COMPLETE._replace(last_attempt=LastAttempt(Outcome.WRITTEN, at, 0) if remembered else None)
        before = self.known.get(day, NOTHING).last_attempt
        tries = 1 + (before.tries if before else 0)
        if day >= self.installed:
            return PARTIAL._replace(last_attempt=LastAttempt(Outcome.PARTIAL, at, tries))
        return NOTHING._replace(last_attempt=LastAttempt(Outcome.EMPTY, at, tries))


def test_two_months_of_life_cost_few_requests() -> None:
    """A new service: one backfill, then an hourly refresh, two re-readings a day, and few in vain."""
    start = datetime(2024, 3, 1, 9, 7, tzinfo=UTC)
    installed, gap = date(2024, 1, 10), date(2024, 2, 20)
    life = Life(installed, [gap])
    for hours in range(24 * 61):
        life.hour(start + timedelta(hours=hours))
    history = (start.date() - installed).days
    first_morning = history + EXPIRING_DAYS  # those that are about to go are requested once, for certain
    retries = 2  # the gap, after 1 h and 6 h
    assert life.requests[start.date()] <= first_morning + 15 + retries + 2 * 3
    ordinary = [life.requests[date(2024, 4, number)] for number in range(1, 30)]
    # 24 for today, yesterday at midnight, two that settle, one that is about to go; weekly the gap.
    assert sum(ordinary) / len(ordinary) < 29
    assert max(ordinary) <= 28 + 1
    assert min(ordinary) == 28
    assert life.requested[gap] == 2 + 15 + 6
    assert all(
        life.known[installed + timedelta(days=days)].complete
        for days in range(100)
        if installed + timedelta(days=days) != gap
    )
    # Every hour of the day itself, once after midnight, and twice to settle.
    assert life.requested[date(2024, 4, 10)] == 24 + 3
    assert life.requested[date(2024, 2, 1)] == 1


@pytest.mark.parametrize("state", [NOTHING, PARTIAL, COMPLETE])
def test_a_day_that_somebody_wishes_for_is_requested_at_once(state: DayRecord) -> None:
    """By the service, also where it does not heal, and by hand; however often it failed."""
    known = {
        ago(40): state._replace(last_attempt=LastAttempt.requested_again(99, "verify")),
        ago(41): COMPLETE,
    }
    assert healed(known, PlanPolicy(heal=False)) == [ago(40)]
    assert ago(40) in list(wanted_days(TODAY, ago(45), lambda: known, None, NOW, insist=False))
    assert ago(41) not in list(wanted_days(TODAY, ago(45), lambda: known, None, NOW, insist=False))


def test_by_hand_a_day_is_read_again_whose_last_reading_failed() -> None:
    """Also where it is complete: what was to be looked at was not seen."""
    known = {ago(3): COMPLETE._replace(last_attempt=requested(Outcome.FAILED)), ago(4): COMPLETE}
    assert list(wanted_days(TODAY, ago(4), lambda: known, None, NOW, insist=False)) == [
        TODAY,
        ago(1),
        ago(2),
        ago(3),
    ]
