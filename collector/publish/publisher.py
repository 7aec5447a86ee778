"""One target at work: sends it what it lacks, now or after each change; counts outages and ends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import date
from typing import TypeAlias
from zoneinfo import ZoneInfo

from collector import logs
from collector.archive.files import FolderLock
from collector.archive.folder import OWN_FOLDER
from collector.energy.days import Clock
from collector.errors import ArchiveLocked, ArchiveRefused, NotExpressible, PublishError, TargetRefused
from collector.events import CURES
from collector.export.hours import Finding, MeterHours
from collector.overview import MeterFiles
from collector.publish import homeassistant, influx
from collector.publish.sent import Part, Pending, pending, read_sent, record_of, write_sent
from collector.publish.targets import Target, TargetKind
from collector.status import Failure, TargetStatus
from collector.threads import in_thread

Sender: TypeAlias = homeassistant.HomeAssistant | influx.Influx
OnSent: TypeAlias = Callable[[str, int, Sequence[Finding]], None]
"""Called with the meter's name, the number of its hours that were sent, and files that cannot be used."""

_RETRY_S, _RETRY_MAX_S = 60.0, 900.0  # after an outage: doubled up to the maximum
_REFUSED_S = 3600.0  # with a refused token: too many attempts may lead to a ban
_LONGEST_WAIT_S = 3600.0  # for jobs to end: a backfill changes all totals with every day that it saves

_METER_CURE = "Until that is solved, this meter is not sent; the others are."
_STORAGE_CURE = (
    "What was sent is remembered there: check that the disk has space, and can be read and written."
)
_PERMISSION_CURE = "Use sudo for a command; the folder and its files must belong to the user of the service."


def meters_of(target: Target, meters: Sequence[MeterFiles]) -> list[MeterFiles]:
    """The meters that the target is sent."""
    return [each for each in meters if not target.meters or each.meter.name in target.meters]


async def publish(
    target: Target,
    meters: Sequence[MeterFiles],
    zone: ZoneInfo,
    on_sent: OnSent,
    *,
    again: bool = False,
    probe: bool = False,
) -> None:
    """Sends the hours of these meters that the target lacks, or `again` all of them. If it lacks nothing,
    `probe` tries whether it would take hours.

    `zone`: this machine's, used before the cloud has named the meter's. A meter that cannot be sent does not
    hold up the others. Raises `PublishError` for the target or the first such meter, `ArchiveLocked` if
    another process is sending.
    """
    problem: PublishError | None = None
    async with AsyncExitStack() as connections:
        sender: Sender | None = None
        for each in meters:
            try:
                async with _one_at_a_time(each, target):
                    found = await in_thread(_pending, each, target, zone, again=again)
                    if found is None:
                        continue
                    if sender is None:
                        sender = await connections.enter_async_context(opened(target))
                    # If this ends in the middle, nobody knows what of the rest has arrived.
                    await in_thread(_note, each, target, found.kept)
                    count = await sender.send(found)
                    # As read before it was sent: if it has changed meanwhile, it is sent again.
                    await in_thread(_note, each, target, found.now)
                on_sent(each.meter.name, count, list(dict.fromkeys(found.hours.tally.findings)))
            except (NotExpressible, ArchiveRefused) as error:
                problem = problem or PublishError(str(error), _METER_CURE)
            except OSError as error:
                place = error.filename or record_of(each.folder, target)
                cure = _PERMISSION_CURE if isinstance(error, PermissionError) else _STORAGE_CURE
                problem = problem or PublishError(f"{place}: {error.strerror or error}", cure)
        if sender is None and probe and problem is None:
            sender = await connections.enter_async_context(opened(target))
            await sender.probe()
    if problem is not None:
        raise problem


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Sender]:
    """A connection to the target. Raises `PublishError`."""
    if target.kind is TargetKind.HOME_ASSISTANT:
        async with homeassistant.opened(target) as home_assistant:
            yield home_assistant
    else:
        async with influx.opened(target) as database:
            yield database


def all_hours(meter: MeterFiles, zone: ZoneInfo) -> Pending | None:
    """All stored hours of a meter as pending; `None` if it has none. Raises `ArchiveRefused`, `OSError`."""
    return pending(MeterHours(meter, zone, date.min, date.max), {})


def last_sent(meters: Sequence[MeterFiles], target: Target) -> int | None:
    """When hours of these meters were last sent, epoch seconds; `None` if that is not known."""
    found = []
    for each in meters:
        with suppress(OSError):
            found.append(int(record_of(each.folder, target).stat().st_mtime))
    return max(found, default=None)


def _pending(meter: MeterFiles, target: Target, zone: ZoneInfo, *, again: bool) -> Pending | None:
    sent = {} if again else read_sent(meter.folder, target)
    return pending(MeterHours(meter, zone, date.min, date.max), sent)


def _note(meter: MeterFiles, target: Target, parts: Mapping[str, Part]) -> None:
    if parts != read_sent(meter.folder, target):
        write_sent(meter.folder, target, parts)


