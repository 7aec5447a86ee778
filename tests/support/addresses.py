"""Names with addresses of the test's own choice, and hosts that answer nobody."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

AS_IPV6 = "::ffff:127.0.0.2"  # an IPv6 address on machines that have no other, too


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> list[str]:
    """From now on every name has these addresses, in this order; the names that were looked up."""
    names: list[str] = []

    def getaddrinfo(host: str, port: int, *args: Any, **more: Any) -> list[Any]:
        names.append(host)
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return names


@contextmanager
def deaf(port: int, *addresses: str) -> Iterator[None]:
    """There a connection is neither taken nor refused: the queue of those that wait is full."""
    with ExitStack() as open_until_then:
        for address in addresses:
            listener = open_until_then.enter_context(socket.socket())
            listener.bind((address, port))
            listener.listen(0)
            for _ in range(2):
                waiting = open_until_then.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex((address, port))
        yield


def port_of(url: str) -> int:
    return urlsplit(url).port or 0
