"""Which key an account uses, and from where; the page's password. No error here contains either."""

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
_SHORTEST_PASSWORD = 8
_LONGEST_TOKEN = 2048
_LARGEST_FILE = 4096
_UNREADABLE = {
    FileNotFoundError: "no such file: create it with the {what} as its only line",
    PermissionError: "the file cannot be read by this user: check its owner and mode",
    IsADirectoryError: "the file cannot be read: it is not a regular file",
}
_QUOTE = "[\"'`´“”„‟‘’‚‛«»‹›]"
_AROUND = (
    (r"\ufeff(?P<rest>.*)", "the invisible byte order mark before it (save it as plain text)"),
    (
        r"(?i)(?=.*[?&]auth_?key=|auth_?key=.*&).*?auth_?key=(?P<rest>[^&#]*).*",
        "the address around it (the key is what follows auth_key=, up to the next &)",
    ),
    (r"(?i)[a-z]+://.*(?P<rest>)", "the address"),
    (
        r"(?i)[a-z][a-z_ -]{0,60}?[\"']?\s*(?P<what>[=:])\s*(?=.*[a-z0-9])(?P<rest>.+)",
        'the name and the "{what}" before it',
    ),
    (r"(?i)(?:bearer|basic|token|key|export)\s+(?P<rest>.+)", "the word before it"),
    (r"(?P<rest>.*[^;,.]|)[;,.]*(?P<what>[;,.])", 'the "{what}" behind it'),
    (rf"(?={_QUOTE}|.*{_QUOTE}\Z){_QUOTE}*(?P<rest>.*[^{_QUOTE[1:]}|){_QUOTE}*", "the quotes around it"),
    (r"(?=[<[({]|.*[>\])}]\Z)[<[({]*(?P<rest>.*[^>\])}]|)[>\])}]*", "the brackets around it"),
    (r"(?=\*(?:.*\*)?\Z)\**(?P<rest>.*[^*]|)\**", "the asterisks around it"),
    (r"(?=\||.*\|\Z)\|*(?P<rest>.*[^|]|)\|*", 'the "|" beside it'),
    (r"&+(?P<rest>.*)", 'the "&" before it'),
    (
        r"(?i)(?P<rest>.*?)(?P<what>(?:%0[ad]|%09|%20)+)",
        'the "{what}" behind it, an encoded line end or space',
    ),
    (r"(?i)(?P<rest>.*?)&[a-z_]+=.*", "the & and all that is behind it"),
)
"""What people copy along with a key: its pattern, and its name for a message. The first match counts."""


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

    def token(self) -> str:
        """The token of a target; raises `ValueError` with the cause and what to do."""
        return checked_token(self.value or "" if self.path is None else _text_in(self.path, "token"))


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


def token_offer(
    target: str, token: str | None, token_file: Path | None, environ: Mapping[str, str]
) -> Offer | None:
    """The first place that has a token for the target of that name; `None` if none has."""
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if target and directory and is_there(path := Path(directory, f"token.{target}")):
        return Offer(f"$CREDENTIALS_DIRECTORY/token.{target}", path=path)
    if token_file is not None:
        return Offer("token_file", path=token_file)
    return None if token is None else Offer("token", value=token)


def checked_token(text: str) -> str:
    """The token in the text, without white space around it; raises `ValueError` if it cannot be one."""
    token = text.strip().removeprefix("\ufeff")
    if not token:
        raise ValueError("the token is empty: copy it again")
    if not token.isprintable():
        raise ValueError("there is more than one line, or a control character: write the token alone")
    if not token.isascii():
        raise ValueError(
            "the token has characters that no token has: copy it again, without quotes around it"
        )
    if len(token) > _LONGEST_TOKEN:
        raise ValueError(f"the token has more than {_LONGEST_TOKEN} characters: write the token alone")
    if re.match(r"(?i)(bearer|token|basic) ", token):
        raise ValueError("remove the word before the token")
    return token


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


def _around(text: str) -> Iterator[str]:
    """What is around the key in that text, in words, from the outside in; never the key itself."""
    while text:
        matches = ((re.fullmatch(pattern, text), words) for pattern, words in _AROUND)
        match, words = next(((match, words) for match, words in matches if match), (None, ""))
        if match is None:
            return
        yield words.format(**match.groupdict())
        text = match["rest"].strip()


def read_key_file(path: Path) -> str:
    """The key in the file; raises `ValueError` with the cause and what to do."""
    return checked(_text_in(path, "key"))


def read_password_file(path: Path) -> str:
    """The password in the file, its only line; raises `ValueError` with the cause and what to do."""
    password = _text_in(path, "password").rstrip("\r\n")
    if not password.isprintable():
        raise ValueError("there is more than one line, or a control character: write the password alone")
    if len(password) < _SHORTEST_PASSWORD:
        raise ValueError(f"the password has fewer than {_SHORTEST_PASSWORD} characters: it could be guessed")
    return password


def _text_in(path: Path, what: str) -> str:
    """The text of a file with a secret; raises `ValueError` with the cause and what to do."""
    try:
        data = read_regular_file(path, _LARGEST_FILE)
    except OSError as error:
        reason = _UNREADABLE.get(type(error), f"the file cannot be read: {error.strerror}")
        raise ValueError(reason.format(what=what)) from None
    if len(data) > _LARGEST_FILE:
        raise ValueError(f"the file is larger than {_LARGEST_FILE} bytes: it must contain the {what} alone")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the file is not plain text: it must contain the {what} alone, in ASCII") from None


def readable_by_others(path: Path) -> bool:
    """Whether any user of this machine can read the file."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False
