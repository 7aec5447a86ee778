"""The status of each meter and account, how its state is determined, and the status file."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints
from zoneinfo import ZoneInfo

from collector.archive.files import is_held, read_at_most
from collector.archive.folder import OWN_FOLDER, missing_hours, newest_whole_hour
from collector.energy.days import date_in
from collector.energy.history import (
    Availability,
    DayRecord,
    DayState,
    PlanPolicy,
    coverage,
    expiring_days,
    first_day,
)
from collector.events import CURES

_HOUR_S = 3600
_ANSWERS_S = 3 * _HOUR_S  # today is requested every hour; with an answer within three nothing is broken
_START_S = _HOUR_S  # a service without any hour counts as starting for so long
LATE_S = 600  # a service that has reported nothing for so long after a run was due hangs, or has ended


class State(StrEnum):
    """The state of a meter, the worst last."""

    GOOD = "good"
    STARTING = "starting"
    OFFLINE = "offline"
    BROKEN = "broken"

    @property
    def is_well(self) -> bool:
        """Whether nobody needs to do anything."""
        return self in (State.GOOD, State.STARTING)


class Failure(NamedTuple):
    """What went wrong: the event's name, when it last occurred (epoch seconds), and why.

    `cure`: what to do about this reason; empty where only the event's general advice applies.
    """

    event: str
    at: int
    reason: str
    cure: str = ""

    @property
    def advice(self) -> str:
        """What to do about it; empty if nothing is known."""
        return self.cure or CURES.get(self.event, "")


@dataclass(frozen=True, slots=True)
class MeterStatus:
    """One meter. Times are epoch seconds; `newest_hour` is the start of the newest complete hour.

    `age_s`: seconds since the end of that hour. `reason`: why the state is not good. `answered_at`: when the
    cloud last answered for today and the answer was stored. `missing_hours`: finished hours without data from
    every channel, since the meter's first day. `expiring_days`: incomplete or missing days that the cloud
    deletes within 30 days. `failure` is the last one, also when it is past; `trouble` is what keeps this
    meter alone from being collected now, in words, and `refused` why its archive must not be used.

    The other fields are not in the status file, but read from the day files when needed. `states` has each
    day since the meter's first, oldest first, but none in the service; `expiring` the days that
    `expiring_days` counts; `beginning` is the meter's first day according to the cloud's totals. Only the
    `status` command sets the rest: `hours_today` of the `hours_over` finished hours of today are stored
    complete; `is_held`: a process collects into the folder now; `quarantined`: the number of damaged files
    that were moved aside; `unknown_zone` is the name of the meter's zone if this machine does not know it,
    and `zone` then the configured one or this machine's.
    """

    state: State = State.STARTING
    age_s: int | None = None
    reason: str = ""
    newest_hour: int | None = None
    answered_at: int | None = None
    missing_hours: int = 0
    expiring_days: int = 0
    failure: Failure | None = None
    trouble: str = ""
    refused: str = ""
    zone: ZoneInfo | None = field(default=None, compare=False)
    states: Mapping[date, DayState] = field(default_factory=dict, compare=False)
    expiring: tuple[date, ...] = field(default=(), compare=False)
    beginning: date | None = field(default=None, compare=False)
    hours_today: int = field(default=0, compare=False)
    hours_over: int = field(default=0, compare=False)
    is_held: bool = field(default=False, compare=False)
    quarantined: int = field(default=0, compare=False)
    unknown_zone: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One account: requests and rate-limit pauses (`holds`), today on this machine and since the start.

    `outcomes`: requests since the start by how they ended (`answered`, `rejected`, `failed`). `gap_s`: the
    seconds between two requests now. `trouble` is what keeps the account from being collected now.
    """

    meters: tuple[str, ...] = ()
    requests_today: int = 0
    holds_today: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    holds: int = 0
    gap_s: float = 0.0
    trouble: Failure | None = None


@dataclass(frozen=True, slots=True)
class TargetStatus:
    """One target of `[[publish]]`: its kind, when hours were last sent (epoch seconds), and why none can be
    sent now.
    """

    kind: str = ""
    sent_at: int | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """The whole service at one moment, `written_at`. Times are epoch seconds, `today` is this machine's date.

    `is_running`: whether the service that reported it still runs; not in the status file.
    """

    version: str
    pid: int
    started_at: int
    written_at: int
    today: str
    state: State = State.STARTING
    age_s: int | None = None
    jobs: int = 0
    next_run_at: int | None = None
    accounts: Mapping[str, AccountStatus] = field(default_factory=dict)
    meters: Mapping[str, MeterStatus] = field(default_factory=dict)
    targets: Mapping[str, TargetStatus] = field(default_factory=dict)
    is_running: bool = field(default=True, compare=False)


