"""Histories: some days of the whole service under random faults, then quiet, and what came of it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import time_machine
from aiohttp import web

from collector import logs
from collector.archive import files
from collector.cloud.pacing import Pacing
from collector.energy.days import wall_clock
from collector.service.daemon import Signals, serve
from collector.service.systemd import Notifier
from collector.simulator import Account, Limit, Scenario, Simulator
from collector.simulator.counts import Served
from collector.simulator.wire import Reply
from tests.faults.checker import History, Hour, Stored, Violation, incomplete, violations
from tests.faults.clouds import device_of, faults_of, present
from tests.faults.dying import Died, Storage
from tests.virtual_time import VirtualTimeLoop
from tests.world import DEVICE, KEY, World, kwh, records_of

_COLUMNS = ("import", "export", "solar")
_QUIET, _OFF, _ON = timedelta(days=4, hours=12), timedelta(hours=12), timedelta(minutes=12)
_ACKNOWLEDGING = ("day.written", "day.partial")


class _LoggingCloud(Simulator):
    """Notes each hour that goes out on the wire, whole or cut off."""

    def __init__(self, scenario: Scenario, history: History) -> None:
        super().__init__(scenario, clock=wall_clock, log_size=1)
        self._history = history
        self._answering: dict[asyncio.Task[Any] | None, Served] = {}

    async def _reply(self, request: web.BaseRequest, account: Account | None, served: Served) -> None:
        self._history.requests.append(served.at)
        self._answering[asyncio.current_task()] = served
        try:
            await super()._reply(request, account, served)
        finally:
            del self._answering[asyncio.current_task()]

    def _dated(self, reply: Reply) -> Reply:
        served = self._answering.get(asyncio.current_task())
        if served is not None and reply.status == 200 and b'"history"' in reply.body:
            self._note(served, json.loads(reply.body, parse_float=Decimal))
        return super()._dated(reply)

    def _note(self, served: Served, body: dict[str, Any]) -> None:
        device = self.scenario.account[0].device[0]
        at = asyncio.get_running_loop().time()
        for row in body["history"]:
            if row.get("consumption") is None:
                continue
            ts = int(datetime.fromisoformat(row["datetime"]).replace(tzinfo=device.zone).timestamp())
            if served.channel == "0":
                values = {"import": kwh(Decimal(row["consumption"])), "export": kwh(Decimal(row["reversed"]))}
            else:
                values = {"solar": kwh(Decimal(row["consumption"]))}
            self._history.served.append(Hour(at, device.id, ts, values))


class _Listener(io.StringIO):
    """Hears what is acknowledged, and notes what the file says at that moment."""

    def __init__(self, folder: Path, history: History) -> None:
        super().__init__()
        self._folder = folder
        self._history = history

    def write(self, text: str) -> int:
        for line in text.splitlines():
            if any(name in line for name in _ACKNOWLEDGING):
                event = json.loads(line)
                at = asyncio.get_running_loop().time()
                rows = stored_in(self._folder, f"{event['day']}.jsonl")
                self._history.acknowledged += [Hour(at, *row) for row in rows]
        return len(text)


@dataclass(slots=True)
class Outcome:
    """What came of a history."""

    violations: list[Violation]
    kills: int
    days: int
    requests: int
    acknowledged: int


def stored_in(folder: Path, pattern: str = "*.jsonl") -> list[Stored]:
    """What the day files say, record by record."""
    return [
        Stored(DEVICE, record["ts"], {name: record[name] for name in _COLUMNS if name in record})
        for path in sorted(folder.glob(pattern))
        for record in records_of(path)
    ]


async def played(dice: random.Random, archive: Path) -> Outcome:
    """Plays one history in that empty folder."""
    start = datetime(2026, dice.choice((2, 3, 6, 7)), dice.randint(1, 28), dice.randint(0, 23), 5, tzinfo=UTC)
    days = dice.randint(2, 5)
    end = start + timedelta(days=days)
    device, faults = device_of(dice, start, end), faults_of(dice, start, end)
    scenario = Scenario((Account("home", KEY, (device,), Limit("lax")),), faults, latency_s=0.1)
    history, storage = History(), Storage()
    logs.configure(format="json", level="info", stream=_Listener(archive / "house", history))
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    with time_machine.travel(start, tick=False) as traveller, _stored_by(storage):
        loop.on_jump = traveller.shift
        async with _LoggingCloud(scenario, history) as cloud:
            history_of = _Run(World(cloud, archive, wall_clock), storage, history)
            try:
                await history_of.underfaults_of(dice, end)
                await history_of.quiet()
            finally:
                await history_of.stop()
                loop.on_jump = lambda seconds: None
        stored = stored_in(archive / "house")
        found = [*history_of.found, *violations(history, stored)]
        found += incomplete(present(device, end, wall_clock()), stored)
    return Outcome(found, history_of.kills, days, len(history.requests), len(history.acknowledged))


class _Run:
    """The service of one history: started, troubled, killed, started again."""

    def __init__(self, world: World, storage: Storage, history: History) -> None:
        self._world = world
        self._storage = storage
        self._history = history
        self._off = timedelta(0)
        self.kills = 0
        self.found: list[Violation] = []
        self._start()

    async def underfaults_of(self, dice: random.Random, end: datetime) -> None:
        """Something happens every few hours, until then."""
        while wall_clock() < end:
            await asyncio.sleep(dice.choice((dice.uniform(0, 60), dice.uniform(60, 1800))))
            off_s = dice.choice((0.0, dice.uniform(0, 12 * 3600)))
            match dice.choice(("kill", "cut", "full", "step")):
                case "kill":
                    await self._kill(0, off_s=off_s)
                case "cut":
                    await self._kill(dice.randint(1, 12), off_s=off_s)
                case "full":
                    self._storage.is_full = True
                    await asyncio.sleep(dice.uniform(1, 900))
                    self._storage.is_full = False
                case "step":
                    self._off = timedelta(seconds=dice.choice((-1, 1)) * 10 ** dice.uniform(0, 6))
                    await asyncio.sleep(dice.uniform(1, 900))
                    self._off = timedelta(0)

    async def quiet(self) -> None:
        """All is well, for as long as re-reading takes; the machine is on for a while twice a day."""
        for _ in range(_QUIET // _OFF):
            await asyncio.sleep(_ON.total_seconds())
            await self.stop()
            self._let_pass((_OFF - _ON).total_seconds())
            self._start()
        await asyncio.sleep(_ON.total_seconds())

    async def stop(self) -> None:
        """Ends it in order."""
        self._signals.stop.set()
        await self._task

    def _let_pass(self, seconds: float) -> None:
        """Time passes at once: nothing runs that could notice."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        loop.jump(seconds)

    def _start(self) -> None:
        self._signals = Signals()
        settings = self._world.settings(
            pacing={"min_interval_s": Pacing().min_interval_s}, schedule={"backfill_days": 10}
        )
        self._task = asyncio.create_task(
            serve(settings, lambda: settings, self._signals, lambda: wall_clock() + self._off, Notifier({}))
        )

    async def _kill(self, calls: int, off_s: float) -> None:
        """After so many storage calls nothing is written any more; the service is gone for a while."""
        self._storage.calls_left = calls
        if calls:
            await asyncio.wait([self._task], timeout=900)
        self._storage.calls_left = 0
        self._task.cancel()
        with suppress(Died, asyncio.CancelledError, BaseExceptionGroup):
            await self._task
        self.kills += 1
        self._storage.calls_left = None
        self.found += violations(self._history, stored_in(self._world.folder()))
        self._let_pass(off_s)
        self._start()


@contextmanager
def _stored_by(storage: Storage) -> Iterator[None]:
    files.os = storage  # type: ignore[assignment, attr-defined]
    try:
        yield
    finally:
        files.os = os  # type: ignore[attr-defined]
