"""Reading the configuration again: it waits for what is being saved, and a wrong file changes nothing."""

from __future__ import annotations

import asyncio
import errno
import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.archive.files import is_held
from collector.simulator import Device
from tests.support.failing_calls import failing
from tests.support.faulty_cloud import Fault
from tests.support.service_life import SHALLOW, START, TODAY, Living, events_in, living, status_of
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.world import DEVICE, KEY, check_day, cloud_of, records_of

ANOTHER = "ANOTHER0KEY0OF0THE0ACCOUNT"


@asynccontextmanager
async def stalled_saves(patch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[], int]]:
    """The card takes no file to its end meanwhile, and time passes; gives how many wait for it."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    really, waiting = os.fsync, [0]

    def fsync(descriptor: int) -> None:
        waiting[0] += 1
        loop.hang()
        really(descriptor)

    with patch.context() as stalled:
        stalled.setattr(os, "fsync", fsync)
        try:
            yield lambda: waiting[0]
        finally:
            loop.let_go()


async def until(condition: Callable[[], bool]) -> None:
    """Lets what is in progress continue, without time, until that is so."""
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came")


async def saving(service: Living, waiting: Callable[[], int]) -> None:
    """Until the refresh at twelve past saves today's file."""
    while not waiting():
        await service.pass_time(seconds=1)


