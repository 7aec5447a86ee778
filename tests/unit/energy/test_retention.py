"""What the cloud is about to forget: which days, and that they are requested before the rest."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

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
    expected_from,
    expiring_days,
    first_day,
    heal_days,
    wanted_days,
)
from tests.support.energy_days import BERLIN

NOW = datetime(2024, 6, 15, 10, 5, tzinfo=UTC)
TODAY = date(2024, 6, 15)
KEPT = first_day(TODAY, None, None)
COMPLETE = DayRecord(stored=True, complete=True)
PARTIAL = DayRecord(stored=True, complete=False)
EMPTY = NOTHING._replace(last_attempt=LastAttempt(Outcome.EMPTY, int(NOW.timestamp()), 1))
FAILED = NOTHING._replace(last_attempt=LastAttempt(Outcome.FAILED, int(NOW.timestamp()), 1))


def kept(days: int) -> date:
    """So many days after the oldest that the cloud keeps."""
    return KEPT + timedelta(days=days)


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def test_incomplete_and_missing_days_of_the_last_thirty_are_at_risk() -> None:
    """Partial, failed and never requested; not complete ones, nor those that the cloud had nothing for."""
    known = {kept(number): COMPLETE for number in range(-5, RETENTION_DAYS)}
    known |= {kept(0): PARTIAL, kept(3): EMPTY, kept(4): FAILED, kept(29): PARTIAL, kept(30): PARTIAL}
    del known[kept(7)]
    assert expiring_days(TODAY, KEPT, known, None) == [kept(0), kept(4), kept(7), kept(29)]


def test_nothing_is_at_risk_before_the_meter_was_there() -> None:
    """Where the totals show its first day, or all days before it were found empty; nor before `since`."""
    known = {ago(number): COMPLETE for number in range(1, 100)}
    assert len(expiring_days(TODAY, KEPT, known, None)) == EXPIRING_DAYS
    assert expiring_days(TODAY, kept(25), known, None) == [kept(number) for number in range(25, 30)]
    totals = Availability.of(0, KEPT, ago(1), [ago(99), ago(101), ago(102)])
    assert expected_from(TODAY, KEPT, known, totals) == ago(102)
    assert expiring_days(TODAY, KEPT, known, totals) == []
    known |= {ago(number): EMPTY for number in range(100, RETENTION_DAYS)}
    assert expected_from(TODAY, KEPT, known, None) == KEPT
    known |= {KEPT: EMPTY}
    assert expected_from(TODAY, KEPT, known, None) == ago(99)
    assert expiring_days(TODAY, KEPT, known, None) == []


def test_what_is_stored_belongs_to_what_is_expected() -> None:
    """An archive that reaches further back than the service requests is expected to stay whole."""
    assert expected_from(TODAY, ago(10), {ago(400): COMPLETE}, None) == ago(400)
    assert expected_from(TODAY, ago(10), {ago(4): COMPLETE}, None) == ago(10)
    assert expected_from(TODAY, ago(10), {}, None) == ago(10)


def test_days_at_risk_are_requested_before_the_rest() -> None:
    """After yesterday, and the oldest of them first, for it goes first."""
    at_risk = [kept(number) for number in range(EXPIRING_DAYS)]
    rest = [ago(number) for number in range(2, RETENTION_DAYS - EXPIRING_DAYS + 1)]
    planned = list(backfill_days(TODAY, KEPT, dict, None))
    assert planned == [ago(1), *at_risk, *rest]
    wanted = list(wanted_days(TODAY, KEPT, dict, None, NOW, insist=False))
    assert wanted == [TODAY, *planned]
    assert list(backfill_days(TODAY, ago(5), dict, None)) == [ago(number) for number in range(1, 6)]


def test_days_at_risk_that_are_due_are_healed_first() -> None:
    """A partial day that the cloud will forget tomorrow goes before one that it keeps for years."""
    known = {kept(9): PARTIAL, kept(2): PARTIAL, ago(5): PARTIAL, ago(3): PARTIAL, ago(2): COMPLETE}
    policy = PlanPolicy(settle_days=())
    assert list(heal_days(BERLIN, KEPT, known, None, NOW, policy)) == [kept(2), kept(9), ago(3), ago(5)]


@settings(deadline=None)  # three years are planned twice
@given(
    st.dictionaries(st.integers(1, RETENTION_DAYS).map(ago), st.sampled_from([COMPLETE, PARTIAL, EMPTY])),
    st.none() | st.lists(st.integers(1, RETENTION_DAYS).map(ago)),
)
def test_every_day_comes_once_and_within_bounds(
    known: dict[date, DayRecord], shown: list[date] | None
) -> None:
    """Whatever is known, and whatever the totals show."""
    totals = None if shown is None else Availability.of(0, KEPT, ago(1), shown)
    for insist in (False, True):
        days = list(wanted_days(TODAY, KEPT, lambda: known, totals, NOW, insist=insist))
        assert len(days) == len(set(days))
        assert all(KEPT <= day <= TODAY for day in days)
    missing = {KEPT + timedelta(days=number) for number in range(RETENTION_DAYS)} - known.keys()
    assert set(backfill_days(TODAY, KEPT, lambda: known, totals)) <= missing
    assert missing <= set(days)
