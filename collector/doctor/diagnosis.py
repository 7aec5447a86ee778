"""The diagnosis: every check of `doctor`, in order; a failed one does not stop the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from collector.archive.dayfile import stored_day
from collector.archive.folder import LEDGER_NAME, OWN_FOLDER, decode_file, survey
from collector.archive.ledger import Ledger
from collector.archive.mark import remembered_for_others
from collector.cloud.meters import Meter
from collector.doctor.checks import Check, account_checks, fail, failure_now, meter_checks, ok, skip, warn
from collector.doctor.machine import (
    archive_check,
    busy_reason,
    clock_check,
    mark_check,
    read_service,
    service_check,
)
from collector.doctor.probe import MeterResult, probe
from collector.energy.days import Clock, date_in, is_zone_name, known_zone, local_day, system_timezone
from collector.energy.plausibility import ENOUGH_DAYS, Clamps, Doubt, doubts
from collector.energy.readings import EnergyDay
from collector.energy.zones import rules_of
from collector.errors import CollectorError, DamagedFile, PublishError, ZoneContradicted
from collector.events import CURES
from collector.publish.targets import Target
from collector.redaction import redactor
from collector.service.systemd import obstacle
from collector.settings import Settings
from collector.status import MeterStatus, Status


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks, how many requests were sent, and the service's last status."""

    checks: tuple[Check, ...]
    requests: int
    status: Status | None


async def diagnose(
    settings: Settings, configuration: Check, clock: Clock, environ: Mapping[str, str], *, has_keys: bool
) -> Diagnosis:
    """Runs every check. `configuration` is the check of the settings; without keys no request is sent to the
    cloud. No check shows a secret of the settings."""
    folders = {meter.name: settings.folder_of(meter) for meter in settings.meters}
    machine_zone = system_timezone(environ)
    stored = {meter.name: read_stored(settings, meter, machine_zone, clock()) for meter in settings.meters}
    zones = {meter.name: stored[meter.name].zone or meter.zone_or(machine_zone) for meter in settings.meters}

    def busy_now() -> str:
        now = clock().timestamp()
        locks, status, _ = read_service(settings.archive, folders, environ, now)
        return busy_reason(locks, status, now)

    busy = busy_now() if has_keys else "the key is not known"
    results, requests = ([], 0) if busy else await probe(settings, zones, clock, busy_now)
    now = clock()
    today, seconds = date_in(machine_zone, now), now.timestamp()
    locks, status, last = read_service(settings.archive, folders, environ, seconds)
    if not any(locks.values()) and (kept_out := obstacle(settings.source, settings.archive)):
        archive = fail(kept_out.reason, kept_out.cure)
    else:
        archive = archive_check(settings.archive, folders.values())
    offsets = [each.offset_s for each in results if each.offset_s is not None]
    newest = max((each.newest for each in stored.values() if each.newest), default=None)
    service = service_check(locks, status, last, seconds)
    on_clock = clock_check(now, today, min(offsets, key=abs, default=None), newest, status)
    found = [*_named("", configuration=configuration, archive=archive, service=service, clock=on_clock)]
    remembered = remembered_for_others(settings.archive, environ)
    results_by_name = {each.account.name: each for each in results}
    for each in settings.accounts:
        account, result = each.account, results_by_name.get(each.account.name)
        found += _named(account.name, **account_checks(account, result, status, busy, seconds))
        for place, meter in enumerate(each.meters):
            here, reported = stored[meter.name], status.meters.get(meter.name) if status else None
            answer = result.meters[place] if result else None
            refused = reported.refused if reported and not locks.get(meter.name) else ""
            found += _named(
                meter.name,
                archive=mark_check(folders[meter.name], meter, refused, remembered),
                **meter_checks(meter, answer, reported, busy, seconds, has_history=here.has_complete),
                zone=zone_check(meter, answer, reported, here, machine_zone, today),
                clamps=clamps_check(meter, answer, here),
            )
    for target in settings.targets if has_keys else ():
        found += _named(target.name, publish=await target_check(target))
    redact = redactor(settings.secrets)
    checks = tuple(each._replace(text=redact(each.text), cure=redact(each.cure)) for each in found)
    return Diagnosis(checks, requests, last)


