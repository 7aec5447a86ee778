"""The rows of an answer: one bucket of one channel as the cloud writes it. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from typing import Any

from collector.simulator.memory import NoData, known
from collector.simulator.scenario import Device
from collector.simulator.spans import Slot
from collector.simulator.truth import NOTHING, Energy, add, split

Row = dict[str, Any]
"""`datetime`, and either `missing` or the measurements: Wh and V as JSON numbers."""

Content = list[Energy] | NoData
"""The parts of a bucket, one for each tariff, or why there is none."""

_ONE_TARIFF = ("0",)
_TWINS = 2  # a bucket of the hour has one hour, or a repeated one


def tariff_ids(device: Device) -> tuple[str, ...]:
    """The `tariff_id` of each row that a bucket has, in order."""
    numbered = tuple(str(number) for number in range(1, device.tariffs + 1))
    if not numbered:
        return _ONE_TARIFF
    return numbered if device.tariff_zero == "none" else ("0", *numbered)


def content(device: Device, channel: int, slot: Slot, now: datetime) -> Content:
    """What the cloud has of that bucket, cut by tariff. Of a longer bucket, the hours that it has."""
    if not slot.hours:
        return "absent" if device.spring == "absent" else "missing"
    by_the_hour = len(slot.hours) <= _TWINS
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
    """What a 3em's `sum` says of a bucket: its phases added, tariff by tariff."""
    present = [parts for parts in contents if not isinstance(parts, str)]
    if len(present) == len(contents) or (present and device.sum_of_gaps == "rest"):
        return [reduce(add, parts) for parts in zip(*present, strict=True)]
    return next(parts for parts in contents if isinstance(parts, str))


def rows(device: Device, slot: Slot, parts: Content, *, stamp: str) -> list[Row]:
    """The rows of one bucket under that `datetime`: none where the cloud leaves it out."""
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
    nearest = float(value)  # prints as the shortest text that reads back: the two decimals
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
