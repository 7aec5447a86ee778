"""The archive: what it stores, what it refuses to lose, and what it leaves alone."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.archive.dayfile import DayFormat, decode, encode, stored_day
from collector.archive.folder import survey
from collector.archive.store import Archive, DayOutcome
from collector.energy.history import NOTHING, DayRecord, LastAttempt, Outcome, heal_days
from collector.energy.history import PlanPolicy as Policy
from collector.energy.readings import EnergyDay, Revision
from collector.errors import ArchiveLocked, UnreadableFile
from tests.support.archives import KEEP, MEASURED, MERGE, everything_in, older_file, opened
from tests.support.energy_days import (
    AUTUMN,
    BERLIN,
    COMPLETE,
    END,
    LONDON,
    ORDINARY,
    PARTIAL,
    TODAY,
    WHOLE,
    after,
    energy_days,
    filled,
    nothing,
    reading,
)
from tests.support.failing_calls import Calls, Failure

NAME = f"{ORDINARY}.jsonl"
NOTHING_MEASURED = {"import": 0, "export": 0, "solar": 0}
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")


def put(folder: Path, data: bytes, day: date = ORDINARY) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{day}.jsonl"
    path.write_bytes(data)
    return path


def state(known: DayRecord | None) -> tuple[bool, bool]:
    assert known is not None
    return known.stored, known.complete


def test_a_complete_day_is_written(archive: Archive) -> None:
    """Once it is over, with all its hours."""
    outcome = archive.merge(WHOLE, END)
    assert outcome == DayOutcome(ORDINARY, Outcome.WRITTEN, hours=24, complete=True)
    assert (archive.folder / NAME).read_bytes() == encode(WHOLE, 4, complete=True)
    assert state(archive.known()[ORDINARY]) == (True, True)


def test_a_partial_day_is_written_and_says_so(archive: Archive) -> None:
    """The missing hour is not in it."""
    day = filled(without=[3, 4])
    outcome = archive.merge(day, END)
    assert outcome == DayOutcome(ORDINARY, Outcome.PARTIAL, hours=22, missing=2)
    data = (archive.folder / NAME).read_bytes()
    assert data.count(b'"partial": true}\n') == data.count(b"\n") == 22


def test_a_day_without_hours_leaves_no_file(archive: Archive) -> None:
    """It is remembered as requested and empty."""
    assert archive.merge(nothing(), END) == DayOutcome(ORDINARY, Outcome.EMPTY, missing=24)
    assert not (archive.folder / NAME).exists()
    requested = LastAttempt(Outcome.EMPTY, int(END.timestamp()), 1)
    assert archive.known()[ORDINARY] == DayRecord(stored=False, complete=False, last_attempt=requested)


def test_today_is_not_remembered_as_requested(archive: Archive) -> None:
    """It is requested every hour, whatever came."""
    noon = after(WHOLE.day, hours=-12)
    archive.merge(nothing(), noon)
    archive.note_failure(WHOLE.day, "no answer", noon)
    assert archive.known() == {}
    archive.merge(filled(without=range(12, 24)), noon)
    assert archive.known() == {ORDINARY: PARTIAL}


def test_an_unchanged_refresh_writes_nothing(archive: Archive) -> None:
    """Not a byte, no time of change, no other inode, in any file, the ledger's included."""
    noon, today = after(WHOLE.day, hours=-12), filled(without=range(12, 24))
    archive.merge(today, noon)
    before = everything_in(archive.folder)
    outcome = archive.merge(today, noon)
    assert outcome.outcome is Outcome.UNCHANGED
    assert outcome.revisions == ()
    assert everything_in(archive.folder) == before


def test_an_old_day_that_is_unchanged_leaves_no_trace(archive: Archive) -> None:
    """No rewrite, and no line in the ledger for a day that is settled."""
    long_after = after(WHOLE.day, days=30)
    archive.merge(WHOLE, long_after)
    before = everything_in(archive.folder)
    assert archive.merge(WHOLE, long_after).outcome is Outcome.UNCHANGED
    assert everything_in(archive.folder) == before
    assert ORDINARY not in archive.ledger.attempts


