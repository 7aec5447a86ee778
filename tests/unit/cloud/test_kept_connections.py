"""Client: connections are kept, a request is sent once, and a kept connection that is lost costs a turn."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from collector.cloud.client import CloudClient, RequestPolicy, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import Pacer, Pacing, Turn
from collector.cloud.parse import parse_body
from collector.cloud.retrying import RetryPolicy
from collector.errors import CalledOff, Unavailable
from collector.simulator import Device
from collector.simulator.api import as_json
from tests.support.addresses import deaf, port_of, resolving
from tests.support.certificates import Certificate, certificate
from tests.support.dropping_server import DroppingServer, Manner, Point, dropping_server, open_sockets
from tests.support.stand_in_cloud import EM_ID, KEY, raw_answer

_DAY = date(2026, 6, 1)
_METER = Meter("house", EM_ID, solar=False)
_BODY = as_json(raw_answer(Device(EM_ID), _DAY))
_GAP_S, _LEAST_GAP_S = 1.05, 1.0
_KEPT_S = 15.0
_MOST = Pacing().max_in_flight


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What the server shows where it speaks TLS."""
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(params=["plain", "TLS"])
async def server(
    request: pytest.FixtureRequest, shown: Certificate, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DroppingServer]:
    """With TLS, and without."""
    if request.param == "plain":
        context = None
    else:
        context = shown.server_context()
        trusting = ssl.create_default_context(cafile=str(shown.file))
        get = aiohttp.ClientSession.get
        monkeypatch.setattr(
            aiohttp.ClientSession, "get", lambda *told, **more: get(*told, ssl=trusting, **more)
        )
    async with dropping_server(_BODY, context) as there:
        yield there


class _Watched(Pacer):
    """Calls `on_turn` as each turn begins: nothing can be noticed between that and the sending."""

    on_turn: Callable[[], None] = staticmethod(lambda: None)

    @asynccontextmanager
    async def turn(self, *told: Any, **more: Any) -> AsyncIterator[Turn]:
        async with super().turn(*told, **more) as turn:
            self.on_turn()
            yield turn


