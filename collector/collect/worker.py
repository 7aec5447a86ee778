"""The workers of one account: they take days by lane and collect them concurrently."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import chain, count

from collector import logs
from collector.archive.store import DayOutcome
from collector.cloud.client import RequestPolicy
from collector.collect.collector import Collector, Lane
from collector.collect.outages import (
    CLOCK,
    KEY,
    METER,
    SOURCE,
    STRIKES,
    OutageError,
    Refusal,
    outage_of,
    reason_of,
)
from collector.collect.totals import read_totals_ahead
from collector.energy.history import Outcome, newest_first
from collector.errors import (
    ArchiveLocked,
    ArchiveRefused,
    CalledOff,
    ClockUntrusted,
    DeviceUnknown,
    KeyRefused,
    RateLimited,
    Rejected,
    Unavailable,
)

_log = logs.get_logger("jobs")


@dataclass(slots=True, eq=False)
class Job:
    """Many days of one meter, for one reason, and what became of them."""

    lane: Lane
    collector: Collector
    days: Iterator[date]
    started_at: float
    done: asyncio.Event = field(default_factory=asyncio.Event)
    counts: Counter[Outcome] = field(default_factory=Counter)
    failures: dict[date, str] = field(default_factory=dict)
    outcomes: Callable[[DayOutcome], None] = lambda outcome: None
    reaches_to: Callable[[], date] | None = (
        None  # how far back it goes, where the totals may show which days there are
    )
    tried_twice: set[date] = field(default_factory=set)
    open: int = 0
    exhausted: bool = False
    ended: bool = False
    _waiting: deque[date] = field(default_factory=deque)
    _dropped: Iterator[date] = field(default_factory=lambda: iter(()))
    _requests_before: int = 0
    _holds_before: int = 0

    def __post_init__(self) -> None:
        pacer = self.collector.client.pacer
        self._requests_before, self._holds_before = pacer.requests, pacer.holds

    def next_day(self) -> date | None:
        """The next day to collect; `None` when there is none."""
        if not self.has_more:
            self.exhausted = True
            return None
        self.open += 1
        return self._waiting.popleft()

    @property
    def has_more(self) -> bool:
        """Whether a further day waits; one that another job has taken already does not count."""
        claimed = self.collector.claimed
        if not self._waiting and (day := next((day for day in self.days if day not in claimed), None)):
            claimed.add(day)
            self._waiting.append(day)
        return bool(self._waiting)

    def count_left(self) -> int:
        """How many of its days are not done, also where it was ended; the plan is at its end then."""
        return self.open + len(self._waiting) + sum(1 for _ in self.days) + sum(1 for _ in self._dropped)

    @property
    def oldest(self) -> date | None:
        """The oldest day that it may come to, where the totals may show first which days there are."""
        return None if self.reaches_to is None or self.ended else self.reaches_to()

    @property
    def needs_totals(self) -> bool:
        """Whether the cloud's daily totals are to be read first."""
        return (oldest := self.oldest) is not None and self.collector.needs_totals(oldest)

    def give_back(self, day: date) -> None:
        """The day could not be had now, through no fault of its own: it comes first next time.

        Unless the job was ended meanwhile: then its plan is of another time, or of a device that is gone.
        """
        if self.ended:
            self._dropped = chain((day,), self._dropped)
            self.release(day)
            return
        self.open -= 1
        self.exhausted = False
        self._waiting.append(day)

    def release(self, day: date) -> None:
        """The day is no longer to be collected."""
        self.open -= 1
        self.collector.claimed.discard(day)

    def record(self, outcome: DayOutcome) -> None:
        """One day is done."""
        self.release(outcome.day)
        self.counts[outcome.outcome] += 1
        if outcome.outcome is Outcome.FAILED:
            self.failures[outcome.day] = outcome.reason
        self.outcomes(outcome)

    def end(self) -> None:
        """No further days."""
        if not self.ended:
            self._dropped = chain(list(self._waiting), self.days)
        self.days = iter(())
        self.collector.claimed.difference_update(self._waiting)
        self._waiting.clear()
        self.exhausted = self.ended = True

    @property
    def is_over(self) -> bool:
        """All its days are done."""
        return self.exhausted and not self.open

    def finish(self, now: float) -> None:
        """Logs the job's story in one line; at debug level where it had no day. `now` is loop time."""
        pacer = self.collector.client.pacer
        log = _log.info if self.counts else _log.debug
        log(
            "job.finished",
            meter=self.collector.meter.name,
            job=self.lane.value,
            **{outcome.value: self.counts[outcome] for outcome in Outcome},
            requests=pacer.requests - self._requests_before,
            holds=pacer.holds - self._holds_before,
            duration_s=round(now - self.started_at, 3),
        )
        self.done.set()


