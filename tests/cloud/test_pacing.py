"""Pacer: never too fast, whatever happens."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from collector.cloud.pacing import Pacer, Pacing
from collector.errors import RateLimited


async def test_starts_are_at_least_the_interval_apart() -> None:
    pacer = Pacer(Pacing(1.05, 4))
    starts: list[float] = []

    async def request() -> None:
        async with pacer.turn():
            starts.append(asyncio.get_running_loop().time())
            await asyncio.sleep(3)

    await asyncio.gather(*(request() for _ in range(10)))
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert min(gaps) == pytest.approx(1.05)
    assert max(gaps) < 1.06  # no slower than need be either: three are under way at a time


async def test_a_rejection_makes_the_account_serial() -> None:
    pacer = Pacer(Pacing(1.05, 4))
    with pytest.raises(RateLimited):
        async with pacer.turn():
            raise RateLimited("too fast")
    assert pacer.serial
