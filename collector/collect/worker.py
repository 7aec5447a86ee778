"""The workers of one account: they take days by lane and collect them concurrently."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import chain, count

from collector import logs
from collector.archive.store import DayOutcome
from collector.cloud.client import RequestPolicy
from collector.cloud.pacing import Pacer
from collector.collect.collector import Collector, Lane
from collector.collect.daily_totals import read_totals_ahead
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
from collector.collect.spans import SpanOutcome, collect_span, joins, spans_of
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
    """Days of one meter to collect for one reason, and their outcomes so far."""

    lane: Lane
    collector: Collector
    days: Iterator[date]
    started_at: float
    done: asyncio.Event = field(default_factory=asyncio.Event)
    counts: Counter[Outcome] = field(default_factory=Counter)
    failures: dict[date, str] = field(default_factory=dict)
    outcomes: Callable[[DayOutcome], None] = lambda outcome: None
    reaches_to: Callable[[], date] | None = (
        None  # the oldest day that it may reach, if the daily totals may limit its days
    )
    tried_twice: set[date] = field(default_factory=set)
    alone: set[date] = field(default_factory=set)  # days that are requested by themselves
    open: int = 0
    exhausted: bool = False
    ended: bool = False
    _waiting: list[date] = field(default_factory=list)
    _elsewhere: set[date] = field(default_factory=set)  # another job has these; a command waits for them
    _dropped: Iterator[date] = field(default_factory=lambda: iter(()))
    _requests_before: int = 0
    _holds_before: int = 0

    def __post_init__(self) -> None:
        pacer = self.collector.client.pacer
        self._requests_before, self._holds_before = pacer.requests, pacer.holds

    def next_days(self) -> list[date]:
        """The next days to collect with one request a channel: one, or neighbours; none if there is none."""
        if not self.has_more:
            self.exhausted = True
            return []
        days = [self._waiting.pop(0)]
        # Before the archive is taken and the zone known, the plan must not be looked at further than needed.
        if days[0] not in self.alone and self.collector.is_known:
            while self.has_more and self._waiting[0] not in self.alone:
                if not joins(self.collector, days, self._waiting[0]):
                    break
                days.append(self._waiting.pop(0))
        self.open += len(days)
        return days

    @property
    def has_more(self) -> bool:
        """Whether a further day is waiting; days claimed by another job do not count."""
        while not self._waiting and (day := next(self.days, None)) is not None:
            self._claim(day)
        return bool(self._waiting)

    def _claim(self, day: date) -> None:
        """Takes the day; if another job has it, a command waits for its outcome."""
        claimed = self.collector.claimed
        if day not in claimed:
            claimed[day] = []
            self._waiting.append(day)
        elif self.lane is Lane.COMMAND and day not in self._elsewhere:
            claimed[day].append(self._done_elsewhere)
            self._elsewhere.add(day)

    def _done_elsewhere(self, day: date, outcome: DayOutcome | None) -> None:
        """Counts a day that another job has done; takes one that it has given up."""
        self._elsewhere.discard(day)
        if self.ended:
            return
        if outcome is None:
            self.exhausted = False
            self._claim(day)
        else:
            self._count(outcome)

    def count_left(self) -> int:
        """How many of its days are not done, also if it was ended. Uses up the plan."""
        left = self.open + len(self._waiting) + len(self._elsewhere)
        return left + sum(1 for _ in self.days) + sum(1 for _ in self._dropped)

    @property
    def oldest(self) -> date | None:
        """The oldest day that it may reach; `None` unless the daily totals may limit its days."""
        return None if self.reaches_to is None or self.ended else self.reaches_to()

    @property
    def needs_totals(self) -> bool:
        """Whether the cloud's daily totals are to be read first."""
        return (oldest := self.oldest) is not None and self.collector.needs_totals(oldest)

    def give_back(self, days: Sequence[date], *, alone: bool = False) -> None:
        """Puts back days that could not be collected now; they are the next ones, `alone` if not joined.

        If the job was ended meanwhile, they are dropped: its plan is outdated, or its device is unknown.
        """
        if self.ended:
            self._dropped = chain(days, self._dropped)
            self.release(days)
            return
        if alone:
            self.alone.update(days)
        self.open -= len(days)
        self.exhausted = self.exhausted and not days
        self._waiting[:0] = days

    def release(self, days: Sequence[date]) -> None:
        """Gives up the claim on days that are no longer to be collected."""
        self.open -= len(days)
        self._unclaim(days)

    def _unclaim(self, days: Iterable[date], outcome: DayOutcome | None = None) -> None:
        for day in days:
            for tell in self.collector.claimed.pop(day, ()):
                tell(day, outcome)

    def record(self, outcome: DayOutcome) -> None:
        """Counts the outcome of one day that is done."""
        self.open -= 1
        self._unclaim([outcome.day], outcome)
        self._count(outcome)

    def _count(self, outcome: DayOutcome) -> None:
        self.counts[outcome.outcome] += 1
        if outcome.outcome is Outcome.FAILED:
            self.failures[outcome.day] = outcome.reason
        self.outcomes(outcome)

    def end(self) -> None:
        """Drops all days that are not in progress."""
        if not self.ended:
            self._dropped = chain(list(self._waiting), self.days)
        self.days = iter(())
        self.exhausted = self.ended = True
        given_up = list(self._waiting)
        self._waiting.clear()
        self._elsewhere.clear()
        self._unclaim(given_up)

    @property
    def is_over(self) -> bool:
        """Whether all its days are done."""
        return self.exhausted and not self.open and not self._elsewhere

    def finish(self, now: float) -> None:
        """Logs the job's result in one line, at debug level if it had no days. `now` is loop time."""
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

    A long backfill never delays today by more than the days in progress.
    """

    def __init__(self) -> None:
        self._jobs: dict[Lane, list[Job]] = {lane: [] for lane in Lane}
        self._aside: set[Collector] = set()
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False
        self._closed = False

    def jobs(self) -> list[Job]:
        """All jobs that are not finished."""
        return [job for jobs in self._jobs.values() for job in jobs]

    @property
    def has_more(self) -> bool:
        """Whether a further day is waiting, besides those in progress."""
        return any(job.has_more for job in self.jobs() if job.collector not in self._aside)

    def has_more_of(self, collector: Collector) -> bool:
        """Whether a further day of that meter is waiting."""
        return any(job.has_more for job in self.jobs() if job.collector is collector)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def put(self, job: Job) -> None:
        """Adds a job."""
        self._jobs[job.lane].append(job)
        self._news.set()

    async def take(self) -> tuple[Job, list[date]] | None:
        """Waits for the next days and returns them with their job; `None` once closed.

        There are none if the job's daily totals must be read first.
        """
        while not self._closed:
            self._news.clear()
            taken = None if self._paused else self._next()
            if taken is not None:
                return taken
            await self._news.wait()
        return None

    def settle(self, job: Job) -> None:
        """Must be called when a day of that job is done or given back."""
        if job.is_over:
            self._finish(job)
        self._news.set()

    def look_again(self) -> None:
        """Must be called when a request that waited has its turn."""
        self._news.set()

    def pause(self) -> None:
        """Hands out nothing until `resume`."""
        self._paused = True

    def resume(self) -> None:
        """Ends the pause."""
        self._paused = False
        self._news.set()

    def set_aside(self, collector: Collector) -> None:
        """Hands out no day of that meter until `take_back`; its jobs wait."""
        self._aside.add(collector)

    def take_back(self, collector: Collector) -> None:
        """Hands out that meter's days again."""
        self._aside.discard(collector)
        self._news.set()

    def close(self) -> None:
        """Hands out nothing more; all jobs end with their days in progress."""
        self._closed = True
        for job in self.jobs():
            job.end()
            self.settle(job)
        self._news.set()

    def _next(self) -> tuple[Job, list[date]] | None:
        for lane in Lane:
            waiting = self._jobs[lane]
            for job in list(waiting):
                waiting.append(waiting.pop(0))
                if job.collector in self._aside or self._waits_for_another(job):
                    continue
                if job.needs_totals:
                    job.collector.is_reading_totals = True
                    job.open += 1
                    return job, []
                if days := job.next_days():
                    return job, days
                if job.is_over:
                    self._finish(job)
        return None

    def _waits_for_another(self, job: Job) -> bool:
        """Whether another day first gets its turn or is saved, or another job checks that the archive may be
        used, reads totals, or tries a span.
        """
        collector = job.collector
        if collector.unsaved or (job.lane is not Lane.REFRESH and self._is_too_early(collector.client.pacer)):
            return True
        if job.reaches_to is not None and collector.is_reading_totals:
            return True
        if job.lane is not Lane.REFRESH and spans_of(collector).is_learning:
            return True
        jobs = (each for each in self.jobs() if each.collector is collector)
        return not collector.is_settled and any(each.open for each in jobs)

    def _is_too_early(self, pacer: Pacer) -> bool:
        """Whether a day would only wait for its turn, with some 6 kB of memory; if so, looks again later."""
        if not pacer.gap_s:
            return False
        if pacer.waiting:
            return True
        left_s = pacer.gap_left_s
        if left_s and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._on_timer)
        return left_s > 0

    def _on_timer(self) -> None:
        self._timer = None
        self._news.set()

    def _finish(self, job: Job) -> None:
        if job in self._jobs[job.lane]:
            self._jobs[job.lane].remove(job)
            job.finish(asyncio.get_running_loop().time())


