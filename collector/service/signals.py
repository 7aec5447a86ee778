"""The signals stop and reload."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Signals:
    """Events that are set by the process's signals."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """Waits until either is set."""
        waits = [asyncio.create_task(event.wait()) for event in (self.stop, self.reload)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()


@asynccontextmanager
async def cancelled_on(event: asyncio.Event) -> AsyncIterator[None]:
    """Cancels what its body awaits as soon as the event is set, and continues behind the body."""
    end = asyncio.timeout(None)

    def end_now(waiting: asyncio.Task[Any]) -> None:
        end.reschedule(asyncio.get_running_loop().time())

    waiting = asyncio.create_task(event.wait())
    try:
        async with end:
            waiting.add_done_callback(end_now)
            try:
                yield
            finally:
                waiting.remove_done_callback(end_now)
    except TimeoutError:
        if not end.expired():
            raise
    finally:
        waiting.cancel()
