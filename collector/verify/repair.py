"""`--fix` and `--cloud`, which lock the archives: files are moved aside, days compared and requested."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from collector import logs
from collector.archive.folder import OWN_FOLDER, may_have_record
from collector.archive.mark import FILE_NAME as MARK_NAME
from collector.archive.mark import Remembered, missing, read_mark
from collector.archive.store import Archive
from collector.cloud.meters import Meter
from collector.cloud.parse import SpanTotals, spans
from collector.collect.collector import Collector, Lane, log_quarantined
from collector.collect.daily_totals import are_totals_distrusted, totals_of
from collector.collect.outages import STRIKES, OutageError
from collector.energy.daily_totals import NOTHING_STORED, differences
from collector.energy.days import Clock, date_in
from collector.energy.history import first_day, latest, newest_first
from collector.energy.identity import Identity
from collector.errors import (
    AnswerError,
    ArchiveRefused,
    ClockUntrusted,
    DeviceUnknown,
    KeyRefused,
    RateLimited,
    SourceError,
    Unavailable,
)
from collector.service.accounts import AccountAtWork, Pacers, assembled, open_archive
from collector.service.control import Running
from collector.settings import Settings
from collector.verify.files import inspect
from collector.verify.report import Action, Comparison, MeterReport, Unanswered

_DAY = timedelta(days=1)
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
        report = replace(inspect(archive.folder, meter.timezone, now), meter=meter.name)
        return _move_aside(archive, meter, report, date_in(report.zone or system_timezone, now))


def _marked(folder: Path) -> Identity:
    """The identity in the folder's mark. Raises `ArchiveRefused` if there is none."""
    if (mark := read_mark(folder / OWN_FOLDER)) is not None:
        return mark.identity
    raise ArchiveRefused(
        f"It is not known whose day files are in {folder}: {OWN_FOLDER}/{MARK_NAME} cannot be read",
        "Run `backfill` on that folder once: it compares them with the cloud, and records their meter",
    )


def _move_aside(archive: Archive, meter: Meter, report: MeterReport, today: date) -> MeterReport:
    """Moves files with findings to the quarantine; their days are requested again in the next run.

    A file whose day cannot be fetched again stays, unless nothing of it can be read. The checksum of a
    complete file that is gone is removed. Raises `OSError`.
    """
    first = first_day(today, None, latest(meter.since, archive.since))
    actions: dict[date, Action] = {}
    for day, of_day in groupby(report.findings, key=lambda finding: finding.day):
        if day is None:
            continue
        findings = list(of_day)
        reason = f"{findings[0].code}: {findings[0].text}"
        if all(finding.code in _NOT_THERE for finding in findings):
            archive.forget_complete(day)
            actions[day] = Action.FORGOTTEN
        elif (day < first or archive.is_kept(day)) and (
            report.days[day].sums is not None or may_have_record(archive.folder / f"{day}.jsonl", day)
        ):
            actions[day] = Action.KEPT
            continue
        else:
            aside = archive.set_aside(day, reason)
            log_quarantined(_log.bind(meter=meter.name), aside)
            actions[day] = Action.QUARANTINED
        if first <= day < today:
            archive.request_again(day, f"verify: {reason}")
    moved = list(actions.values()).count(Action.QUARANTINED)
    return replace(report, actions=actions, quarantined=report.quarantined + moved)


Progress = Callable[[str, date, date], None]
"""Called before each request with the meter's name, the first and the last day."""


async def verified(
    settings: Settings, clock: Clock, progress: Progress, *, fix: bool, remembered: Remembered | None = None
) -> list[MeterReport]:
    """Checks all files, and compares the stored days with the totals from each account's cloud.

    One request for 30 days of a channel. Days that differ are requested again in the service's next run,
    unless too many do. Locks the archives meanwhile. `remembered` lists earlier archives.
    Raises `ArchiveError`, `OSError`.
    """
    async with assembled(settings, clock, Pacers(), remembered=remembered) as accounts:
        return await _at_once(_compared(each.collectors, clock, progress, fix=fix) for each in accounts)


async def verified_in_service(
    running: Running, meters: Collection[str], progress: Progress, *, fix: bool, cloud: bool
) -> list[MeterReport]:
    """`--fix` and `--cloud` in the running service, for the meters of those names.

    Days that are to be requested again are requested at once. Raises as `verified`.
    """

    async def of_account(account: AccountAtWork) -> list[MeterReport]:
        collectors = [each for each in account.collectors if each.meter.name in meters]
        for each in collectors:
            archive = each.archive
            if (refusal := await each.blocking(missing, archive.folder, archive.remembered)) is not None:
                raise refusal
        if cloud:
            found = await _compared(collectors, running.clock, progress, fix=fix)
        else:
            found = [await _repaired(each, running.clock) for each in collectors]
        for each in collectors:
            running.request(account.runner, each, Lane.HEAL)
        return found

    return await _at_once(of_account(each) for each in running.accounts)


async def _at_once(accounts: Iterable[Coroutine[Any, Any, list[MeterReport]]]) -> list[MeterReport]:
    """The reports of all accounts: each has a request rate of its own. The first error ends all of them."""
    tasks = [asyncio.create_task(each) for each in accounts]
    try:
        return [report for reports in await asyncio.gather(*tasks) for report in reports]
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repaired(collector: Collector, clock: Clock) -> MeterReport:
    """Inspects a meter's folder and moves files with findings to the quarantine."""
    archive, meter = collector.archive, collector.meter
    if collector.refusal is not None:
        raise collector.refusal
    if not archive.is_taken:
        raise archive.refusal_of("day files of which it is not known yet whether they are")
    return replace(await _inspected(collector, clock, fix=True), meter=meter.name)