def test_a_settled_day_has_no_line(archive: Archive) -> None:
    """Three days after its end, its file says all there is to say."""
    archive.merge(WHOLE, END)
    assert archive.ledger.attempts[ORDINARY] == LastAttempt(Outcome.WRITTEN, int(END.timestamp()), 0)
    archive.merge(WHOLE, after(WHOLE.day, days=3))
    assert ORDINARY not in archive.ledger.attempts
    assert archive.known()[ORDINARY] == COMPLETE


def test_a_day_settles_in_two_readings(archive: Archive) -> None:
    """LastAttempt hourly for a week, the plan reads it again after one day and after three, and no more."""
    archive.merge(WHOLE, END)
    read_at = []
    for hours in range(24 * 7):
        now = after(WHOLE.day, hours=hours + 0.2)
        if list(heal_days(BERLIN, ORDINARY, archive.known(), None, now, Policy())):
            archive.merge(WHOLE, now)
            read_at.append(hours)
    assert read_at == [24, 72]


def test_a_revision_is_written_and_told_once(archive: Archive) -> None:
    """Newer wins; old and new are in the outcome."""
    archive.merge(WHOLE, END)
    ts = WHOLE.day.hours[5]
    revised = replace(WHOLE, readings={**WHOLE.readings, ts: reading("9.0000", "0.2500", "0.0500")})
    old, new = WHOLE.readings[ts].import_kwh, revised.readings[ts].import_kwh
    outcome = archive.merge(revised, END)
    assert outcome.revisions == (Revision(ts, "import", old, new),)
    assert outcome.outcome is Outcome.WRITTEN
    assert archive.merge(revised, END).revisions == ()


@pytest.mark.parametrize("answer", [nothing(), filled(without=range(5, 24))])
def test_a_shrunken_answer_never_replaces_more(archive: Archive, answer: EnergyDay) -> None:
    """Empty or short: the file stays as it is."""
    archive.merge(WHOLE, END)
    before = (archive.folder / NAME).read_bytes()
    outcome = archive.merge(answer, after(WHOLE.day, days=1))
    assert (outcome.outcome, outcome.complete, outcome.hours) == (Outcome.UNCHANGED, True, 24)
    assert (archive.folder / NAME).read_bytes() == before


def test_a_clock_that_was_set_back_does_not_undo_a_complete_day(archive: Archive) -> None:
    """Bug: merged ten minutes before its end, a complete day was called partial, and its zeros dropped."""
    zeros = filled(each=reading("0.0000", "0.0000", "0.0000"))
    archive.merge(zeros, END)
    outcome = archive.merge(
        filled(each=zeros.readings[zeros.day.start], without=[23]), after(zeros.day, hours=-0.1)
    )
    assert (outcome.outcome, outcome.complete) == (Outcome.UNCHANGED, True)


@pytest.mark.parametrize("answer", [nothing(AUTUMN), filled(AUTUMN, without=[3])])
def test_a_shrunken_answer_leaves_a_merged_fall_back_day_complete(folder: Path, answer: EnergyDay) -> None:
    """Bug: its one record for two hours counted as doubtful, and the day was rewritten as partial."""
    with opened(folder, MERGE) as archive:
        day = filled(AUTUMN)
        assert archive.merge(day, after(day.day)).complete
        outcome = archive.merge(answer, after(day.day, days=1))
        assert (outcome.outcome, outcome.complete, outcome.hours) == (Outcome.UNCHANGED, True, 24)


def test_a_damaged_file_is_moved_aside_and_collected_again(archive: Archive) -> None:
    """Never trusted, never destroyed."""
    put(archive.folder, b"garbage\n")
    outcome = archive.merge(WHOLE, END)
    [moved] = outcome.quarantined
    assert outcome.outcome is Outcome.WRITTEN
    assert (moved.day, moved.place.read_bytes()) == (ORDINARY, b"garbage\n")
    assert moved.place == archive.folder / ".collector" / "quarantine" / f"{NAME}.1"
    assert "JSON" in moved.reason
    assert (archive.folder / NAME).read_bytes() == encode(WHOLE, 4, complete=True)


def test_a_damaged_file_whose_day_the_cloud_lost_is_kept_aside(archive: Archive) -> None:
    """The day is empty then; the bytes are not gone."""
    put(archive.folder, b"garbage\n")
    outcome = archive.merge(nothing(), END)
    assert (outcome.outcome, len(outcome.quarantined)) == (Outcome.EMPTY, 1)