class _Client(CloudClient):
    """A client that notes what was retried with a back-off."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.retries: list[str] = []
        self.watched = _Watched(Pacing(_GAP_S))
        super().__init__(
            session,
            Account("home", url, KEY),
            self.watched,
            RetryPolicy(),
            lambda error, attempts, wait_s: self.retries.append(error.reason),
        )

    async def fetch(self, count: int = 1) -> None:
        """So many requests, one after the other."""
        for _ in range(count):
            assert (await self.fetch_day(_METER, _DAY)).grid == parse_body(_BODY)

    async def fetch_at_once(self, count: int) -> None:
        """So many requests, as far as the pacer has them at once."""
        await asyncio.gather(*(self.fetch() for _ in range(count)))


@asynccontextmanager
async def _client_of(server: DroppingServer) -> AsyncIterator[_Client]:
    """A client, which leaves no socket behind."""
    opened = open_sockets()
    async with open_session() as session:
        yield _Client(session, server.url)
    await asyncio.sleep(2)
    assert open_sockets() == opened
    assert not server.open


def _assert_paced(server: DroppingServer, client: _Client) -> None:
    """Each request that arrived had a turn of its own."""
    assert len(server.arrivals) <= client.pacer.requests
    assert all(after - before >= _LEAST_GAP_S for before, after in pairwise(server.arrivals))


# -- Keeping ------------------------------------------------------------------------------------------


async def test_a_hundred_requests_take_no_more_connections_than_were_under_way_at_once(
    server: DroppingServer,
) -> None:
    """One, if each answer is there before the next turn; else as many as the pacer has in flight."""
    async with _client_of(server) as client:
        await client.fetch(100)
        assert server.connections == 1
        server.latency_s = 10.0
        await client.fetch_at_once(100)
        assert server.connections == _MOST
        _assert_paced(server, client)


async def test_a_connection_is_closed_when_it_was_idle_for_fifteen_seconds(server: DroppingServer) -> None:
    """Each by its own time: the service has none between its hourly requests."""
    async with _client_of(server) as client:
        server.latency_s = 3.0
        await client.fetch_at_once(3)
        await asyncio.sleep(_KEPT_S - 2 * _GAP_S - 0.5)
        assert len(server.open) == 3
        for left in (2, 1, 0):
            await asyncio.sleep(_GAP_S)
            assert len(server.open) == left
        assert server.connections == 3


async def test_a_connection_that_is_used_again_in_time_is_kept_on(server: DroppingServer) -> None:
    """Its fifteen seconds begin anew."""
    async with _client_of(server) as client:
        for _ in range(5):
            await client.fetch()
            await asyncio.sleep(_KEPT_S - 1)
        assert server.connections == 1
        assert len(server.open) == 1


_ANSWERS = [
    b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
]


async def test_the_end_does_not_wait_for_a_server_that_hangs(server: DroppingServer) -> None:
    """With TLS it would have to answer the farewell. A stop takes five seconds at most."""
    async with open_session() as session:
        client = _Client(session, server.url)
        await client.fetch()
        server.hang()
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 1


@pytest.mark.parametrize("unrequested", _ANSWERS, ids=["408", "200", "a part", "no HTTP"])
async def test_what_comes_on_an_idle_connection_is_no_answer(
    server: DroppingServer, unrequested: bytes
) -> None:
    """It would pass for the answer to the next request, and each answer for the one to the request after."""
    async with _client_of(server) as client:
        await client.fetch()
        server.push(unrequested)
        await client.fetch(2)
        assert client.retries == []
        _assert_paced(server, client)


# -- Dropping -----------------------------------------------------------------------------------------

_BROKEN = [Point.ON_REQUEST, Point.IN_HEADERS, Point.AFTER_HEADERS, Point.IN_BODY]


@pytest.mark.parametrize("manner", Manner)
@pytest.mark.parametrize("point", _BROKEN)
@pytest.mark.parametrize("kept", [1, 3])
async def test_a_request_whose_kept_connection_is_dropped_is_sent_again_in_the_next_turn(
    server: DroppingServer, kept: int, point: Point, manner: Manner
) -> None:
    """Once, on a new connection, whatever else is kept; it is no outage, and no back-off begins."""
    async with _client_of(server) as client:
        server.latency_s = 4.0
        await client.fetch_at_once(kept)
        assert server.connections == kept
        server.latency_s, server.point, server.manner = 0.0, point, manner
        await asyncio.sleep(_GAP_S)
        began = asyncio.get_running_loop().time()
        await client.fetch()
        assert asyncio.get_running_loop().time() - began == pytest.approx(_GAP_S, abs=0.05)
        assert len(server.arrivals) == client.pacer.requests == kept + 2
        assert server.connections == kept + 1
        assert not server.open
        assert client.retries == []
        _assert_paced(server, client)


@pytest.mark.parametrize("manner", Manner)
@pytest.mark.parametrize("kept", [1, 3])
async def test_a_request_that_never_arrives_on_a_dropped_connection_is_sent_in_the_next_turn(
    server: DroppingServer, kept: int, manner: Manner
) -> None:
    """The drop and the request pass each other. Nothing is sent behind the pacer's back."""
    async with _client_of(server) as client:
        server.latency_s = 4.0
        await client.fetch_at_once(kept)
        server.latency_s, server.manner = 0.0, manner
        client.watched.on_turn = server.drop_all
        await asyncio.sleep(_GAP_S)
        began = asyncio.get_running_loop().time()
        await client.fetch()
        assert asyncio.get_running_loop().time() - began == pytest.approx(_GAP_S, abs=0.05)
        assert len(server.arrivals) == kept + 1
        assert client.pacer.requests == kept + 2
        assert client.retries == []
        _assert_paced(server, client)


@pytest.mark.parametrize("manner", Manner)
async def test_connections_that_are_dropped_while_they_are_idle_cost_nothing(
    server: DroppingServer, manner: Manner
) -> None:
    """It is noticed in time: one request, on a new connection."""
    async with _client_of(server) as client:
        server.latency_s = 4.0
        await client.fetch_at_once(3)
        server.latency_s, server.manner = 0.0, manner
        server.drop_all()
        await asyncio.sleep(_GAP_S)
        await client.fetch()
        assert len(server.arrivals) == client.pacer.requests == 4
        assert client.retries == []


@pytest.mark.parametrize("manner", Manner)
@pytest.mark.parametrize("idle_s", [0.0, 1.0, _GAP_S])
async def test_a_server_that_closes_after_each_answer_costs_no_back_off(
    server: DroppingServer, idle_s: float, manner: Manner
) -> None:
    """At once, after a second, or just when the next request is sent."""
    server.point, server.manner, server.spared, server.idle_s = Point.IDLE, manner, 0, idle_s
    async with _client_of(server) as client:
        await client.fetch(8)
        assert client.retries == []
        assert client.pacer.requests <= 16
        _assert_paced(server, client)


