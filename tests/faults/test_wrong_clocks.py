"""T2: clocks that are wrong at boot, and clocks that step: nothing wrong on disk, and work at once after."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pytest

from collector.collect import collector
from collector.simulator import Device
from tests.faults import figures
from tests.support.amounts import amount
from tests.support.service_life import Living, events_in, living
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.world import DEVICE, cloud_of, hours_of_day, kwh, records_of

START = datetime(2026, 3, 20, 14, 5, tzinfo=UTC)
TODAY = START.date()
PACED: dict[str, Any] = {"schedule": {"backfill_days": 3}, "pacing": {"min_interval_s": 1.05}}
HOUSE = Device(DEVICE, late_minutes=8)
HOUSE_SHOWING_MORE = Device(DEVICE, late_minutes=8, under_way="partial")

BOOT = {
    "1970": datetime(1970, 1, 1, tzinfo=UTC) - START,
    "the build date": datetime(2022, 11, 1, tzinfo=UTC) - START,
    "a month ago": timedelta(days=-30),
    "in two years": timedelta(days=730),
}
SIZES = [
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
    timedelta(days=30),
]
STEPS = [sign * size for size in [*SIZES, timedelta(days=730)] for sign in (1, -1)]
TOLERATED = timedelta(minutes=2)
Setter = Literal["systemd", "another program"]


@pytest.fixture
def synchronized(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file by which systemd says that it has set the clock; not there yet."""
    path = tmp_path / "synchronized"
    monkeypatch.setattr(collector, "SYNCHRONIZED", path)
    return path


@asynccontextmanager
async def machine(archive: Path, skew: timedelta, *, tells_date: bool) -> AsyncIterator[Living]:
    """A service on a machine whose clock, the scheduler's too, is off by `skew`; the cloud's is right."""
    scenario = cloud_of(
        HOUSE_SHOWING_MORE if tells_date else HOUSE, limit="lax", date_header=None if tells_date else ""
    )
    async with living(scenario, archive, START + skew, **PACED) as service:
        service.world.cloud.set_clock(START)
        yield service


