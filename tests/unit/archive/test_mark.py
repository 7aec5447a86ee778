"""Whose an archive is, and where archives were: read from hostile bytes, and written once."""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.archive import mark
from collector.archive.dayfile import DayFormat
from collector.archive.files import is_held, replace_file
from collector.archive.folder import decode_file
from collector.archive.mark import (
    FILE_NAME,
    FORMAT,
    Mark,
    Remembered,
    read_mark,
    remembered_by_service,
    remembered_for_others,
    write_mark,
)
from collector.archive.store import Archive
from collector.cloud.meters import Kind, Meter
from collector.energy.identity import Identity
from collector.errors import ArchiveLocked, ArchiveRefused, UnreadableFile
from tests.support.archives import everything_in
from tests.support.energy_days import AUTUMN, BERLIN, ORDINARY, after, filled, reading

HOUSE = Identity("em", ("e8db84d2a1b3",), (0, 1))


@pytest.mark.parametrize(
    "identity",
    [
        HOUSE,
        Meter("x", "a1b2c3", solar=False, grid_channel=1).identity,
        Meter("x", "34987a45c1d0", Kind.EM3).identity,
        Meter("x", "34987a45c1d0", Kind.EM3, pv_id="34987a45c1d1").identity,
    ],
    ids=str,
)
@pytest.mark.parametrize("since", [None, date(2026, 3, 20)])
def test_a_mark_is_read_as_it_was_written(tmp_path: Path, identity: Identity, since: date | None) -> None:
    """Kind, devices, clamps, and the day since which they count."""
    for kept_to in (None, date(2026, 3, 21)):
        write_mark(tmp_path, Mark(identity, since, kept_to))
        assert read_mark(tmp_path) == Mark(identity, since, kept_to)


def test_meters_that_count_differently_are_different() -> None:
    """Device, pair, kind and clamps: each of them is part of what the numbers mean."""
    meters = [
        Meter("x", "a1b2c3d4e5f6"),
        Meter("x", "a1b2c3d4e5f7"),
        Meter("x", "a1b2c3d4e5f6", grid_channel=1, solar_channel=0),
        Meter("x", "a1b2c3d4e5f6", solar=False),
        Meter("x", "a1b2c3d4e5f6", Kind.EM3),
        Meter("x", "a1b2c3d4e5f6", Kind.EM3, pv_id="a1b2c3d4e5f7"),
    ]
    assert len({meter.identity for meter in meters}) == len(meters)
    assert Meter("x", "a1b2c3d4e5f6").identity == Meter("other name", "a1b2c3d4e5f6").identity


@given(st.binary(max_size=200))
def test_what_is_no_mark_is_none(data: bytes) -> None:
    """A damaged one costs the comparison with the cloud, and nothing else."""
    with TemporaryDirectory() as folder:
        Path(folder, FILE_NAME).write_bytes(data)
        assert read_mark(Path(folder)) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"format": 1}',
        '{"format": 1, "kind": "em", "devices": "a1b2c3", "channels": [0], "since": null, "x": 1',
        '{"format": true, "kind": "em", "devices": ["a1b2c3"], "channels": [0], "since": null}',
        '{"format": 0, "kind": "em", "devices": ["a1b2c3"], "channels": [0], "since": null}',
        '{"format": 1, "kind": "em\\u001b[31m", "devices": ["a1b2c3"], "channels": [0], "since": null}',
        '{"format": 1, "kind": "em", "devices": ["../.."], "channels": [0], "since": null}',
        '{"format": 1, "kind": "em", "devices": ["a1b2c3"], "channels": [0], "since": "never"}',
        "[" * 10_000,
    ],
)
def test_a_mark_that_breaks_its_form_is_none(tmp_path: Path, text: str) -> None:
    """Nothing of it reaches a message."""
    (tmp_path / FILE_NAME).write_text(text)
    assert read_mark(tmp_path) is None


def test_a_newer_format_is_known_by_its_number_alone(tmp_path: Path) -> None:
    """Whatever else a newer collector may write there."""
    (tmp_path / FILE_NAME).write_text(f'{{"format": {FORMAT + 1}}}')
    with pytest.raises(ArchiveRefused):
        read_mark(tmp_path)


@pytest.mark.parametrize("kind", ["too large", "a loop", "a folder"])
def test_a_mark_that_nobody_can_read_is_refused_and_not_touched(tmp_path: Path, kind: str) -> None:
    """Bug: a large one was overwritten; of the others the message named another file."""
    path = tmp_path / "house" / ".collector" / FILE_NAME
    path.parent.mkdir(parents=True)
    if kind == "too large":
        path.write_bytes(b" " * 70_000 + b'{"format": 9}')
    elif kind == "a loop":
        path.symlink_to(path)
    else:
        path.mkdir()
    before = path.lstat().st_ctime_ns  # reading it may change the time of its last access
    archive = Archive(tmp_path / "house", DayFormat(), identity=HOUSE)
    for take in (archive.claim, lambda: archive.adopt(ORDINARY)):
        with pytest.raises(ArchiveRefused, match=str(path)):
            take()
    assert path.lstat().st_ctime_ns == before


