"""How the tests ask the simulated cloud: real sockets, and time that does not pass by waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import aiohttp

from collector.simulator import Account, Device, Limit, Simulator
from tests.support.faulty_cloud import Fault, FaultyCloud, Scenario

T = TypeVar("T")

NOW = datetime(2026, 11, 20, 14, 20, tzinfo=UTC)
KEY = "SIMULATED0TEST0KEY0SIMULATED0TEST0KEY"
EM = Device("e8db84d2a1b3")
EM3 = Device("34987a45c1d0", kind="3em", timezone="Europe/Berlin")
ZONES = (
    "Europe/Dublin", "Europe/Berlin", "America/New_York", "America/Havana", "Africa/Cairo",
    "Asia/Kathmandu", "Australia/Adelaide", "Pacific/Auckland", "UTC",
)  # fmt: skip
"""With and without daylight saving, in both hemispheres; Havana and Cairo change around midnight."""


def scenario(*devices: Device, fault: tuple[Fault, ...] = (), limit: Limit | None = None) -> Scenario:
    """One account at a fixed moment, unlimited unless said otherwise."""
    account = Account("home", KEY, devices or (EM, EM3), limit or Limit("none"))
    return Scenario((account,), now=NOW, speed=0.0, fault=fault)


def faulty(kind: str, **options: Any) -> Scenario:
    """The same with one rule."""
    return scenario(fault=(Fault(kind, **options),))


def address(cloud: FaultyCloud | Simulator, *, device: Device = EM, path: str | None = None) -> str:
    """Where that kind of device is asked for."""
    suffix = path if path is not None else ("/em-1p" if device.kind == "em" else "/em-3p")
    return f"{cloud.url}/v2/statistics/power-consumption{suffix}"


def question(day: str = "2026-11-18", *, device: Device = EM) -> dict[str, str]:
    """The parameters of a day."""
    asked = {"id": device.id, "auth_key": KEY, "channel": "0"}
    return asked | {"date_range": "day", "date_from": f"{day} 00:00:00"}


def span_question(first: str, last: str, *, device: Device = EM) -> dict[str, str]:
    """The parameters of several days, both included."""
    asked = question(first, device=device)
    return asked | {"date_range": "custom", "date_to": f"{last} 23:59:59"}


async def ask(cloud: FaultyCloud | Simulator, day: str = "2026-11-18", **more: str) -> tuple[int, bytes]:
    """One request on a connection of its own: status and body."""
    async with (
        aiohttp.ClientSession() as http,
        http.get(address(cloud), params=question(day) | more, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.read()


def with_options(device: Device, **options: Any) -> Device:
    """The device in another variant."""
    return replace(device, **options)


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits for a timer: where no socket has anything, time jumps to the next one."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        if not ready:
            self.now += timeout
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Runs it on a loop whose sleeps take no time; both ends of its sockets must be in this process."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(main)
