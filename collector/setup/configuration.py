"""The text of the configuration, new or with more meters and all its comments; its files, saved together."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collector.archive.files import sync_folder
from collector.cloud.meters import Meter
from collector.redaction import printable
from collector.settings.files import toml
from collector.settings.schema import TABLES

_ACCOUNT = re.compile(r"[ \t]*\[\[[ \t]*account[ \t]*\]\][ \t]*(#.*)?\Z")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,60}[A-Za-z0-9])?")
_NOT_KEPT = "its owner or group is another, and only root can keep that. Run setup with sudo"
_COMMENT_OR_BLANK = re.compile(r"[ \t]*(#.*)?\Z")


@dataclass(frozen=True, slots=True)
class NewMeter:
    """A meter to write, and what it is in words, for the comment above it."""

    meter: Meter
    comment: str


@dataclass(frozen=True, slots=True)
class NewPage:
    """The page in the browser: where it listens, and for others than this machine its password and names."""

    listen: str
    password_file: Path | None = None
    password: str = field(default="", repr=False)
    names: tuple[str, ...] = ()


PAGE_HERE = NewPage("127.0.0.1:9787")

_LETTERS = "bcdfghjkmnpqrstvwxyz"  # no two of them look alike, and they make no words


def page_at_home(password_file: Path, host_name: str) -> NewPage:
    """The page for the home network, with a new password, by the names that this machine has there."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(4))
    first = host_name.partition(".")[0].lower()
    names = tuple(dict.fromkeys((f"{first}.local", first, host_name.lower())))
    return NewPage(
        "0.0.0.0:9787",
        password_file,
        "-".join(groups),
        names if _HOST_NAME.fullmatch(host_name) and first != "localhost" else (),
    )


def new_text(
    host: str,
    meters: Sequence[NewMeter],
    archive: Path | None,
    page: NewPage | None = None,
    *,
    has_manual: bool = False,
) -> str:
    """A configuration with one account; `archive` if it is not the default folder, `page` if there is one.

    `has_manual`: the manual pages are installed on this machine.
    """
    manual = "`man shelly-collector.toml`" if has_manual else "docs/reference/settings.md"
    lines = [
        "# Written by `shelly-collector setup`; all else has its default value.",
        f"# All settings: {manual}.",
        "# After a change: `shelly-collector config check`.",
    ]
    if archive is not None:
        lines += ["", "[archive]", "# Where the files are kept, a folder in it for each meter."]
        lines.append(f"path = {toml(archive)}")
    if page is not None:
        lines += ["", "[web]", "# The page in the browser.", f"listen = {toml(page.listen)}"]
        if page.password_file is not None:
            lines.append(f"password_file = {toml(page.password_file)}")
        if page.names:
            lines.append(f"names = {toml(page.names)}")
    lines += ["", "[[account]]", 'name = "home"', f"host = {toml(host)}"]
    lines.append("# The key is the only line of the file auth_key beside this one.")
    return "\n".join([*lines, *_tables(meters)]) + "\n"


def _tables(meters: Sequence[NewMeter]) -> Iterator[str]:
    for each in meters:
        yield from ("", "[[account.meter]]")
        yield f"# {printable(each.comment)}"
        for setting in TABLES["meter"]:
            value = getattr(each.meter, setting.attribute)
            if setting.required or value != setting.default:
                yield f"{setting.key} = {toml(setting.form.write(value))}"


def with_meters(text: str, account: int, meters: Sequence[NewMeter]) -> str:
    """The text with these meters at the end of the account with that number (from 0), all else unchanged.

    Raises `ValueError` if that is not possible without changing another part of it.
    """
    lines = text.splitlines(keepends=True)
    headings = [number for number, line in enumerate(lines) if _ACCOUNT.match(line.rstrip("\r\n"))]
    place = headings[account + 1] if account + 1 < len(headings) else len(lines)
    while place < len(lines) and _COMMENT_OR_BLANK.match(lines[place - 1].rstrip("\r\n")):
        place -= 1  # what is above the next account belongs to it
    end = "\r\n" if "\r\n" in text else "\n"
    if lines and not lines[place - 1].endswith(("\r", "\n")):
        lines[place - 1] += end
    changed = "".join([*lines[:place], *(f"{line}{end}" for line in _tables(meters)), *lines[place:]])
    before, after = _parsed(text), _parsed(changed)
    added = _parsed("\n".join(["[[account]]", *_tables(meters)]))["account"][0]["meter"]
    try:
        before["account"][account].setdefault("meter", []).extend(added)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise ValueError("the account is not a table [[account]]") from None
    if before != after:
        raise ValueError("the meters would become part of something else")
    return changed


