"""What should be there is requested: the cloud's daily totals show which days it has, as far as they can."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.archive.ledger import Ledger
from collector.energy.history import Availability
from collector.overview import status_of
from collector.simulator import Device, Hole
from tests.support.archives import flip, write_files
from tests.support.faulty_cloud import Fault
from tests.support.service_life import events_in, living
from tests.support.world import DEVICE, World, check_day, cloud_of, world

NOW = datetime(2026, 3, 20, 14, 35, tzinfo=UTC)
TODAY = date(2026, 3, 20)
DAYS = 200
GAP = Hole(date(2025, 11, 10), date(2025, 12, 12))
DEEP: dict[str, Any] = {"schedule": {"backfill_days": DAYS, "refresh_jitter_s": 0}}


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def asked(here: World) -> list[date]:
    """The days whose hours were requested, in order, the newest of a span first; of two clamps the first."""
    found: list[date] = []
    for each in here.cloud.counts.log:
        first, last = date.fromisoformat(each.day), date.fromisoformat(each.until or each.day)
        if each.channel == "0" and (last - first).days < 4:
            found += [last - timedelta(days=number) for number in range((last - first).days + 1)]
    return found


def span_firsts() -> list[date]:
    """The first days of the spans whose totals are requested: twice as long each time."""
    firsts: list[date] = []
    last, days = ago(1), 30
    while last >= ago(DAYS):
        first = max(last - timedelta(days=days - 1), ago(DAYS))
        firsts.append(min(first, last - timedelta(days=6)))
        last, days = firsts[-1] - timedelta(days=1), min(2 * days, 240)
    return firsts


def availability(here: World) -> Availability | None:
    return Ledger(here.folder() / ".collector" / "ledger.jsonl").availability


@pytest.mark.parametrize(
    "shown",
    ["absent", *(pytest.param(each, marks=pytest.mark.slow) for each in ("as_hours", "zeros", "missing"))],
)
async def test_a_meter_with_a_months_gap_has_all_days_on_both_sides(tmp_path: Path, shown: str) -> None:
    """A fuse that was out, a holiday home: what lies behind the gap is not lost. The gap itself comes last,
    whatever the totals show of a day without data."""
    device = Device(DEVICE, hole=(GAP,), empty_totals=shown)  # type: ignore[arg-type]
    async with world(cloud_of(device), tmp_path, NOW) as here:
        report = await here.backfill(DAYS)
        gap = [day for day in map(ago, range(DAYS + 1)) if date(2025, 11, 10) <= day < date(2025, 12, 12)]
        requested = list(dict.fromkeys(asked(here)))
        assert sorted(requested[-len(gap) :]) == sorted(gap)
        assert not any((here.folder() / f"{day}.jsonl").exists() for day in gap)
        for day in (ago(DAYS), date(2025, 11, 9), date(2025, 12, 12), ago(1)):
            check_day(here.folder() / f"{day}.jsonl", day, device, complete=True)
        assert report.counts.total() == DAYS + 1
        counts = here.cloud.counts
        assert counts.kinds["totals"] == 2 * len(span_firsts())
        assert counts.total.requests - counts.kinds["totals"] <= 2 * (DAYS + 1)


async def test_the_edge_of_what_was_read_was_called_the_beginning(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: after `--days 60` the data seemed to begin 60 days ago, in `status` as well."""
    async with world(cloud_of(), tmp_path, NOW) as here:
        report = await here.backfill(60)
        assert report.beginnings == {}
        assert status_of(here.settings().files, here.clock(), {}).meters["house"].beginning is None
        (event,) = events_in(log_lines.getvalue(), "totals.read")
        assert (event["beginning"], event["days_with_data"]) == (None, 60)


def test_a_beginning_is_seen_before_days_without_data_or_where_nothing_older_is_kept() -> None:
    """Elsewhere it is the edge of what was read; where no total was above zero there is none."""
    later = Availability(0, ago(9), ago(1), ((ago(5), ago(1)),))
    edge = Availability(0, ago(9), ago(1), ((ago(9), ago(1)),))
    assert later.beginning_seen(ago(100)) == ago(5)
    assert [edge.beginning_seen(ago(days)) for days in (10, 9, 8)] == [None, ago(9), ago(9)]
    assert Availability(0, ago(9), ago(1)).beginning_seen(ago(8)) is None


