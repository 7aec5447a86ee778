"""Numbers: every hour of a year, to the last decimal, in zones that do everything zones do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.energy.history import Outcome
from collector.simulator import Device
from tests.support.world import DEVICE, check_day, cloud_of, world

# After both hemispheres' changes, so that the year before holds one of each.
NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
YEAR = 365

ZONES = [
    Device(DEVICE, timezone="Europe/Dublin", spring="missing", future="missing"),
    Device(DEVICE, timezone="Europe/Berlin", spring="nulls", future="absent"),
    Device(DEVICE, timezone="America/New_York", spring="absent", under_way="partial"),
    Device(DEVICE, timezone="America/Havana", spring="missing", tariffs=2),
    Device(DEVICE, timezone="Africa/Cairo", spring="nulls", gaps="nulls"),
    Device(DEVICE, timezone="Asia/Kathmandu", under_way="partial"),
    Device(DEVICE, timezone="Australia/Adelaide", spring="zeros", gaps="absent"),
    Device(DEVICE, timezone="Pacific/Auckland", spring="absent", tariffs=3),
    Device(DEVICE, timezone="UTC", stamps="utc"),
]


@pytest.mark.slow
@pytest.mark.parametrize("device", ZONES, ids=lambda device: device.timezone)
async def test_every_hour_of_a_year_is_the_truth(device: Device, tmp_path: Path) -> None:
    """A year of files holds the hours of each local day, once each, with what really flowed."""
    async with world(cloud_of(device), tmp_path, NOW) as here:
        report = await here.backfill(YEAR)
        today = NOW.astimezone(device.zone).date()
        assert report.counts == {Outcome.WRITTEN: YEAR, Outcome.PARTIAL: 1}
        lengths = set()
        for number in range(1, YEAR + 1):
            day = today - timedelta(days=number)
            lengths.add(check_day(here.folder() / f"{day}.jsonl", day, device, complete=True))
        check_day(here.folder() / f"{today}.jsonl", today, device, complete=False, now=NOW)
        if device.timezone not in ("UTC", "Asia/Kathmandu"):
            assert lengths == {23, 24, 25}
