"""Logging: one event, one line, no secrets. The only room that knows structlog.

Everybody else calls `get_logger(__name__)` and logs the events of `collector.events`:
`log.info("day.written", meter="grid", day="2026-03-29", hours=23)`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from collector.energy.days import Clock, wall_clock
from collector.logs.lines import PRIORITIES, json_line, one_line, plain
from collector.logs.output import Output
from collector.logs.stdlib import route_stdlib
from collector.redaction import redactor

__all__ = [
    "Logger",
    "add_secrets",
    "configure",
    "get_logger",
    "redactor",
    "secrets_in_force",
    "started_by_systemd",
]

Logger = FilteringBoundLogger
_NAME = "logger_name"  # `logger` itself is an argument of structlog's
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def get_logger(name: str) -> Logger:
    """A logger whose events say where they come from; it follows each later `configure`.

    What `bind` makes of it keeps its level and stream, but takes on new secrets.
    """
    return cast(Logger, structlog.get_logger(**{_NAME: name}))


def started_by_systemd(environ: Mapping[str, str]) -> bool:
    """Whether the process was started as a unit, so that its lines go to the journal."""
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
    """Sets logging up, or anew; loggers that exist follow.

    `auto` is the console on a terminal and JSON lines everywhere else. `under_systemd` puts the
    priority before each line, except on a terminal: shells in a desktop session inherit the
    variables of a unit. `stream` is standard output where it is not given.
    """
    stream = sys.stdout if stream is None else stream
    on_terminal = stream is not None and _is_terminal(stream)
    console = format == "console" or (format == "auto" and on_terminal)
    colours = on_terminal and not environ.get("NO_COLOR")
    pipeline = _Pipeline(
        renderer=_console_renderer(colours=colours) if console else json_line,
        console=console,
        secrets=secrets,
        prefixed=under_systemd and not on_terminal,
        clock=clock,
    )
    output = Output(stream)
    structlog.configure(
        processors=_processors(pipeline),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *args: output,
        cache_logger_on_first_use=False,  # a reload must reach the loggers that exist
    )
    route_stdlib(_LEVELS[level], lambda level_name, fields: output.msg(pipeline(None, level_name, fields)))


def add_secrets(secrets: Collection[str]) -> None:
    """These are redacted from now on, too. Until `configure`, which needs to be given them, as all others."""
    for pipeline in _pipelines():
        pipeline.redact_also(secrets)


def secrets_in_force() -> tuple[str, ...]:
    """All that is redacted now."""
    return tuple(secret for pipeline in _pipelines() for secret in pipeline.secrets)


def _pipelines() -> list[_Pipeline]:
    """The one in force; none before the first `configure`."""
    return [each for each in structlog.get_config()["processors"] if isinstance(each, _Pipeline)]


def _processors(pipeline: _Pipeline) -> list[Any]:
    """The processors in force, changed in place: loggers bound before a reload hold the same list,
    and must not go on with the old secrets."""
    if not structlog.is_configured():
        return [pipeline]
    processors = cast(list[Any], structlog.get_config()["processors"])
    processors[:] = [pipeline]
    return processors


class _Pipeline:
    """A structlog processor: the event's fields -> the finished line. Never raises."""

    def __init__(
        self,
        *,
        renderer: Any,
        console: bool,
        secrets: Collection[str],
        prefixed: bool,
        clock: Clock,
    ) -> None:
        self._renderer = renderer
        self._console = console
        self.secrets: tuple[str, ...] = ()
        self.redact_also(secrets)
        self._prefixed = prefixed
        self._clock = clock

    def redact_also(self, secrets: Collection[str]) -> None:
        """Adds secrets."""
        self.secrets = tuple(dict.fromkeys((*self.secrets, *secrets)))
        self._redact = redactor(self.secrets)

    def __call__(self, logger: WrappedLogger, method: str, fields: EventDict) -> str:
        level = method if method in PRIORITIES else "error"
        try:
            line = self._line(level, fields)
        except Exception as error:  # noqa: BLE001 - what cannot be logged must not stop who logs it
            what = f"{type(error).__name__} in logging"
            line = json_line(None, level, {"level": level, "event": "library.reported", "message": what})
        return f"<{PRIORITIES[level]}>{line}" if self._prefixed else line

    def _line(self, level: str, fields: EventDict) -> str:
        stamp = self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"timestamp": stamp, "level": level, "event": fields.pop("event", "")}
        if _NAME in fields:
            head["logger"] = fields.pop(_NAME)
        rest = {key: value for key, value in fields.items() if key not in head}
        clean = plain({**head, **rest}, self._redact)
        if self._console:
            clean = one_line(clean)
        # Once more as a whole: what was no secret in its parts may be one together.
        return self._redact(self._renderer(None, level, clean))


def _console_renderer(*, colours: bool) -> structlog.dev.ConsoleRenderer:
    # The plain formatter: the default one is rich's wherever rich is installed, and shows locals.
    return structlog.dev.ConsoleRenderer(
        colors=colours, sort_keys=False, exception_formatter=structlog.dev.plain_traceback
    )


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
