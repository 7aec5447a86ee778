"""S8: whole file systems that are full, read-only or dead under a living service, and come back."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.simulator import Device
from tests.faults import figures
from tests.faults.loops import run
from tests.faults.mounted import Ext4, in_memory
from tests.support.service_life import events_in, living
from tests.support.world import DEVICE, check_day, cloud_of

START = datetime(2026, 3, 20, 14, 5, tzinfo=UTC)
TODAY = date(2026, 3, 20)
SHALLOW: dict[str, Any] = {"schedule": {"backfill_days": 3}}
DOWN_HOURS = 5
PROBE_S = 30


def assert_told_once(log_lines: io.StringIO, events: str) -> None:
    """The trouble was told; each of these events once at most, and no other."""
    told = [
        each["event"]
        for name in ("storage.full", "storage.failed")
        for each in events_in(log_lines.getvalue(), name)
    ]
    assert told
    assert set(told) <= set(events.split())
    assert len(told) == len(set(told))


async def outage(
    archive: Path,
    log_lines: io.StringIO,
    events: str,
    breaks: Callable[[], None],
    comes_back: Callable[[], None],
) -> None:
    """The service alive through it: told once, nothing fetched, nothing spun, back in a minute, and whole."""
    async with living(cloud_of(), archive, START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        folder = service.world.folder()
        before = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
        assert len(before) == 4
        breaks()
        await service.pass_time(hours=2)
        service.world.cloud.reset()
        with probes_counted(folder) as probes:
            await service.pass_time(hours=DOWN_HOURS)
        assert service.world.cloud.counts.total.requests == 0
        assert probes[0] <= DOWN_HOURS * 3600 / PROBE_S + 1
        assert not service.task.done()
        for name, data in before.items():
            assert read(folder / name) in (data, None)
        assert_told_once(log_lines, events)
        assert not events_in(log_lines.getvalue(), "storage.recovered")
        comes_back()
        assert {path.name: path.read_bytes() for path in folder.glob("*.jsonl")} == before
        await service.pass_time(seconds=60)
        assert len(events_in(log_lines.getvalue(), "storage.recovered")) == 1
        await service.pass_time(hours=8)
        assert not list(folder.glob(".collector/quarantine/*"))
        for number in range(4):
            check_day(
                folder / f"{TODAY - timedelta(days=number)}.jsonl",
                TODAY - timedelta(days=number),
                Device(DEVICE),
                complete=True,
            )
        assert_told_once(log_lines, events)
        for bad in ("job.failed", "file.quarantined", "ledger.rebuilt", "file.unreadable", "file.gone"):
            assert not events_in(log_lines.getvalue(), bad), bad
        assert not list(archive.rglob("*shelly-tmp"))
    figures.note("S8", outages=1, probes=probes[0], requests_while_down=0)


def read(path: Path) -> bytes | None:
    """The file's bytes; `None` where the disk gives none."""
    try:
        return path.read_bytes()
    except OSError as error:
        assert error.errno == errno.EIO
        return None


@contextmanager
def probes_counted(folder: Path) -> Iterator[list[int]]:
    """How often the service tried to save something."""
    count = [0]
    really = os.open

    def opened(path: Any, *args: Any, **more: Any) -> int:
        count[0] += str(path).endswith("probe.shelly-tmp")
        return really(path, *args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "open", opened)
        yield count


def fill(filler: Path) -> None:
    """Takes all the space there is."""
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))


@pytest.mark.needs("mount")
async def test_a_disk_that_is_full(tmp_path: Path, log_lines: io.StringIO) -> None:
    """No space: told as that, and over as soon as somebody makes room."""
    with in_memory(tmp_path / "disk", "size=1M") as disk:
        filler = disk / "filler"
        await outage(disk / "archive", log_lines, "storage.full", lambda: fill(filler), filler.unlink)


@pytest.mark.needs("mount")
async def test_a_disk_without_inodes(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Space, but no further file: the same."""
    with in_memory(tmp_path / "disk", "size=1M,nr_inodes=60") as disk:
        fillers = disk / "fillers"

        def take() -> None:
            fillers.mkdir()
            with suppress(OSError):
                for number in range(100):
                    (fillers / str(number)).touch()

        def give() -> None:
            run("rm", "-r", fillers)

        await outage(disk / "archive", log_lines, "storage.full", take, give)


@pytest.mark.needs("mkfs.ext4", "losetup")
async def test_a_card_gone_read_only(tmp_path: Path, log_lines: io.StringIO) -> None:
    """The kernel found an error and writes no more, until it is mounted again."""
    with Ext4.mounted(tmp_path / "image", tmp_path / "disk") as disk:

        def comes_back() -> None:
            disk.take_away()
            disk.repair()

        await outage(disk.place / "archive", log_lines, "storage.failed", disk.turn_read_only, comes_back)


@pytest.mark.needs("mkfs.ext4", "losetup")
async def test_a_dead_disk(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Nothing can be written or read; then it is plugged in again."""
    with Ext4.mounted(tmp_path / "image", tmp_path / "disk") as disk:

        def comes_back() -> None:
            disk.take_away()
            disk.repair()

        await outage(disk.place / "archive", log_lines, "storage.failed", disk.die, comes_back)


@pytest.mark.needs("mkfs.ext4", "losetup")
async def test_a_disk_that_fails_when_it_is_too_late(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Writing succeeds, and only `fsync` tells that nothing arrived."""
    with (
        in_memory(tmp_path / "memory", "size=12M") as memory,
        Ext4.mounted(memory / "image", tmp_path / "disk", "64M") as disk,
    ):
        filler = memory / "filler"

        def comes_back() -> None:
            disk.take_away()
            filler.unlink()
            disk.repair()

        await outage(
            disk.place / "archive",
            log_lines,
            "storage.failed storage.full",  # the kernel may tell why it lost what was written, or not
            lambda: fill(filler),
            comes_back,
        )
