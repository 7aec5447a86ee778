"""Archive: one meter's folder of day files: claiming, scanning, merging, saving."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass, field, replace
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
from collector.energy.daily_totals import DaySums, decimals_of, sums_of
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
from collector.energy.zones import may_be_wrong, renewed, rules_of
from collector.errors import ArchiveRefused, DamagedFile, UnreadableFile


class Quarantined(NamedTuple):
    """A file that was moved to the quarantine: its new path, and the reason."""

    day: date
    place: Path
    reason: str


@dataclass(frozen=True, slots=True)
class DayOutcome:
    """How a request for one day ended. `missing` hours are without a value on some channel.

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
        """A day that could not be fetched or saved."""
        return cls(day, Outcome.FAILED, reason=reason)


__all__ = ["MOST_COMPARED", "Archive", "DayOutcome", "Quarantined"]

MOST_COMPARED = 5  # days that are compared with the cloud
_MOST_READ = 60  # files that are read to find samples
_NOT_KEPT = "the cloud no longer keeps that day, so it stays as it is"
_ANOTHERS = "another meter counted that day, so it stays as it is"
_LATELY_S = 6 * 3600  # longer than a full backfill takes


@dataclass(repr=False, eq=False)
class Archive:
    """One meter's day files, locked by one process. Blocking; called from one thread at a time.

    With an `identity` it is taken only when it is known to be this meter's: see `claim`. Before that no
    days are known, and nothing in the folder is changed. Without one it is taken at once.

    `root`: the folder of all meters, created as well if its parent exists. `remembered` lists earlier
    archives: an empty folder in it is not used as a new archive. The last attempt of a complete day is
    kept until `remember_days` after its end.
    Raises `ArchiveLocked`, `ArchiveError`, `OSError`.
    """

    folder: Path
    day_format: DayFormat
    _: KW_ONLY
    root: Path | None = None
    identity: Identity | None = None
    remembered: Remembered = field(default_factory=Remembered)
    no_solar: bool = False
    remember_days: int = 3

    def __post_init__(self) -> None:
        self._remember_s = self.remember_days * 86400
        self._own = self.folder / OWN_FOLDER
        self._lock: FolderLock | None = None
        self._names_are_durable = True  # until a save shows otherwise
        self._unwritten_mark: Mark | None = None
        self.since: date | None = None  # first day of this meter, if the archive was another's before
        self.kept_to: date | None = None  # stored hours of days up to it are not replaced
        self._stamps: dict[date, int] = {}  # of each day file, as last read
        self._known: dict[date, DayRecord] = {}
        self.unreadable: Mapping[date, str] = {}  # files that the last scan could not read, and why
        self._completed: dict[date, float] = {}  # days that were saved as complete, and when (epoch seconds)
        self.outdated: set[date] = set()  # files saved with other rules of the zone than today's
        self._rules: int | None = None  # checksum of the zone's rules at the last scan
        if self.identity is None:
            self._take(None)
        else:
            self._read_own()

    @property
    def is_taken(self) -> bool:
        """Whether it is known to be this meter's, and locked."""
        return self._lock is not None

    def claim(self) -> bool:
        """Takes the folder if its mark names this meter, or if it is empty.

        Returns false if there are day files without a mark: they must be compared with the cloud first.
        Raises `ArchiveRefused`, `ArchiveLocked`, `OSError`.
        """
        if self.is_taken:
            return True
        mark = mark_for(self.folder, self.identity)
        if mark is None and self.files():
            return False
        if (refusal := missing(self.folder, self.remembered)) is not None:
            raise refusal
        if mark is None and read_mark(self._own) is None:
            mark = self._new_mark(*self.ledger.bounds)
        self._take(mark or self._new_mark())
        return True

    def take_over(self, bounds: Bounds = UNBOUNDED) -> None:
        """Takes a folder whose files were found to be this meter's, except for the days in `bounds`.

        Bounds of a lost mark in the ledger take precedence. Raises as `claim` does.
        """
        noted = self.ledger.bounds
        since = bounds.since if noted == UNBOUNDED else noted.since
        self._take(self._new_mark(since, latest(noted.kept_to, bounds.since, bounds.kept_to)))

    def adopt(self, today: date) -> None:
        """Takes the folder whatever it contains, for --adopt.

        If it is another meter's, or an unknown one's, this one counts from `today` on. If only the kind or
        the clamps changed, hours stored until `today` are not replaced. Raises as `claim` does: an archive of
        a newer format is still refused; and `OSError` if the mark cannot be saved.
        """
        mark = None if self.identity is None else adopted(self.folder, self.identity, today)
        self._take(mark, insist=True)

    def refusal_of(self, found: str) -> ArchiveRefused:
        """The error for a folder with `found`, in words."""
        return refusal_of(self.folder, found, self.identity)

    def files(self) -> Mapping[date, int]:
        """The days that have a file, and a stamp that changes whenever it does; none without a folder."""
        try:
            return day_files(self.folder)
        except FileNotFoundError:
            return {}

    def samples(self, first: date, last: date, zone: ZoneInfo) -> list[tuple[date, DayFile]]:
        """Up to five stored days from `first` to `last` to compare with the cloud's answers.

        The newest first, the oldest last, the others spread in between. No days with repeated hours, which
        may be stored in two ways. Raises `OSError`.
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
        """Releases the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def _new_mark(self, since: date | None = None, kept_to: date | None = None) -> Mark | None:
        return None if self.identity is None else Mark(self.identity, since, kept_to)

    def _read_own(self) -> None:
        self.ledger = Ledger(self._own / LEDGER_NAME)
        self._checksums = Checksums(self._own / FILE_NAME)

    def _take(self, mark: Mark | None, *, insist: bool = False) -> None:
        """Locks the folder, creates it if its parent exists, and marks it as this meter's.

        If the mark cannot be written, the first save tries again; with `insist` that is an `OSError`.
        """
        for each in (self.root or self.folder, self.folder, self._own):
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
            bounds = UNBOUNDED if mark is None else mark.bounds
            is_noted = mark == before and bounds == self.ledger.bounds
            self._unwritten_mark = None if is_noted else mark
            with suppress(*[] if insist else [OSError]):
                self._write_mark()
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        if mark is not None:
            self.remembered.add(self.folder)
        self.since, self.kept_to = bounds.since, latest(*bounds)
        self._known = {
            day: NOTHING._replace(last_attempt=attempt) for day, attempt in self.ledger.attempts.items()
        }

    def _replace(self, before: Mark, mark: Mark) -> None:
        """Removes the attempts of the earlier identity. Raises `ArchiveRefused`.

        A mark without bounds may replace another only if no day is stored.
        """
        is_new = mark == Mark(mark.identity)
        if is_new and not holds_nothing(self.folder):
            raise refusal_of(self.folder, f"the history of {before.identity}, not", mark.identity)
        self.ledger.forget_days(and_zone=is_new and mark.identity.devices != before.identity.devices)

    def weaknesses(self) -> list[str]:
        """What the archive needs and its file system does not guarantee, as far as observed."""
        found = [] if self._names_are_durable else [NO_FOLDER_SYNC]
        return found if self._lock is None or self._lock.holds else [*found, NO_LOCKS]

    @property
    def zone(self) -> ZoneInfo | None:
        """The meter's time zone in the last answer; `None` if there is none, or this machine lacks it."""
        return known_zone(self.ledger.zone)

    def scan(self, today: date) -> tuple[Quarantined, ...]:
        """Reads the files that changed since the last scan, and the `unreadable` ones.

        Damaged files are moved to the quarantine and returned. One stays in place, as `unreadable` ones do,
        if its day cannot be fetched again (the cloud no longer has it `today`, or another meter counted it)
        and some of it can be recovered. If the rules of the zone changed, all files are read, and the days of
        `outdated` ones are requested again. Raises `OSError`.
        """
        if not self.is_taken:
            return ()
        self._check_rules()
        present = day_files(self.folder)
        kept_from = first_day(max([today, *present]), None, None)  # the clock may be far behind
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
                state = state_of(file, day, self.zone, self.day_format)
            except UnreadableFile as error:
                unreadable[day] = error.reason
                self._known[day] = NOTHING  # so that it is not requested
            except DamagedFile as damage:
                if why := self._why_it_stays(day, data, is_forgotten=day < kept_from):
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
        with suppress(OSError):  # the next save reports a disk error; the next scan tries again
            self._checksums.adopt()
        return tuple(damaged)

    @property
    def changed(self) -> Set[date]:
        """Days whose complete file differed from its checksum at the last scan."""
        return self._checksums.changed.copy()

    @property
    def gone(self) -> Set[date]:
        """Days whose complete file was missing, or had hours missing, at the last scan.

        Empty after `note_reported`.
        """
        return self._checksums.gone.copy()

    @property
    def gone_for_good(self) -> Set[date]:
        """Days whose complete file was reported as gone, and that have had no file since."""
        known = self._known.copy()
        return {day for day in self._checksums.reported if not known.get(day, NOTHING).stored}

    def note_reported(self) -> None:
        """Records that the `gone` days were reported, also for the next start."""
        self._checksums.note_reported()

    def is_kept(self, day: date) -> bool:
        """Whether the day was stored for another meter or identity, so that it cannot be fetched again."""
        return self.kept_to is not None and day <= self.kept_to

    def known(self) -> Mapping[date, DayRecord]:
        """The record of each day, as of the last `scan` and the merges since. From any thread."""
        return self._known.copy()

    def merge(self, answered: EnergyDay, now: datetime) -> DayOutcome:
        """Adds an answer of `now` to the stored day; durable when it returns.

        Writes nothing if nothing changes. Raises `OSError` if it could not be saved, and `UnreadableFile` if
        the stored file cannot be read; it is then not replaced.
        """
        if self.day_format.merge_repeated_hour:
            answered = answered.merge_repeated_hours()
        day = answered.day
        if self.ledger.zone != day.zone.key:
            self.ledger.note_zone(day.zone.key)
            self._stamps.clear()  # the next scan checks all files with the new zone
        decimals = self.day_format.decimals
        self._refute(day, answered)
        self._request_all_again("zone.unknown")  # it is known now
        held_back = self._is_doubted(day)
        if day.date in self.outdated and (not answered.readings or self.is_kept(day.date)):
            return self._leave_outdated(day, now)
        file, stored, quarantined = self._read(day, answered, now)
        if self.is_kept(day.date):  # hours that another device counted stay: of this one they may be zero
            hours = {ts: hour for ts, hour in answered.readings.items() if ts not in stored.readings}
            answered = replace(answered, readings=hours, doubtful=answered.doubtful & hours.keys())
        result, revisions = merged(stored.rounded(decimals), answered.rounded(decimals))
        was_over = file is not None and not file.partial  # a clock set back does not undo it
        is_whole = result.is_complete(now) or (was_over and result.is_whole())
        complete = is_whole and not held_back
        if file is None and not result.readings:
            outcome = Outcome.EMPTY
        elif file is not None and (
            not answered.readings
            or (_content_of(file, decimals) == (result.readings, complete) and day.date not in self.changed)
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
        """Records that a past day could not be fetched, so that it is requested again.

        Does nothing if the archive is not taken, because the folder may be another meter's.
        """
        if not self.is_taken:
            return
        self.ledger.remember(day, Outcome.FAILED, now, complete=False, keep_s=0, reason=reason)
        self._know(day.date, self._known.get(day.date, NOTHING))

    def set_aside(self, day: date, reason: str) -> Quarantined:
        """Moves the day's file to the quarantine; the day is requested again."""
        moved = self._move_aside(day, reason)  # first: its records must not be removed before it
        self._forget(day)
        return moved

    def forget_complete(self, day: date) -> None:
        """Removes the checksum of that day's complete file, which is gone."""
        self._checksums.forget(day)

    def request_again(self, day: date, reason: str) -> None:
        """Makes the next job request that past day, whatever is stored of it.

        Does nothing if the archive is not taken, because the folder may be another meter's.
        """
        if not self.is_taken:
            return
        before = self.ledger.attempts.get(day)
        self.ledger.note(day, LastAttempt.requested_again(0 if before is None else before.tries, reason))
        self._know(day, self._known.get(day, NOTHING))

    def suspect(self, zone: ZoneInfo, reason: str, now: datetime, day: date | None = None) -> None:
        """Records that answers contradict the zone's rules: that of `day`, or several together.

        Until the rules are replaced, or a later answer for the day agrees with them, no day for which they
        may be wrong is saved as complete; those of the last six hours are marked as partial. Does nothing if
        the archive is not taken. Raises `OSError`.
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
        """Records that the rules of the zone are no longer in doubt; days held back are requested again.

        Does nothing if the archive is not taken.
        """
        if not self.is_taken:
            return
        self.ledger.note_suspicion(None)
        self._request_all_again(HELD_BACK, "zone.suspected")

    def read_once_more(self, day: date, reason: str) -> None:
        """Makes the next job request that day, and records that, so that it is done once."""
        self.request_again(day, reason)
        self.ledger.note_different(day)

    def sums_of(self, days: Iterable[date]) -> dict[date, DaySums]:
        """The sums of these days' files, without those that cannot be read. Raises `OSError`."""
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
        """Writes and removes a file. Raises `OSError` if nothing can be saved."""
        if not self.is_taken:
            return
        replace_file(self._own / "probe", b"\0" * 8192)
        (self._own / "probe").unlink()
        sync_folder(self.folder)  # an earlier replaced file's name may not be durable

    def _save(self, day: date, data: bytes, *, complete: bool) -> None:
        """Saves a day's file after its checksum: if interrupted, the file is one of the two recorded."""
        self._write_mark()
        if complete:
            self._checksums.note(day, data)
        else:  # of a day held back: after a power cut the partial file must not count as an older one
            self._checksums.forget(day, durably=True)
        self._names_are_durable = replace_file(self._path(day), data)
        if complete:
            self._checksums.settle(day)

    def _write_mark(self) -> None:
        if self._unwritten_mark is not None:
            self.ledger.mend()
            self.ledger.note_bounds(self._unwritten_mark.bounds)
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
        """Removes what is known of a day without a file, so that it is requested again at once."""
        self.ledger.forget(day)
        self._stamps.pop(day, None)
        self.outdated.discard(day)
        self._known.pop(day, None)

    def _check_rules(self) -> None:
        """Makes the scan read all files if the rules of the zone changed since the last one."""
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
        """Keeps an outdated file whose day cannot be fetched: its numbers and local times are right."""
        state = self._known.get(day.date, NOTHING)
        self.ledger.remember(day, Outcome.UNCHANGED, now, complete=state.complete, keep_s=self._remember_s)
        self._know(day.date, state)
        return DayOutcome(day.date, Outcome.UNCHANGED)

    def _is_doubted(self, day: LocalDay) -> bool:
        """Whether the rules of the zone are in doubt for that day."""
        suspicion = self.ledger.suspicion
        if suspicion is None or suspicion.checksum != rules_of(day.zone).checksum:
            return False
        return may_be_wrong(day.zone, day.date)

    def _hold_back(self, day: LocalDay, now: datetime) -> None:
        """Marks a complete file as partial. A damaged one is left to the next scan."""
        path, decimals = self._path(day.date), self.day_format.decimals
        with suppress(DamagedFile):
            stored = stored_day(decode_file(path, day.date), day, no_solar=self.no_solar).rounded(decimals)
            self._save(day.date, encode(stored, decimals, complete=False), complete=False)
            self._stamps[day.date] = stamp_of(path.lstat())
            self._note_held_back(day.date, now)
            self._know(day.date, PARTIAL)

    def _request_all_again(self, *reasons: str) -> None:
        """Requests the days that failed or were held back for these reasons, which no longer apply."""
        for day, attempt in list(self.ledger.attempts.items()):
            if attempt.reason.startswith(reasons) and not attempt.is_requested_again:
                self.request_again(day, attempt.reason)

    def _note_held_back(self, day: date, now: datetime) -> None:
        """Records a day that is requested weekly, because only new rules can make it complete."""
        self.ledger.note(day, LastAttempt(Outcome.PARTIAL, int(now.timestamp()), DAILY_TRIES + 1, HELD_BACK))

    def _refute(self, day: LocalDay, answered: EnergyDay) -> None:
        """Ends a doubt that came from this day: its new answer agrees with the rules."""
        suspicion = self.ledger.suspicion
        if suspicion is not None and suspicion.day == day.date and answered.readings:
            self.trust()

    def _read(
        self, day: LocalDay, answered: EnergyDay, now: datetime
    ) -> tuple[DayFile | None, EnergyDay, tuple[Quarantined, ...]]:
        """The file and its content as a day; a damaged one is moved to the quarantine.

        Raises `UnreadableFile` if it cannot be read, or is damaged and the day cannot be fetched again.
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
            kept_from = first_day(date_in(day.zone, now), None, None)
            is_forgotten = day.date < kept_from and not answered.readings
            if why := self._why_it_stays(day.date, data, is_forgotten=is_forgotten):
                raise UnreadableFile(f"{damage.reason}; {why}") from damage
            return None, EnergyDay(day, {}), (self._move_aside(day.date, damage.reason),)
        if not self.day_format.merge_repeated_hour:
            return file, whole, ()
        one = whole.merge_repeated_hours()
        return file, one if file.partial else replace(one, doubtful=frozenset()), ()

    def _why_it_stays(self, day: date, data: bytes, *, is_forgotten: bool) -> str:
        """Why a damaged file is not moved: a person could recover some of it, and the cloud cannot."""
        why = _ANOTHERS if self.is_kept(day) else _NOT_KEPT if is_forgotten else ""
        return why if why and has_record(data, day) else ""

    def _move_aside(self, day: date, reason: str) -> Quarantined:
        place = quarantine(self._path(day), self._own / "quarantine")
        self._checksums.forget(day)
        return Quarantined(day, place, reason)

    def _path(self, day: date) -> Path:
        return self.folder / f"{day.isoformat()}.jsonl"


def _content_of(file: DayFile, decimals: int) -> tuple[Mapping[int, object], bool]:
    """The file's readings in the archive's decimals, and whether it is marked as complete."""
    return {ts: reading.rounded(decimals) for ts, reading in file.readings.items()}, not file.partial
