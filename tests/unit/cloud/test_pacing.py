"""Pacer: never too fast, whatever happens, and no slower than need be."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cloud.pacing import Pace, Pacer, Pacing
from collector.errors import AnswerError, CalledOff, CollectorError, RateLimited, Unavailable
from tests.support.virtual_time import VirtualTimeLoop


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class _Seen:
    """One request as the server sees it."""

    started_at: float
    ended_at: float = float("inf")


class _Server:
    """Notes when each request starts and ends."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self.seen: list[_Seen] = []
        self.rejected_at: list[float] = []

    async def ask(
        self,
        duration_s: float = 0.0,
        error: CollectorError | None = None,
        connect_s: float = 0.0,
        *,
        continues: bool = False,
    ) -> None:
        """One request that takes so long to leave and to be answered; a rejection does not come out."""
        with suppress(CollectorError):
            async with self.pacer.turn(continues=continues) as turn:
                await asyncio.sleep(connect_s)
                turn.sent()
                seen = _Seen(_now())
                self.seen.append(seen)
                try:
                    await asyncio.sleep(duration_s)
                finally:
                    seen.ended_at = _now()
                if isinstance(error, RateLimited):
                    self.rejected_at.append(_now())
                if error is not None:
                    raise error

    @property
    def starts(self) -> list[float]:
        return [seen.started_at for seen in self.seen]

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.starts)]

    @property
    def idle_gaps(self) -> list[float]:
        return [later.started_at - earlier.ended_at for earlier, later in pairwise(self.seen)]

    def under_way_at(self, moment: float) -> int:
        return sum(seen.started_at <= moment < seen.ended_at for seen in self.seen)


def _server(pacing: Pacing | None = None) -> _Server:
    return _Server(Pacer(pacing or Pacing(1.05, 4)))


async def _reject(server: _Server, times: int = 1, retry_after_s: float | None = None) -> None:
    for _ in range(times):
        await server.ask(error=RateLimited("too fast", retry_after_s))


async def test_the_first_start_waits_its_gap() -> None:
    """A process before this one may have sent a request a moment ago: a restart must not break the pace."""
    server = _server()
    await server.ask()
    assert server.starts == [1.05]


async def test_a_slow_connection_does_not_bring_two_requests_together() -> None:
    """What counts is when a request arrives: looking up, connecting and TLS may take long, or not."""
    server = _server()
    connecting_s = [0.0, 0.9, 0.0, 2.5, 0.1, 0.0, 0.4, 0.0]
    await asyncio.gather(*(server.ask(1, connect_s=seconds) for seconds in connecting_s))
    assert min(server.gaps) >= 1.0


async def test_a_request_that_never_leaves_holds_nobody_back_for_ever() -> None:
    """A name that does not resolve: the next one has its turn after it."""
    server = _server()

    async def lost() -> None:
        with suppress(CollectorError):
            async with server.pacer.turn():
                await asyncio.sleep(5)
                raise Unavailable("no such name")

    await asyncio.gather(lost(), server.ask())
    assert server.starts == pytest.approx([1.05 + 5 + 1.008])


async def test_starts_are_at_least_the_interval_apart_and_not_much_more() -> None:
    """From start to start, however long the requests take."""
    server = _server()
    await asyncio.gather(*(server.ask(3) for _ in range(10)))
    assert server.gaps == pytest.approx([1.05] * 9)


async def test_no_more_than_the_cap_are_under_way() -> None:
    """A cloud that has become slow is not buried in requests."""
    server = _server(Pacing(1.0, 4))
    await asyncio.gather(*(server.ask(10) for _ in range(9)))
    assert server.starts == pytest.approx([1, 2, 3, 4, 11, 12, 13, 14, 21])
    assert max(server.under_way_at(start) for start in server.starts) == 4


async def test_turns_go_first_come_first_served() -> None:
    """Nobody starves."""
    pacer = Pacer(Pacing(1.0, 2))
    served: list[int] = []

    async def ask(number: int) -> None:
        async with pacer.turn() as turn:
            turn.sent()
            served.append(number)
            await asyncio.sleep(1.7)

    await asyncio.gather(*(ask(number) for number in range(12)))
    assert served == list(range(12))


