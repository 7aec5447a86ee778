"""Notifications to systemd (READY, STATUS, WATCHDOG, STOPPING), and what the unit lets the service write."""

from __future__ import annotations

import errno
import os
import shlex
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import NamedTuple

from collector.status import Status, counted, newest_in_words


def status_line(status: Status) -> str:
    """The text of `STATUS=`: what the service does now, or what prevents it."""
    for account in status.accounts.values():
        if account.trouble is not None:
            return f"Waiting: {account.trouble.reason}"
    for name, meter in status.meters.items():
        if not meter.state.is_well:
            return f"{meter.state.capitalize()}: {name}: {meter.reason}"
    upcoming = status.next_run_at
    until = "" if upcoming is None else f", next run {datetime.fromtimestamp(upcoming, UTC):%H:%M} UTC"
    meters, jobs = counted(len(status.meters), "meter"), counted(status.jobs, "job")
    return f"Collecting {meters}, {newest_in_words(status)}, {jobs} in progress{until}"


class Notifier:
    """Sends states to the service manager, if there is one."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = _watchdog_s(environ)

    def ready(self, status: str) -> None:
        """Reports that the service is up."""
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, status: str) -> None:
        """Sets the status line of `systemctl status`."""
        self._send(f"STATUS={status}")

    def alive(self) -> None:
        """Resets the watchdog; due at least every `watchdog_s` seconds."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Reports that the service is stopping."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        # A service manager that cannot be reached must not stop the collecting.
        with (
            suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
        ):
            channel.settimeout(0)
            channel.sendto(state.encode(), self._address)


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Seconds within which a notification is due; `None` without a watchdog."""
    owner = environ.get("WATCHDOG_PID", str(os.getpid()))
    microseconds = environ.get("WATCHDOG_USEC", "")
    if owner != str(os.getpid()) or not microseconds.isdigit() or int(microseconds) == 0:
        return None
    return int(microseconds) / 1_000_000


UNIT = "shelly-collector.service"
CONFIGURATION = Path("/etc/shelly-collector/config.toml")  # what the unit's service reads
PLACES = tuple(
    Path(place, "systemd/system") for place in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
_USER = "shelly-collector"  # as the package's sysusers file makes it
_DROP_INS = (f"{UNIT}.d", "shelly-.service.d", "service.d")
_YES = ("1", "yes", "y", "true", "t", "on")
_HOMES = ("/home", "/root", "/run/user")
_SYSTEM = {"strict": ("/",), "full": ("/usr", "/boot", "/efi", "/etc"), "yes": ("/usr", "/boot", "/efi")}
_OWN_FOLDERS = {
    "StateDirectory": "/var/lib",
    "RuntimeDirectory": "/run",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
}


def unit_files() -> list[Path]:
    """The unit's files in the folders that systemd reads; empty if it is not installed."""
    return [path for path in (place / UNIT for place in PLACES) if os.access(path, os.F_OK)]


class Obstacle(NamedTuple):
    """Why the service cannot write to its archive (`reason`), and what to do (`cure`): whole sentences."""

    reason: str
    cure: str


class _Access(Enum):
    WRITE = auto()
    READ = auto()
    EMPTY = auto()  # hidden by an empty folder, into which others may be bound
    NONE = auto()  # including everything below, whatever other rules allow


class _Rule(NamedTuple):
    """What a setting of the unit allows for a folder and everything below.

    `needs`: a path that must exist, or systemd does not start the service.
    """

    folder: Path
    access: _Access
    setting: str
    needs: Path | None = None


