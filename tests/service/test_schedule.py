"""When jobs are requested, with APScheduler as it is."""

from __future__ import annotations

import asyncio
import tracemalloc
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
import time_machine

from collector.collect.collector import Lane
from collector.energy.days import wall_clock
from collector.service.schedule import Schedule
from tests.support.virtual_time import VirtualTimeLoop

_NOW = datetime(2026, 3, 20, 14, 40, tzinfo=UTC)
_ENOUGH_BYTES = 500_000


@pytest.mark.parametrize(
    "before", [datetime(2026, 3, 20, 12, 0, 1, tzinfo=UTC), datetime(2022, 11, 1, tzinfo=UTC)]
)
async def test_a_clock_that_is_set_years_on_costs_no_more_than_one_that_is_set_hours_on(
    before: datetime,
) -> None:
    """Bug: every run that was missed was listed, 30 million for a clock that had begun in 1970.

    That held the loop for minutes and took more memory than a small computer has. What was due within the
    last hour is requested, once.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    asked: list[Lane] = []
    with time_machine.travel(before, tick=False) as traveller:
        loop.on_jump = traveller.shift
        schedule = Schedule(refresh_minute=12, refresh_jitter_s=0)
        schedule.add(asked.append, lambda: ZoneInfo("UTC"))
        schedule.start(wall_clock())
        traveller.move_to(_NOW)
        tracemalloc.start()
        await asyncio.sleep(61)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        schedule.stop()
    assert sorted(asked) == [Lane.HEAL, Lane.REFRESH]
    assert peak_bytes < _ENOUGH_BYTES
