"""An event loop on which nothing depends on the machine: connections stay in memory, and calls that would
block are made at once, in the loop's own thread.

Bytes that are written arrive in the next turn of the loop, in the order in which they were written.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import count
from typing import Any, cast

from tests.support.virtual_time import VirtualTimeLoop

HOST = "127.0.0.1"


@dataclass(slots=True)
class Exchange:
    """What went over one connection. Times are the loop's; `ended_at` is None while it is open."""

    port: int
    at: float
    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    end: str = "open"
    ended_at: float | None = None


class RecordedLoop(VirtualTimeLoop):
    """`exchanges` are all connections that were asked for, oldest first.

    The ports in `down` refuse whoever connects. `handlers` are the product's for signals.
    """

    def __init__(self) -> None:
        super().__init__()
        self.exchanges: list[Exchange] = []
        self.handlers: dict[int, Callable[[], object]] = {}
        self.down: set[int] = set()
        self._listening: dict[int, Callable[[], asyncio.BaseProtocol]] = {}
        self._reached: dict[socket.socket, int] = {}
        self._ports = count(40_000)

    def add_signal_handler(  # type: ignore[override]
        self, sig: int, callback: Callable[..., object], *args: Any
    ) -> None:
        """Kept, not installed: signals come from the scenario."""
        self.handlers[sig] = lambda: callback(*args)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Calls `func` at once; its result comes in the next turn."""
        future = self.create_future()
        settle: Callable[[], None]
        try:
            result = func(*args)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for it
            settle = _if_wanted(future, future.set_exception, error)
        else:
            settle = _if_wanted(future, future.set_result, result)
        self.call_soon(settle)
        return future

    async def create_server(  # type: ignore[override]
        self, factory: Callable[[], asyncio.BaseProtocol], host: str, port: int, **options: Any
    ) -> Any:
        port = port or next(self._ports)
        if port in self._listening:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        self._listening[port] = factory
        return _Server(self._listening, port)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        self._reached[sock] = self._look_for(address[1])

    async def create_connection(  # type: ignore[override]
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        host: str | None = None,
        port: int | None = None,
        *,
        sock: socket.socket | None = None,
        **options: Any,
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        if sock is not None:
            reached = self._reached.pop(sock)
            sock.close()
        else:
            reached = self._look_for(cast(int, port))
        exchange = Exchange(reached, self.time())
        self.exchanges.append(exchange)
        protocol, other = factory(), self._listening[reached]()
        here = _End(self, cast(asyncio.Protocol, protocol), exchange, exchange.sent)
        there = _End(self, cast(asyncio.Protocol, other), exchange, exchange.received)
        here.peer, there.peer = there, here
        protocol.connection_made(here)
        other.connection_made(there)
        return here, protocol

    def _look_for(self, port: int) -> int:
        if port in self.down or port not in self._listening:
            self.exchanges.append(Exchange(port, self.time(), end="refused"))
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        return port


def _if_wanted(future: asyncio.Future[Any], settle: Callable[[Any], None], value: Any) -> Callable[[], None]:
    return lambda: None if future.done() else settle(value)


class _Server:
    """What listens on a port, until it is closed."""

    def __init__(self, listening: dict[int, Any], port: int) -> None:
        self._listening = listening
        self._port = port
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        return HOST, self._port

    def close(self) -> None:
        self._listening.pop(self._port, None)

    async def wait_closed(self) -> None:
        """Connections are not waited for."""


class _Socket:
    """What a program may say to an end's socket: that it is reset when it is closed."""

    family = socket.AF_UNIX  # for which nobody sets options of TCP
    resets = False

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        self.resets = self.resets or (level, option) == (socket.SOL_SOCKET, socket.SO_LINGER)


class _End(asyncio.Transport):
    """One end of a connection. What it writes is added to `written`, and reaches its peer."""

    peer: _End

    def __init__(
        self, loop: RecordedLoop, protocol: asyncio.Protocol, exchange: Exchange, written: bytearray
    ) -> None:
        self._socket = _Socket()
        super().__init__({"socket": self._socket, "peername": (HOST, 1), "sockname": (HOST, 2)})
        self._loop = loop
        self._protocol = protocol
        self._exchange = exchange
        self._written = written
        self._arrived: list[bytes] = []
        self._is_over = self._is_closing = self._is_paused = False

    def write(self, data: Any) -> None:
        if data and not self._is_closing:
            self._written += data
            self._loop.call_soon(self.peer.arrive, bytes(data))

    def close(self) -> None:
        self._end("closed")

    def abort(self) -> None:
        self._end("reset" if self._socket.resets else "closed")

    def is_closing(self) -> bool:
        return self._is_closing

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        arrived, self._arrived = self._arrived, []
        for data in arrived:
            self._loop.call_soon(self.arrive, data)

    def is_reading(self) -> bool:
        return not self._is_paused

    def arrive(self, data: bytes) -> None:
        """The peer's bytes are here; none mean that it has closed."""
        if self._is_paused or self._arrived:
            self._arrived.append(data)
        elif self._is_closing:
            return
        elif data:
            self._protocol.data_received(data)
        elif not self._protocol.eof_received():
            self.close()

    def lose(self, error: Exception | None) -> None:
        """The connection is gone."""
        if not self._is_over:
            self._is_over = self._is_closing = True
            self._protocol.connection_lost(error)

    def _end(self, how: str) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        if self._exchange.ended_at is None:
            by = "client" if self._written is self._exchange.sent else "server"
            self._exchange.end, self._exchange.ended_at = f"{how} by {by}", self._loop.time()
        if how == "reset":
            error = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            self._loop.call_soon(self.peer.lose, error)
        else:
            self._loop.call_soon(self.peer.arrive, b"")
        self._loop.call_soon(self.lose, None)
