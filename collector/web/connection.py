"""One connection to the page: aiohttp's, with an end to what a client may cost."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web

_LIFE_S = 10.0  # for the whole connection: a client that sends or reads byte by byte gets no more
_MOST_BYTES = (
    16 * 1024
)  # that it may send: a request has no body, and older releases take any number of headers
_MOST_AT_ONCE = 32


class Connection(web.RequestHandler):
    """aiohttp's, but it ends after one answer, 10 s or 16 kB, and 32 of them at once are enough.

    Nothing is logged: who looks for open ports must not fill the journal.
    """

    def __init__(self, server: web.Server) -> None:
        loop, quiet = asyncio.get_running_loop(), cast(logging.Logger, None)
        super().__init__(server, loop=loop, access_log=quiet, lingering_time=0)
        self._server = server
        self._received = 0
        self._deadline: asyncio.TimerHandle | None = None
        self.life: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """aiohttp's loop over the requests, as a task."""
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
        """Ends it at once, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, *told: Any, **more: Any
    ) -> web.StreamResponse:
        """Nonsense from a client is a 400 and nothing to log; a failure of our own is."""
        if status != HTTPStatus.BAD_REQUEST:
            return super().handle_error(request, status, *told, **more)
        response = web.Response(status=status, text="this is not a request\n")
        response.force_close()
        return response