def obstacle(source: Path | None, archive: Path) -> Obstacle | None:
    """What keeps the installed service from writing to `archive`; `None` if nothing is known to.

    Also `None` if no unit is installed, or `source` is not the configuration that it reads.
    """
    if source is None or os.path.realpath(source) != os.path.realpath(CONFIGURATION):
        return None
    try:
        settings = _unit_settings()
        rules = list(_rules(settings))
    except (OSError, ValueError):  # unreadable, or with what only systemd can resolve
        return None
    culprit = _culprit(rules, Path(os.path.realpath(archive)))
    if culprit is None:
        return _missing(rules)
    verb = "is read-only for" if culprit.access is _Access.READ else "cannot be seen by"
    reason = f"{archive} {verb} the service: its unit has {culprit.setting}."
    if culprit.access is _Access.READ or culprit.setting.startswith("ProtectHome"):
        return Obstacle(reason, cure(archive))
    return Obstacle(reason, "Set archive.path to another folder.")


def is_made_at_start(folder: Path) -> bool:
    """Whether the installed unit creates that folder for its service."""
    try:
        return any(own.is_relative_to(folder) for own in _own_folders(_unit_settings()))
    except (OSError, ValueError):
        return False


def _missing(rules: list[_Rule]) -> Obstacle | None:
    """A folder that the unit needs and that does not exist, so that the service does not start."""
    made = {rule.folder for rule in rules if rule.setting in _OWN_FOLDERS}
    for rule in rules:
        if rule.needs is not None and rule.needs not in made and _is_missing(rule.needs):
            reason = (
                f"The service does not start (226/NAMESPACE): its unit has {rule.setting}={rule.needs}, and "
                "that folder does not exist."
            )
            return Obstacle(reason, f"Mount its disk, or create it: `{_command(rule.needs)}`.")
    return None


def _is_missing(path: Path) -> bool:
    try:
        path.stat()
    except OSError as error:  # others than this: it exists, or this user has no permission to see it
        return error.errno == errno.ENOENT
    return False


def _command(folder: Path) -> str:
    """The command that creates the folder for the service's user."""
    return f"install -d -o {_USER} -g {_USER} -m 750 {shlex.quote(str(folder))}"


def cure(archive: Path) -> str:
    """What to do so that a service under systemd can write there."""
    lines = [f"ReadWritePaths={_quoted(archive)}", *(["ProtectHome=no"] if _is_in_a_home(archive) else [])]
    return (
        f"Create the folder: `{_command(archive)}`; then `systemctl edit {UNIT.partition('.')[0]}`: "
        f"[Service] and below it {' and '.join(lines)}; then restart the service."
    )


def hint(archive: Path, error: OSError, environ: Mapping[str, str]) -> str:
    """An addition to the message of a service that cannot use its archive, if its unit may be the reason.

    Empty within the unit's own folder, for other errors, and in a terminal.
    """
    own = [Path(each) for each in environ.get("STATE_DIRECTORY", "").split(":") if each]
    is_own = any(archive.is_relative_to(folder) for folder in own)
    is_shut_out = error.errno in (errno.EROFS, errno.EACCES, errno.EPERM)
    is_hidden = error.errno == errno.ENOENT and _is_in_a_home(archive)
    if "NOTIFY_SOCKET" not in environ or is_own or not (is_shut_out or is_hidden):
        return ""
    return f". If it can be used outside of the service, the unit's sandbox blocks it. {cure(archive)}"


def _culprit(rules: list[_Rule], archive: Path) -> _Rule | None:
    """The rule that forbids it; of several that cover the folder, the deepest decides."""
    covering = [rule for rule in rules if archive.is_relative_to(rule.folder)]
    covering.sort(key=lambda rule: (len(rule.folder.parts), rule.access is _Access.WRITE))
    for place, rule in enumerate(covering):
        bound = any(each.setting == "BindPaths" for each in covering[place + 1 :])
        if rule.access is _Access.NONE or (rule.access is _Access.EMPTY and not bound):
            return rule
    return covering[-1] if covering and covering[-1].access is not _Access.WRITE else None


