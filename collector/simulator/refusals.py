"""Answers that are not the day: the cloud's errors as they were seen, and what stands between."""

from __future__ import annotations

import json
from typing import Any

from collector.simulator.wire import Reply

_HTML = {"Content-Type": "text/html; charset=utf-8"}
_MAINTENANCE = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body>Back soon.</body></html>"

HOSTILE = '\n{"event":"forged"}\r\n\x1b[31m\x00\u202e../../etc/passwd\u2028</script>'
"""A text that no log line, terminal or path may take as it stands."""


def as_json(answer: Any) -> bytes:
    """The bytes of an answer as the cloud writes it."""
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
NOT_FOUND = Reply(404, b"<html><body><h1>404 Not Found</h1></body></html>", _HTML)

REFUSALS: dict[str, Reply] = {
    "max_req": MAX_REQ,
    "too_many_requests": TOO_MANY,
    "bad_key": BAD_KEY,
    "unexplained_401": refusal(401),
    "invalid_token": refusal(
        401,
        invalid_header="Unauthorized! Wrong authorization header provided!",
        invalid_token="The login information is invalid! Please login again!",  # noqa: S106  a text, no token
    ),
    "bare_401": Reply(401, b"", {}),
    "device_not_found": DEVICE_NOT_FOUND,
    "device_not_found_400": refusal(400, device_not_found="Device not found"),
    "device_not_found_404": refusal(404, device_not_found="Device not found"),
    "wrong_channel": WRONG_CHANNEL,
    "hostile_error": refusal(400, **{HOSTILE: HOSTILE}),
    "hostile_401": refusal(401, **{HOSTILE: HOSTILE}),
    "errors_list": Reply(401, as_json({"isok": False, "errors": ["Unauthorized", None]})),
    "errors_text": Reply(400, as_json({"isok": False, "errors": "Bad request"})),
    "forbidden_403": Reply(403, b"<html><body>Forbidden</body></html>", _HTML),
    "path_gone": NOT_FOUND,
    "status_500": Reply(500, b"Internal Server Error", {"Content-Type": "text/plain"}),
    "status_502": Reply(502, b"<html><body>Bad Gateway</body></html>", _HTML),
    "status_503": Reply(503, _MAINTENANCE, _HTML),
    "status_504": Reply(504, b"", {}),
    "maintenance": Reply(200, _MAINTENANCE, _HTML),
    "empty_body": Reply(200, b""),
}
"""By the kind of the fault that plays it."""

ECHO = "echoed_key"
"""A refusal that says what was asked for, key and all, as gateways do."""

REDIRECTS = {f"redirect_{status}": status for status in (301, 302, 303, 307, 308)}
"""A captive portal: `Location` leads to the simulator's trap on another origin."""
