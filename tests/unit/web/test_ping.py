"""Pings: what the monitor receives, and that its address stays secret."""

from __future__ import annotations

import asyncio
import io
import socket
from threading import Event
from typing import Any

import pytest

from collector.service.notify import News, Pinger, url_for
from tests.support.service_life import events_in
from tests.support.statuses import Monitor, monitor

_SECRET = "SECRET0PATH0OF0THE0MONITOR"


@pytest.mark.parametrize(
    ("url", "news", "expected"),
    [
        ("https://hc.example/uuid", News.SUCCESS, "https://hc.example/uuid"),
        ("https://hc.example/uuid", News.FAIL, "https://hc.example/uuid/fail"),
        ("https://hc.example/uuid/", News.START, "https://hc.example/uuid/start"),
        ("https://hc.example/uuid/", News.SUCCESS, "https://hc.example/uuid/"),
        ("https://hc.example/key/slug?create=1", News.FAIL, "https://hc.example/key/slug/fail?create=1"),
        ("http://127.0.0.1:8000", News.FAIL, "http://127.0.0.1:8000/fail"),
    ],
)
def test_the_news_is_the_end_of_the_path(url: str, news: News, expected: str) -> None:
    """A query stays behind it."""
    assert url_for(url, news) == expected


async def test_the_monitor_receives_what_and_why() -> None:
    """One request each; the text in UTF-8."""
    async with monitor() as told:
        pinger = Pinger(told.url)
        assert await pinger.ping(News.START, "starting")
        assert await pinger.ping(News.FAIL, "house: kaputt, 26 h – schade")
        assert await pinger.ping(News.SUCCESS, "good")
    assert told.pings == [
        (f"/{_SECRET}/start", "starting"),
        (f"/{_SECRET}/fail", "house: kaputt, 26 h – schade"),
        (f"/{_SECRET}", "good"),
    ]


async def test_a_long_text_is_cut_between_characters() -> None:
    """1 kB is enough to say why."""
    async with monitor() as told:
        assert await Pinger(told.url).ping(News.FAIL, "x" + "é" * 5000)
    ((_, body),) = told.pings
    assert body == "x" + "é" * 499


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (404, "", "status 404"),
        (500, "", "status 500"),
        (302, "Location: /elsewhere\r\n", "status 302"),
        (307, "Location: /elsewhere\r\n", "status 307"),
        (None, "", "no answer within 10 s"),
    ],
)
async def test_what_is_no_success_is_logged_once_per_outage(
    status: int | None, headers: str, reason: str, log_lines: io.StringIO
) -> None:
    """And its end once. Nothing is followed: a redirect would hand the secret on."""
    async with monitor() as told:
        pinger = Pinger(told.url)
        told.status, told.headers = status, headers
        for _ in range(3):
            assert not await pinger.ping(News.SUCCESS, "good")
        assert len(told.pings) == 3
        assert all("elsewhere" not in path for path, _ in told.pings)
        told.status, told.headers = 200, ""
        assert await pinger.ping(News.SUCCESS, "good")
        assert await pinger.ping(News.SUCCESS, "good")
    (failed,) = events_in(log_lines.getvalue(), "ping.failed")
    assert reason in failed["reason"]
    assert len(events_in(log_lines.getvalue(), "ping.recovered")) == 1
    assert _SECRET not in log_lines.getvalue()


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 2", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, b"\x15\x03\x01"],
)
async def test_a_monitor_that_is_none_gives_a_reason_without_its_address(
    answer: bytes, log_lines: io.StringIO
) -> None:
    """The library's errors hold the address; ours do not."""

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert not await Pinger(f"http://127.0.0.1:{port}/{_SECRET}").ping(News.SUCCESS, "good")
        assert not await Pinger(f"https://127.0.0.1:{port}/{_SECRET}").ping(News.SUCCESS, "good")
    assert len(events_in(log_lines.getvalue(), "ping.failed")) == 2
    assert _SECRET not in log_lines.getvalue()
    assert f"{port}" not in log_lines.getvalue()


async def test_an_endless_answer_is_not_read() -> None:
    """The status is all that counts; the body may be as long as it likes."""
    ended = asyncio.Event()

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            ended.set()
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        began = loop.time()
        assert await Pinger(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x").ping(News.FAIL, "")
        await ended.wait()
    assert loop.time() - began < 1


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would see the secret."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with monitor() as told:
        assert await Pinger(told.url).ping(News.SUCCESS, "good")


async def test_where_only_a_proxy_leads_out_the_reason_adds_that_none_is_used(
    log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where all that is known is that no answer came."""
    monkeypatch.setenv("https_proxy", "http://me:hunter2@127.0.0.1:1")
    async with monitor() as told:
        told.status = None
        assert not await Pinger(told.url).ping(News.SUCCESS, "good")
    (failed,) = events_in(log_lines.getvalue(), "ping.failed")
    assert failed["reason"] == "no answer within 10 s; the environment names a proxy, which is not used"


@pytest.mark.real_time
async def test_a_name_server_that_never_answers_does_not_delay_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The thread that asks is left behind."""
    answers = Event()

    def black_hole(*args: Any, **kwargs: Any) -> Any:
        answers.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "too late")

    monkeypatch.setattr(socket, "getaddrinfo", black_hole)
    loop = asyncio.get_running_loop()
    ping = asyncio.create_task(Pinger("https://black.hole.example/x").ping(News.START, ""))
    await asyncio.sleep(0.1)
    began = loop.time()
    ping.cancel()
    await asyncio.wait([ping])
    assert loop.time() - began < 0.5
    answers.set()
    await asyncio.sleep(0.05)


def test_a_pinger_and_its_monitor_show_no_secret() -> None:
    """In a `repr`, say of a traceback's locals."""
    assert _SECRET not in repr(Pinger(Monitor(1).url))