def meter_status(
    folder: Path,
    known: Mapping[date, DayRecord],
    zone: ZoneInfo,
    availability: Availability | None,
    plan: PlanPolicy,
    since: date | None,
    now: datetime,
    *,
    no_solar: bool,
) -> MeterStatus:
    """One meter's status from its day files at `now`, without a state.

    Not set: `answered_at`, `failure`, `trouble` and `refused`, which only the service or its status file has.
    """
    today = date_in(zone, now)
    states = coverage(today, known, availability, plan, since)
    incomplete = [day for day, state in states.items() if state is not DayState.COMPLETE]
    expiring = expiring_days(today, first_day(today, plan.backfill_days, since), known, availability)
    kept_from = first_day(today, None, None)
    return MeterStatus(
        newest_hour=newest_whole_hour(folder, known, zone, no_solar=no_solar),
        missing_hours=missing_hours(folder, known, zone, incomplete, now, no_solar=no_solar),
        expiring_days=len(expiring),
        zone=zone,
        states=states,
        expiring=tuple(expiring),
        beginning=availability.beginning_seen(kept_from) if availability else None,
    )


def judged(status: Status, now: float, max_age_s: float) -> Status:
    """The same with the state of each meter, and of the whole service, at `now` in epoch seconds.

    `max_age_s`: how old the newest hour may be, since its end, before a person should act.
    """
    running_since = status.started_at if status.is_running else None
    of_accounts: dict[str, str] = {}
    for account in status.accounts.values():
        if account.trouble is not None and account.trouble.reason:
            for name in account.meters:
                of_accounts.setdefault(name, account.trouble.reason)
    meters = {
        name: judge(each, each.trouble or of_accounts.get(name, ""), running_since, now, max_age_s)
        for name, each in status.meters.items()
    }
    whole = worst(meters.values())
    return replace(status, state=whole.state, age_s=whole.age_s, meters=meters)


_OFFLINE = "the cloud answers and has nothing newer: is the meter powered and online?"
_NO_DATA = "no data yet: check kind and id in the configuration, and whether the meter is powered and online"


def judge(
    meter: MeterStatus, trouble: str, running_since: int | None, now: float, max_age_s: float
) -> MeterStatus:
    """The same with its state at `now`, the age of its newest hour, and why it is not good.

    `trouble` is what keeps the meter from being collected, in words; `running_since` is when the service
    started, epoch seconds, `None` where none runs.
    """
    age_s = None if meter.newest_hour is None else max(0, int(now) - meter.newest_hour - _HOUR_S)

    def found(state: State, reason: str = "") -> MeterStatus:
        return replace(meter, state=state, age_s=age_s, reason=reason)

    if meter.refused:
        return found(State.BROKEN, meter.refused)
    if age_s is not None and age_s <= max_age_s:
        return found(State.GOOD)
    if running_since is None:
        return found(State.BROKEN, "the service is not running")
    if meter.answered_at is not None and now - meter.answered_at <= _ANSWERS_S:
        return found(State.OFFLINE, _OFFLINE if meter.newest_hour is not None else _NO_DATA)
    if now - running_since <= _START_S:
        return found(State.STARTING, trouble)
    return found(State.BROKEN, trouble or "nothing has been collected for hours")


def worst(meters: Iterable[MeterStatus]) -> MeterStatus:
    """The one in the worst state, and the oldest in that; a good one where there is none."""
    order = list(State)
    return max(
        meters,
        key=lambda each: (order.index(each.state), each.age_s is None, each.age_s or 0),
        default=MeterStatus(State.GOOD),
    )


