"""The mark: whose an archive is, and in which format it is kept. `.collector/archive.json`.

Delete it and nothing is lost, but the files have to be compared with the cloud once more before they
are this meter's again.
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
from collector.archive.files import is_there, read_at_most, replace_file
from collector.archive.folder import LEDGER_NAME, OWN_FOLDER, day_files, quarantined_in
from collector.archive.ledger import Bounds, Ledger
from collector.energy.identity import Identity
from collector.errors import ArchiveRefused

FILE_NAME = "archive.json"
FORMAT = 1

_MAX_BYTES = 64 * 1024
_ITS_OWN = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.EIO, errno.ENXIO, errno.ENODEV)
_MARK_CURE = (
    "It is to say whose the archive is. Let this user read it; or move it away, and the day files are "
    "compared with the cloud"
)


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose an archive is.

    `since`: the first day of this meter where the archive was another one's before; older days are
    not requested from this one. `kept_to`: the last day whose hours were stored before this identity
    counted, where that is another day: of the same device with other clamps older days are requested.
    """

    identity: Identity
    since: date | None = None
    kept_to: date | None = None


def read_mark(own_folder: Path) -> Mark | None:
    """The mark in that `.collector/`; `None` where there is none that can be read.

    Raises `ArchiveRefused` where a newer collector has written it, or it may not or cannot be read; `OSError`
    where nobody can say.
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
        raise ArchiveRefused(f"{path} is larger than {_MAX_BYTES} bytes, as no mark is", _MARK_CURE)
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        return _mark_of(json.loads(data), own_folder.parent)
    return None


def mark_for(folder: Path, identity: Identity | None) -> Mark | None:
    """The mark of that meter's folder; `None` where there is none that counts. Changes nothing.

    Another meter's does not where nothing is held of it. Raises `ArchiveRefused` where it is another's or of
    a newer collector, `OSError` where nobody can say.
    """
    mark = read_mark(folder / OWN_FOLDER)
    if mark is not None and identity is not None and mark.identity != identity:
        if holds_nothing(folder):
            return None
        raise refusal_of(folder, f"the history of {mark.identity}, not", identity)
    return mark


def holds_nothing(folder: Path) -> bool:
    """Whether no day was ever stored there, as far as anything says: no file, no record, nothing set aside.

    Such a folder is nobody's yet, whatever its mark says: the id or the kind may have been a mistake.
    """
    recorded = Checksums(folder / OWN_FOLDER / CHECKSUMS)
    is_recorded = bool(recorded.days()) or recorded.damaged > 0
    return not is_recorded and not has_days(folder) and not quarantined_in(folder)


def adopted(folder: Path, identity: Identity, today: date) -> Mark:
    """The mark that a folder gets for that meter, whatever it holds, where a person says so `today`.

    Raises `ArchiveRefused` where a newer collector keeps it.
    """
    mark = read_mark(folder / OWN_FOLDER)
    if mark is None:
        return Mark(identity, today) if has_days(folder) else Mark(identity, *_noted(folder))
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


def _noted(folder: Path) -> Bounds:
    return Ledger(folder / OWN_FOLDER / LEDGER_NAME).bounds


def missing(folder: Path, remembered: Remembered) -> ArchiveRefused | None:
    """The error for a folder that holds nothing although an archive was there before; `None` else."""
    if not remembered.knows(folder) or read_mark(folder / OWN_FOLDER) is not None or has_days(folder):
        return None
    return ArchiveRefused(
        f"{folder} is empty, and an archive was there before; perhaps its disk is not mounted",
        "Mount it and collecting resumes; to begin anew on purpose, run `backfill` once with --adopt",
        "archive.missing",
    )


def refusal_of(folder: Path, found: str, identity: Identity | None) -> ArchiveRefused:
    """The error for a folder that holds `found` …, and is to be used for that meter."""
    return ArchiveRefused(
        f"{folder} holds {found} of {identity}",
        "Give each meter a folder of its own (--odir, or another name); if this meter is to go on in that "
        "one (a replaced device, other clamps), run `backfill` once with --adopt",
    )


def write_mark(own_folder: Path, mark: Mark) -> None:
    """Writes the mark; durable when this returns. Raises `OSError`."""
    fields = {
        "format": FORMAT,
        "kind": mark.identity.kind,
        "devices": list(mark.identity.devices),
        "channels": list(mark.identity.channels),
        "since": None if mark.since is None else mark.since.isoformat(),
        "kept_to": None if mark.kept_to is None else mark.kept_to.isoformat(),
    }
    replace_file(own_folder / FILE_NAME, json.dumps(fields).encode() + b"\n")


def _mark_of(fields: dict[str, Any], folder: Path) -> Mark:
    number = fields["format"]
    if type(number) is int and number > FORMAT:
        raise ArchiveRefused(
            f"{folder} is kept in format {number} by a newer collector; this one knows format {FORMAT}",
            "Install the newer collector again; it is left as it is",
        )
    if type(number) is not int or number < 1:
        raise ValueError("not a format")
    kind, devices = fields["kind"], tuple(fields["devices"])
    if not all(isinstance(word, str) and word.isascii() and word.isalnum() for word in (kind, *devices)):
        raise ValueError("not the words of a mark")
    identity = Identity(kind, devices, tuple(map(int, fields["channels"])))
    since, kept_to = fields["since"], fields.get("kept_to")
    return Mark(
        identity,
        None if since is None else date.fromisoformat(since),
        None if kept_to is None else date.fromisoformat(kept_to),
    )


REMEMBERED_NAME = "archives.json"

SYSTEM = Path("/var/lib/shelly-collector-known")  # what StateDirectory= of the unit makes for it
_TRIES, _PAUSE_S = 100, 0.02
_MAX_REMEMBERED_BYTES = 1024 * 1024


class Remembered:
    """The folders named in the file `place`, or in one of the `others`; `None` remembers nothing."""

    def __init__(self, place: Path | None = None, others: tuple[Path, ...] = ()) -> None:
        self._place = place
        self._others = others
        self._lock = Lock()

    def knows(self, folder: Path) -> bool:
        """Whether an archive was there before."""
        places = (*filter(None, (self._place,)), *self._others)
        return any(_name(folder) in _read(place) for place in places)

    def add(self, folder: Path) -> None:
        """Remembers that an archive is there. Where that cannot be saved, it is not remembered."""
        if self._place is None:
            return
        with self._lock, suppress(OSError):
            if _name(folder) in _read(self._place):
                return
            self._place.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            with _alone_in(self._place.parent):
                known = _read(self._place)
                replace_file(self._place, json.dumps(sorted({*known, _name(folder)}), indent=1).encode())


def remembered_by_service(archive: Path, environ: Mapping[str, str]) -> Remembered:
    """What the service of that archive remembers, and adds to."""
    return Remembered(_place_for(archive, environ))


def remembered_for_others(archive: Path, environ: Mapping[str, str]) -> Remembered:
    """The same for commands by hand: they only look, also at what the system's service remembers."""
    own = _place_for(archive, environ)
    return Remembered(None, (*filter(None, (own,)), SYSTEM / REMEMBERED_NAME))


def _place_for(archive: Path, environ: Mapping[str, str]) -> Path | None:
    """In the state folder that is not the archive; for who is no unit, in the user's own."""
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
    """Another service of that user may write at the same moment. Where there are no locks, nobody waits."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE_S)
            except OSError:
                break
            else:
                break
        yield
    finally:
        os.close(descriptor)


def _read(place: Path) -> frozenset[str]:
    with suppress(OSError, ValueError, TypeError, RecursionError):
        return frozenset(map(str, json.loads(read_at_most(place, _MAX_REMEMBERED_BYTES))))
    return frozenset()
