"""The status of a running service, its status line, and changes of health."""

from __future__ import annotations

import asyncio
import errno
import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.collect import collector
from collector.net import NO_WAY_CURE
from collector.service import app
from collector.service.app import Requester
from collector.service.status import Observer
from collector.simulator import Device, Hole
from collector.status import Status, read_status
from tests.support.faulty_cloud import Fault
from tests.support.service_life import Living, events_in, house, living, status_line, status_of
from tests.support.world import DEVICE, KEY, cloud_of

START = datetime(2026, 3, 20, 14, 5, tzinfo=UTC)
TODAY = date(2026, 3, 20)
SHALLOW: dict[str, Any] = {"schedule": {"backfill_days": 3, "refresh_jitter_s": 0}}


def changes(log: io.StringIO) -> list[tuple[str, str]]:
    return [(event["before"], event["state"]) for event in events_in(log.getvalue(), "health.changed")]


async def told(service: Living, log: io.StringIO, event: str) -> None:
    """Until a second after that event."""
    while not events_in(log.getvalue(), event):
        await service.pass_time(seconds=0.5)
    await service.pass_time(seconds=1)


async def test_the_status_has_what_files_cannot(tmp_path: Path) -> None:
    """Last success, requests of today, the next run; and the newest hour with its age."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=20, seconds=10)
        status = status_of(service)
        assert house(service).newest_hour == datetime(2026, 3, 20, 13, tzinfo=UTC).timestamp()
        assert house(service).answered_at == pytest.approx(START.timestamp() + 7 * 60, abs=120)
        account = status.accounts["home"]
        assert account.requests_today == service.world.cloud.counts.total.requests == 2 * 5
        assert account.outcomes == {"answered": 10, "rejected": 0, "failed": 0}
        assert status.next_run_at == datetime(2026, 3, 20, 14, 32, tzinfo=UTC).timestamp()
        line = "Collecting 1 meter, newest hour 25 min old, 0 jobs in progress, next run 14:32 UTC"
        assert status_line(service) == line


async def test_the_service_keeps_no_state_of_each_day_for_its_status(tmp_path: Path) -> None:
    """Bug: 70 kB a meter, which was half of the memory of a service with a thousand accounts."""
    states: list[int] = []
    really = Observer.observe

    async def observe(self: Observer, jobs: int, next_run: datetime | None) -> Status:
        status = await really(self, jobs, next_run)
        states.extend(len(each.states) for each in status.meters.values())
        return status

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Observer, "observe", observe)
        async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
            await service.pass_time(minutes=20)
            assert house(service).newest_hour is not None
    assert states
    assert not any(states)


async def test_a_status_that_takes_long_is_made_a_tenth_of_the_time_however_much_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: with a thousand accounts it was made without a pause while they requested today."""
    news: list[Callable[[], None]] = []
    began: list[float] = []
    really, loop = Observer.observe, asyncio.get_running_loop()

    class Noting(Requester):
        def __init__(self, idle: Callable[[], None]) -> None:
            super().__init__(idle)
            news.append(idle)

    async def observe(self: Observer, jobs: int, next_run: datetime | None) -> Status:
        began.append(loop.time())
        await asyncio.sleep(1)
        news[0]()
        return await really(self, jobs, next_run)

    monkeypatch.setattr(app, "Requester", Noting)
    monkeypatch.setattr(Observer, "observe", observe)
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(seconds=100)
    assert 8 <= len(began) <= 12


async def test_requests_are_counted_from_midnight_and_over_a_restart(tmp_path: Path) -> None:
    """A new process continues with what the one before had counted of the day."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=20)
        await service.stop()
    async with living(cloud_of(), tmp_path, START + timedelta(hours=1), **SHALLOW) as service:
        await service.pass_time(minutes=2)
        assert status_of(service).accounts["home"].requests_today == 10 + 2
        await service.pass_time(hours=9)
        assert status_of(service).accounts["home"].requests_today < 10


@pytest.mark.parametrize("away", [timedelta(seconds=15), timedelta(hours=2)])
async def test_a_restart_is_no_change_of_health(
    tmp_path: Path, log_lines: io.StringIO, away: timedelta
) -> None:
    """Bug: until the files were looked at, a meter seemed to have none, and was told to be offline."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=20)
        await service.stop()
    async with living(cloud_of(), tmp_path, START + timedelta(minutes=20) + away, **SHALLOW) as service:
        await service.pass_time(hours=2)
        service.signals.reload.set()
        await service.pass_time(minutes=5)
        assert house(service).state == "good"
    assert changes(log_lines) == []


