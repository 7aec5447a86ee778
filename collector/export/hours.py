"""What every export reads: the stored hours of a meter, one day after the other, and what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collector.archive.folder import day_files, ledger_of
from collector.archive.mark import mark_for
from collector.cloud.meters import Meter
from collector.energy.days import known_zone
from collector.energy.history import LastAttempt
from collector.energy.readings import EnergyDay
from collector.energy.totals import energy_of
from collector.overview import MeterFiles, stored_hours
from collector.redaction import printable


class Hour(NamedTuple):
    """One stored hour of a meter: `[start, end)` in epoch seconds, `local` is its start in the meter's zone.

    kWh as in `Totals`, with the decimals of the file; `None` is not known. A meter without solar has no
    solar energy, and its consumption is its import.
    """

    start: int
    end: int
    local: datetime
    import_kwh: Decimal
    export_kwh: Decimal
    solar_kwh: Decimal | None
    solar_used_kwh: Decimal | None
    consumption_kwh: Decimal | None


COLUMNS = ("import_kwh", "export_kwh", "solar_kwh", "solar_used_kwh", "consumption_kwh")
"""The names of an hour's values, in their order."""


class Finding(NamedTuple):
    """A day whose file cannot be used, at least not all of it."""

    day: date
    reason: str


@dataclass(slots=True)
class Tally:
    """What was read so far. `incomplete`: days that lack an hour, or an hour's solar energy."""

    hours: int = 0
    days: int = 0
    incomplete: int = 0
    findings: list[Finding] = field(default_factory=list)


class MeterHours:
    """The stored hours of a meter on the days `[since, until]`, and the `tally` of those that were read.

    `stamps`: the days that have a file, ascending, and its stamp: a number that changes with the file.
    """

    def __init__(self, files: MeterFiles, machine_zone: ZoneInfo, since: date, until: date) -> None:
        """Lists the days. `machine_zone` is used before the cloud has named the meter's.

        Raises `ArchiveRefused` if the folder is another meter's, `OSError`.
        """
        mark_for(files.folder, files.meter.identity)
        ledger = ledger_of(files.folder)
        self.tally = Tally()
        self.zone = known_zone(ledger.zone) or files.meter.zone_or(machine_zone)
        self._files = files
        self._attempts = ledger.attempts
        stored = day_files(files.folder) if files.folder.is_dir() else {}
        self.stamps = {day: stored[day] for day in sorted(stored) if since <= day <= until}

    @property
    def name(self) -> str:
        """The meter's name, without line breaks and other control characters."""
        return printable(self.meter.name)

    @property
    def meter(self) -> Meter:
        """The meter."""
        return self._files.meter

    def hours(self, days: Iterable[date] | None = None) -> Iterator[Hour]:
        """The hours, ascending, of these days, by default of all; reads one file at a time.

        Raises `OSError` for errors of this process.
        """
        for day in self.stamps if days is None else days:
            found, damage = stored_hours(
                self._files, day, self.zone, held_back=_is_held_back(self._attempts.get(day))
            )
            if damage:
                self.tally.findings.append(Finding(day, damage))
            if found.readings:
                self.tally.days += 1
                self.tally.hours += len(found.readings)
                self.tally.incomplete += not found.is_whole()
                yield from _hours_of(found, no_solar=self.meter.has_no_solar)


def _is_held_back(attempt: LastAttempt | None) -> bool:
    return attempt is not None and attempt.is_held_back


def _hours_of(found: EnergyDay, *, no_solar: bool) -> Iterator[Hour]:
    local = found.day
    for start, end in pairwise((*local.hours, local.end)):
        if (reading := found.readings.get(start)) is not None:
            at = datetime.fromtimestamp(start, local.zone)
            yield Hour(start, end, at, *energy_of(reading, no_solar=no_solar))
