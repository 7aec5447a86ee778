"""The statistics API: paths, keys and parameters to an answer or a refusal; its rate limit. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Literal

from aiohttp import web

from collector.simulator import answers
from collector.simulator.answers import Answer, Query
from collector.simulator.faults import BAD_KEY, DEVICE_NOT_FOUND, WRONG_CHANNEL, WRONG_PARAMETERS
from collector.simulator.scenario import Account, Device, Limit, Scenario
from collector.simulator.wire import Reply

Violation = Literal["too_soon", "overlap"]


class Judge:
    """Sees each request of an account start and end; times are seconds on any steady clock."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._in_flight = 0
        self._shut_until = float("-inf")

    def start(self, at: float) -> Violation | None:
        """Judges a request that starts now. A rejected one must be ended like any other."""
        self._in_flight += 1
        if self._limit.style == "none":
            return None
        if self._limit.style == "strict" and self._in_flight > 1:
            return "overlap"
        if at < self._shut_until:
            return "too_soon"
        self._shut_until = at + self._limit.limit_s
        return None

    def end(self, at: float) -> None:
        """The answer has left. Strict: the gap counts from here, whatever the answer said."""
        self._in_flight -= 1
        if self._limit.style == "strict":
            self._shut_until = at + self._limit.limit_s


_STATISTICS = "/v2/statistics/power-consumption"
EM, EM3 = f"{_STATISTICS}/em-1p", f"{_STATISTICS}/em-3p"
PLAIN, OVERALL = _STATISTICS, f"{_STATISTICS}/overall"
PATHS = frozenset({EM, EM3, PLAIN, OVERALL})
"""What the cloud answers by GET. All else is 404, and so is the legacy `/statistics/emeter/consumption`."""


def key_of(request: web.BaseRequest) -> str | None:
    """The key that the request carries: a parameter, or a bearer token."""
    return request.query.get("auth_key") or bearer_of(request)


def bearer_of(request: web.BaseRequest) -> str | None:
    """The token of an `Authorization: Bearer` header."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def account_of(scenario: Scenario, key: str | None) -> Account | None:
    """Whose key that is."""
    return next((account for account in scenario.account if account.auth_key == key), None)


def day_of(query: Query) -> date | None:
    """The local day that `date_from` names."""
    try:
        return datetime.fromisoformat(query.get("date_from", "")).date()
    except ValueError:
        return None


def answer(
    scenario: Scenario, account: Account | None, path: str, query: Query, now: datetime
) -> Answer | Reply:
    """What the cloud says when nothing goes wrong with it: the day, or why not."""
    if account is None:
        return BAD_KEY
    if path == OVERALL:
        return _checked(lambda: answers.overall(account, query, scenario, now))
    device = next((each for each in account.device if each.id == query.get("id")), None)
    if device is None:
        return DEVICE_NOT_FOUND
    channel = query.get("channel", "0")
    if channel not in {str(number) for number in range(device.channels)}:
        return WRONG_CHANNEL
    if path == PLAIN:
        return _checked(lambda: answers.plain(device, int(channel), query, scenario, now))
    if (path == EM) != (device.kind == "em"):
        return _other_type(device, query, scenario, now)
    if path == EM:
        return _checked(lambda: answers.em(device, int(channel), query, scenario, now))
    return _checked(lambda: answers.em3(device, query, scenario, now))


def _other_type(device: Device, query: Query, scenario: Scenario, now: datetime) -> Answer | Reply:
    """Asked at the endpoint of another kind of device: nobody knows what comes, so it is an option."""
    if device.other_type == "error":
        return WRONG_PARAMETERS
    if device.other_type == "empty":
        return {"timezone": device.timezone, "interval": "hour", "history": []}
    if device.kind == "em":
        return _checked(lambda: answers.em(device, 0, query, scenario, now))
    return _checked(lambda: answers.em3(device, query, scenario, now))


def _checked(render: Callable[[], Answer]) -> Answer | Reply:
    try:
        return render()
    except ValueError:  # the parameters name no span of time
        return WRONG_PARAMETERS
