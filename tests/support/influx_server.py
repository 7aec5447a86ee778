"""A database that takes InfluxDB's lines: as version 1, 2 or 3 it wants its own address and its own login."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from aiohttp import web

from tests.support.exported import points
from tests.support.statuses import unused_port

ADDRESSES = {
    1: "/write?db=energy",
    2: "/api/v2/write?org=home&bucket=energy",
    3: "/api/v3/write_lp?db=energy",
}
_QUERIES = {
    1: {"db": "energy", "precision": "s"},
    2: {"org": "home", "bucket": "energy", "precision": "s"},
    3: {"db": "energy", "precision": "second"},
}


@dataclass
class Database:
    """What was written: `values` by head, field and time; a second write replaces.

    `authorization`: the header that it requires, if any. `echo`: what a refusal has before the other header,
    if it repeats that. `answers`: the status of the next requests, before it takes any again; one that
    is not 204 takes nothing, with `reason`. `lost`: takes the points, and closes the connection, unanswered.
    `answering`: while it is not set, no point is answered. `requests` counts those with points, `bodies` has
    the size of each that was taken.
    """

    version: int = 1
    authorization: str | None = None
    answers: list[int] = field(default_factory=list)
    reason: str = "not now"
    echo: str | None = None
    lost: int = 0
    tls: ssl.SSLContext | None = None
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    values: dict[tuple[str, str, int], Decimal] = field(default_factory=dict)
    requests: int = 0
    bodies: list[int] = field(default_factory=list)
    port: int = field(default_factory=unused_port)

    def __post_init__(self) -> None:
        self.answering.set()

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}{ADDRESSES[self.version]}"

    def table(self, **more: object) -> dict[str, object]:
        """A `[[publish]]` table for it."""
        return {"name": "db", "kind": "influx", "url": self.url, **more}

    def sum_of(self, name: str) -> Decimal:
        """The sum of that field."""
        return sum((value for key, value in self.values.items() if key[1] == name), Decimal(0))

    def hours(self) -> set[int]:
        """The hours with an import."""
        return {at for _, name, at in self.values if name == "import_kwh"}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Database]:
        """Serves on its port until the end of the body."""
        app = web.Application()
        path = ADDRESSES[self.version].partition("?")[0]
        app.router.add_post(path, self._write)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port, ssl_context=self.tls).start()
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _write(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()  # which the library has decompressed
        if body:  # else it only tries the target
            self.requests += 1
            await self.answering.wait()
        if dict(request.query) != _QUERIES[self.version]:
            return web.json_response({"error": "database not found"}, status=404)
        if self.authorization is not None and request.headers.get("Authorization") != self.authorization:
            reason = "authorization failed"
            if self.echo is not None:
                reason += f"{self.echo}{request.headers.get('Authorization')}"
            return web.json_response({"error": reason}, status=401)
        if self.answers and (status := self.answers.pop(0)) != 204:
            return web.json_response({"error": self.reason}, status=status)
        self.bodies.append(len(body))
        for point in points(body):
            for name, value in point.fields.items():
                self.values[point.head, name, point.ts] = value
        if self.lost:
            self.lost -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=204)


@contextmanager
def in_thread(server: AbstractAsyncContextManager[object]) -> Iterator[asyncio.AbstractEventLoop]:
    """The server in a thread of its own, for tests of processes; gives its loop."""
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        try:
            asyncio.run_coroutine_threadsafe(server.__aenter__(), loop).result(30)
            try:
                yield loop
            finally:
                asyncio.run_coroutine_threadsafe(server.__aexit__(None, None, None), loop).result(30)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(30)
