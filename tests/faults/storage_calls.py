"""Which storage calls a piece of work makes, in order: what `os` was asked to change, and what was synced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True, slots=True)
class Named:
    """Names in one folder changed at once: to a file, to a folder (-1), or to nothing (None)."""

    folder: Path
    names: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes were written into a file."""

    file: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """A file was cut to that size."""

    file: int
    size: int


@dataclass(frozen=True, slots=True)
class Synced:
    """A file, or a folder, was made durable."""

    what: int | Path


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The work said that something is saved."""

    what: Any


Call = Named | Written | Cut | Synced | Acknowledged
FOLDER = -1


@dataclass
class Recording:
    """The calls, and the durable state that they began from."""

    files: dict[Path, int]
    contents: dict[int, bytes]
    folders: set[Path]
    calls: list[Call] = field(default_factory=list)

    def acknowledge(self, what: Any) -> None:
        """Notes that the work has said so."""
        self.calls.append(Acknowledged(what))


@contextmanager
def recording(root: Path) -> Iterator[Recording]:
    """Records what is done below `root` meanwhile; what is there at the beginning counts as durable."""
    found = sorted(root.rglob("*"))
    files = {path: number for number, path in enumerate(path for path in found if path.is_file())}
    contents = {number: path.read_bytes() for path, number in files.items()}
    made = Recording(files, contents, {root, *(path for path in found if path.is_dir())})
    recorder = _Recorder(made)
    with pytest.MonkeyPatch.context() as patch:
        for name in _REAL:
            patch.setattr(os, name, getattr(recorder, name))
        yield made


_NAMES = ("open", "close", "write", "pwrite", "ftruncate", "fsync", "replace", "rename", "unlink", "mkdir")
_REAL: dict[str, Any] = {name: getattr(os, name) for name in _NAMES}


class _Recorder:
    """The calls of `os` that change something. Each is done for real, and noted."""

    def __init__(self, made: Recording) -> None:
        self._note = made.calls.append
        self._files = dict(made.files)  # as they are named now
        self._numbers = count(len(made.files))
        self._opened: dict[int, tuple[int | Path, bool]] = {}  # what, and whether it is appended to

    def open(self, path: Path | str, flags: int, mode: int = 0o777) -> int:
        path = Path(path)
        descriptor: int = _REAL["open"](path, flags, mode)
        if flags & os.O_DIRECTORY:
            self._opened[descriptor] = path, False
            return descriptor
        if path not in self._files:
            self._files[path] = next(self._numbers)
            self._note(Named(path.parent, ((path.name, self._files[path]),)))
        elif flags & os.O_TRUNC:
            self._note(Cut(self._files[path], 0))
        self._opened[descriptor] = self._files[path], bool(flags & os.O_APPEND)
        return descriptor

    def close(self, descriptor: int) -> None:
        _REAL["close"](descriptor)
        self._opened.pop(descriptor, None)

    def write(self, descriptor: int, data: Any) -> int:
        offset = os.fstat(descriptor).st_size if self._opened[descriptor][1] else os.lseek(descriptor, 0, 1)
        written: int = _REAL["write"](descriptor, data)
        self._note(Written(self._file(descriptor), offset, bytes(data[:written])))
        return written

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        written: int = _REAL["pwrite"](descriptor, data, offset)
        self._note(Written(self._file(descriptor), offset, data[:written]))
        return written

    def ftruncate(self, descriptor: int, size: int) -> None:
        _REAL["ftruncate"](descriptor, size)
        self._note(Cut(self._file(descriptor), size))

    def fsync(self, descriptor: int) -> None:
        _REAL["fsync"](descriptor)
        self._note(Synced(self._opened[descriptor][0]))

    def replace(self, source: Path, target: Path) -> None:
        _REAL["replace"](source, target)
        assert source.parent == target.parent, "a move between folders is not in the model"
        self._files[target] = self._files.pop(source)
        self._note(Named(source.parent, ((source.name, None), (target.name, self._files[target]))))

    rename = replace

    def unlink(self, path: Path) -> None:
        _REAL["unlink"](path)
        del self._files[path]
        self._note(Named(path.parent, ((path.name, None),)))

    def mkdir(self, path: Path, mode: int = 0o777) -> None:
        _REAL["mkdir"](path, mode)
        self._note(Named(path.parent, ((path.name, FOLDER),)))

    def _file(self, descriptor: int) -> int:
        file = self._opened[descriptor][0]
        assert isinstance(file, int)
        return file
