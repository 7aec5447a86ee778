"""Every setting, declared once in `TABLES`: its allowed values, and the value objects that they become.

Parsing, `config show`, the example file, the manual page and the reference are derived from that table. For a
new setting add a field of a value object and a row here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from collector.archive.dayfile import DayFormat
from collector.cloud.meters import Account, Kind, Meter
from collector.cloud.pacing import Pacing
from collector.cloud.retrying import RetryPolicy
from collector.energy.days import UnknownZone, zone_named
from collector.energy.history import PlanPolicy
from collector.overview import ArchiveFiles, MeterFiles
from collector.publish.targets import Target, TargetKind
from collector.settings import hosts
from collector.status import Alarms, Listen

DEFAULT_ARCHIVE = Path("/var/lib/shelly-collector")
_T = TypeVar("_T")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SINCE, _UNTIL = date(2010, 1, 1), date(2099, 12, 31)
_MOST_SETTLE_DAYS = 10
_MOST_WORDS = 20
_MOST_NAMES = 20
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """One account, its meters, the source of its key in words, and its file if that is one in `config.d`."""

    account: Account
    meters: tuple[Meter, ...]
    key_source: str = ""
    source: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration, validated. Its `repr` contains no keys and no password.

    `max_age_s`: how old the newest hour may be before a person should act. `source`: its file, `None` for
    flags. `password`: the content of `password_file`. `warnings`: sentences for the user. `flat`: there is
    one meter, given by flags, and its files are in the archive folder itself.
    """

    archive: Path = DEFAULT_ARCHIVE
    day_format: DayFormat
    accounts: tuple[AccountSettings, ...]
    pacing: Pacing
    retry: RetryPolicy
    plan: PlanPolicy
    alarms: Alarms
    refresh_minute: int = 12  # the cloud has usually received an hour ten minutes after its end
    refresh_jitter_s: float = 60.0
    max_age_s: float = 26 * 3600.0
    listen: Listen | None = None
    names: tuple[str, ...] = ()
    password_file: Path | None = None
    password: str | None = field(default=None, repr=False)
    targets: tuple[Target, ...] = ()
    log_format: LogFormat = "auto"
    log_level: LogLevel = "info"
    source: Path | None
    warnings: tuple[str, ...]
    flat: bool = False

    @property
    def meters(self) -> tuple[Meter, ...]:
        """The meters of all accounts, in the order of the file."""
        return tuple(meter for each in self.accounts for meter in each.meters)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown; only for the redaction."""
        passwords = () if self.password is None else (self.password,)
        tokens = (each.token for each in self.targets if each.token)
        return (*(each.account.auth_key for each in self.accounts), *self.alarms.secrets, *passwords, *tokens)

    @property
    def files(self) -> ArchiveFiles:
        """The meters and their day files, for what reads these."""
        meters = (
            MeterFiles(meter, each.account.name, self.folder_of(meter), self.day_format, self.plan)
            for each in self.accounts
            for meter in each.meters
        )
        return ArchiveFiles(self.archive, tuple(meters), self.max_age_s)

    def folder_of(self, meter: Meter) -> Path:
        """The folder of that meter's day files."""
        return self.archive if self.flat else self.archive / meter.name


@dataclass(frozen=True, slots=True)
class Form:
    """What is allowed in the file, in words, and the conversion to the value object and back.

    `read` raises `ValueError`, with a reason, or without one if "must be …" with `allowed` says enough.
    """

    allowed: str
    read: Callable[[object], Any]
    write: Callable[[Any], object] = lambda value: value


def _if_allowed(value: _T, is_allowed: object) -> _T:
    if not is_allowed:
        raise ValueError
    return value


def whole(low: int, high: int) -> Form:
    """Whole numbers in `[low, high]`."""

    def read(value: object) -> object:
        return _if_allowed(value, type(value) is int and low <= value <= high)  # bool is a subclass of int

    return Form(f"a whole number from {low} to {high}", read)


def number(low: str, high: str) -> Form:
    """Finite numbers in `[low, high]`, exact."""
    lowest, highest = Decimal(low), Decimal(high)

    def read(value: object) -> Decimal:
        amount = Decimal("NaN")
        if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
            amount = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        return _if_allowed(amount, amount.is_finite() and lowest <= amount <= highest)

    return Form(f"a number from {low} to {high}", read)


