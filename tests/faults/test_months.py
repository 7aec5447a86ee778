"""T1: months of eight awkward zones, through the real scheduler, with restarts: each hour once, and in time."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from collector.simulator import Device
from tests.faults import figures
from tests.faults.amounts import amount, dice
from tests.service.living import Living, living
from tests.world import DEVICE, cloud_of, kwh, records_of

PROMISED = timedelta(minutes=15)  # twelve past, the spread of a minute, and time to work
STARTED = timedelta(minutes=2)
SHALLOW: dict[str, Any] = {"schedule": {"backfill_days": 5}}


@dataclass(frozen=True)
class Months:
    """A zone, and the first day of nine months in it that hold its changes."""

    zone: str
    first: date
    densest: tuple[date, ...]


MONTHS = [
    Months("Europe/Dublin", date(2025, 9, 1), (date(2025, 10, 26), date(2026, 3, 29))),
    Months("Europe/Berlin", date(2026, 2, 15), (date(2026, 3, 29), date(2026, 10, 25))),
    Months("Australia/Lord_Howe", date(2025, 9, 1), (date(2025, 10, 5), date(2026, 4, 5))),
    Months("America/Havana", date(2026, 2, 15), (date(2026, 3, 8), date(2026, 11, 1))),
    Months("Africa/Cairo", date(2026, 2, 15), (date(2026, 4, 24), date(2026, 10, 29))),
    Months("Asia/Kathmandu", date(2026, 1, 1), (date(2026, 3, 1), date(2026, 6, 1))),
    Months("Pacific/Apia", date(2011, 7, 1), (date(2011, 9, 24), date(2011, 12, 30))),
    Months("America/St_Johns", date(2026, 2, 15), (date(2026, 3, 8), date(2026, 11, 1))),
]


@dataclass
class Tally:
    """What was counted."""

    restarts: int = 0
    looks: int = 0
    late: list[str] = field(default_factory=list)


async def live(months: Months, first: date, days: int, folder: Path, rolls: random.Random) -> Tally:
    """The service over so many days, looked at and restarted at random instants."""
    tally = Tally()
    zone = ZoneInfo(months.zone)
    scenario = cloud_of(Device(DEVICE, timezone=months.zone, late_minutes=8))
    now = datetime.combine(first, datetime.min.time(), zone).astimezone(UTC)
    now += timedelta(seconds=rolls.uniform(0, 86400))
    end = now + timedelta(days=days)
    while now < end:
        until = min(end, now + timedelta(hours=rolls.expovariate(1 / 72)))
        async with living(scenario, folder, now, **SHALLOW) as service:
            began = now
            while now < until:
                then = min(until, next_look(now, rolls))
                await service.pass_time(seconds=(then - now).total_seconds())
                now = then
                if now - began >= STARTED:
                    tally.looks += 1
                    tally.late += late(service, zone, now)
            if now >= end:
                await service.pass_time(hours=30)  # what is over is complete a while later
        tally.restarts += 1
        now += timedelta(seconds=rolls.expovariate(1 / 1800))
    return tally


def next_look(now: datetime, rolls: random.Random) -> datetime:
    """Any time, or just when the hour should be there."""
    then = now + timedelta(hours=rolls.expovariate(1 / 12))
    if rolls.random() < 0.5:
        return then
    quarter = then.replace(minute=then.minute // 15 * 15, second=0, microsecond=0)
    return max(now, quarter + timedelta(seconds=1))


def late(service: Living, zone: ZoneInfo, now: datetime) -> list[str]:
    """The hours of today that should be on disk by now, and are not."""
    today = (now - PROMISED).astimezone(zone).date()
    starts = [*hours_from(now - timedelta(hours=30), now, zone)]
    due = {
        ts
        for ts, end in zip(starts, starts[1:], strict=False)
        if end + PROMISED.total_seconds() <= now.timestamp()
        and datetime.fromtimestamp(ts, zone).date() == today
    }
    path = service.world.folder() / f"{today}.jsonl"
    had = {record["ts"] for record in records_of(path)} if path.exists() else set()
    return [f"{now:%Y-%m-%d %H:%M}: {datetime.fromtimestamp(ts, zone)}" for ts in sorted(due - had)]


def hours_from(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[int]:
    """The starts of all local hours there, found by asking for each quarter what the clock on the wall says."""
    before = None
    for ts in range(int(start.timestamp()) // 900 * 900, int(end.timestamp()), 900):
        local = datetime.fromtimestamp(ts, zone)
        label = local.date(), local.hour
        if before is not None and (local.minute == 0 or label != before):
            yield ts
        before = label


@pytest.mark.timeout(600)
@pytest.mark.parametrize("months", MONTHS, ids=lambda months: months.zone)
async def test_each_hour_of_the_months_is_there_once_and_in_time(months: Months, tmp_path: Path) -> None:
    rolls = dice("T1", months.zone)
    first, days = months.first, amount(10, 273)
    tally = await live(months, first, days, tmp_path, rolls)
    zone = ZoneInfo(months.zone)
    start = datetime.combine(first, datetime.min.time(), zone)
    end = datetime.combine(first + timedelta(days=days), datetime.min.time(), zone)
    wanted = {*hours_from(start - timedelta(minutes=15), end, zone)}
    device = Device(DEVICE, timezone=months.zone)
    found: Counter[int] = Counter()
    wrong = 0
    for path in sorted((tmp_path / "house").glob("*.jsonl")):
        for record in records_of(path):
            ts = record["ts"]
            found[ts] += 1
            grid, sun = device.energy(0, ts), device.energy(1, ts)
            told = (record["import"], record["export"], record["solar"], record["day"])
            true = (kwh(grid.consumption), kwh(grid.reversed), kwh(sun.consumption), path.stem)
            wrong += told != true
            wrong += record["day"] != str(datetime.fromtimestamp(ts, zone).date())
    missed = wanted - found.keys()
    assert not missed
    assert max(found.values()) == 1
    assert wrong == 0
    assert not tally.late
    figures.note("T1", hours=len(wanted), restarts=tally.restarts, looks=tally.looks, missed=len(missed))
