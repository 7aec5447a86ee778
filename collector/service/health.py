"""Health in one number: the age of the newest hour that is known on every channel. Pure.

Past the limit it tells "the meter is offline" (the cloud answers and has nothing newer) from "we are
broken" (nothing was collected for hours), for the cures are different ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

_HOUR_S = 3600
_ANSWERS_S = 3 * _HOUR_S  # the service asks every hour; who was answered within three is not broken
# From so many characters on, a part of an address may be a secret: with letters and digits, of digits alone,
# a word with capitals and small letters, and words of one kind.
_SHORTEST_MIXED, _SHORTEST_NUMBER, _SHORTEST_WORD, _SHORTEST_WORDS = 4, 6, 8, 20
_START_S = _HOUR_S  # so long a service that has nothing yet may take to get something


class State(StrEnum):
    """How a meter's collecting is, the worst last."""

    GOOD = "good"
    STARTING = "starting"
    OFFLINE = "offline"
    BROKEN = "broken"

    @property
    def is_well(self) -> bool:
        """Whether nobody needs to do anything."""
        return self in (State.GOOD, State.STARTING)


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """How old the newest hour may be, in seconds past its end, before somebody should look."""

    max_age_s: float = 26 * 3600.0


@dataclass(frozen=True, slots=True)
class Alarms:
    """Who is told: a URL that is pinged (healthchecks.io style), a command that is run; none by default.

    The URL is a secret: whoever knows it can say that all is well.
    """

    ping_url: str | None = field(default=None, repr=False)
    on_change: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What in the URL nobody else may know: each part of its path or query that may be a secret.

        Where none looks like one, the longest part of the path: some monitors go by a word of one's own.
        """
        path, _, query = (self.ping_url or "").partition("://")[2].partition("/")[2].partition("?")
        parts = [*path.split("/"), *re.split("[=&;]", query)]
        found = tuple(dict.fromkeys(part for part in parts if _may_be_secret(part)))
        longest = max(path.split("/"), key=len)
        return found or ((longest,) if len(longest) >= _SHORTEST_WORD else ())


def _may_be_secret(part: str) -> bool:
    """Whether it does not look like words: "ping" or "shelly-collector" left out of all logs helps nobody."""
    digits, letters = re.search("[0-9]", part), re.search("[A-Za-z]", part)
    if digits and letters:
        return len(part) >= _SHORTEST_MIXED
    if digits:
        return len(part) >= _SHORTEST_NUMBER
    has_both_cases = part not in (part.lower(), part.upper())
    return len(part) >= (_SHORTEST_WORD if has_both_cases else _SHORTEST_WORDS)


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the local HTTP endpoint listens."""

    host: str
    port: int


class Signs(NamedTuple):
    """What there is to judge a meter by; times are epoch seconds.

    `newest_hour`: the start of the newest hour known on every channel. `answered_at`: when the cloud
    last answered for this meter's today and the answer was kept. `watched_since`: when the service started,
    `None` where none runs. `trouble`: what keeps it from working, in words. `refused`: why the archive
    must not be used for this meter.
    """

    newest_hour: int | None
    answered_at: int | None
    watched_since: int | None
    trouble: str = ""
    refused: str = ""


class Health(NamedTuple):
    """How a meter's collecting is, the age of its newest hour in seconds, and why it is not good."""

    state: State
    age_s: int | None
    reason: str = ""


def judge(signs: Signs, now: float, policy: HealthPolicy) -> Health:
    """The health of one meter at `now`, epoch seconds."""
    age_s = None if signs.newest_hour is None else max(0, int(now) - signs.newest_hour - _HOUR_S)
    if signs.refused:
        return Health(State.BROKEN, age_s, signs.refused)
    if age_s is not None and age_s <= policy.max_age_s:
        return Health(State.GOOD, age_s)
    if signs.watched_since is None:
        return Health(State.BROKEN, age_s, "no service runs")
    if signs.answered_at is not None and now - signs.answered_at <= _ANSWERS_S:
        reason = "the cloud answers and has nothing newer: is the meter powered and in the network?"
        return Health(State.OFFLINE, age_s, reason)
    if now - signs.watched_since <= _START_S:
        return Health(State.STARTING, age_s, signs.trouble)
    return Health(State.BROKEN, age_s, signs.trouble or "nothing was collected for hours")


def worst(healths: Iterable[Health]) -> Health:
    """The health of several meters: the worst state, and the greatest age in it; good where there is none."""
    order = list(State)
    return max(
        healths,
        key=lambda each: (order.index(each.state), each.age_s is None, each.age_s or 0),
        default=Health(State.GOOD, None),
    )


def age_in_words(age_s: int | None) -> str:
    """`38 min`, `5 h`, `12 days`; `no hour yet` for `None`."""
    if age_s is None:
        return "no hour yet"
    if age_s < 2 * _HOUR_S:
        return f"{age_s // 60} min"
    hours = age_s // _HOUR_S
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"
