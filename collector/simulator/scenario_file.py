"""Reads a scenario file (TOML) into a `Scenario`; reports all problems at once."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from collector.energy.days import zone_named
from collector.errors import Problem, SettingsError
from collector.simulator.scenario import Account, Device, Scenario

_T = TypeVar("_T")
_S = TypeVar("_S", bound=Scenario)
_KEYS = {"since": "from"}
_SECRET = frozenset({"auth_key"})


class _Wrong(Exception):
    """A value that does not fit its field; the text says what is expected."""


def build(cls: type[_T], table: dict[str, Any], where: str, problems: list[Problem]) -> _T | None:
    """The table as a `cls`. Problems are appended; wrong fields get their default, so that all is checked.

    `None` if a field without a default is missing or wrong.
    """
    hints = get_type_hints(cls)
    names = {_KEYS.get(each.name, each.name): each for each in fields(cls)}  # type: ignore[arg-type]
    problems += [
        Problem(where + key, "", f"unknown{suggestion(key, names)}") for key in table if key not in names
    ]
    values: dict[str, Any] = {}
    for key, each in names.items():
        if key not in table:
            if each.default is MISSING:
                problems.append(Problem(where + key, "", "must be given"))
            continue
        value = _value(hints[each.name], table[key], where + key, problems)
        if value is not None:
            values[each.name] = value
    missing = [each for each in names.values() if each.name not in values and each.default is MISSING]
    return None if missing else cls(**values)


def suggestion(word: str, known: Iterable[str]) -> str:
    """`, did you mean …?`, or nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f", did you mean {near[0]}?" if near else ""


def _value(hint: Any, raw: Any, where: str, problems: list[Problem]) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        if isinstance(raw, dict):
            return build(hint, raw, f"{where}.", problems)
        problems.append(Problem(where, "", "must be a table"))
        return None
    if get_origin(hint) is tuple:
        return _list(get_args(hint)[0], raw, where, problems)
    try:
        return _plain(hint, raw)
    except _Wrong as wrong:
        shown = "" if where.rpartition(".")[2] in _SECRET else str(raw)
        problems.append(Problem(where, shown, str(wrong)))
        return None


def _list(hint: Any, raw: Any, where: str, problems: list[Problem]) -> tuple[Any, ...]:
    if not isinstance(raw, list):
        problems.append(Problem(where, str(raw), "must be a list"))
        return ()
    values = [_value(hint, item, f"{where}[{place}]", problems) for place, item in enumerate(raw)]
    return tuple(value for value in values if value is not None)


def _plain(hint: Any, raw: Any) -> Any:
    """A single value; the order matters, since a bool is an int and a datetime a date in Python."""
    options = get_args(hint) if get_origin(hint) is UnionType or NoneType in get_args(hint) else (hint,)
    if date in options and datetime in options:
        return _of_type(raw, date, "a local date or time")
    hint = next(option for option in options if option is not NoneType)
    if get_origin(hint) is Literal:
        if raw in get_args(hint):
            return raw
        raise _Wrong("must be one of " + ", ".join(get_args(hint)))
    if hint is datetime:
        if isinstance(raw, datetime) and raw.tzinfo is not None:
            return raw
        raise _Wrong("must be a date and time with an offset, such as 2026-03-01T12:00:00Z")
    if hint is date and isinstance(raw, datetime):
        raise _Wrong("must be a date")
    if hint in (float, Decimal):
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            raise _Wrong("must be a number")
        return float(raw) if hint is float else Decimal(str(raw))
    if hint is bool:
        if isinstance(raw, bool):
            return raw
        raise _Wrong("must be true or false")
    names = {str: "a text", int: "a whole number", date: "a date"}
    return _of_type(raw, hint, names[hint])


def _of_type(raw: Any, wanted: type, name: str) -> Any:
    if isinstance(raw, wanted) and not isinstance(raw, bool):
        return raw
    raise _Wrong(f"must be {name}")


_DEVICE_ID = re.compile(r"[0-9a-f]{6}|[0-9a-f]{12}")
_KEY = re.compile(r"[!-~]{8,512}")  # real ones are letters and digits; tests also use others


def parse(text: str) -> Scenario:
    """The scenario of the file. Raises `SettingsError` with all its problems."""
    problems: list[Problem] = []
    scenario = read(Scenario, text, problems)
    if problems or scenario is None:
        raise SettingsError(problems)
    return scenario


def read(cls: type[_S], text: str, problems: list[Problem]) -> _S | None:
    """The file as that kind of scenario, which the tests extend. Problems are appended, as `build` does."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(Problem("scenario", "", f"not TOML: {error}"))
        return None
    scenario = build(cls, table, "", problems)
    if scenario is not None:
        problems += problems_of(scenario)
    return scenario


def problems_of(scenario: Scenario) -> list[Problem]:
    """The wrong values of a scenario whose types are right."""
    return [
        *_numbers(scenario),
        *_repeated("account.name", [account.name for account in scenario.account]),
        *_repeated("account.auth_key", [account.auth_key for account in scenario.account]),
        *(problem for account in scenario.account for problem in _account(account)),
    ]


def _numbers(scenario: Scenario) -> Iterator[Problem]:
    for name in ("speed", "latency_s", "jitter_s", "hour_span_h"):
        value = getattr(scenario, name)
        if value < 0:
            yield Problem(name, str(value), "must not be negative")
    if scenario.now is not None and scenario.now.tzinfo is None:
        yield Problem("now", str(scenario.now), "must name its offset")


def _account(account: Account) -> Iterator[Problem]:
    if not _KEY.fullmatch(account.auth_key):
        yield Problem("account.auth_key", "", "must be 8 to 512 printable ASCII characters without spaces")
    if account.limit.limit_s < 0:
        yield Problem("account.limit.limit_s", str(account.limit.limit_s), "must not be negative")
    yield from header_problems("account.limit.retry_after", account.limit.retry_after)
    if account.other_devices < 0:
        yield Problem("account.other_devices", str(account.other_devices), "must not be negative")
    yield from _repeated("account.device.id", [device.id for device in account.device])
    for device in account.device:
        yield from _device(device)


def _device(device: Device) -> Iterator[Problem]:
    if not _DEVICE_ID.fullmatch(device.id):
        yield Problem("account.device.id", device.id, "must be 12 (or 6) lower-case hex digits")
    try:
        zone_named(device.timezone)
    except ValueError as error:
        yield Problem("account.device.timezone", device.timezone, str(error))
    if not 0 <= device.tariffs <= 9:
        yield Problem("account.device.tariffs", str(device.tariffs), "must be 0 to 9")
    if device.tariffs == 0 and device.tariff_zero != "none":
        yield Problem("account.device.tariff_zero", device.tariff_zero, "needs tariffs")
    if device.late_minutes < 0:
        yield Problem("account.device.late_minutes", str(device.late_minutes), "must not be negative")
    channels = {hole.channel for hole in device.hole} | {revision.channel for revision in device.revision}
    for channel in sorted(channels - {None, *range(device.channels)}, key=str):
        yield Problem(
            f"account.device {device.id}: channel", str(channel), f"a {device.kind} has no such channel"
        )


def header_problems(name: str, text: str | None) -> Iterator[Problem]:
    """A problem if the text cannot be sent as a header."""
    if text is not None and not text.isprintable():
        yield Problem(name, repr(text), "would break out of its header")


def _repeated(name: str, values: list[str]) -> Iterator[Problem]:
    for value, times in Counter(values).items():
        if times > 1:
            shown = "" if name.endswith("key") else value
            yield Problem(name, shown, "used twice")
