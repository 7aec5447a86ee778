"""Several days of a meter in one request: tried, proven; what is doubtful is left to single days."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from collector import logs
from collector.archive.store import DayOutcome
from collector.cloud.client import RequestPolicy
from collector.cloud.parse import ReadDay, read_day, split_days
from collector.collect.collector import Collector
from collector.energy.days import local_span
from collector.energy.spans import SpanLimit, Spans, Trust, continues, hours_of, proves, verdict
from collector.errors import AnswerError, DeviceUnknown, OtherInterval, RateLimited, Rejected, Unavailable

_DAY_S = 86400
_UNFIT_S = 60.0  # after a span that could prove nothing the next one is requested so much later

_log = logs.get_logger("spans")

Parsed = tuple[ReadDay, datetime]
"""The content of the answer for a day, and when it was requested."""


@dataclass(frozen=True, slots=True)
class SpanOutcome:
    """How a request for one day or for neighbouring days ended: the outcomes of those that were certain.

    `singly`: days to be requested alone. `again`: days to be requested again, joined as is possible now.
    """

    outcomes: tuple[DayOutcome, ...] = ()
    singly: tuple[date, ...] = ()
    again: tuple[date, ...] = ()


def spans_of(collector: Collector) -> Spans:
    """What is known of spans of the meter; after a start that is what its ledger has."""
    spans, noted = collector.client.spans(collector.meter), collector.archive.ledger.span_limit
    if noted is not None and spans.limit == SpanLimit() and noted[0] == _path(collector):
        spans.limit = noted[1]
    return spans


def joins(collector: Collector, days: Sequence[date], day: date) -> bool:
    """Whether that day may be requested together with these neighbouring days."""
    if not continues(days, day) or not collector.archive.ledger.different.isdisjoint([*days, day]):
        return False  # what differs from its total may have been a span's
    spans, hours = spans_of(collector), hours_of([*days, day], collector.zone)
    spans.limit = spans.limit.renewed(collector.now())
    if not spans.limit.allows(hours):
        return False
    if not spans.limit.learns_from(hours):
        return True
    return not spans.is_learning and asyncio.get_running_loop().time() >= spans.not_before


async def collect_span(collector: Collector, days: Sequence[date], policy: RequestPolicy) -> SpanOutcome:
    """Fetches neighbouring days with one request a channel, and merges each into its file.

    What is not certain is left to requests for single days. Nothing is stored before one day of a span of
    that length was the same when it was requested alone. Raises as `Collector.collect_day`, but a cloud that
    does not answer, or refuses, counts only if it does the same for a single day.
    """
    spans, hours = spans_of(collector), hours_of(days, collector.zone)
    is_learning = spans.limit.learns_from(hours)
    spans.is_learning |= is_learning  # another's may be under way
    try:
        certain = await _fetch(collector, days, policy)
        if is_learning and not (certain := await _proven(collector, days, certain, policy)):
            return SpanOutcome(singly=tuple(days))
        spans.note_answer(hours, collector.now())
    except OtherInterval:
        spans.limit = spans.limit.shortened(hours, collector.now())
        if spans.limit.allows(hours):  # two days are no longer than one where the calendar skips one of them
            return SpanOutcome(singly=tuple(days))
        return SpanOutcome(again=tuple(days))
    except RateLimited:
        spans.note_failure(hours, collector.client.answers, collector.now())
        raise
    except (Unavailable, Rejected, DeviceUnknown, AnswerError) as error:
        log = _log.bind(meter=collector.meter.name)
        log.debug("span.failed", oldest=str(min(days)), days=len(days), reason=str(error))
        spans.note_failure(hours, collector.client.answers, collector.now())
        return SpanOutcome(singly=tuple(days))
    finally:
        if is_learning:
            spans.is_learning = False
        await _note_limit(collector)
    outcomes = [await collector.keep(*certain[day], policy) for day in days if day in certain]
    return SpanOutcome(tuple(outcomes), singly=tuple(day for day in days if day not in certain))


async def _fetch(collector: Collector, days: Sequence[date], policy: RequestPolicy) -> dict[date, Parsed]:
    """The certain days of a span's answer. Raises `OtherInterval` and other `AnswerError`s.

    If the cloud counts hours from the start of the span, all after a change of the clocks are shifted. In
    autumn 25 whole hours exclude that; in spring nothing does, so no day is taken from there on.
    """
    policy = replace(policy, retryable=(RateLimited,))  # another failure may be the length's
    answer = await collector.client.fetch_span(collector.meter, min(days), max(days), "hour", policy)
    collector.check_clock()
    now = collector.now()
    certain: dict[date, Parsed] = {}
    for day, part in split_days(answer, collector.meter).items():
        start, end = local_span(day, collector.zone)
        if end - start < _DAY_S:
            break
        with suppress(AnswerError):
            read = read_day(part, collector.meter, now)
            requested_at = now - timedelta(seconds=part.grid_age_s)
            if read.is_certain(requested_at) and collector.is_of_its_zone(read.energy_day.day):
                certain[day] = read, requested_at
        if end - start > _DAY_S and day not in certain:
            break
    return certain


async def _proven(
    collector: Collector, days: Sequence[date], certain: dict[date, Parsed], policy: RequestPolicy
) -> dict[date, Parsed]:
    """The certain days, if one of them is the same when it is requested alone; else none.

    Raises as `_fetch`.
    """
    spans, found = spans_of(collector), Trust.UNPROVEN
    sample = next((day for day in days if day in certain and proves(certain[day][0].energy_day)), None)
    if sample is not None:
        answer = await collector.client.fetch_day(collector.meter, sample, policy)
        alone = read_day(answer, collector.meter, collector.now()).energy_day
        before = certain[sample][0].energy_day
        if (first := verdict(before, alone, None)) is not None:
            found = first
        else:
            certain = await _fetch(collector, days, policy)
            again = certain[sample][0].energy_day if sample in certain else None
            found = verdict(before, alone, again) or Trust.UNPROVEN
    if found is Trust.UNPROVEN:  # as before: shorter spans may have been proven
        spans.not_before = asyncio.get_running_loop().time() + _UNFIT_S
        return {}
    spans.limit = replace(spans.limit, trust=found)
    if found is Trust.CONTRADICTED:
        _log.warning("spans.distrusted", meter=collector.meter.name, day=str(sample))
        return {}
    return certain


async def _note_limit(collector: Collector) -> None:
    """Records what is known of spans for the next start; logs how many hours are possible now."""
    ledger, limit, path = collector.archive.ledger, spans_of(collector).limit, _path(collector)
    if limit == SpanLimit():
        return
    before = ledger.span_limit[1] if ledger.span_limit and ledger.span_limit[0] == path else SpanLimit()
    if limit.surely_h != before.surely_h:
        _log.info("spans.learned", meter=collector.meter.name, longest_h=limit.surely_h)
    await collector.blocking(ledger.note_span_limit, path, limit)


def _path(collector: Collector) -> str:
    return collector.client.path_of(collector.meter)
