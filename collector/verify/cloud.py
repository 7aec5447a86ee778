"""Compares stored days with the cloud's totals: one request for 30 days of a channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta

from collector.archive.mark import Remembered
from collector.cloud.parse import SpanTotals, spans
from collector.collect.collector import Collector
from collector.collect.outages import STRIKES, OutageError
from collector.collect.totals import are_totals_distrusted, totals_of
from collector.energy.days import Clock
from collector.energy.history import first_day, newest_first
from collector.energy.totals import NOTHING_STORED, differences
from collector.errors import (
    AnswerError,
    ClockUntrusted,
    DeviceUnknown,
    KeyRefused,
    RateLimited,
    SourceError,
    Unavailable,
)
from collector.service.accounts import AccountAtWork, Pacers, assembled
from collector.settings import Settings
from collector.verify.files import CheckedDay, inspect
from collector.verify.repair import move_aside
from collector.verify.report import Action, Comparison, MeterReport, Unanswered

_DAY = timedelta(days=1)


Progress = Callable[[str, date, date], None]
"""Called before each request with the meter's name, the first and the last day."""


async def verified(
    settings: Settings, clock: Clock, progress: Progress, *, fix: bool, remembered: Remembered | None = None
) -> list[MeterReport]:
    """Checks all files, and compares the stored days with the totals from each account's cloud.

    Days that differ are requested again in the service's next round, unless too many do. Locks the archives
    meanwhile. `remembered` lists earlier archives. Raises `ArchiveError`, `OSError`.
    """
    found = []
    async with assembled(settings, clock, Pacers(), remembered=remembered) as accounts:
        for account in accounts:
            found += await _account(account, clock, progress, fix=fix)
    return found


async def _account(
    account: AccountAtWork, clock: Clock, progress: Progress, *, fix: bool
) -> list[MeterReport]:
    found: list[MeterReport] = []
    gave_up: OutageError | None = None
    for each in account.collectors:
        archive, meter = each.archive, each.meter
        unusable: AnswerError | None = None
        if gave_up is None:
            try:
                gave_up = await _taken_over(each)
            except AnswerError as error:  # the other meters are not affected
                unusable = error
        inspection = await each.blocking(inspect, archive.folder, meter.timezone, clock())
        actions: dict[date, Action] = {}
        if fix and archive.is_taken:
            actions = await each.blocking(move_aside, archive, meter, inspection, each.today())
        comparison = Comparison(gave_up=gave_up)
        if unusable is not None:
            first, last = _span(each, inspection.days)
            comparison.unanswered.append(Unanswered(first, last, str(unusable)))
        elif gave_up is None:  # what stops one meter stops all of the account
            moved = {day for day, action in actions.items() if action is Action.QUARANTINED}
            await _compare(each, inspection.days, moved, comparison, progress)
            await _request_again(each, inspection.days, comparison)
            gave_up = comparison.gave_up
        found.append(MeterReport(meter.name, archive.folder, inspection, actions, comparison))
    return found


async def _taken_over(collector: Collector) -> OutageError | None:
    """Makes sure that the files are the meter's; returns the error if that is not known.

    Raises `AnswerError` if no answer can be used.
    """
    try:
        await collector.take_over()
    except (SourceError, ClockUntrusted) as error:
        return error
    return None


async def _compare(
    collector: Collector,
    stored: Mapping[date, CheckedDay],
    moved: set[date],
    comparison: Comparison,
    progress: Progress,
) -> None:
    """Requests span by span, newest first. Without any answer so far one failure ends it."""
    meter, pacer = collector.meter, collector.client.pacer
    oldest, yesterday = _span(collector, stored)
    before, strikes = pacer.requests, STRIKES - 1
    for first, last in spans(oldest, yesterday):
        progress(meter.name, first, last)
        answer = await totals_of(collector, first, last)
        comparison.requests = pacer.requests - before
        oldest_of_span = max(first, oldest)
        if isinstance(answer, KeyRefused | ClockUntrusted):
            comparison.gave_up = answer
            return
        if isinstance(answer, SpanTotals) and not answer.of_utc_days:
            days = [day for day in newest_first(last, oldest_of_span) if day not in moved]
            _note_differences(collector, days, answer, stored, comparison)
        else:
            of_utc = "the cloud's totals are of UTC days, not of local days"
            reason = of_utc if isinstance(answer, SpanTotals) else str(answer)
            comparison.unanswered.append(Unanswered(oldest_of_span, last, reason))
        if isinstance(answer, DeviceUnknown):
            return
        strikes = strikes + 1 if isinstance(answer, Unavailable | RateLimited) else 0
        if isinstance(answer, Unavailable | RateLimited) and strikes >= STRIKES:
            comparison.gave_up = answer
            return


def _span(collector: Collector, stored: Mapping[date, CheckedDay]) -> tuple[date, date]:
    """The first and the last day to request."""
    today = collector.today()
    return max(first_day(today, None, collector.since), min(stored, default=today)), today - _DAY


def _note_differences(
    collector: Collector,
    days: list[date],
    answer: SpanTotals,
    stored: Mapping[date, CheckedDay],
    comparison: Comparison,
) -> None:
    """Compares the files of those days with their totals."""
    comparison.uncertain += [day for day in days if day in answer.uncertain]
    for day in days:
        total, checked = answer.totals.get(day), stored.get(day, _no_file(day))
        if total is None or checked.sums is None:
            continue  # no total, or an unreadable file, which is a finding already
        if collector.archive.is_kept(day) and checked.sums is not NOTHING_STORED:
            continue  # counted by another meter or identity
        comparison.days += 1
        comparison.complete_days += checked.complete
        if found := differences(checked.sums, total, complete=checked.complete):
            comparison.different[day] = found


async def _request_again(
    collector: Collector, stored: Mapping[date, CheckedDay], comparison: Comparison
) -> None:
    """Makes the next round request the days that differ; none if too many complete ones do."""
    compared = comparison.complete_days
    different = sum(day in stored and stored[day].complete for day in comparison.different)
    if are_totals_distrusted(collector, compared, different):
        comparison.distrusted = f"{different} of {compared} complete days differ, more than a fifth"
        return
    for day, found in comparison.different.items():
        numbers = ", ".join(f"{each.column} {each.stored_kwh} or {each.cloud_kwh:f}" for each in found)
        reason = f"verify: stored kWh and the cloud's total differ: {numbers}"
        await collector.blocking(collector.archive.request_again, day, reason)


def _no_file(day: date) -> CheckedDay:
    return CheckedDay(day, (), sums=NOTHING_STORED)
