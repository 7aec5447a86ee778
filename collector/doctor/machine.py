"""The checks of this machine: the archive, the clock, and the service that runs on the archive."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path

from collector.archive.files import (
    MOUNTINFO,
    NO_FOLDER_SYNC,
    NO_LOCKS,
    can_sync,
    is_held,
    mount_of,
    replace_file,
)
from collector.archive.folder import OWN_FOLDER, day_files
from collector.archive.mark import Remembered, mark_for, missing
from collector.cloud.meters import Meter
from collector.collect import collector
from collector.doctor.checks import Check, fail, ok, skip, warn
from collector.errors import ArchiveRefused, ClockUntrusted
from collector.events import CURES
from collector.service.systemd import is_made_at_start
from collector.status import LATE_S, Status, age_in_words, is_in_use, is_running, newest_in_words, read_status

_SUDO = "Run it with sudo."
_SERVICE_USER = "shelly-collector"  # created by the package's sysusers file
_PROBE = "doctor"  # a name of its own: the service's test file is in the same folder
_PROBE_BYTES = 8192  # as large as a day file
_LEAST_BYTES, _LOW_BYTES = 1_000_000, 100_000_000  # a meter writes about 5 MB a year
_LOW_SHARE, _NEVER_LOW_BYTES = 0.05, 1_000_000_000  # 5 % of a large disk is enough space
_LEAST_INODES, _LOW_INODES = 10, 1000  # a meter adds 365 files a year


def archive_check(archive: Path, folders: Collection[Path], mountinfo: Path = MOUNTINFO) -> Check:
    """Checks the archive as the current user; the meters' `folders` need not exist yet.

    It writes test files with names of their own and removes them, so that no service is disturbed.
    """
    try:
        return _archive_check(archive, folders, mountinfo)
    except OSError as error:
        return fail(f"{archive} cannot be used: {error.strerror}.", _owner_cure(archive))


def _archive_check(archive: Path, folders: Collection[Path], mountinfo: Path) -> Check:
    try:
        found = archive.stat()
    except FileNotFoundError:
        if archive.parent.is_dir() or is_made_at_start(archive.parent):
            return warn(f"{archive} does not exist yet.", "The first start of the service creates it.")
        cure = "Mount the disk, create the folder, or set archive.path."
        return fail(f"{archive.parent} does not exist.", cure)
    except PermissionError:
        return skip(f"This user cannot read {archive}.", _SUDO)
    if not stat.S_ISDIR(found.st_mode):
        return fail(f"{archive} is not a folder.", "Move it away, or set another archive.path.")
    if os.geteuid() not in (0, found.st_uid) and not os.access(archive, os.W_OK):
        return skip(
            f"This user has no write permission for {archive}. Its owner is {_user(found.st_uid)}, so the "
            "service may still be able to write.",
            _SUDO,
        )
    mount = mount_of(archive, mountinfo)
    kind = "an unknown file system" if mount is None else mount.kind
    if mount is not None and mount.is_read_only:
        return fail(
            f"{archive} is on {kind} that is read-only: {mount.point}.",
            "An SD card becomes read-only after errors: check dmesg, copy its data, replace it.",
        )
    if (failed := _save_test_files(archive, folders) or _little_room(archive)) is not None:
        return failed
    weaknesses = [mount.weakness] if mount is not None and mount.weakness else []
    if not can_sync(archive):
        weaknesses.append(NO_FOLDER_SYNC)
    if any(is_held(folder / OWN_FOLDER / "lock") is None for folder in folders):
        weaknesses.append(NO_LOCKS)
    if weaknesses:
        text = f"{archive} can be written, but is on {kind}: {'; '.join(weaknesses)}."
        return warn(text, CURES["storage.weak"])
    if found.st_uid == 0:
        with suppress(KeyError):  # there is no such user
            pwd.getpwnam(_SERVICE_USER)
            return warn(
                f"{archive} belongs to root, so the service's user {_SERVICE_USER} cannot write to it.",
                f"chown -R {_SERVICE_USER}: {archive}",
            )
    return ok(f"{archive} can be written; {_free(os.statvfs(archive))} free on {kind}.")


def _save_test_files(archive: Path, folders: Collection[Path]) -> Check | None:
    """Saves and removes a test file in each meter's folder, as the service would; `None` if that worked."""
    there = [folder / OWN_FOLDER for folder in folders if (folder / OWN_FOLDER).is_dir()]
    for folder in there or [archive]:
        place = folder / (_PROBE if there else f".{_PROBE}")
        try:
            replace_file(place, b"\0" * _PROBE_BYTES)
        except OSError as error:
            room = os.statvfs(folder)  # a meter may have a disk of its own
            is_full = _free_bytes(room) < _LEAST_BYTES or (room.f_files > 0 and room.f_favail == 0)
            cure = "Free some space, or replace the card." if is_full else _owner_cure(archive)
            return fail(
                f"Nothing can be saved in {folder.parent if there else folder}: {error.strerror}.", cure
            )
        finally:
            with suppress(OSError):
                place.unlink()
    return None


