"""The command line's parser. Its messages quote what it cannot read, but never a key."""

from __future__ import annotations

import argparse
import re
import sys
from typing import NoReturn

from collector.redaction import MASK

_SHORTEST_KEY = 16
_HARMLESS = re.compile(r"[./~].*|[\w-]+(\.[\w-]+)+(:\d+)?")  # a path, a host


class Parser(argparse.ArgumentParser):
    """Refuses unknown arguments without showing what may be a key."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with code 2; the message may quote a key in the wrong place, which is masked."""
        super().error(without_keys(message, sys.argv[1:]))


def without_keys(message: str, words: list[str]) -> str:
    """The message with `***` instead of each argument that may be a key."""
    values = {part for word in words for part in _values(word) if _may_be_a_key(part)}
    for value in sorted(values, key=len, reverse=True):
        for form in (repr(value), value, repr(value)[1:-1]):
            message = message.replace(form, MASK)
    return message


def _values(word: str) -> tuple[str, ...]:
    """The value of a flag, or the word itself; a key may also begin with a dash."""
    flag, equals, value = word.partition("=")
    return (value, word) if equals and flag.startswith("-") else (word,)


def _may_be_a_key(text: str) -> bool:
    is_flag = re.fullmatch(r"--[a-z_-]+", text) is not None
    return len(text) >= _SHORTEST_KEY and not is_flag and _HARMLESS.fullmatch(text) is None
