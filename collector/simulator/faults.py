"""What goes wrong: refusals, spoiled answers, broken connections, and which requests they hit."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

from collector.simulator.answers import Answer, Row
from collector.simulator.scenario import Fault
from collector.simulator.wire import Line, Reply

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


def _lists(answer: Answer) -> Iterator[list[Row]]:
    history = answer["history"]
    yield from history if history and isinstance(history[0], list) else [history]
    if "sum" in answer:
        yield answer["sum"]


def _rows(answer: Answer) -> Iterator[Row]:
    for rows in _lists(answer):
        yield from rows


def _measured(answer: Answer) -> list[Row]:
    return [row for row in _rows(answer) if row.get("consumption") is not None]


def _with_value(value: Any) -> Callable[[Answer], bytes]:
    """Puts the value in the place of one `consumption` of every list."""

    def spoil(answer: Answer) -> bytes:
        for rows in _lists(answer):
            measured = [row for row in rows if row.get("consumption") is not None]
            for row in measured[len(measured) // 2 :][:1]:
                row["consumption"] = value
        return as_json(answer)

    return spoil


def _with_text(text: str) -> Callable[[Answer], bytes]:
    """The same with a JSON text that Python's encoder would not write."""
    put = _with_value("<here>")
    return lambda answer: put(answer).replace(b'"<here>"', text.encode())


def _with_top(**values: Any) -> Callable[[Answer], bytes]:
    return lambda answer: as_json({**answer, **values})


def _isok_false(answer: Answer) -> bytes:
    return as_json({"isok": False, "errors": {"internal": "Something went wrong"}, **answer})


def _wrong_types(answer: Answer) -> bytes:
    for row in _measured(answer):
        row["consumption"], row["reversed"] = str(row["consumption"]), [row["reversed"]]
    return as_json(answer)


def _bad_utf8(answer: Answer) -> bytes:
    for row in _measured(answer):
        row["purpose"] = "<here>"
    return as_json(answer).replace(b"<here>", b"\xff\xfe\xc3(")


def _duplicate_keys(answer: Answer) -> bytes:
    return as_json(answer).replace(b'"consumption":', b'"consumption":99999.99,"consumption":')


def _other_day(answer: Answer) -> bytes:
    for row in _rows(answer):
        moved = datetime.fromisoformat(row["datetime"]) - timedelta(days=1)
        is_utc = row["datetime"].endswith("Z")
        row["datetime"] = moved.strftime("%Y-%m-%dT%H:%M:%SZ" if is_utc else "%Y-%m-%d %H:%M:%S")
    return as_json(answer)


def _reordered(answer: Answer) -> bytes:
    for rows in _lists(answer):
        rows.reverse()
    return as_json(answer)


def _shuffled(answer: Answer) -> bytes:
    for rows in _lists(answer):
        rows[:] = rows[1::2] + rows[0::2]
    return as_json(answer)


def _future_data(answer: Answer) -> bytes:
    for row in _rows(answer):
        if row.pop("missing", False):
            row.update(consumption=123.45, reversed=0, cost=0, purpose="other", tariff_id="0")
    return as_json(answer)


def _missing_rows(answer: Answer) -> bytes:
    for rows in _lists(answer):
        del rows[5:8]
    return as_json(answer)


def _extra_row(answer: Answer) -> bytes:
    for rows in _lists(answer):
        rows[-1:] = [row | {"datetime": row["datetime"][:11] + "25:00:00"} for row in rows[-1:]] + rows[-1:]
    return as_json(answer)


def _doubled_row(answer: Answer) -> bytes:
    for rows in _lists(answer):
        rows[12:12] = [dict(row) for row in rows[11:12]]
    return as_json(answer)


def _conflicting_row(answer: Answer) -> bytes:
    for rows in _lists(answer):
        rows[12:12] = [row | {"consumption": 7777} for row in rows[11:12]]
    return as_json(answer)


def _extra_keys(answer: Answer) -> bytes:
    for row in _rows(answer):
        row.update(phase_angle=0.98, note={"nested": [1, None]}, total=1e6)
    return as_json({"version": 3, **answer, "units": {"consumption": "Wh"}})


def _hostile_rows(answer: Answer) -> bytes:
    for row in _rows(answer):
        row.update({"purpose": HOSTILE, "tariff_id": HOSTILE, HOSTILE: HOSTILE})
    return as_json(answer)


def _hostile_stamps(answer: Answer) -> bytes:
    for row in _rows(answer):
        row["datetime"] = HOSTILE
    return as_json(answer)


def _ragged(answer: Answer) -> bytes:
    """One list shorter than the others; of a flat answer, its last row."""
    next(_lists(answer))[-1:] = []
    return as_json(answer)


