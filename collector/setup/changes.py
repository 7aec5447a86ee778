"""The configuration that is there, and the files that have to change for a new key and new meters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.cloud.meters import Account
from collector.errors import CollectorError, SettingsError
from collector.settings import AccountSettings, Settings, keys, load
from collector.settings.files import read
from collector.setup.configuration import (
    NewFile,
    NewMeter,
    NewPage,
    new_text,
    tables_text,
    with_key,
    with_meters,
)

_KEY_MODE = 0o600
THE_KEY = "the key"


class CannotChange(CollectorError):
    """A file that cannot be changed without changing other parts of it; `by_hand`: what a person adds."""

    def __init__(self, text: str, by_hand: str = "") -> None:
        super().__init__(text)
        self.by_hand = by_hand


@dataclass(frozen=True, slots=True)
class Present:
    """The configuration that is there. `has_keys`: all its keys could be read, and are in the settings."""

    settings: Settings
    has_keys: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A file to save, with its text before and after; `secret`: what it is if it has nothing but a secret."""

    file: NewFile
    before: str
    after: str
    secret: str = ""


def read_present(path: Path, environ: Mapping[str, str]) -> Present:
    """The configuration in that file, also if a key cannot be read. Raises `SettingsError`."""
    try:
        return Present(load_alone(path, environ), has_keys=True)
    except SettingsError:
        return Present(load(path, _without_keys(environ), needs_keys=False), has_keys=False)


def load_alone(path: Path, environ: Mapping[str, str]) -> Settings:
    """The settings without the keys of this command's environment, which the service does not have.

    Raises `SettingsError`.
    """
    return load(path, _without_keys(environ))


def _without_keys(environ: Mapping[str, str]) -> dict[str, str]:
    left_out = (keys.ENVIRONMENT, "CREDENTIALS_DIRECTORY")
    return {name: value for name, value in environ.items() if name not in left_out}


def new_files(
    path: Path,
    account: Account,
    meters: Sequence[NewMeter],
    archive: Path | None,
    group: int,
    page: NewPage | None = None,
    *,
    has_manual: bool = False,
) -> list[Change]:
    """A new configuration, and its secrets beside it: they come first, so that none is ever missing.

    `archive`, `page`, `has_manual`: as in `new_text`. `group`: the service's, which may read the
    configuration and the page's password; -1 for none.
    """
    mode = 0o600 if group == -1 else 0o640
    key = f"{account.auth_key}\n"
    key_file = NewFile(path.with_name("auth_key"), key.encode(), _KEY_MODE, is_secret=True)
    changes = [Change(key_file, text_of(key_file.path), key, THE_KEY)]
    if page is not None and page.password_file is not None:
        password = f"{page.password}\n"
        file = NewFile(page.password_file, password.encode(), mode, group, is_secret=True)
        changes.append(Change(file, text_of(file.path), password, "a password for the page"))
    text = new_text(account.base_url.removeprefix("https://"), meters, archive, page, has_manual=has_manual)
    changes.append(Change(NewFile(path, text.encode(), mode, group), "", text))
    return [each for each in changes if each.before != each.after]


def changes_of(
    path: Path, present: Present, own: AccountSettings, account: Account, meters: Sequence[NewMeter]
) -> list[Change]:
    """The new meters at the end of the account `own`, and the key of `account` in the place of its key.

    Raises `CannotChange`, `SettingsError`.
    """
    file = own.source or path
    number = [each for each in present.settings.accounts if each.source == own.source].index(own)
    before = text_of(file)
    try:
        after = with_meters(before, number, meters) if meters else before
    except ValueError as error:
        what = f"{file} cannot be changed without changing other parts of it ({error}). Add this by hand:"
        raise CannotChange(what, tables_text(meters)) from None
    changes = []
    if not (present.has_keys and own.account.auth_key == account.auth_key):
        place = _key_file(path, present, own, number)
        if place is None:
            after = _with_key(file, after, own, account)
        else:
            key = f"{account.auth_key}\n"
            new = NewFile(place, key.encode(), _KEY_MODE, is_secret=True)
            changes.append(Change(new, text_of(place), key, THE_KEY))
    if after != before:
        changes.append(
            Change(NewFile(file, after.encode(errors="surrogateescape"), _KEY_MODE), before, after)
        )
    return changes


def _key_file(path: Path, present: Present, own: AccountSettings, number: int) -> Path | None:
    """The file with the account's key; `None` if the key is in the configuration."""
    file = own.source or path
    tables = read(file).get("account")
    table = tables[number] if isinstance(tables, list) else {}
    if named := table.get("auth_key_file"):
        return file.parent / Path(named).expanduser()
    if "auth_key" in table:
        return None
    if len(present.settings.accounts) > 1:
        raise CannotChange(
            f"The key has changed, and {path.with_name('auth_key')} may be that of several accounts.",
            "Put the new key into the right file by hand.",
        )
    return path.with_name("auth_key")


def _with_key(file: Path, text: str, own: AccountSettings, account: Account) -> str:
    try:
        return with_key(text, own.account.auth_key, account.auth_key)
    except ValueError as error:
        what = f"The key in {file} cannot be replaced: {error}."
        raise CannotChange(what, "Change it by hand.") from None


def text_of(path: Path) -> str:
    """The file's text with its line ends as they are; empty if there is none. Raises `OSError`."""
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except FileNotFoundError:
        return ""
