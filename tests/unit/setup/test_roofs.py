"""Which clamp or device is on the solar roof, from days of data, by the check of the clamps."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from collector.cloud.devices import CloudMeter
from collector.cloud.meters import Kind
from collector.energy.plausibility import ENOUGH_DAYS, Clamps, Doubt, doubts
from collector.setup.meters import (
    DAYS_NEEDED,
    Roof,
    Verdict,
    called,
    candidate_of,
    find_roof,
    folder_name,
    pair_of,
    with_roof,
)
from tests.support.houses import House

DUBLIN = ZoneInfo("Europe/Dublin")
DEVICE = "e8db84d2a1b3"
SUMMER, WINTER = date(2025, 6, 10), date(2025, 12, 10)


def verdict(house: House, start: date, days: int = DAYS_NEEDED, *, swapped: bool = False) -> Verdict:
    right, wrong = (house.days(start, days, DUBLIN, swapped=each) for each in (False, True))
    return find_roof(wrong, right, "one", "two") if swapped else find_roof(right, wrong, "one", "two")


@pytest.mark.parametrize("days", [ENOUGH_DAYS, DAYS_NEEDED])
@pytest.mark.parametrize("start", [SUMMER, WINTER, date(2025, 3, 3), date(2025, 10, 6)])
def test_a_roof_is_found_whichever_clamp_it_is_on(start: date, days: int) -> None:
    """In every season, and the sentence names what was seen."""
    found = verdict(House(DEVICE), start, days)
    assert found.roof is Roof.SECOND
    assert found.why.startswith(f"In {days} days ")
    assert verdict(House(DEVICE), start, days, swapped=True).roof is Roof.FIRST


@pytest.mark.parametrize("storage", ["none", "battery", "hybrid"])
@pytest.mark.parametrize("start", [SUMMER, WINTER, date(2025, 3, 3), date(2025, 10, 6)])
@pytest.mark.parametrize("swapped", [False, True])
def test_no_house_is_ever_decided_wrongly(storage: str, start: date, swapped: bool) -> None:
    """With a battery the days may show nothing: then the user is asked."""
    found = verdict(House(DEVICE, storage, wh=15_000), start, swapped=swapped)
    assert found.roof in (Roof.UNKNOWN, Roof.FIRST if swapped else Roof.SECOND)
    assert found.why.endswith(".")


def test_too_few_days_decide_nothing() -> None:
    assert verdict(House(DEVICE), SUMMER, ENOUGH_DAYS - 1).roof is Roof.UNKNOWN


def dark(start: date, days: int) -> Verdict:
    """A house with nothing on its second clamp."""
    zero = Decimal(0)
    right = House(DEVICE).days(start, days, DUBLIN)
    one = [
        replace(each, readings={ts: hour._replace(solar_kwh=zero) for ts, hour in each.readings.items()})
        for each in right
    ]
    other = [
        replace(
            each,
            readings={
                ts: hour._replace(import_kwh=zero, export_kwh=zero, solar_kwh=hour.import_kwh)
                for ts, hour in each.readings.items()
            },
        )
        for each in right
    ]
    return find_roof(one, other, "clamp 1", "clamp 2")


def test_a_clamp_that_measures_nothing_in_summer_is_no_roof() -> None:
    """By as many days as the check of the clamps needs for that."""
    found = dark(SUMMER, DAYS_NEEDED)
    assert (found.roof, found.why) == (Roof.NONE, f"Clamp 2 measured nothing at all in {DAYS_NEEDED} days.")
    assert dark(SUMMER, DAYS_NEEDED - 1).roof is Roof.UNKNOWN


def test_a_clamp_that_measures_nothing_in_winter_may_be_under_snow() -> None:
    found = dark(WINTER, DAYS_NEEDED)
    assert found.roof is Roof.UNKNOWN
    assert "snow" in found.why


def test_two_clamps_on_houses_are_not_decided() -> None:
    """A heat pump on the second clamp: both measure energy at night."""
    house = House(DEVICE).days(SUMMER, DAYS_NEEDED, DUBLIN)
    both = [
        replace(
            each,
            readings={ts: hour._replace(solar_kwh=hour.import_kwh) for ts, hour in each.readings.items()},
        )
        for each in house
    ]
    assert Doubt.SOLAR_AT_NIGHT in (doubts(both, Clamps()) or ())
    found = find_roof(both, both, "one", "two")
    assert found.roof is Roof.UNKNOWN
    assert "at night" in found.why


def test_the_verdict_becomes_the_settings_of_the_meter() -> None:
    em = candidate_of(CloudMeter(DEVICE, "House", "EM", Kind.EM))
    chosen = {roof: with_roof(em, Verdict(roof, "Because.")) for roof in Roof}
    clamps = {
        roof: (each.meter.grid_channel, each.meter.solar_channel if each.meter.solar else None, each.is_open)
        for roof, each in chosen.items()
    }
    assert clamps == {
        Roof.SECOND: (0, 1, False),
        Roof.FIRST: (1, 0, False),
        Roof.NONE: (0, None, False),
        Roof.UNKNOWN: (0, 1, True),
    }


def test_a_pair_is_one_meter_of_which_the_second_measures_solar() -> None:
    grid, solar = (CloudMeter(each, "", "3EM", Kind.EM3) for each in ("34987a45c1d0", "34987a45c1d1"))
    meter = pair_of(grid, solar).meter
    assert (meter.kind, meter.id, meter.pv_id) == (Kind.EM3, grid.id, solar.id)


def test_two_meters_of_one_name_were_called_the_same() -> None:
    """Nobody could tell which was asked for; now each has its ID beside the name."""
    ids = ("34987a45c1d0", "34987a45c1d1", "34987a45c1d2", "34987a45c1d3")
    devices = [
        CloudMeter(*each, "3EM", Kind.EM3) for each in zip(ids, ("Grid", "Roof", "Grid", ""), strict=True)
    ]
    assert [called(each, devices) for each in devices] == [
        "Grid (34987a45c1d0)",
        "Roof",
        "Grid (34987a45c1d2)",
        "(no name) 34987a45c1d3",
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("House", "house"),
        ("Haus Zähler", "haus-zahler"),
        ("Großes Haus", "grosses-haus"),
        ("Garage 🚗", "garage"),
        ("🚗", f"meter-{DEVICE}"),
        ("电表", f"meter-{DEVICE}"),
        ("", f"meter-{DEVICE}"),
        ("..", f"meter-{DEVICE}"),
        ("../../etc", "etc"),
        ("a/b\\c", "a-b-c"),
        ("-n", "n"),
        ("x" * 300, "x" * 40),
        ("Grid", "grid-2"),
        ("\x1b[31mred\n", "31mred"),
    ],
)
def test_a_name_of_the_app_becomes_a_safe_name_of_a_folder(text: str, name: str) -> None:
    assert folder_name(text, DEVICE, ["Grid"]) == name
