"""A disk as the archive sees it through `os`: it may be full, and a process may die in any call."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from collector.archive import checksums, files


class Killed(BaseException):
    """The process is dead: nothing handles this, and no call after it does anything."""


class Disk:
    """Stands for `os` in the archive. What is not changed here is the real thing.

    Nothing is synced: a kill loses nothing that was written.
    """

    def __init__(self, died: Callable[[], object]) -> None:
        """`died` is called, in the thread of the call, where one was the last."""
        self._died = died
        self._left: int | None = None
        self.is_dead = False
        self.is_full = False

    def die_after(self, calls: int) -> None:
        """The process dies in the call after so many."""
        self._left = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        self._enter(needs_room=bool(flags & os.O_CREAT) and not os.path.lexists(path))
        return os.open(path, flags, mode)

    def write(self, descriptor: int, data: Any) -> int:
        was_alive = not self.is_dead
        try:
            self._enter(needs_room=True)
        except Killed:
            if was_alive:
                os.write(descriptor, bytes(data)[: len(data) // 2])
            raise
        return os.write(descriptor, data)

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        self._enter()
        return os.pwrite(descriptor, data, offset)

    def ftruncate(self, descriptor: int, size: int) -> None:
        self._enter()
        os.ftruncate(descriptor, size)

    def fsync(self, descriptor: int) -> None:
        self._enter()

    def replace(self, source: Any, target: Any) -> None:
        self._enter()
        os.replace(source, target)  # noqa: PTH105

    def _enter(self, *, needs_room: bool = False) -> None:
        if self._left == 0 and not self.is_dead:
            self.is_dead = True
            self._died()
        if self.is_dead:
            raise Killed
        if self._left is not None:
            self._left -= 1
        if self.is_full and needs_room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@contextmanager
def on_disk(disk: Disk) -> Iterator[None]:
    """The archive's calls come by `disk` meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (files, checksums):
            patch.setattr(module, "os", disk)
        yield
