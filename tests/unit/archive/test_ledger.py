"""The journal of what was requested: it may be lost or damaged at any byte, and never stops anything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.archive.ledger import Bounds, Ledger
from collector.energy.days import local_day
from collector.energy.history import LastAttempt, Outcome, is_due
from collector.energy.spans import SpanLimit, Trust
from collector.errors import ArchiveError
from tests.support.energy_days import AUTUMN, BERLIN, ORDINARY, SPRING, after

DAY = date(2024, 6, 12)
LOCAL = local_day(DAY, BERLIN)
ASKED = LastAttempt(Outcome.EMPTY, 1_718_200_000, 3, "nothing there")
LINE = (
    b'{"day": "2024-06-12", "outcome": "empty", "asked_at": 1718200000, "tries": 3, '
    b'"reason": "nothing there"}\n'
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.jsonl"


def filled_ledger(path: Path, days: int = 5) -> Ledger:
    ledger = Ledger(path)
    ledger.note_zone("Europe/Berlin")
    ledger.note_lost(date(2021, 1, 1))
    for number in range(days):
        ledger.note(DAY + timedelta(days=number), ASKED._replace(tries=number))
    return ledger


def says(ledger: Ledger) -> tuple[object, ...]:
    return dict(ledger.attempts), ledger.zone, ledger.lost_before


def test_what_was_noted_is_remembered(path: Path) -> None:
    """Days, the zone, and which losses were told."""
    ledger = filled_ledger(path)
    again = Ledger(path)
    assert says(again) == says(ledger)
    assert (again.rebuilt, again.zone, again.lost_before) == (False, "Europe/Berlin", date(2021, 1, 1))
    assert path.stat().st_mode & 0o7 == 0


def test_a_line_is_what_it_was(path: Path) -> None:
    """The journal outlives the version that wrote it."""
    Ledger(path).note(DAY, ASKED)
    assert path.read_bytes() == LINE


def test_the_last_line_of_a_day_counts(path: Path) -> None:
    """And a day that was forgotten has none."""
    ledger = filled_ledger(path)
    ledger.note(DAY, ASKED._replace(tries=9))
    ledger.forget(DAY + timedelta(days=1))
    ledger.forget(date(1999, 1, 1))
    again = Ledger(path)
    assert again.attempts[DAY].tries == 9
    assert DAY + timedelta(days=1) not in again.attempts
    assert says(again) == says(ledger)


def test_what_is_known_already_is_not_written(path: Path) -> None:
    """No byte, no time of change."""
    ledger = filled_ledger(path)
    before = path.read_bytes(), path.stat().st_mtime_ns
    ledger.note_zone("Europe/Berlin")
    ledger.note_lost(date(2021, 1, 1))
    ledger.note(DAY, ASKED._replace(tries=0))
    ledger.forget(date(1999, 1, 1))
    ledger.mend()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_no_ledger_is_an_empty_one(path: Path) -> None:
    """Reading it writes nothing."""
    ledger = Ledger(path)
    ledger.mend()
    assert (says(ledger), ledger.rebuilt) == (({}, None, None), False)
    assert not path.exists()


def test_a_torn_last_line_costs_that_line_only(path: Path) -> None:
    """Wherever the crash came; it is mended in silence, and later lines are not glued to the rest."""
    whole = filled_ledger(path)
    data = path.read_bytes()
    start = data.rindex(b"\n", 0, -1) + 1
    for size in range(start + 1, len(data)):
        path.write_bytes(data[:size])
        torn = Ledger(path)
        assert not torn.rebuilt
        assert len(torn.attempts) == len(whole.attempts) - 1
        torn.mend()
        torn.note(DAY + timedelta(days=4), ASKED._replace(tries=4))
        assert says(Ledger(path)) == says(whole)


def test_a_block_of_zeros_at_the_end_is_reported(path: Path) -> None:
    """Bug: what a power cut made of the last lines passed as one torn line, and nobody was told."""
    filled_ledger(path)
    for zeros in (b"\0" * 4096, b'{"day": "2024\0\0\0\0', b"\0" * 100 + b"\n" + LINE):
        data = path.read_bytes()
        path.write_bytes(data + zeros)
        ledger = Ledger(path)
        assert ledger.rebuilt
        assert len(ledger.attempts) == 5
        ledger.mend()
        assert not Ledger(path).rebuilt
        path.write_bytes(data)


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"day": "2024-06-31", "outcome": null}',
        b'{"day": 5, "outcome": null}',
        b'{"day": "2024-06-12"}',
        b'{"zone": "../../etc/passwd"}',
        b'{"zone": 5}',
        b'{"zone": null}',
        b'{"lost_before": "yesterday"}',
        LINE[:-1].replace(b'"empty"', b'"maybe"'),
        LINE[:-1].replace(b'"empty"', b"[]"),
        LINE[:-1].replace(b"1718200000", b"-1"),
        LINE[:-1].replace(b"1718200000", b"1.5"),
        LINE[:-1].replace(b"1718200000", b"true"),
        LINE[:-1].replace(b"1718200000", b"9" * 5000),
        LINE[:-1].replace(b'"tries": 3, ', b""),
        LINE[:-1] + LINE[:-1],
    ],
)
def test_a_damaged_line_is_dropped_and_told(path: Path, line: bytes) -> None:
    """The others stay; once mended it is not told again."""
    whole = filled_ledger(path)
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\n", b"\n" + line + b"\n", 1))
    ledger = Ledger(path)
    assert ledger.rebuilt
    assert says(ledger) == says(whole)
    ledger.mend()
    again = Ledger(path)
    assert (says(again), again.rebuilt) == (says(whole), False)


@pytest.mark.parametrize(
    "damage",
    [
        {"longest_span_h": 10**15}, {"longest_span_h": 0}, {"longest_span_h": -96}, {"longest_span_h": 97},
        {"answered_h": 10**15}, {"answered_h": -1}, {"learned_at": "now"}, {"trust": "no"}, {"trust": None},
    ],
)  # fmt: skip
def test_a_length_of_spans_that_is_none_is_a_damaged_line(path: Path, damage: dict[str, Any]) -> None:
    """A request for all that the cloud has is not made, nor promised by a dry run."""
    whole = {"longest_span_h": 96, "answered_h": 48, "trust": "proven", "learned_at": 1718200000, "of": "em"}
    path.write_text(json.dumps(whole) + "\n")
    assert Ledger(path).span_limit == ("em", SpanLimit(96, 48, 1718200000, Trust.PROVEN))
    path.write_text(json.dumps(whole | damage) + "\n")
    ledger = Ledger(path)
    assert (ledger.rebuilt, ledger.span_limit) == (True, None)


def test_a_stamp_without_end_is_a_damaged_line(path: Path) -> None:
    """Bug: a number too large for a float raised an OverflowError in every plan."""
    path.write_bytes(LINE.replace(b"1718200000", b"9" * 400))
    ledger = Ledger(path)
    assert ledger.rebuilt
    assert all(is_due(requested, datetime(2024, 6, 15, tzinfo=UTC)) for requested in ledger.attempts.values())


@given(st.binary(max_size=400))
def test_any_bytes_are_a_ledger(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Nothing is raised, and after mending it is sound."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.jsonl"
    path.write_bytes(data)
    Ledger(path).mend()
    assert not Ledger(path).rebuilt


def test_forgetting_a_day_twice_is_no_damage(path: Path) -> None:
    """The line that remembered it may be the one that was lost."""
    path.write_bytes(b'{"day": "2024-06-12", "outcome": null}\n')
    assert not Ledger(path).rebuilt


@pytest.mark.parametrize(("stamp", "is_one"), [(0, True), (2**53 - 1, True), (2**53, False)])
def test_a_stamp_is_exact_as_a_float(path: Path, stamp: int, is_one: bool) -> None:
    """As times are compared."""
    path.write_bytes(LINE.replace(b"1718200000", b"%d" % stamp))
    ledger = Ledger(path)
    assert (ledger.rebuilt, DAY in ledger.attempts) == (not is_one, is_one)


def test_a_ledger_of_8_megabytes_is_read(path: Path) -> None:
    """And not one byte more."""
    path.write_bytes(LINE[:-2] + b" " * (8 * 1024 * 1024 - len(LINE)) + LINE[-2:])
    ledger = Ledger(path)
    assert (ledger.rebuilt, dict(ledger.attempts)) == (False, {DAY: ASKED})
    path.write_bytes(b" " + path.read_bytes())
    ledger = Ledger(path)
    assert (ledger.rebuilt, dict(ledger.attempts)) == (True, {})


def test_a_ledger_without_end_is_rebuilt(path: Path) -> None:
    """In bounded memory: more than 8 MB is nothing we wrote."""
    with path.open("wb") as file:
        file.truncate(8 * 1024 * 1024 + 1)
    ledger = Ledger(path)
    assert (ledger.rebuilt, dict(ledger.attempts)) == (True, {})
    ledger.mend()
    assert path.stat().st_size == 0


def test_compaction_keeps_everything(path: Path) -> None:
    """A journal that is mostly about the past is written again, and says the same."""
    ledger = filled_ledger(path)
    for tries in range(600):
        ledger.note(DAY, ASKED._replace(tries=tries))
    long = path.stat().st_size
    again = Ledger(path)
    again.mend()
    assert not again.rebuilt
    assert path.stat().st_size < long / 50
    assert says(Ledger(path)) == says(ledger)
    assert path.read_bytes().count(b"\n") == 7


def test_five_hundred_lines_of_the_past_are_kept(path: Path) -> None:
    """Writing the journal again for each would wear out the card; with one more it is, once."""
    Ledger(path).note(DAY, ASKED)
    path.write_bytes(LINE * 501)
    Ledger(path).mend()
    assert path.read_bytes() == LINE * 501
    path.write_bytes(LINE * 502)
    ledger = Ledger(path)
    ledger.mend()
    assert path.read_bytes() == LINE
    inode = path.stat().st_ino
    ledger.mend()
    assert path.stat().st_ino == inode


def test_a_damaged_ledger_is_mended_once(path: Path) -> None:
    """What is whole is not written again."""
    path.write_bytes(b"garbage\n" + LINE)
    ledger = Ledger(path)
    ledger.mend()
    inode = path.stat().st_ino
    ledger.mend()
    assert (path.read_bytes(), path.stat().st_ino) == (LINE, inode)


def test_asking_in_vain_is_counted(path: Path) -> None:
    """How it ended, when, how often so far, and why."""
    ledger = Ledger(path)
    ledger.remember(LOCAL, Outcome.EMPTY, after(LOCAL, hours=0.5), complete=False, keep_s=0)
    assert ledger.attempts == {DAY: LastAttempt(Outcome.EMPTY, LOCAL.end + 1800, 1)}
    now = after(LOCAL, hours=1)
    ledger.remember(LOCAL, Outcome.FAILED, now, complete=False, keep_s=0, reason="no answer")
    assert ledger.attempts == {DAY: LastAttempt(Outcome.FAILED, LOCAL.end + 3600, 2, "no answer")}
    assert says(Ledger(path)) == says(ledger)


def test_a_complete_day_is_remembered_until_it_need_not_be_read_again(path: Path) -> None:
    """Its tries count no more; once that time is over, its file says all there is to say."""
    ledger = Ledger(path)
    ledger.note(DAY, ASKED)
    last = after(LOCAL, hours=1) - timedelta(seconds=1)
    ledger.remember(LOCAL, Outcome.WRITTEN, last, complete=True, keep_s=3600)
    assert ledger.attempts == {DAY: LastAttempt(Outcome.WRITTEN, LOCAL.end + 3599, 0)}
    ledger.remember(LOCAL, Outcome.WRITTEN, after(LOCAL, hours=1), complete=True, keep_s=3600)
    assert ledger.attempts == {}
    assert says(Ledger(path)) == says(ledger)


def test_a_day_whose_last_hour_cannot_be_there_is_not_remembered(path: Path) -> None:
    """Today, and for ten minutes yesterday, are requested every hour, whatever came."""
    ledger = Ledger(path)
    arrived = after(LOCAL) + timedelta(minutes=10)
    for outcome in Outcome:
        ledger.remember(LOCAL, outcome, arrived - timedelta(seconds=1), complete=False, keep_s=3600)
    assert (dict(ledger.attempts), path.exists()) == ({}, False)
    ledger.remember(LOCAL, Outcome.PARTIAL, arrived, complete=False, keep_s=3600)
    assert ledger.attempts == {DAY: LastAttempt(Outcome.PARTIAL, LOCAL.end + 600, 1)}


def test_a_long_reason_is_cut(path: Path) -> None:
    """It comes from outside, and one line of it is enough."""
    Ledger(path).note(DAY, ASKED._replace(reason="x\n" * 5000))
    assert len(Ledger(path).attempts[DAY].reason) == 200
    assert path.read_bytes().count(b"\n") == 1


def test_a_folder_in_its_place_is_reported(path: Path) -> None:
    """With what to do about it."""
    path.mkdir()
    with pytest.raises(ArchiveError, match="move it away"):
        Ledger(path)


def test_a_planted_link_is_not_written_through(path: Path) -> None:
    """The victim stays as it is."""
    victim = path.with_name("victim")
    victim.write_bytes(b"")
    path.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        Ledger(path).note(DAY, ASKED)
    assert victim.read_bytes() == b""


WRITER = """
import errno, sys
from pathlib import Path
from datetime import date, timedelta
from collector.archive.ledger import Ledger
from collector.energy.history import LastAttempt, Outcome
DAY = date(2024, 6, 12)
ASKED = LastAttempt(Outcome.EMPTY, 1_718_200_000, 3, "nothing there")
ledger = Ledger(Path(sys.argv[1]))
ledger.note(DAY, ASKED)
try:
    ledger.note(DAY + timedelta(days=1), ASKED)
