"""The simulated cloud on loopback: `async with Simulator(scenario) as cloud: ... cloud.url`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, cast

from aiohttp import web

from collector.energy.days import Clock, wall_clock
from collector.errors import SettingsError
from collector.simulator import api
from collector.simulator.answers import Answer
from collector.simulator.api import Judge, Reply, Violation
from collector.simulator.scenario import Account, Scenario
from collector.simulator.scenario_file import problems_of
from collector.simulator.truth import chance

HOST = "127.0.0.1"

Respond = Callable[[web.BaseRequest, Account | None, Violation | None], Awaitable[web.StreamResponse]]
"""Sends the response to a request and returns it. The account is None if the key is unknown or the path is
not one of the API; the violation is that of the account's rate limit."""


class Simulator:
    """Serves one scenario at a time while the context is open.

    `clock` overrides the scenario's own; `port` 0 takes any free one. `respond` replaces the method of that
    name, for the faults of the tests. Intervals between requests are measured in loop time.
    Raises `SettingsError` if the scenario is wrong, `OSError` if the port is in use.
    """

    def __init__(
        self, scenario: Scenario, clock: Clock | None = None, port: int = 0, respond: Respond | None = None
    ) -> None:
        self._scenario = _checked(scenario)
        self._clock = clock
        self._port = port
        self._respond = respond or self.respond
        self._requests = 0
        self._server = _Server(self._handle)

    async def __aenter__(self) -> Simulator:
        clock = self._clock
        self.play(self._scenario)
        self._clock = clock or self._clock
        self._port = await self._server.open(HOST, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.close()

    @property
    def url(self) -> str:
        """Scheme, host and port, no slash at the end."""
        return f"http://{HOST}:{self._port}"

    @property
    def scenario(self) -> Scenario:
        """The current scenario."""
        return self._scenario

    @property
    def now(self) -> datetime:
        """The simulated moment, aware, in UTC."""
        return (self._clock or wall_clock)()

    def play(self, scenario: Scenario) -> None:
        """Continues with another scenario and fresh rate limits. Its `now`, if any, is set."""
        self._scenario = _checked(scenario)
        self.open_limits()
        if scenario.now is not None or scenario.speed != 1.0:
            self.set_clock(scenario.now or self.now, scenario.speed)

    def change(self, **options: Any) -> None:
        """Sets options of the scenario from the next request on; rate limits and clock continue."""
        self._scenario = _checked(replace(self._scenario, **options))

    def set_clock(self, now: datetime, speed: float = 1.0) -> None:
        """Simulated time continues at `now`, `speed` seconds for each second of the loop; 0 stops it."""
        timer = asyncio.get_running_loop().time
        started_at = timer()
        self._clock = lambda: now + timedelta(seconds=(timer() - started_at) * speed)

    def open_limits(self) -> None:
        """Resets the rate limits."""
        self._judges = {account.name: Judge(account.limit) for account in self._scenario.account}

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        is_known = api.is_statistics(request) or api.is_of_devices(request)
        query = await api.parameters_of(request)
        account = api.account_of(self._scenario, request, query) if is_known else None
        if account is None:
            return await self._respond(request, None, None)
        judge, loop = self._judges[account.name], asyncio.get_running_loop()
        try:
            return await self._respond(request, account, judge.start(loop.time()))
        finally:
            judge.end(loop.time())

    async def respond(
        self, request: web.BaseRequest, account: Account | None, violation: Violation | None
    ) -> web.StreamResponse:
        """Sends the answer to a request."""
        return await self.send(request, await self.answer(request, account, violation))

    async def answer(
        self, request: web.BaseRequest, account: Account | None, violation: Violation | None
    ) -> Answer | Reply:
        """The answer to a request, after the scenario's latency."""
        if not (api.is_statistics(request) or api.is_of_devices(request)):
            return api.NOT_FOUND
        scenario, now = self._scenario, self.now
        self._requests += 1
        jitter_s = scenario.jitter_s * chance(f"jitter/{scenario.seed}/{self._requests}")
        if scenario.latency_s + jitter_s > 0:
            await asyncio.sleep(scenario.latency_s + jitter_s)
        if violation and account:
            return api.rejection(account.limit)
        return api.answer(scenario, account, request.path, await api.parameters_of(request), now)

    async def send(self, request: web.BaseRequest, answer: Answer | Reply) -> web.StreamResponse:
        """Sends an answer, with the simulated time as `Date` unless it has one."""
        reply = answer if isinstance(answer, Reply) else Reply(200, api.as_json(answer))
        date = format_datetime(self.now.replace(microsecond=0), usegmt=True)
        headers = {"Server": "simulator", "Date": date, **reply.headers}
        response = web.Response(status=reply.status, body=reply.body, headers=headers)
        await response.prepare(request)
        await response.write_eof()
        return response


def _checked(scenario: Scenario) -> Scenario:
    problems = problems_of(scenario)
    if problems:
        raise SettingsError(problems)
    return scenario


class _Server:
    """aiohttp's low-level server: calls `handle` for every request, from `open` until `close`."""

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        self._handle = handle
        self._connections: set[_Connection] = set()

    async def open(self, host: str, port: int) -> int:
        """Listens; returns the port, any free one for 0. Raises `OSError` if it is in use."""
        http, loop = web.Server(self._answer), asyncio.get_running_loop()
        self._listening = await loop.create_server(lambda: _Connection(http, self._connections), host, port)
        bound: int = self._listening.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Resets all connections, and returns when no request is being answered."""
        self._listening.close()
        lives = [connection.life for connection in self._connections if connection.life is not None]
        for connection in self._connections:
            reset(connection.transport)
        if lives:
            await asyncio.wait(lives)
        await self._listening.wait_closed()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        with contextlib.suppress(ConnectionError):  # the client has left
            return await self._handle(request)
        return web.Response()


class _Connection(web.RequestHandler):
    """aiohttp's, but a closed connection cancels its handler (not in every release), without access log.

    An idle connection is kept for ever: virtual time may jump by days.
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
        self, request: web.BaseRequest, status: int = 500, *others: Any, **more: Any
    ) -> web.StreamResponse:
        """Answers an invalid request with 400 (aiohttp would log it); other failures are logged."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, *others, **more)
        return web.Response(status=status)


_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: RST instead of FIN


def reset(transport: asyncio.Transport | None) -> None:
    """Ends the connection at once, with a TCP reset."""
    if transport is not None:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()
