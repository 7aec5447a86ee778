"""Whether a collector is at work on an archive, and what its last status says of the cloud, as checks."""

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

QUIET_S = 45  # nothing may be due so soon: a request that began now must be over by then
_START = "systemctl start shelly-collector"


@dataclass(frozen=True, slots=True)
class Presence:
    """Which meters' folders are held, which could not be seen, and what the service reported last.

    `status` is that of a service that runs; `last_status` that of one that no longer does.
    """

    held: tuple[str, ...]
    free: tuple[str, ...]
    unseen: tuple[str, ...]
    status: Status | None
    last_status: Status | None = None

    def refused(self, meter: str) -> str:
        """Why the running service must not use that meter's archive, as it reported; empty where it may."""
        if self.status is None or meter in self.held or meter not in self.status.meters:
            return ""
        return self.status.meters[meter].refused

    @property
    def is_held(self) -> bool:
        """Whether a collector holds any of the folders."""
        return bool(self.held)

    def reason_to_be_quiet(self, now: float) -> str:
        """Why nobody else may ask the cloud at `now`, epoch seconds; empty where one may."""
        status = self.status
        if status is None and self.held:
            return "a collector is at work on the archive"
        if status is None:
            return "this user may not see whether the service is at work" if self.unseen else ""
        if status.jobs or any(account.trouble for account in status.accounts.values()):
            return "the service is at work"
        if status.next_run_at is None or status.next_run_at - now < QUIET_S:
            return "the service's next round is due"
        return ""


def presence_of(
    archive: Path, folders: Mapping[str, Path], environ: Mapping[str, str], now: float
) -> Presence:
    """The presence at `now`, epoch seconds; changes nothing. `folders` are the meters' by name."""
    status = read_status(archive, environ)
    held: list[str] = []
    free: list[str] = []
    unseen: list[str] = []
    for name, folder in folders.items():
        try:
            (held if is_in_use(folder, status) else free).append(name)
        except PermissionError:
            unseen.append(name)
        except OSError:  # nobody can hold it; the archive's check has the reason
            free.append(name)
    runs = status is not None and is_running(status, now, holds=bool(held))
    return Presence(
        tuple(held), tuple(free), tuple(unseen), status if runs else None, None if runs else status
    )


def service_check(presence: Presence, now: float) -> Check:
    """Whether the service is alive and collects, at `now` in epoch seconds."""
    status = presence.status
    if status is None and presence.held:
        return ok("service", "A collector holds the archive: a service that begins, or a backfill by hand.")
    if status is None and presence.unseen:
        return skip("service", "This user may not look into the archive.", cure="Run it with sudo.")
    if status is None:
        return _absent(presence.last_status, now)
    if unknown := [name for name in presence.free if name not in status.meters]:
        return warn(
            "service",
            f"The service runs (process {status.pid}), but not on {', '.join(unknown)}: it was "
            "started with another configuration.",
            "systemctl reload shelly-collector, and look for config.rejected in its log.",
        )
    if status.next_run_at is not None and now - status.next_run_at > LATE_S:
        ago = age_in_words(int(now) - status.written_at)
        return fail(
            "service",
            f"The service (process {status.pid}) is there, but missed its round; it last spoke {ago} ago.",
            "journalctl -u shelly-collector tells what it did last; systemctl restart shelly-collector.",
        )
    return _alive(status)


def _alive(status: Status) -> Check:
    says = f"The service runs (process {status.pid}): {status.state}, {newest_in_words(status)}"
    cure = "Look at the checks below; journalctl -u shelly-collector tells more."
    if not status.state.is_well:
        reasons = [f"{name}: {meter.reason}" for name, meter in status.meters.items() if meter.reason]
        return fail("service", f"{says}. {'; '.join(reasons)}".rstrip(". ") + ".", cure)
    waits = [f"{name}: {each.trouble.reason}" for name, each in status.accounts.items() if each.trouble]
    if waits:
        return warn("service", f"{says}; but it waits: {'; '.join(waits)}.", cure)
    return ok("service", f"{says}.")