async def test_what_is_missing_is_counted_as_the_backfill_continues(tmp_path: Path) -> None:
    """Bug: it was counted once an hour, and three years seemed to be missing long after they were had."""
    tables: dict[str, Any] = {
        "schedule": {"backfill_days": 60, "refresh_jitter_s": 0},
        "pacing": {"min_interval_s": 1.05},
    }
    async with living(cloud_of(), tmp_path, START, **tables) as service:
        await service.pass_time(minutes=1)
        assert house(service).missing_hours > 24
        await service.pass_time(minutes=3)
        assert house(service).missing_hours == 1  # until ten past, the hour just over has not arrived


async def test_a_refresh_that_changes_nothing_is_no_reason_to_write(tmp_path: Path) -> None:
    """The passing of time alone writes nothing."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=40)
        (place,) = (tmp_path / ".collector").glob("*.json")
        before = place.stat().st_mtime_ns
        await service.pass_time(minutes=25)
        assert place.stat().st_mtime_ns == before


@pytest.mark.usefixtures("rare_looks")
async def test_a_meter_that_is_offline_is_logged_once_and_again_when_it_is_back(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The cloud answers and has nothing newer: after 26 hours somebody should look."""
    hole = Hole(datetime(2026, 3, 20, 15), datetime(2026, 3, 22, 12))
    async with living(cloud_of(Device(DEVICE, hole=(hole,))), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(hours=26)
        assert house(service).state == "good"
        await service.pass_time(hours=2)
        assert (house(service).state, status_of(service).state) == ("offline", "offline")
        assert status_line(service).startswith("Offline: house: the cloud answers and has nothing newer")
        await service.pass_time(hours=20)
        assert house(service).state == "good"
        assert changes(log_lines) == [("good", "offline"), ("offline", "good")]


async def test_an_outage_has_advice_for_its_reason(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Not only what helps with most outages: that is said where the reason has no cure of its own."""
    home = {
        "name": "home",
        "host": "http://127.0.0.1:9",
        "auth_key": KEY,
        "meter": [{"name": "house", "id": DEVICE}],
    }
    async with living(cloud_of(), tmp_path, START, {"accounts": [home]}, **SHALLOW) as service:
        await told(service, log_lines, "source.unavailable")
        trouble = status_of(service).accounts["home"].trouble
    assert trouble is not None
    assert trouble.reason.startswith("no connection: ")
    assert trouble.cure == NO_WAY_CURE


async def test_an_outage_is_shown_within_a_second_and_so_is_its_end(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: only jobs that began or ended were news; the status named a refused key half a minute late."""
    fault = Fault("status_503", until=START + timedelta(minutes=10))
    async with living(cloud_of(fault=(fault,)), tmp_path, START, **SHALLOW) as service:
        await told(service, log_lines, "source.unavailable")
        assert status_line(service) == "Waiting: the cloud answered 503"
        await told(service, log_lines, "source.recovered")
        assert status_line(service).startswith("Collecting")
        assert status_of(service).accounts["home"].trouble is None


@pytest.mark.usefixtures("rare_looks")
async def test_a_collector_that_cannot_work_is_broken_after_the_same_time(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """With the reason why; the last failure stays to be read when it has ended."""
    fault = Fault("status_503", since=START + timedelta(hours=1), until=START + timedelta(hours=40))
    async with living(cloud_of(fault=(fault,)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(hours=10)
        assert house(service).state == "good"
        assert status_line(service) == "Waiting: the cloud answered 503"
        trouble = status_of(service).accounts["home"].trouble
        assert trouble is not None
        assert trouble.event == "source.unavailable"
        await service.pass_time(hours=20)
        assert (house(service).state, house(service).reason) == ("broken", "the cloud answered 503")
        await service.pass_time(hours=12)
        assert house(service).state == "good"
        assert status_of(service).accounts["home"].trouble is None
        failure = house(service).failure
        assert failure is not None
        assert (failure.event, failure.reason) == ("source.unavailable", "the cloud answered 503")
        assert changes(log_lines) == [("good", "broken"), ("broken", "good")]


@pytest.mark.slow
@pytest.mark.usefixtures("rare_looks")
async def test_an_older_day_that_comes_first_after_an_outage_makes_no_meter_offline(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The probe that ends an outage may request yesterday: that today is not there yet says nothing."""
    fault = Fault("status_503", since=START + timedelta(hours=1), until=START + timedelta(hours=40))
    yesterday = (START - timedelta(days=1)).date()
    slow = Fault("stall", days=((START + timedelta(hours=40)).date(),), times=1, since=fault.until)
    async with living(cloud_of(fault=(fault, slow)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(hours=44)
        assert (service.world.folder() / f"{yesterday}.jsonl").exists()
        assert changes(log_lines) == [("good", "broken"), ("broken", "good")]


async def test_an_unknown_device_is_the_meters_last_failure(tmp_path: Path) -> None:
    """The others are well; this one says what is wrong with it, and is broken after an hour without data."""
    meters = ({"name": "gone", "id": "aaaaaaaaaaaa"}, {"name": "house", "id": DEVICE})
    async with living(cloud_of(), tmp_path, START, stand={"meters": meters}, **SHALLOW) as service:
        await service.pass_time(hours=2)
        gone = status_of(service).meters["gone"]
        assert gone.failure is not None
        assert gone.failure.event == "device.unknown"
        assert (gone.state, house(service).state, status_of(service).state) == ("broken", "good", "broken")


@pytest.mark.slow
@pytest.mark.usefixtures("rare_looks")
async def test_days_that_the_cloud_will_forget_are_logged_once_a_day(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """A hole three years old: how many days, and which, before they are lost."""
    old = TODAY - timedelta(days=3 * 365 - 10)
    hole = Hole(datetime(old.year, old.month, old.day, 6), datetime(old.year, old.month, old.day, 9))
    async with living(cloud_of(Device(DEVICE, hole=(hole,))), tmp_path, START) as service:
        await service.pass_time(minutes=30)
        assert events_in(log_lines.getvalue(), "history.expiring") == []
        await service.pass_time(hours=30)
        first, second = events_in(log_lines.getvalue(), "history.expiring")
        assert (first["count"], first["days"], first["within_days"]) == (1, [str(old)], 30)
        assert second["days"] == [str(old)]
        assert house(service).expiring_days == 1
        assert house(service).missing_hours == 3


async def test_a_runtime_folder_takes_the_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the unit gives one, in memory: then nothing of it is written beside the archive."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    archive = tmp_path / "archive"
    async with living(cloud_of(), archive, START, **SHALLOW) as service:
        await service.pass_time(minutes=5)
        assert read_status(archive, {"RUNTIME_DIRECTORY": str(tmp_path / "run")}) is not None
        assert read_status(archive, {}) is None


async def test_too_many_open_files_end_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: a look at the files that failed for want of a descriptor ended the whole service."""

    def refused(*_: object) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=20)
        with monkeypatch.context() as broken:
            broken.setattr("collector.archive.folder.read_at_most", refused)
            await service.pass_time(hours=2)
            assert not service.task.done()
        await service.pass_time(hours=1)
        assert house(service).state == "good"
        assert status_line(service).startswith("Collecting 1 meter, newest hour ")


async def test_a_status_that_cannot_be_kept_stops_nothing(tmp_path: Path) -> None:
    """A file in the way of its folder: the collecting continues."""
    (tmp_path / ".collector").write_text("in the way")
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(hours=2)
        assert not service.task.done()
        assert (service.world.folder() / f"{TODAY}.jsonl").exists()
        assert status_line(service).startswith("Collecting 1 meter, newest hour ")


async def test_a_clock_that_is_set_after_the_start_alarms_nobody(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service has not been up, and collected nothing, for all the years that the clock jumps over."""
    monkeypatch.setattr(collector, "SYNCHRONIZED", tmp_path / "synchronized")
    async with living(cloud_of(), tmp_path, START, skew=timedelta(days=-1000), **SHALLOW) as service:
        await service.pass_time(minutes=2)
        service.skew[0] = timedelta(0)
        await service.pass_time(minutes=5)
        assert house(service).state == "good"
        assert "broken" not in {state for _, state in changes(log_lines)}
        assert status_of(service).started_at == pytest.approx(START.timestamp(), abs=2)
