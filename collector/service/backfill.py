"""A backfill by hand: one job per meter, on the same parts as the service."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any

from collector.archive.folder import OWN_FOLDER, recorded_span_limit, survey
from collector.archive.mark import Remembered, adopted, has_days, mark_for, read_mark
from collector.archive.store import MOST_COMPARED, DayOutcome
from collector.cloud.client import path_of
from collector.cloud.meters import Account, Meter
from collector.collect.collector import Collector, Lane
from collector.collect.daily_totals import check_totals, spans_needed
from collector.collect.outages import OutageError
from collector.collect.worker import Job
from collector.energy.days import Clock, date_in, system_timezone
from collector.energy.history import Availability, DayRecords, Outcome, first_day, latest, wanted_days
from collector.energy.spans import joined
from collector.errors import ArchiveLocked, ArchiveRefused
from collector.service.accounts import AccountAtWork, Pacers, assembled
from collector.settings import AccountSettings, Settings

_GIVE_UP_AFTER_S = 900.0  # a person is waiting
_GRACE_S = 3.0


@dataclass(frozen=True, slots=True)
class Scope:
    """How far back: `days` full days before today (`None`: all that is kept), or from `since` on.

    `since` includes empty days that are not due, and days before the meter's beginning.
    """

    days: int | None = 30
    since: date | None = None

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
        return wanted_days(today, first, records, availability, now, insist=self.since is not None)


@dataclass(slots=True)
class Report:
    """What a backfill did. `gave_up`: the error that ended it early.

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
    settings: Settings, account: AccountSettings, scope: Scope, now: datetime, *, adopt: bool = False
) -> list[Rehearsal]:
    """The plans for one account's meters, from their files alone: nothing is requested, locked or written.

    If a folder must not be used for its meter, the plan is empty.
    """
    return [_rehearsed(settings, account.account, meter, scope, now, adopt=adopt) for meter in account.meters]


def _rehearsed(
    settings: Settings, account: Account, meter: Meter, scope: Scope, now: datetime, *, adopt: bool
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
    needed += spans_needed(scope.first(today, since), today, availability, now)
    needed += MOST_COMPARED if is_unproven else 0
    requests = needed * meter.requests_per_day
    left_out = None
    if mark is not None and mark.since is not None and scope.since is None:
        wanted = scope.plan(today, meter.since, lambda: known, availability, now)
        left_out = mark.since if any(day < mark.since for day in wanted) else None
    duration_s = requests * settings.pacing.min_interval_s
    return Rehearsal(meter.name, days, requests, duration_s, is_unproven, left_out)


Watcher = Callable[[str, list[AccountAtWork], DayOutcome], None]
"""Called for each day with the meter's name, the accounts (for their pacers), and the outcome."""


async def backfill(
    settings: Settings,
    scope: Scope,
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
        for each in _collectors(accounts) if adopt else []:
            try:
                await each.adopt()
            except PermissionError:
                raise
            except OSError as error:  # before anything was written to another meter's archive
                return Report(gave_up=error, duration_s=loop.time() - began)
        jobs = [await _put(account, each, scope) for account in accounts for each in account.collectors]
        for job in jobs:
            job.outcomes = partial(watch, job.collector.meter.name, accounts)
        is_interrupted = await _work_until_done(accounts, jobs, interrupt)
        report = _report(accounts, jobs, scope, is_interrupted=is_interrupted)
    report.duration_s = loop.time() - began
    return report


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


def _report(accounts: list[AccountAtWork], jobs: list[Job], scope: Scope, *, is_interrupted: bool) -> Report:
    """The report, without the duration."""
    meters = {each.meter.name: each for each in _collectors(accounts)}
    since = {name: each.archive.since for name, each in meters.items()}
    return Report(
        counts=sum((job.counts for job in jobs), Counter()),
        failures={job.collector.meter.name: job.failures for job in jobs if job.failures},
        requests=sum(account.pacer.requests for account in accounts),
        holds=sum(account.pacer.holds for account in accounts),
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
        gave_up=next((each.runner.given_up for each in accounts if each.runner.given_up), None),
        left=sum(job.count_left() for job in jobs),
    )


def _collectors(accounts: list[AccountAtWork]) -> list[Collector]:
    return [each for account in accounts for each in account.collectors]


def _leaves_out(collector: Collector, scope: Scope, since: date) -> bool:
    """Whether days before `since` would have been requested, had the archive always been this meter's."""
    known, now = collector.archive.known, collector.now()
    days = scope.plan(collector.today(), collector.meter.since, known, collector.availability, now)
    return scope.since is None and any(day < since for day in days)


async def _put(account: AccountAtWork, collector: Collector, scope: Scope) -> Job:
    await collector.scan()
    days = collector.days_by(scope.plan)
    job = Job(Lane.BACKFILL, collector, days, asyncio.get_running_loop().time())
    job.reaches_to = lambda: scope.first(collector.today(), collector.since)
    return account.runner.put(job)
