"""Verification: a wrong number is found by the cloud's totals alone, and what was moved aside comes back."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from collector.archive.ledger import Ledger
from collector.energy.history import Outcome, first_day
from collector.errors import ArchiveLocked, KeyRefused, Unavailable
from collector.simulator import Account, Device, Hole, Revision
from collector.verify.files import inspect
from collector.verify.repair import repair, verified
from collector.verify.report import Action, MeterReport
from tests.support.archives import compared, flip, write_files
from tests.support.faulty_cloud import Fault, Scenario
from tests.support.service_life import events_in, living
from tests.support.world import DEVICE, KEY, World, check_day, cloud_of, mark_as, world

NOW = datetime(2025, 11, 20, 9, 30, tzinfo=UTC)
DAY = date(2025, 11, 12)
DUBLIN = ZoneInfo("Europe/Dublin")
ONE_TRY: dict[str, Any] = {"retry": {"attempts": 1}}


@asynccontextmanager
async def stored(
    archive: Path, *devices: Device, days: int = 30, start: datetime = NOW, **options: Any
) -> AsyncIterator[World]:
    """A world whose last days are stored, as the cloud sent them."""
    tables = options.pop("tables", None)
    async with world(cloud_of(*devices), archive, start, tables=tables, **options) as here:
        await here.backfill(days)
        here.cloud.reset()
        yield here


async def verify(here: World, *, fix: bool = False, **tables: Any) -> MeterReport:
    (found,) = await verified(here.settings(**tables), here.clock, lambda *told: None, fix=fix)
    return found


def fix(here: World) -> MeterReport:
    settings = here.settings()
    return repair(settings, settings.meters[0], DUBLIN, here.clock())


def remembered(here: World, day: date = DAY) -> Outcome | None:
    asked = Ledger(here.folder() / ".collector" / "ledger.jsonl").attempts.get(day)
    return None if asked is None else asked.outcome


async def test_a_sound_archive_agrees_with_the_cloud(tmp_path: Path) -> None:
    """Every stored day is compared, today's is not, in two requests for 30 days."""
    async with stored(tmp_path) as here:
        ledger = (here.folder() / ".collector" / "ledger.jsonl").read_bytes()
        found = await verify(here)
        assert found.findings == ()
        assert (compared(found).days, compared(found).requests) == (30, 2)
        assert compared(found).different == {}
        assert here.cloud.counts.total.requests == 2
        assert (here.folder() / ".collector" / "ledger.jsonl").read_bytes() == ledger


@pytest.mark.slow
async def test_three_years_of_two_channels_take_74_requests(tmp_path: Path) -> None:
    """A request for 30 days and channel: 37 spans, two channels, at the allowed pace."""
    device = Device(DEVICE)
    write_files(
        tmp_path / "house", device, [NOW.date() - timedelta(days=number) for number in range(1, 1096)]
    )
    async with world(cloud_of(device), tmp_path, NOW) as here:
        found = await verify(here, pacing={"min_interval_s": 1.05})
        assert compared(found).days == 1095
        assert here.cloud.counts.total.requests == 74
        assert compared(found).different == {}
        assert here.cloud.counts.total.rejections == 0


@pytest.mark.parametrize("column", ["import", "export", "solar"])
async def test_a_wrong_number_is_found_by_the_cloud_alone(tmp_path: Path, column: str) -> None:
    """Where the file keeps to its contract and no checksum was ever recorded."""
    async with stored(tmp_path) as here:
        flip(here.folder() / f"{DAY}.jsonl", column)
        (here.folder() / ".collector" / "checksums").unlink()
        found = await verify(here)
        assert found.findings == ()
        (difference,) = compared(found).different[DAY]
        assert difference.column == column
        assert abs(difference.stored_kwh - difference.cloud_kwh - Decimal("0.1")) < Decimal("0.002")
        assert list(compared(found).different) == [DAY]
        assert remembered(here) is Outcome.FAILED


