"""Observer: what the service says of itself, gathered, kept in its place, and told where it changed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collector import __version__, logs
from collector.archive.folder import missing_hours, newest_whole_hour
from collector.cloud.pacing import Pacer
from collector.collect.collector import Collector
from collector.collect.outages import OutageError, cure_of, outage_of, reason_of
from collector.energy.days import Clock, date_in
from collector.energy.history import EXPIRING_DAYS, DayRecord, DayState, coverage, expiring_days, first_day
from collector.errors import RateLimited
from collector.service.accounts import AccountAtWork
from collector.status import (
    AccountStanding,
    Failure,
    HealthPolicy,
    MeterStanding,
    Standing,
    State,
    judged,
    write_standing,
)
from collector.threads import BlockingCalls

_LOOK_S = 3600.0  # so often files are read that nothing of ours has changed
_STEP_S = 60.0  # by so much the clock was set, and not slewed
_LONG_HOLD_S = 60.0  # shorter ones are the usual pace
_QUIET_S = 3600.0  # so long after a start nothing is said of days at risk: they are being asked for

_log = logs.get_logger("health")


class Observer:
    """Looks at the accounts at work. Goes on from what was said before, by this process or an earlier one."""

    def __init__(
        self,
        accounts: Sequence[AccountAtWork],
        policy: HealthPolicy,
        clock: Clock,
        home_zone: ZoneInfo,
        place: Path,
        before: Standing | None,
    ) -> None:
        """`place` is where the standing is kept, `before` what stood there; `home_zone` has its midnight."""
        self._accounts = accounts
        self._policy = policy
        self._clock = clock
        self._home_zone = home_zone
        self._place = place
        self._blocking = BlockingCalls()  # not in the queue of what is saved: a stalled card delays only this
        self._began = asyncio.get_running_loop().time()
        now = int(clock().timestamp())
        blank = Standing(__version__, os.getpid(), now, now, "")
        self.standing = blank if before is None else before
        self._started_at = self.standing.started_at if self.standing.pid == os.getpid() else now
        self._up_since = self._began - (now - self._started_at)  # loop time
        self._today = {each.name: _Today.after(self.standing, each) for each in accounts}
        self._files: dict[str, _Found] = {}
        self._warned: dict[str, date] = {}

    async def observe(self, jobs: int, next_run: datetime | None) -> Standing:
        """The standing now; written to its place where something changed since the last time."""
        now = self._clock()
        at = int(now.timestamp())
        started_at = at - int(asyncio.get_running_loop().time() - self._up_since)
        if abs(started_at - self._started_at) > _STEP_S:
            self._started_at = started_at  # the clock was set: nobody has been up for the years in between
        today = str(date_in(self._home_zone, now))
        accounts: dict[str, AccountStanding] = {}
        meters: dict[str, MeterStanding] = {}
        for account in self._accounts:
            trouble = _failure_of(account.runner.outage, at)
            accounts[account.name] = self._account(account, self._hold(account, now) or trouble, today)
            for each in account.collectors:
                own = _failure_of(account.runner.rejected.get(each), at)
                meters[each.meter.name] = await self._meter(each, trouble, own, now)
        facts = Standing(
            version=__version__,
            pid=os.getpid(),
            started_at=self._started_at,
            written_at=at,
            today=today,
            jobs=jobs,
            next_run_at=None if next_run is None else int(next_run.timestamp()),
            accounts=accounts,
            meters=meters,
        )
        standing = judged(facts, now.timestamp(), self._policy)
        if _timeless(standing) != _timeless(self.standing):
            with suppress(OSError):  # a disk in trouble is told by the work itself
                await self._blocking(write_standing, self._place, standing)
        self._tell_changes(standing)
        self.standing = standing
        return standing

    def _hold(self, account: AccountAtWork, now: datetime) -> Failure | None:
        """That the account waits because the cloud wants it to, where that takes long and is all there is."""
        pacer, trouble = account.pacer, account.runner.outage
        if pacer.hold_s <= _LONG_HOLD_S or not (trouble is None or isinstance(trouble, RateLimited)):
            return None
        left_s = pacer.held_until - asyncio.get_running_loop().time()
        until = (now + timedelta(seconds=left_s)).astimezone(self._home_zone)
        reason = f"the cloud asked to wait: request limit reached, until {until:%H:%M}"
        return Failure("account.held", int(now.timestamp()), reason)

    def _account(self, account: AccountAtWork, trouble: Failure | None, today: str) -> AccountStanding:
        pacer = account.pacer
        requests_today, holds_today = self._today[account.name].counts(pacer, today)
        return AccountStanding(
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

    async def _meter(
        self, collector: Collector, trouble: Failure | None, own: Failure | None, now: datetime
    ) -> MeterStanding:
        """The facts of one meter; `trouble` is its account's."""
        before = self.standing.meters.get(collector.meter.name, MeterStanding())
        found = _Found(0, (), before.newest_hour, before.missing_hours, [])
        if collector.is_scanned:  # until then no file seems to be there: what was said before counts
            found = await self._found(collector, now)
        self._warn(collector, found.expiring)
        return MeterStanding(
            newest_hour=found.newest,
            answered_at=collector.answered_at or before.answered_at,
            missing_hours=found.missing_hours,
            expiring_days=len(found.expiring),
            failure=_newest(now.timestamp(), trouble, own, collector.failure, before.failure),
            trouble=own.reason if own else "",
            refused="" if collector.refusal is None else str(collector.refusal),
        )

    async def _found(self, collector: Collector, now: datetime) -> _Found:
        """What the files say; they are read when something was stored, and once an hour without that."""
        name, at = collector.meter.name, asyncio.get_running_loop().time()
        known = collector.archive.known()
        states = known.values()
        stored = collector.writes, sum(each.stored for each in states), sum(each.complete for each in states)
        found = self._files.get(name)
        if found is None or found.stored != stored or at - found.at >= _LOOK_S:
            today, since = collector.today(), collector.since
            try:
                newest, missing = await self._blocking(_read, collector, known, today, now)
            except OSError:  # too many open files: the work itself tells it, and the next look may do
                return found or _Found(at, (), None, 0, [])
            first = first_day(today, collector.policy.backfill_days, since)
            expiring = expiring_days(today, first, known, collector.availability)
            found = _Found(at, stored, newest, missing, expiring)
            self._files[name] = found
        return found

    async def idle(self) -> None:
        """Until nothing is read or written, also where who wanted it was cancelled."""
        await self._blocking.idle()

    def _warn(self, collector: Collector, expiring: list[date]) -> None:
        """Says, once a day, what will be lost unless it is had soon."""
        name, today = collector.meter.name, collector.today()
        asked_for = asyncio.get_running_loop().time() - self._began >= _QUIET_S
        if expiring and asked_for and self._warned.get(name) != today:
            self._warned[name] = today
            days = [str(day) for day in expiring]
            _log.warning(
                "history.expiring", meter=name, count=len(days), within_days=EXPIRING_DAYS,
                oldest=days[0], newest=days[-1], days=days,
            )  # fmt: skip

    def _tell_changes(self, standing: Standing) -> None:
        for name, meter in standing.meters.items():
            old = self.standing.meters.get(name, MeterStanding()).state
            if old == meter.state or (State(old).is_well and State(meter.state).is_well):
                continue
            tell = _log.info if State(meter.state).is_well else _log.error
            tell(
                "health.changed", meter=name, state=meter.state, before=old,
                reason=meter.reason, newest_hour_age_s=meter.age_s,
            )  # fmt: skip


