"""Ledger: what is not in the day files. Empty days; when and how often days were requested; errors.

If it is deleted, incomplete days are requested again. It is a journal with one fact a line, of which the
last one counts, so a crash costs at most the last line. Days that need nothing more have no line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from collector.archive.files import append_whole, read_at_most, replace_file
from collector.energy.days import LocalDay, is_zone_name
from collector.energy.history import Availability, LastAttempt, Outcome
from collector.energy.spans import STEPS_H, SpanLimit, Trust
from collector.errors import ArchiveError

_MAX_BYTES = 8 * 1024 * 1024
_MAX_REASON = 200
_MAX_WHOLE = 1 << 53  # exact as a float, as times are compared
_FORGOTTEN_LINES_KEPT = 500  # rewriting the journal less often spares the card


class Suspicion(NamedTuple):
    """Doubt in the rules of the meter's time zone: the checksum of the rules, and the reason.

    `day`: the day whose answer contradicts them; `None` if those of several days together do.
    """

    checksum: int
    reason: str
    day: date | None = None


class Bounds(NamedTuple):
    """The days in the mark that another meter counted, or the same one otherwise: see `Mark`."""

    since: date | None = None
    kept_to: date | None = None

    @classmethod
    def from_json(cls, since: str | None, kept_to: str | None) -> Bounds:
        """The bounds in a line or mark. Raises `ValueError`, `TypeError`."""
        return cls(*(None if day is None else date.fromisoformat(day) for day in (since, kept_to)))

    def as_json(self) -> dict[str, str | None]:
        """As they are written to both."""
        return {key: None if day is None else day.isoformat() for key, day in self._asdict().items()}


UNBOUNDED = Bounds()


class Ledger:
    """The journal in `path`, and its present content.

    `rebuilt`: some lines could not be read; they were dropped, and their days are requested again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._attempts: dict[date, LastAttempt] = {}
        self.zone: str | None = None
        self.bounds = UNBOUNDED  # copied from the mark, in case it is lost
        self.lost_before: date | None = None
        self.availability: Availability | None = None  # which days the cloud has, as last known
        self.different: set[date] = set()  # days that were requested again because their totals differ
        self.suspicion: Suspicion | None = None
        self.span_limit: tuple[str, SpanLimit] | None = None  # and host, path and kind that it is of
        lines, damaged, torn = _read_lines(path)
        for line in lines:
            try:
                self._apply(line)
            except (KeyError, TypeError, ValueError):
                damaged = True
        self.rebuilt = damaged
        self._lines = len(lines)
        self._is_hurt = damaged or torn

    def mend(self) -> None:
        """Rewrites the journal if it is damaged or torn, or has many lines that no longer count."""
        if self._is_hurt or self._lines > len(self._attempts) + _FORGOTTEN_LINES_KEPT:
            facts: list[Mapping[str, Any]] = [{"zone": self.zone}] if self.zone else []
            facts += [self.bounds.as_json()] if self.bounds != UNBOUNDED else []
            facts += [{"lost_before": self.lost_before.isoformat()}] if self.lost_before else []
            facts += [_line_of_availability(self.availability)] if self.availability else []
            facts += [{"differs": day.isoformat()} for day in sorted(self.different)]
            facts += [_fact_of(self.suspicion)] if self.suspicion else []
            facts += [_line_of_spans(*self.span_limit)] if self.span_limit else []
            facts += [_line_of(day, attempt) for day, attempt in sorted(self._attempts.items())]
            replace_file(self._path, b"".join(json.dumps(fact).encode() + b"\n" for fact in facts))
            self._lines, self._is_hurt = len(facts), False

    @property
    def attempts(self) -> Mapping[date, LastAttempt]:
        """The recorded days."""
        return self._attempts

    def note(self, day: date, attempt: LastAttempt) -> None:
        """Records the last attempt of that day. Raises `OSError`, as all methods that write."""
        if self._attempts.get(day) != attempt:
            self._append(_line_of(day, attempt))
            self._attempts[day] = attempt

    def remember(
        self, day: LocalDay, outcome: Outcome, now: datetime, *, complete: bool, keep_s: int, reason: str = ""
    ) -> None:
        """Records a request for that day at `now`; for a complete one only until `keep_s` after its end."""
        if not day.has_arrived(now):
            return  # until its last hour can be there a day is requested every hour anyway
        requested_at = int(now.timestamp())
        if not complete:
            before = self._attempts.get(day.date)
            tries = 0 if before is None else before.tries
            self.note(day.date, LastAttempt(outcome, requested_at, tries + 1, reason))
        elif requested_at < day.end + keep_s:
            self.note(day.date, LastAttempt(Outcome.WRITTEN, requested_at, 0))
        else:
            self.forget(day.date)

    def forget(self, day: date) -> None:
        """Removes that day: its file has everything."""
        if day in self._attempts:
            self._append({"day": day.isoformat(), "outcome": None})
            del self._attempts[day]

    def forget_days(self, *, and_zone: bool) -> None:
        """Removes all days, because the identity of the archive changed; `mend` writes that."""
        self._attempts.clear()
        self.lost_before, self.availability, self.span_limit = None, None, None
        self.different.clear()
        if and_zone:
            self.zone, self.suspicion = None, None
        self._is_hurt = True

    def note_zone(self, zone: str) -> None:
        """Records the meter's time zone, so that the next start knows the local date."""
        if zone != self.zone:
            self._append({"zone": zone})
            self.zone = zone

    def note_bounds(self, bounds: Bounds) -> None:
        """Records the bounds of the mark."""
        if bounds != self.bounds:
            self._append(bounds.as_json())
            self.bounds = bounds

    def note_lost(self, before: date) -> None:
        """Records that all losses before that day were reported."""
        if before != self.lost_before:
            self._append({"lost_before": before.isoformat()})
            self.lost_before = before

    def note_availability(self, availability: Availability) -> None:
        """Records which days the cloud has, so that the next start need not request it."""
        if availability != self.availability:
            self._append(_line_of_availability(availability))
            self.availability = availability

    def note_different(self, day: date) -> None:
        """Records that the day is requested again because the cloud's total differs; done once."""
        if day not in self.different:
            self._append({"differs": day.isoformat()})
            self.different.add(day)

    def note_suspicion(self, suspicion: Suspicion | None) -> None:
        """Records that the rules of the meter's time zone are in doubt, or no longer (`None`)."""
        if suspicion != self.suspicion:
            self._append(_fact_of(suspicion))
            self.suspicion = suspicion

    def note_span_limit(self, path: str, limit: SpanLimit) -> None:
        """Records how many days a request to that host and path may ask for."""
        if (path, limit) != self.span_limit:
            self._append(_line_of_spans(path, limit))
            self.span_limit = path, limit

    def _append(self, fact: Mapping[str, Any]) -> None:
        append_whole(self._path, json.dumps(fact).encode() + b"\n")

    def _apply(self, fact: Mapping[str, Any]) -> None:
        if "zone" in fact:
            if not is_zone_name(fact["zone"]):  # a name unknown to this machine is no damage
                raise ValueError("not the name of a time zone")
            self.zone = fact["zone"]
        elif "suspected" in fact:
            self.suspicion = _suspicion_of(fact)
        elif "since" in fact:
            self.bounds = Bounds.from_json(fact["since"], fact["kept_to"])
        elif "lost_before" in fact:
            self.lost_before = date.fromisoformat(fact["lost_before"])
        elif "available" in fact:
            self.availability = Availability(
                _whole(fact["asked_at"]), *_run(fact["span"]), tuple(map(_run, fact["available"]))
            )
        elif "longest_span_h" in fact:
            longest_h, answered_h = _whole(fact["longest_span_h"]), _whole(fact["answered_h"])
            if longest_h not in STEPS_H or answered_h > STEPS_H[0]:
                raise ValueError("not a length of spans")
            limit = SpanLimit(longest_h, answered_h, _whole(fact["learned_at"]), Trust(fact["trust"]))
            self.span_limit = str(fact["of"]), limit
        elif "differs" in fact:
            self.different.add(date.fromisoformat(fact["differs"]))
        elif fact["outcome"] is None:
            self._attempts.pop(date.fromisoformat(fact["day"]), None)
        else:
            self._attempts[date.fromisoformat(fact["day"])] = LastAttempt(
                Outcome(fact["outcome"]), _whole(fact["asked_at"]), _whole(fact["tries"]), str(fact["reason"])
            )


