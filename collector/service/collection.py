"""Collection: one meter's way from its cloud into its archive; the only place where the two meet."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Set
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

from collector import logs
from collector.archive.store import Archive, DayOutcome
from collector.cloud.answers import DayAnswer, ReadDay, read_day
from collector.cloud.client import CloudClient
from collector.cloud.meters import Meter
from collector.energy.days import Clock, LocalDay, date_in, known_zone, local_day
from collector.energy.early import EarlyHours
from collector.energy.knowledge import Knowledge, Outcome
from collector.energy.planning import PlanPolicy, backfill_days, heal_days, refresh_days
from collector.energy.retention import first_day, lost_days
from collector.energy.zones import may_be_wrong
from collector.errors import AnswerError, Rejected, UnreadableFile, ZoneContradicted, ZoneUnknown
from collector.service.standing import Failure
from collector.service.telling import (
    tell_changed,
    tell_day,
    tell_outdated,
    tell_quarantined,
    tell_suspicion,
    tell_unreadable,
    tell_zone,
)
from collector.service.trust import check_clock
from collector.threads import DaemonThreads

P = ParamSpec("P")
T = TypeVar("T")
Plan = Callable[[date, date | None, Knowledge, datetime], Iterator[date]]
"""From today, the oldest day wanted, what is known, and now: the days to ask for."""

_ZONE_PROOFS = 3

_log = logs.get_logger("collection")


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
        self.policy = policy
        self._clock = clock
        self._home_zone = meter.zone_or(home_zone)
        self._threads = DaemonThreads()
        self._one_at_a_time = asyncio.Lock()
        self._under_way: asyncio.Future[Any] | None = None
        self.is_looked_at = False  # whether the files were; until then nothing is known of them
        self.writes = 0  # how often a day was saved
        self.answered_at: int | None = None  # epoch seconds: the last answer for today that was kept
        self.failure: Failure | None = None
        self.claimed: set[date] = set()  # days that a job has taken and not yet done
        self._losses_looked_for: date | None = None
        self._zone_told = archive.ledger.zone
        self._suspicion_told = archive.ledger.suspicion
        self._unknown_told: Set[str] = frozenset()
        self._early_hours = EarlyHours()
        self._outdated: Set[date] = frozenset()  # told already
        self._unreadable: Set[date] = frozenset()  # told already
        self._changed: Set[date] = frozenset()  # told already
        self._other_zones: deque[str] = deque(maxlen=_ZONE_PROOFS)
        self._log = _log.bind(meter=meter.name)

    @property
    def zone(self) -> ZoneInfo:
        """The meter's zone, as well as it is known."""
        return self.archive.zone or self._home_zone

    async def collect_day(
        self, day: date, *, once: bool = False, is_called_off: Callable[[], bool] = lambda: False
    ) -> DayOutcome:
        """Asks for one day and saves what came; it is durable when this returns.

        Raises `CalledOff` where it was before its turn, `SourceError` where the cloud did not answer,
        `OSError` where nothing could be saved, `ClockUntrusted` where nobody knows which hours are over.
        """
        try:
            answer = await self.client.fetch_day(self.meter, day, once=once, is_called_off=is_called_off)
            self.check_clock()
            now = self._clock()  # the one that is trusted; it may have been set since the day was asked for
            asked = now - timedelta(seconds=answer.grid_age_s)
            read = read_day(answer, self.meter, now)
            self._check_zone(read.energy_day.day)
        except AnswerError as error:
            event = await self._reject(day, error)
            self.note_failure(event, str(error))
            return await self.fail_day(day, f"{event}: {error}")
        except Rejected as error:
            self.note_failure("day.failed", error.reason)
            return await self.fail_day(day, error.reason)
        kinds = Counter((anomaly.field, anomaly.reason) for anomaly in read.anomalies)
        for (name, reason), hours in kinds.items():
            self._log.warning("answer.anomaly", day=str(day), field=name, reason=reason, hours=hours)
        await self._check_rules(answer, read, asked)
        try:
            outcome = await self.blocking(self.archive.merge, read.energy_day, asked)
        except UnreadableFile as error:  # nobody knows what an answer would replace
            await self.blocking(self.archive.probe)  # raises where it is the disk, not the file
            self.note_failure("file.unreadable", error.reason)
            return await self.fail_day(day, f"file.unreadable: {error.reason}")
        tell_day(self._log, outcome, doubtful=len(read.energy_day.doubtful))
        self._tell_zone()
        await self._tell_losses()
        if day == self.today():  # an older day says nothing of how fresh the data are
            self.answered_at = int(self._clock().timestamp())
        self.writes += outcome.outcome in (Outcome.WRITTEN, Outcome.PARTIAL)
        return outcome

    def _tell_zone(self) -> None:
        """Each news of it once, also where several days are under way."""
        if (zone := self.archive.ledger.zone) is not None:
            tell_zone(self._log, self._zone_told, zone)
        self._zone_told = zone
        self._tell_suspicion(self.zone)

    def _tell_suspicion(self, zone: ZoneInfo) -> None:
        """That the rules of the zone are in doubt, and that they no longer are: once each."""
        told, suspicion = self._suspicion_told, self.archive.ledger.suspicion
        self._suspicion_told = suspicion
        if (told is None) != (suspicion is None):
            tell_suspicion(self._log, suspicion, zone)

    def _tell_unknown(self, name: str, configured: str | None) -> None:
        """That this machine does not know the zone that the answers name: once."""
        if name not in self._unknown_told:
            self._unknown_told |= {name}
            if configured is None:
                self._log.error("zone.unknown", zone=name, configured=None)
            else:
                self._log.warning("zone.unknown", zone=name, configured=configured)

    async def _reject(self, day: date, error: AnswerError) -> str:
        """Says why an answer cannot be used, which may be this machine's own lack; gives the event's name."""
        if isinstance(error, ZoneUnknown):
            self._tell_unknown(error.zone, None)
            return "zone.unknown"
        zone = known_zone(error.zone) if isinstance(error, ZoneContradicted) else None
        known = self.archive.zone
        is_the_meters = zone is not None and (known is None or known.key == zone.key)
        if zone is not None and is_the_meters and may_be_wrong(zone, day):
            await self.blocking(self.archive.suspect, zone, error.reason, self._clock(), day)
            self._tell_suspicion(zone)
            return "zone.suspected"
        self._log.warning("answer.rejected", day=str(day), field=error.field, reason=error.reason)
        return "answer.rejected"

    async def _check_rules(self, answer: DayAnswer, read: ReadDay, asked: datetime) -> None:
        """Whether the zone is known, and hours are whole before they can be by its rules: those are old."""
        zone = read.energy_day.day.zone
        name = answer.grid["timezone"]
        if known_zone(name) is None:
            self._tell_unknown(name, zone.key)
        if self.client.cloud_now() is None or not may_be_wrong(zone, read.energy_day.day.date):
            return  # it may be this machine's clock that is behind
        verdict = self._early_hours.note(read.unfinished, read.energy_day.readings, asked)
        suspicion = self.archive.ledger.suspicion
        if verdict and suspicion is None:
            reason = f"hours are whole before they are over by the rules of {zone.key}"
            await self.blocking(self.archive.suspect, zone, reason, self._clock())
        elif verdict is False and suspicion is not None and suspicion.day is None:
            await self.blocking(self.archive.trust)

    def check_clock(self) -> None:
        """Raises `ClockUntrusted` where this machine's clock cannot be right."""
        cloud_now, newest = self.client.cloud_now(), None
        if cloud_now is None:  # then what is stored is all there is to go by
            newest = max((day for day, state in self.archive.known().items() if state.stored), default=None)
        check_clock(self._clock(), self.today(), cloud_now, newest)

    def _check_zone(self, answered: LocalDay) -> None:
        """A meter may move to another zone, but one odd answer must not turn all days around.

        Raises `AnswerError` until three answers in a row say the same.
        """
        known = self.archive.zone
        if known is None or local_day(answered.date, known).hours == answered.hours:
            self._other_zones.clear()
            return
        self._other_zones.append(answered.zone.key)
        if len(set(self._other_zones)) > 1 or len(self._other_zones) < _ZONE_PROOFS:
            raise AnswerError("timezone", f"{answered.zone.key}, but until now {known.key}")
        self._other_zones.clear()

    async def fail_day(self, day: date, reason: str) -> DayOutcome:
        """Remembers that a day could not be had, and why."""
        local = local_day(day, self.zone)
        await self.blocking(self.archive.note_failure, local, reason, self._clock())
        self._log.warning("day.failed", day=str(day), reason=reason)
        return DayOutcome.failed(day, reason)

    def note_failure(self, event: str, reason: str) -> None:
        """Remembers what went wrong last, for those who ask from outside."""
        self.failure = Failure(event, int(self._clock().timestamp()), reason)

    async def look(self) -> None:
        """Looks at the files: finds what a person changed, and moves damaged ones aside.

        Raises `OSError` where the disk is in trouble.
        """
        damaged = await self.blocking(self.archive.scan)
        self.is_looked_at = True
        for quarantined in damaged:
            tell_quarantined(self._log, quarantined)
        if self.archive.unreadable.keys() - self._unreadable:
            await self.blocking(self.archive.probe)  # a disk in trouble is told as that
        unreadable = self.archive.unreadable
        if news := {day: reason for day, reason in unreadable.items() if day not in self._unreadable}:
            tell_unreadable(self._log, news)
        self._unreadable = unreadable.keys()
        if more := self.archive.changed - self._changed:
            tell_changed(self._log, more)
        self._changed = self.archive.changed
        outdated = self.archive.outdated.copy()
        if more := outdated - self._outdated:
            tell_outdated(self._log, more, self.archive.ledger.zone)
        self._outdated = outdated
        self._tell_suspicion(self.zone)

    def days_for(self, lane: Lane) -> Iterator[date]:
        """The days that a job of that lane asks for; planned when the first is taken, not before."""
        return self._replanned(lambda: self._planned(lane))

    def days_by(self, plan: Plan) -> Iterator[date]:
        """The days of a plan that somebody else makes."""
        return self._replanned(
            lambda: plan(self.today(), self.meter.since, self.archive.known, self._clock())
        )

    def _replanned(self, plan: Callable[[], Iterator[date]]) -> Iterator[date]:
        """The plan's days, each once; and what it says more once the zone turns out to be another.

        Until the first answer the zone, and so the meter's today, may be a guess.
        """
        asked: set[date] = set()
        zone = None
        while zone != self.zone:
            zone = self.zone
            for day in plan():
                if day not in asked:
                    asked.add(day)
                    yield day

    def today(self) -> date:
        """The meter's date now."""
        return date_in(self.zone, self._clock())

    async def _tell_losses(self) -> None:
        """Says, once, which days the cloud forgot before they were complete. Looks once a day."""
        first = first_day(self.today(), None, None)
        if first == self._losses_looked_for:
            return
        self._losses_looked_for = first
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
            return heal_days(self.zone, oldest, self.archive.known(), now, self.policy)
        oldest = first_day(today, self.policy.backfill_days, since)
        return backfill_days(today, oldest, self.archive.known)