CUT = encode(WHOLE, 4, complete=True)[:-40]
FORGOTTEN = END + timedelta(days=1200)  # when the cloud has forgotten the day


@pytest.mark.parametrize(
    ("data", "today", "stays"),
    [
        (CUT, TODAY, False),
        (CUT, ORDINARY + timedelta(days=1095), False),
        (CUT, ORDINARY + timedelta(days=1096), True),
        (CUT[:50], FORGOTTEN.date(), False),
        (b"", FORGOTTEN.date(), False),
    ],
)
def test_the_only_copy_is_not_taken_from_its_place(
    archive: Archive, data: bytes, today: date, stays: bool
) -> None:
    """Bug: what nobody can give again went into quarantine. Unless it says nothing of its day anyway."""
    path = put(archive.folder, data)
    moved = archive.scan(today)
    assert (path.exists(), moved == (), ORDINARY in archive.unreadable) == (stays, stays, stays)
    if stays:
        assert archive.known() == {ORDINARY: NOTHING}, "it is not requested"
        assert archive.scan(today) == ()
        path.write_bytes(encode(WHOLE, 4, complete=True))
        assert (archive.scan(today), archive.unreadable) == ((), {})
        assert state(archive.known()[ORDINARY]) == (True, True)


def test_an_answer_that_gives_nothing_does_not_replace_the_only_copy(archive: Archive) -> None:
    """One that gives hours does: then somebody could give the day again."""
    path = put(archive.folder, CUT)
    with pytest.raises(UnreadableFile, match="no longer keeps"):
        archive.merge(nothing(), FORGOTTEN)
    assert path.read_bytes() == CUT
    outcome = archive.merge(WHOLE, FORGOTTEN)
    assert (outcome.outcome, len(outcome.quarantined)) == (Outcome.WRITTEN, 1)


def test_a_clock_that_stands_in_the_past_takes_nothing_from_its_place(archive: Archive) -> None:
    """What is stored of later days shows what day it is at least."""
    put(archive.folder, encode(filled(FORGOTTEN.date()), 4, complete=True), FORGOTTEN.date())
    path = put(archive.folder, CUT)
    assert archive.scan(TODAY) == ()
    assert path.exists()


@pytest.mark.parametrize(
    "make", ["garbage", "folder", "pipe", "dangling", "two", "other zone", "no end of time"]
)
def test_a_scan_moves_aside_what_is_no_day_file(folder: Path, make: str) -> None:
    """One bad file never stops the rest."""
    with opened(folder) as archive:
        good = ORDINARY - timedelta(days=1)
        archive.merge(filled(good), END)
        path = folder / NAME
        if make == "folder":
            path.mkdir()
        elif make == "pipe":
            os.mkfifo(path)
        elif make == "dangling":
            path.symlink_to(folder / "nowhere")
        elif make == "two":
            path.write_bytes(encode(WHOLE, 4, complete=True) * 2)
        elif make == "other zone":
            path.write_bytes(encode(filled(ORDINARY + timedelta(days=1)), 4, complete=True))
        elif make == "no end of time":
            path = folder / "9999-12-31.jsonl"
            path.write_bytes(encode(WHOLE, 4, complete=True).replace(b"2024-06-12", b"9999-12-31"))
        else:
            path.write_bytes(b"")
        [moved] = archive.scan(TODAY)
        assert os.path.lexists(moved.place)
        assert not os.path.lexists(path)
        assert set(archive.known()) == {good}
        assert archive.scan(TODAY) == ()


def test_a_damaged_file_is_a_gap_at_once(archive: Archive) -> None:
    """Bug: a partial day that had been requested in vain many times waited for a week when its file broke."""
    for hours in range(20):
        archive.merge(filled(without=[4]), after(WHOLE.day, hours=hours))
    put(archive.folder, b"garbage\n")
    assert len(archive.scan(TODAY)) == 1
    assert ORDINARY not in archive.known()
    assert ORDINARY not in archive.ledger.attempts


