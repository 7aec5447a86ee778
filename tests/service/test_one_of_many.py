"""Among many accounts one has a wrong key, one a dead host, one a full disk: the others do not notice."""

from __future__ import annotations

import errno
import io
import json
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.simulator import Account, Device, Limit
from tests.support.faulty_cloud import Scenario
from tests.support.service_life import START, Living, living, status_of
from tests.support.world import DEVICE, KEY

_MANY, _DAYS = 20, 60
_WRONG_KEY, _DEAD_HOST, _FULL_DISK = "home3", "home5", "home7"
_ILL = (_WRONG_KEY, _DEAD_HOST, _FULL_DISK)
_TABLES: dict[str, Any] = {"schedule": {"backfill_days": _DAYS}, "pacing": {"min_interval_s": 1.05}}


def _cloud() -> Scenario:
    home = Account("", "", (Device(DEVICE),), Limit("lax"))
    accounts = (replace(home, name=f"home{n}", auth_key=f"{KEY}{n}") for n in range(_MANY))
    return Scenario(account=tuple(accounts))


def _accounts() -> list[dict[str, Any]]:
    return [
        {"name": f"home{n}", "auth_key": f"{KEY}{n}", "meter": [{"name": f"house{n}", "id": DEVICE}]}
        for n in range(_MANY)
    ]


async def _requests_of_each(service: Living) -> dict[str, int]:
    """How many requests of each healthy account the cloud has seen after a minute of their backfills."""
    await service.pass_time(minutes=1)
    seen = service.world.cloud.counts.accounts
    return {name: tally.requests for name, tally in seen.items() if name not in _ILL}


@pytest.mark.slow
async def test_the_accounts_beside_three_ill_ones_do_not_notice(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They send as many requests as else, and store the same; each illness is logged once."""
    archive, tables = tmp_path / "healthy", _accounts()
    async with living(_cloud(), archive, START, {"accounts": tables}, **_TABLES) as service:
        alone = await _requests_of_each(service)
    assert min(alone.values()) >= 50  # one each 1.05 s
    log_lines.truncate(0)
    really, full = os.write, tmp_path / "ill" / "house7"

    def write(descriptor: int, data: bytes) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(full):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return really(descriptor, data)

    with socket.create_server(("127.0.0.1", 0)) as unused:
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
    accounts = _accounts()
    accounts[3]["auth_key"] = "WRONG" + KEY
    accounts[5]["host"] = dead
    monkeypatch.setattr(os, "write", write)
    async with living(_cloud(), tmp_path / "ill", START, {"accounts": accounts}, **_TABLES) as service:
        beside = await _requests_of_each(service)
        assert beside.keys() == alone.keys()
        assert all(abs(beside[name] - alone[name]) <= 1 for name in alone)  # the minute's last may be late
        await service.pass_time(minutes=30)
        status = status_of(service)
        for number in range(_MANY):
            name = f"house{number}"
            stored = sorted(path.name for path in service.world.folder(name).glob("*.jsonl"))
            assert len(stored) == (0 if f"home{number}" in _ILL else _DAYS + 1)
            is_well = status.meters[name].state.is_well and status.accounts[f"home{number}"].trouble is None
            assert is_well is (f"home{number}" not in _ILL)
    lines = [json.loads(line) for line in log_lines.getvalue().replace("\0", "").splitlines()]
    bad = [line for line in lines if line["level"] in ("error", "warning")]
    assert {line.get("account") or line.get("meter") for line in bad} <= {*_ILL, "house3", "house5", "house7"}
    started = sorted(line["event"] for line in bad if line.get("account") in _ILL)
    assert started == ["key.refused", "source.unavailable", "storage.full"]
