"""An event loop whose time passes only while it has nothing to do.

Sockets, files and threads are real; timers are not waited for. When nothing can be read and no thread
is at work, time jumps to the next timer. A year of waiting takes as long as the work in it.
"""

from __future__ import annotations

import asyncio
import fcntl
import selectors
import socket
import sys
import termios
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

_SOON_S, _SOON_GRACE_S, _LATE_GRACE_S = 2.0, 0.0003, 0.02
_DEADLOCK_S = 20.0
_RESOLUTION_S = 1e-6


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0. `on_jump` is told how many seconds were just skipped.

    Each turn of the loop takes `turn_s` seconds: more than none in a process that has too much to do. What
    threads are at work on is done within a turn. A thread that is at work keeps time from passing, unless it
    is in `hang`.
    """

    def __init__(self) -> None:
        self._virtual_s = 0.0
        self.turn_s = 0.0
        self._in_threads = 0
        self._at_work = 0  # of those, whose result has not been told
        self._hung = 0
        self._changed = threading.Condition()
        self._goes_on = threading.Event()
        self._servers: list[asyncio.Server] = []
        self.on_jump: Callable[[float], None] = lambda seconds: None
        selector = _JumpingSelector(self)
        super().__init__(selector)
        self._threads = ThreadPoolExecutor()
        self.set_default_executor(self._threads)
        self._own = [key.fd for key in selector.get_map().values()]  # the pipe that wakes the loop
        # Past 2 ** 24 s, half a year, the usual nanosecond is lost in a float: no timer would be due.
        self._clock_resolution = _RESOLUTION_S

    def time(self) -> float:
        return self._virtual_s

    def jump(self, seconds: float) -> None:
        """Lets time pass."""
        self._virtual_s += seconds
        self.on_jump(seconds)

    @property
    def waits_for_threads(self) -> bool:
        return self._in_threads > self._hung

    def hang(self) -> None:
        """Called in a thread that `run_in_executor` began: hangs until `let_go`, as on a card that stalls."""
        if self._goes_on.is_set():
            return
        with self._changed:
            self._hung += 1
            self._changed.notify()
        self.call_soon_threadsafe(lambda: None)  # to look again whether time may pass
        assert self._goes_on.wait(60)

    def wait_for_threads(self) -> None:
        """Blocks until no thread is at work, besides those that hang."""
        with self._changed:
            self._changed.wait_for(lambda: self._at_work <= self._hung, _DEADLOCK_S)

    def let_go(self) -> None:
        """From now on the threads that hang are at work again, and none will hang."""
        self._hung = 0
        self._goes_on.set()

    @property
    def no_connections(self) -> set[int]:
        """The descriptors that are watched while nothing is under way."""
        return {*self._own, *(each.fileno() for server in self._servers for each in server.sockets)}

    async def create_server(self, *args: Any, **kwargs: Any) -> asyncio.Server:
        return self._known(await super().create_server(*args, **kwargs))

    async def create_unix_server(self, *args: Any, **kwargs: Any) -> asyncio.Server:
        return self._known(await super().create_unix_server(*args, **kwargs))

    def _known(self, server: asyncio.Server) -> asyncio.Server:
        self._servers = [each for each in self._servers if each.sockets] + [server]
        return server

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        in_thread = (executor or self._threads).submit(func, *args)
        with self._changed:
            self._at_work += 1
        future = asyncio.wrap_future(in_thread, loop=self)
        in_thread.add_done_callback(self._told_by_thread)  # after `future` was told
        self._in_threads += 1
        future.add_done_callback(self._left_thread)
        return future

    async def subprocess_exec(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        """While a program runs, time stands still: it knows nothing of ours."""

        def factory() -> Any:
            protocol = protocol_factory()
            told = protocol.process_exited

            def process_exited() -> None:
                self._in_threads -= 1
                told()

            protocol.process_exited = process_exited
            return protocol

        self._in_threads += 1
        try:
            return await super().subprocess_exec(factory, *args, **kwargs)
        except OSError:
            self._in_threads -= 1
            raise

    def _told_by_thread(self, in_thread: Future[Any]) -> None:
        with self._changed:
            self._at_work -= 1
            self._changed.notify()

    def _left_thread(self, future: asyncio.Future[Any]) -> None:
        self._in_threads -= 1


class _JumpingSelector(selectors.EpollSelector):
    """Never waits for a timer: looks whether anything can be read, and else lets time jump."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._loop.turn_s:
            self._loop.wait_for_threads()
            self._loop.jump(self._loop.turn_s)
            timeout = None if timeout is None else max(0.0, timeout - self._loop.turn_s)
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self._loop.waits_for_threads:
            return super().select(_DEADLOCK_S)
        if timeout is None:
            events = super().select(_DEADLOCK_S)
            if not events:
                raise RuntimeError("nothing to wait for: every task waits for another")
            return events
        events = super().select(0)
        if not events:
            # A peer's bytes may be on their way, even on loopback under load.
            grace_s = _SOON_GRACE_S if timeout < _SOON_S else _LATE_GRACE_S
            events = super().select(0 if self._has_all_arrived() else grace_s)
        if not events:
            self._loop.jump(timeout)
        return events

    def _has_all_arrived(self) -> bool:
        """Whether every connection has both its ends here, and no byte is between them."""
        ends, peers = set(), set()
        for descriptor in {key.fd for key in self.get_map().values()} - self._loop.no_connections:
            try:
                end, peer, unread = _looked_at(descriptor)
            except OSError:  # a pipe, or not connected yet
                return False
            if unread:
                return False
            ends.add(end)
            peers.add(peer)
        return ends == peers


def _looked_at(descriptor: int) -> tuple[Any, Any, int]:
    """Both addresses of a connection, and how many bytes its peer's kernel has not got yet."""
    connection = socket.socket(fileno=descriptor)
    try:
        # What its peer has sent is acknowledged now: the kernel may put that off for 40 ms.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        unread = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
        return connection.getsockname(), connection.getpeername(), int.from_bytes(unread, sys.byteorder)
    finally:
        connection.detach()
