"""Virtual time: what all rigs that live through months stand on."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.support.namespaces import namespace
from tests.support.virtual_time import VirtualTimeLoop


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


async def test_a_thread_is_done_within_a_turn_that_takes_long() -> None:
    """Bug: its time was the machine's, so that whoever had a file that was slow to write lost whole turns."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    turning = asyncio.create_task(turn())
    loop.turn_s = 15.0
    for _ in range(20):
        await asyncio.to_thread(sum, range(1_000_000))
    turning.cancel()
    assert turns <= 20 * 3


@pytest.mark.needs("unshare", "nsenter", "ip", "tc")
def test_no_time_passes_while_a_byte_is_between_two_ends_here() -> None:
    """On a line that needs 5 ms for an answer: whoever waits for it for an hour sees no second pass."""
    with namespace() as slow:
        slow.run("ip", "link", "set", "lo", "mtu", "1500")
        slow.run("tc", *_SLOW)
        printed = slow.run(sys.executable, "-c", _EXCHANGE)
    assert float(printed) == 0


_SLOW = ["qdisc", "add", "dev", "lo", "root", "tbf", "rate", "16mbit", "burst", "2kb", "latency", "1s"]
_EXCHANGE = """
import asyncio
from tests.support.virtual_time import VirtualTimeLoop

async def answer(reader, writer):
    while await reader.readexactly(1000):
        writer.write(bytes(10000))

async def exchange():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for _ in range(20):
        writer.write(bytes(1000))
        await asyncio.wait_for(reader.readexactly(10000), 3600)
    writer.close()
    print(asyncio.get_running_loop().time())

with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
    runner.run(exchange())
"""
