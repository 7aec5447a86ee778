"""`shelly-collector status`: how collecting stands, from the files alone."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.cli import exits, starting
from collector.energy.history import DayState
from collector.events import CURES
from collector.service.overview import MeterOverview, Overview
from collector.status import AccountStanding, Failure, Standing

if TYPE_CHECKING:
    from collector.service.overview import Overview
    from collector.settings import Settings


def as_dict(seen: Overview) -> dict[str, Any]:
    """Times are UTC, ages seconds, days dates; what is not known is null."""
    standing = seen.standing
    return {
        "schema": 1,
        "now": seen.now.isoformat(timespec="seconds"),
        "service": _service(standing if seen.runs else None),
        "accounts": [] if standing is None else [_account(*each) for each in standing.accounts.items()],
        "meters": [_meter(each) for each in seen.meters],
    }


def _service(standing: Standing | None) -> dict[str, Any]:
    return {
        "running": standing is not None,
        "pid": None if standing is None else standing.pid,
        "started_at": None if standing is None else _moment(standing.started_at),
        "next_run_at": None if standing is None else _moment(standing.next_run_at),
        "jobs": 0 if standing is None else standing.jobs,
    }


def _account(name: str, account: AccountStanding) -> dict[str, Any]:
    return {
        "name": name,
        "requests_today": account.requests_today,
        "holds_today": account.holds_today,
        "trouble": _failure(account.trouble),
    }


def _meter(meter: MeterOverview) -> dict[str, Any]:
    counts = meter.counts
    return {
        "name": meter.name,
        "timezone": meter.zone.key,
        "unknown_timezone": meter.unknown_zone,
        "health": meter.health.state.value,
        "reason": meter.health.reason,
        "newest_hour": _moment(meter.newest_hour),
        "age_s": meter.health.age_s,
        "hours_today": meter.hours_today,
        "hours_today_over": meter.hours_over,
        "missing_hours": meter.missing_hours,
        "days": {state.value: counts[state] for state in DayState if state is not DayState.TODAY},
        "beginning": None if meter.beginning is None else meter.beginning.isoformat(),
        "days_beyond_retention": meter.forgotten,
        "expiring_days": [day.isoformat() for day in meter.expiring],
        "last_success": _moment(meter.answered_at),
        "last_error": _failure(meter.failure),
        "archive_in_use": meter.is_held,
        "quarantined": meter.quarantined,
        "incomplete_days": _incomplete(meter.states),
    }


def _incomplete(states: Mapping[date, DayState]) -> dict[str, str]:
    return {
        day.isoformat(): state.value
        for day, state in states.items()
        if state not in (DayState.COMPLETE, DayState.TODAY)
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


def run(options: argparse.Namespace) -> int:
    """Shows how collecting stands; 0, or 1 when the newest hour of a meter is older than it may be."""
    from dataclasses import replace

    try:
        settings = starting.only_meters(starting.settings_without_keys(options.config), options.meter)
        if options.max_age is not None:
            settings = replace(settings, health=replace(settings.health, max_age_s=options.max_age * 3600))
        seen = _look(settings)
    except starting.Refused as refusal:
        return starting.refused(refusal)
    if options.json:
        # REGROUP

        print(json.dumps(as_dict(seen)))
    else:
        from collector.cli.status_text import lines

        print("\n".join(lines(seen, sys.stdout, os.environ, whole=options.all)))
    return exits.DONE if all(each.health.state == "good" for each in seen.meters) else exits.IN_PART


def _look(settings: Settings) -> Overview:
    from collector.energy.days import wall_clock
    from collector.service.overview import overview

    try:
        return overview(settings, wall_clock(), os.environ)
    except OSError as error:
        raise starting.unreadable(error, settings.archive) from None


def _hours(text: str) -> float:
    with suppress(ValueError):
        if 0 < (hours := float(text)) < 1_000_000:
            return hours
    raise argparse.ArgumentTypeError("must be a number of hours, more than 0 and less than 1,000,000")
