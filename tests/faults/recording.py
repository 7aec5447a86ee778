"""Servers on loopback that keep every byte they get: what was sent where, whatever the client thinks."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field

Answer = Callable[[bytes], bytes]


@dataclass(slots=True)
class Recorder:
    """One server: its port, how many connections it had, and all that came over them."""

    port: int = 0
    connections: int = 0
    received: bytearray = field(default_factory=bytearray)

    @property
    def requests(self) -> list[bytes]:
        """The first lines of the requests."""
        return [line for line in bytes(self.received).split(b"\r\n") if line.endswith(b" HTTP/1.1")]


@asynccontextmanager
async def recording(answer: Answer) -> AsyncIterator[Recorder]:
    """A server that gives each request `answer(its head)` and hangs up."""
    recorder = Recorder()
    served: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recorder.connections += 1
        served.add(asyncio.current_task())  # type: ignore[arg-type]
        head = b""
        try:
            while not head.endswith(b"\r\n\r\n") and (piece := await reader.read(65_536)):
                head += piece
                recorder.received += piece
            if head:
                writer.write(answer(head))
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    recorder.port = server.sockets[0].getsockname()[1]
    try:
        yield recorder
    finally:
        server.close()
        if served:
            await asyncio.wait(served)


@contextmanager
def listening() -> Iterator[tuple[int, Callable[[], int]]]:
    """A port that takes connections and says nothing, and how many came so far; for other processes."""
    came: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)

        def accepted() -> int:
            with suppress(BlockingIOError):
                while True:
                    came.append(server.accept()[0])
            return len(came)

        try:
            yield server.getsockname()[1], accepted
        finally:
            for each in came:
                each.close()
