"""The simulator's end of the line: aiohttp's low-level server, and the way past it.

What a proper server sends is left to aiohttp. Most faults are bytes that it refuses to send (half a
body, a reset before the first byte, headers without end); those are written as they stand, and aiohttp
is told that the answer has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: RST instead of FIN


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes out; `Date` and `Content-Length` come with the sending."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    def head(self, **more: str) -> bytes:
        """Status line and headers, up to and with the empty line."""
        phrase = HTTPStatus(self.status).phrase
        named = {name.replace("_", "-"): value for name, value in more.items()}
        fields = {"Server": "simulator", **self.headers, **named}
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in fields.items())]
        return "\r\n".join([*lines, "", ""]).encode()

    def whole(self) -> bytes:
        """The proper answer."""
        return self.head(Content_Length=str(len(self.body))) + self.body


class Line(web.StreamResponse):
    """The way past aiohttp: sends what it is given as it stands. As an answer, it has been sent already."""

    def __init__(self, request: web.BaseRequest) -> None:
        super().__init__()
        self._asked = request

    @property
    def keep_alive(self) -> bool:
        return self._asked.keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        pass

    async def write_eof(self, data: bytes = b"") -> None:
        pass

    async def send(self, data: bytes) -> None:
        """Writes, and waits while the client does not read. `ConnectionError` once it is gone."""
        await self._asked.writer.write(data)

    def close(self) -> None:
        """Ends the connection properly, after what was written."""
        if self._asked.transport is not None:
            self._asked.transport.close()

    def reset(self) -> None:
        """Ends the connection at once, with a TCP reset."""
        _reset(self._asked.transport)


async def send(request: web.BaseRequest, reply: Reply) -> None:
    """The proper answer, by aiohttp; past it where there is to be no `Date`, which it would add."""
    if "Date" not in reply.headers:
        await Line(request).send(reply.whole())
        return
    headers = {"Server": "simulator", **reply.headers}
    response = web.Response(status=reply.status, body=reply.body, headers=headers)
    await response.prepare(request)
    await response.write_eof()


class Server:
    """Has every request answered by `handle`, which writes to it, from `open` until `close`."""

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[None]]) -> None:
        self._handle = handle
        self._connections: set[_Connection] = set()

    async def open(self, host: str, port: int) -> int:
        """Listens; the port, which is any free one for 0. `OSError` where it is taken."""
        http, loop = web.Server(self._answer), asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: _Connection(http, self._connections), host, port)
        bound: int = self._listening.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Resets every connection, and returns when nothing answers any more."""
        self._listening.close()
        lives = [connection.life for connection in self._connections if connection.life is not None]
        for connection in self._connections:
            _reset(connection.transport)
        if lives:
            await asyncio.wait(lives)
        await self._listening.wait_closed()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        with contextlib.suppress(ConnectionError):  # the client has left
            await self._handle(request)
        return Line(request)


class _Connection(web.RequestHandler):
    """aiohttp's, but a hang-up cancels the answering (not every release does), and no access is logged.

    An idle connection is kept for ever: virtual time may pass in leaps of days.
    """

    def __init__(self, server: web.Server, connections: set[_Connection]) -> None:
        loop, quiet = asyncio.get_running_loop(), cast(logging.Logger, None)
        super().__init__(server, loop=loop, access_log=quiet, keepalive_timeout=math.inf)
        self._open = connections
        self.life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self.life = asyncio.current_task()
        self._open.add(self)
        await super().start()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self.life is not None:
            self.life.add_done_callback(lambda _: self._open.discard(self))
            self.life.cancel()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, *told: Any, **more: Any
    ) -> web.StreamResponse:
        """Nonsense from a client is a 400 and nothing to log; a failure of our own is."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, *told, **more)
        if self.transport is not None:
            self.transport.write(Reply(status).whole())  # aiohttp's own would be HTTP/1.0
        return Line(request)


def _reset(transport: asyncio.Transport | None) -> None:
    if transport is not None:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
