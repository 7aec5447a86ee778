"""Answers: from device, query and time to the object that is sent as JSON. Pure."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import reduce
from itertools import groupby
from typing import Any, Literal
from zoneinfo import ZoneInfo

from collector.energy.days import date_in, local_day, zone_named
from collector.simulator.scenario import Account, Device, LocalTime, Scenario
from collector.simulator.truth import NOTHING, Energy, add, portion, split

RETENTION_YEARS = 3

NoData = Literal["missing", "hole", "absent"]
"""A `missing` row, a row in the device's own style of gap, or no row at all."""


def known(
    device: Device, channel: int, ts: int, end: int, now: datetime, *, by_the_hour: bool = True
) -> Energy | NoData:
    """What the cloud has at `now` of the hour `[ts, end)` of that clamp or phase.

    With `by_the_hour=False`, for totals, also hours that it no longer returns singly.
    """
    day = datetime.fromtimestamp(ts, device.zone).date()
    if by_the_hour and device.hours_kept_since is not None and day < device.hours_kept_since:
        return "absent"
    if day < oldest_kept(date_in(device.zone, now)) or _is_shrunk(device, day, ts, now):
        return "absent"
    if device.installed_since is not None and day < device.installed_since:
        return "absent" if device.before_install == "empty" else "missing"
    if ts >= now.timestamp():
        return "absent" if device.future == "absent" else "missing"
    if _in_a_hole(device, channel, ts, now):
        return "hole"
    energy = _revised(device, channel, ts, now)
    received_s = (now - timedelta(minutes=device.late_minutes)).timestamp() - ts
    if received_s >= end - ts:
        return energy
    if received_s > 0 and device.under_way == "partial":
        return portion(energy, received_s / (end - ts))
    return "missing"


def oldest_kept(today: date) -> date:
    """The oldest day whose statistics the cloud still has."""
    month_and_day = (2, 28) if (today.month, today.day) == (2, 29) else (today.month, today.day)
    return date(today.year - RETENTION_YEARS, *month_and_day)


def moment(time: LocalTime, zone: ZoneInfo) -> float:
    """Epoch seconds of a local date, a local time, or an instant."""
    if not isinstance(time, datetime):
        return local_day(time, zone).start
    return (time if time.tzinfo else time.replace(tzinfo=zone)).timestamp()


def _is_shrunk(device: Device, day: date, ts: int, now: datetime) -> bool:
    return any(
        shrink.at <= now
        and shrink.since <= day < shrink.until
        and ts not in local_day(day, device.zone).hours[: shrink.rows]
        for shrink in device.shrink
    )


def _in_a_hole(device: Device, channel: int, ts: int, now: datetime) -> bool:
    return any(
        hole.channel in (None, channel)
        and moment(hole.since, device.zone) <= ts < moment(hole.until, device.zone)
        and (hole.heals_at is None or now < hole.heals_at)
        for hole in device.hole
    )


def _revised(device: Device, channel: int, ts: int, now: datetime) -> Energy:
    energy = device.energy(channel, ts)
    for revision in device.revision:
        applies = revision.at <= now and revision.channel in (None, channel)
        if applies and moment(revision.since, device.zone) <= ts < moment(revision.until, device.zone):
            energy = add(energy, Energy(revision.add_wh, energy.reversed * 0))
    return energy


Row = dict[str, Any]
"""`datetime`, and either `missing` or the measurements: Wh and V as JSON numbers."""

Content = list[Energy] | NoData
"""The energy of a bucket, one part for each tariff, or why there is none."""

_ONE_TARIFF = ("0",)
_MOST_HOURS = 3  # of a bucket of one or two hours: a repeated hour makes one more


def tariff_ids(device: Device) -> tuple[str, ...]:
    """The `tariff_id` of each row that a bucket has, in order."""
    numbered = tuple(str(number) for number in range(1, device.tariffs + 1))
    if not numbered:
        return _ONE_TARIFF
    return numbered if device.tariff_zero == "none" else ("0", *numbered)


