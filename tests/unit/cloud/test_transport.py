"""Client, below HTTP: names, and servers that send whatever they like."""

from __future__ import annotations

import asyncio
import errno
import gzip
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from random import Random
from threading import Event
from typing import Any

import pytest

from collector.cloud.client import CloudClient, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import Pacer, Pacing
from collector.cloud.parse import parse_body
from collector.cloud.retrying import RetryPolicy
from collector.errors import CollectorError, Unavailable
from collector.simulator import Device
from collector.simulator.api import as_json
from tests.support.key_forms import assert_keeps_the_key
from tests.support.stand_in_cloud import EM_ID, KEY, ONCE, raw_answer

_DAY = date(2026, 6, 1)
_METER = Meter("house", EM_ID, solar=False)
_BODY = as_json(raw_answer(Device(EM_ID), _DAY))


async def _requested(url: str, policy: RetryPolicy = ONCE) -> dict[str, Any] | CollectorError:
    """The body that a client gets there, or its error, which does not tell the key."""
    async with open_session() as session:
        client = CloudClient(session, Account("home", url, KEY), Pacer(Pacing()), policy)
        try:
            return dict((await client.fetch_day(_METER, _DAY)).grid)
        except CollectorError as error:
            assert_keeps_the_key(error)
            return error


@asynccontextmanager
async def _sending(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that sends these bytes, one after the other for each request; and what it was sent."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answers[min(len(requests), len(answers)) - 1])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests


def _http(body: bytes = _BODY, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def _said(answer: bytes) -> dict[str, Any] | CollectorError:
    async with _sending(answer) as (url, _):
        return await _requested(url)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "identity", ""])
async def test_a_packed_answer_is_unpacked(encoding: str) -> None:
    """It was not requested; some proxies compress all the same."""
    packed = {"gzip": gzip.compress(_BODY), "deflate": zlib.compress(_BODY)}.get(encoding.lower(), _BODY)
    assert await _said(_http(packed, f"Content-Encoding: {encoding}")) == parse_body(_BODY)


@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 131_072, 2**20 - 2])
async def test_a_packed_answer_of_any_size_is_unpacked_to_its_end(size: int) -> None:
    """Also where a piece ends exactly with it."""
    data = b"{" + b" " * (size - 2) + b"}"
    assert await _said(_http(gzip.compress(data), "Content-Encoding: gzip")) == {}


@pytest.mark.parametrize("lost", [1, 4, 8, 9, 40])
async def test_a_packed_answer_cut_off_is_not_believed(lost: int) -> None:
    """Without its checksum nobody knows what is in it, even where the JSON is whole."""
    error = await _said(_http(gzip.compress(_BODY)[:-lost], "Content-Encoding: gzip"))
    assert isinstance(error, Unavailable)
    assert "broke" in error.reason


async def test_a_packed_answer_with_a_flipped_bit_is_not_believed() -> None:
    """A wrong number would come out."""
    packed = bytearray(gzip.compress(_BODY))
    packed[-20] ^= 4
    assert isinstance(await _said(_http(bytes(packed), "Content-Encoding: gzip")), Unavailable)


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "zstd", "x"])
async def test_an_encoding_that_was_not_requested_is_an_outage(encoding: str) -> None:
    """Something stands in between."""
    error = await _said(_http(_BODY, f"Content-Encoding: {encoding}"))
    assert isinstance(error, Unavailable)
    assert "encoding" in error.reason


async def test_one_megabyte_is_read_and_one_byte_more_is_not() -> None:
    """A day takes four kilobytes."""
    assert await _said(_http(b"{" + b" " * (2**20 - 2) + b"}")) == {}
    error = await _said(_http(b"{" + b" " * (2**20 - 1) + b"}"))
    assert isinstance(error, Unavailable)
    assert "1 MB" in error.reason


async def test_no_cookie_is_kept() -> None:
    """What a portal sets is not carried to the cloud, nor to the next account."""
    answer = _http(_BODY, "Set-Cookie: a=b; Path=/", "Set-Cookie: x=;;")
    async with _sending(answer) as (url, requests), open_session() as session:
        client = CloudClient(session, Account("home", url, KEY), Pacer(Pacing()), ONCE)
        for _ in range(2):
            await client.fetch_day(_METER, _DAY)
        assert len(session.cookie_jar) == 0
    assert len(requests) == 2
    assert not any(b"cookie" in request.lower() for request in requests)


