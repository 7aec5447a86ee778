"""X5, what is wrong with the other side's TLS: refused as an outage, and not a byte of the key is sent."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.faults import figures
from tests.support.key_forms import AWKWARD_KEY as KEY
from tests.support.processes import environment
from tests.support.scanner import found_in
from tests.support.tls import Authority, Overheard, offering, serving

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")

# In a process of its own: which authorities it trusts is read when the library is loaded.
CLIENT = """
import asyncio, json, os, sys
from datetime import date
from collector.cloud.client import CloudClient, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import Pacer, Pacing
from collector.cloud.retrying import RetryPolicy
from collector.errors import CollectorError

KEY, *URLS = json.loads(sys.argv[1])

async def asked(url):
    async with open_session() as session:
        policy = RetryPolicy(attempts=1, timeout_s=5)
        client = CloudClient(session, Account("home", url, KEY), Pacer(Pacing(0)), policy)
        try:
            meter = Meter("house", "e8db84d2a1b3", solar=False)
            return ["answered", str((await client.fetch_day(meter, date(2026, 6, 1))).grid)]
        except CollectorError as error:
            return [type(error).__name__, str(error)]

def opened():
    return len(os.listdir("/proc/self/fd"))

async def all_asked():
    before = opened()
    ends = [await asked(url) for url in URLS]
    while opened() > before:  # a session is closed before TLS has taken leave
        await asyncio.sleep(0.01)
    return ends

print(json.dumps(asyncio.run(all_asked())))
"""

NAME, STRANGER = "for another name", "an issuer that this machine does not know"
NO_TLS = "no secure connection could be made"
BROKEN = "the connection broke before the answer was whole"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The one that the client trusts."""
    return Authority(tmp_path_factory.mktemp("tls") / "trusted")


def asked(urls: Iterable[str], trusted: Path) -> list[tuple[str, str]]:
    """How the client ended at each address: the error's type, and its text."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, json.dumps([KEY, *urls])],
        capture_output=True, text=True, timeout=60, check=False, env=environment(SSL_CERT_FILE=str(trusted)),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [(kind, text) for kind, text in json.loads(done.stdout)]


def certificates(authority: Authority, folder: Path) -> dict[str, tuple[Path, str]]:
    """Each is wrong in one thing, and signed by the authority that is trusted but where that is the thing.

    With what the reason says of it.
    """
    stranger = Authority(folder / "stranger", "A stranger")
    namesake = Authority(folder / "namesake")
    ending = "DNS:evil-localhost,DNS:x.localhost"
    past, future = ("20200101000000Z", "20200201000000Z"), ("20450101000000Z", "20490101000000Z")
    return {
        "expired": (authority.issue("expired", startdate=past[0], enddate=past[1]), "has expired"),
        "not yet valid": (
            authority.issue("future", startdate=future[0], enddate=future[1]),
            "not valid yet",
        ),
        "of another host": (authority.issue("other", alt="DNS:shelly-12-eu.shelly.cloud"), NAME),
        "of another address": (authority.issue("address", alt="IP:127.0.0.2"), NAME),
        "of a host that only ends alike": (authority.issue("ending", alt=ending), NAME),
        "of a wildcard": (authority.issue("wildcard", alt="DNS:*,DNS:*.localhost"), NAME),
        "for clients": (authority.issue("client", use="clientAuth"), "not valid ("),
        "signed by itself": (authority.sign_itself("itself"), "signed by itself"),
        "of an unknown authority": (stranger.issue("stranger"), STRANGER),
        "of an authority that calls itself like the known one": (namesake.issue("namesake"), STRANGER),
    }


def assert_nothing_was_sent(heard: Overheard, why: str) -> None:
    """The client was there, and neither the line nor what came out of it holds the key or a request."""
    assert heard.connections >= 1, why
    assert heard.plain == b"", why
    assert found_in(bytes(heard.line)) == [], why
    assert b"GET " not in heard.line, why


def test_no_certificate_that_is_wrong_gets_the_key(authority: Authority, tmp_path: Path) -> None:
    """Each is told as what it is: an outage, by its certificate, and by what is wrong with that."""
    sent = 0
    pairs = certificates(authority, tmp_path)
    for why, (pair, reason) in pairs.items():
        with serving(offering(pair)) as heard:
            ((error, text),) = asked([f"https://localhost:{heard.port}"], authority.certificate)
        assert error == "Unavailable", why
        assert "certificate" in text, why
        assert reason in text, (why, text)
        assert_nothing_was_sent(heard, why)
        sent += len(heard.plain)
    figures.note("X5", certificates=len(pairs), bytes_of_requests=sent)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_a_protocol_that_is_broken_is_not_spoken(version: ssl.TLSVersion, authority: Authority) -> None:
    """TLS 1.0 and 1.1 are offered, with a certificate that is right, and refused."""
    pair = authority.issue("old")
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        context = offering(pair, only=version)
    with serving(context) as heard:
        assert lenient_handshake(heard.port, authority.certificate, version) == str(version.name)[:5]
        (outcome,) = asked([f"https://localhost:{heard.port}"], authority.certificate)
    assert outcome == ("Unavailable", NO_TLS)
    assert (heard.connections, heard.handshakes) == (2, 1)
    assert_nothing_was_sent(heard, version.name)


def lenient_handshake(port: int, trusted: Path, version: ssl.TLSVersion) -> str:
    """The version that a careless client gets there: the server does speak it."""
    context = ssl.create_default_context(cafile=str(trusted))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSVersion"):
        context.minimum_version = context.maximum_version = version
    with (
        socket.create_connection(("127.0.0.1", port)) as line,
        context.wrap_socket(line, server_hostname="localhost") as session,
    ):
        return str(session.version())[:5]


@pytest.mark.parametrize(
    ("greeting", "reason"),
    [
        (b"", NO_TLS),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", NO_TLS),
        (b"HTTP/1.1 301 Moved\r\nLocation: http://localhost/\r\n\r\n", NO_TLS),
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", NO_TLS),
        (b"\x15\x03\x01\x00\x02\x02\x28", NO_TLS),  # the alert of a server that wants nothing of it
        (b"\0" * 100, NO_TLS),
    ],
)
def test_who_speaks_no_tls_gets_nothing_in_the_clear(
    greeting: bytes, reason: str, authority: Authority
) -> None:
    """A portal on port 443, or plain HTTP: there is no second try without the encryption."""
    with serving(None, greeting) as heard:
        (outcome,) = asked([f"https://localhost:{heard.port}"], authority.certificate)
    assert outcome == ("Unavailable", reason)
    assert_nothing_was_sent(heard, str(greeting))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_host_that_is_right_gets_the_key_and_is_overheard(
    version: ssl.TLSVersion, authority: Authority
) -> None:
    """By name and by address: a rig that cannot see a key that is sent would show nothing."""
    with serving(offering(authority.issue("right"), only=version)) as heard:
        urls = [f"https://localhost:{heard.port}", f"https://127.0.0.1:{heard.port}"]
        assert asked(urls, authority.certificate) == [("answered", "{}")] * 2
    assert heard.handshakes == 2
    assert found_in(bytes(heard.plain))
    assert found_in(bytes(heard.line)) == []
