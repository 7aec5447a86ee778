"""The page: what it says, to whom, and what a client may cost."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import sys
from contextlib import suppress

import pytest

from collector.status import Status
from collector.web.access import bare_host, is_own_name
from collector.web.endpoint import serving
from tests.support.service_life import events_in
from tests.support.statuses import (
    NOW,
    NOW_S,
    Page,
    answer_of,
    meter_status,
    page,
    page_at,
    parsed,
    port_of,
    status_of,
)


@pytest.mark.parametrize(
    ("state", "status"), [("good", 200), ("starting", 200), ("offline", 503), ("broken", 503)]
)
async def test_healthz_shows_by_its_status_whether_action_is_needed(
    state: str, status: int, log_lines: io.StringIO
) -> None:
    """And the same as JSON, meter by meter; nothing else."""
    meter = meter_status(state, reason="nothing was collected for hours")
    async with page(log_lines, lambda: status_of(state, meters={"house": meter})) as served:
        answer = await served.ask("/healthz")
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.body) == {
        "state": state,
        "age_s": 1800,
        "version": "0.1.0",
        "meters": {
            "house": {
                "state": state,
                "age_s": 1800,
                "reason": "nothing was collected for hours",
                "newest_hour": NOW_S - 5400,
            }
        },
    }


async def test_before_the_first_status_it_is_starting(log_lines: io.StringIO) -> None:
    """Neither an error nor a number that nobody knows."""
    async with page(log_lines, lambda: None) as served:
        healthz, metrics = await served.ask("/healthz"), await served.ask("/metrics")
    assert (healthz.status, json.loads(healthz.body)["state"]) == (200, "starting")
    assert (metrics.status, metrics.body) == (200, "")


async def test_metrics_are_what_prometheus_reads(log_lines: io.StringIO) -> None:
    """Content type and text of the format, at the clock's now."""
    async with page(log_lines, status_of) as served:
        answer = await served.ask("/metrics", host=f"127.0.0.1:{served.port}")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert parsed(answer.body)["shelly_collector_newest_hour_age_seconds", "meter=house"] == 1800


async def test_a_head_is_a_get_without_the_body(log_lines: io.StringIO) -> None:
    """Monitors use it to save bytes."""
    async with page(log_lines, lambda: status_of("broken")) as served:
        head, get = await served.ask("/healthz", "HEAD"), await served.ask("/healthz")
    assert (head.status, head.body) == (503, "")
    assert head.headers["content-length"] == get.headers["content-length"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/healthz", 200), ("GET", "/config", 404), ("GET", "/healthz/", 404),
     ("GET", "/metrics?x=1", 200),
     ("POST", "/healthz", 405), ("DELETE", "/nowhere", 405), ("OPTIONS", "/metrics", 405)],
)  # fmt: skip
async def test_other_addresses_and_methods_are_refused(
    method: str, path: str, status: int, log_lines: io.StringIO
) -> None:
    """Everything else is refused, and says so."""
    async with page(log_lines, status_of) as served:
        answer = await served.ask(path, method)
    assert answer.status == status
    assert answer.headers.get("allow") == ("GET, HEAD" if status == 405 else None)
    assert "aiohttp" not in answer.headers["server"].lower()
    assert "Python" not in answer.headers["server"]


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("LOCALHOST:1234", 200), ("127.0.0.1:80", 200), ("[::1]:80", 200), (None, 200),
     ("evil.example", 403), ("evil.example:9787", 403), ("localhost.evil.example", 403),
     ("127.0.0.1.evil.example", 403), ("", 403), ("[::1", 403)],
)  # fmt: skip
async def test_a_name_that_was_turned_to_this_machine_gets_nothing(
    host: str | None, status: int, log_lines: io.StringIO
) -> None:
    """DNS rebinding: a page in the household's browser may not read when people are at home."""
    async with page(log_lines, status_of) as served:
        if host is None:  # only HTTP/1.0 may leave it out, and no browser does
            answer = answer_of(await served.send(b"GET /healthz HTTP/1.0\r\n\r\n"))
        else:
            answer = await served.ask("/healthz", host=host)
    assert answer.status == status
    assert ("house" in answer.body) == (status == 200)


def test_an_address_is_never_refused_and_a_name_must_be_listed() -> None:
    """A page that was turned to this machine has a name; nobody can turn an address."""
    assert is_own_name("192.168.1.5:9787", ())
    assert is_own_name("[fe80::1]:9787", ())
    assert not is_own_name("pi.lan", ())
    assert is_own_name("PI.lan:9787", ("pi.lan",))
    assert is_own_name("pi.lan.:9787", ("pi.lan",))  # as a browser sends `http://pi.lan.:9787/`
    assert is_own_name("localhost.", ())
    assert not is_own_name("evil.pi.lan", ("pi.lan",))
    assert not is_own_name("evil.pi.lan.", ("pi.lan",))
    assert not is_own_name("pi.lan..", ("pi.lan",))
    assert bare_host("[::1]:9787") == "[::1]"
    assert bare_host("[::1]") == "[::1]"


