"""Houses with a roof, with and without a battery, as their two clamps see them: right, or each other.

Load and sun are the simulator's truth. A battery on the house's own wire is seen by neither clamp; a
hybrid inverter has it behind the solar clamp, which then shows what comes out of roof and battery.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from collector.energy.days import LocalDay, local_day
from collector.energy.readings import EnergyDay, HourReading
from collector.simulator.truth import GRID, SOLAR, chance, truth

_ZERO = Decimal(0)
_DAYS_BEFORE = 3  # of charging and discharging: no battery begins the first day full by decree


@dataclass(frozen=True)
class House:
    """`storage` is none, battery or hybrid; `wh` its size. `noise_wh` is what any control lets through."""

    device: str
    storage: str = "none"
    wh: int = 8000
    power_wh: int = 3000
    noise_wh: int = 0

    def days(self, start: date, count: int, zone: ZoneInfo, *, swapped: bool = False) -> list[EnergyDay]:
        """What the configured columns hold; `swapped`: each clamp is counted as the other one."""
        dates = (start + timedelta(days=number) for number in range(-_DAYS_BEFORE, count))
        days = [local_day(day, zone) for day in dates]
        readings = dict(self._hours(days, swapped=swapped))
        return [EnergyDay(day, {ts: readings[ts] for ts in day.hours}) for day in days[_DAYS_BEFORE:]]

    def _hours(self, days: list[LocalDay], *, swapped: bool) -> Iterator[tuple[int, HourReading]]:
        stored = Decimal(self.wh) / 2
        for ts in (ts for day in days for ts in day.hours):
            grid, sun = truth(self.device, GRID, ts), truth(self.device, SOLAR, ts).consumption
            surplus = grid.reversed - grid.consumption
            flow = _ZERO  # out of the battery
            if self.storage != "none":
                room = min(self.wh - stored, Decimal(self.power_wh))
                flow = -min(surplus, room) if surplus > 0 else min(-surplus, stored, Decimal(self.power_wh))
                noise = self.noise_wh * Decimal(round(chance(f"noise/{self.device}/{ts}"), 3))
                taken, given = max(-surplus - flow, _ZERO) + noise, max(surplus + flow, _ZERO)
            else:
                taken, given = grid
            stored -= flow
            roof = sun + flow if self.storage == "hybrid" else sun
            out, back = max(roof, _ZERO), max(-roof, _ZERO)
            wh = (out, back, taken) if swapped else (taken, given, out)
            yield ts, HourReading(*(each / 1000 for each in wh))