async def test_what_continues_with_what_has_begun_goes_ahead() -> None:
    """Also ahead of the one whose turn is next; those behind keep their order, and the pace holds."""
    pacer = Pacer(Pacing(1.0, 4))
    served: list[tuple[str, float]] = []

    async def ask(name: str, comes_s: float, **how: Any) -> None:
        await asyncio.sleep(comes_s)
        async with pacer.turn(**how):
            served.append((name, _now()))

    first = [ask(name, 0) for name in "abcd"]
    await asyncio.gather(*first, ask("a2", 1.9, continues=True), ask("b2", 1.95, continues=True))
    assert served == [("a", 1), ("a2", 2), ("b2", 3), ("b", 4), ("c", 5), ("d", 6)]


async def test_one_that_would_go_ahead_and_is_cancelled_holds_nobody_back() -> None:
    """While it waits for its turn, and while it is in progress."""
    server = _server(Pacing(1.0, 1))
    ahead = [asyncio.create_task(server.ask(9, continues=True)) for _ in range(3)]
    behind = asyncio.create_task(server.ask())
    await asyncio.sleep(0.5)
    ahead[1].cancel()
    await asyncio.sleep(1)
    ahead[2].cancel()
    await asyncio.sleep(1)
    ahead[0].cancel()
    await behind
    assert server.starts == [1, 2.5]


async def test_who_waits_for_one_that_is_cancelled_has_the_turn_instead() -> None:
    """Nothing else happens that could wake it."""
    server = _server(Pacing(10, 4))
    ahead = asyncio.create_task(server.ask(continues=True))
    await asyncio.sleep(1)
    behind = asyncio.create_task(server.ask())
    await asyncio.sleep(1)
    ahead.cancel()
    await behind
    assert server.starts == [10]


async def test_what_is_called_off_by_its_turn_takes_none() -> None:
    """Whoever comes next has it, at once."""
    pacer = Pacer(Pacing(1.0, 4))
    for continues in (False, True):
        with pytest.raises(CalledOff):
            async with pacer.turn(lambda: True, continues=continues):
                raise AssertionError("it has begun")
    assert (_now(), pacer.requests, pacer.in_flight, pacer.failures) == (1, 0, 0, 0)
    async with pacer.turn():
        assert _now() == 1


async def test_after_the_first_rejection_one_is_under_way_and_the_gap_counts_from_its_end() -> None:
    """Overlaps count as violations, and the window opens at the end of the last answer."""
    server = _server()
    await _reject(server)
    assert server.pacer.serial
    await asyncio.gather(*(server.ask(3) for _ in range(5)))
    assert server.idle_gaps[1:] == pytest.approx([1.05] * 4)


async def test_the_end_of_a_rejected_answer_counts_too() -> None:
    """Rejected calls keep the window shut."""
    server = _server()
    await _reject(server)
    await server.ask(20, RateLimited("too fast"))
    await server.ask()
    assert server.idle_gaps[-1] == pytest.approx(3.0)


async def test_what_was_under_way_at_the_rejection_is_waited_for() -> None:
    """Serial means serial, also for requests that began before."""
    server = _server(Pacing(1.0, 4))
    slow = [asyncio.create_task(server.ask(20)) for _ in range(2)]
    await asyncio.sleep(2.5)
    await _reject(server)
    await server.ask()
    await asyncio.gather(*slow)
    assert server.starts[-1] == pytest.approx(22 + 1.0)  # the second began at 2 and took 20


async def test_a_burst_of_rejections_counts_once() -> None:
    """Requests that ran beside the rejected one teach nothing new: no longer gap, no longer hold."""
    holds: list[float] = []
    server = _Server(Pacer(Pacing(1.05, 4), holds.append))
    await asyncio.gather(*(server.ask(3, RateLimited("too fast")) for _ in range(3)))
    pacer = server.pacer
    assert (pacer.gap_s, pacer.holds, pacer.rejections, set(holds)) == (1.05, 1, 3, {1.5})
    await server.ask()
    assert server.idle_gaps[-1] == pytest.approx(1.5)  # from the last of the rejections


async def test_each_further_rejection_makes_the_gap_a_quarter_longer_up_to_five_seconds() -> None:
    """What one second is on the cloud's clock is found by trying."""
    server = _server()
    gaps = []
    for _ in range(10):
        await _reject(server)
        gaps.append(server.pacer.gap_s)
    expected = [1.05 * 1.25**number for number in range(7)]
    assert gaps == pytest.approx([*expected, 5.0, 5.0, 5.0])