def content(device: Device, channel: int, slot: Slot, now: datetime) -> Content:
    """What the cloud has of that bucket, by tariff; of a longer bucket, the sum of the hours that it has."""
    if not slot.hours:
        return "absent" if device.spring == "absent" else "missing"
    by_the_hour = len(slot.hours) <= _MOST_HOURS
    answers = [known(device, channel, ts, end, now, by_the_hour=by_the_hour) for ts, end in slot.hours]
    energies = [answer for answer in answers if not isinstance(answer, str)]
    if not energies and not by_the_hour and device.empty_totals != "as_hours":
        if device.empty_totals == "zeros":
            return _by_tariff(device, NOTHING, slot.hours[0][0])
        return "missing" if device.empty_totals == "missing" else "absent"
    if not energies:
        reasons: list[NoData] = [answer for answer in answers if isinstance(answer, str)]
        return next((reason for reason in reasons if reason != "absent"), "absent")
    return _by_tariff(device, reduce(add, energies), slot.hours[0][0])


def together(device: Device, contents: list[Content]) -> Content:
    """A bucket in the `sum` of a 3em: its phases added, tariff by tariff."""
    present = [parts for parts in contents if not isinstance(parts, str)]
    if len(present) == len(contents) or (present and device.sum_of_gaps == "rest"):
        return [reduce(add, parts) for parts in zip(*present, strict=True)]
    return next(parts for parts in contents if isinstance(parts, str))


