"""Which key an account uses, and from where. No error here contains a key."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from collector.settings.files import is_there, read_regular_file

ENVIRONMENT = "SHELLY_COLLECTOR_AUTH_KEY"
STAND_IN = "no-key-was-read"
"""A placeholder for commands that send no requests."""

_SHORTEST, _LONGEST = 8, 512
_LARGEST_FILE = 4096
_QUOTES = "\"'`´“”„‟‘’‚‛«»‹›"
_OPENING, _CLOSING, _BEHIND = "<[({", ">])}", ";,."
_IN_ADDRESS = re.compile(r"(?i)(?=.*[?&]auth_?key=|auth_?key=.*&).*?auth_?key=([^&#]*).*")
_ADDRESS = re.compile(r"(?i)[a-z]+://.*()")
_NAMED = re.compile(r"(?i)[a-z][a-z_ -]{0,60}?[\"']?\s*([=:])\s*(?=.*[a-z0-9])(.+)")
_AFTER_A_WORD = re.compile(r"(?i)(?:bearer|basic|token|key|export)\s+(.+)")
_BEFORE_A_BREAK = re.compile(r"(?i)(.*?)((?:%0[ad]|%09|%20)+)")
_BEFORE_A_NAME = re.compile(r"(?i)(.*?)&[a-z_]+=.*")


@dataclass(frozen=True, slots=True)
class Offer:
    """One place where a key was given: a file to read, or the value itself.

    `shared`: it is for all accounts, not for one.
    """

    source: str
    path: Path | None = None
    value: str | None = field(default=None, repr=False)
    shared: bool = False

    def key(self) -> str:
        """The key; raises `ValueError` with the cause and what to do."""
        return checked(self.value or "") if self.path is None else read_key_file(self.path)


def offers(
    account: str,
    auth_key: str | None,
    auth_key_file: Path | None,
    environ: Mapping[str, str],
    source: Path | None = None,
) -> list[Offer]:
    """The places that have a key for the account, in order of precedence. The first one is used even if it
    is damaged: using the next one would use a key that was not intended.

    `source` is the configuration file: systemd reads the unit's credential from the file `auth_key` beside
    it, so it is found here, too, and root can check what the service will use.
    """
    found = []
    for file_name, shared in ((f"auth_key.{account}", False), ("auth_key", True)):
        directory = environ.get("CREDENTIALS_DIRECTORY")
        if directory and is_there(path := Path(directory, file_name)):
            found.append(Offer(f"$CREDENTIALS_DIRECTORY/{file_name}", path=path, shared=shared))
    if auth_key_file is not None:
        found.append(Offer("auth_key_file", path=auth_key_file))
    if environ.get(ENVIRONMENT):
        found.append(Offer(f"${ENVIRONMENT}", value=environ[ENVIRONMENT], shared=True))
    if auth_key is not None:
        found.append(Offer("auth_key", value=auth_key))
    if source is not None and (beside := source.parent / "auth_key").is_file():
        found.append(Offer(str(beside), path=beside, shared=True))
    return found


def checked(text: str) -> str:
    """The key in the text, without white space around it; raises `ValueError` if it cannot be a key.

    Known keys have about 90 letters and digits. Other characters are accepted inside, but not quotes, names
    and the like that were copied with it: the cloud would only answer that the key is wrong.
    """
    key = text.strip()
    if not key:
        raise ValueError(
            "the key is empty: copy it from the Shelly app, User settings > Authorization cloud key"
        )
    if "\n" in key or "\r" in key:
        raise ValueError("there is more than one line: write the key alone")
    if around := list(_around(key)):
        raise ValueError(f"there is more than the key: remove {', '.join(around)}")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise ValueError("the key has characters that no key has: copy it again, without quotes or spaces")
    if not _SHORTEST <= len(key) <= _LONGEST:
        raise ValueError(f"the key has {len(key)} characters, not {_SHORTEST} to {_LONGEST}: copy all of it")
    return key


def is_unusual(key: str) -> bool:
    """Whether it has characters other than letters and digits; no known key has."""
    return key != STAND_IN and not key.isalnum()


def _around(text: str) -> Iterator[str]:
    """What is around the key in that text, in words, from the outside in; never the key itself."""
    while text:
        if (rest := text.removeprefix("\ufeff")) != text:
            yield "the invisible byte order mark before it (save it as plain text)"
        elif match := _IN_ADDRESS.fullmatch(text):
            rest = match[1]
            yield "the address around it (the key is what follows auth_key=, up to the next &)"
        elif match := _ADDRESS.fullmatch(text):
            rest = match[1]
            yield "the address"
        elif match := _NAMED.fullmatch(text):
            rest = match[2]
            yield f'the name and the "{match[1]}" before it'
        elif match := _AFTER_A_WORD.fullmatch(text):
            rest = match[1]
            yield "the word before it"
        elif (rest := text.rstrip(_BEHIND)) != text:
            yield f'the "{text[-1]}" behind it'
        elif (rest := text.strip(_QUOTES)) != text:
            yield "the quotes around it"
        elif (rest := text.lstrip(_OPENING).rstrip(_CLOSING)) != text:
            yield "the brackets around it"
        elif text[0] == text[-1] == "*":
            rest = text.strip("*")
            yield "the asterisks around it"
        elif (rest := text.strip("|")) != text:
            yield 'the "|" beside it'
        elif (rest := text.lstrip("&")) != text:
            yield 'the "&" before it'
        elif match := _BEFORE_A_BREAK.fullmatch(text):
            rest = match[1]
            yield f'the "{match[2]}" behind it, an encoded line end or space'
        elif match := _BEFORE_A_NAME.fullmatch(text):
            rest = match[1]
            yield "the & and all that is behind it"
        else:
            return
        text = rest.strip()


def read_key_file(path: Path) -> str:
    """The key in the file; raises `ValueError` with the cause and what to do."""
    try:
        data = read_regular_file(path, _LARGEST_FILE)
    except FileNotFoundError:
        raise ValueError("no such file: create it with the key as its only line") from None
    except PermissionError:
        raise ValueError("the file cannot be read by this user: check its owner and mode") from None
    except IsADirectoryError:
        raise ValueError("the file cannot be read: it is not a regular file") from None
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    if len(data) > _LARGEST_FILE:
        raise ValueError(f"the file is larger than {_LARGEST_FILE} bytes: it must contain the key alone")
    try:
        return checked(data.decode())
    except UnicodeDecodeError:
        raise ValueError("the file is not plain text: it must contain the key alone, in ASCII") from None


def readable_by_others(path: Path) -> bool:
    """Whether any user of this machine can read the file."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
