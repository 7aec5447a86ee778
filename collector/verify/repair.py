"""Moves files with findings to the quarantine, and requests their days again if that is possible."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from collector import logs
from collector.archive.folder import OWN_FOLDER, may_have_record
from collector.archive.mark import FILE_NAME as MARK_NAME
from collector.archive.mark import Remembered, read_mark
from collector.archive.store import Archive
from collector.cloud.meters import Meter
from collector.collect.collector import log_quarantined
from collector.energy.days import date_in
from collector.energy.history import first_day, latest
from collector.energy.identity import Identity
from collector.errors import ArchiveRefused
from collector.service.accounts import open_archive
from collector.settings import Settings
from collector.verify.files import CheckedDay, Inspection, inspect
from collector.verify.report import Action, MeterReport

_NOT_THERE = ("gone", "older")  # codes of findings without a wrong file
_log = logs.get_logger("repair")


def repair(
    settings: Settings,
    meter: Meter,
    system_timezone: ZoneInfo,
    now: datetime,
    *,
    remembered: Remembered | None = None,
    of_folder: bool = False,
) -> MeterReport:
    """Inspects one meter's folder and moves files with findings to the quarantine. Locks the archive.

    `remembered` lists earlier archives. `of_folder`: the meter is the one in the folder's mark.
    Raises `ArchiveError`, `OSError`.
    """
    with ExitStack() as held:
        identity = _marked(settings.folder_of(meter)) if of_folder else meter.identity
        archive = open_archive(settings, meter, held, identity, remembered)
        if not archive.claim():
            raise archive.refusal_of("day files of which it is not known yet whether they are")
        inspection = inspect(archive.folder, meter.timezone, now)
        today = date_in(inspection.zone or system_timezone, now)
        actions = move_aside(archive, meter, inspection, today)
        return MeterReport(meter.name, archive.folder, inspection, actions)


def move_aside(archive: Archive, meter: Meter, inspection: Inspection, today: date) -> dict[date, Action]:
    """Moves files with findings to the quarantine, and makes the next round request their days.

    A file whose day cannot be fetched again stays, unless nothing of it can be read. The checksum of a
    complete file that is gone is removed. Raises `OSError`.
    """
    first = first_day(today, None, latest(meter.since, archive.since))
    actions = {}
    for day, findings in inspection.by_day.items():
        reason = f"{findings[0].code}: {findings[0].text}"
        if all(finding.code in _NOT_THERE for finding in findings):
            archive.forget_complete(day)
            actions[day] = Action.FORGOTTEN
        elif (day < first or archive.is_kept(day)) and _can_be_read(archive.folder, inspection.days[day]):
            actions[day] = Action.KEPT
            continue
        else:
            aside = archive.set_aside(day, reason)
            log_quarantined(_log.bind(meter=meter.name), aside)
            actions[day] = Action.QUARANTINED
        if first <= day < today:
            archive.request_again(day, f"verify: {reason}")
    return actions


def _marked(folder: Path) -> Identity:
    """The identity in the folder's mark. Raises `ArchiveRefused` if there is none."""
    mark = read_mark(folder / OWN_FOLDER)
    if mark is None:
        raise ArchiveRefused(
            f"It is not known whose day files are in {folder}: {OWN_FOLDER}/{MARK_NAME} cannot be read",
            "Run `backfill` on that folder once: it compares them with the cloud, and records their meter",
        )
    return mark.identity


def _can_be_read(folder: Path, checked: CheckedDay) -> bool:
    """Whether anything of its day can be read in the file."""
    return checked.sums is not None or may_have_record(folder / f"{checked.day}.jsonl", checked.day)
