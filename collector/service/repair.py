"""Files that break the contract moved aside, and their days asked for again, where that can be."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from collector import logs
from collector.archive.findings import CheckedDay
from collector.archive.inspection import Inspection, inspect
from collector.archive.store import Archive
from collector.cloud.meters import Meter
from collector.energy.days import date_in
from collector.energy.retention import first_day
from collector.service.assembly import open_archive
from collector.settings import Settings

_log = logs.get_logger("repair")


class Action(StrEnum):
    """What was done about a day's file."""

    QUARANTINED = "quarantined"  # moved aside; the day is asked for again
    KEPT = "kept"  # the cloud does not have that day any more, and what is there can be read


@dataclass(frozen=True, slots=True)
class Repair:
    """What was found in a meter's folder, and what was done about each day."""

    inspection: Inspection
    actions: Mapping[date, Action]


def repair(settings: Settings, meter: Meter, home: ZoneInfo, now: datetime) -> Repair:
    """Inspects one meter's folder and moves aside what has findings. Holds the archive meanwhile.

    `home` is where this machine stands. Raises `ArchiveError`, `OSError`.
    """
    with ExitStack() as held:
        identity = None if settings.flat else meter.identity  # a folder alone says nothing of a meter
        archive = open_archive(settings, meter, held, identity)
        if not archive.is_taken and not archive.claim():
            raise archive.refusal_of("day files of which nobody knows yet whether they are")
        inspection = inspect(archive.folder, meter.timezone, now)
        return Repair(inspection, mend(archive, meter, inspection, date_in(inspection.zone or home, now)))


def mend(archive: Archive, meter: Meter, inspection: Inspection, today: date) -> dict[date, Action]:
    """Moves aside what was found wrong, and has it asked for again.

    What the cloud can no longer give stays, unless it cannot be read anyway. Raises `OSError`.
    """
    first = first_day(today, None, max(filter(None, (meter.since, archive.since)), default=None))
    return {
        day: _act(archive, meter.name, checked, first, today)
        for day, checked in inspection.days.items()
        if checked.findings
    }


def _act(archive: Archive, meter: str, checked: CheckedDay, first: date, today: date) -> Action:
    can_be_read = checked.sums is not None
    if can_be_read and checked.day < first:
        return Action.KEPT
    reason = f"{checked.findings[0].code}: {checked.findings[0].text}"
    aside = archive.set_aside(checked.day, reason)
    _log.warning("file.quarantined", meter=meter, day=str(checked.day), reason=reason, place=str(aside.place))
    if first <= checked.day < today:
        archive.want_again(checked.day, f"verify: {reason}")
    return Action.QUARANTINED
