"""What the simulator saw: how each account was asked, and what was answered.

The tests' second oracle: pace, overlaps, and where a key turned up. Times are seconds on the loop's
clock.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from collector.simulator.api import Violation

RequestKind = Literal["day", "span", "totals", "devices", "none"]

SPAN_DAYS = 4
"""The longest span that may come by the hour; a longer one, a week, a month or a year comes as totals."""


def kind_of(query: Mapping[str, str]) -> tuple[RequestKind, int]:
    """What is asked for, and of how many local days; `none` and 0 where the parameters name no days.

    Totals of a week, a month or a year have no number of days: 0.
    """
    try:
        first = datetime.fromisoformat(query.get("date_from", "")).date()
        match query.get("date_range"):
            case "day":
                return "day", 1
            case "week" | "month" | "year":
                return "totals", 0
            case "custom":
                days = (datetime.fromisoformat(query.get("date_to", "")).date() - first).days + 1
                return ("none", 0) if days < 1 else ("span" if days <= SPAN_DAYS else "totals", days)
    except ValueError:
        pass
    return "none", 0


@dataclass(slots=True)
class Tally:
    """The requests of one account, or of all; those that carried no known key count in the total only.

    `answered` are 200s of the simulated cloud, wrong or right; `rejections` refusals by the rate
    limit; `overlaps` requests that started while another of the account was under way. The smallest
    gaps are None until there were two requests: from start to start, and from the end of the last
    answer to the next start, which is 0 where they overlapped.
    """

    requests: int = 0
    answered: int = 0
    rejections: int = 0
    overlaps: int = 0
    faults: int = 0
    bearer_keys: int = 0
    keys_outside_query: int = 0
    max_in_flight: int = 0
    smallest_start_gap_s: float | None = None
    smallest_idle_gap_s: float | None = None
    _in_flight: int = field(default=0, repr=False)
    _started_at: float | None = field(default=None, repr=False)
    _ended_at: float | None = field(default=None, repr=False)

    def start(self, at: float) -> None:
        """A request begins."""
        self.requests += 1
        if self._started_at is not None:
            self.smallest_start_gap_s = _smaller(self.smallest_start_gap_s, at - self._started_at)
        if self._in_flight:
            self.overlaps += 1
            self.smallest_idle_gap_s = 0.0
        elif self._ended_at is not None:
            self.smallest_idle_gap_s = _smaller(self.smallest_idle_gap_s, at - self._ended_at)
        self._started_at = at
        self._in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self._in_flight)

    def end(self, at: float) -> None:
        """Its answer has left, or its connection is gone."""
        self._in_flight -= 1
        self._ended_at = at

    def as_json(self) -> dict[str, Any]:
        """All public fields."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


@dataclass(slots=True)
class Served:
    """One request: when, what for, and what became of it.

    `until` is the last day of a `custom` span that begins with `day`; empty for a day by itself.
    `kind` and `days` are what was asked for, as `kind_of` has them.
    `outcome` is the status, `fault` the kind of the rule that was played, `violation` what the rate
    limit held against it. `ended_at` is None while it is under way.
    """

    at: float
    account: str | None
    device: str
    channel: str
    day: str
    until: str = ""
    kind: RequestKind = "none"
    days: int = 0
    outcome: int = 0
    fault: str | None = None
    violation: Violation | None = None
    ended_at: float | None = None


class Counts:
    """Everything that was seen since the start or the last reset.

    `log` keeps the last `log_size` requests, oldest first.
    """

    def __init__(self, log_size: int = 10_000) -> None:
        self._log_size = log_size
        self.reset()

    def reset(self) -> None:
        """Counts from zero. Requests under way belong to what is forgotten."""
        self.total = Tally()
        self.accounts: dict[str, Tally] = {}
        self.days: Counter[tuple[str, str, str]] = Counter()  # (device, day, channel) -> requests
        self.kinds: Counter[RequestKind] = Counter()
        self.spans: Counter[int] = Counter()  # number of days -> requests of the kind `span`
        self.log: deque[Served] = deque(maxlen=self._log_size)
        self._under_way: dict[int, tuple[Tally, ...]] = {}
        self.trap_hits = 0
        self.trap_keys = 0

    def tallies(self, account: str | None) -> tuple[Tally, ...]:
        """The tallies that a request of that account belongs in."""
        if account is None:
            return (self.total,)
        return self.total, self.accounts.setdefault(account, Tally())

    def start(self, served: Served) -> None:
        """A request begins."""
        self.log.append(served)
        self.days[served.device, served.day, served.channel] += 1
        self.kinds[served.kind] += 1
        if served.kind == "span":
            self.spans[served.days] += 1
        self._under_way[id(served)] = self.tallies(served.account)
        for tally in self._under_way[id(served)]:
            tally.start(served.at)

    def end(self, served: Served, at: float) -> None:
        """It is over: answered, broken off, or left by the client."""
        served.ended_at = at
        for tally in self._under_way.pop(id(served), ()):
            tally.end(at)
            tally.answered += served.outcome == 200
            tally.rejections += served.violation is not None
            tally.faults += served.fault is not None

    def as_json(self) -> dict[str, Any]:
        """For other processes: `GET /_simulator/counts`."""
        return {
            "total": self.total.as_json(),
            "accounts": {name: tally.as_json() for name, tally in self.accounts.items()},
            "days": [[*asked, times] for asked, times in sorted(self.days.items())],
            "kinds": dict(self.kinds),
            "spans": [list(counted) for counted in sorted(self.spans.items())],
            "trap_hits": self.trap_hits,
            "trap_keys": self.trap_keys,
            "log": [asdict(served) for served in self.log],
        }


def _smaller(known: float | None, seen: float) -> float:
    return seen if known is None else min(known, seen)
