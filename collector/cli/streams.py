"""The three standard streams, also if they are closed, on a full disk, or a pipe without a reader.

A stream that was closed before the start is opened on /dev/null: otherwise the next file that is opened
would get its number, and everything that is printed. Messages that cannot be written to standard error are
dropped, and the command continues. If standard output cannot be written, `OutputLost` ends the command.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress

TYPE_CHECKING = False  # as in the package: this is imported before `--version` answers
if TYPE_CHECKING:
    from typing import IO, Any

    from _typeshed import ReadableBuffer

_NAMES = ("stdin", "stdout", "stderr")


class OutputLost(Exception):
    """Standard output cannot be written. No `OSError`, so that it is not handled as one of an archive."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"Standard output cannot be written: {error.strerror}")
        self.reader_has_gone = error.errno == errno.EPIPE


def prepare() -> None:
    """Makes the three streams usable, once per process. Streams that were replaced stay as they are."""
    for name in _NAMES:
        if getattr(sys, name) is None:
            setattr(sys, name, _nothing("r" if name == "stdin" else "w"))
    if sys.stdout is sys.__stdout__ and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout = _like(sys.stdout, _Output)
    if sys.stderr is sys.__stderr__ and isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr = _like(sys.stderr, _Messages)


def _nothing(mode: str) -> IO[Any]:
    """A stream on /dev/null with the lowest free number, the closed stream's own; children inherit it."""
    descriptor = os.open(os.devnull, os.O_RDWR)
    os.set_inheritable(descriptor, True)  # noqa: FBT003
    return open(descriptor, mode, encoding="utf-8", closefd=False)


def _like(stream: io.TextIOWrapper, kind: type[io.FileIO]) -> io.TextIOWrapper:
    """A stream like this one that writes to a `kind`; characters it cannot encode are escaped."""
    return io.TextIOWrapper(
        io.BufferedWriter(kind(stream.fileno(), "w", closefd=False)),
        encoding=stream.encoding,
        errors="backslashreplace" if stream.errors == "strict" else stream.errors,
        newline="\n",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Output(io.FileIO):
    """Raises `OutputLost` at the first failure; later output is dropped, also at the last flush."""

    _is_lost = False

    def write(self, data: ReadableBuffer) -> int:
        if not self._is_lost:
            try:
                return super().write(data)
            except OSError as error:
                self._is_lost = True
                raise OutputLost(error) from None
        return memoryview(data).nbytes


class _Messages(io.FileIO):
    """Drops what it cannot write."""

    def write(self, data: ReadableBuffer) -> int:
        with suppress(OSError):
            super().write(data)
        return memoryview(data).nbytes
