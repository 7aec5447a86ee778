"""How single values are read: raw TOML value -> checked value. Each reader raises `ValueError(reason)`."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from collector.energy.days import UnknownZone, zone_named
from collector.service.health import Listen

T = TypeVar("T", bound=str)

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


def choice(*allowed: T) -> Callable[[object], T]:
    """A reader of one of these words, in any case."""

    def read(value: object) -> T:
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
