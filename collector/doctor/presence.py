"""Presence: whether a collector is at work on an archive at this moment, as seen from outside.

The locks say whether there is one. A service whose archives are all refused holds none: then it is what it
last reported of itself that says so, and also whether it is between two rounds. Whoever asks the cloud
beside it must be sure of that: the account's pace is shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collector.archive.files import is_held
from collector.archive.folder import OWN_FOLDER
from collector.doctor.checks import Check, fail, ok, skip, warn
from collector.service.health import State, age_in_words
from collector.service.standing import LATE_S, Standing, is_alive, is_running, read_standing

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
