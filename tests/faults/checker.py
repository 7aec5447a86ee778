"""N8's oracle: whether a history kept what was promised. Pure.

A value is a channel's number for an hour, named by `(ts, column)`: kWh as the file has them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

Name = tuple[int, str]
Values = Mapping[Name, Decimal]

GRID, SOLAR = ("import", "export"), ("solar",)
SECOND_S = 1.0
ARRIVAL_S = 7200  # after its end an hour is on disk, come what may of late data
SETTLED_S = 3 * 86400  # so long after its end a day is read once more
SETTLED_WITHIN_S = 26 * 3600
TRUSTED_S = 120  # a clock that is so far off is trusted: what is due by it may not quite be by the cloud's


class Answer(NamedTuple):
    """What the cloud told of a day on some columns, whole and untouched; `moment` by the cloud's clock."""

    at: float
    moment: int
    day: date
    columns: tuple[str, ...]
    values: Values


@dataclass(frozen=True, slots=True)
class File:
    """A day's file as a reader finds it: the values in the order of their lines.

    `torn`: it is not whole lines of JSON, all of which say the same of the day.
    """

    rows: tuple[tuple[Name, Decimal], ...]
    complete: bool
    torn: bool = False

    @property
    def values(self) -> dict[Name, Decimal]:
        """By name; of doubled ones the last."""
        return dict(self.rows)


class Seen(NamedTuple):
    """What was on disk then; `said` is the day that the service had just called saved, or unchanged."""

    at: float
    files: Mapping[date, File]
    said: date | None = None


class Violation(NamedTuple):
    """A promise that was broken."""

    kind: str
    text: str


@dataclass(slots=True)
class History:
    """Everything that was asked, told, said and found; times are loop time, except moments.

    `present` is what the cloud has when all is over, `hours` each day's hours, `ends_at` that moment.
    """

    hours: Mapping[date, Sequence[int]]
    columns: tuple[str, ...] = GRID + SOLAR
    answers: list[Answer] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    present: Values = field(default_factory=dict)
    ends_at: int = 0


def violations(history: History) -> list[Violation]:
    """Every broken promise, by kind."""
    return [*_pace(history), *_looks(history), *_completion(history), *_settling(history)]


def _pace(history: History) -> Iterator[Violation]:
    for before, after in pairwise(sorted(history.requests)):
        if after - before < SECOND_S - 1e-6:
            yield Violation("pace", f"{after - before:.3f} s at {after}")


def _looks(history: History) -> Iterator[Violation]:
    """Each look in its order, beside what had been told and said until then."""
    told = _Told(history.answers)
    saved: dict[date, dict[Name, Decimal]] = {}
    for look in history.seen:
        told.until(look.at)
        if look.said is not None:
            told.take(look.said)
        doubled = Counter(name for file in look.files.values() for name, _ in file.rows)
        for name, times in doubled.items():
            if times > 1:
                yield Violation("doubled", f"{name} at {look.at}")
        for day, file in look.files.items():
            if file.torn:
                yield Violation("torn", f"{day} at {look.at}")
            yield from _file(day, file, look, told, history)
        days = saved.keys() if look.said is None else saved.keys() & {look.said}
        for day in days:
            lost = saved[day].keys() - (look.files[day].values.keys() if day in look.files else set())
            if lost:
                yield Violation("lost", f"{day}: {sorted(lost)[:3]} at {look.at}")
        if look.said is not None:
            values = look.files[look.said].values if look.said in look.files else {}
            known = {ts for ts, column in values if column == "import"}  # solar alone is not written
            due = [name for name in told.due(look.said) if name[1] != "solar" or name[0] in known]
            untaken = [name for name in due if name not in values]
            if untaken:
                yield Violation("said, not saved", f"{look.said}: {untaken[:3]} at {look.at}")
            saved[look.said] = values


