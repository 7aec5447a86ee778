"""A complete file that is gone, or an older one in its place: found; and no save that was cut off is one."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from collector.archive.checksums import Checksums
from collector.archive.dayfile import encode
from collector.archive.store import Archive
from collector.energy.history import Outcome
from collector.verify.files import inspect
from tests.support.archives import older_file, opened
from tests.support.energy_days import (
    AUTUMN,
    COMPLETE,
    END,
    ORDINARY,
    PARTIAL,
    TODAY,
    WHOLE,
    after,
    filled,
    nothing,
    reading,
)
from tests.support.failing_calls import Calls, Failure, folders_refused

LIST = Path(".collector", "checksums")
NAME = f"{ORDINARY}.jsonl"
OTHER = ORDINARY - timedelta(days=1)
HALF = filled(without=range(12, 24))
OLDER = encode(HALF, 4, complete=False)
NOW = after(WHOLE.day, days=400)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two complete days that we saved."""
    with opened(tmp_path / "meter") as archive:
        archive.merge(WHOLE, END)
        archive.merge(filled(OTHER), END)
    return tmp_path / "meter"


@pytest.fixture
def archive(folder: Path) -> Iterator[Archive]:
    with opened(folder) as each:
        each.scan(TODAY)
        yield each


def verified(folder: Path) -> list[tuple[object, str]]:
    return [(finding.day, finding.code) for finding in inspect(folder, None, NOW).findings]


def lose(folder: Path, how: str) -> None:
    """What a sync client, a restore or a check of the file system may do to a complete day."""
    if how == "gone":
        (folder / NAME).unlink()
    else:
        (folder / NAME).write_bytes(OLDER)


@pytest.mark.parametrize("how", ["gone", "older"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_complete_day_that_went_is_found(folder: Path, how: str, restarted: bool) -> None:
    """Bug: it was a gap, or a partial day, like one that had never been complete; `verify` saw nothing."""
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert archive.gone == set()
        if not restarted:
            lose(folder, how)
            archive.scan(TODAY)
            assert archive.gone == {ORDINARY}
    if restarted:
        lose(folder, how)
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert archive.gone == {ORDINARY}
        assert archive.known()[OTHER] == COMPLETE._replace(last_attempt=archive.ledger.attempts[OTHER])
        assert (ORDINARY in archive.known()) is (how == "older")
    assert verified(folder) == [(ORDINARY, how)]


@pytest.mark.parametrize("how", ["gone", "older"])
def test_what_was_reported_is_not_reported_again_but_verify_continues_naming_it(
    folder: Path, how: str
) -> None:
    """Not by this process, nor by a later one."""
    lose(folder, how)
    with opened(folder) as archive:
        archive.scan(TODAY)
        archive.note_reported()
        archive.scan(TODAY)
        assert archive.gone == set()
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert archive.gone == set()
        assert archive.gone_for_good == ({ORDINARY} if how == "gone" else set())
    assert verified(folder) == [(ORDINARY, how)]


@pytest.mark.parametrize("how", ["gone", "older"])
@pytest.mark.parametrize("reported", [False, True])
@pytest.mark.parametrize("by", ["the cloud", "the cloud, in part", "a backup", "somebody's --fix"])
def test_what_comes_back_is_not_missed_any_more(folder: Path, how: str, reported: bool, by: str) -> None:
    """As the same file, as another one, or with hours missing, since that is all there is."""
    lose(folder, how)
    with opened(folder) as archive:
        archive.scan(TODAY)
        if reported:
            archive.note_reported()
        if by == "a backup":
            (folder / NAME).write_bytes(encode(WHOLE, 4, complete=True))
        elif by == "somebody's --fix":
            archive.forget_complete(ORDINARY)
        else:
            archive.merge(WHOLE if by == "the cloud" else filled(without=[3]), END)
        archive.scan(TODAY)
        assert (archive.gone, archive.gone_for_good, archive.changed) == (set(), set(), set())
    assert verified(folder) == []
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert (archive.gone, archive.gone_for_good, archive.changed) == (set(), set(), set())
    assert verified(folder) == []


def test_a_day_of_which_the_cloud_gives_no_more_is_still_named(archive: Archive, folder: Path) -> None:
    """An answer that changes nothing does not make the older file the right one."""
    lose(folder, "older")
    archive.scan(TODAY)
    assert archive.merge(HALF, END).outcome is Outcome.UNCHANGED
    assert verified(folder) == [(ORDINARY, "older")]


def test_a_day_that_goes_twice_is_found_twice(archive: Archive, folder: Path) -> None:
    """Each time is news."""
    for _ in range(2):
        lose(folder, "gone")
        archive.scan(TODAY)
        assert archive.gone == {ORDINARY}
        archive.note_reported()
        archive.merge(WHOLE, END)


def test_a_complete_file_that_lost_lines_is_one_that_went(archive: Archive, folder: Path) -> None:
    """It does not say partial, and hours are missing all the same."""
    path = folder / NAME
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:20]))
    archive.scan(TODAY)
    assert archive.gone == {ORDINARY}
    assert {code for _, code in verified(folder)} == {"missing_hour", "checksum"}


