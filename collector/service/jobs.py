"""Job: many days of one meter, for one reason, and what became of them."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from itertools import chain

from collector import logs
from collector.archive.store import DayOutcome
from collector.energy.knowledge import Outcome
from collector.service.collection import Collection, Lane

_log = logs.get_logger("jobs")


@dataclass(slots=True, eq=False)
class Job:
    """Many days of one meter, for one reason, and what became of them."""

    lane: Lane
    collection: Collection
    days: Iterator[date]
    started_at: float
    done: asyncio.Event = field(default_factory=asyncio.Event)
    counts: Counter[Outcome] = field(default_factory=Counter)
    failures: dict[date, str] = field(default_factory=dict)
    outcomes: Callable[[DayOutcome], None] = lambda outcome: None
    reaches_to: Callable[[], date] | None = (
        None  # how far back it goes, where the totals may say what is there
    )
    tried_twice: set[date] = field(default_factory=set)
    open: int = 0
    exhausted: bool = False
    ended: bool = False
    _waiting: deque[date] = field(default_factory=deque)
    _dropped: Iterator[date] = field(default_factory=lambda: iter(()))
    _requests_before: int = 0
    _holds_before: int = 0

    def __post_init__(self) -> None:
        pacer = self.collection.client.pacer
        self._requests_before, self._holds_before = pacer.requests, pacer.holds

    def next_day(self) -> date | None:
        """The next day to collect; `None` when there is none."""
        if not self.has_more:
            self.exhausted = True
            return None
        self.open += 1
        return self._waiting.popleft()

    @property
    def has_more(self) -> bool:
        """Whether a further day waits; one that another job has taken already does not count."""
        claimed = self.collection.claimed
        if not self._waiting and (day := next((day for day in self.days if day not in claimed), None)):
            claimed.add(day)
            self._waiting.append(day)
        return bool(self._waiting)

    def count_left(self) -> int:
        """How many of its days are not done, also where it was ended; the plan is at its end then."""
        return self.open + len(self._waiting) + sum(1 for _ in self.days) + sum(1 for _ in self._dropped)

    @property
    def oldest(self) -> date | None:
        """The oldest day that it may come to, where the totals may say first which days there are."""
        return None if self.reaches_to is None or self.ended else self.reaches_to()

    @property
    def wants_totals(self) -> bool:
        """Whether the cloud's daily totals are to be read first."""
        return (oldest := self.oldest) is not None and self.collection.wants_totals(oldest)

    def give_back(self, day: date) -> None:
        """The day could not be had now, through no fault of its own: it comes first next time.

        Unless the job was ended meanwhile: then its plan is of another time, or of a device that is gone.
        """
        if self.ended:
            self._dropped = chain((day,), self._dropped)
            self.release(day)
            return
        self.open -= 1
        self.exhausted = False
        self._waiting.append(day)

    def release(self, day: date) -> None:
        """The day is not wanted any more."""
        self.open -= 1
        self.collection.claimed.discard(day)

    def record(self, outcome: DayOutcome) -> None:
        """One day is done."""
        self.release(outcome.day)
        self.counts[outcome.outcome] += 1
        if outcome.outcome is Outcome.FAILED:
            self.failures[outcome.day] = outcome.reason
        self.outcomes(outcome)

    def end(self) -> None:
        """No further days."""
        if not self.ended:
            self._dropped = chain(list(self._waiting), self.days)
        self.days = iter(())
        self.collection.claimed.difference_update(self._waiting)
        self._waiting.clear()
        self.exhausted = self.ended = True

    @property
    def is_over(self) -> bool:
        """All its days are done."""
        return self.exhausted and not self.open

    def finish(self, now: float) -> None:
        """Tells the job's story in one line; quietly where it had no day. `now` is loop time."""
        pacer = self.collection.client.pacer
        tell = _log.info if self.counts else _log.debug
        tell(
            "job.finished",
            meter=self.collection.meter.name,
            job=self.lane.value,
            **{outcome.value: self.counts[outcome] for outcome in Outcome},
            requests=pacer.requests - self._requests_before,
            holds=pacer.holds - self._holds_before,
            duration_s=round(now - self.started_at, 3),
        )
        self.done.set()
