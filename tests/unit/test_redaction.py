"""A secret never survives, in whatever encoding it comes."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import string
import time
from urllib.parse import quote, quote_plus, unquote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from collector.redaction import redactor

PRINTABLE = "".join(sorted(set(string.printable) - set(string.whitespace)))
secrets = st.text(st.sampled_from(PRINTABLE + " é€"), min_size=8, max_size=100)
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
        html.escape(secret),
    ]


@given(secrets, around, around)
@example("********", "***", "***")
@example("\\" * 8, "\\", '"')
@example("a\\\"'/b+c=%41", "", "")
@example("%2525%41", "", "")
@example("per centé\\€\\\\'", "", "")
def test_no_encoding_of_a_secret_survives(secret: str, before: str, after: str) -> None:
    redact = redactor([secret])
    for form in encodings(secret):
        redacted = redact(before + form + after)
        assert secret not in redacted
        assert form not in redacted


@given(secrets, st.binary(max_size=7), st.binary(max_size=7))
@example("0000000€", b"\0\0\0\0\0?\0", b"\0\0\0>\xf8")  # much of what is left is quoted
def test_no_base64_of_a_secret_survives_whatever_is_around_it(
    secret: str, before: bytes, after: bytes
) -> None:
    redact = redactor([secret])
    whole = before + secret.encode() + after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for form in (encode(whole).decode(), quote(encode(whole).decode(), safe="")):
            redacted = redact(form)
            assert "***" in redacted
            # At most the characters that it shares with its neighbours are left, and other padding.
            assert len(unquote(redacted)) <= len(base64.b64encode(before + after)) + len("***") + 4


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
    assert redactor(["abcd"])("abcde") == "***e"


def test_a_secret_within_another_does_not_save_the_rest_of_it() -> None:
    """The longer one is replaced first, whatever their order in the alphabet."""
    for short, long in [
        ("secret12", "secret12-and-more"),
        ("zzzz1234", "aaaazzzz1234"),
        ("zz=/", "aaaazz=/"),
    ]:
        assert redactor([short, long])(f"<{long}> <{short}>") == "<***> <***>"


@pytest.mark.parametrize("before", [b"", b"a", b"ab", b"abc"])
def test_of_base64_only_the_secret_is_taken(before: bytes) -> None:
    """The characters that belong to its neighbours alone stay, and none of its own do."""
    secret, after = "S3cretKey", b"xyz"
    text = base64.b64encode(before + secret.encode() + after).decode()
    shared = -(-len(before) * 8 // 6)
    last = (len(before) + len(secret)) * 8 // 6
    assert redactor([secret])(text) == f"{text[:shared]}***{text[last:]}"


def test_a_short_secret_is_not_searched_for_in_base64() -> None:
    """What is left of one of seven characters could be anybody's."""
    text = base64.b64encode(b"abcdefg, abcdefgh").decode()
    assert redactor(["abcdefg"])(text) == text
    assert redactor(["abcdefgh"])(text) != text


@pytest.mark.parametrize(
    ("secret", "form"),
    [
        ("abc&def1", "abc&amp;def1"),
        ("abc&def1", "abc&#38;def1"),
        ("abc<def1", "abc&lt;def1"),
        ("abc>def1", "abc&gt;def1"),
        ('abc"def1', "abc&quot;def1"),
        ('abc"def1', "abc&#34;def1"),
        ("abc'def1", "abc&#x27;def1"),
        ("abc'def1", "abc&#39;def1"),
        ("abc<def1", r"abc\u003cdef1"),
        ("abc<def1", r"abc\\u003Cdef1"),
        (r"abc\<def", r"abc\\\u003cdef"),
        ("/abc\ndef", "%2Fabc%0Adef"),
        ("abc/def1", r"abc\/def1"),
        ("abc def1", "abc+def1"),
        ("abc'def1", r"abc\'def1"),
        ("key\udce9ÿkey", r"key\udce9\u00ffkey"),
        ("key\udce9ÿkey", "key%ED%B3%A9%C3%BFkey"),
    ],
)
def test_each_way_of_writing_a_character_is_known(secret: str, form: str) -> None:
    """HTML's, JSON's, a URL's; also of bytes that were no text."""
    assert redactor([secret])(f"({form})") == "(***)"


@pytest.mark.parametrize("text", [r"abc\/def1", r"abc\=def1", "abc+def1", "abcXXdef1", "abc&amp;def1"])
def test_what_is_no_way_of_writing_a_secret_stays(text: str) -> None:
    """A line is of use only where not everything is blotted out."""
    assert redactor(["abc=def1"])(text) == text


@pytest.mark.parametrize("secret", ["\\" * 200, '\\"' * 100, "'" * 200, "/" * 200, "%" * 200])
def test_a_hostile_secret_does_not_take_for_ever(secret: str) -> None:
    started = time.process_time()
    redactor([secret])(secret[:-1] * 50 + "\\" * 40_000 + "x")
    assert time.process_time() - started < 2


def test_a_secret_within_one_of_other_characters_does_not_save_the_rest_of_it() -> None:
    """As a key within an address."""
    redact = redactor(["ABCDEFGH", "https://host/ABCDEFGH/fail", "0123ABCDEFGH"])
    assert redact("<https://host/ABCDEFGH/fail 0123ABCDEFGH ABCDEFGH>") == "<*** *** ***>"


@pytest.mark.parametrize("more", [[], ["https://hc-ping.com/0c1f0000-0000-0000"]])
def test_a_thousand_secrets_cost_a_line_hardly_more_than_one(more: list[str]) -> None:
    """Bug: up to 2 ms for each text in a line, which was most of what a thousand accounts cost."""
    keys = [hashlib.sha512(str(number).encode()).hexdigest() for number in range(1000)]
    redact = redactor([*keys, *more])
    line = json.dumps({"timestamp": "2026-03-20T14:35:00.000Z", "event": "day.written", "meter": "house"}) * 2
    began = time.thread_time()
    for _ in range(500):
        assert redact(line) == line
    assert time.thread_time() - began < 0.1
    assert redact(f"x{keys[500]}y") == "x***y"
