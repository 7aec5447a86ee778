"""Which file system a folder lies on, and what it does not promise. Pure, but for one read of `/proc`.

The format is that of proc_pid_mountinfo(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

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
