"""A whole answer: device, question and moment to the object that goes out as JSON. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from functools import reduce
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from collector.energy.days import zone_named
from collector.simulator.memory import known
from collector.simulator.rows import Content, Row, content, number, rows, stamp_of, together
from collector.simulator.scenario import Account, Device, Scenario
from collector.simulator.spans import Slot, Span, slots, span_of
from collector.simulator.truth import Energy, add

Answer = dict[str, Any]
"""`{"timezone", "interval", "history": [row, …]}`; a 3em: three lists of rows, and `sum`."""

Query = Mapping[str, str]


def em(device: Device, channel: int, query: Query, scenario: Scenario, now: datetime) -> Answer:
    """The answer of `…/em-1p`: one clamp. `ValueError` where the query names no span."""
    span, zone = _span_of(query, device, scenario)
    history = [
        row
        for slot in _fit(device, slots(span, zone))
        for row in rows(device, slot, content(device, channel, slot, now), stamp=_stamp(device, slot))
    ]
    return _body(device, span.interval, history)


def em3(device: Device, query: Query, scenario: Scenario, now: datetime) -> Answer:
    """The answer of `…/em-3p`: three lists of rows, index-aligned with each other and with `sum`."""
    span, zone = _span_of(query, device, scenario)
    phases: list[list[Row]] = [[], [], []]
    total: list[Row] = []
    for slot in _fit(device, slots(span, zone)):
        stamp = _stamp(device, slot)
        contents = [content(device, phase, slot, now) for phase in range(3)]
        whole = together(device, contents)
        summed = rows(device, slot, whole, stamp=stamp)
        if not summed and whole == "absent":
            continue
        aligned = [_phase_rows(device, slot, parts, stamp, len(summed)) for parts in contents]
        longest = max(len(each) for each in aligned)
        total += summed or [{"missing": True, "datetime": stamp}] * longest
        for phase, added in enumerate(aligned):
            phases[phase] += ({**row, "channel": str(phase)} for row in added)
    return _body(device, span.interval, phases) | {"sum": total}


def plain(device: Device, channel: int, query: Query, scenario: Scenario, now: datetime) -> Answer:
    """The answer without a suffix, as plugs get it: stamps in UTC, one `voltage`."""
    in_utc = replace(device, stamps="utc", says_timezone=device.says_timezone or "UTC", spring="absent")
    answer = em(in_utc, channel, query, scenario, now)
    for row in answer["history"]:
        row["voltage"] = row.pop("max_voltage", None)
        row.pop("min_voltage", None)
        if "missing" in row:
            del row["voltage"]
    return answer


def overall(account: Account, query: Query, scenario: Scenario, now: datetime) -> Answer:
    """The account's total, whatever `id` says: all that its devices have counted at the grid."""
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
    """The span asked for, and the zone whose days its buckets are. `ValueError` where it is refused."""
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
    is_utc_day = len(slot.hours) > 2 and device.total_stamps == "utc_midnight"
    return stamp_of(slot, "utc" if is_utc_day else device.stamps)


def _fit(device: Device, found: Iterator[Slot]) -> list[Slot]:
    """The slots as the device's answers have them: twins in one, no skipped hour between UTC stamps."""
    kept = [slot for slot in found if slot.hours or device.stamps == "local"]
    if device.autumn == "repeated":
        return kept
    return [
        Slot(label, tuple(hour for twin in twins for hour in twin.hours))
        for label, twins in groupby(kept, key=lambda slot: slot.label)
    ]


def _phase_rows(device: Device, slot: Slot, parts: Content, stamp: str, aligned_to: int) -> list[Row]:
    """A phase's rows; a gap on one phase alone keeps its place, or the lists would slip apart."""
    found = rows(device, slot, parts, stamp=stamp)
    return (found or [{"missing": True, "datetime": stamp}]) * (max(aligned_to, 1) if len(found) < 2 else 1)
