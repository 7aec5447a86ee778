"""The status of the running service: made from its accounts, saved in the status file; logs changes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import InitVar, dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from collector import __version__, logs
from collector.cloud.pacing import Pacer
from collector.collect.collector import Collector
from collector.collect.outages import OutageError, cure_of, outage_of, reason_of
from collector.energy.days import Clock, date_in
from collector.energy.history import EXPIRING_DAYS
from collector.errors import RateLimited
from collector.service.accounts import AccountAtWork
from collector.status import (
    AccountStatus,
    Failure,
    MeterStatus,
    Status,
    judged,
    meter_status,
    write_status,
)
from collector.threads import BlockingCalls

if TYPE_CHECKING:
    from collector.publish.publisher import Publisher

_READ_AGAIN_S = 3600.0  # how often unchanged files are read again
_STEP_S = 60.0  # a larger difference means that the clock was set
_LONG_HOLD_S = 60.0  # shorter pauses are normal
_QUIET_S = 3600.0  # after a start, before days at risk are logged: they are being requested

_log = logs.get_logger("health")


@dataclass(repr=False, eq=False)
class Observer:
    """Makes the status of the accounts. Continues from the last one, also of an earlier process."""

    accounts: Sequence[AccountAtWork]
    max_age_s: float
    clock: Clock
    system_timezone: ZoneInfo  # requests are counted by this machine's days
    place: Path  # of the status file
    before: InitVar[Status | None]  # its content
    publishers: Sequence[Publisher] = ()

    def __post_init__(self, before: Status | None) -> None:
        self._blocking = BlockingCalls()  # not in the queue of the saves: a stalled disk delays only this
        self._began = asyncio.get_running_loop().time()
        now = int(self.clock().timestamp())
        blank = Status(__version__, os.getpid(), now, now, "")
        self.status = blank if before is None else before
        self._started_at = self.status.started_at if self.status.pid == os.getpid() else now
        self._up_since = self._began - (now - self._started_at)  # loop time
        self._baselines = {each.account.name: _DayBaseline.after(self.status, each) for each in self.accounts}
        self._read: dict[str, _Read] = {}
        self._warned: dict[str, date] = {}

    async def observe(self, jobs: int, next_run: datetime | None) -> Status:
        """Returns the status now; writes it to the status file if something has changed."""
        now = self.clock()
        at = int(now.timestamp())
        started_at = at - int(asyncio.get_running_loop().time() - self._up_since)
        if abs(started_at - self._started_at) > _STEP_S:
            self._started_at = started_at  # the clock was set: its step does not count as uptime
        today = str(date_in(self.system_timezone, now))
        accounts: dict[str, AccountStatus] = {}
        meters: dict[str, MeterStatus] = {}
        # Before the files: a day that is saved meanwhile would be an answer, and not yet among the data.
        answered = {
            each.meter.name: each.answered_at for account in self.accounts for each in account.collectors
        }
        await self._read_files(now)
        for account in self.accounts:
            trouble = _failure_of(account.runner.outage, at)
            accounts[account.account.name] = self._account(
                account, self._hold(account, now) or trouble, today
            )
            for each in account.collectors:
                own = _failure_of(account.runner.rejected.get(each), at)
                meters[each.meter.name] = self._meter(each, answered[each.meter.name], trouble, own, now)
        facts = Status(
            version=__version__,
            pid=os.getpid(),
            started_at=self._started_at,
            written_at=at,
            today=today,
            jobs=jobs,
            next_run_at=None if next_run is None else int(next_run.timestamp()),
            accounts=accounts,
            meters=meters,
            targets={each.target.name: each.status for each in self.publishers},
        )
        status = judged(facts, now.timestamp(), self.max_age_s)
        if _timeless(status) != _timeless(self.status):
            with suppress(OSError):  # a disk error is reported by the work itself
                await self._blocking(write_status, self.place, status)
        self._log_changes(status)
        self.status = status
        return status

    def _hold(self, account: AccountAtWork, now: datetime) -> Failure | None:
        """A long rate-limit pause as a failure; `None` without one, or during another outage."""
        pacer, trouble = account.pacer, account.runner.outage
        if pacer.hold_s <= _LONG_HOLD_S or not (trouble is None or isinstance(trouble, RateLimited)):
            return None
        left_s = pacer.held_until - asyncio.get_running_loop().time()
        until = (now + timedelta(seconds=left_s)).astimezone(self.system_timezone)
        reason = f"request limit reached: the cloud requires a pause until {until:%H:%M}"
        return Failure("account.held", int(now.timestamp()), reason)

    def _account(self, account: AccountAtWork, trouble: Failure | None, today: str) -> AccountStatus:
        pacer = account.pacer
        requests_today, holds_today = self._baselines[account.account.name].counts(pacer, today)
        return AccountStatus(
            meters=tuple(each.meter.name for each in account.collectors),
            requests_today=requests_today,
            holds_today=holds_today,
            outcomes={
                "answered": pacer.requests - pacer.in_flight - pacer.rejections - pacer.failures,
                "rejected": pacer.rejections,
                "failed": pacer.failures,
            },
            holds=pacer.holds,
            gap_s=round(pacer.gap_s, 3),
            trouble=trouble,
        )

    def _meter(
        self,
        collector: Collector,
        answered_at: int | None,
        trouble: Failure | None,
        own: Failure | None,
        now: datetime,
    ) -> MeterStatus:
        """One meter's status, not judged yet; `trouble` is its account's, `own` its own outage."""
        before = self.status.meters.get(collector.meter.name, MeterStatus())
        if (read := self._read.get(collector.meter.name)) is not None:
            found = read.status
        else:  # until the files were read the last status counts
            found = MeterStatus(newest_hour=before.newest_hour, missing_hours=before.missing_hours)
        self._warn(collector, found.expiring)
        return replace(
            found,
            answered_at=answered_at or before.answered_at,
            failure=_newest(now.timestamp(), trouble, own, collector.failure, before.failure),
            trouble=own.reason if own else "",
            refused="" if collector.refusal is None else str(collector.refusal),
        )

    async def _read_files(self, now: datetime) -> None:
        """Reads the day files of each meter that has saved a day since; of the others once an hour.

        In one thread: a late loop would need many minutes for a thousand, one after the other.
        """
        at = asyncio.get_running_loop().time()
        due: list[tuple[Collector, _Files]] = []
        for collector in (each for account in self.accounts for each in account.collectors):
            if collector.is_scanned:
                days = collector.archive.known().values()
                complete = sum(each.complete for each in days)
                files = _Files(collector.writes, sum(each.stored for each in days), complete)
                last = self._read.get(collector.meter.name)
                if last is None or last.files != files or at - last.at >= _READ_AGAIN_S:
                    due.append((collector, files))
        if due:
            found = await self._blocking(_statuses_of, [collector for collector, _ in due], now)
            for collector, files in due:
                if (status := found.get(collector.meter.name)) is not None:
                    self._read[collector.meter.name] = _Read(at, files, status)

    async def idle(self) -> None:
        """Waits until no file is being read or written."""
        await self._blocking.idle()

    def _warn(self, collector: Collector, expiring: Sequence[date]) -> None:
        """Logs, once a day, the days that the cloud deletes soon."""
        name, today = collector.meter.name, collector.today()
        had_time = asyncio.get_running_loop().time() - self._began >= _QUIET_S
        if expiring and had_time and self._warned.get(name) != today:
            self._warned[name] = today
            days = [str(day) for day in expiring]
            _log.warning(
                "history.expiring", meter=name, count=len(days), within_days=EXPIRING_DAYS,
                oldest=days[0], newest=days[-1], days=days,
            )  # fmt: skip

    def _log_changes(self, status: Status) -> None:
        for name, meter in status.meters.items():
            old = self.status.meters.get(name, MeterStatus()).state
            if old is meter.state or (old.is_well and meter.state.is_well):
                continue
            log = _log.info if meter.state.is_well else _log.error
            log(
                "health.changed", meter=name, state=meter.state.value, before=old.value,
                reason=meter.reason, newest_hour_age_s=meter.age_s,
            )  # fmt: skip


def _statuses_of(collectors: Sequence[Collector], now: datetime) -> dict[str, MeterStatus]:
    """The statuses from the day files, by meter; without those whose files cannot be read now."""
    found = {}
    for each in collectors:
        with suppress(OSError):  # such as too many open files: the work itself reports it
            status = meter_status(
                each.archive.folder,
                each.archive.known(),
                each.zone,
                each.availability,
                each.policy,
                each.since,
                now,
                no_solar=each.archive.no_solar,
            )
            found[each.meter.name] = replace(status, states={})  # 70 kB, of which the service shows nothing
    return found


class _Files(NamedTuple):
    """What changes with a meter's files: the saves so far, and how many days are stored and complete."""

    writes: int
    stored: int
    complete: int


