"""The configuration file -> value objects: read, parsed, validated; all problems at once.

Does not import the HTTP client, the scheduler or the logging.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from collector.settings.files import locate, masked, places, read
from collector.settings.parsing import from_flags, parse
from collector.settings.schema import AccountSettings, LogLevel, Settings

__all__ = [
    "AccountSettings",
    "LogLevel",
    "Settings",
    "from_flags",
    "load",
    "locate",
    "masked",
    "parse",
    "places",
]


def load(path: Path, environ: Mapping[str, str], *, needs_keys: bool = True) -> Settings:
    """The settings in that file; raises `SettingsError` with all its problems.

    `needs_keys=False`, for commands that send no requests: keys are not read and not in the settings.
    """
    return parse(read(path), environ, path, needs_keys=needs_keys)
