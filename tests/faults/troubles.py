"""What a line does to a connection: seven kinds of trouble, in five phases."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What goes wrong."""

    LATENCY = "latency"
    BANDWIDTH = "bandwidth"
    STALL = "stall"
    RESET = "reset"
    SLICE = "slice"
    CUT = "cut"
    DOWN = "down"


class Phase(StrEnum):
    """When, in the life of a connection."""

    CONNECT = "connect"
    TLS = "TLS handshake"
    HEADERS = "headers"
    BODY = "body"
    BETWEEN = "between two requests"


@dataclass(frozen=True)
class Trouble:
    """One of these, at one of those: `share` of the phase's bytes pass before it.

    `latency_s` once; `rate` in bytes a second; `piece` in bytes.
    """

    kind: Kind
    phase: Phase
    share: float = 0.5
    latency_s: float = 2.0
    rate: float = 500.0
    piece: int = 3


def is_once(trouble: Trouble) -> bool:
    """Whether it befalls one moment, and not every byte."""
    return trouble.kind not in (Kind.SLICE, Kind.BANDWIDTH)


async def paced(writer: asyncio.StreamWriter, data: bytes, trouble: Trouble | None) -> None:
    """Sends as the trouble lets it: in pieces, or slowly."""
    size, wait_s = len(data) or 1, 0.0
    if trouble is not None and trouble.kind is Kind.SLICE:
        size, wait_s = trouble.piece, 0.001
    elif trouble is not None and trouble.kind is Kind.BANDWIDTH:
        size = 100
        wait_s = size / trouble.rate
    for place in range(0, len(data), size):
        writer.write(data[place : place + size])
        await writer.drain()
        if wait_s:
            await asyncio.sleep(wait_s)
