"""Every setting there is: its key, its default, how it is read, and what all of them come to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from collector.archive.dayfile import DayFormat
from collector.cloud.meters import Account, Kind, Meter
from collector.cloud.pacing import Pacing
from collector.cloud.retrying import RetryPolicy
from collector.energy.days import UnknownZone, zone_named
from collector.energy.history import PlanPolicy
from collector.status import Alarms, HealthPolicy, Listen


@dataclass(frozen=True, slots=True)
class Timetable:
    """When the service asks: minutes past each local hour, and the spread around it in seconds.

    Ten minutes after the hour the cloud has usually received it; the spread keeps a thousand
    collectors from asking in the same second.
    """

    refresh_minute: int = 12
    refresh_jitter_s: float = 60.0


LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How events are written. `auto` is the console on a terminal and JSON lines everywhere else."""

    format: LogFormat = "auto"
    level: LogLevel = "info"


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """One account, its meters, and in words where its key came from."""

    account: Account
    meters: tuple[Meter, ...]
    key_source: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be configured, checked. Keys never show in its `repr`.

    `source` is the file it came from, `None` for flags. `warnings` are sentences for the user.
    `flat` says that there is one meter, given by flags, whose files lie in the archive itself.
    """

    archive: Path
    day_format: DayFormat
    accounts: tuple[AccountSettings, ...]
    pacing: Pacing
    retry: RetryPolicy
    plan: PlanPolicy
    timetable: Timetable
    health: HealthPolicy
    alarms: Alarms
    listen: Listen | None
    log: LogSettings
    source: Path | None
    warnings: tuple[str, ...]
    flat: bool = False

    @property
    def meters(self) -> tuple[Meter, ...]:
        """The meters of all accounts, in the order of the file."""
        return tuple(meter for each in self.accounts for meter in each.meters)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown: for the redaction, and for nothing else."""
        return (*(each.account.auth_key for each in self.accounts), *self.alarms.secrets)

    def folder_of(self, meter: Meter) -> Path:
        """Where that meter's day files lie."""
        return self.archive if self.flat else self.archive / meter.name


Word = TypeVar("Word", bound=str)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DEVICE_ID = re.compile(r"[0-9a-f]{6}|[0-9a-f]{12}")
_SINCE, _UNTIL = date(2010, 1, 1), date(2099, 12, 31)
_MOST_SETTLE_DAYS = 10
_URL = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?")
_LONGEST_URL = 500
_MOST_WORDS = 20
_PORT = re.compile(r"[1-9][0-9]{0,4}")


def text(value: object) -> str:
    """A string, not empty, of printable characters."""
    string = secret(value)
    if not string.strip():
        raise ValueError("is empty")
    if not string.isprintable():
        raise ValueError("has control characters")
    return string


def secret(value: object) -> str:
    """Any string: what a key may be is checked where it is chosen."""
    if isinstance(value, str):
        return value
    raise ValueError("must be a string, in quotes")


def name(value: object) -> str:
    """A name that can be a folder and a word in a log line."""
    if not _NAME.fullmatch(text(value)):
        raise ValueError("must be up to 64 letters, digits, - and _, beginning with a letter or digit")
    return text(value)


def path(value: object) -> Path:
    """A path as it stands; where a relative one begins is decided where it is used."""
    return Path(text(value))


def flag(value: object) -> bool:
    """true or false."""
    if isinstance(value, bool):
        return value
    raise ValueError("must be true or false, without quotes")


def whole(low: int, high: int) -> Callable[[object], int]:
    """A reader of whole numbers in `[low, high]`."""

    def read(value: object) -> int:
        if type(value) is not int or not low <= value <= high:  # bool is an int to Python
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return read


def number(low: str, high: str) -> Callable[[object], Decimal]:
    """A reader of finite numbers in `[low, high]`, exact."""
    lowest, highest = Decimal(low), Decimal(high)

    def read(value: object) -> Decimal:
        amount = _decimal(value)
        if amount is None or not amount.is_finite() or not lowest <= amount <= highest:
            raise ValueError(f"must be a number from {low} to {high}")
        return amount

    return read


