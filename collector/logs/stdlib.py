"""What libraries log through `logging` (aiohttp, APScheduler, asyncio) goes the way of our own events."""

from __future__ import annotations

import logging
from collections.abc import Callable

Emit = Callable[[str, dict[str, object]], None]


def route_stdlib(level: int, emit: Emit) -> None:
    """Hands warnings and errors of all libraries to `emit(level name, fields)`, and to nobody else."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _Handler):
            root.removeHandler(handler)
    root.addHandler(_Handler(max(level, logging.WARNING), emit))


class _Handler(logging.Handler):
    def __init__(self, level: int, emit: Emit) -> None:
        super().__init__(level)
        self._emit = emit

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {
            "event": "library.reported",
            "logger_name": record.name,
            "message": _message(record),
        }
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        self._emit(_level_name(record.levelno), fields)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - a record whose arguments do not fit is still worth a line
        return str(record.msg)


def _level_name(level: int) -> str:
    if level >= logging.CRITICAL:
        return "critical"
    return "error" if level >= logging.ERROR else "warning"
