"""Overview: how collecting stands, from the files alone; whether the service runs or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from collector.archive.files import is_held
from collector.archive.folder import (
    OWN_FOLDER,
    hours_of_today,
    missing_hours,
    newest_whole_hour,
    quarantined_in,
    recorded_zone,
    survey,
)
from collector.archive.mark import mark_for
from collector.cloud.meters import Meter
from collector.energy.days import date_in, home_zone
from collector.energy.history import (
    DayRecord,
    DayState,
    coverage,
    expiring_days,
    first_day,
    forgotten,
    latest,
)
from collector.errors import ArchiveRefused
from collector.settings import Settings
from collector.status import (
    Failure,
    Health,
    MeterStanding,
    Signs,
    Standing,
    is_alive,
    is_running,
    judge,
    read_standing,
    trouble_with,
)


@dataclass(frozen=True, slots=True)
class MeterOverview:
    """One meter. `newest_hour` and `answered_at` are epoch seconds. `unknown_zone` is the name of its zone
    where this machine's list lacks it; `zone` is then the configured one, or this machine's.

    `hours_today` of the `hours_over` hours that are over are stored whole. `missing_hours`: all that
    are over since the meter began and not known on every channel. `states` has each day since then,
    oldest first; `beginning` is where the cloud's totals show that it began; `forgotten` of the complete
    ones the cloud no longer keeps. `is_held`: a process collects into its folder now. `quarantined`
    files could not be trusted and were moved aside.
    """

    name: str
    zone: ZoneInfo
    health: Health
    newest_hour: int | None
    hours_today: int
    hours_over: int
    missing_hours: int
    states: Mapping[date, DayState]
    forgotten: int
    expiring: tuple[date, ...]
    beginning: date | None
    answered_at: int | None
    failure: Failure | None
    is_held: bool
    quarantined: int
    unknown_zone: str | None = None

    @property
    def counts(self) -> Counter[DayState]:
        """How many days are in each state."""
        return Counter(self.states.values())


@dataclass(frozen=True, slots=True)
class Overview:
    """All meters, and what the service said last; `runs` tells whether it is that service that works now."""

    now: datetime
    home_zone: ZoneInfo
    runs: bool
    standing: Standing | None
    meters: tuple[MeterOverview, ...]


def overview(settings: Settings, now: datetime, environ: Mapping[str, str]) -> Overview:
    """How collecting stands at `now`. Raises `OSError` where this user may not read the files."""
    home = home_zone(environ)
    standing = read_standing(settings.archive, environ)
    lives = standing is not None and is_alive(standing)
    held = {}
    for meter in settings.meters:
        is_locked = is_held(settings.folder_of(meter) / OWN_FOLDER / "lock")
        held[meter.name] = lives if is_locked is None else is_locked
    runs = standing is not None and is_running(standing, now.timestamp(), holds=any(held.values()))
    watched_since = standing.started_at if standing is not None and runs else None
    meters = []
    for meter in settings.meters:
        told = MeterStanding() if standing is None else standing.meters.get(meter.name, MeterStanding())
        trouble = trouble_with(standing, meter.name) if standing is not None and runs else ""
        seen = _Seen(now, home, told, watched_since, trouble, is_held=held[meter.name])
        meters.append(_meter(settings, meter, seen))
    return Overview(now, home, runs, standing, tuple(meters))


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of a meter besides its files."""

    now: datetime
    home: ZoneInfo
    told: MeterStanding
    watched_since: int | None
    trouble: str
    is_held: bool


def _meter(settings: Settings, meter: Meter, seen: _Seen) -> MeterOverview:
    folder, now = settings.folder_of(meter), seen.now
    known, zone, availability = survey(folder, settings.day_format)
    unknown = recorded_zone(folder) if zone is None else None
    zone = zone or meter.zone_or(seen.home)
    today = date_in(zone, now)
    newest = newest_whole_hour(folder, known, zone, no_solar=meter.has_no_solar)
    hours_today, hours_over = hours_of_today(folder, today, zone, now, no_solar=meter.has_no_solar)
    answered_at = seen.told.answered_at or _saved_at(folder, known)
    refused, since = _marked(folder, meter, seen)
    states = coverage(today, known, availability, settings.plan, since)
    incomplete = [day for day, state in states.items() if state is not DayState.COMPLETE]
    signs = Signs(newest, answered_at, seen.watched_since, seen.trouble, refused)
    return MeterOverview(
        name=meter.name,
        zone=zone,
        health=judge(signs, now.timestamp(), settings.health),
        newest_hour=newest,
        hours_today=hours_today,
        hours_over=hours_over,
        missing_hours=missing_hours(folder, known, zone, incomplete, now, no_solar=meter.has_no_solar),
        states=states,
        forgotten=forgotten(today, states),
        expiring=tuple(
            expiring_days(today, first_day(today, settings.plan.backfill_days, since), known, availability)
        ),
        beginning=availability.beginning_seen(first_day(today, None, None)) if availability else None,
        answered_at=answered_at,
        failure=seen.told.failure,
        is_held=seen.is_held,
        quarantined=quarantined_in(folder),
        unknown_zone=unknown,
    )


def _marked(folder: Path, meter: Meter, seen: _Seen) -> tuple[str, date | None]:
    """Why the folder must not be used for the meter, by its mark or as the service said it last; and the
    first day that is asked for."""
    try:
        mark = mark_for(folder, meter.identity)
    except ArchiveRefused as refusal:
        return str(refusal), meter.since
    since = latest(meter.since, mark.since if mark else None)
    return (seen.told.refused if seen.watched_since and not seen.is_held else ""), since


def _saved_at(folder: Path, known: Mapping[date, DayRecord]) -> int | None:
    """When the newest day was last saved: all there is where no service has said more."""
    newest = max((day for day, state in known.items() if state.stored), default=None)
    if newest is None:
        return None
    with suppress(FileNotFoundError):
        return int((folder / f"{newest}.jsonl").stat().st_mtime)
    return None
