"""An account with hour-long rate-limit pauses, again and again: waited for as long as required."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from pathlib import Path

import pytest

from collector.cli.backfill import _exit_code
from collector.errors import RateLimited
from collector.status import read_status
from tests.support.faulty_cloud import Fault
from tests.support.service_life import SHALLOW, START, TODAY, events_in, living
from tests.support.world import cloud_of, records_of, world


@pytest.mark.usefixtures("rare_looks")
async def test_a_service_that_waits_as_required_is_not_stuck(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Bug: after three hours of such holds the watchdog ended it, and the new process forgot the wait."""
    held = Fault(
        "too_many_requests",
        retry_after="3600",
        since=START + timedelta(hours=1),
        until=START + timedelta(hours=14),
    )
    async with living(cloud_of(fault=(held,)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(hours=1, minutes=1)
        for _ in range(12):
            before = service.told.count("WATCHDOG=1"), service.world.cloud.counts.total.requests
            await service.pass_time(hours=1)
            assert service.told.count("WATCHDOG=1") - before[0] >= 5  # every ten minutes, in this test
            assert service.world.cloud.counts.total.requests - before[1] <= 4
        await service.pass_time(hours=3)
        assert len(events_in(log_lines.getvalue(), "account.held")) >= 10
        assert len(records_of(service.world.folder() / f"{TODAY}.jsonl")) == 24


@pytest.mark.parametrize(("retry_after", "at_most_s"), [("3600", 60), ("500", 600), (None, 1200)])
async def test_a_backfill_by_hand_does_not_wait_for_hours(
    retry_after: str | None, at_most_s: float, tmp_path: Path
) -> None:
    """Bug: it sat out an hour after each attempt without a word; a person waits a quarter of an hour."""
    fault = Fault("too_many_requests", retry_after=retry_after)
    async with world(cloud_of(fault=(fault,)), tmp_path, START) as here:
        report = await here.backfill()
    assert isinstance(report.gave_up, RateLimited)
    assert report.duration_s <= at_most_s
    assert _exit_code(report) == 69


async def test_a_backfill_by_hand_that_is_paused_in_its_middle_reports_it(tmp_path: Path) -> None:
    """What it has is there; the same command continues."""
    fault = Fault("too_many_requests", retry_after="3600", since=START + timedelta(seconds=20))
    async with world(cloud_of(latency_s=1.0, fault=(fault,)), tmp_path, START) as here:
        report = await here.backfill(pacing={"min_interval_s": 1.05})
    assert isinstance(report.gave_up, RateLimited)
    assert "60 min more" in report.gave_up.reason  # it was "for 60 min so far", after two seconds
    assert report.duration_s <= 30
    assert len(list((tmp_path / "house").glob("*.jsonl"))) >= 5


async def test_a_backfill_by_hand_waits_for_a_short_hold(tmp_path: Path) -> None:
    """The phone app asks at the same time, say."""
    fault = Fault("too_many_requests", retry_after="240", every=12)
    async with world(cloud_of(fault=(fault,)), tmp_path, START) as here:
        report = await here.backfill()
    assert report.gave_up is None
    assert report.duration_s >= 3 * 240
    assert len(list((tmp_path / "house").glob("*.jsonl"))) == 31


async def test_a_service_that_was_held_off_from_its_start_gave_no_reason(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: "starting" without a word, and then "nothing was collected for hours"."""
    held = Fault("too_many_requests", retry_after="3600", until=START + timedelta(hours=5))
    async with living(cloud_of(fault=(held,)), tmp_path, START, **SHALLOW) as service:
        for hours, state in ((0.2, "starting"), (4, "broken")):
            await service.pass_time(hours=hours)
            status = read_status(tmp_path, {})
            assert status is not None
            assert status.state == state
            reason = status.meters["house"].reason
            assert re.fullmatch(r"request limit reached: the cloud requires a pause until \d\d:\d\d", reason)
            told = next(line for line in reversed(service.told) if line.startswith("STATUS="))
            assert reason in told
            (account,) = status.accounts.values()
            assert account.trouble is not None
            assert account.trouble.event == "account.held"
        await service.pass_time(hours=5)
        status = read_status(tmp_path, {})
        assert status is not None
        assert (status.state, status.meters["house"].reason) == ("good", "")
    assert events_in(log_lines.getvalue(), "account.held")
