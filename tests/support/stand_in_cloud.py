"""What the tests of this room share: samples, days as the simulator tells them, a client on a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from collector.cloud.client import CloudClient, open_session
from collector.cloud.meters import Account, Kind, Meter
from collector.cloud.pacing import Pacer, Pacing
from collector.cloud.parse import DayAnswer, ReadDay, parse_body, read_day
from collector.cloud.retrying import RetryPolicy
from collector.energy.days import local_day, zone_named
from collector.simulator import Account as SimulatedAccount
from collector.simulator import Device, Limit, api
from collector.simulator.api import as_json
from tests.support.faulty_cloud import Fault, FaultyCloud, Scenario

KEY = "TESTKEY0" * 11 + "AB"
EM_ID, EM3_ID, PV_ID = "e8db84d2a1b3", "34987a45c1d0", "34987a45c1d1"
NOW = datetime(2026, 6, 15, 12, 0, tzinfo=UTC)
ONCE = RetryPolicy(attempts=1)

_SAMPLES = Path(__file__).parent / "samples"


def sample(name: str) -> dict[str, Any]:
    """A sample file: `body`, and mostly `http_status`."""
    found: dict[str, Any] = json.loads((_SAMPLES / f"{name}.json").read_text("utf-8"))
    return found


def sample_body(name: str) -> bytes:
    """The body of that sample, as bytes."""
    return as_json(sample(name)["body"])


def sample_names() -> list[str]:
    """Every sample."""
    return sorted(path.stem for path in _SAMPLES.glob("*.json"))


def cloud(*devices: Device, **options: Any) -> Scenario:
    """One account with those devices; a one-clamp pair of defaults without any."""
    limit = options.pop("limit", Limit("none"))
    options.setdefault("now", NOW)
    account = SimulatedAccount("home", KEY, devices or (Device(EM_ID),), limit)
    return Scenario((account,), **options)


def raw_answer(device: Device, day: date, now: datetime = NOW, channel: int = 0) -> dict[str, Any]:
    """What the simulated cloud says of that day, as the JSON object that it will send."""
    scenario = cloud(device)
    path = api.EM if device.kind == "em" else api.EM3
    query = {"id": device.id, "channel": str(channel), "date_range": "day", "date_from": f"{day} 00:00:00"}
    answer = api.answer(scenario, scenario.account[0], path, query, now)
    assert isinstance(answer, dict)
    return answer


def body_of(raw: Any) -> dict[str, Any]:
    """That object after a journey over the line."""
    return parse_body(as_json(raw))


def told(device: Device, day: date, now: datetime = NOW, meter: Meter | None = None) -> ReadDay:
    """The day as it is read from the simulated cloud's answers."""
    meter = meter or meter_of(device)
    grid = body_of(raw_answer(device, day, now))
    solar = None
    if device.kind == "em" and meter.solar:
        solar = body_of(raw_answer(device, day, now, channel=1))
    return read_day(DayAnswer(day, grid, solar), meter, now)


def meter_of(device: Device, **options: Any) -> Meter:
    """The meter as a user would configure it for that device."""
    options.setdefault("timezone", device.timezone)
    return Meter("house", device.id, Kind(device.kind), **options)


def true_hours(device: Device, day: date) -> dict[int, tuple[Decimal, Decimal, Decimal]]:
    """What really flowed, in kWh, by the start of the hour: import, export, sun."""
    hours = local_day(day, zone_named(device.timezone)).hours
    return {ts: true_hour(device, ts) for ts in hours}


def true_hour(device: Device, ts: int) -> tuple[Decimal, Decimal, Decimal]:
    """What really flowed in that hour, in kWh."""
    grid = device.total(ts)
    solar = device.energy(1, ts).consumption if device.kind == "em" else Decimal(0)
    return grid.consumption / 1000, grid.reversed / 1000, solar / 1000


@asynccontextmanager
async def client_of(
    simulator: FaultyCloud, policy: RetryPolicy = ONCE, pacing: Pacing | None = None
) -> AsyncIterator[CloudClient]:
    """A client of that cloud, on a session of its own."""
    async with open_session() as session:
        account = Account("home", simulator.url, KEY)
        yield CloudClient(session, account, Pacer(pacing or Pacing()), policy)


def with_fault(kind: str, *devices: Device, **options: Any) -> Scenario:
    """A cloud on which that goes wrong with every request."""
    return replace(cloud(*devices), fault=(Fault(kind, **options),))
