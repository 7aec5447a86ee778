"""Status and body of an error response -> the error to raise. Pure.

The cloud's error responses are known from other clients' logs (nothing is official): beyond the rate
limit it answers 401 with `max_req`, so a 401 alone does not mean that the key is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from collector.cloud.parse import MAX_PARTS, parse_body
from collector.errors import (
    AnswerError,
    DeviceUnknown,
    KeyRefused,
    RateLimited,
    Rejected,
    SourceError,
    Unavailable,
)

_OK, _UNAUTHORIZED, _TOO_MANY = 200, 401, 429
_REJECTED_CURE = "Check host, id and kind; if they are right, the cloud has changed: update the collector."
_AGAIN_LATER = (408, 425)


def read_answer(
    status: int, data: bytes, retry_after: str | None, date: str | None, most_parts: int = MAX_PARTS
) -> dict[str, Any]:
    """The body of a successful response. Raises `SourceError` for any other, and `AnswerError`.

    `retry_after` and `date` are the headers of these names; `most_parts`: as in `parse_body`.
    """
    wait_s = retry_after_seconds(retry_after, date)
    if status == _OK:
        if not data.lstrip()[:1] == b"{":
            raise Unavailable("the answer is not the cloud's (a captive portal, a proxy or maintenance?)")
        body = parse_body(data, most_parts)
        if body.get("isok", True) is not True:
            raise _named(body, Unavailable("the cloud answered isok=false without a reason"), wait_s)
        return body
    try:
        body = parse_body(data)
    except AnswerError:
        body = {}
    raise _named(body, _by_status(status, wait_s), wait_s)


def _named(body: Mapping[str, Any], otherwise: SourceError, wait_s: float | None) -> SourceError:
    """The error that the body names; `otherwise` if it names no known one."""
    errors = body.get("errors")
    names = set(errors) if isinstance(errors, dict) else set()
    if "max_req" in names:
        return RateLimited("the account's request limit is reached", wait_s)
    if "invalid_auth_key" in names:
        return KeyRefused("the cloud refused the key")
    if "device_not_found" in names:
        return DeviceUnknown("the account does not know the device on this host")
    return otherwise


def _by_status(status: int, wait_s: float | None) -> SourceError:
    if status == _TOO_MANY:
        return RateLimited("the account's request limit is reached", wait_s)
    if status == _UNAUTHORIZED:
        return Unavailable("the cloud answered 401 and did not name the key", wait_s)
    if 300 <= status < 400:
        return Unavailable(f"redirected with {status}, which is never followed", wait_s)
    if 400 <= status < 500 and status not in _AGAIN_LATER:
        return Rejected(f"the cloud answered {status}", cure=_REJECTED_CURE)
    return Unavailable(f"the cloud answered {status}", wait_s)


def retry_after_seconds(retry_after: str | None, date: str | None) -> float | None:
    """The seconds in `Retry-After`: a number, or a date minus that of `Date`; `None` if invalid."""
    if retry_after is None or len(retry_after) > 64:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        return _seconds_between(date, retry_after)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _seconds_between(earlier: str | None, later: str) -> float | None:
    try:
        start, end = (moment_of(text) for text in (earlier or "", later))
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, (end - start).total_seconds())


def moment_of(text: str) -> datetime:
    """The time of an HTTP date. Raises `ValueError`, `TypeError` or `OverflowError`."""
    moment = parsedate_to_datetime(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
