"""Pacer: the request rate of an account. A minimum gap, no burst, a pause (hold) after a rejection.

The rate is limited per host and key: accounts with the same host and key share one `Pace`, and each has
its own `Pacer`, which counts its requests. The paces of several processes share a record, if they can.

The cloud allows one request per second and account, counts overlapping requests as a violation, and keeps
rejecting while rejected requests continue (seen by several clients; nothing is official).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from collector.cloud.shared_pace import Busy, Record, Sending, SharedPace, Waiting
from collector.errors import CalledOff, RateLimited

CLOUD_INTERVAL_S = 1.0  # a simulated cloud may allow more
_HOLD_MIN_S, _HOLD_MAX_S = 1.5, 60.0
_RETRY_AFTER_MAX_S = 3600.0  # an absurd Retry-After must not stop an account for a year
_GAP_GROWTH, _GAP_MAX_S = 1.25, 5.0
_SENT_SHARE = 0.96  # of the gap, 1.008 s of 1.05: the least time between two requests on the wire
_POLL_S, _FULL_POLL_S = 0.02, 0.25  # until another process has taken its turn, or has one request less
_SAME_S = 0.001  # moments of one clock that went through another

T = TypeVar("T")


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
        """Call just before the request leaves: name resolution, connecting and TLS take time before that."""
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
        self.waiting = 0  # requests whose turn has not come
        self.on_turn: Callable[[], None] = lambda: None  # called when `waiting` has become less
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

    @property
    def gap_left_s(self) -> float:
        """Seconds until the gap after the last request has passed; 0 during a hold."""
        return self._pace.gap_left_s

    @asynccontextmanager
    async def turn(
        self,
        is_called_off: Callable[[], bool] = lambda: False,
        *,
        continues: bool = False,
        urgent: bool = False,
    ) -> AsyncIterator[Turn]:
        """Waits until the request may be sent. `RateLimited` raised within starts a hold.

        `continues`: the day has started, so this request precedes those of other days. `urgent`: it precedes
        those of other processes. Raises `CalledOff` if `is_called_off` returns true by then, or before the
        wait for the end of a hold.
        """
        self.waiting += 1
        try:
            turn = await self._pace.take(is_called_off, continues=continues, urgent=urgent)
        finally:
            self.waiting -= 1
            self.on_turn()
        self.requests += 1
        self.in_flight += 1
        try:
            yield turn
        except RateLimited as refusal:
            self.rejections += 1
            hold_s, is_new = self._pace.hold_off(turn.started_at, refusal.retry_after_s)
            self.holds += is_new
            self._on_hold(hold_s)
            raise
        except BaseException:
            self.failures += 1
            raise
        else:
            self._pace.succeed(turn.started_at)
        finally:
            turn.sent()
            self.in_flight -= 1
            self._pace.finish(turn)


class Pace:
    """The request rate of one host and key.

    Starts are at least `min_interval_s` apart and at most `max_in_flight` run at once. The first
    rejection makes the key serial for the life of the process: one request at a time, the gap measured
    from the end of the last answer. Requests are first in, first out, but the second request of a day
    that has started is sent first, so that a kill loses at most one half-fetched day. A cancelled waiter
    does not delay the others.

    All that holds across the processes that share `shared`: they take turns, those with an urgent request
    first. Each brings its own knowledge up to date before a start, and adds what happens to its requests.
    """

    def __init__(self, pacing: Pacing, shared: SharedPace | None = None) -> None:
        self.gap_s = self._min_interval_s = pacing.min_interval_s
        self.serial = False
        self._max_in_flight = pacing.max_in_flight
        self._shared = shared
        self._waiting: Waiting | None = None  # the request that is next, to be seen by other processes
        self._has_others = True  # whether another process was seen, to take turns with
        self._starting = 0  # requests that are next: one of each queue
        self._urgent = 0
        self._publishing: asyncio.TimerHandle | None = None
        self._queue, self._queue_ahead = asyncio.Lock(), asyncio.Lock()
        self._ahead = 0
        self._freed = asyncio.Event()
        self._turns: list[Turn] = []
        # An earlier process may have sent a request just before: the first start waits its gap, too.
        self._begins_at = self._ended_at = asyncio.get_running_loop().time() + self.gap_s
        self._not_before = float("-inf")  # because of requests and rejections
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

    @property
    def gap_left_s(self) -> float:
        """Seconds until the gap after the last request has passed; 0 during a hold."""
        left_s = self._due_at - asyncio.get_running_loop().time()
        return 0.0 if self.hold_s else max(0.0, left_s)

    async def take(self, is_called_off: Callable[[], bool], *, continues: bool, urgent: bool) -> Turn:
        """Waits for a turn. The caller must call `finish` when the request has ended."""
        self._ahead += continues
        self._urgent += urgent
        if urgent and self._waiting is not None and not self._waiting.is_urgent:
            self._waiting = self._waiting._replace(is_urgent=True)
            self._publish()
        try:
            async with self._queue_ahead if continues else self._queue:
                self._starting += 1
                try:
                    return await self._start(is_called_off, continues=continues)
                finally:
                    self._starting -= 1
                    if self._waiting is not None and not self._starting:  # cancelled, or called off
                        self._waiting = None
                        self._publish()
        finally:
            self._ahead -= continues
            self._urgent -= urgent
            self._freed.set()

    async def _start(self, is_called_off: Callable[[], bool], *, continues: bool) -> Turn:
        while True:
            if self.hold_s and is_called_off():
                raise CalledOff
            if self._is_full or (self._ahead and not continues):
                self._freed.clear()
                await self._freed.wait()
            elif isinstance(turn := self._try_start(is_called_off), Turn):
                return turn
            elif not (self.hold_s and is_called_off()):  # a hold of another process became known
                await asyncio.sleep(turn)

    def _try_start(self, is_called_off: Callable[[], bool]) -> Turn | float:
        """A turn, or seconds to wait before the next try."""
        now = asyncio.get_running_loop().time()
        wait_s = self._due_at - now
        if wait_s > 0 and not self._has_others and not self._urgent:
            return wait_s
        try:
            with self._common() as record:
                wait_s = self._due_at - now if record is None else self._wait_s(record, now)
                if wait_s > 0:
                    return wait_s
                if is_called_off():
                    raise CalledOff
                turn = Turn(now, self._sent)
                self._turns.append(turn)
                self._waiting = None
                self._hold_until(now + self.gap_s)
                return turn
        except Busy as busy:
            return busy.wait_s

    def _wait_s(self, record: Record, now: float) -> float:
        """Seconds until the next try, because of this process or another; 0 or less for a start now."""
        wait_s = self._due_at - now
        if wait_s <= 0:
            wait_s = self._wait_for(record.sending_of_others())
        ticket = record.new_ticket() if self._waiting is None else self._waiting.ticket
        self._waiting = Waiting(ticket, self._due_at, now + wait_s, self._urgent > 0)
        if wait_s <= 0 and record.is_preceded(self._waiting, now):
            return _POLL_S
        return wait_s

    def _wait_for(self, others: list[Sending]) -> float:
        """Seconds until the next try, because of requests of other processes.

        After another process has sent its request, or it has ended while one at a time is allowed, there is
        a gap anyway: so it is early enough to look again after a gap.
        """
        if not all(each.is_sent for each in others):
            return max(self.gap_s * _SENT_SHARE, _POLL_S)
        if len(self._turns) + len(others) >= self._most:
            return max(self.gap_s, _POLL_S) if self.serial else _FULL_POLL_S
        return 0

    @contextmanager
    def _common(self) -> Iterator[Record | None]:
        """What all processes know, known here within; `None` if they share nothing. Raises `Busy`.

        What has changed here by the end of it is known to all.
        """
        if (shared := self._shared) is None:
            self._has_others = False
            yield None
            return
        with shared.record() as record:
            if record is not None:
                self._learn_from(record)
                self._has_others = record.has_others
            yield record
            if record is not None:
                self._add_to(record)
                sending = [Sending(each.started_at + shared.timeout_s, each.is_sent) for each in self._turns]
                record.put(sending, self._waiting)

    def _learn_from(self, record: Record) -> None:
        self._hold_until(record.not_before)
        self.held_until = max(self.held_until, record.held_until)
        self.gap_s = max(self.gap_s, record.gap_s)
        self.serial = self.serial or record.serial
        if record.rejected_at > self._rejected_at + _SAME_S:
            self._rejected_at, self._rejected_since = record.rejected_at, record.rejected_since
            self._rejections_in_a_row = record.rejections_in_a_row
        elif record.rejected_at > self._rejected_at - _SAME_S:  # the same; a success may have followed
            self._rejections_in_a_row = min(self._rejections_in_a_row, record.rejections_in_a_row)

    def _add_to(self, record: Record) -> None:
        record.not_before = max(record.not_before, self._not_before)
        record.held_until = max(record.held_until, self.held_until)
        record.gap_s = max(record.gap_s, self.gap_s if self.gap_s > self._min_interval_s else 0.0)
        record.serial = self.serial
        record.rejected_at, record.rejected_since = self._rejected_at, self._rejected_since
        record.rejections_in_a_row = self._rejections_in_a_row

    def _change(self, change: Callable[[], T]) -> T:
        """Makes a change by what all processes know; they learn of it later if one has the file just now."""
        try:
            with self._common():
                return change()
        except Busy as busy:
            if self._publishing is not None:
                self._publishing.cancel()
            self._publishing = asyncio.get_running_loop().call_later(busy.wait_s, self._publish)
        return change()

    def _publish(self) -> None:
        """Makes known to all processes what has changed here."""
        self._change(lambda: None)

    @property
    def _due_at(self) -> float:
        return max(self._begins_at, self._not_before)

    @property
    def _is_full(self) -> bool:
        return not all(turn.is_sent for turn in self._turns) or len(self._turns) >= self._most

    @property
    def _most(self) -> int:
        return 1 if self.serial else self._max_in_flight

    def _sent(self) -> None:
        """The next request may start a gap after this one has left; earlier it could overtake it.

        It leaves after this call, and later still if the process gets no processor time just then.
        """
        self._hold_after_sent()
        self._freed.set()
        asyncio.get_running_loop().call_soon(self._change, self._hold_after_sent)

    def _hold_after_sent(self) -> None:
        self._hold_until(asyncio.get_running_loop().time() + self.gap_s * _SENT_SHARE)

    def finish(self, turn: Turn) -> None:
        """Call when a request has ended, with or without success."""
        self._turns.remove(turn)
        self._ended_at = asyncio.get_running_loop().time()
        self._change(self._hold_after_end)
        self._freed.set()

    def _hold_after_end(self) -> None:
        if self.serial:
            self._hold_until(self._ended_at + self.gap_s)

    def succeed(self, started_at: float) -> None:
        """Call when a request that started at `started_at` was not rejected."""
        if self._is_after_rejection(started_at):
            self._rejections_in_a_row = 0

    def _is_after_rejection(self, started_at: float) -> bool:
        """Whether the request started after the last rejection; others overlapped a rejected one."""
        return started_at > self._rejected_at

    def hold_off(self, started_at: float, retry_after_s: float | None) -> tuple[float, bool]:
        """Starts a hold after a rejected request; returns its seconds, and whether it teaches something."""
        return self._change(lambda: self._hold_off(started_at, retry_after_s))

    def _hold_off(self, started_at: float, retry_after_s: float | None) -> tuple[float, bool]:
        now = asyncio.get_running_loop().time()
        is_new = self._is_after_rejection(started_at)
        if is_new:
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
        return hold_s, is_new

    def _hold_until(self, moment: float) -> None:
        self._not_before = max(self._not_before, moment)