def test_two_services_that_remember_at_the_same_moment(tmp_path: Path) -> None:
    """Bug: one wrote what it had read before the other one wrote, whose archive was forgotten."""
    place = tmp_path / "archives.json"
    services = [
        Remembered(place) for _ in range(8)
    ]  # each with a lock of its own, as in a process of its own
    with ThreadPoolExecutor(8) as threads:
        for number in range(10):
            folders = [tmp_path / f"{number}-{place}" for place in range(8)]
            list(threads.map(Remembered.add, services, folders))
    assert len(json.loads(place.read_text())) == 80


def test_many_archives_are_added_with_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: each rewrote the whole list, durably: a minute on a card for the first start of 1,000 accounts."""
    place, writes = tmp_path / "known" / "archives.json", list[Path]()

    def counted(path: Path, data: bytes) -> None:
        writes.append(path)
        replace_file(path, data)

    monkeypatch.setattr(mark, "replace_file", counted)
    remembered = Remembered(place)
    remembered.add(tmp_path / "old")
    with remembered.at_once():
        for number in range(100):
            remembered.add(tmp_path / f"{number}")
            assert not remembered.knows(tmp_path / f"{number}")
        assert remembered.knows(tmp_path / "old")
        Remembered(place).add(tmp_path / "of another service")
    assert len(writes) == 3
    for name in ("old", "0", "99", "of another service"):
        assert Remembered(place).knows(tmp_path / name)
        assert remembered.knows(tmp_path / name)
    with remembered.at_once():
        remembered.add(tmp_path / "old")
    assert len(writes) == 3


def test_archives_opened_before_one_that_cannot_be_are_added(tmp_path: Path) -> None:
    place = tmp_path / "archives.json"
    remembered = Remembered(place)
    with pytest.raises(ArchiveRefused), remembered.at_once():
        remembered.add(tmp_path / "first")
        raise ArchiveRefused("another's", "")
    assert Remembered(place).knows(tmp_path / "first")


def test_an_archive_that_is_not_taken_changes_nothing(tmp_path: Path) -> None:
    """Not even by being looked at, scanned or closed."""
    folder = tmp_path / "house"
    first = Archive(folder, DayFormat())
    first.merge(filled(), after(filled().day, hours=1))
    first.close()
    before = everything_in(folder)
    archive = Archive(folder, DayFormat(), identity=HOUSE)
    assert not archive.claim()
    assert not archive.is_taken
    assert archive.scan(ORDINARY) == ()
    assert archive.known() == {}
    archive.probe()
    assert not is_held(folder / ".collector" / "lock")
    archive.close()
    assert everything_in(folder) == before
    archive.take_over()
    assert read_mark(folder / ".collector") == Mark(HOUSE)
    archive.close()


@pytest.mark.parametrize("days", [0, 1, 9])
def test_no_answer_replaces_what_another_meter_counted(tmp_path: Path, days: int) -> None:
    """Bug: only of the day of the change itself. What is missing is filled in, because --adopt was given."""
    folder = tmp_path / "house"
    first = Archive(folder, DayFormat(), identity=HOUSE)
    first.claim()
    first.merge(filled(without=(3,)), after(filled().day, hours=1))
    first.close()
    archive = Archive(folder, DayFormat(), identity=HOUSE._replace(devices=("a1b2c3d4e5f6",)))
    archive.adopt(ORDINARY + timedelta(days=days))
    archive.scan(ORDINARY + timedelta(days=days))
    outcome = archive.merge(filled(each=reading("9", "9", "9")), after(filled().day, days=2))
    assert outcome.revisions == ()
    archive.close()
    stored = dict(decode_file(folder / f"{ORDINARY}.jsonl", ORDINARY).readings)
    new = filled().day.hours[3]
    assert stored.pop(new) == reading("9", "9", "9")
    assert stored == filled(without=(3,)).readings


def test_a_damaged_day_that_another_meter_counted_stays_in_its_place(tmp_path: Path) -> None:
    """Bug: it was moved aside, and the new device has nothing to give in its place."""
    folder = tmp_path / "house"
    first = Archive(folder, DayFormat(), identity=HOUSE)
    first.claim()
    first.merge(filled(), after(filled().day, hours=1))
    first.close()
    path = folder / f"{ORDINARY}.jsonl"
    path.write_bytes(path.read_bytes() + b"a line of somebody\n")
    before = path.read_bytes()
    archive = Archive(folder, DayFormat(), identity=HOUSE._replace(devices=("a1b2c3d4e5f6",)))
    archive.adopt(ORDINARY + timedelta(days=1))
    assert archive.scan(ORDINARY + timedelta(days=1)) == ()
    assert "another meter counted that day" in archive.unreadable[ORDINARY]
    with pytest.raises(UnreadableFile, match="another meter"):
        archive.merge(filled(), after(filled().day, days=2))
    assert path.read_bytes() == before
    archive.close()


def test_what_is_compared_is_no_autumn_day_and_reaches_from_the_newest_to_the_oldest(tmp_path: Path) -> None:
    """A repeated hour may be stored in two ways; an old day may be another meter's."""
    folder = tmp_path / "house"
    first = Archive(folder, DayFormat())
    days = [AUTUMN + timedelta(days=number) for number in range(-8, 1)]
    for day in days:
        first.merge(filled(day), after(filled(day).day, hours=1))
    first.close()
    archive = Archive(folder, DayFormat(), identity=HOUSE)
    found = [day for day, _ in archive.samples(days[0], days[-1], BERLIN)]
    assert len(found) == 5
    assert found == sorted(found, reverse=True)
    assert (found[0], found[-1]) == (days[-2], days[0])
    assert [day for day, _ in archive.samples(AUTUMN, AUTUMN, BERLIN)] == []
    archive.close()


