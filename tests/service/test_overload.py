"""Many accounts in a process that cannot keep up: all are slow alike, and none takes that for a trouble.

What waits takes memory, and so it waits before it is requested.
"""

from __future__ import annotations

import asyncio
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.energy.days import wall_clock
from collector.simulator import Account, Device, Limit
from tests.support.faulty_cloud import Scenario
from tests.support.service_life import START, events_in, living, status_of
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.world import DEVICE, KEY, cloud_of

_MANY = 24
_OTHER = "e8db84d2a1b4"
_TURN_S = 15.0
_TROUBLES = ("source.unavailable", "clock.untrusted", "account.held", "health.changed", "clock.stepped")


def _cloud() -> Scenario:
    home = Account("", "", (Device(DEVICE),), Limit("none"))
    accounts = (replace(home, name=f"home{n}", auth_key=f"{KEY}{n}") for n in range(_MANY))
    return Scenario(account=tuple(accounts))


def _tables() -> list[dict[str, Any]]:
    return [
        {"name": f"home{n}", "auth_key": f"{KEY}{n}", "meter": [{"name": f"house{n}", "id": DEVICE}]}
        for n in range(_MANY)
    ]


@pytest.mark.slow
async def test_a_process_that_cannot_keep_up_slows_all_accounts_down_alike(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: every request ran into its time limit, which counted as an outage of each cloud; and reading the
    files for the status took a turn of the loop for each meter, so that the watchdog ended the process. A day
    that was saved meanwhile made a meter count as one that answers without data.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    tables: dict[str, Any] = {"schedule": {"backfill_days": 30}, "pacing": {"min_interval_s": 1.05}}
    async with living(_cloud(), tmp_path, START, {"accounts": _tables()}, **tables) as service:
        loop.turn_s = _TURN_S
        await service.pass_time(hours=1)
        counts = service.world.cloud.counts
        requests = [each.requests for each in counts.accounts.values()]
        assert max(requests) <= 1.2 * min(requests)
        assert min(requests) >= 20
        gaps = [each.smallest_start_gap_s for each in counts.accounts.values()]
        assert all(gap_s is not None and gap_s >= 1.0 for gap_s in gaps)
        assert service.told.count("WATCHDOG=1") >= 3600 / 90
        assert wall_clock().timestamp() - status_of(service).written_at < 600
        loop.turn_s = 0
        await service.pass_time(minutes=5)
        assert all(len(list(service.world.folder(f"house{n}").glob("*.jsonl"))) == 31 for n in range(_MANY))
    assert not [event for name in _TROUBLES for event in events_in(log_lines.getvalue(), name)]


async def test_a_meter_whose_saves_hang_has_few_answers_in_memory_and_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: four of its days were requested while the first waited to be saved, so that the account's other
    meters had no turn, and a thousand accounts had four answers each in memory.
    """
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    really, stalled = os.fsync, tmp_path / "stalled"

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path.is_relative_to(stalled) and path.name.startswith("20"):
            loop.hang()
        really(descriptor)

    meters = [{"name": "stalled", "id": DEVICE}, {"name": "well", "id": _OTHER}]
    scenario = cloud_of(Device(DEVICE), Device(_OTHER))
    tables: dict[str, Any] = {"schedule": {"backfill_days": 40}, "pacing": {"min_interval_s": 1.05}}
    monkeypatch.setattr(os, "fsync", fsync)
    async with living(scenario, tmp_path, START, {"meters": meters}, **tables) as service:
        try:
            await service.pass_time(minutes=5)
            days = service.world.cloud.counts.days
            requested = {day for device, day, _ in days if device == DEVICE}
            assert len(list(service.world.folder("well").glob("*.jsonl"))) == 41
        finally:
            loop.let_go()
        await service.pass_time(minutes=5)
        assert len(list(service.world.folder("stalled").glob("*.jsonl"))) == 41
    assert len(requested) <= 2  # one waits to be saved, and one was on its way by then
