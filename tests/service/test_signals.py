"""Signals: what they break off, and what they leave alone."""

from __future__ import annotations

import asyncio

import pytest

from collector.service.app import cancelled_on


async def test_what_is_awaited_is_broken_off_when_the_event_comes() -> None:
    """It is cancelled like any await; the code after the block continues."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()
    loop.call_later(5, event.set)
    heard = False
    async with cancelled_on(event):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            heard = True
            raise
    assert (loop.time(), heard) == (5, True)


async def test_what_ends_before_is_left_alone() -> None:
    """Also where the event comes at the same moment, or a moment later."""
    event = asyncio.Event()
    async with cancelled_on(event):
        await asyncio.sleep(1)
        event.set()
    await asyncio.sleep(1)
    async with cancelled_on(asyncio.Event()):
        pass
    await asyncio.sleep(1)


async def test_an_event_that_has_come_breaks_off_at_once() -> None:
    """At the first wait."""
    event = asyncio.Event()
    event.set()
    async with cancelled_on(event):
        await asyncio.sleep(60)
    assert asyncio.get_running_loop().time() == 0


@pytest.mark.parametrize("error", [TimeoutError("the disk's own"), OSError("none"), asyncio.CancelledError()])
async def test_an_exception_inside_is_raised_outside(error: BaseException) -> None:
    """A timeout of another's is none of ours."""
    with pytest.raises(type(error)) as told:
        async with cancelled_on(asyncio.Event()):
            raise error
    assert told.value is error
