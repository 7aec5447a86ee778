"""Blocking calls off the event loop, each in a daemon thread of its own.

In a thread pool, calls queue behind those that hang, and the interpreter waits for all of them at exit:
a disk that stalls, or a name server that never answers, would block saves, other lookups and a stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, Future
from functools import partial
from itertools import islice
from threading import Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class BlockingCalls:
    """`await calls(function, ...)`: the blocking calls of one owner, one after the other.

    Cancelling a caller does not stop its thread: the next call and `idle` wait for it. `threads`: how many
    there may be, shared with other owners: a thousand at once are more than a unit may have.
    """

    def __init__(self, threads: asyncio.Semaphore | None = None) -> None:
        self._one_at_a_time = asyncio.Lock()
        self._threads = threads
        self._last: asyncio.Future[Any] | None = None

    async def __call__(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the call in a thread; returns its result or raises its exception."""
        async with self._one_at_a_time:
            await self.idle()
            self._last = future = await self._started(partial(call, *args, **kwargs))
            return await asyncio.shield(future)

    async def _started(self, call: Callable[[], T]) -> asyncio.Future[T]:
        threads = self._threads
        if threads is None:
            return in_thread(call)
        await threads.acquire()
        try:
            future = in_thread(call)
        except BaseException:
            threads.release()
            raise
        future.add_done_callback(lambda _: threads.release())
        return future

    async def idle(self) -> None:
        """Waits until no call is running, including calls whose caller was cancelled."""
        if self._last is not None and not self._last.done():
            await asyncio.wait([self._last])

    @property
    def is_busy(self) -> bool:
        """Whether a call is running."""
        return self._last is not None and not self._last.done()


def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
    """Starts the call in a new thread at once. Cancelling the future does not stop it."""
    loop = asyncio.get_running_loop()
    return loop.run_in_executor(_DaemonThreads(), partial(call, *args, **kwargs))


class _DaemonThreads(Executor):
    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Starts `call` in a daemon thread of its own."""
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result: Any = call(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - raised where the future is awaited
                future.set_exception(error)
            else:
                future.set_result(result)

        Thread(target=work, daemon=True, name="collector-blocking").start()
        return future


async def in_batches(items: Iterator[T], size: int) -> AsyncIterator[list[T]]:
    """The items in lists of `size`, each made in a thread: for an iterator that reads files."""
    while batch := await in_thread(lambda: list(islice(items, size))):
        yield batch