def _rules(settings: Mapping[str, list[str]]) -> Iterator[_Rule]:
    system, home = _word(settings, "ProtectSystem"), _word(settings, "ProtectHome")
    for folder in _SYSTEM.get(system, ()):
        yield _Rule(Path(folder), _Access.READ, f"ProtectSystem={system}")
    homes = {"yes": _Access.NONE, "read-only": _Access.READ, "tmpfs": _Access.EMPTY}
    for folder in _HOMES if home in homes else ():
        yield _Rule(Path(folder), homes[home], f"ProtectHome={home}")
    for folder in ("/tmp", "/var/tmp") if _word(settings, "PrivateTmp") == "yes" else ():  # noqa: S108
        yield _Rule(Path(folder), _Access.EMPTY, "PrivateTmp=yes")
    for setting in _OWN_FOLDERS:
        yield from (_Rule(folder, _Access.WRITE, setting) for folder in _own_folders(settings, setting))
    for setting, access in (
        ("ReadWritePaths", _Access.WRITE),
        ("ReadOnlyPaths", _Access.READ),
        ("InaccessiblePaths", _Access.NONE),
        ("TemporaryFileSystem", _Access.EMPTY),
        ("BindPaths", _Access.WRITE),
        ("BindReadOnlyPaths", _Access.READ),
    ):
        for word in _words(settings, setting):
            source, _, target = word.lstrip("-+").partition(":")
            is_bound = setting.startswith("Bind") and target != ""
            place = _real(target.partition(":")[0] if is_bound else source)
            may_be_missing = word.startswith("-") or setting == "TemporaryFileSystem"
            yield _Rule(place, access, setting, None if may_be_missing else _real(source))


def _own_folders(settings: Mapping[str, list[str]], *names: str) -> Iterator[Path]:
    """The folders that systemd creates for the service, by all such settings or those named."""
    for setting in names or _OWN_FOLDERS:
        for word in _words(settings, setting):
            yield _real(f"{_OWN_FOLDERS[setting]}/{word.split(':')[0]}")


def _word(settings: Mapping[str, list[str]], setting: str) -> str:
    """The last value of a setting, in lower case; any form of yes is `yes`."""
    word = (settings.get(setting) or [""])[-1].lower()
    return "yes" if word in _YES else word


def _words(settings: Mapping[str, list[str]], setting: str) -> Iterator[str]:
    """All words of a list. Raises `ValueError` for one that only systemd can resolve."""
    for value in settings.get(setting, ()):
        for word in shlex.split(value):
            if "%" in word.replace("%%", ""):
                raise ValueError("a specifier")
            yield word.replace("%%", "%")


def _unit_settings() -> Mapping[str, list[str]]:
    """The values assigned under [Service], by setting, in order; an empty value drops those before it.

    Raises `OSError` if there is no unit.
    """
    settings: dict[str, list[str]] = {}
    for text in _texts():
        for setting, value in _assignments(text):
            if value:
                settings.setdefault(setting, []).append(value)
            else:
                settings.pop(setting, None)
    return settings


def _texts() -> Iterator[str]:
    """The unit, then its drop-ins sorted by name; of several with one name the first counts."""
    unit = next((place / UNIT for place in PLACES if (place / UNIT).is_file()), PLACES[-1] / UNIT)
    yield unit.read_text(encoding="utf-8", errors="replace")
    drop_ins: dict[str, Path] = {}
    for folder in (place / name for name in _DROP_INS for place in PLACES):
        for path in folder.glob("*.conf"):
            drop_ins.setdefault(path.name, path)
    for name in sorted(drop_ins):
        yield drop_ins[name].read_text(encoding="utf-8", errors="replace")


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    section, begun = "", ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            begun += line[:-1] + " "
            continue
        line, begun = begun + line, ""
        if line.startswith("["):
            section = line
        elif section == "[Service]" and "=" in line:
            setting, _, value = line.partition("=")
            yield setting.strip(), value.strip()


def _is_in_a_home(path: Path) -> bool:
    return any(path.is_relative_to(home) for home in _HOMES)


def _real(path: str) -> Path:
    return Path(os.path.realpath(path))


def _quoted(path: Path) -> str:
    text = str(path).replace("%", "%%")
    return f'"{text}"' if " " in text else text
