"""Checks of this machine: an archive that can be written, with space, and a plausible clock."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from pathlib import Path

from collector.archive.files import (
    MOUNTINFO,
    NO_FOLDER_SYNC,
    NO_LOCKS,
    Mount,
    can_sync,
    is_held,
    mount_of,
    replace_file,
)
from collector.archive.folder import OWN_FOLDER
from collector.collect import collector
from collector.doctor.checks import Check, fail, ok, skip, warn
from collector.errors import ClockUntrusted
from collector.service.systemd import is_made_at_start

CLOCK_CURE = "Set it (timedatectl); until then the service stores nothing."

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
        return fail("archive", f"{archive} cannot be used: {error.strerror}.", _owner_cure(archive))


def clock_check(now: datetime, today: date, offset_s: float | None, newest: date | None) -> Check:
    """Whether the clock is plausible, by the service's own rule.

    `offset_s`: how many seconds it is ahead of the cloud's clock; `newest`: the newest stored day.
    """
    says = f"The clock shows {now:%Y-%m-%d %H:%M} UTC"
    cloud_now = None
    if offset_s is not None:
        cloud_now = now - timedelta(seconds=offset_s)
        off = f"{abs(offset_s):.0f} s {'ahead of' if offset_s > 0 else 'behind'}"
        says += f", {'within 2 s of' if abs(offset_s) < 2 else off} the cloud's"
    try:
        collector.check_clock(now, today, cloud_now, newest)
    except ClockUntrusted as error:
        reason = f"This machine's clock is wrong: {error}." if cloud_now is None else f"{says}."
        return fail("clock", reason, CLOCK_CURE)
    if collector.SYNCHRONIZED.exists():
        return ok("clock", f"{says}; the system's time service has set it.")
    if cloud_now is None and newest is None:
        return skip("clock", f"{says}; there is nothing to compare it with.")
    return ok("clock", f"{says}.")


def _archive_check(archive: Path, folders: Collection[Path], mountinfo: Path) -> Check:
    try:
        mode = archive.stat().st_mode
    except FileNotFoundError:
        return _missing(archive)
    except PermissionError:
        return skip("archive", f"This user cannot read {archive}.", cure="Run it with sudo.")
    if not stat.S_ISDIR(mode):
        return fail("archive", f"{archive} is not a folder.", "Move it away, or set another archive.path.")
    owner = archive.stat().st_uid
    if os.geteuid() not in (0, owner) and not os.access(archive, os.W_OK):
        says = (
            f"This user has no write permission for {archive}. Its owner is {_user(owner)}, so the service "
            "may still be able to write."
        )
        return skip("archive", says, cure="Run it with sudo.")
    mount = mount_of(archive, mountinfo)
    kind = "an unknown file system" if mount is None else mount.kind
    if mount is not None and mount.is_read_only:
        return fail(
            "archive",
            f"{archive} is on {kind} that is read-only: {mount.point}.",
            "An SD card becomes read-only after errors: check dmesg, copy its data, replace it.",
        )
    if (trouble := _written(archive, folders)) is not None:
        return trouble
    if (trouble := _room(archive)) is not None:
        return trouble
    if weakness := "; ".join(_weaknesses(archive, folders, mount)):
        return warn(
            "archive",
            f"{archive} can be written, but is on {kind}: {weakness}.",
            "Put the archive on a local disk (ext4, f2fs, btrfs, xfs), and copy it elsewhere as a backup.",
        )
    if owner == 0 and _is_user(_SERVICE_USER):
        return warn(
            "archive",
            f"{archive} belongs to root, so the service's user {_SERVICE_USER} cannot write to it.",
            f"chown -R {_SERVICE_USER}: {archive}",
        )
    return ok("archive", f"{archive} can be written; {_free(archive)} free on {kind}.")


def _weaknesses(archive: Path, folders: Collection[Path], mount: Mount | None) -> Iterator[str]:
    """Known weaknesses of its file system, and those that a test shows now."""
    if mount is not None and mount.weakness:
        yield mount.weakness
    if not can_sync(archive):
        yield NO_FOLDER_SYNC
    if any(is_held(folder / OWN_FOLDER / "lock") is None for folder in folders):
        yield NO_LOCKS


def _missing(archive: Path) -> Check:
    if archive.parent.is_dir() or is_made_at_start(archive.parent):
        return warn("archive", f"{archive} does not exist yet.", "The first start of the service creates it.")
    return fail(
        "archive",
        f"{archive.parent} does not exist.",
        "Mount the disk, create the folder, or set archive.path.",
    )


def _written(archive: Path, folders: Collection[Path]) -> Check | None:
    """Saves and removes a test file in each meter's folder, as the service would; `None` if that worked."""
    there = [folder / OWN_FOLDER for folder in folders if (folder / OWN_FOLDER).is_dir()]
    for folder in there or [archive]:
        place = folder / (_PROBE if there else f".{_PROBE}")
        try:
            replace_file(place, b"\0" * _PROBE_BYTES)
        except OSError as error:
            cure = "Free some space, or replace the card." if _is_full(archive) else _owner_cure(archive)
            return fail(
                "archive",
                f"Nothing can be saved in {folder.parent if there else folder}: {error.strerror}.",
                cure,
            )
        finally:
            with suppress(OSError):
                place.unlink()
    return None


def _room(archive: Path) -> Check | None:
    room = os.statvfs(archive)
    free, size = room.f_bavail * room.f_frsize, room.f_blocks * room.f_frsize
    says = f"{archive} can be written, but has only {_free(archive)} free"
    if free < _LEAST_BYTES:
        return fail("archive", f"{says}.", "Free some space.")
    if room.f_files and room.f_favail < _LEAST_INODES:
        return fail(
            "archive", f"{says} and room for {room.f_favail} files.", "Remove files that are not needed."
        )
    if free < _LOW_BYTES or (free < _LOW_SHARE * size and free < _NEVER_LOW_BYTES):
        return warn("archive", f"{says}.", "Free some space: a meter needs about 5 MB a year.")
    if room.f_files and room.f_favail < _LOW_INODES:
        return warn(
            "archive", f"{says} and room for {room.f_favail} files.", "A meter adds 365 files a year."
        )
    return None


def _is_full(archive: Path) -> bool:
    room = os.statvfs(archive)
    return room.f_bavail * room.f_frsize < _LEAST_BYTES or (room.f_files > 0 and room.f_favail == 0)


def _owner_cure(archive: Path) -> str:
    try:
        owner = f"{_user(archive.stat().st_uid)}, its owner,"
    except OSError:
        owner = "The service's user"
    return f"{owner} must be able to write there; dmesg shows errors of the card."


def _free(archive: Path) -> str:
    room = os.statvfs(archive)
    free = room.f_bavail * room.f_frsize
    return f"{free / 1e9:.1f} GB" if free >= 1e9 else f"{free / 1e6:.1f} MB"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
