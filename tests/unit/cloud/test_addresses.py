"""Client, between a name and a connection: hosts with several addresses, some of which lead nowhere."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cloud.client import CloudClient, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import Pacer, Pacing
from collector.errors import SourceError, Unavailable
from collector.net import Address, NoConnection, first_of, in_turn, in_words
from collector.service.notify import News, Pinger
from tests.support.addresses import AS_IPV6, deaf, port_of, resolving
from tests.support.certificates import certificate
from tests.support.faulty_cloud import FaultyCloud
from tests.support.key_forms import assert_keeps_the_key
from tests.support.stand_in_cloud import EM_ID, KEY, ONCE, cloud, with_fault
from tests.support.statuses import monitor
from tests.support.world import cloud_of, world

_DAY = date(2026, 6, 1)
_METER = Meter("house", EM_ID, solar=False)
_LIMIT_S, _PACE_S = ONCE.timeout_s, Pacing().min_interval_s
_START = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
_PROXIES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """None in the environment, where the test names none."""
    for name in _PROXIES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def simulator() -> AsyncIterator[FaultyCloud]:
    async with FaultyCloud(cloud()) as there:
        yield there


@asynccontextmanager
async def client_at(url: str) -> AsyncIterator[CloudClient]:
    async with open_session() as session:
        yield CloudClient(session, Account("home", url, KEY), Pacer(Pacing()), ONCE)


async def requested(url: str) -> SourceError | None:
    """How one request ends."""
    async with client_at(url) as client:
        try:
            await client.fetch_day(_METER, _DAY)
        except SourceError as error:
            assert_keeps_the_key(error)
            return error
    return None


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def now() -> float:
    return asyncio.get_running_loop().time()


# -- Addresses that lead nowhere ----------------------------------------------------------------------


@pytest.mark.parametrize("nowhere", ["127.0.0.2", AS_IPV6], ids=["IPv4", "IPv6"])
async def test_a_day_is_collected_though_the_first_address_leads_nowhere(
    nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the one limit of a request was waited for there, and no other address was tried, for ever."""
    async with world(cloud_of(), tmp_path, _START) as here:
        port = port_of(here.cloud.url)
        here.accounts = [
            {
                "name": "home",
                "host": f"http://localhost:{port}",
                "auth_key": here.cloud.scenario.account[0].auth_key,
                "meter": list(here.meters),
            }
        ]
        with deaf(port, "127.0.0.2"):
            resolving(monkeypatch, nowhere, "127.0.0.1")
            began = now()
            report = await here.backfill(1, retry={"attempts": 1})
        assert now() - began < _LIMIT_S
        assert here.cloud.counts.total.requests == 4
    assert not report.failures
    assert (here.folder() / "2026-06-14.jsonl").exists()


