"""Check: one thing that was looked at, what was found, in a plain sentence, and the cure."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Mark(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"  # it works, but somebody should look
    FAIL = "fail"
    SKIP = "skip"  # could not be looked at


class Check(NamedTuple):
    """What was found of one thing. `of` is the account or meter; empty where it is the whole.

    `says` and `cure` are whole sentences for a person; `cure` is empty where there is nothing to do.
    """

    name: str
    mark: Mark
    says: str
    cure: str = ""
    of: str = ""


NAMES = {
    "configuration": "the file can be read, has no mistakes, and the key is there",
    "archive": "the folder is there, is the meter's, can be written, and has room on a file system that "
    "keeps its promises",
    "service": "the service is alive and collects",
    "host": "the account's host resolves and answers over TLS",
    "key": "the cloud accepts the account's key",
    "pace": "no other program uses up the account's one request a second",
    "device": "the account knows the meter's device",
    "kind": "the device answers as the configured kind",
    "zone": "the meter's time zone is the configured one, known here, and its rules are not old",
    "clamps": "the clamps measure what the configuration says",
    "clock": "this machine's clock agrees with the cloud's",
}
"""Every check there is, with what it looks at."""


def ok(name: str, says: str, of: str = "") -> Check:
    """It is as it should be."""
    return Check(name, Mark.OK, says, of=of)


def warn(name: str, says: str, cure: str, of: str = "") -> Check:
    """It works, but somebody should look."""
    return Check(name, Mark.WARN, says, cure, of)


def fail(name: str, says: str, cure: str, of: str = "") -> Check:
    """It does not work."""
    return Check(name, Mark.FAIL, says, cure, of)


def skip(name: str, says: str, of: str = "", cure: str = "") -> Check:
    """It could not be looked at, and why."""
    return Check(name, Mark.SKIP, says, cure, of)
