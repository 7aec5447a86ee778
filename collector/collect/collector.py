"""Collector: one meter's way from its cloud into its archive; the only place where the two meet."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from collector import logs
from collector.archive.ledger import Bounds
from collector.archive.store import Archive, DayOutcome, Quarantined
from collector.cloud.client import CloudClient, RequestPolicy
from collector.cloud.meters import Meter
from collector.cloud.parse import DayAnswer, ReadDay, read_day
from collector.collect.takeover import compared, unscaled
from collector.energy.days import Clock, LocalDay, date_in, known_zone, last_skip, local_day
from collector.energy.history import (
    NOTHING,
    Availability,
    DayRecords,
    Outcome,
    PlanPolicy,
    backfill_days,
    first_day,
    heal_days,
    is_worth_it,
    latest,
    lost_days,
    refresh_days,
)
from collector.energy.identity import Match
from collector.energy.plausibility import EarlyHours, LateHours
from collector.energy.readings import EnergyDay
from collector.energy.totals import DayTotal
from collector.energy.zones import are_one, may_be_wrong, rules_of
from collector.errors import (
    AnswerError,
    ArchiveLocked,
    ArchiveRefused,
    ClockUntrusted,
    SourceError,
    UnreadableFile,
    ZoneContradicted,
    ZoneUnknown,
)
from collector.events import CURES
from collector.logs import Logger
from collector.status import Failure
from collector.threads import BlockingCalls

Plan = Callable[[date, date | None, DayRecords, Availability | None, datetime], Iterator[date]]
"""From today, the oldest day needed, what is known, which days the cloud has, now: the days to collect."""

_USUAL = RequestPolicy()
_ZONE_PROOFS = 3
_TRY_AGAIN_S = 3600.0
_OTHERS = "day files of another meter or tool: they are not what the cloud has"
_NOBODY_KNOWS = "day files of which nobody knows whose they are: no day could be compared with those"

SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")  # made by systemd-timesyncd, see its manual
_TOLERANCE_S = 120.0

_log = logs.get_logger("collection")


class Lane(StrEnum):
    """What a job is for, the most urgent first."""

    REFRESH = "refresh"
    HEAL = "heal"
    BACKFILL = "backfill"


class Collector:
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
        """`home_zone` is this machine's: the meter's zone until an answer names it."""
        self.meter = meter
        self.client = client
        self.archive = archive
        self.policy = policy
        self._clock = clock
        self._home_zone = meter.zone_or(home_zone)
        self.blocking = BlockingCalls()  # on the archive: a card that stalls must not starve the watchdog
        self._taking_over = asyncio.Lock()
        self.refusal: ArchiveRefused | ArchiveLocked | None = None  # why the archive must not be used
        self._compared_files: Mapping[date, int] | None = None  # what lay there when it was refused for that
        self.is_reading_totals = False
        self.totals: Mapping[date, DayTotal] = {}  # the cloud's, until the stored days are compared with them
        self.totals_waits = 0  # how often they could not be read
        self.totals_not_before = 0.0  # loop time
        self.is_scanned = False  # whether the files were; until then nothing is known of them
        self.writes = 0  # how often a day was saved
        self.answered_at: int | None = None  # epoch seconds: the last answer for today that was kept
        self.failure: Failure | None = None
        self.claimed: set[date] = set()  # days that a job has taken and not yet done
        self._losses_looked_for: date | None = None
        self._zone_logged = archive.ledger.zone
        self._suspicion_logged = archive.ledger.suspicion
        self._unknown_logged: Set[str] = frozenset()
        self._early_hours = EarlyHours()
        self._late_hours = LateHours()
        self._trying_rules = asyncio.Lock()
        self._rules_tried: int | None = None  # the checksum of those that were
        self._rules_held = False  # whether the meter went by those when they last skipped an hour
        self._try_not_before = 0.0  # loop time
        self._outdated: Set[date] = frozenset()  # those that were logged
        self._weaknesses: list[str] = []  # those that were logged
        self._unreadable: Set[date] = frozenset()  # those that were logged
        self._changed: Set[date] = frozenset()  # those that were logged
        self._gone: dict[date, bool] = {}  # those that were logged; whether the cloud had forgotten them
        self._other_zones: deque[str] = deque(maxlen=_ZONE_PROOFS)
        self._log = _log.bind(meter=meter.name)

    @property
    def since(self) -> date | None:
        """The first day to request: the configured one, or later where the archive was another meter's."""
        return latest(self.meter.since, self.archive.since)

    @property
    def zone(self) -> ZoneInfo:
        """The meter's zone, as well as it is known."""
        return self.archive.zone or self._home_zone

    async def collect_day(self, day: date, policy: RequestPolicy = _USUAL) -> DayOutcome:
        """Fetches one day, parses the answer and merges it into the day's file: durable when this returns.

        Raises `CalledOff` where a request was called off, `SourceError` where the cloud did not answer,
        `OSError` where nothing could be saved, `ClockUntrusted` where it is not certain which hours are over,
        `ArchiveRefused` or `ArchiveLocked` where the archive must not be used.
        """
        try:
            await self.take_over(policy)
            answer = await self.client.fetch_day(self.meter, day, policy)
            read, requested_at = self._parsed(answer)
        except AnswerError as error:
            return await self._reject(day, error)
        await self._check_rules(answer, read, requested_at, policy)
        try:
            outcome = await self.blocking(self.archive.merge, read.energy_day, requested_at)
        except UnreadableFile as error:  # it is unknown what an answer would replace
            await self.blocking(self.archive.probe)  # raises where it is the disk, not the file
            self.note_failure("file.unreadable", error.reason)
            return await self.fail_day(day, f"file.unreadable: {error.reason}")
        await self._note_saved(outcome, doubtful=len(read.energy_day.doubtful))
        return outcome

    def _parsed(self, answer: DayAnswer) -> tuple[ReadDay, datetime]:
        """What the answer contains, and when it was requested by a clock that is trusted.

        That clock may have been set since the day was requested. Raises `AnswerError`, `ClockUntrusted`.
        """
        self.check_clock()
        now = self._clock()
        read = read_day(answer, self.meter, now)
        self._check_zone(read.energy_day.day)
        hours = {(each.ts, each.field, each.reason) for each in read.anomalies}  # once for both channels
        for (name, reason), count in Counter((name, reason) for _, name, reason in sorted(hours)).items():
            self._log.warning("answer.anomaly", day=str(answer.date), field=name, reason=reason, hours=count)
        return read, now - timedelta(seconds=answer.grid_age_s)

    async def _note_saved(self, outcome: DayOutcome, *, doubtful: int) -> None:
        """Logs how the day ended and what the save learned; `doubtful` hours were left out of it."""
        day, log = str(outcome.day), self._log
        for quarantined in outcome.quarantined:
            log_quarantined(log, quarantined)
        for revision in outcome.revisions:
            old_kwh, new_kwh = str(revision.old_kwh), str(revision.new_kwh)
            log.info(
                "hour.revised", day=day, ts=revision.ts, column=revision.column,
                old_kwh=old_kwh, new_kwh=new_kwh,
            )  # fmt: skip
        if doubtful and not outcome.complete:
            log.warning("day.doubtful", day=day, hours=doubtful)
        level = log.debug if outcome.outcome in (Outcome.UNCHANGED, Outcome.EMPTY) else log.info
        level(f"day.{outcome.outcome}", day=day, hours=outcome.hours, missing_hours=outcome.missing)
        self._log_weaknesses()
        self._log_zone()
        await self._log_losses()
        if outcome.day == self.today():  # an older day proves nothing of how fresh the data are
            self.answered_at = int(self._clock().timestamp())
        self.writes += outcome.outcome in (Outcome.WRITTEN, Outcome.PARTIAL)

    async def take_over(self, policy: RequestPolicy = _USUAL) -> None:
        """Takes day files without a mark, where the cloud's answers agree with them. Raises as `collect_day`.

        `AnswerError` as well, where no answer can be used. Nothing to do where the archive is taken.
        """

        odd: list[AnswerError] = []

        async def answered(day: date) -> EnergyDay | None:
            bare = unscaled(self.meter)
            try:
                answer = await self.client.fetch_day(bare, day, policy)
                self.check_clock()
                return read_day(answer, bare, self._clock()).energy_day
            except ZoneUnknown as error:  # so will be the others
                self.log_unknown_zone(error.zone, None)
                raise
            except AnswerError as error:
                odd.append(error)
                return None

        async with self._taking_over:
            if self.archive.is_taken:
                return
            await self.scan()
            if self.refusal is not None:
                raise self.refusal
            archive, today = self.archive, self.today()
            if archive.is_taken:
                return
            files = await self.blocking(archive.files)
            samples = await self.blocking(archive.samples, first_day(today, None, None), today, self.zone)
            proof = await compared(samples, answered)
            if odd and len(odd) == len(
                samples
            ):  # the answers cannot be used: that proves nothing of the files
                raise odd[-1]
            if proof.found is not Match.AGREES:
                self._compared_files = files
                raise self._refused(
                    archive.refusal_of(_OTHERS if proof.found is Match.DISAGREES else _NOBODY_KNOWS)
                )
            bounds = Bounds(proof.since, None if proof.others is None else today)
            await self.blocking(archive.take_over, bounds)
            self._log_adopted(len(files))
            if archive.ledger.rebuilt:
                self._log.warning("ledger.rebuilt")
            await self.scan()

    async def adopt(self) -> None:
        """Takes the archive, whatever it holds, because a person decided so. `refusal` where it cannot be."""
        if self.archive.is_taken:
            return
        try:
            await self.blocking(self.archive.adopt, self.today())
        except (ArchiveRefused, ArchiveLocked) as error:
            self._refused(error)
        else:
            self.refusal = self._compared_files = None
            self._log_adopted(len(await self.blocking(self.archive.files)))

    def _log_adopted(self, days: int) -> None:
        since = self.archive.since
        self._log.info("archive.adopted", days=days, since=None if since is None else str(since))

    async def _claim(self) -> None:
        """Takes the archive, or notes why it must not be used; again where what lies there has changed."""
        compared_files = self._compared_files
        if compared_files is not None:
            if await self.blocking(self.archive.files) == compared_files:
                return
            self._compared_files = None
        try:
            await self.blocking(self.archive.claim)
        except (ArchiveRefused, ArchiveLocked) as error:
            self._refused(error)
        else:
            self.refusal = None

    def _refused(self, error: ArchiveRefused | ArchiveLocked) -> ArchiveRefused | ArchiveLocked:
        """Notes why the archive must not be used, and logs it where it is news."""
        is_news = str(error) != str(self.refusal or "")
        if isinstance(error, ArchiveRefused) and error.event == "archive.missing":
            self.note_failure("archive.missing", str(error))
            if is_news:
                self._log.error("archive.missing", reason=str(error))
        else:
            self.note_failure("archive.refused", str(error))
            if is_news:
                self._log.error("archive.refused", reason=str(error))
        self.refusal = error
        return error

    def _log_weaknesses(self) -> None:
        """Once each: what the archive's file system does not promise."""
        weaknesses = self.archive.weaknesses()
        if news := [each for each in weaknesses if each not in self._weaknesses]:
            self._log.warning("storage.weak", folder=str(self.archive.folder), reason="; ".join(news))
            self._weaknesses = weaknesses

    def _log_zone(self) -> None:
        """That the zone became known, or is another one than before: once, also where several days run."""
        before, zone = self._zone_logged, self.archive.ledger.zone
        self._zone_logged = zone
        if before is None and zone is not None:
            self._log.info("zone.learned", zone=zone)
        elif before and zone and before != zone and not are_one(before, zone):  # another name is no news
            self._log.warning("zone.changed", old=before, zone=zone)
        self._log_suspicion(self.zone)

    def _log_suspicion(self, zone: ZoneInfo) -> None:
        """That the rules of the zone are in doubt, and that they no longer are: once each."""
        before, suspicion = self._suspicion_logged, self.archive.ledger.suspicion
        self._suspicion_logged = suspicion
        release = rules_of(zone).release
        if suspicion is None and before is not None:
            self._log.info("zone.trusted", zone=zone.key, release=release)
        elif suspicion is not None and before is None:
            day = None if suspicion.day is None else str(suspicion.day)
            self._log.error(
                "zone.suspected", zone=zone.key, release=release, day=day, reason=suspicion.reason
            )

    def log_unknown_zone(self, name: str, configured: str | None) -> None:
        """Logs, once, that this machine does not know the zone that the answers name."""
        if name not in self._unknown_logged:
            self._unknown_logged |= {name}
            log = self._log.error if configured is None else self._log.warning
            reason = f"this machine's list of time zones lacks it. {CURES['zone.unknown']}"
            log("zone.unknown", zone=name, configured=configured, reason=reason)

    async def _reject(self, day: date, error: AnswerError) -> DayOutcome:
        """The day failed, for its answer cannot be used; `is_common` where all days fail like that."""
        event = await self._log_rejected(day, error)
        self.note_failure(event, str(error))
        failed = await self.fail_day(day, f"{event}: {error}")
        return replace(failed, is_common=isinstance(error, ZoneUnknown) or not self.archive.is_taken)

    async def _log_rejected(self, day: date, error: AnswerError) -> str:
        """The event's name: it may be this machine that lacks something."""
        if isinstance(error, ZoneUnknown):
            self.log_unknown_zone(error.zone, None)
            return "zone.unknown"
        zone = known_zone(error.zone) if isinstance(error, ZoneContradicted) else None
        known = self.archive.zone
        is_the_meters = zone is not None and (known is None or known.key == zone.key)
        if zone is not None and is_the_meters and may_be_wrong(zone, day) and self.archive.is_taken:
            await self.blocking(self.archive.suspect, zone, error.reason, self._clock(), day)
            self._log_suspicion(zone)
            return "zone.suspected"
        self._log.warning("answer.rejected", day=str(day), field=error.field, reason=error.reason)
        return "answer.rejected"

    async def _check_rules(
        self, answer: DayAnswer, read: ReadDay, requested_at: datetime, policy: RequestPolicy
    ) -> None:
        """Whether the zone is known, and its rules fit: hours are not whole before they are over, nor always
        too late. The latter counts where the rules are old, and the meter has not been seen to go by them.
        """
        zone = read.energy_day.day.zone
        await self._try_rules(zone, policy)
        name = answer.grid["timezone"]
        if known_zone(name) is None:
            self.log_unknown_zone(name, zone.key)
        if self.client.cloud_now() is None or not may_be_wrong(zone, read.energy_day.day.date):
            return  # it may be this machine's clock that is behind
        early = self._early_hours.note(read.unfinished, read.energy_day.readings, requested_at)
        late = self._late_hours.note(read.energy_day, read.unfinished, requested_at)
        if self._rules_held or not rules_of(zone).are_stale(self.today()):
            late = False  # a slow meter may look like that, too
        clues = {
            f"hours are whole before they are over by the rules of {zone.key}": early,
            f"hours still grow when they are over by the rules of {zone.key}": late,
        }
        suspicion = self.archive.ledger.suspicion
        if suspicion is None:
            for reason in [reason for reason, shows in clues.items() if shows][:1]:
                await self.blocking(self.archive.suspect, zone, reason, self._clock())
        elif suspicion.day is None and (early is False or clues.get(suspicion.reason) is False):
            await self.blocking(self.archive.trust)

    async def _try_rules(self, zone: ZoneInfo, policy: RequestPolicy) -> None:
        """Tries rules that are old by the day on which they last skip an hour: once, before a day is saved.

        What was measured in that hour contradicts them, which no lateness of a meter does. The day is not
        stored: it may be older than what is to be collected.
        """
        async with self._trying_rules:
            rules, today, loop = rules_of(zone), self.today(), asyncio.get_running_loop()
            is_due = rules.checksum != self._rules_tried and loop.time() >= self._try_not_before
            if not is_due or not rules.are_stale(today) or self.archive.ledger.suspicion is not None:
                return
            skip = last_skip(zone, today)
            if skip is None or not may_be_wrong(zone, skip.date):
                self._rules_tried, self._rules_held = rules.checksum, False
                return
            try:
                answer = await self.client.fetch_day(self.meter, skip.date, policy)
                parsed = read_day(answer, self.meter, self._clock()).energy_day
            except (SourceError, AnswerError) as error:  # the day that was requested is there, and counts
                self._rules_held = False
                if isinstance(error, ZoneContradicted) and error.zone == zone.key:
                    await self.blocking(self.archive.suspect, zone, error.reason, self._clock(), skip.date)
                else:
                    self._try_not_before = loop.time() + _TRY_AGAIN_S
                return
            self._rules_tried = rules.checksum
            self._rules_held = parsed.day == skip and len(parsed.readings) == len(skip.hours)

    def check_clock(self) -> None:
        """Raises `ClockUntrusted` where this machine's clock cannot be right."""
        cloud_now, newest = self.client.cloud_now(), None
        if cloud_now is None:  # then what is stored is all there is to go by
            newest = max((day for day, state in self.archive.known().items() if state.stored), default=None)
        check_clock(self._clock(), self.today(), cloud_now, newest)

    def _check_zone(self, answered: LocalDay) -> None:
        """A meter may move to another zone, but one odd answer must not turn all days around.

        Raises `AnswerError` until three answers in a row name the same zone.
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
        """Remembers what went wrong last, for the status."""
        self.failure = Failure(event, int(self._clock().timestamp()), reason)

    async def scan(self) -> None:
        """Scans the files: finds what a person changed, and moves damaged ones aside.

        Where the archive is not taken yet, that is tried; `refusal` is why it must not be.
        Raises `OSError` where the disk is in trouble.
        """
        if not self.archive.is_taken:
            await self._claim()
        if not self.archive.is_taken:
            return
        damaged = await self.blocking(self.archive.scan, self.today())
        self.is_scanned = True
        for quarantined in damaged:
            log_quarantined(self._log, quarantined)
        if self.archive.unreadable.keys() - self._unreadable:
            await self.blocking(self.archive.probe)  # a disk in trouble is reported as that
        unreadable, changed = self.archive.unreadable, self.archive.changed
        outdated = self.archive.outdated.copy()
        if news := unreadable.keys() - self._unreadable:
            self._log.error("file.unreadable", reason=unreadable[max(news)], **_listed(news))
        if more := changed - self._changed:
            self._log.warning("file.changed", **_listed(more))
        if more := outdated - self._outdated:
            self._log.warning("file.outdated", zone=self.archive.ledger.zone, **_listed(more))
        self._unreadable, self._changed, self._outdated = unreadable.keys(), changed, outdated
        self._log_suspicion(self.zone)
        still_gone = self.archive.gone | self.archive.gone_for_good
        self._gone = {day: forgotten for day, forgotten in self._gone.items() if day in still_gone}
        if gone := self.archive.gone:
            self._log_gone(gone)
            await self.blocking(self._request_again, gone)

    def _log_gone(self, days: Set[date]) -> None:
        """Complete files that are gone: each once by this process, once more when the cloud has forgotten it.

        In place of `older` of them there is a file with hours missing.
        """
        first, known = first_day(self.today(), None, None), self.archive.known()
        if news := {day: day < first for day in days if self._gone.get(day) != (day < first)}:
            older = sum(known.get(day, NOTHING).stored for day in news)
            forgotten = sum(news.values())
            self._log.warning("file.gone", older=older, forgotten=forgotten, **_listed(news.keys()))
        self._gone |= news

    def _request_again(self, days: Set[date]) -> None:
        """Makes days that were logged as gone due in the next round, as far as the cloud keeps them."""
        today = self.today()
        first = first_day(today, None, self.since)
        for day in sorted(days):
            if first <= day < today:
                self.archive.request_again(day, "file.gone")
        self.archive.note_reported()

    def days_for(self, lane: Lane) -> Iterator[date]:
        """The days that a job of that lane requests; planned when the first is taken, not before."""
        return self._replanned(lambda: self._planned(lane))

    def days_by(self, plan: Plan) -> Iterator[date]:
        """The days of a given plan."""
        return self._replanned(
            lambda: plan(self.today(), self.since, self.archive.known, self.availability, self._clock())
        )

    def _replanned(self, plan: Callable[[], Iterator[date]]) -> Iterator[date]:
        """The plan's days, each once; planned again once the zone, or which days the cloud has, is known.

        Until the first answer the zone, and so the meter's today, may be a guess.
        """
        given: set[date] = set()
        basis: tuple[ZoneInfo, Availability | None] | None = None
        while basis != self._basis:
            basis = self._basis
            for day in plan():
                if basis != self._basis:
                    break
                if day not in given:
                    given.add(day)
                    yield day

    @property
    def _basis(self) -> tuple[ZoneInfo, Availability | None]:
        return self.zone, self.availability

    @property
    def availability(self) -> Availability | None:
        """Which days the cloud has, as last known."""
        return self.archive.ledger.availability

    def needs_totals(self, first: date) -> bool:
        """Whether the daily totals are to be requested before days down to `first` are collected."""
        if not self.archive.is_taken or not is_worth_it(first, self.today()):
            return False
        known = self.availability
        is_due = known is None or known.is_due(self._clock()) or first < known.first
        return is_due and asyncio.get_running_loop().time() >= self.totals_not_before

    def first_to_backfill(self) -> date:
        """The oldest day that the service backfills."""
        return first_day(self.today(), self.policy.backfill_days, self.since)

    def now(self) -> datetime:
        """The present moment."""
        return self._clock()

    def today(self) -> date:
        """The meter's date now."""
        return date_in(self.zone, self._clock())

    async def _log_losses(self) -> None:
        """Logs, once, which days the cloud forgot before they were complete. Once a day.

        Not those whose files went or cannot be read, which is reported as that.
        """
        first = first_day(self.today(), None, None)
        if first == self._losses_looked_for:
            return
        self._losses_looked_for = first
        ledger = self.archive.ledger
        lost = lost_days(first, self.archive.known(), ledger.lost_before)
        gone = self.archive.gone_for_good & set(lost)
        self._log_gone(gone)
        if news := set(lost) - gone - self.archive.unreadable.keys():
            self._log.warning("history.lost", **_listed(news))
        if lost:
            await self.blocking(ledger.note_lost, first)

    def _planned(self, lane: Lane) -> Iterator[date]:
        now, today, since = self._clock(), self.today(), self.since
        if lane is Lane.REFRESH:
            return refresh_days(today, self.archive.known(), now)
        if lane is Lane.HEAL:
            oldest = first_day(today, None, since)
            known = self.archive.known()
            return heal_days(self.zone, oldest, known, self.availability, now, self.policy)
        return backfill_days(today, self.first_to_backfill(), self.archive.known, self.availability)


