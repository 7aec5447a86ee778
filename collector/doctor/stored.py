"""Stored: what a meter's folder says, as far as this user may read it. No lock, no change."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from collector.archive.dayfile import stored_day
from collector.archive.folder import LEDGER_NAME, OWN_FOLDER, day_files, decode_file
from collector.archive.ledger import Ledger, Suspicion
from collector.archive.mark import mark_for, missing
from collector.archive.remembered import Remembered
from collector.archive.survey import survey
from collector.cloud.meters import Meter
from collector.doctor.checks import Check, fail, warn
from collector.energy.days import date_in, local_day
from collector.energy.knowledge import Known
from collector.energy.readings import EnergyDay
from collector.energy.zones import rules_of
from collector.errors import ArchiveRefused, CollectorError, DamagedFile
from collector.events import CURES
from collector.settings import Settings

_REFUSED_CURE = CURES["archive.refused"]
_RECENT_DAYS = 7


@dataclass(frozen=True, slots=True)
class Stored:
    """A meter's days, its zone where that is known, and its newest complete days before today.

    `unknown_zone` is the recorded name of one that this machine's list lacks; `doubt` says why the rules
    of the zone are in doubt. Both are empty else.
    """

    known: Mapping[date, Known]
    zone: ZoneInfo | None
    recent: tuple[EnergyDay, ...]
    unknown_zone: str = ""
    doubt: str = ""

    @property
    def newest(self) -> date | None:
        """The newest day that has a file."""
        return max((day for day, state in self.known.items() if state.stored), default=None)


def look_at(settings: Settings, meter: Meter, home: ZoneInfo, now: datetime) -> Stored:
    """What is there at `now`; what cannot be read is left out, for other checks tell it."""
    folder = settings.folder_of(meter)
    try:
        known, zone, _ = survey(folder, settings.day_format)
        ledger = Ledger(folder / OWN_FOLDER / LEDGER_NAME)
    except (OSError, CollectorError):
        return Stored({}, None, ())
    today = date_in(zone or home, now)
    complete = sorted(day for day, state in known.items() if state.complete and day < today)
    recent = []
    for day in complete[-_RECENT_DAYS:]:
        with suppress(DamagedFile, OSError):
            file = decode_file(folder / f"{day}.jsonl", day)
            recent.append(stored_day(file, local_day(day, zone or home), no_solar=meter.has_no_solar))
    unknown = ledger.zone if ledger.zone and zone is None else ""
    return Stored(known, zone, tuple(recent), unknown, _doubt(ledger.suspicion, zone))


def _doubt(suspicion: Suspicion | None, zone: ZoneInfo | None) -> str:
    """Why today's rules are in doubt: what was said of older ones no longer counts."""
    if suspicion is None or (zone is not None and rules_of(zone).checksum != suspicion.checksum):
        return ""
    return suspicion.reason


def mark_check(folder: Path, meter: Meter, refused: str, remembered: Remembered) -> Iterator[Check]:
    """Whether the folder is this meter's, by its mark; nothing where it is, or where there is nothing yet.

    `refused`: why the running service must not use it. `remembered` knows where archives were before.
    """
    try:
        mark = mark_for(folder, meter.identity)
        is_unmarked = mark is None and folder.exists() and bool(day_files(folder))
    except ArchiveRefused as refusal:
        yield fail("archive", _sentence(refusal.reason), _sentence(refusal.cure), meter.name)
        return
    except OSError as error:
        yield from _unreadable(folder, error, meter.name)
        return
    if refused:
        says, _, cure = refused.rpartition(". ")
        cure = _sentence(cure) if says else _REFUSED_CURE
        yield fail("archive", _sentence(says or refused), cure, meter.name)
    elif is_unmarked:
        yield warn(
            "archive",
            f"The day files in {folder} have no mark of whose they are, and are not compared with the cloud "
            "yet; backfill or the service does so first.",
            "Nothing to do if they are this meter's. If backfill or the service refuses them: "
            + _REFUSED_CURE,
            meter.name,
        )
    elif (empty := missing(folder, remembered)) is not None:
        yield fail("archive", _sentence(empty.reason), _sentence(empty.cure), meter.name)


def _unreadable(folder: Path, error: OSError, meter: str) -> Iterator[Check]:
    """That the mark, or its folder, cannot be read; nothing of it is used then.

    Nothing for a user who is kept out of the whole archive, which its own check says.
    """
    if isinstance(error, PermissionError) and not os.access(folder, os.W_OK):
        return
    yield fail(
        "archive",
        f"{error.filename or folder} cannot be read: {error.strerror or error}.",
        "It must belong to the service's user, and be no link that leads nowhere. A mark that cannot be "
        "mended can be moved away: the days are then compared with the cloud once more.",
        meter,
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


def zone_of(stored: Stored, meter: Meter, home: ZoneInfo) -> ZoneInfo:
    """The meter's zone as well as it is known: from its answers, the configuration, this machine."""
    return stored.zone or meter.zone_or(home)
