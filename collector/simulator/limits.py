"""Whether a request came too soon: the rate limit of one account, on a time argument. Pure."""

from __future__ import annotations

from typing import Literal

from collector.simulator.scenario import Limit

Violation = Literal["too_soon", "overlap"]


class Judge:
    """Sees each request of an account start and end; times are seconds on any steady clock."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._in_flight = 0
        self._shut_until = float("-inf")

    def start(self, at: float) -> Violation | None:
        """Judges a request that starts now. A rejected one must be ended like any other."""
        self._in_flight += 1
        if self._limit.style == "none":
            return None
        if self._limit.style == "strict" and self._in_flight > 1:
            return "overlap"
        if at < self._shut_until:
            return "too_soon"
        self._shut_until = at + self._limit.limit_s
        return None

    def end(self, at: float) -> None:
        """The answer has left. Strict: the gap counts from here, whatever the answer said."""
        self._in_flight -= 1
        if self._limit.style == "strict":
            self._shut_until = at + self._limit.limit_s
