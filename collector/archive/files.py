"""What is done to files (replaced whole, appended, moved aside, locked), their owner, what disks promise."""

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

_NETWORK = "another machine keeps the files: a lock, a rename and an fsync may not hold as they do here"
_FAT = "it has no journal and no owners: a power cut may cost more than the file that was being written"
_MEMORY = "it lies in memory: everything is gone after the next boot"
_WEAK = {
    **dict.fromkeys(("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph"), _NETWORK),
    **dict.fromkeys(("vfat", "msdos", "exfat"), _FAT),
    **dict.fromkeys(("tmpfs", "ramfs"), _MEMORY),
    "overlay": "what is written may lie in a layer that goes with its container, or with the next boot",
}
NO_FOLDER_SYNC = "it cannot make names durable: after a power cut an older file may be back, or none be there"
NO_LOCKS = "it has no locks: two collectors on one archive do not see each other, so start only one"
_FUSE = "a program stands between: what it promises about fsync, rename and locks is its own affair"
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
        """Why its promises are not those that the archive needs; empty where nothing is known against it."""
        return _FUSE if self.kind.startswith("fuse") else _WEAK.get(self.kind, "")


def mount_of(folder: Path, mountinfo: Path = MOUNTINFO) -> Mount | None:
    """What the folder, or its closest parent that is there, lies on; `None` where nobody says."""
    try:
        text = mountinfo.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return covering(str(folder.resolve()), list(parse_mounts(text)))


def parse_mounts(text: str) -> Iterator[Mount]:
    """The mounts that the lines tell, in their order; lines that are not understood are left out."""
    for line in text.split("\n"):
        before, dash, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if not dash or len(left) < _FIELDS_BEFORE or len(right) < _FIELDS_AFTER:
            continue
        options = frozenset((*left[5].split(","), *right[-1].split(",")))
        yield Mount(_unescaped(left[4]), _unescaped(right[0]), options)


def covering(path: str, mounts: list[Mount]) -> Mount | None:
    """The mount that an absolute path lies on: the deepest; of several at one point the last."""
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
    """Makes an open file, or folder, belong to the owner and the group of `folder`. Only root can.

    A file with several names is left alone: another one of them may lie elsewhere.
    """
    if os.geteuid() != 0:
        return
    owner, given = folder.stat(), os.fstat(descriptor)
    if owner.st_uid == 0 or (given.st_uid, given.st_gid) == (owner.st_uid, owner.st_gid):
        return
    if stat.S_ISDIR(given.st_mode) or given.st_nlink == 1:
        with suppress(PermissionError):  # a network's disk may not let root either
            os.fchown(descriptor, owner.st_uid, owner.st_gid)


_TEMPORARY_SUFFIX = ".shelly-tmp"  # ours to remove; never ends in .jsonl
_MODE = 0o640
# What fsync of a folder says where the file system has no such thing: CIFS and others EINVAL, FUSE what its
# program likes. PostgreSQL and Dovecot pass over EINVAL and EBADF there. EIO and ENOSPC are losses.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP)
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_LOCK_TRIES, _LOCK_PAUSE_S = 20, 0.01  # `is_held` locks for microseconds; a second instance knows in 2 s


def replace_file(path: Path, data: bytes) -> bool:
    """Makes `path` hold `data`, whole and durable when this returns; at any instant old or new.

    Returns whether the file system makes names durable: where it cannot, a power cut may bring the old file
    back. Raises `OSError`.
    One writer per folder: the temporary name is fixed, so a crash leaves at most one behind. On an
    `OSError` the old file stands and the temporary is gone; unless it was the folder's `fsync` that failed:
    then the new file is there, whole, and a power cut may bring the old one back. Whoever gets the error
    knows that nothing is durable, not which file is there. `fsync` is never tried twice: after a failed one
    a second may lie. Measured with real power cuts: without the directory's `fsync` 51 of 596 acknowledged
    saves were lost.
    """
    temporary = path.with_name(path.name + _TEMPORARY_SUFFIX)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(temporary, flags, _MODE)
        try:
            give_to_owner_of(path.parent, descriptor)
            _write_all(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, path)  # noqa: PTH105
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    return sync_folder(path.parent)


def append_whole(path: Path, data: bytes) -> None:
    """Adds `data` at the end of a journal, all of it or nothing. Not durable: a power cut may lose it."""
    _append(path, data, lambda descriptor: None)


def append_durably(path: Path, data: bytes) -> int:
    """Adds `data` at the end of a journal, all of it or nothing; durable when this returns.

    Gives the offset at which it stands. Where only the `fsync` failed it stands there too, for now.
    """
    offset = _append(path, data, os.fsync)
    if offset == 0:
        sync_folder(path.parent)
    return offset


def sync_folder(folder: Path) -> bool:
    """Makes the folder's names durable; whether the file system can do that at all. Raises `OSError`."""
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
    """Whether the file system makes a folder's names durable; `True` where a disk in trouble cannot say."""
    with suppress(OSError):
        return sync_folder(folder)
    return True


def make_folder(folder: Path) -> None:
    """Creates one folder, durable, unless it is there; its parent must be."""
    try:
        folder.mkdir(mode=0o750)
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "a file is in the way", str(folder)) from None
    else:
        try:
            _begin_folder(folder)
        except OSError:
            with suppress(OSError):  # else the next one finds it, and takes its name for durable
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
    """Removes what a crash in the middle of `replace_file` left behind."""
    for entry in folder.iterdir():
        if entry.name.endswith(_TEMPORARY_SUFFIX) and not entry.is_dir():
            entry.unlink()


def read_at_most(path: Path, limit: int) -> bytes:
    """The file's bytes, at most `limit + 1` of them: enough to see that there are too many.

    A named pipe that somebody put there must not stop us: it reads as empty.
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
    """Whether something has that name, be it a link to nowhere.

    Raises `OSError` where nobody can say: what is taken for absent is written over.
    """
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def quarantine(path: Path, folder: Path) -> Path:
    """Moves a file aside into `folder`, beside earlier ones of its name; nothing is overwritten.

    A power cut may bring it back to its place where the disk is in trouble: then it is found once more.
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
    """Holds a folder for one process. The kernel frees it, however the process ends.

    `holds` says whether it keeps others out: not where the file system has no locks.
    """

    def __init__(self, path: Path) -> None:
        """Takes the lock, or raises `ArchiveLocked` within a fraction of a second."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
        try:
            give_to_owner_of(path.parent, self._descriptor)
            self.holds = _take(self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise

    def release(self) -> None:
        """Frees the folder for others."""
        os.close(self._descriptor)


def is_held(path: Path) -> bool | None:
    """Whether a process holds the `FolderLock` in `path` at this moment. Changes nothing, writes nothing.

    `None` where the file system has no locks. Raises `OSError` where this user may not look.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return not _locks(descriptor, fcntl.LOCK_SH)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    """Locks for one process alone; whether that could be done here.

    Those who only look are waited for; they are gone in a moment.
    """
    try:
        return _take_in_time(descriptor)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False


def _take_in_time(descriptor: int) -> bool:
    for _ in range(_LOCK_TRIES):
        if _locks(descriptor, fcntl.LOCK_EX):
            return True
        if not _locks(descriptor, fcntl.LOCK_SH):
            break
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(_LOCK_PAUSE_S)
    raise ArchiveLocked("another instance holds this archive")


def _locks(descriptor: int, how: int) -> bool:
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
        if os.write(descriptor, data) != len(data):  # the disk is full: leave no half line
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
