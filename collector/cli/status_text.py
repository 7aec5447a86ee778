"""`status` for people: a few lines a meter, and the calendar of its days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from textwrap import wrap
from typing import TextIO

from collector.energy.days import date_in
from collector.energy.history import EXPIRING_DAYS, DayState
from collector.events import CURES
from collector.service.overview import MeterOverview, Overview
from collector.status import Failure, State, age_in_words

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
    """The lines: a ruler, and from the month of `first` on a row each; days without a state are blank."""
    months: dict[str, list[str]] = {}
    for day, state in states.items():
        if day >= first:
            row = months.setdefault(f"{day:%Y-%m}", [" "] * 31)
            row[day.day - 1] = _sign(state, ascii_only=ascii_only, colour=colour)
    rows = [f"{month}  {''.join(row).rstrip()}" for month, row in months.items()]
    return [_RULER, *rows] if rows else []


def legend(states: Mapping[date, DayState], *, ascii_only: bool) -> str:
    """What the signs that occur mean."""
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
_COLOURS = {State.GOOD: "32", State.STARTING: "33", State.OFFLINE: "31", State.BROKEN: "31"}


def lines(seen: Overview, stream: TextIO, environ: Mapping[str, str], *, whole: bool) -> Iterator[str]:
    """What to print to `stream`; `whole` shows the days of all years."""
    colour = stream.isatty() and not environ.get("NO_COLOR")
    ascii_only = "utf" not in (stream.encoding or "").lower()
    yield from _service(seen)
    yield from _accounts(seen)
    for meter in seen.meters:
        first = min(meter.states) if whole else _a_year_before(max(meter.states))
        yield ""
        yield from _meter(meter, seen, colour=colour)
        yield from calendar(meter.states, first, ascii_only=ascii_only, colour=colour)
        yield _row("", legend(meter.states, ascii_only=ascii_only))


def _service(seen: Overview) -> Iterator[str]:
    standing = seen.standing
    if standing is not None and seen.runs:
        work = f", {standing.jobs} job{'s' * (standing.jobs != 1)} under way" if standing.jobs else ""
        upcoming = "" if standing.next_run_at is None else f", next run {_time(standing.next_run_at, seen)}"
        since = _time(standing.started_at, seen)
        yield _row("service", f"runs since {since} (process {standing.pid}){work}{upcoming}")
    elif any(meter.is_held for meter in seen.meters):
        yield _row("service", "does not run; another command is collecting")
    else:
        yield _row("service", "does not run (systemctl status shelly-collector says why)")


def _accounts(seen: Overview) -> Iterator[str]:
    standing = seen.standing
    if standing is None:
        return
    is_of_today = standing.today == str(date_in(seen.home_zone, seen.now))
    for name, account in standing.accounts.items():
        requests = account.requests_today if is_of_today else 0
        holds = account.holds_today if is_of_today else 0
        yield _row("account", f"{name}: {requests} requests today, {holds} holds")
        if account.trouble is not None and seen.runs:
            yield _row("", f"waits: {_safe(account.trouble.reason)}")


def _meter(meter: MeterOverview, seen: Overview, *, colour: bool) -> Iterator[str]:
    health = meter.health
    state = f"\x1b[{_COLOURS[health.state]}m{health.state}\x1b[0m" if colour else health.state
    yield f"{meter.name}: {state}, {_newest(meter)}"
    if health.reason:
        yield _row("", _safe(health.reason))
    if meter.unknown_zone is not None:
        yield _row("zone", f"{meter.unknown_zone} is unknown to this machine; taken for {meter.zone.key}")
        yield from (_row("", line) for line in wrap(CURES["zone.unknown"], _WIDTH))
    yield _row("today", f"{meter.hours_today} of the {meter.hours_over} hours that are over")
    yield _row("days", _days(meter))
    if meter.beginning is not None:
        yield _row("", f"the cloud's data seem to begin on {meter.beginning}")
    if meter.forgotten:
        yield _row("", f"{meter.forgotten} of them are in this archive alone: the cloud has forgotten them")
    if meter.missing_hours:
        yield _row("missing", f"{meter.missing_hours} hours in all")
    if meter.expiring:
        yield _row(
            "at risk",
            f"{len(meter.expiring)} days, from {meter.expiring[0]} on: "
            f"not complete, and the cloud forgets them within {EXPIRING_DAYS} days",
        )
    if meter.quarantined:
        yield _row("aside", f"{meter.quarantined} damaged file{'s' * (meter.quarantined != 1)} in quarantine")
    if meter.answered_at is not None:
        yield _row("success", _time(meter.answered_at, seen))
    if (failure := meter.failure) is not None and _matters(failure, meter, seen.now.timestamp()):
        yield _row("error", f"{_time(failure.at, seen)}, {failure.event}: {_safe(failure.reason)}")
        cure = failure.cure or CURES.get(failure.event, "")
        yield from (_row("", line) for line in wrap(_safe(cure), _WIDTH))


def _matters(failure: Failure, meter: MeterOverview, now: float) -> bool:
    """Whether an error is worth being shown: for a day, and as long as nothing went well since."""
    if meter.answered_at is None or now - _RECENT_S <= failure.at <= now:
        return True
    return meter.answered_at <= failure.at <= now  # later than now is one of a clock that was wrong


def _newest(meter: MeterOverview) -> str:
    if meter.newest_hour is None:
        return "no hour stored yet"
    ended = datetime.fromtimestamp(meter.newest_hour + 3600, UTC).astimezone(meter.zone)
    return f"newest hour until {ended:%Y-%m-%d %H:%M}, {age_in_words(meter.health.age_s)} ago"


def _days(meter: MeterOverview) -> str:
    counts = meter.counts
    told = [
        f"{counts[state]} {state.value.replace('_', ' ')}"
        for state in DayState
        if state is not DayState.TODAY and (counts[state] or state is DayState.COMPLETE)
    ]
    return f"{', '.join(told)}, since {min(meter.states)}"


def _time(ts: int, seen: Overview) -> str:
    """The time on this machine's clock, with the date where it is another day than today."""
    moment = datetime.fromtimestamp(ts, UTC).astimezone(seen.home_zone)
    is_today = moment.date() == seen.now.astimezone(seen.home_zone).date()
    return f"{moment:%H:%M}" if is_today else f"{moment:%Y-%m-%d %H:%M}"


def _safe(text: str) -> str:
    """What came from outside cannot steer the terminal."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _row(label: str, text: str) -> str:
    return f"{label:<9}{text}"


def _a_year_before(day: date) -> date:
    """The first day of the eleventh month before: twelve rows."""
    months = day.year * 12 + day.month - 1 - 11
    return date(months // 12, months % 12 + 1, 1)