async def test_a_reload_waits_for_a_save_however_long_it_takes(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: after 4 s lock and archive were let go, and the old save ended in the midst of a new one's."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=5)
        lock = service.world.folder() / ".collector" / "lock"
        async with stalled_saves(monkeypatch) as waiting:
            await saving(service, waiting)
            service.signals.reload.set()
            before = service.told.count("WATCHDOG=1")
            await service.pass_time(minutes=5)
            assert waiting() == 1
            assert is_held(lock)
            assert not events_in(log_lines.getvalue(), "config.reloaded")
            assert service.told.count("WATCHDOG=1") - before >= 9
        await until(lambda: bool(events_in(log_lines.getvalue(), "config.reloaded")))
        await service.pass_time(hours=1)
        assert len(records_of(service.world.folder() / f"{TODAY}.jsonl")) == 15
        assert not list(tmp_path.rglob("*shelly-tmp"))


async def test_a_save_that_never_ends_is_no_sign_of_life_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in any other work: after a quarter of an hour the watchdog may end it."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=5)
        async with stalled_saves(monkeypatch) as waiting:
            await saving(service, waiting)
            service.signals.reload.set()
            await service.pass_time(minutes=16)
            before = service.told.count("WATCHDOG=1")
            await service.pass_time(minutes=30)
            assert service.told.count("WATCHDOG=1") == before


@pytest.mark.parametrize("reloads", [False, True])
async def test_a_stop_does_not_wait_for_a_save_and_leaves_the_lock_to_the_kernel(
    reloads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within its five seconds, also while a reload waits; no other process comes before this one is gone."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=5)
        async with stalled_saves(monkeypatch) as waiting:
            await saving(service, waiting)
            if reloads:
                service.signals.reload.set()
                await service.pass_time(minutes=1)
            assert await service.stop() <= 5
            assert is_held(service.world.folder() / ".collector" / "lock")
    await until(lambda: len(records_of(tmp_path / "house" / f"{TODAY}.jsonl")) == 14)


async def test_a_reload_takes_each_lock_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: it tried the new settings, let go of all, and took them once more: another may come between."""
    really, taken = os.open, [0]

    def counted(path: Any, *told: Any, **more: Any) -> int:
        taken[0] += str(path).endswith("/lock") and bool(told[0] & os.O_RDWR)
        return really(path, *told, **more)

    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=1)
        monkeypatch.setattr(os, "open", counted)
        service.signals.reload.set()
        await service.pass_time(minutes=1)
        assert taken == [1]


def account(key: str) -> list[dict[str, Any]]:
    return [{"name": "home", "auth_key": key, "meter": [{"name": "house", "id": DEVICE}]}]


@pytest.mark.parametrize("mistake", ["the archive's folder", "a value"])
async def test_a_new_key_in_a_file_with_mistakes_is_rejected_once(
    mistake: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: with a refused key it was 240 requests and 120 rejections an hour instead of 4 and 1."""
    archive = tmp_path / "archive"
    archive.mkdir()
    stand = {"accounts": account("REFUSED0KEY")}
    async with living(cloud_of(), archive, START, stand=stand, **SHALLOW) as service:
        await service.pass_time(minutes=1)
        service.world.accounts = account("ANOTHER0REFUSED0KEY")
        spoil(service, mistake, tmp_path)
        before = service.world.cloud.counts.total.requests
        await service.pass_time(hours=3)
        assert service.world.cloud.counts.total.requests - before <= 12
        assert len(events_in(log_lines.getvalue(), "config.rejected")) == 1
        assert len(events_in(log_lines.getvalue(), "key.refused")) == 1
        service.signals.reload.set()  # somebody wants to know
        await service.pass_time(minutes=2)
        assert len(events_in(log_lines.getvalue(), "config.rejected")) == 2
        service.world.accounts = account("A0THIRD0REFUSED0KEY")  # other content, the same mistake
        await service.pass_time(minutes=10)
        assert len(events_in(log_lines.getvalue(), "config.rejected")) == (3 if "folder" in mistake else 2)
        service.world.accounts, service.world.tables, service.world.archive = account(KEY), None, archive
        await service.pass_time(minutes=2)
        assert len(events_in(log_lines.getvalue(), "config.reloaded")) == 1
        assert len(records_of(archive / "house" / f"{TODAY}.jsonl")) >= 13


def spoil(service: Living, mistake: str, folder: Path) -> None:
    if mistake == "a value":
        service.world.tables = {"archive": {"decimals": 99}}
    else:
        service.world.archive = folder / "not mounted" / "archive"


async def test_a_reload_with_the_same_key_does_not_forget_that_it_was_refused(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: each reload tried it at once. Four tries an hour, one event; and the work continues afterwards."""
    refused = Fault("bad_key", until=START + timedelta(hours=2))
    async with living(cloud_of(fault=(refused,)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=1)
        for _ in range(20):
            service.signals.reload.set()
            await service.pass_time(minutes=5)
            trouble = status_of(service).accounts["home"].trouble
            assert trouble is not None
            assert trouble.event == "key.refused"
        assert service.world.cloud.counts.total.requests <= 2 + 100 / 15  # two days at the start
        await service.pass_time(minutes=40)
        assert len(events_in(log_lines.getvalue(), "config.reloaded")) == 20
        assert len(events_in(log_lines.getvalue(), "key.refused")) == 1
        assert len(events_in(log_lines.getvalue(), "key.accepted")) == 1
        check_day(
            service.world.folder() / f"{TODAY - timedelta(days=1)}.jsonl",
            TODAY - timedelta(days=1),
            Device(DEVICE),
            complete=True,
        )


async def test_a_reload_with_another_key_uses_it_at_once(tmp_path: Path, log_lines: io.StringIO) -> None:
    """A refusal is of that key alone."""
    stand = {"accounts": account("REFUSED0KEY")}
    async with living(cloud_of(key=ANOTHER), tmp_path, START, stand=stand, **SHALLOW) as service:
        await service.pass_time(minutes=1)
        service.world.accounts = account(ANOTHER)
        service.signals.reload.set()
        await service.pass_time(seconds=5)
        assert (service.world.folder() / f"{TODAY}.jsonl").exists()


async def test_a_disk_that_fails_when_a_refused_key_is_accepted_after_a_reload_stops_the_fetching(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No day has failed since the reload: the disk is probed all the same, not the cloud."""
    refused = Fault("bad_key", until=START + timedelta(minutes=10))
    async with living(cloud_of(fault=(refused,)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=5)
        service.signals.reload.set()
        await service.pass_time(minutes=5)
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", failing(errno.EIO))
            await service.pass_time(minutes=15)
            assert len(events_in(log_lines.getvalue(), "storage.failed")) == 1
            before = service.world.cloud.counts.total.requests
            await service.pass_time(hours=2)
            assert service.world.cloud.counts.total.requests == before
        await service.pass_time(minutes=2)
        assert (service.world.folder() / f"{TODAY}.jsonl").exists()


async def test_a_refused_key_that_was_changed_was_never_logged_as_accepted(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: an alarm on `key.refused` that waits for `key.accepted` never ended. Also over two reloads."""
    stand = {"accounts": account("REFUSED0KEY")}
    async with living(cloud_of(key=ANOTHER), tmp_path, START, stand=stand, **SHALLOW) as service:
        await service.pass_time(minutes=1)
        service.world.accounts = account("A0THIRD0REFUSED0KEY")
        service.signals.reload.set()
        await service.pass_time(minutes=1)
        assert not events_in(log_lines.getvalue(), "key.accepted")
        service.world.accounts = account(ANOTHER)
        service.signals.reload.set()
        await service.pass_time(minutes=10)
        (accepted,) = events_in(log_lines.getvalue(), "key.accepted")
        assert 120 <= accepted["down_s"] <= 130  # since the first of them
        service.signals.reload.set()
        await service.pass_time(minutes=10)
        assert len(events_in(log_lines.getvalue(), "key.accepted")) == 1
