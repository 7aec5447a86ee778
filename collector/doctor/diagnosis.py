"""The diagnosis: every check of `doctor`, in order; a failed one does not stop the others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from collector.archive.dayfile import stored_day
from collector.archive.folder import LEDGER_NAME, OWN_FOLDER, day_files, decode_file, survey
from collector.archive.ledger import Ledger, Suspicion
from collector.archive.mark import Remembered, mark_for, missing, remembered_for_others
from collector.cloud.meters import Meter
from collector.doctor.checks import (
    Check,
    account_checks,
    clamps_check,
    fail,
    meter_checks,
    pace_check,
    skip,
    warn,
    zone_check,
    zone_lack,
)
from collector.doctor.machine import archive_check, clock_check
from collector.doctor.probe import AccountResult, MeterResult, ProbeResult, probe
from collector.doctor.service import (
    ServiceLock,
    account_from_status,
    clock_from_status,
    meter_from_status,
    service_check,
    service_lock,
    zone_from_status,
)
from collector.energy.days import Clock, date_in, local_day, system_timezone
from collector.energy.history import DayRecord
from collector.energy.readings import EnergyDay
from collector.energy.zones import rules_of
from collector.errors import ArchiveRefused, CollectorError, DamagedFile
from collector.events import CURES
from collector.redaction import redactor
from collector.service.systemd import obstacle
from collector.settings import AccountSettings, Settings

_REFUSED_CURE = CURES["archive.refused"]
_RECENT_DAYS = 7


@dataclass(frozen=True, slots=True)
class Stored:
    """A meter's days, its zone where that is known, and its newest complete days before today.

    `unknown_zone`: the recorded zone if this machine does not know it; `doubt`: why the rules of the zone
    are in doubt. Both are else empty. `is_unreadable`: this user cannot read the folder.
    """

    known: Mapping[date, DayRecord]
    zone: ZoneInfo | None
    recent: tuple[EnergyDay, ...]
    unknown_zone: str = ""
    doubt: str = ""
    is_unreadable: bool = False

    @property
    def newest(self) -> date | None:
        """The newest day that has a file."""
        return max((day for day, state in self.known.items() if state.stored), default=None)


def read_stored(settings: Settings, meter: Meter, home: ZoneInfo, now: datetime) -> Stored:
    """What is stored at `now`, without what cannot be read, which other checks report."""
    folder = settings.folder_of(meter)
    try:
        known, zone, _ = survey(folder, settings.day_format)
        ledger = Ledger(folder / OWN_FOLDER / LEDGER_NAME)
    except (OSError, CollectorError) as error:
        return Stored({}, None, (), is_unreadable=isinstance(error, PermissionError))
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
    """Why today's rules are in doubt; empty if they are not, or if the doubt is about older rules."""
    if suspicion is None or (zone is not None and rules_of(zone).checksum != suspicion.checksum):
        return ""
    return suspicion.reason


def mark_check(folder: Path, meter: Meter, refused: str, remembered: Remembered) -> Iterator[Check]:
    """Whether the folder is this meter's, by its mark; no check if it is, or if the folder is new.

    `refused`: why the running service must not use it. `remembered`: where archives were before.
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
            f"The day files in {folder} have no mark that names their meter, and are not compared with the "
            "cloud yet; backfill or the service does so first.",
            "No action needed if they are this meter's. If backfill or the service refuses them: "
            + _REFUSED_CURE,
            meter.name,
        )
    elif (empty := missing(folder, remembered)) is not None:
        yield fail("archive", _sentence(empty.reason), _sentence(empty.cure), meter.name)


def _unreadable(folder: Path, error: OSError, meter: str) -> Iterator[Check]:
    """A failed check: the mark, or its folder, cannot be read.

    None if this user cannot read the whole archive, which has its own check.
    """
    if isinstance(error, PermissionError) and not os.access(folder, os.W_OK):
        return
    yield fail(
        "archive",
        f"{error.filename or folder} cannot be read: {error.strerror or error}.",
        "It must belong to the service's user, and must not be a broken link. A mark that cannot be "
        "repaired can be moved away: the days are then compared with the cloud again.",
        meter,
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?")) else f"{text}."


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, how many requests were sent, and the locks and status that were read."""

    checks: tuple[Check, ...]
    requests: int
    lock: ServiceLock


