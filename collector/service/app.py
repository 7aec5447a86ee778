"""The service: builds its parts, runs them, reloads and stops."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from collector import __version__, logs
from collector.archive.mark import Remembered
from collector.cloud.meters import Account
from collector.collect.collector import SCHEDULED, Collector, Lane
from collector.collect.daily_totals import check_totals
from collector.collect.outages import Refusal
from collector.collect.worker import AccountRunner, Job
from collector.energy.days import Clock, system_timezone
from collector.errors import ArchiveError, CollectorError, KeyRefused, SettingsError
from collector.service.accounts import AccountAtWork, Pacers, assembled
from collector.service.control import Command, Running, listening
from collector.service.limits import too_low
from collector.service.notify import Publish, publish_status
from collector.service.schedule import Schedule
from collector.service.status import Observer
from collector.service.systemd import Notifier, status_line
from collector.settings import Settings
from collector.status import Status, read_status, status_file
from collector.threads import in_thread

if TYPE_CHECKING:
    from collector.publish.publisher import Publisher
    from collector.web.access import Page

_log = logs.get_logger("service")


@dataclass(slots=True)
class Signals:
    """Events that are set by the process's signals."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """Waits until either is set."""
        waits = [asyncio.create_task(event.wait()) for event in (self.stop, self.reload)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()


@asynccontextmanager
async def cancelled_on(event: asyncio.Event) -> AsyncIterator[None]:
    """Cancels what its body awaits as soon as the event is set, and continues behind the body."""
    end = asyncio.timeout(None)

    def end_now(waiting: asyncio.Task[Any]) -> None:
        end.reschedule(asyncio.get_running_loop().time())

    waiting = asyncio.create_task(event.wait())
    try:
        async with end:
            waiting.add_done_callback(end_now)
            try:
                yield
            finally:
                waiting.remove_done_callback(end_now)
    except TimeoutError:
        if not end.expired():
            raise
    finally:
        waiting.cancel()


class Requester:
    """Scans the files and adds jobs outside the scheduler, so that stopping it does not cancel them."""

    def __init__(self, idle: Callable[[], None]) -> None:
        """`idle` is called when all requested jobs have been added, and when a job is done."""
        self._idle = idle
        self._tasks: dict[asyncio.Task[None], float] = {}  # loop time of the start
        self._jobs: set[asyncio.Task[None]] = set()

    def request(self, runner: AccountRunner, collector: Collector, lane: Lane) -> None:
        """Scans the files and adds a job, in the background."""
        task = asyncio.create_task(self._scan_and_request(runner, collector, lane))
        self._tasks[task] = asyncio.get_running_loop().time()
        task.add_done_callback(self._requested)

    def longest_wait_s(self, now: float) -> float:
        """Seconds that the oldest scan has been running at loop time `now`; 0 without one."""
        return max((now - since for since in self._tasks.values()), default=0.0)

    def cancel(self) -> None:
        """Cancels all scans and follow-ups."""
        for task in (*self._tasks, *self._jobs):
            task.cancel()

    def _requested(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if task.cancelled():
            return
        if (error := task.exception()) is not None:
            _log.error("job.failed", exc_info=error)
        if not self._tasks:
            self._idle()

    async def _scan_and_request(self, runner: AccountRunner, collector: Collector, lane: Lane) -> None:
        with suppress(OSError):  # a disk error is reported by the work itself
            await collector.scan()
        if collector.refusal is not None:  # without work it must not count as stuck
            runner.moved_at = asyncio.get_running_loop().time()
        elif (job := runner.request(lane, collector)) is not None:
            task = asyncio.create_task(self._until_done(job, collector))
            self._jobs.add(task)
            task.add_done_callback(self._jobs.discard)

    async def _until_done(self, job: Job, collector: Collector) -> None:
        await job.done.wait()
        if job.lane is Lane.BACKFILL:
            await check_totals(collector)
        self._idle()


# Python collects all objects after ten collections of younger ones: with a thousand accounts for 0.2 s,
# every two seconds, and finds little. Here it is after one more for so many meters each.
_METERS_A_COLLECTION = 25
_GRACE_S = 2.0  # for the days in progress when the service is stopped
_SAVE_GRACE_S = 1.0  # for a save in progress; a kill leaves the old or the new file
_HEARTBEAT_S = 30.0
_STATUS_S = 30.0  # between two statuses if nothing has changed
_STATUS_PAUSE = 9  # after a status, in times of the seconds that it took ...
_STATUS_PAUSE_MAX_S = 10.0  # ... and at most
_STUCK_S = 900.0  # without a request or an answer, but with a day in progress: the work hangs
_IDLE_S = 3 * 3600.0  # today is requested every hour: an account idle for so long is broken
_STEP_S = 60.0  # a larger jump of the wall clock against elapsed time is a step


async def serve(
    settings: Settings,
    load: Callable[[], Settings],
    signals: Signals,
    clock: Clock,
    notifier: Notifier,
    in_force: Callable[[Settings], None] = lambda settings: None,
    remembered: Remembered | None = None,
    commands: Mapping[str, Command] | None = None,
) -> None:
    """Collects until stopped. `load` only reads the configuration again, for a reload; `in_force` is called
    with the new settings as soon as they are in force.

    `remembered` knows where archives were before. `commands`: those that are carried out on request.
    Raises `ArchiveError` if it cannot start. A reload that fails changes nothing.
    """
    _log.info("service.started", version=__version__, meters=len(settings.meters))
    gc.set_threshold(*gc.get_threshold()[:2], 10 + len(settings.meters) // _METERS_A_COLLECTION)
    limits = too_low(len(settings.meters), len(settings.accounts), settings.pacing.max_in_flight)
    for warning in (*settings.warnings, *limits):
        _log.warning("config.warning", reason=warning)
    configuration = _Configuration(settings, load, in_force, remembered)
    pacers = Pacers()
    refusals: dict[Account, Refusal] = {}
    refused_since: dict[str, float | None] = {}  # by the account's name: the key may have changed
    is_reload = False
    while not signals.stop.is_set():
        async with AsyncExitStack() as held:
            async with _keep_alive(notifier), cancelled_on(signals.stop):
                new = await configuration.read_again() if is_reload else None
                try:
                    accounts = await configuration.open_accounts(new, held, clock, pacers)
                except ArchiveError as error:
                    _log.error("service.failed", reason=str(error))
                    raise
            if signals.stop.is_set():
                break
            settings = configuration.settings
            for each in accounts:
                each.runner.refusal = refusals.get(each.account)
                if each.runner.refusal is None:
                    each.runner.refused_since = refused_since.get(each.account.name)
            before = read_status(settings.archive, os.environ)
            publishers = _publishers(settings, clock, before)
            observer = _observer(accounts, publishers, settings, clock, before)
            async with publish_status(
                _page(settings), settings.alarms, observer.status, clock, settings.max_age_s
            ) as publish:
                parts = accounts, publishers, configuration, signals, clock, notifier, observer, publish
                await _Run(*parts, commands or {}).run()
            refusals = {each.account: each.runner.refusal for each in accounts if each.runner.refusal}
            refused_since = {each.account.name: _refused_since(each.runner) for each in accounts}
        signals.reload.clear()
        is_reload = True
    _log.info("service.stopped")


def _refused_since(runner: AccountRunner) -> float | None:
    """Loop time since when a key of the account, this or an earlier one, is refused; `None` if none is."""
    return runner.refused_since if runner.refusal is None else runner.refusal.since


def _page(settings: Settings) -> Page | None:
    """The page, if it is to be served."""
    if settings.listen is None:
        return None
    from collector.web.access import Page  # costs nothing where there is no page

    return Page(settings.listen, settings.files, settings.names, settings.password)


def _publishers(settings: Settings, clock: Clock, before: Status | None) -> list[Publisher]:
    """A publisher for each target. `before`: the last status."""
    if not settings.targets:
        return []
    from collector.publish.publisher import Publisher  # costs nothing where nothing is published

    zone, last = system_timezone(os.environ), before.targets if before else {}
    return [
        Publisher(each, settings.files.meters, zone, clock, last.get(each.name)) for each in settings.targets
    ]


def _observer(
    accounts: list[AccountAtWork],
    publishers: list[Publisher],
    settings: Settings,
    clock: Clock,
    before: Status | None,
) -> Observer:
    place, zone = status_file(settings.archive, os.environ), system_timezone(os.environ)
    return Observer(accounts, settings.max_age_s, clock, zone, place, before, publishers)


@asynccontextmanager
async def _keep_alive(notifier: Notifier) -> AsyncIterator[None]:
    """Notifies the watchdog while the body waits for a slow disk, for a quarter of an hour at most."""

    async def alive() -> None:
        pause_s = _pause_s(notifier)
        for _ in range(round(_STUCK_S / pause_s)):
            notifier.alive()
            await asyncio.sleep(pause_s)

    notifying = asyncio.create_task(alive())
    try:
        yield
    finally:
        notifying.cancel()


def _pause_s(notifier: Notifier) -> float:
    """Seconds between two notifications of the watchdog."""
    return min(_HEARTBEAT_S, (notifier.watchdog_s or _HEARTBEAT_S) / 3)


@dataclass(repr=False, eq=False)
class _Configuration:
    """The settings in force, and reading a changed file."""

    settings: Settings
    load: Callable[[], Settings]
    in_force: Callable[[Settings], None]
    remembered: Remembered | None
    rejected: Settings | list[str] | None = None  # what was read last, if it was rejected

    async def read_again(self) -> Settings | None:
        """The settings in the file now; `None` if it has errors, which are logged."""
        read = await self._read()
        if isinstance(read, Settings):
            return read
        self._reject(read, read)
        return None

    async def has_another_key(self) -> bool:
        """Whether the file has another key than the one in force; `False` if it was rejected already.

        Errors in it are logged once.
        """
        read = await self._read()
        if read == self.rejected:
            return False
        if isinstance(read, Settings):
            return _keys(read) != _keys(self.settings)
        self._reject(read, read)
        return False

    async def open_accounts(
        self, new: Settings | None, held: AsyncExitStack, clock: Clock, pacers: Pacers
    ) -> list[AccountAtWork]:
        """Opens the accounts until `held` ends: with the new settings if they work, else the old ones."""
        opened = partial(assembled, clock=clock, pacers=pacers, remembered=self.remembered)
        if new is not None:
            try:
                return await held.enter_async_context(opened(new, on_open=partial(self._accept, new)))
            except CollectorError as error:
                self._reject(new, [str(error)])
        return await held.enter_async_context(opened(self.settings))

    async def _read(self) -> Settings | list[str]:
        """The settings in the file, or its errors. In a thread: its disk may stall."""
        try:
            read = await in_thread(self.load)
        except SettingsError as error:
            return [str(problem) for problem in error.problems]
        logs.add_secrets(read.secrets)
        return read

    def _accept(self, new: Settings) -> None:
        self.settings, self.rejected = new, None
        self.in_force(new)
        _log.info("config.reloaded", meters=len(new.meters))

    def _reject(self, read: Settings | list[str], problems: list[str]) -> None:
        self.rejected = read
        _log.error("config.rejected", problems=problems)


def _keys(settings: Settings) -> dict[str, str]:
    """Each account's key."""
    return {each.account.name: each.account.auth_key for each in settings.accounts}


@dataclass(repr=False, eq=False)
class _Run:
    """Runs the service with one loaded configuration until stop or reload."""

    accounts: list[AccountAtWork]
    publishers: list[Publisher]
    configuration: _Configuration
    signals: Signals
    clock: Clock
    notifier: Notifier
    observer: Observer
    publish: Publish
    commands: Mapping[str, Command]

    def __post_init__(self) -> None:
        settings = self.configuration.settings
        self._schedule = Schedule(settings.refresh_minute, settings.refresh_jitter_s)
        self._observed_at = asyncio.get_running_loop().time()
        self._news = asyncio.Event()  # something happened that the status should show now
        self._outage_changed = asyncio.Event()  # an account's outage began, changed or ended
        self._requester = Requester(self._news.set)
        self._running = Running(settings, self.accounts, self.clock, self._requester.request)
        for account in self.accounts:
            account.runner.on_outage_change = self._on_outage_change
        for publisher in self.publishers:
            publisher.on_change = self._news.set

    async def run(self) -> None:
        """Works until stop or reload; raises the exception of a part that ends with a bug."""
        workers = [asyncio.create_task(account.runner.run()) for account in self.accounts]
        others = [
            asyncio.create_task(work)
            for work in (
                self._heartbeat(),
                self._observe(),
                self._watch_for_new_keys(),
                self.signals.wait(),
                *(each.run() for each in self.publishers),
            )
        ]
        try:
            self._begin()
            async with listening(self._running, self.commands, os.environ):
                await asyncio.wait([*workers, *others], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self.signals.stop.is_set():
                self.notifier.stopping()
                _log.info("service.stopping")
            self._schedule.stop()
            self._requester.cancel()
            for each in others:
                each.cancel()
            await self._wind_down(workers)
        for task in (*workers, *others):
            if task.done() and not task.cancelled():
                task.result()

    async def _wind_down(self, workers: list[asyncio.Task[None]]) -> None:
        """Ends the work after the days in progress. A reload, which closes the archives next, waits until all
        saves have finished; a stop waits at most a second more.
        """
        for account in self.accounts:
            account.runner.stop()
        late = (await asyncio.wait(workers, timeout=_GRACE_S))[1] if workers else set()
        for task in late:
            task.cancel()
        async with _keep_alive(self.notifier):
            if self.signals.reload.is_set():
                async with cancelled_on(self.signals.stop):
                    await self._all_saved(late)
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(_SAVE_GRACE_S):
                    await self._all_saved(late)

    async def _all_saved(self, late: set[asyncio.Task[None]]) -> None:
        """Waits until no file is being read or written; `late` are workers that were cancelled."""
        if late:
            await asyncio.wait(late)
        for _, collector in self._collectors():
            await collector.blocking.idle()
        await self.observer.idle()

    def _begin(self) -> None:
        """Starts the schedule and requests the first jobs of each meter."""
        for account, collector in self._collectors():
            self._schedule.add(
                partial(self._requester.request, account.runner, collector), partial(_zone_of, collector)
            )
        self._schedule.start(self.clock())
        self.notifier.ready("Starting")
        if self.configuration.rejected is None:
            _log.info("service.ready")
        self._request_all()

    def _request_all(self) -> None:
        for account, collector in self._collectors():
            for lane in SCHEDULED:
                self._requester.request(account.runner, collector, lane)

    def _is_stuck(self) -> bool:
        """Whether work in progress has not moved for a quarter of an hour, or an account is idle for 3 h.

        An account in a rate-limit pause or an outage is not stuck.
        """
        now = asyncio.get_running_loop().time()
        if self._requester.longest_wait_s(now) > _STUCK_S or now - self._observed_at > _STUCK_S:
            return True
        runners = [(each.runner, each.pacer) for each in self.accounts]
        if any(runner.is_busy and pacer.quiet_s > _STUCK_S for runner, pacer in runners):
            return True
        return any(
            runner.outage is None and now - max(runner.moved_at, pacer.held_until) > _IDLE_S
            for runner, pacer in runners
        )

    def _collectors(self) -> list[tuple[AccountAtWork, Collector]]:
        return [(account, each) for account in self.accounts for each in account.collectors]

    async def _heartbeat(self) -> None:
        """Notifies the watchdog unless the work is stuck; plans again after a clock step."""
        loop = asyncio.get_running_loop()
        pause_s = _pause_s(self.notifier)
        checked_at, offset = loop.time(), self.clock().timestamp() - loop.time()
        while True:
            if not self._is_stuck():
                self.notifier.alive()
            await asyncio.sleep(pause_s)
            if loop.time() - checked_at < _HEARTBEAT_S:
                continue
            checked_at = loop.time()
            now = self.clock()
            step_s = now.timestamp() - loop.time() - offset
            if abs(step_s) > _STEP_S:
                offset += step_s
                _log.warning("clock.stepped", step_s=round(step_s, 1))
                self._replan(now)
            elif any(account.runner.needs_new_plans for account in self.accounts):
                self._replan(now)
            elif self._schedule.is_outdated(now):
                self._schedule.replan(now)

    async def _observe(self) -> None:
        """Makes and publishes the status after each change and twice a minute."""
        last_line, loop = "", asyncio.get_running_loop()
        while True:
            began = loop.time()
            jobs = sum(account.runner.open_jobs for account in self.accounts)
            status = await self.observer.observe(jobs, self._schedule.next_run())
            self._observed_at = loop.time()
            self.publish(status)
            saves = sum(each.writes for _, each in self._collectors()) if self.publishers else 0
            for publisher in self.publishers:
                publisher.report(saves, jobs)
            if (line := status_line(status)) != last_line:
                last_line = line
                self.notifier.status(line)
            # With a thousand accounts a status takes a while, and while today is requested news never end.
            await asyncio.sleep(min(_STATUS_PAUSE * (loop.time() - began), _STATUS_PAUSE_MAX_S))
            with suppress(TimeoutError):
                async with asyncio.timeout(_STATUS_S):
                    await self._news.wait()
            self._news.clear()

    def _replan(self, now: datetime) -> None:
        for account in self.accounts:
            account.runner.drop()
            account.runner.needs_new_plans = False
        self._schedule.replan(now)
        self._request_all()

    def _on_outage_change(self) -> None:
        self._news.set()
        self._outage_changed.set()
        self._running.note_outage_change()

    async def _watch_for_new_keys(self) -> None:
        """Reloads when a refused key has been changed in the configuration."""
        while True:
            while not any(isinstance(each.runner.outage, KeyRefused) for each in self.accounts):
                self._outage_changed.clear()
                await self._outage_changed.wait()
            await asyncio.sleep(_HEARTBEAT_S)
            if await self.configuration.has_another_key():
                self.signals.reload.set()


def _zone_of(collector: Collector) -> ZoneInfo:
    return collector.zone
