"""What a target has been sent, and so what it lacks: compared by the parts of a meter's history.

A part is a month, or a day of the newest month. Of each part that was sent, a digest of its hours and their
sums are kept: so a corrected hour is found, and what comes before it is neither read nor sent again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from collector.archive.files import make_folder, read_at_most, replace_file
from collector.archive.folder import OWN_FOLDER
from collector.energy.days import local_day
from collector.export.hours import COLUMNS, Hour, MeterHours
from collector.publish.targets import Target

_MAX_BYTES = 1024 * 1024  # ten years take 20 kB
_NO_RECORD = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
_NOTHING = (Decimal(0),) * len(COLUMNS)


class Part(NamedTuple):
    """A part as it was sent, with that many `hours`. `stamp` changes with its files, `digest` with the hours;
    `totals`: the sums of `COLUMNS` over the hours that have them, kWh.
    """

    stamp: str
    digest: str
    hours: int
    totals: tuple[Decimal, ...]


@dataclass(frozen=True, slots=True)
class Pending:
    """A meter whose hours are not all at the target.

    `days`: the days of each part, ascending. `now`: the parts as they are now. `changed`: the names of those
    that the target does not have as they are. `first`: the index of the first part whose hours, or an hour
    before them, have changed. `is_known`: whether it is known what the target has of that part. `lost`: the
    parts that it was sent and that are no longer stored. `lost_from`: if it was sent hours that are no longer
    stored, the start of the first part with such hours, epoch seconds.
    """

    hours: MeterHours
    days: Mapping[str, Sequence[date]]
    now: Mapping[str, Part]
    changed: Sequence[str]
    first: int
    is_known: bool
    lost: Mapping[str, Part]
    lost_from: int | None

    @property
    def kept(self) -> dict[str, Part]:
        """The parts that the target has whatever happens while the others are sent."""
        return dict(list(self.now.items())[: self.first]) | dict(self.lost)

    def from_part(self, index: int) -> tuple[list[date], list[Decimal]]:
        """The days from that part on, and the totals of `COLUMNS` before them."""
        names = list(self.days)
        days = [day for name in names[index:] for day in self.days[name]]
        before = [self.now[name].totals for name in names[:index]]
        return days, [sum(values, Decimal(0)) for values in zip(_NOTHING, *before, strict=True)]

    def start_of(self, index: int) -> int:
        """When that part may begin, epoch seconds."""
        return _start_of(list(self.days)[index], self.hours.zone)


def pending(hours: MeterHours, sent: Mapping[str, Part]) -> Pending | None:
    """What a target lacks that was sent these parts; `None` if it lacks nothing.

    Reads the files of each part whose stamp has changed; raises `OSError`.
    """
    days = parts_of(hours.stamps)
    before = with_months(days, sent)
    now = {name: _part(hours, of_part, before.get(name)) for name, of_part in days.items()}
    changed = [name for name, part in now.items() if name not in before or before[name].digest != part.digest]
    # After a part whose files are gone all totals are others. Names of days and months ascend together.
    lost = {name: part for name, part in before.items() if name not in now}
    names = list(days)
    affected = changed + ([name for name in names if name > min(lost)][:1] or names[-1:] if lost else [])
    if not affected:
        return None
    first = min(map(names.index, affected))
    fewer = [name for name in changed if name in before and now[name].hours < before[name].hours]
    lost_from = min((_start_of(name, hours.zone) for name in [*fewer, *lost]), default=None)
    return Pending(hours, days, now, changed, first, names[first] in before, lost, lost_from)


def _start_of(name: str, zone: ZoneInfo) -> int:
    """When the part of that name may begin, epoch seconds."""
    return local_day(date.fromisoformat(f"{name}-01"[:10]), zone).start


def parts_of(days: Iterable[date]) -> dict[str, list[date]]:
    """The names of the parts, and their days: `2026-10`, and `2026-11-29` in the newest month."""
    ordered = sorted(days)
    found: dict[str, list[date]] = {}
    for day in ordered:
        month = (day.year, day.month)
        is_newest = month == (ordered[-1].year, ordered[-1].month)
        found.setdefault(str(day) if is_newest else str(day)[:7], []).append(day)
    return found


def with_months(days: Mapping[str, Sequence[date]], sent: Mapping[str, Part]) -> dict[str, Part]:
    """The parts that were sent; the days of a month that is over by now as that month."""
    found = dict(sent)
    for name in [each for each in days if each not in sent]:
        of_month = [each for each in sent if len(each) > len(name) and each.startswith(name)]
        if of_month:
            found[name] = _sum_of([found.pop(each) for each in sorted(of_month)])
    return found


def _part(hours: MeterHours, days: Sequence[date], before: Part | None) -> Part:
    of_meter = "-" if hours.meter.has_no_solar else ""  # changed in the configuration, it changes the hours
    stamps = [f"{hours.stamps[day] & 0xFFFFFFFFFFFFFFFF:016x}{of_meter}" for day in days]
    if before is not None and before.stamp == _stamp_of(stamps):
        return before
    return _sum_of([_day_part(stamp, hours.hours([day])) for stamp, day in zip(stamps, days, strict=True)])


def _day_part(stamp: str, hours: Iterable[Hour]) -> Part:
    digest, totals, count = hashlib.blake2b(digest_size=8), list(_NOTHING), 0
    for hour in hours:
        count += 1
        digest.update(f"{hour.start} {' '.join(map(str, hour[3:]))}\n".encode())
        pairs = zip(totals, hour[3:], strict=True)
        totals = [total if value is None else total + value for total, value in pairs]
    return Part(stamp, digest.hexdigest(), count, tuple(totals))


def _sum_of(parts: Sequence[Part]) -> Part:
    """Several parts as one."""
    if len(parts) == 1:
        return parts[0]
    digest = _digest_of(each.digest for each in parts)
    totals = tuple(sum(values, Decimal(0)) for values in zip(*(each.totals for each in parts), strict=True))
    return Part(_stamp_of([each.stamp for each in parts]), digest, sum(each.hours for each in parts), totals)


def _stamp_of(stamps: Sequence[str]) -> str:
    return stamps[0] if len(stamps) == 1 else _digest_of(stamps)


def _digest_of(texts: Iterable[str]) -> str:
    return hashlib.blake2b(" ".join(texts).encode(), digest_size=8).hexdigest()


def record_of(folder: Path, target: Target) -> Path:
    """The file in a meter's folder that remembers what the target was sent."""
    return folder / OWN_FOLDER / f"publish-{target.name}.json"


