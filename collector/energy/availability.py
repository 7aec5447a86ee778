"""Availability: which days the cloud has data for, as far as its daily totals show. Pure.

What the totals show of a day without data is not known (zero, missing, no row), so that a total above
zero proves that there are data, and anything else proves nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

_DAY = timedelta(days=1)
_DAY_S = 86400
_AGAIN_S = 30 * _DAY_S  # what was empty may have been filled meanwhile
_REFUSED_AGAIN_S = 7 * _DAY_S
_WORTH_DAYS = 45  # fewer are collected about as fast as it is known which of them have data
_SLACK_S = 6 * 3600  # the schedule asks once a day, at about the same time


@dataclass(frozen=True, slots=True)
class Availability:
    """Which of the days from `first` to `last` have a total above zero, as of `asked_at` (epoch seconds).

    `runs` are the stretches of such days, `(first, last)` each, ascending; none where the cloud gives no
    daily totals that could be used.
    """

    asked_at: int
    first: date
    last: date
    runs: tuple[tuple[date, date], ...] = ()

    @classmethod
    def of(cls, asked_at: int, first: date, last: date, days: Iterable[date]) -> Availability:
        """The same from the days with a total above zero, in any order."""
        runs: list[tuple[date, date]] = []
        for day in sorted(set(days)):
            if runs and runs[-1][1] + _DAY == day:
                runs[-1] = runs[-1][0], day
            else:
                runs.append((day, day))
        return cls(asked_at, first, last, tuple(runs))

    @property
    def is_usable(self) -> bool:
        """Whether any total was above zero. Totals that show nothing of a whole meter prove nothing."""
        return bool(self.runs)

    @property
    def beginning(self) -> date:
        """The first day with a total above zero: where the meter's data are thought to begin."""
        return self.runs[0][0] if self.runs else self.first

    def beginning_seen(self, kept_from: date) -> date | None:
        """The same, for people: `None` where it is but the edge of what was read.

        Before it there are days without data, or such as the cloud, which keeps all from `kept_from` on, no
        longer has.
        """
        is_seen = self.beginning > self.first or self.first <= kept_from
        return self.beginning if self.is_usable and is_seen else None

    def days(self) -> Iterator[date]:
        """The days with a total above zero, ascending."""
        for first, last in self.runs:
            yield from (first + number * _DAY for number in range((last - first).days + 1))

    def may_have(self, day: date) -> bool:
        """Whether there are data of that day for certain, or nobody has looked."""
        if not self.is_usable or not self.first <= day <= self.last:
            return True
        place = bisect_right(self.runs, day, key=lambda run: run[0])
        return place > 0 and day <= self.runs[place - 1][1]

    def is_before_the_beginning(self, day: date) -> bool:
        """Whether the meter is thought not to have been there yet."""
        return self.is_usable and self.first <= day < self.beginning

    def is_due(self, now: datetime) -> bool:
        """Whether the totals are to be requested again: monthly, weekly where they could not be used."""
        waited_s = now.timestamp() - self.asked_at
        return (
            waited_s < -_SLACK_S or waited_s >= (_AGAIN_S if self.is_usable else _REFUSED_AGAIN_S) - _SLACK_S
        )


def is_worth_it(first: date, today: date) -> bool:
    """Whether the totals are worth their requests before days down to `first` are collected."""
    return (today - first).days > _WORTH_DAYS
