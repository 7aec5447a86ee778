"""Virtual time: what all rigs that live through months stand on."""

from __future__ import annotations

import asyncio

import pytest

from tests.virtual_time import VirtualTimeLoop


@pytest.mark.parametrize("years", [0.001, 0.6, 3, 30])
def test_a_timer_is_due_whatever_time_it_is(years: float) -> None:
    """Bug: past half a year a timer was never due, and the loop span for ever."""
    loop = VirtualTimeLoop()
    loop.jump(years * 31_557_600 + 0.123)

    async def tick() -> list[float]:
        began = loop.time()
        passed = []
        for wait_s in (0.1, 1.05, 2.1, 1 / 3, 3600.7):
            await asyncio.sleep(wait_s)
            passed.append(loop.time() - began)
        return passed

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(asyncio.wait_for(tick(), 7200)) == pytest.approx(
            [0.1, 1.15, 3.25, 3.25 + 1 / 3, 3604.2833333], abs=1e-4
        )
