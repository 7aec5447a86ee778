"""Logging: one event, one line, no secrets. The only module that knows structlog."""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import date
from enum import Enum
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from collector.energy.days import Clock, wall_clock
from collector.redaction import printable, redactor

Logger = FilteringBoundLogger
Redact = Callable[[str], str]

PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 3}
"""The journal's priority of each level."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
_NAME = "logger_name"  # `logger` is an argument of structlog's processors
# The console renderer begins a new line for these keys.
_CONSOLE_KEYS = {"exception": "traceback", "stack": "stack_trace"}
_LONGEST_TEXT = 8_192
_MOST_ITEMS, _DEEPEST = 100, 5
_MOST_FRAMES = 20


def get_logger(name: str) -> Logger:
    """A logger whose events name their source; it follows each later `configure`.

    A logger made with `bind` keeps its level and stream, but uses new secrets.
    """
    return cast(Logger, structlog.get_logger(**{_NAME: name}))


def started_by_systemd(environ: Mapping[str, str]) -> bool:
    """Whether systemd started the process, so that its output goes to the journal."""
    return "JOURNAL_STREAM" in environ or "INVOCATION_ID" in environ


def configure(
    *,
    format: Literal["auto", "json", "console"] = "auto",  # noqa: A002 - the setting's name
    level: Literal["debug", "info", "warning", "error"] = "info",
    secrets: Collection[str] = (),
    stream: TextIO | None = None,
    under_systemd: bool = False,
    environ: Mapping[str, str] = os.environ,
    clock: Clock = wall_clock,
) -> None:
    """Sets up logging; may be called again, existing loggers follow.

    `auto` is the console format on a terminal and JSON lines everywhere else. `under_systemd` puts the
    priority before each line, except on a terminal: shells in a desktop session inherit the
    variables of a unit. `stream` defaults to standard output.
    """
    stream = sys.stdout if stream is None else stream
    on_terminal = stream is not None and not stream.closed and stream.isatty()
    console = None
    if format == "console" or (format == "auto" and on_terminal):
        console = ConsoleRenderer(
            colors=on_terminal and not environ.get("NO_COLOR"),
            sort_keys=False,
            # The default is rich's if rich is installed, which shows local variables.
            exception_formatter=plain_traceback,
        )
    pipeline = _Pipeline(console, prefixed=under_systemd and not on_terminal, clock=clock)
    pipeline.redact_also(secrets)
    output = Output(stream)
    # Changed in place: loggers bound before a reload have the same list, and must not continue with the old
    # secrets.
    processors: list[Any] = structlog.get_config()["processors"] if structlog.is_configured() else []
    processors[:] = [pipeline]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *args: output,
        cache_logger_on_first_use=False,  # a reload must reach the loggers that exist
    )
    route_stdlib(_LEVELS[level], lambda level_name, fields: output.msg(pipeline(None, level_name, fields)))


def add_secrets(secrets: Collection[str]) -> None:
    """Redacts these, too, until the next `configure`, which must receive all secrets."""
    for pipeline in _pipelines():
        pipeline.redact_also(secrets)


def secrets_in_force() -> tuple[str, ...]:
    """All secrets that are redacted now."""
    return tuple(secret for pipeline in _pipelines() for secret in pipeline.secrets)


def _pipelines() -> list[_Pipeline]:
    """The pipeline in force, in a list; empty before the first `configure`."""
    return [each for each in structlog.get_config()["processors"] if isinstance(each, _Pipeline)]


class _Pipeline:
    """A structlog processor: turns an event's fields into the finished line. Never raises."""

    def __init__(self, console: ConsoleRenderer | None, *, prefixed: bool, clock: Clock) -> None:
        """Writes JSON if there is no `console`."""
        self._console = console
        self._prefixed = prefixed
        self._clock = clock
        self.secrets: tuple[str, ...] = ()
        self._redact: Redact = str

    def redact_also(self, secrets: Collection[str]) -> None:
        self.secrets = tuple(dict.fromkeys((*self.secrets, *secrets)))
        self._redact = redactor(self.secrets)

    def __call__(self, logger: WrappedLogger, method: str, fields: EventDict) -> str:
        level = method if method in PRIORITIES else "error"
        try:
            line = self._line(level, fields)
        except Exception as error:  # noqa: BLE001 - a log line must never raise in the caller
            what = f"{type(error).__name__} in logging"
            line = json.dumps({"level": level, "event": "library.reported", "message": what})
        return f"<{PRIORITIES[level]}>{line}" if self._prefixed else line

    def _line(self, level: str, fields: EventDict) -> str:
        stamp = self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"timestamp": stamp, "level": level, "event": fields.pop("event", "")}
        if _NAME in fields:
            head["logger"] = fields.pop(_NAME)
        rest = {key: value for key, value in fields.items() if key not in head}
        clean = _as_json_types({**head, **rest}, self._redact)
        # JSON is ASCII only, so it has no line breaks or bidirectional controls.
        line = json.dumps(clean) if self._console is None else self._console(None, level, _on_one_line(clean))
        # Once more for the whole line: parts without a secret may form one together.
        return self._redact(str(line))