async def _inspected(collector: Collector, clock: Clock, *, fix: bool) -> MeterReport:
    """Inspects a meter's folder, and with `fix` moves files with findings to the quarantine.

    In one call, so that no day is saved in between.
    """
    archive, meter, today = collector.archive, collector.meter, collector.today()

    def inspected() -> MeterReport:
        report = inspect(archive.folder, meter.timezone, clock())
        return _move_aside(archive, meter, report, today) if fix and archive.is_taken else report

    return await collector.blocking(inspected)


async def _compared(
    collectors: Sequence[Collector], clock: Clock, progress: Progress, *, fix: bool
) -> list[MeterReport]:
    """The reports of one account's meters."""
    found: list[MeterReport] = []
    gave_up: OutageError | None = None  # what stops one meter stops all of the account
    for each in collectors:
        meter, unusable = each.meter, ""
        try:
            if gave_up is None:
                await each.take_over()
        except AnswerError as error:  # the other meters are not affected
            unusable = str(error)
        except (SourceError, ClockUntrusted) as error:
            gave_up = error
        report, today = await _inspected(each, clock, fix=fix), each.today()
        first = max(first_day(today, None, each.since), min(report.days, default=today))
        if unusable:
            comparison = Comparison(unanswered=[Unanswered(first, today - _DAY, unusable)])
        elif gave_up is not None:
            comparison = Comparison(gave_up=gave_up)
        else:
            comparison = await _compare(each, report, first, today - _DAY, progress)
            gave_up = comparison.gave_up
        found.append(replace(report, meter=meter.name, comparison=comparison))
    return found


async def _compare(
    collector: Collector, report: MeterReport, first: date, last: date, progress: Progress
) -> Comparison:
    """Requests the totals span by span, newest first. Without any answer so far one failure ends it."""
    pacer, comparison = collector.client.pacer, Comparison()
    before, strikes = pacer.requests, STRIKES - 1
    for first_requested, last_of_span in spans(first, last):
        progress(collector.meter.name, first_requested, last_of_span)
        answer = await totals_of(collector, first_requested, last_of_span)
        comparison.requests = pacer.requests - before
        first_of_span = max(first_requested, first)
        if isinstance(answer, KeyRefused | ClockUntrusted):
            comparison.gave_up = answer
            break
        if isinstance(answer, SpanTotals) and not answer.of_utc_days:
            requested = newest_first(last_of_span, first_of_span)
            days = [day for day in requested if report.actions.get(day) is not Action.QUARANTINED]
            _note_differences(collector, report, days, answer, comparison)
            await _drop_saved_meanwhile(collector, answer, comparison)
        else:
            of_utc = "the cloud's totals are of UTC days, not of local days"
            reason = of_utc if isinstance(answer, SpanTotals) else str(answer)
            comparison.unanswered.append(Unanswered(first_of_span, last_of_span, reason))
        if isinstance(answer, DeviceUnknown):
            break
        strikes = strikes + 1 if isinstance(answer, Unavailable | RateLimited) else 0
        if isinstance(answer, Unavailable | RateLimited) and strikes >= STRIKES:
            comparison.gave_up = answer
            break
    await _request_again(collector, report, comparison)
    return comparison


def _note_differences(
    collector: Collector, report: MeterReport, days: list[date], answer: SpanTotals, comparison: Comparison
) -> None:
    """Compares the files of those days with their totals."""
    comparison.uncertain += [day for day in days if day in answer.uncertain]
    for day in days:
        checked, total = report.days.get(day), answer.totals.get(day)
        sums, complete = (checked.sums, checked.complete) if checked else (NOTHING_STORED, False)
        if total is None or sums is None:
            continue  # no total, or an unreadable file, which is a finding already
        if checked is not None and collector.archive.is_kept(day):
            continue  # counted by another meter or identity
        comparison.days += 1
        comparison.complete_days += complete
        if found := differences(sums, total, complete=complete):
            comparison.different[day] = found


async def _drop_saved_meanwhile(collector: Collector, answer: SpanTotals, comparison: Comparison) -> None:
    """Removes differences of days that the service has saved since their files were inspected."""
    archive, present = collector.archive, collector.archive.files()
    days = [day for day in comparison.different if day in answer.totals and day in present]
    for day, sums in (await collector.blocking(archive.sums_of, days)).items():
        if not differences(sums, answer.totals[day], complete=True):
            del comparison.different[day]


async def _request_again(collector: Collector, report: MeterReport, comparison: Comparison) -> None:
    """The next run requests the days that differ; none if too many complete ones do."""
    compared = comparison.complete_days
    different = sum(day in report.days and report.days[day].complete for day in comparison.different)
    if are_totals_distrusted(collector, compared, different):
        comparison.distrusted = f"{different} of {compared} complete days differ, more than a fifth"
        return
    for day, found in comparison.different.items():
        numbers = ", ".join(f"{each.column} {each.stored_kwh} or {each.cloud_kwh:f}" for each in found)
        reason = f"verify: stored kWh and the cloud's total differ: {numbers}"
        await collector.blocking(collector.archive.request_again, day, reason)
