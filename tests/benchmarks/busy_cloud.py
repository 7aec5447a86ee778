"""A simulated cloud that is fast enough for a thousand accounts: it makes the answer of each day once.

`python -m tests.benchmarks.busy_cloud ACCOUNTS LATENCY_S` prints its port, serves, and prints what it saw as
JSON at the end of its standard input. Each account has one meter with two clamps and a strict limit of one
request a second: a request that comes within a second of the one before, or beside it, is rejected.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from functools import cache
from urllib.parse import parse_qsl, urlsplit

from collector.energy.days import wall_clock
from collector.simulator import Account, Device, Scenario, api
from tests.benchmarks.processes import KEY

DEVICE = "e8db84d2a1b3"
_LIMIT_S = 1.0
_SCENARIO = Scenario(account=(Account("home", KEY, (Device(DEVICE),)),), hour_span_h=24)


@dataclass(slots=True)
class Seen:
    """One account's requests. Gaps are seconds from start to start."""

    requests: int = 0
    rejections: int = 0
    smallest_gap_s: float | None = None
    longest_gap_s: float = 0.0
    _started_at: float | None = field(default=None, repr=False)

    def start(self, at: float) -> bool:
        """A request comes; whether it comes too early."""
        self.requests += 1
        gap_s = None if self._started_at is None else at - self._started_at
        self._started_at = at
        if gap_s is None:
            return False
        self.smallest_gap_s = gap_s if self.smallest_gap_s is None else min(gap_s, self.smallest_gap_s)
        self.longest_gap_s = max(gap_s, self.longest_gap_s)
        self.rejections += gap_s < _LIMIT_S
        return gap_s < _LIMIT_S


@cache
def _body(path: str, query: str, hour: int) -> bytes:
    """The answer to such a request in that hour since 1970, whoever asks."""
    now = datetime.fromtimestamp(hour * 3600, UTC)
    found = api.answer(_SCENARIO, _SCENARIO.account[0], path, dict(parse_qsl(query)), now)
    return found.body if isinstance(found, api.Reply) else api.as_json(found)


class _Connection(asyncio.Protocol):
    def __init__(self, accounts: dict[str, Seen], latency_s: float) -> None:
        self._accounts, self._latency_s = accounts, latency_s
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, self._data = self._data.partition(b"\r\n\r\n")
            self._answer(head.split(b" ", 2)[1].decode())

    def _answer(self, target: str) -> None:
        loop, url = asyncio.get_running_loop(), urlsplit(target)
        rest, _, key = url.query.rpartition("&auth_key=")
        seen = self._accounts.get(key)
        if seen is None:
            status, body = "401 Unauthorized", api.BAD_KEY.body
        elif seen.start(loop.time()):
            status, body = "401 Unauthorized", api.MAX_REQ.body
        else:
            status = "200 OK"
            body = _body(url.path, rest, int(wall_clock().timestamp()) // 3600)
        head = f"HTTP/1.1 {status}\r\nDate: {formatdate(usegmt=True)}\r\nContent-Length: {len(body)}\r\n\r\n"
        loop.call_later(self._latency_s, self._transport.write, head.encode() + body)


async def _serve(count: int, latency_s: float) -> dict[str, Seen]:
    accounts = {f"{KEY}home{number}": Seen() for number in range(count)}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(accounts, latency_s), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    return accounts


if __name__ == "__main__":
    seen = asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
    print(json.dumps({name[len(KEY) :]: asdict(each) for name, each in seen.items()}), flush=True)
    os._exit(0)  # connections that are still open are nobody's concern
