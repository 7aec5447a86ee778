"""Shared by the commands: load the settings or say why not, logging, signals, exit codes."""

from __future__ import annotations

import errno
import os
import signal
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from collector.cli import exits
from collector.errors import (
    ArchiveError,
    ArchiveLocked,
    ClockUntrusted,
    KeyRefused,
    Rejected,
    SettingsError,
    SourceError,
)

if TYPE_CHECKING:
    import asyncio

    from collector.collect.outages import OutageError
    from collector.settings import LogLevel, Settings


_CONTINUE = "Stored data is safe. Run the same command again to continue."
_NOT_WRITTEN = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Refused(Exception):
    """A command cannot start: the lines for the user and the exit code."""

    def __init__(self, code: int, *lines: str) -> None:
        super().__init__(*lines)
        self.code = code
        self.lines = lines


def settings_from_file(flag: Path | None) -> Settings:
    """The settings in the configuration file; raises `Refused` with all its errors."""
    from collector.settings import load

    return _settings(flag, load)


def settings_without_keys(flag: Path | None) -> Settings:
    """The same for commands that send no requests: keys are not read."""
    from collector.settings import load_without_keys

    return _settings(flag, load_without_keys)


def only_meters(settings: Settings, names: list[str] | None) -> Settings:
    """The settings with only these meters, all for `None`; raises `Refused` if one is unknown."""
    from dataclasses import replace

    from collector.cli.parsing import without_keys

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


def _settings(flag: Path | None, load: Callable[[Path, Mapping[str, str]], Settings]) -> Settings:
    from collector.settings import locate, places

    path = locate(flag, os.environ)
    if path is None:
        searched = (f"  {place}" for place in places(os.environ))
        raise Refused(
            exits.BAD_CONFIGURATION,
            "no configuration found; searched:",
            *searched,
            "Create one there, or name it with --config FILE or SHELLY_COLLECTOR_CONFIG.",
        )
    return checked(lambda: load(path, os.environ), f"{path}: ")


def checked(load: Callable[[], Settings], prefix: str = "") -> Settings:
    """The settings that `load` returns; raises `Refused` with one line for each problem, after the prefix."""
    from collector.settings.files import WHOLE_FILE

    try:
        return load()
    except SettingsError as error:
        lines = (
            # The prefix names the file already.
            f"{prefix}{problem.reason if prefix and problem.field == WHOLE_FILE else problem}"
            for problem in error.problems
        )
        raise Refused(exits.BAD_CONFIGURATION, *lines) from None


def set_up_logs(settings: Settings, stream: TextIO, level: LogLevel | None = None) -> None:
    """Logging as configured; `level` overrides it. Secrets that are masked already stay masked."""
    from collector import logs

    logs.configure(
        format=settings.log.format,
        level=level or settings.log.level,
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


def refused(refusal: Refused) -> int:
    """Prints the lines; returns the exit code."""
    for line in refusal.lines:
        print(line, file=sys.stderr)
    return refusal.code


def unreadable(error: OSError, archive: Path) -> Refused:
    """The refusal of a command that cannot read an archive, with the system's reason."""
    place = error.filename or archive
    if isinstance(error, PermissionError):
        cure = "use sudo, or `sudo adduser USER shelly-collector` and log in again"
        return Refused(exits.CANNOT_CREATE, f"No permission to read {place}: {cure}")
    if error.errno in _NOT_WRITTEN:
        return Refused(exits.CANNOT_SAVE, f"{place} cannot be written: {error.strerror}")
    return Refused(exits.CANNOT_CREATE, f"{place} cannot be read: {error.strerror or error}")


def code_of(error: ArchiveError | OutageError) -> int:
    """The exit code for the error that ended a command."""
    if isinstance(error, ArchiveLocked):
        return exits.HELD_BY_ANOTHER
    if isinstance(error, ArchiveError):
        return exits.CANNOT_CREATE
    if isinstance(error, KeyRefused):
        return exits.KEY_REFUSED
    if isinstance(error, Rejected):
        return exits.IN_PART
    return exits.CANNOT_SAVE if isinstance(error, OSError) else exits.SOURCE_UNAVAILABLE


def advice_on(error: OutageError) -> str:
    """The error that ended a command, and what a person can do about it."""
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
        return f"The cloud did not answer: {error.reason}. {_CONTINUE}"
    return f"Nothing can be saved: {error.strerror or error}. {_CONTINUE}"
