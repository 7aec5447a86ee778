"""Failures not caused by a day's data: a disk, an account, a zone, a day that the cloud cannot return."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import sys
import threading
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import pytest

from collector.archive.dayfile import DayFormat
from collector.archive.files import is_held
from collector.archive.store import Archive
from collector.cloud.client import CloudClient, open_session
from collector.cloud.meters import Account as CloudAccount
from collector.cloud.meters import Meter
from collector.cloud.pacing import Pacer, Pacing
from collector.cloud.retrying import RetryPolicy
from collector.collect.collector import Collector
from collector.collect.outages import SOURCE
from collector.energy.days import zone_named
from collector.energy.history import Outcome, PlanPolicy
from collector.simulator import Account, Device, Limit
from tests.support.failing_calls import Calls, Failure, failing
from tests.support.faulty_cloud import Fault, FaultyCloud, Scenario
from tests.support.service_life import SHALLOW, START, TODAY, events_in, living
from tests.support.world import DEVICE, KEY, check_day, cloud_of, records_of


@pytest.mark.parametrize(
    ("number", "event"),
    [
        (errno.ENOSPC, "storage.full"),
        pytest.param(errno.EDQUOT, "storage.full", marks=pytest.mark.slow),
        pytest.param(errno.EROFS, "storage.failed", marks=pytest.mark.slow),
        (errno.EIO, "storage.failed"),
    ],
)
async def test_a_disk_that_takes_nothing_stops_the_fetching(
    number: int, event: str, tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logged once; nothing is fetched that cannot be kept; back within a minute; nothing is lost."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", failing(number))
            await service.pass_time(hours=2)
            service.world.cloud.reset()
            await service.pass_time(hours=5)
            assert service.world.cloud.counts.total.requests == 0
        await service.pass_time(minutes=1)
        assert len(events_in(log_lines.getvalue(), event)) == 1
        assert len(events_in(log_lines.getvalue(), "storage.recovered")) == 1
        await service.pass_time(minutes=1)
        assert len(records_of(service.world.folder() / f"{TODAY}.jsonl")) == 21
        await service.pass_time(hours=5)
        check_day(service.world.folder() / f"{TODAY}.jsonl", TODAY, Device(DEVICE), complete=True)
        assert not list(tmp_path.rglob("*shelly-tmp"))


def test_the_first_hour_of_an_outage_has_thirteen_probes_at_most() -> None:
    """Counted from the first one: it had fourteen."""
    at_s = list(islice(accumulate(SOURCE.waits_s()), 20))
    assert sum(at - at_s[0] < 3600 for at in at_s) == 13


async def test_one_accounts_trouble_never_slows_another(tmp_path: Path) -> None:
    """One cloud is down, one account held off for ever: the third is as fast as alone."""
    meters = [Device("aaaaaaaaaaaa"), Device("bbbbbbbbbbbb"), Device("cccccccccccc")]
    accounts = tuple(
        Account(name, KEY + name, (device,), Limit("none"))
        for name, device in zip(("down", "held", "fine"), meters, strict=True)
    )
    faults = (Fault("stall", account="down"), Fault("max_req", account="held"))
    raw = [
        {
            "name": each.name,
            "auth_key": each.auth_key,
            "meter": [{"name": each.name, "id": each.device[0].id}],
        }
        for each in accounts
    ]
    tables: dict[str, Any] = {"pacing": {"min_interval_s": 1.05}, "schedule": {"backfill_days": 60}}
    scenario = Scenario(account=accounts, fault=faults)
    async with living(scenario, tmp_path, START, stand={"accounts": raw}, **tables) as service:
        await service.pass_time(seconds=2 + (61 + 2) * 2 * 1.05)  # the days, and two spans of totals
        assert len(list((tmp_path / "fine").glob("*.jsonl"))) == 61
        assert not list((tmp_path / "down").glob("*.jsonl"))


@pytest.mark.usefixtures("rare_looks")
async def test_one_day_that_the_cloud_cannot_return_stops_nothing(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """A day that always gives 500 is a failed day, not a dead cloud; it is requested increasingly rarely."""
    bad = TODAY - timedelta(days=2)
    fault = Fault("status_500", covers=(bad,))
    async with living(cloud_of(fault=(fault,)), tmp_path, START, schedule={"backfill_days": 9}) as service:
        await service.pass_time(hours=1)
        assert len(list(service.world.folder().glob("*.jsonl"))) == 9
        await service.pass_time(days=3)
        assert len(records_of(service.world.folder() / f"{TODAY + timedelta(days=3)}.jsonl")) >= 13
        log = service.world.cloud.counts.log
        assert 10 < sum(each.day == str(bad) and each.kind == "day" for each in log) < 60


async def test_the_zone_is_learned_once(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: logged again for each day that came while the first one was being saved."""
    async with FaultyCloud(cloud_of(Device(DEVICE)), clock=lambda: START) as cloud, open_session() as session:
        client = CloudClient(session, CloudAccount("home", cloud.url, KEY), Pacer(Pacing(0)), RetryPolicy())
        meter = Meter("house", DEVICE)
        archive = Archive(tmp_path, DayFormat())
        home = zone_named("Europe/Dublin")
        collector = Collector(meter, client, archive, PlanPolicy(), lambda: START, home)
        days = [TODAY - timedelta(days=age) for age in range(3)]
        disk_works, really = threading.Event(), os.open

        def slowly(*words: Any, **more: Any) -> int:
            assert disk_works.wait(10)
            return really(*words, **more)

        monkeypatch.setattr(os, "open", slowly)
        collecting = [asyncio.create_task(collector.collect_day(day)) for day in days]
        for _ in range(2000):  # no time passes while a thread is at work, but answers come
            await asyncio.sleep(0)
        assert cloud.counts.total.requests == 2 * len(days)
        disk_works.set()
        await asyncio.gather(*collecting)
        archive.close()
    assert len(events_in(log_lines.getvalue(), "zone.learned")) == 1


