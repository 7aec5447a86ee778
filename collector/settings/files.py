"""The configuration file: where it is looked for, and its bytes -> a raw table; or the same from flags."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path

from collector.errors import Problem, SettingsError
from collector.settings import keys, schema
from collector.settings.parsing import parse
from collector.settings.schema import Settings

ENVIRONMENT = "SHELLY_COLLECTOR_CONFIG"
_LARGEST = 1_000_000


def locate(flag: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file to use, `None` where there is none.

    What the user named is used whether it is there or not, so that a typing error never falls back
    to another file.
    """
    named = flag or (Path(environ[ENVIRONMENT]) if environ.get(ENVIRONMENT) else None)
    if named is not None:
        return named
    return next((path for path in places(environ) if _is_there(path)), None)


def places(environ: Mapping[str, str]) -> list[Path]:
    """Where a configuration file is looked for when none is named, best first."""
    folders = [Path(each) for each in environ.get("CONFIGURATION_DIRECTORY", "").split(":") if each]
    own = environ.get("XDG_CONFIG_HOME", "")
    if own.startswith("/"):  # relative ones are to be ignored, says the XDG specification
        folders.append(Path(own, "shelly-collector"))
    elif environ.get("HOME"):
        folders.append(Path(environ["HOME"], ".config", "shelly-collector"))
    folders.append(Path("/etc/shelly-collector"))
    return [folder / "config.toml" for folder in folders]


def read(path: Path) -> dict[str, object]:
    """The file's raw table; floats as `Decimal`. `SettingsError` where it cannot be read as TOML."""
    try:
        data = read_regular_file(path, _LARGEST)
    except FileNotFoundError:
        raise _unusable(path, "there is no such file") from None
    except IsADirectoryError:
        raise _unusable(path, "is a directory: name the file in it, like config.toml") from None
    except PermissionError:
        raise _unusable(path, "may not be read by this user: check its owner and mode") from None
    except OSError as error:
        raise _unusable(path, f"cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST:
        raise _unusable(path, f"is larger than {_LARGEST} bytes: not a configuration")
    return _raw(path, data)


def read_regular_file(path: Path, limit: int) -> bytes:
    """The file's bytes, at most `limit + 1` of them. `OSError` for what is none: a pipe must not hang us."""
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
    return SettingsError([Problem("configuration", str(path), reason)])


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # there, but not for us: reading it will say so
        return True
    return True


_LABELS = {
    "account.host": "--host",
    "account.auth_key": "--auth_key",
    "archive.path": "--odir",
    "meter.id": "--id",
    "meter.kind": "--kind",
    "meter.solar": "--no-solar",
    "meter.pv_id": "--pv_id",
    "meter.grid_scale_factor": "--grid_scale_factor",
    "meter.pv_kwh_discard": "--pv_kwh_discard",
    "meter.since": "--since",
}
"""Where each flag stands in a configuration file, and its name."""


def from_flags(
    environ: Mapping[str, str],
    *,
    host: str | None = None,
    id: str | None = None,  # noqa: A002 - named like the flag
    auth_key: str | None = None,
    odir: str | None = None,
    kind: str | None = None,
    solar: bool | None = None,
    pv_id: str | None = None,
    grid_scale_factor: str | None = None,
    pv_kwh_discard: str | None = None,
    since: str | None = None,
    needs_key: bool = True,
) -> Settings:
    """The settings of one meter, all flags as the user typed them; `SettingsError` names the flags.

    Without `kind`, a meter with `pv_id` is a 3em and any other an em. `solar=False` says that an em has
    no solar clamp. The meter is named like its id. `needs_key=False` is for who does not ask the cloud:
    where no key is given, a stand-in takes its place.
    """
    if not needs_key and auth_key is None and not environ.get(keys.ENVIRONMENT):
        environ = {**environ, keys.ENVIRONMENT: keys.STAND_IN}
    given: dict[str, object] = {
        "account.host": host,
        "account.auth_key": auth_key,
        "archive.path": odir,
        "meter.id": id,
        "meter.kind": kind or ("3em" if pv_id is not None else None),
        "meter.solar": solar,
        "meter.pv_id": pv_id,
        "meter.grid_scale_factor": _number(grid_scale_factor),
        "meter.pv_kwh_discard": _number(pv_kwh_discard),
        "meter.since": since,
    }
    tables: dict[str, dict[str, object]] = {
        "archive": {},
        "account": {"name": "account"},
        "meter": {"name": _name(id)},
    }
    for place, value in given.items():
        table, key = place.split(".")
        if value is not None:
            tables[table][key] = value
    labels = {place: flag for place, flag in _LABELS.items() if place != "archive.path" or odir is not None}
    account = {**tables["account"], "meter": [tables["meter"]]}
    return parse({"archive": tables["archive"], "account": [account]}, environ, None, labels)


def _name(device_id: str | None) -> str:
    try:
        return schema.device_id(device_id)
    except ValueError:  # said with the flag itself
        return "meter"


def _number(text: str | None) -> object:
    """The number typed; the text itself where it is none, which is then refused with the rest."""
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return text
