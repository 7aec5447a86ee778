"""What became of each day, since the meter began."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.energy.history import (
    DAILY_TRIES,
    NOTHING,
    RETENTION_DAYS,
    DayRecord,
    DayState,
    LastAttempt,
    Outcome,
    PlanPolicy,
    coverage,
    forgotten,
)

TODAY = date(2024, 6, 15)
POLICY = PlanPolicy()
COMPLETE = DayRecord(stored=True, complete=True)
PARTIAL = DayRecord(stored=True, complete=False)
EMPTY = NOTHING._replace(last_attempt=LastAttempt(Outcome.EMPTY, 1_700_000_000, 1))
FAILED = NOTHING._replace(last_attempt=LastAttempt(Outcome.FAILED, 1_700_000_000, 1))


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def tried(state: DayRecord, tries: int) -> DayRecord:
    return state._replace(last_attempt=LastAttempt(Outcome.PARTIAL, 1_700_000_000, tries))


def test_each_day_has_the_state_that_a_person_would_name() -> None:
    """Today is in progress; the others are what was stored, or what came of requests."""
    known = {ago(0): PARTIAL, ago(1): COMPLETE, ago(2): PARTIAL, ago(3): EMPTY, ago(4): FAILED}
    states = coverage(TODAY, known, None, PlanPolicy(backfill_days=5), None)
    assert list(states.items()) == [
        (ago(5), DayState.MISSING),
        (ago(4), DayState.MISSING),
        (ago(3), DayState.EMPTY),
        (ago(2), DayState.PARTIAL),
        (ago(1), DayState.COMPLETE),
        (ago(0), DayState.TODAY),
    ]


def test_a_day_is_given_up_after_two_weeks_of_asking() -> None:
    """It is requested once a week only; the same where healing is switched off."""
    known = {ago(1): tried(PARTIAL, DAILY_TRIES), ago(2): tried(PARTIAL, DAILY_TRIES + 1), ago(3): EMPTY}
    policy = PlanPolicy(backfill_days=3)
    states = coverage(TODAY, known, None, policy, None)
    assert [states[ago(days)] for days in (1, 2)] == [DayState.PARTIAL, DayState.GIVEN_UP]
    never = coverage(TODAY, known, None, PlanPolicy(backfill_days=3, heal=False), None)
    assert {never[ago(days)] for days in (1, 2, 3)} == {DayState.GIVEN_UP}


def test_what_the_cloud_has_forgotten_is_lost_or_in_this_archive_alone() -> None:
    """Days older than three years: complete ones count as beyond retention, the others are lost."""
    old = [ago(RETENTION_DAYS + number) for number in range(1, 5)]
    known = {old[0]: COMPLETE, old[1]: PARTIAL, old[3]: COMPLETE}
    states = coverage(TODAY, known, None, POLICY, None)
    assert [states[day] for day in old] == [
        DayState.COMPLETE,
        DayState.LOST,
        DayState.LOST,
        DayState.COMPLETE,
    ]
    assert forgotten(TODAY, states) == 2
    assert states[ago(RETENTION_DAYS)] is DayState.MISSING


@settings(deadline=None)  # three years each
@given(
    st.dictionaries(
        st.integers(-3, RETENTION_DAYS + 40).map(ago), st.sampled_from([COMPLETE, PARTIAL, EMPTY, FAILED])
    ),
    st.none() | st.integers(0, RETENTION_DAYS),
)
def test_every_day_since_the_beginning_has_one_state(known: dict[date, DayRecord], depth: int | None) -> None:
    """Oldest first, without a gap, to today."""
    days = list(coverage(TODAY, known, None, PlanPolicy(backfill_days=depth), None))
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]
    assert days[-1] == TODAY
