"""The cloud's daily totals of one meter: which days it has, and whether what is stored adds up to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import date, timedelta

from collector import logs
from collector.cloud.totals import SPAN_DAYS, SpanTotals, read_totals, span_before
from collector.energy.availability import Availability
from collector.energy.comparing import DayTotal, Difference, are_distrusted, differences
from collector.energy.days import local_day
from collector.errors import (
    AnswerError,
    CalledOff,
    ClockUntrusted,
    CollectorError,
    Rejected,
    SourceError,
    Unavailable,
)
from collector.service.collection import Collection

_DAY = timedelta(days=1)
_MOST_DAYS = 240  # from about a year on the cloud answers by the month
_WAIT_S, _MOST_WAIT_S = 60.0, 3600.0
_AT_ONCE = 30  # files that are read before the archive is free for somebody else

_log = logs.get_logger("totals")


async def totals_of(
    collection: Collection, first: date, last: date, is_called_off: Callable[[], bool] = lambda: False
) -> SpanTotals | CollectorError:
    """The totals of those days, or why there are none. Raises `CalledOff`."""
    try:
        answer = await collection.client.fetch_totals(collection.meter, first, last, is_called_off)
        collection.check_clock()
        totals = read_totals(answer, collection.meter)
    except (AnswerError, ClockUntrusted, SourceError) as error:
        return error
    known = collection.archive.zone
    for day in (first, last):
        if known is not None and local_day(day, known).hours != local_day(day, totals.zone).hours:
            return AnswerError("timezone", f"{totals.zone.key}, but until now {known.key}")
    return totals


async def look_ahead(collection: Collection, first: date, is_called_off: Callable[[], bool]) -> bool:
    """Notes which of the days from `first` to yesterday the cloud has, by its daily totals.

    Returns whether the cloud answered. Totals that it refuses, or gives in another interval, are no outage:
    that is noted, and they are requested again in a week. Where the cloud fails, nothing is noted, and
    they are requested again in a minute, then ever more rarely.
    """
    try:
        with suppress(CalledOff, OSError):  # a disk in trouble is told by the work itself
            found = await _all_totals(collection, first, is_called_off)
            if found is not None:
                await _note(collection, first, found)
                collection.totals_waits = 0
                return True
        wait_s = min(_WAIT_S * 2**collection.totals_waits, _MOST_WAIT_S)
        collection.totals_waits += 1
        collection.totals_not_before = asyncio.get_running_loop().time() + wait_s
        return False
    finally:
        collection.is_reading_totals = False


async def check_totals(collection: Collection) -> None:
    """Has complete days that differ from their totals read again, each once; reports them.

    Where many differ it is the totals that mean something else: then none is.
    """
    totals, collection.totals = collection.totals, {}
    stored = collection.archive.known()
    days = sorted(day for day in totals if day in stored and stored[day].complete)
    compared = 0
    different: dict[date, tuple[Difference, ...]] = {}
    with suppress(OSError):  # a disk in trouble is told by the work itself
        for place in range(0, len(days), _AT_ONCE):
            some = days[place : place + _AT_ONCE]
            sums = await collection.blocking(collection.archive.sums_of, some)
            compared += len(sums)
            for day, each in sums.items():
                if found := differences(each, totals[day], complete=True):
                    different[day] = found
        log = _log.bind(meter=collection.meter.name)
        if are_distrusted(compared, len(different)):
            log.warning("totals.distrusted", compared=compared, different=len(different))
            return
        for day, found in different.items():
            if day not in collection.archive.ledger.different:
                log.warning(
                    "day.differs",
                    day=str(day),
                    columns={each.column: [str(each.stored_kwh), f"{each.cloud_kwh:f}"] for each in found},
                )
                await collection.blocking(collection.archive.read_once_more, day, "it differs from its total")


async def _all_totals(
    collection: Collection, first: date, is_called_off: Callable[[], bool]
) -> list[SpanTotals] | AnswerError | Rejected | None:
    """The totals down to `first`, newest first; why the cloud gives none; `None` where it fails.

    The spans grow as long as the answers come by the day.
    """
    last, days, is_growing = collection.today() - _DAY, SPAN_DAYS, True
    found: list[SpanTotals] = []
    while first <= last:
        span = span_before(first, last, days)
        told = await totals_of(collection, *span, is_called_off)
        if isinstance(told, SpanTotals):
            found.append(told)
            last = span[0] - _DAY
            days = min(2 * days, _MOST_DAYS) if is_growing else days
        elif isinstance(told, AnswerError | Rejected | Unavailable) and days > SPAN_DAYS:
            days, is_growing = days // 2, False
        else:
            return told if isinstance(told, AnswerError | Rejected) else None
    return found


async def _note(
    collection: Collection, first: date, found: Iterable[SpanTotals] | AnswerError | Rejected
) -> None:
    """Remembers what was found. Raises `OSError`."""
    now, log = int(collection.now().timestamp()), _log.bind(meter=collection.meter.name)
    last = collection.today() - _DAY
    nothing = Availability(now, first, last)
    if isinstance(found, AnswerError | Rejected):
        log.warning("totals.refused", reason=str(found))
        await collection.blocking(collection.archive.ledger.note_availability, nothing)
        return
    spans = list(found)
    with_data = {day for each in spans for day in each.with_data}
    if not with_data:
        log.warning("totals.refused", reason="no day has a total above zero")
        await collection.blocking(collection.archive.ledger.note_availability, nothing)
        return
    stored = (day for day, state in collection.archive.known().items() if state.stored)
    days = [day for day in {*with_data, *stored} if first <= day <= last]
    availability = Availability.of(now, first, last, days)
    await collection.blocking(collection.archive.ledger.note_availability, availability)
    totals: dict[date, DayTotal] = {}
    for each in spans:
        totals.update(_usable(each))
    collection.totals = totals
    log.info(
        "totals.read",
        oldest=str(first),
        newest=str(last),
        days_with_data=availability.days,
        beginning=str(availability.beginning),
    )


def _usable(told: SpanTotals) -> Mapping[date, DayTotal]:
    return {day: total for day, total in told.totals.items() if day in told.with_data}
