"""The text of `status`: a few lines for each meter, and the calendar of its days."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from textwrap import wrap
from typing import TextIO
from zoneinfo import ZoneInfo

from collector.energy.history import EXPIRING_DAYS, DayState, forgotten
from collector.events import CURES
from collector.service.systemd import unit_files
from collector.status import Failure, MeterStatus, State, Status, age_in_words

SIGNS = {
    DayState.COMPLETE: ("█", "#", ""),
    DayState.TODAY: ("▌", ">", ""),
    DayState.PARTIAL: ("▒", "+", "33"),
    DayState.EMPTY: ("·", ".", "33"),
    DayState.MISSING: ("○", "o", "33"),
    DayState.GIVEN_UP: ("×", "x", "31"),
    DayState.LOST: ("†", "!", "31"),
}
"""Each state's sign, the same in ASCII, and its colour on a terminal."""

_RULER = "         1        10        20        30"


def calendar(states: Mapping[date, DayState], first: date, *, ascii_only: bool, colour: bool) -> list[str]:
    """The lines: a ruler, and a row for each month since that of `first`; days without a state are blank."""
    months: dict[str, list[str]] = {}
    for day, state in states.items():
        if day >= first:
            row = months.setdefault(f"{day:%Y-%m}", [" "] * 31)
            row[day.day - 1] = _sign(state, ascii_only=ascii_only, colour=colour)
    rows = [f"{month}  {''.join(row).rstrip()}" for month, row in months.items()]
    return [_RULER, *rows] if rows else []


def legend(states: Mapping[date, DayState], *, ascii_only: bool) -> str:
    """The meaning of each sign that occurs."""
    occurring = set(states.values())
    return "  ".join(
        f"{sign[ascii_only]} {state.value.replace('_', ' ')}"
        for state, sign in SIGNS.items()
        if state in occurring
    )


def _sign(state: DayState, *, ascii_only: bool, colour: bool) -> str:
    sign, code = SIGNS[state][ascii_only], SIGNS[state][2]
    return f"\x1b[{code}m{sign}\x1b[0m" if colour and code else sign


_WIDTH = 90
_RECENT_S = 86400
_HOUR_S = 3600
_COLOURS = {State.GOOD: "32", State.STARTING: "33", State.OFFLINE: "31", State.BROKEN: "31"}


def lines(
    status: Status, zone: ZoneInfo, stream: TextIO, environ: Mapping[str, str], *, whole: bool
) -> Iterator[str]:
    """The lines to print to `stream`; times are in `zone`, this machine's. `whole`: show all years."""
    colour = stream.isatty() and not environ.get("NO_COLOR")
    ascii_only = "utf" not in (stream.encoding or "").lower()
    yield from _service(status, zone)
    yield from _accounts(status, zone)
    yield _row("times", zone.key)
    for name, meter in status.meters.items():
        first = min(meter.states) if whole else _a_year_before(max(meter.states))
        yield ""
        yield from _meter(name, meter, status, zone, colour=colour)
        yield from calendar(meter.states, first, ascii_only=ascii_only, colour=colour)
        yield _row("", legend(meter.states, ascii_only=ascii_only))


def _service(status: Status, zone: ZoneInfo) -> Iterator[str]:
    if status.is_running:
        work = f", {status.jobs} job{'s' * (status.jobs != 1)} in progress" if status.jobs else ""
        upcoming = (
            "" if status.next_run_at is None else f", next run {_time(status.next_run_at, status, zone)}"
        )
        since = _time(status.started_at, status, zone)
        yield _row("service", f"running since {since} (process {status.pid}){work}{upcoming}")
    elif any(meter.is_held for meter in status.meters.values()):
        yield _row("service", "not running; another command is collecting")
    else:
        hint = "; see `systemctl status shelly-collector`" if unit_files() else ""
        yield _row("service", f"not running{hint}")


def _accounts(status: Status, zone: ZoneInfo) -> Iterator[str]:
    is_of_today = status.today == str(_local(status.written_at, zone).date())
    for name, account in status.accounts.items():
        requests = account.requests_today if is_of_today else 0
        holds = account.holds_today if is_of_today else 0
        pauses = "1 rate-limit pause" if holds == 1 else f"{holds} rate-limit pauses"
        yield _row("account", f"{name}: {requests} requests today, {pauses}")
        if account.trouble is not None and status.is_running:
            yield _row("", f"waiting: {_safe(account.trouble.reason)}")


