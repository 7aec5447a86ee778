"""N8: histories of random troubles, judged by a checker that knows all that was told and said."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from collector.archive import files, store
from collector.cloud.pacing import Pace
from collector.collect import collector
from collector.energy.readings import merged
from tests.faults import figures
from tests.faults.checker import violations
from tests.faults.histories import lived
from tests.faults.weather import weather
from tests.support import amounts
from tests.support.service_life import look_about_rarely

_NEVER_TOLD = {  # nobody hurts files
    "job.failed", "file.changed", "file.gone", "file.quarantined", "file.unreadable", "storage.weak",
}  # fmt: skip
_PARTS = 8  # that may be lived side by side
_TRIES = 12  # histories in which a mistake must show


@pytest.fixture(autouse=True)
def world_of_few_signs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A service that looks about more rarely, on a machine whose clock nobody has set."""
    look_about_rarely(monkeypatch, 600.0)
    monkeypatch.setattr(collector, "SYNCHRONIZED", tmp_path / "synchronized")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(_PARTS))
async def test_no_history_breaks_a_promise(part: int, tmp_path: Path) -> None:
    """Kills, full disks, loss, clock steps, revisions, holes, late and shrunken data, in any order."""
    counts: Counter[str] = Counter()
    days, broken = 0.0, 0
    numbers = range(part, amounts.amount(50, 1000), _PARTS)
    for number in numbers:
        dice = amounts.dice("N8", number)
        made = await lived(weather(dice), tmp_path / str(number), dice)
        found = violations(made.history)
        assert not found, (number, found[:5])
        assert not made.counts.keys() & _NEVER_TOLD, (number, made.counts)
        broken += len(found)
        counts += made.counts
        counts["answers"] += len(made.history.answers)
        counts["requests"] += len(made.history.requests)
        days += made.days
    names = ("lives", "kills", "cut saves", "full disks", "steps", "spoiled", "requests", "answers")
    figures.note(
        "N8", histories=len(numbers), days=int(days), violations=broken, revised=counts["hour.revised"],
        **{name.replace(" ", "_"): counts[name] for name in names},
    )  # fmt: skip


def _older_wins(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(store, "merged", lambda stored, answered: merged(answered, stored))


def _asks_at_once(patch: pytest.MonkeyPatch) -> None:
    begin = Pace.__init__

    def hasty(self: Pace, *told: Any) -> None:
        begin(self, *told)
        self._begins_at = float("-inf")

    patch.setattr(Pace, "__init__", hasty)


def _saves_in_place(patch: pytest.MonkeyPatch) -> None:
    def replace_file(path: Path, data: bytes) -> None:
        disk = vars(files)["os"]
        descriptor = disk.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        try:
            files._write_all(descriptor, data)
        finally:
            os.close(descriptor)

    patch.setattr(store, "replace_file", replace_file)


def _says_and_saves_not(patch: pytest.MonkeyPatch) -> None:
    save = store.Archive._save

    def lazy(self: store.Archive, day: date, data: bytes, *, complete: bool) -> None:
        if complete or not (self.folder / f"{day}.jsonl").exists():
            save(self, day, data, complete=complete)

    patch.setattr(store.Archive, "_save", lazy)


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        ("old", _older_wins),
        ("pace", _asks_at_once),
        ("torn", _saves_in_place),
        ("said, not saved", _says_and_saves_not),
    ],
)
async def test_a_service_with_a_mistake_breaks_its_promises(
    kind: str, mistake: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rig could fail: within a few histories it finds what that mistake does."""
    mistake(monkeypatch)
    for number in range(_TRIES):
        dice = amounts.dice("N8", kind, number)
        made = await lived(weather(dice), tmp_path / str(number), dice)
        if kind in {violation.kind for violation in violations(made.history)}:
            return
    pytest.fail(f"{kind} was not found in {_TRIES} histories")