@pytest.mark.parametrize("restarted", [False, True])
def test_a_deleted_file_is_a_gap_at_once(folder: Path, restarted: bool) -> None:
    """Bug: its last attempt was still recorded, so it was not requested before that was due again."""
    with opened(folder) as archive:
        archive.scan(TODAY)
        archive.merge(WHOLE, END)
        archive.merge(filled(ORDINARY - timedelta(days=1), without=[3]), END)
        if not restarted:
            (folder / NAME).unlink()
            archive.scan(TODAY)
            assert set(archive.known()) == {ORDINARY - timedelta(days=1)}
            return
    (folder / NAME).unlink()
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert set(archive.known()) == {ORDINARY - timedelta(days=1)}


def test_days_requested_in_vain_survive_a_scan(folder: Path) -> None:
    """They have no file, and are no gaps."""
    with opened(folder) as archive:
        archive.merge(nothing(), END)
        archive.note_failure(filled(AUTUMN).day, "no answer", after(filled(AUTUMN).day, hours=0.2))
        archive.scan(TODAY)
        before = archive.known()
        assert len(before) == 2
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert archive.known() == before


def test_a_failure_is_remembered_with_its_tries(archive: Archive) -> None:
    """So that the waits grow; success ends the count."""
    for tries in (1, 2, 3):
        archive.note_failure(WHOLE.day, "no answer", END)
        assert archive.known()[ORDINARY].last_attempt == LastAttempt(
            Outcome.FAILED, int(END.timestamp()), tries, "no answer"
        )
    archive.merge(WHOLE, END)
    archive.note_failure(WHOLE.day, "no answer", END)
    known = archive.known()[ORDINARY]
    assert (known.complete, known.last_attempt and known.last_attempt.tries) == (True, 1)
    assert DayOutcome.failed(ORDINARY, "no answer").outcome is Outcome.FAILED


def test_an_adopted_file_stays_byte_identical(folder: Path) -> None:
    """As long as the cloud says the same, in its five decimals and its order of keys."""
    path = put(folder, older_file())
    before = path.stat().st_mtime_ns, path.stat().st_ino
    each = reading("1.23456", "0.25", "0.75")
    with opened(folder) as archive:
        assert archive.scan(TODAY) == ()
        assert state(archive.known()[ORDINARY]) == (True, True)
        outcome = archive.merge(filled(each=each), END)
        assert (outcome.outcome, outcome.revisions) == (Outcome.UNCHANGED, ())
    assert path.read_bytes() == older_file()
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_a_zero_filled_day_is_healed(folder: Path) -> None:
    """Its zeros are no measurements: the answer's values are no revisions of them."""
    put(folder, older_file(lambda label: NOTHING_MEASURED if label > 20 else MEASURED, partial=True))
    each = reading("1.23456", "0.25", "0.75")
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert state(archive.known()[ORDINARY]) == (True, False)
        outcome = archive.merge(filled(each=each, without=[22]), END)
        assert (outcome.outcome, outcome.missing, outcome.revisions) == (Outcome.PARTIAL, 1, ())
        outcome = archive.merge(filled(each=each), END)
        assert (outcome.outcome, outcome.complete) == (Outcome.WRITTEN, True)


@pytest.mark.parametrize("label", [20, -1])
def test_a_zero_filled_day_that_the_cloud_lost_stays_as_it_is(folder: Path, label: int) -> None:
    """Bug: an empty answer took its zeros away, and a day of zeros only counted as not stored."""
    data = older_file(lambda each: NOTHING_MEASURED if each > label else MEASURED, partial=True)
    path = put(folder, data)
    with opened(folder) as archive:
        archive.scan(TODAY)
        outcome = archive.merge(nothing(), END)
        assert outcome.outcome is Outcome.UNCHANGED
        assert state(archive.known()[ORDINARY]) == (True, False)
        assert archive.ledger.attempts[ORDINARY].tries == 1
    assert path.read_bytes() == data


def test_one_row_for_a_repeated_hour_is_found_when_the_zone_is_learned(folder: Path) -> None:
    """Bug: scanned before the zone was known, a fall-back day of 24 records stayed complete till restart."""
    put(folder, older_file(day=AUTUMN), AUTUMN)
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert (archive.zone, archive.known()[AUTUMN]) == (None, COMPLETE)
        archive.merge(WHOLE, END)
        archive.scan(TODAY)
        assert (archive.zone, archive.known()[AUTUMN]) == (BERLIN, PARTIAL)


