"""The allowed values of settings: one form for each kind of value, with its bounds."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from collector.energy.days import UnknownZone, zone_named
from collector.settings import hosts
from collector.status import Listen

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SINCE, _UNTIL = date(2010, 1, 1), date(2099, 12, 31)
_MOST_SETTLE_DAYS = 10
_MOST_WORDS = 20
_PORT = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class Form:
    """What is allowed in the file, in words, and the conversion to the value object and back.

    `read` raises `ValueError`, with a reason, or without one if "must be …" with `allowed` says enough.
    """

    allowed: str
    read: Callable[[object], Any]
    write: Callable[[Any], object] = lambda value: value


def whole(low: int, high: int) -> Form:
    """Whole numbers in `[low, high]`."""

    def read(value: object) -> int:
        if type(value) is not int or not low <= value <= high:  # bool is a subclass of int
            raise ValueError
        return value

    return Form(f"a whole number from {low} to {high}", read)


def number(low: str, high: str) -> Form:
    """Finite numbers in `[low, high]`, exact."""
    lowest, highest = Decimal(low), Decimal(high)

    def read(value: object) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise ValueError  # noqa: TRY004 - as every value that is not allowed
        amount = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if not amount.is_finite() or not lowest <= amount <= highest:
            raise ValueError
        return amount

    return Form(f"a number from {low} to {high}", read)


def seconds(low: str, high: str, unit_s: int = 1) -> Form:
    """A duration, `low` to `high` times `unit_s` seconds in the file and seconds in the value object."""
    exact = number(low, high)
    return Form(exact.allowed, lambda value: float(exact.read(value)) * unit_s, lambda value: value / unit_s)


def choice(words: Mapping[str, Any]) -> Form:
    """One of these words, in any case, and the value that each means."""

    def read(value: object) -> Any:
        wanted = value.lower() if isinstance(value, str) else ""
        if wanted not in words:
            raise ValueError
        return words[wanted]

    return Form(
        " or ".join(f'"{each}"' for each in words),
        read,
        lambda value: next(word for word, each in words.items() if each == value),
    )


def words(*allowed: str) -> Form:
    """One of these words, in any case."""
    return choice({word: word for word in allowed})


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


def _matching(pattern: str, clean: Callable[[str], str] = str) -> Callable[[object], str]:
    def read(value: object) -> str:
        string = clean(_text(value))
        if not re.fullmatch(pattern, string):
            raise ValueError
        return string

    return read


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError


def _day(value: object) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        with suppress(ValueError):
            value = date.fromisoformat(value)
    if not isinstance(value, date) or isinstance(value, datetime) or not _SINCE <= value <= _UNTIL:
        raise ValueError
    return value


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


def _settle_days(value: object) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > _MOST_SETTLE_DAYS:
        raise ValueError
    days = sorted(whole(1, 30).read(each) for each in value)
    if len(set(days)) < len(days):
        raise ValueError
    return tuple(days)


def _backfill_days(value: object) -> int | None:
    if isinstance(value, str) and value.lower() == "all":
        return None
    days: int = whole(0, 1095).read(value)
    return days


SECRET = Form("a string, in quotes", _secret)  # keys are checked in settings/keys.py
PATH = Form("a path, in quotes", lambda value: Path(_text(value)))
FLAG = Form("true or false, without quotes", _flag)
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
COMMAND = Form('a list of words, like ["/usr/local/bin/notify", "me"]', _command)
LISTEN = Form(
    'a port, like 9787, or an address and a port, like "192.168.1.5:9787" or "[::1]:9787"',
    _listen,
    _listen_written,
)
SETTLE_DAYS = Form(f"a list of up to {_MOST_SETTLE_DAYS} different whole numbers from 1 to 30", _settle_days)
BACKFILL_DAYS = Form(
    '"all" or a whole number of days from 0 to 1095',
    _backfill_days,
    lambda days: "all" if days is None else days,
)