def counted(count: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def newest_in_words(status: Status) -> str:
    """`newest hour 38 min old`, or `no data stored yet`."""
    return "no data stored yet" if status.age_s is None else f"newest hour {age_in_words(status.age_s)} old"


def age_in_words(age_s: int | None) -> str:
    """`38 min`, `5 h`, `12 days`; `none yet` for `None`."""
    if age_s is None:
        return "none yet"
    if age_s < 60:
        return "less than 1 min"
    if age_s < 2 * _HOUR_S:
        return f"{age_s // 60} min"
    hours = age_s // _HOUR_S
    return f"{hours} h" if hours < 48 else f"{hours // 24} days"


_SYSTEM = Path("/run/shelly-collector")  # created by RuntimeDirectory= of the unit
_KINDS = (Status, AccountStatus, MeterStatus, TargetStatus)
_MAX_BYTES = 4 * 1024 * 1024  # a thousand accounts in an outage take 2 MB
_MAX_TEXT = 500
_MAX_NUMBER = 1 << 40  # larger times cannot be dates


def status_file(archive: Path, environ: Mapping[str, str]) -> Path:
    """Where the service of that archive writes its status."""
    runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    folder = Path(runtime) if runtime else archive / OWN_FOLDER
    return folder / _name(archive)


def write_status(place: Path, status: Status) -> None:
    """Replaces that status file. No `fsync`: losing it does no harm, and each sync wears the SD card.

    Raises `OSError`.
    """
    place.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    temporary = place.with_suffix(".new")
    temporary.write_text(json.dumps(to_json(status)), encoding="ascii")
    temporary.replace(place)


def read_status(archive: Path, environ: Mapping[str, str]) -> Status | None:
    """The last status of that archive's service, from the newest status file; `None` if none can be read."""
    places = {
        status_file(archive, environ),
        _SYSTEM / _name(archive),
        archive / OWN_FOLDER / _name(archive),
    }
    found = [status for place in places if (status := _read(place)) is not None]
    return max(found, key=lambda each: each.written_at, default=None)


def is_in_use(folder: Path, status: Status | None) -> bool:
    """Whether a process collects into that meter's folder now: its lock is held, or, where locks cannot be
    read, the process of `status` is alive. Raises `OSError`.
    """
    is_locked = is_held(folder / OWN_FOLDER / "lock")
    return (status is not None and _is_alive(status)) if is_locked is None else is_locked


def is_running(status: Status, now: float, *, holds: bool) -> bool:
    """Whether the service that reported the status runs at `now`, epoch seconds: its process is alive, and it
    `holds` the lock of an archive or has planned its next run. It holds none if all archives are refused.
    """
    is_planned = status.next_run_at is not None and now - status.next_run_at < LATE_S
    return _is_alive(status) and (holds or is_planned)


def _is_alive(status: Status) -> bool:
    """Whether a process with the ID of the one that reported it is alive."""
    return Path("/proc", str(status.pid)).exists()


def _name(archive: Path) -> str:
    """The file's name, different for each archive: several services may share the runtime folder."""
    return f"{zlib.crc32(str(archive.resolve()).encode()):08x}.json"


def to_json(value: Any) -> Any:
    """A status, or a part of it, as it is written to the status file."""
    kind: Any = type(value)
    if kind in _KINDS:
        return {name: to_json(getattr(value, name)) for name in _types(kind)}
    if isinstance(value, Mapping):
        return {name: to_json(each) for name, each in value.items()}
    return value


def _read(place: Path) -> Status | None:
    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        data = read_at_most(place, _MAX_BYTES)
        return _value(Status, json.loads(data)) if len(data) <= _MAX_BYTES else None
    return None


def _value(kind: Any, raw: Any) -> Any:
    """A value read from JSON, as that type; fields that an older version did not write get their defaults.

    Raises `ValueError`, `TypeError` or `AttributeError` if it is not of that type.
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return None if raw is None else _value(parts[0], raw)
    if origin is tuple:
        return tuple(_value(parts[0], each) for each in raw)
    if origin is not None:
        return {name: _value(parts[1], each) for name, each in raw.items()}
    if kind is Failure:
        return Failure(*map(_value, get_type_hints(Failure).values(), raw))
    if kind in _KINDS:
        types = _types(kind)
        return kind(**{name: _value(types[name], each) for name, each in raw.items() if name in types})
    if kind is State:
        return State(raw)
    if type(raw) not in (kind, int if kind is float else kind):
        raise ValueError(f"not a {kind.__name__}")
    if kind is str:
        return raw[:_MAX_TEXT]
    if not 0 <= raw < _MAX_NUMBER:
        raise ValueError("out of range")
    return raw


@cache
def _types(kind: Any) -> dict[str, Any]:
    """The types of the fields that are in the status file: those with `compare`."""
    types = get_type_hints(kind)
    return {each.name: types[each.name] for each in fields(kind) if each.compare}


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the local HTTP endpoint listens."""

    host: str
    port: int


# A part of an address that may be a secret: by what it consists of, from this many characters on.
_MAYBE_SECRET = re.compile(
    r"""(?=.*[0-9])(?=.*[A-Za-z]).{4,}  # letters and digits mixed
    | (?=.*[0-9]).{6,}
    | (?=.*[a-z])(?=.*[A-Z]).{8,}
    | .{20,}  # it may be plain words, such as "ping" or "shelly-collector"
    """,
    re.VERBOSE | re.DOTALL,
)
_SHORTEST_WORD = 8


@dataclass(frozen=True, slots=True)
class Alarms:
    """Notifications: a URL to ping (healthchecks.io style) and a command to run; none by default.

    The URL is a secret: anyone who knows it can send false OK signals.
    """

    ping_url: str | None = field(default=None, repr=False)
    on_change: tuple[str, ...] = ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """Each part of the URL's path or query that may be a secret.

        If none looks like one, the longest part of the path: some monitors let users choose a word.
        """
        path, _, query = (self.ping_url or "").partition("://")[2].partition("/")[2].partition("?")
        parts = [*path.split("/"), *re.split("[=&;]", query)]
        found = tuple(dict.fromkeys(part for part in parts if _MAYBE_SECRET.fullmatch(part)))
        longest = max(path.split("/"), key=len)
        return found or ((longest,) if len(longest) >= _SHORTEST_WORD else ())