def test_one_row_for_a_repeated_hour_is_replaced_by_two(folder: Path) -> None:
    """By the first answer that has both hours; then the day is complete and stays so."""
    put(folder, older_file(day=AUTUMN), AUTUMN)
    day = filled(AUTUMN)
    with opened(folder) as archive:
        assert archive.merge(day, after(day.day)).hours == 25
        assert archive.merge(day, after(day.day)).outcome is Outcome.UNCHANGED
    assert (folder / f"{AUTUMN}.jsonl").read_bytes() == encode(day, 4, complete=True)


def test_one_row_for_two_hours_is_never_complete(folder: Path) -> None:
    """It may hold both, and nothing tells."""
    day = filled(AUTUMN, without=[3], doubtful=[2])
    with opened(folder) as archive:
        assert archive.merge(day, after(day.day)).outcome is Outcome.PARTIAL
        assert archive.merge(day, after(day.day)).outcome is Outcome.UNCHANGED


def test_a_repeated_hour_can_be_one_record_and_two_again(folder: Path) -> None:
    """Switched to merge and back: what is read decides, and nothing is counted twice."""
    day = filled(AUTUMN)
    first, second = day.day.repeated_hours[0]
    path = folder / f"{AUTUMN}.jsonl"
    with opened(folder) as archive:
        archive.merge(day, after(day.day))
    kept = path.read_bytes()
    with opened(folder, MERGE) as archive:
        archive.scan(TODAY)
        outcome = archive.merge(day, after(day.day))
        assert (outcome.outcome, outcome.hours, outcome.complete) == (Outcome.WRITTEN, 24, True)
        assert archive.merge(day, after(day.day)).outcome is Outcome.UNCHANGED
        archive.scan(TODAY)
        assert archive.known()[AUTUMN].complete
    [both] = [value for ts, value in decode(path.read_bytes(), AUTUMN).readings.items() if ts == first]
    assert both.import_kwh == day.readings[first].import_kwh + day.readings[second].import_kwh
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert not archive.known()[AUTUMN].complete
        assert archive.merge(nothing(AUTUMN), after(day.day)).outcome is Outcome.UNCHANGED
        assert archive.merge(day, after(day.day)).complete
    assert path.read_bytes() == kept


def test_half_a_merged_hour_is_partial(folder: Path) -> None:
    """One of two hours is not the record; a file with that record alone stays doubtful when partial."""
    day = filled(AUTUMN)
    with opened(folder, MERGE) as archive:
        assert archive.merge(filled(AUTUMN, without=[3]), after(day.day)).hours == 23
        archive.scan(TODAY)
        assert archive.known()[AUTUMN].complete is False
        assert archive.merge(day, after(day.day)).complete


def test_other_decimals_change_no_file_that_says_the_same(folder: Path) -> None:
    """Only what is new is written with them."""
    with opened(folder) as archive:
        archive.merge(WHOLE, END)
    before = (folder / NAME).read_bytes()
    with opened(folder, DayFormat(decimals=6)) as archive:
        assert archive.merge(WHOLE, END).outcome is Outcome.UNCHANGED
        assert (folder / NAME).read_bytes() == before
        precise = filled(each=reading("0.123456", "0", "0"))
        assert archive.merge(precise, END).outcome is Outcome.WRITTEN
        assert b'"import": 0.123456, "export": 0.000000' in (folder / NAME).read_bytes()


def test_only_changed_files_are_read_again(archive: Archive) -> None:
    """A change of the bytes is found, also where it has the same size."""
    archive.merge(WHOLE, END)
    archive.scan(TODAY)
    path = archive.folder / NAME
    put(archive.folder, path.read_bytes().replace(b'"import"', b'"impart"'))
    assert len(archive.scan(TODAY)) == 1


def test_other_files_are_none_of_ours(archive: Archive) -> None:
    """Notes, exports, dates that are none: neither read nor moved."""
    for name in ("notes.txt", "2024-06-31.jsonl", "2024-6-1.jsonl", "x2024-06-01.jsonl", "٢٠٢٤-٠٦-٠١.jsonl"):
        (archive.folder / name).write_bytes(b"mine")
    before = everything_in(archive.folder)
    assert archive.scan(TODAY) == ()
    assert everything_in(archive.folder) == before
    assert archive.known() == {}


