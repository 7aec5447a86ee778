"""The page over HTTP: `/`, `/api/v1`, `/healthz`, `/metrics`. Careful, because energy data shows when people
are at home: it only reads, and answers to its own names and, if one is set, with a password.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from math import ceil
from typing import Any, cast

from aiohttp import web

from collector import __version__, logs
from collector.energy.days import Clock
from collector.status import State, Status
from collector.threads import BlockingCalls
from collector.web.access import MOST_WAIT_S, Guard, Page, is_own_name
from collector.web.api import Api
from collector.web.metrics import CONTENT_TYPE, exposition
from collector.web.site import Reply, Site

_LIFE_S = 10.0  # for the request, and for reading the answer, also of a client that does so byte by byte
_WORK_S = 120.0  # for making the answer: a slow card, and other clients before it
_MOST_BYTES = 16 * 1024  # of a request: it has no body, but older releases accept any number of headers
_MOST_AT_ONCE = 32


class Connection(web.RequestHandler):
    """aiohttp's, limited to one answer, 10 s and 16 kB, and to 32 connections at once.

    Nothing is logged: port scans must not fill the journal.
    """

    def __init__(self, server: web.Server) -> None:
        loop, quiet = asyncio.get_running_loop(), cast(logging.Logger, None)
        super().__init__(
            server,
            loop=loop,
            access_log=quiet,
            lingering_time=0,
            max_line_size=_MOST_BYTES,
            max_field_size=_MOST_BYTES,
        )
        self._server = server
        self._received = 0
        self._deadline: asyncio.TimerHandle | None = None
        self.life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Runs aiohttp's loop over the requests; keeps its task."""
        self.life = asyncio.current_task()
        await super().start()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.give(_LIFE_S)
        if len(self._server.connections) > _MOST_AT_ONCE:
            self.abort()

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > _MOST_BYTES:
            self.abort()
        else:
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._deadline is not None:
            self._deadline.cancel()
        if self.life is not None:
            self.life.cancel()

    def give(self, seconds: float) -> None:
        """Ends the connection in that many seconds, unless it is given more."""
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)

    def abort(self) -> None:
        """Ends the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, *args: Any, **more: Any
    ) -> web.StreamResponse:
        """Answers an invalid request with 400 and logs nothing; other failures are logged."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, *args, **more)
        response = web.Response(status=status, text="invalid request\n")
        response.force_close()
        return response


Now = Callable[[], Status | None]
"""The service's status, judged now; `None` before there is one."""

