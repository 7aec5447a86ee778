"""A backfill or reread by hand: one job per meter, in a process of its own or in the running service."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import Any, NamedTuple

from collector.archive.folder import OWN_FOLDER, recorded_span_limit, survey
from collector.archive.mark import Remembered, adopted, has_days, mark_for, missing, read_mark
from collector.archive.store import MOST_COMPARED, DayOutcome
from collector.cloud.client import path_of
from collector.cloud.meters import Account, Meter
from collector.collect.collector import Collector, Lane
from collector.collect.daily_totals import check_totals, spans_needed
from collector.collect.outages import OutageError
from collector.collect.worker import Job
from collector.energy.days import Clock, date_in, system_timezone
from collector.energy.history import (
    Availability,
    DayRecords,
    Outcome,
    first_day,
    latest,
    newest_first,
    wanted_days,
)
from collector.energy.spans import joined
from collector.errors import ArchiveLocked, ArchiveRefused, CommandRefused
from collector.service.accounts import AccountAtWork, Pacers, assembled
from collector.service.control import Running
from collector.settings import AccountSettings, Settings

_GIVE_UP_AFTER_S = 900.0  # a person is waiting
_GRACE_S = 2.0


@dataclass(frozen=True, slots=True)
class Scope:
    """The days of a backfill: `days` full days before today (`None`: all that is kept), or from `since` on.

    `since` includes empty days that are not due, and days before the meter's beginning. `until` is the last
    day.
    """

    days: int | None = 30
    since: date | None = None
    until: date | None = None

    def first(self, today: date, oldest: date | None) -> date:
        """The oldest day to request; none before `oldest`, unless `since` is set."""
        return first_day(today, None if self.since else self.days, self.since or oldest)

    def plan(
        self,
        today: date,
        oldest: date | None,
        records: DayRecords,
        availability: Availability | None,
        now: datetime,
    ) -> Iterator[date]:
        """The days to request, newest first."""
        first = self.first(today, oldest)
        days = wanted_days(today, first, records, availability, now, insist=self.since is not None)
        return days if self.until is None else (day for day in days if day <= self.until)


@dataclass(frozen=True, slots=True)
class Reread:
    """The days of a reread: all from `since` to `until` (`None`: today), also those that are complete."""

    since: date
    until: date | None = None

    def first(self, today: date, oldest: date | None) -> date:
        """The oldest day to request: not before `oldest`, nor before what the cloud keeps."""
        return first_day(today, None, latest(self.since, oldest))

    def plan(
        self,
        today: date,
        oldest: date | None,
        records: DayRecords,
        availability: Availability | None,
        now: datetime,
    ) -> Iterator[date]:
        """The days to request, newest first."""
        last = today if self.until is None else min(self.until, today)
        return newest_first(last, self.first(today, oldest))


@dataclass(slots=True)
class Report:
    """What a backfill or reread did. `gave_up`: the error that ended it early, for some accounts at least.

    `outages`: all these errors by account, or by meter where only that one is down.
    `beginnings`: since when the cloud has data of each meter, by its daily totals, if these were read
    further back. `refused`: meters whose archive must not be used. `not_requested`: meters whose archive
    was another meter's before that day, so that days before it were left out.
    `left`: days that were still planned when it ended early.
    """

    counts: Counter[Outcome] = field(default_factory=Counter)
    failures: dict[str, dict[date, str]] = field(default_factory=dict)
    requests: int = 0
    holds: int = 0
    duration_s: float = 0.0
    interrupted: bool = False
    beginnings: dict[str, date] = field(default_factory=dict)
    refused: dict[str, ArchiveRefused | ArchiveLocked] = field(default_factory=dict)
    not_requested: dict[str, date] = field(default_factory=dict)
    gave_up: OutageError | None = None
    outages: dict[str, OutageError] = field(default_factory=dict)
    left: int = 0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a backfill of one meter would request at most, and how long that takes at the allowed rate.

    Days are requested together as far as was learned until now.
    """

    meter: str
    days: list[date]
    requests: int
    duration_s: float
    must_be_proven: bool = False  # day files without a mark: they are first compared with the cloud's answers
    not_requested: date | None = None  # earlier days are left out: they were another meter's

    def as_dict(self) -> dict[str, object]:
        """The object for `--json`."""
        return {
            "meter": self.meter,
            "days": [day.isoformat() for day in self.days],
            "requests": self.requests,
            "duration_s": round(self.duration_s, 1),
            "must_be_proven": self.must_be_proven,
            "not_requested": None if self.not_requested is None else self.not_requested.isoformat(),
        }


