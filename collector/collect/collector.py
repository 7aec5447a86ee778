"""Collector: fetches the days of one meter from its cloud and saves them in its archive."""

from __future__ import annotations

import asyncio
from collections import Counter
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
"""The days to collect, from: today, the oldest day needed, the day records, the availability, now."""

_USUAL = RequestPolicy()
_ZONE_PROOFS = 3
_TRY_AGAIN_S = 3600.0
_FOREIGN_FILES = "day files of another meter or tool: they are not what the cloud has"
_UNKNOWN_FILES = "day files of an unknown meter: no day could be compared with those"

SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")  # made by systemd-timesyncd, see its manual
_TOLERANCE_S = 120.0

_log = logs.get_logger("collection")


class Lane(StrEnum):
    """The kinds of jobs, most urgent first."""

    REFRESH = "refresh"
    COMMAND = "command"  # a backfill or reread by hand, for which a person waits
    HEAL = "heal"
    BACKFILL = "backfill"


SCHEDULED = (Lane.REFRESH, Lane.HEAL, Lane.BACKFILL)
"""The jobs that the service requests by itself."""


class Collector:
    """Fetches the days of one meter and saves them."""

    def __init__(
        self,
        meter: Meter,
        client: CloudClient,
        archive: Archive,
        policy: PlanPolicy,
        clock: Clock,
        system_timezone: ZoneInfo,
        threads: asyncio.Semaphore | None = None,
    ) -> None:
        """`system_timezone`: this machine's, used until an answer names the meter's. `threads`: how many all
        meters together may use.
        """
        self.meter = meter
        self.client = client
        self.archive = archive
        self.policy = policy
        self._clock = clock
        self._system_timezone = meter.zone_or(system_timezone)
        self.blocking = BlockingCalls(threads)  # on the archive: a stalled disk must not block the watchdog
        self._taking_over = asyncio.Lock()
        self._was_taken_over = False
        self.refusal: ArchiveRefused | ArchiveLocked | None = None  # why the archive must not be used
        self._compared_files: Mapping[date, int] | None = None  # the files at the time of the refusal
        self.is_reading_totals = False
        self.unsaved = 0  # answers in memory that are waiting to be saved
        self.totals: list[bytes] = []  # from the cloud, packed; empty once the stored days were compared
        self.totals_waits = 0  # failed reads in a row
        self.totals_not_before = 0.0  # loop time
        self.is_scanned = False  # whether the files were scanned at least once
        self.writes = 0  # how often a day was saved
        self.answered_at: int | None = None  # epoch seconds: the last answer for today that was kept
        self.failure: Failure | None = None
        # Days that a job has taken and not yet done, and who waits for them: called with the outcome, or with
        # `None` if the job gives the day up.
        self.claimed: dict[date, list[Callable[[date, DayOutcome | None], None]]] = {}
        self._losses_checked: date | None = None
        self._zone_logged = archive.ledger.zone
        self._suspicion_logged = archive.ledger.suspicion
        self._unknown_logged: Set[str] = frozenset()
        self._early_hours = EarlyHours()
        self._late_hours = LateHours()
        self._trying_rules = asyncio.Lock()
        self._rules_tried: int | None = None  # their checksum
        self._rules_held = False  # whether the meter followed them at the last skipped hour
        self._try_not_before = 0.0  # loop time
        self._outdated: Set[date] = frozenset()  # those that were logged
        self._weaknesses: list[str] = []  # those that were logged
        self._unreadable: Set[date] = frozenset()  # those that were logged
        self._changed: Set[date] = frozenset()  # those that were logged
        self._gone: dict[date, bool] = {}  # those that were logged; whether the cloud had deleted them
        self._other_zones: list[str] = []
        self._log = _log.bind(meter=meter.name)

    @property
    def since(self) -> date | None:
        """The first day to request: the configured one, or later if the archive was another meter's."""
        return latest(self.meter.since, self.archive.since)

    @property
    def zone(self) -> ZoneInfo:
        """The meter's zone; this machine's until it is known."""
        return self.archive.zone or self._system_timezone

    async def collect_day(self, day: date, policy: RequestPolicy = _USUAL) -> DayOutcome:
        """Fetches one day, parses the answer and merges it into the day's file: durable when this returns.

        Raises `CalledOff` if a request was called off, `SourceError` if the cloud did not answer, `OSError`
        if nothing could be saved, `ClockUntrusted` if it is not certain which hours have ended,
        `ArchiveRefused` or `ArchiveLocked` if the archive must not be used.
        """
        try:
            await self.take_over(policy)
            read, requested_at = self._parsed(await self.client.fetch_day(self.meter, day, policy))
        except AnswerError as error:
            return await self._reject(day, error)
        return await self.keep(read, requested_at, policy)

    @property
    def is_known(self) -> bool:
        """Whether the stored days and the meter's zone are known, which plans depend on."""
        return self.archive.is_taken and self.archive.zone is not None

    @property
    def is_settled(self) -> bool:
        """Whether days may be requested beside each other: the archive is taken.

        If it was taken over just now, the zone is known as well: only then the plan is made again, with the
        first day that may be replaced.
        """
        return self.is_known if self._was_taken_over else self.archive.is_taken

    async def keep(self, read: ReadDay, requested_at: datetime, policy: RequestPolicy) -> DayOutcome:
        """Merges a day's answer into its file. Raises as `collect_day`."""
        self.unsaved += 1
        try:
            return await self._keep(read, requested_at, policy)
        finally:
            self.unsaved -= 1

    async def _keep(self, read: ReadDay, requested_at: datetime, policy: RequestPolicy) -> DayOutcome:
        day = read.energy_day.day.date
        self._other_zones.clear()
        await self._check_rules(read, requested_at, policy)
        try:
            outcome = await self.blocking(self.archive.merge, read.energy_day, requested_at)
        except UnreadableFile as error:  # an answer could replace what is in it
            await self.blocking(self.archive.probe)  # raises if it is the disk, not the file
            self.note_failure("file.unreadable", error.reason)
            return await self.fail_day(day, f"file.unreadable: {error.reason}")
        await self._note_saved(outcome, doubtful=len(read.energy_day.doubtful))
        return outcome

    def _parsed(self, answer: DayAnswer) -> tuple[ReadDay, datetime]:
        """The parsed answer, and when it was requested, by the clock as it is now.

        The clock may have been set since the request. Raises `AnswerError`, `ClockUntrusted`.
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
        """Logs the outcome of a saved day; `doubtful`: the number of doubtful hours."""
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
        if outcome.day == self.today():  # an older day does not show that the data are fresh
            self.answered_at = int(self._clock().timestamp())
        self.writes += outcome.outcome in (Outcome.WRITTEN, Outcome.PARTIAL)

    async def take_over(self, policy: RequestPolicy = _USUAL) -> None:
        """Takes over day files without a mark if the cloud's answers agree; does nothing if they are taken.

        Raises as `collect_day`, and `AnswerError` if no answer can be used.
        """

        odd: list[AnswerError] = []

        async def answered(day: date) -> EnergyDay | None:
            bare = unscaled(self.meter)
            try:
                answer = await self.client.fetch_day(bare, day, policy)
                self.check_clock()
                return read_day(answer, bare, self._clock()).energy_day
            except ZoneUnknown as error:  # the other answers will name it too
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
            if odd and len(odd) == len(samples):  # without a usable answer nothing is known of the files
                raise odd[-1]
            if proof.found is not Match.AGREES:
                self._compared_files = files
                raise self._refused(
                    archive.refusal_of(_FOREIGN_FILES if proof.found is Match.DISAGREES else _UNKNOWN_FILES)
                )
            bounds = Bounds(proof.since, None if proof.others is None else today)
            await self.blocking(archive.take_over, bounds)
            self._was_taken_over = True
            self._log_adopted(len(files))
            if archive.ledger.rebuilt:
                self._log.warning("ledger.rebuilt")
            await self.scan()

    async def adopt(self) -> None:
        """Takes the archive, whatever it contains (`--adopt`); sets `refusal` if that fails."""
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
        """Takes the archive, or sets `refusal`; after a refusal only if its files have changed."""
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
        """Sets `refusal`; logs it if the reason is new."""
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
        """Logs, once each, the guarantees that the archive's file system does not give."""
        weaknesses = self.archive.weaknesses()
        if news := [each for each in weaknesses if each not in self._weaknesses]:
            self._log.warning("storage.weak", folder=str(self.archive.folder), reason="; ".join(news))
            self._weaknesses = weaknesses

    def _log_zone(self) -> None:
        """Logs, once, that the zone became known or has changed."""
        before, zone = self._zone_logged, self.archive.ledger.zone
        self._zone_logged = zone
        if before is None and zone is not None:
            self._log.info("zone.learned", zone=zone)
        elif before and zone and before != zone and not are_one(before, zone):  # another name is no news
            self._log.warning("zone.changed", old=before, zone=zone)
        self._log_suspicion(self.zone)

    def _log_suspicion(self, zone: ZoneInfo) -> None:
        """Logs, once each, that the rules of the zone are in doubt, and that they no longer are."""
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
        """Logs, once, that this machine does not know the zone named in the answers."""
        if name not in self._unknown_logged:
            self._unknown_logged |= {name}
            log = self._log.error if configured is None else self._log.warning
            reason = f"this machine's list of time zones lacks it. {CURES['zone.unknown']}"
            log("zone.unknown", zone=name, configured=configured, reason=reason)

    async def _reject(self, day: date, error: AnswerError) -> DayOutcome:
        """Records a day whose answer cannot be used; `is_common` if all days fail like that."""
        event = await self._log_rejected(day, error)
        self.note_failure(event, str(error))
        failed = await self.fail_day(day, f"{event}: {error}")
        return replace(failed, is_common=isinstance(error, ZoneUnknown) or not self.archive.is_taken)

    async def _log_rejected(self, day: date, error: AnswerError) -> str:
        """Logs the rejected answer and returns the event's name."""
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

    async def _check_rules(self, read: ReadDay, requested_at: datetime, policy: RequestPolicy) -> None:
        """Logs an unknown zone, and suspects the rules of a zone if hours end too early or always too late.

        Too late counts only if the rules are old and the meter has not been seen to follow them.
        """
        zone = read.energy_day.day.zone
        await self._try_rules(zone, policy)
        if known_zone(read.zone_name) is None:
            self.log_unknown_zone(read.zone_name, zone.key)
        if self.client.cloud_now() is None or not may_be_wrong(zone, read.energy_day.day.date):
            return  # this machine's clock may be behind
        early = self._early_hours.note(read.unfinished, read.energy_day.readings, requested_at)
        late = self._late_hours.note(read.energy_day, read.unfinished, requested_at)
        if self._rules_held or not rules_of(zone).are_stale(self.today()):
            late = False  # a slow meter looks the same
        clues = {  # the texts are stored in the ledger
            f"hours are whole before they are over by the rules of {zone.key}": early,
            f"hours still grow when they are over by the rules of {zone.key}": late,
        }
        suspicion = self.archive.ledger.suspicion
        if suspicion is None:
            for reason in [reason for reason, found in clues.items() if found][:1]:
                await self.blocking(self.archive.suspect, zone, reason, self._clock())
        elif suspicion.day is None and (early is False or clues.get(suspicion.reason) is False):
            await self.blocking(self.archive.trust)

    async def _try_rules(self, zone: ZoneInfo, policy: RequestPolicy) -> None:
        """Checks old rules against the day on which they last skip an hour: once, before a day is saved.

        Values for the skipped hour contradict the rules; a late meter cannot cause that. The day is not
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
            except (SourceError, AnswerError) as error:  # the day to collect was fetched: do not fail it
                self._rules_held = False
                if isinstance(error, ZoneContradicted) and error.zone == zone.key:
                    await self.blocking(self.archive.suspect, zone, error.reason, self._clock(), skip.date)
                else:
                    self._try_not_before = loop.time() + _TRY_AGAIN_S
                return
            self._rules_tried = rules.checksum
            self._rules_held = parsed.day == skip and len(parsed.readings) == len(skip.hours)

    def check_clock(self) -> None:
        """Raises `ClockUntrusted` if this machine's clock cannot be right."""
        cloud_now, newest = self.client.cloud_now(), None
        if cloud_now is None:  # then only the stored days show the time
            newest = max((day for day, state in self.archive.known().items() if state.stored), default=None)
        check_clock(self._clock(), self.today(), cloud_now, newest)

    def is_of_its_zone(self, answered: LocalDay) -> bool:
        """Whether the hours of the day are those of the zone known until now."""
        known = self.archive.zone
        return known is None or local_day(answered.date, known).hours == answered.hours

    def _check_zone(self, answered: LocalDay) -> None:
        """Raises `AnswerError` for another zone until three answers in a row have named it.

        A meter may move to another zone, but a single wrong answer must not change all days.
        """
        known = self.archive.zone
        if known is None or self.is_of_its_zone(answered):
            return
        self._other_zones = [*self._other_zones, answered.zone.key][-_ZONE_PROOFS:]
        if len(set(self._other_zones)) > 1 or len(self._other_zones) < _ZONE_PROOFS:
            raise AnswerError("timezone", f"{answered.zone.key}, but until now {known.key}")

    async def fail_day(self, day: date, reason: str) -> DayOutcome:
        """Records that a day could not be collected, and why."""
        local = local_day(day, self.zone)
        await self.blocking(self.archive.note_failure, local, reason, self._clock())
        self._log.warning("day.failed", day=str(day), reason=reason)
        return DayOutcome.failed(day, reason)

    def note_failure(self, event: str, reason: str) -> None:
        """Records the last failure, for the status."""
        self.failure = Failure(event, int(self._clock().timestamp()), reason)

    async def scan(self) -> None:
        """Scans the files for changes by others, and quarantines damaged ones.

        First takes the archive if it is not taken yet; if it must not be used, sets `refusal`.
        Raises `OSError` on a disk error.
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
            await self.blocking(self.archive.probe)  # raises on a disk error
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
        """Logs complete files that are gone: each once, and once more when the cloud has deleted the day.

        `older` of them were replaced by a file with hours missing.
        """
        first, known = first_day(self.today(), None, None), self.archive.known()
        if news := {day: day < first for day in days if self._gone.get(day) != (day < first)}:
            older = sum(known.get(day, NOTHING).stored for day in news)
            forgotten = sum(news.values())
            self._log.warning("file.gone", older=older, forgotten=forgotten, **_listed(news.keys()))
        self._gone |= news

    def _request_again(self, days: Set[date]) -> None:
        """Makes days whose files are gone due in the next scheduled run, as far as the cloud keeps them."""
        today = self.today()
        first = first_day(today, None, self.since)
        for day in sorted(days):
            if first <= day < today:
                self.archive.request_again(day, "file.gone")
        self.archive.note_reported()

    def days_for(self, lane: Lane) -> Iterator[date]:
        """The days that a job of that lane requests; planned when the first is taken."""
        return self._replanned(lambda: self._planned(lane))

    def days_by(self, plan: Plan) -> Iterator[date]:
        """The days of a given plan."""
        return self._replanned(
            lambda: plan(self.today(), self.since, self.archive.known, self.availability, self._clock())
        )

    def _replanned(self, plan: Callable[[], Iterator[date]]) -> Iterator[date]:
        """The plan's days, each once; planned again when the zone or the availability changes.

        Until the first answer the zone, and so the meter's today, may be wrong.
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
        """Whether the daily totals must be requested before days down to `first` are collected."""
        if not self.archive.is_taken or not is_worth_it(first, self.today()):
            return False
        known = self.availability
        is_due = known is None or known.is_due(self._clock()) or first < known.first
        return is_due and asyncio.get_running_loop().time() >= self.totals_not_before

    def first_to_backfill(self) -> date:
        """The oldest day that the service backfills."""
        return first_day(self.today(), self.policy.backfill_days, self.since)

    def now(self) -> datetime:
        """The current time."""
        return self._clock()

    def today(self) -> date:
        """The meter's date now."""
        return date_in(self.zone, self._clock())

    async def _log_losses(self) -> None:
        """Checks once a day for days that the cloud deleted before they were complete; logs each once.

        Days whose files are gone or unreadable have their own events.
        """
        first = first_day(self.today(), None, None)
        if first == self._losses_checked:
            return
        self._losses_checked = first
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
            raise ClockUntrusted(f"it shows {now:%Y-%m-%d %H:%M} UTC, the cloud {cloud_now:%Y-%m-%d %H:%M}")
    elif newest_stored is not None and newest_stored > today:
        raise ClockUntrusted(f"it shows {now:%Y-%m-%d %H:%M} UTC, but {newest_stored} is stored already")


def log_quarantined(log: Logger, quarantined: Quarantined) -> None:
    """Logs that a file was moved to the quarantine folder."""
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
