"""Which buckets a question asks for: from the parameters of a request to the slots of its answer. Pure."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from collector.energy.days import local_day
from collector.simulator.scenario import Scenario

Interval = Literal["hour", "day", "month"]

_LAST_SECOND = time(23, 59, 59)
_YEAR_FROM_DAYS = 330


@dataclass(frozen=True, slots=True)
class Span:
    """Local naive times, both ends inclusive by bucket start, and the interval that the cloud picks."""

    interval: Interval
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Slot:
    """One bucket: its local start, and the hours `(ts, end)` in it. None: the local hour is skipped."""

    label: datetime
    hours: tuple[tuple[int, int], ...]


def span_of(query: Mapping[str, str], zone: ZoneInfo, scenario: Scenario) -> Span:
    """The span that `date_range`, `date_from` and `date_to` name; `ValueError` where they do not."""
    since = _local_time(query.get("date_from", ""), zone)
    day = since.date()
    match query.get("date_range"):
        case "day":
            return Span("hour", *_whole_days(day, day))
        case "week":
            monday = day - timedelta(days=day.weekday())
            return Span("day", *_whole_days(monday, monday + timedelta(days=6)))
        case "month":
            return Span("day", *_whole_days(day.replace(day=1), _month_end(day)))
        case "year":
            return Span("month", *_whole_days(date(day.year, 1, 1), date(day.year, 12, 31)))
        case "custom":
            until = _local_time(query.get("date_to", ""), zone)
            return Span(_interval_of(until - since, scenario), since, until)
    raise ValueError("date_range")


def slots(span: Span, zone: ZoneInfo) -> Iterator[Slot]:
    """The buckets that start in the span, ascending; skipped hours at the place where they would be."""
    if span.interval == "hour":
        for day in _days(span.since.date(), span.until.date()):
            yield from (slot for slot in _hours_of(day, zone) if span.since <= slot.label <= span.until)
        return
    ends: dict[date, list[tuple[int, int]]] = {}
    for day in _days(span.since.date(), span.until.date()):
        start = day if span.interval == "day" else day.replace(day=1)
        ends.setdefault(start, []).extend(_stretches(day, zone))
    for start, hours in ends.items():
        yield Slot(datetime.combine(start, time()), tuple(hours))


def _hours_of(day: date, zone: ZoneInfo) -> list[Slot]:
    local = local_day(day, zone)
    stretches = _stretches(day, zone)
    found = [(label, hour[0], (hour,)) for label, hour in zip(local.labels, stretches, strict=True)]
    skipped = [(label, 0, ()) for label in set(range(24)).difference(local.labels)]
    return [Slot(datetime.combine(day, time(label)), hours) for label, _, hours in sorted([*found, *skipped])]


def _stretches(day: date, zone: ZoneInfo) -> list[tuple[int, int]]:
    local = local_day(day, zone)
    return list(zip(local.hours, [*local.hours[1:], local.end], strict=True)) if local.hours else []


def _interval_of(length: timedelta, scenario: Scenario) -> Interval:
    if length <= timedelta(hours=scenario.hour_span_h):
        return "hour"
    if length <= timedelta(days=4):
        return scenario.four_day_interval
    return "day" if length < timedelta(days=_YEAR_FROM_DAYS - 1) else "month"


def _local_time(text: str, zone: ZoneInfo) -> datetime:
    """A local naive time from what a client sends, which may also be a date, or UTC with a `Z`."""
    parsed = datetime.fromisoformat(text)
    return parsed.astimezone(zone).replace(tzinfo=None) if parsed.tzinfo else parsed


def _whole_days(first: date, last: date) -> tuple[datetime, datetime]:
    return datetime.combine(first, time()), datetime.combine(last, _LAST_SECOND)


def _month_end(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))
