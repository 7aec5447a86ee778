"""The cloud's daily totals of one meter: which days it has, and whether the stored days add up to them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import date, datetime, timedelta
from itertools import chain

from collector import logs
from collector.cloud.client import RequestPolicy
from collector.cloud.parse import SPAN_DAYS, SpanTotals, read_totals, span_before
from collector.collect.collector import Collector
from collector.energy.daily_totals import Difference, are_distrusted, differences, packed, unpacked
from collector.energy.days import local_day
from collector.energy.history import Availability, first_day, is_worth_it
from collector.errors import (
    AnswerError,
    CalledOff,
    ClockUntrusted,
    CollectorError,
    Rejected,
    SourceError,
    Unavailable,
    ZoneUnknown,
)

_DAY = timedelta(days=1)
_MOST_DAYS = 240  # from about a year on the cloud answers by the month
_WAIT_S, _MOST_WAIT_S = 60.0, 3600.0
_AT_ONCE = 30  # files read in one blocking call; other calls on the archive run in between

_USUAL = RequestPolicy()
_log = logs.get_logger("totals")


async def totals_of(
    collector: Collector, first: date, last: date, policy: RequestPolicy = _USUAL
) -> SpanTotals | CollectorError:
    """The totals of those days, or the error that prevented it. Raises `CalledOff`."""
    try:
        answer = await collector.client.fetch_span(collector.meter, first, last, "day", policy)
        collector.check_clock()
        totals = read_totals(answer, collector.meter)
    except ZoneUnknown as error:
        collector.log_unknown_zone(error.zone, None)
        return error
    except (AnswerError, ClockUntrusted, SourceError) as error:
        return error
    known = collector.archive.zone
    for day in (first, last):
        if known is not None and local_day(day, known).hours != local_day(day, totals.zone).hours:
            return AnswerError("timezone", f"{totals.zone.key}, but until now {known.key}")
    return totals


async def read_totals_ahead(collector: Collector, first: date, policy: RequestPolicy) -> bool:
    """Records which of the days from `first` to yesterday the cloud has, by its daily totals.

    Returns whether the cloud answered. If it refuses totals, or returns another interval, that is recorded,
    and they are requested again in a week. If the cloud fails, or this machine does not know the zone, they
    are requested again after a minute, doubling to an hour. Each span is recorded when it was read, so that
    a restart continues below it.
    """
    try:
        with suppress(CalledOff, OSError):  # a disk in trouble is reported by the work itself
            if await _read_down(collector, first, policy):
                collector.totals_waits = 0
                return True
        wait_s = min(_WAIT_S * 2**collector.totals_waits, _MOST_WAIT_S)
        collector.totals_waits += 1
        collector.totals_not_before = asyncio.get_running_loop().time() + wait_s
        return False
    finally:
        collector.is_reading_totals = False


def spans_needed(first: date, today: date, known: Availability | None, now: datetime) -> int:
    """How many spans of totals are read before days down to `first` are collected, if nothing fails."""
    if not is_worth_it(first, today) or (known and not known.is_due(now) and first >= known.first):
        return 0
    last = known.first - _DAY if known and known.is_usable and not known.is_due(now) else today - _DAY
    length = SPAN_DAYS
    count = 0
    while first <= last:
        last = span_before(first, last, length)[0] - _DAY
        length = min(2 * length, _MOST_DAYS)
        count += 1
    return count


async def check_totals(collector: Collector) -> None:
    """Schedules one more read of each complete day that differs from its total; logs these days.

    If too many differ, the totals are distrusted, and no day is read again.
    """
    totals = dict(chain.from_iterable(unpacked(each).items() for each in collector.totals))
    collector.totals = []
    stored = collector.archive.known()
    is_kept = collector.archive.is_kept  # days of a replaced device: they need not match this one's totals
    days = sorted(day for day in totals if day in stored and stored[day].complete and not is_kept(day))
    compared = 0
    different: dict[date, tuple[Difference, ...]] = {}
    with suppress(OSError):  # a disk in trouble is reported by the work itself
        for place in range(0, len(days), _AT_ONCE):
            some = days[place : place + _AT_ONCE]
            sums = await collector.blocking(collector.archive.sums_of, some)
            compared += len(sums)
            for day, each in sums.items():
                if found := differences(each, totals[day], complete=True):
                    different[day] = found
        if are_totals_distrusted(collector, compared, len(different)):
            return
        log = _log.bind(meter=collector.meter.name)
        for day, found in different.items():
            if day not in collector.archive.ledger.different:
                log.warning(
                    "day.differs",
                    day=str(day),
                    columns={each.column: [str(each.stored_kwh), f"{each.cloud_kwh:f}"] for each in found},
                )
                await collector.blocking(collector.archive.read_once_more, day, "it differs from its total")


def are_totals_distrusted(collector: Collector, compared: int, different: int) -> bool:
    """Whether too many complete days differ from their totals to read any again; logs that."""
    distrusted = are_distrusted(compared, different)
    if distrusted:
        log = _log.bind(meter=collector.meter.name)
        log.warning("totals.distrusted", compared=compared, different=different)
    return distrusted


async def _read_down(collector: Collector, first: date, policy: RequestPolicy) -> bool:
    """Reads the totals down to `first`; returns whether the cloud answered. Raises `CalledOff`, `OSError`.

    The spans are doubled while the answers have daily rows.
    """
    now = collector.now()
    newest = last = collector.today() - _DAY
    asked_at, days = int(now.timestamp()), set[date]()
    known = collector.availability
    if known is not None and known.is_usable and not known.is_due(now):
        asked_at, newest, last, days = known.requested_at, known.last, known.first - _DAY, set(known.days())
    totals = collector.totals.copy()
    length, is_growing = SPAN_DAYS, True
    while first <= last:
        span = span_before(first, last, length)
        found = await totals_of(collector, *span, policy)
        if isinstance(found, SpanTotals):
            last = span[0] - _DAY
            length = min(2 * length, _MOST_DAYS) if is_growing else length
            days |= found.with_data
            totals.append(packed({day: found.totals[day] for day in found.totals.keys() & found.with_data}))
            if days:
                await _record(collector, asked_at, max(first, span[0]), newest, days)
        elif isinstance(found, ZoneUnknown):  # no refusal: this machine lacks the zone
            return False
        elif isinstance(found, AnswerError | Rejected | Unavailable) and length > SPAN_DAYS:
            length, is_growing = length // 2, False
        elif isinstance(found, AnswerError | Rejected):
            return await _record_refusal(collector, asked_at, first, newest, last, days, str(found))
        else:
            return False
    if not days:
        reason = "no day has a total above zero"
        return await _record_refusal(collector, asked_at, first, newest, last, days, reason)
    collector.totals = totals
    availability = await _record(collector, asked_at, first, newest, days)
    beginning = availability.beginning_seen(first_day(collector.today(), None, None))
    _log.bind(meter=collector.meter.name).info(
        "totals.read",
        oldest=str(first),
        newest=str(newest),
        days_with_data=len(set(availability.days())),
        beginning=None if beginning is None else str(beginning),
    )
    return True


async def _record_refusal(
    collector: Collector,
    asked_at: int,
    first: date,
    newest: date,
    last: date,
    days: set[date],
    reason: str,
) -> bool:
    """Records that there are no totals from `first` to `last`: any of these days may have data."""
    _log.bind(meter=collector.meter.name).warning("totals.refused", reason=reason)
    if days:
        days |= {first + number * _DAY for number in range((last - first).days + 1)}
    await _record(collector, asked_at, first, newest, days)
    return True


async def _record(
    collector: Collector, asked_at: int, first: date, newest: date, days: set[date]
) -> Availability:
    """Records which days from `first` to `newest` have data: by their totals, or because they are stored."""
    if days:
        stored = {day for day, state in collector.archive.known().items() if state.stored}
        days = {day for day in days | stored if first <= day <= newest}
    availability = Availability.of(asked_at, first, newest, days)
    await collector.blocking(collector.archive.ledger.note_availability, availability)
    return availability
