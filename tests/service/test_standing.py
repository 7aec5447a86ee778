"""What the service says of itself: kept in its place, read by anybody, lost without loss."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.status import (
    AccountStanding,
    Failure,
    MeterStanding,
    Standing,
    in_one_line,
    place_for,
    read_standing,
    write_standing,
)

TEXTS = st.text(max_size=50)
TIMES = st.integers(0, 4_000_000_000)
FAILURES = st.none() | st.builds(Failure, TEXTS, TIMES, TEXTS, TEXTS)
STANDINGS = st.builds(
    Standing,
    version=TEXTS,
    pid=st.integers(1, 99_999),
    started_at=TIMES,
    written_at=TIMES,
    today=TEXTS,
    state=st.sampled_from(["good", "broken"]),
    age_s=st.none() | TIMES,
    jobs=st.integers(0, 9),
    next_run_at=st.none() | TIMES,
    accounts=st.dictionaries(
        TEXTS,
        st.builds(
            AccountStanding,
            meters=st.lists(TEXTS).map(tuple),
            requests_today=TIMES,
            outcomes=st.dictionaries(TEXTS, TIMES),
            gap_s=st.floats(0, 60),
            trouble=FAILURES,
        ),
    ),
    meters=st.dictionaries(TEXTS, st.builds(MeterStanding, newest_hour=st.none() | TIMES, failure=FAILURES)),
)
ONE = Standing("0.1.0", 1, 1000, 2000, "2026-03-20", meters={"house": MeterStanding(state="good")})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STANDINGS)
def test_what_was_written_is_what_is_read(tmp_path: Path, standing: Standing) -> None:
    environ = {"RUNTIME_DIRECTORY": str(tmp_path / "run")}
    write_standing(place_for(tmp_path, environ), standing)
    assert read_standing(tmp_path, environ) == standing


def test_it_lies_in_memory_where_systemd_gives_a_folder_there(tmp_path: Path) -> None:
    """And else beside the archive, never as one of its day files."""
    assert place_for(tmp_path, {"RUNTIME_DIRECTORY": "/run/x:/run/y"}).parent == Path("/run/x")
    place = place_for(tmp_path, {})
    assert place.parent == tmp_path / ".collector"
    assert place.suffix == ".json"
    assert place.name != place_for(tmp_path / "another", {}).name


def test_the_newest_that_can_be_found_counts(tmp_path: Path) -> None:
    """A service that was started another way may have left an older one."""
    environ = {"RUNTIME_DIRECTORY": str(tmp_path / "run")}
    write_standing(place_for(tmp_path, {}), ONE)
    assert read_standing(tmp_path, environ) == ONE
    newer = Standing("0.1.0", 2, 1000, 3000, "2026-03-20")
    write_standing(place_for(tmp_path, environ), newer)
    assert read_standing(tmp_path, environ) == newer


def test_a_failure_without_a_cure_of_its_own_is_read(tmp_path: Path) -> None:
    """As a service of an older version writes it, while the new `status` is there already."""
    accounts = {"home": AccountStanding(trouble=Failure("source.unavailable", 1, "no connection"))}
    place = place_for(tmp_path, {})
    write_standing(place, replace(ONE, accounts=accounts))
    place.write_text(place.read_text().replace('"no connection", ""]', '"no connection"]'))
    standing = read_standing(tmp_path, {})
    assert standing is not None
    assert standing.accounts == accounts


GOOD = json.dumps(asdict(ONE))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "1", '"x"', "{}", "[" * 100_000, "\x00" * 50, GOOD[:-1], "x" * 2_000_000]
    + [GOOD.replace('"pid": 1', f'"pid": {value}') for value in ('"x"', "null", "[]", "NaN", "1e999")]
    + [GOOD.replace('{"house"', '[{"house"'), GOOD.replace('"accounts": {}', '"accounts": {"a": 1}')],
)
def test_a_damaged_one_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    """Whoever asks goes by the files then."""
    place = place_for(tmp_path, {})
    place.parent.mkdir()
    place.write_text(text)
    assert read_standing(tmp_path, {}) is None


def test_the_status_line_says_what_is_done_or_what_keeps_it_from_being_done() -> None:
    """One line for `systemctl status`, in this order: trouble, a meter that is not well, the work."""
    well = {"house": MeterStanding(state="good")}
    line = in_one_line(Standing("1", 1, 0, 0, "", age_s=2280, jobs=2, next_run_at=43_920, meters=well))
    assert line == "Collecting 1 meter, newest hour 38 min old, 2 jobs under way, next at 12:12 UTC"
    offline = {"house": MeterStanding(state="offline", reason="is it powered?"), "garage": MeterStanding()}
    assert in_one_line(Standing("1", 1, 0, 0, "", meters=offline)) == "Offline: house: is it powered?"
    accounts = {"home": AccountStanding(trouble=Failure("source.unavailable", 1, "no connection"))}
    line = in_one_line(Standing("1", 1, 0, 0, "", accounts=accounts, meters=offline))
    assert line == "Waiting: no connection"