def test_a_found_file_that_went_is_found_out_too(tmp_path: Path) -> None:
    """One of the older utility, which was recorded when it was adopted."""
    (tmp_path / NAME).write_bytes(older_file())
    with opened(tmp_path) as archive:
        archive.scan(TODAY)
        lose(tmp_path, "gone")
        archive.scan(TODAY)
        assert archive.gone == {ORDINARY}


def test_repeated_hours_that_are_told_apart_are_no_older_file(tmp_path: Path) -> None:
    """Adopted as complete before the zone was known; it is the very file that was recorded."""
    (tmp_path / f"{AUTUMN}.jsonl").write_bytes(older_file(day=AUTUMN))
    with opened(tmp_path) as archive:
        archive.scan(TODAY)
        archive.merge(WHOLE, END)
        archive.scan(TODAY)
        assert archive.known()[AUTUMN] == PARTIAL
        assert archive.gone == set()


def test_a_damaged_file_is_not_called_gone_as_well(archive: Archive, folder: Path) -> None:
    """It was moved aside, and that is reported."""
    (folder / NAME).write_bytes(b"\0" * 4096)
    assert len(archive.scan(TODAY)) == 1
    archive.scan(TODAY)
    assert archive.gone == set()


@pytest.mark.parametrize("before", [None, HALF])
def test_a_first_save_that_was_cut_off_is_no_loss(tmp_path: Path, before: object) -> None:
    """The checksum is there first: what the file would have been nobody ever had."""
    folder = tmp_path / "meter"
    with opened(folder) as archive:
        archive.merge(nothing() if before is None else HALF, after(WHOLE.day, hours=-12))
    Checksums(folder / LIST).note(ORDINARY, encode(WHOLE, 4, complete=True))
    assert verified(folder) == []
    with opened(folder) as archive:
        archive.scan(TODAY)
        assert archive.gone == set()
        assert verified(folder) == []
        assert archive.merge(WHOLE, END).outcome is Outcome.WRITTEN
        archive.scan(TODAY)
        assert archive.gone == set()


def test_a_save_that_finds_no_room_is_no_loss(tmp_path: Path) -> None:
    """In the process that tried it, too."""
    folder = tmp_path / "meter"
    with opened(folder) as archive:
        full = Failure(range(sys.maxsize), errno.ENOSPC, frozenset({"replace"}))
        with Calls(folder, full).wrapped() as calls, calls.watched(), pytest.raises(OSError, match="space"):
            archive.merge(WHOLE, END)
        archive.scan(TODAY)
        assert archive.gone == set()
        assert verified(folder) == []
        archive.merge(WHOLE, END)
        lose(folder, "gone")
        archive.scan(TODAY)
        assert archive.gone == {ORDINARY}


def test_a_save_of_which_only_the_name_is_not_durable_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told as not saved, and the new file stands, whole; once it is seen its going would be news."""
    revised = filled(each=reading("9.0000"))
    with opened(folder) as archive:
        archive.scan(TODAY)
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", folders_refused(errno.EIO))
            with pytest.raises(OSError, match="Input"):
                archive.merge(revised, END)
            assert (folder / NAME).read_bytes() == encode(revised, 4, complete=True)
            archive.scan(TODAY)
            assert (archive.gone, archive.changed) == (set(), set())
        archive.probe()
        assert archive.merge(revised, END).outcome is Outcome.UNCHANGED
        assert verified(folder) == []
        lose(folder, "gone")
        archive.scan(TODAY)
        assert archive.gone == {ORDINARY}


def test_sha256sum_reads_the_list_in_the_midst_of_a_save(folder: Path) -> None:
    """Bytes behind the digest that say "not yet" are blanks to it."""
    if shutil.which("sha256sum") is None:
        pytest.skip("needs sha256sum")
    Checksums(folder / LIST).note(ORDINARY, encode(filled(each=reading("9.0000")), 4, complete=True))
    done = subprocess.run(
        ["sha256sum", "--strict", "-c", str(LIST)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.stdout.count(": OK") == 2
    assert "improperly" not in done.stderr


def test_marks_outlive_a_list_that_is_made_again(folder: Path) -> None:
    """A damaged line elsewhere costs that line only."""
    lose(folder, "gone")
    with opened(folder) as archive:
        archive.scan(TODAY)
        archive.note_reported()
    with (folder / LIST).open("ab") as file:
        file.write(b"rubbish\n")
    for _ in range(2):
        with opened(folder) as archive:
            archive.scan(TODAY)
            assert (archive.gone, archive.gone_for_good) == (set(), {ORDINARY})
    assert verified(folder) == [(ORDINARY, "gone")]