def _meter(name: str, meter: MeterStatus, status: Status, zone: ZoneInfo, *, colour: bool) -> Iterator[str]:
    state = f"\x1b[{_COLOURS[meter.state]}m{meter.state}\x1b[0m" if colour else meter.state
    yield f"{name}: {state}, {_newest(meter, status, zone)}"
    if meter.reason:
        yield _row("", _safe(meter.reason))
    if meter.unknown_zone is not None:
        yield _row("zone", f"{meter.unknown_zone} is unknown to this machine; {meter.zone} is used instead")
        yield from (_row("", line) for line in wrap(CURES["zone.unknown"], _WIDTH))
    elif _has_other_clock(meter, status, zone):
        yield _row("zone", f"days are those of {meter.zone}")
    yield _row("today", f"{meter.hours_today} of {meter.hours_over} completed hours stored")
    yield _row("days", _days(meter))
    if meter.beginning is not None:
        yield _row("", f"the cloud's data seem to begin on {meter.beginning}")
    if deleted := forgotten(max(meter.states), meter.states):
        yield _row("", f"{deleted} complete days exist only in this archive (deleted by the cloud)")
    if late := _late_hours(meter):
        yield _row("missing", "1 hour without data" if late == 1 else f"{late} hours without data")
    if meter.expiring:
        yield _row(
            "at risk",
            f"{len(meter.expiring)} days from {meter.expiring[0]} on: "
            f"not complete, and the cloud deletes them within {EXPIRING_DAYS} days",
        )
    if meter.quarantined:
        yield _row("aside", f"{meter.quarantined} damaged file{'s' * (meter.quarantined != 1)} in quarantine")
    if meter.answered_at is not None:
        yield _row("success", _time(meter.answered_at, status, zone))
    if (failure := meter.failure) is not None and _matters(failure, meter, status.written_at):
        yield _row("error", f"{_time(failure.at, status, zone)}, {failure.event}: {_safe(failure.reason)}")
        cure = failure.cure or CURES.get(failure.event, "")
        yield from (_row("", line) for line in wrap(_safe(cure), _WIDTH))


def _matters(failure: Failure, meter: MeterStatus, now: int) -> bool:
    """Whether to show an error: for a day, and as long as nothing has succeeded since."""
    if meter.answered_at is None or now - _RECENT_S <= failure.at <= now:
        return True
    return meter.answered_at <= failure.at <= now  # a time in the future comes from a wrong clock


def _newest(meter: MeterStatus, status: Status, zone: ZoneInfo) -> str:
    if meter.newest_hour is None:
        return "no data stored yet"
    ended = _time(meter.newest_hour + _HOUR_S, status, zone)
    return f"last complete hour ended {ended} ({age_in_words(meter.age_s)} ago)"


def _late_hours(meter: MeterStatus) -> int:
    """How many hours have no data, without the newest one: its scheduled run may be yet to come."""
    is_pending = meter.age_s is not None and meter.age_s >= _HOUR_S
    return max(0, meter.missing_hours - is_pending)


def _has_other_clock(meter: MeterStatus, status: Status, zone: ZoneInfo) -> bool:
    """Whether the meter's zone has another local time than `zone` now."""
    now = _local(status.written_at, zone)
    return meter.zone is not None and now.utcoffset() != now.astimezone(meter.zone).utcoffset()


def _days(meter: MeterStatus) -> str:
    counts = Counter(meter.states.values())
    parts = [
        f"{counts[state]} {state.value.replace('_', ' ')}"
        for state in DayState
        if state is not DayState.TODAY and (counts[state] or state is DayState.COMPLETE)
    ]
    return f"{', '.join(parts)}, since {min(meter.states)}"


def _time(ts: int, status: Status, zone: ZoneInfo) -> str:
    """The local time in `zone`, with the date if it is not today."""
    moment, now = _local(ts, zone), _local(status.written_at, zone)
    return f"{moment:%H:%M}" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M}"


def _local(ts: int, zone: ZoneInfo | None) -> datetime:
    return datetime.fromtimestamp(ts, UTC).astimezone(zone)


def _safe(text: str) -> str:
    """The text without control characters, which could change the terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _row(label: str, text: str) -> str:
    return f"{label:<9}{text}"


def _a_year_before(day: date) -> date:
    """The first day of the eleventh month before: twelve rows."""
    months = day.year * 12 + day.month - 1 - 11
    return date(months // 12, months % 12 + 1, 1)
