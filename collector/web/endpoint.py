"""The local page: `/healthz`, `/metrics`. Careful, because energy data shows when people are at home."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, cast

from aiohttp import web

from collector import __version__, logs
from collector.status import Listen, State, Status
from collector.web.metrics import CONTENT_TYPE, exposition

_LIFE_S = 10.0  # for the whole connection, also of a client that sends or reads byte by byte
_MOST_BYTES = 16 * 1024  # of a request: it has no body, but older releases accept any number of headers
_MOST_AT_ONCE = 32


class Connection(web.RequestHandler):
    """aiohttp's, limited to one answer, 10 s and 16 kB, and to 32 connections at once.

    Nothing is logged: port scans must not fill the journal.
    """

    def __init__(self, server: web.Server) -> None:
        loop, quiet = asyncio.get_running_loop(), cast(logging.Logger, None)
        super().__init__(server, loop=loop, access_log=quiet, lingering_time=0)
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
        self._deadline = asyncio.get_running_loop().call_later(_LIFE_S, self.abort)
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
_INDEX = "shelly-collector\n\n/healthz  state as JSON: status 200 or 503\n/metrics  for Prometheus\n"
_PLAIN = "text/plain; charset=utf-8"
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")

_log = logs.get_logger("web")


@asynccontextmanager
async def serving(listen: Listen, status_now: Now) -> AsyncIterator[None]:
    """Serves the page at that address while the context is open. If the address is in use or does not exist
    yet, that is logged once and tried again every minute.
    """
    page = _Page(listen, status_now)
    trying = None if await page.open() else asyncio.create_task(page.keep_trying())
    try:
        yield
    finally:
        if trying is not None:
            trying.cancel()
            await asyncio.wait([trying])
        await page.close()


class _Page:
    def __init__(self, listen: Listen, status_now: Now) -> None:
        self._listen = listen
        self._names = allowed_names(listen.host)
        self._status_now = status_now
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

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        status, kind, text = self._reply(request)
        response = web.Response(status=status, body=text.encode("utf-8", "replace"))
        response.headers.update({"Content-Type": kind, "Cache-Control": "no-store", "Server": "collector"})
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = "GET, HEAD"
        response.force_close()
        return response

    def _reply(self, request: web.BaseRequest) -> tuple[int, str, str]:
        """Status, content type and text."""
        if self._names is not None and bare_host(request.headers.get("Host")) not in (None, *self._names):
            # DNS rebinding: a web page whose name was redirected to this address sends that name.
            return HTTPStatus.FORBIDDEN, _PLAIN, "use the host name localhost or 127.0.0.1\n"
        if request.method not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, _PLAIN, "only GET and HEAD\n"
        if request.path == "/healthz":
            status, body = health_of(self._status_now())
            return status, "application/json", json.dumps(body) + "\n"
        if request.path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE, exposition(self._status_now())
        if request.path == "/":
            return HTTPStatus.OK, _PLAIN, _INDEX
        return HTTPStatus.NOT_FOUND, _PLAIN, "not found; try /healthz or /metrics\n"


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


def allowed_names(host: str) -> tuple[str, ...] | None:
    """The host names that a request may use; `None` for any, unless `host` is a loopback address."""
    address = ip_address(host)
    if not address.is_loopback:
        return None
    return (*_LOCAL_NAMES, f"[{address}]" if address.version == 6 else str(address))


def bare_host(header: str | None) -> str | None:
    """A `Host` header without its port, in lower case; `None` if there is none (HTTP/1.0)."""
    if header is None:
        return None
    host, colon, port = header.strip().lower().rpartition(":")
    return host if colon and port.isdigit() else header.strip().lower()