def _little_room(archive: Path) -> Check | None:
    """A check of the free space that is not ok; else `None`."""
    room = os.statvfs(archive)
    free = _free_bytes(room)
    low = max(_LOW_BYTES, min(_LOW_SHARE * room.f_blocks * room.f_frsize, _NEVER_LOW_BYTES))
    files = room.f_favail if room.f_files else _LOW_INODES  # some file systems do not count them
    text = f"{archive} can be written, but has only {_free(room)} free"
    if free < _LEAST_BYTES:
        return fail(f"{text}.", "Free some space.")
    if files < _LEAST_INODES:
        return fail(f"{text} and room for {files} files.", "Remove files that are not needed.")
    if free < low:
        return warn(f"{text}.", "Free some space: a meter needs about 5 MB a year.")
    if files < _LOW_INODES:
        return warn(f"{text} and room for {files} files.", "A meter adds 365 files a year.")
    return None


def _owner_cure(archive: Path) -> str:
    try:
        owner = f"{_user(archive.stat().st_uid)}, its owner,"
    except OSError:
        owner = "The service's user"
    return f"{owner} must be able to write there; dmesg shows errors of the card."


def _free_bytes(room: os.statvfs_result) -> int:
    return room.f_bavail * room.f_frsize


def _free(room: os.statvfs_result) -> str:
    free = _free_bytes(room)
    return f"{free / 1e9:.1f} GB" if free >= 1e9 else f"{free / 1e6:.1f} MB"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def mark_check(folder: Path, meter: Meter, refused: str, remembered: Remembered) -> Check | None:
    """Whether the folder is this meter's, by its mark; `None` if it is, or if the folder is new.

    `refused`: why the running service must not use it. `remembered`: where archives were before.
    """
    try:
        mark = mark_for(folder, meter.identity)
        is_unmarked = mark is None and folder.exists() and bool(day_files(folder))
    except ArchiveRefused as refusal:
        return fail(_sentence(refusal.reason), _sentence(refusal.cure))
    except OSError as error:
        if isinstance(error, PermissionError) and not os.access(folder, os.W_OK):
            return None  # this user cannot read the whole archive, which has its own check
        return fail(
            f"{error.filename or folder} cannot be read: {error.strerror or error}.",
            "It must belong to the service's user, and must not be a broken link. A mark that cannot be "
            "repaired can be moved away: the days are then compared with the cloud again.",
        )
    if refused:
        text, _, cure = refused.rpartition(". ")
        return fail(_sentence(text or refused), _sentence(cure) if text else CURES["archive.refused"])
    if is_unmarked:
        return warn(
            f"The day files in {folder} have no mark that names their meter, and are not compared with the "
            "cloud yet; backfill or the service does so first.",
            "No action needed if they are this meter's. If backfill or the service refuses them: "
            + CURES["archive.refused"],
        )
    if (empty := missing(folder, remembered)) is not None:
        return fail(_sentence(empty.reason), _sentence(empty.cure))
    return None


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


CLOCK_CURE = "Set it (timedatectl); until then the service stores nothing."


