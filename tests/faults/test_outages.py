"""N5: outages of a day, with the whole service alive: few requests, soon back, one event each way."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from collector.energy.days import wall_clock
from collector.simulator import Device
from tests.faults import figures
from tests.support import amounts
from tests.support.faulty_cloud import Fault
from tests.support.service_life import SHALLOW, START, TODAY, Living, living, look_about_rarely
from tests.support.world import DEVICE, check_day, cloud_of

_HOUR_S = 3600.0
_STAMP = timedelta(milliseconds=1)  # as exact as a log line's time
_EXACT = timedelta(microseconds=5)  # four timers may each be due one early, and moments are rounded to one
_BACK_S = 360.0
_ABSURD = ("99999999999999999999", "-7", "Wed, 21 Oct 2099 07:28:00 GMT")
_FAULTS = {
    "reset": Fault("reset_before_headers"),
    "black hole": Fault("stall"),
    "500": Fault("status_500"),
    **{f"429: {text}": Fault("too_many_requests", retry_after=text) for text in _ABSURD},
    "key revoked": Fault("bad_key"),
}
_REFUSED = "connection refused"
_BACK_BY_CONTRACT_S = {
    # The longest wait that the cloud may ask for is an hour; a refused key is tried four times in one.
    f"429: {_ABSURD[0]}": _HOUR_S + _BACK_S,
    f"429: {_ABSURD[-1]}": _HOUR_S + _BACK_S,
    "key revoked": 900.0 + 60.0,
}


@pytest.fixture(autouse=True)
def _rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked for comes of the runner's probes, not of the service's looks."""
    look_about_rarely(monkeypatch)


@pytest.mark.parametrize("trouble", [_REFUSED, *_FAULTS])
async def test_a_day_of_trouble_costs_few_requests_and_one_event_each_way(
    trouble: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """A day down: at most 13 requests in any hour, 4 with a refused key; back soon, and all data there."""
    down, up, most = ("key.refused", "key.accepted", 4) if trouble == "key revoked" else _SOURCE
    dice = amounts.dice("N5", trouble)
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service, _knocks() as knocks:
        await service.pass_time(hours=1, minutes=dice.uniform(0, 60))
        async with _down(service, trouble):
            await service.pass_time(hours=24)
        ended = wall_clock()
        await service.pass_time(hours=3)
        changes = _changes(log_lines, down, up)
        assert [name for name, _ in changes] == [down, up]
        told, back = changes[0][1], changes[1][1]
        busiest = _busiest_hour([at for at in knocks if told + _STAMP < at < ended])
        back_s = (back - ended).total_seconds()
        assert busiest <= most
        assert back_s <= _BACK_BY_CONTRACT_S.get(trouble, _BACK_S)
        await service.pass_time(hours=24)
        _check_days(service, 2)
    hour = "requests in the busiest hour" + " with a refused key" * (trouble == "key revoked")
    figures.note("N5", **{hour: float(busiest), f"s until back after {trouble}": back_s})


async def test_a_flapping_cloud_is_told_once_a_change(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Up and down at random, from minutes to hours: events take turns, each down has its reason."""
    rounds = amounts.amount(10, 30)
    dice = amounts.dice("N5", "flapping")
    outages: list[tuple[datetime, datetime]] = []
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service, _knocks() as knocks:
        for _ in range(rounds):
            await service.pass_time(minutes=dice.uniform(1, 120))
            began = wall_clock()
            async with _down(service, dice.choice((_REFUSED, "reset", "black hole", "500"))):
                await service.pass_time(minutes=dice.uniform(1, 180))
            outages.append((began, wall_clock()))
        await service.pass_time(hours=24)
        changes = _changes(log_lines, *_SOURCE[:2])
        assert all(one[0] != other[0] for one, other in pairwise(changes))
        assert changes[-1][0] == "source.recovered"
        slowest = 0.0
        busiest = 0
        for began, ended in outages:
            told = [at for name, at in changes if name == "source.unavailable" and began <= at <= ended]
            assert len(told) <= 1
            if told:
                back = next(at for name, at in changes if name == "source.recovered" and at >= ended)
                following = [start for start, _ in outages if start > ended]
                if not following or back <= following[0]:
                    slowest = max(slowest, (back - ended).total_seconds())
                else:
                    assert (following[0] - ended).total_seconds() <= _BACK_S
                busiest = max(busiest, _busiest_hour([at for at in knocks if told[0] + _STAMP < at < ended]))
        assert slowest <= _BACK_S
        assert busiest <= _SOURCE[2]
        _check_days(service, (wall_clock().date() - TODAY).days)
    figures.note(
        "N5",
        outages_of_flapping=len(outages),
        times_told=len(changes) // 2,
        requests_in_the_busiest_hour=float(busiest),
        s_until_back_after_flapping=slowest,
    )


_SOURCE = "source.unavailable", "source.recovered", 13


@asynccontextmanager
async def _down(service: Living, trouble: str) -> AsyncIterator[None]:
    """The cloud is in that trouble meanwhile."""
    cloud = service.world.cloud
    if trouble == _REFUSED:
        await cloud.__aexit__(None, None, None)
        yield
        await cloud.__aenter__()
    else:
        cloud.play(cloud_of(fault=(_FAULTS[trouble],)))
        yield
        cloud.play(cloud_of())


@asynccontextmanager
async def _knocks() -> AsyncIterator[list[datetime]]:
    """When a connection was tried, whether anybody was there or not; each request makes its own."""
    loop = asyncio.get_running_loop()
    connect: Callable[..., Awaitable[None]] = loop.sock_connect
    found: list[datetime] = []

    async def sock_connect(*told: object) -> None:
        found.append(wall_clock())
        await connect(*told)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "sock_connect", sock_connect)
        yield found
    assert found


def _changes(log: io.StringIO, *names: str) -> list[tuple[str, datetime]]:
    """The events of those names, in order."""
    events = [json.loads(line) for line in log.getvalue().splitlines()]
    return [
        (event["event"], datetime.fromisoformat(event["timestamp"]))
        for event in events
        if event["event"] in names
    ]


def _busiest_hour(knocks: list[datetime]) -> int:
    """The most within any 3600 s. Bug: five that were 900 s apart, where rounding made 3599.999999 of it."""
    hour = timedelta(hours=1) - _EXACT
    return max((sum(at <= other < at + hour for other in knocks) for at in knocks), default=0)


def _check_days(service: Living, days: int) -> None:
    for number in range(-2, days):
        day = TODAY + timedelta(days=number)
        check_day(service.world.folder() / f"{day}.jsonl", day, Device(DEVICE), complete=True)