def seconds(low: str, high: str, unit_s: int = 1) -> Form:
    """A duration, `low` to `high` times `unit_s` seconds in the file and seconds in the value object."""
    exact = number(low, high)
    return Form(exact.allowed, lambda value: float(exact.read(value)) * unit_s, lambda value: value / unit_s)


def choice(words: Mapping[str, Any]) -> Form:
    """One of these words, in any case, and the value that each means."""

    def read(value: object) -> Any:
        word = value.lower() if isinstance(value, str) else ""
        return words[_if_allowed(word, word in words)]

    return Form(
        " or ".join(f'"{each}"' for each in words),
        read,
        lambda value: next(word for word, each in words.items() if each == value),
    )


def words(*allowed: str) -> Form:
    return choice({word: word for word in allowed})


def _matching(pattern: str, clean: Callable[[str], str] = str) -> Callable[[object], str]:
    def read(value: object) -> str:
        string = clean(_text(value))
        return _if_allowed(string, re.fullmatch(pattern, string))

    return read


def _secret(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("must be a string, in quotes")


def _text(value: object) -> str:
    """A string, not empty, of printable characters."""
    string = _secret(value)
    if not string.strip():
        raise ValueError("is empty")
    if not string.isprintable():
        raise ValueError("has control characters")
    return string


def _day(value: object) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        with suppress(ValueError):
            value = date.fromisoformat(value)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError  # noqa: TRY004 - as every value that is not allowed
    return _if_allowed(value, _SINCE <= value <= _UNTIL)


def _zone(value: object) -> str:
    try:
        zone_named(_text(value))
    except UnknownZone:
        raise ValueError(
            "is not in this machine's list of time zones; if the name is right, update the list (apt install "
            "tzdata, on Debian 13 tzdata-legacy, too; or pip install -U tzdata)"
        ) from None
    except ValueError:
        raise ValueError from None
    return _text(value)


def _command(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MOST_WORDS:
        raise ValueError
    program = tuple(_text(each) for each in value)
    if program and not program[0].startswith("/"):
        raise ValueError("must begin with the full path of a program")
    return program


def _listen(value: object) -> Listen:
    host, _, port = (
        f"127.0.0.1:{value}".rpartition(":") if type(value) is int else _text(value).rpartition(":")
    )
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else bare)
    except ValueError:
        raise ValueError from None
    if (address.version == 6) != (bare != host) or not _PORT.fullmatch(port) or int(port) > 65535:
        raise ValueError
    return Listen(str(address), int(port))


def _listen_written(listen: Listen | None) -> str | None:
    if listen is None:
        return None
    return f"[{listen.host}]:{listen.port}" if ":" in listen.host else f"{listen.host}:{listen.port}"


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MOST_NAMES:
        raise ValueError
    names = tuple(_text(each).lower() for each in value)
    return _if_allowed(names, all(len(each) <= 253 and _HOST_NAME.fullmatch(each) for each in names))


def _meters(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError  # noqa: TRY004 - as every value that is not allowed
    return tuple(NAME.read(each) for each in value)


def _settle_days(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > _MOST_SETTLE_DAYS:
        raise ValueError
    days = sorted(whole(1, 30).read(each) for each in value)
    return tuple(_if_allowed(days, len(set(days)) == len(days)))


def _backfill_days(value: object) -> Any:
    is_all = isinstance(value, str) and value.lower() == "all"
    return None if is_all else whole(0, 1095).read(value)


SECRET = Form("a string, in quotes", _secret)  # keys are checked in settings/keys.py
PATH = Form("a path, in quotes", lambda value: Path(_text(value)))
FLAG = Form("true or false, without quotes", lambda value: _if_allowed(value, isinstance(value, bool)))
NAME = Form(
    "up to 64 letters, digits, - and _, beginning with a letter or digit",
    _matching(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"),
)
HOST = Form("a host name, or an https:// address without a path", lambda value: hosts.base_url(_text(value)))
DEVICE_ID = Form(
    "a device ID of 12 hex digits (6 on early devices), as in the Shelly app",
    _matching(r"[0-9a-f]{6}|[0-9a-f]{12}", lambda text: re.sub("[:-]", "", text).lower()),
)
DATE = Form(f"a date YYYY-MM-DD from {_SINCE} to {_UNTIL}", _day)
ZONE = Form('a time zone of the IANA list, like "Europe/Dublin"', _zone)
URL = Form(
    "an address like https://hc-ping.com/0c1f…, without user name or #",
    _matching(r"(?=.{,500}$)https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"),
)
TARGET_URL = Form(
    "an address like http://homeassistant.local:8123, without user name or #",
    _matching(r"(?=.{,500}$)https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?"),
)
METERS = Form('a list of names, like ["grid"]', _meters)
MEASUREMENT = Form("up to 64 letters, digits, - and _", _matching(r"[A-Za-z0-9_-]{1,64}"))
COMMAND = Form('a list of words, like ["/usr/local/bin/notify", "me"]', _command)
LISTEN = Form(
    'a port, like 9787, or an address and a port, like "192.168.1.5:9787" or "[::1]:9787"',
    _listen,
    _listen_written,
)
HOST_NAMES = Form(f'a list of up to {_MOST_NAMES} host names, like ["pi.lan"]', _names)
SETTLE_DAYS = Form(f"a list of up to {_MOST_SETTLE_DAYS} different whole numbers from 1 to 30", _settle_days)
BACKFILL_DAYS = Form(
    '"all" or a whole number of days from 0 to 1095',
    _backfill_days,
    lambda days: "all" if days is None else days,
)


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of one table, which becomes the field of that name in the value object `of`.

    `of` is `None` if no field has the value as it is. `help`: one or two sentences with the units; `form`
    has what is allowed. `field`: the field's name if it is another; `example`: a value for the example file
    if there is no default. `secret`: the value is never shown. `only`: the kind of meter or target that it is
    for. `flag` and `variable` override the file.
    """

    key: str
    of: type | None
    form: Form
    help: str
    field: str = ""
    example: object = None
    secret: bool = False
    only: Kind | TargetKind | None = None
    flag: str = ""
    variable: str = ""

    @property
    def attribute(self) -> str:
        return self.field or self.key

    @property
    def required(self) -> bool:
        """Whether it must be set: its field has no default."""
        return self._default is MISSING

    @property
    def default(self) -> Any:
        """The field's default; an empty string if it is required."""
        return "" if self.required else self._default

    @property
    def _default(self) -> object:
        if self.of is None:
            return None
        return next(each.default for each in fields(self.of) if each.name == self.attribute)

    def read(self, value: object) -> Any:
        """The field's value for that value in the file; raises `ValueError` with the reason."""
        try:
            return self.form.read(value)
        except ValueError as error:
            raise ValueError(str(error) or f"must be {self.form.allowed}") from None


# fmt: off
TABLES: dict[str, tuple[Setting, ...]] = {
    "account": (
        Setting("name", Account, NAME, "Name of the account in logs and messages.", example="home"),
        Setting("host", Account, HOST,
            "The server of the account: Shelly app > User settings > Authorization cloud key. A bare name "
            "means https://; http:// is for a simulator on this machine only.",
            field="base_url", example="shelly-12-eu.shelly.cloud", flag="--host"),
        Setting("auth_key_file", None, PATH,
            "A file with nothing but the key, mode 0600. The first of these that exists is used: the "
            "systemd credential `auth_key.ACCOUNT`, the credential `auth_key`, `auth_key_file`, "
            "`$SHELLY_COLLECTOR_AUTH_KEY`, `auth_key`, a file named `auth_key` beside the configuration "
            "file.", example="/etc/shelly-collector/auth_key"),
        Setting("auth_key", None, SECRET,
            "The key itself: Shelly app > User settings > Authorization cloud key. Anyone who has "
            "it can turn your devices on and off: it is safer in a file of its own, see `auth_key_file`.",
            example="...", secret=True, flag="--auth_key"),
    ),
    "meter": (
        Setting("name", Meter, NAME,
            "Name of the meter in logs and of its folder in the archive; different for each meter.",
            example="grid"),
        Setting("id", Meter, DEVICE_ID,
            "The device: Shelly app > the device > Settings > Device information. Colons and upper case are "
            "fine.", example="a1b2c3d4e5f6", flag="--id"),
        Setting("kind", Meter, choice({kind.value: kind for kind in Kind}),
            '"em": two clamps (Shelly EM, Pro EM-50). "3em": three phases (3EM, Pro 3EM).', flag="--kind"),
        Setting("grid_channel", Meter, whole(0, 1),
            "Channel of the clamp on the grid connection.", only=Kind.EM),
        Setting("solar_channel", Meter, whole(0, 1),
            "Channel of the clamp on the solar inverter.", only=Kind.EM),
        Setting("solar", Meter, FLAG,
            "true: a clamp measures solar energy. false: there is none, and solar is written as 0.",
            only=Kind.EM, flag="--no-solar"),
        Setting("pv_id", Meter, DEVICE_ID,
            "Device ID of a second 3EM, which measures solar energy.",
            example="b1b2c3d4e5f6", only=Kind.EM3, flag="--pv_id"),
        # Not from 0: with a tiny factor the values would be lost at four decimals.
        Setting("grid_scale_factor", Meter, number("0.0001", "100"),
            "Multiply import and export by this, to correct a clamp that measures too much or too "
            "little.",
            flag="--grid_scale_factor"),
        Setting("pv_kwh_discard", Meter, number("0", "10"),
            "Subtract this many kWh from every solar hour (the result is never below 0), to remove a false "
            "reading of the clamp at night.", flag="--pv_kwh_discard"),
        Setting("since", Meter, DATE,
            "First day to request, if the meter is younger than the history that the cloud keeps.",
            example=date(2024, 3, 1), flag="--since"),
        Setting("timezone", Meter, ZONE,
            "Time zone to use until the cloud's first answer names one, or if this machine does not know "
            "the one it names. Normally not needed.", example="Europe/Dublin"),
    ),
    "archive": (
        Setting("path", Settings, PATH,
            "Folder of the day files; each meter has a folder in it. ~ is your home; a relative path begins "
            "at the folder of the configuration file. For another folder than the default the systemd unit "
            "needs a drop-in with `ReadWritePaths=` (and, in /home, `ProtectHome=no`): `systemctl edit "
            "shelly-collector`.", field="archive", flag="--odir", variable="SHELLY_COLLECTOR_ARCHIVE"),
        Setting("decimals", DayFormat, whole(4, 6),
            "Decimals of the kWh values in the day files. The cloud gives 0.00001 kWh; programs made for "
            "the older utility expect 4."),
        Setting("repeated_hour", DayFormat, choice({"keep": False, "merge": True}),
            'The hour that is repeated in autumn: "keep" writes both (25 lines), "merge" adds them into '
            "one, for programs that expect each local hour only once.", field="merge_repeated_hour"),
    ),
    "pacing": (
        Setting("min_interval_s", Pacing, seconds("0", "60"),
            "Seconds between the starts of two requests with one host and key; below 1 only for a simulator "
            "on this machine. The cloud allows one request a second, shared with the phone app."),
        Setting("max_in_flight", Pacing, whole(1, 8),
            "Maximum number of requests in progress with one host and key. Higher values do not help at one "
            "request per second. After the first rate-limit error the program uses 1 until it restarts."),
    ),
    "retry": (
        Setting("attempts", RetryPolicy, whole(1, 20),
            "Maximum number of attempts per request. If the last one fails, the day is requested again "
            "later."),
        Setting("wait_initial_s", RetryPolicy, seconds("0", "600"),
            "Seconds to wait before the second attempt; each further wait is twice as long."),
        Setting("wait_max_s", RetryPolicy, seconds("0", "3600"),
            "Longest wait between two attempts, in seconds; at least `wait_initial_s`."),
        Setting("wait_jitter_s", RetryPolicy, seconds("0", "60"),
            "Random extra wait before each further attempt, 0 to this many seconds, so that many collectors "
            "do not send at the same moment."),
        Setting("timeout_s", RetryPolicy, seconds("1", "300"),
            "Seconds that one request may take, from its start to the last byte of the answer. A day of a "
            "three-phase meter can take 10."),
    ),
    "schedule": (
        Setting("refresh_minute", Settings, whole(0, 59),
            "Minute of each hour at which today is requested. Values below 11 are too early for the hour "
            "that just ended."),
        Setting("refresh_jitter_s", Settings, seconds("0", "900"),
            "Random delay after `refresh_minute`, 0 to this many seconds, so that many collectors do not "
            "send at the same moment."),
        Setting("settle_days", PlanPolicy, SETTLE_DAYS,
            "How many days after its end a complete day is requested again; once for each number. The cloud "
            "still revises recent hours."),
        Setting("heal", PlanPolicy, FLAG,
            "Whether days with missing hours are requested again, at growing intervals."),
        Setting("backfill_days", PlanPolicy, BACKFILL_DAYS,
            'How many days before today are collected at first; "all": all that the cloud keeps, 3 years.'),
    ),
    "health": (
        Setting("max_age_h", Settings, seconds("2", "8760", unit_s=3600),
            "How many hours after its end the newest hour is too old: then `status` exits with 1, /healthz "
            "answers 503, and the alarms below are raised. The default is 26, because some data arrive only "
            "after the following midnight.", field="max_age_s"),
        Setting("ping_url", Alarms, URL,
            "URL requested every hour and after each change: as it is if all is well, with /fail added if "
            "not; also at the start and at each reload, with /start added (healthchecks.io, Uptime Kuma "
            "and others). Keep it secret: anyone who knows it can send false OK signals.",
            example="https://hc-ping.com/0c1f0000-0000-0000-0000-000000000000", secret=True),
        Setting("on_change", Alarms, COMMAND,
            "A program and its arguments, run without a shell on each change of health; [] for none. It must "
            "end within 30 seconds. It gets the variables SHELLY_COLLECTOR_HEALTH (good, offline or broken), "
            "SHELLY_COLLECTOR_HEALTH_BEFORE, SHELLY_COLLECTOR_METER, SHELLY_COLLECTOR_REASON and "
            "SHELLY_COLLECTOR_AGE_S."),
    ),
    "web": (
        Setting("listen", Settings, LISTEN,
            "Where the page, /healthz and /metrics (Prometheus) are served: on a port of this machine alone, "
            "or on an address that others reach. Off by default.", example=9787),
        Setting("password_file", Settings, PATH,
            "A file with nothing but the password of the page, 8 characters or more, which the service can "
            "read (mode 0640, group shelly-collector). Everything on the page then needs it (HTTP Basic; the "
            "user name does not matter). Set it if others can reach `listen`: the energy shows when you are "
            "at home.", example="/etc/shelly-collector/page_password"),
        Setting("names", Settings, HOST_NAMES,
            "The host names by which the page may be called, besides localhost and addresses: that of this "
            "machine in the home network, or of a reverse proxy before it. Requests for other names are "
            "refused, because a foreign web page could send them.", example=["pi.lan"]),
    ),
    "publish": (
        Setting("name", Target, NAME, "Name of the target in logs and messages; different for each.",
            example="homeassistant"),
        Setting("kind", Target, choice({kind.value: kind for kind in TargetKind}),
            '"homeassistant": its long-term statistics, for the Energy dashboard. "influx": InfluxDB 1, 2 or '
            "3, and what reads its lines, such as VictoriaMetrics.", example="homeassistant"),
        Setting("url", Target, TARGET_URL,
            "Home Assistant: its address up to the port. InfluxDB: the address to write to, such as "
            "http://HOST:8086/write?db=NAME (version 1), http://HOST:8086/api/v2/write?org=ORG&bucket=BUCKET "
            "(2), http://HOST:8181/api/v3/write_lp?db=NAME (3).", example="http://homeassistant.local:8123"),
        Setting("token_file", None, PATH,
            "A file with nothing but the token, which the service can read (mode 0640, group "
            "shelly-collector): of Home Assistant a long-lived access token of an administrator; of InfluxDB "
            "a token that may write, or user:password. The first of these that exists is used: the systemd "
            "credential `token.NAME`, `token_file`, `token`.",
            example="/etc/shelly-collector/homeassistant_token"),
        Setting("token", None, SECRET,
            "The token itself; it is safer in a file of its own, see `token_file`.", example="...",
            secret=True),
        Setting("meters", Target, METERS, "The meters whose hours are sent; [] for all."),
        Setting("measurement", Target, MEASUREMENT, "Name of the measurement.", only=TargetKind.INFLUX),
        Setting("cumulative", Target, FLAG,
            "Whether the totals since the first hour are sent as well, as a meter shows them.",
            only=TargetKind.INFLUX),
    ),
    "log": (
        Setting("format", Settings, words(*get_args(LogFormat)),
            'Lines of JSON ("json") or text for people ("console"). "auto" is console on a terminal, else '
            "JSON.", field="log_format", variable="SHELLY_COLLECTOR_LOG_FORMAT"),
        Setting("level", Settings, words(*get_args(LogLevel)),
            "The least severe level that is logged.",
            field="log_level", variable="SHELLY_COLLECTOR_LOG_LEVEL"),
    ),
}
# fmt: on
LISTS = {"account": "[[account]]", "meter": "[[account.meter]]", "publish": "[[publish]]"}
"""The tables that may occur more than once, and how they are written."""

OPTIONAL = ("publish",)
"""Those of `LISTS` that may be left out."""


def heading_of(table: str) -> str:
    """How the table is written in the file."""
    return LISTS.get(table, f"[{table}]")
