"""The mark: to which meter an archive belongs, and its format. `.collector/archive.json`.

If it is deleted, the files are compared with the cloud once more before the archive is used.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Any

from collector.archive.checksums import FILE_NAME as CHECKSUMS
from collector.archive.checksums import Checksums
from collector.archive.files import is_there, read_at_most, replace_file, try_lock
from collector.archive.folder import OWN_FOLDER, day_files, ledger_of, quarantined_in
from collector.archive.ledger import Bounds
from collector.energy.identity import Identity
from collector.errors import ArchiveRefused

FILE_NAME = "archive.json"
FORMAT = 1

_MAX_BYTES = 64 * 1024
_ITS_OWN = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.EIO, errno.ENXIO, errno.ENODEV)
_MARK_CURE = (
    "It records to which meter the archive belongs. Make it readable for this user; or move it away, and the "
    "day files are compared with the cloud"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """The meter to which an archive belongs.

    `since`: the first day of this meter if the archive was another one's before; older days are not
    requested. `kept_to`: the last day with hours stored for an earlier identity of the same device (other
    kind or clamps); such days are requested, but stored hours are not replaced.
    """

    identity: Identity
    since: date | None = None
    kept_to: date | None = None

    @property
    def bounds(self) -> Bounds:
        """Both days, as the ledger has them."""
        return Bounds(self.since, self.kept_to)


def read_mark(own_folder: Path) -> Mark | None:
    """The mark in that `.collector/`; `None` if there is none, or an invalid one.

    Raises `ArchiveRefused` if a newer collector wrote it or it cannot be read; `OSError` if it is not known
    whether it exists.
    """
    path = own_folder / FILE_NAME
    try:
        data = read_at_most(path, _MAX_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno in _ITS_OWN and is_there(path):
            raise ArchiveRefused(f"{path} cannot be read: {error.strerror}", _MARK_CURE) from error
        raise
    if len(data) > _MAX_BYTES:
        raise ArchiveRefused(f"{path} is larger than {_MAX_BYTES} bytes", _MARK_CURE)
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        return _mark_of(json.loads(data), own_folder.parent)
    return None


def mark_for(folder: Path, identity: Identity | None) -> Mark | None:
    """The mark of that meter's folder; `None` if there is none, or another meter's without any day stored.

    Raises `ArchiveRefused` if it is another meter's or of a newer collector, `OSError`.
    """
    mark = read_mark(folder / OWN_FOLDER)
    if mark is not None and identity is not None and mark.identity != identity:
        if holds_nothing(folder):
            return None
        raise refusal_of(folder, f"the history of {mark.identity}, not", identity)
    return mark


def holds_nothing(folder: Path) -> bool:
    """Whether no day was ever stored there: no file, no checksum, nothing in quarantine.

    Then its mark does not count: the id or the kind may have been a mistake.
    """
    recorded = Checksums(folder / OWN_FOLDER / CHECKSUMS)
    is_recorded = bool(recorded.days()) or recorded.damaged > 0
    return not is_recorded and not has_days(folder) and not quarantined_in(folder)


def adopted(folder: Path, identity: Identity, today: date) -> Mark:
    """The new mark of a folder that is given to that meter on `today` with --adopt, whatever it contains.

    Raises `ArchiveRefused` if a newer collector wrote the old one.
    """
    mark = read_mark(folder / OWN_FOLDER)
    if mark is None:
        return Mark(identity, today) if has_days(folder) else Mark(identity, *ledger_of(folder).bounds)
    if mark.identity == identity:
        return mark
    if holds_nothing(folder):
        return Mark(identity)
    if mark.identity.devices == identity.devices:
        return Mark(identity, mark.since, kept_to=today)
    return Mark(identity, today)


def has_days(folder: Path) -> bool:
    """Whether there is any day file."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return bool(day_files(folder))
    return False


def missing(folder: Path, remembered: Remembered) -> ArchiveRefused | None:
    """The error for a folder that is empty although an archive was there before; else `None`."""
    if not remembered.knows(folder) or read_mark(folder / OWN_FOLDER) is not None or has_days(folder):
        return None
    return ArchiveRefused(
        f"{folder} is empty, and an archive was there before; perhaps its disk is not mounted",
        "Mount it and collecting resumes; to start a new one on purpose, run `backfill` once with --adopt",
        "archive.missing",
    )


def refusal_of(folder: Path, found: str, identity: Identity | None) -> ArchiveRefused:
    """The error for a folder with `found`, in words, that is configured for that meter."""
    return ArchiveRefused(
        f"{folder} contains {found} of {identity}",
        "Give each meter a folder of its own (--odir, or another name); if this meter is to continue "
        "in that one (a replaced device, other clamps), run `backfill` once with --adopt",
    )


