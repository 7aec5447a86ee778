"""Where the key may go: every way of writing a host that could mean another one is refused."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.settings.hosts import base_url, is_loopback
from tests.support.hostile_hosts import HOSTILE

ACCEPTED = {
    "shelly-12-eu.shelly.cloud": "https://shelly-12-eu.shelly.cloud",
    "https://shelly-12-eu.shelly.cloud": "https://shelly-12-eu.shelly.cloud",
    "https://shelly-12-eu.shelly.cloud/": "https://shelly-12-eu.shelly.cloud",
    "HTTPS://Shelly-12-EU.shelly.cloud": "https://shelly-12-eu.shelly.cloud",
    "https://shelly-12-eu.shelly.cloud:443": "https://shelly-12-eu.shelly.cloud",
    "https://shelly-12-eu.shelly.cloud:8443": "https://shelly-12-eu.shelly.cloud:8443",
    "shelly-12-eu.shelly.cloud:6022": "https://shelly-12-eu.shelly.cloud:6022",
    "http://127.0.0.1:8080": "http://127.0.0.1:8080",
    "http://127.0.0.1:80": "http://127.0.0.1",
    "http://127.8.9.10": "http://127.8.9.10",
    "http://localhost:5000/": "http://localhost:5000",
    "http://[::1]:8080": "http://[::1]:8080",
    "http://[0:0:0:0:0:0:0:1]": "http://[::1]",
    "localhost": "https://localhost",
    "https://192.168.1.5": "https://192.168.1.5",
    "https://[2001:db8::1]:8443": "https://[2001:db8::1]:8443",
}


@pytest.mark.parametrize(("written", "meant"), ACCEPTED.items())
def test_a_host_becomes_a_base_url(written: str, meant: str) -> None:
    assert base_url(written) == meant


@pytest.mark.parametrize("written", HOSTILE)
def test_a_host_that_could_mean_another_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        base_url(written)


def test_loopback_is_this_machine_and_nothing_that_looks_like_it() -> None:
    assert is_loopback("http://127.0.0.1:8080")
    assert is_loopback("http://[::1]")
    assert is_loopback("https://localhost")
    assert not is_loopback("https://127.0.0.1.evil.com")
    assert not is_loopback("https://localhost.evil.com")
    assert not is_loopback("https://10.0.0.1")


_HOSTISH = st.text(st.sampled_from("lh.o:/@#?%\\[]0127axs-_ \n\t.é。"), max_size=40)


@given(st.one_of(_HOSTISH, _HOSTISH.map("http://".__add__), _HOSTISH.map("https://".__add__), st.text()))
@example("http://localhost:1")
def test_what_is_accepted_means_the_same_to_every_parser(written: str) -> None:
    """Nothing but `ValueError` is raised, and an accepted host is canonical: scheme, host, port."""
    try:
        url = base_url(written)
    except ValueError:
        return
    parts = urlsplit(url)
    assert parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url))
    assert (parts.path, parts.query, parts.fragment, parts.username) == ("", "", "", None)
    assert parts.hostname
    assert parts.hostname in written.lower() or ":" in parts.hostname
    assert url.isascii()
    assert base_url(url) == url
