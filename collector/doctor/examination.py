"""The examination: every check of `doctor`, in order, whatever the earlier ones found.

Files and locks are only looked at; the cloud is asked at most eight times, and never while the
service may ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from collector.archive.remembered import remembered_for_others
from collector.cloud.meters import Meter
from collector.doctor.checks import Check, fail, skip
from collector.doctor.clamps import clamps_check
from collector.doctor.hearing import AccountHeard, Heard, MeterHeard, listen
from collector.doctor.hearsay import account_hearsay, clock_hearsay, meter_hearsay, zone_hearsay
from collector.doctor.machine import archive_check, clock_check
from collector.doctor.presence import Presence, presence_of, service_check
from collector.doctor.stored import Stored, look_at, mark_check, zone_of
from collector.doctor.verdicts import account_checks, meter_checks, zone_check, zone_lack
from collector.energy.days import Clock, date_in
from collector.redaction import redactor
from collector.service.home import home_zone
from collector.service.sandbox import obstacle
from collector.settings import AccountSettings, Settings


@dataclass(frozen=True, slots=True)
class Examination:
    """What was found, how many requests it took, and what it was judged by."""

    checks: tuple[Check, ...]
    requests: int
    presence: Presence


async def examine(
    settings: Settings, configuration: Check, clock: Clock, environ: Mapping[str, str], *, has_keys: bool
) -> Examination:
    """Looks at everything. `configuration` is the check that the settings came with; without keys the
    cloud is not asked. No check shows a secret of the settings."""
    folders = {meter.name: settings.folder_of(meter) for meter in settings.meters}
    home = home_zone(environ)
    looks = {meter.name: look_at(settings, meter, home, clock()) for meter in settings.meters}
    zones = {meter.name: zone_of(looks[meter.name], meter, home) for meter in settings.meters}

    def reason_to_be_quiet() -> str:
        now = clock().timestamp()
        return presence_of(settings.archive, folders, environ, now).reason_to_be_quiet(now)

    quiet = reason_to_be_quiet() if has_keys else "the key is not known"
    heard = Heard() if quiet else await listen(settings, zones, clock, reason_to_be_quiet)
    now = clock()
    presence = presence_of(settings.archive, folders, environ, now.timestamp())
    remembered = remembered_for_others(settings.archive, environ)
    found = [configuration, _archive(settings, folders, presence)]
    found.append(service_check(presence, now.timestamp()))
    offsets = [each.offset_s for each in heard.accounts if each.offset_s is not None]
    newest = max((look.newest for look in looks.values() if look.newest), default=None)
    found.append(
        clock_hearsay(presence.standing)
        or clock_check(now, date_in(home, now), min(offsets, key=abs, default=None), newest)
    )
    remembered = remembered_for_others(settings.archive, environ)
    by_name = {each.account.name: each for each in heard.accounts}
    for account in settings.accounts:
        told = by_name.get(account.account.name)
        found += _of_account(account, told, presence, quiet, now)
        for meter in account.meters:
            found += mark_check(folders[meter.name], meter, presence.refused(meter.name), remembered)
            meter_heard = next((each for each in told.meters if each.meter == meter), None) if told else None
            found += _of_meter(meter, meter_heard, looks[meter.name], presence, quiet, home, now)
    redact = redactor(settings.secrets)
    checks = tuple(each._replace(says=redact(each.says), cure=redact(each.cure)) for each in found)
    return Examination(checks, heard.requests, presence)


def _archive(settings: Settings, folders: Mapping[str, Path], presence: Presence) -> Check:
    """Also with the unit's eyes, unless the service shows that it may."""
    kept_out = None if presence.is_held else obstacle(settings.source, settings.archive)
    if kept_out is not None:
        return fail("archive", kept_out.says, kept_out.cure)
    return archive_check(settings.archive, folders.values())


def _of_account(
    account: AccountSettings, heard: AccountHeard | None, presence: Presence, quiet: str, now: datetime
) -> Iterator[Check]:
    standing = presence.standing
    told = None if standing is None else standing.accounts.get(account.account.name)
    if heard is not None:
        yield from account_checks(heard, told)
    else:
        yield from account_hearsay(account.account, standing, quiet, now.timestamp())
        silent = AccountHeard(account.account, [])
        *_, pace = account_checks(silent, told)
        yield pace if told else skip("pace", f"Not asked: {quiet}.", account.account.name)


def _of_meter(
    meter: Meter,
    heard: MeterHeard | None,
    look: Stored,
    presence: Presence,
    quiet: str,
    home: ZoneInfo,
    now: datetime,
) -> Iterator[Check]:
    if heard is not None:
        has_history = any(state.complete for state in look.known.values())
        yield from meter_checks(heard, has_history=has_history)
    else:
        yield from meter_hearsay(meter, presence.standing, quiet, now.timestamp())
    yield (
        zone_lack(meter, heard, look.unknown_zone, look.doubt)
        or (None if heard else zone_hearsay(meter, presence.standing))
        or zone_check(heard.zone if heard else None, meter, look.zone, home, date_in(home, now))
    )
    fetched = [heard.read.energy_day] if heard and heard.read else []
    yield clamps_check(meter, (*look.recent, *fetched))