async def target_check(target: Target) -> Check:
    """Whether a target can be reached and takes hours; sends none."""
    from collector.publish.publisher import opened

    try:
        async with asyncio.timeout(_PROBE_S), opened(target) as sender:
            return ok(f"{await sender.probe()}.")
    except TimeoutError:
        return fail(f"{target.host} did not answer within {_PROBE_S:g} s.", CURES["publish.failed"])
    except PublishError as error:
        return fail(f"{error.reason}.", error.cure or CURES["publish.failed"])


def _named(of: str, **checks: Check | None) -> Iterator[Check]:
    """The checks, without those that are `None`, with their names and what they are of."""
    return (each._replace(name=name, of=of) for name, each in checks.items() if each is not None)


_NO_PERMISSION = skip("This user cannot read the stored days.", "Run it with sudo.")
_RECENT_DAYS = 7
_PROBE_S = 20.0  # of a target


@dataclass(frozen=True, slots=True)
class Stored:
    """A meter's zone where that is known, its newest day with a file, and its `recent` complete days.

    `unknown_zone`: the recorded zone if this machine does not know it; `doubt`: why the rules of the zone
    are in doubt. Both are else empty. `is_unreadable`: this user cannot read the folder.
    """

    zone: ZoneInfo | None = None
    newest: date | None = None
    recent: tuple[EnergyDay, ...] = ()
    has_complete: bool = False
    unknown_zone: str = ""
    doubt: str = ""
    is_unreadable: bool = False


def read_stored(settings: Settings, meter: Meter, machine_zone: ZoneInfo, now: datetime) -> Stored:
    """What is stored at `now`, without what cannot be read, which other checks report."""
    folder = settings.folder_of(meter)
    try:
        known, zone, _ = survey(folder, settings.day_format)
        ledger = Ledger(folder / OWN_FOLDER / LEDGER_NAME)
    except (OSError, CollectorError) as error:
        return Stored(is_unreadable=isinstance(error, PermissionError))
    today = date_in(zone or machine_zone, now)
    complete = sorted(day for day, state in known.items() if state.complete)
    recent = []
    for day in [day for day in complete if day < today][-_RECENT_DAYS:]:
        with suppress(DamagedFile, OSError):
            file = decode_file(folder / f"{day}.jsonl", day)
            local = local_day(day, zone or machine_zone)
            recent.append(stored_day(file, local, no_solar=meter.has_no_solar))
    suspicion = ledger.suspicion
    if suspicion is not None and zone is not None and rules_of(zone).checksum != suspicion.checksum:
        suspicion = None  # it is about older rules
    return Stored(
        zone,
        max((day for day, state in known.items() if state.stored), default=None),
        tuple(recent),
        bool(complete),
        ledger.zone if ledger.zone and zone is None else "",
        suspicion.reason if suspicion is not None else "",
    )


def zone_check(
    meter: Meter,
    result: MeterResult | None,
    reported: MeterStatus | None,
    stored: Stored,
    machine_zone: ZoneInfo,
    today: date,
) -> Check:
    """Whether the zone is known here, its rules are right, and it is that of the configuration and the files.

    `reported` is the meter's status by the service; it counts if there was no probe.
    """
    unknown, doubt = stored.unknown_zone, stored.doubt
    if result is not None and result.body is not None:
        name = result.body.get("timezone")
        unknown = name if isinstance(name, str) and is_zone_name(name) and known_zone(name) is None else ""
        if isinstance(result.error, ZoneContradicted):
            doubt = f"{result.error} of {result.day}"
    if unknown:
        text = f"The meter's time zone, {unknown}, is unknown to this machine"
        if meter.timezone is None:
            return fail(f"{text}: nothing can be stored.", CURES["zone.unknown"])
        return warn(f"{text}; the configured one, {meter.timezone}, counts.", CURES["zone.unknown"])
    if doubt:
        text = f"This machine's rules of the meter's time zone may be wrong: {doubt}. No new day is complete."
        return fail(text, CURES["zone.suspected"])
    failure = failure_now(reported) if result is None else None
    if failure is not None and failure.event in ("zone.unknown", "zone.suspected"):
        return fail(f"The service could not use an answer: {failure.reason}.", CURES[failure.event])
    answered = result.zone if result else None
    zone = answered or stored.zone
    if stored.is_unreadable and answered is None:
        return _NO_PERMISSION
    if zone is None:
        return skip("The meter's time zone is not known yet: no answer has named it.")
    for other, where in (
        (known_zone(meter.timezone), f"the configuration says {meter.timezone}"),
        (stored.zone, f"its files so far say {stored.zone}"),
    ):
        if other is not None and not same_hours(zone, other, today.year):
            return warn(
                f"{'The meter is' if answered else 'The stored days are'} in {zone.key}, but {where}.",
                f'Set timezone = "{zone.key}" or leave it out: the zone of the meter is used. If that one '
                "is wrong, set its location in the app.",
            )
    text = f"{zone.key}{', as configured' if meter.timezone else ''}"
    rules = rules_of(zone)
    if rules.are_stale(today):
        update = "pip install -U tzdata" if rules.in_package else "apt update && apt install tzdata"
        return warn(
            f"{text}; but this machine's rules for it are of {rules.release}, two years old or more.",
            f"Later changes are missing in them. Update: {update}.",
        )
    if same_hours(zone, machine_zone, today.year):
        return ok(f"{text}, which is also this machine's.")
    return ok(f"{text}; this machine is in {machine_zone.key}, which does not matter to the files.")


