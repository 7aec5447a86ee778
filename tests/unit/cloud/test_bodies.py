"""Bodies: what a careless parser would accept is refused, and nothing but an AnswerError comes out."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cloud.parse import parse_body
from collector.errors import AnswerError
from collector.simulator import Device
from collector.simulator.api import as_json
from tests.support.stand_in_cloud import EM3_ID, EM_ID, raw_answer, sample_body, sample_names

_WHOLE = [as_json(raw_answer(Device(EM_ID), date(2026, 6, 1))), *map(sample_body, sample_names())]


def _parsed(data: bytes) -> dict[str, Any] | None:
    """The body, or `None` where it is refused; any other error is the test's failure."""
    try:
        body = parse_body(data)
    except AnswerError as error:
        assert error.field == "body"
        return None
    assert isinstance(body, dict)
    return body


def _all_numbers_are_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_all_numbers_are_finite, value.values()))
    if isinstance(value, list):
        return all(map(_all_numbers_are_finite, value))
    assert not isinstance(value, float)
    return value.is_finite() if isinstance(value, Decimal) else True


def test_numbers_come_as_they_are_written() -> None:
    """Nothing passes through a binary fraction: what the cloud wrote is what is calculated with."""
    body = parse_body(b'{"a": 0.1, "b": 12345678.90, "c": 7, "d": -2.50e1}')
    assert body == {"a": Decimal("0.1"), "b": Decimal("12345678.90"), "c": 7, "d": Decimal(-25)}
    assert isinstance(body["c"], int)


@pytest.mark.parametrize("name", sample_names())
def test_each_sample_is_read_or_refused_as_no_object(name: str) -> None:
    """A known body comes out as plain JSON would have it."""
    plain = json.loads(sample_body(name), parse_float=Decimal)
    assert _parsed(sample_body(name)) == (plain if isinstance(plain, dict) else None)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"<html></html>", "not JSON"),
        (b"null", "not a JSON object"),
        (b"42", "not a JSON object"),
        (b'[{"a": 1}]', "not a JSON object"),
        (b'{"a": 1} x', "not JSON"),
        (b'{"a": 1}\x00\x00', "not JSON"),
        (b'\xef\xbb\xbf{"a": 1}', "not JSON"),
        ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
        (b'{"a": "\xff\xfe\xc3("}', "not UTF-8"),
        (b'{"a": 1, "a": 1}', "a key occurs twice"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "a key occurs twice"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": Infinity}', "Infinity is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b'{"a": 1e999}', "a number out of all range"),
        (b'{"a": 1e-999}', "a number out of all range"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number with too many digits"),
        (b'{"a": 0.' + b"9" * 5000 + b"}", "a number with too many digits"),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "nested too deeply"),
        (b'{"a":' + b"[" * 20_000 + b"]" * 20_000 + b"}", "nested too deeply"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_is_not_strictly_json_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    """The error says what is wrong, and nothing of what the body said."""
    with pytest.raises(AnswerError) as caught:
        parse_body(data)
    assert (caught.value.field, caught.value.reason) == ("body", reason)


def test_no_truncation_of_an_answer_is_an_answer() -> None:
    """A body that ends early is never taken for a shorter one."""
    whole = _WHOLE[0]
    assert [length for length in range(len(whole)) if _parsed(whole[:length]) is not None] == []


def test_no_truncation_of_a_three_phase_answer_is_an_answer() -> None:
    """Nor where the cut lies between two of the lists."""
    whole = as_json(raw_answer(Device(EM3_ID, "3em"), date(2026, 6, 1)))
    assert [length for length in range(0, len(whole), 7) if _parsed(whole[:length]) is not None] == []


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_refused(data: bytes) -> None:
    """Nothing but an `AnswerError` comes out of garbage."""
    _parsed(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=500, deadline=None)
@given(_JSON)
def test_any_json_is_an_object_of_finite_numbers_or_refused(value: Any) -> None:
    """What is let through holds no float, no NaN and no infinity."""
    body = _parsed(json.dumps(value).encode())
    assert body is None or _all_numbers_are_finite(body)


@pytest.mark.parametrize("exponent", ["99999999999999999999", "-99999999999999999999", "1000000000000000000"])
def test_an_exponent_too_large_for_a_decimal_is_refused(exponent: str) -> None:
    """`decimal.InvalidOperation` is no ValueError, and came out of the parser as it was."""
    with pytest.raises(AnswerError, match="out of all range"):
        parse_body(b'{"a": 1e%s}' % exponent.encode())


@settings(max_examples=1000, deadline=None)
@given(
    st.integers(-(10**6), 10**6), st.none() | st.integers(0, 9999), st.none() | st.integers(-(10**21), 10**21)
)
def test_any_json_number_is_finite_or_refused(whole: int, part: int | None, exponent: int | None) -> None:
    """Whatever exponent it has."""
    number = str(whole) + ("" if part is None else f".{part}") + ("" if exponent is None else f"e{exponent}")
    body = _parsed(b'{"a": %s}' % number.encode())
    assert body is None or _all_numbers_are_finite(body)


_SPLICES = [
    b"NaN",
    b"1e999",
    b"1e99999999999999999999",
    b"9" * 5000,
    b"[" * 2000,
    b"\xff",
    b'"',
    b"{",
    b"}",
    b",",
    b"\x00",
]


@pytest.mark.parametrize("seed", range(10))
def test_a_mutated_answer_is_an_object_or_refused(seed: int) -> None:
    """Bytes lost, doubled, changed or put in anywhere: an object of finite numbers, or an `AnswerError`."""
    dice = Random(seed)
    for _ in range(500):
        data = dice.choice(_WHOLE)
        for _ in range(dice.randint(1, 5)):
            at, lost = dice.randrange(len(data)), dice.choice([0, 0, 1, 1, 2, 12])
            copied = data[at : at + dice.randint(1, 200)]
            put = dice.choice(
                [*_SPLICES, dice.randbytes(dice.randint(0, 8)), copied, b"", str(dice.random()).encode()]
            )
            data = data[:at] + put + data[at + lost :]
        body = _parsed(data)
        assert body is None or _all_numbers_are_finite(body)


@pytest.mark.parametrize("piece", [b",[]", b",{}", b",0.5", b",[[[[[[[[]]]]]]]]"])
def test_more_values_than_any_answer_has_are_refused_unread(piece: bytes) -> None:
    """As objects they take a hundred times the bytes that they had on the line."""
    data = b'{"history": [0' + piece * (2**20 // len(piece)) + b"]}"
    with pytest.raises(AnswerError, match="more values than any answer has"):
        parse_body(data)


def test_the_longest_answer_there_can_be_is_read() -> None:
    """Three phases of a day of 25 hours in 16 tariffs."""
    raw = raw_answer(Device(EM3_ID, "3em", tariffs=2), date(2025, 10, 26))
    lists = [rows * 8 for rows in [*raw["history"], raw["sum"]]]
    assert parse_body(as_json(raw | {"history": lists[:3], "sum": lists[3]}))
