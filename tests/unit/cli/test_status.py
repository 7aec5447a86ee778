"""`status`: what it says of a failure."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from collector.cli import status, status_text
from collector.energy.history import DayState
from collector.events import CURES
from collector.service.overview import MeterOverview, Overview
from collector.status import AccountStanding, Failure, Health, Standing, State

NOW = datetime(2026, 3, 20, tzinfo=UTC)


@pytest.mark.parametrize("cure", ["", "Install them: apt install ca-certificates."])
def test_a_failures_own_cure_comes_before_that_of_its_kind(cure: str) -> None:
    """That nothing is to be done, for it goes on by itself, is no help where this machine lacks something."""
    failure = Failure("source.unavailable", 1, "for some reason", cure)
    states = {date(2026, 3, 19): DayState.COMPLETE}
    meter = MeterOverview(
        "house",
        ZoneInfo("UTC"),
        Health(State.GOOD, 1),
        1,
        1,
        1,
        1,
        states,
        1,
        (),
        None,
        1,
        failure,
        is_held=False,
        quarantined=0,
    )
    standing = Standing("1", 1, 1, 1, "", accounts={"home": AccountStanding(trouble=failure)})
    seen = Overview(NOW, ZoneInfo("UTC"), runs=True, standing=standing, meters=(meter,))
    told = status.as_dict(seen)
    expected = cure or CURES["source.unavailable"]
    assert told["accounts"][0]["trouble"]["cure"] == told["meters"][0]["last_error"]["cure"] == expected
    text = " ".join(" ".join(status_text.lines(seen, io.StringIO(), {}, whole=False)).split())
    assert expected in text
