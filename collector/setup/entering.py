"""Host and key as people paste them -> a base URL and a key, or what is wrong in words. Pure.

No reason contains what was entered: it may be a key or a password.
"""

from __future__ import annotations

import re
import unicodedata

from collector.settings import hosts, keys

WHERE = "Shelly app > User settings > Authorization cloud key"
_EXAMPLE = "shelly-12-eu.shelly.cloud"
_SHORTEST_KEY = 24  # keys have about 90 letters and digits; passwords seldom have so many
_DOMAIN = ".shelly.cloud"
_IN_A_TEXT = re.compile(r"(?:[a-z]+://)?[a-z0-9.-]+\.shelly\.cloud(?!\.?[a-z0-9-])", re.IGNORECASE)
_FIRST_LABEL = re.compile(r"shelly-[0-9]+-[a-z]+", re.IGNORECASE)
_PAGES = ("my", "control", "home", "app", "www", "account", "api", "support", "community")
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9]{32,}")
_AROUND = "\"'`´“”„‟‘’‚‛«»‹›<>()[]{},; \t"


def host_entered(text: str) -> str:
    """The account's server as a base URL, from a host or an address in any form.

    Raises `ValueError` with a whole sentence.
    """
    line = _visible(text).strip(_AROUND)
    if not line:
        raise ValueError(f"Nothing was entered. The server looks like {_EXAMPLE}. {WHERE} shows it.")
    if _LIKE_A_KEY.fullmatch(line):
        raise ValueError(f"This looks like the key. First the server is needed, like {_EXAMPLE}.")
    if found := _IN_A_TEXT.search(line.partition("@")[0] or line):
        line = found[0]
    elif "@" in line and "://" not in line:
        raise ValueError(f"This is an e-mail address. The server looks like {_EXAMPLE}. {WHERE} shows it.")
    elif _FIRST_LABEL.fullmatch(line):
        line += _DOMAIN
    scheme, separator, rest = line.rpartition("://")
    name = re.split(r"[/?#]", rest, maxsplit=1)[0].rstrip(".")
    if name.lower().endswith(_DOMAIN):
        if name[: -len(_DOMAIN)].lower() in _PAGES:
            raise ValueError(f"This is a web page of Shelly, not your account's server. {WHERE} shows it.")
        scheme, separator = "", ""  # https, whatever was pasted
    elif name.lower() == _DOMAIN[1:]:
        raise ValueError(f"The first part of the server is missing: it looks like {_EXAMPLE}.")
    try:
        return hosts.base_url(f"{scheme}{separator}{name}")
    except ValueError as error:
        raise ValueError(f"This is not a server. It {error}.") from None


def key_entered(text: str) -> str:
    """The key. Raises `ValueError` with a whole sentence."""
    line = _visible(text).strip()
    again = f"Copy it from {WHERE}."
    if _IN_A_TEXT.fullmatch(line.rstrip("/")):
        raise ValueError(f"This is the server; now the key is needed. {again}")
    try:
        key = keys.checked(line)
    except ValueError as error:
        if 0 < len(line) < _SHORTEST_KEY or "@" in line:
            raise ValueError(_not_a_key(line, again)) from None
        reason = str(error)
        raise ValueError(f"{reason[0].upper()}{reason[1:]}.") from None
    if len(key) < _SHORTEST_KEY or not key.isalnum():
        raise ValueError(_not_a_key(key, again))
    return key


def _not_a_key(text: str, again: str) -> str:
    return (
        f"This is not a key: a key has about 90 letters and digits, and nothing else. This has {len(text)} "
        f"characters. The password of the app is not the key. {again}"
    )


def _visible(text: str) -> str:
    """The text without invisible characters, and with a space for each that looks like one."""
    shown = (" " if each.isspace() else each for each in text if unicodedata.category(each) != "Cf")
    return "".join(shown).strip()
