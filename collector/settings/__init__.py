"""The configuration file -> value objects: read, parsed, validated; all problems at once.

Does not import the HTTP client, the scheduler or the logging.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from collector.settings.files import locate, masked, places, read_all
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
    """The settings in that file, and the accounts in `config.d/*.toml` beside it; raises `SettingsError` with
    all their problems.

    `needs_keys=False`, for commands that send no requests: keys are not read and not in the settings.
    """
    raw, more = read_all(path)
    return parse(raw, environ, path, more=more, needs_keys=needs_keys)
