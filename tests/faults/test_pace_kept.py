"""N4: the pace as the server sees it, while answers fail, connections drop and clients start anew.

A life is one client, from its making to its end: in order, cut off in the middle of requests, cut off
in the very moment of one, or with nobody listening at the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Literal

import pytest

from collector.cloud.client import CloudClient, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import Pacer, Pacing, Turn
from collector.cloud.retrying import RetryPolicy
from collector.errors import AnswerError, SourceError
from collector.simulator import Device, Limit
from tests.faults import figures
from tests.support import amounts
from tests.support.faulty_cloud import Fault, FaultyCloud, Scenario
from tests.support.stand_in_cloud import EM_ID, KEY, cloud

Style = Literal["lax", "strict"]

_METER = Meter("house", EM_ID, timezone="Europe/Dublin")
_FIRST, _DAYS = date(2026, 4, 1), 40
_NOBODY = "http://127.0.0.1:1"
_DROPS = (
    "reset_before_headers", "close_before_headers", "reset_after_headers", "close_in_headers",
    "truncated_body", "truncated_chunks", "close_after_answer", "not_http",
)  # fmt: skip
_FAILURES = ("status_500", "status_502", "status_503", "empty_body", "truncated_json", "redirect_307")
_REJECTIONS = ("max_req", "too_many_requests", "bare_401")
_WAITS = (None, "0", "2", "-5", "soon", "99999999999999999999", "Wed, 21 Oct 2099 07:28:00 GMT")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("style", ["lax", "strict"])
async def test_the_server_sees_a_second_between_any_two_and_no_request_that_was_not_meant(
    style: Style,
) -> None:
    """Also over restarts: what a process asked last, and the next one first, are a second apart."""
    dice = amounts.dice("N4", style)
    wanted = amounts.amount(1_000, 50_000)
    sums: Counter[str] = Counter()
    async with FaultyCloud(_weather(dice, style), log_size=1) as simulator:
        total = simulator.counts.total
        while total.requests < wanted:
            simulator.play(_weather(dice, style))
            seen_before = total.requests
            life = _Life(simulator, dice)
            await life.live()
            seen = total.requests - seen_before
            assert life.sent - life.cut_at_once <= seen <= life.sent, life
            assert life.requests - life.sent == life.unsent, life
            sums.update(life.figures(), lives=1, unseen=life.sent - seen)
        gap_s = total.smallest_start_gap_s
    assert gap_s is not None
    assert gap_s >= 1.0
    assert total.requests == sums["meant"] - sums["unsent"] - sums["unseen"]
    assert total.faults > wanted / 50
    assert total.rejections > wanted / 500
    counted = {"requests": total.requests, "faults": total.faults, "rejections": total.rejections, **sums}
    figures.note("N4", **{f"s smallest gap, {style} limit": f"{gap_s:.3f}"}, **counted)


def _weather(dice: random.Random, style: Style) -> Scenario:
    """A cloud for one life: its limit, its latency, and what goes wrong there."""
    kinds = [dice.choice(group) for group in (_DROPS, _DROPS, _FAILURES, _REJECTIONS)]
    faults = [
        Fault(kind, every=dice.randint(5, 40), retry_after=_wait(dice) if kind in _REJECTIONS else None)
        for kind in kinds
    ]
    if dice.random() < 0.1:
        faults.append(Fault("stall", every=40))
    limit = Limit(
        style,
        limit_s=dice.choice((1.0, 1.0, 1.2, 1.5)),
        answer=dice.choice(("max_req", "429")),
        retry_after=_wait(dice),
    )
    return cloud(
        Device(EM_ID),
        limit=limit,
        fault=tuple(faults),
        latency_s=dice.choice((0.0, 0.1, 0.5)),
        jitter_s=dice.choices((0.0, 0.3, 1.4, 4.0), (4, 4, 3, 1))[0],
        seed=dice.randrange(1 << 20),
    )


def _wait(dice: random.Random) -> str | None:
    return dice.choice(_WAITS)


class _Life:
    """One client, four tasks that share its days, and its end."""

    def __init__(self, simulator: FaultyCloud, dice: random.Random) -> None:
        self._dice = dice
        self.end = dice.choices(("in order", "cut", "cut at once", "nobody"), (4, 4, 4, 1))[0]
        self._url = _NOBODY if self.end == "nobody" else simulator.url
        self._ends_after_s = 15.0 if self.end == "nobody" else dice.uniform(5, 150)
        self._ticks = dice.randrange(40)
        self._cut_with = dice.randint(1, 40)
        self._is_over = False
        self.requests = self.sent = self.unsent = self.cut_at_once = 0

    def __repr__(self) -> str:
        return f"{self.end}: {self.figures()}, cut at once {self.cut_at_once}"

    def figures(self) -> dict[str, int]:
        """What it meant to ask, and what of that never left."""
        return {"meant": self.requests, "unsent": self.unsent}

    async def live(self) -> None:
        """Asks until its end."""
        async with open_session() as session:
            pacer = _Watched(Pacing(), self._began, self._ended)
            policy = RetryPolicy(wait_max_s=10.0)
            client = CloudClient(session, Account("home", self._url, KEY), pacer, policy)
            self._tasks = [asyncio.create_task(self._work(client)) for _ in range(Pacing().max_in_flight)]
            await asyncio.wait(self._tasks, timeout=self._ends_after_s)
            self._is_over = True
            if self.end != "in order":
                self._cut()
            ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert all(isinstance(end, asyncio.CancelledError | None) for end in ends), ends
        self.requests = pacer.requests

    async def _work(self, client: CloudClient) -> None:
        while not self._is_over:
            day = _FIRST + timedelta(days=self._dice.randrange(_DAYS))
            with contextlib.suppress(SourceError, AnswerError):
                await client.fetch_day(_METER, day)

    def _began(self, number: int) -> None:
        if self.end == "cut at once" and number == self._cut_with:
            self._count_down(self._ticks)

    def _count_down(self, ticks: int) -> None:
        """Some turns of the loop later: while it connects, sends, or waits."""
        if ticks:
            asyncio.get_running_loop().call_soon(self._count_down, ticks - 1)
        else:
            self._is_over = True
            self._cut()

    def _cut(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _ended(self, turn: Turn) -> None:
        """A request that never left cannot be seen; one that left and was cut at once may be unseen.

        For the server reads the request and the hang-up together, and is free to look at neither.
        """
        self.sent += turn.is_sent
        self.unsent += not turn.is_sent
        is_cut = self.end == "cut at once" and self._is_over
        now = asyncio.get_running_loop().time()
        self.cut_at_once += is_cut and turn.is_sent and turn.started_at == now


class _Watched(Pacer):
    """A pacer whose turns are watched: as they begin, and before they are marked as sent at their end."""

    def __init__(self, pacing: Pacing, began: Callable[[int], None], ended: Callable[[Turn], None]) -> None:
        super().__init__(pacing)
        self._began, self._ended = began, ended

    @asynccontextmanager
    async def turn(
        self, is_called_off: Callable[[], bool] = lambda: False, **how: bool
    ) -> AsyncIterator[Turn]:
        async with super().turn(is_called_off, **how) as turn:
            self._began(self.requests)
            try:
                yield turn
            finally:
                self._ended(turn)
