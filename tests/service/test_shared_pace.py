"""Two [[account]] tables of one host and key: the cloud counts them as one account, and so do we."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.simulator import Device
from collector.status import read_status
from tests.support.faulty_cloud import Scenario
from tests.support.service_life import living
from tests.support.world import DEVICE, KEY, World, cloud_of, world

START = datetime(2026, 3, 20, 14, 5, tzinfo=UTC)
OTHER = "a8032abe41fc"
TABLES: list[dict[str, Any]] = [
    {"name": "upstairs", "auth_key": KEY, "meter": [{"name": "house", "id": DEVICE}]},
    {"name": "downstairs", "auth_key": KEY, "meter": [{"name": "cellar", "id": OTHER}]},
]
PACED: dict[str, Any] = {"min_interval_s": 1.05}


def _cloud(limit: str) -> Scenario:
    return cloud_of(Device(DEVICE), Device(OTHER), limit=limit, latency_s=0.2)


def _smallest_gap_s(here: World) -> float:
    gap_s = here.cloud.counts.total.smallest_start_gap_s
    assert gap_s is not None
    return gap_s


@pytest.mark.parametrize("limit", ["strict", "lax"])
async def test_two_tables_of_one_host_and_key_keep_one_pace(limit: str, tmp_path: Path) -> None:
    """Bug: each had a pace of its own: 9 gaps under a second in 25 s, the smallest a millisecond."""
    async with world(_cloud(limit), tmp_path, START, accounts=TABLES) as here:
        report = await here.backfill(9, pacing=PACED)
        total = here.cloud.counts.total
        assert _smallest_gap_s(here) >= 1.0
        assert total.rejections == (0 if limit == "lax" else report.holds)
        assert total.rejections <= 1  # the one that teaches a strict cloud's account to ask one at a time
        assert report.requests == total.requests
        assert report.failures == {}
        assert len(list(here.folder("house").glob("*.jsonl"))) == 10
        assert len(list(here.folder("cellar").glob("*.jsonl"))) == 10


async def test_tables_that_share_a_pace_take_turns(tmp_path: Path) -> None:
    """A long backfill of the one does not starve the other: after a part of it, both have come as far."""
    stand = {"accounts": TABLES}
    tables: dict[str, Any] = {"schedule": {"backfill_days": 60}, "pacing": PACED}
    async with living(_cloud("lax"), tmp_path, START, stand, **tables) as service:
        await service.pass_time(seconds=100)
        had = [len(list(service.world.folder(name).glob("*.jsonl"))) for name in ("house", "cellar")]
        assert min(had) > 15
        assert max(had) - min(had) <= 4


async def test_tables_that_share_a_pace_count_their_own_requests(tmp_path: Path) -> None:
    """What `status` and the metrics say of each adds up to what the cloud has seen, holds included."""
    stand = {"accounts": TABLES}
    tables: dict[str, Any] = {"schedule": {"backfill_days": 5}, "pacing": PACED}
    async with living(_cloud("strict"), tmp_path, START, stand, **tables) as service:
        await service.pass_time(minutes=5)
        status = read_status(tmp_path, {})
        assert status is not None
        accounts = status.accounts
        total = service.world.cloud.counts.total
        assert sum(each.requests_today for each in accounts.values()) == total.requests
        assert sum(each.outcomes["answered"] for each in accounts.values()) == total.answered
        assert sum(each.outcomes["rejected"] for each in accounts.values()) == total.rejections
        assert sum(each.holds for each in accounts.values()) <= total.rejections
        assert all(each.requests_today >= 10 for each in accounts.values())
        assert len({each.gap_s for each in accounts.values()}) == 1


async def test_accounts_of_other_keys_do_not_wait_for_each_other(tmp_path: Path) -> None:
    """Each has a second of its own."""
    home = _cloud("lax").account[0]
    another = _cloud("lax").account[0]
    scenario = Scenario(account=(home, _renamed(another)))
    accounts = [TABLES[0], {**TABLES[1], "auth_key": "ANOTHER" + KEY}]
    async with world(scenario, tmp_path, START, accounts=accounts) as here:
        report = await here.backfill(9, pacing=PACED)
        assert report.requests >= 30
        assert report.duration_s < 30
        assert report.duration_s < 0.6 * 1.05 * report.requests  # of one key it would be all of it
        assert here.cloud.counts.total.rejections == 0


def _renamed(account: Any) -> Any:
    from dataclasses import replace

    return replace(account, name="another", auth_key="ANOTHER" + KEY)