def read_sent(folder: Path, target: Target) -> dict[str, Part]:
    """The parts of that meter that the target was sent; none if that is not known. Raises `OSError`."""
    with suppress(FileNotFoundError, *_NO_RECORD):
        read = json.loads(read_at_most(record_of(folder, target), _MAX_BYTES))
        # A folder that was renamed with its meter: the target knows the hours under the former name.
        if read["target"] == _identity(target) and read.get("meter", folder.name) == folder.name:
            return {_name(name): _read_part(each) for name, each in read["parts"].items()}
    return {}


def write_sent(folder: Path, target: Target, parts: Mapping[str, Part]) -> None:
    """Remembers that the target was sent these parts. Raises `OSError`."""
    record = record_of(folder, target)
    written = {
        name: [each.stamp, each.digest, each.hours, *map(str, each.totals)] for name, each in parts.items()
    }
    make_folder(record.parent)
    found = {"target": _identity(target), "meter": folder.name, "parts": written}
    replace_file(record, json.dumps(found).encode())


def _identity(target: Target) -> str:
    """Differs between two targets that do not have each other's hours."""
    return _digest_of([target.kind, target.url, target.measurement, str(target.cumulative)])


def _name(name: str) -> str:
    date.fromisoformat(name if len(name) == len("2026-11-29") else f"{name}-01")
    return name


def _read_part(raw: Any) -> Part:
    """A part as it was written; raises one of `_NO_RECORD` for anything else."""
    stamp, digest, hours, *totals = raw
    found = tuple(map(Decimal, totals))
    if len(found) != len(_NOTHING) or not all(each.is_finite() for each in found):
        raise ValueError("no totals")
    return Part(str(stamp), str(digest), int(hours), found)
