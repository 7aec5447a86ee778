"""Whether a collector is at work on an archive, and what it last said of the cloud, as checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from collector.archive.files import is_held
from collector.archive.folder import OWN_FOLDER
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
    AccountStanding,
    MeterStanding,
    Standing,
    State,
    age_in_words,
    is_alive,
    is_running,
    read_standing,
)

QUIET_S = 45  # nothing may be due so soon: a request that began now must be over by then
_START = "systemctl start shelly-collector"


@dataclass(frozen=True, slots=True)
class Presence:
    """Which meters' folders are held, which could not be looked at, and what the service last said.

    `standing` is that of a service that runs; `last_words` what was reported by one that does not.
    """

    held: tuple[str, ...]
    free: tuple[str, ...]
    unseen: tuple[str, ...]
    standing: Standing | None
    last_words: Standing | None = None

    def refused(self, meter: str) -> str:
        """Why the running service must not use that meter's archive, as it reported; empty where it may."""
        if self.standing is None or meter in self.held or meter not in self.standing.meters:
            return ""
        return self.standing.meters[meter].refused

    @property
    def is_held(self) -> bool:
        """Whether a collector holds any of the folders."""
        return bool(self.held)

    def reason_to_be_quiet(self, now: float) -> str:
        """Why nobody else may ask the cloud at `now`, epoch seconds; empty where one may."""
        standing = self.standing
        if standing is None and self.held:
            return "a collector is at work on the archive"
        if standing is None:
            return "this user may not see whether the service is at work" if self.unseen else ""
        if standing.jobs or any(account.trouble for account in standing.accounts.values()):
            return "the service is at work"
        if standing.next_run_at is None or standing.next_run_at - now < QUIET_S:
            return "the service's next round is due"
        return ""


def presence_of(
    archive: Path, folders: Mapping[str, Path], environ: Mapping[str, str], now: float
) -> Presence:
    """The presence at `now`, epoch seconds; changes nothing. `folders` are the meters' by name."""
    standing = read_standing(archive, environ)
    alive = standing is not None and is_alive(standing)
    held: list[str] = []
    free: list[str] = []
    unseen: list[str] = []
    for name, folder in folders.items():
        try:
            is_locked = is_held(folder / OWN_FOLDER / "lock")
            (held if (alive if is_locked is None else is_locked) else free).append(name)
        except PermissionError:
            unseen.append(name)
        except OSError:  # nobody can hold it; the archive's check has the reason
            free.append(name)
    lives = standing is not None and is_running(standing, now, holds=bool(held))
    return Presence(
        tuple(held), tuple(free), tuple(unseen), standing if lives else None, None if lives else standing
    )


def service_check(presence: Presence, now: float) -> Check:
    """Whether the service is alive and collects, at `now` in epoch seconds."""
    standing = presence.standing
    if standing is None and presence.held:
        return ok("service", "A collector holds the archive: a service that begins, or a backfill by hand.")
    if standing is None and presence.unseen:
        return skip("service", "This user may not look into the archive.", cure="Run it with sudo.")
    if standing is None:
        return _absent(presence.last_words, now)
    if unknown := [name for name in presence.free if name not in standing.meters]:
        return warn(
            "service",
            f"The service runs (process {standing.pid}), but not on {', '.join(unknown)}: it was "
            "started with another configuration.",
            "systemctl reload shelly-collector, and look for config.rejected in its log.",
        )
    if standing.next_run_at is not None and now - standing.next_run_at > LATE_S:
        ago = age_in_words(int(now) - standing.written_at)
        return fail(
            "service",
            f"The service (process {standing.pid}) is there, but missed its round; it last spoke {ago} ago.",
            "journalctl -u shelly-collector tells what it did last; systemctl restart shelly-collector.",
        )
    return _alive(standing)


def _alive(standing: Standing) -> Check:
    newest = "no hour yet" if standing.age_s is None else f"newest hour {age_in_words(standing.age_s)} old"
    says = f"The service runs (process {standing.pid}): {standing.state}, {newest}"
    cure = "Look at the checks below; journalctl -u shelly-collector tells more."
    if standing.state not in (State.GOOD.value, State.STARTING.value):
        reasons = [f"{name}: {meter.reason}" for name, meter in standing.meters.items() if meter.reason]
        return fail("service", f"{says}. {'; '.join(reasons)}".rstrip(". ") + ".", cure)
    waits = [f"{name}: {each.trouble.reason}" for name, each in standing.accounts.items() if each.trouble]
    if waits:
        return warn("service", f"{says}; but it waits: {'; '.join(waits)}.", cure)
    return ok("service", f"{says}.")


