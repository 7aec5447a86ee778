"""Files: replace, append, quarantine, lock; their owner; what file systems guarantee."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

from collector.errors import ArchiveLocked

MOUNTINFO = Path("/proc/self/mountinfo")

_NETWORK = "a network share: locks, renames and fsync may not work as on a local disk"
_FAT = "it has no journal and no owners: a power cut may cost more than the file that was being written"
_MEMORY = "it is in memory: everything is gone after the next boot"
_WEAK = {
    **dict.fromkeys(("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph"), _NETWORK),
    **dict.fromkeys(("vfat", "msdos", "exfat"), _FAT),
    **dict.fromkeys(("tmpfs", "ramfs"), _MEMORY),
    "overlay": "what is written may be in a layer that is deleted with its container, or at the next boot",
}
NO_FOLDER_SYNC = "it cannot make names durable: after a power cut an older file may be back, or none"
NO_LOCKS = "it has no locks: two collectors on one archive do not see each other, so start only one"
_FUSE = "a FUSE file system (for example NTFS or sshfs): a power cut may cost files that were saved"
_ESCAPE = re.compile(r"\\([0-7]{3})")
_FIELDS_BEFORE, _FIELDS_AFTER = 6, 3


class Mount(NamedTuple):
    """One mounted file system. `options` are those of the mount and of the file system."""

    point: str
    kind: str
    options: frozenset[str]

    @property
    def is_read_only(self) -> bool:
        """Whether nothing can be written there."""
        return "ro" in self.options

    @property
    def weakness(self) -> str:
        """Why it guarantees less than the archive needs; empty if nothing is known."""
        return _FUSE if self.kind.startswith("fuse") else _WEAK.get(self.kind, "")


def mount_of(folder: Path, mountinfo: Path = MOUNTINFO) -> Mount | None:
    """The mount of the folder, or of its closest existing parent; `None` if it is not known."""
    try:
        text = mountinfo.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return covering(str(folder.resolve()), list(parse_mounts(text)))


def parse_mounts(text: str) -> Iterator[Mount]:
    """The mounts in the text of mountinfo, in order; invalid lines are left out."""
    for line in text.split("\n"):
        before, dash, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if not dash or len(left) < _FIELDS_BEFORE or len(right) < _FIELDS_AFTER:
            continue
        options = frozenset((*left[5].split(","), *right[-1].split(",")))
        yield Mount(_unescaped(left[4]), _unescaped(right[0]), options)


def covering(path: str, mounts: list[Mount]) -> Mount | None:
    """The mount of an absolute path: the deepest; of several at one point the last."""
    found = None
    for mount in mounts:
        is_above = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if is_above and (found is None or len(mount.point) >= len(found.point)):
            found = mount
    return found


def _unescaped(field: str) -> str:
    r"""A field with its blanks put in again: the kernel writes ` ` as `\040`, byte by byte."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field)


def give_to_owner_of(folder: Path, descriptor: int) -> None:
    """Gives an open file or folder to the owner and group of `folder`, if this process runs as root.

    A file with several names is left alone: another name may be in another folder.
    """
    if os.geteuid() != 0:
        return
    owner, given = folder.stat(), os.fstat(descriptor)
    if owner.st_uid == 0 or (given.st_uid, given.st_gid) == (owner.st_uid, owner.st_gid):
        return
    if stat.S_ISDIR(given.st_mode) or given.st_nlink == 1:
        with suppress(PermissionError):  # a network's disk may not let root either
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


TEMPORARY_SUFFIX = ".shelly-tmp"  # ours to remove; never ends in .jsonl
_MODE = 0o640
# Errors of fsync of a folder on file systems without it: CIFS and others EINVAL, FUSE any. PostgreSQL and
# Dovecot ignore EINVAL and EBADF there. EIO and ENOSPC are losses.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_LOCK_TRIES, _LOCK_PAUSE_S = 20, 0.01  # `is_held` locks for microseconds; a second instance knows in 2 s


