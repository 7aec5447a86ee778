"""Thirty days fetched from a cloud that keeps count: as fast as it allows, and not faster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Literal

import pytest

from collector.cloud.client import CloudClient
from collector.cloud.meters import Meter
from collector.cloud.pacing import Pacing
from collector.cloud.retrying import RetryPolicy
from collector.simulator import Device, Limit
from tests.support.faulty_cloud import FaultyCloud
from tests.support.stand_in_cloud import EM_ID, client_of, cloud

_METER = Meter("house", EM_ID, timezone="Europe/Dublin")
_DAYS = 30
_PATIENT = RetryPolicy(attempts=8)

Style = Literal["lax", "strict"]


async def _fetch_all(client: CloudClient, meter: Meter, days: int) -> None:
    """As the service does: tasks share one iterator of days."""
    first = date(2026, 6, 1)
    wanted: Iterator[date] = (first - timedelta(days=number) for number in range(days))

    async def work() -> None:
        for day in wanted:
            await client.fetch_day(meter, day)

    await asyncio.gather(*(work() for _ in range(Pacing().max_in_flight)))


async def _pace(client: CloudClient, simulator: FaultyCloud, latency_s: float) -> float:
    """Requests a second over thirty days, with whatever the client has learned before.

    Until the last day is begun. After that a day's second request waits for its first one, which costs
    up to two latencies a run and nothing a day: held against a bound of its own.
    """
    simulator.counts.reset()
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    await _fetch_all(client, _METER, _DAYS)
    log = list(simulator.counts.log)
    assert len(log) == 2 * _DAYS
    last_day_at = max(place for place, served in enumerate(log) if served.channel == "0")
    pace = last_day_at / (log[last_day_at].at - log[0].at)
    took_s = loop.time() - began_at
    assert took_s <= len(log) / pace + client.pacer.gap_s + 2 * latency_s
    print(f"{pace:.4f}/s until the last day, {len(log) / took_s:.4f}/s to the last answer")
    return pace


@pytest.mark.parametrize(
    ("style", "latency_s", "share"),
    [
        ("lax", 0.3, 0.95),
        ("lax", 3.0, 0.95),
        ("strict", 0.0, 0.90),
        ("strict", 0.3, 0.90),
        ("strict", 3.0, 0.90),
    ],
)
async def test_after_learning_nothing_is_rejected_and_little_time_is_lost(
    style: Style, latency_s: float, share: float
) -> None:
    """Lax: one a second. Strict: one at a time, a second after the last answer."""
    scenario = cloud(Device(EM_ID), limit=Limit(style), latency_s=latency_s)
    async with FaultyCloud(scenario) as simulator, client_of(simulator, _PATIENT) as client:
        await _fetch_all(client, _METER, 5)
        learned_from = client.pacer.rejections
        pace = await _pace(client, simulator, latency_s)
        tally = simulator.counts.total
    best = 1.0 if style == "lax" else 1 / (1 + latency_s)
    learned = f"learned from {learned_from}"
    print(f"{style} {latency_s:g} s: {pace:.4f}/s, {pace / best:.1%} of {best:.3f}/s, {learned}")
    assert tally.rejections == 0
    assert pace >= share * best
    gap_s = tally.smallest_start_gap_s if style == "lax" else tally.smallest_idle_gap_s
    assert gap_s is not None
    assert gap_s >= 1.0


async def test_a_cloud_slower_than_it_says_is_found_out() -> None:
    """Its second is one and a half: the gap grows until nothing is rejected."""
    scenario = cloud(Device(EM_ID), limit=Limit("strict", limit_s=1.5), latency_s=0.2)
    async with FaultyCloud(scenario) as simulator, client_of(simulator, _PATIENT) as client:
        await _fetch_all(client, _METER, 10)
        simulator.counts.reset()
        await _fetch_all(client, _METER, _DAYS)
        assert simulator.counts.total.rejections == 0
        assert client.pacer.gap_s == pytest.approx(1.05 * 1.25**2)
