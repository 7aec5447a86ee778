"""Storage that is full for a while, or whose process dies between two calls."""

from __future__ import annotations

import errno
import os
from typing import Any


class Died(BaseException):
    """The process is gone: no storage call is made any more."""


class Storage:
    """`os` of the archive's files: whole, full, or dead after so many calls."""

    def __init__(self) -> None:
        self.is_full = False
        self.calls_left: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Any, flags: int, *more: Any) -> int:
        self._call(grows=bool(flags & os.O_CREAT))
        return os.open(path, flags, *more)

    def write(self, descriptor: int, data: Any) -> int:
        self._call(grows=True)
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        self._call(grows=False)
        os.fsync(descriptor)

    def replace(self, source: Any, target: Any) -> None:
        self._call(grows=False)
        os.replace(source, target)  # noqa: PTH105

    def _call(self, *, grows: bool) -> None:
        if self.calls_left is not None:
            if self.calls_left <= 0:
                raise Died
            self.calls_left -= 1
        if grows and self.is_full:
            raise OSError(errno.ENOSPC, "no space left")
