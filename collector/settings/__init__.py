"""The configuration file -> value objects: read, parsed, validated; all problems at once.

Does not import the HTTP client, the scheduler or the logging.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from collector.settings.files import locate, places, read
from collector.settings.masking import masked
from collector.settings.parsing import from_flags, parse, parse_without_keys
from collector.settings.schema import AccountSettings, LogLevel, LogSettings, Settings

__all__ = [
    "AccountSettings",
    "LogLevel",
    "LogSettings",
    "Settings",
    "from_flags",
    "load",
    "load_without_keys",
    "locate",
    "masked",
    "parse",
    "places",
]


def load(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings in that file; raises `SettingsError` with all its problems."""
    return parse(read(path), environ, path)


def load_without_keys(path: Path, environ: Mapping[str, str]) -> Settings:
    """The same for commands that send no requests: keys are not read and not in the settings."""
    return parse_without_keys(read(path), environ, path)
