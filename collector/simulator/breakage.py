"""Connections that break, stall or never end: what goes over the line in place of a proper answer."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from functools import lru_cache

from collector.simulator.wire import Line, Reply

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