def rehearsed(
    settings: Settings, account: AccountSettings, scope: Scope | Reread, now: datetime, *, adopt: bool = False
) -> list[Rehearsal]:
    """The plans for one account's meters, from their files alone: nothing is requested, locked or written.

    If a folder must not be used for its meter, the plan is empty.
    """
    return [_rehearsed(settings, account.account, meter, scope, now, adopt=adopt) for meter in account.meters]


def _rehearsed(
    settings: Settings, account: Account, meter: Meter, scope: Scope | Reread, now: datetime, *, adopt: bool
) -> Rehearsal:
    folder = settings.folder_of(meter)
    known, zone, availability = survey(folder, settings.day_format)
    zone = zone or meter.zone_or(system_timezone(os.environ))
    today = date_in(zone, now)
    try:
        mark = adopted(folder, meter.identity, today) if adopt else mark_for(folder, meter.identity)
        before = read_mark(folder / OWN_FOLDER)
    except ArchiveRefused:
        return Rehearsal(meter.name, [], 0, 0.0)
    if before is not None and before.identity != meter.identity:  # its requests do not count for this meter
        known = {day: state._replace(last_attempt=None) for day, state in known.items() if state.stored}
        availability = None
    since = latest(meter.since, mark.since if mark else None)
    days = list(scope.plan(today, since, lambda: known, availability, now))
    is_unproven = mark is None and has_days(folder)
    longest_h = recorded_span_limit(folder, path_of(account, meter)).surely_h
    needed = sum(1 for _ in joined(days, zone, longest_h))
    if isinstance(scope, Scope):
        needed += spans_needed(scope.first(today, since), today, availability, now)
    needed += MOST_COMPARED if is_unproven else 0
    requests = needed * meter.requests_per_day
    left_out = None
    if mark is not None and mark.since is not None and _is_open(scope):
        wanted = scope.plan(today, meter.since, lambda: known, availability, now)
        left_out = mark.since if any(day < mark.since for day in wanted) else None
    duration_s = requests * settings.pacing.min_interval_s
    return Rehearsal(meter.name, days, requests, duration_s, is_unproven, left_out)


def _is_open(scope: Scope | Reread) -> bool:
    """Whether the days reach back as far as the archive is this meter's, and no further."""
    return isinstance(scope, Scope) and scope.since is None


class DayDone(NamedTuple):
    """Progress: a day that is done, and how many requests and rate-limit pauses there were until then."""

    meter: str
    day: date
    requests: int
    holds: int


Watcher = Callable[[DayDone], None]
"""Called for each day."""


