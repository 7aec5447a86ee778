"""Archive: one meter's folder of day files. Read, merge and write, which days are there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collector.archive.dayfile import DayFile, DayFormat, encode, stored_day
from collector.archive.files import (
    FolderLock,
    make_folder,
    quarantine,
    remove_stale_temporaries,
    replace_file,
    sync_folder,
)
from collector.archive.folder import (
    COMPLETE,
    OWN_FOLDER,
    PARTIAL,
    day_files,
    decode_file,
    stamp_of,
    state_of_file,
)
from collector.archive.ledger import Ledger
from collector.energy.days import LocalDay, local_day, zone_named
from collector.energy.knowledge import NOTHING, Asked, Known, Outcome
from collector.energy.readings import EnergyDay, Revision, merged
from collector.errors import DamagedFile


class Quarantined(NamedTuple):
    """A file that was moved aside, where to, and why."""

    day: date
    place: Path
    reason: str


@dataclass(frozen=True, slots=True)
class DayOutcome:
    """How asking for one day ended. `missing` hours lack a value on some channel."""

    day: date
    outcome: Outcome
    hours: int = 0
    missing: int = 0
    complete: bool = False
    revisions: tuple[Revision, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    reason: str = ""

    @classmethod
    def failed(cls, day: date, reason: str) -> DayOutcome:
        """The day could not be had."""
        return cls(day, Outcome.FAILED, reason=reason)


class Archive:
    """One meter's day files, held by one process. Blocking: called from one thread at a time."""

    def __init__(
        self, folder: Path, day_format: DayFormat, *, no_solar: bool = False, remember_days: int = 3
    ) -> None:
        """Takes the folder, creating it where only it is missing.

        `remember_days`: for how many days after its end a complete day's last reading is remembered.
        Raises `ArchiveLocked`, `ArchiveError`, `OSError`.
        """
        self.folder = folder
        self._format = day_format
        self.no_solar = no_solar
        self._remember_s = remember_days * 86400
        self._own = folder / OWN_FOLDER
        make_folder(folder)
        make_folder(self._own)
        self._lock = FolderLock(self._own / "lock")
        try:
            for each in (folder, self._own):
                remove_stale_temporaries(each)
            self.ledger = Ledger(self._own / "ledger.jsonl")
            self.ledger.mend()
        except BaseException:
            self._lock.release()
            raise
        self._stamps: dict[date, int] = {}  # of each day file, as last read
        self._known = {day: NOTHING._replace(asked=asked) for day, asked in self.ledger.asked.items()}

    def close(self) -> None:
        """Lets go of the folder."""
        self._lock.release()

    @property
    def zone(self) -> ZoneInfo | None:
        """The meter's time zone as the cloud last told it."""
        return None if self.ledger.zone is None else zone_named(self.ledger.zone)

    def scan(self) -> tuple[Quarantined, ...]:
        """Looks at what is there now; files that cannot be trusted are moved aside and returned.

        Only files that changed since the last look are read.
        """
        present = day_files(self.folder)
        for gone in [day for day, state in self._known.items() if _had_file(state) and day not in present]:
            self._forget(gone)
        damaged: list[Quarantined] = []
        for day, stamp in present.items():
            if self._stamps.get(day) == stamp:
                continue
            try:
                state = state_of_file(self._path(day), day, self.zone, self._format)
            except DamagedFile as damage:
                self._forget(day)
                damaged.append(self._move_aside(day, damage))
            else:
                self._stamps[day] = stamp
                self._know(day, state)
        return tuple(damaged)

    def known(self) -> Mapping[date, Known]:
        """What is known of each day, as of the last `scan` and what was merged since. Any thread."""
        return self._known.copy()

    def merge(self, answered: EnergyDay, now: datetime) -> DayOutcome:
        """Adds what was answered at `now` to what is stored; durable when it returns.

        Writes nothing where nothing changes. Raises `OSError` where it could not be saved; the old
        file then stands.
        """
        if self._format.merge_repeated_hour:
            answered = answered.with_twins_as_one()
        day = answered.day
        if self.ledger.zone != day.zone.key:
            self.ledger.note_zone(day.zone.key)
            self._stamps.clear()  # which hours a file should have is to be looked at again
        decimals = self._format.decimals
        file, stored, quarantined = self._read(day)
        result, revisions = merged(stored.rounded(decimals), answered.rounded(decimals))
        was_over = file is not None and not file.partial  # then a clock set back does not undo it
        complete = result.is_complete(now) or (was_over and result.is_whole())
        if file is None and not result.readings:
            outcome = Outcome.EMPTY
        elif file is not None and (
            not answered.readings or _says(file, decimals) == (result.readings, complete)
        ):
            outcome = Outcome.UNCHANGED
        else:
            replace_file(self._path(day.date), encode(result, decimals, complete=complete))
            outcome = Outcome.WRITTEN if complete else Outcome.PARTIAL
        self._remember(day, outcome, now, complete=complete)
        if outcome is Outcome.EMPTY:
            self._know(day.date, NOTHING)
        else:
            self._know(day.date, COMPLETE if complete else PARTIAL)
            self._stamps[day.date] = stamp_of(self._path(day.date).lstat())
        return DayOutcome(
            day.date,
            outcome,
            hours=len(result.readings),
            missing=len(result.missing_hours()),
            complete=complete,
            revisions=revisions,
            quarantined=quarantined,
        )

    def note_failure(self, day: LocalDay, reason: str, now: datetime) -> None:
        """Remembers that a past day could not be had, so that it is asked for again in time."""
        self._remember(day, Outcome.FAILED, now, complete=False, reason=reason)
        self._know(day.date, self._known.get(day.date, NOTHING))

    def probe(self) -> None:
        """Raises `OSError` as long as nothing can be saved."""
        place = self._own / "probe"
        replace_file(place, b"\0" * 8192)
        place.unlink()
        sync_folder(self.folder)  # a file may have been replaced there, and its name not made durable

    def _remember(
        self, day: LocalDay, outcome: Outcome, now: datetime, *, complete: bool, reason: str = ""
    ) -> None:
        if not day.is_over(now):
            return  # today is asked for every hour, whatever came
        asked_at = int(now.timestamp())
        if not complete:
            before = self.ledger.asked.get(day.date)
            tries = 0 if before is None else before.tries
            self.ledger.note(day.date, Asked(outcome, asked_at, tries + 1, reason))
        elif asked_at < day.end + self._remember_s:
            self.ledger.note(day.date, Asked(Outcome.WRITTEN, asked_at, 0))
        else:
            self.ledger.forget(day.date)

    def _know(self, day: date, state: Known) -> None:
        asked = self.ledger.asked.get(day)
        if state.stored or asked is not None:
            self._known[day] = state if asked == state.asked else state._replace(asked=asked)
        else:
            self._known.pop(day, None)

    def _forget(self, day: date) -> None:
        """The file is gone: a gap, to be collected anew without waiting."""
        self.ledger.forget(day)
        self._stamps.pop(day, None)
        self._known.pop(day, None)

    def _read(self, day: LocalDay) -> tuple[DayFile | None, EnergyDay, tuple[Quarantined, ...]]:
        """The file as it is, and what it says of that day."""
        path = self._path(day.date)
        if not os.path.lexists(path):
            return None, EnergyDay(day, {}), ()
        try:
            file = decode_file(path, day.date)
            whole = stored_day(file, local_day(day.date, day.zone), no_solar=self.no_solar)
        except DamagedFile as damage:
            return None, EnergyDay(day, {}), (self._move_aside(day.date, damage),)
        if not self._format.merge_repeated_hour:
            return file, whole, ()
        one = whole.with_twins_as_one()
        return file, one if file.partial else replace(one, doubtful=frozenset()), ()

    def _move_aside(self, day: date, damage: DamagedFile) -> Quarantined:
        place = quarantine(self._path(day), self._own / "quarantine")
        return Quarantined(day, place, damage.reason)

    def _path(self, day: date) -> Path:
        return self.folder / f"{day.isoformat()}.jsonl"


def _had_file(state: Known) -> bool:
    """Whether there was a file when the day was last looked at, or asked for."""
    asked = state.asked
    return state.stored or (asked is not None and asked.outcome not in (Outcome.EMPTY, Outcome.FAILED))


def _says(file: DayFile, decimals: int) -> tuple[Mapping[int, object], bool]:
    """The readings and the completeness that the file states, in the archive's decimals."""
    return {ts: reading.rounded(decimals) for ts, reading in file.readings.items()}, not file.partial
