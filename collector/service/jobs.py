"""Collect one day, many days: the only place where cloud and archive meet."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from functools import partial
from typing import Any, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

from collector import logs
from collector.archive.store import Archive, DayOutcome
from collector.cloud.answers import read_day
from collector.cloud.client import CloudClient
from collector.cloud.meters import Meter
from collector.energy.days import Clock, date_in, local_day, zone_named
from collector.energy.planning import (
    Knowledge,
    Outcome,
    PlanPolicy,
    backfill_days,
    first_day,
    heal_days,
    lost_days,
    refresh_days,
)
from collector.errors import AnswerError, Rejected
from collector.threads import DaemonThreads

P = ParamSpec("P")
T = TypeVar("T")
Plan = Callable[[date, date | None, Knowledge, datetime], Iterator[date]]
"""From today, the oldest day wanted, what is known, and now: the days to ask for."""

_log = logs.get_logger("jobs")


class Lane(StrEnum):
    """What a job is for, the most urgent first."""

    REFRESH = "refresh"
    HEAL = "heal"
    BACKFILL = "backfill"


class Collection:
    """One meter's way from its cloud into its archive."""

    def __init__(
        self,
        meter: Meter,
        client: CloudClient,
        archive: Archive,
        policy: PlanPolicy,
        clock: Clock,
        home_zone: ZoneInfo,
    ) -> None:
        """`home_zone` is where this machine stands: the meter's zone until the cloud tells it."""
        self.meter = meter
        self.client = client
        self.archive = archive
        self._policy = policy
        self._clock = clock
        self._home_zone = zone_named(meter.timezone) if meter.timezone else home_zone
        self._threads = DaemonThreads()
        self._one_at_a_time = asyncio.Lock()
        self._under_way: asyncio.Future[Any] | None = None
        self._log = _log.bind(meter=meter.name)

    @property
    def zone_known(self) -> bool:
        """Whether the cloud has told the meter's zone."""
        return self.archive.zone is not None

    @property
    def zone(self) -> ZoneInfo:
        """The meter's zone, as well as it is known."""
        return self.archive.zone or self._home_zone

    async def collect_day(self, day: date, *, once: bool = False) -> DayOutcome:
        """Asks for one day and saves what came; it is durable when this returns.

        Raises `SourceError` where the cloud did not answer and `OSError` where nothing could be saved.
        """
        now = self._clock()
        try:
            answer = await self.client.fetch_day(self.meter, day, once=once)
            read = read_day(answer, self.meter, now)
        except AnswerError as error:
            self._log.warning("answer.rejected", day=str(day), field=error.field, reason=error.reason)
            return await self.fail_day(day, f"answer.rejected: {error}")
        except Rejected as error:
            return await self.fail_day(day, error.reason)
        kinds = Counter((anomaly.field, anomaly.reason) for anomaly in read.anomalies)
        for (name, reason), hours in kinds.items():
            self._log.warning("answer.anomaly", day=str(day), field=name, reason=reason, hours=hours)
        known_zone = self.archive.ledger.zone
        outcome = await self.blocking(self.archive.merge, read.energy_day, now)
        self._tell(outcome, doubtful=len(read.energy_day.doubtful))
        self._tell_zone(known_zone, read.energy_day.day.zone.key)
        return outcome

    async def fail_day(self, day: date, reason: str) -> DayOutcome:
        """Remembers that a day could not be had, and why."""
        local = local_day(day, self.zone)
        await self.blocking(self.archive.note_failure, local, reason, self._clock())
        self._log.warning("day.failed", day=str(day), reason=reason)
        return DayOutcome.failed(day, reason)

    async def look(self) -> None:
        """Looks at the files: finds what a person changed, and moves damaged ones aside."""
        for quarantined in await self.blocking(self.archive.scan):
            self._log.warning(
                "file.quarantined",
                day=str(quarantined.day),
                reason=quarantined.reason,
                place=str(quarantined.place),
            )

    def days_for(self, lane: Lane) -> Iterator[date]:
        """The days that a job of that lane asks for; planned when the first is taken, not before.

        While the meter's zone is unknown its today is a guess: that day comes first, alone.
        """
        return self._after_a_guess(lambda: self._planned(lane))

    def days_by(self, plan: Plan) -> Iterator[date]:
        """The days of a plan that somebody else makes."""
        return self._after_a_guess(
            lambda: plan(self.today(), self.meter.since, self.archive.known, self._clock())
        )

    def _after_a_guess(self, plan: Callable[[], Iterator[date]]) -> Iterator[date]:
        guess = None
        if not self.zone_known:
            guess = self.today()
            yield guess
        yield from (day for day in plan() if day != guess)

    def today(self) -> date:
        """The meter's date now."""
        return date_in(self.zone, self._clock())

    async def tell_losses(self) -> None:
        """Says, once, which days the cloud forgot before they were complete."""
        first = first_day(self.today(), None, self.meter.since)
        ledger = self.archive.ledger
        lost = lost_days(first, self.archive.known(), ledger.lost_before)
        if lost:
            days = [str(day) for day in lost]
            self._log.warning(
                "history.lost", count=len(days), oldest=days[0], newest=days[-1], days=days[:40]
            )
            await self.blocking(ledger.note_lost, first)

    async def blocking(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A blocking call on the archive, off the loop, one after the other.

        A card that stalls must not starve the watchdog. Cancelling does not stop the thread.
        """
        async with self._one_at_a_time:
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._threads, partial(call, *args, **kwargs))
            self._under_way = future
            return await asyncio.shield(future)

    async def idle(self) -> None:
        """Until no blocking call is under way, also one whose caller was cancelled."""
        if self._under_way is not None:
            await asyncio.wait([self._under_way])

    def _planned(self, lane: Lane) -> Iterator[date]:
        now, today, since = self._clock(), self.today(), self.meter.since
        if lane is Lane.REFRESH:
            return refresh_days(today, self.archive.known(), now)
        if lane is Lane.HEAL:
            oldest = first_day(today, None, since)
            return heal_days(self.zone, oldest, self.archive.known(), now, self._policy)
        oldest = first_day(today, self._policy.backfill_days, since)
        return backfill_days(today, oldest, self.archive.known)

    def _tell(self, outcome: DayOutcome, doubtful: int) -> None:
        day = str(outcome.day)
        for quarantined in outcome.quarantined:
            self._log.warning(
                "file.quarantined", day=day, reason=quarantined.reason, place=str(quarantined.place)
            )
        for revision in outcome.revisions:
            self._log.info(
                "hour.revised",
                day=day,
                ts=revision.ts,
                column=revision.column,
                old_kwh=str(revision.old_kwh),
                new_kwh=str(revision.new_kwh),
            )
        if doubtful and not outcome.complete:
            self._log.warning("day.doubtful", day=day, hours=doubtful)
        level = self._log.debug if outcome.outcome in (Outcome.UNCHANGED, Outcome.EMPTY) else self._log.info
        level(f"day.{outcome.outcome}", day=day, hours=outcome.hours, missing_hours=outcome.missing)

    def _tell_zone(self, before: str | None, now: str) -> None:
        if before is None:
            self._log.info("zone.learned", zone=now)
        elif before != now:
            self._log.warning("zone.changed", old=before, zone=now)


@dataclass(slots=True, eq=False)
class Job:
    """Many days of one meter, for one reason, and what became of them."""

    lane: Lane
    collection: Collection
    days: Iterator[date]
    started_at: float
    done: asyncio.Event = field(default_factory=asyncio.Event)
    counts: Counter[Outcome] = field(default_factory=Counter)
    failures: dict[date, str] = field(default_factory=dict)
    outcomes: Callable[[DayOutcome], None] = lambda outcome: None
    tried_twice: set[date] = field(default_factory=set)
    open: int = 0
    exhausted: bool = False
    _given_back: deque[date] = field(default_factory=deque)
    _requests_before: int = 0
    _holds_before: int = 0

    def __post_init__(self) -> None:
        pacer = self.collection.client.pacer
        self._requests_before, self._holds_before = pacer.requests, pacer.holds

    def next_day(self) -> date | None:
        """The next day to collect; `None` when there is none, or none before the zone is known."""
        if self.open and not self.collection.zone_known:
            return None
        day = self._given_back.popleft() if self._given_back else next(self.days, None)
        if day is None:
            self.exhausted = True
        else:
            self.open += 1
        return day

    def give_back(self, day: date) -> None:
        """The day could not be had now, through no fault of its own: it comes first next time."""
        self.open -= 1
        self.exhausted = False
        self._given_back.append(day)

    def record(self, outcome: DayOutcome) -> None:
        """One day is done."""
        self.open -= 1
        self.counts[outcome.outcome] += 1
        if outcome.outcome is Outcome.FAILED:
            self.failures[outcome.day] = outcome.reason
        self.outcomes(outcome)

    def end(self) -> None:
        """No further days."""
        self.days = iter(())
        self._given_back.clear()
        self.exhausted = True

    @property
    def is_over(self) -> bool:
        """All its days are done."""
        return self.exhausted and not self.open

    def finish(self, now: float) -> None:
        """Tells the job's story in one line. `now` is loop time."""
        pacer = self.collection.client.pacer
        _log.info(
            "job.finished",
            meter=self.collection.meter.name,
            job=self.lane.value,
            **{outcome.value: self.counts[outcome] for outcome in Outcome},
            requests=pacer.requests - self._requests_before,
            holds=pacer.holds - self._holds_before,
            duration_s=round(now - self.started_at, 3),
        )
        self.done.set()