async def test_a_gap_configured_longer_than_five_seconds_is_never_shortened() -> None:
    """Learning makes slower, not faster."""
    server = _server(Pacing(8.0, 1))
    await _reject(server, 3)
    assert server.pacer.gap_s == 8.0


async def test_holds_double_from_one_and_a_half_to_sixty_seconds() -> None:
    """Counted from the rejection; each is told."""
    holds: list[float] = []
    server = _Server(Pacer(Pacing(1.05, 4), holds.append))
    await _reject(server, 9)
    assert holds == [1.5, 3, 6, 12, 24, 48, 60, 60, 60]
    await server.ask()
    assert server.gaps == pytest.approx(holds)


async def test_a_success_makes_the_next_hold_short_again_and_keeps_what_was_learned() -> None:
    """The hold is for the moment, the gap and being serial for the life of the process."""
    holds: list[float] = []
    server = _Server(Pacer(Pacing(1.05, 4), holds.append))
    await _reject(server, 4)
    await server.ask()
    assert server.pacer.serial
    assert server.pacer.gap_s == pytest.approx(1.05 * 1.25**3)
    await _reject(server)
    assert holds == [1.5, 3, 6, 12, 1.5]


@pytest.mark.parametrize("error", [Unavailable("502"), AnswerError("body", "not JSON")])
async def test_an_error_is_no_success(error: CollectorError) -> None:
    """An outage between two rejections says nothing of the pace."""
    holds: list[float] = []
    server = _Server(Pacer(Pacing(1.05, 4), holds.append))
    await _reject(server, 2)
    await server.ask(error=error)
    await _reject(server)
    assert holds == [1.5, 3, 6]


async def test_a_success_that_began_before_the_rejection_proves_nothing() -> None:
    """It was let through before the window shut."""
    holds: list[float] = []
    server = _Server(Pacer(Pacing(1.0, 4), holds.append))
    slow = asyncio.create_task(server.ask(2.5))
    await asyncio.sleep(1)
    await server.ask(0.1, RateLimited("too fast"))
    await slow
    await _reject(server)
    assert holds == [1.5, 3]


@pytest.mark.parametrize(
    ("retry_after_s", "held_s"),
    [(0, 1.5), (1.2, 1.5), (7, 7), (3600, 3600), (1e9, 3600), (1e300, 3600)],
)
async def test_a_retry_after_is_honoured_within_reason(retry_after_s: float, held_s: float) -> None:
    """From 1.5 s, which reliably opens the window, to one hour: no absurd header stops an account."""
    server = _server()
    await _reject(server, 1, retry_after_s)
    await server.ask()
    assert server.gaps == pytest.approx([held_s])


async def test_a_short_retry_after_does_not_shorten_a_hold_in_force() -> None:
    """The longest wait counts."""
    server = _server(Pacing(1.0, 4))
    first = asyncio.create_task(server.ask(2.0, RateLimited("too fast", 30)))
    await asyncio.sleep(1)
    await server.ask(2.0, RateLimited("too fast"))
    await first
    await server.ask()
    assert server.starts[-1] == pytest.approx(3 + 30)


async def test_a_hold_that_comes_while_others_wait_holds_them_too() -> None:
    """Whoever sleeps towards its turn looks again before it starts."""
    server = _server(Pacing(1.0, 4))
    await asyncio.gather(server.ask(0.5, RateLimited("too fast", 40)), *(server.ask() for _ in range(3)))
    assert server.starts == pytest.approx([1, 41.5, 42.5, 43.5])


async def test_a_cancelled_waiter_holds_nobody_back() -> None:
    """Wherever it waits: for its turn in the queue, for the gap, for a free place."""
    server = _server(Pacing(1.0, 1))
    tasks = [asyncio.create_task(server.ask(5)) for _ in range(6)]
    await asyncio.sleep(2)  # one is in progress, one waits for its place, four wait behind it
    for place in (1, 2, 4):
        tasks[place].cancel()
    await asyncio.wait(tasks)
    assert server.starts == pytest.approx([1, 6, 11])


async def test_a_waiter_cancelled_in_its_gap_holds_nobody_back() -> None:
    """And the gap is not begun again for it."""
    server = _server(Pacing(1.0, 4))
    tasks = [asyncio.create_task(server.ask()) for _ in range(3)]
    await asyncio.sleep(1.5)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    assert server.starts == pytest.approx([1, 2])


