"""What the cloud is about to forget: which days, and that they are asked for before the rest."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.energy.knowledge import NOTHING, Asked, Known, Outcome
from collector.energy.planning import PlanPolicy, backfill_days, heal_days, wanted_days
from collector.energy.retention import (
    EMPTY_RUN,
    EXPIRING_DAYS,
    RETENTION_DAYS,
    expected_from,
    expiring_days,
    first_day,
)
from tests.energy.making import BERLIN

NOW = datetime(2024, 6, 15, 10, 5, tzinfo=UTC)
TODAY = date(2024, 6, 15)
KEPT = first_day(TODAY, None, None)
COMPLETE = Known(stored=True, complete=True)
PARTIAL = Known(stored=True, complete=False)
EMPTY = NOTHING._replace(asked=Asked(Outcome.EMPTY, int(NOW.timestamp()), 1))
FAILED = NOTHING._replace(asked=Asked(Outcome.FAILED, int(NOW.timestamp()), 1))


def kept(days: int) -> date:
    """So many days after the oldest that the cloud keeps."""
    return KEPT + timedelta(days=days)


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def test_incomplete_and_missing_days_of_the_last_thirty_are_at_risk() -> None:
    """Partial, failed and never asked for; not complete ones, nor those that the cloud had nothing for."""
    known = {kept(number): COMPLETE for number in range(-5, RETENTION_DAYS)}
    known |= {kept(0): PARTIAL, kept(3): EMPTY, kept(4): FAILED, kept(29): PARTIAL, kept(30): PARTIAL}
    del known[kept(7)]
    assert expiring_days(TODAY, KEPT, known) == [kept(0), kept(4), kept(7), kept(29)]


def test_nothing_is_at_risk_before_the_meter_was_there() -> None:
    """Neither below its first day, once 14 empty days show that, nor before `since`."""
    known = {ago(number): COMPLETE for number in range(1, 100)}
    assert len(expiring_days(TODAY, KEPT, known)) == EXPIRING_DAYS
    assert expiring_days(TODAY, kept(25), known) == [kept(number) for number in range(25, 30)]
    known |= {ago(number): EMPTY for number in range(100, 100 + EMPTY_RUN)}
    assert expected_from(TODAY, KEPT, known) == ago(99)
    assert expiring_days(TODAY, KEPT, known) == []


def test_what_is_stored_belongs_to_what_is_expected() -> None:
    """An archive that reaches further back than the service asks for is expected to stay whole."""
    assert expected_from(TODAY, ago(10), {ago(400): COMPLETE}) == ago(400)
    assert expected_from(TODAY, ago(10), {ago(4): COMPLETE}) == ago(10)
    assert expected_from(TODAY, ago(10), {}) == ago(10)


def test_days_at_risk_are_asked_for_before_the_rest() -> None:
    """After yesterday, and the oldest of them first, for it goes first."""
    at_risk = [kept(number) for number in range(EXPIRING_DAYS)]
    rest = [ago(number) for number in range(2, RETENTION_DAYS - EXPIRING_DAYS + 1)]
    planned = list(backfill_days(TODAY, KEPT, dict))
    assert planned == [ago(1), *at_risk, *rest]
    wanted = list(wanted_days(TODAY, KEPT, dict, NOW, insist=False))
    assert wanted == [TODAY, *planned]
    assert list(backfill_days(TODAY, ago(5), dict)) == [ago(number) for number in range(1, 6)]


def test_days_at_risk_that_are_due_are_healed_first() -> None:
    """A partial day that the cloud will forget tomorrow goes before one that it keeps for years."""
    known = {kept(9): PARTIAL, kept(2): PARTIAL, ago(5): PARTIAL, ago(3): PARTIAL, ago(2): COMPLETE}
    policy = PlanPolicy(settle_days=())
    assert list(heal_days(BERLIN, KEPT, known, NOW, policy)) == [kept(2), kept(9), ago(3), ago(5)]


def test_fourteen_empty_days_at_risk_are_enough() -> None:
    """A young meter costs fourteen questions about the time before it, and not thirty."""
    known: dict[date, Known] = {}
    taken = []
    for day in backfill_days(TODAY, KEPT, lambda: known):
        taken.append(day)
        known[day] = COMPLETE if day > ago(50) else EMPTY
    assert [day for day in taken if day < kept(EXPIRING_DAYS)] == [
        kept(number) for number in range(EMPTY_RUN)
    ]
    assert sum(known[day].complete for day in taken) == 49


def test_a_gap_of_a_month_does_not_end_the_backfill_of_an_old_meter() -> None:
    """Days at risk are stored first, so that the empty ones in the middle are seen to be a gap."""
    known: dict[date, Known] = {}
    for day in backfill_days(TODAY, KEPT, lambda: known):
        known[day] = EMPTY if ago(60) < day < ago(20) else COMPLETE
    assert len(known) == RETENTION_DAYS


@settings(deadline=None)  # three years are planned twice
@given(st.dictionaries(st.integers(1, RETENTION_DAYS).map(ago), st.sampled_from([COMPLETE, PARTIAL, EMPTY])))
def test_every_day_comes_once_and_within_bounds(known: dict[date, Known]) -> None:
    """Whatever is known."""
    for insist in (False, True):
        days = list(wanted_days(TODAY, KEPT, lambda: known, NOW, insist=insist))
        assert len(days) == len(set(days))
        assert all(KEPT <= day <= TODAY for day in days)
    missing = {KEPT + timedelta(days=number) for number in range(RETENTION_DAYS)} - known.keys()
    assert set(backfill_days(TODAY, KEPT, lambda: known)) <= missing
    assert missing <= set(days)
