"""What an event's fields become before they are written: plain, short, redacted values. Pure."""

from __future__ import annotations

import json
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import date
from enum import Enum
from typing import Any

Redact = Callable[[str], str]

PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 3}
"""What the journal calls each level."""

# The console renderer begins a new line for these, whatever they hold.
_CONSOLE_KEYS = {"exception": "traceback", "stack": "stack_trace"}

_LONGEST_TEXT = 8_192
_MOST_ITEMS, _DEEPEST = 100, 5
_MOST_FRAMES = 20


def plain(fields: Mapping[str, object], redact: Redact) -> dict[str, Any]:
    """The fields as JSON knows them, without secrets; `exc_info` becomes `exception`, a text."""
    result = {}
    for key, value in fields.items():
        if key == "exc_info":
            trace = _exception_text(value)
            if trace:
                result["exception"] = _text(trace, redact)
        else:
            result[_text(str(key), redact)] = _plain(value, redact, 0)
    return result


def one_line(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields for the console: nothing in them can begin a line or steer the terminal."""
    shown = {}
    for key, value in fields.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if key == "exception":  # a traceback's lines side by side: readable, and still one event
            text = " | ".join(line.strip() for line in text.splitlines())
        shown[_CONSOLE_KEYS.get(key) or _escaped(key)] = _escaped(text)
    return shown


def json_line(logger: object, method: str, fields: Mapping[str, Any]) -> str:
    """The fields as one line of JSON: ASCII only, so that nothing in it can break or turn a line."""
    return json.dumps(fields)


def _plain(value: object, redact: Redact, depth: int) -> Any:
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return _text(value, redact)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, date):
        return value.isoformat()
    if depth < _DEEPEST and isinstance(value, Mapping):
        pairs = list(value.items())[:_MOST_ITEMS]
        return {_text(_said(key), redact): _plain(each, redact, depth + 1) for key, each in pairs}
    if depth < _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each, redact, depth + 1) for each in list(value)[:_MOST_ITEMS]]
    return _text(_said(value), redact)


def _said(value: object) -> str:
    try:
        return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
    except Exception:  # noqa: BLE001 - any object can come here, and a broken one must not stop us
        return f"<{type(value).__name__}>"


def _text(text: str, redact: Redact) -> str:
    # Redacted before it is cut: half a secret is one too.
    text = redact(text)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text)} characters)"


def _escaped(text: str) -> str:
    """The text with newlines, escape sequences, NUL and bidirectional controls spelled out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _exception_text(exc_info: object) -> str:
    """The traceback of what `exc_info` means, without the local variables; empty where it means none."""
    if isinstance(exc_info, tuple):
        error = exc_info[1]
    elif isinstance(exc_info, BaseException):
        error = exc_info
    else:
        error = sys.exc_info()[1] if exc_info else None
    if not isinstance(error, BaseException):
        return ""
    trace = traceback.TracebackException.from_exception(error, limit=-_MOST_FRAMES, capture_locals=False)
    return "".join(trace.format()).rstrip("\n")
