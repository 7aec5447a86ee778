"""The doctor beside a simulated cloud, and beside a service that has locked the archive."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from collector.archive.files import FolderLock
from collector.doctor.checks import Check, Mark, ok
from collector.doctor.diagnosis import Diagnosis, diagnose
from collector.status import AccountStatus, MeterStatus, State, Status, status_file, write_status
from tests.support.faulty_cloud import Scenario
from tests.support.world import World, cloud_of, world

START = datetime(2026, 6, 20, 14, 30, tzinfo=UTC)
NOW = int(START.timestamp())
FINE = ok("It is valid.")
PACED = {"min_interval_s": 1.05}


@asynccontextmanager
async def beside(scenario: Scenario, tmp_path: Path, **options: Any) -> AsyncIterator[World]:
    archive = tmp_path / "archive"
    archive.mkdir(parents=True)
    async with world(scenario, archive, START, **options) as here:
        yield here


async def examined(here: World, clock: Callable[[], datetime] | None = None, **tables: Any) -> Diagnosis:
    settings = here.settings(pacing=PACED, **tables)
    environ = {"TZ": "Europe/Dublin"}
    found = await diagnose(settings, FINE, clock or here.clock, environ, has_keys=True)
    assert all(each.cure for each in found.checks if each.mark in (Mark.WARN, Mark.FAIL))
    return found


def check(found: Diagnosis, name: str, of: str = "") -> Check:
    (one,) = [each for each in found.checks if each.name == name and of in ("", each.of)]
    return one


def a_status(**changes: Any) -> Status:
    account = AccountStatus(("house",), requests_today=30, gap_s=1.05)
    meter = MeterStatus(State.GOOD, 1800, newest_hour=NOW - 5400, answered_at=NOW - 600)
    status = Status(
        "0.1.0", os.getpid(), NOW - 9000, NOW - 300, "2026-06-20", State.GOOD, 1800, 0, NOW + 2400,
        {"home": account}, {"house": meter},
    )  # fmt: skip
    return replace(status, **changes)


@asynccontextmanager
async def with_service(tmp_path: Path, status: Status | None, **options: Any) -> AsyncIterator[World]:
    """A cloud, and an archive locked by a service with that last status."""
    async with beside(cloud_of(), tmp_path, **options) as here:
        await here.backfill(4)
        here.cloud.reset()
        if status is not None:
            write_status(status_file(here.archive, {}), status)
        lock = FolderLock(here.folder() / ".collector" / "lock")
        try:
            yield here
        finally:
            lock.release()
