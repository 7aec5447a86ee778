"""What is simulated: accounts, their devices, their rate limits, and the latency of the server.

Every field is an option of the scenario file with the same name (`scenario_file` reads it);
tests/unit/simulator/every_variant.toml shows each one. Instants are aware; a `LocalTime` without an offset is
local to the device.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from collector.energy.days import known_zone, zone_named
from collector.simulator.truth import GRID, NOTHING, SOLAR, Energy, phases, truth

LocalTime = date | datetime

_ZONE = "Europe/Dublin"
_zone = lru_cache(maxsize=64)(zone_named)  # called for each hour of an answer


@dataclass(frozen=True, slots=True)
class Limit:
    """An account's rate limit.

    `lax`: starts must be `limit_s` apart. `strict`: one at a time, and `limit_s` after the end of the
    last answer, rejected ones included. `retry_after` is sent unchanged, valid or not.
    """

    style: Literal["none", "lax", "strict"] = "lax"
    limit_s: float = 1.0
    answer: Literal["max_req", "429"] = "max_req"
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Hole:
    """Hours in `[since, until)` that the cloud does not have, on one channel or on all.

    The cloud has them from the simulated instant `heals_at` on, or never.
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
    """From the instant `at` on, answers for days in `[since, until)` have only their first `rows` hours."""

    at: datetime
    since: date
    until: date
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """One meter, and the variants of the API in its answers.

    `name` to `shows` are how the account lists it; without `model` that of a first generation.
    """

    id: str
    kind: Literal["em", "3em"] = "em"
    timezone: str = _ZONE
    counts: Literal["grid", "solar"] = "grid"  # of a 3em; an em has a clamp for each
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
    says_timezone: str | None = None  # the zone in the body, independent of the rows
    sum_of_gaps: Literal["rest", "missing"] = "rest"  # a 3em's `sum` if one phase is missing
    other_type: Literal["empty", "error", "nesting"] = "empty"  # requested at the endpoint of another kind
    totals: Literal["day", "refused", "month"] = "day"  # the answer to a long `custom` span
    total_stamps: Literal["local", "utc_midnight"] = "local"  # when daily rows begin
    empty_totals: Literal["as_hours", "zeros", "missing", "absent"] = "as_hours"  # of a day without data
    hours_kept_since: date | None = None  # older days have only totals
    hole: tuple[Hole, ...] = ()
    revision: tuple[Revision, ...] = ()
    shrink: tuple[Shrink, ...] = ()
    name: str | None = None
    model: str | None = None
    online: bool = True
    shared: bool = False  # by another account
    shows: Literal["emeters", "em1", "em", "nothing"] = "emeters"  # its status
    clamps: Literal["grid_solar", "solar_grid", "grid_only"] = "grid_solar"  # what channel 0 and 1 measure

    @property
    def zone(self) -> ZoneInfo:
        """The zone that the device is in."""
        return _zone(self.timezone)

    @property
    def channels(self) -> int:
        """The number of channels: two clamps or three phases."""
        return 2 if self.kind == "em" else 3

    def energy(self, channel: int, ts: int) -> Energy:
        """The true energy of a clamp or phase in the hour that starts at `ts`."""
        if self.kind == "3em":
            return phases(self.id, self._side, ts)[channel]
        if self.clamps == "grid_only" and channel != GRID:
            return NOTHING
        return truth(self.id, 1 - channel if self.clamps == "solar_grid" else channel, ts)

    def total(self, ts: int) -> Energy:
        """The true total of the device in that hour: `sum` of a 3em, the grid clamp of an em."""
        return truth(self.id, self._side, ts)

    @property
    def _side(self) -> int:
        return GRID if self.kind == "em" or self.counts == "grid" else SOLAR


@dataclass(frozen=True, slots=True)
class Account:
    """One key, its devices, its rate limit, and how its devices are listed.

    `entries`: one for each device or for each channel, `sparse` without the keys that may be missing.
    `outer_keys`: those of the statuses are the ids, or `others`. `gone`: that endpoint answers 404.
    """

    name: str
    auth_key: str = field(repr=False)
    device: tuple[Device, ...] = ()
    limit: Limit = Limit()
    entries: Literal["device", "channel", "sparse", "gone"] = "device"
    outer_keys: Literal["ids", "others"] = "ids"
    all_status: Literal["answered", "gone"] = "answered"
    other_devices: int = 0  # plugs and relays


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole simulated cloud. `now` and `speed` set its clock; without `now` it is the real time.

    An answer takes `latency_s` and up to `jitter_s` more, by `seed`. A `custom` span of up to
    `hour_span_h` hours comes in hours, a longer one of up to four days in `four_day_interval`.
    `elapsed`: the hours that pass, 49 in two days of which one has 25; `nominal`: 24 for each day. 60 is the
    most that clients are known to have received in hours; how three days (72) come is unknown.
    """

    account: tuple[Account, ...] = ()
    now: datetime | None = None
    speed: float = 1.0
    latency_s: float = 0.0
    jitter_s: float = 0.0
    seed: int = 0
    hour_span_h: int = 60
    hour_span_counts: Literal["elapsed", "nominal"] = "elapsed"
    four_day_interval: Literal["hour", "2 hours", "day", "month"] = "day"

    @classmethod
    def default(cls, today: date | None = None) -> Scenario:
        """One account with a two-clamp meter and a pair of three-phase ones.

        The meters were installed three years before `today`; without it, before the oldest day that is kept.
        They are in UTC if this machine has no time-zone data.
        """
        zone = _ZONE if known_zone(_ZONE) else "UTC"
        since = today - timedelta(days=3 * 365) if today else None
        meters = (
            Device("e8db84d2a1b3", timezone=zone, installed_since=since),
            Device("34987a45c1d0", kind="3em", timezone=zone, installed_since=since),
            Device("34987a45c1d1", kind="3em", timezone=zone, counts="solar", installed_since=since),
        )
        return cls(account=(Account("demo", "SIMULATED0NOT0A0REAL0KEY" * 2, meters),))
