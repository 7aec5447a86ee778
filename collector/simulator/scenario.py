"""What is simulated: accounts, their devices, their rate limits, and the latency of the server.

Every field is an option of the scenario file under the same name (`scenario_file` reads it);
tests/unit/simulator/every_variant.toml shows each one. Instants are aware; a `LocalTime` is local to the
device where it names no offset.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from collector.energy.days import known_zone, zone_named
from collector.simulator.truth import GRID, SOLAR, Energy, phases, truth

LocalTime = date | datetime

_ZONE = "Europe/Dublin"
_zone = lru_cache(maxsize=64)(zone_named)  # a device asks for each hour that it renders


@dataclass(frozen=True, slots=True)
class Limit:
    """How an account's requests are judged.

    `lax`: starts must be `limit_s` apart. `strict`: one at a time, and `limit_s` from the end of the
    last answer, rejected ones included. `retry_after` is sent as it stands, sense or nonsense.
    """

    style: Literal["none", "lax", "strict"] = "lax"
    limit_s: float = 1.0
    answer: Literal["max_req", "429"] = "max_req"
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Hole:
    """Hours in `[since, until)` that the cloud does not have, on one channel or on all.

    It closes at the simulated instant `heals_at`, or never.
    """

    since: LocalTime
    until: LocalTime
    channel: int | None = None
    heals_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """From the instant `at` on, hours in `[since, until)` have `add_wh` more than the truth."""

    at: datetime
    since: LocalTime
    until: LocalTime
    channel: int | None = None
    add_wh: Decimal = Decimal("10.00")


@dataclass(frozen=True, slots=True)
class Shrink:
    """From the instant `at` on, days in `[since, until)` answer with their first `rows` hours only."""

    at: datetime
    since: date
    until: date
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """One meter, and which of the variants of the API its answers play."""

    id: str
    kind: Literal["em", "3em"] = "em"
    timezone: str = _ZONE
    counts: Literal["grid", "solar"] = "grid"  # a 3em is one or the other, an em has a clamp for each
    installed_since: date | None = None
    before_install: Literal["empty", "missing"] = "empty"
    spring: Literal["missing", "nulls", "absent", "zeros"] = "missing"
    autumn: Literal["repeated", "fat"] = "repeated"  # "fat": one row with the sum of both hours
    gaps: Literal["missing", "missing_nulls", "nulls", "absent"] = "missing"
    future: Literal["missing", "absent"] = "missing"
    under_way: Literal["missing", "partial"] = "missing"
    late_minutes: int = 0
    tariffs: int = 0
    tariff_zero: Literal["none", "rest", "copy"] = "none"
    stamps: Literal["local", "utc"] = "local"
    says_timezone: str | None = None  # the body names this zone, whatever zone the rows are in
    sum_of_gaps: Literal["rest", "missing"] = "rest"  # a 3em's `sum` where one phase is missing
    other_type: Literal["empty", "error", "nesting"] = "empty"  # asked at the endpoint of another kind
    totals: Literal["day", "refused", "month"] = "day"  # how a long `custom` span is answered
    total_stamps: Literal["local", "utc_midnight"] = "local"  # where the rows by the day begin
    empty_totals: Literal["as_hours", "zeros", "missing", "absent"] = "as_hours"  # of a day without data
    hours_kept_since: date | None = None  # older days have totals and no hours any more
    hole: tuple[Hole, ...] = ()
    revision: tuple[Revision, ...] = ()
    shrink: tuple[Shrink, ...] = ()

    @property
    def zone(self) -> ZoneInfo:
        """The zone that the device is in."""
        return _zone(self.timezone)

    @property
    def channels(self) -> int:
        """How many channels count here: two clamps or three phases."""
        return 2 if self.kind == "em" else 3

    def energy(self, channel: int, ts: int) -> Energy:
        """What really flowed there in the hour that starts at `ts`: a clamp's or a phase's."""
        return truth(self.id, channel, ts) if self.kind == "em" else phases(self.id, self._side, ts)[channel]

    def total(self, ts: int) -> Energy:
        """What the whole device counts: `sum` of a 3em, the grid clamp of an em."""
        return truth(self.id, self._side, ts)

    @property
    def _side(self) -> int:
        return GRID if self.kind == "em" or self.counts == "grid" else SOLAR


@dataclass(frozen=True, slots=True)
class Account:
    """One key, what it opens, and how fast it may ask."""

    name: str
    auth_key: str = field(repr=False)
    device: tuple[Device, ...] = ()
    limit: Limit = Limit()


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole simulated cloud. `now` and `speed` set its clock; without `now` it is the real time.

    An answer takes `latency_s` and up to `jitter_s` more, by `seed`. A `custom` span of up to
    `hour_span_h` hours comes in hours, a longer one of up to four days in `four_day_interval`.
    """

    account: tuple[Account, ...] = ()
    now: datetime | None = None
    speed: float = 1.0
    latency_s: float = 0.0
    jitter_s: float = 0.0
    seed: int = 0
    hour_span_h: int = 60
    four_day_interval: Literal["hour", "day"] = "day"

    @classmethod
    def default(cls, today: date | None = None) -> Scenario:
        """One account with a two-clamp meter and a pair of three-phase ones.

        The meters were installed three years before `today`; without it, longer ago than is kept. They are in
        UTC where this machine has no time-zone data.
        """
        zone = _ZONE if known_zone(_ZONE) else "UTC"
        since = today - timedelta(days=3 * 365) if today else None
        meters = (
            Device("e8db84d2a1b3", timezone=zone, installed_since=since),
            Device("34987a45c1d0", kind="3em", timezone=zone, installed_since=since),
            Device("34987a45c1d1", kind="3em", timezone=zone, counts="solar", installed_since=since),
        )
        return cls(account=(Account("demo", "SIMULATED0NOT0A0REAL0KEY" * 2, meters),))