def _sum_off(answer: Answer) -> bytes:
    rows: list[Row] = answer["sum"] if "sum" in answer else answer["history"]
    for row in rows:
        if row.get("consumption") is not None:
            row["consumption"] += 1000
    return as_json(answer)


def _spaced_out(answer: Answer) -> bytes:
    return b"\n \t" + json.dumps(answer, indent=4).encode("utf-8") + b"\n\n"


TAMPERINGS: dict[str, Callable[[Answer], bytes]] = {
    "isok_false": _isok_false,
    "wrong_types": _wrong_types,
    "boolean": _with_value(value=True),
    "negative": _with_value(-12.5),
    "nan": _with_text("NaN"),
    "infinity": _with_text("-Infinity"),
    "huge_exponent": _with_text("1e999"),
    "huge_int": _with_text("9" * 5000),
    "absurd_value": _with_value(9_000_000_000),
    "deep_nesting": _with_text("[" * 100_000 + "]" * 100_000),
    "bad_utf8": _bad_utf8,
    "bom": lambda answer: b"\xef\xbb\xbf" + as_json(answer),
    "nul_bytes": lambda answer: as_json(answer) + b"\x00" * 64,
    "truncated_json": lambda answer: as_json(answer)[:-40],
    "duplicate_keys": _duplicate_keys,
    "other_day": _other_day,
    "reordered": _reordered,
    "shuffled": _shuffled,
    "future_data": _future_data,
    "missing_rows": _missing_rows,
    "extra_row": _extra_row,
    "doubled_row": _doubled_row,
    "conflicting_row": _conflicting_row,
    "ragged": _ragged,
    "sum_off": _sum_off,
    "extra_keys": _extra_keys,
    "unknown_zone": _with_top(timezone="Mars/Olympus_Mons"),
    "hostile_zone": _with_top(timezone=HOSTILE),
    "wrong_zone": _with_top(timezone="Pacific/Kiritimati"),
    "no_zone": lambda answer: as_json({key: answer[key] for key in answer if key != "timezone"}),
    "wrong_interval": _with_top(interval="day"),
    "no_interval": lambda answer: as_json({key: answer[key] for key in answer if key != "interval"}),
    "no_history": lambda answer: as_json({key: answer[key] for key in answer if key != "history"}),
    "null_history": _with_top(history=None),
    "object_history": _with_top(history={"0": []}),
    "null_rows": _with_top(history=[None, None]),
    "empty_history": _with_top(history=[], sum=[]),
    "hostile_rows": _hostile_rows,
    "hostile_stamps": _hostile_stamps,
    "spaced_out": _spaced_out,
    "bare_null": lambda answer: b"null",
    "bare_list": lambda answer: as_json([answer]),
    "bare_number": lambda answer: b"42",
}
"""By the kind of the fault that plays it. `extra_keys`, `spaced_out` and `bom` are right in substance."""


_BOMB_MIB = 64
_MIB_OF_SPACES = b" " * 1_048_576
_RATE_S = 1.0  # one byte each


async def _reset_before_headers(line: Line, reply: Reply) -> None:
    line.reset()


async def _reset_after_headers(line: Line, reply: Reply) -> None:
    await line.send(reply.head(Content_Length=str(len(reply.body))))
    line.reset()


async def _close_before_headers(line: Line, reply: Reply) -> None:
    line.close()


async def _close_in_headers(line: Line, reply: Reply) -> None:
    await line.send(reply.head()[:40])
    line.close()


async def _close_after_answer(line: Line, reply: Reply) -> None:
    """Says nothing of it, so that the client keeps a dead connection for its next request."""
    await line.send(reply.whole())
    line.close()


async def _truncated_body(line: Line, reply: Reply) -> None:
    await line.send(reply.head(Content_Length=str(len(reply.body) + 100)) + reply.body)
    line.close()


async def _truncated_chunks(line: Line, reply: Reply) -> None:
    await line.send(reply.head(Transfer_Encoding="chunked") + _chunk(reply.body))
    line.close()


async def _stall(line: Line, reply: Reply) -> None:
    await _for_ever()


async def _stall_after_headers(line: Line, reply: Reply) -> None:
    await line.send(reply.head(Content_Length=str(len(reply.body))))
    await _for_ever()


