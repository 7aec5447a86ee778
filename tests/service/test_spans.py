"""Several days in one request: as few requests as possible, and the archive right whatever the cloud does."""

from __future__ import annotations

import asyncio
import errno
import io
import os
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.archive.files import replace_file
from collector.archive.ledger import Ledger
from collector.cloud.client import RequestPolicy
from collector.collect.spans import collect_span, joins, spans_of
from collector.energy.history import Outcome
from collector.energy.spans import SpanLimit, Trust
from collector.service.accounts import Pacers, assembled
from collector.service.backfill import Scope, rehearsed
from collector.simulator import Device, Hole, Revision
from tests.support.cloud_spans import CLOCKS_IGNORED, SPAN_KINDS
from tests.support.faulty_cloud import Fault
from tests.support.service_life import events_in, living
from tests.support.world import DEVICE, World, check_day, cloud_of, world

NOW = datetime(2025, 11, 2, 14, 35, tzinfo=UTC)  # a week after the clocks were changed
TODAY = date(2025, 11, 2)
DAYS = 20


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def limit_in(here: World, meter: str = "house") -> SpanLimit:
    """What the ledger has."""
    noted = Ledger(here.folder(meter) / ".collector" / "ledger.jsonl").span_limit
    assert noted is not None
    assert noted[0].endswith("/v2/statistics/power-consumption/em-1p em")
    return noted[1]


def lengths(here: World) -> Counter[int]:
    """The grid clamp's requests for hours, by the number of days."""
    return Counter(each.days for each in here.cloud.counts.log if each.channel == "0" and each.days < 5)


def assert_right(here: World, device: Device, days: int = DAYS) -> None:
    """Every day of the archive is the truth, whole."""
    for number in range(1, days + 1):
        check_day(here.folder() / f"{ago(number)}.jsonl", ago(number), device, complete=True)


