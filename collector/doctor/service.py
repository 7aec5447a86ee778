"""Whether a collector runs on an archive, and checks from its last status, used while it is busy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from collector.cloud.client import host_of
from collector.cloud.meters import Account, Meter
from collector.doctor.checks import (
    DEVICE_CURE,
    HOST_CURE,
    KEY_CURE,
    Check,
    fail,
    kind_not_proven,
    ok,
    skip,
    warn,
)
from collector.doctor.machine import CLOCK_CURE
from collector.events import CURES
from collector.status import (
    LATE_S,
    AccountStatus,
    MeterStatus,
    Status,
    age_in_words,
    is_in_use,
    is_running,
    newest_in_words,
    read_status,
)

IDLE_S = 45  # no run may be due so soon: a request that starts now must have ended by then
_START = "systemctl start shelly-collector"


@dataclass(frozen=True, slots=True)
class ServiceLock:
    """Which meters' folders a collector has locked (`held`) or not (`free`), and the service's last status.

    `unreadable`: folders whose lock this user cannot read. `status` is that of a running service,
    `last_status` that of one that no longer runs.
    """

    held: tuple[str, ...]
    free: tuple[str, ...]
    unreadable: tuple[str, ...]
    status: Status | None
    last_status: Status | None = None

    def refused(self, meter: str) -> str:
        """Why the running service must not use that meter's archive, by its status; empty if it may."""
        if self.status is None or meter in self.held or meter not in self.status.meters:
            return ""
        return self.status.meters[meter].refused

    @property
    def is_held(self) -> bool:
        """Whether a collector has locked any of the folders."""
        return bool(self.held)

    def busy_reason(self, now: float) -> str:
        """Why no other process may send requests at `now`, epoch seconds; empty if one may."""
        status = self.status
        if status is None and self.held:
            return "a collector is working on the archive"
        if status is None:
            return "this user cannot read whether the service is busy" if self.unreadable else ""
        if status.jobs or any(account.trouble for account in status.accounts.values()):
            return "the service is busy"
        if status.next_run_at is None or status.next_run_at - now < IDLE_S:
            return "the service's next run is due"
        return ""


def service_lock(
    archive: Path, folders: Mapping[str, Path], environ: Mapping[str, str], now: float
) -> ServiceLock:
    """The locks and the status at `now`, epoch seconds; changes nothing. `folders`: the meters', by name."""
    status = read_status(archive, environ)
    held: list[str] = []
    free: list[str] = []
    unreadable: list[str] = []
    for name, folder in folders.items():
        try:
            (held if is_in_use(folder, status) else free).append(name)
        except PermissionError:
            unreadable.append(name)
        except OSError:  # no process can lock it; the archive's check has the reason
            free.append(name)
    runs = status is not None and is_running(status, now, holds=bool(held))
    return ServiceLock(
        tuple(held), tuple(free), tuple(unreadable), status if runs else None, None if runs else status
    )


def service_check(lock: ServiceLock, now: float) -> Check:
    """Whether the service runs and collects, at `now` in epoch seconds."""
    status = lock.status
    if status is None and lock.held:
        return ok("service", "A collector has locked the archive: a service that is starting, or a backfill.")
    if status is None and lock.unreadable:
        return skip("service", "This user cannot read the archive.", cure="Run it with sudo.")
    if status is None:
        return _absent(lock.last_status, now)
    if unknown := [name for name in lock.free if name not in status.meters]:
        return warn(
            "service",
            f"The service is running (process {status.pid}), but not on {', '.join(unknown)}: it was "
            "started with another configuration.",
            "Run `systemctl reload shelly-collector`, and check its log for config.rejected.",
        )
    if status.next_run_at is not None and now - status.next_run_at > LATE_S:
        ago = age_in_words(int(now) - status.written_at)
        return fail(
            "service",
            f"The service (process {status.pid}) missed its scheduled run; its last status is {ago} old.",
            "Its log: `journalctl -u shelly-collector`. To restart it: `systemctl restart shelly-collector`.",
        )
    return _alive(status)


def _alive(status: Status) -> Check:
    says = f"The service is running (process {status.pid}): {status.state}, {newest_in_words(status)}"
    cure = "See the checks below, and its log: `journalctl -u shelly-collector`."
    if not status.state.is_well:
        reasons = [f"{name}: {meter.reason}" for name, meter in status.meters.items() if meter.reason]
        return fail("service", f"{says}. {'; '.join(reasons)}".rstrip(". ") + ".", cure)
    waits = [f"{name}: {each.trouble.reason}" for name, each in status.accounts.items() if each.trouble]
    if waits:
        return warn("service", f"{says}; but it is waiting: {'; '.join(waits)}.", cure)
    return ok("service", f"{says}.")