def clock_check(
    now: datetime, today: date, offset_s: float | None, newest: date | None, status: Status | None = None
) -> Check:
    """Whether the clock is plausible, by the service's own rule.

    `offset_s`: how many seconds it is ahead of the cloud's clock; `newest`: the newest stored day. It
    fails if the running service has reported in its `status` that it is wrong.
    """
    for account in status.accounts.values() if status is not None else ():
        if account.trouble is not None and account.trouble.event == "clock.untrusted":
            reason = account.trouble.reason
            return fail(f"The service reports that this machine's clock is wrong: {reason}.", CLOCK_CURE)
    text = f"The clock shows {now:%Y-%m-%d %H:%M} UTC"
    cloud_now = None
    if offset_s is not None:
        cloud_now = now - timedelta(seconds=offset_s)
        off = f"{abs(offset_s):.0f} s {'ahead of' if offset_s > 0 else 'behind'}"
        text += f", {'within 2 s of' if abs(offset_s) < 2 else off} the cloud's"
    try:
        collector.check_clock(now, today, cloud_now, newest)
    except ClockUntrusted as error:
        reason = f"This machine's clock is wrong: {error}." if cloud_now is None else f"{text}."
        return fail(reason, CLOCK_CURE)
    if collector.SYNCHRONIZED.exists():
        return ok(f"{text}; the system's time service has set it.")
    if cloud_now is None and newest is None:
        return skip(f"{text}; there is nothing to compare it with.")
    return ok(f"{text}.")


IDLE_S = 45  # no run may be due so soon: a request that starts now must have ended by then


Locks = Mapping[str, bool | None]
"""Whether a collector has locked each meter's folder, by name; `None` if this user cannot read the lock."""


def read_service(
    archive: Path, folders: Mapping[str, Path], environ: Mapping[str, str], now: float
) -> tuple[Locks, Status | None, Status | None]:
    """The locks, the running service's status, and the last status even if its service is not running.

    At `now`, epoch seconds; changes nothing. `folders`: the meters', by name.
    """
    status = read_status(archive, environ)
    locks: dict[str, bool | None] = {}
    for name, folder in folders.items():
        try:
            locks[name] = is_in_use(folder, status)
        except PermissionError:
            locks[name] = None
        except OSError:  # no process can lock it; the archive's check has the reason
            locks[name] = False
    runs = status is not None and is_running(status, now, holds=any(locks.values()))
    return locks, status if runs else None, status


def busy_reason(locks: Locks, status: Status | None, now: float) -> str:
    """Why no other process may send requests at `now`, epoch seconds; empty if one may."""
    if status is None and any(locks.values()):
        return "a collector is working on the archive"
    if status is None:
        return "this user cannot read whether the service is busy" if None in locks.values() else ""
    if status.jobs or any(account.trouble for account in status.accounts.values()):
        return "the service is busy"
    if status.next_run_at is None or status.next_run_at - now < IDLE_S:
        return "the service's next run is due"
    return ""


def service_check(locks: Locks, status: Status | None, last: Status | None, now: float) -> Check:
    """Whether the service runs and collects, at `now` in epoch seconds."""
    if status is None and any(locks.values()):
        return ok("A collector has locked the archive: a service that is starting, or a backfill.")
    if status is None and None in locks.values():
        return skip("This user cannot read the archive.", _SUDO)
    if status is None:
        ago = f"; its last status is {age_in_words(max(0, int(now) - last.written_at))} old" if last else ""
        return warn(
            f"The service is not running{ago}.",
            "To start it: `systemctl start shelly-collector` as root, or `shelly-collector run` in a "
            "terminal.",
        )
    free = (name for name, is_locked in locks.items() if is_locked is False)
    if unknown := [name for name in free if name not in status.meters]:
        return warn(
            f"The service is running (process {status.pid}), but not on {', '.join(unknown)}: it was "
            "started with another configuration.",
            "Run `systemctl reload shelly-collector`, and check its log for config.rejected.",
        )
    if status.next_run_at is not None and now - status.next_run_at > LATE_S:
        ago = age_in_words(int(now) - status.written_at)
        return fail(
            f"The service (process {status.pid}) missed its scheduled run; its last status is {ago} old.",
            "Its log: `journalctl -u shelly-collector`. To restart it: `systemctl restart shelly-collector`.",
        )
    text = f"The service is running (process {status.pid}): {status.state}, {newest_in_words(status)}"
    cure = "See the checks below, and its log: `journalctl -u shelly-collector`."
    if not status.state.is_well:
        reasons = [f"{name}: {meter.reason}" for name, meter in status.meters.items() if meter.reason]
        return fail(f"{text}. {'; '.join(reasons)}".rstrip(". ") + ".", cure)
    waits = [f"{name}: {each.trouble.reason}" for name, each in status.accounts.items() if each.trouble]
    if waits:
        return warn(f"{text}; but it is waiting: {'; '.join(waits)}.", cure)
    return ok(f"{text}.")