def test_an_archive_that_somebody_else_took_meanwhile(tmp_path: Path) -> None:
    """Two that compare the same files with the cloud: one has it."""
    folder = tmp_path / "house"
    folder.mkdir()
    (folder / f"{ORDINARY}.jsonl").write_text("{}\n")
    one, other = (Archive(folder, DayFormat(), identity=HOUSE) for _ in range(2))
    one.take_over()
    with pytest.raises(ArchiveLocked):
        other.take_over()
    one.close()


def test_a_full_disk_keeps_no_archive_from_being_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the mark could not be written, and the service ended. It comes before the first day instead."""

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    archive = Archive(tmp_path / "house", DayFormat(), identity=HOUSE)
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", full)
        assert archive.claim()
        with pytest.raises(OSError, match="No space"):
            archive.merge(filled(), after(filled().day, hours=1))
    assert read_mark(tmp_path / "house" / ".collector") is None
    archive.merge(filled(), after(filled().day, hours=1))
    assert read_mark(tmp_path / "house" / ".collector") == Mark(HOUSE)
    archive.close()


def test_an_empty_folder_is_refused_only_where_an_archive_was(tmp_path: Path) -> None:
    """And where somebody says that it is new, it is remembered as one."""
    place = tmp_path / "known" / "archives.json"
    with pytest.raises(ArchiveRefused):
        _claimed(tmp_path / "a", place, [tmp_path / "a"])
    assert not (tmp_path / "a").exists()
    assert _claimed(tmp_path / "b", place, [tmp_path / "a"])
    assert Remembered(place).knows(tmp_path / "b")
    assert not Remembered(place).knows(tmp_path / "c")


def _claimed(folder: Path, place: Path, known: list[Path]) -> bool:
    remembered = Remembered(place)
    for each in known:
        remembered.add(each)
    archive = Archive(folder, DayFormat(), identity=HOUSE, remembered=remembered)
    try:
        return archive.claim()
    finally:
        archive.close()


def test_what_is_remembered_lies_in_no_archive(tmp_path: Path) -> None:
    """In the unit's state folder that is not the archive; for others in the user's own state folder."""
    archive, known, home = tmp_path / "var" / "archive", tmp_path / "var" / "known", tmp_path / "home"
    unit = {"STATE_DIRECTORY": f"{archive}:{known}", "HOME": str(home)}
    remembered_by_service(archive, unit).add(archive / "house")
    assert [path.parent for path in tmp_path.rglob("archives.json")] == [known]
    remembered_by_service(archive, {"STATE_DIRECTORY": str(archive)}).add(archive / "house")
    assert not archive.exists()
    remembered_by_service(archive, {"HOME": str(home)}).add(archive / "house")
    assert (home / ".local" / "state" / "shelly-collector" / "archives.json").is_file()
    remembered_by_service(archive, {}).add(archive / "house")
    assert remembered_for_others(archive, {"HOME": str(home)}).knows(archive / "house")
    assert remembered_for_others(archive, unit).knows(archive / "house")
    assert not remembered_for_others(archive, {"XDG_STATE_HOME": str(tmp_path)}).knows(archive / "house")


@pytest.mark.parametrize("data", [b"", b"{", b"[1, null]", b"\xff", b"[" * 9999])
def test_a_damaged_memory_remembers_nothing(tmp_path: Path, data: bytes) -> None:
    """And is written again with the next archive."""
    (tmp_path / "archives.json").write_bytes(data)
    remembered = Remembered(tmp_path / "archives.json")
    assert not remembered.knows(tmp_path / "a")
    remembered.add(tmp_path / "a")
    assert remembered.knows(tmp_path / "a")


def test_commands_by_hand_remember_nothing(tmp_path: Path) -> None:
    """Whoever fills a folder of their own may throw it away."""
    environ = {"HOME": str(tmp_path)}
    remembered_for_others(tmp_path / "archive", environ).add(tmp_path / "archive")
    assert list(tmp_path.iterdir()) == []
