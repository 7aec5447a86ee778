"""Doubts about the clamps, in words: an instruction takes proof, and a doubt names what else it may be."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from collector.cloud.meters import Meter
from collector.doctor.checks import Check, Mark
from collector.doctor.diagnosis import Stored, clamps_check
from tests.support.houses import House

DEVICE = "e8db84d2a1b3"
DUBLIN = ZoneInfo("Europe/Dublin")


def clamps_of(house: House, start: date, *, swapped: bool = False) -> Check:
    stored = Stored(recent=tuple(house.days(start, 7, DUBLIN, swapped=swapped)))
    return clamps_check(Meter("house", DEVICE), None, stored)


@pytest.mark.parametrize("start", [date(2025, 3, 3), date(2025, 6, 10), date(2025, 10, 6)])
def test_a_hybrid_inverter_is_no_reason_to_swap_the_clamps(start: date) -> None:
    """Bug: it was. The doubt names the inverter, and that everything is right with one."""
    check = clamps_of(House(DEVICE, "hybrid", wh=15_000), start)
    assert "swap" not in (check.text + check.cure).lower()
    if check.mark is Mark.WARN:
        assert "hybrid inverter" in check.cure
        assert "nothing to do" in check.cure


def test_a_hybrid_inverter_that_feeds_the_house_all_night_is_a_doubt() -> None:
    """The same from another wire cannot be distinguished from it."""
    assert clamps_of(House(DEVICE, "hybrid", wh=15_000), date(2025, 3, 3)).mark is Mark.WARN


@pytest.mark.parametrize("start", [date(2025, 6, 10), date(2025, 12, 10)])
def test_swapped_clamps_are_to_be_swapped_back(start: date) -> None:
    """In summer and in winter."""
    check = clamps_of(House(DEVICE), start, swapped=True)
    assert check.mark is Mark.WARN
    assert check.cure.startswith("Swap grid_channel and solar_channel.")


def test_a_roofs_shape_alone_gives_both_readings_and_no_instruction() -> None:
    """A battery hides the house's night: it may also be charged from the grid by day."""
    check = clamps_of(House(DEVICE, "battery", wh=20_000), date(2025, 6, 10), swapped=True)
    assert check.mark is Mark.WARN
    assert check.cure.startswith("Either grid and solar clamp are swapped, or a battery")