def _absent(last_words: Standing | None, now: float) -> Check:
    cure = f"To start it: {_START} (as root; `run` in a terminal is as good)."
    if last_words is None:
        return warn("service", "No service runs on this archive.", cure)
    ago = age_in_words(max(0, int(now) - last_words.written_at))
    return warn("service", f"No service runs on this archive; one last spoke {ago} ago.", cure)


_RECENT_S = 3 * 3600  # the service asks every hour


def clock_hearsay(standing: Standing | None) -> Check | None:
    """The clock, where the service does not trust it; `None` where it says nothing of it."""
    troubles = [] if standing is None else [each.trouble for each in standing.accounts.values()]
    for trouble in troubles:
        if trouble is not None and trouble.event == "clock.untrusted":
            says = f"This machine's clock is wrong, says the service: {trouble.reason}."
            return fail("clock", says, CLOCK_CURE)
    return None


def account_hearsay(account: Account, standing: Standing | None, reason: str, now: float) -> Iterator[Check]:
    """Host and key, at `now` in epoch seconds; `reason` says why the cloud was not asked."""
    told = None if standing is None else standing.accounts.get(account.name)
    if standing is None or told is None:
        for name in ("host", "key"):
            yield skip(name, f"Not asked: {reason}.", account.name)
        return
    yield _host(account, standing, told, reason, now)
    yield _key(account, standing, told, reason, now)


def meter_hearsay(meter: Meter, standing: Standing | None, reason: str, now: float) -> Iterator[Check]:
    """Device and kind."""
    told = None if standing is None else standing.meters.get(meter.name)
    failure = None if told is None else told.failure
    answered_at = (told.answered_at if told else None) or 0
    is_new = failure is not None and failure.at >= answered_at
    if failure is not None and is_new and failure.event == "device.unknown":
        yield fail("device", f"The service says: {failure.reason}.", DEVICE_CURE, meter.name)
        yield skip("kind", "Not known: the account does not know the device.", meter.name)
        return
    recent = _answered(told, now)
    yield (
        ok("device", f"The account knows it: {recent}.", meter.name)
        if recent
        else skip("device", f"Not asked: {reason}.", meter.name)
    )
    if failure is not None and is_new and failure.event == "answer.rejected":
        cure = "If it names kind, follow it; if it stays, file a bug with doctor --bundle."
        yield fail("kind", f"The service could not use an answer: {failure.reason}.", cure, meter.name)
    elif recent and told is not None and told.newest_hour is None:
        yield kind_not_proven(meter, f"{recent[0].upper()}{recent[1:]}, and has no whole hour of it yet")
    elif recent:
        yield ok("kind", f'It answers as kind = "{meter.kind}" does: {recent}.', meter.name)
    else:
        yield skip("kind", f"Not asked: {reason}.", meter.name)


def zone_hearsay(meter: Meter, standing: Standing | None) -> Check | None:
    """The meter's time zone, where the service found it unknown or its rules wrong; else `None`."""
    told = None if standing is None else standing.meters.get(meter.name)
    failure = None if told is None else told.failure
    if failure is None or told is None or failure.at < (told.answered_at or 0):
        return None
    if failure.event not in ("zone.unknown", "zone.suspected"):
        return None
    says = f"The service could not use an answer: {failure.reason}."
    return fail("zone", says, CURES[failure.event], meter.name)


def _host(account: Account, standing: Standing, told: AccountStanding, reason: str, now: float) -> Check:
    trouble = told.trouble
    if trouble is not None and trouble.event == "source.unavailable":
        says = f"{host_of(account)}: {trouble.reason}, says the service."
        return fail("host", says, trouble.cure or HOST_CURE, account.name)
    if recent := _any_answered(standing, told, now):
        return ok("host", f"{host_of(account)} answers: {recent}.", account.name)
    return skip("host", f"Not asked: {reason}.", account.name)


def _key(account: Account, standing: Standing, told: AccountStanding, reason: str, now: float) -> Check:
    trouble = told.trouble
    if trouble is not None and trouble.event == "key.refused":
        return fail("key", "The cloud refused the key, says the service.", KEY_CURE, account.name)
    if recent := _any_answered(standing, told, now):
        return ok("key", f"The cloud accepts the key: {recent}.", account.name)
    return skip("key", f"Not asked: {reason}.", account.name)


def _any_answered(standing: Standing, told: AccountStanding, now: float) -> str:
    meters = (standing.meters.get(name) for name in told.meters)
    return next((recent for each in meters if (recent := _answered(each, now))), "")


def _answered(told: MeterStanding | None, now: float) -> str:
    """When the service was last answered; empty where that is too long ago to prove anything."""
    if told is None or told.answered_at is None or now - told.answered_at > _RECENT_S:
        return ""
    return f"the service was answered {age_in_words(max(0, int(now) - told.answered_at))} ago"
