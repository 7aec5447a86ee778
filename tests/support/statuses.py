"""What the tests of this room share: statuses, a page on a real port, and a monitor that is pinged."""

from __future__ import annotations

import asyncio
import io
import json
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from collector.overview import ArchiveFiles
from collector.status import AccountStatus, Listen, MeterStatus, State, Status, TargetStatus
from collector.web import access
from collector.web.endpoint import serving

Samples = dict[tuple[str, str], float]

NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
HOUR_S = 3600
NO_METERS = ArchiveFiles(Path("/nowhere"), (), 26 * 3600.0)


def unused_port() -> int:
    """A port that nobody listens on, from below those that the system gives out by itself: a server that
    lets the system choose would sometimes be given just this one.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        try:
            with socket.create_server(("127.0.0.1", port)):
                return port
        except OSError:
            continue


def meter_status(state: str = "good", **more: Any) -> MeterStatus:
    """A meter whose newest hour ended half an hour ago."""
    known = {"newest_hour": NOW_S - 5400, "age_s": 1800, "answered_at": NOW_S - 1200}
    return MeterStatus(State(state), **{**known, **more})


def status_of(state: str = "good", **more: Any) -> Status:
    """A service with one account and the meter `house`."""
    parts: dict[str, Any] = {
        "meters": {"house": meter_status(state)},
        "accounts": {"home": AccountStatus(("house",), outcomes={"answered": 7}, holds=1, gap_s=1.05)},
        "targets": {"db": TargetStatus("influx", NOW_S - 600, None)},
        "age_s": 1800,
        "jobs": 1,
        "next_run_at": NOW_S + 720,
    }
    return Status("0.1.0", 42, NOW_S - 86400, NOW_S, "2026-06-15", state=State(state), **{**parts, **more})


@dataclass
class Page:
    """A page that is being served."""

    port: int

    async def ask(
        self, path: str, method: str = "GET", host: str | None = "localhost", more: str = ""
    ) -> Answer:
        """One request over a socket of its own; `more`: further header lines."""
        head = f"{method} {path} HTTP/1.1\r\n" + (f"Host: {host}\r\n" if host is not None else "") + more
        return answer_of(await self.send(head.encode() + b"\r\n"))

    async def send(self, data: bytes) -> bytes:
        """Sends bytes as they are; everything that comes back until the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        try:
            return await reader.read()
        finally:
            writer.close()


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str


def answer_of(data: bytes) -> Answer:
    """Status, headers by lower-case name, body."""
    head, _, body = data.decode().partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split()[1]), headers, body)


def page_at(host: str, port: int, archive: ArchiveFiles = NO_METERS, **more: Any) -> access.Page:
    """What is served at that address."""
    return access.Page(Listen(host, port), archive, **more)


@asynccontextmanager
async def page(
    log: io.StringIO, status: Callable[[], Status | None], host: str = "127.0.0.1", **more: Any
) -> AsyncIterator[Page]:
    """That page, on any free port, of an archive without meters; `more` as in `collector.web.access.Page`."""
    async with serving(page_at(host, 0, **more), status, lambda: NOW):
        yield Page(port_of(log))


def port_of(log: io.StringIO) -> int:
    """Where the page last said that it listens."""
    told = [json.loads(line) for line in log.getvalue().splitlines()]
    return int(next(each["port"] for each in reversed(told) if each["event"] == "web.listening"))


@dataclass
class Monitor:
    """A stand-in for healthchecks.io on loopback. `status` `None` never answers."""

    port: int = 0
    status: int | None = 200
    headers: str = ""
    pings: list[tuple[str, str]] = field(default_factory=list)
    waiting: int = 0  # clients that wait for an answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/SECRET0PATH0OF0THE0MONITOR"

    @property
    def kinds(self) -> list[str]:
        """What each ping's path ended in."""
        return [path.partition("MONITOR")[2] for path, _ in self.pings]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lengths = [line for line in head.lower().split("\r\n") if line.startswith("content-length")]
            body = await reader.readexactly(int(lengths[0].split(":")[1]) if lengths else 0)
            self.pings.append((head.split()[1], body.decode()))
            if self.status is None:
                self.waiting += 1
                await reader.read()
                self.waiting -= 1
            else:
                writer.write(
                    f"HTTP/1.1 {self.status} X\r\n{self.headers}Content-Length: 2\r\n\r\nOK".encode()
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def monitor() -> AsyncIterator[Monitor]:
    """A monitor that listens."""
    told = Monitor()
    server = await asyncio.start_server(told.answer, "127.0.0.1", 0)
    told.port = server.sockets[0].getsockname()[1]
    async with server:
        yield told


def parsed(text: str) -> Samples:
    """Name and labels -> value, as Prometheus's own parser reads them."""
    return {
        (sample.name, ",".join(f"{key}={value}" for key, value in sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
