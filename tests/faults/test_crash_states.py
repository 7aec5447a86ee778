"""S5. Every state that a crash may leave of one save, of two, and of a day with its ledger and checksum."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path

import pytest

from collector.archive import files
from collector.archive.dayfile import DayFormat, encode
from collector.archive.store import Archive
from collector.energy.readings import EnergyDay
from tests.faults import figures
from tests.faults.crash_model import crash_states, write_out
from tests.faults.mutants import Save, mutant, saving_by
from tests.faults.savers import DAYS, Loss, losses, unsettled, version_of
from tests.faults.storage_calls import Recording, recording
from tests.support.energy_days import BERLIN, after
from tests.support.zone_data import zone_data

CAUGHT = ("no fsync", "no directory fsync", "in place", "replace before fsync", "acknowledge first")
_DAY = DAYS[0]

Work = Callable[[Path, Recording], None]


def one_save(folder: Path, made: Recording) -> None:
    """A day's file is replaced."""
    _save(folder, 2, made)


def two_saves(folder: Path, made: Recording) -> None:
    """It is replaced twice in a row."""
    _save(folder, 2, made)
    _save(folder, 3, made)


def a_day(folder: Path, made: Recording) -> None:
    """An archive is opened, and a whole day merged: checksum, file and ledger."""
    _merge(folder, [2], made)


def two_days(folder: Path, made: Recording) -> None:
    """The same, and once more."""
    _merge(folder, [2, 3], made)


def a_part_and_the_whole(folder: Path, made: Recording) -> None:
    """A new day, of which half comes first: it becomes complete, and its checksum is recorded."""
    archive = Archive(folder, DayFormat())
    whole = version_of(DAYS[1], 2)
    half = EnergyDay(whole.day, dict(list(whole.readings.items())[:12]))
    archive.merge(half, after(half.day, hours=0.5))
    archive.merge(whole, after(whole.day) + timedelta(hours=1))
    made.acknowledge((DAYS[1], 2))
    archive.close()


def a_day_held_back(folder: Path, made: Recording) -> None:
    """The rules of the zone turn out old: a day that was just saved as complete is partial again."""
    archive = Archive(folder, DayFormat())
    _acknowledged(archive, 2, made)
    archive.suspect(BERLIN, "an hour comes twice", after(version_of(_DAY, 2).day) + timedelta(hours=3))
    assert not archive.known()[_DAY].complete
    archive.close()


WORKS = (one_save, two_saves, a_day, two_days, a_part_and_the_whole, a_day_held_back)


@pytest.mark.parametrize("work", WORKS)
def test_no_crash_harms_anything(work: Work, tmp_path: Path) -> None:
    """In every state each file is the old one or the new one, and what was acknowledged is there."""
    states = 0
    with zone_data(tmp_path / "zones", BERLIN.key):  # of an unknown release: it may be older than the day
        for harm in _harms(work, tmp_path):
            assert harm == []
            states += 1
    assert states >= 5
    figures.note("S5", states=states, pieces_of_work=1, harmed=0)


@pytest.mark.parametrize("name", CAUGHT)
def test_this_rig_notices(name: str, tmp_path: Path) -> None:
    """A save with that mistake leaves a state that is wrong."""
    assert any(any(_harms(work, tmp_path / work.__name__, mutant(name))) for work in (one_save, two_saves))


def _harms(work: Work, place: Path, save: Save | None = None) -> Iterator[list[Loss]]:
    """What is wrong in each state that a crash in the midst of the work may leave."""
    root, copy = place / "root", place / "copy"
    root.mkdir(parents=True)
    folder = root / "meter"
    archive = Archive(folder, DayFormat())
    archive.merge(version_of(_DAY, 1), after(version_of(_DAY, 1).day))
    archive.close()
    with saving_by(save) if save else nullcontext(), recording(root) as made:
        work(folder, made)
    for state in crash_states(made):
        copy.mkdir()
        write_out(state.tree, root, copy)
        required = {_DAY: 1, **dict(state.acknowledged)}
        found = [loss for loss in losses(copy / "meter", required) if loss.day in required]
        yield found or list(_found_by_us(copy / "meter", work))
        shutil.rmtree(copy)


def _found_by_us(folder: Path, work: Work) -> Iterator[Loss]:
    return iter(()) if work in (one_save, two_saves) else unsettled(folder)


def _save(folder: Path, version: int, made: Recording) -> None:
    files.replace_file(folder / f"{_DAY}.jsonl", encode(version_of(_DAY, version), 4, complete=True))
    made.acknowledge((_DAY, version))


def _merge(folder: Path, versions: list[int], made: Recording) -> None:
    archive = Archive(folder, DayFormat())
    for version in versions:
        _acknowledged(archive, version, made)
    archive.close()


def _acknowledged(archive: Archive, version: int, made: Recording) -> None:
    answered = version_of(_DAY, version)
    archive.merge(answered, after(answered.day) + timedelta(hours=version))  # the ledger notes when
    made.acknowledge((_DAY, version))
