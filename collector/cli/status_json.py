"""`status --json`: the overview as JSON. The schema stands in the README; keys are only ever added."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from collector.energy.coverage import DayState
from collector.events import CURES
from collector.service.overview import MeterOverview, Overview
from collector.service.standing import AccountStanding, Failure, Standing


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
