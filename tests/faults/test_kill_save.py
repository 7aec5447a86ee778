"""S1. kill -9 of a process that saves, at random moments: every file is the old one or the new one."""

from __future__ import annotations

import select
from collections import Counter, deque
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from random import Random

import pytest

from collector.archive.dayfile import DayFormat
from collector.archive.store import Archive
from tests.faults import figures
from tests.faults.nursery import end
from tests.faults.savers import DAYS, await_begun, killed, losses, started, unsettled
from tests.support.amounts import amount, dice

CAUGHT = ("in place", "acknowledge first")
_AT_ONCE = 5
_LONGEST_S = 0.01


@pytest.mark.timeout(900)
def test_kill_9_tears_no_file_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """After each death every day file is one version, whole, and not older than what was acknowledged."""
    chance = dice("S1")
    versions = {tmp_path / f"meter{number}": 0 for number in range(_AT_ONCE)}
    folders = list(versions)
    kills, mid_save, saved = amount(2_000, 10_000), 0, 0
    harm: Counter[str] = Counter()
    for number in range(kills // _AT_ONCE):
        opened = folders[number % _AT_ONCE]
        for folder, acknowledged in _deaths(versions, chance):
            mid_save += any(folder.rglob("*.shelly-tmp"))
            found = list(losses(folder, acknowledged))
            if folder is opened:  # reads all, and mends: one death in five
                found += unsettled(folder)
            harm.update("lost" if loss.what == "lost" else "torn" for loss in found)
            assert found == []
            saved += len(acknowledged)
            assert {path.suffix for path in folder.iterdir() if path.is_file()} <= {".jsonl", ".shelly-tmp"}
    for folder in folders:
        archive = Archive(folder, DayFormat())
        assert archive.scan(DAYS[-1]) == ()
        assert not archive.ledger.rebuilt
        assert not list(folder.rglob("*.shelly-tmp"))
        assert [known.complete for known in archive.known().values()] == [True] * len(DAYS)
        archive.close()
    assert mid_save > kills // 20  # or the rig hits nothing
    figures.note(
        "S1",
        kills=kills,
        in_the_middle_of_a_save=mid_save,
        days_acknowledged=saved,
        torn=harm["torn"],
        lost=harm["lost"],
    )


@pytest.mark.parametrize("name", CAUGHT)
def test_this_rig_notices(name: str, tmp_path: Path) -> None:
    """A save with that mistake is found out in a few hundred deaths."""
    chance = dice("S1", name)
    versions = {tmp_path / f"meter{number}": 0 for number in range(_AT_ONCE)}
    for _ in range(200):
        if any(list(losses(*death)) for death in _deaths(versions, chance, name)):
            return
    pytest.fail(f"{name} was not noticed")


def _deaths(
    versions: dict[Path, int], chance: Random, mistake: str | None = None
) -> Iterator[tuple[Path, dict[date, int]]]:
    """A saver in each folder, killed at some moment; what each had acknowledged.

    They begin side by side and wait: it is the start that takes its time. `versions` are those that may
    be stored in each folder.
    """
    alive = deque((each, started(each, version, mistake)) for each, version in versions.items())
    try:
        while alive:
            await_begun(alive[0][1])
            select.select([], [], [], chance.uniform(0, _LONGEST_S))
            folder, saver = alive.popleft()
            acknowledged = killed(saver)
            versions[folder] = max(acknowledged.values()) + 1  # one more, that it did not come to say
            yield folder, acknowledged
    finally:
        for _, saver in alive:  # nobody wants to know of the others any more
            end(saver)
