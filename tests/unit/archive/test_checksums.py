"""Checksums: every complete day has one, it is there before its file, and damage to the list harms nobody."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.archive.checksums import Checksums
from collector.archive.dayfile import DayFormat, encode
from collector.archive.store import Archive
from collector.energy.history import Outcome
from collector.energy.readings import EnergyDay
from collector.errors import ArchiveError
from tests.support.archives import everything_in, older_file, opened
from tests.support.energy_days import ORDINARY, TODAY, after, filled, reading

KEEP = DayFormat()
WHOLE = filled()
END = after(WHOLE.day, hours=0.2)
REVISED = filled(each=reading("9.0000"))
LIST = Path(".collector", "checksums")
needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
needs_sha256sum = pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs sha256sum")


def lines(folder: Path) -> list[str]:
    path = folder / LIST
    return path.read_text().splitlines() if path.exists() else []


def line(energy_day: EnergyDay, mark: str = " ") -> str:
    digest = sha256(encode(energy_day, 4, complete=True)).hexdigest()
    return f"{digest} {mark}{energy_day.day.date}.jsonl"


def sha256sum(folder: Path) -> str:
    command = ["sha256sum", "--strict", "-c", str(LIST)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_a_complete_day_is_recorded_as_saved(archive: Archive, folder: Path) -> None:
    """In the very format of `sha256sum`."""
    archive.merge(WHOLE, END)
    assert lines(folder) == [line(WHOLE)]


def test_a_partial_day_has_no_record(archive: Archive, folder: Path) -> None:
    """It changes every hour; that is not worth an fsync."""
    archive.merge(filled(without=[3]), END)
    archive.merge(filled(without=range(9, 24)), after(WHOLE.day, hours=-12))
    assert lines(folder) == []


@needs_sha256sum
def test_a_person_can_check_the_list_with_sha256sum(archive: Archive, folder: Path) -> None:
    """Days saved, adopted, revised, and gone: each file that is there is told OK, and nothing else."""
    for number in range(4):
        day = filled(ORDINARY + timedelta(days=number))
        archive.merge(day, after(day.day, hours=0.1))
    archive.merge(REVISED, END)
    (folder / f"{ORDINARY + timedelta(days=1)}.jsonl").unlink()
    older = ORDINARY - timedelta(days=1)
    (folder / f"{older}.jsonl").write_bytes(older_file(day=older))
    archive.scan(TODAY)
    archive.note_reported()
    days = [older, ORDINARY, ORDINARY + timedelta(days=2), ORDINARY + timedelta(days=3)]
    assert sorted(sha256sum(folder).splitlines()) == [f"{day}.jsonl: OK" for day in days]


@needs_sha256sum
def test_sha256sum_sees_a_flipped_digit(archive: Archive, folder: Path) -> None:
    """What it is for."""
    archive.merge(WHOLE, END)
    path = folder / f"{ORDINARY}.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"import": 7.1230', b'"import": 7.1231'))
    assert f"{ORDINARY}.jsonl: FAILED" in sha256sum(folder)


def flip_a_digit(folder: Path, old: bytes = b'"import": 7.1230', new: bytes = b'"import": 7.1231') -> None:
    path = folder / f"{ORDINARY}.jsonl"
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


@pytest.mark.parametrize("adopted", [False, True])
def test_a_flipped_digit_is_seen_at_the_next_look(folder: Path, adopted: bool) -> None:
    """In a file that we saved, and in one that was found; it stays, and its record with it."""
    with opened(folder) as archive:
        archive.merge(WHOLE, END)
        if adopted:
            (folder / LIST).unlink()
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert archive.changed == set()
        flip_a_digit(folder)
        before = everything_in(folder)
        for _ in range(2):
            assert archive.scan(TODAY) == ()
            assert archive.changed == {ORDINARY}
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert archive.changed == {ORDINARY}
        assert everything_in(folder) == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"import": 7.1230', b'"import": 7.1231'),
        (b'"weekday"', b'"weekdax"'),
        (b'"week": "20', b'"week": "30'),
    ],
)
def test_a_changed_file_is_made_right_by_the_next_answer(folder: Path, old: bytes, new: bytes) -> None:
    """Also in the columns that no answer tells."""
    with opened(folder) as archive:
        archive.merge(WHOLE, END)
        flip_a_digit(folder, old, new)
        archive.scan(TODAY)
        assert archive.merge(WHOLE, END).outcome is Outcome.WRITTEN
        assert (folder / f"{ORDINARY}.jsonl").read_bytes() == encode(WHOLE, 4, complete=True)
        assert archive.changed == set()
        assert archive.merge(WHOLE, END).outcome is Outcome.UNCHANGED


def test_a_change_that_was_undone_or_moved_aside_is_none(archive: Archive, folder: Path) -> None:
    """Whoever looks is told of what is there now."""
    archive.merge(WHOLE, END)
    flip_a_digit(folder)
    archive.scan(TODAY)
    flip_a_digit(folder, b'"import": 7.1231', b'"import": 7.1230')
    archive.scan(TODAY)
    assert archive.changed == set()
    flip_a_digit(folder)
    archive.scan(TODAY)
    archive.set_aside(ORDINARY, "checksum")
    assert archive.changed == set()


def test_a_revised_day_strikes_its_older_line_out(archive: Archive, folder: Path) -> None:
    """The list stays readable, and the older digest counts no more."""
    archive.merge(WHOLE, END)
    archive.merge(REVISED, END)
    assert lines(folder) == ["#" + line(WHOLE)[1:], line(REVISED)]
    assert [each.digest.hex() for each in Checksums(folder / LIST).of(ORDINARY)] == [line(REVISED)[:64]]


def test_files_that_are_found_are_recorded_with_one_append(folder: Path) -> None:
    """With sha256sum's mark for binary files, so that nobody takes them for ours; once."""
    days = [ORDINARY + timedelta(days=number) for number in range(5)]
    folder.mkdir()
    for day in days:
        (folder / f"{day}.jsonl").write_bytes(encode(filled(day), 4, complete=True))
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert lines(folder) == [line(filled(day), "*") for day in days]
        before = everything_in(folder)
        archive.scan(TODAY)
    with opened(folder) as archive:
        archive.scan(TODAY)
    assert everything_in(folder) == before