async def test_a_start_that_is_broken_off_holds_no_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service ends while a card stalls; what that opens afterwards is let go."""
    disk_works, really = threading.Event(), os.fsync

    def slowly(descriptor: int) -> None:
        assert disk_works.wait(10)
        really(descriptor)

    monkeypatch.setattr(os, "fsync", slowly)
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        for _ in range(100):
            await asyncio.sleep(0)
        assert await service.stop() == 0
        assert "READY=1" not in "".join(service.told)
        disk_works.set()
        lock = service.world.folder() / ".collector" / "lock"
        while not lock.exists() or is_held(lock):
            await asyncio.sleep(0)


@pytest.mark.parametrize("wrong_by", [timedelta(hours=3), timedelta(hours=-3)])
async def test_a_clock_that_is_set_while_a_day_is_requested_decides_which_hours_have_ended(
    wrong_by: timedelta, tmp_path: Path
) -> None:
    """Bug: it was the clock of before, and an hour in progress was stored as if it had ended."""
    skew = wrong_by
    async with FaultyCloud(cloud_of(Device(DEVICE)), clock=lambda: START) as cloud, open_session() as session:
        client = CloudClient(session, CloudAccount("home", cloud.url, KEY), Pacer(Pacing()), RetryPolicy())
        archive = Archive(tmp_path, DayFormat())
        zone = zone_named("Europe/Dublin")
        meter = Meter("house", DEVICE)
        collector = Collector(meter, client, archive, PlanPolicy(), lambda: START + skew, zone)
        collecting = asyncio.create_task(collector.collect_day(TODAY))
        await asyncio.sleep(0.5)  # it waits for its first turn
        skew = timedelta(0)
        await collecting
        archive.close()
    assert [record["hour"] for record in records_of(tmp_path / f"{TODAY}.jsonl")] == list(range(13))


@pytest.mark.parametrize(
    ("held", "hours"),
    [
        (Fault("too_many_requests", times=1, retry_after="3600"), 14),
        (Fault("too_many_requests", channel=1, times=2, retry_after="3600"), 13),  # when the grid was
    ],
)
async def test_hours_that_end_while_the_account_is_held_spoil_nothing(
    held: Fault, hours: int, tmp_path: Path
) -> None:
    """Bug: those that were over when the first turn was waited for counted, hours before; later ones were
    refused as the future's where only the sun had waited."""
    loop = asyncio.get_running_loop()

    def now() -> datetime:
        return START + timedelta(seconds=loop.time())

    scenario = cloud_of(Device(DEVICE, under_way="partial"), fault=(held,))
    async with FaultyCloud(scenario, clock=now) as cloud, open_session() as session:
        client = CloudClient(session, CloudAccount("home", cloud.url, KEY), Pacer(Pacing()), RetryPolicy())
        archive = Archive(tmp_path, DayFormat())
        collector = Collector(
            Meter("house", DEVICE), client, archive, PlanPolicy(), now, zone_named("Europe/Dublin")
        )
        outcome = await collector.collect_day(TODAY)
        archive.close()
    assert loop.time() > 3600
    assert outcome.outcome is Outcome.PARTIAL
    records = records_of(tmp_path / f"{TODAY}.jsonl")
    assert [record["hour"] for record in records] == list(range(hours))
    assert all("solar" in record for record in records)


