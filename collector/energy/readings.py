"""HourReading and EnergyDay: the readings of one local day of one meter; completeness and merging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from collector.energy.days import LocalDay


class HourReading(NamedTuple):
    """One hour in kWh: from the grid, to the grid, solar; `None` if solar is not known."""

    import_kwh: Decimal
    export_kwh: Decimal
    solar_kwh: Decimal | None

    def rounded(self, decimals: int) -> HourReading:
        """The same with that many decimals, half to even."""
        unit = Decimal(1).scaleb(-decimals)
        solar = None if self.solar_kwh is None else self.solar_kwh.quantize(unit, ROUND_HALF_EVEN)
        return HourReading(
            self.import_kwh.quantize(unit, ROUND_HALF_EVEN),
            self.export_kwh.quantize(unit, ROUND_HALF_EVEN),
            solar,
        )


class Revision(NamedTuple):
    """A stored value for which the cloud now returns another one. kWh."""

    ts: int
    column: str
    old_kwh: Decimal
    new_kwh: Decimal


@dataclass(frozen=True, slots=True)
class EnergyDay:
    """The known hours of one local day, by the epoch seconds of their start.

    `doubtful`: first hours of repeated pairs for which the cloud returned one row instead of two: the value
    may be of the first hour, or of both.
    """

    day: LocalDay
    readings: Mapping[int, HourReading]
    doubtful: frozenset[int] = frozenset()

    def missing_hours(self) -> tuple[int, ...]:
        """The hours of the day without a value on some channel."""
        return tuple(ts for ts in self.day.hours if not _is_whole(self.readings.get(ts)))

    def is_complete(self, now: datetime) -> bool:
        """Whether the day has ended and `is_whole`."""
        return self.day.is_over(now) and self.is_whole()

    def is_whole(self) -> bool:
        """Whether every hour of the day has a value on every channel, and none is doubtful."""
        return not self.missing_hours() and not self.doubtful

    def rounded(self, decimals: int) -> EnergyDay:
        """The same with that many decimals."""
        return replace(self, readings={ts: hour.rounded(decimals) for ts, hour in self.readings.items()})

    def merge_repeated_hours(self) -> EnergyDay:
        """The same with a repeated hour's two readings added up on the first; left out if one is missing."""
        readings = dict(self.readings)
        for first, second in self.day.repeated_hours:
            pair = readings.get(first), readings.pop(second, None)
            if pair[0] is None or first in self.doubtful:
                continue  # one row that may contain both hours counts for both, and stays doubtful
            if pair[1] is None:
                del readings[first]
            else:
                readings[first] = _sum(pair[0], pair[1])
        return replace(self, day=self.day.merge_repeated_hours(), readings=readings)


def merged(stored: EnergyDay, answered: EnergyDay) -> tuple[EnergyDay, tuple[Revision, ...]]:
    """The stored day with the answered values in place of older ones, and what changed.

    Nothing stored is lost, and nothing is counted twice: the result never has a value that may contain both
    repeated hours together with the second one.
    """
    second_of = dict(answered.day.repeated_hours)
    first_of = {second: first for first, second in answered.day.repeated_hours}
    readings = dict(stored.readings)
    doubtful = set(stored.doubtful)
    revisions: list[Revision] = []
    for ts, new in answered.readings.items():
        old = readings.get(ts)
        if ts in answered.doubtful:
            is_separate = old is not None and ts not in stored.doubtful
            if is_separate or second_of.get(ts) in readings:
                continue
            doubtful.add(ts)
        elif first_of.get(ts) in doubtful:
            continue  # the first may contain this one too
        elif ts in doubtful:
            if old is not None and old.solar_kwh is not None and new.solar_kwh is None:
                continue  # the stored solar may be of both hours, and the new grid value is of one
            doubtful.discard(ts)
        readings[ts] = new if old is None else _newest(old, new)
        if old is not None:
            revisions.extend(_differences(ts, old, readings[ts]))
    day = EnergyDay(answered.day, dict(sorted(readings.items())), frozenset(doubtful))
    return day, tuple(revisions)


def _newest(old: HourReading, new: HourReading) -> HourReading:
    return new if new.solar_kwh is not None else new._replace(solar_kwh=old.solar_kwh)


def _differences(ts: int, old: HourReading, new: HourReading) -> list[Revision]:
    pairs = zip(("import", "export", "solar"), old, new, strict=True)
    return [
        Revision(ts, column, before, after)
        for column, before, after in pairs
        if before is not None and after is not None and before != after
    ]


def _is_whole(reading: HourReading | None) -> bool:
    return reading is not None and reading.solar_kwh is not None


def _sum(first: HourReading, second: HourReading) -> HourReading:
    solar = None
    if first.solar_kwh is not None and second.solar_kwh is not None:
        solar = first.solar_kwh + second.solar_kwh
    return HourReading(first.import_kwh + second.import_kwh, first.export_kwh + second.export_kwh, solar)
