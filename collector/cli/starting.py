"""Shared by the commands: the parser, the settings or why there are none, logging, signals, exit codes."""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO, TypeVar

from collector.cli import PROGRAM, exits
from collector.errors import (
    ArchiveError,
    ArchiveLocked,
    ClockUntrusted,
    KeyRefused,
    Problem,
    Rejected,
    SettingsError,
    SourceError,
)
from collector.redaction import MASK

if TYPE_CHECKING:
    import asyncio

    from collector.collect.outages import OutageError
    from collector.settings import LogLevel, Settings


CONTINUE = "Stored data is safe. Run the same command again to continue."
_CODES = (
    (ArchiveLocked, exits.HELD_BY_ANOTHER),
    (ArchiveError, exits.CANNOT_CREATE),
    (KeyRefused, exits.KEY_REFUSED),
    (Rejected, exits.IN_PART),
    (OSError, exits.CANNOT_SAVE),
)
"""Of an error that ended a command; the first match counts."""
_NOT_WRITTEN = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SHORTEST_KEY = 16
_MOST_NAMES = 10  # in a line
_HARMLESS = re.compile(r"[./~].*|[\w-]+(\.[\w-]+)+(:\d+)?")  # a path, a host
_FLAG = re.compile(r"--[a-z_-]+")
_T = TypeVar("_T")


class Parser(argparse.ArgumentParser):
    """Refuses wrong usage with exit code 2. Its messages quote the arguments, but never a key."""

    def error(self, message: str) -> NoReturn:
        super().error(without_keys(message, sys.argv[1:]))


def without_keys(message: str, words: list[str]) -> str:
    """The message with `***` instead of each argument, or value of a flag, that may be a key."""
    parts = set(words)  # each as a whole, too: a key may begin with a dash
    for word in words:
        flag, _, value = word.partition("=")
        if flag.startswith("-"):
            parts.add(value)
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST_KEY and not _FLAG.fullmatch(part) and not _HARMLESS.fullmatch(part):
            for form in (repr(part), part, repr(part)[1:-1]):
                message = message.replace(form, MASK)
    return message


def a_date(text: str) -> date:
    """An option's value that is a date."""
    with suppress(ValueError):
        return date.fromisoformat(text)
    raise argparse.ArgumentTypeError("must be a date like 2024-03-31")


class Refused(Exception):
    """A command cannot start: the lines for the user and the exit code."""

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__(*lines)
        self.code = code
        self.lines = lines


def run_command(command: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """The command's exit code; the error that ends it is printed."""
    try:
        return command(options)
    except Refused as refusal:
        for line in refusal.lines:
            print(line, file=sys.stderr)
        return refusal.code
    except ArchiveError as error:
        print(error, file=sys.stderr)
        return code_of(error)


def settings_from_file(flag: Path | None, *, needs_keys: bool = True) -> Settings:
    """The settings in the configuration file; raises `Refused` with all its errors.

    `needs_keys=False`, for commands that send no requests: keys are not read.
    """
    from collector.settings import load, locate, places

    path = locate(flag, os.environ)
    if path is None:
        raise Refused(
            exits.BAD_CONFIGURATION,
            "no configuration found; searched:",
            *(f"  {place}" for place in places(os.environ)),
            f"`{PROGRAM} setup` writes one. One that is elsewhere is named with --config FILE or "
            "SHELLY_COLLECTOR_CONFIG.",
        )
    return checked(lambda: load(path, os.environ, needs_keys=needs_keys), f"{path}: ")


def only_meters(settings: Settings, names: list[str] | None) -> Settings:
    """The settings with only these meters, all for `None`; raises `Refused` if one is unknown."""
    from dataclasses import replace

    if not names:
        return settings
    unknown = sorted(set(names) - {meter.name for meter in settings.meters})
    if unknown:
        known = ", ".join(meter.name for meter in settings.meters)
        named = without_keys(repr(unknown[0]), unknown)
        raise Refused(exits.USAGE, f"no meter {named} in {settings.source}; there are: {known}")
    accounts = [
        replace(each, meters=tuple(meter for meter in each.meters if meter.name in names))
        for each in settings.accounts
    ]
    return replace(settings, accounts=tuple(each for each in accounts if each.meters))


def act_as_owner(folder: Path) -> None:
    """Changes the process from root to the folder's owner, permanently, to check that user's permissions.

    Does nothing for other users, if root owns the folder, or if its owner could not read the
    interpreter's modules, because the next import would fail.
    """
    if os.geteuid() != 0 or not _others_can_read(Path(os.__file__)):
        return
    try:
        owner = folder.stat()
    except OSError:  # missing, or an impossible name: a check reports it
        return
    if owner.st_uid == 0:
        return
    os.setgroups([owner.st_gid])
    os.setgid(owner.st_gid)
    os.setuid(owner.st_uid)
    os.umask(0o027)


def _others_can_read(path: Path) -> bool:
    folders = all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)
    return folders and bool(path.stat().st_mode & stat.S_IROTH)


