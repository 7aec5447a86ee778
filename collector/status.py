"""Status: how each meter and account is, how it is judged, and the file that the service keeps of it."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from collector.archive.files import read_at_most
from collector.archive.folder import OWN_FOLDER

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


_SYSTEM = Path("/run/shelly-collector")  # what RuntimeDirectory= of the unit makes
_MAX_BYTES = 1024 * 1024
_MAX_REASON = 500
_MAX_WHOLE = 1 << 40  # times beyond are no dates
LATE_S = 600  # so long after a run was due, a service that has reported nothing hangs, or is none


class Failure(NamedTuple):
    """What went wrong: the event's name, when it was last seen (epoch seconds), and why.

    `cure`: what to do about this very reason; empty where there is only what the event's name says.
    """

    event: str
    at: int
    reason: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class MeterStanding:
    """One meter. Times are epoch seconds; `newest_hour` is the start of the newest hour known whole.

    `answered_at`: when the cloud last answered for today and the answer was kept. `missing_hours`: hours that
    are over and not known on every channel, since the meter began. `expiring_days`: incomplete or
    missing days that the cloud will forget within 30 days. `failure` is the last one, over or not; `trouble`
    what keeps this meter alone from being collected now, in words, and `refused` why its archive must not be
    used.
    """

    state: str = "starting"
    age_s: int | None = None
    reason: str = ""
    newest_hour: int | None = None
    answered_at: int | None = None
    missing_hours: int = 0
    expiring_days: int = 0
    failure: Failure | None = None
    trouble: str = ""
    refused: str = ""


@dataclass(frozen=True, slots=True)
class AccountStanding:
    """One account: requests since this machine's midnight and since the start, and the pace learned.

    `outcomes`: requests since the start by how they ended (`answered`, `rejected`, `failed`).
    `trouble` is what keeps it from working now.
    """

    meters: tuple[str, ...] = ()
    requests_today: int = 0
    holds_today: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    holds: int = 0
    gap_s: float = 0.0
    trouble: Failure | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The whole service at one moment. Times are epoch seconds, `today` is this machine's date."""

    version: str
    pid: int
    started_at: int
    written_at: int
    today: str
    state: str = "starting"
    age_s: int | None = None
    jobs: int = 0
    next_run_at: int | None = None
    accounts: Mapping[str, AccountStanding] = field(default_factory=dict)
    meters: Mapping[str, MeterStanding] = field(default_factory=dict)


def judged(standing: Standing, now: float, policy: HealthPolicy) -> Standing:
    """The same with the health of each meter, and of the whole, at `now` in epoch seconds."""
    meters = {}
    for name, meter in standing.meters.items():
        trouble = trouble_with(standing, name)
        signs = Signs(meter.newest_hour, meter.answered_at, standing.started_at, trouble, meter.refused)
        health = judge(signs, now, policy)
        meters[name] = replace(meter, state=health.state.value, age_s=health.age_s, reason=health.reason)
    whole = worst(Health(State(each.state), each.age_s, each.reason) for each in meters.values())
    return replace(standing, state=whole.state.value, age_s=whole.age_s, meters=meters)


def trouble_with(standing: Standing, meter: str) -> str:
    """What keeps that meter from being collected, in words: its own trouble, or its account's."""
    if own := standing.meters.get(meter, MeterStanding()).trouble:
        return own
    for account in standing.accounts.values():
        if meter in account.meters and account.trouble is not None:
            return account.trouble.reason
    return ""


def place_for(archive: Path, environ: Mapping[str, str]) -> Path:
    """Where the service of that archive writes its standing."""
    runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    folder = Path(runtime) if runtime else archive / OWN_FOLDER
    return folder / _name(archive)


def write_standing(place: Path, standing: Standing) -> None:
    """Replaces what stands there. No `fsync`: it may be lost, and must not wear a card. Raises `OSError`."""
    place.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    temporary = place.with_suffix(".new")
    temporary.write_text(json.dumps(asdict(standing)), encoding="ascii")
    temporary.replace(place)


