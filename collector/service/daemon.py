"""The service: life and death of the process. Composed here, stopped here, reloaded here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from collector import __version__, logs
from collector.energy.days import Clock
from collector.errors import CollectorError, KeyRefused, SettingsError
from collector.service.asking import Asker
from collector.service.assembly import AccountAtWork, Pacers, assembled
from collector.service.collection import Collection, Lane
from collector.service.home import home_zone
from collector.service.observer import Observer
from collector.service.outside import Tell, outside
from collector.service.schedule import Schedule
from collector.service.signals import Signals, broken_off_by
from collector.service.standing import in_one_line, place_for, read_standing
from collector.service.systemd import Notifier
from collector.settings import Settings

_GRACE_S = 3.0  # for the days under way when the service is told to stop
_SAVE_GRACE_S = 1.0  # for a file that is being saved; after that the kernel ends it, old or new
_HEARTBEAT_S = 30.0
_STATUS_S = 30.0  # so often it is said how things stand, where nothing is news
_STUCK_S = 900.0  # no request and no answer for so long, and yet a day under way: the work hangs
_IDLE_S = 3 * 3600.0  # every hour asks for today: who did nothing for three, without a reason, is broken
_STEP_S = 60.0  # a larger jump of the wall clock against elapsed time is a step

_log = logs.get_logger("service")


async def serve(
    settings: Settings,
    load: Callable[[], Settings],
    signals: Signals,
    clock: Clock,
    notifier: Notifier,
) -> None:
    """Collects until told to stop. `load` reads the configuration again, for a reload.

    Raises what keeps it from starting: `ArchiveError`. A reload that cannot work changes nothing.
    """
    _log.info("service.started", version=__version__, meters=len(settings.meters))
    for warning in settings.warnings:
        _log.warning("config.warning", reason=warning)
    pacers = Pacers()
    while not signals.stop.is_set():
        async with AsyncExitStack() as held:
            async with broken_off_by(signals.stop):
                accounts = await held.enter_async_context(assembled(settings, clock, pacers))
            if signals.stop.is_set():
                break
            observer = _observer(accounts, settings, clock)
            async with outside(settings.listen, settings.alarms, observer.standing, clock) as tell:
                await _Round(accounts, settings, load, signals, clock, notifier, observer, tell).run()
        signals.reload.clear()
        if not signals.stop.is_set():
            async with broken_off_by(signals.stop):
                settings = await _reloaded(settings, load, clock, pacers)
    _log.info("service.stopped")


def _observer(accounts: list[AccountAtWork], settings: Settings, clock: Clock) -> Observer:
    place = place_for(settings.archive, os.environ)
    before = read_standing(settings.archive, os.environ)
    return Observer(accounts, settings.health, clock, home_zone(os.environ), place, before)


async def _reloaded(old: Settings, load: Callable[[], Settings], clock: Clock, pacers: Pacers) -> Settings:
    """The new settings if the service can work with them, else the old ones."""
    try:
        new = load()
        async with assembled(new, clock, pacers):
            pass
    except SettingsError as error:
        _log.error("config.rejected", problems=[str(problem) for problem in error.problems])
        return old
    except CollectorError as error:
        _log.error("config.rejected", problems=[str(error)])
        return old
    _log.info("config.reloaded", meters=len(new.meters))
    return new


class _Round:
    """The time between two readings of the configuration."""

    def __init__(
        self,
        accounts: list[AccountAtWork],
        settings: Settings,
        load: Callable[[], Settings],
        signals: Signals,
        clock: Clock,
        notifier: Notifier,
        observer: Observer,
        tell: Tell,
    ) -> None:
        self._accounts = accounts
        self._keys = {each.account.name: each.account.auth_key for each in settings.accounts}
        self._load = load
        self._signals = signals
        self._clock = clock
        self._notifier = notifier
        self._schedule = Schedule(settings.timetable)
        self._observer = observer
        self._tell = tell
        self._news = asyncio.Event()  # something happened that the status should say now
        self._asker = Asker(self._news.set)
        for account in accounts:
            account.runner.on_turn = self._news.set

    async def run(self) -> None:
        """Works until a signal comes; a part that dies of a bug ends the service, loudly."""
        workers = [asyncio.create_task(account.runner.run()) for account in self._accounts]
        others = [
            asyncio.create_task(work) for work in (self._heartbeat(), self._observe(), self._signals.wait())
        ]
        try:
            self._begin()
            await asyncio.wait([*workers, *others], return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._signals.stop.is_set():
                self._notifier.stopping()
                _log.info("service.stopping")
            self._schedule.stop()
            self._asker.cancel()
            for each in others:
                each.cancel()
            await self._wind_down(workers)
        for task in (*workers, *others):
            if task.done() and not task.cancelled():
                task.result()

    async def _wind_down(self, workers: list[asyncio.Task[None]]) -> None:
        for account in self._accounts:
            account.runner.stop()
        if not workers:
            return
        _, late = await asyncio.wait(workers, timeout=_GRACE_S)
        for task in late:
            task.cancel()
        saves = [collection.idle() for _, collection in self._collections()]
        with suppress(TimeoutError):
            async with asyncio.timeout(_SAVE_GRACE_S):
                await asyncio.gather(*saves)

    def _begin(self) -> None:
        """The first jobs of each meter, at once; the schedule asks for the later ones."""
        for account, collection in self._collections():
            self._schedule.add(
                partial(self._asker.ask, account.runner, collection), partial(_zone_of, collection)
            )
        self._schedule.start(self._clock())
        self._notifier.ready("Starting")
        _log.info("service.ready")
        self._ask_all()

    def _ask_all(self) -> None:
        for account, collection in self._collections():
            for lane in Lane:
                self._asker.ask(account.runner, collection, lane)

    def _is_stuck(self) -> bool:
        """Whether something under way has not moved for a quarter of an hour, or nothing is done any more.

        Who waits because the cloud asked for it is not stuck.
        """
        now = asyncio.get_running_loop().time()
        if self._asker.waits_since(now) > _STUCK_S:
            return True
        runners = [(each.runner, each.pacer) for each in self._accounts]
        if any(runner.is_busy and pacer.quiet_s > _STUCK_S for runner, pacer in runners):
            return True
        return any(
            runner.trouble is None and now - max(runner.moved_at, pacer.held_until) > _IDLE_S
            for runner, pacer in runners
        )

    def _collections(self) -> list[tuple[AccountAtWork, Collection]]:
        return [(account, each) for account in self._accounts for each in account.collections]

    async def _heartbeat(self) -> None:
        """Signs of life while loop and work are alive, clock steps, a changed key."""
        loop = asyncio.get_running_loop()
        pause_s = min(_HEARTBEAT_S, (self._notifier.watchdog_s or _HEARTBEAT_S) / 3)
        checked_at, offset = loop.time(), self._clock().timestamp() - loop.time()
        while True:
            if not self._is_stuck():
                self._notifier.alive()
            await asyncio.sleep(pause_s)
            if loop.time() - checked_at < _HEARTBEAT_S:
                continue
            checked_at = loop.time()
            now = self._clock()
            step_s = now.timestamp() - loop.time() - offset
            if abs(step_s) > _STEP_S:
                offset += step_s
                _log.warning("clock.stepped", step_s=round(step_s, 1))
                self._replan(now)
            elif any(account.runner.wants_new_plans for account in self._accounts):
                self._replan(now)
            elif self._schedule.is_outdated(now):
                self._schedule.replan(now)
            self._reload_for_a_new_key()

    async def _observe(self) -> None:
        """What the service says of itself, on news and twice a minute: its standing and the status line."""
        said = ""
        while True:
            jobs = sum(account.runner.jobs_under_way for account in self._accounts)
            standing = await self._observer.observe(jobs, self._schedule.next_run())
            self._tell(standing)
            if (status := in_one_line(standing)) != said:
                said = status
                self._notifier.status(status)
            with suppress(TimeoutError):
                async with asyncio.timeout(_STATUS_S):
                    await self._news.wait()
            self._news.clear()

    def _replan(self, now: datetime) -> None:
        for account in self._accounts:
            account.runner.drop()
            account.runner.wants_new_plans = False
        self._schedule.replan(now)
        self._ask_all()

    def _reload_for_a_new_key(self) -> None:
        """A key that was refused and has been changed since is used at once."""
        if not any(isinstance(account.runner.trouble, KeyRefused) for account in self._accounts):
            return
        with suppress(SettingsError):
            keys = {each.account.name: each.account.auth_key for each in self._load().accounts}
            if keys != self._keys:
                self._signals.reload.set()


def _zone_of(collection: Collection) -> ZoneInfo:
    return collection.zone
