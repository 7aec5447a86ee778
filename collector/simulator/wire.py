"""HTTP/1.1 as small as a stand-in needs it, on asyncio's own transports.

Not aiohttp's server: most faults are bytes that a proper server refuses to send (half a body, a reset
before the first byte, a bomb), a request must end at the moment its client hangs up, and what is
under test must not be on both ends of the line.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qsl, urlsplit

_HEAD_MAX, _BODY_MAX = 65_536, 4_194_304
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: RST instead of FIN


@dataclass(frozen=True, slots=True)
class Request:
    """What came in: the target as sent, its parameters, headers with lower-case names, the body."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its parameters."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The parameters; of a repeated one the last."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))


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


class Line(asyncio.Protocol):
    """One connection: reads requests, has each answered by `handle`, which is cancelled on a hang-up."""

    def __init__(self, handle: Callable[[Request, Line], Awaitable[None]], lines: set[Line]) -> None:
        self._handle = handle
        self._lines = lines
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None
        self._writable = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._writable.set()
        self._lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._writable.set()
        self._lines.discard(self)
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._next()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    async def send(self, data: bytes) -> None:
        """Writes, and waits while the client does not read. Nothing once it is gone."""
        if self._transport is not None:
            self._transport.write(data)
            await self._writable.wait()

    def close(self) -> None:
        """Ends the connection properly, after what was written."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Ends the connection at once, with a TCP reset."""
        if self._transport is not None:
            raw = self._transport.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._transport.abort()

    @property
    def busy(self) -> asyncio.Task[None] | None:
        """The answering that is under way."""
        return self._task

    def _next(self) -> None:
        if self._task is not None or self._transport is None or self._transport.is_closing():
            return
        try:
            request = _parse(self._received)
        except ValueError:
            self._transport.write(Reply(400).whole())
            self._transport.close()
            return
        if request is not None:
            self._task = asyncio.get_running_loop().create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        try:
            await self._handle(request, self)
        except BaseException:  # or the client would wait for ever for what will not come
            self.reset()
            raise
        finally:
            self._task = None
        if request.headers.get("connection", "").lower() == "close":
            self.close()
        self._next()


def _parse(received: bytearray) -> Request | None:
    """Takes the first whole request off the buffer; None until there is one."""
    head, end, _ = bytes(received[:_HEAD_MAX]).partition(b"\r\n\r\n")
    if not end:
        if len(received) > _HEAD_MAX:
            raise ValueError("head too long")
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _version = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _BODY_MAX:
        raise ValueError("body too long")
    body_at = len(head) + len(end)
    if len(received) < body_at + length:
        return None
    body = bytes(received[body_at : body_at + length])
    del received[: body_at + length]
    return Request(method, target, headers, body)