def same_hours(one: ZoneInfo, other: ZoneInfo, year: int) -> bool:
    """Whether both have the same local time all that year; many zones have several names."""
    noons = (datetime(year, 1, 1, 12, tzinfo=UTC) + timedelta(days=number) for number in range(365))
    return one.key == other.key or all(
        noon.astimezone(one).utcoffset() == noon.astimezone(other).utcoffset() for noon in noons
    )


_AT_NOON = "In the app, on a sunny noon, the roof's channel is the one that shows most."
_DOUBTS = {
    Doubt.CHANNELS_SWAPPED: (
        "Import has the shape of the sun, nothing at night and most around noon, and solar has a house's, "
        "more at night than by day: grid and solar clamp look swapped",
        f"Swap grid_channel and solar_channel. {_AT_NOON}",
    ),
    Doubt.GRID_LIKE_A_ROOF: (
        "Import has the shape of the sun, nothing at night and most around noon, and nothing is exported",
        "Either grid and solar clamp are swapped, or a battery feeds the house at night and is charged from "
        f"the grid by day, which is right. {_AT_NOON}",
    ),
    Doubt.SOLAR_AT_NIGHT: (
        "Solar energy is measured at night, in many nights",
        "With a hybrid inverter, or a battery behind the solar clamp, this is right: nothing to do. Without "
        "one, the clamp is on another wire, or the time zone in the app is wrong: check the clamp, and "
        f"solar_channel. {_AT_NOON}",
    ),
    Doubt.EXPORT_AT_NIGHT: (
        "More is exported than bought at night, without sun: the grid clamp looks turned around",
        "If no battery sells at night, turn it around, or reverse it in the app.",
    ),
    Doubt.EXPORT_EXCEEDS_SOLAR: (
        "More was exported than generated: a clamp looks reversed, or measures only a part of the roof",
        "Check both clamps. A battery or a second inverter causes the same.",
    ),
    Doubt.SOLAR_ALWAYS_ZERO: (
        "Solar was never above zero: the solar clamp looks missing or reversed",
        "Check it; if there is none, set solar = false.",
    ),
    Doubt.IMPORT_ALWAYS_ZERO: (
        "Nothing was ever bought: the grid clamp looks missing or reversed",
        "Check it, and grid_channel. A large battery causes the same.",
    ),
}


def clamps_check(meter: Meter, result: MeterResult | None, stored: Stored) -> Check:
    """Whether the days look as if the clamps are right. Of a stored day that was requested the answer counts.

    The text contains no kWh values: they would show when people are at home.
    """
    if stored.is_unreadable:
        return _NO_PERMISSION
    fetched = [result.read.energy_day] if result and result.read else []
    unique = list({day.day.date: day for day in (*stored.recent, *fetched)}.values())
    found = doubts(unique, Clamps(meter.solar, meter.pv_kwh_discard))
    if found is None:
        return skip(f"Fewer than {ENOUGH_DAYS} complete days are stored.")
    if not found:
        return ok(f"Nothing unusual in the last {len(unique)} days.")
    text, cure = _DOUBTS[found[0]]
    more = "".join(f"; {_DOUBTS[each][0][0].lower()}{_DOUBTS[each][0][1:]}" for each in found[1:])
    return warn(f"{text}{more}.", cure)
