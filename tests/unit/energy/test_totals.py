"""Sums over days, weeks, months and years: exact, and the same as in the day files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import reduce
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.archive.dayfile import encode
from collector.energy.days import local_day
from collector.energy.history import DayState
from collector.energy.readings import EnergyDay, HourReading
from collector.energy.totals import NO_HOURS, DayHours, Period, Totals, totals_by, totals_of
from tests.support.energy_days import BERLIN, dates, energy_days, reading, readings_of_an_hour


def hours_of(day: date, readings: Sequence[HourReading | None]) -> DayHours:
    """A day that is over with these hours."""
    labels = tuple(range(len(readings)))
    return DayHours(day, 0, labels, tuple(readings), len(readings), DayState.PARTIAL, "")


a_day = st.lists(st.none() | readings_of_an_hour, min_size=1, max_size=25)
some_days = st.builds(
    lambda first, days: [hours_of(first + timedelta(number), each) for number, each in enumerate(days)],
    dates,
    st.lists(a_day, max_size=20),
)


@given(some_days, st.sampled_from(Period), st.booleans())
def test_periods_add_up_to_the_whole_in_whatever_way_they_are_cut(
    days: list[DayHours], period: Period, no_solar: bool
) -> None:
    """Nothing is counted twice, left out or rounded."""
    by_period = totals_by(days, period, no_solar=no_solar)
    assert reduce(add, by_period.values(), NO_HOURS) == reduce(
        add, (totals_of(day, no_solar=no_solar) for day in days), NO_HOURS
    )
    assert list(by_period) == sorted(by_period)


@given(energy_days())
def test_sums_are_those_of_the_columns_of_the_file(energy_day: EnergyDay) -> None:
    """Two programs that read an archive must not differ: `consumed` and `solar_consumed` are in it."""
    lines = encode(energy_day.rounded(4), 4, complete=False).splitlines()
    records = [json.loads(line, parse_float=Decimal) for line in lines]
    readings = energy_day.rounded(4).readings
    day = hours_of(energy_day.day.date, [readings.get(ts) for ts in energy_day.day.hours])
    found = totals_of(day, no_solar=False)
    for value, column in (
        (found.import_kwh, "import"),
        (found.export_kwh, "export"),
        (found.solar_kwh, "solar"),
        (found.solar_used_kwh, "solar_consumed"),
        (found.consumption_kwh, "consumed"),
    ):
        assert (value or 0) == sum(record[column] for record in records if column in record)


@given(some_days)
def test_a_rate_is_a_part_or_unknown(days: list[DayHours]) -> None:
    """Never more than all, never a division by zero."""
    for sums in totals_by(days, Period.YEAR, no_solar=False).values():
        assert sums.self_consumption is None or 0 <= sums.self_consumption <= 1
        assert sums.self_sufficiency is None or 0 <= sums.self_sufficiency <= 1
        assert sums.stored_hours <= sums.expected_hours
        assert sums.whole_hours <= sums.stored_hours


def test_what_was_exported_beyond_the_sun_is_no_negative_consumption() -> None:
    """A battery, or rounding: the hour counts as one without solar energy used here, as in the files."""
    day = hours_of(date(2026, 3, 1), [reading("0.5", "2", "1.5"), reading("0.5", "0", "1")])
    found = totals_of(day, no_solar=False)
    assert (found.solar_used_kwh, found.consumption_kwh) == (Decimal(1), Decimal(2))
    assert found.self_sufficiency == Decimal("0.5")


def test_an_hour_without_solar_counts_for_the_grid_alone() -> None:
    """Consumption and rates would be wrong with it."""
    day = hours_of(date(2026, 3, 1), [reading("1", "0", "1"), reading("10", "0", None), None])
    assert totals_of(day, no_solar=False) == Totals(
        Decimal(11), Decimal(0), Decimal(1), Decimal(1), Decimal(2), 2, 1, 3
    )


def test_nothing_stored_is_no_sum() -> None:
    """Not zero: a missing day looks like a missing day."""
    assert totals_of(hours_of(date(2026, 3, 1), [None] * 24), no_solar=False) == Totals(expected_hours=24)


def test_a_meter_without_solar_consumes_what_it_imports() -> None:
    """The zeros in its files are true, but there is no solar energy of which a part could be used."""
    day = hours_of(date(2026, 3, 1), [reading("1.5", "0.25", "0")])
    found = totals_of(day, no_solar=True)
    assert (found.consumption_kwh, found.solar_kwh) == (Decimal("1.5"), None)
    assert found.self_consumption is found.self_sufficiency is None


def test_hours_to_come_are_not_expected() -> None:
    """Today is not incomplete before it is over."""
    day = hours_of(date(2026, 3, 1), [reading()] * 13 + [None] * 11)._replace(finished=13)
    found = totals_of(day, no_solar=False)
    assert (found.stored_hours, found.expected_hours) == (13, 13)


@pytest.mark.parametrize(
    ("day", "names"),
    [
        (date(2024, 12, 30), ("2024-12-30", "2025-W01", "2024-12", "2024")),
        (date(2021, 1, 3), ("2021-01-03", "2020-W53", "2021-01", "2021")),
        (date(2026, 11, 29), ("2026-11-29", "2026-W48", "2026-11", "2026")),
    ],
)
def test_a_week_belongs_to_the_year_of_its_thursday(day: date, names: tuple[str, ...]) -> None:
    """As ISO 8601 has it, and every calendar that people write weeks in."""
    assert tuple(period.name_of(day) for period in Period) == names


def test_a_day_of_25_hours_has_25() -> None:
    """Both hours of the repeated pair count."""
    autumn = local_day(date(2026, 10, 25), BERLIN)
    day = DayHours(
        autumn.date, autumn.start, autumn.labels, (reading("1", "0", "0"),) * 25, 25, DayState.COMPLETE, ""
    )
    assert totals_of(day, no_solar=False).import_kwh == 25
