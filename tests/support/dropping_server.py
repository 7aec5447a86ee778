"""A server that keeps connections, and drops them at a chosen point; it notes what it sees of the client."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import cast

from collector.simulator.server import reset


class Point(StrEnum):
    """When a request's connection is dropped."""

    NEVER = "never"
    ON_REQUEST = "when the request has arrived"
    IN_HEADERS = "in the headers of the answer"
    AFTER_HEADERS = "after the headers"
    IN_BODY = "in the middle of the body"
    IDLE = "some time after the answer"


class Manner(StrEnum):
    """How it is dropped."""

    CLOSE = "in order"
    CUT = "without TLS's own farewell"
    RESET = "with a TCP reset"


@dataclass
class DroppingServer:
    """Answers `spared` requests of each connection with `body`, and drops it at `point` of the next.

    `latency_s` precedes an answer, `idle_s` a drop. `connections` were made, `open` are those that are open
    now; `requests` arrived, at the loop times `arrivals`.
    """

    body: bytes
    point: Point = Point.NEVER
    manner: Manner = Manner.CLOSE
    spared: int = 1
    latency_s: float = 0.0
    idle_s: float = 0.0
    url: str = ""
    connections: int = 0
    arrivals: list[float] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    def drop_all(self) -> None:
        """Drops all connections now."""
        for writer in self.open:
            self._drop(writer)

    def hang(self) -> None:
        """From now on receives nothing, and so answers no farewell either."""
        for writer in self.open:
            cast(asyncio.Transport, writer.transport).pause_reading()

    def push(self, data: bytes) -> None:
        """Sends these bytes on all connections, which nothing requested."""
        for writer in self.open:
            writer.write(data)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        self.connections += 1
        self.open.add(writer)
        answered = 0
        try:
            while await self._answer(await reader.readuntil(b"\r\n\r\n"), writer, answered):
                answered += 1
        except (OSError, EOFError):
            pass  # the client has left
        finally:
            self.open.discard(writer)
            writer.close()

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter, answered: int) -> bool:
        """Whether it may be followed by another."""
        point = self.point if answered >= self.spared else Point.NEVER
        self.requests.append(request)
        self.arrivals.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.latency_s)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(self.body)
        sent = {
            Point.ON_REQUEST: 0,
            Point.IN_HEADERS: len(head) // 2,
            Point.AFTER_HEADERS: len(head),
            Point.IN_BODY: len(head) + len(self.body) // 2,
        }.get(point)
        writer.write((head + self.body)[:sent])
        await writer.drain()
        if point is Point.NEVER:
            return b"connection: close" not in request.lower()
        await asyncio.sleep(self.idle_s)
        self._drop(writer)
        return False

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        if self.manner is Manner.CLOSE:
            writer.close()
        elif self.manner is Manner.CUT:
            writer.transport.abort()
        else:
            reset(cast(asyncio.Transport, writer.transport))


@asynccontextmanager
async def dropping_server(
    body: bytes, context: ssl.SSLContext | None = None
) -> AsyncIterator[DroppingServer]:
    """On a port of its own, with TLS if there is a context."""
    there = DroppingServer(body)
    listening = await asyncio.start_server(there.serve, "127.0.0.1", 0, ssl=context)
    async with listening:
        scheme = "http" if context is None else "https"
        there.url = f"{scheme}://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        try:
            yield there
        finally:
            for writer in there.open:
                writer.transport.abort()
            await asyncio.sleep(0.1)  # until both ends are closed


def open_sockets() -> int:
    """How many this process has, both ends of its own connections included."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            found += str(link.readlink()).startswith("socket:")
        except FileNotFoundError:  # the folder's own
            continue
    return found