def write_mark(own_folder: Path, mark: Mark) -> None:
    """Writes the mark; durable when this returns. Raises `OSError`."""
    fields = {
        "format": FORMAT,
        "kind": mark.identity.kind,
        "devices": list(mark.identity.devices),
        "channels": list(mark.identity.channels),
        **mark.bounds.as_json(),
    }
    replace_file(own_folder / FILE_NAME, json.dumps(fields).encode() + b"\n")


def _mark_of(fields: dict[str, Any], folder: Path) -> Mark:
    number = fields["format"]
    if type(number) is int and number > FORMAT:
        raise ArchiveRefused(
            f"{folder} has format {number}, written by a newer collector; this one knows format {FORMAT}",
            "Install the newer collector again; nothing was changed",
        )
    if type(number) is not int or number < 1:
        raise ValueError("not a format")
    kind, devices = fields["kind"], tuple(fields["devices"])
    if not all(isinstance(word, str) and word.isascii() and word.isalnum() for word in (kind, *devices)):
        raise ValueError("not the words of a mark")
    identity = Identity(kind, devices, tuple(map(int, fields["channels"])))
    return Mark(identity, *Bounds.from_json(fields["since"], fields.get("kept_to")))


REMEMBERED_NAME = "archives.json"

SYSTEM = Path("/var/lib/shelly-collector-known")  # created by StateDirectory= of the unit
_TRIES, _PAUSE_S = 100, 0.02
_MAX_REMEMBERED_BYTES = 1024 * 1024


class Remembered:
    """The archives listed in the file `place`, or in one of `others`; with `None` none are added."""

    def __init__(self, place: Path | None = None, others: tuple[Path, ...] = ()) -> None:
        self._place = place
        self._others = others
        self._lock = Lock()
        self._listed: list[frozenset[str]] | None = None  # what the files had when `at_once` began
        self._new: set[str] = set()  # to be added when it ends

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within, the files are read once, and what is added is written once, at the end: for many archives.

        Archives of a process that is killed before are added when it opens them again.
        """
        self._listed = self._read_all()
        try:
            yield
        finally:
            self._listed = None
            with self._lock:
                new, self._new = self._new, set()
                self._write(new)

    def knows(self, folder: Path) -> bool:
        """Whether an archive was there before."""
        listed = self._read_all() if self._listed is None else self._listed
        return any(_name(folder) in each for each in listed)

    def _read_all(self) -> list[frozenset[str]]:
        return [_read(place) for place in (*filter(None, (self._place,)), *self._others)]

    def add(self, folder: Path) -> None:
        """Adds an archive to the list in `place`; an `OSError` is ignored."""
        with self._lock:
            if self._listed is None:
                self._write({_name(folder)})
            else:
                self._new.add(_name(folder))

    def _write(self, new: set[str]) -> None:
        if self._place is None:
            return
        with suppress(OSError):
            if new <= _read(self._place):
                return
            self._place.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            with _alone_in(self._place.parent):
                known = _read(self._place)
                replace_file(self._place, json.dumps(sorted(known | new), indent=1).encode())


def remembered_by_service(archive: Path, environ: Mapping[str, str]) -> Remembered:
    """The list of the service of that archive, which adds to it."""
    return Remembered(_place_for(archive, environ))


def remembered_for_others(archive: Path, environ: Mapping[str, str]) -> Remembered:
    """The lists of this user and of the system's service, read-only, for commands run by hand."""
    own = _place_for(archive, environ)
    return Remembered(None, (*filter(None, (own,)), SYSTEM / REMEMBERED_NAME))


def _place_for(archive: Path, environ: Mapping[str, str]) -> Path | None:
    """The list in the unit's state folder that is not in the archive; without a unit in the user's."""
    folders = [Path(each) for each in reversed(environ.get("STATE_DIRECTORY", "").split(":")) if each]
    if not folders:
        own, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME", "")
        state = Path(own) if own.startswith("/") else Path(home, ".local", "state")
        folders = [state / "shelly-collector"] if own.startswith("/") or home.startswith("/") else []
    outside = (each for each in folders if not Path(_name(each)).is_relative_to(_name(archive)))
    return next((each / REMEMBERED_NAME for each in outside), None)


def _name(folder: Path) -> str:
    return os.path.abspath(folder)  # noqa: PTH100 - links are not followed: a link may lead to the disk


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Locks the folder against other processes; without a lock after 2 s or if there are none."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            for _ in range(_TRIES):
                if try_lock(descriptor, fcntl.LOCK_EX):
                    break
                time.sleep(_PAUSE_S)
        yield
    finally:
        os.close(descriptor)


def _read(place: Path) -> frozenset[str]:
    with suppress(OSError, ValueError, TypeError, RecursionError):
        return frozenset(map(str, json.loads(read_at_most(place, _MAX_REMEMBERED_BYTES))))
    return frozenset()
