"""Spans: how many days one request may ask for, learned step by step; and days joined by it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.energy.days import local_day
from collector.energy.readings import EnergyDay
from collector.energy.spans import SpanLimit, Spans, Trust, continues, hours_of, joined, proves, verdict
from tests.support.energy_days import AUTUMN, BERLIN, SPRING, dates, filled, reading

NOW = datetime(2026, 6, 15, tzinfo=UTC)
PROVEN = SpanLimit(trust=Trust.PROVEN)
ZONES = [
    ZoneInfo(name) for name in ("Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Asia/Kolkata")
]


def learned(most_h: int, limit: SpanLimit = PROVEN, now: datetime = NOW) -> tuple[SpanLimit, int]:
    """The limit after trying whole days against a cloud that gives up to `most_h` by the hour; the tries."""
    for tries in range(20):
        hours = limit.longest_h
        if hours <= most_h and not limit.learns_from(hours):
            return limit, tries
        limit = limit.answered(hours, now) if hours <= most_h else limit.shortened(hours, now)
    raise AssertionError("it never knows")


@pytest.mark.parametrize(
    ("most_h", "longest_h"), [(24, 24), (36, 24), (48, 48), (60, 48), (72, 72), (96, 96)]
)
def test_the_longest_span_is_found_in_four_requests_at_most(most_h: int, longest_h: int) -> None:
    """Four days, three, two, one."""
    limit, tries = learned(most_h)
    assert (limit.longest_h, limit.surely_h) == (longest_h, longest_h)
    assert tries <= 4


def test_a_span_of_an_hour_more_in_autumn_is_not_requested() -> None:
    """What is learned is a length in elapsed hours."""
    pair = [AUTUMN - timedelta(days=1), AUTUMN]
    assert hours_of(pair, BERLIN) == 49
    assert not replace(PROVEN, longest_h=48).allows(49)
    assert hours_of([SPRING, SPRING + timedelta(days=1)], BERLIN) == 47


def test_of_several_long_spans_that_come_by_the_day_each_teaches_the_same() -> None:
    """Four of them were under way when the cloud changed."""
    limit = replace(PROVEN, answered_h=96)
    for _ in range(4):
        limit = limit.shortened(96, NOW)
    assert (limit.longest_h, limit.surely_h) == (72, 24)
    assert limit.learns_from(72)


def test_a_long_span_that_is_answered_after_spans_became_shorter_is_not_possible_any_more() -> None:
    """It was under way; a dry run must not count on it."""
    limit = replace(PROVEN, answered_h=96).shortened(96, NOW).answered(96, NOW)
    assert (limit.longest_h, limit.surely_h) == (72, 72)


def test_once_a_month_more_is_tried_again() -> None:
    """The cloud may have become more generous; where all is possible there is nothing to try."""
    limit, _ = learned(48)
    assert limit.renewed(NOW + timedelta(days=29)) == limit
    again = limit.renewed(NOW + timedelta(days=30))
    assert (again.longest_h, again.surely_h, again.trust) == (96, 48, Trust.PROVEN)
    assert learned(48, again, NOW + timedelta(days=30))[0].longest_h == 48
    assert learned(72, again, NOW + timedelta(days=30))[0].longest_h == 72
    assert learned(96)[0].renewed(NOW + timedelta(days=99)) == learned(96)[0]


def test_a_date_of_a_wrong_clock_does_not_stop_learning_for_years() -> None:
    """Once the clock is right, it is learned again."""
    limit, _ = learned(48, now=datetime(2036, 1, 1, tzinfo=UTC))
    assert limit.renewed(NOW).longest_h == 96


def test_nothing_is_joined_where_a_span_was_contradicted() -> None:
    """Not even two days."""
    limit = SpanLimit(trust=Trust.CONTRADICTED, answered_h=96)
    assert not limit.allows(48)
    assert limit.surely_h == 24


def test_three_failures_in_a_row_make_spans_shorter() -> None:
    """A span that takes too long: every one would wait for its time-out."""
    spans = Spans()
    for answers in (5, 9, 13):
        assert spans.limit.longest_h == 96
        spans.note_failure(96, answers, NOW)
    assert spans.limit.longest_h == 72


def test_an_outage_does_not_make_spans_shorter() -> None:
    """Whatever was under way fails at once; nothing was answered in between."""
    spans = Spans()
    for _ in range(9):
        spans.note_failure(96, 5, NOW)
    assert spans.limit.longest_h == 96


def test_failures_that_are_far_apart_do_not_add_up() -> None:
    """A lossy link loses one now and then."""
    spans = Spans()
    for answers in range(9):
        spans.note_failure(96, answers, NOW)
        spans.note_answer(96, NOW)
    assert spans.limit.longest_h == 96


@settings(deadline=None)
@given(st.lists(dates, unique=True, max_size=40), st.sampled_from(ZONES), st.sampled_from([24, 48, 72, 96]))
def test_joining_loses_no_day_and_keeps_order_and_length(
    days: list[date], zone: ZoneInfo, longest_h: int
) -> None:
    """Whatever the days: each once, in their order, as neighbours, never longer than allowed but for one."""
    spans = list(joined(days, zone, longest_h))
    assert list(chain.from_iterable(spans)) == days
    for span in spans:
        assert all(abs(a - b) == timedelta(days=1) for a, b in pairwise(span))
        assert len(span) == 1 or hours_of(span, zone) <= longest_h
        assert max(span) - min(span) == timedelta(days=len(span) - 1)


def test_neighbours_are_joined_as_far_as_possible() -> None:
    """Newest first, as a backfill has them, or oldest first."""
    days = [date(2026, 6, 10) - timedelta(days=number) for number in range(10)]
    assert [len(span) for span in joined(days, BERLIN, 96)] == [4, 4, 2]
    assert [len(span) for span in joined(days[::-1], BERLIN, 72)] == [3, 3, 3, 1]
    assert not continues([days[1], days[0]], days[1])


def test_a_day_proves_something_only_with_enough_different_hours() -> None:
    """Zeros, or the same number all day, may be of any day."""
    assert proves(filled())
    assert not proves(filled(each=reading()))
    assert not proves(filled(each=reading("0", "0", "0")))
    assert not proves(filled(without=[3]))


def changed(day: EnergyDay, place: int = 7) -> EnergyDay:
    """The same day with another number in one hour."""
    return replace(day, readings={**day.readings, day.day.hours[place]: reading("9.9")})


def test_equal_days_prove_spans() -> None:
    """Also if the second look shows that the first was before a revision."""
    day = filled()
    assert verdict(day, day, None) is Trust.PROVEN
    assert verdict(day, changed(day), None) is None
    assert verdict(day, changed(day), changed(day)) is Trust.PROVEN


def test_a_difference_that_stays_contradicts_spans_and_one_that_moves_proves_nothing() -> None:
    """A value revised in between is neither."""
    day = filled()
    assert verdict(day, changed(day), day) is Trust.CONTRADICTED
    assert verdict(day, changed(day), changed(day, 8)) is Trust.UNPROVEN


def test_an_hour_shifted_by_one_is_a_difference() -> None:
    """The same numbers at other hours."""
    day = filled()
    local = local_day(day.day.date, BERLIN)
    numbers = list(day.readings.values())
    shifted = replace(day, readings=dict(zip(local.hours, numbers[1:] + numbers[:1], strict=True)))
    assert verdict(day, shifted, day) is Trust.CONTRADICTED
