"""Meters as their files show them, without the service: the status, and each day with its hours.

For the commands `status`, `report` and `export`, and for the page. Nothing is changed, and no lock is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from collector import __version__
from collector.archive.dayfile import DayFormat, stored_day
from collector.archive.files import is_there
from collector.archive.folder import (
    decode_file,
    hours_of_today,
    ledger_of,
    quarantined_in,
    survey,
)
from collector.archive.mark import mark_for
from collector.cloud.meters import Meter
from collector.energy.daily_totals import decimals_of
from collector.energy.days import LocalDay, date_in, local_day, system_timezone
from collector.energy.history import (
    NOTHING,
    DayRecord,
    DayState,
    Outcome,
    PlanPolicy,
    coverage,
    forgotten,
    latest,
)
from collector.energy.readings import EnergyDay, HourReading
from collector.energy.totals import DayHours
from collector.errors import ArchiveRefused, DamagedFile
from collector.redaction import printable
from collector.status import (
    Failure,
    MeterStatus,
    Status,
    is_in_use,
    is_running,
    judged,
    meter_status,
    read_status,
)

MOST_DECIMALS = 6
"""Decimals of kWh values at most; files of the older utility may have more."""
_USUAL = Decimal("0.0001")
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class MeterFiles:
    """A meter and its day files: the account's name, the folder, and how days are written and planned."""

    meter: Meter
    account: str
    folder: Path
    day_format: DayFormat
    plan: PlanPolicy


@dataclass(frozen=True, slots=True)
class ArchiveFiles:
    """The folder of a service's archive and the meters in it. `max_age_s`: how old the newest hour may be."""

    folder: Path
    meters: tuple[MeterFiles, ...]
    max_age_s: float


# -- The status -----------------------------------------------------------------------------------------


def status_of(archive: ArchiveFiles, now: datetime, environ: Mapping[str, str]) -> Status:
    """The status at `now`, also if the service is not running: its last status, and each meter from its day
    files. Raises `OSError` if this user cannot read the files.
    """
    machine_zone = system_timezone(environ)
    last = read_status(archive.folder, environ)
    held = {each.meter.name: is_in_use(each.folder, last) for each in archive.meters}
    runs = last is not None and is_running(last, now.timestamp(), holds=any(held.values()))
    last = last or Status(__version__, 0, 0, 0, "")
    meters = {}
    for each in archive.meters:
        name = each.meter.name
        reported = last.meters.get(name, MeterStatus())
        refused = reported.refused if runs and not held[name] else ""
        found = _meter_status(each, replace(reported, refused=refused), machine_zone, now)
        meters[name] = replace(found, is_held=held[name])
    status = replace(last, written_at=int(now.timestamp()), meters=meters, is_running=runs)
    return judged(status, now.timestamp(), archive.max_age_s)


def _meter_status(
    files: MeterFiles, reported: MeterStatus, machine_zone: ZoneInfo, now: datetime
) -> MeterStatus:
    """One meter, without a state; `reported` is its last status from the service."""
    folder, meter = files.folder, files.meter
    known, recorded, availability = survey(folder, files.day_format)
    zone = recorded or meter.zone_or(machine_zone)
    since, refused = meter.since, reported.refused
    try:
        since = _since(files)
    except ArchiveRefused as refusal:
        refused = str(refusal)
    no_solar = meter.has_no_solar
    hours_today, hours_over = hours_of_today(folder, date_in(zone, now), zone, now, no_solar=no_solar)
    found = meter_status(folder, known, zone, availability, files.plan, since, now, no_solar=no_solar)
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


def _since(files: MeterFiles) -> date | None:
    """The first day that is requested: the setting, or a later one in the archive's mark.

    Raises `ArchiveRefused` if the folder is another meter's.
    """
    mark = mark_for(files.folder, files.meter.identity)
    return latest(files.meter.since, mark.since if mark else None)


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
        "accounts": [
            {
                "name": name,
                "requests_today": account.requests_today,
                "holds_today": account.holds_today,
                "trouble": _failure(account.trouble),
            }
            for name, account in status.accounts.items()
        ],
        "meters": [_meter(*each) for each in status.meters.items()],
        "targets": [
            {
                "name": name,
                "kind": target.kind,
                "last_sent": _moment(target.sent_at),
                "failure": _failure(target.failure),
            }
            for name, target in status.targets.items()
        ],
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
        "cure": failure.advice,
    }


def _moment(ts: int | None) -> str | None:
    return None if ts is None else datetime.fromtimestamp(ts, UTC).isoformat()


