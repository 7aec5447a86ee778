"""Inspection: a whole folder looked at, whatever lies in it, and nothing changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from collector.archive.checksums import Checksums
from collector.archive.dayfile import DayFormat, encode
from collector.archive.store import Archive
from collector.verify import files as inspection_module
from collector.verify.files import inspect
from collector.verify.report import MeterReport
from tests.support.archives import everything_in, older_file, opened
from tests.support.energy_days import AUTUMN, ORDINARY, after, filled, reading

DAYS = [ORDINARY + timedelta(days=number) for number in range(5)]
NOW = after(filled(DAYS[-1]).day, days=1)
NAME = f"{ORDINARY}.jsonl"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five complete days that we saved."""
    with opened(tmp_path / "meter") as archive:
        for day in DAYS:
            archive.merge(filled(day), NOW)
    return tmp_path / "meter"


def look(folder: Path) -> MeterReport:
    return inspect(folder, None, NOW)


def told(folder: Path) -> list[tuple[date | None, str]]:
    return [(each.day, each.code) for each in look(folder).findings]


def test_a_sound_archive_has_no_findings(folder: Path) -> None:
    """And is not touched."""
    before = everything_in(folder)
    seen = look(folder)
    assert (seen.findings, len(seen.days)) == ((), 5)
    assert str(seen.zone) == "Europe/Berlin"
    assert everything_in(folder) == before


def test_it_works_beside_whoever_holds_the_archive(folder: Path) -> None:
    """Reading needs no lock."""
    with opened(folder):
        assert told(folder) == []


def test_it_needs_nothing_but_files(folder: Path, tmp_path: Path) -> None:
    """A folder of files alone: no ledger, no checksums, no zone."""
    bare = tmp_path / "bare"
    bare.mkdir()
    for day in DAYS:
        (bare / f"{day}.jsonl").write_bytes((folder / f"{day}.jsonl").read_bytes())
    assert told(bare) == []
    assert sorted(path.name for path in bare.iterdir()) == [f"{day}.jsonl" for day in DAYS]


def test_findings_come_newest_day_first(folder: Path) -> None:
    """As everything else does."""
    for day in (DAYS[1], DAYS[3]):
        (folder / f"{day}.jsonl").write_bytes(b"")
    assert told(folder) == [(DAYS[3], "unreadable"), (DAYS[1], "unreadable")]


def test_a_flipped_digit_is_found(folder: Path) -> None:
    """Where nothing else tells it: what was exported beyond what was made."""
    path = folder / NAME
    path.write_bytes(path.read_bytes().replace(b'"export": 0.2500', b'"export": 0.2600', 1))
    assert told(folder) == [(ORDINARY, "checksum")]


@pytest.mark.parametrize("kind", ["pipe", "folder", "link", "dangling link", "large"])
def test_what_is_no_file_is_reported(folder: Path, tmp_path: Path, kind: str) -> None:
    """In bounded memory, and without waiting for anybody."""
    path = folder / NAME
    data = path.read_bytes()
    path.unlink()
    elsewhere = tmp_path / "elsewhere"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "large":
        with path.open("wb") as file:
            file.truncate(1 << 30)
    else:
        if kind == "link":
            elsewhere.write_bytes(data)
        path.symlink_to(elsewhere)
    (finding,) = look(folder).findings
    assert (finding.day, finding.code) == (ORDINARY, "unreadable")
    words = {"pipe": "pipe", "folder": "folder", "large": "larger"}
    assert words.get(kind, "symbolic link") in finding.text


def test_an_hour_in_two_files_is_reported(tmp_path: Path) -> None:
    """Where no zone tells which of the two is wrong."""
    for shift, day in ((0, ORDINARY), (1, ORDINARY + timedelta(days=1))):
        data = encode(filled(day), 4, complete=True)
        if shift:  # its stamps are an hour early, as after a wrong guess of the zone
            for ts in filled(day).readings:
                data = data.replace(str(ts).encode(), str(ts - 3600).encode())
        (tmp_path / f"{day}.jsonl").write_bytes(data)
    assert told(tmp_path) == [(ORDINARY + timedelta(days=1), "neighbour")]


def test_complete_days_that_do_not_meet_are_reported(tmp_path: Path) -> None:
    """Where no zone is known; a file of the older utility that lacks its last hour."""
    for day in DAYS[:2]:
        (tmp_path / f"{day}.jsonl").write_bytes(older_file(day=day))
    path = tmp_path / NAME
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert told(tmp_path) == [(DAYS[1], "neighbour")]


def test_days_meet_across_a_change_of_the_clocks(tmp_path: Path) -> None:
    """Also in files with one row for the repeated hour."""
    for day in (AUTUMN - timedelta(days=1), AUTUMN, AUTUMN + timedelta(days=1)):
        (tmp_path / f"{day}.jsonl").write_bytes(older_file(day=day))
    assert told(tmp_path) == []


