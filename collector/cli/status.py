"""`shelly-collector status`: the state of collecting, from the day files and the service's status file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from collector import __version__
from collector.archive.folder import hours_of_today, ledger_of, quarantined_in, survey
from collector.archive.mark import mark_for
from collector.cli import exits, starting
from collector.cloud.meters import Meter
from collector.energy.days import date_in, system_timezone, wall_clock
from collector.energy.history import DayRecord, DayState, forgotten, latest
from collector.errors import ArchiveRefused
from collector.events import CURES
from collector.status import (
    AccountStatus,
    Failure,
    MeterStatus,
    State,
    Status,
    is_in_use,
    is_running,
    judged,
    meter_status,
    read_status,
)

if TYPE_CHECKING:
    from collector.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--meter", action="append", metavar="NAME", help="only this meter (default: all)")
    parser.add_argument(
        "--all", action="store_true", help="show every day since the beginning, not only the last year"
    )
    parser.add_argument(
        "--max-age",
        type=_hours,
        metavar="HOURS",
        help="exit 1 when the newest hour is older (default: max_age_h of the configuration, 26)",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _hours(text: str) -> float:
    with suppress(ValueError):
        if 0 < (hours := float(text)) < 1_000_000:
            return hours
    raise argparse.ArgumentTypeError("must be a number of hours, more than 0 and less than 1,000,000")


def run(options: argparse.Namespace) -> int:
    """Prints the status; returns 0, or 1 if the newest hour of a meter is too old."""
    try:
        settings = starting.only_meters(starting.settings_without_keys(options.config), options.meter)
        if options.max_age is not None:
            settings = replace(settings, health=replace(settings.health, max_age_s=options.max_age * 3600))
        try:
            status = status_of(settings, wall_clock(), os.environ)
        except OSError as error:
            raise starting.unreadable(error, settings.archive) from None
    except starting.Refused as refusal:
        return starting.refused(refusal)
    if options.json:
        print(json.dumps(as_dict(status)))
    else:
        from collector.cli.status_text import lines

        home = system_timezone(os.environ)
        print("\n".join(lines(status, home, sys.stdout, os.environ, whole=options.all)))
    return exits.DONE if status.state is State.GOOD else exits.IN_PART


def status_of(settings: Settings, now: datetime, environ: Mapping[str, str]) -> Status:
    """The status at `now`, also if the service is not running: its last status, and each meter from its day
    files. Raises `OSError` if this user cannot read the files.
    """
    home = system_timezone(environ)
    last = read_status(settings.archive, environ)
    held = {meter.name: is_in_use(settings.folder_of(meter), last) for meter in settings.meters}
    runs = last is not None and is_running(last, now.timestamp(), holds=any(held.values()))
    last = last or Status(__version__, 0, 0, 0, "")
    meters = {}
    for meter in settings.meters:
        reported = last.meters.get(meter.name, MeterStatus())
        refused = reported.refused if runs and not held[meter.name] else ""
        found = _meter_status(settings, meter, replace(reported, refused=refused), home, now)
        meters[meter.name] = replace(found, is_held=held[meter.name])
    status = replace(last, written_at=int(now.timestamp()), meters=meters, is_running=runs)
    return judged(status, now.timestamp(), settings.health)


def _meter_status(
    settings: Settings, meter: Meter, reported: MeterStatus, home: ZoneInfo, now: datetime
) -> MeterStatus:
    """One meter, without a state; `reported` is its last status from the service."""
    folder, no_solar = settings.folder_of(meter), meter.has_no_solar
    known, recorded, availability = survey(folder, settings.day_format)
    zone = recorded or meter.zone_or(home)
    since, refused = meter.since, reported.refused
    try:
        mark = mark_for(folder, meter.identity)
        since = latest(since, mark.since if mark else None)
    except ArchiveRefused as refusal:
        refused = str(refusal)
    hours_today, hours_over = hours_of_today(folder, date_in(zone, now), zone, now, no_solar=no_solar)
    found = meter_status(folder, known, zone, availability, settings.plan, since, now, no_solar=no_solar)
    return replace(
        found,
        answered_at=reported.answered_at or _saved_at(folder, known),
        failure=reported.failure,
        trouble=reported.trouble,
        refused=refused,
        hours_today=hours_today,
        hours_over=hours_over,
        quarantined=quarantined_in(folder),
        unknown_zone=ledger_of(folder).zone if recorded is None else None,
    )


def _saved_at(folder: Path, known: Mapping[date, DayRecord]) -> int | None:
    """When the newest day was last saved, epoch seconds; used if no service has reported a success."""
    newest = max((day for day, state in known.items() if state.stored), default=None)
    if newest is None:
        return None
    with suppress(FileNotFoundError):
        return int((folder / f"{newest}.jsonl").stat().st_mtime)
    return None


def as_dict(status: Status) -> dict[str, Any]:
    """The status for `--json`. Times are UTC, ages seconds, days dates; unknown values are null."""
    runs = status.is_running
    return {
        "schema": 1,
        "now": _moment(status.written_at),
        "service": {
            "running": runs,
            "pid": status.pid if runs else None,
            "started_at": _moment(status.started_at) if runs else None,
            "next_run_at": _moment(status.next_run_at) if runs else None,
            "jobs": status.jobs if runs else 0,
        },
        "accounts": [_account(*each) for each in status.accounts.items()],
        "meters": [_meter(*each) for each in status.meters.items()],
    }


def _account(name: str, account: AccountStatus) -> dict[str, Any]:
    return {
        "name": name,
        "requests_today": account.requests_today,
        "holds_today": account.holds_today,
        "trouble": _failure(account.trouble),
    }


def _meter(name: str, meter: MeterStatus) -> dict[str, Any]:
    counts = Counter(meter.states.values())
    return {
        "name": name,
        "timezone": meter.zone and meter.zone.key,
        "unknown_timezone": meter.unknown_zone,
        "health": meter.state,
        "reason": meter.reason,
        "newest_hour": _moment(meter.newest_hour),
        "age_s": meter.age_s,
        "hours_today": meter.hours_today,
        "hours_today_over": meter.hours_over,
        "missing_hours": meter.missing_hours,
        "days": {state.value: counts[state] for state in DayState if state is not DayState.TODAY},
        "beginning": meter.beginning and meter.beginning.isoformat(),
        "days_beyond_retention": forgotten(max(meter.states), meter.states),
        "expiring_days": [day.isoformat() for day in meter.expiring],
        "last_success": _moment(meter.answered_at),
        "last_error": _failure(meter.failure),
        "archive_in_use": meter.is_held,
        "quarantined": meter.quarantined,
        "incomplete_days": {
            day.isoformat(): state
            for day, state in meter.states.items()
            if state not in (DayState.COMPLETE, DayState.TODAY)
        },
    }


def _failure(failure: Failure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {
        "event": failure.event,
        "at": _moment(failure.at),
        "reason": failure.reason,
        "cure": failure.cure or CURES.get(failure.event, ""),
    }


def _moment(ts: int | None) -> str | None:
    return None if ts is None else datetime.fromtimestamp(ts, UTC).isoformat()
