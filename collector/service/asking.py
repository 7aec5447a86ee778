"""Asking for a job: a look at the files first, so that what a person changed is seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from collector import logs
from collector.service.collection import Collection, Lane
from collector.service.jobs import Job
from collector.service.runner import AccountRunner
from collector.service.totals import check_totals

_log = logs.get_logger("service")


class Asker:
    """Does what a trigger must not: stopping the scheduler would cancel it."""

    def __init__(self, idle: Callable[[], None]) -> None:
        """`idle` is called whenever all that was due has been asked for, and when a job is done."""
        self._idle = idle
        self._tasks: dict[asyncio.Task[None], float] = {}  # since when
        self._jobs: set[asyncio.Task[None]] = set()

    def ask(self, runner: AccountRunner, collection: Collection, lane: Lane) -> None:
        """Looks at the files and asks for a job; comes back at once."""
        task = asyncio.create_task(self._look_and_request(runner, collection, lane))
        self._tasks[task] = asyncio.get_running_loop().time()
        task.add_done_callback(self._asked)

    def waits_since(self, now: float) -> float:
        """For how many seconds the oldest look has been under way at loop time `now`; 0 without one."""
        return max((now - since for since in self._tasks.values()), default=0.0)

    def cancel(self) -> None:
        """Asks for nothing more."""
        for task in (*self._tasks, *self._jobs):
            task.cancel()

    def _asked(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            _log.error("job.failed", exc_info=error)
        if not self._tasks:
            self._idle()

    async def _look_and_request(self, runner: AccountRunner, collection: Collection, lane: Lane) -> None:
        with suppress(OSError):  # a disk in trouble is told by the work itself
            await collection.look()
        if collection.refusal is not None:  # nothing to do is no reason to take the work for stuck
            runner.moved_at = asyncio.get_running_loop().time()
        elif (job := runner.request(lane, collection)) is not None:
            task = asyncio.create_task(self._until_done(job, collection))
            self._jobs.add(task)
            task.add_done_callback(self._jobs.discard)

    async def _until_done(self, job: Job, collection: Collection) -> None:
        await job.done.wait()
        if job.lane is Lane.BACKFILL:
            await check_totals(collection)
        self._idle()