async def test_a_young_meter_is_not_requested_before_its_beginning(tmp_path: Path) -> None:
    """And the report says where that is thought to be."""
    device = Device(DEVICE, installed_since=ago(40))
    async with world(cloud_of(device), tmp_path, NOW) as here:
        report = await here.backfill(DAYS)
        assert list(dict.fromkeys(asked(here))) == [TODAY, *map(ago, range(1, 41))]
        assert report.beginnings == {"house": ago(40)}
        assert status_of(here.settings().files, here.clock(), {}).meters["house"].beginning == ago(40)
        here.cloud.reset()
        await here.backfill(DAYS)
        assert here.cloud.counts.total.requests == 2  # today; what the totals showed is remembered


@pytest.mark.slow
@pytest.mark.parametrize("totals", ["refused", "month"])
async def test_totals_that_the_cloud_does_not_give_are_no_outage(
    tmp_path: Path, log_lines: io.StringIO, totals: str
) -> None:
    """Every day is requested instead, also behind a gap; the totals again in a week."""
    device = Device(DEVICE, hole=(GAP,), totals=totals)  # type: ignore[arg-type]
    refused = []
    for days in (0, 5, 8):
        async with living(cloud_of(device), tmp_path, NOW + timedelta(days=days), **DEEP) as service:
            await service.pass_time(minutes=5)
            check_day(service.world.folder() / f"{ago(DAYS)}.jsonl", ago(DAYS), device, complete=True)
        refused.append(len(events_in(log_lines.getvalue(), "totals.refused")))
    assert refused == [1, 1, 2]
    assert not events_in(log_lines.getvalue(), "source.unavailable")