def _fact_of(suspicion: Suspicion | None) -> dict[str, Any]:
    if suspicion is None:
        return {"suspected": None}
    day = None if suspicion.day is None else suspicion.day.isoformat()
    return {"suspected": suspicion.checksum, "because": suspicion.reason[:_MAX_REASON], "of": day}


def _suspicion_of(fact: Mapping[str, Any]) -> Suspicion | None:
    if fact["suspected"] is None:
        return None
    day = None if fact["of"] is None else date.fromisoformat(fact["of"])
    return Suspicion(_whole(fact["suspected"]), str(fact["because"]), day)


def _line_of(day: date, attempt: LastAttempt) -> dict[str, Any]:
    return {
        "day": day.isoformat(),
        "outcome": attempt.outcome.value,
        "asked_at": attempt.requested_at,
        "tries": attempt.tries,
        "reason": attempt.reason[:_MAX_REASON],
    }


def _line_of_availability(availability: Availability) -> dict[str, Any]:
    span = (availability.first, availability.last)
    return {
        "available": [[day.isoformat() for day in run] for run in availability.runs],
        "span": [day.isoformat() for day in span],
        "asked_at": availability.requested_at,
    }


def _line_of_spans(path: str, limit: SpanLimit) -> dict[str, Any]:
    return {
        "longest_span_h": limit.longest_h,
        "answered_h": limit.answered_h,
        "trust": limit.trust.value,
        "learned_at": limit.learned_at,
        "of": path,
    }


def _run(days: Any) -> tuple[date, date]:
    first, last = map(date.fromisoformat, days)
    if first > last:
        raise ValueError("not a stretch of days")
    return first, last


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value < _MAX_WHOLE:
        raise ValueError("not a whole number")
    return value


def _read_lines(path: Path) -> tuple[list[Mapping[str, Any]], bool, bool]:
    """The readable lines, whether others are damaged, and whether a crash tore the last one."""
    try:
        data = read_at_most(path, _MAX_BYTES)
    except FileNotFoundError:
        return [], False, False
    except IsADirectoryError as error:
        raise ArchiveError(f"{path} is a folder; move it away") from error
    if len(data) > _MAX_BYTES:
        return [], True, False
    *whole, last = data.split(b"\n")
    facts: list[Mapping[str, Any]] = []
    for line in whole:
        with suppress(ValueError, RecursionError):
            if isinstance(fact := json.loads(line), dict):
                facts.append(fact)
    torn = last.startswith(b"{") and b"\0" not in last
    return facts, len(facts) < len(whole) or (last != b"" and not torn), torn
