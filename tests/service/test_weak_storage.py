"""An archive on a file system that cannot do all that it should: SMB, some FUSE. It works, and says so."""

from __future__ import annotations

import errno
import io
import os
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from collector.doctor.machine import read_service
from collector.overview import status_of
from collector.simulator import Device
from tests.support.failing_calls import Calls, Failure, folders_refused
from tests.support.service_life import SHALLOW, START, TODAY, Living, events_in, living
from tests.support.world import DEVICE, check_day, cloud_of


def are_there(service: Living) -> None:
    for number in range(1, 4):
        day = TODAY - timedelta(days=number)
        check_day(service.world.folder() / f"{day}.jsonl", day, Device(DEVICE), complete=True)


async def test_names_that_cannot_be_made_durable_are_logged_once_and_days_are_saved(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: `storage.failed` for ever, and each day saved and requested again."""
    monkeypatch.setattr(os, "fsync", folders_refused(errno.EINVAL))
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(hours=2)
        are_there(service)
    [event] = events_in(log_lines.getvalue(), "storage.weak")
    assert event["meter"] == "house"
    assert "power cut" in event["reason"]
    assert not events_in(log_lines.getvalue(), "storage.failed")


async def test_a_file_system_without_locks_is_logged_once_and_days_are_saved(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: exit 73 every fifteen seconds. `status` and `doctor` see the service all the same."""
    refused = Failure(range(sys.maxsize), errno.ENOLCK, frozenset({"flock"}))
    with Calls(tmp_path, refused).wrapped() as calls, calls.watched():
        async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
            await service.pass_time(hours=2)
            are_there(service)
            settings = service.world.settings()
            assert status_of(settings.files, service.world.clock(), {}).is_running
            folders, now = {"house": service.world.folder()}, service.world.clock().timestamp()
            locks, status, _ = read_service(tmp_path, folders, {}, now)
            assert (locks, status is not None) == ({"house": True}, True)
            await service.stop()
    [event] = events_in(log_lines.getvalue(), "storage.weak")
    assert "two collectors" in event["reason"]


async def test_a_good_file_system_is_not_called_weak(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Which these tests run on."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=5)
    assert not events_in(log_lines.getvalue(), "storage.weak")