async def backfill(
    settings: Settings,
    scope: Scope | Reread,
    clock: Clock,
    interrupt: asyncio.Event,
    watch: Watcher,
    *,
    remembered: Remembered | None = None,
    adopt: bool = False,
) -> Report:
    """Collects the days of `scope` of all meters, newest first. Raises `ArchiveError` at the start.

    `remembered` knows where archives were before. `adopt` takes the meters' folders whatever they contain.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with assembled(settings, clock, Pacers(), _GIVE_UP_AFTER_S, remembered) as accounts:
        if adopt and (failed := await _adopt(_collectors(accounts))) is not None:
            return Report(gave_up=failed, duration_s=loop.time() - began)
        jobs = await _put_all(accounts, scope, watch, Lane.BACKFILL)
        is_interrupted = await _work_until_done(accounts, jobs, interrupt)
        report = _report(accounts, jobs, scope, is_interrupted=is_interrupted)
    report.duration_s = loop.time() - began
    return report


async def requested(
    running: Running, meters: Collection[str], scope: Scope | Reread, watch: Watcher, *, adopt: bool = False
) -> Report:
    """The same in the running service, for the meters of those names; its schedule goes on beside.

    An outage ends only the waiting, when the days that it does not affect are done: the service continues
    with the others. Requests and pauses that it needs meanwhile for other days are counted, too.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    accounts = [
        replace(account, collectors=wanted)
        for account in running.accounts
        if (wanted := tuple(each for each in account.collectors if each.meter.name in meters))
    ]
    requests, holds = _counted(accounts)
    for each in _collectors(accounts):
        archive = each.archive
        if archive.is_taken and await each.blocking(missing, archive.folder, archive.remembered) is not None:
            raise CommandRefused(
                f"{archive.folder} is empty, and the service has had an archive there; perhaps its disk is "
                "not mounted. Mount it; or, for a new archive, stop the service and run `backfill --adopt`."
            )
    if adopt and (failed := await _adopt(_collectors(accounts))) is not None:
        return Report(gave_up=failed, duration_s=loop.time() - began)
    jobs = await _put_all(accounts, scope, watch, Lane.COMMAND)
    planned = {job: sum(1 for _ in job.collector.days_by(scope.plan)) for job in jobs}
    outages = await _done_or_outages(running, accounts, jobs)
    if isinstance(scope, Scope):
        for job in jobs:
            if job.done.is_set():
                await check_totals(job.collector)
    report = _report(accounts, jobs, scope, is_interrupted=False)
    report.left += sum(
        max(0, count - job.counts.total()) for job, count in planned.items() if not job.done.is_set()
    )
    report.requests -= requests
    report.holds -= holds
    report.outages, report.gave_up = outages, next(iter(outages.values()), None)
    report.duration_s = loop.time() - began
    return report


def _counted(accounts: list[AccountAtWork]) -> tuple[int, int]:
    """The requests and the rate-limit pauses of these accounts since the start."""
    return sum(each.pacer.requests for each in accounts), sum(each.pacer.holds for each in accounts)


