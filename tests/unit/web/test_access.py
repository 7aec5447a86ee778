"""Who may read the page: names, the password, and what guessing it costs."""

from __future__ import annotations

import asyncio
import base64
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.web.access import MOST_WAIT_S, Guard, is_own_name
from tests.support.service_life import events_in
from tests.support.statuses import page, status_of

PASSWORD = "correct horse"
RIGHT = "Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode()
WRONG = "Basic " + base64.b64encode(b"me:battery staple").decode()


@pytest.mark.parametrize(
    ("header", "is_right"),
    [
        (RIGHT, True),
        (RIGHT.replace("Basic", "basic"), True),
        ("Basic " + base64.b64encode(f":{PASSWORD}".encode()).decode(), True),
        ("Basic " + base64.b64encode(f"a:b:{PASSWORD}".encode()).decode(), False),
        (WRONG, False),
        ("", False),
        ("Basic", False),
        ("Basic !!!", False),
        ("Basic " + base64.b64encode(b"no colon").decode(), False),
        ("Basic " + base64.b64encode(b"me:").decode(), False),
        (f"Bearer {PASSWORD}", False),
        ("Basic Zm9vé", False),
    ],
)
def test_only_the_password_opens_the_page(header: str, is_right: bool) -> None:
    """Under any user name."""
    assert Guard(PASSWORD).is_right("192.168.1.7", header, 0.0) is is_right


def test_a_password_may_have_any_letters() -> None:
    """Browsers send UTF-8, as the challenge asks them to."""
    header = "Basic " + base64.b64encode("ich:pässwörter".encode()).decode()
    assert Guard("pässwörter").is_right("::1", header, 0.0)


def test_the_password_is_not_in_what_is_printed() -> None:
    """In no `repr`."""
    assert PASSWORD not in repr(Guard(PASSWORD))


@given(st.lists(st.floats(0, 30), min_size=1, max_size=300))
def test_guessing_is_slow_however_the_attempts_come(pauses: list[float]) -> None:
    """At most one attempt each 8 seconds is read after the first few, over any number of connections."""
    guard, now, read = Guard(PASSWORD), 0.0, []
    for pause_s in pauses:
        now += pause_s
        wait_s = guard.wait_s("192.168.1.7", now)
        if wait_s <= MOST_WAIT_S:
            read.append(now + wait_s)
            guard.is_right("192.168.1.7", WRONG, now + wait_s)
    for begin in read:
        assert sum(begin <= at < begin + 60 for at in read) <= 5 + 60 / MOST_WAIT_S + 1


def test_many_connections_at_once_guess_no_faster() -> None:
    """Each takes its turn behind the others; most are refused unread."""
    guard = Guard(PASSWORD)
    guard.is_right("192.168.1.7", WRONG, 0.0)
    waits = [guard.wait_s("192.168.1.7", 0.0) for _ in range(100)]
    read = [wait_s for wait_s in waits if wait_s <= MOST_WAIT_S]
    assert len(read) < 20
    assert len(set(read)) == len(read)


def test_a_wrong_password_delays_its_sender_alone_and_not_for_long() -> None:
    """Someone who mistypes waits half a second; others do not; the right one settles it."""
    guard = Guard(PASSWORD)
    guard.is_right("192.168.1.7", WRONG, 0.0)
    assert guard.wait_s("192.168.1.8", 0.0) == 0.0
    assert 0 < guard.wait_s("192.168.1.7", 0.0) <= 0.5
    assert guard.is_right("192.168.1.7", RIGHT, 0.5)
    assert guard.wait_s("192.168.1.7", 0.6) == 0.0
    guard.is_right("192.168.1.7", WRONG, 1.0)
    assert guard.wait_s("192.168.1.7", 2000.0) == 0.0


def test_another_address_of_the_same_network_is_the_same_client() -> None:
    """Of IPv6 a machine has 2 ** 64."""
    guard = Guard(PASSWORD)
    for number in range(6):
        guard.is_right(f"2001:db8::{number:x}", WRONG, 0.0)
    assert guard.wait_s("2001:db8::ffff", 0.0) > 1
    assert guard.wait_s("2001:db8:0:1::1", 0.0) == 0.0
    guard.is_right("::ffff:192.168.1.7", WRONG, 0.0)
    assert guard.wait_s("192.168.1.7", 0.0) > 0


def test_a_flood_of_addresses_takes_no_memory() -> None:
    """The newest 256 are remembered."""
    guard = Guard(PASSWORD)
    for number in range(10_000):
        guard.is_right(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}", WRONG, 0.0)
    assert guard.clients <= 256


@given(st.text(max_size=40).map(lambda text: f"{text}.example"), st.sampled_from(("", ":80", ":x", "]")))
def test_a_name_that_is_not_listed_is_never_ours(name: str, rest: str) -> None:
    """Whatever is in it."""
    assert not is_own_name(name + rest, ("pi.lan",))


async def test_everything_needs_the_password_if_there_is_one(log_lines: io.StringIO) -> None:
    """Also what says nothing about energy: one rule. A browser is asked for it."""
    async with page(log_lines, status_of, password=PASSWORD) as served:
        for path in ("/", "/healthz", "/metrics", "/api/v1/meters", "/static/page.js", "/nothing"):
            refused = await served.ask(path)
            assert (refused.status, refused.headers["www-authenticate"].split()[0]) == (401, "Basic")
            assert "house" not in refused.body
        assert (await served.ask("/healthz", more=f"Authorization: {WRONG}\r\n")).status == 401
        assert (await served.ask("/healthz", more=f"Authorization: {RIGHT}\r\n")).status == 200
    assert PASSWORD not in log_lines.getvalue()
    assert not events_in(log_lines.getvalue(), "library.reported")


async def test_a_guesser_waits_and_is_sent_away(log_lines: io.StringIO) -> None:
    """Also over many connections at once; and someone else reads the page meanwhile."""
    async with page(log_lines, status_of, password=PASSWORD) as served:
        assert (await served.ask("/healthz", more=f"Authorization: {WRONG}\r\n")).status == 401
        asked = [served.ask("/healthz", more=f"Authorization: {WRONG}\r\n") for _ in range(30)]
        began = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*asked)
        assert asyncio.get_running_loop().time() - began > 5
        assert {each.status for each in answers} == {401, 429}
        refused = next(each for each in answers if each.status == 429)
        assert int(refused.headers["retry-after"]) >= 8
        began = asyncio.get_running_loop().time()
        assert (await served.ask("/healthz", more=f"Authorization: {WRONG}\r\n")).status in (401, 429)
        await asyncio.sleep(60)
        assert (await served.ask("/healthz", more=f"Authorization: {RIGHT}\r\n")).status == 200
        assert asyncio.get_running_loop().time() - began < 80


@pytest.mark.parametrize(
    ("host", "status"),
    [("pi.lan", 200), ("PI.LAN:443", 200), ("192.168.1.5", 200), ("evil.example", 403), ("pi.lan.evil", 403)],
)
async def test_a_further_name_is_allowed_by_a_setting(host: str, status: int, log_lines: io.StringIO) -> None:
    """That of a reverse proxy, or of the machine in the home network."""
    async with page(log_lines, status_of, names=("pi.lan",)) as served:
        answer = await served.ask("/healthz", host=host)
    assert answer.status == status
    assert status == 200 or "names" in answer.body