def rows(device: Device, slot: Slot, parts: Content, *, stamp: str) -> list[Row]:
    """The rows of one bucket with that `datetime`; none if the cloud leaves it out."""
    if isinstance(parts, str):
        return _gap(device, slot, parts, stamp)
    start = slot.hours[0][0]
    return [
        {
            "datetime": stamp,
            "consumption": number(part.consumption),
            "reversed": number(part.reversed),
            "min_voltage": number(Decimal(2250 + start // 3600 % 71) / 10),
            "max_voltage": number(Decimal(2330 + start // 3600 % 67) / 10),
            "cost": 0,
            "purpose": "other",
            "tariff_id": tariff,
        }
        for tariff, part in zip(tariff_ids(device), parts, strict=True)
    ]


def stamp_of(slot: Slot, style: str) -> str:
    """The bucket's `datetime`: local without an offset, or UTC with a `Z`."""
    if style == "utc" and slot.hours:
        return datetime.fromtimestamp(slot.hours[0][0], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return slot.label.isoformat(" ")


def number(value: Decimal) -> int | float:
    """A JSON number without float noise: two decimals print as they are, whole numbers as ints."""
    nearest = float(value)  # printed with the fewest digits: the two decimals
    return int(nearest) if nearest.is_integer() else nearest


def _by_tariff(device: Device, energy: Energy, ts: int) -> list[Energy]:
    ids = tariff_ids(device)
    if device.tariffs and device.tariff_zero == "copy":
        return [energy, *split(energy, device.tariffs, ts)]
    return split(energy, len(ids), ts)


def _gap(device: Device, slot: Slot, reason: NoData, stamp: str) -> list[Row]:
    style: str = device.gaps if reason == "hole" else "missing"
    if not slot.hours and device.spring != "missing":
        style = device.spring
    nulls = {"consumption": None, "reversed": None, "min_voltage": None, "max_voltage": None}
    if reason == "absent" or style == "absent":
        return []
    if style == "missing":
        return [{"missing": True, "datetime": stamp}]
    if style == "missing_nulls":
        return [{"missing": True, "datetime": stamp, **nulls}]
    if style == "nulls":
        return [{"datetime": stamp, **nulls}]
    zeros = {"consumption": number(NOTHING.consumption), "reversed": number(NOTHING.reversed)}
    return [{"datetime": stamp, **zeros, "cost": 0, "purpose": "other", "tariff_id": tariff_ids(device)[0]}]


Interval = Literal["hour", "2 hours", "day", "month"]

_LAST_SECOND = time(23, 59, 59)
_YEAR_FROM_DAYS = 330


@dataclass(frozen=True, slots=True)
class Span:
    """Local naive times, both ends inclusive by bucket start, and the interval that the cloud chooses."""

    interval: Interval
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Slot:
    """One bucket: its local start, and the hours `(ts, end)` in it; empty for a skipped local hour."""

    label: datetime
    hours: tuple[tuple[int, int], ...]


def span_of(query: Mapping[str, str], zone: ZoneInfo, scenario: Scenario) -> Span:
    """The span of `date_range`, `date_from` and `date_to`. Raises `ValueError` if they are wrong."""
    since = _local_time(query.get("date_from", ""), zone)
    day = since.date()
    match query.get("date_range"):
        case "day":
            return Span("hour", *_whole_days(day, day))
        case "week":
            monday = day - timedelta(days=day.weekday())
            return Span("day", *_whole_days(monday, monday + timedelta(days=6)))
        case "month":
            last = monthrange(day.year, day.month)[1]
            return Span("day", *_whole_days(day.replace(day=1), day.replace(day=last)))
        case "year":
            return Span("month", *_whole_days(date(day.year, 1, 1), date(day.year, 12, 31)))
        case "custom":
            until = _local_time(query.get("date_to", ""), zone)
            return Span(_interval_of(since, until, zone, scenario), since, until)
    raise ValueError("date_range")


def slots(span: Span, zone: ZoneInfo) -> Iterator[Slot]:
    """The buckets that start in the span, ascending, with empty ones for skipped hours."""
    if span.interval == "hour":
        for day in _days(span.since.date(), span.until.date()):
            yield from (slot for slot in _hours_of(day, zone) if span.since <= slot.label <= span.until)
        return
    if span.interval == "2 hours":
        singly = slots(replace(span, interval="hour"), zone)
        for start, pair in groupby(
            singly, key=lambda slot: slot.label.replace(hour=slot.label.hour // 2 * 2)
        ):
            yield Slot(start, tuple(hour for slot in pair for hour in slot.hours))
        return
    ends: dict[date, list[tuple[int, int]]] = {}
    for day in _days(span.since.date(), span.until.date()):
        start = day if span.interval == "day" else day.replace(day=1)
        ends.setdefault(start, []).extend(_hours_with_ends(day, zone))
    for start, hours in ends.items():
        yield Slot(datetime.combine(start, time()), tuple(hours))


def _hours_of(day: date, zone: ZoneInfo) -> list[Slot]:
    local = local_day(day, zone)
    hours = _hours_with_ends(day, zone)
    found = [(label, hour[0], (hour,)) for label, hour in zip(local.labels, hours, strict=True)]
    skipped = [(label, 0, ()) for label in set(range(24)).difference(local.labels)]
    return [Slot(datetime.combine(day, time(label)), hours) for label, _, hours in sorted([*found, *skipped])]


def _hours_with_ends(day: date, zone: ZoneInfo) -> list[tuple[int, int]]:
    local = local_day(day, zone)
    return list(zip(local.hours, [*local.hours[1:], local.end], strict=True)) if local.hours else []


def _interval_of(since: datetime, until: datetime, zone: ZoneInfo, scenario: Scenario) -> Interval:
    length = until - since
    elapsed = length
    if scenario.hour_span_counts == "elapsed":
        # The later one of a repeated second: a span includes all of its last hour.
        elapsed = timedelta(seconds=moment(until.replace(fold=1), zone) - moment(since, zone))
    if elapsed < timedelta(hours=scenario.hour_span_h):  # the last second is included
        return "hour"
    if length <= timedelta(days=4):
        return scenario.four_day_interval
    return "day" if length < timedelta(days=_YEAR_FROM_DAYS - 1) else "month"


def _local_time(text: str, zone: ZoneInfo) -> datetime:
    """The local naive time of a parameter: a local time, a date, or UTC with a `Z`."""
    parsed = datetime.fromisoformat(text)
    return parsed.astimezone(zone).replace(tzinfo=None) if parsed.tzinfo else parsed


def _whole_days(first: date, last: date) -> tuple[datetime, datetime]:
    return datetime.combine(first, time()), datetime.combine(last, _LAST_SECOND)


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


Answer = dict[str, Any]
"""`{"timezone", "interval", "history": [row, …]}`; a 3em: three lists of rows, and `sum`."""

Query = Mapping[str, str]


def em(device: Device, channel: int, query: Query, scenario: Scenario, now: datetime) -> Answer:
    """The answer of `…/em-1p`: one clamp. Raises `ValueError` for a wrong span."""
    span, zone = _span_of(query, device, scenario)
    history = [
        row
        for slot in _slots_of(device, slots(span, zone))
        for row in rows(device, slot, content(device, channel, slot, now), stamp=_stamp(device, slot))
    ]
    return _body(device, span.interval, history)


def em3(device: Device, query: Query, scenario: Scenario, now: datetime) -> Answer:
    """The answer of `…/em-3p`: three lists of rows, index-aligned with each other and with `sum`."""
    span, zone = _span_of(query, device, scenario)
    phases: list[list[Row]] = [[], [], []]
    total: list[Row] = []
    for slot in _slots_of(device, slots(span, zone)):
        stamp = _stamp(device, slot)
        contents = [content(device, phase, slot, now) for phase in range(3)]
        whole = together(device, contents)
        summed = rows(device, slot, whole, stamp=stamp)
        if not summed and not any(rows(device, slot, parts, stamp=stamp) for parts in contents):
            continue
        aligned = [_phase_rows(device, slot, parts, stamp, len(summed)) for parts in contents]
        longest = max(len(each) for each in aligned)
        total += summed or [{"missing": True, "datetime": stamp}] * longest
        for phase, added in enumerate(aligned):
            phases[phase] += ({**row, "channel": str(phase)} for row in added)
    return _body(device, span.interval, phases) | {"sum": total}


def plain(device: Device, channel: int, query: Query, scenario: Scenario, now: datetime) -> Answer:
    """The answer of the path without a suffix, for plugs: times in UTC, one `voltage`."""
    in_utc = replace(device, stamps="utc", says_timezone=device.says_timezone or "UTC", spring="absent")
    answer = em(in_utc, channel, query, scenario, now)
    for row in answer["history"]:
        row["voltage"] = row.pop("max_voltage", None)
        row.pop("min_voltage", None)
        if "missing" in row:
            del row["voltage"]
    return answer


def overall(account: Account, query: Query, scenario: Scenario, now: datetime) -> Answer:
    """The account's total, for any `id`: the sum of its grid meters."""
    meters = [device for device in account.device if device.counts == "grid"]
    zone = meters[0].zone if meters else zone_named("UTC")
    span = span_of(query, zone, scenario)
    history: list[Row] = []
    for slot in slots(span, zone):
        found = [
            answer
            for device in meters
            for channel in range(1 if device.kind == "em" else 3)
            for ts, end in slot.hours
            if not isinstance(answer := known(device, channel, ts, end, now), str)
        ]
        history.append(_total_row(slot, found))
    return {"timezone": str(zone), "interval": span.interval, "history": history}


def _total_row(slot: Slot, found: list[Energy]) -> Row:
    if not found:
        return {"missing": True, "datetime": stamp_of(slot, "local")}
    total = reduce(add, found)
    columns = {"consumption": number(total.consumption), "reversed": number(total.reversed), "cost": 0}
    return {"datetime": stamp_of(slot, "local"), **columns}


def _span_of(query: Query, device: Device, scenario: Scenario) -> tuple[Span, ZoneInfo]:
    """The requested span, and the zone of its days. Raises `ValueError` if the device refuses it."""
    span, zone = span_of(query, device.zone, scenario), device.zone
    if span.interval == "day" and query.get("date_range") == "custom":
        if device.totals == "refused":
            raise ValueError("custom")
        if device.totals == "month":
            span = replace(span, interval="month")
        elif device.total_stamps == "utc_midnight":
            zone = zone_named("UTC")
    return span, zone


def _body(device: Device, interval: str, history: list[Any]) -> Answer:
    return {"timezone": device.says_timezone or device.timezone, "interval": interval, "history": history}


def _stamp(device: Device, slot: Slot) -> str:
    is_utc_day = len(slot.hours) > _MOST_HOURS and device.total_stamps == "utc_midnight"
    return stamp_of(slot, "utc" if is_utc_day else device.stamps)


def _slots_of(device: Device, found: Iterator[Slot]) -> list[Slot]:
    """The device's buckets: repeated hours merged unless `autumn` is `repeated`, no skipped ones in UTC."""
    kept = [slot for slot in found if slot.hours or device.stamps == "local"]
    if device.autumn == "repeated":
        return kept
    return [
        Slot(label, tuple(hour for slot in repeated for hour in slot.hours))
        for label, repeated in groupby(kept, key=lambda slot: slot.label)
    ]


def _phase_rows(device: Device, slot: Slot, parts: Content, stamp: str, aligned_to: int) -> list[Row]:
    """A phase's rows; a gap on one phase gets `missing` rows, so that the lists stay aligned."""
    found = rows(device, slot, parts, stamp=stamp)
    return (found or [{"missing": True, "datetime": stamp}]) * (max(aligned_to, 1) if len(found) < 2 else 1)
