"""Where lines go. A reader that went away is no reason to stop collecting."""

from __future__ import annotations

import os
import threading
from typing import TextIO


class Output:
    """Writes whole lines to a stream, from any thread; never raises. `None` takes them all in."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._lock = threading.Lock()

    def msg(self, line: str) -> None:
        """Writes one line; a line that cannot be written is lost, the next one may do."""
        if self._stream is None or self._stream.closed:
            return
        try:
            with self._lock:
                self._write(self._stream, line + "\n")
        except (OSError, ValueError):
            return

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
