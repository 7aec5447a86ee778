"""Archive: one meter's folder of day files. Read, merge and write, which days are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collector.archive.checksums import FILE_NAME, Checksums
from collector.archive.dayfile import (
    DayFile,
    DayFormat,
    decode,
    encode,
    has_record,
    is_outdated,
    outdated_by,
    stored_day,
)
from collector.archive.files import (
    NO_FOLDER_SYNC,
    NO_LOCKS,
    FolderLock,
    is_there,
    make_folder,
    quarantine,
    remove_stale_temporaries,
    replace_file,
    sync_folder,
)
from collector.archive.folder import (
    COMPLETE,
    LEDGER_NAME,
    OWN_FOLDER,
    PARTIAL,
    day_files,
    decode_file,
    read_day_file,
    stamp_of,
    state_of,
)
from collector.archive.ledger import UNBOUNDED, Bounds, Ledger, Suspicion
from collector.archive.mark import (
    Mark,
    Remembered,
    adopted,
    holds_nothing,
    mark_for,
    missing,
    read_mark,
    refusal_of,
    write_mark,
)
from collector.energy.days import LocalDay, date_in, known_zone, local_day
from collector.energy.history import (
    DAILY_TRIES,
    HELD_BACK,
    NOTHING,
    DayRecord,
    LastAttempt,
    Outcome,
    first_day,
    latest,
)
from collector.energy.identity import ENOUGH_HOURS, Identity, distinct_hours
from collector.energy.readings import EnergyDay, Revision, merged
from collector.energy.totals import DaySums, decimals_of, sums_of
from collector.energy.zones import may_be_wrong, renewed, rules_of
from collector.errors import ArchiveRefused, DamagedFile, UnreadableFile


class Quarantined(NamedTuple):
    """A file that was moved aside, where to, and why."""

    day: date
    place: Path
    reason: str


@dataclass(frozen=True, slots=True)
class DayOutcome:
    """How asking for one day ended. `missing` hours lack a value on some channel.

    `is_common`: every day of the meter would fail for the same reason now.
    """

    day: date
    outcome: Outcome
    hours: int = 0
    missing: int = 0
    complete: bool = False
    revisions: tuple[Revision, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    reason: str = ""
    is_common: bool = False

    @classmethod
    def failed(cls, day: date, reason: str) -> DayOutcome:
        """The day could not be had."""
        return cls(day, Outcome.FAILED, reason=reason)


__all__ = ["MOST_COMPARED", "Archive", "DayOutcome", "Quarantined"]

MOST_COMPARED = 5  # days that are compared with the cloud
_MOST_READ = 60  # files that are looked at for a sample
_NOT_KEPT = "the cloud no longer keeps that day, so it stays as it is"
_ANOTHERS = "another meter counted that day, so it stays as it is"
_LATELY_S = 6 * 3600  # longer than all of a backfill takes


class Archive:
    """One meter's day files, held by one process. Blocking: called from one thread at a time.

    With an `identity` it is taken only once it is known to be this meter's: see `claim`. Until then
    nothing is known of its days, and nothing in the folder is changed.
    """

    def __init__(
        self,
        folder: Path,
        day_format: DayFormat,
        *,
        root: Path | None = None,
        identity: Identity | None = None,
        remembered: Remembered | None = None,
        no_solar: bool = False,
        remember_days: int = 3,
    ) -> None:
        """Takes the folder at once where no `identity` is given, as for who has but a folder.

        `root`: the folder of all meters, created as well where only it is missing. `remembered` knows where
        archives were before: an empty folder there is no new one.
        `remember_days` after its end a complete day's last reading is forgotten.
        Raises `ArchiveLocked`, `ArchiveError`, `OSError`.
        """
        self.folder = folder
        self._root = root or folder
        self._identity = identity
        self._remembered = remembered or Remembered()
        self._format = day_format
        self.no_solar = no_solar
        self._remember_s = remember_days * 86400
        self._own = folder / OWN_FOLDER
        self._lock: FolderLock | None = None
        self._names_are_durable = True  # until a save shows otherwise
        self._unwritten_mark: Mark | None = None
        self.since: date | None = None  # the first day of this meter, in an archive that was another's before
        self.kept_to: date | None = None  # hours that are stored of days up to it are not this meter's to say
        self._stamps: dict[date, int] = {}  # of each day file, as last read
        self._known: dict[date, DayRecord] = {}
        self.unreadable: Mapping[date, str] = {}  # files that could not be read at the last look, and why
        self._completed: dict[date, float] = {}  # days that were saved as complete, and when
        self.outdated: set[date] = set()  # files that were saved by other rules of the zone than today's
        self._rules: int | None = None  # of the zone, at the last look: their checksum
        if identity is None:
            self._take(None)
        else:
            self._read_own()

    @property
    def is_taken(self) -> bool:
        """Whether it is known to be this meter's, and held."""
        return self._lock is not None

    def claim(self) -> bool:
        """Takes the folder where its mark names this meter, or where there is nothing yet.

        Returns false where there are day files without a mark: only the cloud can say whose they are.
        Raises `ArchiveRefused`, `ArchiveLocked`, `OSError`.
        """
        if self.is_taken:
            return True
        mark = mark_for(self.folder, self._identity)
        if mark is None and self.files():
            return False
        if (refusal := missing(self.folder, self._remembered)) is not None:
            raise refusal
        if mark is None and read_mark(self._own) is None:
            mark = self._new_mark(*self.ledger.bounds)
        self._take(mark or self._new_mark())
        return True

    def take_over(self, bounds: Bounds = UNBOUNDED) -> None:
        """Takes a folder whose files were found to be this meter's, as far as `bounds` do not say otherwise.

        What the ledger still knows of a lost mark counts first. Raises as `claim` does.
        """
        noted = self.ledger.bounds
        since = bounds.since if noted == UNBOUNDED else noted.since
        self._take(self._new_mark(since, latest(noted.kept_to, bounds.since, bounds.kept_to)))

    def adopt(self, today: date) -> None:
        """Takes the folder whatever it holds, because a person says so.

        Where it is another meter's, or nobody knows whose, this one counts from `today` on. Where only the
        kind or the clamps are others, what is stored until `today` stays. Raises as `claim` does: an archive
        of a newer format is refused all the same; and `OSError` where that cannot be noted.
        """
        mark = None if self._identity is None else adopted(self.folder, self._identity, today)
        self._take(mark, insist=True)

    def refusal_of(self, found: str) -> ArchiveRefused:
        """The error for a folder that holds `found` …"""
        return refusal_of(self.folder, found, self._identity)

    def files(self) -> Mapping[date, int]:
        """The days that have a file, and a stamp that changes whenever it does; none without a folder."""
        try:
            return day_files(self.folder)
        except FileNotFoundError:
            return {}

    def samples(self, first: date, last: date, zone: ZoneInfo) -> list[tuple[date, DayFile]]:
        """Up to five stored days from `first` to `last` that can be compared with the cloud's answers.

        The newest first, the oldest last, the others spread in between. No autumn day: its repeated hour may
        be stored in two ways. Raises `OSError`.
        """
        days = sorted((day for day in self.files() if first <= day <= last), reverse=True)
        days = [day for day in days if not local_day(day, zone).repeated_hours]
        step = len(days) // MOST_COMPARED + 1
        spread = [*days[::step], *(day for place, day in enumerate(days) if place % step)]
        found = dict(islice(self._comparable(spread[:_MOST_READ]), MOST_COMPARED))
        for day, file in islice(self._comparable(days[: -_MOST_READ - 1 : -1]), 1):
            if day not in found and len(found) == MOST_COMPARED:
                del found[min(found)]
            found[day] = file
        return [(day, found[day]) for day in sorted(found, reverse=True)]

    def _comparable(self, days: Iterable[date]) -> Iterator[tuple[date, DayFile]]:
        for day in days:
            with suppress(DamagedFile):
                file = decode_file(self._path(day), day)
                if distinct_hours(file.readings.values()) >= ENOUGH_HOURS:
                    yield day, file

    def close(self) -> None:
        """Lets go of the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _new_mark(self, since: date | None = None, kept_to: date | None = None) -> Mark | None:
        return None if self._identity is None else Mark(self._identity, since, kept_to)

    def _read_own(self) -> None:
        self.ledger = Ledger(self._own / LEDGER_NAME)
        self._checksums = Checksums(self._own / FILE_NAME)

    def _take(self, mark: Mark | None, *, insist: bool = False) -> None:
        """Holds the folder, creating it where only it is missing, and marks it as this meter's.

        A full disk keeps no service from starting: the first save tries again, unless somebody must `insist`.
        """
        for each in (self._root, self.folder, self._own):
            make_folder(each)
        lock = FolderLock(self._own / "lock")
        try:
            for each in (self.folder, self._own):
                remove_stale_temporaries(each)
            self._read_own()
            self.ledger.mend()
            self._checksums.mend()
            before = read_mark(self._own)
            if mark is not None and before is not None and mark.identity != before.identity:
                self._replace(before, mark)
            is_noted = mark == before and _bounds_of(mark) == self.ledger.bounds
            self._unwritten_mark = None if is_noted else mark
            with suppress(*[] if insist else [OSError]):
                self._write_mark()
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        if mark is not None:
            self._remembered.add(self.folder)
        self.since, kept_to = _bounds_of(mark)
        self.kept_to = latest(self.since, kept_to)
        self._known = {
            day: NOTHING._replace(last_attempt=attempt) for day, attempt in self.ledger.attempts.items()
        }

    def _replace(self, before: Mark, mark: Mark) -> None:
        """Forgets what was asked of whom the archive was marked for. Raises `ArchiveRefused`.

        A mark without any bounds may replace another only as long as nothing is held.
        """
        is_new = mark == Mark(mark.identity)
        if is_new and not holds_nothing(self.folder):
            raise refusal_of(self.folder, f"the history of {before.identity}, not", mark.identity)
        self.ledger.forget_days(and_zone=is_new and mark.identity.devices != before.identity.devices)

    def weaknesses(self) -> list[str]:
        """What the file system below does not promise and the archive relies on, as far as it has shown."""
        found = [] if self._names_are_durable else [NO_FOLDER_SYNC]
        return found if self._lock is None or self._lock.holds else [*found, NO_LOCKS]

    @property
    def zone(self) -> ZoneInfo | None:
        """The meter's time zone as the cloud last named it; `None` where this machine does not know it."""
        return known_zone(self.ledger.zone)

    def scan(self, today: date) -> tuple[Quarantined, ...]:
        """Looks at what is there now; files that cannot be trusted are moved aside and returned.

        Files that changed since the last look are read, and the `unreadable` ones, which stay in place.
        So does a damaged one where nobody can give its day again (the cloud, `today`, no longer keeps it, or
        another meter counted it) and some of it can be read.
        Where the rules of the zone were replaced, all are read, and the `outdated` ones are to be asked for.
        """
        if not self.is_taken:
            return ()
        self._look_at_rules()
        present = day_files(self.folder)
        kept_from = first_day(max([today, *present]), None, None)  # a clock may stand at a day long past
        self._checksums.find_gone(present)
        for day in (self._known.keys() | self.gone) - present.keys():
            if day in self.gone or self._known[day].had_file or day in self.unreadable:
                self._forget(day)
        damaged: list[Quarantined] = []
        unreadable: dict[date, str] = {}
        for day, stamp in present.items():
            if self._stamps.get(day) == stamp:
                continue
            data = b""
            try:
                data = read_day_file(self._path(day))
                file = decode(data, day)
                state = state_of(file, day, self.zone, self._format)
            except UnreadableFile as error:
                unreadable[day] = error.reason
                self._known[day] = NOTHING  # and it is not asked for
            except DamagedFile as damage:
                if (self.is_kept(day) or day < kept_from) and has_record(data, day):
                    why = _ANOTHERS if self.is_kept(day) else _NOT_KEPT
                    unreadable[day] = f"{damage.reason}; {why}"
                    self._known[day] = NOTHING
                else:
                    damaged.append(self.set_aside(day, damage.reason))
            else:
                self._note_outdated(day, file)
                self._stamps[day] = stamp
                self._know(day, state)
                self._checksums.compare(day, data, complete=state.complete)
        self.unreadable = unreadable
        with suppress(OSError):  # a disk in trouble is told by the next save; the next look tries again
            self._checksums.adopt()
        return tuple(damaged)

    @property
    def changed(self) -> Set[date]:
        """Days whose complete file was not the one that was recorded, at the last look."""
        return self._checksums.changed.copy()

    @property
    def gone(self) -> Set[date]:
        """Days whose complete file was not there, or was one with hours missing, at the last look.

        Until `note_reported`.
        """
        return self._checksums.gone.copy()

    @property
    def gone_for_good(self) -> Set[date]:
        """Days whose complete file was reported as gone, and of which there has been none since."""
        known = self._known.copy()
        return {day for day in self._checksums.reported if not known.get(day, NOTHING).stored}

    def note_reported(self) -> None:
        """Remembers, over a restart as well, that the `gone` days were reported."""
        self._checksums.note_reported()

    def is_kept(self, day: date) -> bool:
        """Whether what is stored of that day was another meter's, or counted otherwise.

        Nobody can give it again, whatever the cloud answers with.
        """
        return self.kept_to is not None and day <= self.kept_to

    def known(self) -> Mapping[date, DayRecord]:
        """What is known of each day, as of the last `scan` and what was merged since. Any thread."""
        return self._known.copy()

    def merge(self, answered: EnergyDay, now: datetime) -> DayOutcome:
        """Adds what was answered at `now` to what is stored; durable when it returns.

        Writes nothing where nothing changes. Raises `OSError` where it could not be saved, and
        `UnreadableFile` where nobody knows what is stored: the old file then stands.
        """
        if self._format.merge_repeated_hour:
            answered = answered.merge_repeated_hours()
        day = answered.day
        if self.ledger.zone != day.zone.key:
            self.ledger.note_zone(day.zone.key)
            self._stamps.clear()  # which hours a file should have is to be looked at again
        decimals = self._format.decimals
        self._refute(day, answered)
        self._request_all_again("zone.unknown")  # it is known now
        held_back = self._is_doubted(day)
        if day.date in self.outdated and (not answered.readings or self.is_kept(day.date)):
            return self._leave_outdated(day, now)
        file, stored, quarantined = self._read(day, answered, now)
        if self.is_kept(day.date):  # what another device counted of that day stays: this one may say zero
            hours = {ts: hour for ts, hour in answered.readings.items() if ts not in stored.readings}
            answered = replace(answered, readings=hours, doubtful=answered.doubtful & hours.keys())
        result, revisions = merged(stored.rounded(decimals), answered.rounded(decimals))
        was_over = file is not None and not file.partial  # then a clock set back does not undo it
        is_whole = result.is_complete(now) or (was_over and result.is_whole())
        complete = is_whole and not held_back
        if file is None and not result.readings:
            outcome = Outcome.EMPTY
        elif file is not None and (
            not answered.readings
            or (_says(file, decimals) == (result.readings, complete) and day.date not in self.changed)
        ):
            outcome = Outcome.UNCHANGED
        else:
            self._save(day.date, encode(result, decimals, complete=complete), complete=complete)
            outcome = Outcome.WRITTEN if complete else Outcome.PARTIAL
            if complete:
                self._completed[day.date] = now.timestamp()
        if is_whole and held_back:
            self._note_held_back(day.date, now)
        else:
            self.ledger.remember(day, outcome, now, complete=complete, keep_s=self._remember_s)
        self.outdated.discard(day.date)
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
        """Remembers that a past day could not be had, so that it is asked for again in time.

        Nothing where the archive is not taken: the folder may be another meter's.
        """
        if not self.is_taken:
            return
        self.ledger.remember(day, Outcome.FAILED, now, complete=False, keep_s=0, reason=reason)
        self._know(day.date, self._known.get(day.date, NOTHING))

    def set_aside(self, day: date, reason: str) -> Quarantined:
        """Moves the day's file into quarantine; the day is a gap then, to be collected anew."""
        moved = self._move_aside(day, reason)  # first: what was recorded of it must not go before it
        self._forget(day)
        return moved

    def forget_complete(self, day: date) -> None:
        """Nobody is to expect the complete file that once was there of that day."""
        self._checksums.forget(day)

    def request_again(self, day: date, reason: str) -> None:
        """Has the next round ask for that past day, whatever is stored of it.

        Nothing where the archive is not taken: the folder may be another meter's.
        """
        if not self.is_taken:
            return
        before = self.ledger.attempts.get(day)
        self.ledger.note(day, LastAttempt.requested_again(0 if before is None else before.tries, reason))
        self._know(day, self._known.get(day, NOTHING))

    def suspect(self, zone: ZoneInfo, reason: str, now: datetime, day: date | None = None) -> None:
        """Notes that answers contradict the zone's rules as they are: that of `day`, or several together.

        Until they are replaced, or the day's answer fits after all, no day that they may be wrong for is
        saved as complete; those that just were no longer are. Nothing where the archive is not taken.
        Raises `OSError`.
        """
        if not self.is_taken:
            return
        self.ledger.note_suspicion(Suspicion(rules_of(zone).checksum, reason[:200], day))
        since = now.timestamp() - _LATELY_S
        for each, saved_at in self._completed.items():
            local = local_day(each, self.zone or zone)
            if saved_at >= since and self._is_doubted(local):
                self._hold_back(local, now)
        self._completed.clear()

    def trust(self) -> None:
        """Notes that the rules of the zone are no longer in doubt; what was held back is to be asked for.

        Nothing where the archive is not taken.
        """
        if not self.is_taken:
            return
        self.ledger.note_suspicion(None)
        self._request_all_again(HELD_BACK, "zone.suspected")

    def read_once_more(self, day: date, reason: str) -> None:
        """Has the next round ask for that day, and remembers that it was, so that it is done once."""
        self.request_again(day, reason)
        self.ledger.note_different(day)

    def sums_of(self, days: Iterable[date]) -> dict[date, DaySums]:
        """The sums of these days' files, as far as they can be read. Raises `OSError`."""
        found = {}
        for day in days:
            with suppress(DamagedFile):
                readings = decode_file(self._path(day), day).readings.values()
                decimals = max(
                    decimals_of(number) for hour in readings for number in hour if number is not None
                )
                found[day] = sums_of(readings, decimals)
        return found

    def probe(self) -> None:
        """Raises `OSError` as long as nothing can be saved."""
        if not self.is_taken:
            return
        replace_file(self._own / "probe", b"\0" * 8192)
        (self._own / "probe").unlink()
        sync_folder(self.folder)  # a file may have been replaced there, and its name not made durable

    def _save(self, day: date, data: bytes, *, complete: bool) -> None:
        """Saves a day's file, its checksum first: cut off in between, the file is one of the two recorded."""
        self._write_mark()
        if complete:
            self._checksums.note(day, data)
        else:  # a complete day is held back: after a power cut it must not be taken for an older file
            self._checksums.forget(day, durably=True)
        self._names_are_durable = replace_file(self._path(day), data)
        if complete:
            self._checksums.settle(day)

    def _write_mark(self) -> None:
        if self._unwritten_mark is not None:
            self.ledger.mend()
            self.ledger.note_bounds(_bounds_of(self._unwritten_mark))
            write_mark(self._own, self._unwritten_mark)
            self._unwritten_mark = None

    def _know(self, day: date, state: DayRecord) -> None:
        attempt = self.ledger.attempts.get(day)
        if state.stored or attempt is not None:
            self._known[day] = (
                state if attempt == state.last_attempt else state._replace(last_attempt=attempt)
            )
        else:
            self._known.pop(day, None)

    def _forget(self, day: date) -> None:
        """The file is gone: a gap, to be collected anew without waiting."""
        self.ledger.forget(day)
        self._stamps.pop(day, None)
        self.outdated.discard(day)
        self._known.pop(day, None)

    def _look_at_rules(self) -> None:
        """Has all files read anew where the rules of the zone are others than at the last look."""
        zone = self.zone
        if zone is None:
            return
        checksum = rules_of(renewed(zone)).checksum
        if self._rules is not None and checksum != self._rules:
            self._stamps.clear()
        self._rules = checksum
        suspicion = self.ledger.suspicion
        if suspicion is None or suspicion.checksum != checksum:
            self.trust()

    def _note_outdated(self, day: date, file: DayFile) -> None:
        zone = self.zone
        if zone is not None and is_outdated(file, zone):
            self.outdated.add(day)
            self.request_again(day, outdated_by(zone))
        else:
            self.outdated.discard(day)

    def _leave_outdated(self, day: LocalDay, now: datetime) -> DayOutcome:
        """Nobody can give all of the day again: its file stays, for its numbers and local times are right."""
        state = self._known.get(day.date, NOTHING)
        self.ledger.remember(day, Outcome.UNCHANGED, now, complete=state.complete, keep_s=self._remember_s)
        self._know(day.date, state)
        return DayOutcome(day.date, Outcome.UNCHANGED)

    def _is_doubted(self, day: LocalDay) -> bool:
        """Whether the rules that the day was laid out by are in doubt."""
        suspicion = self.ledger.suspicion
        if suspicion is None or suspicion.checksum != rules_of(day.zone).checksum:
            return False
        return may_be_wrong(day.zone, day.date)

    def _hold_back(self, day: LocalDay, now: datetime) -> None:
        """Marks a complete file as partial. One that is damaged by now is for the next look to find."""
        path, decimals = self._path(day.date), self._format.decimals
        with suppress(DamagedFile):
            stored = stored_day(decode_file(path, day.date), day, no_solar=self.no_solar).rounded(decimals)
            self._save(day.date, encode(stored, decimals, complete=False), complete=False)
            self._stamps[day.date] = stamp_of(path.lstat())
            self._note_held_back(day.date, now)
            self._know(day.date, PARTIAL)

    def _request_all_again(self, *reasons: str) -> None:
        """The past days that could not be had for these reasons, or not as complete: the reasons are over."""
        for day, attempt in list(self.ledger.attempts.items()):
            if attempt.reason.startswith(reasons) and not attempt.is_requested_again:
                self.request_again(day, attempt.reason)

    def _note_held_back(self, day: date, now: datetime) -> None:
        """Asking for it again heals nothing before the rules are new: once a week it is."""
        self.ledger.note(day, LastAttempt(Outcome.PARTIAL, int(now.timestamp()), DAILY_TRIES + 1, HELD_BACK))

    def _refute(self, day: LocalDay, answered: EnergyDay) -> None:
        """The answer that contradicted the rules may have been a mistake: then this one fits them."""
        suspicion = self.ledger.suspicion
        if suspicion is not None and suspicion.day == day.date and answered.readings:
            self.trust()

    def _read(
        self, day: LocalDay, answered: EnergyDay, now: datetime
    ) -> tuple[DayFile | None, EnergyDay, tuple[Quarantined, ...]]:
        """The file as it is, and what it says of that day; a damaged one is moved aside.

        Raises `UnreadableFile` where it is all that anybody has of the day, as far as it can be read.
        """
        path = self._path(day.date)
        if not is_there(path):
            return None, EnergyDay(day, {}), ()
        attempt = self.ledger.attempts.get(day.date)
        held_back = attempt is not None and attempt.is_held_back
        data = b""
        try:
            data = read_day_file(path)
            file = decode(data, day.date)
            local = local_day(day.date, day.zone)
            whole = stored_day(file, local, no_solar=self.no_solar, held_back=held_back)
        except UnreadableFile:
            raise
        except DamagedFile as damage:
            is_forgotten = day.date < first_day(date_in(day.zone, now), None, None)
            if self.is_kept(day.date) and has_record(data, day.date):
                raise UnreadableFile(f"{damage.reason}; {_ANOTHERS}") from damage
            if not answered.readings and is_forgotten and has_record(data, day.date):
                raise UnreadableFile(f"{damage.reason}; {_NOT_KEPT}") from damage
            return None, EnergyDay(day, {}), (self._move_aside(day.date, damage.reason),)
        if not self._format.merge_repeated_hour:
            return file, whole, ()
        one = whole.merge_repeated_hours()
        return file, one if file.partial else replace(one, doubtful=frozenset()), ()

    def _move_aside(self, day: date, reason: str) -> Quarantined:
        place = quarantine(self._path(day), self._own / "quarantine")
        self._checksums.forget(day)
        return Quarantined(day, place, reason)

    def _path(self, day: date) -> Path:
        return self.folder / f"{day.isoformat()}.jsonl"


def _bounds_of(mark: Mark | None) -> Bounds:
    return UNBOUNDED if mark is None else Bounds(mark.since, mark.kept_to)


def _says(file: DayFile, decimals: int) -> tuple[Mapping[int, object], bool]:
    """The readings and the completeness that the file states, in the archive's decimals."""
    return {ts: reading.rounded(decimals) for ts, reading in file.readings.items()}, not file.partial
