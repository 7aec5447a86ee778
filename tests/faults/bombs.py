"""Answers that want all memory or all time, as bytes on the line; most have no end."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import chain, repeat

_OK = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_SPACES = b" " * 65_536
_MAX_BODY = 2**20


def _endless(head: bytes, piece: bytes) -> Iterator[bytes]:
    return chain([head], repeat(piece))


def _sized(body: bytes, *headers: bytes) -> Iterator[bytes]:
    lines = b"".join(header + b"\r\n" for header in headers)
    return iter([_OK, lines, b"Content-Length: %d\r\n\r\n" % len(body), body])


def _packed(kind: bytes, wbits: int) -> Iterator[bytes]:
    """A gigabyte of spaces."""
    packer = zlib.compressobj(1, zlib.DEFLATED, wbits)
    yield _OK + b"Content-Encoding: " + kind + b"\r\n\r\n" + packer.compress(b"{")
    yield packer.compress(_SPACES * 16)
    for _ in range(1024):
        yield packer.compress(_SPACES * 16)
    yield packer.flush()


def _with_number(text: bytes) -> Iterator[bytes]:
    row = b'{"datetime": "2026-06-01 00:00:00", "reversed": 0, "consumption": %s}' % text
    return _sized(b'{"timezone": "Europe/Dublin", "interval": "hour", "history": [%s]}' % row)


def _filled(start: bytes, piece: bytes, end: bytes) -> Iterator[bytes]:
    """A body of just below the limit of 1 MB."""
    return _sized(start + piece * ((_MAX_BODY - len(start) - len(end)) // len(piece)) + end)


BOMBS: dict[str, Callable[[], Iterator[bytes]]] = {
    "gzip": lambda: _packed(b"gzip", 31),
    "deflate": lambda: _packed(b"deflate", 15),
    "endless body": lambda: _endless(_OK + b"\r\n{", _SPACES),
    "endless body of a claimed size": lambda: _endless(_OK + b"Content-Length: %d\r\n\r\n" % 10**15, _SPACES),
    "endless chunks": lambda: _endless(_CHUNKED, b"10000\r\n" + _SPACES + b"\r\n"),
    "endless small chunks": lambda: _endless(_CHUNKED, b"1\r\n \r\n" * 10_000),
    "one endless chunk": lambda: _endless(_CHUNKED + b"FFFFFFFFFFFFFFF\r\n", _SPACES),
    "endless chunk extension": lambda: _endless(_CHUNKED + b"1;", b"x" * 65_536),
    "endless trailers": lambda: _endless(_CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-Filler: y\r\n" * 5_000),
    "endless headers": lambda: _endless(_OK, b"X-Filler: " + b"x" * 4_000 + b"\r\n"),
    "endless small headers": lambda: _endless(_OK, b"X: y\r\n" * 10_000),
    "endless cookies": lambda: _endless(_OK, b"Set-Cookie: a=b; Path=/\r\n" * 1_000),
    "huge header": lambda: _sized(b"{}", b"X-Filler: " + b"x" * 200_000),
    "endless header": lambda: _endless(_OK + b"X-Filler: ", b"x" * 65_536),
    "endless status line": lambda: _endless(b"HTTP/1.1 200 ", b"x" * 65_536),
    "endless early answers": lambda: _endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1_000),
    "deep nesting": lambda: _filled(b"{", b'"a":{', b"}"),
    "deep lists": lambda: _filled(b'{"history":', b"[", b"}"),
    "many lists": lambda: _filled(b'{"history":[0', b",[]", b"]}"),
    "many objects": lambda: _filled(b'{"history":[0', b",{}", b"]}"),
    "many small nests": lambda: _filled(b'{"history":[0', b",[[[[[[[[[]]]]]]]]]", b"]}"),
    "many numbers": lambda: _filled(b'{"history":[0', b",0.5", b"]}"),
    "many names": lambda: _filled(b'{"history":[0', b',"ab"', b"]}"),
    "5,000 digits": lambda: _with_number(b"9" * 5_000),
    "5,000 digits behind the point": lambda: _with_number(b"0." + b"9" * 5_000),
    "an exponent of 5,000 digits": lambda: _with_number(b"1e" + b"9" * 5_000),
    "a million digits": lambda: _with_number(b"9" * (_MAX_BODY - 500)),
}
"""By name; each makes the pieces anew."""