async def _done_or_outages(
    running: Running, accounts: list[AccountAtWork], jobs: list[Job]
) -> dict[str, OutageError]:
    """Waits until each job is done or an outage keeps it from that; returns these outages."""
    account_of = {collector: account for account in accounts for collector in account.collectors}
    while True:
        outages, working = dict[str, OutageError](), list[Job]()
        for job in jobs:
            account, meter = account_of[job.collector], job.collector.meter
            if job.done.is_set():
                continue
            if (outage := account.runner.outage) is not None:
                outages[account.account.name] = outage
            elif (rejected := account.runner.rejected.get(job.collector)) is not None:
                outages[meter.name] = rejected
            else:
                working.append(job)
        if not working:
            return outages
        waits: list[asyncio.Future[Any]] = [
            asyncio.create_task(_done(working)),
            asyncio.create_task(running.outage_change()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()


async def _done(jobs: list[Job]) -> None:
    for job in jobs:
        await job.done.wait()


async def _adopt(collectors: list[Collector]) -> OSError | None:
    """Adopts the archives; returns the error before anything was written to another meter's archive."""
    for each in collectors:
        try:
            await each.adopt()
        except PermissionError:
            raise
        except OSError as error:
            return error
    return None


async def _work_until_done(accounts: list[AccountAtWork], jobs: list[Job], interrupt: asyncio.Event) -> bool:
    """Works until all jobs are done and saved; returns whether it was interrupted."""
    workers: list[asyncio.Future[Any]] = [asyncio.create_task(account.runner.run()) for account in accounts]
    stop: asyncio.Future[Any] = asyncio.create_task(interrupt.wait())
    all_done: asyncio.Future[Any] = asyncio.gather(*(job.done.wait() for job in jobs))
    await asyncio.wait([all_done, stop, *workers], return_when=asyncio.FIRST_COMPLETED)
    if not stop.done():  # an account that gave up does not end the others
        await asyncio.wait([all_done, stop], return_when=asyncio.FIRST_COMPLETED)
    is_interrupted = stop.done()
    if not is_interrupted:
        for job in jobs:
            await check_totals(job.collector)
    for account in accounts:
        account.runner.stop()
    _, late = await asyncio.wait(workers, timeout=_GRACE_S)
    for task in (*late, stop, all_done):
        task.cancel()
    for each in _collectors(accounts):
        await each.blocking.idle()
    for task in workers:
        if task.done() and not task.cancelled():
            task.result()
    return is_interrupted


def _report(
    accounts: list[AccountAtWork], jobs: list[Job], scope: Scope | Reread, *, is_interrupted: bool
) -> Report:
    """The report, without the duration."""
    meters = {each.meter.name: each for each in _collectors(accounts)}
    since = {name: each.archive.since for name, each in meters.items()}
    requests, holds = _counted(accounts)
    outages = {each.account.name: each.runner.given_up for each in accounts if each.runner.given_up}
    return Report(
        counts=sum((job.counts for job in jobs), Counter()),
        failures={job.collector.meter.name: job.failures for job in jobs if job.failures},
        requests=requests,
        holds=holds,
        interrupted=is_interrupted,
        beginnings={
            name: day
            for name, each in meters.items()
            if each.availability
            and (day := each.availability.beginning_seen(first_day(each.today(), None, None)))
        },
        refused={name: each.refusal for name, each in meters.items() if each.refusal is not None},
        not_requested={
            name: day for name, day in since.items() if day and _leaves_out(meters[name], scope, day)
        },
        gave_up=next(iter(outages.values()), None),
        outages=outages,
        left=sum(job.count_left() for job in jobs if job.done.is_set()),  # others continue
    )


def _collectors(accounts: list[AccountAtWork]) -> list[Collector]:
    return [each for account in accounts for each in account.collectors]


def _leaves_out(collector: Collector, scope: Scope | Reread, since: date) -> bool:
    """Whether days before `since` would have been requested, had the archive always been this meter's."""
    known, now = collector.archive.known, collector.now()
    days = scope.plan(collector.today(), collector.meter.since, known, collector.availability, now)
    return _is_open(scope) and any(day < since for day in days)


async def _put_all(
    accounts: list[AccountAtWork], scope: Scope | Reread, watch: Watcher, lane: Lane
) -> list[Job]:
    """Puts one job for each meter."""

    def done(meter: str, outcome: DayOutcome) -> None:
        watch(DayDone(meter, outcome.day, *_counted(accounts)))

    jobs = []
    for account in accounts:
        for each in account.collectors:
            job = await _put(account, each, scope, lane)
            job.outcomes = partial(done, each.meter.name)
            jobs.append(job)
    return jobs


async def _put(account: AccountAtWork, collector: Collector, scope: Scope | Reread, lane: Lane) -> Job:
    await collector.scan()
    if isinstance(scope, Reread):
        await _mark(collector, scope)
    job = Job(lane, collector, collector.days_by(scope.plan), asyncio.get_running_loop().time())
    if isinstance(scope, Scope):
        job.reaches_to = lambda: scope.first(collector.today(), collector.since)
    return account.runner.put(job)


async def _mark(collector: Collector, scope: Reread) -> None:
    """Marks the days as to be requested again, so that a stop or an outage does not end the reread.

    Does nothing if the archive is not taken.
    """
    archive, today = collector.archive, collector.today()
    planned = scope.plan(today, collector.since, archive.known, None, collector.now())
    days = [day for day in planned if day < today]

    def mark() -> None:
        for day in days:
            archive.request_again(day, "reread")

    await collector.blocking(mark)
