"""One table of the file: its values by setting, what is wrong with them, and what nobody knows."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from collector.errors import Problem
from collector.settings.schema import LISTS, TABLES, Setting

T = TypeVar("T")

_LONGEST_SHOWN, _LONGEST_PATH = 80, 4096
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9]{32,}")  # people paste the key into the wrong line
# Folders may have names as long, but seldom ones of small letters, capitals and digits together.
_LIKE_A_KEY_IN_A_PATH = re.compile(r"(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{32,}")
_PATH = re.compile(r"(?:~|\.\.?)?/(?!/).*", re.DOTALL)  # `//host` is an address
_AFTER_URL = re.compile(r"[?#].*", re.DOTALL)
_BEFORE_HOST = re.compile(r"^.*@", re.DOTALL)


@dataclass(slots=True)
class Findings:
    """What was found so far. `labels` says under which name the user gave a setting: `meter.id`: `--id`."""

    labels: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def wrong(self, place: str, value: object, reason: str) -> None:
        """Notes a problem; what could be a secret of the value is not shown."""
        self.problems.append(Problem(place, shown(value), reason))


class Table:
    """The table `kind`, shown to the user as `place`."""

    def __init__(self, kind: str, place: str, raw: object, findings: Findings) -> None:
        self.kind = kind
        self.place = place
        self._findings = findings
        self._raw: Mapping[str, object] = raw if isinstance(raw, dict) else {}
        if not isinstance(raw, dict):
            findings.wrong(place, raw, f"must be a table: {LISTS.get(kind, f'[{kind}]')}")

    def has(self, setting: Setting[T]) -> bool:
        """Whether the user gave it."""
        return setting.key in self._raw

    def take(self, setting: Setting[T]) -> T:
        """The setting's value; its default where it is absent or wrong, which is noted."""
        if setting.key not in self._raw:
            if setting.required:
                self._findings.wrong(self.label(setting), None, "is missing")
            return setting.default
        try:
            return setting.read(self._raw[setting.key])
        except ValueError as error:
            self.wrong(setting, str(error))
            return setting.default

    def wrong(self, setting: Setting[T], reason: str) -> None:
        """Notes that the setting's value cannot stand."""
        value = None if setting.secret else self._raw.get(setting.key)
        self._findings.wrong(self.label(setting), value, reason)

    def label(self, setting: Setting[T]) -> str:
        """What the user calls it: its place in the file, or its flag."""
        return self._findings.labels.get(f"{self.kind}.{setting.key}", f"{self.place}.{setting.key}")

    def lists(self, key: str) -> list[object]:
        """The tables `[[…key]]` inside of this one."""
        value = self._raw.get(key, [])
        if isinstance(value, list):
            return value
        self._findings.wrong(f"{self.place}.{key}", None, f"must be a list of tables: {LISTS[key]}")
        return []

    def refuse_unknown(self, *nested: str) -> None:
        """Notes each key that means nothing here, with what may have been meant."""
        known = [setting.key for setting in TABLES[self.kind]] + list(nested)
        for key in self._raw:
            if key not in known:
                self._findings.wrong(f"{self.place}.{shown(key)}", None, unknown(key, known))


def unknown(key: str, known: list[str]) -> str:
    """The reason for refusing a key, with the nearest known one or the table it belongs to."""
    near = difflib.get_close_matches(key.lower(), known, n=1)
    if near:
        return f'unknown key; did you mean "{near[0]}"?'
    homes = [kind for kind, table in TABLES.items() if any(setting.key == key for setting in table)]
    if homes:
        return f"unknown key here; it belongs into {LISTS.get(homes[0], f'[{homes[0]}]')}"
    return f"unknown key; known here: {', '.join(known)}"


def shown(value: object) -> str:
    """A value as a problem may show it: one line, short unless it is a path, without what could be a key."""
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return "[…]" if isinstance(value, list) else "{…}"
    if isinstance(value, int) and abs(value) > 10**18:  # str() refuses beyond 4,300 digits
        return "a huge number"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    is_path = _PATH.fullmatch(text) is not None
    if is_path:
        text = _LIKE_A_KEY_IN_A_PATH.sub("***", text)
    else:
        text = _LIKE_A_KEY.sub("***", _BEFORE_HOST.sub("…@", _AFTER_URL.sub("…", text)))
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    longest = _LONGEST_PATH if is_path else _LONGEST_SHOWN
    return text if len(text) <= longest else text[:longest] + "…"
