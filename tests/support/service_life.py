"""The service alive in virtual time: its clock, the scheduler's and the cloud's are the loop's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

from collector.archive.mark import Remembered
from collector.cli import in_service
from collector.energy.days import wall_clock
from collector.service import app, schedule
from collector.service.app import Signals, serve
from collector.service.systemd import Notifier
from collector.settings import Settings
from collector.status import MeterStatus, Status, read_status
from tests.support.faulty_cloud import FaultyCloud, Scenario
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.world import World

START = datetime(2026, 3, 20, 14, 5, tzinfo=UTC)
TODAY = date(2026, 3, 20)
SHALLOW: dict[str, Any] = {"schedule": {"backfill_days": 3}}


def look_about_rarely(patch: pytest.MonkeyPatch, look_s: float = 120.0) -> None:
    """Signs of life are most of what a day in virtual time costs; few tests ask for them.

    The service's look at its zone, which it may have learned a moment ago, is one: two minutes are well
    within what is promised.
    """
    patch.setattr(app, "_HEARTBEAT_S", look_s)  # instead of 30
    patch.setattr(app, "_STATUS_S", 600.0)  # instead of 30
    patch.setattr(schedule, "_HEARTBEAT_S", 600)  # instead of 60


@dataclass
class Living:
    """A running service."""

    world: World
    signals: Signals
    task: asyncio.Task[None]
    told: list[str] = field(default_factory=list)
    skew: list[timedelta] = field(default_factory=list)

    async def pass_time(self, **span: float) -> None:
        """Lets that much time pass."""
        await asyncio.sleep(timedelta(**span).total_seconds())

    async def stop(self) -> float:
        """Stops it as SIGTERM would; gives the seconds that took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.signals.stop.set()
        await self.task
        return loop.time() - began


class _Recorder(Notifier):
    """Keeps what the service manager would be told."""

    def __init__(self, told: list[str], watchdog_s: int) -> None:
        super().__init__({"WATCHDOG_USEC": f"{watchdog_s}000000"})
        self._told = told

    def _send(self, state: str) -> None:
        self._told.append(state)


@asynccontextmanager
async def living(
    scenario: Scenario,
    archive: Path,
    start: datetime,
    stand: dict[str, Any] | None = None,
    skew: timedelta = timedelta(0),
    remembered: Remembered | None = None,
    **tables: Any,
) -> AsyncIterator[Living]:
    """A service that starts at `start`, its clock off by `skew`; stopped at the end if it still runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with time_machine.travel(start, tick=False) as traveller:
        loop.on_jump = traveller.shift
        async with FaultyCloud(scenario, clock=wall_clock) as cloud:
            world = World(cloud, archive, wall_clock, **(stand or {}))
            settings = world.settings(**tables)

            def load() -> Settings:
                return world.settings(**tables)

            signals = Signals()
            told: list[str] = []
            off = [skew]
            watchdog_s = round(4 * app._HEARTBEAT_S)  # the unit's 120 s, unless it looks about rarely
            task = asyncio.create_task(
                serve(
                    settings,
                    load,
                    signals,
                    lambda: wall_clock() + off[0],
                    _Recorder(told, watchdog_s),
                    remembered=remembered,
                    commands=in_service.commands(),
                )
            )
            service = Living(world, signals, task, told, off)
            try:
                yield service
            finally:
                if not task.done():
                    await service.stop()
                loop.on_jump = lambda seconds: None


def events_in(log: str, name: str) -> list[dict[str, Any]]:
    """The events of that name."""
    events = [json.loads(line) for line in log.splitlines()]
    return [event for event in events if event["event"] == name]


def status_of(service: Living) -> Status:
    status = read_status(service.world.archive, {})
    assert status is not None
    return status


def house(service: Living) -> MeterStatus:
    return status_of(service).meters["house"]


def status_line(service: Living) -> str:
    return next(told for told in reversed(service.told) if told.startswith("STATUS=")).removeprefix("STATUS=")
