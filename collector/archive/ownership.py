"""Whose a new file is: its folder's owner's, also where root makes it.

A `backfill` that is run by root fills the folder of the service, which runs as a user of its own: it
took root's files for damaged, since it could not read them.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path


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
