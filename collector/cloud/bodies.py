"""Bytes of a body -> JSON object, strictly: what a careless parser would accept is refused here."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from collector.errors import AnswerError

_MAX_DIGITS = 40
_MAX_PARTS = 50_000  # three phases of a long day in many tariffs have 20,000; an object takes a hundred bytes


def parse_body(data: bytes) -> dict[str, Any]:
    """The JSON object in `data`. Numbers with a point are `Decimal`; `AnswerError` for anything else."""
    if sum(map(data.count, (b",", b"[", b"{"))) > _MAX_PARTS:
        raise AnswerError("body", "more values than any answer has")
    try:
        body = json.loads(
            data.decode("utf-8"),
            parse_float=_decimal,
            parse_int=_integer,
            parse_constant=_refuse,
            object_pairs_hook=_unique_keys,
        )
    except UnicodeDecodeError as error:
        raise AnswerError("body", "not UTF-8") from error
    except RecursionError as error:
        raise AnswerError("body", "nested too deeply") from error
    except ValueError as error:
        raise AnswerError("body", "not JSON") from error
    if not isinstance(body, dict):
        raise AnswerError("body", "not a JSON object")
    return body


def _decimal(text: str) -> Decimal:
    if len(text) > _MAX_DIGITS:
        raise AnswerError("body", "a number with too many digits")
    try:
        number = Decimal(text)
    except InvalidOperation as error:  # an exponent that even Decimal has no room for
        raise AnswerError("body", "a number out of all range") from error
    if not -50 < number.adjusted() < 50:
        raise AnswerError("body", "a number out of all range")
    return number


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise AnswerError("body", "a number with too many digits")
    return int(text)


def _refuse(constant: str) -> Any:
    raise AnswerError("body", f"{constant} is not a number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise AnswerError("body", "a key occurs twice")
    return found