def with_key(text: str, old: str, new: str) -> str:
    """The text with the key `new` in the setting `auth_key` that has `old`, all else unchanged.

    Raises `ValueError` if there is not exactly one such line.
    """
    before = _parsed(text)
    for account in before.get("account", []):
        if account.get("auth_key") == old:
            account["auth_key"] = new
    changed, count = re.subn(
        rf"(?m)^([ \t]*auth_key[ \t]*=[ \t]*)(\"{re.escape(old)}\"|'{re.escape(old)}')",
        lambda match: f"{match[1]}{toml(new)}",
        text,
    )
    if count != 1 or _parsed(changed) != before:
        raise ValueError("the key is not in one line of its own")
    return changed


def tables_text(meters: Sequence[NewMeter]) -> str:
    """The meters as they are written, to be added by hand."""
    return "\n".join(_tables(meters)).strip() + "\n"


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"it would not be valid TOML: {error}") from None


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to save: its bytes, and its mode and group if it does not exist yet; else those stay.

    `is_secret`: whatever its mode was, others may no longer read it.
    """

    path: Path
    data: bytes
    mode: int
    group: int = -1
    is_secret: bool = False


def keeps_owner(path: Path) -> bool:
    """Whether this user may give a new file in that place the owner and group of the present one, if any."""
    try:
        before, folder = path.stat(), path.resolve().parent.stat()
    except OSError:
        return True  # reading it, or saving, says more
    groups = {os.getegid(), *os.getgroups()}
    if folder.st_mode & stat.S_ISGID:
        groups.add(folder.st_gid)
    return os.geteuid() == 0 or (before.st_uid == os.geteuid() and before.st_gid in groups)


def save_together(files: Sequence[NewFile]) -> None:
    """Saves the files whole, all or none. Raises `OSError`; then the files are as they were.

    First all are written beside their places, which is where a full disk or a missing permission shows; then
    each is renamed, in this order. A power cut between two renames leaves the first ones new.
    """
    staged = [(each, each.path.resolve()) for each in files]
    done = list[Path]()
    try:
        for each, place in staged:
            _stage(each, place)
        for _, place in staged:
            if place.exists():
                shutil.copy2(place, _beside(place, "old"))
        for _, place in staged:
            os.replace(_beside(place, "new"), place)  # noqa: PTH105
            done.append(place)
        for folder in {place.parent for _, place in staged}:
            sync_folder(folder)
    except BaseException:  # Ctrl-C, too
        for place in done:
            _put_back(place)
        raise
    finally:
        for _, place in staged:
            for kind in ("new", "old"):
                with suppress(OSError):
                    _beside(place, kind).unlink()


def _beside(place: Path, kind: str) -> Path:
    return place.with_name(f".{place.name}.{kind}-{os.getpid()}")


def _put_back(place: Path) -> None:
    with suppress(OSError):
        if _beside(place, "old").exists():
            os.replace(_beside(place, "old"), place)  # noqa: PTH105
        else:
            place.unlink()


def _stage(file: NewFile, place: Path) -> None:
    """Writes the file beside its place, durably, with the owner and mode that the present one has."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(_beside(place, "new"), flags, 0o600), "wb") as new:
        new.write(file.data)
        new.flush()
        if place.exists():
            before = place.stat()
            try:
                os.fchown(new.fileno(), before.st_uid, before.st_gid)
            except OSError as error:
                raise OSError(error.errno, _NOT_KEPT, os.fspath(file.path)) from None
            mode = stat.S_IMODE(before.st_mode)
            os.fchmod(new.fileno(), mode & ~stat.S_IRWXO if file.is_secret else mode)
        else:
            os.fchown(new.fileno(), -1, file.group)
            os.fchmod(new.fileno(), file.mode)
        os.fsync(new.fileno())