class _Found(NamedTuple):
    """What a meter's files said, when they were read (loop time), and what was stored then."""

    at: float
    stored: tuple[int, ...]
    newest: int | None
    missing_hours: int
    expiring: list[date]


@dataclass(slots=True)
class _Today:
    """What the pacer had counted when the day began; less, where an earlier process counted a part of it."""

    date: str
    requests: int
    holds: int

    @classmethod
    def after(cls, before: Standing, account: AccountAtWork) -> _Today:
        told = before.accounts.get(account.name, AccountStanding())
        pacer = account.pacer
        return cls(before.today, pacer.requests - told.requests_today, pacer.holds - told.holds_today)

    def counts(self, pacer: Pacer, today: str) -> tuple[int, int]:
        """Requests and holds of that date so far."""
        if today != self.date:
            self.date, self.requests, self.holds = today, pacer.requests, pacer.holds
        return pacer.requests - self.requests, pacer.holds - self.holds


def _read(
    collector: Collector, known: Mapping[date, DayRecord], today: date, now: datetime
) -> tuple[int | None, int]:
    """The newest hour known whole, and how many are missing."""
    folder, no_solar, zone = collector.archive.folder, collector.archive.no_solar, collector.zone
    states = coverage(today, known, collector.availability, collector.policy, collector.since)
    days = [day for day, state in states.items() if state is not DayState.COMPLETE]
    return (
        newest_whole_hour(folder, known, zone, no_solar=no_solar),
        missing_hours(folder, known, zone, days, now, no_solar=no_solar),
    )


def _newest(now: float, *failures: Failure | None) -> Failure | None:
    """The last of them; one that is later than `now` is of a wrong clock, and older than any other."""
    found = [each for each in failures if each is not None]
    return max(found, key=lambda each: each.at if each.at <= now else -1, default=None)


def _failure_of(cause: OutageError | None, at: int) -> Failure | None:
    if cause is None:
        return None
    return Failure(outage_of(cause).started, at, reason_of(cause), cure_of(cause))


def _timeless(standing: Standing) -> Standing:
    """What is worth being written: without what changes by the mere passing of time."""
    meters = {
        name: replace(each, age_s=None, failure=each.failure and each.failure._replace(at=0))
        for name, each in standing.meters.items()
    }
    accounts = {
        name: replace(each, trouble=each.trouble and each.trouble._replace(at=0))
        for name, each in standing.accounts.items()
    }
    return replace(standing, written_at=0, age_s=None, accounts=accounts, meters=meters)
