"""Outages: what stops a whole account, its events, and how long to wait before each probe."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, repeat
from typing import NamedTuple

from collector.errors import ClockUntrusted, KeyRefused, SourceError

STRIKES = 3  # after so many failed days in a row a source counts as down
_CAP_S = 300.0  # a probe every five minutes: twelve requests an hour
_REJECTED_CAP_S = 3600.0  # a meter that is rejected while others are answered: a person has to act
_STORAGE_S = 30.0
_CLOCK_S = 10.0  # a check of the clock costs nothing
_KEY_S = 900.0  # four tries an hour


def _growing(cap_s: float = _CAP_S) -> Iterator[float]:
    wait_s = 30.0
    while wait_s < cap_s:
        yield wait_s
        wait_s *= 3  # doubling would make fourteen of the first hour's probes; the promise is thirteen
    yield from repeat(cap_s)


@dataclass(frozen=True, slots=True)
class Outage:
    """A kind of outage: the events of its start and its end, and the waits between probes.

    `step`: the step of collecting a day that fails. A day that gets further ends the earlier ones.
    """

    step: int
    started: str
    ended: str
    waits_s: Callable[[], Iterator[float]]


SOURCE = Outage(0, "source.unavailable", "source.recovered", _growing)
METER = replace(SOURCE, waits_s=partial(_growing, _REJECTED_CAP_S))  # of a single meter
KEY = Outage(1, "key.refused", "key.accepted", lambda: repeat(_KEY_S))
CLOCK = Outage(2, "clock.untrusted", "clock.trusted", lambda: repeat(_CLOCK_S))
STORAGE_FULL = Outage(3, "storage.full", "storage.recovered", lambda: chain((5.0,), repeat(_STORAGE_S)))
STORAGE_FAILED = Outage(3, "storage.failed", "storage.recovered", lambda: chain((5.0,), repeat(_STORAGE_S)))


OutageError = SourceError | OSError | ClockUntrusted
"""The errors that stop a whole account."""


class Refusal(NamedTuple):
    """A key that the cloud refused. `since` and `next_try_at` are loop times."""

    error: KeyRefused
    since: float
    next_try_at: float


def outage_of(error: OutageError) -> Outage:
    """The kind of outage of an error."""
    if isinstance(error, ClockUntrusted):
        return CLOCK
    if isinstance(error, KeyRefused):
        return KEY
    if isinstance(error, SourceError):
        return SOURCE
    return STORAGE_FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else STORAGE_FAILED


def reason_of(error: OutageError) -> str:
    """The source's reason, or the error's text."""
    if isinstance(error, SourceError):
        return error.reason
    return str(error) if isinstance(error, ClockUntrusted) else _in_words(error)


def _in_words(error: OSError) -> str:
    """The system's reason without its number, and the file."""
    file = "" if error.filename is None else f": {os.fsdecode(error.filename)}"
    return f"{error.strerror}{file}" if error.strerror else str(error)


def cure_of(error: OutageError) -> str:
    """What to do about this reason; empty if only the event's general advice applies."""
    return error.cure if isinstance(error, SourceError) else ""
