"""The simulated house is plausible, and the same everywhere."""

from __future__ import annotations

from decimal import Decimal

from collector.simulator import Device, Energy, truth
from collector.simulator.truth import split

YEAR = range(1_735_689_600, 1_735_689_600 + 365 * 86_400, 3_600)
METER = "e8db84d2a1b3"


def test_it_is_the_same_on_every_machine() -> None:
    """Fixed values: another processor, another Python, must serve the same house."""
    assert truth(METER, 0, 1_750_503_600) == Energy(Decimal("0.00"), Decimal("1736.08"))
    assert truth(METER, 1, 1_750_503_600) == Energy(Decimal("2083.40"), Decimal("0.00"))


def test_the_night_takes_its_base_load_and_has_no_sun() -> None:
    nights = [ts for ts in YEAR if ts % 86_400 == 2 * 3_600]
    assert all(150 <= truth(METER, 0, ts).consumption <= 400 for ts in nights)
    assert all(truth(METER, 0, ts).reversed == truth(METER, 1, ts).consumption == 0 for ts in nights)


def test_a_year_of_it_is_a_year_of_a_house() -> None:
    imported = sum(truth(METER, 0, ts).consumption for ts in YEAR)
    exported = sum(truth(METER, 0, ts).reversed for ts in YEAR)
    made = sum(truth(METER, 1, ts).consumption for ts in YEAR)
    assert 1_500_000 < imported < 6_000_000
    assert 1_500_000 < exported < made < 6_000_000


def test_what_is_exported_was_made() -> None:
    for ts in YEAR[::7]:
        grid, solar = truth(METER, 0, ts), truth(METER, 1, ts)
        assert 0 <= grid.reversed <= solar.consumption
        assert grid.consumption >= 0 and solar.reversed == 0


def test_zeros_and_crossings_within_an_hour_both_occur() -> None:
    hours = [truth(METER, 0, ts) for ts in YEAR]
    assert any(hour.consumption == 0 for hour in hours)
    assert any(hour.consumption > 0 and hour.reversed > 0 for hour in hours)


def test_phases_are_uneven_and_exact() -> None:
    meter = Device("34987a45c1d0", kind="3em")
    for ts in YEAR[::97]:
        parts = [meter.energy(phase, ts) for phase in range(3)]
        assert sum(part.consumption for part in parts) == meter.total(ts).consumption
        assert sum(part.reversed for part in parts) == meter.total(ts).reversed
        assert all(value >= 0 for part in parts for value in part)


def test_parts_are_exact_and_never_negative() -> None:
    whole = Energy(Decimal("0.01"), Decimal("1234.57"))
    for parts in range(1, 10):
        cut = split(whole, parts, 1_750_503_600)
        assert len(cut) == parts
        assert sum(part.consumption for part in cut) == whole.consumption
        assert sum(part.reversed for part in cut) == whole.reversed
        assert all(value >= 0 for part in cut for value in part)