def seconds(low: str, high: str) -> Callable[[object], float]:
    """A reader of a stretch of time in `[low, high]` seconds."""
    read_exact = number(low, high)
    return lambda value: float(read_exact(value))


def choice(*allowed: Word) -> Callable[[object], Word]:
    """A reader of one of these words, in any case."""

    def read(value: object) -> Word:
        wanted = value.lower() if isinstance(value, str) else None
        for each in allowed:
            if each == wanted:
                return each
        raise ValueError("must be " + " or ".join(f'"{each}"' for each in allowed))

    return read


def device_id(value: object) -> str:
    """A device id, lowercase hex; upper case, colons and dashes are taken off."""
    digits = re.sub(r"[:-]", "", text(value)).lower()
    if not _DEVICE_ID.fullmatch(digits):
        raise ValueError("must be the device id: 12 hex digits (6 on early devices), as in the Shelly app")
    return digits


def day(value: object) -> date:
    """A date, as TOML writes it or as the string YYYY-MM-DD."""
    reason = f"must be a date YYYY-MM-DD from {_SINCE} to {_UNTIL}"
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise ValueError(reason) from None
    if not isinstance(value, date) or isinstance(value, datetime) or not _SINCE <= value <= _UNTIL:
        raise ValueError(reason)
    return value


def zone(value: object) -> str:
    """The name of a time zone."""
    try:
        zone_named(text(value))
    except UnknownZone:
        raise ValueError(
            "is not in this machine's list of time zones; if the name is right, update the list (apt install "
            "tzdata, on Debian 13 tzdata-legacy, too; or pip install -U tzdata)"
        ) from None
    except ValueError:
        raise ValueError('must be a time zone of the IANA list, like "Europe/Dublin"') from None
    return text(value)


def url(value: object) -> str:
    """An http or https address; the reason never shows it, for it is a secret."""
    string = text(value)
    if not _URL.fullmatch(string) or len(string) > _LONGEST_URL:
        raise ValueError("must be an address like https://hc-ping.com/0c1f…, without user name or #")
    return string


def command(value: object) -> tuple[str, ...]:
    """A program with its arguments, which no shell reads; empty for none."""
    if not isinstance(value, list) or len(value) > _MOST_WORDS:
        raise ValueError('must be a list of words, like ["/usr/local/bin/tell", "me"]')
    words = tuple(text(each) for each in value)
    if words and not words[0].startswith("/"):
        raise ValueError("must begin with the full path of a program")
    return words


def listen(value: object) -> Listen:
    """A port of this machine alone, or `address:port` with an IP address."""
    reason = 'must be a port, like 9787, or an address and a port, like "192.168.1.5:9787" or "[::1]:9787"'
    host, _, port = (
        f"127.0.0.1:{value}".rpartition(":") if type(value) is int else text(value).rpartition(":")
    )
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else bare)
    except ValueError:
        raise ValueError(reason) from None
    if (address.version == 6) != (bare != host) or not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError(reason)
    return Listen(str(address), int(port))


def settle_days(value: object) -> tuple[int, ...]:
    """Days after a day's end, ascending, each once."""
    reason = f"must be a list of up to {_MOST_SETTLE_DAYS} different whole numbers from 1 to 30"
    if not isinstance(value, list) or len(value) > _MOST_SETTLE_DAYS:
        raise ValueError(reason)
    try:
        days = sorted(whole(1, 30)(each) for each in value)
    except ValueError:
        raise ValueError(reason) from None
    if len(set(days)) < len(days):
        raise ValueError(reason)
    return tuple(days)


