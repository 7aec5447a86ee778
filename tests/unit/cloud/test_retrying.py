"""Retrying: what is tried again, how often, and after how long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from collector.cloud.retrying import RetryPolicy, retried
from collector.errors import (
    RETRYABLE,
    AnswerError,
    CollectorError,
    DeviceUnknown,
    KeyRefused,
    RateLimited,
    Rejected,
    SourceError,
    Unavailable,
)

_STEADY = RetryPolicy(attempts=4, wait_initial_s=2, wait_max_s=60, wait_jitter_s=0)
Told = list[tuple[str, int, float]]


class _Source:
    """Fails as told, one error an attempt, and then answers."""

    def __init__(self, *errors: BaseException) -> None:
        self._errors = list(errors)
        self.requested_at: list[float] = []

    async def __call__(self) -> str:
        self.requested_at.append(asyncio.get_running_loop().time())
        if self._errors:
            raise self._errors.pop(0)
        return "answer"

    @property
    def waits(self) -> list[float]:
        return [round(b - a, 6) for a, b in pairwise(self.requested_at)]


def _noting(told: Told) -> Callable[[SourceError, int, float], None]:
    return lambda error, attempts, wait_s: told.append((error.reason, attempts, wait_s))


async def test_an_answer_is_not_requested_twice() -> None:
    """Nothing to retry, nothing to tell."""
    told: Told = []
    source = _Source()
    assert await retried(_STEADY, _noting(told), source) == "answer"
    assert (len(source.requested_at), told) == (1, [])


@pytest.mark.parametrize("error", [kind("x") for kind in RETRYABLE], ids=lambda error: type(error).__name__)
async def test_what_may_pass_is_tried_again(error: SourceError) -> None:
    """Outages and rate limits."""
    assert await retried(_STEADY, _noting([]), _Source(error)) == "answer"


@pytest.mark.parametrize(
    "error",
    [
        KeyRefused("x"),
        DeviceUnknown("x"),
        Rejected("x"),
        AnswerError("body", "x"),
        ValueError("x"),
        SourceError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_what_does_not_pass_is_raised_at_once(error: Exception) -> None:
    """Retryable errors are listed; everything else comes out as it came."""
    source = _Source(error)
    with pytest.raises(type(error)) as caught:
        await retried(_STEADY, _noting([]), source)
    assert caught.value is error
    assert len(source.requested_at) == 1


@pytest.mark.parametrize("attempts", [1, 2, 4, 7])
async def test_no_more_attempts_than_the_policy_allows(attempts: int) -> None:
    """The last error comes out as it came, not wrapped."""
    errors = [Unavailable(f"outage {number}") for number in range(attempts + 3)]
    source = _Source(*errors)
    with pytest.raises(Unavailable) as caught:
        await retried(RetryPolicy(attempts=attempts), _noting([]), source)
    assert caught.value is errors[attempts - 1]
    assert len(source.requested_at) == attempts


async def test_waits_double_up_to_the_longest() -> None:
    """2, 4, 8, 10, 10 seconds where the longest is 10."""
    source = _Source(*(Unavailable("outage") for _ in range(5)))
    await retried(RetryPolicy(6, 2, 10, 0), _noting([]), source)
    assert source.waits == [2, 4, 8, 10, 10]


async def test_jitter_is_added_and_no_more() -> None:
    """So that a thousand collectors do not come back in step."""
    source = _Source(*(Unavailable("outage") for _ in range(4)))
    await retried(RetryPolicy(5, 2, 60, 3), _noting([]), source)
    assert all(wait <= got <= wait + 3 for wait, got in zip([2, 4, 8, 16], source.waits, strict=True))
    assert source.waits != [2, 4, 8, 16]


async def test_no_wait_after_a_rate_limit() -> None:
    """The pacer holds the whole account off; waiting here as well would hold it off twice."""
    source = _Source(RateLimited("max_req", 30), RateLimited("max_req"))
    await retried(_STEADY, _noting([]), source)
    assert source.waits == [0, 0]


async def test_an_outage_that_names_its_end_is_waited_for() -> None:
    """`Retry-After` of a 503, up to the longest wait that the policy allows."""
    source = _Source(Unavailable("503", 30), Unavailable("503", 1), Unavailable("503", 1e9))
    await retried(_STEADY, _noting([]), source)
    assert source.waits == [30, 4, 60]


async def test_each_further_attempt_is_reported_before_its_wait() -> None:
    """The error, the attempts so far, the seconds until the next one; the end is not told here."""
    told: Told = []
    source = _Source(Unavailable("one"), RateLimited("two"), Unavailable("three"), Unavailable("four"))
    with pytest.raises(Unavailable, match="four"):
        await retried(_STEADY, _noting(told), source)
    assert told == [("one", 1, 2), ("two", 2, 0), ("three", 3, 8)]


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), KeyboardInterrupt()], ids=["cancelled", "interrupt"]
)
async def test_a_stop_is_not_retried(error: BaseException) -> None:
    """tenacity's negated predicates would."""
    source = _Source(error)

    with pytest.raises(type(error)) as caught:
        await retried(_STEADY, _noting([]), source)
    assert caught.value is error
    assert len(source.requested_at) == 1


async def test_a_stop_during_the_wait_ends_it() -> None:
    """At once, not when the wait is over."""
    source = _Source(Unavailable("outage"))
    task = asyncio.create_task(retried(RetryPolicy(4, 50, 60, 0), _noting([]), source))
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() == pytest.approx(1)
    assert len(source.requested_at) == 1


def test_once_changes_nothing_but_the_attempts() -> None:
    """How a source that is down is probed."""
    policy = RetryPolicy(7, 1, 2, 3, 4)
    assert policy.once() == RetryPolicy(1, 1, 2, 3, 4)


async def test_once_asks_once() -> None:
    """And does not wait."""
    source = _Source(Unavailable("outage"))
    with pytest.raises(CollectorError):
        await retried(RetryPolicy().once(), _noting([]), source)
    assert (len(source.requested_at), asyncio.get_running_loop().time()) == (1, 0)
