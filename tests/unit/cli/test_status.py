"""`status`: what it says of a failure."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from collector.cli import status, status_text
from collector.energy.history import DayState
from collector.events import CURES
from collector.status import AccountStatus, Failure, MeterStatus, State, Status

NOW = int(datetime(2026, 3, 20, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("cure", ["", "Install them: apt install ca-certificates."])
def test_a_failures_own_cure_comes_before_that_of_its_kind(cure: str) -> None:
    """That nothing is to be done, for it goes on by itself, is no help where this machine lacks something."""
    failure = Failure("source.unavailable", 1, "for some reason", cure)
    states = {date(2026, 3, 19): DayState.COMPLETE}
    meter = MeterStatus(State.GOOD, 1, newest_hour=1, answered_at=1, failure=failure, states=states)
    accounts = {"home": AccountStatus(trouble=failure)}
    seen = Status("1", 1, 1, NOW, "", accounts=accounts, meters={"house": meter})
    told = status.as_dict(seen)
    expected = cure or CURES["source.unavailable"]
    assert told["accounts"][0]["trouble"]["cure"] == told["meters"][0]["last_error"]["cure"] == expected
    text = " ".join(
        " ".join(status_text.lines(seen, ZoneInfo("UTC"), io.StringIO(), {}, whole=False)).split()
    )
    assert expected in text
