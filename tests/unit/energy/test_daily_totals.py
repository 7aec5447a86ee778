"""Comparing: what rounding explains is no difference, and what it does not explain is one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.energy.daily_totals import (
    NOTHING_STORED,
    DaySums,
    DayTotal,
    are_distrusted,
    differences,
    sums_of,
)
from collector.energy.readings import HourReading
from tests.support.energy_days import reading

wh = st.integers(0, 10_000_00).map(lambda cents: Decimal(cents).scaleb(-2))
hours_wh = st.lists(st.tuples(wh, wh, wh), min_size=1, max_size=25)
ZERO = Decimal(0)


def total(import_kwh: str, export_kwh: str = "0", solar_kwh: str | None = None) -> DayTotal:
    solar = None if solar_kwh is None else Decimal(solar_kwh)
    return DayTotal(Decimal(import_kwh), Decimal(export_kwh), solar, solar)


def sums(import_kwh: str, export_kwh: str = "0", solar_kwh: str = "0") -> DaySums:
    return DaySums(Decimal(import_kwh), Decimal(export_kwh), Decimal(solar_kwh), 24, 4)


@given(hours=hours_wh, decimals=st.integers(4, 6), scale=st.sampled_from(["1", "0.5", "3", "1.07"]))
def test_what_was_rounded_never_differs(
    hours: list[tuple[Decimal, Decimal, Decimal]], decimals: int, scale: str
) -> None:
    """Hours of hundredths of a Wh, scaled, rounded one by one: their total is the same day."""
    factor = Decimal(scale) / 1000
    stored = sums_of(
        (
            HourReading(taken * factor, given_ * factor, sun / 1000).rounded(decimals)
            for taken, given_, sun in hours
        ),
        decimals,
    )
    taken, given_, sun = (sum(column, ZERO) for column in zip(*hours, strict=True))
    cloud = DayTotal(taken * factor, given_ * factor, sun / 1000, sun / 1000, Decimal(scale))
    for complete in (True, False):
        assert differences(stored, cloud, complete=complete) == ()


@given(hours=st.lists(st.integers(0, 10**6), min_size=1, max_size=25), decimals=st.integers(4, 6))
@example(hours=[4] * 24, decimals=6)
def test_what_the_cloud_rounded_never_differs(hours: list[int], decimals: int) -> None:
    """It tells hundredths of a Wh, of hours as of days, and may know thousandths."""
    cent = Decimal("0.01")
    exact = [Decimal(each).scaleb(-3) for each in hours]
    told = [(each.quantize(cent) / 1000, ZERO) for each in exact]
    stored = sums_of((HourReading(taken, sold, ZERO).rounded(decimals) for taken, sold in told), decimals)
    whole = sum(exact, ZERO).quantize(cent) / 1000
    assert differences(stored, total(str(whole)), complete=True) == ()


@given(hours=hours_wh, discard=st.integers(0, 500))
def test_a_discard_makes_solar_a_range(hours: list[tuple[Decimal, Decimal, Decimal]], discard: int) -> None:
    """Each hour lost up to so much: the day's total does not tell how much in all."""
    off = Decimal(discard) / 1000
    left = [max(ZERO, sun / 1000 - off) for _, _, sun in hours]
    stored = sums_of((HourReading(ZERO, ZERO, each).rounded(4) for each in left), 4)
    high = sum((sun for _, _, sun in hours), ZERO) / 1000
    cloud = DayTotal(ZERO, ZERO, max(ZERO, high - len(hours) * off), high)
    assert differences(stored, cloud, complete=True) == ()


@pytest.mark.parametrize("change", ["0.0100", "-0.0100"])
def test_a_digit_of_a_complete_day_differs_either_way(change: str) -> None:
    """Ten Wh are more than 24 roundings."""
    stored = sums(str(Decimal("10.0000") + Decimal(change)))
    (found,) = differences(stored, total("10"), complete=True)
    assert found == ("import", stored.import_kwh, Decimal(10))


def test_each_column_is_reported() -> None:
    """With both numbers."""
    found = differences(sums("1", "2", "3"), total("4", "5", "6"), complete=True)
    assert [each.column for each in found] == ["import", "export", "solar"]
    assert [str(each.cloud_kwh) for each in found] == ["4", "5", "6"]


def test_an_incomplete_day_differs_only_where_the_cloud_has_more() -> None:
    """Late data has arrived. What the cloud lost stays stored."""
    assert differences(sums("5"), total("4"), complete=False) == ()
    assert [each.column for each in differences(sums("5"), total("6"), complete=False)] == ["import"]


def test_a_day_without_a_file_differs_where_the_cloud_has_anything() -> None:
    """Zeros are nothing."""
    assert differences(NOTHING_STORED, total("0", "0", "0"), complete=False) == ()
    assert len(differences(NOTHING_STORED, total("0", "0", "1"), complete=False)) == 1


def test_solar_that_is_not_told_is_not_compared() -> None:
    """A meter without it, or a day that the cloud lacks on that clamp."""
    assert differences(sums("1", "2", "3"), total("1", "2"), complete=True) == ()


def test_numbers_of_few_digits_are_believed_to_three() -> None:
    """The older utility writes 0.25 for 0.2500; a day of such numbers is not off by whole kWh."""
    assert sums_of([reading("1.5", "0.2", "0")], 1).decimals == 3
    assert sums_of([reading("1.5", "0.2", "0.12345")], 5).decimals == 5
    assert sums_of([reading("1", "0", None)], 4).solar_kwh == 0


@pytest.mark.parametrize(
    ("compared", "different", "distrusted"),
    [(60, 12, False), (60, 13, True), (64, 13, True), (65, 13, False), (1, 1, False), (4, 2, True)],
)
def test_more_than_a_fifth_of_the_days_is_too_many(compared: int, different: int, distrusted: bool) -> None:
    """And one day alone is never too many."""
    assert are_distrusted(compared, different) is distrusted