def replace_file(path: Path, content: bytes | Callable[[int], None]) -> bool:
    """Replaces the content of `path`, atomically; durable when this returns.

    `content`: the bytes, or what writes them into the open file that it gets. Returns whether the file system
    makes names durable: if not, a power cut may bring the old file back.
    Raises `OSError`, and whatever `content` raises: then the old file is still there and the temporary one is
    removed; if only the folder's `fsync` failed, the new file is there and a power cut may bring the old one
    back. So after an error either file may be there, and nothing is durable.
    One writer per folder: the temporary name is fixed, so a crash leaves at most one file. `fsync` is never
    tried twice: after a failure a second one may report success without writing. Measured with real power
    cuts: without the directory's `fsync` 51 of 596 acknowledged saves were lost.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(temporary, flags, _MODE)
        try:
            give_to_owner_of(path.parent, descriptor)
            if isinstance(content, bytes):
                _write_all(descriptor, content)
            else:
                content(descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    return sync_folder(path.parent)


def append_whole(path: Path, data: bytes) -> None:
    """Appends `data` to a journal, all of it or nothing. Not durable: a power cut may lose it."""
    _append(path, data, lambda descriptor: None)


def append_durably(path: Path, data: bytes) -> int:
    """Appends `data` to a journal, all of it or nothing; durable when this returns.

    Returns its offset. Raises `OSError`; if only the `fsync` failed, it is appended all the same.
    """
    offset = _append(path, data, os.fsync)
    if offset == 0:
        sync_folder(path.parent)
    return offset


def sync_folder(folder: Path) -> bool:
    """Makes the folder's names durable; false if the file system cannot do that. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FOLDER_SYNC:
            raise
        return False
    finally:
        os.close(descriptor)
    return True


def can_sync(folder: Path) -> bool:
    """Whether the file system makes a folder's names durable; true if an error left it open."""
    with suppress(OSError):
        return sync_folder(folder)
    return True


def make_folder(folder: Path) -> None:
    """Creates one folder, durable, if it does not exist; its parent must. Raises `OSError`."""
    try:
        folder.mkdir(mode=0o750)
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "a file is in the way", str(folder)) from None
    else:
        try:
            _begin_folder(folder)
        except OSError:
            with suppress(OSError):  # else the next call finds it and assumes that its name is durable
                folder.rmdir()
            raise


def _begin_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        give_to_owner_of(folder.parent, descriptor)
    finally:
        os.close(descriptor)
    sync_folder(folder.parent)


def remove_stale_temporaries(folder: Path) -> None:
    """Removes the temporary file that a crash during `replace_file` left."""
    for entry in folder.iterdir():
        if entry.name.endswith(TEMPORARY_SUFFIX) and not entry.is_dir():
            entry.unlink()


def read_at_most(path: Path, limit: int) -> bytes:
    """The first `limit + 1` bytes of a file: enough to see that it is larger than `limit`.

    A named pipe reads as empty instead of blocking. Raises `OSError`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        parts, size = [], 0
        while size <= limit and (part := os.read(descriptor, limit + 1 - size)):
            parts.append(part)
            size += len(part)
    finally:
        os.close(descriptor)
    return b"".join(parts)


def is_there(path: Path) -> bool:
    """Whether the name exists, even as a broken link.

    Raises `OSError` if it cannot be determined, because a file that counts as absent is overwritten.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def quarantine(path: Path, folder: Path) -> Path:
    """Moves a file to `folder`, with a number added to its name; returns its new path.

    If the folder cannot be synced, a power cut may bring the file back; then it is quarantined again.
    """
    make_folder(folder)
    places = (folder / f"{path.name}.{number}" for number in count(1))
    place = next(place for place in places if not is_there(place))
    path.rename(place)
    with suppress(OSError):
        sync_folder(folder)
        sync_folder(path.parent)
    return place


class FolderLock:
    """A lock on a folder for one process. The kernel releases it, however the process ends.

    `holds`: whether it is effective; false if the file system has no locks.
    """

    def __init__(self, path: Path) -> None:
        """Takes the lock. Raises `ArchiveLocked` within a fraction of a second, `OSError`."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        try:
            give_to_owner_of(path.parent, self._descriptor)
            self.holds = _take(self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Releases the lock."""
        os.close(self._descriptor)


def is_held(path: Path) -> bool | None:
    """Whether a process has the `FolderLock` in `path` now. Writes nothing.

    `None` if the file system has no locks. Raises `OSError` if this user may not open it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return not try_lock(descriptor, fcntl.LOCK_SH)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    """Takes the exclusive lock; false if the file system has none. Raises `ArchiveLocked`.

    Waits for processes in `is_held`, which lock for a moment only.
    """
    try:
        for _ in range(_LOCK_TRIES):
            if try_lock(descriptor, fcntl.LOCK_EX):
                return True
            if not try_lock(descriptor, fcntl.LOCK_SH):
                break
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            time.sleep(_LOCK_PAUSE_S)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    raise ArchiveLocked("another instance holds this archive")


def try_lock(descriptor: int, how: int) -> bool:
    """Whether the lock, `LOCK_EX` or `LOCK_SH`, could be taken at once. Raises `OSError`."""
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _append(path: Path, data: bytes, sync: Callable[[int], None]) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, _MODE)
    try:
        give_to_owner_of(path.parent, descriptor)
        size = os.fstat(descriptor).st_size
        if os.write(descriptor, data) != len(data):  # the disk is full: remove the half line
            with suppress(OSError):
                os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, "no space for a journal", str(path))
        sync(descriptor)
    finally:
        os.close(descriptor)
    return size


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
