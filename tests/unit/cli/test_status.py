"""`status`: what it prints about a failure."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from collector.cli import status
from collector.energy.history import DayState
from collector.events import CURES
from collector.overview import as_dict
from collector.service import systemd
from collector.status import AccountStatus, Failure, MeterStatus, State, Status

NOW = int(datetime(2026, 3, 20, tzinfo=UTC).timestamp())


@pytest.mark.parametrize("cure", ["", "Install them: apt install ca-certificates."])
def test_a_failures_own_cure_comes_before_that_of_its_kind(cure: str) -> None:
    """That collecting resumes automatically is no help if this machine lacks something."""
    failure = Failure("source.unavailable", 1, "for some reason", cure)
    states = {date(2026, 3, 19): DayState.COMPLETE}
    meter = MeterStatus(State.GOOD, 1, newest_hour=1, answered_at=1, failure=failure, states=states)
    accounts = {"home": AccountStatus(trouble=failure)}
    seen = Status("1", 1, 1, NOW, "", accounts=accounts, meters={"house": meter})
    printed = as_dict(seen)
    expected = cure or CURES["source.unavailable"]
    assert printed["accounts"][0]["trouble"]["cure"] == expected
    assert printed["meters"][0]["last_error"]["cure"] == expected
    text = " ".join(" ".join(status.lines(seen, ZoneInfo("UTC"), io.StringIO(), {}, whole=False)).split())
    assert expected in text


def text_of(meter: MeterStatus, zone: str = "UTC", now: int = NOW) -> list[str]:
    """What `status` prints of a service that does not run, and one meter."""
    seen = Status("1", 1, 1, now, "", meters={"house": meter}, is_running=False)
    return list(status.lines(seen, ZoneInfo(zone), io.StringIO(), {}, whole=False))


STATES = {date(2026, 3, 20): DayState.TODAY}


@pytest.mark.parametrize(
    ("age_s", "missing", "shown"),
    [
        (3599, 0, []),
        (3600, 1, []),  # the hour that ended now: its run is still to come
        (7300, 2, ["missing  1 hour without data"]),
        (1800, 2, ["missing  2 hours without data"]),
        (None, 30, ["missing  30 hours without data"]),
    ],
)
def test_an_hour_is_missing_once_its_scheduled_run_is_past(
    age_s: int | None, missing: int, shown: list[str]
) -> None:
    """For twelve minutes of each hour one was shown as missing while all was well."""
    meter = MeterStatus(State.GOOD, age_s, newest_hour=1, missing_hours=missing, states=STATES)
    assert [line for line in text_of(meter) if line.startswith("missing")] == shown


def test_systemd_is_named_where_its_unit_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a backfill by hand there is none, and `systemctl status` could not find it."""
    monkeypatch.setattr(systemd, "PLACES", (tmp_path,))
    meter = MeterStatus(states=STATES)
    assert text_of(meter)[0] == "service  not running"
    (tmp_path / systemd.UNIT).touch()
    assert text_of(meter)[0] == "service  not running; see `systemctl status shelly-collector`"


def test_all_times_are_in_one_zone_which_is_named() -> None:
    """The newest hour's was the meter's own, beside a success of this machine's, and neither had a label."""
    hour = NOW - 2 * 3600
    berlin = ZoneInfo("Europe/Berlin")
    meter = MeterStatus(State.GOOD, 3600, newest_hour=hour, answered_at=NOW - 60, zone=berlin, states=STATES)
    lines = text_of(meter)
    assert "times    UTC" in lines
    assert "house: good, last complete hour ended 2026-03-19 23:00 (60 min ago)" in lines
    assert "success  2026-03-19 23:59" in lines
    assert "zone     days are those of Europe/Berlin" in lines
    lines = text_of(meter, "Europe/Paris")
    assert "house: good, last complete hour ended 00:00 (60 min ago)" in lines
    assert not [line for line in lines if line.startswith("zone")]


def test_one_day_is_not_called_days() -> None:
    """Bug: "1 days from 2026-03-19 on" at risk, and "1 complete days" of those that the cloud has deleted."""
    states = {date(2023, 3, 18): DayState.COMPLETE, **STATES}
    meter = MeterStatus(State.GOOD, 1, expiring=(date(2023, 3, 22),), states=states)
    text = " ".join(" ".join(text_of(meter)).split())
    assert "1 complete day only in this archive (deleted by the cloud)" in text
    assert "at risk 1 day from 2023-03-22 on: not complete, and deleted by the cloud within 30 days" in text


def test_one_request_is_not_called_requests() -> None:
    """Bug: "1 requests today"."""
    accounts = {"home": AccountStatus(requests_today=1, holds_today=1)}
    meters = {"house": MeterStatus(states=STATES)}
    seen = Status("1", 1, 1, NOW, "2026-03-20", accounts=accounts, meters=meters)
    lines = list(status.lines(seen, ZoneInfo("UTC"), io.StringIO(), {}, whole=False))
    assert "account  home: 1 request today, 1 rate-limit pause" in lines