class Lanes:
    """Hands out days one by one: by lane, and fairly between the jobs of a lane.

    So a long backfill never delays today by more than the days that are under way.
    """

    def __init__(self) -> None:
        self._jobs: dict[Lane, deque[Job]] = {lane: deque() for lane in Lane}
        self._aside: set[Collector] = set()
        self._news = asyncio.Event()
        self._paused = False
        self._closed = False

    def jobs(self) -> list[Job]:
        """All jobs that are not over."""
        return [job for jobs in self._jobs.values() for job in jobs]

    @property
    def has_more(self) -> bool:
        """Whether a further day waits, beside those under way."""
        return any(job.has_more for job in self.jobs() if job.collector not in self._aside)

    def has_more_of(self, collector: Collector) -> bool:
        """Whether a further day of that meter waits."""
        return any(job.has_more for job in self.jobs() if job.collector is collector)

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

    def set_aside(self, collector: Collector) -> None:
        """Hands out no day of that meter until `take_back`; its jobs wait."""
        self._aside.add(collector)

    def take_back(self, collector: Collector) -> None:
        """Goes on handing out that meter's days."""
        self._aside.discard(collector)
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
                if job.collector in self._aside or self._waits_for_another(job):
                    continue
                if job.needs_totals:
                    job.collector.is_reading_totals = True
                    job.open += 1
                    return job, None
                if (day := job.next_day()) is not None:
                    return job, day
                if job.is_over:
                    self._finish(job)
        return None

    def _waits_for_another(self, job: Job) -> bool:
        """Whether it is being found out whether the archive may be used, or which days there are."""
        collector = job.collector
        if job.reaches_to is not None and collector.is_reading_totals:
            return True
        jobs = (each for each in self.jobs() if each.collector is collector)
        return not collector.archive.is_taken and any(each.open for each in jobs)

    def _finish(self, job: Job) -> None:
        if job in self._jobs[job.lane]:
            self._jobs[job.lane].remove(job)
            job.finish(asyncio.get_running_loop().time())


_DAY_S = 86400.0


@dataclass(slots=True, eq=False)
class _Row:
    """Different days of one meter that the cloud rejected in a row; `held` wait to know what that means.

    `enough`: at so many of them other days are tried. `judging` finds out who is rejected, and waits
    where that is the meter. `is_answered`: a day of the meter was answered meanwhile.
    """

    error: Rejected
    days: set[date] = field(default_factory=set)
    held: list[tuple[Job, date]] = field(default_factory=list)
    enough: int = STRIKES
    judging: asyncio.Task[None] | None = None
    is_answered: bool = False


