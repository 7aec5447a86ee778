"""Which days to ask for next, in which order, from today and what is known. Pure."""

from __future__ import annotations

from dataclasses import dataclass

RETENTION_DAYS = 3 * 365  # the cloud keeps three years


@dataclass(frozen=True, slots=True)
class PlanPolicy:
    """Which days the service asks for by itself.

    `backfill_days` full days before today, `None` for all that the cloud keeps. A complete day is
    read again `settle_days` after its end. `heal` asks for incomplete past days again and again.
    """

    backfill_days: int | None = None
    settle_days: tuple[int, ...] = (1, 3)
    heal: bool = True
