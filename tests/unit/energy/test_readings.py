"""What one day measured: completeness, rounding, merging."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.energy.days import local_day
from collector.energy.readings import EnergyDay, HourReading, Revision, merged
from tests.support.energy_days import (
    AUTUMN,
    BERLIN,
    ORDINARY,
    SPRING,
    after,
    energy_days,
    filled,
    reading,
    readings_of_an_hour,
)

AUTUMN_DAY = local_day(AUTUMN, BERLIN)
FIRST, SECOND = AUTUMN_DAY.repeated_hours[0]


def autumn(readings: dict[int, HourReading], *doubtful: int) -> EnergyDay:
    return EnergyDay(AUTUMN_DAY, readings, frozenset(doubtful))


@pytest.mark.parametrize("day", [ORDINARY, SPRING, AUTUMN])
def test_a_day_is_complete_when_it_is_over_and_every_hour_is_known(day: date) -> None:
    """23, 24 or 25 hours: as many as the day has."""
    whole = filled(day)
    assert whole.is_complete(after(whole.day))
    assert not whole.is_complete(after(whole.day, hours=-0.001))
    assert not filled(whole.day.date, without=[5]).is_complete(after(whole.day))


def test_an_hour_without_solar_is_missing() -> None:
    """Complete means every channel."""
    whole = filled()
    lacking = whole.day.hours[7]
    day = replace(whole, readings={**whole.readings, lacking: reading(solar_kwh=None)})
    assert day.missing_hours() == (lacking,)
    assert not day.is_complete(after(whole.day))


def test_a_doubtful_day_is_not_complete() -> None:
    """One row for two hours is not both hours, also where nothing seems to be missing."""
    day = filled(AUTUMN, doubtful=[2])
    assert not day.missing_hours()
    assert not day.is_complete(after(day.day))


@given(day=energy_days(), age_days=st.integers(0, 2000))
def test_complete_and_missing_agree(day: EnergyDay, age_days: int) -> None:
    """Nothing else counts, however old the day is."""
    missing = {ts for ts in day.day.hours if ts not in day.readings or day.readings[ts].solar_kwh is None}
    assert set(day.missing_hours()) == missing
    assert day.is_complete(after(day.day, age_days)) == (not missing and not day.doubtful)


@pytest.mark.parametrize(
    ("wh", "kwh"), [("0.05", "0.0000"), ("0.15", "0.0002"), ("0.25", "0.0002"), ("2675.25", "2.6752")]
)
def test_halves_are_rounded_to_even(wh: str, kwh: str) -> None:
    """In decimal arithmetic, where a half is a half."""
    value = Decimal(wh) / 1000
    rounded = HourReading(value, value, value).rounded(4)
    assert [str(each) for each in rounded] == [kwh] * 3


@given(
    reading=readings_of_an_hour,
    tiny=st.integers(0, 999_999),
    decimals=st.integers(4, 6),
)
def test_rounding_is_idempotent_and_near(reading: HourReading, tiny: int, decimals: int) -> None:
    """What was rounded stays as it is, and is at most half a unit away."""
    value = reading.import_kwh + Decimal(tiny).scaleb(-9)
    rounded = reading._replace(import_kwh=value).rounded(decimals)
    assert rounded.rounded(decimals) == rounded
    assert abs(rounded.import_kwh - value) * 2 <= Decimal(1).scaleb(-decimals)
    assert rounded.import_kwh == round(value, decimals)
    assert value.quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN) == rounded.import_kwh
    assert (rounded.solar_kwh is None) == (reading.solar_kwh is None)


@given(stored=energy_days(), answered=energy_days())
def test_nothing_stored_is_lost(stored: EnergyDay, answered: EnergyDay) -> None:
    """Every stored hour stays, and its solar value too, whatever is answered."""
    result, _ = merged(stored, answered)
    for ts, before in stored.readings.items():
        now = result.readings[ts]
        assert before.solar_kwh is None or now.solar_kwh is not None
        if ts not in answered.readings:
            assert now == before


@given(stored=energy_days(ORDINARY), answered=energy_days(ORDINARY))
def test_the_newest_value_wins(stored: EnergyDay, answered: EnergyDay) -> None:
    """On a day without a repeated hour, every value that was answered is what is known afterwards."""
    result, revisions = merged(stored, answered)
    for ts, new in answered.readings.items():
        assert result.readings[ts][:2] == new[:2]
        assert new.solar_kwh is None or result.readings[ts].solar_kwh == new.solar_kwh
    changed = {
        (ts, column)
        for ts in stored.readings.keys() & answered.readings.keys()
        for column, old, new in zip(
            ("import", "export", "solar"), stored.readings[ts], answered.readings[ts], strict=True
        )
        if old is not None and new is not None and old != new
    }
    assert {(revision.ts, revision.column) for revision in revisions} == changed


@given(stored=energy_days(), answered=energy_days())
def test_merging_the_same_answer_twice_changes_nothing(stored: EnergyDay, answered: EnergyDay) -> None:
    """The second time there is no revision either."""
    once, _ = merged(stored, answered)
    assert merged(once, answered) == (once, ())


@given(stored=energy_days(), answered=energy_days())
def test_hours_stay_in_order(stored: EnergyDay, answered: EnergyDay) -> None:
    """Ascending, as the file wants them."""
    result, _ = merged(stored, answered)
    assert list(result.readings) == sorted(result.readings)


@given(stored=energy_days(), answered=energy_days())
def test_a_value_that_may_hold_both_hours_never_stands_beside_the_other(
    stored: EnergyDay, answered: EnergyDay
) -> None:
    """A repeated hour is never counted twice."""
    result, _ = merged(stored, answered)
    for first in result.doubtful:
        assert first in result.readings
        assert SECOND not in result.readings


def test_an_hour_that_may_have_both_is_replaced_by_an_answer_with_both() -> None:
    """The doubt ends with the first answer that has both hours."""
    stored = autumn({FIRST: reading("3.0")}, FIRST)
    answered = autumn({FIRST: reading("1.0"), SECOND: reading("2.0")})
    result, _ = merged(stored, answered)
    assert result == answered


def test_a_second_repeated_hour_is_not_set_beside_a_first_that_may_have_both() -> None:
    """The first hour may hold it already."""
    stored = autumn({FIRST: reading("3.0")}, FIRST)
    result, _ = merged(stored, autumn({SECOND: reading("2.0")}))
    assert result == stored


def test_hours_told_apart_stay_apart() -> None:
    """A later answer that has one row for both changes nothing."""
    stored = autumn({FIRST: reading("1.0"), SECOND: reading("2.0")})
    assert merged(stored, autumn({FIRST: reading("3.0")}, FIRST)) == (stored, ())


def test_an_hour_that_may_have_both_is_not_set_beside_a_stored_second() -> None:
    """Bug: only the second hour was stored, one row came for both, and the second was counted twice."""
    stored = autumn({SECOND: reading("2.0")})
    assert merged(stored, autumn({FIRST: reading("3.0")}, FIRST)) == (stored, ())


def test_solar_of_both_hours_is_not_left_on_its_first_half() -> None:
    """Bug: the answer told the hours apart on the grid only, and both hours' solar stayed on the first."""
    stored = autumn({FIRST: reading("3.0", solar_kwh="3.0")}, FIRST)
    answered = autumn({FIRST: reading("1.0", solar_kwh=None), SECOND: reading("2.0", solar_kwh="1.5")})
    result, revisions = merged(stored, answered)
    assert result == stored
    assert revisions == ()