def test_a_day_that_becomes_partial_loses_its_record(archive: Archive, folder: Path) -> None:
    """A deleted file whose day comes back with a hole is not what was recorded."""
    archive.merge(WHOLE, END)
    (folder / f"{ORDINARY}.jsonl").unlink()
    archive.merge(filled(without=[3]), END)
    assert lines(folder) == ["#" + line(WHOLE)[1:]]


def test_a_file_moved_aside_loses_its_record(archive: Archive, folder: Path) -> None:
    """Whatever comes in its place is recorded again."""
    archive.merge(WHOLE, END)
    (folder / f"{ORDINARY}.jsonl").write_bytes(b"")
    assert len(archive.scan(TODAY)) == 1
    assert lines(folder) == ["#" + line(WHOLE)[1:]]


def test_a_save_that_was_cut_off_leaves_both_digests(folder: Path) -> None:
    """Then the file is the older one or the newer one, and both count."""
    path = folder / LIST
    with opened(folder) as archive:
        archive.merge(WHOLE, END)
    Checksums(path).note(ORDINARY, encode(REVISED, 4, complete=True))
    digests = [each.digest.hex() for each in Checksums(path).of(ORDINARY)]
    assert digests == [line(WHOLE)[:64], line(REVISED)[:64]]
    with opened(folder) as archive:
        archive.merge(REVISED, END)
    assert [each.digest.hex() for each in Checksums(path).of(ORDINARY)] == [line(REVISED)[:64]]


def test_a_list_that_somebody_deleted_is_begun_again(folder: Path) -> None:
    """Also under a running service: nothing is struck out in the wrong place."""
    with opened(folder) as archive:
        for number in range(3):
            day = filled(ORDINARY + timedelta(days=number))
            archive.merge(day, after(day.day, hours=0.1))
        (folder / LIST).unlink()
        archive.merge(REVISED, END)
    assert lines(folder) == [line(REVISED)]
    with opened(folder) as archive:
        archive.scan(TODAY)
    assert len(lines(folder)) == 3


