"""Hours that are whole before they can be, or always too late: the zone's rules do not fit. Pure.

An hour that has just begun may be told in part, and then grows. One that never grows was over already:
the meter's clock is ahead of what the rules say. Where it is behind, each hour that is over by the rules
has just begun.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from collector.energy.readings import EnergyDay, HourReading

_BEGUN_S = 1800  # in the second half of an hour little may be left to come
_KEPT_S = 86400
_PROOFS = 3  # in a row: one hour may end when the power does
_LATE_PROOFS = 48  # in a row: a slow meter is as late as that now and then
_SLACK = Decimal("1.1")  # the energy of an hour's first minutes is not just their share of it
_HOUR_S = 3600
_MOST_HOURS = 3  # no law moves the clocks by more; who is later than that is offline


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


class LateHours:
    """The newest hours of one meter, each told in part when it was over, to be compared with its end.

    A meter that is late by another span than whole hours has told more by then than the minutes since the
    last full hour hold; one that is late by whole hours always, and to a few minutes, looks just like rules
    that are old. And where the hour under way is not told in part, nothing of this can be seen.
    """

    def __init__(self) -> None:
        self._forget(0)

    def _forget(self, hours: int) -> None:
        """Begins anew, with a meter that is late by so many hours."""
        self._late_by = hours
        self._begun: dict[int, tuple[Decimal, Decimal]] = {}  # kWh told first, and how much of the hour it is
        self._in_a_row = 0
        self._told = self._due = Decimal(0)

    def note(
        self, answered: EnergyDay, unfinished: Mapping[int, tuple[Decimal, Decimal]], asked_at: datetime
    ) -> bool | None:
        """Takes an answer, asked for at `asked_at`: hours that are over by the rules, and unfinished ones.

        True once 48 newest hours in a row had, when they should have been over, what the minutes since the
        last full hour hold, and got the rest within as many hours as all others. False where one did not.
        `None` where the answer shows neither.
        """
        now = asked_at.timestamp()
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
        """Those after which a newer one has begun, with what was told of them first.

        Of a meter that is offline the newest hour does not grow either, which shows nothing.
        """
        verdict = None
        for ts in sorted(self._begun):
            if now - ts >= _KEPT_S:
                del self._begun[ts]
            elif ts in readings and ts < newest:
                told, share = self._begun.pop(ts)
                whole = sum(readings[ts][:2], Decimal(0))
                if told == whole == 0:
                    continue
                if told >= whole:
                    self._forget(self._late_by)
                    return False
                self._in_a_row += 1
                self._told += told
                self._due += whole * share
        if self._in_a_row >= _LATE_PROOFS:
            verdict = self._told <= self._due * _SLACK
            if not verdict:
                self._forget(self._late_by)
        return verdict
