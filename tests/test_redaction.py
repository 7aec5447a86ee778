"""A secret never survives, in whatever encoding it comes."""

from __future__ import annotations

import base64
import json
import re
import string
import time
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from collector.redaction import redactor

PRINTABLE = "".join(sorted(set(string.printable) - set(string.whitespace)))
secrets = st.text(st.sampled_from(PRINTABLE), min_size=8, max_size=100)
around = st.text(max_size=12)


def encodings(secret: str) -> list[str]:
    """The secret as the encoders in use write it."""
    lowercase = re.sub("%..", lambda match: match[0].lower(), quote(secret, safe=""))
    return [
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        lowercase,
        urlencode({"auth_key": secret}).partition("=")[2],
        str(URL("https://host/").with_query({"auth_key": secret})).partition("auth_key=")[2],
        json.dumps(secret)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        json.dumps(secret).replace("/", "\\/")[1:-1],
        repr(secret)[1:-1],
        json.dumps(repr(secret))[2:-2],
    ]


@given(secrets, around, around)
@example("********", "***", "***")
@example("\\" * 8, "\\", '"')
@example("a\\\"'/b+c=%41", "", "")
@example("%2525%41", "", "")
def test_no_encoding_of_a_secret_survives(secret: str, before: str, after: str) -> None:
    redact = redactor([secret])
    for form in encodings(secret):
        redacted = redact(before + form + after)
        assert secret not in redacted
        assert form not in redacted


@given(secrets, st.binary(max_size=7), st.binary(max_size=7))
def test_no_base64_of_a_secret_survives_whatever_stands_around_it(
    secret: str, before: bytes, after: bytes
) -> None:
    redact = redactor([secret])
    whole = before + secret.encode() + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for form in (encode(whole).decode(), quote(encode(whole).decode(), safe="")):
            redacted = redact(form)
            assert "***" in redacted
            # At most the characters that it shares with its neighbours are left.
            assert len(redacted) <= len(quote(base64.b64encode(before + after).decode())) + 3 + 3 * 4


@given(st.lists(secrets, max_size=4), st.text())
def test_of_several_secrets_none_survives(several: list[str], text: str) -> None:
    redacted = redactor(several)(text + "".join(several))
    assert not any(secret in redacted for secret in several)


@given(st.text())
def test_text_without_a_secret_stays_as_it_is(text: str) -> None:
    assert redactor(["S3cretKeyThatIsNowhere"])(text) == text
    assert redactor(["S3cret/Key+That=Is.Nowhere"])(text) == text
    assert redactor([])(text) == text


def test_a_secret_of_less_than_four_characters_is_none() -> None:
    assert redactor(["", "a", "abc"])("abc") == "abc"


@pytest.mark.parametrize("secret", ["\\" * 200, '\\"' * 100, "'" * 200, "/" * 200, "%" * 200])
def test_a_hostile_secret_does_not_take_for_ever(secret: str) -> None:
    started = time.process_time()
    redactor([secret])(secret[:-1] * 50 + "\\" * 10_000 + "x")
    assert time.process_time() - started < 2