@pytest.mark.parametrize("manner", Manner)
@pytest.mark.parametrize("at_once", [1, 4])
async def test_a_server_that_breaks_each_second_answer_of_a_connection_costs_no_back_off(
    server: DroppingServer, at_once: int, manner: Manner
) -> None:
    """Not even if all lanes meet it: what is sent again is sent on a connection of its own."""
    server.point, server.manner = Point.IN_BODY, manner
    async with _client_of(server) as client:
        if at_once == 1:
            await client.fetch(8)
        else:
            server.latency_s = 3.0
            await client.fetch_at_once(24)
        assert client.retries == []
        assert client.pacer.requests <= 48
        _assert_paced(server, client)


async def test_a_new_connection_that_is_dropped_is_an_outage(server: DroppingServer) -> None:
    """The next attempt waits for the back-off, as ever."""
    server.point, server.spared = Point.ON_REQUEST, 0
    async with _client_of(server) as client:
        task = asyncio.create_task(client.fetch())
        await asyncio.sleep(_GAP_S + 1)
        assert client.retries == ["the connection broke before the answer was whole"]
        assert len(server.arrivals) == 1
        server.point = Point.NEVER
        await task
        assert len(server.arrivals) == 2


async def test_a_new_connection_that_is_dropped_is_an_outage_though_another_is_kept(
    server: DroppingServer,
) -> None:
    """The library would try that one."""
    async with _client_of(server) as client:
        server.latency_s = 3.0
        first = asyncio.create_task(client.fetch())
        await asyncio.sleep(_GAP_S + 0.5)
        server.point, server.spared = Point.ON_REQUEST, 0
        second = asyncio.create_task(client.fetch())
        await first
        await asyncio.sleep(1.5)
        assert len(server.arrivals) == 2
        assert len(client.retries) == 1
        server.point = Point.NEVER
        await second


async def test_a_host_that_is_gone_when_an_unfit_connection_is_replaced_has_no_connection(
    server: DroppingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason names what failed: not the answer, but the way there."""
    port = port_of(server.url)
    resolving(monkeypatch, "127.0.0.1")
    server.url = server.url.replace("127.0.0.1", "localhost")
    async with _client_of(server) as client:
        await client.fetch()
        await asyncio.sleep(_KEPT_S - 2)  # the addresses are looked up again
        resolving(monkeypatch, "127.0.0.2")
        server.push(_ANSWERS[0])
        await asyncio.sleep(0.1)
        with deaf(port, "127.0.0.2"), pytest.raises(Unavailable, match="no connection within 30 s"):
            await client.fetch_day(_METER, _DAY, RequestPolicy(is_probe=True))


async def test_an_answer_that_is_none_on_a_kept_connection_is_an_outage(server: DroppingServer) -> None:
    """The connection is not lost, so what answers there is no cloud."""
    async with _client_of(server) as client:
        await client.fetch()
        server.latency_s = 0.5
        task = asyncio.create_task(client.fetch())
        await asyncio.sleep(_GAP_S + 0.1)
        server.push(_ANSWERS[-1])
        await asyncio.sleep(0.1)
        assert len(client.retries) == 1
        await task


async def test_a_request_that_is_sent_again_comes_before_those_of_other_days(server: DroppingServer) -> None:
    """Its day has begun."""
    async with _client_of(server) as client:
        await client.fetch()
        server.point = Point.ON_REQUEST
        days = [_DAY, _DAY + timedelta(days=1)]
        await asyncio.gather(*(client.fetch_day(_METER, day) for day in days))
    requested = [next(day for day in days if str(day).encode() in each) for each in server.requests[1:]]
    assert requested == [days[0], days[0], days[1]]


async def test_a_probe_that_meets_a_dropped_connection_is_sent_again(server: DroppingServer) -> None:
    """A lost connection that was kept says nothing about the cloud."""
    async with _client_of(server) as client:
        await client.fetch()
        server.point = Point.ON_REQUEST
        await client.fetch_day(_METER, _DAY, RequestPolicy(is_probe=True))
        assert len(server.arrivals) == 3


async def test_what_is_called_off_meanwhile_is_not_sent_again(server: DroppingServer) -> None:
    """An outage began, or the service stops."""
    is_down = False
    async with _client_of(server) as client:
        await client.fetch()
        server.point = Point.ON_REQUEST
        task = asyncio.create_task(
            client.fetch_day(_METER, _DAY, RequestPolicy(is_called_off=lambda: is_down))
        )
        await asyncio.sleep(_GAP_S + 0.5)
        is_down = True
        with pytest.raises(CalledOff):
            await task
        assert len(server.arrivals) == 2