@pytest.mark.slow
async def test_the_totals_are_read_again_in_a_month(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Also over a restart; what was not there may have come, and what is stored is compared once more."""
    read = []
    for days in (0, 1, 27, 31):
        async with living(cloud_of(), tmp_path, NOW + timedelta(days=days), **DEEP) as service:
            await service.pass_time(minutes=5)
        read.append(len(events_in(log_lines.getvalue(), "totals.read")))
    assert read == [1, 1, 1, 2]
    assert not events_in(log_lines.getvalue(), "day.differs")


@pytest.mark.slow
async def test_rows_at_utc_midnight_are_no_check_and_widen_what_may_exist(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """A total of a day of UTC says something of two local days, and is the total of none."""
    device = Device(
        DEVICE,
        timezone="Asia/Kolkata",
        hole=(GAP,),
        total_stamps="utc_midnight",
        empty_totals="zeros",
        installed_since=ago(150),
    )
    async with world(cloud_of(device), tmp_path, NOW) as here:
        await here.backfill(DAYS)
        found = availability(here)
        assert found is not None
        assert found.beginning == ago(152)
        assert found.may_have(date(2025, 11, 10))
        assert not found.may_have(date(2025, 11, 13))
        for day in (ago(150), date(2025, 11, 9), date(2025, 12, 12)):
            check_day(here.folder() / f"{day}.jsonl", day, device, complete=True)
        assert not events_in(log_lines.getvalue(), "day.differs")
        assert not events_in(log_lines.getvalue(), "totals.distrusted")


async def test_a_stored_day_that_differs_from_its_total_is_read_again_once(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Reported with both numbers, and healed; a total that is wrong itself costs one reading and no more."""
    device = Device(DEVICE)
    write_files(tmp_path / "house", device, [ago(number) for number in range(5, 60)])
    flip(tmp_path / "house" / f"{ago(33)}.jsonl", "import")
    async with living(cloud_of(device), tmp_path, NOW, **DEEP) as service:
        await service.pass_time(hours=3)
        (event,) = events_in(log_lines.getvalue(), "day.differs")
        assert event["day"] == str(ago(33))
        assert event["columns"].keys() == {"import"}
        check_day(tmp_path / "house" / f"{ago(33)}.jsonl", ago(33), device, complete=True)
        assert Counter(asked(service.world))[ago(33)] == 1


async def test_a_backfill_by_hand_compares_with_the_totals_as_the_service_does(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """For whoever has no service: the next backfill reads the day that differs."""
    device = Device(DEVICE)
    write_files(tmp_path / "house", device, [ago(number) for number in range(5, 60)])
    flip(tmp_path / "house" / f"{ago(33)}.jsonl", "import")
    async with world(cloud_of(device), tmp_path, NOW) as here:
        await here.backfill(DAYS)
        assert [event["day"] for event in events_in(log_lines.getvalue(), "day.differs")] == [str(ago(33))]
        assert ago(33) not in asked(here)
        await here.backfill(DAYS)
        check_day(here.folder() / f"{ago(33)}.jsonl", ago(33), device, complete=True)


@pytest.mark.slow
async def test_a_total_that_stays_wrong_is_reported_once(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Also where the totals are read again a month later: one reading more, and one event."""
    device = Device(DEVICE)
    write_files(tmp_path / "house", device, [ago(number) for number in range(1, 60)])
    flip(tmp_path / "house" / f"{ago(33)}.jsonl", "import")
    wrong = (tmp_path / "house" / f"{ago(33)}.jsonl").read_bytes()
    read = []
    for days in (0, 31):
        async with living(cloud_of(device), tmp_path, NOW + timedelta(days=days), **DEEP) as service:
            await service.pass_time(hours=3)
        (tmp_path / "house" / f"{ago(33)}.jsonl").write_bytes(wrong)
        log = log_lines.getvalue()
        read.append((len(events_in(log, "totals.read")), len(events_in(log, "day.differs"))))
    assert read == [(1, 1), (2, 1)]


@pytest.mark.slow
async def test_where_many_days_differ_it_is_the_totals_that_are_not_believed(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """One event, and no reading again: they may mean something that nobody here knows."""
    off = Fault("sum_off", channel=0, days=tuple(span_firsts()), times=len(span_firsts()))
    async with living(cloud_of(fault=(off,)), tmp_path, NOW, **DEEP) as service:
        await service.pass_time(hours=3)
        (event,) = events_in(log_lines.getvalue(), "totals.distrusted")
        assert event["different"] > event["compared"] / 5
        assert not events_in(log_lines.getvalue(), "day.differs")
        assert Counter(asked(service.world))[ago(50)] == 1


@pytest.mark.slow
async def test_a_span_that_is_too_long_is_requested_in_shorter_ones(tmp_path: Path) -> None:
    """Thirty days have always come by the day; how many more do is learned from the answers."""
    too_long = Fault("status_500", days=(span_firsts()[1],), times=1)
    async with world(cloud_of(fault=(too_long,)), tmp_path, NOW) as here:
        await here.backfill(DAYS, retry={"attempts": 1})
        found = availability(here)
        assert found is not None
        assert len(set(found.days())) == DAYS
        log = [each for each in here.cloud.counts.log if each.channel == "0" and each.kind == "totals"]
        assert len(log) == 1 + 7  # the long span in vain, then seven of 30 days


async def test_what_was_read_of_the_totals_survives_a_kill(tmp_path: Path) -> None:
    """A start after it continues below: at most the span that was in progress is requested again."""
    async with world(cloud_of(latency_s=1.0), tmp_path, NOW) as here:
        work = asyncio.create_task(here.backfill(DAYS))
        while len(here.cloud.counts.log) < 2 * 2 + 1:  # two spans, and the third is under way
            await asyncio.sleep(0.1)
        work.cancel()
        await asyncio.wait([work])
        await here.backfill(DAYS)
        spans = Counter(each.day for each in here.cloud.counts.log if each.until and each.channel == "0")
        assert [spans[str(first)] for first in span_firsts()] == [1, 1, 2]
        found = availability(here)
        assert found is not None
        assert len(set(found.days())) == DAYS


@pytest.mark.usefixtures("rare_looks")
async def test_an_outage_in_the_middle_of_the_totals_is_an_outage(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Reported once; then the totals are read, and nothing from before the beginning is requested."""
    device = Device(DEVICE, installed_since=ago(40))
    fault = Fault("status_503", since=NOW, until=NOW + timedelta(hours=2))
    async with living(cloud_of(device, fault=(fault,)), tmp_path, NOW, **DEEP) as service:
        await service.pass_time(hours=3)
        assert len(events_in(log_lines.getvalue(), "source.unavailable")) == 1
        assert len(events_in(log_lines.getvalue(), "totals.read")) == 1
        log = service.world.cloud.counts.log
        assert min(each.day for each in log if each.outcome == 200 and not each.until) == str(ago(40))