def test_a_second_instance_is_locked_out(folder: Path) -> None:
    """And the first one's temporaries are not removed by it."""
    with opened(folder):
        half = folder / f"{NAME}.shelly-tmp"
        half.write_bytes(b"being written")
        with pytest.raises(ArchiveLocked):
            Archive(folder, KEEP)
        assert half.exists()
    with opened(folder):
        assert not half.exists()


def test_a_start_that_fails_lets_go_of_the_folder(folder: Path) -> None:
    """So that it can be tried again."""
    with opened(folder):
        pass
    (folder / ".collector" / "ledger.jsonl").mkdir()
    with pytest.raises(Exception, match="folder"):
        Archive(folder, KEEP)
    (folder / ".collector" / "ledger.jsonl").rmdir()
    with opened(folder) as archive:
        assert archive.known() == {}


def test_a_survey_locks_and_writes_nothing(folder: Path, tmp_path: Path) -> None:
    """Beside a running collector, on a damaged folder, on one that is not there."""
    with opened(folder) as archive:
        archive.merge(WHOLE, END)
        archive.merge(nothing(ORDINARY - timedelta(days=1)), END)
        put(folder, b"garbage\n", AUTUMN)
        (folder / f"{NAME}.shelly-tmp").write_bytes(b"half")
        with (folder / ".collector" / "ledger.jsonl").open("ab") as ledger:
            ledger.write(b"torn")
        before = everything_in(folder)
        known, zone, _ = survey(folder, KEEP)
        assert zone == BERLIN
        assert {day: state(each) for day, each in known.items()} == {
            ORDINARY: (True, True),
            ORDINARY - timedelta(days=1): (False, False),
        }
        assert everything_in(folder) == before
    assert survey(tmp_path / "nowhere", KEEP) == ({}, None, None)
    assert not (tmp_path / "nowhere").exists()


def test_a_probe_leaves_nothing_behind(archive: Archive) -> None:
    """It shows that saving works, and that is all."""
    before = everything_in(archive.folder)
    archive.probe()
    assert everything_in(archive.folder) == before


TRIAL = """
import sys
from pathlib import Path
from collector.archive.store import Archive
from tests.support.archives import KEEP
from tests.support.energy_days import END, ORDINARY, TODAY, WHOLE, filled
archive = Archive(Path(sys.argv[1]), KEEP)
archive.scan(TODAY)
if sys.argv[2] == "probe":
    archive.probe()
    sys.exit(0)
if sys.argv[2] == "scan":
    sys.exit(0)
try:
    archive.merge(filled(without=[3]), END)
except OSError as error:
    assert ORDINARY not in archive.known()
    archive.scan(TODAY)
    print(archive.known().get(ORDINARY))
    sys.exit(error.errno)
"""


def traced(folder: Path, trial: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = ["strace", "-f", "-qq", "-o", str(folder) + ".strace", *options]
    command += [sys.executable, "-c", TRIAL, str(folder), trial]
    environment = os.environ | {"PYTHONPATH": "."}
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, env=environment)


@needs_strace
def test_a_probe_makes_names_durable_too(folder: Path) -> None:
    """Bug: when only the folder's fsync had failed, the next merge found the file equal and said saved."""
    with opened(folder):
        pass
    inject = ["-P", str(folder), "-e", "trace=fsync", "-e", "inject=fsync:error=EIO"]
    assert "Input/output error" in traced(folder, "probe", *inject).stderr


@needs_strace
def test_a_file_saved_while_the_ledger_failed_is_found(folder: Path) -> None:
    """Bug: its stamp was noted and its state was not, so that no scan looked at it again."""
    with opened(folder) as archive:
        archive.ledger.note_zone("Europe/Berlin")
    ledger = folder / ".collector" / "ledger.jsonl"
    inject = ["-P", str(ledger), "-e", "trace=write", "-e", "inject=write:error=ENOSPC"]
    done = traced(folder, "merge", *inject)
    assert done.returncode == errno.ENOSPC, done.stderr
    assert done.stdout.strip() == str(PARTIAL)


@needs_strace
def test_a_process_out_of_descriptors_moves_nothing_aside(folder: Path) -> None:
    """That is our trouble, not the file's."""
    path = put(folder, encode(WHOLE, 4, complete=True))
    inject = ["-P", str(path), "-e", "trace=openat", "-e", "inject=openat:error=EMFILE"]
    assert "Too many open files" in traced(folder, "scan", *inject).stderr
    assert path.exists()


