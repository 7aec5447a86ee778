"""A TOML table to a frozen dataclass: its fields are the keys, their annotations the rules.

So an option exists by being a field. `from` in a file is the field `since`, a Python keyword being
no field's name. A field whose value is a tuple of dataclasses is an array of tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from collector.errors import Problem

_T = TypeVar("_T")
_KEYS = {"since": "from"}
_SECRET = frozenset({"auth_key"})


class _Wrong(Exception):
    """A value that does not fit its field; the text says what would."""


def build(cls: type[_T], table: dict[str, Any], where: str, problems: list[Problem]) -> _T | None:
    """The table as a `cls`. Problems are appended, and what had one is left at its default, so that
    the rest can be checked further; None where a field without a default is missing or wrong.
    """
    hints = get_type_hints(cls)
    names = {_KEYS.get(field.name, field.name): field for field in fields(cls)}  # type: ignore[arg-type]
    problems += [
        Problem(where + key, "", f"unknown{suggestion(key, names)}") for key in table if key not in names
    ]
    values: dict[str, Any] = {}
    for key, field in names.items():
        if key not in table:
            if field.default is MISSING:
                problems.append(Problem(where + key, "", "must be given"))
            continue
        value = _value(hints[field.name], table[key], where + key, problems)
        if value is not None:
            values[field.name] = value
    missing = [field for field in names.values() if field.name not in values and field.default is MISSING]
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
    names = {str: "a text", int: "a whole number", date: "a date"}
    return _of_type(raw, hint, names[hint])


def _of_type(raw: Any, wanted: type, name: str) -> Any:
    if isinstance(raw, wanted) and not isinstance(raw, bool):
        return raw
    raise _Wrong(f"must be {name}")
