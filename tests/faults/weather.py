"""What goes wrong in one history of N8: the cloud's memory, its answers, and how long it lasts."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from collector.simulator import Device, Hole, Revision, Shrink
from tests.support.amounts import is_long
from tests.support.faulty_cloud import Fault, Scenario
from tests.support.world import DEVICE, cloud_of

BENIGN = frozenset({"extra_keys", "spaced_out"})
DOUBTFUL = "negative"  # costs one hour of its answer
_SPOILED = (
    "status_500", "status_502", "status_503", "maintenance", "empty_body", "unexplained_401",
    "bare_401", "max_req", "too_many_requests", "errors_list", "redirect_307",
    "reset_before_headers", "close_before_headers", "reset_after_headers", "close_in_headers",
    "truncated_body", "truncated_chunks", "stall", "stall_in_body", "gzip_garbage", "not_http",
    "wrong_types", DOUBTFUL, "nan", "truncated_json", "other_day", "shuffled", "reordered",
    "duplicate_keys", "conflicting_row", "bad_utf8", "no_interval", "null_history", "isok_false",
    "hostile_stamps", "unknown_zone", *BENIGN,
)  # fmt: skip
_OUTAGES = ("status_503", "reset_before_headers", "stall", "maintenance", "max_req")
_ZONES = ("Europe/Dublin", "Europe/Berlin", "America/New_York", "Australia/Adelaide", "Asia/Kathmandu")
_STARTS = (
    datetime(2026, 2, 10, tzinfo=UTC), datetime(2026, 3, 27, tzinfo=UTC), datetime(2026, 6, 28, tzinfo=UTC),
    datetime(2026, 10, 23, tzinfo=UTC), datetime(2026, 12, 29, tzinfo=UTC),
)  # fmt: skip
_DAY_S = 86400.0


@dataclass(frozen=True)
class Weather:
    """One history's troubles. `trouble_s` of them, then `quiet_s` of none."""

    start: datetime
    device: Device
    solar: bool
    scenario: Scenario
    trouble_s: float
    quiet_s: float
    mean_pause_s: float


def weather(dice: random.Random) -> Weather:
    """A history's troubles, thrown."""
    start = dice.choice(_STARTS) + timedelta(seconds=dice.randrange(86400))
    trouble_s = dice.uniform(0.4, 2.5 if is_long() else 1.5) * _DAY_S
    ends = start + timedelta(seconds=trouble_s)
    device = Device(
        DEVICE,
        timezone=dice.choice(_ZONES),
        late_minutes=dice.choice((0, 0, 8, 8, 15, 45)),
        under_way=dice.choice(("missing", "partial")),
        spring=dice.choice(("missing", "nulls", "absent")),
        gaps=dice.choice(("missing", "missing_nulls", "nulls")),
        hole=tuple(_hole(dice, start, ends) for _ in range(dice.randrange(4))),
        revision=tuple(_revision(dice, start, ends) for _ in range(dice.randrange(5))),
        shrink=tuple(_shrink(dice, start, ends) for _ in range(dice.randrange(2))),
    )
    faults = [_outage(dice, start, ends) for _ in range(dice.randrange(3))]
    faults += [Fault(dice.choice(_SPOILED), every=dice.randint(3, 30)) for _ in range(dice.randrange(6))]
    scenario = cloud_of(
        device,
        limit=dice.choice(("none", "lax", "strict")),
        fault=tuple(faults),
        latency_s=dice.choice((0.0, 0.2, 1.5)),
        jitter_s=dice.choice((0.0, 0.0, 3.0)),
        seed=dice.randrange(1000),
    )
    return Weather(
        start=start,
        device=device,
        solar=dice.random() < 0.6,
        scenario=scenario,
        trouble_s=trouble_s,
        quiet_s=dice.uniform(26.5, 30) * 3600,
        mean_pause_s=dice.choice((600, 3600, 10_000)),
    )


def _moment(dice: random.Random, start: datetime, ends: datetime) -> datetime:
    return start + (ends - start) * dice.random()


def _hours(dice: random.Random, start: datetime, ends: datetime) -> tuple[datetime, datetime]:
    """Some hours of the history, or of the two days before it."""
    since = _moment(dice, start - timedelta(days=2), ends).replace(minute=0, second=0, microsecond=0)
    return since, since + timedelta(hours=dice.choice((1, 2, 5, 30)))


def _hole(dice: random.Random, start: datetime, ends: datetime) -> Hole:
    since, until = _hours(dice, start, ends)
    heals_at = None if dice.random() < 0.3 else _moment(dice, start, ends)
    return Hole(since, until, dice.choice((None, 0, 1)), heals_at)


def _revision(dice: random.Random, start: datetime, ends: datetime) -> Revision:
    since, until = _hours(dice, start, ends)
    add_wh = Decimal(dice.randint(100, 99_999)) / 100
    return Revision(_moment(dice, start, ends), since, until, dice.choice((None, 0, 1)), add_wh)


def _shrink(dice: random.Random, start: datetime, ends: datetime) -> Shrink:
    day = _moment(dice, start - timedelta(days=2), ends).date()
    return Shrink(_moment(dice, start, ends), day, day + timedelta(days=1), dice.randrange(20))


def _outage(dice: random.Random, start: datetime, ends: datetime) -> Fault:
    since = _moment(dice, start, ends)
    until = min(ends, since + timedelta(hours=dice.expovariate(1 / 5)))
    kind = dice.choice(_OUTAGES)
    wait = dice.choice((None, "9", "1e9")) if kind == "max_req" else None
    return Fault(kind, since=since, until=until, retry_after=wait)
