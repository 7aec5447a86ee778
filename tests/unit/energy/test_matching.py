"""Whether stored hours are a meter's: six that agree are enough, and two meters never agree."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.energy.days import local_day
from collector.energy.identity import ENOUGH_HOURS, Match, distinct_hours, match
from collector.energy.readings import HourReading
from collector.simulator import truth
from tests.support.energy_days import BERLIN, ORDINARY

DAY = local_day(ORDINARY, BERLIN)


def told(device: str, scale: Decimal = Decimal(1), discard: Decimal = Decimal(0)) -> dict[int, HourReading]:
    """What the cloud says of that meter's day, unrounded."""
    readings = {}
    for ts in DAY.hours:
        grid, sun = truth(device, 0, ts), truth(device, 1, ts)
        solar = max(Decimal(0), sun.consumption / 1000 - discard)
        readings[ts] = HourReading(grid.consumption / 1000 * scale, grid.reversed / 1000 * scale, solar)
    return readings


def stored(readings: Mapping[int, HourReading], decimals: int) -> dict[int, HourReading]:
    return {ts: hour.rounded(decimals) for ts, hour in readings.items()}


def first(readings: Mapping[int, HourReading], hours: int) -> dict[int, HourReading]:
    return dict(list(readings.items())[:hours])


devices = st.from_regex("[0-9a-f]{12}", fullmatch=True)


@given(
    devices,
    st.integers(2, 6),
    st.decimals(Decimal("0.5"), Decimal(2), places=3),
    st.sampled_from(["0", "0.005", "0.05"]),
)
def test_a_meters_own_day_agrees_however_it_was_rounded_scaled_and_discarded(
    device: str, decimals: int, scale: Decimal, discard: str
) -> None:
    """The factor and the discard of whoever wrote the file need not be those of today."""
    file = stored(told(device, scale, Decimal(discard)), decimals)
    assert match(file, told(device)) is Match.AGREES


@given(devices, devices, st.integers(2, 6))
def test_another_meters_day_never_agrees(device: str, other: str, decimals: int) -> None:
    """Whatever factor is found: two meters do not share six hours."""
    expected = Match.AGREES if device == other else Match.DISAGREES
    assert match(stored(told(device), decimals), told(other)) is expected


@pytest.mark.parametrize("revised", range(4))
def test_hours_that_were_revised_meanwhile_do_not_matter(revised: int) -> None:
    """A few of a day, as the cloud does; three of 24."""
    file = stored(told("e8db84d2a1b3"), 4)
    for ts in list(file)[9 : 9 + revised]:
        file[ts] = file[ts]._replace(import_kwh=file[ts].import_kwh + 1)
    assert match(file, told("e8db84d2a1b3")) is Match.AGREES


def test_the_same_grid_meter_with_another_roof_disagrees() -> None:
    """The nights are equal, and prove nothing."""
    file = stored(told("e8db84d2a1b3"), 4)
    roof = told("0123456789ab")
    other = {ts: hour._replace(solar_kwh=roof[ts].solar_kwh) for ts, hour in told("e8db84d2a1b3").items()}
    assert match(file, other) is Match.DISAGREES


def test_a_day_without_its_solar_columns_agrees_by_its_grid() -> None:
    """As the older utility wrote for a meter without solar."""
    file = {ts: hour._replace(solar_kwh=None) for ts, hour in stored(told("e8db84d2a1b3"), 4).items()}
    assert match(file, told("e8db84d2a1b3")) is Match.AGREES


@pytest.mark.parametrize("hours", [0, 1, ENOUGH_HOURS - 1])
def test_too_few_hours_decide_nothing(hours: int) -> None:
    """Five hours may be the same by chance, or zero."""
    assert match(first(stored(told("e8db84d2a1b3"), 4), hours), told("e8db84d2a1b3")) is Match.UNDECIDED
    assert match(stored(told("e8db84d2a1b3"), 4), first(told("e8db84d2a1b3"), hours)) is Match.UNDECIDED


def test_zeros_and_repeated_values_decide_nothing() -> None:
    """A meter that was unplugged, or a constant load, looks like any other."""
    zero, idle = (HourReading(Decimal(kwh), Decimal("0.000"), Decimal(0)) for kwh in ("0.000", "0.010"))
    assert distinct_hours([zero, idle, idle]) == 1
    for hour in (zero, idle):
        same = dict.fromkeys(DAY.hours, hour)
        assert match(same, same) is Match.UNDECIDED


def test_stamps_some_minutes_past_the_hour_decide_nothing() -> None:
    """An inverter's file has no hour in common with the cloud."""
    file = {ts + 420: hour for ts, hour in stored(told("e8db84d2a1b3"), 4).items()}
    assert match(file, told("e8db84d2a1b3")) is Match.UNDECIDED