async def _stall_in_body(line: Line, reply: Reply) -> None:
    await line.send(reply.head(Content_Length=str(len(reply.body))) + reply.body[: len(reply.body) // 2])
    await _for_ever()


async def _slow_body(line: Line, reply: Reply) -> None:
    await line.send(reply.head(Content_Length=str(len(reply.body))))
    for place in range(len(reply.body)):
        await line.send(reply.body[place : place + 1])
        await asyncio.sleep(_RATE_S)


async def _slow_headers(line: Line, reply: Reply) -> None:
    for byte in reply.whole():
        await line.send(bytes([byte]))
        await asyncio.sleep(_RATE_S)


async def _endless_body(line: Line, reply: Reply) -> None:
    """A right answer with white space behind it, which JSON allows, and no end."""
    await line.send(reply.head(Transfer_Encoding="chunked") + _chunk(reply.body))
    while True:
        await line.send(_chunk(_MIB_OF_SPACES[:65_536]))
        await asyncio.sleep(0)


async def _endless_headers(line: Line, reply: Reply) -> None:
    await line.send(reply.head()[:-2])
    while True:
        await line.send(b"X-Filler: " + b"x" * 4_000 + b"\r\n")
        await asyncio.sleep(0)


async def _huge_header(line: Line, reply: Reply) -> None:
    await line.send(reply.head(Content_Length=str(len(reply.body)), X_Filler="x" * 200_000) + reply.body)


async def _gzip_bomb(line: Line, reply: Reply) -> None:
    bomb = _bomb(reply.body)
    await line.send(reply.head(Content_Encoding="gzip", Content_Length=str(len(bomb))) + bomb)


async def _gzip_garbage(line: Line, reply: Reply) -> None:
    await line.send(reply.head(Content_Encoding="gzip", Content_Length=str(len(reply.body))) + reply.body)


async def _not_http(line: Line, reply: Reply) -> None:
    await line.send(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n")
    line.close()


async def _for_ever() -> None:
    """Until the client hangs up or the simulator ends: both cancel."""
    await asyncio.get_running_loop().create_future()


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@lru_cache(maxsize=1)
def _bomb(body: bytes) -> bytes:
    """The body and 64 MiB of spaces behind it, some 60 kB on the line."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    return (
        packer.compress(body)
        + b"".join(packer.compress(_MIB_OF_SPACES) for _ in range(_BOMB_MIB))
        + packer.flush()
    )


BREAKAGES: dict[str, Callable[[Line, Reply], Awaitable[None]]] = {
    "reset_before_headers": _reset_before_headers,
    "reset_after_headers": _reset_after_headers,
    "close_before_headers": _close_before_headers,
    "close_in_headers": _close_in_headers,
    "close_after_answer": _close_after_answer,
    "truncated_body": _truncated_body,
    "truncated_chunks": _truncated_chunks,
    "stall": _stall,
    "stall_after_headers": _stall_after_headers,
    "stall_in_body": _stall_in_body,
    "slow_body": _slow_body,
    "slow_headers": _slow_headers,
    "endless_body": _endless_body,
    "endless_headers": _endless_headers,
    "huge_header": _huge_header,
    "gzip_bomb": _gzip_bomb,
    "gzip_garbage": _gzip_garbage,
    "not_http": _not_http,
}
"""By the kind of the fault that plays it; each gets the right answer to spoil."""


KINDS: tuple[str, ...] = (*REFUSALS, ECHO, *REDIRECTS, *TAMPERINGS, *BREAKAGES)
"""Every kind of fault; what each does stands in the module that it comes from."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule can see of a request. `day` is None where `date_from` is no date."""

    account: str | None
    device: str
    channel: str
    day: date | None
    now: datetime


class FaultPlan:
    """The rules of a scenario, and how many requests each has met."""

    def __init__(self, rules: Sequence[Fault]) -> None:
        self._rules = rules
        self._met: Counter[int] = Counter()
        self._played: Counter[int] = Counter()

    def next(self, asked: Asked) -> Fault | None:
        """The fault to play on this request; every rule that names the request counts it."""
        due = [place for place, rule in enumerate(self._rules) if self._is_due(place, rule, asked)]
        if not due:
            return None
        self._played[due[0]] += 1
        return self._rules[due[0]]

    def _is_due(self, place: int, rule: Fault, asked: Asked) -> bool:
        if not _names(rule, asked):
            return False
        self._met[place] += 1
        met = self._met[place]
        if rule.times is not None and self._played[place] >= rule.times:
            return False
        if rule.on_requests:
            return met in rule.on_requests
        return rule.every is None or met % rule.every == 0


def _names(rule: Fault, asked: Asked) -> bool:
    return (
        rule.account in (None, asked.account)
        and rule.device in (None, asked.device)
        and (rule.channel is None or str(rule.channel) == asked.channel)
        and (not rule.days or asked.day in rule.days)
        and (rule.since is None or rule.since <= asked.now)
        and (rule.until is None or asked.now < rule.until)
    )