except OSError as error:
    assert DAY + timedelta(days=1) not in ledger.attempts
    sys.exit(error.errno)
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize("inject", ["write:error=ENOSPC:when=2", "write:retval=7:when=2"])
def test_a_disk_that_fills_up_leaves_no_half_line(path: Path, inject: str) -> None:
    """The error is reported, and the journal ends with a whole line."""
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", str(path)]
    command += ["-e", "trace=write", "-e", f"inject={inject}", sys.executable, "-c", WRITER, str(path)]
    done = subprocess.run(
        command, check=False, capture_output=True, timeout=60, env=os.environ | {"PYTHONPATH": "."}
    )
    assert done.returncode == 28, done.stderr
    assert path.read_bytes() == LINE
    assert json.loads(path.read_bytes())["tries"] == 3


@pytest.mark.parametrize(
    "bounds", [Bounds(), Bounds(ORDINARY), Bounds(None, ORDINARY), Bounds(AUTUMN, ORDINARY)]
)
def test_the_bounds_of_the_mark_survive_a_journal_that_is_written_again(
    tmp_path: Path, bounds: Bounds
) -> None:
    """They are what protects an old device's hours where the mark is lost."""
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.note_bounds(Bounds(SPRING))
    ledger.note_bounds(bounds)
    assert Ledger(path).bounds == bounds
    with path.open("ab") as journal:
        journal.write(b"damage\n")
    Ledger(path).mend()
    assert Ledger(path).bounds == bounds
    assert not Ledger(path).rebuilt


def test_bounds_that_are_no_days_are_dropped(tmp_path: Path) -> None:
    """As any line that cannot be read."""
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"since": "never", "kept_to": null}\n{"since": "2026-03-20"}\n')
    assert Ledger(path).bounds == Bounds()
    assert Ledger(path).rebuilt


def test_what_was_requested_of_another_meter_is_forgotten(tmp_path: Path) -> None:
    """Whatever is told of days; the zone stays, unless nothing was held in it."""
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    ledger.note_zone("Europe/Berlin")
    ledger.note(ORDINARY, LastAttempt(Outcome.EMPTY, 1, 1))
    ledger.note_different(ORDINARY)
    ledger.note_lost(ORDINARY)
    ledger.note_span_limit("em", SpanLimit(96, 96, 1718200000, Trust.PROVEN))
    for and_zone, zone in ((False, "Europe/Berlin"), (True, None)):
        ledger.forget_days(and_zone=and_zone)
        ledger.mend()
        again = Ledger(path)
        assert (again.attempts, again.different, again.lost_before, again.zone) == ({}, set(), None, zone)
        assert again.span_limit is None  # what was compared were the other's answers
