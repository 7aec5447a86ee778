"""The mutants of the save themselves: each is a save that works while nothing goes wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

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
