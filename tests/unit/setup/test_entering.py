"""Host and key as people paste them: cleaned, or refused with a sentence that names the cause."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.setup.entering import host_entered, key_entered

HOST = "shelly-12-eu.shelly.cloud"
KEY = "MTIzNDU2dWlk" + "0A1B2C3D4E5F" * 6


@pytest.mark.parametrize(
    "text",
    [
        HOST,
        f"https://{HOST}",
        f"HTTPS://{HOST.upper()}/",
        f"http://{HOST}",
        f"  {HOST}\t",
        f"\u00a0{HOST}\u200b",
        f"\ufeff{HOST}",
        f'"{HOST}"',
        f"“https://{HOST}”,",
        f"<https://{HOST}>",
        f"{HOST}.",
        f"{HOST}:6022/jrpc",
        f"https://{HOST}/device/status?id=1&auth_key={KEY}",
        f"Server: {HOST}",
        f"Server URI https://{HOST}",
        f"host = '{HOST}'",
        "shelly-12-eu",
    ],
)
def test_a_server_is_found_in_whatever_was_pasted(text: str) -> None:
    assert host_entered(text) == f"https://{HOST}"


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:8765", "http://localhost:8765/", "http://127.0.0.1:8765/x?y"]
)
def test_a_simulator_keeps_its_port(text: str) -> None:
    assert re.fullmatch(r"http://(127\.0\.0\.1|localhost):8765", host_entered(text))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "Nothing was entered"),
        ('""', "Nothing was entered"),
        ("\u00a0\u200b", "Nothing was entered"),
        ("me@example.org", "e-mail"),
        (KEY, "looks like the key"),
        ("https://my.shelly.cloud/", "web page"),
        ("control.shelly.cloud", "web page"),
        ("shelly.cloud", "first part"),
        ("http://example.org", "unencrypted"),
        ("http://example.org", "server. It must begin with https://: http:// would"),
        ("ftp://example.org", "server. It must begin with https://, or with the name"),
        ("12", "This is not a server. It is not an IP address"),
        ("my server", "This is not a server. It must be plain ASCII"),
        ("https://me@example.org", "user name"),
    ],
)
def test_what_is_no_server_is_refused_with_its_cause(text: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause) as caught:
        host_entered(text)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("text", [KEY, f" {KEY}\n", f"\u00a0{KEY}\u00a0", f"\u200b{KEY}\ufeff"])
def test_a_key_is_taken_without_what_cannot_be_seen(text: str) -> None:
    assert key_entered(text) == KEY


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "empty"),
        (f'"{KEY}"', "the quotes around it"),
        (f"auth_key={KEY}", "before it"),
        (f"{KEY[:40]} {KEY[40:]}", "spaces"),
        (f"{KEY[:40]}\u00a0{KEY[40:]}", "spaces"),
        ("hunter2", "not a key: .*This has 7 characters. The password of the app is not the key"),
        ("My-Password-of-the-app!2026", "The password of the app is not the key"),
        ("correct horse", "The password of the app is not the key"),
        ("me@example.org", "The password of the app is not the key"),
        (HOST, "This is the server"),
        (f"https://{HOST}/", "This is the server"),
        (f"https://{HOST}/device/status?auth_key={KEY}&id=1", "the address around it"),
    ],
)
def test_what_is_no_key_is_refused_with_its_cause_and_is_not_shown(text: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause) as caught:
        key_entered(text)
    shown = str(caught.value)
    assert KEY[:40] not in shown
    assert not text or text.strip() not in shown


@given(
    st.sampled_from(["", "https://", "http://", "HTTPS://"]),
    st.sampled_from(["", "/", "/a/b", "?auth_key=x", ":443", ":6022/jrpc"]),
    st.text(alphabet=" \t\u00a0\u200b\ufeff\"'“”<>,;", max_size=5),
    st.text(alphabet=" \t\u00a0\u200b\ufeff\"'“”<>,;", max_size=5),
)
def test_any_wrapping_gives_the_same_server(scheme: str, path: str, before: str, after: str) -> None:
    assert host_entered(f"{before}{scheme}{HOST}{path}{after}") == f"https://{HOST}"


@given(st.text(max_size=60) | st.text(alphabet="shely.cloud-12:/@?#", max_size=60))
def test_any_text_is_a_base_url_or_is_refused_in_a_sentence(text: str) -> None:
    """No path, no query, no user name: the key is sent there."""
    try:
        url = host_entered(text)
    except ValueError as error:
        assert str(error).endswith((".", ")"))
        return
    assert re.fullmatch(r"https?://[a-z0-9.-]+(:\d+)?|https?://\[[0-9a-f:]+\](:\d+)?", url)


@given(st.text(max_size=120), st.sampled_from([host_entered, key_entered]))
def test_no_refusal_has_more_than_one_line(text: str, entered: Callable[[str], str]) -> None:
    """It is printed to a terminal."""
    try:
        entered(text)
    except ValueError as error:
        assert str(error).isprintable()