def _file(day: date, file: File, look: Seen, told: _Told, history: History) -> Iterator[Violation]:
    for name, value in file.values.items():
        if name[0] not in history.hours.get(day, ()):
            yield Violation("invented", f"{name} is no hour of {day} at {look.at}")
        elif value not in told.ever(day, name):
            yield Violation("invented", f"{name} = {value} of {day} at {look.at}")
        elif value not in told.newest(day, name):
            yield Violation("old", f"{name} = {value} of {day}, not {told.newest(day, name)}, at {look.at}")
    if file.complete:
        due = {(ts, column) for ts in history.hours.get(day, ()) for column in history.columns}
        if due - file.values.keys():
            yield Violation("not complete", f"{day}: {sorted(due - file.values.keys())[:3]} at {look.at}")


def _completion(history: History) -> Iterator[Violation]:
    """What the cloud has in the end is on disk in the end."""
    stored = _all(history.seen[-1].files.values()) if history.seen else {}
    missing = sorted(name for name in history.present if name not in stored)
    if missing:
        yield Violation("missing", f"{len(missing)}: {missing[:3]}")


def _settling(history: History) -> Iterator[Violation]:
    """A complete day was read again three days after its end."""
    last = {day: max(told.moment for told in answers) for day, answers in _taken(history).items()}
    for day, file in history.seen[-1].files.items() if history.seen else ():
        due = max(history.hours[day]) + 3600 + SETTLED_S if day in history.hours else history.ends_at
        if file.complete and history.ends_at >= due + SETTLED_WITHIN_S and last.get(day, 0) < due - TRUSTED_S:
            yield Violation("not settled", f"{day} was last read at {last.get(day)}, not after {due}")


def _taken(history: History) -> dict[date, list[Answer]]:
    """The answers that the service took: it says so, or a complete file it did not live to tell of."""
    told = _Told(history.answers)
    taken: dict[date, list[Answer]] = defaultdict(list)
    for look in history.seen:
        told.until(look.at)
        if look.said is not None:
            taken[look.said] += told.take(look.said)
        for day, file in look.files.items():
            if file.complete and day not in taken:
                taken[day] += told.take(day)
    return taken


def _all(files: Iterable[File]) -> dict[Name, Decimal]:
    return {name: value for file in files for name, value in file.rows}


class _Told:
    """The answers so far: what each name was ever told to be, and what it may be now."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._coming = iter(sorted(answers, key=lambda answer: answer.at))
        self._next = next(self._coming, None)
        self._open: dict[date, list[Answer]] = defaultdict(list)  # told, and not yet said to be saved
        self._last: dict[date, dict[tuple[str, ...], Answer]] = defaultdict(dict)
        self._taken: dict[tuple[date, Name], Decimal] = {}
        self._unsaid: dict[tuple[date, Name], set[Decimal]] = defaultdict(set)
        self._ever: dict[tuple[date, Name], set[Decimal]] = defaultdict(set)

    def until(self, at: float) -> None:
        """Hears what was told until then."""
        while self._next is not None and self._next.at <= at:
            answer = self._next
            self._open[answer.day].append(answer)
            self._last[answer.day][answer.columns] = answer
            for name, value in answer.values.items():
                self._ever[answer.day, name].add(value)
            self._next = next(self._coming, None)

    def take(self, day: date) -> list[Answer]:
        """The service says that it has that day: the last answer on each column counts."""
        taken = list(self._last[day].values())
        for answer in self._open[day]:  # saved unsaid perhaps, and what a later one lacks stays
            for name, value in answer.values.items():
                self._unsaid[day, name].add(value)
        for answer in taken:
            for name, value in answer.values.items():
                self._taken[day, name] = value
                self._unsaid.pop((day, name), None)
        self._open[day].clear()
        return taken

    def due(self, day: date) -> Iterator[Name]:
        """What the day's file must have, for it was told of an hour that was over for long."""
        for answer in self._last[day].values():
            yield from (name for name in answer.values if name[0] + 3600 + ARRIVAL_S <= answer.moment)

    def ever(self, day: date, name: Name) -> set[Decimal]:
        """All that it was told to be."""
        return self._ever[day, name]

    def newest(self, day: date, name: Name) -> set[Decimal]:
        """What it may be: what was taken last, or told since and perhaps saved unsaid."""
        since = {answer.values[name] for answer in self._open[day] if name in answer.values}
        taken = self._taken.get((day, name))
        return since | self._unsaid.get((day, name), set()) | ({taken} if taken is not None else set())
