"""Which folders have held an archive of the service: so that a disk that is not mounted is noticed.

It lies neither in an archive nor in memory. Lose it, and an empty folder is taken for a new archive.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from collector.archive.files import read_at_most, replace_file

FILE_NAME = "archives.json"

SYSTEM = Path("/var/lib/shelly-collector-known")  # what StateDirectory= of the unit makes for it
_TRIES, _PAUSE_S = 100, 0.02
_MAX_BYTES = 1024 * 1024


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
    return Remembered(None, (*filter(None, (own,)), SYSTEM / FILE_NAME))


def _place_for(archive: Path, environ: Mapping[str, str]) -> Path | None:
    """In the state folder that is not the archive; for who is no unit, in the user's own."""
    folders = [Path(each) for each in reversed(environ.get("STATE_DIRECTORY", "").split(":")) if each]
    if not folders:
        own, home = environ.get("XDG_STATE_HOME", ""), environ.get("HOME", "")
        state = Path(own) if own.startswith("/") else Path(home, ".local", "state")
        folders = [state / "shelly-collector"] if own.startswith("/") or home.startswith("/") else []
    outside = (each for each in folders if not Path(_name(each)).is_relative_to(_name(archive)))
    return next((each / FILE_NAME for each in outside), None)


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
        return frozenset(map(str, json.loads(read_at_most(place, _MAX_BYTES))))
    return frozenset()
