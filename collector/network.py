"""What every HTTP client of ours shares: sessions that keep nothing, names, and errors in words."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

from collector import __version__
from collector.bounds import AnswerTooLong, BoundedResponse
from collector.threads import DaemonThreads


def new_session(trace_configs: Iterable[aiohttp.TraceConfig] = ()) -> aiohttp.ClientSession:
    """A session: no proxy from the environment, no cookies, no kept connections, no time limit.

    `asyncio.timeout` around a request is the only limit: the library's own do not cover all of it.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, resolver=_ThreadResolver(), limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        response_class=BoundedResponse,
        headers={"User-Agent": f"shelly-collector/{__version__}", "Accept-Encoding": "identity"},
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(),
        trace_configs=list(trace_configs),
        trust_env=False,
    )


def in_words(error: Exception) -> str:
    """What the library's error means. Never its own text, which holds the URL and so a secret."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError | ssl.SSLCertVerificationError):
        return "the host's certificate is not valid (is this machine's clock right?)"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "no secure connection could be made"
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        if isinstance(cause, socket.gaierror):
            return "the host's name does not resolve (no network, or a wrong host?)"
        return f"no connection: {os.strerror(cause.errno) if cause.errno else type(cause).__name__}"
    if isinstance(error, AnswerTooLong):
        return "the answer's headers have no end"
    if isinstance(error, aiohttp.ClientPayloadError | aiohttp.ClientConnectionError | ConnectionError):
        return "the connection broke before the answer was whole"
    return f"the answer could not be read ({type(error).__name__})"


class _ThreadResolver(AbstractResolver):
    """`getaddrinfo` in a daemon thread: a name server that never answers cannot delay a stop."""

    def __init__(self) -> None:
        self._threads = DaemonThreads()

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_UNSPEC) -> list[Any]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        )
        return [
            {
                "hostname": host,
                "host": address[0],
                "port": address[1],
                "family": kind,
                "proto": protocol,
                "flags": socket.AI_NUMERICHOST,
            }
            for kind, _, protocol, _, address in found
            if kind in (socket.AF_INET, socket.AF_INET6)
        ]

    async def close(self) -> None:
        """Nothing to close: its threads end by themselves."""
