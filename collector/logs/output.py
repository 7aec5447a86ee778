"""Where lines go. A reader that went away is no reason to stop collecting."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TextIO


class Output:
    """Writes whole lines to a stream, from any thread; never raises. `None` takes them all in."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        """Writes one line and flushes it."""
        with self._lock:
            if self._stream is None:
                return
            try:
                self._write(self._stream, line)
            except BrokenPipeError:
                _let_go(self._stream)
                self._stream = None
            except (OSError, ValueError):  # a full disk under it, or closed: the next line may do
                return

    # What structlog calls, by the level's name.
    debug = info = warning = error = critical = msg

    @staticmethod
    def _write(stream: TextIO, line: str) -> None:
        try:
            stream.write(line + "\n")
        except UnicodeEncodeError:  # the stream's encoding is ASCII or the like
            stream.write(line.encode("ascii", "backslashreplace").decode("ascii") + "\n")
        stream.flush()


def _let_go(stream: TextIO) -> None:
    """Points the broken stream at nothing, or Python would fail on its rest at exit, with code 120."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.dup2(nothing, stream.fileno())
        finally:
            os.close(nothing)