_DAY_S = 86400.0


@dataclass(slots=True, eq=False)
class _RejectedDays:
    """Different days of one meter that the cloud rejected in a row. `waiting`: those not yet done.

    At `limit` of them the task `diagnosis` finds out whether the days, the meter or the account is
    rejected; if it is the meter, it waits until that is over. `is_answered`: a day of the meter was
    answered meanwhile.
    """

    error: Rejected
    days: set[date] = field(default_factory=set)
    waiting: list[tuple[Job, date]] = field(default_factory=list)
    limit: int = STRIKES
    diagnosis: asyncio.Task[None] | None = None
    is_answered: bool = False


class AccountRunner:
    """Collects the days of one account's meters until stopped.

    After three failed days in a row the source counts as down: one log event, then single probe requests
    at growing intervals until it answers. A disk error and a refused key are handled the same way.
    If all days of one meter are rejected, only that meter is down; if those of all meters are, the account.
    """

    def __init__(self, account: str, workers: int, give_up_after_s: float | None = None) -> None:
        """`give_up_after_s`: how long to wait in an outage of the source; `None`: for ever."""
        self._workers = workers
        self._give_up_after_s = give_up_after_s
        self._log = logs.get_logger("runner").bind(account=account)
        self._lanes = Lanes()
        self._requests_in_progress = 0
        self._group: asyncio.TaskGroup
        self._postponed: list[tuple[Job, list[date], OutageError]] = []
        self._recovery: asyncio.Task[None] | None = None
        self._collectors: list[Collector] = []  # those that ever had a job
        self._rejected_days: dict[Collector, _RejectedDays] = {}
        self.rejected: dict[Collector, Rejected] = {}  # meters that are down while others are answered
        self._diagnosing = asyncio.Lock()
        self._answered = False
        self._unknown: set[str] = set()
        self.outage: OutageError | None = None  # what keeps the account from working now
        self.moved_at = asyncio.get_running_loop().time()  # when a day last made progress
        self.on_outage_change: Callable[[], None] = lambda: None  # when one begins, changes or ends
        self.given_up: OutageError | None = None
        self.refusal: Refusal | None = None  # of the key; may be set before `run`, to continue one
        self.refused_since: float | None = None  # loop time: of another key, which this one has replaced
        self.needs_new_plans = False

    def request(self, lane: Lane, collector: Collector) -> Job | None:
        """Adds a job; `None` if the same one is already waiting or running."""
        for job in self._lanes.jobs():
            if job.lane is lane and job.collector is collector and not job.exhausted:
                return None
        job = Job(lane, collector, collector.days_for(lane), asyncio.get_running_loop().time())
        if lane is Lane.BACKFILL:
            job.reaches_to = collector.first_to_backfill
        return self.put(job)

    def put(self, job: Job) -> Job:
        """Adds the given job."""
        self._log.debug("job.started", meter=job.collector.meter.name, job=job.lane.value)
        if job.collector not in self._collectors:
            self._collectors.append(job.collector)
            job.collector.client.pacer.on_turn = self._lanes.look_again
        self._lanes.put(job)
        return job

    def drop(self) -> None:
        """Ends all jobs after the days in progress, because their plans are outdated."""
        for job in self._lanes.jobs():
            job.end()
            self._lanes.settle(job)

    async def run(self) -> None:
        """Works until `stop`, or until it gives up."""
        try:
            async with asyncio.TaskGroup() as self._group:
                if self.refusal is not None:
                    self._begin_outage(self.refusal.error)
                await self._hand_out()
        finally:
            for job in self._lanes.jobs():  # cut off in the middle of a day
                job.finish(asyncio.get_running_loop().time())

    def stop(self) -> None:
        """Ends after the days in progress."""
        self._lanes.close()
        for task in (self._recovery, *(rejected.diagnosis for rejected in self._rejected_days.values())):
            if task is not None:
                task.cancel()

    @property
    def is_busy(self) -> bool:
        """Whether a day is in progress."""
        return self._requests_in_progress > 0

    @property
    def open_jobs(self) -> int:
        """How many jobs are waiting or running."""
        return len(self._lanes.jobs())

    async def _hand_out(self) -> None:
        """Begins the next days, as many at once as there may be, until the lanes are closed."""
        room = asyncio.Semaphore(self._workers)

        def leave(_: object) -> None:
            room.release()

        while True:
            await room.acquire()
            if (taken := await self._lanes.take()) is None:
                return
            self._group.create_task(self._work(*taken)).add_done_callback(leave)
            await asyncio.sleep(0)  # until it has begun, and waits for its turn

    async def _work(self, job: Job, days: list[date]) -> None:
        self._requests_in_progress += 1
        if not days:
            await self._read_totals_ahead(job)
            return
        try:
            found = await self._attempt(job.collector, days, is_urgent=job.lane is Lane.REFRESH)
        except CalledOff:
            found = SpanOutcome(again=tuple(days))
        self._requests_in_progress -= 1
        if isinstance(found, SpanOutcome):
            for outcome in found.outcomes:
                job.record(outcome)
            job.give_back(found.again)
            job.give_back(found.singly, alone=True)
            if found.outcomes:
                await self._note_answered(job.collector)
                if self._recovery is None:
                    await self._retry_postponed()
        elif isinstance(found, Rejected):
            await self._reject(job, days[0], found)
        else:
            await self._postpone(job, days, found)
        self._lanes.settle(job)

    async def _read_totals_ahead(self, job: Job) -> None:
        """Reads the daily totals. A failure of the cloud is noticed at the first day."""
        oldest = job.oldest or job.collector.today()
        if await read_totals_ahead(
            job.collector, oldest, RequestPolicy(is_called_off=lambda: self._recovery is not None)
        ):
            self._answered = True
        self.moved_at = asyncio.get_running_loop().time()
        self._requests_in_progress -= 1
        job.open -= 1
        self._lanes.settle(job)

    async def _probe_day(self, collector: Collector, day: date) -> DayOutcome | OutageError:
        """Requests one day once. Raises `CalledOff` only if the archive must not be used."""
        found = await self._attempt(collector, [day], is_probe=True)
        return found.outcomes[0] if isinstance(found, SpanOutcome) else found

    async def _attempt(
        self, collector: Collector, days: Sequence[date], *, is_probe: bool = False, is_urgent: bool = False
    ) -> SpanOutcome | OutageError:
        """Collects neighbouring days; returns the error if it stops more than these days.

        Raises `CalledOff`; for a probe only if the archive must not be used.
        """
        held: RateLimited | None = None

        def is_called_off() -> bool:
            nonlocal held
            held = self._held_for_too_long()
            return held is not None or (self._recovery is not None and not is_probe)

        policy = RequestPolicy(is_probe, is_called_off, is_urgent=is_urgent)
        try:
            if len(days) > 1:
                found = await collect_span(collector, days, policy)
            else:
                found = SpanOutcome((await collector.collect_day(days[0], policy),))
        except CalledOff:
            if held is None:
                raise
            return held
        except (ArchiveRefused, ArchiveLocked) as error:  # the other meters continue
            self.moved_at = asyncio.get_running_loop().time()
            self._end_jobs_of(collector)
            self._drop_postponed(collector)
            raise CalledOff from error
        except (Unavailable, RateLimited, KeyRefused, ClockUntrusted, OSError) as error:
            return error
        except Rejected as error:
            self.moved_at = asyncio.get_running_loop().time()
            return error
        except DeviceUnknown as error:
            found = SpanOutcome((self._without_device(collector, days[0], error),))
        except Exception as error:  # noqa: BLE001 - the outermost guard of a request: the others continue
            self._log.exception("job.failed", meter=collector.meter.name, day=str(days[0]))
            collector.note_failure("job.failed", type(error).__name__)
            if len(days) > 1:
                return SpanOutcome(singly=tuple(days))
            return SpanOutcome((DayOutcome.failed(days[0], f"unexpected: {type(error).__name__}"),))
        else:
            if not found.outcomes:
                return found
            self._unknown.discard(collector.meter.name)
            if any(outcome.is_common for outcome in found.outcomes):  # until the next scheduled run
                self._end_jobs_of(collector)
        self._answered = True
        self.moved_at = asyncio.get_running_loop().time()
        if self.refused_since is not None:
            self._log.info(KEY.ended, down_s=round(self.moved_at - self.refused_since, 3))
            self.refused_since = None
        return found

    def _held_for_too_long(self) -> RateLimited | None:
        """The rate-limit pause, if it lasts longer than `give_up_after_s`."""
        pacer = self._collectors[0].client.pacer
        if self._give_up_after_s is None or pacer.hold_s <= self._give_up_after_s:
            return None
        left_s = pacer.held_until - asyncio.get_running_loop().time()
        return RateLimited(f"the account's request limit is reached, for {left_s / 60:.0f} min more")

    def _without_device(self, collector: Collector, day: date, error: DeviceUnknown) -> DayOutcome:
        """The device is unknown: its jobs end until the next scheduled run; the other meters continue."""
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

    def _drop_postponed(self, collector: Collector) -> None:
        """Drops the postponed days of that meter."""
        for job, days, _ in [each for each in self._postponed if each[0].collector is collector]:
            job.release(days)
            self._lanes.settle(job)
        self._postponed = [each for each in self._postponed if each[0].collector is not collector]

    async def _postpone(self, job: Job, days: list[date], error: OutageError) -> None:
        """Postpones the days; begins an outage if all others would fail too, or there are none."""
        if (outage_of(error) is SOURCE or isinstance(error, OSError)) and days[0] in job.tried_twice:
            try:
                (day,) = days  # what was postponed before is requested alone
                job.record(await job.collector.fail_day(day, str(error)))
                return
            except OSError as full:
                error = full
        self._postponed.append((job, days, error))
        certain = outage_of(error) is not SOURCE or not self._answered or not self._lanes.has_more
        if certain or len(self._postponed) >= STRIKES:
            self._begin_outage(error)

    def _begin_outage(self, error: OutageError) -> None:
        """Pauses all work of the account until it has recovered."""
        if self._recovery is None and not self._lanes.is_closed:
            self._lanes.pause()
            self._recovery = self._group.create_task(self._recover(error))

    async def _reject(self, job: Job, day: date, error: Rejected) -> None:
        """The day waits until it is known whether the days, the meter or the account is rejected."""
        if self._recovery is not None or self._lanes.is_closed:
            self._postponed.append((job, [day], error))
            return
        collector = job.collector
        rejected = self._rejected_days.get(collector)
        if rejected is not None and rejected.diagnosis is None and rejected.error.reason != error.reason:
            await self._note_answered(collector)
            rejected = None
        if rejected is None:
            rejected = self._rejected_days[collector] = _RejectedDays(error)
        rejected.days.add(day)
        rejected.waiting.append((job, day))
        if rejected.diagnosis is None and (
            len(rejected.days) >= rejected.limit or not self._lanes.has_more_of(collector)
        ):
            self._lanes.set_aside(collector)
            rejected.diagnosis = self._group.create_task(self._diagnose(collector, rejected))

    async def _note_answered(self, collector: Collector) -> None:
        """The meter was answered: only the days rejected before have failed, not the meter."""
        rejected = self._rejected_days.get(collector)
        if rejected is not None and rejected.diagnosis is not None:
            rejected.is_answered = True
        elif rejected is not None:
            del self._rejected_days[collector]
            await self._fail(rejected)

    async def _fail(self, rejected: _RejectedDays) -> None:
        """Records the waiting days as failed, without another try."""
        waiting, rejected.waiting = rejected.waiting, []
        for job, day in waiting:
            job.collector.note_failure("day.failed", rejected.error.reason)
            try:
                job.record(await job.collector.fail_day(day, rejected.error.reason))
            except OSError as full:
                await self._postpone(job, [day], full)
            self._lanes.settle(job)

    async def _diagnose(self, collector: Collector, rejected: _RejectedDays) -> None:
        """Finds out what is rejected by trying other days, then other meters; acts on it."""
        found: DayOutcome | OutageError = rejected.error
        others_found: DayOutcome | OutageError = rejected.error
        async with self._diagnosing:
            if self._recovery is None:
                found = await self._try_other_days(collector, rejected)
            if self._recovery is None and found is rejected.error:
                others_found = await self._try_other_meters(collector, rejected)
        if isinstance(found, DayOutcome) or rejected.is_answered:
            await self._fail(rejected)
            rejected.limit = 2 * len(rejected.days)  # not diagnosed again for each further day
            rejected.diagnosis, rejected.is_answered = None, False
        elif found is not rejected.error:  # probably an outage of the account
            del self._rejected_days[collector]
            (job, day), *others = rejected.waiting
            for each, other in others:
                each.give_back([other])
            await self._postpone(job, [day], found)
        elif others_found is rejected.error:
            del self._rejected_days[collector]
            self._postponed += [(job, [day], rejected.error) for job, day in rejected.waiting]
            self._begin_outage(rejected.error)
        else:
            await self._wait_for_meter(collector, rejected)
            del self._rejected_days[collector]
        self._lanes.take_back(collector)

    async def _try_other_days(
        self, collector: Collector, rejected: _RejectedDays
    ) -> DayOutcome | OutageError:
        """The first other result of the newest days, today first; `rejected.error` if all are rejected."""
        today = collector.today()
        for day in newest_first(today, today - timedelta(days=STRIKES - 1)):
            if day not in rejected.days:
                found = await self._probe_day(collector, day)
                if not isinstance(found, Rejected):
                    return found
                rejected.days.add(day)
        return rejected.error

    async def _try_other_meters(
        self, collector: Collector, rejected: _RejectedDays
    ) -> DayOutcome | OutageError:
        """The first other result of the other meters' today; `rejected.error` if all are rejected."""
        for other in self._collectors:
            if other is not collector and self._can_try(other):
                try:
                    found = await self._probe_day(other, other.today())
                except CalledOff:  # its archive must not be used: that proves nothing of the cloud
                    continue
                if not isinstance(found, Rejected):
                    return found
        return rejected.error

    def _can_try(self, collector: Collector) -> bool:
        """Whether a request for that meter shows whether the cloud works."""
        return collector not in self.rejected and collector.refusal is None

    async def _wait_for_meter(self, collector: Collector, rejected: _RejectedDays) -> None:
        """Probes a rejected meter at growing intervals until it is answered; the others continue."""
        if self._give_up_after_s is not None:
            for each in self._lanes.jobs():
                if each.collector is collector:
                    each.end()
            await self._fail(rejected)
            return
        loop = asyncio.get_running_loop()
        began = logged_at = loop.time()
        log = self._log.bind(meter=collector.meter.name)
        self.rejected[collector] = rejected.error
        log.error(METER.started, reason=rejected.error.reason)
        self.on_outage_change()
        for number, wait_s in enumerate(METER.waits_s()):
            await asyncio.sleep(wait_s)
            if self._recovery is not None:
                continue
            day = rejected.waiting[0][1] if number % 2 else collector.today()
            found = await self._probe_day(collector, day)
            if isinstance(found, DayOutcome):
                break
            if isinstance(found, Rejected):
                self.rejected[collector] = rejected.error = found
            if loop.time() - logged_at >= _DAY_S:
                logged_at = loop.time()
                log.error(METER.started, reason=rejected.error.reason)
        log.info(METER.ended, down_s=round(loop.time() - began, 3))
        del self.rejected[collector]
        for job, day in rejected.waiting:
            job.give_back([day])
            self._lanes.settle(job)
        self.on_outage_change()

    async def _retry_postponed(self) -> None:
        """The source answers: tries the postponed days once more; then they count as failed."""
        postponed, self._postponed = self._postponed, []
        for job, days, _ in postponed:
            job.tried_twice.update(days)
            job.give_back(days, alone=True)  # neighbours that have not been tried must not fail with them
            self._lanes.settle(job)

    async def _recover(self, error: OutageError) -> None:
        """Waits and probes until the outage is over, then lets the work continue.

        The outage reported is that of the last probe: another kind has its own event and its own waits, and
        ends the outages of the steps before it.
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
        else:  # reported before the reload
            self.outage = error
            self.on_outage_change()
            lasting[outage.ended] = outage.step, self.refusal.since
            waits_s = chain((max(0.0, self.refusal.next_try_at - began),), waits_s)
        for number in count():
            if self._should_give_up(error, loop.time() - began):
                self._give_up(error)
                return
            wait_s = next(waits_s)
            if isinstance(error, KeyRefused):
                self.refusal = Refusal(error, lasting[outage.ended][1], loop.time() + wait_s)
            await asyncio.sleep(wait_s)
            if self.refusal is not None:  # even if cancelled from here on, the key has been used once more
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
        await self._retry_postponed()

    def _should_give_up(self, error: OutageError, waited_s: float) -> bool:
        """Whether to give up: after `give_up_after_s`; at once before the first answer, or if no use."""
        return self._give_up_after_s is not None and (
            not self._answered
            or outage_of(error) is not SOURCE
            or isinstance(error, Rejected)
            or waited_s >= self._give_up_after_s
            or self._held_for_too_long() is not None
        )

    def _log_ended(self, lasting: dict[str, tuple[int, float]], step: float) -> None:
        """Logs the end of the outages of all steps below `step`, which a probe has reached."""
        for ended, (stopped_at, since) in sorted(lasting.items(), key=lambda each: each[1]):
            if stopped_at < step:
                del lasting[ended]
                self._log.info(ended, down_s=round(asyncio.get_running_loop().time() - since, 3))

    def _forget_plans(self) -> None:
        """Drops what was planned with a wrong clock; the service plans again."""
        for job, days, _ in self._postponed:
            job.release(days)
        self._postponed.clear()
        self.drop()
        self.needs_new_plans = True

    async def _probe(self, error: OutageError, number: int) -> OutageError | None:
        """Checks the clock, the disk (with a file) or the source (with a request); `None` if it works.

        For a source the day that failed alternates with today, of one meter after the other: a day that
        the cloud can never answer must not count as an outage.
        """
        if not self._collectors:
            return error
        job, waiting = self._postponed[0][:2] if self._postponed else (None, [])  # none after a reload
        failed = waiting[0] if waiting else None
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
            found = await self._probe_day(collector, day)
        except CalledOff:  # the cloud answered, but the files are another meter's
            return None
        if not isinstance(found, DayOutcome):
            return found
        if job is not None and collector is job.collector and found.day == failed:
            waiting.remove(failed)
            if not waiting:
                del self._postponed[0]
            job.record(found)
            self._lanes.settle(job)
        return None

    def _log_outage(self, error: OutageError) -> None:
        self.outage = error
        self._log.error(outage_of(error).started, reason=reason_of(error))
        self.on_outage_change()

    def _give_up(self, error: OutageError) -> None:
        self.given_up = error
        for rejected in self._rejected_days.values():
            self._postponed += [(job, [day], rejected.error) for job, day in rejected.waiting]
            if rejected.diagnosis is not None:
                rejected.diagnosis.cancel()
        self._rejected_days.clear()
        for job, days, each in self._postponed:
            for day in days:
                job.record(DayOutcome.failed(day, str(each)))
        self._postponed.clear()
        self._lanes.close()
