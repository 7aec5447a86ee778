"""The check of the host: what is wrong with a certificate, or with the way there, and what to do about it.

The handshakes are real, on loopback, with certificates that are wrong in one thing each.
"""

from __future__ import annotations

import shutil
import socket
import ssl
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from collector.cloud.client import CloudClient, look_up, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import Pacer, Pacing
from collector.cloud.retrying import RetryPolicy
from collector.doctor.checks import HOST_CURE, Check, Mark, account_checks
from collector.doctor.probe import AccountResult
from collector.errors import Unavailable
from collector.status import AccountStatus, Failure, MeterStatus, State
from tests.support.addresses import AS_IPV6, deaf, port_of, resolving
from tests.support.examining import NOW, a_status, beside, check, examined, with_service
from tests.support.stand_in_cloud import EM_ID, KEY
from tests.support.tls import Authority, offering, serving
from tests.support.world import KEY as WORLD_KEY
from tests.support.world import cloud_of

_ACCOUNT = Account("home", "https://cloud.example", KEY)
_NOWHERE = "/nowhere/authorities"
_CLOCK = "timedatectl"


def with_its_authority(pair: Path, authority: Authority) -> Path:
    """The certificate of a firewall that inspects TLS: its own authority comes with it."""
    pair.write_bytes(pair.read_bytes() + authority.certificate.read_bytes())
    return pair


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Certificates with their keys, by what is wrong; `known` is the authority that signed most of them."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    folder = tmp_path_factory.mktemp("tls")
    known, stranger = Authority(folder / "known"), Authority(folder / "stranger", "A stranger")
    return {
        "known": known.certificate,
        "nothing": known.issue("right"),
        "issuer": stranger.issue("stranger"),
        "inspected": with_its_authority(stranger.issue("inspected"), stranger),
        "itself": known.sign_itself("itself"),
        "expired": known.issue("expired", startdate="20200101000000Z", enddate="20200201000000Z"),
        "future": known.issue("future", startdate="20450101000000Z", enddate="20490101000000Z"),
        "name": known.issue("name", alt="DNS:shelly-12-eu.shelly.cloud"),
        "address": known.issue("address", alt="IP:127.0.0.2"),
        "purpose": known.issue("purpose", use="clientAuth"),
    }


async def refused(
    monkeypatch: pytest.MonkeyPatch,
    pair: Path,
    file: Path | str,
    folder: Path | str = _NOWHERE,
    name: str = "localhost",
) -> Unavailable:
    """How a request to a server with that certificate ends, on a machine with these authorities."""
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    context = ssl.create_default_context()  # the library's own was made when it was loaded
    get = aiohttp.ClientSession.get
    with serving(offering(pair)) as heard, monkeypatch.context() as patch:
        patch.setattr(aiohttp.ClientSession, "get", lambda *told, **more: get(*told, ssl=context, **more))
        async with open_session() as session:
            account = Account("home", f"https://{name}:{heard.port}", KEY)
            client = CloudClient(session, account, Pacer(Pacing(0.001)), RetryPolicy(attempts=1))
            with pytest.raises(Unavailable) as caught:
                await client.fetch_day(Meter("house", EM_ID, solar=False), date(2026, 6, 1))
    assert heard.plain == b""
    return caught.value


def host_check(trouble: Unavailable | None = None, **heard: Any) -> Check:
    """The check of the host after that."""
    result = AccountResult(_ACCOUNT, [], trouble, **heard)
    return account_checks(_ACCOUNT, result, None, "", 0)["host"]