def check_clock(now: datetime, today: date, cloud_now: datetime | None, newest_stored: date | None) -> None:
    """Raises `ClockUntrusted` with the reason. `cloud_now` is the cloud's clock at `now`."""
    if SYNCHRONIZED.exists():
        return
    if cloud_now is not None:
        off_s = (now - cloud_now).total_seconds()
        if abs(off_s) > _TOLERANCE_S:
            raise ClockUntrusted(f"it says {now:%Y-%m-%d %H:%M} UTC, the cloud {cloud_now:%Y-%m-%d %H:%M}")
    elif newest_stored is not None and newest_stored > today:
        raise ClockUntrusted(f"it says {now:%Y-%m-%d %H:%M} UTC, but {newest_stored} is stored already")


def log_quarantined(log: Logger, quarantined: Quarantined) -> None:
    """A file was moved aside."""
    log.warning(
        "file.quarantined",
        day=str(quarantined.day),
        reason=quarantined.reason,
        place=str(quarantined.place),
    )


def _listed(days: Set[date]) -> dict[str, Any]:
    """An event's fields for many days: how many, the oldest, the newest, and the first forty of them."""
    names = [str(day) for day in sorted(days)]
    return {"count": len(names), "oldest": names[0], "newest": names[-1], "days": names[:40]}
