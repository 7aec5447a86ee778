"""How much an answer may bring, apart from its body: headers, and what wraps the body on its way.

Releases of aiohttp before 3.13 or so bound each header, and not their number: a server that never
stops sending them fills the memory within seconds, long before any time limit.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp

_MAX_HEAD = 512 * 1024  # more than one read from a socket, which may hold a part of the body already
_MAX_ANSWER = 2 * 1024 * 1024  # on the line: a body of 1 MB in its chunks
_LINE_COST = 200  # bytes: as a header or a trailer, two bytes become half a kilobyte of objects


class AnswerTooLong(aiohttp.ClientError):
    """The connection was ended, for it brought more than any answer of ours may."""


class BoundedResponse(aiohttp.ClientResponse):
    """An answer whose connection ends where it brings too much."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        """Waits for the headers. `AnswerTooLong` where they do not end."""
        counting = _Counting(connection.protocol, connection.transport)
        connection.transport.set_protocol(counting)
        try:
            response = await super().start(connection)
        except aiohttp.ClientError:
            if counting.left < 0:
                raise AnswerTooLong from None
            raise
        counting.left += _MAX_ANSWER
        return response


class _Counting(asyncio.Protocol):
    """Stands before the library's protocol and hands on what comes, as long as it is not too much."""

    def __init__(self, protocol: asyncio.Protocol, transport: asyncio.Transport) -> None:
        self.left = _MAX_HEAD
        self._protocol = protocol
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.left -= len(data) + data.count(b"\n") * _LINE_COST
        if self.left < 0:
            self._transport.abort()
        else:
            self._protocol.data_received(data)

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()
