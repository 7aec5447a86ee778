"""This machine's time-zone data: old names of zones, and whether the rules of a zone may be outdated.

The data are where `zoneinfo` finds them: in the folders of `zoneinfo.TZPATH`, then in the package
`tzdata`. The same folder has their text form, `tzdata.zi` (zic(8)): its first line names the release,
`# version 2025b`, and a line `L Europe/Kyiv Europe/Kiev` a new and an old name. Debian 13 moved the
files of 113 old names into the package tzdata-legacy; these lines stayed in tzdata.
"""

from __future__ import annotations

import importlib
import io
import re
import struct
import zlib
import zoneinfo
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

_TEXT_FORM = "tzdata.zi"
_RELEASE = re.compile(r"# version ((20\d\d)[a-z]+)")
_STALE_YEARS = 2
# Zones that were renamed since 2020 (releases 2020a, 2021b, 2022b): an older list has only the old name.
_OLD_NAMES = {
    "America/Nuuk": "America/Godthab",
    "Europe/Kyiv": "Europe/Kiev",
    "Pacific/Kanton": "Pacific/Enderbury",
}
_UTC_FILE = struct.pack(">4s16x6l", b"TZif", 0, 0, 0, 0, 1, 4) + struct.pack(">lBB4s", 0, 0, 0, b"UTC")
UTC_WITHOUT_DATA = ZoneInfo.from_file(io.BytesIO(_UTC_FILE), key="UTC")
"""UTC for a machine without any time-zone data, from the smallest valid file (tzfile(5))."""
_NEVER_CHANGE = re.compile(r"UTC|GMT|UCT|Zulu|Universal|Greenwich|Etc/.*")


class Rules(NamedTuple):
    """The rules of one zone: their release if it is known, and the CRC-32 of their file.

    `in_package`: they are from the Python package `tzdata`, not from the system.
    """

    release: str | None
    checksum: int
    in_package: bool

    @property
    def year(self) -> int | None:
        """The year of the release."""
        return None if self.release is None else int(self.release[:4])

    def are_stale(self, today: date) -> bool:
        """Whether they are certainly more than two years old; only the year of a release is known."""
        return self.year is not None and today.year - self.year > _STALE_YEARS


_NO_RULES = Rules(None, 0, in_package=False)


@lru_cache(maxsize=64)
def rules_of(zone: ZoneInfo) -> Rules:
    """The rules of the zone, as they were on the disk when this was first called for it."""
    return _rules_on_disk(zone.key)


def may_be_wrong(zone: ZoneInfo, day: date) -> bool:
    """Whether the zone's rules may be wrong on that day: true from the year of their release on."""
    if _NEVER_CHANGE.fullmatch(zone.key):
        return False
    year = rules_of(zone).year
    return year is None or day.year >= year


def renewed(zone: ZoneInfo) -> ZoneInfo:
    """The zone with the rules that are on the disk now, if they were replaced while this process runs."""
    on_disk = _rules_on_disk(zone.key)
    if on_disk in (rules_of(zone), _NO_RULES):  # or its file is gone: a package is perhaps being updated
        return zone
    ZoneInfo.clear_cache()
    new_name.cache_clear()
    return ZoneInfo(zone.key)


def are_one(name: str, other: str) -> bool:
    """Whether two names have the same rules, as an old and a new name of one zone do."""
    try:
        first, second = (_rules_on_disk(_resolved(each)).checksum for each in (name, other))
    except KeyError:
        return False
    return first == second


@lru_cache(maxsize=64)
def new_name(old: str) -> str:
    """The new name of a zone, of which `old` is an old one. Raises `KeyError`."""
    for folder, _ in _folders():
        with suppress(OSError):
            for line in _text_form(folder).splitlines():
                if line.startswith("L ") and line.split()[2:] == [old]:
                    return line.split()[1]
    raise KeyError(old)


def other_name(name: str) -> str:
    """Another name of that zone, under which it has a file. Raises `KeyError`."""
    old = _OLD_NAMES.get(name)
    return old if old is not None and _has_file(old) else new_name(name)


def _resolved(name: str) -> str:
    return name if _has_file(name) else other_name(name)


def _has_file(name: str) -> bool:
    return any((folder / name).is_file() for folder, _ in _folders())


def _rules_on_disk(name: str) -> Rules:
    for folder, in_package in _folders():
        with suppress(OSError):
            checksum = zlib.crc32((folder / name).read_bytes())
            return Rules(_release_in(folder), checksum, in_package)
    return _NO_RULES


def _release_in(folder: Path) -> str | None:
    with suppress(OSError), (folder / _TEXT_FORM).open(encoding="ascii", errors="replace") as file:
        found = _RELEASE.match(file.readline(80))
        return None if found is None else found[1]
    return None


def _text_form(folder: Path) -> str:
    return (folder / _TEXT_FORM).read_text("ascii", errors="replace")


def _folders() -> Iterator[tuple[Path, bool]]:
    """The folders to search for zones, in that order, and whether each is the package's."""
    yield from ((Path(folder), False) for folder in zoneinfo.TZPATH)
    with suppress(ImportError):
        package = importlib.import_module("tzdata")
        yield from ((Path(folder) / "zoneinfo", True) for folder in package.__path__)
