"""X2, redirects of all five kinds, wherever they lead: none is followed, and the key goes nowhere else."""

from __future__ import annotations

from datetime import UTC, date, datetime
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest

from collector.cloud.client import CloudClient, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import Pacer, Pacing
from collector.cloud.retrying import RetryPolicy
from collector.errors import Unavailable
from collector.service.notify import News, Pinger
from tests.faults import figures
from tests.faults.recording import Recorder, recording
from tests.support.cloud_faults import REDIRECTS
from tests.support.faulty_cloud import Fault
from tests.support.key_forms import AWKWARD_KEY as KEY
from tests.support.scanner import found_in
from tests.support.world import DEVICE, cloud_of, world

STATUSES = sorted(REDIRECTS.values())
METER = Meter("house", DEVICE, solar=False, timezone="Europe/Dublin")
DAY = date(2026, 6, 1)
START = datetime(2026, 6, 3, 14, 30, tzinfo=UTC)

# `here` is the server itself, `there` another one on the same machine.
TARGETS = {
    "to http on another port": "http://127.0.0.1:{there}/?back=",
    "to another host": "http://localhost:{there}/login?url=",
    "to another host, without a scheme": "//localhost:{there}/login?url=",
    "to https on another port": "https://localhost:{there}/?back=",
    "with a user name": "http://cloud@localhost:{there}/?url=",
    "to the same address": "http://127.0.0.1:{here}/v2/again?was=",
    "to the same host, by a path": "/v2/again?was=",
    "to a path beside": "again?was=",
    "to a file": "file:///etc/passwd?",
    "to nowhere": "",
}


def _redirect(status: int, target: str, here: int, there: int, head: bytes) -> bytes:
    """The answer that leads there; the address that was asked for behind it, as portals do it."""
    asked = head.split(b" ")[1] if target else b""
    location = target.format(here=here, there=there).encode() + asked
    phrase = HTTPStatus(status).phrase.encode()
    return b"HTTP/1.1 %d %s\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, phrase, location)


async def _redirected(status: int, target: str) -> tuple[Recorder, Recorder, str]:
    """The two servers after two questions (a day, and totals) that were redirected, and what was said."""
    said = ""
    async with recording(lambda head: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as there:

        def answer(head: bytes) -> bytes:
            return _redirect(status, target, here.port, there.port, head)

        async with recording(answer) as here, open_session() as session:
            account = Account("home", f"http://127.0.0.1:{here.port}", KEY)
            client = CloudClient(session, account, Pacer(Pacing()), RetryPolicy(attempts=1))
            for question in (
                client.fetch_day(METER, DAY),
                client.fetch_span(METER, DAY, START.date(), "day"),
            ):
                with pytest.raises(Unavailable, match=f"redirected with {status}, which is never") as caught:
                    await question
                said += f"{caught.value!r}\n"
        return here, there, said


async def test_no_redirect_is_followed_wherever_it_leads() -> None:
    """Two questions are two requests, each with the key, to the host of the account alone."""
    requests = elsewhere = 0
    for status in STATUSES:
        for target in TARGETS.values():
            here, there, said = await _redirected(status, target)
            assert len(here.requests) == here.connections == 2, (status, target)
            assert not any(b"again" in line for line in here.requests)
            assert found_in(bytes(here.received))  # else it would show nothing that it is not elsewhere
            assert there.connections == 0, (status, target)
            assert found_in(said.encode()) == []
            requests += len(here.requests)
            elsewhere += len(there.received)
    assert elsewhere == 0
    figures.note(
        "X2", redirects=requests, kinds=len(STATUSES), targets=len(TARGETS), bytes_elsewhere=elsewhere
    )


@pytest.mark.parametrize("kind", REDIRECTS)
async def test_a_portal_never_sees_the_key_of_a_whole_backfill(kind: str, tmp_path: Path) -> None:
    """Every attempt of it meets the portal of the simulated cloud, whose trap stays empty."""
    scenario = cloud_of(key=KEY, fault=(Fault(kind),))
    async with world(scenario, tmp_path, START) as here:
        report = await here.backfill(3)
        assert isinstance(report.gave_up, Unavailable)
        counts = here.cloud.counts
        assert counts.total.requests == report.requests > 1
        assert (counts.trap_hits, counts.trap_keys, counts.total.keys_outside_query) == (0, 0, 0)


@pytest.mark.parametrize("status", STATUSES)
async def test_a_ping_is_not_redirected_either(status: int) -> None:
    """Its address is a secret, too."""
    async with recording(lambda head: b"") as there:

        def answer(head: bytes) -> bytes:
            return _redirect(status, "http://localhost:{there}/?url=", 0, there.port, head)

        async with recording(answer) as here:
            assert not await Pinger(f"http://127.0.0.1:{here.port}/secret").ping(News.SUCCESS, "good")
        assert (here.connections, there.connections) == (1, 0)


@pytest.mark.parametrize("status", STATUSES)
async def test_a_client_that_follows_is_noticed(status: int) -> None:
    """The library left to itself brings the key there: a rig that cannot fail shows nothing."""
    async with recording(lambda head: b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as there:

        def answer(head: bytes) -> bytes:
            return _redirect(status, TARGETS["to http on another port"], 0, there.port, head)

        async with (
            recording(answer) as here,
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{here.port}/", params={"auth_key": KEY}) as response,
        ):
            assert response.status == 200
    assert there.connections == 1
    assert found_in(bytes(there.received))
