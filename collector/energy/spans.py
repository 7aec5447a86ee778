"""How many days one request may ask for: what was learned of it, and days joined accordingly. Pure.

The cloud answers short spans by the hour and longer ones by the day. Where the limit lies is documented
nowhere and may change, so it is learned from the answers, in elapsed hours.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from collector.energy.days import local_span
from collector.energy.identity import ENOUGH_HOURS, distinct_hours
from collector.energy.readings import EnergyDay

STEPS_H = (96, 72, 48, 24)
"""The lengths that are tried, elapsed hours: four days, three, two, one."""

_ONE_DAY_H = STEPS_H[-1]
_AGAIN_S = 30 * 86400
_FAILURES = 3  # in a row, with other answers in between


class Trust(StrEnum):
    """Whether the rows of a span were found to be those of its days."""

    UNPROVEN = "unproven"
    PROVEN = "proven"
    CONTRADICTED = "contradicted"  # from then on every day is requested by itself


@dataclass(frozen=True, slots=True)
class SpanLimit:
    """What was learned of the spans of one meter, on one host and path.

    `longest_h`: elapsed hours of the longest span to request. `answered_h`: of the longest that came by the
    hour. `learned_at`: when `longest_h` was last found, epoch seconds.
    """

    longest_h: int = STEPS_H[0]
    answered_h: int = 0
    learned_at: int = 0
    trust: Trust = Trust.UNPROVEN

    @property
    def surely_h(self) -> int:
        """Elapsed hours of the longest span that is known to come by the hour; a day, if none is."""
        if self.trust is not Trust.PROVEN:
            return _ONE_DAY_H
        return min(max(self.answered_h, _ONE_DAY_H), self.longest_h)

    def allows(self, hours: int) -> bool:
        """Whether a span of that many hours may be requested."""
        return hours <= self.longest_h and self.trust is not Trust.CONTRADICTED

    def learns_from(self, hours: int) -> bool:
        """Whether the answer to such a span teaches something; then one such request at a time is enough."""
        return self.trust is Trust.UNPROVEN or hours > self.answered_h

    def answered(self, hours: int, now: datetime) -> SpanLimit:
        """After a span of that many hours came by the hour and was used."""
        learned_at = int(now.timestamp()) if hours > self.answered_h else self.learned_at
        return replace(self, answered_h=max(self.answered_h, hours), learned_at=learned_at)

    def shortened(self, hours: int, now: datetime) -> SpanLimit:
        """After a span of that many hours did not come by the hour: a day less from now on."""
        shorter = max((step for step in STEPS_H if step < hours), default=_ONE_DAY_H)
        if shorter >= self.longest_h:
            return self
        answered_h = self.answered_h if self.answered_h < hours else _ONE_DAY_H
        return replace(self, longest_h=shorter, answered_h=answered_h, learned_at=int(now.timestamp()))

    def renewed(self, now: datetime) -> SpanLimit:
        """After a month: whether more has become possible is tried again."""
        is_due = abs(now.timestamp() - self.learned_at) >= _AGAIN_S
        if self.longest_h == STEPS_H[0] or not is_due:
            return self
        return replace(self, longest_h=STEPS_H[0], learned_at=int(now.timestamp()))


class Spans:
    """The limit in force. `is_learning`: a request is in progress whose answer may change it."""

    def __init__(self) -> None:
        self.limit = SpanLimit()
        self.is_learning = False
        self.not_before = -math.inf  # loop time: no span was fit to prove anything
        self._failures = 0
        self._answers = -1

    def note_failure(self, hours: int, answers: int, now: datetime) -> None:
        """Call when a span was refused or not answered: after three in a row it was too long.

        `answers` counts the cloud's answers so far: without one in between it is the cloud that is down.
        """
        if answers != self._answers:
            self._answers = answers
            self._failures += 1
        if self._failures >= _FAILURES:
            self._failures = 0
            self.limit = self.limit.shortened(hours, now)

    def note_answer(self, hours: int, now: datetime) -> None:
        """Call when the rows of a span of that many hours were used."""
        self._failures = 0
        self.limit = self.limit.answered(hours, now)


def hours_of(days: Sequence[date], zone: ZoneInfo) -> int:
    """Elapsed hours from the start of the first of these days to the end of the last, rounded up."""
    start, end = local_span(min(days), zone)[0], local_span(max(days), zone)[1]
    return -(-(end - start) // 3600)


def continues(days: Sequence[date], day: date) -> bool:
    """Whether that day is the next one after these neighbouring days, in their direction."""
    step = day.toordinal() - days[-1].toordinal()
    return abs(step) == 1 and (len(days) == 1 or step == days[-1].toordinal() - days[-2].toordinal())


def joined(days: Iterable[date], zone: ZoneInfo, longest_h: int) -> Iterator[list[date]]:
    """Neighbouring days joined to spans of at most that many hours."""
    span: list[date] = []
    for day in days:
        if span and not (continues(span, day) and hours_of([*span, day], zone) <= longest_h):
            yield span
            span = []
        span.append(day)
    if span:
        yield span


def proves(day: EnergyDay) -> bool:
    """Whether the day, as a span has it, is fit for a comparison: whole, with enough different hours."""
    return day.is_whole() and distinct_hours(day.readings.values()) >= ENOUGH_HOURS


def verdict(span: EnergyDay, alone: EnergyDay, span_again: EnergyDay | None) -> Trust | None:
    """What follows from a day as a span had it, then alone, then as the span had it again.

    `None`: the span must be requested again before anything is certain. A value that was revised in between
    proves nothing.
    """
    if span.readings == alone.readings:
        return Trust.PROVEN
    if span_again is None:
        return None
    if span_again.readings == alone.readings:
        return Trust.PROVEN
    return Trust.CONTRADICTED if span_again.readings == span.readings else Trust.UNPROVEN
