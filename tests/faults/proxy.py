"""A proxy with TLS in front of the simulated cloud, that troubles connections in a phase of their life.

Two listeners: the front one hands raw bytes on to the back one, which ends TLS, asks the cloud and
sends its answer. So the front can trouble the connecting and the handshake, and the back an answer's
headers, its body, and what is behind it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from tests.faults.troubles import Kind, Phase, Trouble, is_once, paced

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_HERE = "127.0.0.1"


@dataclass(eq=False)
class _Connection:
    client: asyncio.StreamWriter
    trouble: Trouble | None
    is_encrypted: bool = False
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    def has(self, *phases: Phase) -> Trouble | None:
        return self.trouble if self.trouble is not None and self.trouble.phase in phases else None

    def reset(self) -> None:
        raw = self.client.get_extra_info("socket")
        with suppress(OSError):  # it is closed
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.client.transport.abort()
        self.is_over.set()

    def cut(self) -> None:
        """FIN, without TLS's own farewell."""
        with suppress(OSError):
            self.client.get_extra_info("socket").shutdown(socket.SHUT_WR)
        self.is_over.set()


class Proxy:
    """`async with Proxy(context) as proxy: … proxy.url`; `cloud_port` says where the cloud listens.

    `trouble` befalls connections that are made while it is set. `connections` were accepted,
    `requests` were handed on.
    """

    def __init__(self, context: ssl.SSLContext, cloud_port: int = 0) -> None:
        self.cloud_port = cloud_port
        self.trouble: Trouble | None = None
        self.connections = 0
        self.requests = 0
        self._context = context
        self._by_port: dict[int, _Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Proxy:
        self._back = await asyncio.start_server(self._ask, _HERE, 0, ssl=self._context)
        self._front = await asyncio.start_server(self._accept, _HERE, 0)
        self._port = self._front.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._go_down()
        self._back.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0.01)  # what was reset is closed by then

    @property
    def url(self) -> str:
        """Of the front."""
        return f"https://{_HERE}:{self._port}"

    async def play(self, trouble: Trouble | None) -> None:
        """From now on, this happens to new connections; with `None`, nothing, and it listens again."""
        self.trouble = trouble
        if trouble is None and not self._front.is_serving():
            self._front = await asyncio.start_server(self._accept, _HERE, self._port)
        elif trouble is not None and (trouble.kind, trouble.phase) == (Kind.DOWN, Phase.CONNECT):
            self._go_down()

    def _go_down(self) -> None:
        self._front.close()
        for connection in self._by_port.values():
            connection.reset()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = _Connection(writer, self.trouble)
        self._keep()
        with suppress(OSError, asyncio.CancelledError):
            if trouble := connection.has(Phase.CONNECT):
                await self._strike(connection, trouble)
            if not connection.is_over.is_set():
                await self._relay(reader, connection)
            await asyncio.sleep(0.1)  # so that a cut is seen as one
        connection.is_over.set()
        writer.close()

    async def _relay(self, reader: asyncio.StreamReader, connection: _Connection) -> None:
        """Raw bytes between the client and the back."""
        answers, back = await asyncio.open_connection(_HERE, self._back.sockets[0].getsockname()[1])
        port = back.get_extra_info("sockname")[1]
        self._by_port[port] = connection
        ways = [
            asyncio.create_task(_copy(reader, back)),
            asyncio.create_task(self._shake(answers, connection)),
            asyncio.create_task(_set(connection.is_over)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            del self._by_port[port]
            back.close()

    async def _shake(self, answers: asyncio.StreamReader, connection: _Connection) -> None:
        """The server's bytes to the client, troubled until the handshake is over."""
        trouble = connection.has(Phase.TLS)
        while data := await answers.read(65_536):
            if trouble is not None and not connection.is_encrypted:
                await self._send_troubled(connection, connection.client, data, trouble)
                trouble = None if is_once(trouble) else trouble
            else:
                whole = connection.has(Phase.CONNECT)
                await paced(connection.client, data, whole)
            if connection.is_over.is_set():
                return

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, by TLS, and the cloud's answer to it."""
        connection = self._by_port[writer.get_extra_info("peername")[1]]
        connection.is_encrypted = True
        self._keep()
        with suppress(OSError, EOFError, asyncio.CancelledError):
            request = await reader.readuntil(b"\r\n\r\n")
            answers, cloud = await asyncio.open_connection(_HERE, self.cloud_port)
            self.requests += 1
            try:
                cloud.write(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
                answer = await answers.read(-1)
            finally:
                cloud.close()
            await self._answer(connection, writer, answer)
        writer.close()

    async def _answer(self, connection: _Connection, writer: asyncio.StreamWriter, answer: bytes) -> None:
        head, end, body = answer.partition(b"\r\n\r\n")
        for phase, data in ((Phase.HEADERS, head + end), (Phase.BODY, body), (Phase.BETWEEN, b"")):
            if trouble := connection.has(phase):
                await self._send_troubled(connection, writer, data, trouble)
            else:
                writer.write(data)
                await writer.drain()
            if connection.is_over.is_set():
                return

    async def _send_troubled(
        self, connection: _Connection, writer: asyncio.StreamWriter, data: bytes, trouble: Trouble
    ) -> None:
        """A part of it, then the trouble, then the rest where there can be one."""
        passed = int(len(data) * trouble.share)
        await paced(writer, data[:passed], trouble)
        await asyncio.sleep(0.01)  # so that it arrives
        await self._strike(connection, trouble)
        if not connection.is_over.is_set():
            await paced(writer, data[passed:], trouble)

    async def _strike(self, connection: _Connection, trouble: Trouble) -> None:
        match trouble.kind:
            case Kind.LATENCY:
                await asyncio.sleep(trouble.latency_s)
            case Kind.STALL:
                await connection.is_over.wait()
            case Kind.RESET:
                connection.reset()
            case Kind.CUT:
                connection.cut()
            case Kind.DOWN:
                if self.trouble is trouble:  # and it is not over meanwhile
                    self._go_down()
                connection.reset()

    def _keep(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


async def _set(event: asyncio.Event) -> None:
    await event.wait()
