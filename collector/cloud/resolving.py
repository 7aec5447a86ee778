"""Host names -> addresses, without a thread that could keep the process from ending."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aiohttp.abc import AbstractResolver

from collector.threads import DaemonThreads


class ThreadResolver(AbstractResolver):
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