@needs_strace
@pytest.mark.parametrize("error", ["EACCES", "EIO"])
def test_a_file_that_cannot_be_read_stays_where_it_is(folder: Path, error: str) -> None:
    """Bug: it was moved aside as damaged, though it may be whole: another user's, or on a disk in trouble."""
    path = put(folder, encode(WHOLE, 4, complete=True))
    inject = ["-P", str(path), "-e", "trace=openat", "-e", f"inject=openat:error={error}"]
    assert traced(folder, "scan", *inject).returncode == 0
    assert path.read_bytes() == encode(WHOLE, 4, complete=True)
    assert not (folder / ".collector" / "quarantine").exists()


def test_of_a_day_that_cannot_be_read_nothing_is_known_and_nothing_replaced(archive: Archive) -> None:
    """It is no gap to be filled by the backfill; and it is known again as soon as it can be read."""
    path = put(archive.folder, encode(WHOLE, 4, complete=True))
    refused = Failure(range(sys.maxsize), errno.EACCES, frozenset({"read"}))
    with Calls(path, refused).wrapped() as calls, calls.watched():
        assert archive.scan(TODAY) == ()
        assert archive.unreadable == {ORDINARY: "it cannot be read: Permission denied"}
        assert archive.known() == {ORDINARY: NOTHING}
        with pytest.raises(UnreadableFile):
            archive.merge(filled(without=[3]), END)
    assert archive.scan(TODAY) == ()
    assert (archive.unreadable, archive.known()) == ({}, {ORDINARY: COMPLETE})


def test_a_file_that_could_not_be_read_and_is_gone_is_a_gap(archive: Archive) -> None:
    """Whoever moved it away wants its day again."""
    path = put(archive.folder, encode(WHOLE, 4, complete=True))
    refused = Failure(range(sys.maxsize), errno.EACCES, frozenset({"read"}))
    with Calls(path, refused).wrapped() as calls, calls.watched():
        archive.scan(TODAY)
    path.unlink()
    archive.scan(TODAY)
    assert archive.known() == {}


def test_a_file_that_cannot_be_looked_at_is_not_absent(archive: Archive) -> None:
    """Bug: when `lstat` failed, a shorter answer was written over the file as if there were none."""
    archive.merge(WHOLE, END)
    before = (archive.folder / NAME).read_bytes()
    fault = Failure(range(sys.maxsize), errno.EIO, frozenset({"lstat"}))
    with (
        Calls(archive.folder, fault).wrapped() as calls,
        calls.watched(),
        pytest.raises(OSError, match="Input"),
    ):
        archive.merge(filled(without=[3]), END)
    assert (archive.folder / NAME).read_bytes() == before


def test_another_zones_day_is_moved_aside(archive: Archive) -> None:
    """Its hours are not of the day any more; they are kept, and the zone is remembered."""
    archive.merge(filled(zone=LONDON), END + timedelta(hours=1))
    outcome = archive.merge(WHOLE, END)
    assert len(outcome.quarantined) == 1
    assert archive.zone == ZoneInfo("Europe/Berlin")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=st.lists(energy_days(), min_size=1, max_size=4), merge=st.booleans())
def test_any_answers_leave_a_sound_file(
    tmp_path_factory: pytest.TempPathFactory, answers: list[EnergyDay], merge: bool
) -> None:
    """Every file can be read again, says what the outcome said, and the same answer changes nothing."""
    folder = tmp_path_factory.mktemp("archive") / "meter"
    now = after(answers[0].day, hours=0.2)
    with opened(folder, MERGE if merge else KEEP) as archive:
        for answer in answers:
            outcome = archive.merge(answer, now)
            assert outcome.quarantined == ()
            assert archive.merge(answer, now).outcome in (Outcome.UNCHANGED, Outcome.EMPTY)
            path = folder / f"{AUTUMN}.jsonl"
            if outcome.hours:
                file = decode(path.read_bytes(), AUTUMN)
                assert len(stored_day(file, answer.day, no_solar=False).readings) == outcome.hours
                assert file.partial is not outcome.complete
            assert archive.scan(TODAY) == ()
            known = archive.known()[AUTUMN]
            assert (known.stored, known.complete) == (outcome.hours > 0, outcome.complete)
