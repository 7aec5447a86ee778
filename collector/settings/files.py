"""The configuration file, and those in `config.d` beside it: where they are searched for; their bytes -> raw
tables; `Settings` -> its text."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from collector.cloud.meters import Account, Meter
from collector.errors import Problem, SettingsError
from collector.publish.targets import Target
from collector.redaction import MASK, printable, redactor
from collector.settings.schema import LISTS, TABLES, Settings

ENVIRONMENT = "SHELLY_COLLECTOR_CONFIG"
WHOLE_FILE = "configuration"
"""The `field` of a problem with a file itself; its `value` is the path."""
FOLDER = "config.d"
"""The folder beside the configuration file whose files `*.toml` have more accounts."""

_LARGEST = 1_000_000
_UNREADABLE = {
    FileNotFoundError: "no such file",
    IsADirectoryError: "is a directory: name the file in it, like config.toml",
    PermissionError: "cannot be read by this user: check its owner and mode",
}


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


def read_all(path: Path) -> tuple[dict[str, object], dict[Path, dict[str, object]]]:
    """The file's raw table, and those of the files in the folder `config.d` beside it, by name.

    Raises `SettingsError` with each file that cannot be read as TOML.
    """
    problems, tables = list[Problem](), dict[Path, dict[str, object]]()
    try:
        files = beside(path)
    except OSError as error:
        place, reason = path.parent / FOLDER, error.strerror
        problems.append(Problem(WHOLE_FILE, str(place), f"cannot be read as a folder: {reason}"))
        files = []
    for file in (path, *files):
        try:
            tables[file] = read(file)
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return tables.pop(path), tables


def beside(path: Path) -> list[Path]:
    """The files `config.d/*.toml` beside that file, by name; without hidden ones, which editors leave.

    Anything with such a name counts, also if it cannot be read: its accounts would be missing in silence.
    Raises `OSError` if there is a folder, or a link to one, and it cannot be read.
    """
    folder = path.parent / FOLDER
    try:
        names = [each.name for each in folder.iterdir()]
    except FileNotFoundError:
        if folder.is_symlink():  # to a disk that is not mounted
            raise
        return []
    return [folder / name for name in sorted(names) if name.endswith(".toml") and not name.startswith(".")]


def read(path: Path) -> dict[str, object]:
    """The file's raw table; floats as `Decimal`. Raises `SettingsError` if it cannot be read as TOML."""

    def unusable(reason: str) -> SettingsError:
        return SettingsError([Problem(WHOLE_FILE, printable(str(path)), reason)])

    try:
        data = read_regular_file(path, _LARGEST)
    except OSError as error:
        raise unusable(_UNREADABLE.get(type(error), f"cannot be read: {error.strerror}")) from None
    if len(data) > _LARGEST:
        raise unusable(f"is larger than {_LARGEST} bytes: not a configuration")
    try:
        return tomllib.loads(data.decode("utf-8-sig"), parse_float=Decimal)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise unusable(f"is not UTF-8 text (line {line})") from None
    except tomllib.TOMLDecodeError as error:
        raise unusable(f"is not valid TOML: {error}") from None
    except (ValueError, RecursionError, ArithmeticError):  # 5,000-digit numbers, brackets without end
        raise unusable("is not a configuration: a value in it is absurdly long or deep") from None


def read_regular_file(path: Path, limit: int) -> bytes:
    """The file's first `limit + 1` bytes. Raises `OSError` also for a pipe or device, which could block."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is not a regular file")
        return file.read(limit + 1)


def is_there(path: Path) -> bool:
    """Whether the path exists, also if this user has no access to it."""
    try:
        path.stat()
    except OSError as error:  # any other: it exists, and reading it gives the reason
        return not isinstance(error, (FileNotFoundError, NotADirectoryError))
    return True


def masked(settings: Settings) -> str:
    """The configuration in force as TOML, without its keys; default values are marked."""
    origin = f"of {toml(str(settings.source))}" if settings.source else "of the flags given"
    if any(each.source for each in settings.accounts):
        origin += f" and the files in {toml(FOLDER)} beside it"
    lines = [f"# The configuration in force, {origin}"]
    values = (settings, *(getattr(settings, each.name) for each in fields(settings)))
    objects = {type(each): each for each in values}
    for kind in TABLES:
        if kind not in LISTS:
            lines += ["", f"[{kind}]", *_lines(kind, objects)]
    for each in settings.accounts:
        place = f"  # in {toml(f'{FOLDER}/{each.source.name}')}" if each.source else ""
        lines += ["", f"[[account]]{place}", *_lines("account", {Account: each.account})]
        lines.append(f'auth_key = "{MASK}"  # from {each.key_source}, not shown')
        for meter in each.meters:
            lines += ["", "[[account.meter]]", *_lines("meter", {Meter: meter})]
    for target in settings.targets:
        lines += ["", "[[publish]]", *_lines("publish", {Target: target})]
        lines += [f'token = "{MASK}"  # not shown'] if target.token else []
    return redactor(settings.secrets)("\n".join(lines) + "\n")


def _lines(kind: str, objects: Mapping[type, Any]) -> Iterator[str]:
    """The lines of a table, with the values of these objects."""
    for setting in TABLES[kind]:
        if setting.of is None or setting.only not in (None, getattr(objects[setting.of], "kind", None)):
            continue
        value = getattr(objects[setting.of], setting.attribute)
        is_default = not setting.required and value == setting.default
        written = _host_alone(value) if setting.secret else setting.form.write(value)
        if written is None:
            yield f"# {setting.key} is not set"
        else:
            yield f"{setting.key} = {toml(written)}{'  # default' if is_default else ''}"


def _host_alone(secret: str | None) -> str | None:
    """A URL with its path masked; any other secret is masked whole."""
    scheme, separator, rest = (secret or "").partition("://")
    host, slash, path = rest.partition("/")
    if not separator:
        return secret and MASK
    return f"{scheme}{separator}{host}{slash}{MASK if path else ''}"


def toml(value: object) -> str:
    """The value as it is written in the file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(toml(each) for each in value)}]"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) and value.is_integer() else repr(value)
    if isinstance(value, date):
        return value.isoformat()
    text = str(value)  # JSON's escapes are TOML's too
    return json.dumps(text, ensure_ascii=not text.isprintable())
