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


class Asked(NamedTuple):
    """The last time a day was asked for: how it ended, epoch seconds, tries so far, why it failed."""

    outcome: Outcome
    asked_at: int
    tries: int
    reason: str = ""


class Known(NamedTuple):
    """What is known of a day: whether a file is there, whether it is complete, the last asking."""

    stored: bool
    complete: bool
    asked: Asked | None = None

    @property
    def is_empty(self) -> bool:
        """Asked for, answered, and nothing there."""
        return not self.stored and self.asked is not None and self.asked.outcome is Outcome.EMPTY


NOTHING = Known(stored=False, complete=False)

Knowledge = Callable[[], Mapping[date, Known]]
"""Gives what is known now; it grows while a plan is being followed."""
