"""Storage calls that fail: the k-th one, once or for ever after, in this process and through `os`.

Every call that the archive makes goes through here, and is counted; `strace` shows that none is missed.
A failed `fsync` loses what was written, as the kernel may: a second one that succeeds is then a lie.
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

BY_PATH = (
    "open", "stat", "lstat", "mkdir", "rmdir", "unlink", "rename", "replace", "scandir", "listdir",
)  # fmt: skip
BY_DESCRIPTOR = ("read", "write", "fsync", "close", "fstat", "ftruncate", "pread", "pwrite", "fchown")
WRITES = ("write", "pwrite")


def folders_refused(number: int, *, of_files: bool = False) -> Callable[[int], None]:
    """An `os.fsync` that fails so for every folder, or for every file instead."""
    really = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) is not of_files:
            raise OSError(number, os.strerror(number))
        really(descriptor)

    return fsync


@dataclass(frozen=True, slots=True)
class Failure:
    """Which calls fail, counted from 0, and how: an `errno`, or `None` for a write of only a part."""

    when: range
    error: int | None
    names: frozenset[str] | None = None  # only these calls, where not all

    @classmethod
    def once(cls, number: int, error: int | None) -> Failure:
        """That call fails."""
        return cls(range(number, number + 1), error)

    @classmethod
    def lasting(cls, number: int, error: int | None) -> Failure:
        """That call and all after it fail."""
        return cls(range(number, sys.maxsize), error)


@dataclass(slots=True)
class Calls:
    """The calls made on what lies in a folder, by name and path; those that `fault` names fail."""

    folder: Path
    fault: Failure | None = None
    made: list[tuple[str, str]] = field(default_factory=list)
    failed: int = 0
    _now: bool = False
    _open: dict[int, str] = field(default_factory=dict)

    @contextmanager
    def wrapped(self) -> Iterator[Calls]:
        """Has the calls come by here meanwhile; they count, and fail, while `watched`."""
        with pytest.MonkeyPatch.context() as patch:
            for name in BY_PATH:
                patch.setattr(os, name, self._by_path(name, getattr(os, name)))
            for name in BY_DESCRIPTOR:
                patch.setattr(os, name, self._by_descriptor(name, getattr(os, name)))
            patch.setattr(fcntl, "flock", self._by_descriptor("flock", fcntl.flock))
            yield self

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Counts, and lets fail, meanwhile."""
        self._now = True
        try:
            yield
        finally:
            self._now = False

    def _by_path(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            if not self._now or not self._is_inside(path):
                return real(path, *args, **kwargs)
            shown = "lstat" if name == "stat" and not kwargs.get("follow_symlinks", True) else name
            self._enter(shown, os.fspath(path))
            result = real(path, *args, **kwargs)
            if name == "open":
                self._open[result] = os.fspath(path)
            return self._entries(result) if name == "scandir" else result

        return call

    def _by_descriptor(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(descriptor: int, *args: Any) -> Any:
            path = self._open.get(descriptor) if self._now else None
            if path is None:
                return real(descriptor, *args)
            if name == "close":  # it is closed, whatever it says
                del self._open[descriptor]
                real(descriptor)
                return self._enter(name, path)
            try:
                is_short = self._enter(name, path)
            except OSError:
                if name == "fsync" and path.endswith(".shelly-tmp"):
                    os.truncate(path, 0)
                raise
            if is_short:
                data, *rest = args
                return real(descriptor, bytes(data)[: max(1, len(data) // 2)], *rest)
            return None if name == "fsync" else real(descriptor, *args)

        return call

    @contextmanager
    def _entries(self, scanned: Any) -> Iterator[Any]:
        with scanned as entries:
            yield (_Entry(self, entry) for entry in entries)

    def _is_inside(self, path: Any) -> bool:
        return not isinstance(path, int) and os.fspath(path).startswith(str(self.folder))

    def _enter(self, name: str, path: str) -> bool:
        """Counts the call. Raises where it is to fail; says whether it is to write only a part."""
        number = len(self.made)
        self.made.append((name, path))
        fault = self.fault
        if fault is None or number not in fault.when or (fault.names and name not in fault.names):
            return False
        if fault.error is None:
            self.failed += name in WRITES
            return name in WRITES
        self.failed += 1
        raise OSError(fault.error, os.strerror(fault.error), path)


class _Entry:
    """An entry of a folder whose `stat` is a call, too."""

    def __init__(self, calls: Calls, entry: os.DirEntry[str]) -> None:
        self._calls, self._entry = calls, entry
        self.name = entry.name

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        self._calls._enter("lstat", self._entry.path)
        return self._entry.stat(follow_symlinks=follow_symlinks)


def failing(number: int):  # type: ignore[no-untyped-def]
    """`os.fsync` of a disk in trouble."""

    def fsync(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    return fsync
