"""Requests that the cloud rejects (404, 403, 400): of a day, of a meter, or of a whole account."""

from __future__ import annotations

import io
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.cli.backfill import _exit_code
from collector.energy.history import Outcome
from collector.errors import Rejected
from collector.simulator import Device
from tests.support.faulty_cloud import Fault
from tests.support.service_life import (
    SHALLOW,
    START,
    TODAY,
    Living,
    events_in,
    house,
    living,
    status_line,
    status_of,
)
from tests.support.world import DEVICE, check_day, cloud_of, world

BARN = "e8db84d2a1b4"
TWO: dict[str, Any] = {"meters": ({"name": "barn", "id": BARN}, {"name": "house", "id": DEVICE})}
BOTH = (Device(DEVICE), Device(BARN))


def requests(service: Living) -> int:
    return service.world.cloud.counts.total.requests


def requests_of(service: Living, device: str) -> int:
    days = service.world.cloud.counts.days
    return sum(count for (each, _, _), count in days.items() if each == device)


def days_before(number: int) -> date:
    return TODAY - timedelta(days=number)


@pytest.mark.usefixtures("rare_looks")
async def test_a_path_that_is_gone_is_one_outage_and_not_one_of_each_day(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: a first start requested all 1,095 days, and again after an hour, six hours and each day."""
    gone = Fault("path_gone", until=START + timedelta(hours=8))
    tables: dict[str, Any] = {"schedule": {"backfill_days": 60}, "pacing": {"min_interval_s": 1.05}}
    async with living(cloud_of(fault=(gone,)), tmp_path, START, **tables) as service:
        await service.pass_time(minutes=1)
        assert requests(service) <= 3 + 4  # so many days in a row, and those that are under way
        trouble = status_of(service).accounts["home"].trouble
        assert trouble is not None
        assert (trouble.event, trouble.reason) == ("source.unavailable", "the cloud answered 404")
        assert status_line(service) == "Waiting: the cloud answered 404"
        for _ in range(7):
            before, alive = requests(service), service.told.count("WATCHDOG=1")
            await service.pass_time(hours=1)
            assert 1 <= requests(service) - before <= 13
            assert service.told.count("WATCHDOG=1") > alive
        await service.pass_time(hours=2)
        assert len(events_in(log_lines.getvalue(), "source.unavailable")) == 1
        assert len(events_in(log_lines.getvalue(), "source.recovered")) == 1
        assert not events_in(log_lines.getvalue(), "day.failed")
        assert status_of(service).accounts["home"].trouble is None
        for number in range(1, 61):
            check_day(
                service.world.folder() / f"{days_before(number)}.jsonl",
                days_before(number),
                Device(DEVICE),
                complete=True,
            )


@pytest.mark.usefixtures("rare_looks")
async def test_a_path_that_goes_when_all_is_stored_is_noticed_within_the_hour(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: each hour was a failed day of its own for ever, and no outage was logged."""
    hour = 11  # after midnight
    since = START + timedelta(hours=hour)
    gone = Fault("forbidden_403", since=since, until=since + timedelta(hours=26))
    async with living(cloud_of(fault=(gone,)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(hours=hour + 1)
        assert len(events_in(log_lines.getvalue(), "source.unavailable")) == 1
        for _ in range(24):
            before = requests(service)
            await service.pass_time(hours=1)
            assert requests(service) - before <= 13
        await service.pass_time(hours=3)
        assert len(events_in(log_lines.getvalue(), "source.unavailable")) == 2  # once a day, as any outage
        assert len(events_in(log_lines.getvalue(), "source.recovered")) == 1
        assert not events_in(log_lines.getvalue(), "day.failed")
        check_day(service.world.folder() / f"{TODAY}.jsonl", TODAY, Device(DEVICE), complete=True)


@pytest.mark.usefixtures("rare_looks")
async def test_a_path_that_is_gone_for_every_meter_is_one_outage_of_the_account(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """One event, one probe, and both continue when it is back."""
    gone = Fault("path_gone", until=START + timedelta(hours=4))
    scenario = cloud_of(*BOTH, fault=(gone,))
    async with living(scenario, tmp_path, START, stand=TWO, schedule={"backfill_days": 30}) as service:
        await service.pass_time(minutes=1)
        assert requests(service) <= 2 * (3 + 4)
        for _ in range(3):
            before = requests(service)
            await service.pass_time(hours=1)
            assert requests(service) - before <= 13
        await service.pass_time(hours=2)
        [down] = events_in(log_lines.getvalue(), "source.unavailable")
        assert "meter" not in down
        assert len(events_in(log_lines.getvalue(), "source.recovered")) == 1
        for meter in ("barn", "house"):
            assert len(list((tmp_path / meter).glob("*.jsonl"))) == 31


@pytest.mark.usefixtures("rare_looks")
async def test_a_meter_that_is_rejected_while_another_one_is_answered_is_its_own_outage(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Of another kind than configured, say: the others continue; it is requested increasingly rarely."""
    wrong = Fault("wrong_channel", device=BARN, until=START + timedelta(days=2))
    scenario = cloud_of(*BOTH, fault=(wrong,))
    async with living(scenario, tmp_path, START, stand=TWO, schedule={"backfill_days": 30}) as service:
        await service.pass_time(hours=1)
        assert len(list((tmp_path / "house").glob("*.jsonl"))) == 31
        assert requests_of(service, BARN) <= 10
        assert status_of(service).accounts["home"].trouble is None
        barn = status_of(service).meters["barn"]
        assert barn.failure is not None
        assert (barn.failure.event, barn.failure.reason) == ("source.unavailable", "the cloud answered 400")
        before = requests_of(service, BARN)
        await service.pass_time(hours=22)
        assert requests_of(service, BARN) - before <= 25
        assert status_of(service).meters["barn"].state == "broken"
        assert status_of(service).meters["barn"].reason == "the cloud answered 400"
        assert house(service).state == "good"
        await service.pass_time(hours=28)
        assert {each["meter"] for each in events_in(log_lines.getvalue(), "source.unavailable")} == {"barn"}
        [up] = events_in(log_lines.getvalue(), "source.recovered")
        assert (up["meter"], up["down_s"]) == ("barn", pytest.approx(2 * 86400, abs=3700))
        assert not events_in(log_lines.getvalue(), "day.failed")
        assert status_of(service).meters["barn"].state == "good"
        stored = {path.stem for path in (tmp_path / "barn").glob("*.jsonl")}
        assert stored >= {str(days_before(number)) for number in range(-2, 29)}


@pytest.mark.usefixtures("rare_looks")
async def test_a_day_that_is_rejected_while_others_are_answered_is_that_days_own_failure(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Asked for again after an hour, six hours and each day; nothing else waits for it."""
    bad = days_before(2)
    async with living(
        cloud_of(fault=(Fault("path_gone", covers=(bad,)),)), tmp_path, START, schedule={"backfill_days": 9}
    ) as service:
        await service.pass_time(minutes=5)
        assert len(list(service.world.folder().glob("*.jsonl"))) == 9
        await service.pass_time(days=2)
        log = service.world.cloud.counts.log
        assert 4 <= sum(each.day == str(bad) and each.kind == "day" for each in log) <= 5
        assert not events_in(log_lines.getvalue(), "source.unavailable")
        failed = events_in(log_lines.getvalue(), "day.failed")
        assert {(each["day"], each["reason"]) for each in failed} == {(str(bad), "the cloud answered 404")}


@pytest.mark.usefixtures("rare_looks")
@pytest.mark.parametrize("today_too", [False, True])
async def test_many_days_that_are_rejected_while_others_are_answered_are_no_outage(
    today_too: bool, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """All those before the meter was there, say: each is requested as often as before, and hardly more."""
    bad = tuple(days_before(number) for number in range(20, 61)) + (TODAY,) * today_too
    scenario = cloud_of(fault=(Fault("wrong_channel", days=bad),))
    async with living(scenario, tmp_path, START, schedule={"backfill_days": 60}) as service:
        await service.pass_time(minutes=50)
        assert not events_in(log_lines.getvalue(), "source.unavailable")
        assert len(list(service.world.folder().glob("*.jsonl"))) == 20 - today_too
        failed = {each["day"] for each in events_in(log_lines.getvalue(), "day.failed")}
        assert failed == {str(day) for day in bad}
        assert requests(service) <= 2 * 20 + len(bad) + 2 * 12


@pytest.mark.usefixtures("rare_looks")
async def test_a_rejection_that_turns_into_a_refused_key_is_reported_as_that(tmp_path: Path) -> None:
    """As with any other outage."""
    turns = START + timedelta(hours=1)
    faults = (Fault("path_gone", until=turns), Fault("bad_key", since=turns))
    async with living(cloud_of(fault=faults), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(hours=2)
        trouble = status_of(service).accounts["home"].trouble
        assert trouble is not None
        assert trouble.event == "key.refused"


async def test_an_outage_of_the_line_while_a_meter_is_rejected_is_the_lines(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The rejected one is not what the account is probed with: it is back as soon as the line is."""
    down = Fault("status_503", since=START + timedelta(hours=2), until=START + timedelta(hours=4))
    wrong = Fault("wrong_channel", device=BARN)
    scenario = cloud_of(*BOTH, fault=(down, wrong))
    async with living(scenario, tmp_path, START, stand=TWO, **SHALLOW) as service:
        await service.pass_time(hours=4, minutes=6)
        changes = [
            (each["event"], each.get("meter"))
            for name in ("source.unavailable", "source.recovered")
            for each in events_in(log_lines.getvalue(), name)
        ]
        assert changes == [
            ("source.unavailable", "barn"), ("source.unavailable", None), ("source.recovered", None),
        ]  # fmt: skip
        assert await service.stop() <= 1


@pytest.mark.parametrize("kind", ["path_gone", "forbidden_403", "wrong_channel"])
async def test_a_backfill_by_hand_gives_up_a_path_that_is_gone(kind: str, tmp_path: Path) -> None:
    """After a handful of requests, without waiting; exit 1 as before. The other days are counted, too."""
    async with world(cloud_of(fault=(Fault(kind),)), tmp_path, START) as here:
        report = await here.backfill()
        assert here.cloud.counts.total.requests <= 3 + 4
    assert isinstance(report.gave_up, Rejected)
    assert report.duration_s < 60
    assert set(report.counts) == {Outcome.FAILED}
    assert report.counts[Outcome.FAILED] >= 3
    assert report.counts.total() + report.left == 31  # some were in no count
    assert _exit_code(report) == 1


async def test_a_backfill_by_hand_gives_up_a_path_that_goes_in_the_midst_of_it(tmp_path: Path) -> None:
    """The cloud answered before, and so an outage would be waited for: this is none that ends by waiting."""
    gone = Fault("path_gone", since=START + timedelta(seconds=5))
    async with world(cloud_of(fault=(gone,), latency_s=1.0), tmp_path, START) as here:
        report = await here.backfill()
    assert isinstance(report.gave_up, Rejected)
    assert report.duration_s < 60
    assert report.counts[Outcome.WRITTEN] + report.counts[Outcome.PARTIAL] >= 3
    assert _exit_code(report) == 1


async def test_a_backfill_by_hand_gives_up_one_meter_and_has_the_other(tmp_path: Path) -> None:
    """The rejected meter's days are logged as failed, and not requested again."""
    wrong = Fault("wrong_channel", device=BARN)
    async with world(cloud_of(*BOTH, fault=(wrong,)), tmp_path, START, **TWO) as here:
        report = await here.backfill()
        assert sum(count for (each, _, _), count in here.cloud.counts.days.items() if each == BARN) <= 8
    assert report.gave_up is None
    assert report.duration_s < 60
    assert set(report.failures) == {"barn"}
    assert set(report.failures["barn"].values()) == {"the cloud answered 400"}
    assert len(list((tmp_path / "house").glob("*.jsonl"))) == 31
    assert _exit_code(report) == 1


async def test_a_day_that_a_backfill_by_hand_is_not_given_is_requested_once(tmp_path: Path) -> None:
    """And what the person wanted besides is there."""
    bad = days_before(5)
    async with world(cloud_of(fault=(Fault("path_gone", covers=(bad,)),)), tmp_path, START) as here:
        report = await here.backfill()
        alone = [each for each in here.cloud.counts.log if each.day == str(bad) and not each.until]
        assert len(alone) == 1
    assert report.failures == {"house": {bad: "the cloud answered 404"}}
    assert report.counts[Outcome.WRITTEN] + report.counts[Outcome.PARTIAL] == 30


@pytest.mark.parametrize("kind", ["path_gone", "bad_key", "status_503"])
async def test_a_stop_does_not_wait_for_a_trouble_that_begins_with_it(kind: str, tmp_path: Path) -> None:
    """Bug: the last day in progress began to wait for better times, and was cut off in the end."""
    scenario = cloud_of(latency_s=1.0, fault=(Fault(kind),))
    async with living(scenario, tmp_path, START, retry={"attempts": 1}, **SHALLOW) as service:
        await service.pass_time(seconds=0.5)
        assert requests(service) >= 1
        assert await service.stop() <= 1.5