# -- Days and hours -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class History:
    """The days that a meter's archive should have, oldest first, and what is known of each, at `now`.

    `zone` is the meter's. The last day is today.
    """

    files: MeterFiles
    zone: ZoneInfo
    now: datetime
    states: Mapping[date, DayState]
    known: Mapping[date, DayRecord]

    @property
    def stored(self) -> list[date]:
        """The days that have a file, oldest first."""
        return sorted(day for day, record in self.known.items() if record.stored)

    def days(self, since: date, until: date) -> Iterator[DayHours]:
        """The days in `[since, until)` with their hours, as their files are now. Raises `OSError`."""
        for day in self.states:
            if since <= day < until:
                yield self.day(day)

    def day(self, day: date) -> DayHours:
        """One of the days in `states`, as its file is now. Raises `OSError`."""
        return _day_hours(self, day, self.states[day])


def history_of(files: MeterFiles, machine_zone: ZoneInfo, now: datetime) -> History:
    """The meter's days by its files at `now`. Reads every file; raises `OSError`.

    `machine_zone` is used before the cloud has named the meter's.
    """
    known, recorded, availability = survey(files.folder, files.day_format)
    zone = recorded or files.meter.zone_or(machine_zone)
    since = files.meter.since
    with suppress(ArchiveRefused):  # the status reports it
        since = _since(files)
    states = coverage(date_in(zone, now), known, availability, files.plan, since)
    return History(files, zone, now, states, known)


def _day_hours(history: History, day: date, state: DayState) -> DayHours:
    record, now_s = history.known.get(day, NOTHING), history.now.timestamp()
    held_back = record.last_attempt is not None and record.last_attempt.is_held_back
    found, damage = stored_hours(history.files, day, history.zone, held_back=held_back)
    local = found.day
    hours = tuple(found.readings.get(ts) for ts in local.hours)
    # The last hour that is over is expected once the next one is, or it is there: it is fetched in between.
    finished = sum(
        local.end_of(ts) <= (now_s if ts in found.readings else now_s - _HOUR_S) for ts in local.hours
    )
    return DayHours(day, local.start, local.labels, hours, finished, state, _reason(state, record, damage))


def stored_hours(files: MeterFiles, day: date, zone: ZoneInfo, *, held_back: bool) -> tuple[EnergyDay, str]:
    """The hours of a day that its file has, and what is wrong with the file; empty if nothing is.

    Values have at most `MOST_DECIMALS` decimals. `held_back`: as in `stored_day`. Raises `OSError`.
    """
    found, damage = _energy_day(files, local_day(day, zone), held_back=held_back)
    if files.day_format.merge_repeated_hour:
        found = found.merge_repeated_hours()
    readings = found.readings
    hours = {ts: _at_most_rounded(readings[ts]) for ts in found.day.hours if ts in readings}
    return replace(found, readings=hours), damage


def _at_most_rounded(reading: HourReading) -> HourReading:
    """The reading with its own decimals, or with `MOST_DECIMALS` if it has more."""
    if all(value is None or value.same_quantum(_USUAL) for value in reading):  # much faster than to count
        return reading
    decimals = max(decimals_of(value) for value in reading if value is not None)
    return reading if decimals <= MOST_DECIMALS else reading.rounded(MOST_DECIMALS)


def _energy_day(files: MeterFiles, local: LocalDay, *, held_back: bool) -> tuple[EnergyDay, str]:
    """The readings in the day's file, which may be of hours of other days, and what is wrong with it."""
    path = files.folder / f"{local.date}.jsonl"
    if not is_there(path):
        return EnergyDay(local, {}), ""
    try:
        file = decode_file(path, local.date)
    except DamagedFile as error:
        return EnergyDay(local, {}), str(error)
    try:
        return stored_day(file, local, no_solar=files.meter.has_no_solar, held_back=held_back), ""
    except DamagedFile as error:  # of other rules of the zone: each hour is right, but may be of another day
        return EnergyDay(local, file.readings), str(error)


_REASONS = {
    DayState.COMPLETE: "",
    DayState.TODAY: "the day is in progress",
    DayState.PARTIAL: "hours are missing; the day is requested again",
    DayState.EMPTY: "the cloud has had no data of this day so far; it is requested again",
    DayState.MISSING: "the day has not been requested yet",
    DayState.GIVEN_UP: "still incomplete after two weeks of requests; now requested once a week",
    DayState.LOST: "incomplete, and the cloud has deleted it",
}


def _reason(state: DayState, record: DayRecord, damage: str) -> str:
    """Why the day is not complete, as a sentence for people."""
    if damage:
        return f"the file of the day cannot be used: {printable(damage)}"
    attempt = record.last_attempt
    if state in (DayState.COMPLETE, DayState.TODAY) or attempt is None:
        return _REASONS[state]
    if attempt.outcome is Outcome.FAILED and attempt.reason and not attempt.is_requested_again:
        return f"{_REASONS[state]}; the last request failed: {printable(attempt.reason)}"
    return _REASONS[state]
