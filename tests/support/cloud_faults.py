"""What can go wrong with a request to the simulated cloud: refusals, spoiled answers, broken connections.

A broken connection is bytes that aiohttp refuses to send (half a body, a reset before the first byte, headers
without end). They are written past it, and aiohttp is given a response that counts as sent.
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from aiohttp import web

from collector.simulator.answers import Answer, Row
from collector.simulator.api import (
    BAD_KEY,
    DEVICE_NOT_FOUND,
    MAX_REQ,
    NOT_FOUND,
    TOO_MANY,
    WRONG_CHANNEL,
    Reply,
    as_json,
    refusal,
)
from collector.simulator.server import reset

_HTML = {"Content-Type": "text/html; charset=utf-8"}
_MAINTENANCE = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body>Back soon.</body></html>"

HOSTILE = '\n{"event":"forged"}\r\n\x1b[31m\x00\u202e../../etc/passwd\u2028</script>'
"""A text that no log line, terminal or path may take as it stands."""


REFUSALS: dict[str, Reply] = {
    "max_req": MAX_REQ,
    "too_many_requests": TOO_MANY,
    "bad_key": BAD_KEY,
    "unexplained_401": refusal(401),
    "invalid_token": refusal(
        401,
        invalid_header="Unauthorized! Wrong authorization header provided!",
        invalid_token="The login information is invalid! Please login again!",
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


def lists_of(answer: Answer) -> Iterator[list[Row]]:
    """The lists of rows: one, or those of three phases and their sum."""
    history = answer["history"]
    yield from history if history and isinstance(history[0], list) else [history]
    if "sum" in answer:
        yield answer["sum"]


def _rows(answer: Answer) -> Iterator[Row]:
    for rows in lists_of(answer):
        yield from rows


def _measured(answer: Answer) -> list[Row]:
    return [row for row in _rows(answer) if row.get("consumption") is not None]


def _with_value(value: Any) -> Callable[[Answer], bytes]:
    """Puts the value in the place of one `consumption` of every list."""

    def spoil(answer: Answer) -> bytes:
        for rows in lists_of(answer):
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
    for rows in lists_of(answer):
        rows.reverse()
    return as_json(answer)


def _shuffled(answer: Answer) -> bytes:
    for rows in lists_of(answer):
        rows[:] = rows[1::2] + rows[0::2]
    return as_json(answer)


def _future_data(answer: Answer) -> bytes:
    for row in _rows(answer):
        if row.pop("missing", False):
            row.update(consumption=123.45, reversed=0, cost=0, purpose="other", tariff_id="0")
    return as_json(answer)


def _missing_rows(answer: Answer) -> bytes:
    for rows in lists_of(answer):
        del rows[5:8]
    return as_json(answer)


def _extra_row(answer: Answer) -> bytes:
    for rows in lists_of(answer):
        rows[-1:] = [row | {"datetime": row["datetime"][:11] + "25:00:00"} for row in rows[-1:]] + rows[-1:]
    return as_json(answer)


def _doubled_row(answer: Answer) -> bytes:
    for rows in lists_of(answer):
        rows[12:12] = [dict(row) for row in rows[11:12]]
    return as_json(answer)


def _conflicting_row(answer: Answer) -> bytes:
    for rows in lists_of(answer):
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
    next(lists_of(answer))[-1:] = []
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


ROW_TAMPERINGS = frozenset(
    {
        "wrong_types", "boolean", "negative", "nan", "infinity", "absurd_value", "other_day", "reordered",
        "shuffled", "future_data", "missing_rows", "extra_row", "doubled_row", "conflicting_row", "ragged",
        "sum_off", "extra_keys", "hostile_rows", "hostile_stamps",
    }
)  # fmt: skip
"""Those of `TAMPERINGS` that spoil rows and leave the rest of an answer as it was."""


def spoilt_rows(kind: str, answer: Answer) -> Answer:
    """The answer with that one of `ROW_TAMPERINGS`, not yet as bytes."""
    spoilt: Answer = json.loads(TAMPERINGS[kind](answer))
    return spoilt


class Line(web.StreamResponse):
    """The way past aiohttp: sends what it is given as it stands. As a response, it has been sent already."""

    def __init__(self, request: web.BaseRequest) -> None:
        super().__init__()
        self._asked = request

    @property
    def keep_alive(self) -> bool:
        return self._asked.keep_alive

    async def prepare(self, request: web.BaseRequest) -> None:
        pass

    async def write_eof(self, data: bytes = b"") -> None:
        pass

    async def send(self, data: bytes) -> None:
        """Writes, and waits while the client does not read. `ConnectionError` once it is gone."""
        await self._asked.writer.write(data)

    def close(self) -> None:
        """Ends the connection properly, after what was written."""
        if self._asked.transport is not None:
            self._asked.transport.close()

    def reset(self) -> None:
        """Ends the connection at once, with a TCP reset."""
        reset(self._asked.transport)


def head(reply: Reply, **more: str) -> bytes:
    """Status line and headers, up to and with the empty line."""
    phrase = HTTPStatus(reply.status).phrase
    named = {name.replace("_", "-"): value for name, value in more.items()}
    fields = {"Server": "simulator", **reply.headers, **named}
    lines = [f"HTTP/1.1 {reply.status} {phrase}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def whole(reply: Reply) -> bytes:
    """The proper response."""
    return head(reply, Content_Length=str(len(reply.body))) + reply.body


_BOMB_MIB = 64
_MIB_OF_SPACES = b" " * 1_048_576
_RATE_S = 1.0  # one byte each


async def _reset_before_headers(line: Line, reply: Reply) -> None:
    line.reset()


async def _reset_after_headers(line: Line, reply: Reply) -> None:
    await line.send(head(reply, Content_Length=str(len(reply.body))))
    line.reset()


async def _close_before_headers(line: Line, reply: Reply) -> None:
    line.close()


async def _close_in_headers(line: Line, reply: Reply) -> None:
    await line.send(head(reply)[:40])
    line.close()


async def _close_after_answer(line: Line, reply: Reply) -> None:
    """Says nothing of it, so that the client keeps a dead connection for its next request."""
    await line.send(whole(reply))
    line.close()


async def _truncated_body(line: Line, reply: Reply) -> None:
    await line.send(head(reply, Content_Length=str(len(reply.body) + 100)) + reply.body)
    line.close()


async def _truncated_chunks(line: Line, reply: Reply) -> None:
    await line.send(head(reply, Transfer_Encoding="chunked") + _chunk(reply.body))
    line.close()


async def _stall(line: Line, reply: Reply) -> None:
    await _for_ever()


async def _stall_after_headers(line: Line, reply: Reply) -> None:
    await line.send(head(reply, Content_Length=str(len(reply.body))))
    await _for_ever()


async def _stall_in_body(line: Line, reply: Reply) -> None:
    await line.send(head(reply, Content_Length=str(len(reply.body))) + reply.body[: len(reply.body) // 2])
    await _for_ever()


async def _slow_body(line: Line, reply: Reply) -> None:
    await line.send(head(reply, Content_Length=str(len(reply.body))))
    for place in range(len(reply.body)):
        await line.send(reply.body[place : place + 1])
        await asyncio.sleep(_RATE_S)


async def _slow_headers(line: Line, reply: Reply) -> None:
    for byte in whole(reply):
        await line.send(bytes([byte]))
        await asyncio.sleep(_RATE_S)


async def _endless_body(line: Line, reply: Reply) -> None:
    """A right answer with white space behind it, which JSON allows, and no end."""
    await line.send(head(reply, Transfer_Encoding="chunked") + _chunk(reply.body))
    while True:
        await line.send(_chunk(_MIB_OF_SPACES[:65_536]))
        await asyncio.sleep(0)


async def _endless_headers(line: Line, reply: Reply) -> None:
    await line.send(head(reply)[:-2])
    while True:
        await line.send(b"X-Filler: " + b"x" * 4_000 + b"\r\n")
        await asyncio.sleep(0)


async def _huge_header(line: Line, reply: Reply) -> None:
    await line.send(head(reply, Content_Length=str(len(reply.body)), X_Filler="x" * 200_000) + reply.body)


async def _gzip_bomb(line: Line, reply: Reply) -> None:
    bomb = _bomb(reply.body)
    await line.send(head(reply, Content_Encoding="gzip", Content_Length=str(len(bomb))) + bomb)


async def _gzip_garbage(line: Line, reply: Reply) -> None:
    await line.send(head(reply, Content_Encoding="gzip", Content_Length=str(len(reply.body))) + reply.body)


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
