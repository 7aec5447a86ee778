"""A machine with other time-zone data: names that are not there, rules that are old."""

from __future__ import annotations

import shutil
import sys
import zoneinfo
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch
from zoneinfo import ZoneInfo

from collector.energy import days, zones
from collector.simulator import scenario

SYSTEM = next(Path(each) for each in zoneinfo.TZPATH if (Path(each) / "tzdata.zi").exists())


class ZoneData:
    """The time-zone data of one machine: a folder of its own, which `zoneinfo` alone finds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, rules: str | None = None) -> None:
        """A zone's file, by the rules of another one where that is given; it may replace an older file."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name("new")
        shutil.copyfile(SYSTEM / (rules or name), new)
        new.replace(path)

    @staticmethod
    def restart() -> None:
        """As another process would: what was read before is forgotten."""
        zones.ZoneInfo.clear_cache()  # type: ignore[attr-defined]

    def release(self, name: str, *links: str) -> None:
        """The text form of the data: its release, and links, "new old", from old names to new ones."""
        lines = [f"# version {name}", *(f"L {link}" for link in links)]
        (self._folder / "tzdata.zi").write_text("\n".join(lines) + "\n")


@contextmanager
def zone_data(folder: Path, *names: str) -> Iterator[ZoneData]:
    """A machine that knows these zones, by the rules of this one, and no others."""
    folder.mkdir(exist_ok=True)
    data = ZoneData(folder)
    for name in ("UTC", *names):
        data.put(name)
    package = {name for name in sys.modules if name.partition(".")[0] == "tzdata"} | {"tzdata"}
    with patch.dict(sys.modules, dict.fromkeys(package)), found_in(folder):
        yield data


@contextmanager
def found_in(*folders: Path) -> Iterator[None]:
    """Zones are looked for in these folders, and those that other tests hold stay the ones they were."""

    class Zone(ZoneInfo):
        """Has a cache of its own."""

    zoneinfo.reset_tzpath([str(folder) for folder in folders])
    try:
        with patch.object(days, "ZoneInfo", Zone), patch.object(zones, "ZoneInfo", Zone):
            _forget()
            yield
    finally:
        zoneinfo.reset_tzpath()
        _forget()


def _forget() -> None:
    zones.rules_of.cache_clear()
    zones.new_name.cache_clear()
    scenario._zone.cache_clear()
