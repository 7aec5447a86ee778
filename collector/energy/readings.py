"""HourReading and EnergyDay: what one local day of one meter measured; completeness and merging."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import NamedTuple

from collector.energy.days import LocalDay


class HourReading(NamedTuple):
    """One hour in kWh: from the grid, to the grid, from the sun; `None` where solar is not known."""

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
    """A stored value that the cloud gave again, differently. kWh."""

    ts: int
    column: str
    old_kwh: Decimal
    new_kwh: Decimal


@dataclass(frozen=True, slots=True)
class EnergyDay:
    """The known hours of one local day, by the epoch seconds of their start.

    `doubtful` names hours of a fall-back day that came once where two were due: the value may hold
    both, and nothing in the answer tells.
    """

    day: LocalDay
    readings: Mapping[int, HourReading]
    doubtful: frozenset[int] = frozenset()

    def missing_hours(self) -> tuple[int, ...]:
        """The hours of the day that lack a value on any channel."""
        return tuple(ts for ts in self.day.hours if not _is_whole(self.readings.get(ts)))

    def is_complete(self, now: datetime) -> bool:
        """The day is over, and every hour it has is known on every channel. Nothing else counts."""
        return self.day.is_over(now) and self.is_whole()

    def is_whole(self) -> bool:
        """Every hour of the day is known on every channel, beyond doubt."""
        return not self.missing_hours() and not self.doubtful

    def rounded(self, decimals: int) -> EnergyDay:
        """The same with that many decimals."""
        return replace(self, readings={ts: hour.rounded(decimals) for ts, hour in self.readings.items()})

    def with_twins_as_one(self) -> EnergyDay:
        """A repeated hour's two readings as one, on the first; left out where only one is known."""
        readings = dict(self.readings)
        for first, second in self.day.twins:
            pair = readings.get(first), readings.pop(second, None)
            if pair[0] is None or first in self.doubtful:
                continue  # one row that may hold both hours stands for both, and stays doubtful
            if pair[1] is None:
                del readings[first]
            else:
                readings[first] = _sum(pair[0], pair[1])
        return replace(self, day=self.day.with_twins_as_one(), readings=readings)


def merged(stored: EnergyDay, answered: EnergyDay) -> tuple[EnergyDay, tuple[Revision, ...]]:
    """What is known after reading a day again: the new where it is known, else the stored.

    Nothing stored is lost, and nothing is counted twice: of a repeated hour, a value that may hold
    both hours never stands beside the other one.
    """
    second_of = dict(answered.day.twins)
    first_of = {second: first for first, second in answered.day.twins}
    readings = dict(stored.readings)
    doubtful = set(stored.doubtful)
    revisions: list[Revision] = []
    for ts, new in answered.readings.items():
        old = readings.get(ts)
        if ts in answered.doubtful:
            told_apart = old is not None and ts not in stored.doubtful
            if told_apart or second_of.get(ts) in readings:
                continue
            doubtful.add(ts)
        elif first_of.get(ts) in doubtful:
            continue  # the first may hold this one too
        elif ts in doubtful:
            if old is not None and old.solar_kwh is not None and new.solar_kwh is None:
                continue  # the stored solar may be of both hours: it must not stay beside the new grid
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