def _as_json_types(fields: Mapping[str, object], redact: Redact) -> dict[str, Any]:
    """The fields without secrets; `exc_info` becomes `exception`, a text."""
    result = {}
    for key, value in fields.items():
        if key != "exc_info":
            result[_text(str(key), redact)] = _plain(value, redact, 0)
        elif trace := _exception_text(value):
            result["exception"] = _text(trace, redact)
    return result


def _on_one_line(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields for the console, without line breaks and control characters."""
    shown = {}
    for key, value in fields.items():
        text = value if isinstance(value, str) else json.dumps(value)
        if key == "exception":  # a traceback on one line, so that an event stays one line
            text = " | ".join(line.strip() for line in text.splitlines())
        shown[_CONSOLE_KEYS.get(key) or printable(key)] = printable(text)
    return shown


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
        return {_text(_described(key), redact): _plain(each, redact, depth + 1) for key, each in pairs}
    if depth < _DEEPEST and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each, redact, depth + 1) for each in list(value)[:_MOST_ITEMS]]
    return _text(_described(value), redact)


def _described(value: object) -> str:
    try:
        return f"{type(value).__name__}: {value}" if isinstance(value, BaseException) else str(value)
    except Exception:  # noqa: BLE001 - any object can be logged, and a broken one must not raise here
        return f"<{type(value).__name__}>"


def _text(text: str, redact: Redact) -> str:
    # Redacted before it is cut: a part of a secret would not be recognised.
    text = redact(text)
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text)} characters)"


def _exception_text(exc_info: object) -> str:
    """The traceback of `exc_info`, without local variables; empty if there is no exception."""
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


class Output:
    """Writes whole lines to a stream, from any thread; never raises. For `None`, lines are dropped."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._descriptor: int | None = None
        if stream is not None:
            with suppress(OSError, ValueError):  # in memory, or closed
                self._descriptor = stream.fileno()
        # Reentrant: garbage collection while a line is written may delete a task that nobody awaited, and
        # asyncio logs its failure in the same thread. That line is written after the current one.
        self._lock = threading.RLock()
        self._is_writing = False
        self._waiting: deque[str] = deque()

    def msg(self, line: str) -> None:
        """Writes one line; a line that cannot be written is dropped."""
        if self._stream is None or self._stream.closed:
            return
        with self._lock:
            self._waiting.append(line + "\n")
            if self._is_writing:
                return
            self._is_writing = True
            try:
                while self._waiting:
                    with suppress(OSError, ValueError):
                        self._write(self._stream, self._waiting.popleft())
            finally:
                self._is_writing = False

    # The methods that structlog calls, one for each level.
    debug = info = warning = error = critical = msg

    def _write(self, stream: TextIO, line: str) -> None:
        if self._descriptor is None:
            stream.write(line)
            return
        # Bypasses the stream's buffer: after an error its rest fails again when Python exits, with a
        # traceback and exit code 120.
        data = line.encode(stream.encoding or "utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._descriptor, data) :]


def route_stdlib(level: int, emit: Callable[[str, dict[str, object]], None]) -> None:
    """Passes warnings and errors of all libraries to `emit(level name, fields)`; drops all else."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Handler):
            root.removeHandler(handler)
    root.addHandler(_Handler(max(level, logging.WARNING), emit))


class _Handler(logging.Handler):
    def __init__(self, level: int, emit: Callable[[str, dict[str, object]], None]) -> None:
        super().__init__(level)
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        level = "error" if record.levelno >= logging.ERROR else "warning"
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a record whose arguments do not fit is still worth a line
            message = str(record.msg)
        self._emit(
            "critical" if record.levelno >= logging.CRITICAL else level,
            {
                "event": "library.reported",
                _NAME: record.name,
                "message": message,
                "exc_info": record.exc_info,
            },
        )