async def test_one_odd_answer_does_not_move_the_meter(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Another time zone is believed when three answers in a row say it, not before."""
    async with living(cloud_of(Device(DEVICE)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        service.world.cloud.play(cloud_of(Device(DEVICE, timezone="Asia/Tokyo")))
        await service.pass_time(hours=1)
        service.world.cloud.play(cloud_of(Device(DEVICE)))
        await service.pass_time(hours=1)
        assert events_in(log_lines.getvalue(), "answer.rejected")
        assert not events_in(log_lines.getvalue(), "zone.changed")
        assert not events_in(log_lines.getvalue(), "file.quarantined")
        service.world.cloud.play(cloud_of(Device(DEVICE, timezone="Asia/Tokyo")))
        await service.pass_time(hours=5)
        assert len(events_in(log_lines.getvalue(), "zone.changed")) == 1


async def test_lost_days_are_logged_once(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Off until the cloud forgot a day that was not complete: which ones, once, also over a restart."""
    old = date(2023, 3, 10)  # more than three years before
    async with living(cloud_of(), tmp_path, datetime(2023, 3, 11, 8, tzinfo=UTC), **SHALLOW) as service:
        await service.pass_time(minutes=1)
        await service.stop()
    path = tmp_path / "house" / f"{old}.jsonl"
    *lines, _ = path.read_text().splitlines()
    path.write_text("".join(line[:-1] + ', "partial": true}\n' for line in lines))
    for _ in range(2):
        async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
            await service.pass_time(minutes=1)
    (event,) = events_in(log_lines.getvalue(), "history.lost")
    assert str(old) in event["days"]


async def test_a_limit_that_is_learned_is_not_forgotten_by_a_reload(tmp_path: Path) -> None:
    """One rejection teaches a strict account's pace for the life of the process."""
    scenario = cloud_of(limit="strict", latency_s=0.2)
    async with living(scenario, tmp_path, START, pacing={"min_interval_s": 1.05}, **SHALLOW) as service:
        await service.pass_time(minutes=3)
        rejected = service.world.cloud.counts.total.rejections
        assert rejected >= 1
        for _ in range(3):
            service.signals.reload.set()
            await service.pass_time(minutes=3)
        assert service.world.cloud.counts.total.rejections == rejected


async def test_a_ledger_that_cannot_be_written_does_not_end_the_service(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed day whose failure cannot be noted, for the disk is full: trouble with the disk, no more."""
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if b'"outcome": "failed"' in bytes(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data)

    bad = Fault("status_500", covers=(TODAY - timedelta(days=2),))
    async with living(cloud_of(fault=(bad,)), tmp_path, START, **SHALLOW) as service:
        with monkeypatch.context() as broken:
            broken.setattr(os, "write", full)
            await service.pass_time(minutes=20)
            full_disk, *_ = events_in(log_lines.getvalue(), "storage.full")
            assert full_disk["reason"] == "No space left on device"  # without "[Errno 28]"
            assert not service.task.done()
        await service.pass_time(minutes=10)
        assert len(list(service.world.folder().glob("*.jsonl"))) == 3
        assert not service.task.done()


async def test_one_file_that_cannot_be_looked_at_makes_nothing_spin(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: a damaged inode, on a disk that else works: told, ended and asked again, every five seconds."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        path = service.world.folder() / f"{TODAY}.jsonl"
        service.world.cloud.reset()
        broken = Failure(range(sys.maxsize), errno.EIO, frozenset({"lstat"}))
        with Calls(path, broken).wrapped() as calls, calls.watched():
            await service.pass_time(hours=4)
        assert service.world.cloud.counts.total.requests <= 4 * 2 * 2  # each hour twice, on two clamps
        assert len(events_in(log_lines.getvalue(), "storage.failed")) <= 4
        await service.pass_time(hours=1)
        assert len(records_of(path)) == 19


async def test_files_that_cannot_be_read_are_logged_once_and_left_alone(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: files that only root may read were moved aside. They are neither moved, replaced nor requested."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        folder = service.world.folder()
        await service.stop()
    before = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
    really = os.open

    def refused(path: Any, *args: Any, **more: Any) -> int:
        if str(path).endswith(".jsonl") and Path(path).parent == folder:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return really(path, *args, **more)

    async with living(cloud_of(), tmp_path, START + timedelta(hours=1), **SHALLOW) as service:
        monkeypatch.setattr(os, "open", refused)
        await service.pass_time(hours=4)
        [told] = events_in(log_lines.getvalue(), "file.unreadable")
        assert (told["count"], told["newest"]) == (4, str(TODAY))
        assert {path.name: path.read_bytes() for path in folder.glob("*.jsonl")} == before
        asked = service.world.cloud.counts.days
        assert {day for _, day, _ in asked} <= {str(TODAY), str(TODAY - timedelta(days=1))}
        assert sum(asked.values()) <= 2 * 2 * 5  # both clamps of two days, in each of five rounds
        assert not events_in(log_lines.getvalue(), "storage.failed")
        monkeypatch.setattr(os, "open", really)
        await service.pass_time(hours=1)
        assert len(records_of(folder / f"{TODAY}.jsonl")) == 19
        assert not list((folder / ".collector").glob("quarantine/*"))


async def test_a_complete_file_that_has_changed_is_logged_once(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """By each process: a lost bit and a person's own correction look alike, so it stays as it is."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        folder = service.world.folder()
    day = TODAY - timedelta(days=3)
    path = folder / f"{day}.jsonl"
    data = path.read_bytes()
    changed = data.replace(b'"import": 0.', b'"import": 1.', 1)
    path.write_bytes(changed)
    for starts in (1, 2):
        async with living(cloud_of(), tmp_path, START + timedelta(hours=starts), **SHALLOW) as service:
            await service.pass_time(hours=3)
        told = events_in(log_lines.getvalue(), "file.changed")
        assert [(each["count"], each["days"]) for each in told] == [(1, [str(day)])] * starts
    assert changed not in (b"", data)
    assert path.read_bytes() == changed


async def test_a_bug_while_requesting_a_job_is_logged_and_the_next_one_is_unaffected(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`job.failed` with its traceback; an hour later all is as before."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=5)
        with monkeypatch.context() as broken:
            broken.setattr("collector.collect.collector.Collector.scan", None)
            await service.pass_time(hours=1)
        assert "TypeError" in str(events_in(log_lines.getvalue(), "job.failed")[0])
        await service.pass_time(hours=1, minutes=5)
        assert len(records_of(service.world.folder() / f"{TODAY}.jsonl")) == 16


async def test_a_bug_while_waiting_for_a_source_ends_the_service_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Better restarted by the service manager than alive and not collecting for ever."""
    monkeypatch.setattr("collector.collect.worker.AccountRunner._probe", None)
    async with living(cloud_of(fault=(Fault("status_500"),)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=10)
        assert service.task.done()
        with pytest.raises(ExceptionGroup):
            await service.task


@pytest.mark.parametrize(
    "stuck", ["collector.cloud.client.CloudClient.fetch_day", "collector.collect.collector.Collector.scan"]
)
async def test_no_sign_of_life_while_the_work_is_stuck(
    stuck: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop turns, but the work never ends: the watchdog must not be notified."""

    async def never(*told: object, **more: object) -> None:
        await asyncio.Event().wait()

    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        monkeypatch.setattr(stuck, never)
        await service.pass_time(hours=2)
        before = service.told.count("WATCHDOG=1")
        await service.pass_time(hours=1)
        assert service.told.count("WATCHDOG=1") == before > 0


async def test_a_key_that_is_refused_is_not_shown_again_by_the_day_that_waits_its_turn(
    tmp_path: Path,
) -> None:
    """At midnight two days are requested: the second one is called off when the first one was refused."""
    midnight = datetime(2026, 3, 21, 0, 12, tzinfo=UTC)
    async with living(
        cloud_of(limit="none"), tmp_path, START, pacing={"min_interval_s": 1.05}, **SHALLOW
    ) as service:
        await service.pass_time(seconds=(midnight - START).total_seconds() - 60)
        service.world.cloud.play(cloud_of(fault=(Fault("bad_key"),)))
        service.world.cloud.reset()
        await service.pass_time(minutes=10)
        assert service.world.cloud.counts.total.requests == 1
