"""S6. The mutants of the save: each works while nothing goes wrong, and some rig notices each."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from tests.faults import figures
from tests.faults.mutants import MUTANTS, mutant


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_saves_as_long_as_nothing_goes_wrong(name: str, tmp_path: Path) -> None:
    """Otherwise a rig would catch a program that does not run."""
    save = mutant(name)
    folder = tmp_path / "meter"
    folder.mkdir()
    for number in range(3):
        save(folder / "file", b"%d" % number)
        save(folder / "other", b"-")
    assert (folder / "file").read_bytes() == b"2"


def test_the_rigs_together_notice_every_mutant() -> None:
    """What a rig claims in `CAUGHT` counts only where its own test tries each of them."""
    caught = {name for _, names in _claims() for name in names}
    assert caught == set(MUTANTS)
    figures.note("S6", mutants=len(MUTANTS), caught=len(caught))


def test_a_rig_tries_every_mutant_that_it_claims() -> None:
    """A list that no test runs over would be a claim and no proof."""
    for rig, names in _claims():
        marks = getattr(rig.test_this_rig_notices, "pytestmark", [])
        tried = [mark.args[1] for mark in marks if mark.name == "parametrize"]
        assert tried == [names], f"{rig.__name__} claims {names} and tries {tried}"


def _claims() -> Iterator[tuple[ModuleType, tuple[str, ...]]]:
    """Every rig that says which mutants it notices, and what it says."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        rig = import_module(f"tests.faults.{path.stem}")
        if hasattr(rig, "CAUGHT"):
            yield rig, rig.CAUGHT