@asynccontextmanager
async def _one_at_a_time(meter: MeterFiles, target: Target) -> AsyncIterator[None]:
    """Keeps other processes from sending this meter to the target: theirs could be the older hours.

    A meter without a folder has no hours and needs no lock. Raises `ArchiveLocked`, `OSError`.
    """
    own = meter.folder / OWN_FOLDER
    if not await in_thread(own.is_dir):
        yield
        return
    taking = in_thread(FolderLock, own / f"publish-{target.name}.lock")
    try:
        lock = await asyncio.shield(taking)
    except asyncio.CancelledError:
        taking.add_done_callback(_release)
        raise
    try:
        yield
    finally:
        lock.release()


def _release(taken: asyncio.Future[FolderLock]) -> None:
    if taken.exception() is None:
        taken.result().release()


class Publisher:
    """Sends a target what it lacks, after the start and after each change, until cancelled.

    `status` is its state now. `on_change` is called when that has changed.
    """

    def __init__(
        self,
        target: Target,
        meters: Sequence[MeterFiles],
        zone: ZoneInfo,
        clock: Clock,
        before: TargetStatus | None = None,
    ) -> None:
        """`before`: its last status, also of an earlier process."""
        self.target = target
        self.status = replace(before or TargetStatus(), kind=target.kind.value)
        self._meters = meters_of(target, meters)
        self._zone = zone
        self._clock = clock
        self.on_change: Callable[[], None] = lambda: None
        self._log = logs.get_logger("publish").bind(target=target.name)
        self._due = asyncio.Event()
        self._saves = -1  # so that the first report is a change
        self._changed_at: float | None = None  # loop time of the first change that was not sent
        self._failed_since: float | None = None  # loop time
        self._kind: type[PublishError] | None = None  # of the last failure
        self._is_proved = False  # whether the last attempt reached the target

    def report(self, saves: int, jobs: int) -> None:
        """Takes note of the saves so far and of the jobs in progress; returns at once.

        Changes are sent when no job is in progress, or have waited for an hour.
        """
        now = asyncio.get_running_loop().time()
        if saves != self._saves:
            self._saves = saves
            self._changed_at = now if self._changed_at is None else self._changed_at
        if self._changed_at is not None and (not jobs or now - self._changed_at >= _LONGEST_WAIT_S):
            self._due.set()

    async def run(self) -> None:
        """Works until cancelled."""
        pause_s = _RETRY_S
        while True:
            await self._due.wait()
            self._due.clear()
            self._changed_at = None
            error = await self._publish()
            if error is None:
                pause_s = _RETRY_S
                continue
            self._due.set()
            await asyncio.sleep(_REFUSED_S if isinstance(error, TargetRefused) else pause_s)
            pause_s = min(2 * pause_s, _RETRY_MAX_S)

    async def _publish(self) -> PublishError | None:
        """Sends what is pending; returns why that failed."""
        began = asyncio.get_running_loop().time()
        sent: dict[str, int] = {}

        def note(meter: str, hours: int, findings: object) -> None:
            sent[meter] = hours

        try:
            await publish(self.target, self._meters, self._zone, note, probe=not self._is_proved)
        except PublishError as error:
            self._failed(error)
            return error
        except ArchiveLocked:
            return PublishError("a command is sending to the target")  # which ends soon: no outage
        except Exception as bug:  # noqa: BLE001 - it must not end collecting
            problem = PublishError(f"this is a bug: {type(bug).__name__}")
            self._failed(problem, bug)
            return problem
        finally:
            if any(sent.values()):
                took_s = round(asyncio.get_running_loop().time() - began, 3)
                self._log.info("publish.sent", meters=len(sent), hours=sum(sent.values()), duration_s=took_s)
        at = self.status.sent_at or await in_thread(last_sent, self._meters, self.target)
        self._worked(int(self._clock().timestamp()) if sent else at)
        return None

    def _failed(self, error: PublishError, bug: Exception | None = None) -> None:
        known, self._is_proved = self.status.failure, False
        if self._failed_since is None or type(error) is not self._kind:
            self._kind = type(error)
            cure = error.cure or CURES["publish.failed"]
            self._log.warning("publish.failed", reason=error.reason, cure=cure, exc_info=bug)
        if self._failed_since is None:
            self._failed_since = asyncio.get_running_loop().time()
        at = int(self._clock().timestamp()) if known is None else known.at
        self._set(replace(self.status, failure=Failure("publish.failed", at, error.reason, error.cure)))

    def _worked(self, sent_at: int | None) -> None:
        self._is_proved = True
        if self._failed_since is not None:
            down_s = asyncio.get_running_loop().time() - self._failed_since
            self._log.info("publish.recovered", down_s=round(down_s))
            self._failed_since = None
        self._set(replace(self.status, sent_at=sent_at, failure=None))

    def _set(self, status: TargetStatus) -> None:
        if status != self.status:
            self.status = status
            self.on_change()
