"""Numbers: every hour of a year, to the last decimal, in zones that do everything zones do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.energy.history import Outcome
from collector.simulator import Device
from tests.support.faulty_cloud import Fault
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


NOW_AND_THEN = (
    "span_short_at_start", "span_hour_after", "span_day_gone", "span_autumn_fat", "span_short_at_end",
    "span_hour_before_missing", "span_day_missing", "span_spring_zeros", "status_503", "span_hour_before",
    "span_days_as_hours", "null_rows", "span_tariffs", "path_gone", "span_hour_after_missing", "span_utc",
    "span_autumn_twice", "stall", "shuffled", "span_spring_absent", "span_limit_72h",
)  # fmt: skip
"""What may be wrong with one span and not with the next; but for a wrong number, which nobody sees."""


@pytest.mark.slow
@pytest.mark.parametrize("device", ZONES, ids=lambda device: device.timezone)
@pytest.mark.parametrize("hour_span_h", [48, 72, 96])
async def test_a_year_of_spans_in_every_form_is_the_truth(
    hour_span_h: int, device: Device, tmp_path: Path
) -> None:
    """Of every two spans one comes with one fault or another."""
    kinds = NOW_AND_THEN[hour_span_h // 24 :] + NOW_AND_THEN[: hour_span_h // 24]
    every = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79)
    faults = tuple(Fault(kind, asks="span", every=each) for kind, each in zip(kinds, every, strict=True))
    async with world(cloud_of(device, hour_span_h=hour_span_h, fault=faults), tmp_path, NOW) as here:
        report = await here.backfill(YEAR, retry={"timeout_s": 5})
        assert report.counts == {Outcome.WRITTEN: YEAR, Outcome.PARTIAL: 1}
        today = NOW.astimezone(device.zone).date()
        for number in range(1, YEAR + 1):
            day = today - timedelta(days=number)
            check_day(here.folder() / f"{day}.jsonl", day, device, complete=True)
