"""Pacer: the request rate of an account. A minimum gap, no burst, a pause (hold) after a rejection.

The rate is limited per host and key: accounts with the same host and key share one `Pace`, and each has
its own `Pacer`, which counts its requests.

The cloud allows one request per second and account, counts overlapping requests as a violation, and keeps
rejecting while rejected requests continue (seen by several clients; nothing is official).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from collector.errors import CalledOff, RateLimited

_HOLD_MIN_S, _HOLD_MAX_S = 1.5, 60.0
_RETRY_AFTER_MAX_S = 3600.0  # an absurd Retry-After must not stop an account for a year
_GAP_GROWTH, _GAP_MAX_S = 1.25, 5.0
_SENT_SHARE = 0.96  # of the gap, 1.008 s of 1.05: the least time between two requests on the wire


@dataclass(frozen=True, slots=True)
class Pacing:
    """The request rate: seconds between starts, and the number of requests in progress at once."""

    min_interval_s: float = 1.05
    max_in_flight: int = 4


class Turn:
    """One request that may be sent now. `started_at` is loop time."""

    __slots__ = ("_on_sent", "is_sent", "started_at")

    def __init__(self, started_at: float, on_sent: Callable[[], None]) -> None:
        self.started_at = started_at
        self.is_sent = False
        self._on_sent = on_sent

    def sent(self) -> None:
        """Call when the request has left: name resolution, connecting and TLS take time before that."""
        if not self.is_sent:
            self.is_sent = True
            self._on_sent()


class Pacer:
    """`async with pacer.turn() as turn:` around every request, retries included; `turn.sent()` within.

    Counts the requests of one account, whose `Pace` it may share with others.
    """

    def __init__(self, pace: Pacing | Pace, on_hold: Callable[[float], None] = lambda hold_s: None) -> None:
        """`pace` is one shared with other accounts, or the rate of a new one. `on_hold` gets seconds."""
        self._pace = Pace(pace) if isinstance(pace, Pacing) else pace
        self._on_hold = on_hold
        self.in_flight = 0
        self.requests = 0
        self.rejections = 0
        self.failures = 0
        self.holds = 0

    @property
    def gap_s(self) -> float:
        """The gap in force, in seconds."""
        return self._pace.gap_s

    @property
    def serial(self) -> bool:
        """Whether requests are sent one at a time, because one was rejected."""
        return self._pace.serial

    @property
    def held_until(self) -> float:
        """The loop time of the end of the last hold."""
        return self._pace.held_until

    @property
    def hold_s(self) -> float:
        """Seconds from the first rejection in a row to the end of the present hold; 0 without one."""
        return self._pace.hold_s

    @property
    def quiet_s(self) -> float:
        """Seconds since a request last started or ended, or a hold ended; 0 during one."""
        return self._pace.quiet_s

    @asynccontextmanager
    async def turn(
        self, is_called_off: Callable[[], bool] = lambda: False, *, continues: bool = False
    ) -> AsyncIterator[Turn]:
        """Waits until the request may be sent. `RateLimited` raised within starts a hold.

        `continues`: the day has started, so this request precedes those of other days. Raises `CalledOff`
        if `is_called_off` returns true by then, or before the wait for the end of a hold.
        """
        turn = await self._pace.take(is_called_off, continues=continues)
        self.requests += 1
        self.in_flight += 1
        try:
            yield turn
        except RateLimited as refusal:
            self.rejections += 1
            self.holds += self._pace.is_after_rejection(turn.started_at)
            self._on_hold(self._pace.hold_off(turn.started_at, refusal.retry_after_s))
            raise
        except BaseException:
            self.failures += 1
            raise
        else:
            self._pace.succeed(turn.started_at)
        finally:
            turn.sent()
            self.in_flight -= 1
            self._pace.finish()


class Pace:
    """The request rate of one host and key.

    Starts are at least `min_interval_s` apart and at most `max_in_flight` run at once. The first
    rejection makes the key serial for the life of the process: one request at a time, the gap measured
    from the end of the last answer. Requests are first in, first out, but the second request of a day
    that has started is sent first, so that a kill loses at most one half-fetched day. A cancelled waiter
    does not delay the others.
    """

    def __init__(self, pacing: Pacing) -> None:
        self.gap_s = pacing.min_interval_s
        self.serial = False
        self._max_in_flight = pacing.max_in_flight
        self._queue, self._queue_ahead = asyncio.Lock(), asyncio.Lock()
        self._ahead = 0
        self._freed = asyncio.Event()
        self._in_flight = 0
        self._unsent = 0
        # An earlier process may have sent a request just before: the first start waits its gap, too.
        self._not_before = asyncio.get_running_loop().time() + self.gap_s
        self._ended_at = self._not_before
        self._rejected_at = float("-inf")
        self._rejections_in_a_row = 0
        self._rejected_since = float("-inf")  # the first of them
        self.held_until = float("-inf")  # loop time at which the last hold ends, or ended

    @property
    def hold_s(self) -> float:
        """Seconds from the first rejection in a row to the end of the present hold; 0 without one."""
        on = asyncio.get_running_loop().time() < self.held_until
        return self.held_until - self._rejected_since if on else 0.0

    @property
    def quiet_s(self) -> float:
        """Seconds since a request last started or ended, or a hold ended; 0 during one."""
        return max(0.0, asyncio.get_running_loop().time() - max(self._ended_at, self._not_before))

    async def take(self, is_called_off: Callable[[], bool], *, continues: bool) -> Turn:
        """Waits for a turn. The caller must call `finish` when the request has ended."""
        self._ahead += continues
        try:
            async with self._queue_ahead if continues else self._queue:
                return await self._start(is_called_off, continues=continues)
        finally:
            self._ahead -= continues
            self._freed.set()

    async def _start(self, is_called_off: Callable[[], bool], *, continues: bool) -> Turn:
        loop = asyncio.get_running_loop()
        while True:
            if self.hold_s and is_called_off():
                raise CalledOff
            if self._is_full or (self._ahead and not continues):
                self._freed.clear()
                await self._freed.wait()
            elif (wait_s := self._not_before - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            else:
                break
        if is_called_off():
            raise CalledOff
        self._in_flight += 1
        self._unsent += 1
        self._hold_until(loop.time() + self.gap_s)
        return Turn(loop.time(), self._sent)

    @property
    def _is_full(self) -> bool:
        return bool(self._unsent) or self._in_flight >= (1 if self.serial else self._max_in_flight)

    def _sent(self) -> None:
        """The next request may start a gap after this one has left; earlier it could overtake it."""
        self._unsent -= 1
        self._hold_until(asyncio.get_running_loop().time() + self.gap_s * _SENT_SHARE)
        self._freed.set()

    def finish(self) -> None:
        """Call when a request has ended, with or without success."""
        self._in_flight -= 1
        self._ended_at = asyncio.get_running_loop().time()
        self._freed.set()
        if self.serial:
            self._hold_until(asyncio.get_running_loop().time() + self.gap_s)

    def succeed(self, started_at: float) -> None:
        """Call when a request that started at `started_at` was not rejected."""
        if self.is_after_rejection(started_at):
            self._rejections_in_a_row = 0

    def is_after_rejection(self, started_at: float) -> bool:
        """Whether the request started after the last rejection; others overlapped a rejected one."""
        return started_at > self._rejected_at

    def hold_off(self, started_at: float, retry_after_s: float | None) -> float:
        """Starts a hold after a rejected request; returns its seconds."""
        now = asyncio.get_running_loop().time()
        if self.is_after_rejection(started_at):
            if self.serial:
                self.gap_s = min(self.gap_s * _GAP_GROWTH, max(_GAP_MAX_S, self.gap_s))
            self._rejected_at = now
            if not self._rejections_in_a_row:
                self._rejected_since = now
            self._rejections_in_a_row += 1
            self.serial = True
        hold_s = min(_HOLD_MIN_S * 2.0 ** min(self._rejections_in_a_row - 1, 10), _HOLD_MAX_S)
        if retry_after_s is not None:
            hold_s = min(max(retry_after_s, _HOLD_MIN_S), _RETRY_AFTER_MAX_S)
        self.held_until = max(self.held_until, now + hold_s)
        self._hold_until(now + hold_s)
        return hold_s

    def _hold_until(self, moment: float) -> None:
        self._not_before = max(self._not_before, moment)