async def test_a_day_that_differs_is_read_again_by_the_service(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Within the first scheduled run; the right number comes back, logged as a revision."""
    device = Device(DEVICE)
    async with stored(tmp_path, device) as here:
        flip(here.folder() / f"{DAY}.jsonl", "import")
        await verify(here)
    tables: dict[str, Any] = {"schedule": {"backfill_days": 0}}
    async with living(cloud_of(device), tmp_path, NOW + timedelta(hours=1), **tables) as service:
        await service.pass_time(minutes=10)
        path = service.world.folder() / f"{DAY}.jsonl"
        check_day(path, DAY, device, complete=True)
        assert [event["day"] for event in events_in(log_lines.getvalue(), "hour.revised")] == [str(DAY)]
        assert remembered(service.world) is None
        assert inspect(service.world.folder(), None, NOW).findings == ()


async def test_a_day_that_differs_is_read_again_by_a_backfill(tmp_path: Path) -> None:
    """For users without a service."""
    device = Device(DEVICE)
    async with stored(tmp_path, device) as here:
        flip(here.folder() / f"{DAY}.jsonl", "import")
        await verify(here)
        await here.backfill(30)
        check_day(here.folder() / f"{DAY}.jsonl", DAY, device, complete=True)
        assert compared(await verify(here)).different == {}


async def test_late_data_is_found(tmp_path: Path) -> None:
    """A hole that has closed since: of an incomplete day, and of one without a file."""
    closes = NOW + timedelta(hours=2)
    holes = (
        Hole(datetime(2025, 11, 5, 10), datetime(2025, 11, 5, 14), heals_at=closes),
        Hole(date(2025, 11, 7), date(2025, 11, 8), heals_at=closes),
        Hole(datetime(2025, 11, 9, 10), datetime(2025, 11, 9, 14)),
    )
    async with stored(tmp_path, Device(DEVICE, hole=holes)) as here:
        before = await verify(here)
        assert compared(before).different == {}
        here.cloud.set_clock(closes + timedelta(minutes=1), 1.0)
    async with world(cloud_of(Device(DEVICE, hole=holes)), tmp_path, closes + timedelta(hours=1)) as here:
        after = await verify(here)
        assert sorted(compared(after).different) == [date(2025, 11, 5), date(2025, 11, 7)]


async def test_a_revised_day_differs(tmp_path: Path) -> None:
    """The cloud changed its mind about a complete day."""
    change = Revision(
        NOW + timedelta(hours=1), datetime(2025, 11, 12, 10), datetime(2025, 11, 12, 11), channel=1
    )
    async with stored(tmp_path, Device(DEVICE)):
        pass
    device = Device(DEVICE, revision=(change,))
    async with world(cloud_of(device), tmp_path, NOW + timedelta(hours=2)) as here:
        found = await verify(here)
        assert {day: [each.column for each in found] for day, found in compared(found).different.items()} == {
            DAY: ["solar"]
        }


@pytest.mark.parametrize(
    "changes",
    [
        {"timezone": "Europe/Berlin"},
        {"timezone": "America/Havana"},
        {"stamps": "utc"},
        {"tariffs": 3},
        {"tariffs": 2, "tariff_zero": "copy"},
        {"autumn": "fat"},
        {"gaps": "nulls", "hole": (Hole(datetime(2025, 11, 3, 5), datetime(2025, 11, 3, 9), channel=1),)},
        {"hole": (Hole(date(2025, 11, 3), date(2025, 11, 6)),)},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "archive",
    [
        {},
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ({"repeated_hour": "merge"}, {"decimals": 6})
        ),
    ],
    ids=str,
)
async def test_no_variant_of_the_cloud_makes_a_sound_archive_differ(
    tmp_path: Path, changes: dict[str, Any], archive: dict[str, Any]
) -> None:
    """Days of 23 and 25 hours, tariffs, holes, UTC stamps; and every way to write the files."""
    device = Device(DEVICE, **changes)
    start = datetime(2025, 11, 10, 9, 30, tzinfo=UTC)
    meters = ({"name": "house", "id": DEVICE, "timezone": device.timezone},)
    async with stored(tmp_path, device, start=start, meters=meters, tables={"archive": archive}) as here:
        found = await verify(here)
        assert found.findings == ()
        assert compared(found).different == {}
        assert compared(found).days >= 27
        assert compared(found).unanswered == []


async def test_days_of_unclear_tariffs_are_not_compared(tmp_path: Path) -> None:
    """And reported as such."""
    async with stored(tmp_path) as here:
        here.cloud.play(cloud_of(Device(DEVICE, tariffs=2, tariff_zero="rest")))
        found = await verify(here)
        assert (compared(found).days, len(compared(found).uncertain)) == (0, 30)
        assert compared(found).different == {}


async def test_a_pair_of_3ems_scaled_and_with_a_discard(tmp_path: Path) -> None:
    """One request for each device; the solar's total is a range."""
    grid, sun = "34987a45c1d0", "34987a45c1d1"
    devices = Device(grid, kind="3em"), Device(sun, kind="3em", counts="solar")
    meter = {"name": "house", "id": grid, "kind": "3em", "pv_id": sun, "grid_scale_factor": 2,
             "pv_kwh_discard": Decimal("0.002")}  # fmt: skip
    async with stored(tmp_path, *devices, meters=(meter,)) as here:
        found = await verify(here)
        assert (compared(found).days, compared(found).requests) == (30, 2)
        assert compared(found).different == {}
        flip(here.folder() / f"{DAY}.jsonl", "solar", "0.2")
        assert list(compared(await verify(here)).different) == [DAY]


async def test_a_span_that_breaks_the_contract_is_reported_and_the_rest_continues(tmp_path: Path) -> None:
    """Nothing of it is compared, and nothing is marked."""
    async with stored(tmp_path, days=80) as here:
        flip(here.folder() / f"{DAY}.jsonl", "import")
        here.cloud.play(
            replace(cloud_of(), fault=(Fault("no_interval", on_requests=(3,)),)),
        )
        found = await verify(here)
        (missed,) = compared(found).unanswered
        assert "interval" in missed.reason
        assert (missed.last - missed.first).days == 29
        assert compared(found).days == 50
        assert list(compared(found).different) == [DAY]
        assert compared(found).gave_up is None


async def test_a_cloud_that_returns_hours_for_long_spans_is_reported(tmp_path: Path) -> None:
    """`interval` in the body is the only truth."""
    async with stored(tmp_path, days=80) as here:
        here.cloud.play(cloud_of(hour_span_h=24 * 40))
        found = await verify(here)
        assert {each.reason for each in compared(found).unanswered} == {"interval: not day"}
        assert (compared(found).days, len(compared(found).unanswered)) == (0, 3)


@pytest.mark.parametrize(("kind", "error"), [("bad_key", KeyRefused), ("status_500", Unavailable)])
async def test_a_source_that_refuses_ends_it(tmp_path: Path, kind: str, error: type[Exception]) -> None:
    """At once: the files are checked, and no day is marked."""
    async with stored(tmp_path, days=80) as here:
        flip(here.folder() / f"{DAY}.jsonl", "import")
        here.cloud.play(replace(cloud_of(), fault=(Fault(kind),)))
        found = await verify(here, **ONE_TRY)
        assert isinstance(compared(found).gave_up, error)
        assert here.cloud.counts.total.requests == 1
        assert [each.code for each in found.findings] == ["checksum"]
        assert remembered(here) is None


@pytest.mark.slow
async def test_a_source_that_goes_down_in_the_middle_gets_three_spans(tmp_path: Path) -> None:
    """What was compared before counts."""
    async with stored(tmp_path, days=300) as here:
        here.cloud.play(replace(cloud_of(), fault=(Fault("status_500", on_requests=tuple(range(5, 90))),)))
        found = await verify(here, **ONE_TRY)
        assert isinstance(compared(found).gave_up, Unavailable)
        assert compared(found).days == 60
        assert len(compared(found).unanswered) == 3


async def test_an_unknown_device_does_not_stop_the_others(tmp_path: Path) -> None:
    """It is logged once."""
    other = "e8db84d2a1b4"
    meters = {"name": "house", "id": DEVICE}, {"name": "barn", "id": other}
    async with stored(tmp_path, Device(DEVICE), Device(other), days=80, meters=meters) as here:
        here.cloud.play(cloud_of(Device(other)))
        house, barn = await verified(here.settings(), here.clock, lambda *told: None, fix=False)
        assert len(compared(house).unanswered) == 1
        assert compared(house).gave_up is None
        assert compared(barn).days == 80


async def test_accounts_were_compared_one_after_the_other(tmp_path: Path) -> None:
    """Bug: three years of three hundred accounts took six hours, although each has a request a second."""
    names = [f"home{number}" for number in range(10)]
    homes = [Account(name, f"{KEY}{name}", (Device(DEVICE),)) for name in names]
    tables = [
        {"name": each.name, "auth_key": each.auth_key, "meter": [{"name": each.name, "id": DEVICE}]}
        for each in homes
    ]
    async with world(Scenario(account=tuple(homes)), tmp_path, NOW, accounts=tables) as here:
        await here.backfill(45)
        settings, loop = here.settings(pacing={"min_interval_s": 1.05}), asyncio.get_running_loop()
        began = loop.time()
        found = await verified(settings, here.clock, lambda *told: None, fix=False)
        assert [(each.meter, compared(each).days) for each in found] == [(name, 45) for name in names]
        assert loop.time() - began < 8  # four requests each


async def test_another_zone_is_not_compared(tmp_path: Path) -> None:
    """Its days are other days."""
    async with stored(tmp_path) as here:
        here.cloud.play(cloud_of(Device(DEVICE, timezone="Asia/Tokyo")))
        found = await verify(here)
        assert compared(found).days == 0
        assert "Asia/Tokyo" in compared(found).unanswered[0].reason


async def test_days_before_since_and_beyond_retention_are_not_compared(tmp_path: Path) -> None:
    """The service never requests them, and could not."""
    async with stored(tmp_path) as here:
        settings = here.settings()
        meter = replace(settings.meters[0], since=date(2025, 11, 10))
        accounts = (replace(settings.accounts[0], meters=(meter,)),)
        (found,) = await verified(
            replace(settings, accounts=accounts), here.clock, lambda *told: None, fix=False
        )
        assert compared(found).days == 10
    async with world(cloud_of(), tmp_path, NOW + timedelta(days=1200)) as here:
        found = await verify(here)
        assert min(compared(found).different) == first_day(date(2029, 3, 4), None, None)


async def test_what_was_moved_aside_is_collected_again_by_the_service(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Within the first scheduled run, in the heal lane; the file that was wrong is kept aside."""
    device = Device(DEVICE)
    async with stored(tmp_path, device) as here:
        path = here.folder() / f"{DAY}.jsonl"
        flip(path, "export", "0.01")
        wrong = path.read_bytes()
        done = fix(here)
        assert done.actions == {DAY: Action.QUARANTINED}
        assert not path.exists()
        assert (here.folder() / ".collector" / "quarantine" / f"{DAY}.jsonl.1").read_bytes() == wrong
        assert [event["day"] for event in events_in(log_lines.getvalue(), "file.quarantined")] == [str(DAY)]
    tables: dict[str, Any] = {"schedule": {"backfill_days": 0}}
    async with living(cloud_of(device), tmp_path, NOW + timedelta(minutes=5), **tables) as service:
        await service.pass_time(hours=1)
        check_day(service.world.folder() / f"{DAY}.jsonl", DAY, device, complete=True)
        assert inspect(service.world.folder(), None, NOW).findings == ()


async def test_a_day_that_the_cloud_forgot_stays(tmp_path: Path) -> None:
    """Unless it cannot be read: no reader could use it anyway."""
    async with stored(tmp_path) as here:
        flip(here.folder() / f"{DAY}.jsonl", "export", "0.01")
        (here.folder() / f"{DAY - timedelta(days=1)}.jsonl").write_bytes(b"")
    async with world(cloud_of(), tmp_path, NOW + timedelta(days=1200)) as here:
        done = fix(here)
        assert done.actions == {DAY: Action.KEPT, DAY - timedelta(days=1): Action.QUARANTINED}
        assert (here.folder() / f"{DAY}.jsonl").exists()
        assert remembered(here, DAY - timedelta(days=1)) is None


async def test_todays_file_is_not_remembered(tmp_path: Path) -> None:
    """It is requested every hour anyway."""
    async with stored(tmp_path) as here:
        today = NOW.date()
        (here.folder() / f"{today}.jsonl").write_bytes(b"rubbish\n")
        assert fix(here).actions == {today: Action.QUARANTINED}
        assert remembered(here, today) is None


async def test_what_cannot_be_moved_is_not_touched_while_a_service_runs(tmp_path: Path) -> None:
    """The lock is taken before anything is read."""
    async with living(cloud_of(), tmp_path, NOW, schedule={"backfill_days": 2}) as service:
        await service.pass_time(minutes=5)
        settings = service.world.settings()
        with pytest.raises(ArchiveLocked, match="systemctl stop"):
            repair(settings, settings.meters[0], DUBLIN, NOW)
        with pytest.raises(ArchiveLocked):
            await verified(settings, service.world.clock, lambda *told: None, fix=False)


async def test_fix_and_cloud_can_be_combined(tmp_path: Path) -> None:
    """A day that was moved aside is not reported as different as well."""
    async with stored(tmp_path) as here:
        flip(here.folder() / f"{DAY}.jsonl", "import")
        found = await verify(here, fix=True)
        assert found.actions == {DAY: Action.QUARANTINED}
        assert compared(found).different == {}
        assert compared(found).days == 29


async def test_most_days_differed_and_all_of_them_were_to_be_read_again(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: 57 of 60 days of another meter's archive were requested, and the service overwrote its files."""
    days = [NOW.date() - timedelta(days=number) for number in range(1, 61)]
    write_files(tmp_path / "house", Device("a8032abe41fc"), days)
    mark_as(tmp_path / "house", DEVICE)
    async with world(cloud_of(), tmp_path, NOW) as here:
        found = compared(await verify(here))
        assert len(found.different) == found.days == 60
        assert "60 of 60" in found.distrusted
        (event,) = events_in(log_lines.getvalue(), "totals.distrusted")
        assert (event["meter"], event["compared"], event["different"]) == ("house", 60, 60)
        assert not any(remembered(here, day) for day in days)


async def test_days_without_a_file_are_no_reason_to_distrust_the_totals(tmp_path: Path) -> None:
    """Nothing is overwritten where nothing is stored: they are read."""
    device = Device(DEVICE)
    days = [NOW.date() - timedelta(days=number) for number in (*range(1, 11), 30)]
    write_files(tmp_path / "house", device, days)
    flip(tmp_path / "house" / f"{DAY}.jsonl", "import")
    async with world(cloud_of(device), tmp_path, NOW) as here:
        found = compared(await verify(here))
        assert (found.days, len(found.different), found.distrusted) == (30, 20, "")
        assert {remembered(here, day) for day in found.different} == {Outcome.FAILED}
