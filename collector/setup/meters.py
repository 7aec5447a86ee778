"""From the account's devices to meters of the configuration: kind, clamps, pairs, folder names. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from collector.cloud.devices import CloudMeter
from collector.cloud.meters import Kind, Meter
from collector.energy.plausibility import ENOUGH_DAYS, ZERO_DAYS, Clamps, Doubt, doubts
from collector.energy.readings import EnergyDay

DAYS_NEEDED = max(ENOUGH_DAYS, ZERO_DAYS)
"""So many days with data are enough for every rule of the check of the clamps."""
_LONGEST_NAME = 40
_AGAINST = (Doubt.CHANNELS_SWAPPED, Doubt.GRID_LIKE_A_ROOF, Doubt.SOLAR_AT_NIGHT)


class Roof(StrEnum):
    """Which of two clamps or devices measures the solar roof."""

    SECOND = "second"
    FIRST = "first"
    NONE = "none"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where the roof is, and why, as a whole sentence."""

    roof: Roof
    why: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A meter that can be collected: one device, or a pair of 3EMs of which the second measures solar.

    `meter` has the settings, without a name yet. `why`: why its clamps are as they are, or its device is on a
    roof; empty if there was nothing to decide. `is_open`: nothing decided it, so the user has to. `on_roof`:
    a 3EM that measures a solar roof; which other 3EM measures the grid there, no data show.
    """

    devices: tuple[CloudMeter, ...]
    meter: Meter
    why: str = ""
    is_open: bool = False
    on_roof: bool = False


def candidate_of(device: CloudMeter) -> Candidate:
    """The device alone, with the default clamps."""
    return Candidate((device,), Meter("", device.id, device.kind))


def pair_of(grid: CloudMeter, solar: CloudMeter) -> Candidate:
    """Two 3EMs as one meter."""
    return Candidate((grid, solar), Meter("", grid.id, Kind.EM3, pv_id=solar.id))


def called(device: CloudMeter, devices: Iterable[CloudMeter]) -> str:
    """The device's name, with its id if it is the name of another of these devices, too."""
    if not device.name:
        return f"(no name) {device.id}"
    is_shared = any(each.name == device.name and each.id != device.id for each in devices)
    return f"{device.name} ({device.id})" if is_shared else device.name


def with_roof(candidate: Candidate, verdict: Verdict) -> Candidate:
    """An em whose clamps are as decided. If nothing is known the defaults stay, and the question is open."""
    meter = candidate.meter
    first, second = (meter.grid_channel, meter.solar_channel)
    if verdict.roof is Roof.FIRST:
        meter = replace(meter, grid_channel=second, solar_channel=first)
    elif verdict.roof is Roof.NONE:
        meter = replace(meter, solar=False)
    return replace(candidate, meter=meter, why=verdict.why, is_open=verdict.roof is Roof.UNKNOWN)


def find_roof(as_is: Sequence[EnergyDay], swapped: Sequence[EnergyDay], first: str, second: str) -> Verdict:
    """Where the roof is, by the check of the clamps that `doctor` makes.

    `as_is` are the days read with the first as grid and the second as solar, `swapped` the same days with
    both exchanged. `first` and `second` are what they are called in the sentence.
    """
    found, found_swapped = doubts(as_is, Clamps()), doubts(swapped, Clamps())
    if found is None or found_swapped is None:
        return Verdict(Roof.UNKNOWN, f"The cloud has fewer than {ENOUGH_DAYS} days of both.")
    days = len([day for day in as_is if day.readings])
    if _is_certain(as_is, found, found_swapped):
        return Verdict(Roof.SECOND, _reason(first, second, found_swapped, days))
    if _is_certain(swapped, found_swapped, found):
        return Verdict(Roof.FIRST, _reason(second, first, found, days))
    is_silent = not any(
        hour.import_kwh or hour.export_kwh for day in swapped for hour in day.readings.values()
    )
    if is_silent and Doubt.SOLAR_ALWAYS_ZERO in found and Doubt.IMPORT_ALWAYS_ZERO not in found:
        return Verdict(Roof.NONE, _sentence(f"{second} measured nothing at all in {days} days"))
    if is_silent:
        why = f"{second} measured nothing in {days} days, which in winter may also be snow on the roof"
    elif any(each in found for each in _AGAINST) and any(each in found_swapped for each in _AGAINST):
        why = f"Neither looks like a solar roof in {days} days: both measure energy at night"
    else:
        why = f"{days} days do not show which of both is on a solar roof"
    return Verdict(Roof.UNKNOWN, _sentence(why))


def _is_certain(days: Sequence[EnergyDay], found: Collection[Doubt], other: Collection[Doubt]) -> bool:
    """Whether this order is plausible, the other one is not, and there is solar energy."""
    is_plausible = not any(each in found for each in (*_AGAINST, Doubt.IMPORT_ALWAYS_ZERO))
    return is_plausible and any(each in other for each in _AGAINST) and _has_solar(days)


def _has_solar(days: Iterable[EnergyDay]) -> bool:
    return any(hour.solar_kwh for day in days for hour in day.readings.values())


def _reason(grid: str, solar: str, against_other: Collection[Doubt], days: int) -> str:
    if Doubt.CHANNELS_SWAPPED in against_other or Doubt.GRID_LIKE_A_ROOF in against_other:
        why = f"in {days} days {solar} measured nothing at night and most around noon, as a solar roof does"
    else:
        why = f"in {days} days {grid} measured energy at night, as a house does, and {solar} did not"
    return _sentence(why)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def folder_name(text: str, device: str, taken: Collection[str]) -> str:
    """A name for the folder: letters, digits and hyphens of the text, different from those `taken`.

    The device's id stands in for a text that has none.
    """
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", plain)[:_LONGEST_NAME].strip("-") or f"meter-{device}"
    used = {each.casefold() for each in taken}
    name, number = base, 1
    while name in used:
        number += 1
        name = f"{base}-{number}"
    return name
