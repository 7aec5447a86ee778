"""Blocking calls: one that hangs holds up only its owner's others, and no stop."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from collector.cloud.client import look_up
from collector.cloud.meters import Account
from collector.threads import BlockingCalls, in_thread

pytestmark = pytest.mark.real_time
_MANY = 100  # more than any pool has threads


@pytest.fixture
def going_on() -> Iterator[threading.Event]:
    """What hangs waits for this."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_call_that_hangs_holds_up_no_other(going_on: threading.Event) -> None:
    """Many on a card that stalls: a look-up and a save elsewhere continue beside them."""
    hanging = [in_thread(going_on.wait, 30) for _ in range(_MANY)]
    card = BlockingCalls()
    save = asyncio.create_task(card(going_on.wait, 30))
    async with asyncio.timeout(5):
        assert await in_thread(int, "7") == 7
        assert await BlockingCalls()(int, "11", base=2) == 3
    assert not save.done() and not any(each.done() for each in hanging)
    going_on.set()
    assert all(await asyncio.gather(save, *hanging))


async def test_many_owners_use_no_more_threads_than_they_may(going_on: threading.Event) -> None:
    """Bug: a thousand meters began a thousand threads at once, where a systemd unit allows 128 tasks."""
    threads = asyncio.Semaphore(8)
    owners = [BlockingCalls(threads) for _ in range(_MANY)]
    before = set(threading.enumerate())  # some of an earlier test may still end
    calls = [asyncio.create_task(each(going_on.wait, 30)) for each in owners]
    await asyncio.sleep(0.1)
    assert len(set(threading.enumerate()) - before) == 8
    for each in calls[:20]:  # 8 of them run on, and 12 wait
        each.cancel()
    await asyncio.sleep(0.1)
    assert len(set(threading.enumerate()) - before) == 8
    async with asyncio.timeout(5):
        assert await BlockingCalls()(int, "7") == 7
        going_on.set()
        assert all(await asyncio.gather(*calls[20:]))
        assert await asyncio.gather(*(each(int, "7") for each in owners)) == [7] * _MANY


async def test_a_thread_that_cannot_be_started_leaves_room_for_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The unit allows no more tasks."""
    calls = BlockingCalls(asyncio.Semaphore(1))

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="can't start"):
        patch.setattr(threading.Thread, "start", start)
        await calls(int, "7")
    async with asyncio.timeout(5):
        assert await calls(int, "7") == 7


async def test_a_name_server_that_never_answers_holds_up_no_save_and_no_other_name(
    going_on: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = socket.getaddrinfo

    def getaddrinfo(host: Any, *more: Any, **options: Any) -> Any:
        if host == "black.hole.example":
            going_on.wait(30)
        return really("127.0.0.1", *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    lost = [
        asyncio.create_task(look_up(Account("a", "https://black.hole.example", "k"), 30))
        for _ in range(_MANY)
    ]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await look_up(Account("b", "https://good.example", "k"), 5)
        assert await BlockingCalls()(int, "7") == 7
    assert not any(each.done() for each in lost)
    going_on.set()
    await asyncio.gather(*lost)


def test_a_process_ends_while_calls_hang() -> None:
    """Neither the loop's end nor the interpreter's waits for them."""
    hangs = """
import asyncio, time
from collector.threads import BlockingCalls, in_thread

async def main():
    calls = BlockingCalls()
    save, look_up = asyncio.ensure_future(calls(time.sleep, 600)), in_thread(time.sleep, 600)
    await asyncio.sleep(0.05)
    assert calls.is_busy and not look_up.done()

asyncio.run(main())
print("ended")
"""
    ended = subprocess.run(
        [sys.executable, "-c", hangs], capture_output=True, text=True, timeout=30, check=True
    )
    assert (ended.stdout, ended.stderr) == ("ended\n", "")


async def test_a_call_waits_for_one_whose_caller_went_away(going_on: threading.Event) -> None:
    """Bug: cancelling let go of the queue while the thread worked on; a second one began beside it."""
    begun, order = threading.Event(), []
    blocking = BlockingCalls()

    def first() -> None:
        begun.set()
        assert going_on.wait(30)
        order.append("first")

    calls = [asyncio.create_task(blocking(first))]
    await in_thread(begun.wait, 30)
    for name in ("second", "third"):
        calls.append(asyncio.create_task(blocking(order.append, name)))
        await asyncio.sleep(0)
        calls[-2].cancel()
    idle = asyncio.create_task(blocking.idle())
    for _ in range(100):
        await asyncio.sleep(0)
    assert (order, idle.done(), blocking.is_busy) == ([], False, True)
    going_on.set()
    await asyncio.gather(*calls, idle, return_exceptions=True)
    assert (order, blocking.is_busy) == (["first", "third"], False)


async def test_what_a_call_raises_reaches_its_caller_and_the_next_continues() -> None:
    blocking = BlockingCalls()
    with pytest.raises(ValueError, match="seven"):
        await blocking(int, "seven")
    assert await blocking(int, "7") == 7
