"""A trouble that turns into another one: what is reported is always the latest kind."""

from __future__ import annotations

import errno
import io
import json
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.failing_calls import failing
from tests.support.faulty_cloud import Fault, Scenario
from tests.support.service_life import (
    SHALLOW,
    START,
    Living,
    events_in,
    house,
    living,
    status_line,
    status_of,
)
from tests.support.world import KEY, cloud_of

_CHANGES = {
    *("source.unavailable", "source.recovered", "key.refused", "key.accepted"),
    *("clock.untrusted", "clock.trusted", "storage.full", "storage.failed", "storage.recovered"),
}


@dataclass
class Trouble:
    """How a trouble is made, and the event that reports it."""

    event: str
    fault: str = ""
    disk: int = 0
    skew: timedelta = timedelta(0)

    @property
    def cloud(self) -> Scenario:
        return cloud_of(fault=(Fault(self.fault),) if self.fault else ())


OUTAGE = Trouble("source.unavailable", fault="status_503")
REFUSED = Trouble("key.refused", fault="bad_key")
FULL = Trouble("storage.full", disk=errno.ENOSPC)
BROKEN = Trouble("storage.failed", disk=errno.EIO)
CLOCK = Trouble("clock.untrusted", skew=timedelta(days=-30))


@pytest.mark.usefixtures("rare_looks")
@pytest.mark.parametrize(
    ("troubles", "reported"),
    [
        ([OUTAGE, REFUSED], ["source.unavailable", "source.recovered", "key.refused", "key.accepted"]),
        (
            [REFUSED, OUTAGE],  # nobody knows of the key while the cloud is down
            ["key.refused", "source.unavailable", "source.recovered", "key.accepted"],
        ),
        (
            [OUTAGE, REFUSED, OUTAGE],
            [
                *("source.unavailable", "source.recovered", "key.refused"),
                *("source.unavailable", "source.recovered", "key.accepted"),
            ],
        ),
        ([OUTAGE, FULL], ["source.unavailable", "source.recovered", "storage.full", "storage.recovered"]),
        ([REFUSED, BROKEN], ["key.refused", "key.accepted", "storage.failed", "storage.recovered"]),
        ([FULL, BROKEN], ["storage.full", "storage.failed", "storage.recovered"]),
        ([BROKEN, OUTAGE], ["storage.failed", "storage.recovered", "source.unavailable", "source.recovered"]),
        ([OUTAGE, CLOCK], ["source.unavailable", "source.recovered", "clock.untrusted", "clock.trusted"]),
        ([CLOCK, REFUSED], ["clock.untrusted", "clock.trusted", "key.refused", "key.accepted"]),
    ],
    ids=lambda each: "-".join(trouble.event for trouble in each) if isinstance(each[0], Trouble) else "",
)
async def test_a_trouble_that_turns_into_another_one_is_reported_as_that(
    troubles: list[Trouble],
    reported: list[str],
    tmp_path: Path,
    log_lines: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bug: status, page and doctor kept the first kind, its reason and its cure until all was over."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        for trouble in troubles:
            with monkeypatch.context() as broken:
                if trouble.disk:
                    broken.setattr(os, "fsync", failing(trouble.disk))
                service.world.cloud.play(trouble.cloud)
                service.skew[0] = trouble.skew
                await service.pass_time(hours=2, minutes=1)
                now = status_of(service).accounts["home"].trouble
                assert now is not None
                assert now.event == trouble.event
                assert house(service).failure == now
                assert status_line(service) == f"Waiting: {now.reason}"
        service.skew[0] = timedelta(0)
        service.world.cloud.play(cloud_of())
        await service.pass_time(hours=2)
        assert status_of(service).accounts["home"].trouble is None
    assert [name for name in _names(log_lines) if name in _CHANGES] == reported


async def test_a_key_that_is_changed_after_an_outage_turned_into_its_refusal_is_used_at_once(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: the outage's name stuck, so that nobody looked for a new key."""
    accounts = [{"name": "home", "auth_key": KEY, "meter": [{"name": "house", "id": "e8db84d2a1b3"}]}]
    async with living(cloud_of(), tmp_path, START, stand={"accounts": accounts}, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        service.world.cloud.play(OUTAGE.cloud)
        await service.pass_time(hours=2)
        service.world.cloud.play(cloud_of(key="ANOTHER0KEY0OF0THE0ACCOUNT"))
        await service.pass_time(minutes=10)
        assert _last_trouble(service) == "key.refused"
        accounts[0]["auth_key"] = "ANOTHER0KEY0OF0THE0ACCOUNT"
        await service.pass_time(minutes=2)
        assert _last_trouble(service) is None
    assert len(events_in(log_lines.getvalue(), "config.reloaded")) == 1


async def test_a_key_that_is_refused_after_an_outage_is_tried_four_times_an_hour(tmp_path: Path) -> None:
    """A trouble of another kind has waits of its own, not those of the one before."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        service.world.cloud.play(OUTAGE.cloud)
        await service.pass_time(hours=2)
        service.world.cloud.play(REFUSED.cloud)
        await service.pass_time(minutes=10)
        assert _last_trouble(service) == "key.refused"
        before = service.world.cloud.counts.total.requests
        await service.pass_time(hours=3)
        assert 11 <= service.world.cloud.counts.total.requests - before <= 13


def _last_trouble(service: Living) -> str | None:
    trouble = status_of(service).accounts["home"].trouble
    return None if trouble is None else trouble.event


def _names(log: io.StringIO) -> list[str]:
    return [json.loads(line)["event"] for line in log.getvalue().splitlines()]
