"""Where lines go. A reader that went away is no reason to stop collecting."""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import suppress
from typing import TextIO


class Output:
    """Writes whole lines to a stream, from any thread; never raises. `None` takes them all in."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._descriptor = _descriptor(stream)
        # Entered again by the same thread where memory is tidied up while a line is written: asyncio logs
        # the failure of a task that nobody asked about when the task goes. Its line comes after that one.
        self._lock = threading.RLock()
        self._is_writing = False
        self._waiting: deque[str] = deque()

    def msg(self, line: str) -> None:
        """Writes one line; a line that cannot be written is lost, the next one may do."""
        if self._stream is None or self._stream.closed:
            return
        with self._lock:
            self._waiting.append(line + "\n")
            if self._is_writing:
                return
            self._is_writing = True
            try:
                while self._waiting:
                    with suppress(OSError, ValueError):
                        self._write(self._stream, self._waiting.popleft())
            finally:
                self._is_writing = False

    # What structlog calls, by the level's name.
    debug = info = warning = error = critical = msg

    def _write(self, stream: TextIO, line: str) -> None:
        if self._descriptor is None:
            stream.write(line)
            return
        # Past the stream's buffer: what stays in there after an error fails again when Python exits,
        # which makes a traceback and exit code 120 of a log that nobody reads.
        data = line.encode(stream.encoding or "utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):  # in memory, or closed
        return None
