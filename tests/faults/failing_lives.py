"""One life of an archive, for the calls that may fail in it: what it begins from, does, and remembers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from pathlib import Path

from collector.archive.checksums import Checksums
from collector.archive.dayfile import DayFormat, encode
from collector.archive.ledger import Ledger
from collector.archive.store import Archive, DayOutcome
from collector.energy.history import Outcome
from collector.energy.readings import EnergyDay
from collector.errors import UnreadableFile
from tests.support.energy_days import BERLIN, ORDINARY, after, filled, reading
from tests.support.failing_calls import Calls

REVISED, HALF, NEW, SHRUNKEN, DAMAGED, TRODDEN, ASIDE, EMPTY, FAILED, WANTED = (
    ORDINARY + timedelta(days=number) for number in range(10)
)
NOW = after(filled(WANTED).day, hours=0.5)
GARBAGE, PRECIOUS, RUBBISH = b"\0" * 4096, b"an earlier damaged file", b"{}\n"
NEWER = reading("9.0000")
DAYS = [ORDINARY + timedelta(days=number) for number in range(10)]
ANSWERS = (
    filled(REVISED, each=NEWER),
    filled(HALF),
    filled(NEW),
    filled(SHRUNKEN, without=range(5, 24)),
    filled(DAMAGED),
    filled(TRODDEN),
    filled(EMPTY, without=range(24)),
)
STARTS = ("fresh", "stored", "crash")


def written(day: EnergyDay) -> bytes:
    return encode(day, 4, complete=day.is_complete(NOW))


def prepare(start: str, folder: Path) -> None:
    """A folder as it may be found: `fresh`, `stored`, or as a `crash` left it."""
    if start == "fresh":
        return
    archive = Archive(folder, DayFormat())
    for day in (REVISED, SHRUNKEN, ASIDE, WANTED):
        archive.merge(filled(day), NOW)
    archive.merge(filled(HALF, without=range(12, 24)), NOW)
    archive.close()
    own = folder / ".collector"
    (own / "quarantine").mkdir()
    (own / "quarantine" / f"{DAMAGED}.jsonl.1").write_bytes(PRECIOUS)
    (folder / f"{DAMAGED}.jsonl").write_bytes(GARBAGE)
    if start == "crash":
        for each in (folder / f"{HALF}.jsonl", own / "ledger.jsonl", own / "checksums"):
            each.with_name(each.name + ".shelly-tmp").write_bytes(b"half")
        Checksums(own / "checksums").note(REVISED, written(filled(REVISED, each=NEWER)))
        for name, torn in (("ledger.jsonl", b'{"day": "20'), ("checksums", b"0123")):
            with (own / name).open("ab") as file:
                file.write(torn)


class Life:
    """All that the service does with an archive; each step goes on where another one failed."""

    def __init__(self, folder: Path, calls: Calls) -> None:
        self.folder = folder
        self.calls = calls
        self.saved: set[date] = set()
        self.errors: list[Exception] = []
        self.seen: dict[date, set[bytes | None]] = {day: {bytes_of(folder, day)} for day in DAYS}
        self._archive: list[Archive] = []

    def live(self) -> None:
        """Opens the archive, unless it is open, and does everything once."""
        self.look()
        for archive in self._archive:
            if not list(self.folder.rglob(f"{TRODDEN}.jsonl*")):
                (self.folder / f"{TRODDEN}.jsonl").write_bytes(RUBBISH)
                self.seen[TRODDEN].add(RUBBISH)
            for answered in ANSWERS:
                self._attempt(partial(archive.merge, answered, NOW))
                self.seen[answered.day.date].add(bytes_of(self.folder, answered.day.date))
            self._attempt(partial(archive.note_failure, filled(FAILED).day, "no answer", NOW))
            self._attempt(partial(archive.request_again, WANTED, "verify"))
            self._attempt(partial(archive.scan, NOW.date()))
            if bytes_of(self.folder, ASIDE) is not None:
                self._attempt(partial(archive.set_aside, ASIDE, "verify"))
            self._attempt(archive.probe)
        for day in DAYS:
            self.seen[day].add(bytes_of(self.folder, day))

    def look(self) -> None:
        """Opens the archive, unless it is open, and looks at what is there."""
        if not self._archive:
            self._attempt(lambda: self._archive.append(Archive(self.folder, DayFormat())))
        for archive in self._archive:
            self._attempt(partial(archive.scan, NOW.date()))
        for day in DAYS:
            self.seen[day].add(bytes_of(self.folder, day))

    def end(self) -> None:
        while self._archive:
            self._attempt(self._archive.pop().close)

    def _attempt(self, step: Callable[[], object]) -> None:
        try:
            with self.calls.watched():
                outcome = step()
        except (OSError, UnreadableFile) as error:
            self.errors.append(error)
        else:
            if isinstance(outcome, DayOutcome) and outcome.outcome is not Outcome.EMPTY:
                self.saved.add(outcome.day)


def bytes_of(folder: Path, day: date) -> bytes | None:
    path = folder / f"{day}.jsonl"
    return path.read_bytes() if path.exists() else None


def quarantined(folder: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in (folder / ".collector" / "quarantine").glob("*"))


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@dataclass(frozen=True)
class Undisturbed:
    """What a start becomes where nothing fails: each day's bytes on the way, and in the end."""

    before: Path
    made: Sequence[tuple[str, str]]
    seen: Mapping[date, set[bytes | None]]
    final: Mapping[date, bytes | None]
    aside: list[bytes]


def undisturbed(start: str, folder: Path) -> Undisturbed:
    before = folder.with_name(f"{start}.before")
    prepare(start, before)
    begin(before, folder)
    with Calls(folder).wrapped() as calls:
        life = Life(folder, calls)
        life.live()
        assert life.errors == []
        made = list(calls.made)
        life.live()
        life.end()
    final = {day: bytes_of(folder, day) for day in DAYS}
    return Undisturbed(before, made, life.seen, final, quarantined(folder))


def begin(before: Path, folder: Path) -> None:
    if before.exists():
        shutil.copytree(before, folder)
        for each in (folder, folder / ".collector"):
            os.chown(each, 12345, 12345)  # so that what root makes is given to its owner


def check_kept(whole: Undisturbed, life: Life) -> None:
    """After the failure: nothing torn, nothing lost that was told as saved, nothing good moved aside."""
    for day in DAYS:
        assert life.seen[day] <= whole.seen[day], f"{day} is neither old nor new"
        if day in life.saved:
            assert bytes_of(life.folder, day) == whole.final[day], f"{day} was told as saved, and is not"
    assert not set(quarantined(life.folder)) - set(whole.aside), "a good file was moved aside"


def check_final(whole: Undisturbed, folder: Path) -> None:
    """Every day as if nothing had happened; what was damaged is still there, and nothing beside it."""
    for day in DAYS:
        assert bytes_of(folder, day) == whole.final[day], day
    assert quarantined(folder) == whole.aside
    assert not list(folder.rglob("*.shelly-tmp"))
    assert Ledger(folder / ".collector" / "ledger.jsonl").zone == BERLIN.key


def work(folder: Path) -> None:
    """Everything that is done with an archive, and nothing else on that folder."""
    archive = Archive(folder, DayFormat())
    archive.scan(NOW.date())
    for answered in ANSWERS:
        archive.merge(answered, NOW)
    archive.note_failure(filled(FAILED).day, "no answer", NOW)
    archive.request_again(WANTED, "verify")
    archive.scan(NOW.date())
    archive.set_aside(ASIDE, "verify")
    archive.probe()
    archive.close()
