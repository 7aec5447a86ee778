"""One line on a terminal that tells how far a backfill is; log lines pass above it."""

from __future__ import annotations

import io
import shutil
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from collector.archive.store import DayOutcome
    from collector.service.assembly import AccountAtWork

_CLEAR = "\r\x1b[K"
_BAR = 20


class Progress(io.TextIOBase):
    """Where the log goes, too: a stream that lifts its line out of the way of others."""

    def __init__(self, stream: TextIO, days: int, expected_s: float) -> None:
        """`days` to collect at most, `expected_s` at the allowed pace."""
        self._stream = stream
        self._days = days
        self._expected_s = expected_s
        self._done = 0
        self._line = ""
        self.shown = stream.isatty()
        if days:
            self._draw(f"0/{days} days, {_left(expected_s)} left")

    def advance(self, meter: str, outcome: DayOutcome, accounts: list[AccountAtWork]) -> None:
        """One more day."""
        self._done += 1
        requests = sum(account.pacer.requests for account in accounts)
        holds = sum(account.pacer.holds for account in accounts)
        gap_s = max(account.pacer.gap_s for account in accounts)
        left = max(0, self._days - self._done)
        left_s = left * max(gap_s * requests / self._done, self._expected_s / max(self._days, 1))
        share = min(1.0, self._done / max(self._days, 1))
        bar = "#" * round(share * _BAR)
        self._draw(
            f"{meter} {outcome.day} [{bar:.<{_BAR}}] {self._done}/{self._days} days, "
            f"{requests} requests, {holds} holds, {_left(left_s)} left"
        )

    def write(self, text: str) -> int:
        """Log text: above the line."""
        if self.shown and self._line:
            self._stream.write(_CLEAR + text + (self._line if text.endswith("\n") else ""))
        else:
            self._stream.write(text)
        return len(text)

    def as_text(self) -> TextIO:
        """Itself, under the name that loggers know."""
        return cast(TextIO, self)

    def flush(self) -> None:
        """Passes it on."""
        self._stream.flush()

    def isatty(self) -> bool:
        """As the stream below."""
        return self.shown

    def clear(self) -> None:
        """Takes the line away."""
        if self._line:
            self._stream.write(_CLEAR)
            self._stream.flush()
        self._line = ""

    def _draw(self, line: str) -> None:
        if self.shown:
            self._line = line[: shutil.get_terminal_size().columns - 1]
            self._stream.write(_CLEAR + self._line)
            self._stream.flush()


def _left(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