@pytest.mark.real_time
@pytest.mark.parametrize(
    ("wrong", "reason", "cure"),
    [
        ("issuer", "an issuer that this machine does not know", "without it"),
        ("inspected", "an issuer that this machine does not know", "without it"),
        ("itself", "signed by itself", "Log in"),
        ("expired", "has expired", _CLOCK),
        ("future", "not valid yet", _CLOCK),
        ("name", "for another name", "Compare the host"),
        ("address", "for another name", "Compare the host"),
        ("purpose", "not valid (", HOST_CURE),
    ],
)
async def test_a_certificate_is_refused_with_its_true_cause_and_cure(
    wrong: str, reason: str, cure: str, pairs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: everybody was advised to check the clock."""
    error = await refused(
        monkeypatch, pairs[wrong], pairs["known"], name="127.0.0.1" if wrong == "address" else "localhost"
    )
    assert reason in error.reason
    found = host_check(error)
    assert found.mark is Mark.FAIL
    assert error.reason in found.text
    assert cure in found.cure
    assert (_CLOCK in error.reason + found.cure) is (cure == _CLOCK)
    assert "ca-certificates" not in error.reason + found.cure or wrong in ("issuer", "inspected")


@pytest.mark.real_time
@pytest.mark.parametrize("wrong", ["nothing", "issuer", "inspected"])
async def test_missing_authorities_are_reported_and_not_a_wrong_host(
    wrong: str, pairs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: "is this machine's clock right?". The package ca-certificates is missing on small systems."""
    error = await refused(monkeypatch, pairs[wrong], _NOWHERE)
    assert "this machine has no CA certificates" in error.reason
    assert "install ca-certificates" in error.reason
    assert "apt install ca-certificates" in host_check(error).cure
    assert _CLOCK not in error.reason + host_check(error).cure


@pytest.mark.real_time
async def test_authorities_in_a_folder_are_authorities(
    pairs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As OpenSSL looks them up, one file each, named after a hash; an empty file of many is none."""
    (tmp_path / "file.pem").touch()
    (tmp_path / "README").touch()
    error = await refused(monkeypatch, pairs["issuer"], tmp_path / "file.pem", tmp_path)
    assert "this machine has no CA certificates" in error.reason
    shutil.copy(pairs["known"], tmp_path / "3ad48a91.0")
    error = await refused(monkeypatch, pairs["issuer"], _NOWHERE, f"{_NOWHERE}:{tmp_path}")
    assert "an issuer that this machine does not know" in error.reason


@pytest.mark.parametrize("name", ["https_proxy", "ALL_PROXY"])
async def test_an_environment_with_a_proxy_is_reported_because_none_is_used(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Already where the name does not resolve; and what to do instead. Nothing of the proxy's password."""
    for each in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(each, raising=False)

    def away(*args: Any, **more: Any) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", away)
    with pytest.raises(Unavailable) as plain:
        await look_up(_ACCOUNT, 10)
    monkeypatch.setenv(name, "http://me:hunter2@proxy.example:3128")
    with pytest.raises(Unavailable) as caught:
        await look_up(_ACCOUNT, 10)
    assert "proxy" not in plain.value.reason
    found = host_check(caught.value)
    assert found.mark is Mark.FAIL
    assert "the environment names a proxy, which is not used" in found.text
    assert "reach the host's port 443 directly" in found.cure
    assert "hunter2" not in repr(found)


async def test_the_hosts_failure_in_the_services_status_has_its_own_cure(tmp_path: Path) -> None:
    """While the service is busy no other process sends requests: its reason is as good as ours."""
    failure = Failure("source.unavailable", NOW - 60, "this machine has no CA certificates", "Install them.")
    meters = {"house": MeterStatus(State.GOOD, 90000, answered_at=NOW - 90000)}
    accounts = {"home": AccountStatus(("house",), trouble=failure)}
    async with with_service(tmp_path, a_status(accounts=accounts, meters=meters)) as here:
        found = check(await examined(here), "host")
    assert found.mark is Mark.FAIL
    assert found.cure == "Install them."


async def test_doctor_finds_that_a_family_of_addresses_leads_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IPv6 is announced, and nothing comes back: the day is read all the same."""
    async with beside(cloud_of(), tmp_path) as here:
        port = port_of(here.cloud.url)
        home = {"name": "home", "host": f"http://localhost:{port}", "auth_key": WORLD_KEY}
        here.accounts = [{**home, "meter": list(here.meters)}]
        with deaf(port, "127.0.0.2"):
            resolving(monkeypatch, AS_IPV6, "127.0.0.1")
            found = await examined(here)
    assert check(found, "host").mark is Mark.WARN
    assert "but not over IPv6, or too slowly: no answer" in check(found, "host").text
    assert check(found, "key").mark is Mark.OK


def test_a_family_of_addresses_that_leads_nowhere_is_a_warning() -> None:
    """It works, and should be repaired all the same."""
    found = host_check(answered=True, unreached={"IPv6": "no answer"})
    assert found.mark is Mark.WARN
    assert found.text == "cloud.example resolves, and answers, but not over IPv6, or too slowly: no answer."
    assert "Repair IPv6" in found.cure
    assert host_check(answered=True).mark is Mark.OK
