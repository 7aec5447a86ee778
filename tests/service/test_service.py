"""The service: it asks for what is due, when it is due, and for nothing else."""

from __future__ import annotations

import asyncio
import io
import resource
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from collector.energy.history import EXPIRING_DAYS, RETENTION_DAYS
from collector.errors import ArchiveError
from collector.simulator import Device, Hole
from tests.support.faulty_cloud import Fault
from tests.support.service_life import SHALLOW, START, TODAY, Living, events_in, living
from tests.support.world import DEVICE, check_day, cloud_of, records_of, world


async def test_a_new_hour_is_in_the_file_a_quarter_past(tmp_path: Path) -> None:
    """Each hour is in today's file soon after it has ended and arrived."""
    async with living(cloud_of(Device(DEVICE, late_minutes=8)), tmp_path, START, **SHALLOW) as service:
        path = service.world.folder() / f"{TODAY}.jsonl"
        for hour in (14, 15, 16, 17):
            await service.pass_time(minutes=10)  # to a quarter past
            assert [record["hour"] for record in records_of(path)] == list(range(hour))
            await service.pass_time(minutes=50)


async def test_limits_that_are_too_low_for_the_configuration_are_logged_at_the_start(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before there are too many meters for them, and days fail."""
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (60, 4096))
    async with living(cloud_of(), tmp_path, START, **SHALLOW):
        pass
    (event,) = events_in(log_lines.getvalue(), "config.warning")
    assert "LimitNOFILE=" in event["reason"]


@pytest.mark.parametrize(
    ("zone", "start"),
    [
        ("Asia/Kathmandu", datetime(2026, 3, 20, 14, 5, tzinfo=UTC)),  # 19:50 there
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 14, 5, tzinfo=UTC)),  # half an hour back at 15:00 UTC
    ],
)
async def test_the_schedule_follows_the_minute_at_which_a_zones_hours_begin(
    zone: str, start: datetime, tmp_path: Path
) -> None:
    """Also where it is learned only by the first answer, and where it moves by half an hour."""
    device = Device(DEVICE, timezone=zone, late_minutes=8)
    async with living(cloud_of(device), tmp_path, start, **SHALLOW) as service:
        await service.pass_time(hours=1, minutes=25)
        for _ in range(3 * 4):
            await service.pass_time(minutes=15)
            now = round(start.timestamp() + asyncio.get_running_loop().time())
            local = datetime.fromtimestamp(now - 15 * 60, device.zone)
            if local.hour:  # fifteen minutes ago this one was under way, and the one before it over
                records = records_of(service.world.folder() / f"{local.date()}.jsonl")
                assert records[-1]["hour"] == local.hour - 1


async def test_the_last_hour_before_a_change_of_half_an_hour_is_requested_in_time(tmp_path: Path) -> None:
    """Bug: the schedule moved with the clocks at once, and that hour came half an hour late."""
    start = datetime(2025, 10, 4, 14, 0, tzinfo=UTC)  # an hour and a half before Lord Howe's clocks change
    device = Device(DEVICE, timezone="Australia/Lord_Howe", late_minutes=8)
    async with living(cloud_of(device), tmp_path, start, **SHALLOW) as service:
        passed_m = 0
        for begins_m, ends_m in ((30, 90), (90, 120)):  # the last hour, and the half hour behind it
            await service.pass_time(minutes=ends_m + 15 - passed_m)
            passed_m = ends_m + 15
            newest = records_of(sorted(service.world.folder().glob("*.jsonl"))[-1])[-1]
            assert newest["ts"] == (start + timedelta(minutes=begins_m)).timestamp()


@pytest.mark.slow
@pytest.mark.usefixtures("rare_looks")
async def test_days_follow_days(tmp_path: Path) -> None:
    """A month of days is complete soon after each midnight, across a change of the clocks."""
    device = Device(DEVICE, late_minutes=8)
    async with living(cloud_of(device), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(days=14)
        for number in range(-3, 13):
            day = TODAY + timedelta(days=number)
            check_day(service.world.folder() / f"{day}.jsonl", day, device, complete=True)


@pytest.mark.slow
@pytest.mark.usefixtures("rare_looks")
async def test_requests_of_a_quiet_day_are_few(tmp_path: Path) -> None:
    """Today each hour, yesterday until it is complete, and two re-readings of settled days: no more."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(days=5)
        service.world.cloud.reset()
        await service.pass_time(days=1)
        asked = Counter(
            day for (_, day, channel) in service.world.cloud.counts.days.elements() if channel == "0"
        )
        assert sum(asked.values()) <= 24 + 1 + 2
        assert max(Counter(asked).values()) <= 16


@pytest.mark.slow
@pytest.mark.usefixtures("rare_looks")
async def test_a_complete_day_is_read_again_after_one_day_and_after_three(tmp_path: Path) -> None:
    """Late data is read again: a complete day at +1 and +3 days, and then never more."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(hours=12)  # 20 March is over and complete
        service.world.cloud.reset()
        asked = []
        for _ in range(8 * 24):
            await service.pass_time(hours=1)
            asked.append(service.world.cloud.counts.days[(DEVICE, str(TODAY), "0")])
        assert asked[-1] == 2
        midnight = datetime(2026, 3, 21, tzinfo=UTC)
        began = START + timedelta(hours=12)
        due = [round((midnight + timedelta(days=days) - began) / timedelta(hours=1)) for days in (1, 3)]
        assert [asked.index(count) for count in (1, 2)] == [pytest.approx(hour, abs=2) for hour in due]


@pytest.mark.slow
def alone(service: Living) -> Counter[date]:
    """How often each day's hours were requested by themselves, of the grid clamp."""
    log = service.world.cloud.counts.log
    return Counter(date.fromisoformat(each.day) for each in log if each.kind == "day" and each.channel == "0")


def days_asked(service: Living) -> set[date]:
    """The days whose hours were requested, alone or in a span."""
    log = [each for each in service.world.cloud.counts.log if each.kind in ("day", "span")]
    firsts = ((date.fromisoformat(each.day), each.days) for each in log)
    return {first + timedelta(days=number) for first, days in firsts for number in range(days)}


@pytest.mark.slow
@pytest.mark.usefixtures("rare_looks")
async def test_a_hole_is_requested_increasingly_rarely(tmp_path: Path) -> None:
    """An incomplete past day: after 1 h, 6 h, daily for two weeks, weekly; never in a loop."""
    hole = Hole(datetime(2026, 3, 19, 6), datetime(2026, 3, 19, 9))
    async with living(cloud_of(Device(DEVICE, hole=(hole,))), tmp_path, START, **SHALLOW) as service:
        asked = []
        for _ in range(26):
            await service.pass_time(days=1)
            asked.append(alone(service)[date(2026, 3, 19)])
        assert asked[0] in (3, 4)  # at once, after 1 h, 6 h, perhaps the first of the daily ones
        assert [later - earlier for earlier, later in pairwise(asked[:12])] == [1] * 11
        assert asked[-1] - asked[18] <= 2  # weekly


@pytest.mark.usefixtures("rare_looks")
async def test_a_hole_that_heals_is_healed_without_being_asked(tmp_path: Path) -> None:
    """The gap closes by itself once the cloud has the hours."""
    heals = START + timedelta(days=4)
    hole = Hole(datetime(2026, 3, 18, 6), datetime(2026, 3, 19, 9), heals_at=heals)
    device = Device(DEVICE, hole=(hole,))
    async with living(cloud_of(device), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(days=6)
        for day in (date(2026, 3, 18), date(2026, 3, 19)):
            check_day(service.world.folder() / f"{day}.jsonl", day, device, complete=True)


async def test_what_is_done_is_not_done_again_after_a_restart(tmp_path: Path) -> None:
    """Exact resume: a second start asks for today only."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=5)
        await service.stop()
    async with living(cloud_of(), tmp_path, START + timedelta(minutes=6), **SHALLOW) as service:
        await service.pass_time(minutes=4)
        assert {day for _, day, _ in service.world.cloud.counts.days} == {str(TODAY)}


async def test_a_start_at_midnight_has_yesterdays_last_hour_with_the_next_refresh(tmp_path: Path) -> None:
    """It was too early to ask at once; yesterday then came an hour later."""
    device = Device(DEVICE, late_minutes=8)
    midnight = datetime.combine(TODAY + timedelta(days=1), time(), device.zone)
    async with living(cloud_of(device), tmp_path, midnight + timedelta(minutes=3), **SHALLOW) as service:
        await service.pass_time(minutes=12)
        check_day(service.world.folder() / f"{TODAY}.jsonl", TODAY, device, complete=True)


async def test_no_two_jobs_ask_for_the_same_day(tmp_path: Path) -> None:
    """Refresh and backfill both want yesterday at the start: one of them has it."""
    async with living(cloud_of(latency_s=1.0), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=5)
        assert set(service.world.cloud.counts.days.values()) == {1}


@pytest.mark.slow
@pytest.mark.usefixtures("rare_looks")
async def test_days_before_the_meter_was_there_are_not_requested_again(tmp_path: Path) -> None:
    """But for those that the cloud is about to forget, each once: the meter might have been there."""
    device = Device(DEVICE, installed_since=TODAY - timedelta(days=10))
    async with living(cloud_of(device), tmp_path, START) as service:
        counts = service.world.cloud.counts
        await service.pass_time(hours=2)
        kept = TODAY - timedelta(days=RETENTION_DAYS)
        asked = days_asked(service)
        at_risk = {kept + timedelta(days=number) for number in range(EXPIRING_DAYS)}
        own = {TODAY - timedelta(days=number) for number in range(11)}
        assert asked == at_risk | own
        before = counts.total.requests
        await service.pass_time(hours=20)
        assert counts.total.requests - before < 2 * (20 + 8)
        await service.pass_time(days=3)  # one more day comes within the thirty each day
        assert counts.kinds["totals"] in (2 * 6, 2 * 7)  # which grow from 30 days to 240
        assert days_asked(service) - own - at_risk == {
            *(TODAY + timedelta(days=number) for number in range(1, 5)),
            *(kept + timedelta(days=EXPIRING_DAYS + number) for number in range(4)),
        }
        assert {day: alone(service)[day] for day in at_risk} == dict.fromkeys(at_risk, 1)


@pytest.mark.usefixtures("rare_looks")
async def test_a_dead_line_is_logged_once_and_requested_rarely(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """A day without a cloud: at most 13 requests an hour, one event down, one up, and all data in the end."""
    fault = Fault("status_503", since=START + timedelta(hours=1), until=START + timedelta(hours=25))
    async with living(cloud_of(fault=(fault,)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(hours=2)
        for _ in range(22):
            before = service.world.cloud.counts.total.requests
            await service.pass_time(hours=1)
            assert service.world.cloud.counts.total.requests - before <= 13
        await service.pass_time(hours=1, minutes=6)
        assert len(events_in(log_lines.getvalue(), "source.unavailable")) == 1
        assert len(events_in(log_lines.getvalue(), "source.recovered")) == 1
        assert {each["level"] for each in events_in(log_lines.getvalue(), "request.retried")} == {"debug"}
        await service.pass_time(hours=2)
        check_day(service.world.folder() / f"{TODAY}.jsonl", TODAY, Device(DEVICE), complete=True)


async def test_a_refused_key_is_tried_four_times_an_hour(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Loud once, then rarely; when it is accepted again the work continues."""
    fault = Fault("bad_key", since=START, until=START + timedelta(hours=5))
    async with living(cloud_of(fault=(fault,)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=1)
        for _ in range(4):
            before = service.world.cloud.counts.total.requests
            await service.pass_time(hours=1)
            assert service.world.cloud.counts.total.requests - before <= 4
        assert len(events_in(log_lines.getvalue(), "key.refused")) == 1
        await service.pass_time(hours=2)
        assert len(events_in(log_lines.getvalue(), "key.accepted")) == 1
        assert (service.world.folder() / f"{TODAY}.jsonl").exists()


async def test_an_unknown_device_does_not_stop_the_others(tmp_path: Path, log_lines: io.StringIO) -> None:
    """One meter is marked, logged once, tried once an hour; the other one is complete."""
    meters = ({"name": "gone", "id": "aaaaaaaaaaaa"}, {"name": "house", "id": DEVICE})
    async with living(cloud_of(), tmp_path, START, stand={"meters": meters}, **SHALLOW) as service:
        await service.pass_time(hours=3)
        assert len(events_in(log_lines.getvalue(), "device.unknown")) == 1
        assert len(list(service.world.folder().glob("*.jsonl"))) == 4
        unknown = sum(
            count
            for (device, _, _), count in service.world.cloud.counts.days.items()
            if device == "aaaaaaaaaaaa"
        )
        assert unknown <= 12


async def test_a_reload_with_a_broken_configuration_changes_nothing(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """SIGHUP reads the file again; what cannot work is refused, and the service continues."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=1)
        service.world.tables = {"archive": {"decimals": 99}}
        service.signals.reload.set()
        await service.pass_time(minutes=1)
        assert len(events_in(log_lines.getvalue(), "config.rejected")) == 1
        assert len(events_in(log_lines.getvalue(), "service.ready")) == 1  # nothing new is in force
        service.world.tables = {"archive": {"decimals": 5}}
        service.signals.reload.set()
        await service.pass_time(minutes=1)
        assert len(events_in(log_lines.getvalue(), "config.reloaded")) == 1
        assert len(events_in(log_lines.getvalue(), "service.ready")) == 2
        assert not service.task.done()


async def test_a_start_that_fails_is_an_event_with_its_reason(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Bug: the only line with the cause was plain text, which log tools drop."""
    async with living(cloud_of(), tmp_path / "not mounted" / "archive", START, **SHALLOW) as service:
        with pytest.raises(ArchiveError, match="mount the disk"):
            await service.task
    (failed,) = events_in(log_lines.getvalue(), "service.failed")
    assert (failed["level"], "mount the disk" in failed["reason"]) == ("error", True)


async def test_a_file_in_the_place_of_a_meters_folder_is_named(tmp_path: Path) -> None:
    """With what to do about it."""
    (tmp_path / "house").touch()
    async with world(cloud_of(), tmp_path, START) as here:
        with pytest.raises(ArchiveError, match=f"{tmp_path}/house cannot be made a folder: .* Move it away"):
            await here.backfill(1)


async def test_a_step_of_the_clock_is_noticed_and_replanned(tmp_path: Path, log_lines: io.StringIO) -> None:
    """A clock that jumps by a month, either way: the schedule is set again within a minute."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=5)
        await jump(service, days=-30)
        await service.pass_time(minutes=1)
        await jump(service, days=30)
        await service.pass_time(minutes=1)
        assert [event["step_s"] for event in events_in(log_lines.getvalue(), "clock.stepped")] == [
            pytest.approx(-30 * 86400, abs=60),
            pytest.approx(30 * 86400, abs=60),
        ]
        path = service.world.folder() / f"{TODAY}.jsonl"
        await service.pass_time(hours=2, minutes=5)
        assert len(records_of(path)) == 16
        assert '"level": "error"' not in log_lines.getvalue()


async def jump(service: Living, **span: float) -> None:
    """The wall clock steps; elapsed time does not."""
    loop = asyncio.get_running_loop()
    loop.on_jump(timedelta(**span).total_seconds())  # type: ignore[attr-defined]