_AGAIN_S = 60.0
_FORGET_S = 600.0  # after the last request: nobody looks any more
_JSON = "application/json"
_PLAIN = "text/plain; charset=utf-8"
_HEADERS = {
    "Server": "collector",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_log = logs.get_logger("web")


@asynccontextmanager
async def serving(page: Page, status_now: Now, clock: Clock) -> AsyncIterator[None]:
    """Serves the page while the context is open. If the address is in use or does not exist yet, that is
    logged once and tried again every minute.
    """
    server = _Server(page, status_now, clock)
    trying = None if await server.open() else asyncio.create_task(server.keep_trying())
    try:
        yield
    finally:
        if trying is not None:
            trying.cancel()
            await asyncio.wait([trying])
        await server.close()


class _Server:
    def __init__(self, page: Page, status_now: Now, clock: Clock) -> None:
        self._listen = page.listen
        self._names = page.names
        self._guard = None if page.password is None else Guard(page.password)
        self._status_now = status_now
        self._site = Site(Api(page.archive, clock, os.environ))
        self._blocking = BlockingCalls()  # one at a time: many clients must not delay the service's own work
        self._forgetting: asyncio.TimerHandle | None = None
        self._http = web.Server(self._answer)
        self._listening: asyncio.Server | None = None
        self._logged = ""

    async def open(self) -> bool:
        """Tries to listen; returns whether it does."""
        loop = asyncio.get_running_loop()
        try:
            self._listening = await loop.create_server(
                lambda: Connection(self._http), self._listen.host, self._listen.port
            )
        except OSError as error:
            reason = error.strerror or type(error).__name__
            if reason != self._logged:
                self._logged = reason
                _log.error("web.failed", host=self._listen.host, port=self._listen.port, reason=reason)
            return False
        port = self._listening.sockets[0].getsockname()[1]
        _log.info("web.listening", host=self._listen.host, port=port)
        return True

    async def keep_trying(self) -> None:
        """Tries every minute: the network may come up later, or the port become free."""
        while True:
            await asyncio.sleep(_AGAIN_S)
            if await self.open():
                return

    async def close(self) -> None:
        """Ends all connections, and returns when no request is being answered."""
        if self._listening is not None:
            self._listening.close()
        connections = [each for each in self._http.connections if isinstance(each, Connection)]
        for each in connections:
            each.abort()
        if lives := [each.life for each in connections if each.life is not None]:
            await asyncio.wait(lives)
        if self._forgetting is not None:
            self._forgetting.cancel()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        connection = request.protocol
        if isinstance(connection, Connection):
            connection.give(_WORK_S)
        reply, more = await self._reply(request)
        response = web.Response(status=reply.status, body=reply.body)
        response.headers.update({**_HEADERS, "Content-Type": reply.content_type, "Cache-Control": "no-store"})
        if reply.tag:
            response.headers.update(
                {"ETag": f'W/"{reply.tag}"', "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
            )
        if reply.is_packed:
            response.headers["Content-Encoding"] = "gzip"
        response.headers.update(more)
        response.force_close()
        if isinstance(connection, Connection):
            connection.give(_LIFE_S)
        return response

    async def _reply(self, request: web.BaseRequest) -> tuple[Reply, dict[str, str]]:
        """The answer, and headers that only it has."""
        if not is_own_name(request.headers.get("Host"), self._names):
            text = "use an address like 127.0.0.1, or localhost, or add this name to `names` under [web]\n"
            return _plain(HTTPStatus.FORBIDDEN, text), {}
        if request.method not in ("GET", "HEAD"):
            return _plain(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD\n"), {"Allow": "GET, HEAD"}
        if (refusal := await self._refused(request)) is not None:
            return refusal
        if request.path == "/healthz":
            status, body = health_of(self._status_now())
            return Reply(status, _JSON, f"{json.dumps(body)}\n".encode()), {}
        if request.path == "/metrics":
            text = exposition(self._status_now())
            return Reply(HTTPStatus.OK, CONTENT_TYPE, text.encode("utf-8", "replace")), {}
        return await self._of_site(request), {}

    async def _refused(self, request: web.BaseRequest) -> tuple[Reply, dict[str, str]] | None:
        """The refusal of a request without the right password; `None` if it may be answered."""
        if self._guard is None:
            return None
        loop, address = asyncio.get_running_loop(), request.remote or ""
        header = request.headers.get("Authorization")
        if header is not None:
            wait_s = self._guard.wait_s(address, loop.time())
            if wait_s > MOST_WAIT_S:
                text = "too many wrong passwords: wait a moment\n"
                return _plain(HTTPStatus.TOO_MANY_REQUESTS, text), {"Retry-After": str(ceil(wait_s))}
            await asyncio.sleep(wait_s)
            if self._guard.is_right(address, header, loop.time()):
                return None
        challenge = {"WWW-Authenticate": 'Basic realm="shelly-collector", charset="UTF-8"'}
        text = "the password is needed: it is in the file that `password_file` under [web] names\n"
        return _plain(HTTPStatus.UNAUTHORIZED, text), challenge

    async def _of_site(self, request: web.BaseRequest) -> Reply:
        if self._forgetting is not None:
            self._forgetting.cancel()
        self._forgetting = asyncio.get_running_loop().call_later(_FORGET_S, self._site.forget)
        return await self._blocking(
            self._site.reply,
            request.path,
            request.query_string,
            request.headers.get("If-None-Match", ""),
            may_pack=_takes_gzip(request.headers.get("Accept-Encoding", "")),
        )


def _plain(status: HTTPStatus, text: str) -> Reply:
    return Reply(status, _PLAIN, text.encode())


def _takes_gzip(header: str) -> bool:
    """Whether a header `Accept-Encoding` allows gzip."""
    for each in header.lower().split(","):
        name, _, weight = each.partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def health_of(status: Status | None) -> tuple[int, dict[str, Any]]:
    """The HTTP status and the JSON of `/healthz`; before the first status it is `starting`.

    `{"state", "age_s", "version", "meters": {name: {"state", "age_s", "reason", "newest_hour"}}}`:
    states as in `State`, ages in seconds, `newest_hour` in epoch seconds; both may be `null`.
    """
    state = State.STARTING if status is None else status.state
    body = {
        "state": state,
        "age_s": None if status is None else status.age_s,
        "version": __version__,
        "meters": {
            name: {field: getattr(each, field) for field in ("state", "age_s", "reason", "newest_hour")}
            for name, each in (status.meters if status else {}).items()
        },
    }
    return HTTPStatus.OK if state.is_well else HTTPStatus.SERVICE_UNAVAILABLE, body