class _Read(NamedTuple):
    """A meter's status from its files: when they were read (loop time), and what was stored then."""

    at: float
    files: _Files
    status: MeterStatus


@dataclass(slots=True)
class _DayBaseline:
    """The pacer's counts at the start of the day, minus what an earlier process had counted that day."""

    date: str
    requests: int
    holds: int

    @classmethod
    def after(cls, before: Status, account: AccountAtWork) -> _DayBaseline:
        last, pacer = before.accounts.get(account.account.name, AccountStatus()), account.pacer
        return cls(before.today, pacer.requests - last.requests_today, pacer.holds - last.holds_today)

    def counts(self, pacer: Pacer, today: str) -> tuple[int, int]:
        """Requests and rate-limit pauses of that date so far."""
        if today != self.date:
            self.date, self.requests, self.holds = today, pacer.requests, pacer.holds
        return pacer.requests - self.requests, pacer.holds - self.holds


def _newest(now: float, *failures: Failure | None) -> Failure | None:
    """The latest failure; one later than `now` has a wrong time and counts as the oldest."""
    found = [each for each in failures if each is not None]
    return max(found, key=lambda each: each.at if each.at <= now else -1, default=None)


def _failure_of(cause: OutageError | None, at: int) -> Failure | None:
    if cause is None:
        return None
    return Failure(outage_of(cause).started, at, reason_of(cause), cure_of(cause))


def _timeless(status: Status) -> Status:
    """The status without the values that change with time alone."""
    meters = {
        name: replace(each, age_s=None, failure=each.failure and each.failure._replace(at=0))
        for name, each in status.meters.items()
    }
    accounts = {
        name: replace(each, trouble=each.trouble and each.trouble._replace(at=0))
        for name, each in status.accounts.items()
    }
    return replace(status, written_at=0, age_s=None, accounts=accounts, meters=meters)
