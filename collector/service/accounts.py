"""Builds accounts, collectors and archives from settings, for the service and the one-shot commands."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from collector import logs
from collector.archive.folder import OWN_FOLDER
from collector.archive.mark import Remembered
from collector.archive.store import Archive
from collector.cloud.client import CloudClient, Session, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import CLOUD_INTERVAL_S, Pace, Pacer, Pacing
from collector.cloud.shared_pace import SharedPace, Unshared, pace_folder
from collector.collect.collector import Collector
from collector.collect.worker import AccountRunner
from collector.energy.days import Clock, system_timezone
from collector.energy.identity import Identity
from collector.errors import ArchiveError, ArchiveLocked, ArchiveRefused, RateLimited, SourceError
from collector.service.systemd import hint
from collector.settings import Settings
from collector.threads import in_thread

_MOST_THREADS = 64  # of all archives; the unit allows 128 tasks


@dataclass(frozen=True, slots=True)
class AccountAtWork:
    """One account: its runner, its meters' collectors and its pacer."""

    account: Account
    runner: AccountRunner
    collectors: tuple[Collector, ...]
    pacer: Pacer


class Pacers:
    """The pacers of a process. A reload keeps the request rate that a pacer has adapted to."""

    def __init__(self) -> None:
        self._pacers: dict[tuple[Account, Pacing], Pacer] = {}
        self._paces: dict[tuple[str, str, Pacing], Pace] = {}

    def of(self, account: Account, pacing: Pacing, timeout_s: float) -> Pacer:
        """The account's pacer; a new one for a new key, a new host or other settings.

        Accounts with the same host and key share a pace, because the cloud counts them as one; so do the
        processes of this machine. `timeout_s`: how long a request may last.
        """
        if (account, pacing) not in self._pacers:
            log = logs.get_logger("cloud").bind(account=account.name)

            def on_hold(hold_s: float) -> None:
                log.warning("account.held", hold_s=round(hold_s, 3))

            key = account.base_url, account.auth_key, pacing
            if key not in self._paces:
                self._paces[key] = Pace(pacing, _shared_pace(account, pacing, timeout_s))
            self._pacers[account, pacing] = Pacer(self._paces[key], on_hold)
        return self._pacers[account, pacing]


def _shared_pace(account: Account, pacing: Pacing, timeout_s: float) -> SharedPace | None:
    """What other processes share of the account's pace; `None` for a simulated cloud that allows more."""
    if pacing.min_interval_s < CLOUD_INTERVAL_S:
        return None
    log = logs.get_logger("cloud").bind(account=account.name)

    def on_unshared(found: Unshared) -> None:
        (log.debug if found.is_missing else log.warning)("pace.unshared", reason=found.reason)

    return SharedPace(
        pace_folder(os.environ),
        account.base_url,
        account.auth_key,
        timeout_s=timeout_s,
        on_unshared=on_unshared,
    )


@asynccontextmanager
async def assembled(
    settings: Settings,
    clock: Clock,
    pacers: Pacers,
    give_up_after_s: float | None = None,
    remembered: Remembered | None = None,
    on_open: Callable[[], None] = lambda: None,
) -> AsyncIterator[list[AccountAtWork]]:
    """All accounts, ready to work. Their archives are locked, except those that must not be used (yet).

    `remembered` knows where archives were before. `on_open` is called when they are open.
    Raises `ArchiveLocked`, or `ArchiveError` with the cause and what to do, before anything is requested.
    If a save is still in progress at the end, the archives stay locked until the process ends.
    """
    archives, held = await _opened(settings, remembered)
    on_open()
    threads, zone = asyncio.Semaphore(_MOST_THREADS), system_timezone(os.environ)
    accounts: list[AccountAtWork] = []
    try:
        async with open_session() as session:
            for each in settings.accounts:
                client = _client(settings, each.account, session, pacers)
                collectors = tuple(
                    Collector(
                        meter,
                        client,
                        archives[meter.name],
                        settings.plan,
                        clock,
                        zone,
                        threads,
                    )
                    for meter in each.meters
                )
                runner = AccountRunner(each.account.name, settings.pacing.max_in_flight, give_up_after_s)
                accounts.append(AccountAtWork(each.account, runner, collectors, client.pacer))
            yield accounts
    finally:
        if not any(each.blocking.is_busy for account in accounts for each in account.collectors):
            held.close()


async def _opened(settings: Settings, remembered: Remembered | None) -> tuple[dict[str, Archive], ExitStack]:
    """All archives by meter name, open until the stack is closed.

    In a thread: a disk that stalls must not delay a stop.
    """

    def opened() -> tuple[dict[str, Archive], ExitStack]:
        known = remembered or Remembered()
        with ExitStack() as held, known.at_once():
            archives = {
                meter.name: open_archive(settings, meter, held, meter.identity, known)
                for meter in settings.meters
            }
            return archives, held.pop_all()

    def close_when_open(done: asyncio.Future[tuple[dict[str, Archive], ExitStack]]) -> None:
        if done.exception() is None:
            done.result()[1].close()

    opening = in_thread(opened)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(close_when_open)
        raise


def open_archive(
    settings: Settings,
    meter: Meter,
    held: ExitStack,
    identity: Identity | None,
    remembered: Remembered | None = None,
) -> Archive:
    """The meter's archive, closed with `held`; not taken yet if it is not known to belong to `identity`.

    Raises `ArchiveError` with the cause and what to do.
    """
    folder = settings.folder_of(meter)
    try:
        archive = Archive(
            folder,
            settings.day_format,
            root=settings.archive,
            identity=identity,
            remembered=remembered or Remembered(),
            no_solar=meter.has_no_solar,
            remember_days=max(settings.plan.settle_days, default=0),
        )
        with suppress(ArchiveRefused):  # raised again when it is used
            archive.claim()
    except ArchiveLocked:
        raise ArchiveLocked(
            f"another collector is working on {folder}. Wait until it ends; if it is the service, stop it: "
            "systemctl stop shelly-collector"
        ) from None
    except FileNotFoundError as error:
        raise ArchiveError(
            f"{settings.archive.parent} does not exist: mount the disk or create the folder, then start again"
            f"{hint(settings.archive, error, os.environ)}"
        ) from None
    except (FileExistsError, NotADirectoryError):
        raise ArchiveError(
            f"{folder} cannot be made a folder: a file with that name, or {folder / OWN_FOLDER}, is there. "
            "Move it away"
        ) from None
    except OSError as error:
        raise ArchiveError(
            f"{folder} cannot be used: {error.strerror}. {_cure(error)}"
            f"{hint(settings.archive, error, os.environ)}"
        ) from error
    held.callback(archive.close)
    if archive.is_taken and archive.ledger.rebuilt:
        logs.get_logger("archive").warning("ledger.rebuilt", meter=meter.name)
    return archive


def _cure(error: OSError) -> str:
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return "Allow the process more open files: docs/scaling.md tells how many, and how"
    return "It must be a folder that this user may write"


def _client(settings: Settings, account: Account, session: Session, pacers: Pacers) -> CloudClient:
    log = logs.get_logger("cloud").bind(account=account.name)

    def on_retry(error: SourceError, attempts: int, wait_s: float) -> None:
        if not isinstance(error, RateLimited):  # that is logged as account.held
            log.debug("request.retried", reason=error.reason, attempts=attempts, retry_in_s=round(wait_s, 3))

    pacer = pacers.of(account, settings.pacing, settings.retry.timeout_s)
    return CloudClient(session, account, pacer, settings.retry, on_retry)
