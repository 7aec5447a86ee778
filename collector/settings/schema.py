"""Every setting there is: its key, its default, and how it is read. Defaults are the value objects' own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Generic, TypeVar

from collector.archive.dayfile import DayFormat
from collector.cloud.meters import Kind, Meter
from collector.cloud.pacing import Pacing
from collector.cloud.retrying import RetryPolicy
from collector.energy.planning import PlanPolicy
from collector.service.health import HealthPolicy, Listen
from collector.service.timetable import Timetable
from collector.settings import reading
from collector.settings.model import LogFormat, LogLevel, LogSettings

T = TypeVar("T")

_METER = Meter(name="", id="")


@dataclass(frozen=True, slots=True)
class Setting(Generic[T]):
    """One key of one table. `default` is in the terms of the file; a secret is never shown."""

    key: str
    default: T
    read: Callable[[object], T]
    required: bool = False
    secret: bool = False


ARCHIVE_PATH = Setting("path", Path("/var/lib/shelly-collector"), reading.path)
DECIMALS = Setting("decimals", DayFormat().decimals, reading.whole(4, 6))
REPEATED_HOUR = Setting("repeated_hour", "keep", reading.choice("keep", "merge"))

MIN_INTERVAL_S = Setting("min_interval_s", Pacing().min_interval_s, reading.seconds("0", "60"))
MAX_IN_FLIGHT = Setting("max_in_flight", Pacing().max_in_flight, reading.whole(1, 8))

ATTEMPTS = Setting("attempts", RetryPolicy().attempts, reading.whole(1, 20))
WAIT_INITIAL_S = Setting("wait_initial_s", RetryPolicy().wait_initial_s, reading.seconds("0", "600"))
WAIT_MAX_S = Setting("wait_max_s", RetryPolicy().wait_max_s, reading.seconds("0", "3600"))
WAIT_JITTER_S = Setting("wait_jitter_s", RetryPolicy().wait_jitter_s, reading.seconds("0", "60"))
TIMEOUT_S = Setting("timeout_s", RetryPolicy().timeout_s, reading.seconds("1", "300"))

REFRESH_MINUTE = Setting("refresh_minute", Timetable().refresh_minute, reading.whole(0, 59))
REFRESH_JITTER_S = Setting("refresh_jitter_s", Timetable().refresh_jitter_s, reading.seconds("0", "900"))
SETTLE_DAYS = Setting("settle_days", PlanPolicy().settle_days, reading.settle_days)
HEAL = Setting("heal", PlanPolicy().heal, reading.flag)
BACKFILL_DAYS: Setting[int | str] = Setting("backfill_days", "all", reading.backfill_days)

MAX_AGE_H = Setting("max_age_h", HealthPolicy().max_age_s / 3600, reading.seconds("2", "8760"))
PING_URL: Setting[str | None] = Setting("ping_url", None, reading.url, secret=True)
ON_CHANGE: Setting[tuple[str, ...]] = Setting("on_change", (), reading.command)

LISTEN: Setting[Listen | None] = Setting("listen", None, reading.listen)

LOG_FORMAT: Setting[LogFormat] = Setting(
    "format", LogSettings().format, reading.choice("auto", "json", "console")
)
LOG_LEVEL: Setting[LogLevel] = Setting(
    "level", LogSettings().level, reading.choice("debug", "info", "warning", "error")
)

ACCOUNT_NAME = Setting("name", "", reading.name, required=True)
HOST = Setting("host", "", reading.text, required=True)
AUTH_KEY: Setting[str | None] = Setting("auth_key", None, reading.secret, secret=True)
AUTH_KEY_FILE: Setting[Path | None] = Setting("auth_key_file", None, reading.path)

METER_NAME = Setting("name", "", reading.name, required=True)
METER_ID = Setting("id", "", reading.device_id, required=True)
KIND = Setting("kind", _METER.kind.value, reading.choice(*(kind.value for kind in Kind)))
GRID_CHANNEL = Setting("grid_channel", _METER.grid_channel, reading.whole(0, 1))
SOLAR_CHANNEL = Setting("solar_channel", _METER.solar_channel, reading.whole(0, 1))
SOLAR = Setting("solar", _METER.solar, reading.flag)
PV_ID: Setting[str | None] = Setting("pv_id", None, reading.device_id)
# Not from 0: what is multiplied by next to nothing is lost at four decimals.
GRID_SCALE_FACTOR: Setting[Decimal] = Setting(
    "grid_scale_factor", _METER.grid_scale_factor, reading.number("0.0001", "100")
)
PV_KWH_DISCARD: Setting[Decimal] = Setting("pv_kwh_discard", _METER.pv_kwh_discard, reading.number("0", "10"))
SINCE: Setting[date | None] = Setting("since", None, reading.day)
TIMEZONE: Setting[str | None] = Setting("timezone", None, reading.zone)

TABLES: dict[str, tuple[Setting[Any], ...]] = {
    "archive": (ARCHIVE_PATH, DECIMALS, REPEATED_HOUR),
    "pacing": (MIN_INTERVAL_S, MAX_IN_FLIGHT),
    "retry": (ATTEMPTS, WAIT_INITIAL_S, WAIT_MAX_S, WAIT_JITTER_S, TIMEOUT_S),
    "schedule": (REFRESH_MINUTE, REFRESH_JITTER_S, SETTLE_DAYS, HEAL, BACKFILL_DAYS),
    "health": (MAX_AGE_H, PING_URL, ON_CHANGE),
    "web": (LISTEN,),
    "log": (LOG_FORMAT, LOG_LEVEL),
    "account": (ACCOUNT_NAME, HOST, AUTH_KEY, AUTH_KEY_FILE),
    "meter": (
        METER_NAME,
        METER_ID,
        KIND,
        GRID_CHANNEL,
        SOLAR_CHANNEL,
        SOLAR,
        PV_ID,
        GRID_SCALE_FACTOR,
        PV_KWH_DISCARD,
        SINCE,
        TIMEZONE,
    ),
}
LISTS = {"account": "[[account]]", "meter": "[[account.meter]]"}
"""The tables that may stand more than once, and how they are written."""