async def test_each_of_four_addresses_gets_its_turn(
    simulator: FaultyCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three lead nowhere; one request, one connection that is of use, and nothing is left of the others."""
    port = port_of(simulator.url)
    with deaf(port, "127.0.0.2", "127.0.0.3", "127.0.0.4"):
        resolving(monkeypatch, "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1")
        opened, began = descriptors(), now()
        assert await requested(f"http://cloud.example:{port}") is None
        assert now() - began < _PACE_S + 3.5
    assert simulator.counts.total.requests == 1
    await asyncio.sleep(0.1)
    assert descriptors() <= opened
    assert len(asyncio.all_tasks()) <= 2  # the test's and the simulator's


async def test_an_address_that_refuses_costs_no_time(
    simulator: FaultyCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next is tried at once."""
    resolving(monkeypatch, "127.0.0.2", "127.0.0.1")
    began = now()
    assert await requested(f"http://cloud.example:{port_of(simulator.url)}") is None
    assert now() - began < _PACE_S + 0.5


async def test_a_single_address_has_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the reason says that there was no connection, not that there was no answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        port = free.getsockname()[1]
    with deaf(port, "127.0.0.2"):
        resolving(monkeypatch, "127.0.0.2")
        began = now()
        error = await requested(f"http://cloud.example:{port}")
    assert now() - began >= _LIMIT_S
    assert isinstance(error, Unavailable)
    assert error.reason == "no connection within 30 s"
    assert "online" in error.cure


async def test_a_tls_handshake_that_stalls_does_not_use_up_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is taken there and nothing more is said, as by a line that loses large packets."""
    shown = certificate(tmp_path)
    context = ssl.create_default_context(cafile=str(shown.file))
    get = aiohttp.ClientSession.get
    monkeypatch.setattr(aiohttp.ClientSession, "get", lambda *told, **more: get(*told, ssl=context, **more))
    requests: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        writer.close()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    left = asyncio.Event()
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=shown.server_context()) as server:
        port = server.sockets[0].getsockname()[1]
        async with await asyncio.start_server(say_nothing, "127.0.0.2", port):
            resolving(monkeypatch, "127.0.0.2", "127.0.0.1")
            began = now()
            assert await requested(f"https://localhost:{port}") is None
            assert now() - began < _PACE_S + 1.5
            await left.wait()
    assert len(requests) == 1


async def test_the_family_that_worked_is_tried_first_from_then_on(
    simulator: FaultyCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead IPv6 costs a second once, and not with each request of a backfill."""
    port = port_of(simulator.url)
    with deaf(port, "127.0.0.2"):
        resolving(monkeypatch, AS_IPV6, "127.0.0.1")
        async with client_at(f"http://cloud.example:{port}") as client:
            await client.fetch_day(_METER, _DAY)
            assert client.unreached() == {"IPv6": "no answer"}
            began = now()
            for _ in range(3):
                await client.fetch_day(_METER, _DAY)
            assert now() - began < 3 * _PACE_S + 0.5


async def test_a_ping_goes_the_way_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its ten seconds."""
    async with monitor() as told:
        port = port_of(told.url)
        with deaf(port, "127.0.0.2"):
            resolving(monkeypatch, "127.0.0.2", "127.0.0.1")
            assert await Pinger(told.url.replace("127.0.0.1", "localhost")).ping(News.SUCCESS, "good")
    assert len(told.pings) == 1


async def test_a_request_that_is_cancelled_leaves_no_attempt_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop while two addresses are waited for."""
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        port = free.getsockname()[1]
    with deaf(port, "127.0.0.2", "127.0.0.3"):
        resolving(monkeypatch, "127.0.0.2", "127.0.0.3")
        opened = descriptors()
        task = asyncio.create_task(requested(f"http://cloud.example:{port}"))
        await asyncio.sleep(5)
        task.cancel()
        began = now()
        await asyncio.wait([task])
        assert now() == began
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert descriptors() <= opened
    assert task.cancelled()


class Made:
    """A connection, as far as it matters here."""

    def __init__(self) -> None:
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True


async def test_two_connections_made_at_once_are_one_and_the_other_is_closed() -> None:
    """Nobody would ever close it."""
    made: list[Made] = []

    async def attempt(address: Address) -> Made:
        await asyncio.sleep(address["takes_s"])
        made.append(Made())
        return made[-1]

    won = await first_of(attempt, [{"takes_s": 2.0}, {"takes_s": 1.0}])
    assert now() == 2.0
    assert [each.is_closed for each in made].count(True) == len(made) - 1 == 1
    assert not won.is_closed


# -- What is said where no address works --------------------------------------------------------------


async def test_a_failure_of_every_address_says_what_is_wrong_with_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One refuses at once, and the other one says nothing."""
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        port = free.getsockname()[1]
    with deaf(port, "127.0.0.2"):
        resolving(monkeypatch, AS_IPV6, "127.0.0.1")
        error = await requested(f"http://cloud.example:{port}")
    assert isinstance(error, Unavailable)
    assert error.reason == "no connection within 30 s: Connection refused over IPv4, no answer over IPv6"


def test_two_families_that_fail_in_two_ways_are_both_in_the_reason() -> None:
    """And in one word where they fail alike."""
    failures = {"IPv6": "Network is unreachable", "IPv4": "Connection refused"}
    words = in_words(NoConnection(failures))
    assert words == "no connection: Connection refused over IPv4, Network is unreachable over IPv6"


async def test_where_all_refuse_the_reason_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a single address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        resolving(monkeypatch, "::ffff:127.0.0.1", "127.0.0.1")
        error = await requested(f"http://cloud.example:{unused.getsockname()[1]}")
    assert isinstance(error, Unavailable)
    assert error.reason == "no connection: Connection refused"


@pytest.mark.parametrize("name", _PROXIES)
async def test_where_only_a_proxy_leads_out_the_reason_says_that_none_is_used(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused, unresolved or without an answer; and nothing of the proxy's address, maybe a password."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        plain = await requested(url)
        monkeypatch.setenv(name, "http://me:hunter2@proxy.example:3128")
        errors = [await requested(url), await requested("https://nothing.invalid")]
        with deaf(unused.getsockname()[1], "127.0.0.2"):
            resolving(monkeypatch, "127.0.0.2")
            errors.append(await requested(url.replace("127.0.0.1", "cloud.example")))
    assert plain is not None
    assert "proxy" not in plain.reason
    for error in errors:
        assert error is not None
        assert "proxy, which is not used" in error.reason
        assert "directly" in error.cure
        assert "hunter2" not in error.reason + error.cure
        assert "proxy.example" not in error.reason + error.cure


# -- Names --------------------------------------------------------------------------------------------


async def test_a_name_is_looked_up_once_for_all_who_ask_within_ten_seconds(
    simulator: FaultyCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with each new connection of a backfill; and a moved host is found within ten seconds."""
    simulator.play(with_fault("close_after_answer"))
    names = resolving(monkeypatch, "127.0.0.1")
    async with client_at(f"http://cloud.example:{port_of(simulator.url)}") as client:
        for expected in (1, 1, 2):
            await asyncio.gather(*(client.fetch_day(_METER, _DAY) for _ in range(2)))
            assert len(names) == expected
            await asyncio.sleep(6)


async def test_a_name_that_did_not_resolve_is_looked_up_again(
    simulator: FaultyCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage is over as soon as the name server is back."""

    def away(*args: Any, **more: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "not now")

    async with client_at(f"http://cloud.example:{port_of(simulator.url)}") as client:
        monkeypatch.setattr(socket, "getaddrinfo", away)
        with pytest.raises(Unavailable, match="does not resolve"):
            await client.fetch_day(_METER, _DAY)
        resolving(monkeypatch, "127.0.0.1")
        await client.fetch_day(_METER, _DAY)


async def test_a_look_up_that_fails_when_nobody_waits_any_more_is_nobodys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its error would be logged as one that nobody looked at."""
    complaints: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))

    def away(*args: Any, **more: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "too late")

    monkeypatch.setattr(socket, "getaddrinfo", away)
    task = asyncio.create_task(requested("https://cloud.example"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.sleep(1)
    gc.collect()
    assert complaints == []


_FAMILIES = st.sampled_from([socket.AF_INET, socket.AF_INET6])


@given(
    families=st.lists(_FAMILIES, min_size=1, max_size=8), first=st.none() | _FAMILIES, turn=st.integers(0, 50)
)
def test_every_address_has_its_turn_and_families_alternate(
    families: list[int], first: int | None, turn: int
) -> None:
    """None twice, none left out; the preferred family first, and each of its addresses once is the first."""
    addresses = [{"host": number, "family": int(family)} for number, family in enumerate(families)]
    order = in_turn(addresses, first, turn)
    assert sorted(each["host"] for each in order) == list(range(len(families)))
    assert order[0]["family"] == (first if first in families else families[0])
    shorter = min(families.count(each) for each in set(families)) if len(set(families)) > 1 else 0
    pairs = [{one["family"], other["family"]} for one, other in pairwise(order)]
    assert all(len(pair) == 2 for pair in pairs[: max(0, 2 * shorter - 1)])
    of_first = families.count(order[0]["family"])
    firsts = {in_turn(addresses, order[0]["family"], turn + more)[0]["host"] for more in range(of_first)}
    assert len(firsts) == of_first
