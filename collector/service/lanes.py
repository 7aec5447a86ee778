"""Lanes: the jobs that wait for one account, and which day comes next."""

from __future__ import annotations

import asyncio
from collections import deque
from datetime import date

from collector.service.collection import Collection, Lane
from collector.service.jobs import Job


class Lanes:
    """Hands out days one by one: by lane, and fairly between the jobs of a lane.

    So a long backfill never delays today by more than the days that are under way.
    """

    def __init__(self) -> None:
        self._jobs: dict[Lane, deque[Job]] = {lane: deque() for lane in Lane}
        self._aside: set[Collection] = set()
        self._news = asyncio.Event()
        self._paused = False
        self._closed = False

    def jobs(self) -> list[Job]:
        """All jobs that are not over."""
        return [job for jobs in self._jobs.values() for job in jobs]

    @property
    def has_more(self) -> bool:
        """Whether a further day waits, beside those under way."""
        return any(job.has_more for job in self.jobs() if job.collection not in self._aside)

    def has_more_of(self, collection: Collection) -> bool:
        """Whether a further day of that meter waits."""
        return any(job.has_more for job in self.jobs() if job.collection is collection)

    @property
    def is_closed(self) -> bool:
        """Whether nothing is handed out any more, for good."""
        return self._closed

    def put(self, job: Job) -> None:
        """Adds a job."""
        self._jobs[job.lane].append(job)
        self._news.set()

    async def take(self) -> tuple[Job, date | None] | None:
        """The next day and the job it belongs to; waits for one; `None` once closed.

        No day where the job's daily totals are to be read first.
        """
        while not self._closed:
            self._news.clear()
            taken = None if self._paused else self._next()
            if taken is not None:
                return taken
            await self._news.wait()
        return None

    def settle(self, job: Job) -> None:
        """To be called when a day of that job is done or given back."""
        if job.is_over:
            self._finish(job)
        self._news.set()

    def pause(self) -> None:
        """Hands out nothing until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Goes on handing out."""
        self._paused = False
        self._news.set()

    def set_aside(self, collection: Collection) -> None:
        """Hands out no day of that meter until `take_back`; its jobs wait."""
        self._aside.add(collection)

    def take_back(self, collection: Collection) -> None:
        """Goes on handing out that meter's days."""
        self._aside.discard(collection)
        self._news.set()

    def close(self) -> None:
        """Hands out nothing any more; all jobs end with the days that are under way."""
        self._closed = True
        for job in self.jobs():
            job.end()
            self.settle(job)
        self._news.set()

    def _next(self) -> tuple[Job, date | None] | None:
        for lane in Lane:
            waiting = self._jobs[lane]
            for job in list(waiting):
                waiting.rotate(-1)
                if job.collection in self._aside or self._waits_for_another(job):
                    continue
                if job.wants_totals:
                    job.collection.is_reading_totals = True
                    job.open += 1
                    return job, None
                if (day := job.next_day()) is not None:
                    return job, day
                if job.is_over:
                    self._finish(job)
        return None

    def _waits_for_another(self, job: Job) -> bool:
        """Whether it is being found out whether the archive may be used, or which days there are."""
        collection = job.collection
        if job.reaches_to is not None and collection.is_reading_totals:
            return True
        jobs = (each for each in self.jobs() if each.collection is collection)
        return not collection.archive.is_taken and any(each.open for each in jobs)

    def _finish(self, job: Job) -> None:
        if job in self._jobs[job.lane]:
            self._jobs[job.lane].remove(job)
            job.finish(asyncio.get_running_loop().time())
