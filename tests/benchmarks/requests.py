"""How many requests history and a day cost, and how much of the pace is used. In virtual time."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from collector import logs
from tests.benchmarks.processes import Setup
from tests.benchmarks.table import Row
from tests.support.service_life import living
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.world import cloud_of, world

_NOW = datetime(2026, 3, 20, 14, 35, tzinfo=UTC)
_PACED = {"min_interval_s": 1.05}
_DAYS = 1095  # and today
_MOST = {96: 650, 48: 1190, 24: 2290}  # requests, by the longest span that comes by the hour
_LEARNED = 60  # requests until the totals were read and the longest span is known


def measure(setup: Setup) -> Iterator[Row]:
    """Three years by `backfill` for each longest span; a week of the service with a healthy meter."""
    logs.configure(format="json", level="error", stream=sys.stderr)
    days = 100 if setup.short else _DAYS
    for longest_h, most in _MOST.items():
        log, seconds = _run(partial(_history, longest_h=longest_h, days=days))
        what = f"{days + 1} days of two channels, spans of up to {longest_h} h by the hour"
        yield Row.at_most(f"{what}: requests", len(log), most, "", 0)
        shown = f"{what}: simulated time"
        if longest_h == 96:
            yield Row.at_most(shown, seconds / 60, 12, "min", 1)
        else:
            yield Row(shown, f"{seconds / 60:.1f} min")
        after = log[min(_LEARNED, len(log) // 2) :]
        share = 100 * (len(after) - 1) * 1.05 / (after[-1] - after[0])
        yield Row.at_least(f"{what}: pace after learning, of 1/min_interval_s", share, 98, "%", 1)
    week = _run(_week)
    what = "a healthy meter of two channels: requests a day, refresh and settling"
    yield Row.at_most(f"{what}, mean of a week", week / 7, 55, "", 1)


def _run(work: Callable[[Path], Awaitable[Any]]) -> Any:
    with tempfile.TemporaryDirectory() as place, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(_awaited(work, Path(place)))


async def _awaited(work: Callable[[Path], Awaitable[Any]], place: Path) -> Any:
    return await work(place)


async def _history(place: Path, longest_h: int, days: int) -> tuple[list[float], float]:
    """When each request was made, and the seconds that all took."""
    async with world(cloud_of(hour_span_h=longest_h, latency_s=0.3), place, _NOW) as here:
        report = await here.backfill(days, pacing=_PACED)
        return [each.at for each in here.cloud.counts.log], report.duration_s


async def _week(place: Path) -> int:
    """The requests of the second week: in the first the history is fetched."""
    schedule = {"backfill_days": 30}
    cloud = cloud_of(hour_span_h=60, latency_s=0.3)
    async with living(cloud, place, _NOW, schedule=schedule, pacing=_PACED) as service:
        await service.pass_time(days=7)
        before = service.world.cloud.counts.total.requests
        await service.pass_time(days=7)
        return service.world.cloud.counts.total.requests - before