async def diagnose(
    settings: Settings, configuration: Check, clock: Clock, environ: Mapping[str, str], *, has_keys: bool
) -> Diagnosis:
    """Runs every check. `configuration` is the check of the settings; without keys no request is sent to the
    cloud. No check shows a secret of the settings."""
    folders = {meter.name: settings.folder_of(meter) for meter in settings.meters}
    home = system_timezone(environ)
    stored = {meter.name: read_stored(settings, meter, home, clock()) for meter in settings.meters}
    zones = {meter.name: stored[meter.name].zone or meter.zone_or(home) for meter in settings.meters}

    def busy_reason() -> str:
        now = clock().timestamp()
        return service_lock(settings.archive, folders, environ, now).busy_reason(now)

    busy = busy_reason() if has_keys else "the key is not known"
    result = ProbeResult() if busy else await probe(settings, zones, clock, busy_reason)
    now = clock()
    lock = service_lock(settings.archive, folders, environ, now.timestamp())
    found = [configuration, _archive(settings, folders, lock)]
    found.append(service_check(lock, now.timestamp()))
    offsets = [each.offset_s for each in result.accounts if each.offset_s is not None]
    newest = max((each.newest for each in stored.values() if each.newest), default=None)
    found.append(
        clock_from_status(lock.status)
        or clock_check(now, date_in(home, now), min(offsets, key=abs, default=None), newest)
    )
    remembered = remembered_for_others(settings.archive, environ)
    by_name = {each.account.name: each for each in result.accounts}
    for account in settings.accounts:
        probed = by_name.get(account.account.name)
        found += _of_account(account, probed, lock, busy, now)
        for meter in account.meters:
            found += mark_check(folders[meter.name], meter, lock.refused(meter.name), remembered)
            meters = probed.meters if probed else []
            answer = next((each for each in meters if each.meter == meter), None)
            found += _of_meter(meter, answer, stored[meter.name], lock, busy, home, now)
    redact = redactor(settings.secrets)
    checks = tuple(each._replace(says=redact(each.says), cure=redact(each.cure)) for each in found)
    return Diagnosis(checks, result.requests, lock)


def _archive(settings: Settings, folders: Mapping[str, Path], lock: ServiceLock) -> Check:
    """Also by the unit's settings, unless a collector is using the archive."""
    kept_out = None if lock.is_held else obstacle(settings.source, settings.archive)
    if kept_out is not None:
        return fail("archive", kept_out.reason, kept_out.cure)
    return archive_check(settings.archive, folders.values())


def _of_account(
    account: AccountSettings, result: AccountResult | None, lock: ServiceLock, busy: str, now: datetime
) -> Iterator[Check]:
    status = lock.status
    reported = None if status is None else status.accounts.get(account.account.name)
    if result is not None:
        yield from account_checks(result, reported)
    else:
        yield from account_from_status(account.account, status, busy, now.timestamp())
        if reported is None:
            yield skip("pace", f"No request was sent: {busy}.", account.account.name)
        else:
            yield pace_check(AccountResult(account.account), reported)


def _of_meter(
    meter: Meter,
    result: MeterResult | None,
    stored: Stored,
    lock: ServiceLock,
    busy: str,
    home: ZoneInfo,
    now: datetime,
) -> Iterator[Check]:
    if result is not None:
        has_history = any(state.complete for state in stored.known.values())
        yield from meter_checks(result, has_history=has_history)
    else:
        yield from meter_from_status(meter, lock.status, busy, now.timestamp())
    yield (
        zone_lack(meter, result, stored.unknown_zone, stored.doubt)
        or (None if result else zone_from_status(meter, lock.status))
        or (_no_permission("zone", meter) if stored.is_unreadable and not (result and result.zone) else None)
        or zone_check(result.zone if result else None, meter, stored.zone, home, date_in(home, now))
    )
    fetched = [result.read.energy_day] if result and result.read else []
    yield (
        _no_permission("clamps", meter)
        if stored.is_unreadable
        else clamps_check(meter, (*stored.recent, *fetched))
    )


def _no_permission(name: str, meter: Meter) -> Check:
    return skip(name, "This user cannot read the stored days.", meter.name, "Run it with sudo.")
