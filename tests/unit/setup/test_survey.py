"""What `setup` finds out with requests: the clamps, the roofs, the oldest day; at the allowed rate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from collector.cloud.devices import CloudMeter
from collector.cloud.meters import Kind, Meter
from collector.energy.plausibility import ENOUGH_DAYS
from collector.errors import RateLimited, Unavailable
from collector.setup.meters import DAYS_NEEDED, Candidate
from collector.setup.survey import Oldest, oldest_day, with_clamps, with_roofs
from collector.simulator import Device, Hole
from tests.support.faulty_cloud import Fault, FaultyCloud, Scenario
from tests.support.stand_in_cloud import EM3_ID, EM_ID, NOW, PV_ID, client_of, cloud

DUBLIN = ZoneInfo("Europe/Dublin")
EM = CloudMeter(EM_ID, "House", "EM", Kind.EM)
GRID, SOLAR = (CloudMeter(each, name, "3EM", Kind.EM3) for each, name in ((EM3_ID, "Grid"), (PV_ID, "Roof")))
GRID_DEVICE, SOLAR_DEVICE = Device(EM3_ID, "3em"), Device(PV_ID, "3em", counts="solar")
OTHER_ID, THIRD_ID = "34987a45c1d2", "34987a45c1d3"
YESTERDAY = NOW.date() - timedelta(days=1)


async def clamps(device: Device, requests: int, fault: tuple[Fault, ...] = ()) -> Candidate:
    async with FaultyCloud(replace(cloud(device), fault=fault)) as simulator, client_of(simulator) as client:
        found = await with_clamps(client, EM, lambda: NOW, DUBLIN)
        counts = simulator.counts.total
        assert counts.requests == requests
        assert counts.smallest_start_gap_s is None or counts.smallest_start_gap_s >= 1
        return found


@pytest.mark.parametrize(("how", "grid", "solar"), [("grid_solar", 0, 1), ("solar_grid", 1, 0)])
async def test_the_clamps_are_decided_by_three_days(how: str, grid: int, solar: int) -> None:
    found = await clamps(Device(EM_ID, clamps=how), 2 * ENOUGH_DAYS)  # type: ignore[arg-type]
    assert (found.meter.grid_channel, found.meter.solar_channel, found.is_open) == (grid, solar, False)
    assert "roof" in found.why


async def test_a_second_clamp_without_anything_is_left_out_after_five_days() -> None:
    found = await clamps(Device(EM_ID, clamps="grid_only"), 2 * DAYS_NEEDED)
    assert (found.meter.solar, found.is_open) == (False, False)


async def test_days_without_data_are_passed_over() -> None:
    """The meter was offline for three days: three earlier ones count."""
    hole = Hole(YESTERDAY - timedelta(days=2), YESTERDAY + timedelta(days=1))
    found = await clamps(Device(EM_ID, hole=(hole,)), 2 * (3 + ENOUGH_DAYS))
    assert not found.is_open


async def test_a_meter_without_days_leaves_the_question_open() -> None:
    found = await clamps(Device(EM_ID, installed_since=NOW.date()), 2 * (DAYS_NEEDED + 2))
    assert found.is_open
    assert "fewer than 3 days" in found.why


@pytest.mark.parametrize(
    ("kind", "requests"),
    [
        ("device_not_found", 1),
        ("wrong_channel", 1),
        ("wrong_types", 2),
        ("empty_history", 2 * (DAYS_NEEDED + 2)),
    ],
)
async def test_a_device_that_the_cloud_has_no_days_of_leaves_the_question_open(
    kind: str, requests: int
) -> None:
    found = await clamps(Device(EM_ID), requests, (Fault(kind),))
    assert found.is_open
    assert found.why.endswith(".")


@pytest.mark.parametrize(("kind", "expected"), [("status_500", Unavailable), ("max_req", RateLimited)])
async def test_a_cloud_that_fails_is_an_error(kind: str, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        await clamps(Device(EM_ID), 1, (Fault(kind),))


async def roofs(scenario: Scenario, *devices: CloudMeter) -> tuple[list[CloudMeter], list[str], int]:
    """The devices on a roof, why, and the number of requests."""
    async with FaultyCloud(scenario) as simulator, client_of(simulator) as client:
        found = await with_roofs(client, devices, lambda: NOW, DUBLIN)
        assert [each.devices for each in found] == [(each,) for each in devices]
        assert all(each.meter.pv_id is None for each in found)
        on_roof = [each for each in found if each.on_roof]
        whys, requests = [each.why for each in on_roof], simulator.counts.total.requests
        return [each.devices[0] for each in on_roof], whys, requests


@pytest.mark.parametrize("devices", [(GRID, SOLAR), (SOLAR, GRID)])
async def test_of_two_3ems_the_one_on_the_roof_is_found(devices: tuple[CloudMeter, ...]) -> None:
    """In whatever order they are listed."""
    found, (why,), requests = await roofs(cloud(GRID_DEVICE, SOLAR_DEVICE), *devices)
    assert found == [SOLAR]
    assert "Roof measured nothing at night" in why
    assert requests == 2 * ENOUGH_DAYS


async def test_two_3ems_on_two_houses_are_on_no_roof() -> None:
    found, _, requests = await roofs(cloud(GRID_DEVICE, Device(PV_ID, "3em")), GRID, SOLAR)
    assert (found, requests) == ([], 2 * DAYS_NEEDED)


async def test_a_second_roof_was_called_a_house_because_the_first_house_was_taken() -> None:
    """Pairs were made in the order of the list; which house a roof is on, no data show."""
    more = [
        CloudMeter(each, name, "3EM", Kind.EM3) for each, name in ((OTHER_ID, "Barn"), (THIRD_ID, "Shed"))
    ]
    devices = (GRID_DEVICE, Device(OTHER_ID, "3em"), SOLAR_DEVICE, Device(THIRD_ID, "3em", counts="solar"))
    found, _, requests = await roofs(cloud(*devices), GRID, more[0], SOLAR, more[1])
    assert found == [SOLAR, more[1]]
    assert requests == 4 * ENOUGH_DAYS
    found, _, _ = await roofs(cloud(*devices), GRID, SOLAR, more[1])
    assert found == [SOLAR, more[1]]


async def test_two_3ems_of_one_name_are_told_apart_in_the_reason() -> None:
    twins = [replace(each, name="3EM") for each in (GRID, SOLAR)]
    _, (why,), _ = await roofs(cloud(GRID_DEVICE, SOLAR_DEVICE), *twins)
    assert f"3EM ({PV_ID}) measured nothing at night" in why


async def test_one_3em_needs_no_request() -> None:
    found, _, requests = await roofs(cloud(GRID_DEVICE), GRID)
    assert (found, requests) == ([], 0)


async def test_a_3em_that_the_cloud_refuses_is_on_no_roof() -> None:
    scenario = replace(cloud(GRID_DEVICE, SOLAR_DEVICE), fault=(Fault("device_not_found", device=PV_ID),))
    found, _, _ = await roofs(scenario, GRID, SOLAR)
    assert found == []


async def oldest(device: Device, now: datetime = NOW, fault: tuple[Fault, ...] = ()) -> tuple[Oldest, int]:
    scenario = replace(cloud(device, now=now), fault=fault)
    async with FaultyCloud(scenario) as simulator, client_of(simulator) as client:
        found = await oldest_day(client, Meter("house", device.id), lambda: now, DUBLIN)
        return found, simulator.counts.total.requests


@pytest.mark.parametrize(("days", "requests"), [(5, 3), (200, 5), (700, 7)])
async def test_the_oldest_day_is_found_by_a_few_totals(days: int, requests: int) -> None:
    """Fewer, the younger the meter."""
    since = NOW.date() - timedelta(days=days)
    found, sent = await oldest(Device(EM_ID, installed_since=since))
    assert found.day == since
    assert sent <= requests


async def test_the_oldest_day_of_an_old_meter_is_the_oldest_that_is_kept() -> None:
    found, requests = await oldest(Device(EM_ID))
    assert found.day is not None
    assert found.day <= date(2023, 6, 16)
    assert requests <= 7


async def test_a_cloud_without_totals_leaves_the_oldest_day_unknown() -> None:
    found, requests = await oldest(Device(EM_ID, totals="refused"))
    assert (found.day, requests) == (None, 1)


async def test_a_meter_without_data_has_no_oldest_day() -> None:
    found, _ = await oldest(Device(EM_ID, installed_since=NOW.date()), datetime(2026, 6, 15, 1, tzinfo=UTC))
    assert found.day is None


async def test_a_gap_of_a_quarter_hides_no_older_days() -> None:
    since = NOW.date() - timedelta(days=300)
    gap = Hole(NOW.date() - timedelta(days=110), NOW.date() - timedelta(days=20))
    found, _ = await oldest(Device(EM_ID, installed_since=since, hole=(gap,)))
    assert found.day == since
