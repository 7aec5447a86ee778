"""What is known of a meter's days: how asking for each ended, and what is stored of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """How asking for a day ended."""

    WRITTEN = "written"  # complete, and its file changed
    UNCHANGED = "unchanged"  # what the file says already
    PARTIAL = "partial"  # written, and not complete
    EMPTY = "empty"  # the cloud has no hour of it
    FAILED = "failed"  # no answer that could be used, or not saved


HELD_BACK = "every hour is there, but this machine's rules of the time zone are in doubt"
"""Why a day that has every hour is not complete: begins the `reason` of its `Asked`."""


class Asked(NamedTuple):
    """The last time a day was asked for: how it ended, epoch seconds, tries so far, why it failed."""

    outcome: Outcome
    asked_at: int
    tries: int
    reason: str = ""

    @classmethod
    def wish(cls, tries: int, reason: str) -> Asked:
        """A day to be asked for in the next round, as if it had been asked for in vain very long ago."""
        return cls(Outcome.FAILED, 0, tries, reason)

    @property
    def is_wish(self) -> bool:
        """Whether somebody wants the day asked for, whatever is stored of it."""
        return self.outcome is Outcome.FAILED and self.asked_at == 0

    @property
    def is_held_back(self) -> bool:
        """Whether every hour of the day was stored as partial, because the zone's rules were in doubt."""
        return self.reason.startswith(HELD_BACK)


class Known(NamedTuple):
    """What is known of a day: whether a file is there, whether it is complete, the last asking."""

    stored: bool
    complete: bool
    asked: Asked | None = None

    @property
    def is_empty(self) -> bool:
        """Asked for, answered, and nothing there."""
        return not self.stored and self.asked is not None and self.asked.outcome is Outcome.EMPTY

    @property
    def had_file(self) -> bool:
        """Whether there was a file when the day was last looked at, or asked for."""
        asked = self.asked
        return self.stored or (asked is not None and asked.outcome not in (Outcome.EMPTY, Outcome.FAILED))


NOTHING = Known(stored=False, complete=False)

Knowledge = Callable[[], Mapping[date, Known]]
"""Gives what is known now; it grows while a plan is being followed."""
