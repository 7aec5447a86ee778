"""The last error: shown to people while it is recent or nothing went well since; kept for machines."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path

import pytest

from collector.cli.status import lines
from collector.collect import collector
from collector.energy.days import system_timezone, wall_clock
from collector.overview import as_dict, status_of
from tests.support.faulty_cloud import Fault
from tests.support.service_life import SHALLOW, START, TODAY, Living, house, living
from tests.support.world import cloud_of


def shown(service: Living) -> tuple[list[str], str]:
    """What `status` says of errors, and the event of `last_error` in its JSON."""
    seen = status_of(service.world.settings().files, wall_clock() + service.skew[0], {})
    text = list(lines(seen, system_timezone({}), io.StringIO(), {}, whole=False))
    errors = [line.split(",")[1].partition(":")[0].strip() for line in text if line.startswith("error")]
    found = as_dict(seen)["meters"][0]["last_error"]
    return errors, found["event"] if found else ""


@pytest.mark.usefixtures("rare_looks")
async def test_an_error_that_is_long_over_is_not_shown_beside_a_good_state(tmp_path: Path) -> None:
    """Bug: one of 20 days ago stood there with its cure, also in a process that had never met it."""
    down = Fault("status_503", since=START + timedelta(hours=1), until=START + timedelta(hours=3))
    async with living(cloud_of(fault=(down,)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(hours=2)
        assert shown(service) == (["source.unavailable"], "source.unavailable")
        await service.pass_time(hours=20)
        assert shown(service) == (["source.unavailable"], "source.unavailable")
        await service.pass_time(hours=8)
        assert shown(service) == ([], "source.unavailable")
        await service.stop()
    async with living(cloud_of(), tmp_path, START + timedelta(days=20), **SHALLOW) as service:
        await service.pass_time(hours=1)
        assert shown(service) == ([], "source.unavailable")


@pytest.mark.usefixtures("rare_looks")
async def test_an_error_since_which_nothing_went_well_is_shown_however_old_it_is(tmp_path: Path) -> None:
    """The service met it, was stopped, and nobody has asked since."""
    async with living(cloud_of(fault=(Fault("bad_key"),)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(hours=2)
        await service.stop()
        await service.pass_time(days=20)
        assert shown(service) == (["key.refused"], "key.refused")


@pytest.mark.usefixtures("rare_looks")
async def test_the_last_error_is_the_newest_one(tmp_path: Path) -> None:
    """Bug: once an outage was over, an older failure of a day took its place again."""
    day = Fault("path_gone", covers=(TODAY - timedelta(days=2),), until=START + timedelta(minutes=30))
    down = Fault("status_503", since=START + timedelta(hours=1), until=START + timedelta(hours=3))
    async with living(cloud_of(fault=(day, down)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        assert shown(service) == (["day.failed"], "day.failed")
        await service.pass_time(hours=4)
        assert shown(service) == (["source.unavailable"], "source.unavailable")


@pytest.mark.usefixtures("rare_looks")
async def test_an_error_of_a_clock_that_was_years_ahead_does_not_stay_for_years(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is of the future; what comes after it is newer all the same."""
    monkeypatch.setattr(collector, "SYNCHRONIZED", tmp_path / "synchronized")
    async with living(cloud_of(), tmp_path, START, skew=timedelta(days=1000), **SHALLOW) as service:
        await service.pass_time(hours=1, seconds=5)  # between two checks of the clock, every ten seconds
        assert shown(service) == (["clock.untrusted"], "clock.untrusted")
        service.skew[0] = timedelta(0)
        await service.pass_time(hours=1)
        failure = house(service).failure
        assert failure is not None
        assert failure.at > START.timestamp() + 86400
        assert shown(service) == ([], "clock.untrusted")
        service.world.cloud.play(cloud_of(fault=(Fault("status_503"),)))
        await service.pass_time(hours=2)
        assert shown(service) == (["source.unavailable"], "source.unavailable")
        service.world.cloud.play(cloud_of())
        await service.pass_time(hours=2)
        assert shown(service) == (["source.unavailable"], "source.unavailable")
