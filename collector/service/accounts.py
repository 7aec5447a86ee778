"""Puts the parts together, from settings: for the service and for the one-shot commands alike."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from collector import logs
from collector.archive.mark import Remembered
from collector.archive.store import Archive
from collector.cloud.client import CloudClient, Session, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import Pace, Pacer, Pacing
from collector.collect.collector import Collector
from collector.collect.worker import AccountRunner
from collector.energy.days import Clock, home_zone
from collector.energy.identity import Identity
from collector.errors import ArchiveError, ArchiveLocked, ArchiveRefused, RateLimited, SourceError
from collector.service.systemd import hint
from collector.settings import Settings
from collector.threads import in_thread


@dataclass(frozen=True, slots=True)
class AccountAtWork:
    """One account's runner and its meters' collectors."""

    name: str
    runner: AccountRunner
    collectors: tuple[Collector, ...]
    pacer: Pacer


class Pacers:
    """The pacers of a process. What one has learned of its account stays, also over a reload."""

    def __init__(self) -> None:
        self._pacers: dict[tuple[Account, Pacing], Pacer] = {}
        self._paces: dict[tuple[str, str, Pacing], Pace] = {}

    def of(self, account: Account, pacing: Pacing) -> Pacer:
        """The account's pacer; a new one for a new key, a new host or other settings.

        Accounts of one host and key share a pace, for the cloud counts them as one.
        """
        if (account, pacing) not in self._pacers:
            log = logs.get_logger("cloud").bind(account=account.name)

            def on_hold(hold_s: float) -> None:
                log.warning("account.held", hold_s=round(hold_s, 3))

            shared = account.base_url, account.auth_key, pacing
            if shared not in self._paces:
                self._paces[shared] = Pace(pacing)
            self._pacers[account, pacing] = Pacer(self._paces[shared], on_hold)
        return self._pacers[account, pacing]


@asynccontextmanager
async def assembled(
    settings: Settings,
    clock: Clock,
    pacers: Pacers,
    give_up_after_s: float | None = None,
    remembered: Remembered | None = None,
    on_open: Callable[[], None] = lambda: None,
) -> AsyncIterator[list[AccountAtWork]]:
    """All accounts, ready to work, with their archives held, but for those that must not be used (yet).

    `remembered` knows where archives were before. `on_open` is called when they are open.
    Raises `ArchiveLocked`, and `ArchiveError` with the cause and the cure, before anything is requested.
    Where a save is still under way at the end, the archives stay held until the process ends.
    """
    archives, held = await _opened(settings, remembered)
    on_open()
    accounts: list[AccountAtWork] = []
    try:
        async with open_session() as session:
            for each in settings.accounts:
                client = _client(settings, each.account, session, pacers)
                collectors = tuple(
                    Collector(
                        meter, client, archives[meter.name], settings.plan, clock, home_zone(os.environ)
                    )
                    for meter in each.meters
                )
                runner = AccountRunner(each.account.name, settings.pacing.max_in_flight, give_up_after_s)
                accounts.append(AccountAtWork(each.account.name, runner, collectors, client.pacer))
            yield accounts
    finally:
        if not any(each.blocking.is_busy for account in accounts for each in account.collectors):
            held.close()


async def _opened(settings: Settings, remembered: Remembered | None) -> tuple[dict[str, Archive], ExitStack]:
    """All archives, by their meters' names, held until the stack ends.

    Off the loop: a card that stalls must not keep the service from a stop.
    """

    def opened() -> tuple[dict[str, Archive], ExitStack]:
        with ExitStack() as held:
            archives = {
                meter.name: open_archive(settings, meter, held, meter.identity, remembered)
                for meter in settings.meters
            }
            return archives, held.pop_all()

    def let_go(done: asyncio.Future[tuple[dict[str, Archive], ExitStack]]) -> None:
        if done.exception() is None:
            done.result()[1].close()

    opening = in_thread(opened)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(let_go)
        raise


def open_archive(
    settings: Settings,
    meter: Meter,
    held: ExitStack,
    identity: Identity | None,
    remembered: Remembered | None = None,
) -> Archive:
    """That meter's archive, held until `held` ends; not taken yet where it is not known to be of `identity`.

    Raises `ArchiveError` with the cause and the cure.
    """
    folder = settings.folder_of(meter)
    try:
        archive = Archive(
            folder,
            settings.day_format,
            root=settings.archive,
            identity=identity,
            remembered=remembered,
            no_solar=meter.has_no_solar,
            remember_days=max(settings.plan.settle_days, default=0),
        )
        with suppress(ArchiveRefused):  # raised again where it is used
            archive.claim()
    except ArchiveLocked:
        raise ArchiveLocked(
            f"another collector is working on {folder}; stop it first (systemctl stop shelly-collector)"
        ) from None
    except FileNotFoundError as error:
        raise ArchiveError(
            f"{settings.archive.parent} does not exist: mount the disk or create the folder, then start again"
            f"{hint(settings.archive, error, os.environ)}"
        ) from None
    except OSError as error:
        raise ArchiveError(
            f"{folder} cannot be used: {error.strerror}. It must be a folder that this user may write"
            f"{hint(settings.archive, error, os.environ)}"
        ) from error
    held.callback(archive.close)
    if archive.is_taken and archive.ledger.rebuilt:
        logs.get_logger("archive").warning("ledger.rebuilt", meter=meter.name)
    return archive


def _client(settings: Settings, account: Account, session: Session, pacers: Pacers) -> CloudClient:
    log = logs.get_logger("cloud").bind(account=account.name)

    def on_retry(error: SourceError, attempts: int, wait_s: float) -> None:
        if not isinstance(error, RateLimited):  # that is logged as account.held
            log.warning(
                "request.retried", reason=error.reason, attempts=attempts, retry_in_s=round(wait_s, 3)
            )

    return CloudClient(session, account, pacers.of(account, settings.pacing), settings.retry, on_retry)
