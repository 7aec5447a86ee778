"""A process that was stopped, or has too much to do, draws no conclusion from its own lateness."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from email.utils import format_datetime
from itertools import pairwise

import pytest

from collector.cloud.client import CloudClient, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import Pacer, Pacing
from collector.cloud.retrying import RetryPolicy
from collector.errors import Unavailable
from tests.support.faulty_cloud import FaultyCloud
from tests.support.stand_in_cloud import EM_ID, KEY, ONCE, client_of, cloud
from tests.support.virtual_time import VirtualTimeLoop

_DAY = date(2026, 6, 1)
_METER = Meter("house", EM_ID, solar=False, timezone="Europe/Dublin")
_SENT_AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


def _loop() -> VirtualTimeLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop


@asynccontextmanager
async def _client(stopped_s: float, *, is_answered: bool = True) -> AsyncIterator[CloudClient]:
    """A client of a cloud that has read each request, and maybe answered it, when all stops for a while."""
    body = b'{"timezone": "Europe/Dublin", "interval": "hour", "history": []}'
    head = f"HTTP/1.1 200 OK\r\nDate: {format_datetime(_SENT_AT, usegmt=True)}\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if is_answered:
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        _loop().jump(stopped_s)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    account = Account("home", f"http://127.0.0.1:{port}", KEY)
    async with server:
        async with open_session() as session:
            yield CloudClient(session, account, Pacer(Pacing(0, 4)), RetryPolicy(attempts=1, timeout_s=30))
        await asyncio.sleep(1)  # until the server has noticed that


async def test_an_answer_that_came_in_time_is_read_by_a_process_that_was_stopped() -> None:
    """Bug: "no answer within 30 s", although it was there: the time limit had run while nothing else did."""
    async with _client(stopped_s=3600) as client:
        answer = await client.fetch_day(_METER, _DAY)
        assert answer.grid["interval"] == "hour"
        assert answer.grid_age_s >= 3600


async def test_an_answer_that_did_not_come_is_still_missed_by_a_process_that_was_stopped() -> None:
    """A stop for an hour counts as a second; the limit ends at the usual time after it."""
    async with _client(stopped_s=3600, is_answered=False) as client:
        with pytest.raises(Unavailable, match="no answer within 30 s"):
            await client.fetch_day(_METER, _DAY)
        assert _loop().time() == pytest.approx(3600 + 30, abs=2)


@pytest.mark.parametrize(("stopped_s", "is_known"), [(20, True), (180, False)])
async def test_an_answer_that_was_read_late_does_not_say_what_time_it_is(
    stopped_s: float, is_known: bool
) -> None:
    """Bug: after three minutes in the socket its `Date` made the right clock of this machine untrusted."""
    async with _client(stopped_s) as client:
        await client.fetch_day(_METER, _DAY)
        assert (client.cloud_now() is not None) is is_known


@pytest.mark.parametrize("turn_s", [0.5, 3, 10, 60])
async def test_a_request_succeeds_however_late_each_turn_of_the_loop_is(turn_s: float) -> None:
    """Bug: with ten seconds a turn each ran into its time limit, and so did all that followed."""
    async with FaultyCloud(cloud()) as server, client_of(server, ONCE) as client:
        _loop().turn_s = turn_s
        await client.fetch_day(_METER, _DAY)
        _loop().turn_s = 0
        assert server.counts.total.requests == 1


async def test_a_process_that_gets_no_processor_time_while_it_sends_keeps_the_gap() -> None:
    """Bug: 0.9 s between two requests: the gap began before the first one left, not after it."""
    pacer, left_at = Pacer(Pacing(1.05, 4)), list[float]()

    async def send() -> None:
        async with pacer.turn() as turn:
            turn.sent()
            _loop().jump(0.2 * (len(left_at) % 2))  # interrupted before the bytes are written
            left_at.append(_loop().time())

    async with asyncio.TaskGroup() as sending:
        for _ in range(5):
            sending.create_task(send())
    assert min(later - earlier for earlier, later in pairwise(left_at)) >= 1.0


@pytest.mark.parametrize("turn_s", [0.3, 0.7, 4])
async def test_a_pacer_that_is_late_does_not_catch_up(turn_s: float) -> None:
    """Requests that could not start in time start no closer to each other afterwards."""
    pacer, left_at = Pacer(Pacing(1.05, 4)), list[float]()

    async def send() -> None:
        async with pacer.turn() as turn:
            turn.sent()
            left_at.append(_loop().time())

    async with asyncio.TaskGroup() as sending:
        for _ in range(30):
            sending.create_task(send())
        _loop().turn_s = turn_s
        await asyncio.sleep(20)
        _loop().turn_s = 0
    assert len(left_at) == 30
    assert min(later - earlier for earlier, later in pairwise(left_at)) >= 1.0
