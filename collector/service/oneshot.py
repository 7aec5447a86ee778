"""A backfill by hand: the main job once, on the parts that the service runs on."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

from collector.archive.remembered import Remembered
from collector.archive.store import DayOutcome
from collector.archive.survey import survey
from collector.cloud.meters import Meter
from collector.energy.availability import Availability
from collector.energy.days import Clock, date_in
from collector.energy.knowledge import Knowledge, Outcome
from collector.energy.planning import wanted_days
from collector.energy.retention import first_day
from collector.errors import ArchiveLocked, ArchiveRefused
from collector.service.assembly import AccountAtWork, Pacers, assembled
from collector.service.collection import Collection, Lane
from collector.service.home import home_zone
from collector.service.jobs import Job
from collector.service.totals import check_totals
from collector.service.troubles import Cause
from collector.settings import AccountSettings, Settings

_PATIENCE_S = 900.0  # a person waits; a dead line is told within a quarter of an hour
_GRACE_S = 3.0


@dataclass(frozen=True, slots=True)
class Scope:
    """How far back: `days` full days before today (`None`: all that is kept), or from `since` on.

    `since` insists: also on days before 14 empty ones.
    """

    days: int | None = 30
    since: date | None = None

    def first(self, today: date, oldest: date | None) -> date:
        """The oldest day to ask for; none before `oldest`, unless `since` says so."""
        return first_day(today, None if self.since else self.days, self.since or oldest)

    def plan(
        self,
        today: date,
        oldest: date | None,
        knowledge: Knowledge,
        availability: Availability | None,
        now: datetime,
    ) -> Iterator[date]:
        """The days to ask for, newest first."""
        first = self.first(today, oldest)
        return wanted_days(today, first, knowledge, availability, now, insist=self.since is not None)


@dataclass(slots=True)
class Report:
    """What a backfill did. `gave_up` is what ended it before its time.

    `beginnings`: since when the cloud has data of each meter, by its daily totals. `refused`: meters whose
    archive must not be used. `not_requested`: days that were still planned when it ended before its time.
    """

    counts: Counter[Outcome] = field(default_factory=Counter)
    failures: dict[str, dict[date, str]] = field(default_factory=dict)
    requests: int = 0
    holds: int = 0
    duration_s: float = 0.0
    interrupted: bool = False
    beginnings: dict[str, date] = field(default_factory=dict)
    refused: dict[str, ArchiveRefused | ArchiveLocked] = field(default_factory=dict)
    gave_up: Cause | None = None
    not_requested: int = 0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a backfill of one meter would ask for, at most, and how long that takes at the allowed pace."""

    meter: str
    days: list[date]
    requests: int
    duration_s: float

    def as_dict(self) -> dict[str, object]:
        """For a machine to read."""
        return {
            "meter": self.meter,
            "days": [day.isoformat() for day in self.days],
            "requests": self.requests,
            "duration_s": round(self.duration_s, 1),
        }


def rehearsed(settings: Settings, account: AccountSettings, scope: Scope, now: datetime) -> list[Rehearsal]:
    """The plans for one account's meters, from their files alone: nothing is asked, locked or written."""
    return [_rehearsed(settings, meter, scope, now) for meter in account.meters]


def _rehearsed(settings: Settings, meter: Meter, scope: Scope, now: datetime) -> Rehearsal:
    known, zone, availability = survey(settings.folder_of(meter), settings.day_format)
    if zone is None:
        zone = meter.zone_or(home_zone(os.environ))
    days = list(scope.plan(date_in(zone, now), meter.since, lambda: known, availability, now))
    requests = len(days) * meter.requests_per_day
    return Rehearsal(meter.name, days, requests, requests * settings.pacing.min_interval_s)


Watcher = Callable[[str, DayOutcome, list[AccountAtWork]], None]
"""Told of each day: the meter's name, how it ended, and the accounts for their pacers."""


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

    `remembered` knows where archives were before. `adopt` takes the meters' folders whatever they hold.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    report = Report()
    async with assembled(settings, clock, Pacers(), _PATIENCE_S, remembered) as accounts:
        for each in [each for account in accounts for each in account.collections] if adopt else []:
            await each.adopt()
        jobs = [await _put(account, each, scope) for account in accounts for each in account.collections]
        for job in jobs:
            job.outcomes = _watched(job.collection.meter.name, watch, accounts)
        workers = [asyncio.create_task(account.runner.run()) for account in accounts]
        stop = asyncio.create_task(interrupt.wait())
        over = asyncio.create_task(_all_done(jobs))
        await asyncio.wait([over, stop, *workers], return_when=asyncio.FIRST_COMPLETED)
        if not stop.done():  # an account that gave up does not end the others
            await asyncio.wait([over, stop], return_when=asyncio.FIRST_COMPLETED)
        report.interrupted = stop.done()
        if not report.interrupted:
            for job in jobs:
                await check_totals(job.collection)
        for account in accounts:
            account.runner.stop()
        _, late = await asyncio.wait(workers, timeout=_GRACE_S)
        for task in (*late, stop, over):
            task.cancel()
        for account in accounts:
            for each in account.collections:
                await each.idle()
        for task in workers:
            if task.done() and not task.cancelled():
                task.result()
        for job in jobs:
            report.counts += job.counts
            report.not_requested += job.count_left()
            if job.failures:
                report.failures[job.collection.meter.name] = job.failures
        report.beginnings = {
            each.meter.name: each.availability.beginning
            for account in accounts
            for each in account.collections
            if each.availability is not None and each.availability.is_usable
        }
        report.refused = {
            each.meter.name: each.refusal
            for account in accounts
            for each in account.collections
            if each.refusal is not None
        }
        report.requests = sum(account.pacer.requests for account in accounts)
        report.holds = sum(account.pacer.holds for account in accounts)
        report.gave_up = next((each.runner.given_up for each in accounts if each.runner.given_up), None)
    report.duration_s = loop.time() - began
    return report


async def _put(account: AccountAtWork, collection: Collection, scope: Scope) -> Job:
    await collection.look()
    days = collection.days_by(scope.plan)
    job = Job(Lane.BACKFILL, collection, days, asyncio.get_running_loop().time())
    job.reaches_to = lambda: scope.first(collection.today(), collection.since)
    return account.runner.put(job)


def _watched(meter: str, watch: Watcher, accounts: list[AccountAtWork]) -> Callable[[DayOutcome], None]:
    def told(outcome: DayOutcome) -> None:
        watch(meter, outcome, accounts)

    return told


async def _all_done(jobs: list[Job]) -> None:
    for job in jobs:
        await job.done.wait()
