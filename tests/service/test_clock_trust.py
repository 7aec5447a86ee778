"""The clock: nothing that depends on the date is done while it cannot be right."""

from __future__ import annotations

import errno
import io
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.collect import collector
from collector.simulator import Device
from tests.support.faulty_cloud import Fault
from tests.support.service_life import SHALLOW, START, TODAY, events_in, living
from tests.support.world import DEVICE, cloud_of, hours_of_day, kwh, records_of

WRONG = [
    datetime(1970, 1, 1, tzinfo=UTC) - START,
    datetime(2025, 8, 1, tzinfo=UTC) - START,  # systemd begins at its build date
    timedelta(days=-30),
    timedelta(minutes=-10),
    timedelta(minutes=10),
    timedelta(days=730),
]


@pytest.fixture(autouse=True)
def no_time_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """As on a machine whose clock nobody has set yet."""
    path = tmp_path / "synchronized"
    monkeypatch.setattr(collector, "SYNCHRONIZED", path)
    return path


@pytest.mark.parametrize("skew", WRONG, ids=str)
async def test_a_wrong_clock_stores_nothing_and_the_right_one_works_at_once(
    skew: timedelta, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Logged once, no file; within a minute of the clock being set the work continues, rightly."""
    archive = tmp_path / "archive"
    async with living(cloud_of(), archive, START, skew=skew, **SHALLOW) as service:
        await service.pass_time(minutes=60)
        assert not list(archive.rglob("*.jsonl"))
        assert len(events_in(log_lines.getvalue(), "clock.untrusted")) == 1
        assert service.world.cloud.counts.total.requests <= 8  # looking at the clock costs no request
        service.skew[0] = timedelta(0)
        await service.pass_time(seconds=60)
        assert len(events_in(log_lines.getvalue(), "clock.trusted")) == 1
        await service.pass_time(minutes=5)
        folder = service.world.folder()
        assert {path.stem for path in folder.glob("*.jsonl")} == {
            str(TODAY - timedelta(days=number)) for number in range(4)
        }
        hours = hours_of_day(TODAY, "Europe/Dublin")[:14]
        records = records_of(folder / f"{TODAY}.jsonl")
        assert [record["ts"] for record in records] == hours
        device = Device(DEVICE)
        assert all(record["import"] == kwh(device.energy(0, record["ts"]).consumption) for record in records)
        assert not events_in(log_lines.getvalue(), "history.lost")


async def test_a_clock_that_the_time_service_has_set_is_trusted(
    tmp_path: Path, no_time_service: Path, log_lines: io.StringIO
) -> None:
    """Even where the cloud's own clock is wrong."""
    no_time_service.touch()
    scenario = cloud_of(date_header="Thu, 01 Jan 1970 00:00:00 GMT")
    async with living(scenario, tmp_path / "archive", START, **SHALLOW) as service:
        await service.pass_time(minutes=5)
        assert len(list(service.world.folder().glob("*.jsonl"))) == 4
        assert not events_in(log_lines.getvalue(), "clock.untrusted")


@pytest.mark.parametrize("header", ["", "nonsense"])
async def test_where_there_is_no_time_source_the_newest_stored_day_bounds_it(
    header: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """No time service and no `Date`: a clock before what is stored already is wrong."""
    scenario = cloud_of(date_header=header)
    archive = tmp_path / "archive"
    async with living(scenario, archive, START, **SHALLOW) as service:
        await service.pass_time(minutes=5)
        await service.stop()
    before = {path: path.read_bytes() for path in archive.rglob("*.jsonl")}
    async with living(scenario, archive, START, skew=timedelta(days=-400), **SHALLOW) as service:
        await service.pass_time(minutes=5)
        assert len(events_in(log_lines.getvalue(), "clock.untrusted")) == 1
    assert {path: path.read_bytes() for path in archive.rglob("*.jsonl")} == before


async def test_a_clock_that_steps_while_running_harms_nothing(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Minutes to years, either way, and back: no wrong file, and the hours come as before."""
    async with living(cloud_of(), tmp_path / "archive", START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        before = set((tmp_path / "archive").rglob("*.jsonl"))
        for off in (timedelta(days=-400), timedelta(hours=5), timedelta(days=700), timedelta(minutes=-30)):
            service.skew[0] = off
            await service.pass_time(hours=1)
            assert set((tmp_path / "archive").rglob("*.jsonl")) == before
            service.skew[0] = timedelta(0)
            await service.pass_time(minutes=2)
        await service.pass_time(minutes=30)
        records = records_of(service.world.folder() / f"{TODAY}.jsonl")
        assert len(records) == 19
        assert len(events_in(log_lines.getvalue(), "clock.trusted")) == 4


async def test_one_day_that_fails_beside_a_wrong_clock_is_no_reason_to_end(tmp_path: Path) -> None:
    """Troubles change into one another."""
    fault = Fault("status_500", times=9)
    async with living(
        cloud_of(fault=(fault,)), tmp_path / "archive", START, skew=timedelta(days=3), **SHALLOW
    ) as service:
        await service.pass_time(hours=1)
        assert not service.task.done()
        service.skew[0] = timedelta(0)
        await service.pass_time(minutes=6)
        assert len(list(service.world.folder().glob("*.jsonl"))) == 4


async def test_days_that_a_wrong_clock_planned_are_let_go_although_the_disk_was_the_trouble(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk hid the clock: the days that waited for it were of a plan of another time."""

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    archive = tmp_path / "archive"
    fault = Fault("truncated_json", times=2)
    skew = timedelta(days=-30)
    async with living(
        cloud_of(fault=(fault,), latency_s=0.1), archive, START, skew=skew, **SHALLOW
    ) as service:
        with monkeypatch.context() as broken:
            broken.setattr(os, "write", full)
            await service.pass_time(minutes=9)
            assert events_in(log_lines.getvalue(), "storage.full")
            service.skew[0] = timedelta(0)
            await service.pass_time(minutes=1)
        await service.pass_time(minutes=10)
        expected = {str(TODAY - timedelta(days=number)) for number in range(4)}
        assert {path.stem for path in service.world.folder().glob("*.jsonl")} == expected
