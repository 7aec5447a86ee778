"""S7 at the service's level: storage calls fail for hours under a living service."""

from __future__ import annotations

import errno
import io
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.simulator import Device
from tests.faults import figures
from tests.support import amounts
from tests.support.failing_calls import Calls, Failure
from tests.support.service_life import events_in, living
from tests.support.world import DEVICE, check_day, cloud_of

START = datetime(2026, 3, 20, 14, 5, tzinfo=UTC)
TODAY = date(2026, 3, 20)
SHALLOW: dict[str, Any] = {"schedule": {"backfill_days": 3}}
SAVING = ("all", "open", "write", "fsync", "close", "replace")
LOOKING = ("lstat", "read", "scandir")
NUMBERS = ("ENOSPC", "EROFS", "EIO", "EACCES", "EDQUOT", "EMFILE", "EINTR")


@pytest.mark.timeout(900)
async def test_calls_that_fail_for_hours_are_told_once(tmp_path: Path, log_lines: io.StringIO) -> None:
    """One event down and one up; nothing fetched meanwhile, for nothing could be kept; all there after it."""
    every = [(name, error) for name in SAVING for error in NUMBERS]
    chosen = amounts.dice("S7 service").sample(every, amounts.amount(5, len(every)))
    for number, (name, error) in enumerate(chosen):
        log_lines.truncate(0)
        log_lines.seek(0)
        await outage(tmp_path / str(number), log_lines, name, getattr(errno, error))
        full = error in ("ENOSPC", "EDQUOT")
        told = {event: len(events_in(log_lines.getvalue(), event)) for event in EVENTS}
        assert told == {"storage.full": full, "storage.failed": not full, "storage.recovered": 1}, (
            name,
            error,
        )
    figures.note("S7", outages=len(chosen), events_too_many=0)


EVENTS = ("storage.full", "storage.failed", "storage.recovered")


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", LOOKING)
async def test_looks_that_fail_while_saving_works_make_nothing_spin(
    name: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: one file whose inode is damaged had a trouble told, ended and told again every five seconds."""
    calls = await outage(tmp_path / "archive", log_lines, name, errno.EIO)
    assert sum(len(events_in(log_lines.getvalue(), event)) for event in EVENTS) <= 2 * 4
    assert calls < 4000


async def outage(archive: Path, log_lines: io.StringIO, name: str, error: int) -> int:
    """Four hours with that call failing; gives how many calls were made in them."""
    fault = Failure(range(sys.maxsize), error, None if name == "all" else frozenset({name}))
    async with living(cloud_of(), archive, START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        folder = service.world.folder()
        before = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
        with Calls(folder, fault).wrapped() as calls, calls.watched():
            service.world.cloud.reset()
            await service.pass_time(hours=4)
        assert service.world.cloud.counts.total.requests <= 4 * 4 * 4, "days, each twice, on two clamps"
        assert not service.task.done()
        now = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
        assert {name: now[name] for name in before if name != f"{TODAY}.jsonl"} == {
            name: data for name, data in before.items() if name != f"{TODAY}.jsonl"
        }
        assert now[f"{TODAY}.jsonl"].startswith(before[f"{TODAY}.jsonl"])
        await service.pass_time(seconds=60)
        assert name in LOOKING or events_in(log_lines.getvalue(), "storage.recovered")
        await service.pass_time(hours=9)
        for number in range(4):
            day = TODAY - timedelta(days=number)
            check_day(folder / f"{day}.jsonl", day, Device(DEVICE), complete=True)
        assert not list(archive.rglob("*shelly-tmp"))
        assert not list(archive.rglob("quarantine/*"))
        assert not events_in(log_lines.getvalue(), "job.failed")
    return len(calls.made)