async def test_how_many_wait_and_how_long_the_gap_still_lasts_is_known() -> None:
    """A day begins when its turn is near: one that only waits takes memory."""
    server, pacer_says = _server(), list[tuple[int, float]]()
    pacer = server.pacer
    pacer.on_turn = lambda: pacer_says.append((pacer.waiting, _now()))
    assert pacer.gap_left_s == pytest.approx(1.05)
    waiting = [asyncio.create_task(server.ask()) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert pacer.waiting == 3
    assert pacer.gap_left_s == pytest.approx(1.0)
    waiting.pop().cancel()
    await asyncio.gather(*waiting)
    assert [count for count, _ in pacer_says] == [2, 1, 0]
    assert [at for _, at in pacer_says] == pytest.approx([0.05, 1.05, 2.1])
    await asyncio.sleep(2)
    assert pacer.waiting == pacer.gap_left_s == 0


async def test_during_a_hold_there_is_no_gap_to_wait_for() -> None:
    """Who waits for the end of a hold may be called off, and so must begin to wait."""
    server = _server()
    await _reject(server, retry_after_s=600)
    assert server.pacer.hold_s == pytest.approx(600)
    assert server.pacer.gap_left_s == 0


async def test_a_request_cancelled_in_progress_leaks_no_place() -> None:
    """Nor does one that fails."""
    server = _server(Pacing(1.0, 2))
    for error in (None, Unavailable("502"), RateLimited("too fast")):
        for _ in range(4):
            task = asyncio.create_task(server.ask(100, error))
            await asyncio.sleep(70)
            task.cancel()
            await asyncio.wait([task])
        await server.ask(error=error)
    await asyncio.wait_for(server.ask(), 100)


async def test_a_request_cancelled_in_progress_counts_for_the_gap_when_serial() -> None:
    """The cloud may have seen it to its end."""
    server = _server(Pacing(1.0, 4))
    await _reject(server)
    task = asyncio.create_task(server.ask(100))
    await asyncio.sleep(50)
    task.cancel()
    await server.ask()
    assert server.idle_gaps[-1] == pytest.approx(1.0)


async def test_requests_and_how_they_end_are_counted() -> None:
    """For the metrics: each once, and a cancelled one has failed."""
    server = _server()
    pacer = server.pacer
    assert (pacer.requests, pacer.rejections, pacer.failures, pacer.holds) == (0, 0, 0, 0)
    await server.ask()
    await _reject(server, 2)
    await server.ask(error=Unavailable("502"))
    task = asyncio.create_task(server.ask(100))
    await asyncio.sleep(50)
    assert pacer.in_flight == 1
    task.cancel()
    await asyncio.wait([task])
    assert (pacer.requests, pacer.rejections, pacer.failures, pacer.holds) == (5, 2, 2, 2)
    assert pacer.in_flight == 0


async def test_pacers_of_one_pace_keep_it_together_and_count_apart() -> None:
    """What one of them learns holds for the other; its rejections and holds are its own."""
    holds: list[tuple[str, float]] = []
    pace = Pace(Pacing(1.0, 4))
    first = _Server(Pacer(pace, lambda hold_s: holds.append(("first", hold_s))))
    second = _Server(Pacer(pace, lambda hold_s: holds.append(("second", hold_s))))
    await asyncio.gather(first.ask(3), second.ask(3), first.ask(3), second.ask(3))
    assert (first.starts, second.starts) == ([1, 3], [2, 4])
    await _reject(first, 2)
    await second.ask(error=Unavailable("502"))
    assert second.pacer.serial
    assert first.pacer.gap_s == second.pacer.gap_s == 1.25
    counts = [(each.requests, each.rejections, each.failures, each.holds, each.in_flight)
              for each in (first.pacer, second.pacer)]  # fmt: skip
    assert counts == [(4, 2, 0, 2, 0), (3, 0, 1, 0, 0)]
    assert holds == [("first", 1.5), ("first", 3.0)]


@pytest.mark.parametrize("error", [RateLimited("too fast"), Unavailable("502"), asyncio.CancelledError()])
async def test_the_pacer_swallows_nothing(error: BaseException) -> None:
    """The caller learns how it ended; an answer that never came is not one of nothing."""
    pacer = Pacer(Pacing(1.05, 4))
    with pytest.raises(type(error)) as raised:
        async with pacer.turn():
            raise error
    assert raised.value is error


async def test_how_long_nothing_has_moved_is_known() -> None:
    """The watchdog goes by it: since a request began or ended, or was allowed again."""
    pacer = Pacer(Pacing(10.0, 4))
    assert pacer.quiet_s == 0
    await asyncio.sleep(10.25)
    assert pacer.quiet_s == 0.25
    async with pacer.turn() as turn:
        assert pacer.quiet_s == 0
        await asyncio.sleep(30)
        turn.sent()
        assert pacer.quiet_s == 0
        await asyncio.sleep(30)
        assert pacer.quiet_s == pytest.approx(30 - 9.6)
    assert pacer.quiet_s == 0
    await asyncio.sleep(0.5)
    assert pacer.quiet_s == 0.5
    with suppress(RateLimited):
        async with pacer.turn():
            raise RateLimited("too fast", 100)
    await asyncio.sleep(99)
    assert pacer.quiet_s == 0
    await asyncio.sleep(3)
    assert pacer.quiet_s == 2


async def test_what_is_not_configured_is_what_the_cloud_allows() -> None:
    """A little more than a second, and four at once."""
    assert Pacing() == Pacing(min_interval_s=1.05, max_in_flight=4)


async def test_an_account_without_a_gap_learns_too() -> None:
    """A rejection at the first moment of all; and a success that began with it proves nothing."""
    holds: list[float] = []
    server = _Server(Pacer(Pacing(0.0, 2), holds.append))
    await asyncio.gather(server.ask(error=RateLimited("too fast")), server.ask(1))
    assert server.starts == [0, 0]
    assert (server.pacer.serial, holds) == (True, [1.5])
    await _reject(server)
    assert holds == [1.5, 3]


async def test_two_rejections_of_one_moment_count_once() -> None:
    """They ran side by side, without any gap."""
    server = _server(Pacing(0.0, 2))
    rejected = RateLimited("too fast")
    await asyncio.gather(server.ask(error=rejected), server.ask(1, rejected))
    assert server.starts == [0, 0]
    assert (server.pacer.rejections, server.pacer.holds) == (2, 1)


_ENDS = {"answer": None, "rejected": RateLimited("too fast"), "outage": Unavailable("502")}
_REQUESTS = st.lists(
    st.tuples(
        st.floats(0, 6),  # when it comes
        st.floats(0, 9),  # how long it takes
        st.sampled_from(["answer"] * 6 + ["rejected", "outage"]),
        st.none() | st.floats(0, 12),  # when it is cancelled
        st.booleans(),  # whether it goes ahead
    ),
    max_size=25,
)


@settings(max_examples=100, deadline=None)
@given(_REQUESTS, st.floats(0.2, 3), st.integers(1, 5))
def test_never_too_close_and_never_too_many(
    requests: list[tuple[float, float, str, float | None, bool]], gap_s: float, most: int
) -> None:
    """Whatever comes when, takes how long, fails how, is cancelled where: the pace holds, nobody hangs."""

    async def play() -> None:
        server = _Server(Pacer(Pacing(gap_s, most)))

        async def ask(comes_s: float, duration_s: float, ends: str, continues: bool) -> None:
            await asyncio.sleep(comes_s)
            await server.ask(duration_s, _ENDS[ends], continues=continues)

        loop = asyncio.get_running_loop()
        tasks = []
        for comes_s, duration_s, ends, cancelled_s, continues in requests:
            tasks.append(asyncio.create_task(ask(comes_s, duration_s, ends, continues)))
            if cancelled_s is not None:
                loop.call_later(cancelled_s, tasks[-1].cancel)
        if tasks:
            await asyncio.wait(tasks)
        await server.ask()  # nobody left a lock, a place or a hold behind that does not end
        _holds_the_pace(server, gap_s, most)

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play())


def _holds_the_pace(server: _Server, gap_s: float, most: int) -> None:
    almost = gap_s - 1e-6
    assert server.starts[0] >= almost
    assert all(gap >= almost for gap in server.gaps)
    assert all(server.under_way_at(start) <= most for start in server.starts)
    if not server.rejected_at:
        return
    for later in (seen for seen in server.seen if seen.started_at > server.rejected_at[0]):
        before = [seen.ended_at for seen in server.seen if seen.started_at < later.started_at]
        assert later.started_at >= max(before) + almost  # serial, from the end of the last answer
        holds = [at for at in server.rejected_at if at < later.started_at]
        assert later.started_at >= max(holds) + 1.5 - 1e-6
