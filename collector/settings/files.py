"""The configuration file: the places where it is searched for, and its bytes -> a raw table."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from collector.errors import Problem, SettingsError

ENVIRONMENT = "SHELLY_COLLECTOR_CONFIG"
WHOLE_FILE = "configuration"
"""The `field` of a problem with the file itself; its `value` is the path."""

_LARGEST = 1_000_000


def locate(flag: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file to use; `None` if no file is named and none is found.

    A file that the user named is used even if it does not exist, so that a typing error never falls back
    to another file.
    """
    named = flag or (Path(environ[ENVIRONMENT]) if environ.get(ENVIRONMENT) else None)
    if named is not None:
        return named
    return next((path for path in places(environ) if is_there(path)), None)


def places(environ: Mapping[str, str]) -> list[Path]:
    """Where a configuration file is searched for if none is named, in this order."""
    folders = [Path(each) for each in environ.get("CONFIGURATION_DIRECTORY", "").split(":") if each]
    own = environ.get("XDG_CONFIG_HOME", "")
    if own.startswith("/"):  # the XDG specification: ignore relative ones
        folders.append(Path(own, "shelly-collector"))
    elif environ.get("HOME"):
        folders.append(Path(environ["HOME"], ".config", "shelly-collector"))
    folders.append(Path("/etc/shelly-collector"))
    return [folder / "config.toml" for folder in folders]


def read(path: Path) -> dict[str, object]:
    """The file's raw table; floats as `Decimal`. Raises `SettingsError` if it cannot be read as TOML."""
    try:
        data = read_regular_file(path, _LARGEST)
    except FileNotFoundError:
        raise _unusable(path, "no such file") from None
    except IsADirectoryError:
        raise _unusable(path, "is a directory: name the file in it, like config.toml") from None
    except PermissionError:
        raise _unusable(path, "cannot be read by this user: check its owner and mode") from None
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise _unusable(path, f"is larger than {_LARGEST} bytes: not a configuration")
    return _raw(path, data)


def read_regular_file(path: Path, limit: int) -> bytes:
    """The file's first `limit + 1` bytes. Raises `OSError` also for a pipe or device, which could block."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is not a regular file")
        return file.read(limit + 1)


def _raw(path: Path, data: bytes) -> dict[str, object]:
    try:
        return tomllib.loads(data.decode("utf-8-sig"), parse_float=Decimal)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _unusable(path, f"is not UTF-8 text (line {line})") from None
    except tomllib.TOMLDecodeError as error:
        raise _unusable(path, f"is not valid TOML: {error}") from None
    except (ValueError, RecursionError, ArithmeticError):  # 5,000-digit numbers, brackets without end
        raise _unusable(path, "is not a configuration: a value in it is absurdly long or deep") from None


def _unusable(path: Path, reason: str) -> SettingsError:
    return SettingsError([Problem(WHOLE_FILE, str(path), reason)])


def is_there(path: Path) -> bool:
    """Whether the path exists, also if this user has no access to it."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # it exists: reading it gives the reason
        return True
    return True
