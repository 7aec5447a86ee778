"""RetryPolicy: how often a request is retried and how long it waits in between, as data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar, cast

from collector.errors import RETRYABLE, RateLimited, SourceError

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")
OnRetry = Callable[[SourceError, int, float], None]
"""Called before each retry with the error, the attempts so far, the seconds until the next one."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How one request is retried. Waits double from `wait_initial_s` to `wait_max_s`, plus jitter."""

    attempts: int = 4
    wait_initial_s: float = 2.0
    wait_max_s: float = 60.0
    wait_jitter_s: float = 1.0
    timeout_s: float = 30.0

    def once(self) -> RetryPolicy:
        """The same without retries, for probes during an outage."""
        return replace(self, attempts=1)


async def retried(
    policy: RetryPolicy,
    on_retry: OnRetry,
    attempt: Callable[[], Awaitable[T]],
    retryable: tuple[type[SourceError], ...] = RETRYABLE,
) -> T:
    """The result of `attempt`, retried on retryable errors only. Raises the last error.

    After a rate limit there is no wait here: the pacer pauses the whole account.
    """
    # Not above: reading the settings, which have a policy, needs no tenacity.
    from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt
    from tenacity.wait import wait_exponential, wait_random

    failures = list[SourceError]()
    try:
        return await attempt()  # usually there is nothing to retry, and what follows costs processor time
    except retryable as error:
        failures.append(error)

    async def attempt_again() -> T:
        if failures:  # the first attempt is over
            raise failures.pop()
        return await attempt()

    doubling = wait_exponential(multiplier=policy.wait_initial_s, max=policy.wait_max_s)
    backoff = doubling + wait_random(0, policy.wait_jitter_s)

    def wait_s(state: RetryCallState) -> float:
        error = _error_of(state)
        if isinstance(error, RateLimited):
            return 0.0
        return max(backoff(state), min(error.retry_after_s or 0.0, policy.wait_max_s))

    def notify(state: RetryCallState) -> None:
        on_retry(_error_of(state), state.attempt_number, wait_s_of(state))

    def wait_s_of(state: RetryCallState) -> float:
        return state.next_action.sleep if state.next_action is not None else 0.0

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(retryable),
        stop=stop_after_attempt(policy.attempts),
        wait=wait_s,
        before_sleep=notify,
        reraise=True,
    )
    return await retrying(attempt_again)


def _error_of(state: RetryCallState) -> SourceError:
    """The error of the attempt: only source errors are retried."""
    return cast(SourceError, state.outcome and state.outcome.exception())