def test_what_a_file_tells_by_itself_is_not_told_of_its_neighbour(folder: Path) -> None:
    """One fault, one file."""
    path = folder / f"{DAYS[2]}.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert told(folder) == [(DAYS[2], "missing_hour"), (DAYS[2], "checksum")]


def test_damage_to_the_collectors_own_files_is_reported(folder: Path) -> None:
    """And harms no day."""
    for name in ("ledger.jsonl", "checksums"):
        with (folder / ".collector" / name).open("ab") as file:
            file.write(b"rubbish\n")
    assert told(folder) == [(None, "ledger"), (None, "checksums")]


def test_a_line_that_is_being_written_is_no_damage(folder: Path) -> None:
    """A service may be appending to it right now."""
    with (folder / ".collector" / "checksums").open("ab") as file:
        file.write(b"0123456789abcdef")
    with (folder / ".collector" / "ledger.jsonl").open("ab") as file:
        file.write(b'{"day": "20')
    assert told(folder) == []


def after_the_list_is_read(changes: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that the list of checksums was read, one of the changes is made, as a service might."""

    class Late(Checksums):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            if changes:
                changes.pop()()

    monkeypatch.setattr(inspection_module, "Checksums", Late)


def test_a_day_saved_meanwhile_is_no_finding(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service noted and saved it after the list was read: it is looked at once more."""
    with opened(folder) as archive:
        changes: list[Callable[[], object]] = [lambda: archive.merge(filled(each=reading("9.0000")), NOW)]
        after_the_list_is_read(changes, monkeypatch)
        assert told(folder) == []
        assert not changes


def test_a_revised_day_is_no_finding(folder: Path) -> None:
    """The older digest counts no more."""
    archive = Archive(folder, DayFormat())
    archive.merge(filled(each=reading("9.0000")), NOW)
    archive.close()
    assert told(folder) == []


STRAYS = (
    "2024-06-12 (1).jsonl",
    "2024-06-12.sync-conflict-20261127-101112-ABCDEFG.jsonl",
    "._2024-06-12.jsonl",
    "20240612.jsonl",
    "2024-6-12.jsonl",
    "2024-06-31.jsonl",
    "notes.JSONL",
    "a\n\x1b[31mb.jsonl",
)


@pytest.mark.parametrize("name", STRAYS)
@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_file_that_readers_take_for_a_day_is_named(folder: Path, name: str, kind: str) -> None:
    """Bug: `verify` saw nothing, and who read `*.jsonl` counted hours twice. It is somebody's, and stays."""
    path = folder / name
    if kind == "file":
        path.write_bytes((folder / NAME).read_bytes())
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(folder / NAME)
    (finding,) = look(folder).findings
    assert (finding.day, finding.code, finding.line) == (None, "stray", None)
    assert repr(name) in finding.text
    assert finding.text.isprintable()
    assert kind in finding.text
    with opened(folder) as archive:
        assert archive.scan(DAYS[-1]) == ()
    assert os.path.lexists(path)


@pytest.mark.parametrize(
    "name", ["notes.txt", "2024-06-12.jsonl.bak", "2024-06-12.jsonl.shelly-tmp", "x.json"]
)
def test_what_no_reader_takes_for_a_day_is_not_named(folder: Path, name: str) -> None:
    """A folder may hold other things."""
    (folder / name).touch()
    assert told(folder) == []


def test_files_in_quarantine_are_counted(folder: Path) -> None:
    """Whenever they were moved there; that alone is no finding."""
    assert look(folder).quarantined == 0
    with opened(folder) as archive:
        archive.set_aside(ORDINARY, "for a test")
        archive.merge(filled(), NOW)
    assert (told(folder), look(folder).quarantined) == ([], 1)


def test_a_day_that_is_saved_or_moved_aside_meanwhile_is_not_called_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service did so after the list was read: it is looked at once more."""
    with opened(folder) as archive:
        changes: list[Callable[[], object]] = [lambda: archive.set_aside(ORDINARY, "for a test")]
        after_the_list_is_read(changes, monkeypatch)
        assert told(folder) == []
        assert not changes


def test_gone_days_stand_among_the_others_by_their_date(folder: Path) -> None:
    """Newest first, as everything else."""
    (folder / f"{DAYS[2]}.jsonl").unlink()
    for day in (DAYS[1], DAYS[3]):
        (folder / f"{day}.jsonl").write_bytes(b"")
    assert told(folder) == [(DAYS[3], "unreadable"), (DAYS[2], "gone"), (DAYS[1], "unreadable")]