def checked(load: Callable[[], _T], prefix: str = "") -> _T:
    """What `load` returns; raises `Refused` with one line for each problem, after the prefix."""
    try:
        return load()
    except SettingsError as error:
        raise Refused(exits.BAD_CONFIGURATION, *(_line(each, prefix) for each in error.problems)) from None


def _line(problem: Problem, prefix: str) -> str:
    """A problem that names its file, or after the prefix, which names the configuration file."""
    from collector.settings.files import WHOLE_FILE

    if prefix and problem.field == WHOLE_FILE:
        return f"{problem.value}: {problem.reason}"
    return str(problem) if problem.file else f"{prefix}{problem}"


def set_up_logs(settings: Settings, stream: TextIO, level: LogLevel | None = None) -> None:
    """Logging as configured; `level` overrides it. Secrets that are masked already stay masked."""
    from collector import logs

    logs.configure(
        format=settings.log_format,
        level=level or settings.log_level,
        secrets=(*settings.secrets, *logs.secrets_in_force()),
        stream=stream,
        under_systemd=logs.started_by_systemd(os.environ),
    )


def on_signals(
    stop: asyncio.Event, reload: asyncio.Event | None = None, *, terminated: int = exits.INTERRUPTED
) -> None:
    """The first SIGTERM or SIGINT sets `stop`, the second ends the process at once.

    `terminated` is the exit code where that was a SIGTERM.
    """
    import asyncio

    def stopped(code: int) -> None:
        if stop.is_set():
            os._exit(code)
        stop.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stopped, exits.INTERRUPTED)
    loop.add_signal_handler(signal.SIGTERM, stopped, terminated)
    if reload is not None:
        loop.add_signal_handler(signal.SIGHUP, reload.set)


def unreadable(error: OSError, archive: Path) -> Refused:
    """The refusal of a command that cannot read an archive, with the system's reason."""
    place = error.filename or archive
    if isinstance(error, PermissionError):
        cure = "use sudo, or `sudo adduser USER shelly-collector` and log in again"
        return Refused(exits.CANNOT_CREATE, f"No permission to read {place}: {cure}")
    if error.errno in _NOT_WRITTEN:
        return Refused(exits.CANNOT_SAVE, f"{place} cannot be written: {error.strerror}")
    return Refused(exits.CANNOT_CREATE, f"{place} cannot be read: {error.strerror or error}")


def check_archive(folder: Path) -> None:
    """Raises `Refused` if there is no such folder, or this user may not look for it."""
    try:
        is_there = folder.is_dir()
    except OSError as error:
        raise unreadable(error, folder) from None
    if not is_there:
        raise Refused(exits.CANNOT_CREATE, f"{folder}: no such folder")


def code_of(error: ArchiveError | OutageError) -> int:
    """The exit code for the error that ended a command."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), exits.SOURCE_UNAVAILABLE)


def advice_on_each(errors: Mapping[str, OutageError], then: str = CONTINUE) -> Iterator[str]:
    """A line for each kind of error, with the accounts or meters that have it."""
    names: dict[str, list[str]] = {}
    for name, error in errors.items():
        names.setdefault(advice_on(error, then), []).append(name)
    for advice, of in names.items():
        more = f" and {len(of) - _MOST_NAMES} more" if len(of) > _MOST_NAMES else ""
        yield f"{', '.join(of[:_MOST_NAMES])}{more}: {advice}"


def advice_on(error: OutageError, then: str = CONTINUE) -> str:
    """The error that ended a command, and what a person can do about it; `then`: what follows."""
    if isinstance(error, KeyRefused):
        return (
            "The cloud refused the key. Keys change with the account's password: copy the key again from the "
            "Shelly app, User settings, Authorization cloud key."
        )
    if isinstance(error, ClockUntrusted):
        return f"This machine's clock is wrong: {error}. Set it (timedatectl), then run the command again."
    if isinstance(error, Rejected):
        return f"The cloud rejects every day: {error.reason}. {error.cure} `doctor` checks these."
    if isinstance(error, SourceError):
        return f"The cloud did not answer: {error.reason}. {then}"
    return f"Nothing can be saved: {error.strerror or error}. {then}"
