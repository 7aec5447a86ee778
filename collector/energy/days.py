"""Local days and their hours: all daylight-saving logic, and the one read of the wall clock.

An hour of a day is the time during which one local hour label applies. It is identified by the epoch
seconds of its start. Local times are never compared or subtracted: the two times of a repeated hour
(`fold`) compare equal, and a skipped local time has the epoch of the real next hour.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

from collector.energy.zones import UTC_WITHOUT_DATA, other_name

Clock = Callable[[], datetime]
"""Returns the current time, aware, in UTC. Read once per job; everything below takes dates."""

ARRIVAL_S = 600  # ten minutes after its end the cloud has usually received the whole hour
_DAY_S = 86400
_HOUR_S = 3600
_QUARTER_S = 900  # every offset in use since 1972 is a multiple of a quarter of an hour
# Not "localtime", which is another zone on every machine, nor "right/…", which counts leap seconds.
_ZONE_NAME = re.compile(
    r"(?!localtime$|posixrules$|posix/|right/)[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}"
)
_AREA = re.compile(
    r"(Africa|America|Antarctica|Arctic|Asia|Atlantic|Australia|Brazil|Canada|Chile|Etc|Europe|Indian|Mexico"
    r"|Pacific|US)/"
)


def wall_clock() -> datetime:
    """The current time. The only read of the wall clock in the program."""
    return datetime.now(UTC)  # noqa: TID251


class UnknownZone(ValueError):
    """The form of an IANA name, but not in this machine's list: it may be older, or reduced."""


def is_zone_name(name: str) -> bool:
    """Whether the string has the form of a zone name, known here or not."""
    return len(name) <= 64 and _ZONE_NAME.fullmatch(name) is not None


def zone_named(name: str) -> ZoneInfo:
    """The IANA zone of that name, old names included. Raises `ValueError` for any other string.

    Raises `UnknownZone` if the string has the form of an IANA name, or this machine has no list. UTC needs
    none.
    """
    if not is_zone_name(name):
        raise ValueError("not the name of a time zone")
    with suppress(OSError, KeyError, ValueError):  # "Europe" is a folder, "Mars/Base" is unknown
        return ZoneInfo(name)
    if name == UTC_WITHOUT_DATA.key:
        return UTC_WITHOUT_DATA
    try:
        return ZoneInfo(other_name(name))
    except (OSError, KeyError, ValueError) as error:
        has_no_list = zone_named("UTC") is UTC_WITHOUT_DATA
        unknown = UnknownZone if has_no_list or _AREA.match(name) else ValueError
        raise unknown("unknown time zone") from error


def known_zone(name: str | None) -> ZoneInfo | None:
    """The zone of that name; `None` without a name, or if this machine does not know it."""
    with suppress(ValueError):
        return None if name is None else zone_named(name)
    return None


def date_in(zone: ZoneInfo, moment: datetime) -> date:
    """The local date at that moment."""
    return moment.astimezone(zone).date()


@dataclass(frozen=True, slots=True)
class LocalDay:
    """One local day: `[start, end)` in epoch seconds, and the starts of its hours, ascending.

    `labels[i]` is the local hour, 0 to 23, at `hours[i]`. On a fall-back day a label occurs twice.
    """

    date: date
    zone: ZoneInfo
    start: int
    end: int
    hours: tuple[int, ...]
    labels: tuple[int, ...]

    def hours_labelled(self, label: int) -> tuple[int, ...]:
        """The starts of the hours with that label: none if it is skipped, two if it is repeated."""
        return tuple(ts for ts, each in zip(self.hours, self.labels, strict=True) if each == label)

    @property
    def repeated_hours(self) -> tuple[tuple[int, int], ...]:
        """The pairs of hours with the same label: `(first, second)`; empty on ordinary days."""
        seen: dict[int, int] = {}
        pairs = []
        for ts, label in zip(self.hours, self.labels, strict=True):
            if label in seen:
                pairs.append((seen[label], ts))
            seen[label] = ts
        return tuple(pairs)

    def end_of(self, ts: int) -> int:
        """The end of the hour that starts at `ts`."""
        place = self.hours.index(ts) + 1
        return self.hours[place] if place < len(self.hours) else self.end

    def is_over(self, now: datetime) -> bool:
        """Whether the whole day is in the past."""
        return now.timestamp() >= self.end

    def has_arrived(self, now: datetime) -> bool:
        """Whether the cloud has usually received the day's last hour whole."""
        return now.timestamp() >= self.end + ARRIVAL_S

    def merge_repeated_hours(self) -> LocalDay:
        """The same day with each repeated hour as one, two hours long: for readers that key on local time."""
        seconds = {second for _, second in self.repeated_hours}
        kept = [(ts, label) for ts, label in zip(self.hours, self.labels, strict=True) if ts not in seconds]
        return replace(self, hours=tuple(ts for ts, _ in kept), labels=tuple(label for _, label in kept))


@lru_cache(maxsize=64)
def local_day(day: date, zone: ZoneInfo) -> LocalDay:
    """That date in that zone. It may have 23, 24 or 25 hours, another number, or none."""
    start, end = local_span(day, zone)
    hours: list[int] = []
    labels: list[int] = []
    for ts in range(start, end, _QUARTER_S):
        local = datetime.fromtimestamp(ts, zone)
        on_the_hour = local.minute == 0
        if on_the_hour or not labels or labels[-1] != local.hour:
            hours.append(ts)
            labels.append(local.hour)
    return LocalDay(day, zone, start, end, tuple(hours), tuple(labels))


def local_span(day: date, zone: ZoneInfo) -> tuple[int, int]:
    """Start and end of the day, epoch seconds; cheaper than `local_day`."""
    return _first_moment(day, zone), _first_moment(day + timedelta(days=1), zone)


def last_skip(zone: ZoneInfo, today: date) -> LocalDay | None:
    """The newest day in the year before `today` on which an hour or more is skipped, but not all of it."""
    for number in range(1, 367):
        day = today - timedelta(days=number)
        start, end = local_span(day, zone)
        if start < end <= start + _DAY_S - _HOUR_S:
            return local_day(day, zone)
    return None


def _first_moment(day: date, zone: ZoneInfo) -> int:
    """Epoch seconds of the day's first moment, also where its midnight is skipped or repeated.

    `fold=0` is the earlier of two midnights, and for a skipped midnight the moment of the jump.
    """
    return int(datetime.combine(day, time(), zone).timestamp())


_LOCALTIME = Path("/etc/localtime")


def system_timezone(environ: Mapping[str, str], localtime: Path = _LOCALTIME) -> ZoneInfo:
    """`TZ`, else the system's setting, else UTC."""
    names = [environ.get("TZ", "").lstrip(":")]
    if localtime.is_symlink():
        names.append(str(localtime.readlink()).rpartition("zoneinfo/")[2])
    for name in names:
        try:
            return zone_named(name)
        except ValueError:
            continue
    return zone_named("UTC")
