"""EnergyDay <-> bytes: the only module that knows the day file's format."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DayFormat:
    """How day files are written: kWh decimals (4 to 6), and whether a repeated hour is one record."""

    decimals: int = 4
    merge_repeated_hour: bool = False