def backfill_days(value: object) -> int | str:
    """A number of days, or "all"."""
    if isinstance(value, str) and value.lower() == "all":
        return "all"
    try:
        return whole(0, 1095)(value)
    except ValueError:
        raise ValueError('must be "all" or a whole number of days from 0 to 1095') from None


def _decimal(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    try:
        return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        return None


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


ARCHIVE_PATH = Setting("path", Path("/var/lib/shelly-collector"), path)
DECIMALS = Setting("decimals", DayFormat().decimals, whole(4, 6))
REPEATED_HOUR = Setting("repeated_hour", "keep", choice("keep", "merge"))

MIN_INTERVAL_S = Setting("min_interval_s", Pacing().min_interval_s, seconds("0", "60"))
MAX_IN_FLIGHT = Setting("max_in_flight", Pacing().max_in_flight, whole(1, 8))

ATTEMPTS = Setting("attempts", RetryPolicy().attempts, whole(1, 20))
WAIT_INITIAL_S = Setting("wait_initial_s", RetryPolicy().wait_initial_s, seconds("0", "600"))
WAIT_MAX_S = Setting("wait_max_s", RetryPolicy().wait_max_s, seconds("0", "3600"))
WAIT_JITTER_S = Setting("wait_jitter_s", RetryPolicy().wait_jitter_s, seconds("0", "60"))
TIMEOUT_S = Setting("timeout_s", RetryPolicy().timeout_s, seconds("1", "300"))

REFRESH_MINUTE = Setting("refresh_minute", Timetable().refresh_minute, whole(0, 59))
REFRESH_JITTER_S = Setting("refresh_jitter_s", Timetable().refresh_jitter_s, seconds("0", "900"))
SETTLE_DAYS = Setting("settle_days", PlanPolicy().settle_days, settle_days)
HEAL = Setting("heal", PlanPolicy().heal, flag)
BACKFILL_DAYS: Setting[int | str] = Setting("backfill_days", "all", backfill_days)

MAX_AGE_H = Setting("max_age_h", HealthPolicy().max_age_s / 3600, seconds("2", "8760"))
PING_URL: Setting[str | None] = Setting("ping_url", None, url, secret=True)
ON_CHANGE: Setting[tuple[str, ...]] = Setting("on_change", (), command)

LISTEN: Setting[Listen | None] = Setting("listen", None, listen)

LOG_FORMAT: Setting[LogFormat] = Setting("format", LogSettings().format, choice("auto", "json", "console"))
LOG_LEVEL: Setting[LogLevel] = Setting(
    "level", LogSettings().level, choice("debug", "info", "warning", "error")
)

ACCOUNT_NAME = Setting("name", "", name, required=True)
HOST = Setting("host", "", text, required=True)
AUTH_KEY: Setting[str | None] = Setting("auth_key", None, secret, secret=True)
AUTH_KEY_FILE: Setting[Path | None] = Setting("auth_key_file", None, path)

METER_NAME = Setting("name", "", name, required=True)
METER_ID = Setting("id", "", device_id, required=True)
KIND = Setting("kind", _METER.kind.value, choice(*(kind.value for kind in Kind)))
GRID_CHANNEL = Setting("grid_channel", _METER.grid_channel, whole(0, 1))
SOLAR_CHANNEL = Setting("solar_channel", _METER.solar_channel, whole(0, 1))
SOLAR = Setting("solar", _METER.solar, flag)
PV_ID: Setting[str | None] = Setting("pv_id", None, device_id)
# Not from 0: what is multiplied by next to nothing is lost at four decimals.
GRID_SCALE_FACTOR: Setting[Decimal] = Setting(
    "grid_scale_factor", _METER.grid_scale_factor, number("0.0001", "100")
)
PV_KWH_DISCARD: Setting[Decimal] = Setting("pv_kwh_discard", _METER.pv_kwh_discard, number("0", "10"))
SINCE: Setting[date | None] = Setting("since", None, day)
TIMEZONE: Setting[str | None] = Setting("timezone", None, zone)

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
