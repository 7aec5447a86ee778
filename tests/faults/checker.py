"""What must hold of a history: of what was served, what was acknowledged, what is on disk. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple

_PACE_S = 1.0
_FLOAT_S = 1e-6

Values = Mapping[str, Decimal]
"""kWh of an hour by column: `import`, `export`, `solar`."""


class Hour(NamedTuple):
    """One hour of one device at a moment, loop time: served, or acknowledged as saved."""

    at: float
    device: str
    ts: int
    values: Values


class Stored(NamedTuple):
    """One record of a day file."""

    device: str
    ts: int
    values: Values


@dataclass(slots=True)
class History:
    """What happened, oldest first. `requests` are the moments at which the server was asked."""

    served: list[Hour] = field(default_factory=list)
    acknowledged: list[Hour] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)


class Violation(NamedTuple):
    """What did not hold, and where."""

    what: str
    where: str


def violations(history: History, stored: Sequence[Stored]) -> list[Violation]:
    """All that does not hold of the archive as it is after that history."""
    return [*_of_hours(stored), *_of_values(history, stored), *_of_pace(history.requests)]


def incomplete(present: Iterable[Stored], stored: Iterable[Stored]) -> list[Violation]:
    """The values that the cloud has at present and the archive has not, or has otherwise."""
    on_disk = {(row.device, row.ts): row.values for row in stored}
    return [
        Violation("not as the cloud has it", f"{device} {ts} {column}: {found} instead of {value}")
        for device, ts, values in present
        for column, value in values.items()
        if (found := on_disk.get((device, ts), {}).get(column)) != value
    ]


def _of_hours(stored: Iterable[Stored]) -> list[Violation]:
    times = Counter((row.device, row.ts) for row in stored)
    return [Violation("twice", f"{hour}") for hour, count in times.items() if count > 1]


def _of_values(history: History, stored: Iterable[Stored]) -> list[Violation]:
    """Invented, lost, or older than what had been acknowledged."""
    served: dict[tuple[str, int, str], list[tuple[float, Decimal]]] = {}
    for hour in history.served:
        for column, value in hour.values.items():
            served.setdefault((hour.device, hour.ts, column), []).append((hour.at, value))
    on_disk = {(row.device, row.ts, column): v for row in stored for column, v in row.values.items()}
    found = [
        Violation("never served", f"{place}: {value}")
        for place, value in on_disk.items()
        if value not in [each for _, each in served.get(place, ())]
    ]
    for hour in history.acknowledged:
        for column, value in hour.values.items():
            place = (hour.device, hour.ts, column)
            if place not in on_disk:
                found.append(Violation("lost", f"{place}: acknowledged at {hour.at}"))
                continue
            answers = served.get(place, [])
            known_at = max((at for at, each in answers if each == value and at <= hour.at), default=0.0)
            stands_at = max((at for at, each in answers if each == on_disk[place]), default=hour.at)
            if stands_at < known_at:
                found.append(Violation("older", f"{place}: {on_disk[place]} after {value}"))
    return found


def _of_pace(requests: Iterable[float]) -> list[Violation]:
    return [
        Violation("too fast", f"{later - earlier:.6f} s after the request at {earlier}")
        for earlier, later in pairwise(requests)
        if later - earlier < _PACE_S - _FLOAT_S
    ]
