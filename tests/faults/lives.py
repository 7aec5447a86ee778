"""The lives of a service in a history of N8, one after the other, on one archive beneath one clock.

A kill ends all tasks of a life at once and cuts the storage call under way; the next life opens the
archive anew.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from collector import logs
from collector.energy.days import wall_clock
from collector.errors import ArchiveError
from collector.service.app import Signals, serve
from collector.service.systemd import Notifier
from collector.settings import Settings
from tests.faults.checker import File, History, Seen
from tests.faults.dying_disk import Disk, on_disk
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.world import World

BACKFILL_DAYS = 9
_SAVED = ("day.written", "day.partial", "day.unchanged")


@dataclass
class Lived:
    """A history, and how often each thing happened in it."""

    history: History
    counts: Counter[str] = field(default_factory=Counter)
    days: float = 0.0


class Lives:
    """The service's lives, one after the other, on one archive."""

    def __init__(self, world: World, made: Lived, loop: VirtualTimeLoop) -> None:
        self.world = world
        self.made = made
        self.loop = loop
        self.skew = timedelta(0)
        self.disk = Disk(lambda: None)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_born = False  # what is made now is a life's first task
        self._serving: asyncio.Task[None] | None = None
        self._signals = Signals()
        self._full = False
        loop.set_task_factory(self._new_task)  # type: ignore[arg-type]
        logs.configure(format="json", level="debug", stream=_Ears(self._hear))

    @property
    def is_full(self) -> bool:
        """Whether the disk takes nothing."""
        return self._full

    @is_full.setter
    def is_full(self, full: bool) -> None:
        self.made.counts["full disks"] += full
        self._full = self.disk.is_full = full

    async def ensure(self) -> None:
        """Has a life under way."""
        if self._serving is not None:
            return
        died = asyncio.Event()
        self.disk = Disk(partial(self.loop.call_soon_threadsafe, died.set))
        self.disk.is_full = self._full
        self._died = died
        self._signals = Signals()
        self._patched = on_disk(self.disk)
        self._patched.__enter__()
        settings = self.world.settings(
            schedule={"backfill_days": BACKFILL_DAYS}, pacing={"min_interval_s": 1.05}
        )

        def load() -> Settings:
            return settings

        def clock() -> datetime:
            return wall_clock() + self.skew

        self._is_born = True
        self._serving = asyncio.create_task(serve(settings, load, self._signals, clock, Notifier({})))
        self._is_born = False
        self.made.counts["lives"] += 1

    async def pass_time(self, seconds: float) -> None:
        """Lets time pass; a life that ends meanwhile is followed by the next one."""
        until = self.loop.time() + seconds
        while (left := until - self.loop.time()) > 0:
            await self.ensure()
            assert self._serving is not None
            dead = asyncio.create_task(self._died.wait())
            await asyncio.wait([dead, self._serving], timeout=left, return_when=asyncio.FIRST_COMPLETED)
            is_dead = self._died.is_set()
            dead.cancel()
            if is_dead:
                self.made.counts["cut saves"] += 1
                await self.kill()
            elif self._serving.done():
                error = self._serving.exception()
                if not (isinstance(error, ArchiveError) and self._full):
                    raise AssertionError("the service has ended") from error
                await self.kill()
                await asyncio.sleep(min(left, 600))

    async def calm(self, seconds: float) -> None:
        """All troubles end; so long it goes on."""
        self.is_full = False
        self.skew = timedelta(0)
        self.disk.die_after(1 << 40)
        await self.pass_time(seconds)
        await self.stop()

    async def stop(self) -> None:
        """As by SIGTERM."""
        if self._serving is not None and not self._serving.done():
            self._signals.stop.set()
            await asyncio.wait([self._serving])
        self.made.counts["stops"] += 1
        await self.kill()

    async def kill(self) -> None:
        """Ends the life as by SIGKILL: no task goes on, no storage call is made any more."""
        if self._serving is None:
            return
        self.made.counts["kills"] += not self._serving.done()
        self.disk.is_dead = True
        while mine := [task for task in self._tasks if not task.done()]:
            for task in mine:
                task.cancel()
            await asyncio.wait(mine)
        while self.loop.waits_for_threads:
            await asyncio.sleep(0)
        for task in self._tasks:
            if not task.cancelled():
                task.exception()
        self._tasks.clear()
        self._serving = None
        self._patched.__exit__(None, None, None)
        self.look()

    def look(self) -> None:
        """Writes down all files."""
        folder = self.world.folder()
        files = {date.fromisoformat(path.stem): self._file(path) for path in sorted(folder.glob("*.jsonl"))}
        self.made.history.seen.append(Seen(self.loop.time(), files))

    def _hear(self, event: dict[str, Any]) -> None:
        name = event["event"]
        self.made.counts[name] += 1
        if name in _SAVED:
            day = date.fromisoformat(event["day"])
            path = self.world.folder() / f"{day}.jsonl"
            files = {day: self._file(path)} if path.exists() else {}
            self.made.history.seen.append(Seen(self.loop.time(), files, day))

    def _file(self, path: Path) -> File:
        text = path.read_text()
        try:
            records = [json.loads(line, parse_float=Decimal) for line in text.splitlines()]
        except ValueError:
            return File((), complete=False, torn=True)
        marks = {record.get("partial", False) for record in records}
        rows = [
            ((record["ts"], column), record[column])
            for record in records
            for column in self.made.history.columns
            if column in record
        ]
        return File(tuple(rows), marks == {False}, torn=len(marks) != 1 or not text.endswith("\n"))

    def _new_task(
        self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        """A task made by a task of this life belongs to it."""
        task = asyncio.Task(coroutine, loop=loop, **options)
        try:
            maker = asyncio.current_task()
        except RuntimeError:
            maker = None
        if self._is_born or (maker is not None and maker in self._tasks):
            self._tasks.add(task)
        return task


class _Ears(io.StringIO):
    """Hears each line of the log as it is written."""

    def __init__(self, hear: Callable[[dict[str, Any]], None]) -> None:
        super().__init__()
        self._hear = hear

    def write(self, text: str) -> int:
        for line in text.splitlines():
            self._hear(json.loads(line))
        return len(text)
