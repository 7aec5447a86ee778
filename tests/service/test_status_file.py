"""The status file: its place, who can read it, and what happens without it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.energy.history import DayState
from collector.service.systemd import status_line
from collector.status import (
    AccountStatus,
    Failure,
    MeterStatus,
    State,
    Status,
    read_status,
    status_file,
    to_json,
    write_status,
)

TEXTS = st.text(max_size=50)
TIMES = st.integers(0, 4_000_000_000)
FAILURES = st.none() | st.builds(Failure, TEXTS, TIMES, TEXTS, TEXTS)
STATUSES = st.builds(
    Status,
    version=TEXTS,
    pid=st.integers(1, 99_999),
    started_at=TIMES,
    written_at=TIMES,
    today=TEXTS,
    state=st.sampled_from(list(State)),
    age_s=st.none() | TIMES,
    jobs=st.integers(0, 9),
    next_run_at=st.none() | TIMES,
    accounts=st.dictionaries(
        TEXTS,
        st.builds(
            AccountStatus,
            meters=st.lists(TEXTS).map(tuple),
            requests_today=TIMES,
            outcomes=st.dictionaries(TEXTS, TIMES),
            gap_s=st.floats(0, 60),
            trouble=FAILURES,
        ),
    ),
    meters=st.dictionaries(TEXTS, st.builds(MeterStatus, newest_hour=st.none() | TIMES, failure=FAILURES)),
)
ONE = Status("0.1.0", 1, 1000, 2000, "2026-03-20", meters={"house": MeterStatus(State.GOOD)})


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STATUSES)
def test_what_was_written_is_what_is_read(tmp_path: Path, status: Status) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path / "run")}
    write_status(status_file(tmp_path, environ), status)
    assert read_status(tmp_path, environ) == status


def test_it_is_in_memory_if_systemd_gives_a_folder_there(tmp_path: Path) -> None:
    """And else beside the archive, never as one of its day files."""
    assert status_file(tmp_path, {"RUNTIME_DIRECTORY": "/run/x:/run/y"}).parent == Path("/run/x")
    place = status_file(tmp_path, {})
    assert place.parent == tmp_path / ".collector"
    assert place.suffix == ".json"
    assert place.name != status_file(tmp_path / "another", {}).name


def test_the_newest_that_can_be_found_counts(tmp_path: Path) -> None:
    """A service that was started another way may have left an older one."""
    environ = {"RUNTIME_DIRECTORY": str(tmp_path / "run")}
    write_status(status_file(tmp_path, {}), ONE)
    assert read_status(tmp_path, environ) == ONE
    newer = Status("0.1.0", 2, 1000, 3000, "2026-03-20")
    write_status(status_file(tmp_path, environ), newer)
    assert read_status(tmp_path, environ) == newer


def test_a_failure_without_a_cure_of_its_own_is_read(tmp_path: Path) -> None:
    """As a service of an older version writes it, while the new `status` is there already."""
    accounts = {"home": AccountStatus(trouble=Failure("source.unavailable", 1, "no connection"))}
    place = status_file(tmp_path, {})
    write_status(place, replace(ONE, accounts=accounts))
    place.write_text(place.read_text().replace('"no connection", ""]', '"no connection"]'))
    status = read_status(tmp_path, {})
    assert status is not None
    assert status.accounts == accounts


BEFORE = """{"version": "0.1.0", "pid": 4711, "started_at": 1774015500, "written_at": 1774517561,
"today": "2026-03-26", "state": "good", "age_s": 1961, "jobs": 0, "next_run_at": 1774519967, "accounts":
{"home": {"meters": ["house"], "requests_today": 88, "holds_today": 1, "outcomes": {"answered": 258,
"rejected": 128, "failed": 630}, "holds": 128, "gap_s": 5.0, "trouble": ["account.held", 1774517560,
"the cloud asked to wait", ""]}}, "meters": {"house": {"state": "good", "age_s": 1961, "reason": "",
"newest_hour": 1774512000, "answered_at": 1774516328, "missing_hours": 2, "expiring_days": 3, "failure":
["source.unavailable", 1774515753, "no connection", "Look."], "trouble": "x", "refused": "y"}}}"""


def test_the_file_of_a_build_before_is_read_and_written_alike(tmp_path: Path) -> None:
    """Its keys are kept, in their order: builds follow one another while the file stays. New ones follow."""
    place = status_file(tmp_path, {})
    place.parent.mkdir()
    place.write_text(BEFORE)
    status = read_status(tmp_path, {})
    assert status is not None
    assert status.meters["house"].failure == Failure(
        "source.unavailable", 1774515753, "no connection", "Look."
    )
    write_status(place, status)
    before = BEFORE.replace("\n", " ").removesuffix("}")
    assert place.read_text() == f'{before}, "targets": {{}}}}'


def test_what_is_read_from_the_day_files_is_not_in_it(tmp_path: Path) -> None:
    """Neither written nor read: whoever needs the days reads them."""
    days = {date(2026, 3, 19): DayState.COMPLETE}
    meter = replace(ONE.meters["house"], zone=ZoneInfo("UTC"), states=days, is_held=True)
    place = status_file(tmp_path, {})
    write_status(place, replace(ONE, meters={"house": meter}, is_running=False))
    assert place.read_text() == GOOD
    place.write_text(GOOD.replace('"state": "good"', '"state": "good", "zone": 1, "states": 2, "x": 3'))
    status = read_status(tmp_path, {})
    assert status is not None
    assert status.meters["house"] == MeterStatus(State.GOOD)
    assert status.meters["house"].states == {}


GOOD = json.dumps(to_json(ONE))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "1", '"x"', "{}", "[" * 100_000, "\x00" * 50, GOOD[:-1], "x" * 2_000_000]
    + [GOOD.replace('"pid": 1', f'"pid": {value}') for value in ('"x"', "null", "[]", "NaN", "1e999")]
    + [GOOD.replace('{"house"', '[{"house"'), GOOD.replace('"accounts": {}', '"accounts": {"a": 1}')]
    + [GOOD.replace('"jobs": 0', f'"jobs": {value}') for value in ("-1", "true", "0.5", str(10**30))]
    + [GOOD.replace('"state": "good"', f'"state": {value}') for value in ("[]", '"fine"', "1")]
    + [GOOD.replace('"failure": null', f'"failure": {value}') for value in ('["x"]', '"abc"', "{}", "3")]
    + [GOOD.replace('"meters": {"house": {', '"meters": {"barn": [], "house": {')]
    + [json.dumps(to_json(ONE) | {"meters": {"house": value}}) for value in ("x", 1, None)],
)
def test_a_damaged_one_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    """The commands then use the day files."""
    place = status_file(tmp_path, {})
    place.parent.mkdir()
    place.write_text(text)
    assert read_status(tmp_path, {}) is None


def test_the_status_line_shows_the_work_or_what_stops_it() -> None:
    """One line for `systemctl status`, in this order: trouble, a meter that is not well, the work."""
    well = {"house": MeterStatus(State.GOOD)}
    line = status_line(Status("1", 1, 0, 0, "", age_s=2280, jobs=2, next_run_at=43_920, meters=well))
    assert line == "Collecting 1 meter, newest hour 38 min old, 2 jobs in progress, next run 12:12 UTC"
    offline = {"house": MeterStatus(State.OFFLINE, reason="is it powered?"), "garage": MeterStatus()}
    assert status_line(Status("1", 1, 0, 0, "", meters=offline)) == "Offline: house: is it powered?"
    accounts = {"home": AccountStatus(trouble=Failure("source.unavailable", 1, "no connection"))}
    line = status_line(Status("1", 1, 0, 0, "", accounts=accounts, meters=offline))
    assert line == "Waiting: no connection"
