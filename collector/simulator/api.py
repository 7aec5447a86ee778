"""The API: from path, key and parameters to an answer or an error; the rate limit. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from aiohttp import web

from collector.simulator import answers, devices
from collector.simulator.answers import Answer, Query
from collector.simulator.scenario import Account, Device, Limit, Scenario


@dataclass(frozen=True, slots=True)
class Reply:
    """A response: status, body and headers; `Date` and `Content-Length` are added when it is sent."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    def with_header(self, name: str, text: str | None) -> Reply:
        """A copy with that header; unchanged if `text` is `None`."""
        return self if text is None else replace(self, headers={**self.headers, name: text})


def as_json(answer: Any) -> bytes:
    """The bytes of an answer as the cloud sends it."""
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()


def refusal(status: int, **errors: str) -> Reply:
    """The error envelope: `{"isok": false, "errors": {name: text}}`."""
    return Reply(status, as_json({"isok": False, "errors": errors}))


MAX_REQ = refusal(401, max_req="Request limit reached!")
TOO_MANY = Reply(429, b"Too Many Requests", {"Content-Type": "text/plain"})
BAD_KEY = refusal(401, invalid_auth_key="Wrong auth key")
DEVICE_NOT_FOUND = refusal(200, device_not_found="Device not found")
WRONG_CHANNEL = refusal(400, wrong_channel="Could not control this relay channel!")
WRONG_PARAMETERS = refusal(400, wrong_params="Wrong parameters!")
NOT_FOUND = Reply(
    404, b"<html><body><h1>404 Not Found</h1></body></html>", {"Content-Type": "text/html; charset=utf-8"}
)

Violation = Literal["too_soon", "overlap"]


class Judge:
    """Enforces an account's rate limit; times are seconds of a monotonic clock."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._in_flight = 0
        self._closed_until = float("-inf")

    def start(self, at: float) -> Violation | None:
        """Whether a request that starts now violates the limit. Every request must be ended."""
        self._in_flight += 1
        if self._limit.style == "none":
            return None
        if self._limit.style == "strict" and self._in_flight > 1:
            return "overlap"
        if at < self._closed_until:
            return "too_soon"
        self._closed_until = at + self._limit.limit_s
        return None

    def end(self, at: float) -> None:
        """Ends a request. Strict: the next one must wait from here, also after a rejection."""
        self._in_flight -= 1
        if self._limit.style == "strict":
            self._closed_until = at + self._limit.limit_s


_STATISTICS = "/v2/statistics/power-consumption"
EM, EM3 = f"{_STATISTICS}/em-1p", f"{_STATISTICS}/em-3p"
PLAIN, OVERALL = _STATISTICS, f"{_STATISTICS}/overall"
PATHS = frozenset({EM, EM3, PLAIN, OVERALL})
"""The paths of GET requests. All others are 404, also the legacy `/statistics/emeter/consumption`."""
DEVICE_LIST, ALL_STATUS = "/interface/device/list", "/device/all_status"


def is_statistics(request: web.BaseRequest) -> bool:
    """Whether the request is one of the statistics API."""
    return request.method == "GET" and request.path in PATHS


def is_of_devices(request: web.BaseRequest) -> bool:
    """Whether the request is one for the account's devices."""
    return request.method in ("GET", "POST") and request.path in (DEVICE_LIST, ALL_STATUS)


async def parameters_of(request: web.BaseRequest) -> Query:
    """The parameters in the address, and those in a form if the request is for devices."""
    if request.method != "POST" or not is_of_devices(request):
        return request.query
    form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
    return {**request.query, **form}


def bearer_of(request: web.BaseRequest) -> str | None:
    """The token of an `Authorization: Bearer` header."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def account_of(scenario: Scenario, request: web.BaseRequest, query: Query) -> Account | None:
    """The account whose key the request carries, as a parameter or as a bearer token."""
    key = query.get("auth_key") or bearer_of(request)
    return next((account for account in scenario.account if account.auth_key == key), None)


def rejection(limit: Limit) -> Reply:
    """The response to a request that violates the rate limit."""
    reply = MAX_REQ if limit.answer == "max_req" else TOO_MANY
    return reply.with_header("Retry-After", limit.retry_after)


def answer(
    scenario: Scenario, account: Account | None, path: str, query: Query, now: datetime
) -> Answer | Reply:
    """The answer, or an error response."""
    if account is None:
        return BAD_KEY
    if path == DEVICE_LIST:
        return NOT_FOUND if account.entries == "gone" else devices.device_list(account)
    if path == ALL_STATUS:
        return NOT_FOUND if account.all_status == "gone" else devices.all_status(account, query)
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
    """The answer of the endpoint of another kind of device; unknown of the real cloud, so an option."""
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
    except ValueError:  # the parameters are no span of time
        return WRONG_PARAMETERS
