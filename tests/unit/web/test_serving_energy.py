"""The answers about energy over HTTP: their headers, and what clients and a slow disk may cost."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from collector.simulator import Device
from collector.web.endpoint import serving
from tests.support.archives import files_of, write_files
from tests.support.statuses import NOW, Page, meter_status, page, page_at, port_of, status_of
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.world import DEVICE

YEAR = "/api/v1/meters/house/hours?year=2026"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The days of this year."""
    place = tmp_path / "house"
    first = date(2026, 1, 1)
    write_files(place, Device(DEVICE), [first + timedelta(number) for number in range(165)])
    (place / ".collector" / "ledger.jsonl").write_text(f'{{"zone": "{Device(DEVICE).zone.key}"}}\n')
    return place


@asynccontextmanager
async def slow_page(log: io.StringIO, folder: Path) -> AsyncIterator[Page]:
    """A page whose answers about energy hang until the loop lets them go."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)

    def clock() -> datetime:
        loop.hang()  # called in the thread that makes the answer
        return NOW

    async with serving(page_at("127.0.0.1", 0, files_of(folder)), status_of, clock):
        yield Page(port_of(log))


async def unpacked(served: Page, path: str) -> bytes:
    """The body of a packed answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n"
    head, _, body = (await served.send(request.encode())).partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in head.lower()
    assert b"vary: accept-encoding" in head.lower()
    return gzip.decompress(body)


async def test_an_answer_has_a_tag_and_may_be_packed(folder: Path, log_lines: io.StringIO) -> None:
    """And is sent once as long as it is the same."""
    async with page(log_lines, status_of, archive=files_of(folder)) as served:
        first = await served.ask(YEAR)
        assert first.headers["cache-control"] == "private, no-cache"
        assert await unpacked(served, YEAR) == first.body.encode()
        again = await served.ask(YEAR, more=f"If-None-Match: {first.headers['etag']}\r\n")
        assert (again.status, again.body) == (304, "")
        assert again.headers["etag"] == first.headers["etag"]
        head = await served.ask(YEAR, "HEAD")
        assert (head.status, head.body) == (200, "")


@pytest.mark.parametrize(
    "header",
    ["", "Accept-Encoding: br\r\n", "Accept-Encoding: gzip;q=0\r\n", "Accept-Encoding: identity\r\n"],
)
async def test_who_does_not_take_gzip_gets_none(header: str, folder: Path, log_lines: io.StringIO) -> None:
    """As curl without --compressed."""
    async with page(log_lines, status_of, archive=files_of(folder)) as served:
        answer = await served.ask(YEAR, more=header)
    assert "content-encoding" not in answer.headers
    assert json.loads(answer.body)["year"] == 2026


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", YEAR, "/nothing", "/api/v1/meters?x=1"])
async def test_every_answer_forbids_what_the_page_does_not_need(
    path: str, folder: Path, log_lines: io.StringIO
) -> None:
    """Foreign scripts and frames, guessing of types, the address in a Referer; and sets no cookie."""
    async with page(log_lines, status_of, archive=files_of(folder)) as served:
        answer = await served.ask(path)
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "set-cookie" not in answer.headers
    assert "access-control-allow-origin" not in answer.headers


async def test_a_slow_disk_holds_up_neither_the_state_nor_an_answer(
    folder: Path, log_lines: io.StringIO
) -> None:
    """Monitors are answered meanwhile. Making the answer may take longer than a client may."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with slow_page(log_lines, folder) as served:
        asked = asyncio.create_task(served.ask(YEAR))
        await asyncio.sleep(60)
        assert (await served.ask("/healthz")).status == 200
        assert not asked.done()
        loop.let_go()
        assert (await asked).status == 200


async def test_an_answer_that_is_never_made_is_given_up(folder: Path, log_lines: io.StringIO) -> None:
    """After two minutes, so that dead connections do not add up; and the page ends at once."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    async with slow_page(log_lines, folder) as served:
        began = loop.time()
        assert await served.send(f"GET {YEAR} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()) == b""
        assert loop.time() - began == pytest.approx(120, abs=1)
        began = loop.time()
    assert loop.time() - began < 1
    loop.let_go()


async def test_a_slow_reader_is_ended_and_holds_no_memory(log_lines: io.StringIO) -> None:
    """Ten seconds after the answer was made. Of 5 MB the system's own buffers take a part."""
    many = status_of(meters={f"meter{number}": meter_status() for number in range(5000)})
    request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with page(log_lines, lambda: many) as served:
        whole = await served.send(request)
        with socket.socket() as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
            slow.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(slow, ("127.0.0.1", served.port))
            await loop.sock_sendall(slow, request)
            await asyncio.sleep(30)
            got = 0
            try:
                while some := await loop.sock_recv(slow, 65536):
                    got += len(some)
            except ConnectionError:
                pass
        assert got < len(whole)


async def test_thirty_clients_at_once_get_the_same_answer(folder: Path, log_lines: io.StringIO) -> None:
    """It is made once, one after the other in one thread."""
    async with page(log_lines, status_of, archive=files_of(folder)) as served:
        answers = await asyncio.gather(*(served.ask(YEAR) for _ in range(30)))
    assert {each.status for each in answers} == {200}
    assert len({each.body for each in answers}) == 1


async def test_a_hostile_address_is_not_found(folder: Path, log_lines: io.StringIO) -> None:
    """Escaped or not."""
    async with page(log_lines, status_of, archive=files_of(folder)) as served:
        for path in (
            "/static/%2e%2e/endpoint.py",
            "/static/..%2fendpoint.py",
            "/api/v1/meters/..%2fhouse/days",
            "/api/v1/meters/%00/days",
            "/api/v1/meters/%ff%fe/days",
            "//etc/passwd",
        ):
            answer = await served.ask(path)
            assert answer.status == 404, path
        assert (await served.ask("/api/v1/meters/%68ouse/days")).status == 200