@pytest.mark.parametrize(
    ("hour_span_h", "expected"), [(24, 24), (36, 24), (48, 48), (60, 48), (72, 72), (96, 96)]
)
async def test_the_longest_span_by_the_hour_is_learned_and_remembered(
    hour_span_h: int, expected: int, tmp_path: Path
) -> None:
    """Four days, three, two, one; the next start knows."""
    device = Device(DEVICE)
    async with world(cloud_of(device, hour_span_h=hour_span_h), tmp_path, NOW) as here:
        await here.backfill(DAYS)
        assert_right(here, device)
        assert limit_in(here).longest_h == expected
        tried = lengths(here)
        assert all(tried[days] <= 1 for days in range(expected // 24 + 1, 5))
        here.cloud.reset()
        await here.backfill(DAYS, since=ago(DAYS + 8))
        assert all(not lengths(here)[days] for days in range(expected // 24 + 1, 5))
        assert_right(here, device, DAYS + 8)


@pytest.mark.parametrize("interval", ["day", "2 hours", "month"])
async def test_any_other_interval_makes_spans_shorter(interval: str, tmp_path: Path) -> None:
    """Only `hour` is believed."""
    device = Device(DEVICE)
    async with world(cloud_of(device, hour_span_h=48, four_day_interval=interval), tmp_path, NOW) as here:
        await here.backfill(DAYS)
        assert_right(here, device)
        assert limit_in(here).longest_h == 48


@pytest.mark.parametrize("kind", [*SPAN_KINDS, "no_interval"])
async def test_whatever_is_wrong_with_spans_the_archive_is_right(
    kind: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """In every answer to a span, through the day of 25 hours; a single day is right."""
    device, fault = Device(DEVICE), Fault(kind, asks="span")
    async with world(cloud_of(device, hour_span_h=96, fault=(fault,)), tmp_path, NOW) as here:
        report = await here.backfill(DAYS)
        assert_right(here, device)
        assert report.counts.total() == DAYS + 1
        assert not report.failures
    assert not events_in(log_lines.getvalue(), "source.unavailable")


@pytest.mark.parametrize(
    "kind",
    ["status_500", "status_503", "path_gone", "stall", "truncated_json", "nan", "device_not_found"],
)
async def test_a_span_that_is_refused_or_not_answered_is_not_held_against_the_cloud(
    kind: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Its days are requested one by one, at once; after three in a row spans become shorter."""
    device, fault = Device(DEVICE), Fault(kind, asks="span")
    async with world(cloud_of(device, hour_span_h=96, fault=(fault,)), tmp_path, NOW) as here:
        report = await here.backfill(DAYS + 20, retry={"timeout_s": 10})
        assert_right(here, device, DAYS + 20)
        assert not report.failures
        assert report.duration_s < 300
    for event in ("source.unavailable", "request.retried", "spans.distrusted", "device.unknown"):
        assert not events_in(log_lines.getvalue(), event)


@pytest.mark.parametrize("kind", ["max_req", "too_many_requests"])
async def test_spans_that_exceed_the_request_limit_become_shorter(kind: str, tmp_path: Path) -> None:
    """They are sent four times each while single days are answered: that must not be so for ever."""
    device, fault = Device(DEVICE), Fault(kind, asks="span")
    async with world(cloud_of(device, hour_span_h=96, fault=(fault,)), tmp_path, NOW) as here:
        report = await here.backfill(DAYS + 100)
        assert_right(here, device, DAYS + 100)
        assert not report.failures
        assert limit_in(here).longest_h == 24
        here.cloud.reset()
        await here.backfill(DAYS, since=ago(DAYS + 120))
        assert lengths(here).keys() == {1}


async def test_one_bad_day_does_not_spoil_its_neighbours(tmp_path: Path) -> None:
    """It alone is requested by itself, and fails by itself."""
    device, bad = Device(DEVICE), ago(9)
    fault = Fault("null_rows", covers=(bad,))
    async with world(cloud_of(device, hour_span_h=96, fault=(fault,)), tmp_path, NOW) as here:
        report = await here.backfill(DAYS)
        assert report.failures.keys() == {"house"}
        assert report.failures["house"].keys() == {bad}
        for number in {*range(1, DAYS + 1)} - {9}:
            check_day(here.folder() / f"{ago(number)}.jsonl", ago(number), device, complete=True)
        assert lengths(here)[1] <= 4 + 4 + 1  # until the zone is known, the proof, the bad day


async def test_a_day_that_cannot_be_saved_does_not_fail_those_that_it_could_be_requested_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_lines: io.StringIO
) -> None:
    """It was requested while nothing of a span was certain, and once more when spans were trusted."""
    bad = ago(28)

    def failing(path: Path, data: bytes) -> bool:
        if path.name == f"{bad}.jsonl":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return replace_file(path, data)

    monkeypatch.setattr("collector.archive.store.replace_file", failing)
    until = NOW + timedelta(seconds=60)
    scenario = cloud_of(hour_span_h=96, fault=(Fault("span_all_zero", until=until),))
    tables: dict[str, Any] = {
        "schedule": {"backfill_days": 40, "refresh_jitter_s": 0},
        "pacing": {"min_interval_s": 1.05, "max_in_flight": 1},
    }
    async with living(scenario, tmp_path, NOW, **tables) as service:
        await service.pass_time(minutes=10)
    assert [event["day"] for event in events_in(log_lines.getvalue(), "day.failed")] == [str(bad)]


@pytest.mark.parametrize("kind", ["span_hours_differ", "span_all_zero", "span_shifted"])
async def test_spans_that_differ_from_their_days_are_not_used_any_more(
    kind: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """One event, nothing of them stored, and one-day requests from then on, after a restart too."""
    device, fault = Device(DEVICE), Fault(kind, asks="span")
    async with world(cloud_of(device, hour_span_h=96, fault=(fault,)), tmp_path, NOW) as here:
        await here.backfill(DAYS)
        assert_right(here, device)
        if kind == "span_all_zero":  # which proves nothing
            assert Ledger(here.folder() / ".collector" / "ledger.jsonl").span_limit is None
            return
        assert limit_in(here).trust is Trust.CONTRADICTED
        assert len(events_in(log_lines.getvalue(), "spans.distrusted")) == 1
        here.cloud.reset()
        await here.backfill(DAYS, since=ago(DAYS + 8))
        assert lengths(here).keys() == {1}
    assert len(events_in(log_lines.getvalue(), "spans.distrusted")) == 1


@pytest.mark.parametrize("change", [date(2025, 3, 30), date(2025, 10, 26)], ids=["spring", "autumn"])
@pytest.mark.parametrize("days_later", range(4))
async def test_after_a_change_of_the_clocks_that_a_span_ignores_no_day_is_shifted(
    change: date, days_later: int, tmp_path: Path
) -> None:
    """However the spans lie: from that day on the days of the span are requested singly."""
    device, fault = Device(DEVICE), Fault(CLOCKS_IGNORED)
    start = datetime.combine(change, time(14, 35), UTC) + timedelta(days=8 + days_later)
    async with world(cloud_of(device, hour_span_h=97, fault=(fault,)), tmp_path, start) as here:
        await here.backfill(DAYS)
        for number in range(1, DAYS + 1):
            day = start.date() - timedelta(days=number)
            check_day(here.folder() / f"{day}.jsonl", day, device, complete=True)
        assert lengths(here)[4] >= 2


@pytest.mark.parametrize("channel", [None, 0])
async def test_a_day_of_zeros_is_not_believed_of_a_span(channel: int | None, tmp_path: Path) -> None:
    """Though spans were proven: it is requested by itself, and has its hours."""
    device = Device(DEVICE)
    fault = Fault("span_all_zero", channel=channel, covers=(ago(12), ago(13)))
    async with world(cloud_of(device, hour_span_h=96, fault=(fault,)), tmp_path, NOW) as here:
        await here.backfill(DAYS)
        assert limit_in(here).trust is Trust.PROVEN
        assert_right(here, device)


async def test_days_that_differ_from_their_totals_are_read_again_by_themselves(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The error may be the spans', which were right when proven: the same again repairs none."""
    bad = [ago(number) for number in range(40, 48)]
    device, fault = Device(DEVICE), Fault("span_hours_differ", covers=tuple(bad))
    async with world(cloud_of(device, hour_span_h=96, fault=(fault,)), tmp_path, NOW) as here:
        await here.backfill(100)
        assert len(events_in(log_lines.getvalue(), "day.differs")) == len(bad)
        await here.backfill(100)
        assert_right(here, device, 100)


async def test_each_longer_span_is_compared_with_a_day_again(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Two days at once may be right, and four wrong."""
    device = Device(DEVICE)
    async with world(cloud_of(device, hour_span_h=48), tmp_path, NOW) as here:
        await here.backfill(12)
        assert limit_in(here).trust is Trust.PROVEN
    later = NOW + timedelta(days=31)
    fault = Fault("span_hours_differ", asks="span")
    async with world(cloud_of(device, hour_span_h=96, fault=(fault,)), tmp_path, later) as here:
        await here.backfill(31)
        assert limit_in(here).trust is Trust.CONTRADICTED
        for number in range(31):
            day = TODAY + timedelta(days=number)
            check_day(here.folder() / f"{day}.jsonl", day, device, complete=True)


async def test_a_revision_between_two_answers_is_no_contradiction(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The span is requested once more, and agrees."""
    at = NOW + timedelta(seconds=14)
    revised = Revision(at, ago(30), TODAY)
    device = Device(DEVICE, revision=(revised,))
    async with world(cloud_of(device, hour_span_h=96, latency_s=1.0), tmp_path, NOW) as here:
        await here.backfill(DAYS, pacing={"min_interval_s": 1.05})
        assert limit_in(here).trust is Trust.PROVEN
    assert not events_in(log_lines.getvalue(), "spans.distrusted")


async def test_a_limit_that_changes_in_the_middle_of_a_backfill(tmp_path: Path) -> None:
    """Down: learned from the first answers. Up: tried again a month later."""
    device = Device(DEVICE)
    fault = Fault("span_limit_36h", since=NOW + timedelta(seconds=60))
    scenario = cloud_of(device, hour_span_h=96, fault=(fault,), latency_s=0.3)
    async with world(scenario, tmp_path / "down", NOW) as here:
        await here.backfill(100, pacing={"min_interval_s": 1.05})
        assert_right(here, device, 100)
        assert limit_in(here).longest_h == 24
        assert lengths(here)[4] > 4
    for later, expected in ((20, 48), (31, 96)):
        async with world(cloud_of(device, hour_span_h=48), tmp_path / f"up{later}", NOW) as here:
            await here.backfill(10)
        start = NOW + timedelta(days=later)
        async with world(cloud_of(device, hour_span_h=96), tmp_path / f"up{later}", start) as here:
            await here.backfill(60)
            assert limit_in(here).longest_h == expected


async def test_two_days_that_are_no_longer_than_one_are_not_requested_for_ever(tmp_path: Path) -> None:
    """Samoa skipped 30 December 2011, so the shortest span is of 24 hours, and it comes by the day."""
    device = Device(DEVICE, timezone="Pacific/Apia")
    start = datetime(2012, 1, 3, 2, tzinfo=UTC)
    async with world(cloud_of(device, hour_span_h=23), tmp_path, start) as here:
        async with asyncio.timeout(600):
            report = await here.backfill(8, pacing={"min_interval_s": 1.05})
        assert report.counts.total() == 9
        assert not report.failures


async def test_a_short_span_beside_one_that_teaches_does_not_let_others_try_the_same(tmp_path: Path) -> None:
    """A refresh is not held up by a backfill that tries four days; the rest of the backfill waits."""
    policy = RequestPolicy()
    async with (
        world(cloud_of(hour_span_h=96, latency_s=5.0), tmp_path, NOW) as here,
        assembled(here.settings(), here.clock, Pacers()) as accounts,
    ):
        (collector,) = accounts[0].collectors
        await collector.collect_day(ago(20), policy)
        spans_of(collector).limit = SpanLimit(answered_h=48, trust=Trust.PROVEN)
        async with asyncio.TaskGroup() as group:
            group.create_task(collect_span(collector, [ago(number) for number in range(2, 6)], policy))
            await asyncio.sleep(1)
            group.create_task(collect_span(collector, [TODAY, ago(1)], policy))
            await asyncio.sleep(1)
            assert not joins(collector, [ago(6), ago(7)], ago(8))
        assert joins(collector, [ago(6), ago(7)], ago(8))


async def test_today_and_an_incomplete_yesterday_are_one_request_a_channel(tmp_path: Path) -> None:
    """Just after midnight, when yesterday's last hour is there at last."""
    device = Device(DEVICE)
    tables: dict[str, Any] = {"schedule": {"backfill_days": 8, "refresh_jitter_s": 0}}
    async with living(cloud_of(device, hour_span_h=48), tmp_path, NOW, **tables) as service:
        await service.pass_time(hours=1)
        service.world.cloud.reset()
        await service.pass_time(hours=24)
        asked = [each for each in service.world.cloud.counts.log if each.days == 2]
        assert [(each.day, each.until, each.channel) for each in asked] == [
            (str(TODAY), str(ago(-1)), "0"),
            (str(TODAY), str(ago(-1)), "1"),
        ]
        assert len(service.world.cloud.counts.log) <= 55
    check_day(tmp_path / "house" / f"{TODAY}.jsonl", TODAY, device, complete=True)


async def test_days_that_heal_are_requested_together(tmp_path: Path) -> None:
    """A meter that was offline for six days, and uploads them all at once."""
    heals = NOW + timedelta(days=2)
    device = Device(DEVICE, hole=(Hole(ago(8), ago(2), heals_at=heals),))
    tables: dict[str, Any] = {"schedule": {"backfill_days": 12, "refresh_jitter_s": 0}}
    async with living(cloud_of(device, hour_span_h=96), tmp_path, NOW, **tables) as service:
        await service.pass_time(days=2)
        service.world.cloud.reset()
        await service.pass_time(days=1, hours=2)
        for number in range(3, 9):
            check_day(tmp_path / "house" / f"{ago(number)}.jsonl", ago(number), device, complete=True)
        asked = [
            each for each in service.world.cloud.counts.log if ago(8) <= date.fromisoformat(each.day) < ago(2)
        ]
        assert sorted(each.days for each in asked if each.channel == "0")[-2:] == [2, 4]


async def test_a_refresh_waits_for_no_more_than_the_requests_under_way(tmp_path: Path) -> None:
    """However long the spans of a backfill are."""
    tables: dict[str, Any] = {
        "schedule": {"refresh_jitter_s": 0},
        "pacing": {"min_interval_s": 1.05, "max_in_flight": 4},
    }
    start = datetime(2025, 11, 2, 14, 9, tzinfo=UTC)
    async with living(cloud_of(hour_span_h=96, latency_s=2.0), tmp_path, start, **tables) as service:
        await service.pass_time(minutes=5)
        at = start + timedelta(minutes=3)  # the refresh of 14:12
        late = [each for each in service.world.cloud.counts.log if each.day == str(TODAY)]
        began = min(each.at for each in service.world.cloud.counts.log)
        since = [each.at - began for each in late if each.at - began > (at - start).total_seconds() - 5]
        assert since
        assert min(since) < (at - start).total_seconds() + 4 * 2 * 1.05 + 2


async def test_a_dry_run_counts_with_what_was_learned(tmp_path: Path) -> None:
    """Before anything was learned each day is a request; then four are one."""
    async with world(cloud_of(hour_span_h=96), tmp_path, NOW) as here:
        settings = here.settings()
        account = settings.accounts[0]
        (before,) = rehearsed(settings, account, Scope(12), NOW)
        assert before.requests == 2 * 13
        await here.backfill(12)
        (after,) = rehearsed(settings, account, Scope(None, ago(36)), NOW)
        here.cloud.reset()
        await here.backfill(since=ago(36))
        assert here.cloud.counts.total.requests <= after.requests <= 2 * 9


async def test_another_kind_of_meter_learns_for_itself(tmp_path: Path) -> None:
    """What is true of one path is not of another."""
    meters = ({"name": "house", "id": DEVICE}, {"name": "barn", "id": "34987a45c1d0", "kind": "3em"})
    cloud = cloud_of(Device(DEVICE), Device("34987a45c1d0", "3em"), hour_span_h=96)
    async with world(cloud, tmp_path, NOW, meters=meters) as here:
        await here.backfill(DAYS)
        barn = Ledger(here.folder("barn") / ".collector" / "ledger.jsonl").span_limit
        assert barn is not None
        assert barn[0].endswith("/em-3p 3em")
        assert barn[1].trust is limit_in(here).trust is Trust.PROVEN
        alone = [each for each in here.cloud.counts.log if each.day == each.until == "" and each.days == 1]
        assert len({each.device for each in here.cloud.counts.log if each.days == 4}) == 2, alone


async def test_what_is_true_of_one_meter_is_not_believed_of_another(tmp_path: Path) -> None:
    """Two of a kind on one account: the spans of the second are wrong, whichever was proven before."""
    other = "34987a45c1d0"
    meters = ({"name": "house", "id": DEVICE}, {"name": "barn", "id": other})
    fault = Fault("span_hours_differ", device=other)
    cloud = cloud_of(Device(DEVICE), Device(other), hour_span_h=96, fault=(fault,))
    async with world(cloud, tmp_path, NOW, meters=meters) as here:
        for _ in range(2):
            await here.backfill(DAYS)
            assert_right(here, Device(DEVICE))
            for number in range(1, DAYS + 1):
                day = ago(number)
                check_day(here.folder("barn") / f"{day}.jsonl", day, Device(other), complete=True)
            assert limit_in(here).trust is Trust.PROVEN
            assert limit_in(here, "barn").trust is Trust.CONTRADICTED


async def test_a_span_in_the_known_zone_ends_a_row_of_answers_in_another(tmp_path: Path) -> None:
    """Three in a row would change the zone; a wrong answer now and then must not."""
    policy = RequestPolicy()
    wrong = Fault("wrong_zone", asks="day", since=NOW + timedelta(seconds=10))
    async with (
        world(cloud_of(hour_span_h=96, fault=(wrong,)), tmp_path, NOW) as here,
        assembled(here.settings(), here.clock, Pacers()) as accounts,
    ):
        (collector,) = accounts[0].collectors
        await collector.collect_day(ago(30), policy)
        zone = collector.zone
        spans_of(collector).limit = SpanLimit(answered_h=96, trust=Trust.PROVEN)
        await asyncio.sleep(20)
        for number in range(2, 22, 5):
            found = await collector.collect_day(ago(number), policy)
            assert found.outcome is Outcome.FAILED
            days = [ago(number + each) for each in range(1, 5)]
            assert len((await collect_span(collector, days, policy)).outcomes) >= 3
        assert collector.zone == zone