class AccountRunner:
    """Collects the days of one account's meters until stopped.

    A source that is down is noticed after three failed days in a row, logged once, and probed by single
    requests at growing intervals; then the work continues. A bad disk and a refused key likewise.
    A meter whose days are all rejected is down alone; where all of them are, it is the account.
    """

    def __init__(self, account: str, workers: int, patience_s: float | None = None) -> None:
        """`patience_s`: how long to wait in an outage, `None` for ever; else not before a first answer."""
        self._workers = workers
        self._patience_s = patience_s
        self._log = logs.get_logger("runner").bind(account=account)
        self._lanes = Lanes()
        self._under_way = 0
        self._group: asyncio.TaskGroup
        self._struck: list[tuple[Job, date, OutageError]] = []
        self._recovery: asyncio.Task[None] | None = None
        self._collectors: list[Collector] = []  # those that ever had a job
        self._rows: dict[Collector, _Row] = {}
        self.rejected: dict[Collector, Rejected] = {}  # meters that are down alone, and why
        self._judging = asyncio.Lock()
        self._answered = False
        self._unknown: set[str] = set()
        self.outage: OutageError | None = None  # what keeps the account from working now
        self.moved_at = asyncio.get_running_loop().time()  # when a day was last dealt with, well or not
        self.on_outage_change: Callable[[], None] = lambda: None  # when one begins, changes or ends
        self.given_up: OutageError | None = None
        self.refusal: Refusal | None = None  # of the key; one that is set before `run` is gone on with
        self.refused_since: float | None = None  # loop time: of another key, which this one has replaced
        self.needs_new_plans = False

    def request(self, lane: Lane, collector: Collector) -> Job | None:
        """Adds a job; `None` where the same one is waiting or running already."""
        for job in self._lanes.jobs():
            if job.lane is lane and job.collector is collector and not job.exhausted:
                return None
        job = Job(lane, collector, collector.days_for(lane), asyncio.get_running_loop().time())
        if lane is Lane.BACKFILL:
            job.reaches_to = collector.first_to_backfill
        return self.put(job)

    def put(self, job: Job) -> Job:
        """Adds a job of one's own making."""
        self._log.debug("job.started", meter=job.collector.meter.name, job=job.lane.value)
        if job.collector not in self._collectors:
            self._collectors.append(job.collector)
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
                if self.refusal is not None:
                    self._begin_outage(self.refusal.error)
                for _ in range(self._workers):
                    self._group.create_task(self._work())
        finally:
            for job in self._lanes.jobs():  # cut off in the middle of a day
                job.finish(asyncio.get_running_loop().time())

    def stop(self) -> None:
        """Ends after the days that are under way."""
        self._lanes.close()
        for task in (self._recovery, *(row.judging for row in self._rows.values())):
            if task is not None:
                task.cancel()

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
            if day is None:
                await self._read_totals_ahead(job)
                continue
            try:
                found = await self._attempt(job.collector, day)
            except CalledOff:
                found = None
            self._under_way -= 1
            if found is None:
                job.give_back(day)
            elif isinstance(found, DayOutcome):
                job.record(found)
                await self._answered_by(job.collector)
                if self._recovery is None:
                    await self._retry_struck()
            elif isinstance(found, Rejected):
                await self._reject(job, day, found)
            else:
                await self._strike(job, day, found)
            self._lanes.settle(job)

    async def _read_totals_ahead(self, job: Job) -> None:
        """Reads the daily totals. Where the cloud fails, the first day will show it."""
        oldest = job.oldest or job.collector.today()
        if await read_totals_ahead(
            job.collector, oldest, RequestPolicy(is_called_off=lambda: self._recovery is not None)
        ):
            self._answered = True
        self.moved_at = asyncio.get_running_loop().time()
        self._under_way -= 1
        job.open -= 1
        self._lanes.settle(job)

    async def _attempt(
        self, collector: Collector, day: date, *, is_probe: bool = False
    ) -> DayOutcome | OutageError:
        """Collects one day; returns the error where no day could be collected now.

        Raises `CalledOff`: a probe only where the archive must not be used.
        """
        held: RateLimited | None = None

        def is_called_off() -> bool:
            nonlocal held
            held = self._held_for_too_long()
            return held is not None or (self._recovery is not None and not is_probe)

        try:
            outcome = await collector.collect_day(day, RequestPolicy(is_probe, is_called_off))
        except CalledOff:
            if held is None:
                raise
            return held
        except (ArchiveRefused, ArchiveLocked) as error:  # the other meters go on
            self.moved_at = asyncio.get_running_loop().time()
            self._end_jobs_of(collector)
            self._forget_struck(collector)
            raise CalledOff from error
        except (Unavailable, RateLimited, KeyRefused, ClockUntrusted, OSError) as error:
            return error
        except Rejected as error:
            self.moved_at = asyncio.get_running_loop().time()
            return error
        except DeviceUnknown as error:
            outcome = self._without_device(collector, day, error)
        except Exception as error:  # noqa: BLE001 - the outermost guard of one day: the others go on
            self._log.exception("job.failed", meter=collector.meter.name, day=str(day))
            collector.note_failure("job.failed", type(error).__name__)
            return DayOutcome.failed(day, f"unexpected: {type(error).__name__}")
        else:
            self._unknown.discard(collector.meter.name)
            if outcome.is_common:  # until the next round
                self._end_jobs_of(collector)
        self._answered = True
        self.moved_at = asyncio.get_running_loop().time()
        if self.refused_since is not None:
            self._log.info(KEY.ended, down_s=round(self.moved_at - self.refused_since, 3))
            self.refused_since = None
        return outcome

    def _held_for_too_long(self) -> RateLimited | None:
        """The hold that the cloud imposes, where it lasts longer than `patience_s`."""
        pacer = self._collectors[0].client.pacer
        if self._patience_s is None or pacer.hold_s <= self._patience_s:
            return None
        left_s = pacer.held_until - asyncio.get_running_loop().time()
        return RateLimited(f"the account's request limit is reached, for {left_s / 60:.0f} min more")

    def _without_device(self, collector: Collector, day: date, error: DeviceUnknown) -> DayOutcome:
        """The device is unknown: the other meters go on, this one's jobs end until the next round."""
        name = collector.meter.name
        if name not in self._unknown:
            self._unknown.add(name)
            self._log.error("device.unknown", meter=name, reason=error.reason)
        collector.note_failure("device.unknown", error.reason)
        self._end_jobs_of(collector)
        return DayOutcome.failed(day, error.reason)

    def _end_jobs_of(self, collector: Collector) -> None:
        for each in self._lanes.jobs():
            if each.collector is collector:
                each.end()

    def _forget_struck(self, collector: Collector) -> None:
        """What waits of that meter is no longer to be collected."""
        for job, day, _ in [each for each in self._struck if each[0].collector is collector]:
            job.release(day)
            self._lanes.settle(job)
        self._struck = [each for each in self._struck if each[0].collector is not collector]

    async def _strike(self, job: Job, day: date, error: OutageError) -> None:
        """The day waits; where all others would fail as well, or there are none, they wait too."""
        if (outage_of(error) is SOURCE or isinstance(error, OSError)) and day in job.tried_twice:
            try:
                job.record(await job.collector.fail_day(day, str(error)))
                return
            except OSError as full:
                error = full
        self._struck.append((job, day, error))
        certain = outage_of(error) is not SOURCE or not self._answered or not self._lanes.has_more
        if certain or len(self._struck) >= STRIKES:
            self._begin_outage(error)

    def _begin_outage(self, error: OutageError) -> None:
        """Nobody can do anything now."""
        if self._recovery is None and not self._lanes.is_closed:
            self._lanes.pause()
            self._recovery = self._group.create_task(self._recover(error))

    async def _reject(self, job: Job, day: date, error: Rejected) -> None:
        """The day waits until it is known whether it is rejected alone, or its meter is, or the account."""
        if self._recovery is not None or self._lanes.is_closed:
            self._struck.append((job, day, error))
            return
        collector = job.collector
        row = self._rows.get(collector)
        if row is not None and row.judging is None and row.error.reason != error.reason:
            await self._answered_by(collector)
            row = None
        if row is None:
            row = self._rows[collector] = _Row(error)
        row.days.add(day)
        row.held.append((job, day))
        if row.judging is None and (len(row.days) >= row.enough or not self._lanes.has_more_of(collector)):
            self._lanes.set_aside(collector)
            row.judging = self._group.create_task(self._judge(collector, row))

    async def _answered_by(self, collector: Collector) -> None:
        """The meter is answered, so what was rejected before were those days alone."""
        row = self._rows.get(collector)
        if row is not None and row.judging is not None:
            row.is_answered = True
        elif row is not None:
            del self._rows[collector]
            await self._fail(row)

    async def _fail(self, row: _Row) -> None:
        """The days of the row are failed days: a request at once would not help."""
        held, row.held = row.held, []
        for job, day in held:
            job.collector.note_failure("day.failed", row.error.reason)
            try:
                job.record(await job.collector.fail_day(day, row.error.reason))
            except OSError as full:
                await self._strike(job, day, full)
            self._lanes.settle(job)

    async def _judge(self, collector: Collector, row: _Row) -> None:
        """Finds out who is rejected by trying other days and other meters; acts on it."""
        found: DayOutcome | OutageError = row.error
        beside: DayOutcome | OutageError = row.error
        async with self._judging:
            if self._recovery is None:
                found = await self._try_other_days(collector, row)
            if self._recovery is None and found is row.error:
                beside = await self._try_other_meters(collector, row)
        if isinstance(found, DayOutcome) or row.is_answered:
            await self._fail(row)
            row.enough = 2 * len(row.days)  # else it would be looked into again and again
            row.judging, row.is_answered = None, False
        elif found is not row.error:  # the account's outage, as it seems
            del self._rows[collector]
            (job, day), *others = row.held
            for each, other in others:
                each.give_back(other)
            await self._strike(job, day, found)
        elif beside is row.error:
            del self._rows[collector]
            self._struck += [(job, day, row.error) for job, day in row.held]
            self._begin_outage(row.error)
        else:
            await self._sit_out(collector, row)
            del self._rows[collector]
        self._lanes.take_back(collector)

    async def _try_other_days(self, collector: Collector, row: _Row) -> DayOutcome | OutageError:
        """The row's error where the newest days are rejected, too, today first; else what else came."""
        today = collector.today()
        for day in newest_first(today, today - timedelta(days=STRIKES - 1)):
            if day not in row.days:
                found = await self._attempt(collector, day, is_probe=True)
                if not isinstance(found, Rejected):
                    return found
                row.days.add(day)
        return row.error

    async def _try_other_meters(self, collector: Collector, row: _Row) -> DayOutcome | OutageError:
        """The row's error where each other meter is rejected, too; else what else came of one."""
        for other in self._collectors:
            if other is not collector and self._can_try(other):
                try:
                    found = await self._attempt(other, other.today(), is_probe=True)
                except CalledOff:  # its archive must not be used: that proves nothing of the cloud
                    continue
                if not isinstance(found, Rejected):
                    return found
        return row.error

    def _can_try(self, collector: Collector) -> bool:
        """Whether a day of that meter would show how the cloud is."""
        return collector not in self.rejected and collector.refusal is None

    async def _sit_out(self, collector: Collector, row: _Row) -> None:
        """The meter is rejected while others go on: it is probed ever more slowly until it is answered."""
        if self._patience_s is not None:
            for each in self._lanes.jobs():
                if each.collector is collector:
                    each.end()
            await self._fail(row)
            return
        loop = asyncio.get_running_loop()
        began = logged_at = loop.time()
        log = self._log.bind(meter=collector.meter.name)
        self.rejected[collector] = row.error
        log.error(METER.started, reason=row.error.reason)
        self.on_outage_change()
        for number, wait_s in enumerate(METER.waits_s()):
            await asyncio.sleep(wait_s)
            if self._recovery is not None:
                continue
            day = row.held[0][1] if number % 2 else collector.today()
            found = await self._attempt(collector, day, is_probe=True)
            if isinstance(found, DayOutcome):
                break
            if isinstance(found, Rejected):
                self.rejected[collector] = row.error = found
            if loop.time() - logged_at >= _DAY_S:
                logged_at = loop.time()
                log.error(METER.started, reason=row.error.reason)
        log.info(METER.ended, down_s=round(loop.time() - began, 3))
        del self.rejected[collector]
        for job, day in row.held:
            job.give_back(day)
            self._lanes.settle(job)
        self.on_outage_change()

    async def _retry_struck(self) -> None:
        """The source answers, so what failed before was those days' own failure: once more, then failed."""
        struck, self._struck = self._struck, []
        for job, day, _ in struck:
            job.tried_twice.add(day)
            job.give_back(day)
            self._lanes.settle(job)

    async def _recover(self, error: OutageError) -> None:
        """Waits and probes until the outage is over, then lets the work continue.

        What is reported is what the last probe met: an outage of another kind has its own event, its own
        waits, and ends those of the steps before it.
        """
        loop = asyncio.get_running_loop()
        began = logged_at = loop.time()
        outage = outage_of(error)
        lasting = {outage.ended: (outage.step, began)}  # by the event that ends it
        if outage is KEY and self.refused_since is not None:
            lasting[KEY.ended], self.refused_since = (KEY.step, self.refused_since), None
        waits_s = outage.waits_s()
        if self.refusal is None:
            self._log_outage(error)
        else:  # reported before the configuration was read again
            self.outage = error
            self.on_outage_change()
            lasting[outage.ended] = outage.step, self.refusal.since
            waits_s = chain((max(0.0, self.refusal.next_try_at - began),), waits_s)
        for number in count():
            if self._is_hopeless(error, loop.time() - began):
                self._give_up(error)
                return
            wait_s = next(waits_s)
            if isinstance(error, KeyRefused):
                self.refusal = Refusal(error, lasting[outage.ended][1], loop.time() + wait_s)
            await asyncio.sleep(wait_s)
            if self.refusal is not None:  # who is interrupted now has shown the key once more
                next_try_at = loop.time() + next(outage.waits_s())
                self.refusal = self.refusal._replace(next_try_at=next_try_at)
            still = await self._probe(error, number)
            if not isinstance(still, KeyRefused):
                self.refusal = None
            self._log_ended(lasting, math.inf if still is None else outage_of(still).step)
            if still is None:
                break
            changed = outage_of(still) is not outage
            if changed:
                outage = outage_of(still)
                lasting.setdefault(outage.ended, (outage.step, loop.time()))
                waits_s = outage.waits_s()
            if changed or loop.time() - logged_at >= _DAY_S:
                logged_at = loop.time()
                self._log_outage(still)
            error = self.outage = still
        self.outage = self._recovery = None
        if outage is CLOCK:
            self._forget_plans()
        self._lanes.resume()
        self.on_outage_change()
        await self._retry_struck()

    def _is_hopeless(self, error: OutageError, waited_s: float) -> bool:
        """Whether to give up; a source that never answered gets no patience."""
        return self._patience_s is not None and (
            not self._answered
            or outage_of(error) is not SOURCE
            or isinstance(error, Rejected)
            or waited_s >= self._patience_s
            or self._held_for_too_long() is not None
        )

    def _log_ended(self, lasting: dict[str, tuple[int, float]], step: float) -> None:
        """Logs which outages are over when a probe came as far as that step."""
        for up, (stopped_at, since) in sorted(lasting.items(), key=lambda each: each[1]):
            if stopped_at < step:
                del lasting[up]
                self._log.info(up, down_s=round(asyncio.get_running_loop().time() - since, 3))

    def _forget_plans(self) -> None:
        """What was planned by a wrong clock is of another time; the service plans again."""
        for job, day, _ in self._struck:
            job.release(day)
        self._struck.clear()
        self.drop()
        self.needs_new_plans = True

    async def _probe(self, error: OutageError, number: int) -> OutageError | None:
        """Tries once more: a look at the clock, a file for a disk, a request for a source.

        For a source it is the day that failed and today in turn, and today of each meter: what the
        cloud can never answer must not pass for a cloud that is down.
        """
        if not self._collectors:
            return error
        job, failed = self._struck[0][:2] if self._struck else (None, None)  # none after a reload
        collector = self._collectors[0] if job is None else job.collector
        try:
            if isinstance(error, ClockUntrusted):
                collector.check_clock()
                return None
            if isinstance(error, OSError):
                await collector.blocking(collector.archive.probe)
                return None
        except (ClockUntrusted, OSError) as still:
            return still
        if number % 2:
            others = [each for each in self._collectors if each is not collector and self._can_try(each)]
            collector = [collector, *others][number // 2 % (1 + len(others))]
        day = collector.today() if failed is None or number % 2 else failed
        try:
            found = await self._attempt(collector, day, is_probe=True)
        except CalledOff:  # the files were compared with the cloud's answers, and are another meter's
            return None
        if not isinstance(found, DayOutcome):
            return found
        if job is not None and collector is job.collector and found.day == failed:
            del self._struck[0]
            job.record(found)
            self._lanes.settle(job)
        return None

    def _log_outage(self, error: OutageError) -> None:
        self.outage = error
        self._log.error(outage_of(error).started, reason=reason_of(error))
        self.on_outage_change()

    def _give_up(self, error: OutageError) -> None:
        self.given_up = error
        for row in self._rows.values():
            self._struck += [(job, day, row.error) for job, day in row.held]
            if row.judging is not None:
                row.judging.cancel()
        self._rows.clear()
        for job, day, each in self._struck:
            job.record(DayOutcome.failed(day, str(each)))
        self._struck.clear()
        self._lanes.close()
