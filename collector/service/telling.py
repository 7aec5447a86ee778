"""What is said of a day that was collected: one event a fact."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import date
from zoneinfo import ZoneInfo

from collector.archive.ledger import Suspicion
from collector.archive.store import DayOutcome, Quarantined
from collector.energy.knowledge import Outcome
from collector.energy.zones import are_one, rules_of
from collector.logs import Logger


def tell_day(log: Logger, outcome: DayOutcome, doubtful: int) -> None:
    """How the day ended, the files moved aside and the hours revised; `doubtful` hours it came with."""
    day = str(outcome.day)
    for quarantined in outcome.quarantined:
        tell_quarantined(log, quarantined)
    for revision in outcome.revisions:
        log.info(
            "hour.revised",
            day=day,
            ts=revision.ts,
            column=revision.column,
            old_kwh=str(revision.old_kwh),
            new_kwh=str(revision.new_kwh),
        )
    if doubtful and not outcome.complete:
        log.warning("day.doubtful", day=day, hours=doubtful)
    level = log.debug if outcome.outcome in (Outcome.UNCHANGED, Outcome.EMPTY) else log.info
    level(f"day.{outcome.outcome}", day=day, hours=outcome.hours, missing_hours=outcome.missing)


def tell_quarantined(log: Logger, quarantined: Quarantined) -> None:
    """A file was moved aside."""
    log.warning(
        "file.quarantined",
        day=str(quarantined.day),
        reason=quarantined.reason,
        place=str(quarantined.place),
    )


def tell_unreadable(log: Logger, unreadable: Mapping[date, str]) -> None:
    """Files that cannot be read stay where they are; their days, and why."""
    days = [str(day) for day in sorted(unreadable)]
    reason = unreadable[max(unreadable)]
    log.error(
        "file.unreadable", count=len(days), oldest=days[0], newest=days[-1], reason=reason, days=days[:40]
    )


def tell_changed(log: Logger, changed: Set[date]) -> None:
    """Complete files are not the ones that were saved; their days."""
    days = [str(day) for day in sorted(changed)]
    log.warning("file.changed", count=len(days), oldest=days[0], newest=days[-1], days=days[:40])


def tell_outdated(log: Logger, outdated: Set[date], zone: str | None) -> None:
    """Files were saved by other rules of the zone; their days."""
    days = [str(day) for day in sorted(outdated)]
    log.warning("file.outdated", zone=zone, count=len(days), oldest=days[0], newest=days[-1], days=days[:40])


def report_gone(log: Logger, gone: Set[date], *, older: int, forgotten: int) -> None:
    """Complete files that are gone; of `older` ones there is a file with hours missing in their place.

    The cloud no longer keeps `forgotten` of the days.
    """
    days = [str(day) for day in sorted(gone)]
    log.warning(
        "file.gone", count=len(days), older=older, forgotten=forgotten,
        oldest=days[0], newest=days[-1], days=days[:40],
    )  # fmt: skip


def tell_zone(log: Logger, before: str | None, now: str) -> None:
    """The meter's zone became known, or is another one than before; another name of it is no news."""
    if before is None:
        log.info("zone.learned", zone=now)
    elif before != now and not are_one(before, now):
        log.warning("zone.changed", old=before, zone=now)


def tell_suspicion(log: Logger, suspicion: Suspicion | None, zone: ZoneInfo) -> None:
    """The rules of the zone are in doubt, and why; or no longer are."""
    release = rules_of(zone).release
    if suspicion is None:
        log.info("zone.trusted", zone=zone.key, release=release)
        return
    day = None if suspicion.day is None else str(suspicion.day)
    log.error("zone.suspected", zone=zone.key, release=release, day=day, reason=suspicion.reason)