async def test_the_client_says_who_it_is_and_requests_plain_text() -> None:
    """So that the cloud's people can tell whom to write to."""
    async with _sending(_http()) as (url, requests):
        await _requested(url)
    assert b"User-Agent: shelly-collector/" in requests[0]
    assert b"Accept-Encoding: identity" in requests[0]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_a_server_sends_is_a_body_or_an_error_of_ours(seed: int) -> None:
    """Bytes of a proper answer lost, changed, put in: nothing of the library's ever comes out."""
    dice = Random(seed)
    packed = _http(gzip.compress(_BODY), "Content-Encoding: gzip")
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (
        len(_BODY),
        _BODY,
    )
    for _ in range(60):
        answer = bytearray(dice.choice([_http(), packed, chunked, _http(b"", "Location: /x\r\nX: y")]))
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(min(len(answer), dice.choice([60, 120, 4000])))
            answer[at : at + dice.choice([0, 1, 4])] = dice.choice(
                [
                    b"",
                    dice.randbytes(2),
                    b"\r\n",
                    b"\x00",
                    b"-1",
                    b"99999999999999999999",
                    b"HTTP/9.9 ",
                    b": ",
                ]
            )
        assert isinstance(await _said(bytes(answer)), dict | CollectorError)


_HEADER, _HINT = b"X-Filler: " + b"x" * 4_000 + b"\r\n", b"HTTP/1.1 103 Early Hints\r\n\r\n"


@pytest.mark.parametrize("piece", [_HEADER, _HINT], ids=["headers", "hints"])
async def test_headers_without_end_are_an_outage_at_once(piece: bytes) -> None:
    """Some releases of the library read them until the memory is full."""
    start = _HINT + b"HTTP/1.1 200 OK\r\n" if piece == _HEADER else b""
    async with _sending(start + piece * (2**21 // len(piece))) as (url, _):
        error = await _requested(url)
    assert isinstance(error, Unavailable)
    assert asyncio.get_running_loop().time() < 5


# -- Names and connections ----------------------------------------------------------------------------


async def test_a_name_that_does_not_resolve_is_an_outage() -> None:
    """No network, or a typing error in the host."""
    error = await _requested("https://nothing.invalid")
    assert isinstance(error, Unavailable)
    assert "does not resolve" in error.reason


async def test_a_name_that_resolves_is_connected_to() -> None:
    """By the thread's answer."""
    async with _sending(_http()) as (url, _):
        assert isinstance(await _requested(url.replace("127.0.0.1", "localhost")), dict)


async def test_a_name_that_is_no_name_is_an_outage() -> None:
    """A label of more than 63 characters cannot be resolved."""
    assert isinstance(await _requested(f"https://{'a' * 70}.invalid"), Unavailable)


@pytest.mark.real_time
async def test_a_name_server_that_never_answers_delays_neither_a_timeout_nor_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`getaddrinfo` cannot be cancelled: it is left behind, in a thread that nobody waits for."""
    answers = Event()

    def black_hole(*args: Any, **kwargs: Any) -> Any:
        answers.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "too late")

    monkeypatch.setattr(socket, "getaddrinfo", black_hole)
    loop = asyncio.get_running_loop()
    started_at = loop.time()
    async with open_session() as session:
        account = Account("home", "https://black.hole.example", KEY)
        client = CloudClient(session, account, Pacer(Pacing(0.01)), RetryPolicy(attempts=1, timeout_s=0.2))
        with pytest.raises(Unavailable, match=r"within 0\.2 s"):
            await client.fetch_day(_METER, _DAY)
    assert loop.time() - started_at < 2
    answers.set()
    await asyncio.sleep(0.05)  # the thread's late answer is nobody's


async def test_a_port_that_nobody_listens_on_is_an_outage() -> None:
    """Refused."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await _requested(f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert isinstance(error, Unavailable)
    assert error.reason.startswith("no connection: ")


async def test_what_the_system_says_of_a_lost_connection_is_not_passed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bug: the error's own text was told, which is anybody's; the number's meaning is the system's."""

    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)

    def away(*told: Any, **more: Any) -> Any:
        raise OSError(errno.ENETUNREACH, f"no way to ?auth_key={KEY}")

    monkeypatch.setattr(socket, "getaddrinfo", away)
    error = await _requested("https://cloud.example")
    assert isinstance(error, Unavailable)
    assert error.reason == "no connection: Network is unreachable"
