"""AccountRunner: the workers of one account. They take days by lane and collect them concurrently."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from datetime import date
from itertools import count

from collector import logs
from collector.archive.store import DayOutcome
from collector.errors import CalledOff, ClockUntrusted, DeviceUnknown, KeyRefused, RateLimited, Unavailable
from collector.service.collection import Collection, Lane
from collector.service.jobs import Job
from collector.service.lanes import Lanes
from collector.service.troubles import CLOCK, SOURCE, STRIKES, Cause, reason_of, trouble_of

_DAY_S = 86400.0


class AccountRunner:
    """Collects the days of one account's meters until stopped.

    A source that is down is noticed after three failed days in a row, told once, probed ever more slowly
    by a single request; then the work goes on where it stood. So for a bad disk and a refused key.
    """

    def __init__(self, account: str, workers: int, patience_s: float | None = None) -> None:
        """`patience_s`: how long to wait in trouble, `None` for ever; else none before a first answer."""
        self._workers = workers
        self._patience_s = patience_s
        self._log = logs.get_logger("runner").bind(account=account)
        self._lanes = Lanes()
        self._under_way = 0
        self._group: asyncio.TaskGroup
        self._struck: list[tuple[Job, date, Cause]] = []
        self._recovery: asyncio.Task[None] | None = None
        self._answered = False
        self._unknown: set[str] = set()
        self.trouble: Cause | None = None  # what keeps the account from working now
        self.moved_at = asyncio.get_running_loop().time()  # when a day was last dealt with, well or not
        self.on_turn: Callable[[], None] = lambda: None  # called when a trouble begins, changes or ends
        self.given_up: Cause | None = None
        self.wants_new_plans = False

    def request(self, lane: Lane, collection: Collection) -> Job | None:
        """Asks for a job; `None` where the same one is waiting or running already."""
        for job in self._lanes.jobs():
            if job.lane is lane and job.collection is collection and not job.exhausted:
                return None
        return self.put(Job(lane, collection, collection.days_for(lane), asyncio.get_running_loop().time()))

    def put(self, job: Job) -> Job:
        """Adds a job of one's own making."""
        self._log.debug("job.started", meter=job.collection.meter.name, job=job.lane.value)
        self._lanes.put(job)
        return job

    def drop(self) -> None:
        """Ends all jobs after the days under way: what they planned was of another time."""
        for job in self._lanes.jobs():
            job.end()
            self._lanes.settle(job)

    async def run(self) -> None:
        """Works until `stop`, or until it gave up."""
        try:
            async with asyncio.TaskGroup() as self._group:
                for _ in range(self._workers):
                    self._group.create_task(self._work())
        finally:
            for job in self._lanes.jobs():  # cut off in the middle of a day
                job.finish(asyncio.get_running_loop().time())

    def stop(self) -> None:
        """Ends after the days that are under way."""
        self._lanes.close()
        if self._recovery is not None:
            self._recovery.cancel()

    @property
    def is_busy(self) -> bool:
        """Whether a day is under way."""
        return self._under_way > 0

    @property
    def jobs_under_way(self) -> int:
        """How many jobs wait or run."""
        return len(self._lanes.jobs())

    async def _work(self) -> None:
        while (taken := await self._lanes.take()) is not None:
            job, day = taken
            self._under_way += 1
            try:
                found = await self._attempt(job.collection, day)
            except CalledOff:
                found = None
            self._under_way -= 1
            if found is None:
                job.give_back(day)
            elif isinstance(found, DayOutcome):
                job.record(found)
                if self._recovery is None:
                    await self._let_go()
            else:
                await self._strike(job, day, found)
            self._lanes.settle(job)

    async def _attempt(self, collection: Collection, day: date, *, once: bool = False) -> DayOutcome | Cause:
        """Collects one day; gives the error where nobody could have now. Raises `CalledOff`, no probe's."""
        try:
            outcome = await collection.collect_day(
                day, once=once, is_called_off=lambda: not once and self._recovery is not None
            )
        except CalledOff:
            raise
        except (Unavailable, RateLimited, KeyRefused, ClockUntrusted, OSError) as error:
            return error
        except DeviceUnknown as error:
            outcome = self._without_device(collection, day, error)
        except Exception as error:  # noqa: BLE001 - the outermost guard of one day: the others go on
            self._log.exception("job.failed", meter=collection.meter.name, day=str(day))
            collection.note_failure("job.failed", type(error).__name__)
            return DayOutcome.failed(day, f"unexpected: {type(error).__name__}")
        else:
            self._unknown.discard(collection.meter.name)
        self._answered = True
        self.moved_at = asyncio.get_running_loop().time()
        return outcome

    def _without_device(self, collection: Collection, day: date, error: DeviceUnknown) -> DayOutcome:
        """The device is unknown: the other meters go on, this one's jobs end until the next round."""
        name = collection.meter.name
        if name not in self._unknown:
            self._unknown.add(name)
            self._log.error("device.unknown", meter=name, reason=error.reason)
        collection.note_failure("device.unknown", error.reason)
        for each in self._lanes.jobs():
            if each.collection is collection:
                each.end()
        return DayOutcome.failed(day, error.reason)

    async def _strike(self, job: Job, day: date, error: Cause) -> None:
        """The day waits; where all others would fail as well, or there are none, they wait too."""
        if (trouble_of(error) is SOURCE or isinstance(error, OSError)) and day in job.tried_twice:
            try:
                job.record(await job.collection.fail_day(day, str(error)))
                return
            except OSError as full:
                error = full
        self._struck.append((job, day, error))
        certain = trouble_of(error) is not SOURCE or not self._answered or not self._lanes.has_more
        if self._recovery is None and (certain or len(self._struck) >= STRIKES):
            self._lanes.pause()
            self._recovery = self._group.create_task(self._recover(error))

    async def _let_go(self) -> None:
        """The source answers, so what failed before was those days' own trouble: once more, then failed."""
        struck, self._struck = self._struck, []
        for job, day, _ in struck:
            job.tried_twice.add(day)
            job.give_back(day)
            self._lanes.settle(job)

    async def _recover(self, error: Cause) -> None:
        """Waits and probes until the trouble is over, then lets the work go on where it stood.

        What is reported is what the last probe met: a trouble of another kind has its own event, its own
        waits, and ends those of the steps before it.
        """
        loop = asyncio.get_running_loop()
        began = told = loop.time()
        trouble = trouble_of(error)
        lasting = {trouble.up: (trouble.step, began)}  # by the event that ends it
        self._tell(error)
        waits_s = trouble.waits_s()
        for number in count():
            if self._patience_s is not None and (
                not self._answered or trouble is not SOURCE or loop.time() - began >= self._patience_s
            ):
                self._give_up(error)
                return
            await asyncio.sleep(next(waits_s))
            still = await self._probe(error, number)
            self._tell_ended(lasting, math.inf if still is None else trouble_of(still).step)
            if still is None:
                break
            changed = trouble_of(still) is not trouble
            if changed:
                trouble = trouble_of(still)
                lasting.setdefault(trouble.up, (trouble.step, loop.time()))
                waits_s = trouble.waits_s()
            if changed or loop.time() - told >= _DAY_S:
                told = loop.time()
                self._tell(still)
            error = self.trouble = still
        self.trouble = self._recovery = None
        if trouble is CLOCK:
            self._forget_plans()
        self._lanes.resume()
        self.on_turn()
        await self._let_go()

    def _tell_ended(self, lasting: dict[str, tuple[int, float]], step: float) -> None:
        """Says which troubles are over when a probe came as far as that step."""
        for up, (stopped_at, since) in sorted(lasting.items(), key=lambda each: each[1]):
            if stopped_at < step:
                del lasting[up]
                self._log.info(up, down_s=round(asyncio.get_running_loop().time() - since, 3))

    def _forget_plans(self) -> None:
        """What was planned by a wrong clock is of another time; the daemon asks anew."""
        for job, day, _ in self._struck:
            job.release(day)
        self._struck.clear()
        self.drop()
        self.wants_new_plans = True

    async def _probe(self, error: Cause, number: int) -> Cause | None:
        """Tries once more: a look at the clock, a file for a disk, a request for a source.

        For a source it is the day that failed and today in turn: one day that the cloud can never
        answer must not pass for a cloud that is down.
        """
        job, day, _ = self._struck[0]
        try:
            if isinstance(error, ClockUntrusted):
                job.collection.check_clock()
                return None
            if isinstance(error, OSError):
                await job.collection.blocking(job.collection.archive.probe)
                return None
        except (ClockUntrusted, OSError) as still:
            return still
        found = await self._attempt(job.collection, job.collection.today() if number % 2 else day, once=True)
        if not isinstance(found, DayOutcome):
            return found
        if found.day == day:
            del self._struck[0]
            job.record(found)
            self._lanes.settle(job)
        return None

    def _tell(self, error: Cause) -> None:
        self.trouble = error
        self._log.error(trouble_of(error).down, reason=reason_of(error))
        self.on_turn()

    def _give_up(self, error: Cause) -> None:
        self.given_up = error
        for job, day, each in self._struck:
            job.record(DayOutcome.failed(day, str(each)))
        self._struck.clear()
        self._lanes.close()