def _absent(last_status: Status | None, now: float) -> Check:
    cure = f"To start it: `{_START}` as root, or `shelly-collector run` in a terminal."
    if last_status is None:
        return warn("service", "The service is not running.", cure)
    ago = age_in_words(max(0, int(now) - last_status.written_at))
    return warn("service", f"The service is not running; its last status is {ago} old.", cure)


_RECENT_S = 3 * 3600  # the service sends requests every hour


def clock_from_status(status: Status | None) -> Check | None:
    """The failed check if the service does not trust the clock; else `None`."""
    troubles = [] if status is None else [each.trouble for each in status.accounts.values()]
    for trouble in troubles:
        if trouble is not None and trouble.event == "clock.untrusted":
            says = f"The service reports that this machine's clock is wrong: {trouble.reason}."
            return fail("clock", says, CLOCK_CURE)
    return None


def account_from_status(account: Account, status: Status | None, reason: str, now: float) -> Iterator[Check]:
    """Host and key, at `now` in epoch seconds; `reason`: why no request was sent."""
    reported = None if status is None else status.accounts.get(account.name)
    if status is None or reported is None:
        for name in ("host", "key"):
            yield skip(name, f"No request was sent: {reason}.", account.name)
        return
    yield _host(account, status, reported, reason, now)
    yield _key(account, status, reported, reason, now)


def meter_from_status(meter: Meter, status: Status | None, reason: str, now: float) -> Iterator[Check]:
    """Device and kind."""
    reported = None if status is None else status.meters.get(meter.name)
    failure = None if reported is None else reported.failure
    answered_at = (reported.answered_at if reported else None) or 0
    is_new = failure is not None and failure.at >= answered_at
    if failure is not None and is_new and failure.event == "device.unknown":
        yield fail("device", f"The service reports: {failure.reason}.", DEVICE_CURE, meter.name)
        yield skip("kind", "Unknown: the account does not have the device.", meter.name)
        return
    recent = _answered(reported, now)
    yield (
        ok("device", f"The account has the device; {recent}.", meter.name)
        if recent
        else skip("device", f"No request was sent: {reason}.", meter.name)
    )
    if failure is not None and is_new and failure.event == "answer.rejected":
        cure = "If it names kind, correct kind. If it stays, report a bug with doctor --bundle."
        yield fail("kind", f"The service could not use an answer: {failure.reason}.", cure, meter.name)
    elif recent and reported is not None and reported.newest_hour is None:
        yield kind_not_proven(meter, "The cloud answers, but no hour has been stored yet")
    elif recent:
        yield ok("kind", f'The answers are those of kind = "{meter.kind}"; {recent}.', meter.name)
    else:
        yield skip("kind", f"No request was sent: {reason}.", meter.name)


def zone_from_status(meter: Meter, status: Status | None) -> Check | None:
    """The failed check if the service found the zone unknown or its rules wrong; else `None`."""
    reported = None if status is None else status.meters.get(meter.name)
    failure = None if reported is None else reported.failure
    if failure is None or reported is None or failure.at < (reported.answered_at or 0):
        return None
    if failure.event not in ("zone.unknown", "zone.suspected"):
        return None
    says = f"The service could not use an answer: {failure.reason}."
    return fail("zone", says, CURES[failure.event], meter.name)


def _host(account: Account, status: Status, reported: AccountStatus, reason: str, now: float) -> Check:
    trouble = reported.trouble
    if trouble is not None and trouble.event == "source.unavailable":
        says = f"{host_of(account)}: {trouble.reason} (reported by the service)."
        return fail("host", says, trouble.cure or HOST_CURE, account.name)
    if recent := _any_answered(status, reported, now):
        return ok("host", f"{host_of(account)} answers; {recent}.", account.name)
    return skip("host", f"No request was sent: {reason}.", account.name)


def _key(account: Account, status: Status, reported: AccountStatus, reason: str, now: float) -> Check:
    trouble = reported.trouble
    if trouble is not None and trouble.event == "key.refused":
        return fail("key", "The service reports that the cloud refused the key.", KEY_CURE, account.name)
    if recent := _any_answered(status, reported, now):
        return ok("key", f"The cloud accepts the key; {recent}.", account.name)
    return skip("key", f"No request was sent: {reason}.", account.name)


def _any_answered(status: Status, reported: AccountStatus, now: float) -> str:
    meters = (status.meters.get(name) for name in reported.meters)
    return next((recent for each in meters if (recent := _answered(each, now))), "")


def _answered(reported: MeterStatus | None, now: float) -> str:
    """When the service's last request succeeded, in words; empty if that is too long ago."""
    if reported is None or reported.answered_at is None or now - reported.answered_at > _RECENT_S:
        return ""
    return (
        f"last successful request of the service: {age_in_words(max(0, int(now) - reported.answered_at))} ago"
    )