def step(by: timedelta) -> None:
    """The machine's clock steps; elapsed time does not."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.on_jump(by.total_seconds())


async def test_a_clock_that_is_wrong_at_boot_does_no_harm_and_work_begins_once_it_is_set(
    tmp_path: Path, synchronized: Path, log_lines: io.StringIO
) -> None:
    """Whoever sets it and whenever, and whether the cloud tells the date or not."""
    slowest_s, cases = 0.0, 0
    wrong: list[str] = []
    setters: tuple[Setter, ...] = ("systemd", "another program")
    for name, after_min, tells_date, setter in product(BOOT, (0, 1, 60), (True, False), setters):
        case = f"{name}, set after {after_min} min by {setter}, date told: {tells_date}"
        synchronized.unlink(missing_ok=True)
        log_lines.truncate(log_lines.seek(0))
        archive = tmp_path / str(cases)
        async with machine(archive, BOOT[name], tells_date=tells_date) as service:
            for _ in range(after_min):
                await service.pass_time(minutes=1)
                wrong += wrong_in(service)
            assert not (tells_date and stored(service)), case
            step(-BOOT[name])
            if setter == "systemd":
                synchronized.touch()
            slowest_s = max(slowest_s, await seconds_until_whole(service, case))
            wrong += wrong_in(service)
            check_quiet(service, case)
            told = int(tells_date and after_min > 0)
            assert counts_of(log_lines, "clock.untrusted", "clock.trusted") == [told, told], case
            assert not wrong, case
        cases += 1
    figures.note(
        "T2", boots=cases, wrong_hours=len(wrong), s_until_all_is_there_after_the_clock_was_set=slowest_s
    )


async def test_a_clock_that_is_never_set_stores_nothing_wrong(
    tmp_path: Path, synchronized: Path, log_lines: io.StringIO
) -> None:
    """Told once; where nobody tells the date, what has been is stored, and nothing else."""
    wrong: list[str] = []
    for number, (name, tells_date) in enumerate(product(BOOT, (True, False))):
        log_lines.truncate(log_lines.seek(0))
        async with machine(tmp_path / str(number), BOOT[name], tells_date=tells_date) as service:
            for _ in range(amount(3, 23)):
                await service.pass_time(hours=1)
                wrong += wrong_in(service)
            assert not (tells_date and stored(service)), name
            assert counts_of(log_lines, "clock.untrusted", "clock.trusted") == [int(tells_date), 0], name
            check_quiet(service, name, hours=23)
            assert not wrong, name
    figures.note("T2", boots_never_set=2 * len(BOOT), wrong_hours=len(wrong))


async def test_a_clock_that_steps_while_running_does_no_harm_and_work_goes_on(
    tmp_path: Path, synchronized: Path, log_lines: io.StringIO
) -> None:
    """Seconds to years, either way, and an hour and a half later back."""
    slowest_s, cases = 0.0, 0
    wrong: list[str] = []
    for by, tells_date in product(STEPS, (True, False)):
        case = f"by {by}, date told: {tells_date}"
        log_lines.truncate(log_lines.seek(0))
        async with machine(tmp_path / str(cases), timedelta(0), tells_date=tells_date) as service:
            await service.pass_time(minutes=20)
            before = stored(service)
            step(by)
            for _ in range(9):
                await service.pass_time(minutes=10)
                wrong += wrong_in(service)
                assert before <= stored(service), case
                if abs(by) < TOLERATED:
                    assert not missing_today(service, late_s=960), case
            step(-by)
            slowest_s = max(slowest_s, await seconds_until_whole(service, case))
            wrong += wrong_in(service)
            for _ in range(amount(5, 12)):
                await service.pass_time(minutes=15)
                wrong += wrong_in(service)
                assert not missing_today(service, late_s=960), case
            untrusted = abs(by) > TOLERATED and (tells_date or by <= timedelta(days=-1))
            told = int(untrusted)
            assert counts_of(log_lines, "clock.untrusted", "clock.trusted") == [told, told], case
            check_quiet(service, case, hours=5)
            assert not wrong, case
        cases += 1
    figures.note(
        "T2", steps=cases, wrong_hours=len(wrong), s_until_work_goes_on_after_the_step_back=slowest_s
    )


async def seconds_until_whole(service: Living, case: str) -> float:
    """How long until four days are there, today up to the newest hour that the cloud has; at most 60 s."""
    for waited_s in range(61):
        days = {day for day, _ in stored(service)}
        whole = days >= {TODAY - timedelta(days=number) for number in range(4)}
        if whole and not missing_today(service, late_s=660):
            return float(waited_s)
        await service.pass_time(seconds=1)
    raise AssertionError(f"{case}: not within 60 s")


def stored(service: Living) -> set[tuple[date, int]]:
    """All hours on disk."""
    return {
        (date.fromisoformat(path.stem), record["ts"])
        for path in service.world.folder().glob("*.jsonl")
        for record in records_of(path)
    }


def missing_today(service: Living, late_s: int) -> set[int]:
    """The hours that ended so long ago, by the true clock, and are not on disk."""
    now = service.world.cloud.now.timestamp()
    due = {ts for ts in hours_of_day(TODAY, HOUSE.timezone) if ts + 3600 + late_s <= now}
    return due - {ts for _, ts in stored(service)}


def wrong_in(service: Living) -> list[str]:
    """Hours that have not been, or of another day, or twice there, or not what flowed; days not marked."""
    now, found = service.world.cloud.now.timestamp(), []
    for path in service.world.folder().glob("*.jsonl"):
        records = records_of(path)
        hours = hours_of_day(date.fromisoformat(path.stem), HOUSE.timezone)
        is_partial = [record["ts"] for record in records] != hours
        for record in records:
            ts = record["ts"]
            grid, sun = HOUSE.energy(0, ts), HOUSE.energy(1, ts)
            true = (kwh(grid.consumption), kwh(grid.reversed), kwh(sun.consumption), is_partial)
            said = (record["import"], record["export"], record["solar"], "partial" in record)
            if said != true or ts not in hours or ts + 3600 > now:
                found.append(f"{path.name}: {record}")
        if len({record["ts"] for record in records}) != len(records):
            found.append(f"{path.name}: an hour twice")
    return found


def check_quiet(service: Living, case: str, hours: int = 1) -> None:
    """No burst: the pace was held, nothing was rejected, and no more was asked than a few rounds need."""
    total = service.world.cloud.counts.total
    assert total.rejections == 0, case
    assert total.smallest_start_gap_s is not None and total.smallest_start_gap_s >= 1.0, case
    assert total.requests <= 40 + 6 * hours, case


def counts_of(log_lines: io.StringIO, *names: str) -> list[int]:
    """How often each of these was told."""
    return [len(events_in(log_lines.getvalue(), name)) for name in names]