@pytest.mark.parametrize(
    "tail",
    [b"0123", b"0" * 64, b"0" * 64 + b"  2024-06-12.json", b"\0" * 4096, b"\xff\n", b"x" * 10_000 + b"\n"],
)
def test_a_damaged_tail_costs_that_line_only(folder: Path, tail: bytes) -> None:
    """A torn or rotten line is dropped at the next start; no file is moved aside for it."""
    with opened(folder) as archive:
        archive.merge(WHOLE, END)
    with (folder / LIST).open("ab") as file:
        file.write(tail)
    with opened(folder) as archive:
        assert archive.scan(TODAY) == ()
    assert lines(folder) == [line(WHOLE)]


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_list(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Nothing in it stops anybody, and it can be written on."""
    path = tmp_path_factory.mktemp("list") / "checksums"
    path.write_bytes(data)
    checksums = Checksums(path)
    checksums.mend()
    checksums.note(ORDINARY, b"x")
    checksums.settle(ORDINARY)
    (recorded,) = Checksums(path).of(ORDINARY)
    assert recorded.digest == sha256(b"x").digest()
    assert Checksums(path).damaged == 0


def test_a_list_without_end_is_begun_again(folder: Path) -> None:
    """Read in bounded memory."""
    with opened(folder) as archive:
        archive.merge(WHOLE, END)
    with (folder / LIST).open("r+b") as file:
        file.truncate(5_000_000)
    with opened(folder) as archive:
        assert archive.scan(TODAY) == ()
    assert lines(folder) == [line(WHOLE, "*")]


def test_compaction_keeps_what_counts(tmp_path: Path) -> None:
    """Many lines struck out are dropped at the next start."""
    path = tmp_path / "checksums"
    checksums = Checksums(path)
    for number in range(600):
        checksums.note(ORDINARY, b"%d" % number)
        checksums.settle(ORDINARY)
    checksums.note(date(2024, 1, 1), b"other")
    reopened = Checksums(path)
    reopened.mend()
    assert len(path.read_text().splitlines()) == 2
    reopened.note(ORDINARY, b"last")
    reopened.settle(ORDINARY)
    (recorded,) = Checksums(path).of(ORDINARY)
    assert recorded.digest == sha256(b"last").digest()
    assert len(Checksums(path).of(date(2024, 1, 1))) == 1


def test_a_folder_in_its_place_is_reported(tmp_path: Path) -> None:
    """With the cure."""
    (tmp_path / "checksums").mkdir()
    with pytest.raises(ArchiveError, match="move it away"):
        Checksums(tmp_path / "checksums")


SAVE = """
import sys
from pathlib import Path
from collector.archive.store import Archive
from tests.support.archives import KEEP
from tests.support.energy_days import END, WHOLE
archive = Archive(Path(sys.argv[1]), KEEP)
try:
    archive.merge(WHOLE, END)
except OSError as error:
    sys.exit(error.errno)
"""


def traced(folder: Path, *options: str) -> int:
    command = ["strace", "-f", "-qq", "-o", str(folder) + ".strace", *options]
    command += [sys.executable, "-c", SAVE, str(folder)]
    environment = os.environ | {"PYTHONPATH": "."}
    return subprocess.run(command, check=False, timeout=60, env=environment).returncode


@needs_strace
@pytest.mark.parametrize(("call", "error"), [("write", "ENOSPC"), ("fsync", "EIO"), ("openat", "EROFS")])
def test_a_day_whose_checksum_cannot_be_noted_is_not_saved(folder: Path, call: str, error: str) -> None:
    """As when the day itself cannot be saved: nothing torn, nothing left behind, told, and done later."""
    with opened(folder) as archive:
        archive.merge(filled(without=[3]), END)
    before = (folder / f"{ORDINARY}.jsonl").read_bytes()
    number = 2 if call == "openat" else 1  # the first opening reads the list
    inject = [
        "-P",
        str(folder / LIST),
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:error={error}:when={number}",
    ]
    assert traced(folder, *inject) == getattr(errno, error)
    assert (folder / f"{ORDINARY}.jsonl").read_bytes() == before
    assert not list(folder.rglob("*.shelly-tmp"))
    assert traced(folder) == 0
    assert line(WHOLE) in lines(folder)
    with opened(folder) as archive:
        assert archive.scan(TODAY) == ()


@needs_strace
def test_the_checksum_is_durable_before_the_file_is_there(folder: Path) -> None:
    """So that a power cut in between leaves a file that matches the older record."""
    trace = ["-y", "-e", "trace=fsync,rename,renameat,renameat2,openat,write"]
    assert traced(folder, *trace) == 0
    calls = Path(str(folder) + ".strace").read_text().splitlines()
    noted = next(number for number, call in enumerate(calls) if "fsync" in call and str(LIST) in call)
    replaced = next(
        number for number, call in enumerate(calls) if "rename" in call and f"{ORDINARY}.jsonl" in call
    )
    assert noted < replaced
