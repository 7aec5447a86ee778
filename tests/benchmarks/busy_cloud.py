"""A simulated cloud that is fast enough for a thousand accounts: it makes the answer of each day once.

`python -m tests.benchmarks.busy_cloud ACCOUNTS LATENCY_S` prints its port and serves until it is ended; what
it saw is at `/_simulator/counts`. Each account has one meter with two clamps and a limit of one request a
second: a request that comes within a second of the one before is rejected. A late server would see gaps that
are none, so that it precedes all other processes where it may (as root).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from functools import cache
from urllib.parse import parse_qsl, urlsplit

from collector.energy.days import wall_clock
from collector.simulator import Account, Device, Scenario, api
from collector.simulator.server import HOST
from tests.benchmarks.processes import DEVICE_ID, KEY

_LIMIT_S = 1.0
_SCENARIO = Scenario(account=(Account("home", KEY, (Device(DEVICE_ID),)),), hour_span_h=24)


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
        if url.path == "/_simulator/counts":
            status, body = "200 OK", _counts(self._accounts)
        elif seen is None:
            status, body = "401 Unauthorized", api.BAD_KEY.body
        elif seen.start(loop.time()):
            status, body = "401 Unauthorized", api.MAX_REQ.body
        else:
            status = "200 OK"
            body = _body(url.path, rest, int(wall_clock().timestamp()) // 3600)
        head = f"HTTP/1.1 {status}\r\nDate: {formatdate(usegmt=True)}\r\nContent-Length: {len(body)}\r\n\r\n"
        loop.call_later(self._latency_s, self._transport.write, head.encode() + body)


def _counts(accounts: dict[str, Seen]) -> bytes:
    total = sum(each.requests for each in accounts.values())
    each = {name: asdict(seen) for name, seen in accounts.items()}
    return json.dumps({"total": {"requests": total}, "accounts": each}).encode()


async def _serve(count: int, latency_s: float) -> None:
    accounts = {f"{KEY}home{number}": Seen() for number in range(count)}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(accounts, latency_s), HOST, 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # connections that are open are nobody's concern
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2])))
