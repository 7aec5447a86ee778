"""Commands to the running service: what a person types beside it, carried out by it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.errors import CommandRefused, ServiceEnded
from collector.service.control import carry_out, find_service, runtime_folder
from tests.support.archives import flip
from tests.support.faulty_cloud import Fault
from tests.support.service_life import SHALLOW, Living, events_in, living
from tests.support.world import cloud_of

START = datetime(2026, 3, 20, 14, 5, tzinfo=UTC)
WEEK: dict[str, Any] = {"since": "2026-03-10", "until": "2026-03-16", "meters": ["house"]}
LAST_DAYS: dict[str, Any] = {"days": 10, "since": None, "until": None, "meters": ["house"]}
CLAMPS = 2


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The service's runtime folder; a short path, because that of a socket has a limit."""
    folder = Path(tempfile.mkdtemp(prefix="run"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
    yield folder
    shutil.rmtree(folder)


async def _sent(service: Living, name: str, options: Mapping[str, Any], told: list[Any] | None = None) -> Any:
    """The result of a command to the service."""
    connection = find_service(service.world.archive, os.environ)
    assert connection is not None
    return await carry_out(connection, name, options, ([] if told is None else told).append)


def _requested(service: Living) -> list[str]:
    """The days that the cloud was asked for by themselves or in a span, one entry for each request."""
    return [each.day for each in service.world.cloud.counts.log if each.kind == "day"]


def _days(service: Living) -> list[str]:
    return sorted(path.stem for path in service.world.folder().glob("*.jsonl"))


async def test_a_backfill_is_carried_out_by_the_service(tmp_path: Path) -> None:
    """It goes further back than the service's own; its progress and its result come back."""
    told: list[Any] = []
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        assert len(_days(service)) == 4
        result = await _sent(service, "backfill", LAST_DAYS, told)
        assert _days(service)[0] == "2026-03-10"
        assert len(_days(service)) == 11
        assert result["code"] == 0
        assert {each["day"] for each in told} == {"2026-03-20", *(f"2026-03-{day}" for day in range(10, 17))}
        assert all(each["meter"] == "house" and each["requests"] > 0 for each in told)


async def test_a_reread_fetches_complete_days_again(tmp_path: Path) -> None:
    """A value that the cloud has revised long after the day has settled replaces the stored one."""
    tables = {"schedule": {"backfill_days": 15}}
    async with living(cloud_of(), tmp_path, START, **tables) as service:
        await service.pass_time(minutes=5)
        path = service.world.folder() / "2026-03-12.jsonl"
        right = path.read_text()
        flip(path, "import")
        before = len(_requested(service))
        result = await _sent(service, "reread", WEEK)
        assert result["code"] == 0
        assert path.read_text() == right
        assert 0 < len(_requested(service)) - before <= 7 * CLAMPS


async def test_a_reread_goes_on_when_nobody_waits_for_it(tmp_path: Path) -> None:
    """Ctrl-C in the middle ends the waiting, not the work."""
    tables = {"schedule": {"backfill_days": 15}, "pacing": {"min_interval_s": 1.05}}
    async with living(cloud_of(latency_s=0.2), tmp_path, START, **tables) as service:
        await service.pass_time(minutes=5)
        days = {day: service.world.folder() / f"{day}.jsonl" for day in _days(service)}
        flip(days["2026-03-12"], "import")
        wrong = days["2026-03-12"].read_text()
        waiting = asyncio.create_task(_sent(service, "reread", {**WEEK, "since": "2026-03-06"}))
        await service.pass_time(seconds=1.5)
        waiting.cancel()
        assert days["2026-03-12"].read_text() == wrong
        await service.pass_time(minutes=1)
        assert days["2026-03-12"].read_text() != wrong


@pytest.mark.parametrize("how", ["stop", "reload"])
async def test_a_stop_in_the_middle_is_reported_and_a_reread_resumed(how: str, tmp_path: Path) -> None:
    """What was to be read again is recorded: the service that starts next goes on with it."""
    tables = {"schedule": {"backfill_days": 15}, "pacing": {"min_interval_s": 1.05}}
    async with living(cloud_of(latency_s=0.2), tmp_path, START, **tables) as service:
        await service.pass_time(minutes=5)
        path = service.world.folder() / "2026-03-10.jsonl"  # the last of the week that is requested
        right = path.read_text()
        flip(path, "import")
        waiting = asyncio.create_task(_sent(service, "reread", WEEK))
        await service.pass_time(seconds=1.5)
        (service.signals.stop if how == "stop" else service.signals.reload).set()
        with pytest.raises(ServiceEnded):
            await waiting
        assert path.read_text() != right
    if how == "stop":
        async with living(cloud_of(latency_s=0.2), tmp_path, START, **tables) as service:
            await service.pass_time(minutes=1)
            assert path.read_text() == right
