"""Checks of the data themselves: where the clamps are, and the rules of the time zone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from collector.energy.readings import EnergyDay, HourReading

NIGHT_LABELS = (23, 0, 1, 2)  # 23:00 to 03:00: dark all year up to about 60 degrees, summer time included
DAY_LABELS = (10, 11, 12, 13, 14, 15)
NOON_LABELS = (11, 12, 13, 14)  # of them the sun shines somewhere on every roof, in any zone and month
DARK_LABELS = (18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4, 5)  # half of the day; a house has its evening in it
NIGHT_KWH = Decimal("0.020")  # an hour; an inverter's standby and a clamp's noise stay below 15 W
NIGHT_SHARE = Decimal("0.25")  # of the day's mean; the midnight sun gives less, a house's base load more
SUN_SHARE = Decimal("0.05")  # of the best hour's mean; what has more belongs to the bell of the sun
EDGE_SHARE = Decimal("0.6")  # of the same; the sun's first and last hour have less, a timer's have not
ENOUGH_NIGHTS = 3  # one odd night is a test run or a data error
ENOUGH_DAYS = 3
EXPORT_MARGIN = Decimal("1.10")  # two clamps, each a few per cent off
EXPORT_SLACK_KWH = Decimal("0.5")  # so that two noisy zeros are no finding
ZERO_DAYS = 5  # a roof in cloud still gives a little on one of five days
BRIGHT_MONTHS = range(4, 11)  # outside of them snow and polar night keep northern roofs at zero for weeks


class Doubt(StrEnum):
    """What looks wrong, the most significant first."""

    CHANNELS_SWAPPED = "channels_swapped"  # the grid clamp measures a roof, the solar clamp a house
    GRID_LIKE_A_ROOF = "grid_like_a_roof"
    SOLAR_AT_NIGHT = "solar_at_night"
    EXPORT_AT_NIGHT = "export_at_night"
    EXPORT_EXCEEDS_SOLAR = "export_exceeds_solar"
    SOLAR_ALWAYS_ZERO = "solar_always_zero"
    IMPORT_ALWAYS_ZERO = "import_always_zero"


@dataclass(frozen=True, slots=True)
class Clamps:
    """The configured clamps: whether solar is measured, and the kWh subtracted from each of its hours."""

    has_solar: bool = True
    pv_kwh_discard: Decimal = Decimal(0)


def doubts(days: Sequence[EnergyDay], clamps: Clamps) -> tuple[Doubt, ...] | None:
    """What looks wrong in these days; `None` if they are too few.

    Of days with hours missing the others count.
    """
    known = [day for day in days if day.readings]
    if len(known) < ENOUGH_DAYS:
        return None
    rules = (
        (Doubt.CHANNELS_SWAPPED, clamps.has_solar and _is_roof(known) and _is_house(known)),
        (Doubt.GRID_LIKE_A_ROOF, clamps.has_solar and _is_roof(known)),
        (Doubt.SOLAR_AT_NIGHT, clamps.has_solar and _shines_at_night(known)),
        (Doubt.EXPORT_AT_NIGHT, _exports_at_night(known)),
        (Doubt.EXPORT_EXCEEDS_SOLAR, clamps.has_solar and _exports_too_much(known, clamps)),
        (Doubt.SOLAR_ALWAYS_ZERO, clamps.has_solar and _is_always_dark(known, clamps)),
        (Doubt.IMPORT_ALWAYS_ZERO, not any(hour.import_kwh for hour in _hours(known))),
    )
    found = [doubt for doubt, holds in rules if holds]
    if Doubt.CHANNELS_SWAPPED in found:  # it explains the others
        return (Doubt.CHANNELS_SWAPPED,)
    return tuple(found)


def _is_roof(days: Sequence[EnergyDay]) -> bool:
    """Whether import looks like a solar roof: nothing in any night, something at every noon.

    Nothing is exported, as a grid clamp would measure it at a bright noon, and the means of the hours
    form a bell.
    """
    nights = _nights(days)
    noons = [noon for day in days if (noon := _labelled(day, NOON_LABELS))]
    if len(nights) < ENOUGH_NIGHTS or len(noons) < ENOUGH_DAYS:
        return False
    if any(_mean_import(night) > NIGHT_KWH for night in nights):
        return False
    if any(_mean_import(noon) <= NIGHT_KWH for noon in noons):
        return False
    return not any(hour.export_kwh > NIGHT_KWH for hour in _hours(days)) and _is_bell(
        [_mean_import([hour for day in days for hour in _labelled(day, [label])]) for label in range(24)]
    )


def _is_bell(by_label: Sequence[Decimal]) -> bool:
    """Whether the means of the local hours have one peak by day, and fall to zero gradually on both sides."""
    best = max(by_label)
    least = max(best * SUN_SHARE, NIGHT_KWH)
    sunny = [label for label, mean in enumerate(by_label) if mean > least]
    return (
        by_label.index(best) in DAY_LABELS
        and sunny == list(range(sunny[0], sunny[-1] + 1))
        and max(by_label[sunny[0]], by_label[sunny[-1]]) < best * EDGE_SHARE
    )


def _is_house(days: Sequence[EnergyDay]) -> bool:
    """Whether solar looks like the import of a house whose roof is measured as import.

    Something in most nights, and less by day; and the roof gives more than noise.
    """
    nights = [hour for night in _nights(days) for hour in night]
    noon, by_day, dark = (
        [hour for day in days for hour in _labelled(day, labels)]
        for labels in (NOON_LABELS, DAY_LABELS, DARK_LABELS)
    )
    return (
        _shines_at_night(days)
        and _mean_solar(by_day) < _mean_solar(dark)
        and _mean_import(noon) > NIGHT_SHARE * _mean_solar(nights)
    )


def _shines_at_night(days: Sequence[EnergyDay]) -> bool:
    nights = _nights(days)
    bright = [night for night in nights if _mean_solar(night) > NIGHT_KWH]
    if len(bright) < ENOUGH_NIGHTS or len(bright) * 2 <= len(nights):
        return False
    at_night = [hour for night in nights for hour in night]
    by_day = [hour for day in days for hour in _labelled(day, DAY_LABELS)]
    return _mean_solar(at_night) > NIGHT_SHARE * _mean_solar(by_day)


def _exports_at_night(days: Sequence[EnergyDay]) -> bool:
    nights = _nights(days)
    odd = [
        night
        for night in nights
        if _mean_export(night) > NIGHT_KWH
        and _mean_export(night) > _mean_import(night)
        and _mean_solar(night) < NIGHT_KWH
    ]
    return len(odd) >= ENOUGH_NIGHTS and len(odd) * 2 > len(nights)


def _exports_too_much(days: Sequence[EnergyDay], clamps: Clamps) -> bool:
    """Summed over all days: within one hour the clamps may be a minute apart."""
    whole = [hour for hour in _hours(days) if hour.solar_kwh is not None]
    exported = sum((hour.export_kwh for hour in whole), Decimal(0))
    generated = sum((hour.solar_kwh or Decimal(0) for hour in whole), Decimal(0))
    generated += len(whole) * clamps.pv_kwh_discard  # at most that much was subtracted
    return exported > generated * EXPORT_MARGIN + EXPORT_SLACK_KWH


def _is_always_dark(days: Sequence[EnergyDay], clamps: Clamps) -> bool:
    bright = [day for day in days if day.day.date.month in BRIGHT_MONTHS]
    if clamps.pv_kwh_discard or len(bright) < ZERO_DAYS:
        return False
    return all(hour.solar_kwh == 0 for hour in _hours(days))


def _nights(days: Sequence[EnergyDay]) -> list[list[HourReading]]:
    """The dark hours of each date for which all are known; in spring there is one less."""
    nights = [(_labelled(day, NIGHT_LABELS), sum(map(day.day.labels.count, NIGHT_LABELS))) for day in days]
    return [night for night, hours in nights if len(night) == hours]


def _labelled(day: EnergyDay, labels: Iterable[int]) -> list[HourReading]:
    """The readings of these local hours that are known on both clamps."""
    hours = (ts for label in labels for ts in day.day.hours_labelled(label))
    readings = (day.readings[ts] for ts in hours if ts in day.readings)
    return [each for each in readings if each.solar_kwh is not None]


def _hours(days: Sequence[EnergyDay]) -> Iterable[HourReading]:
    return (hour for day in days for hour in day.readings.values())


def _mean_import(hours: Sequence[HourReading]) -> Decimal:
    return _mean([hour.import_kwh for hour in hours])


def _mean_export(hours: Sequence[HourReading]) -> Decimal:
    return _mean([hour.export_kwh for hour in hours])


def _mean_solar(hours: Sequence[HourReading]) -> Decimal:
    return _mean([hour.solar_kwh or Decimal(0) for hour in hours])


def _mean(values: Sequence[Decimal]) -> Decimal:
    return sum(values, Decimal(0)) / len(values) if values else Decimal(0)


_BEGUN_S = 1800  # in the second half of an hour little may be left to come
_KEPT_S = 86400
_PROOFS = 3  # in a row: one hour may end when the power does
_LATE_PROOFS = 48  # in a row: a slow meter is that late now and then
_SLACK = Decimal("1.1")  # the energy of an hour's first minutes is not just their share of it
_HOUR_S = 3600
_MOST_HOURS = 3  # no law moves the clocks by more; a meter that is later than that is offline


class EarlyHours:
    """The hours of one meter that the cloud reported before their end, each compared with its final value."""

    def __init__(self) -> None:
        self._begun: dict[int, tuple[Decimal, Decimal]] = {}
        self._in_a_row = 0

    def note(
        self,
        unfinished: Mapping[int, tuple[Decimal, Decimal]],
        finished: Mapping[int, HourReading],
        requested_at: datetime,
    ) -> bool | None:
        """Adds an answer requested at `requested_at`: import and export of unfinished hours, kWh; final ones.

        Returns true once three hours in a row had their final value when they had just begun, false if
        one had not, `None` if the answer shows neither.
        """
        now = requested_at.timestamp()
        verdict = None
        for ts in sorted(self._begun.keys() & finished.keys()):
            is_whole = self._begun.pop(ts) == finished[ts][:2]
            self._in_a_row = self._in_a_row + 1 if is_whole else 0
            verdict = None if 0 < self._in_a_row < _PROOFS else is_whole
        kept = {ts: kwh for ts, kwh in self._begun.items() if now - ts < _KEPT_S}
        begun = {ts: kwh for ts, kwh in unfinished.items() if any(kwh) and 0 <= now - ts <= _BEGUN_S}
        self._begun = kept | begun
        return verdict


class LateHours:
    """The newest hours of one meter that still grew after their end, each compared with its final value.

    Rules that are too old make a meter late by whole hours. One that is late by another time has reported
    more than the minutes since the last full hour contain. One that is always late by whole hours, to a
    few minutes, cannot be distinguished from old rules. Nothing can be seen if the cloud does not report
    the current hour in part.
    """

    def __init__(self) -> None:
        self._forget(0)

    def _forget(self, hours: int) -> None:
        """Starts again, with a meter that is late by that many hours."""
        self._late_by = hours
        self._begun: dict[int, tuple[Decimal, Decimal]] = {}  # kWh reported first, share of the hour
        self._in_a_row = 0
        self._reported = self._due = Decimal(0)

    def note(
        self, answered: EnergyDay, unfinished: Mapping[int, tuple[Decimal, Decimal]], requested_at: datetime
    ) -> bool | None:
        """Adds an answer requested at `requested_at`: hours ended by the rules, and unfinished ones, kWh.

        Returns true once 48 newest hours in a row had, after their end by the rules, only the energy of the
        minutes since the last full hour, and were completed as many hours later as all others; false if
        one was not; `None` if the answer shows neither.
        """
        now = requested_at.timestamp()
        newest = max(answered.readings, default=0)
        verdict = self._compare(answered.readings, newest, now)
        if not answered.day.start <= now < answered.day.end:
            return verdict
        if any(any(kwh) for kwh in unfinished.values()):
            self._forget(0)
            return False
        if not newest:  # as just after midnight
            return verdict
        late_by, past_s = divmod(int(now) - newest, _HOUR_S)
        if late_by != self._late_by:
            self._forget(late_by)
        if 1 <= late_by <= _MOST_HOURS and past_s <= _BEGUN_S:
            kwh = sum(answered.readings[newest][:2], Decimal(0))
            self._begun.setdefault(newest, (kwh, Decimal(past_s) / _HOUR_S))
        return verdict

    def _compare(self, readings: Mapping[int, HourReading], newest: int, now: float) -> bool | None:
        """Compares the hours before the newest with what was reported of them first.

        The newest one does not count: it does not grow either while the meter is offline.
        """
        verdict = None
        for ts in sorted(self._begun):
            if now - ts >= _KEPT_S:
                del self._begun[ts]
            elif ts in readings and ts < newest:
                reported, share = self._begun.pop(ts)
                whole = sum(readings[ts][:2], Decimal(0))
                if reported == whole == 0:
                    continue
                if reported >= whole:
                    self._forget(self._late_by)
                    return False
                self._in_a_row += 1
                self._reported += reported
                self._due += whole * share
        if self._in_a_row >= _LATE_PROOFS:
            verdict = self._reported <= self._due * _SLACK
            if not verdict:
                self._forget(self._late_by)
        return verdict
