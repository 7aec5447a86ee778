"""Hours that are whole before they can be: the meter's clock is ahead of what the zone's rules say. Pure.

An hour that has just begun may be told in part, and then grows. One that never grows was over already.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from collector.energy.readings import HourReading

_BEGUN_S = 1800  # in the second half of an hour little may be left to come
_KEPT_S = 86400
_PROOFS = 3  # in a row: one hour may end when the power does


class EarlyHours:
    """The hours of one meter that were told before they were over, each to be compared with its end."""

    def __init__(self) -> None:
        self._begun: dict[int, tuple[Decimal, Decimal]] = {}
        self._in_a_row = 0

    def note(
        self,
        unfinished: Mapping[int, tuple[Decimal, Decimal]],
        finished: Mapping[int, HourReading],
        asked_at: datetime,
    ) -> bool | None:
        """Takes an answer's hours, asked for at `asked_at`; import and export of unfinished ones, kWh.

        True once three hours in a row were whole when they had just begun, false where one was not,
        `None` where the answer shows neither.
        """
        now = asked_at.timestamp()
        verdict = None
        for ts in sorted(self._begun.keys() & finished.keys()):
            is_whole = self._begun.pop(ts) == finished[ts][:2]
            self._in_a_row = self._in_a_row + 1 if is_whole else 0
            verdict = None if 0 < self._in_a_row < _PROOFS else is_whole
        kept = {ts: kwh for ts, kwh in self._begun.items() if now - ts < _KEPT_S}
        begun = {ts: kwh for ts, kwh in unfinished.items() if any(kwh) and 0 <= now - ts <= _BEGUN_S}
        self._begun = kept | begun
        return verdict
