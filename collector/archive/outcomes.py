"""What became of a day that was asked for, and of a file that cannot be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple

from collector.energy.knowledge import Outcome
from collector.energy.readings import Revision


class Quarantined(NamedTuple):
    """A file that was moved aside, where to, and why."""

    day: date
    place: Path
    reason: str


@dataclass(frozen=True, slots=True)
class DayOutcome:
    """How asking for one day ended. `missing` hours lack a value on some channel.

    `is_common`: every day of the meter would fail for the same reason now.
    """

    day: date
    outcome: Outcome
    hours: int = 0
    missing: int = 0
    complete: bool = False
    revisions: tuple[Revision, ...] = ()
    quarantined: tuple[Quarantined, ...] = ()
    reason: str = ""
    is_common: bool = False

    @classmethod
    def failed(cls, day: date, reason: str) -> DayOutcome:
        """The day could not be had."""
        return cls(day, Outcome.FAILED, reason=reason)