def _absent(last_status: Status | None, now: float) -> Check:
    cure = f"To start it: {_START} (as root; `run` in a terminal is as good)."
    if last_status is None:
        return warn("service", "No service runs on this archive.", cure)
    ago = age_in_words(max(0, int(now) - last_status.written_at))
    return warn("service", f"No service runs on this archive; one last spoke {ago} ago.", cure)


_RECENT_S = 3 * 3600  # the service asks every hour


def clock_from_status(status: Status | None) -> Check | None:
    """The clock, where the service does not trust it; `None` where it says nothing of it."""
    troubles = [] if status is None else [each.trouble for each in status.accounts.values()]
    for trouble in troubles:
        if trouble is not None and trouble.event == "clock.untrusted":
            says = f"This machine's clock is wrong, says the service: {trouble.reason}."
            return fail("clock", says, CLOCK_CURE)
    return None


def account_from_status(account: Account, status: Status | None, reason: str, now: float) -> Iterator[Check]:
    """Host and key, at `now` in epoch seconds; `reason` says why the cloud was not asked."""
    reported = None if status is None else status.accounts.get(account.name)
    if status is None or reported is None:
        for name in ("host", "key"):
            yield skip(name, f"Not asked: {reason}.", account.name)
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
        yield fail("device", f"The service says: {failure.reason}.", DEVICE_CURE, meter.name)
        yield skip("kind", "Not known: the account does not know the device.", meter.name)
        return
    recent = _answered(reported, now)
    yield (
        ok("device", f"The account knows it: {recent}.", meter.name)
        if recent
        else skip("device", f"Not asked: {reason}.", meter.name)
    )
    if failure is not None and is_new and failure.event == "answer.rejected":
        cure = "If it names kind, follow it; if it stays, file a bug with doctor --bundle."
        yield fail("kind", f"The service could not use an answer: {failure.reason}.", cure, meter.name)
    elif recent and reported is not None and reported.newest_hour is None:
        yield kind_not_proven(meter, f"{recent[0].upper()}{recent[1:]}, and has no whole hour of it yet")
    elif recent:
        yield ok("kind", f'It answers as kind = "{meter.kind}" does: {recent}.', meter.name)
    else:
        yield skip("kind", f"Not asked: {reason}.", meter.name)


def zone_from_status(meter: Meter, status: Status | None) -> Check | None:
    """The meter's time zone, where the service found it unknown or its rules wrong; else `None`."""
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
        says = f"{host_of(account)}: {trouble.reason}, says the service."
        return fail("host", says, trouble.cure or HOST_CURE, account.name)
    if recent := _any_answered(status, reported, now):
        return ok("host", f"{host_of(account)} answers: {recent}.", account.name)
    return skip("host", f"Not asked: {reason}.", account.name)


def _key(account: Account, status: Status, reported: AccountStatus, reason: str, now: float) -> Check:
    trouble = reported.trouble
    if trouble is not None and trouble.event == "key.refused":
        return fail("key", "The cloud refused the key, says the service.", KEY_CURE, account.name)
    if recent := _any_answered(status, reported, now):
        return ok("key", f"The cloud accepts the key: {recent}.", account.name)
    return skip("key", f"Not asked: {reason}.", account.name)


def _any_answered(status: Status, reported: AccountStatus, now: float) -> str:
    meters = (status.meters.get(name) for name in reported.meters)
    return next((recent for each in meters if (recent := _answered(each, now))), "")


def _answered(reported: MeterStatus | None, now: float) -> str:
    """When the service was last answered; empty where that is too long ago to prove anything."""
    if reported is None or reported.answered_at is None or now - reported.answered_at > _RECENT_S:
        return ""
    return f"the service was answered {age_in_words(max(0, int(now) - reported.answered_at))} ago"
