"""N8: histories of the whole service under random faults; whatever happens, the promise holds."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from tests.faults import amounts, figures
from tests.faults.checker import History, Hour, Stored, incomplete, violations
from tests.faults.histories import played
from tests.world import DEVICE

ONE, TWO = {"import": Decimal(1)}, {"import": Decimal(2)}


@pytest.mark.timeout(3600)
async def test_no_history_breaks_the_promise(tmp_path: Path) -> None:
    """Kills, cuts, full disks, lost answers, clock steps, revisions, holes, shrinks: 0 violations."""
    seeds, kills, days, requests, acknowledged = amounts.amount(4, 200), 0, 0, 0, 0
    for seed in range(seeds):
        archive = tmp_path / str(seed)
        archive.mkdir()
        outcome = await played(amounts.dice("N8", seed), archive)
        assert outcome.violations == [], f"seed {seed}: {outcome.violations[:5]}"
        kills += outcome.kills
        days += outcome.days
        requests += outcome.requests
        acknowledged += outcome.acknowledged
    assert kills > 0
    assert acknowledged > 0
    figures.note("N8", histories=seeds, days_under_faults=days, kills=kills, requests=requests, violations=0)


def test_a_right_history_is_found_right() -> None:
    """A newer value in the place of an acknowledged one, at the pace."""
    served = [Hour(1.0, DEVICE, 0, ONE), Hour(3.0, DEVICE, 0, TWO)]
    history = History(served, [Hour(2.0, DEVICE, 0, ONE)], [1.0, 2.0, 3.0])
    assert violations(history, [Stored(DEVICE, 0, TWO)]) == []
    assert incomplete([Stored(DEVICE, 0, TWO)], [Stored(DEVICE, 0, TWO)]) == []


@pytest.mark.parametrize(
    ("what", "stored", "requests"),
    [
        ("never served", [Stored(DEVICE, 0, {"import": Decimal(3)})], []),
        ("never served", [Stored(DEVICE, 0, TWO), Stored(DEVICE, 3600, ONE)], []),
        ("never served", [Stored(DEVICE, 0, TWO), Stored("another", 0, ONE)], []),
        ("lost", [], []),
        ("twice", [Stored(DEVICE, 0, TWO), Stored(DEVICE, 0, TWO)], []),
        ("older", [Stored(DEVICE, 0, ONE)], []),
        ("too fast", [Stored(DEVICE, 0, TWO)], [1.0, 1.999]),
    ],
)
def test_the_checker_finds_what_is_wrong(what: str, stored: list[Stored], requests: list[float]) -> None:
    """Each kind of violation, alone: the checker could fail."""
    served = [Hour(1.0, DEVICE, 0, ONE), Hour(3.0, DEVICE, 0, TWO)]
    history = History(served, [Hour(4.0, DEVICE, 0, TWO)], requests)
    assert {each.what for each in violations(history, stored)} == {what}


@pytest.mark.parametrize("stored", [[], [Stored(DEVICE, 0, ONE)]])
def test_the_checker_finds_an_archive_that_is_not_complete(stored: list[Stored]) -> None:
    """An hour that the cloud has is missing, or says something else."""
    assert incomplete([Stored(DEVICE, 0, TWO)], stored) != []