def test_a_revision_tells_old_and_new() -> None:
    """Each changed value once, with its column."""
    whole = filled()
    ts = whole.day.hours[3]
    stored = EnergyDay(whole.day, {ts: reading("1.0", "0.0", "0.5")})
    answered = EnergyDay(whole.day, {ts: reading("1.1", "0.0", "0.4")})
    _, revisions = merged(stored, answered)
    assert revisions == (
        Revision(ts, "import", Decimal("1.0"), Decimal("1.1")),
        Revision(ts, "solar", Decimal("0.5"), Decimal("0.4")),
    )


def test_solar_that_was_not_known_is_no_revision() -> None:
    """Learning a value is not changing one."""
    whole = filled()
    ts = whole.day.hours[3]
    stored = EnergyDay(whole.day, {ts: reading(solar_kwh=None)})
    assert merged(stored, EnergyDay(whole.day, {ts: reading()})) == (
        EnergyDay(whole.day, {ts: reading()}),
        (),
    )


def test_merged_repeated_hours_add_up() -> None:
    """One record of two hours, on the first; solar only where both are known."""
    day = autumn({FIRST: reading("1.0", "0.1", "2.0"), SECOND: reading("2.0", "0.2", "3.0")})
    assert day.merge_repeated_hours().readings == {FIRST: reading("3.0", "0.3", "5.0")}
    day = autumn({FIRST: reading("1.0"), SECOND: reading("2.0", solar_kwh=None)})
    assert day.merge_repeated_hours().readings[FIRST].solar_kwh is None


@pytest.mark.parametrize("known", [FIRST, SECOND])
def test_half_of_a_repeated_hour_is_left_out(known: int) -> None:
    """Half of it is not the hour."""
    assert autumn({known: reading()}).merge_repeated_hours().readings == {}


def test_an_hour_that_may_have_both_stands_for_both() -> None:
    """It may hold both, and stays doubtful."""
    day = autumn({FIRST: reading("3.0")}, FIRST).merge_repeated_hours()
    assert dict(day.readings) == {FIRST: reading("3.0")}
    assert day.doubtful == frozenset({FIRST})


@given(day=energy_days())
def test_merged_repeated_hours_keep_every_other_hour(day: EnergyDay) -> None:
    """On the other hours nothing changes, and a day without repeated hours is the same."""
    one = day.merge_repeated_hours()
    assert len(one.day.hours) == 24
    assert {ts: hour for ts, hour in one.readings.items() if ts != FIRST} == {
        ts: hour for ts, hour in day.readings.items() if ts not in (FIRST, SECOND)
    }
    assert one.merge_repeated_hours() == one


def test_is_complete_takes_any_zone_for_now() -> None:
    """Moments are compared, not local times."""
    day = filled()
    now: datetime = after(day.day).astimezone(BERLIN)
    assert day.is_complete(now)