async def test_a_port_that_is_taken_is_logged_once_and_tried_again(log_lines: io.StringIO) -> None:
    """The context opens all the same; once the port is free the page is there within a minute."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with serving(page_at("127.0.0.1", port), status_of, lambda: NOW):
            await asyncio.sleep(600)
            assert not events_in(log_lines.getvalue(), "web.listening")
            taken.close()
            await asyncio.sleep(61)
            assert (await Page(port).ask("/healthz")).status == 200
    (failed,) = events_in(log_lines.getvalue(), "web.failed")
    assert (failed["host"], failed["port"], failed["level"]) == ("127.0.0.1", port, "error")
    assert "in use" in failed["reason"]


async def test_an_address_that_is_not_ours_is_no_reason_to_stop(log_lines: io.StringIO) -> None:
    """A network may come after the boot, or never."""
    async with serving(page_at("192.0.2.1", 9787), status_of, lambda: NOW):
        await asyncio.sleep(3600)
    assert len(events_in(log_lines.getvalue(), "web.failed")) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",  # says nothing at all
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",  # never ends its headers
        b"POST /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nhalf",
    ],
)
async def test_a_client_that_never_ends_is_ended(data: bytes, log_lines: io.StringIO) -> None:
    """Ten seconds a connection, whatever it does with them."""
    loop = asyncio.get_running_loop()
    async with page(log_lines, status_of) as served:
        began = loop.time()
        with suppress(ConnectionError):
            await served.send(data)
        assert loop.time() - began <= 10.5
        assert (await served.ask("/healthz")).status == 200


@pytest.mark.parametrize(
    ("head", "is_answered"),
    [
        ("X: " + "x" * 15_000, True),
        ("Cookie: " + "x" * 8_191 + "\r\nX: x", True),
        ("X: " + "x" * 17_000, False),
        ("X: " + "x" * 9_000 + "\r\nY: " + "y" * 9_000, False),
    ],
)
async def test_a_request_may_have_16_kb(head: str, is_answered: bool, log_lines: io.StringIO) -> None:
    """In one header or in many; the cookies of other pages of the same machine, for example."""
    request = f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode()
    async with page(log_lines, status_of) as served:
        try:
            answer = await served.send(request)
        except ConnectionError:
            answer = b""
    assert answer.startswith(b"HTTP/1.1 200 ") is is_answered


async def test_an_address_may_have_15_kb(log_lines: io.StringIO) -> None:
    """That of a CSV file has the names of all meters that are added up."""
    async with page(log_lines, status_of) as served:
        answer = await served.ask(f"/api/v1/status?{'x' * 15_000}")
        assert "unknown parameter" in answer.body


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: x\r\n" * 100_000 + b"\r\n",
        b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"\r\n" * 40_000,
    ],
    ids=["header", "headers", "path", "tls", "length", "newlines"],
)
async def test_an_absurd_request_is_cut_off_and_not_logged(data: bytes, log_lines: io.StringIO) -> None:
    """No traceback in the journal, no memory, and the next one is answered."""
    async with page(log_lines, status_of) as served:
        try:
            answer = await served.send(data)
        except ConnectionError:
            answer = b""
        assert b" 200 " not in answer.partition(b"\r\n")[0]
        assert (await served.ask("/healthz")).status == 200
    assert not events_in(log_lines.getvalue(), "library.reported")


async def test_a_crowd_is_turned_away_and_memory_stays(log_lines: io.StringIO) -> None:
    """32 connections at once; the others are ended at once, and there is room again after 10 s."""
    async with page(log_lines, status_of) as served:
        opened = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(100)]
        await asyncio.sleep(1)
        assert sum(not reader.at_eof() for reader, _ in opened) == 32
        await asyncio.sleep(10)
        assert (await served.ask("/healthz")).status == 200
        for _, writer in opened:
            writer.close()


async def test_an_open_connection_does_not_delay_the_end(log_lines: io.StringIO) -> None:
    """Idle, in the middle of its headers, and not reading its answer."""
    loop = asyncio.get_running_loop()
    many = status_of(meters={f"meter{number}": meter_status() for number in range(5000)})
    async with page(log_lines, lambda: many) as served:
        idle = await asyncio.open_connection("127.0.0.1", served.port)
        slow = await asyncio.open_connection("127.0.0.1", served.port)
        slow[1].write(b"GET /healthz HT")
        deaf = await asyncio.open_connection("127.0.0.1", served.port, limit=1)
        deaf[1].write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.sleep(0.1)
        began = loop.time()
    assert loop.time() - began < 1
    for _, writer in (idle, slow, deaf):
        writer.close()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", port_of(log_lines))


async def test_each_answer_is_of_that_moment(log_lines: io.StringIO) -> None:
    """The page asks for the status each time."""
    told: list[Status | None] = [status_of("good"), status_of("broken")]
    async with page(log_lines, lambda: told.pop(0)) as served:
        assert [(await served.ask("/healthz")).status for _ in range(2)] == [200, 503]


async def test_it_listens_on_ipv6_too(log_lines: io.StringIO) -> None:
    """`[::1]:PORT`."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    async with page(log_lines, status_of, host="::1") as served:
        reader, writer = await asyncio.open_connection("::1", served.port)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: [::1]:9787\r\n\r\n")
        assert answer_of(await reader.read()).status == 200
        writer.close()


def test_the_server_is_imported_by_the_page_alone() -> None:
    """It costs time and memory, and most never open a page."""
    import subprocess

    code = "import sys, collector.service.app; sys.exit('aiohttp.web' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
