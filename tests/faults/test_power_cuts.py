"""S3. The power goes while a process saves on a real ext4: what was acknowledged is there, whole."""

from __future__ import annotations

import select
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from random import Random

import pytest

from tests.faults import figures, loops
from tests.faults.savers import Loss, await_begun, killed, losses, newest, started, unsettled
from tests.support.amounts import amount, dice

CAUGHT = ("no fsync", "no directory fsync")
_MOUNTS = ("", "data=writeback,noauto_da_alloc,commit=1")
_LONGEST_S = 0.05

pytestmark = [pytest.mark.needs(*loops.TOOLS), pytest.mark.timeout(1200)]


@pytest.mark.parametrize("options", _MOUNTS)
def test_a_power_cut_tears_no_file_and_loses_nothing_acknowledged(options: str, tmp_path: Path) -> None:
    """Half the cuts leave the journal, the others not even that; the archive opens and goes on each time."""
    cuts, mid_save = amount(150, 2_500), 0
    for found, was_saving in _lives(tmp_path, options, cuts, dice("S3", options)):
        assert found == []
        mid_save += was_saving
    assert mid_save > 0  # or the rig hits nothing
    figures.note("S3", power_cuts=cuts, temporaries_left=mid_save, harmed=0, mount=options or "default")


@pytest.mark.parametrize("name", CAUGHT)
def test_this_rig_notices(name: str, tmp_path: Path) -> None:
    """A save with that mistake is found out within some hundred cuts, on the less careful mount."""
    chance = dice("S3", name)
    if not any(found for found, _ in _lives(tmp_path, _MOUNTS[1], 400, chance, name)):
        pytest.fail(f"{name} was not noticed")


def _lives(
    place: Path, options: str, cuts: int, chance: Random, mistake: str | None = None
) -> Iterator[tuple[list[Loss], bool]]:
    """One power cut after the other on the same file system: what each harmed, and whether a save was cut."""
    image, root = place / "image", place / "mounted"
    loops.make_ext4(image)
    hows = cycle(loops.Cut)
    for _ in range(cuts):
        with loops.mounted(image, root, options):
            folder = root / "meter"
            saver = started(folder, newest(folder), mistake)
            try:
                await_begun(saver)
                select.select([], [], [], chance.uniform(0, _LONGEST_S))
                loops.cut_power(root, next(hows))
            finally:
                acknowledged = killed(saver)
        with loops.mounted(image, root, options):
            was_saving = any(folder.rglob("*.shelly-tmp"))
            yield list(losses(folder, acknowledged)) or list(unsettled(folder)), was_saving