def read_standing(archive: Path, environ: Mapping[str, str]) -> Standing | None:
    """What the service of that archive last said, wherever it did; `None` where nothing can be read."""
    places = {
        place_for(archive, environ),
        _SYSTEM / _name(archive),
        archive / OWN_FOLDER / _name(archive),
    }
    found = [standing for place in places if (standing := _read(place)) is not None]
    return max(found, key=lambda each: each.written_at, default=None)


def is_alive(standing: Standing) -> bool:
    """Whether the process that said it, or one with its number, lives; the archive's lock tells the rest."""
    return Path("/proc", str(standing.pid)).exists()


def is_running(standing: Standing, now: float, *, holds: bool) -> bool:
    """Whether the service that reported it runs at `now`, epoch seconds: its process lives, and it `holds` an
    archive or has planned its next run. One whose archives are all refused holds none.
    """
    is_planned = standing.next_run_at is not None and now - standing.next_run_at < LATE_S
    return is_alive(standing) and (holds or is_planned)


def in_one_line(standing: Standing) -> str:
    """For a person: what the service does now, or what keeps it from doing so."""
    for account in standing.accounts.values():
        if account.trouble is not None:
            return f"Waiting: {account.trouble.reason}"
    for name, meter in standing.meters.items():
        if not State(meter.state).is_well:
            return f"{meter.state.capitalize()}: {name}: {meter.reason}"
    meters, jobs = len(standing.meters), standing.jobs
    newest = "no hour yet" if standing.age_s is None else f"newest hour {age_in_words(standing.age_s)} old"
    upcoming = standing.next_run_at
    until = "" if upcoming is None else f", next at {datetime.fromtimestamp(upcoming, UTC):%H:%M} UTC"
    return (
        f"Collecting {meters} meter{'s' * (meters != 1)}, {newest}, "
        f"{jobs} job{'s' * (jobs != 1)} under way{until}"
    )


def _name(archive: Path) -> str:
    """One file an archive: several services may share a folder of the system's."""
    return f"{zlib.crc32(str(archive.resolve()).encode()):08x}.json"


def _read(place: Path) -> Standing | None:
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        data = read_at_most(place, _MAX_BYTES)
        return _standing(json.loads(data)) if len(data) <= _MAX_BYTES else None
    return None


def _standing(raw: dict[str, Any]) -> Standing:
    accounts = {
        str(name): AccountStanding(
            meters=tuple(map(str, each["meters"])),
            requests_today=_int(each["requests_today"]),
            holds_today=_int(each["holds_today"]),
            outcomes={str(outcome): _int(count) for outcome, count in each["outcomes"].items()},
            holds=_int(each["holds"]),
            gap_s=float(each["gap_s"]),
            trouble=_failure(each["trouble"]),
        )
        for name, each in raw["accounts"].items()
    }
    meters = {
        str(name): MeterStanding(
            state=State(each["state"]).value,
            age_s=_whole(each["age_s"]),
            reason=str(each["reason"])[:_MAX_REASON],
            newest_hour=_whole(each["newest_hour"]),
            answered_at=_whole(each["answered_at"]),
            missing_hours=_int(each["missing_hours"]),
            expiring_days=_int(each["expiring_days"]),
            failure=_failure(each["failure"]),
            trouble=str(each.get("trouble", ""))[:_MAX_REASON],
            refused=str(each.get("refused", ""))[:_MAX_REASON],
        )
        for name, each in raw["meters"].items()
    }
    return Standing(
        version=str(raw["version"]),
        pid=_int(raw["pid"]),
        started_at=_int(raw["started_at"]),
        written_at=_int(raw["written_at"]),
        today=str(raw["today"]),
        state=State(raw["state"]).value,
        age_s=_whole(raw["age_s"]),
        jobs=_int(raw["jobs"]),
        next_run_at=_whole(raw["next_run_at"]),
        accounts=accounts,
        meters=meters,
    )


def _failure(raw: Any) -> Failure | None:
    if raw is None:
        return None
    event, at, reason, *rest = raw  # a service of an older version writes no cure
    cure = str(rest[0])[:_MAX_REASON] if rest else ""
    return Failure(str(event), _int(at), str(reason)[:_MAX_REASON], cure)


def _whole(value: Any) -> int | None:
    return None if value is None else _int(value)


def _int(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MAX_WHOLE:
        raise ValueError("not a whole number")
    return value
