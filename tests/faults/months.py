"""Months of one zone, lived through by the real scheduler, with restarts and looks at random instants."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from collector.simulator import Device
from tests.faults import figures
from tests.support.amounts import amount, dice, is_long
from tests.support.service_life import living, look_about_rarely
from tests.support.world import DEVICE, cloud_of, kwh, records_of

_QUARTER_S = 900
_PROMISED_S = 900  # twelve minutes past the hour, the spread of one more, and time to work
_STARTED_S = 120
_LAST_S = 1800  # for the last hour of the last day, also where the service began at midnight
_SHALLOW: dict[str, Any] = {"schedule": {"backfill_days": 6}}


@dataclass(frozen=True)
class Months:
    """A zone, its nine months, and the two days in them around which the short form lives."""

    zone: str
    first: date
    densest: tuple[date, date]

    def stretches(self) -> list[tuple[date, int]]:
        """First days, and how many follow."""
        if is_long():
            return [(self.first, 274)]
        return [(day - timedelta(days=2), 4) for day in self.densest]


@dataclass
class Life:
    """What a service went through, and what was found when it was looked at."""

    restarts: int = 0
    looks: int = 0
    late: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """What the files said in the end, in hours."""

    hours: int
    missed: int
    doubled: int
    wrong: int


async def months_are_whole(months: Months, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rig: each hour of those months is on disk once, truly, and today's in time."""
    look_about_rarely(monkeypatch)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no power is cut here
    sums: Counter[str] = Counter()
    for first, days in months.stretches():
        archive = folder / str(first)
        life = await _live(months.zone, first, days, archive, dice("T1", months.zone, first))
        found = _found(months.zone, first, days, archive / "house")
        assert not life.late, life.late
        assert (found.missed, found.doubled, found.wrong) == (0, 0, 0), found
        sums.update(days=days, hours=found.hours, restarts=life.restarts, looks=life.looks)
    figures.note("T1", zones=1, **sums, missed=0, doubled=0, wrong=0, late=0)


async def _live(zone: str, first: date, days: int, archive: Path, rolls: random.Random) -> Life:
    scenario = cloud_of(Device(DEVICE, timezone=zone, late_minutes=8))
    tz = ZoneInfo(zone)
    now = _midnight(first, tz) + timedelta(seconds=rolls.uniform(0, 3600))
    end = _midnight(first + timedelta(days=days), tz)
    life = Life()
    while True:
        until = min(end, now + timedelta(hours=rolls.expovariate(1 / amount(12, 60))))
        async with living(scenario, archive, now, **_SHALLOW) as service:
            began = now
            while now < until:
                then = min(until, _next_look(now, rolls))
                await service.pass_time(seconds=(then - now).total_seconds())
                now = then
                if (now - began).total_seconds() >= _STARTED_S:
                    life.looks += 1
                    life.late += _late(service.world.folder(), tz, now)
            if now >= end:
                await service.pass_time(seconds=_LAST_S)
                return life
        life.restarts += 1
        now += timedelta(
            hours=rolls.choice((0.01, 0.3, rolls.uniform(0, 6), rolls.uniform(0, amount(12, 90))))
        )


def _next_look(now: datetime, rolls: random.Random) -> datetime:
    """At any instant, or just when an hour has to be there."""
    then = now + timedelta(hours=rolls.expovariate(1 / amount(3, 12)))
    if rolls.random() < 0.5:
        return then
    quarter = int(then.timestamp()) // _QUARTER_S * _QUARTER_S + 1
    return max(then, datetime.fromtimestamp(quarter + _QUARTER_S, UTC))


def _late(folder: Path, zone: ZoneInfo, now: datetime) -> list[str]:
    """The hours of today and yesterday that were promised by now, and are not on disk."""
    promised = now - timedelta(seconds=_PROMISED_S)
    today = promised.astimezone(zone).date()
    days = (today - timedelta(days=1), today)
    starts = [ts for ts, day in _hours(now - timedelta(hours=60), promised, zone) if day in days]
    paths = [path for day in days if (path := folder / f"{day}.jsonl").exists()]
    had = {record["ts"] for path in paths for record in records_of(path)}
    # The last one that has begun is not over yet.
    return [
        f"at {now:%F %T} UTC not {datetime.fromtimestamp(ts, zone)}" for ts in starts[:-1] if ts not in had
    ]


def _found(zone: str, first: date, days: int, folder: Path) -> Found:
    """Compares all files with the truth."""
    tz, device = ZoneInfo(zone), Device(DEVICE, timezone=zone)
    wanted = dict(_hours(_midnight(first, tz), _midnight(first + timedelta(days=days), tz), tz))
    found: Counter[int] = Counter()
    wrong = 0
    for path in (folder / f"{day}.jsonl" for day in sorted(set(wanted.values()))):
        for record in records_of(path) if path.exists() else ():
            ts = record["ts"]
            found[ts] += 1
            grid, sun = device.energy(0, ts), device.energy(1, ts)
            true = (kwh(grid.consumption), kwh(grid.reversed), kwh(sun.consumption), str(wanted.get(ts)))
            said = (record["import"], record["export"], record["solar"], path.stem)
            wrong += said != true or record["day"] != path.stem or "partial" in record
    doubled = sum(times > 1 for times in found.values())
    return Found(len(wanted), len(wanted.keys() - found.keys()), doubled, wrong)


def _hours(start: datetime, end: datetime, zone: ZoneInfo) -> Iterator[tuple[int, date]]:
    """The starts of the local hours from `start` up to `end`, and their days.

    Found without the code under test: by asking every quarter what the clock on the wall says.
    """
    first = int(start.timestamp()) // _QUARTER_S * _QUARTER_S
    before = datetime.fromtimestamp(first - _QUARTER_S, zone)
    for ts in range(first, int(end.timestamp()), _QUARTER_S):
        local = datetime.fromtimestamp(ts, zone)
        if local.minute == 0 or (local.date(), local.hour) != (before.date(), before.hour):
            yield ts, local.date()
        before = local


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
