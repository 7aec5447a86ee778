"""S4. Every point between two writes to the disk at which the power may go, and every order of the unflushed.

A real ext4 writes to a disk that writes it down; each state that the disk may have had is mounted.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from tests.faults import figures, loops
from tests.faults.block_device import Record, recorded_disk, records_in
from tests.faults.mutants import Save, mutant
from tests.faults.savers import DAYS, Loss, losses, saved, unsettled
from tests.support.amounts import amount, dice

CAUGHT = ("no fsync", "no directory fsync")
_OPTIONS = "data=writeback,noauto_da_alloc,commit=1"
_MEGABYTES = 4

pytestmark = [pytest.mark.needs(*loops.TOOLS, "fusermount3"), pytest.mark.timeout(900)]


class Acknowledged(NamedTuple):
    """A version was said to be saved when the disk's log had that length."""

    day: date
    version: int
    log_size: int


@pytest.mark.parametrize("options", ["", _OPTIONS])
def test_no_moment_of_the_disk_harms_anything(options: str, tmp_path: Path) -> None:
    """Every prefix of the writes, and random subsets of those that were not flushed."""
    base, records, told = _recorded(tmp_path, options)
    chance = dice("S4", options)
    prefixes = _prefixes(records)
    orders = [_unflushed(records, chance) for _ in range(amount(200, 2_500))]
    for state in prefixes + orders:
        assert _harm(tmp_path, base, records, *state, told) == []
    assert len(told) > 3
    assert sum(record.data is None for record in records) > len(told)  # flushes reach the disk
    figures.note("S4", prefixes=len(prefixes), orders=len(orders), saves=len(told), harmed=0)


@pytest.mark.parametrize("name", CAUGHT)
def test_this_rig_notices(name: str, tmp_path: Path) -> None:
    """A save with that mistake leaves a disk on which something is torn or lost."""
    base, records, told = _recorded(tmp_path, _OPTIONS, mutant(name))
    chance = dice("S4", name)
    states = _prefixes(records) + [_unflushed(records, chance) for _ in range(400)]
    chance.shuffle(states)
    if not any(_harm(tmp_path, base, records, *state, told) for state in states):
        pytest.fail(f"{name} was not noticed")


def _recorded(
    place: Path, options: str, save: Save | None = None
) -> tuple[Path, list[Record], list[Acknowledged]]:
    """A disk as it was, all that some saves did to it, and when each of them was acknowledged."""
    base, image, log, root = place / "base", place / "image", place / "log", place / "root"
    loops.make_ext4(base, _MEGABYTES)
    with loops.mounted(base, root, options):
        list(saved(root / "meter", [1]))
    shutil.copy(base, image)
    told: list[Acknowledged] = []
    with recorded_disk(image, place / "fuse", log) as disk, loops.mounted(disk, root, options):
        for day, version in saved(root / "meter", [2, 3], save):
            told.append(Acknowledged(day, version, log.stat().st_size))
    return base, list(records_in(log)), told


def _prefixes(records: Sequence[Record]) -> list[tuple[list[Record], int]]:
    """All that was done up to some moment; a flush changes nothing, what is acknowledged after it may."""
    return [(list(records[:length]), length) for length in range(1, len(records) + 1)]


def _unflushed(records: Sequence[Record], chance: Random) -> tuple[list[Record], int]:
    """Up to some moment: what was flushed, and any of the rest; and that moment."""
    moment = chance.randrange(1, len(records) + 1)
    flushed = max((place for place in range(moment) if records[place].data is None), default=0)
    rest = [record for record in records[flushed:moment] if chance.random() < 0.5]
    return [*records[:flushed], *rest], moment


def _harm(
    place: Path,
    base: Path,
    records: Sequence[Record],
    done: Sequence[Record],
    moment: int,
    told: Sequence[Acknowledged],
) -> list[Loss]:
    """What is wrong on a disk on which these writes were done, when the power went at that moment."""
    image, root = place / "image", place / "root"
    # A file of its own: where the kernel still holds the last one's mount, it would show that instead.
    image.unlink(missing_ok=True)
    shutil.copy(base, image)
    descriptor = os.open(image, os.O_WRONLY)
    try:
        for record in done:
            if record.data is not None:
                os.pwrite(descriptor, record.data, record.offset)
    finally:
        os.close(descriptor)
    size = records[moment - 1].end if moment else 0
    required = dict.fromkeys(DAYS, 1) | {each.day: each.version for each in told if each.log_size <= size}
    with loops.mounted(image, root):
        return list(losses(root / "meter", required)) or list(unsettled(root / "meter"))
