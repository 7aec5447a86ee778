"""Simulated time: a clock that starts at a chosen moment and runs at a chosen speed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta


class RunningClock:
    """A `Clock` from `start` on, `speed` simulated seconds for each second of `timer`; 0 stands still."""

    def __init__(self, start: datetime, speed: float, timer: Callable[[], float]) -> None:
        self._start = start
        self._speed = speed
        self._timer = timer
        self._started_at = timer()

    def __call__(self) -> datetime:
        elapsed_s = (self._timer() - self._started_at) * self._speed
        return self._start + timedelta(seconds=elapsed_s)
