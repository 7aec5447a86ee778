"""AccountRunner: the workers of one account. They take days by lane and collect them concurrently."""

from __future__ import annotations

import asyncio
from datetime import date

from collector import logs
from collector.archive.store import DayOutcome
from collector.errors import DeviceUnknown, KeyRefused, RateLimited, SourceError, Unavailable
from collector.service.jobs import Collection, Job, Lane
from collector.service.lanes import Lanes
from collector.service.troubles import SOURCE, STRIKES, trouble_of

_DAY_S = 86400.0


class AccountRunner:
    """Collects the days of one account's meters until stopped.

    A source that is down is noticed after three failed days in a row, told once, probed ever more
    slowly by a single request, and then the work goes on where it stood. A disk that does not take
    files, and a key that is refused, are handled the same way.
    """

    def __init__(self, account: str, workers: int, patience_s: float | None = None) -> None:
        """`patience_s`: how long to wait in trouble before giving up; `None` for ever.

        A source that has never answered gets no patience where there is a limit.
        """
        self._workers = workers
        self._patience_s = patience_s
        self._log = logs.get_logger("runner").bind(account=account)
        self._lanes = Lanes()
        self._struck: list[tuple[Job, date, SourceError | OSError]] = []
        self._recovery: asyncio.Task[None] | None = None
        self._answered = False
        self._unknown: set[str] = set()
        self.given_up: SourceError | OSError | None = None

    def request(self, lane: Lane, collection: Collection) -> Job | None:
        """Asks for a job; `None` where the same one is waiting or running already."""
        for job in self._lanes.jobs():
            if job.lane is lane and job.collection is collection:
                return None
        return self.put(Job(lane, collection, collection.days_for(lane), asyncio.get_running_loop().time()))

    def put(self, job: Job) -> Job:
        """Adds a job of one's own making."""
        self._log.debug("job.started", meter=job.collection.meter.name, job=job.lane.value)
        self._lanes.put(job)
        return job

    async def run(self) -> None:
        """Works until `stop`, or until it gave up."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._workers):
                    group.create_task(self._work())
        finally:
            if self._recovery is not None:
                self._recovery.cancel()

    def stop(self) -> None:
        """Ends after the days that are under way."""
        self._lanes.close()

    @property
    def trouble(self) -> SourceError | OSError | None:
        """What keeps the account from working now."""
        return self._struck[-1][2] if self._recovery is not None and self._struck else None

    @property
    def jobs_under_way(self) -> int:
        """How many jobs wait or run."""
        return len(self._lanes.jobs())

    async def _work(self) -> None:
        while (taken := await self._lanes.take()) is not None:
            job, day = taken
            error = await self._attempt(job, day)
            if error is None:
                if self._recovery is None:
                    await self._let_go()
            else:
                self._strike(job, day, error)
            self._lanes.settle(job)

    async def _attempt(self, job: Job, day: date, *, once: bool = False) -> SourceError | OSError | None:
        """Collects one day and records it; the error where nobody could have collected it now."""
        try:
            outcome = await job.collection.collect_day(day, once=once)
        except (Unavailable, RateLimited, KeyRefused, OSError) as error:
            return error
        except DeviceUnknown as error:
            outcome = self._without_device(job, day, error)
        except Exception as error:  # noqa: BLE001 - the outermost guard of one day: the others go on
            self._log.exception("job.failed", meter=job.collection.meter.name, day=str(day))
            outcome = DayOutcome.failed(day, f"unexpected: {type(error).__name__}")
        else:
            self._unknown.discard(job.collection.meter.name)
        self._answered = True
        job.record(outcome)
        return None

    def _without_device(self, job: Job, day: date, error: DeviceUnknown) -> DayOutcome:
        """The device is unknown: the other meters go on, this one's jobs end until the next round."""
        name = job.collection.meter.name
        if name not in self._unknown:
            self._unknown.add(name)
            self._log.error("device.unknown", meter=name, reason=error.reason)
        for each in self._lanes.jobs():
            if each.collection is job.collection:
                each.end()
        return DayOutcome.failed(day, error.reason)

    def _strike(self, job: Job, day: date, error: SourceError | OSError) -> None:
        """The day waits; if it is clear that all others would fail as well, they wait too."""
        self._struck.append((job, day, error))
        certain = trouble_of(error) is not SOURCE or not self._answered
        if self._recovery is None and (certain or len(self._struck) >= STRIKES):
            self._lanes.pause()
            self._recovery = asyncio.create_task(self._recover(error))

    async def _let_go(self) -> None:
        """The source answers, so what failed before was those days' own trouble: once more, then failed."""
        struck, self._struck = self._struck, []
        for job, day, error in struck:
            if day in job.tried_twice:
                job.record(await job.collection.fail_day(day, str(error)))
            else:
                job.tried_twice.add(day)
                job.give_back(day)
            self._lanes.settle(job)

    async def _recover(self, error: SourceError | OSError) -> None:
        """Waits and probes until the trouble is over, then lets the work go on where it stood."""
        loop = asyncio.get_running_loop()
        began = told = loop.time()
        trouble = trouble_of(error)
        self._tell(error)
        waits_s = trouble.waits_s()
        while True:
            if self._patience_s is not None and (
                not self._answered or trouble is not SOURCE or loop.time() - began >= self._patience_s
            ):
                return self._give_up(error)
            await asyncio.sleep(next(waits_s))
            still = await self._probe(error)
            if still is None:
                break
            changed = trouble_of(still) is not trouble
            if changed:
                trouble = trouble_of(still)
                waits_s = trouble.waits_s()
            if changed or loop.time() - told >= _DAY_S:
                told = loop.time()
                self._tell(still)
            error = still
        self._log.info(trouble.up, down_s=round(loop.time() - began, 3))
        for job, day, _ in self._struck:
            job.give_back(day)
        self._struck.clear()
        self._recovery = None
        self._lanes.resume()
        return None

    async def _probe(self, error: SourceError | OSError) -> SourceError | OSError | None:
        """Tries what failed, once: a day for a source, a file for a disk."""
        job, day, _ = self._struck[0]
        if isinstance(error, OSError):
            try:
                await job.collection.blocking(job.collection.archive.probe)
            except OSError as still:
                return still
            return None
        missed = await self._attempt(job, day, once=True)
        if missed is None:
            del self._struck[0]
            self._lanes.settle(job)
        return missed

    def _tell(self, error: SourceError | OSError) -> None:
        reason = error.reason if isinstance(error, SourceError) else str(error)
        self._log.error(trouble_of(error).down, reason=reason)

    def _give_up(self, error: SourceError | OSError) -> None:
        self.given_up = error
        for job, day, each in self._struck:
            job.record(DayOutcome.failed(day, str(each)))
        self._struck.clear()
        self._lanes.close()
