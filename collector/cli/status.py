"""`shelly-collector status`: the state of collecting, from the day files and the service's status file."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from zoneinfo import ZoneInfo

from collector.cli import exits, starting
from collector.energy.days import system_timezone, wall_clock
from collector.energy.history import EXPIRING_DAYS, DayState, forgotten
from collector.events import CURES
from collector.overview import as_dict, status_of
from collector.redaction import printable
from collector.status import (
    AccountStatus,
    Failure,
    MeterStatus,
    State,
    Status,
    TargetStatus,
    age_in_words,
    counted,
)

if TYPE_CHECKING:
    pass

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
_COLOURS = {State.GOOD: "32", State.STARTING: "33", State.OFFLINE: "31", State.BROKEN: "31"}
_WIDTH = 90
_HOUR_S = 3600
_RECENT_S = 24 * _HOUR_S
_FEW = 10  # of more meters only those with a problem are shown ...
_MOST = 20  # ... and at most so many


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--meter", action="append", metavar="NAME", help="only this meter (default: all)")
    parser.add_argument(
        "--all", action="store_true", help="show every day since the beginning, not only the last year"
    )
    parser.add_argument(
        "--max-age",
        type=_hours,
        metavar="HOURS",
        help="exit with 1 if the newest hour is older (default: max_age_h of the configuration, 26)",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def _hours(text: str) -> float:
    with suppress(ValueError):
        if 0 < (hours := float(text)) < 1_000_000:
            return hours
    raise argparse.ArgumentTypeError("must be a number of hours, more than 0 and less than 1,000,000")


def run(options: argparse.Namespace) -> int:
    """Prints the status; returns 0, or 1 if the newest hour of a meter is too old."""
    settings = starting.only_meters(
        starting.settings_from_file(options.config, needs_keys=False), options.meter
    )
    if options.max_age is not None:
        settings = replace(settings, max_age_s=options.max_age * _HOUR_S)
    try:
        status = status_of(settings.files, wall_clock(), os.environ)
    except OSError as error:
        raise starting.unreadable(error, settings.archive) from None
    if options.json:
        print(json.dumps(as_dict(status)))
    else:
        zone = system_timezone(os.environ)
        print("\n".join(lines(status, zone, sys.stdout, os.environ, whole=options.all)))
    return exits.DONE if status.state is State.GOOD else exits.IN_PART


def lines(
    status: Status, zone: ZoneInfo, stream: TextIO, environ: Mapping[str, str], *, whole: bool
) -> Iterator[str]:
    """The lines to print to `stream`; times are in `zone`, this machine's. `whole`: show all years."""
    colour = stream.isatty() and not environ.get("NO_COLOR")
    ascii_only = "utf" not in (stream.encoding or "").lower()
    now = datetime.fromtimestamp(status.written_at, zone)
    yield _service(status, now)
    accounts = {
        name: account
        for name, account in status.accounts.items()
        if not account.meters or not status.meters.keys().isdisjoint(account.meters)
    }
    for name, target in status.targets.items():
        yield from _target_lines(name, target, now, runs=status.is_running)
    if len(status.meters) > _FEW:
        yield from _lines_of_many(replace(status, accounts=accounts), now, zone, colour=colour)
        return
    for name, account in accounts.items():
        yield from _account_lines(name, account, status, now)
    yield _row("times", zone.key)
    for name, meter in status.meters.items():
        yield ""
        yield from _meter_lines(name, meter, now, colour=colour)
        first = min(meter.states) if whole else _a_year_before(max(meter.states))
        yield from _calendar(meter.states, first, ascii_only=ascii_only, colour=colour)
        occurring = set(meter.states.values())
        legend = (f"{SIGNS[each][ascii_only]} {_words(each)}" for each in SIGNS if each in occurring)
        yield _row("", "  ".join(legend))


def _lines_of_many(status: Status, now: datetime, zone: ZoneInfo, *, colour: bool) -> Iterator[str]:
    """Sums, and what has a problem: the whole of a thousand meters would be 11,000 lines."""
    counts = [_counts_today(account, status, now) for account in status.accounts.values()]
    requests, holds = (sum(each) for each in zip(*counts, strict=True)) if counts else (0, 0)
    yield _row("accounts", f"{len(status.accounts)}: {_today_in_words(requests, holds)}")
    waiting = [name for name, account in status.accounts.items() if account.trouble is not None]
    for name in waiting[:_MOST] if status.is_running else ():
        yield from _account_lines(name, status.accounts[name], status, now)
    if status.is_running and len(waiting) > _MOST:
        yield _row("", f"{len(waiting) - _MOST} more accounts are waiting: see --json")
    yield _row("times", zone.key)
    states = Counter(meter.state for meter in status.meters.values())
    parts = (f"{states[state]} {state}" for state in State if states[state])
    yield _row("meters", f"{len(status.meters)}: {', '.join(parts)}")
    at = int(now.timestamp())
    bad = [
        name
        for name, meter in status.meters.items()
        if not meter.state.is_well or (meter.failure is not None and _matters(meter.failure, meter, at))
    ]
    for name in bad[:_MOST]:
        yield ""
        yield from _meter_lines(name, status.meters[name], now, colour=colour)
    yield ""
    if len(bad) > _MOST:
        yield f"{len(bad) - _MOST} more meters have a problem: see --json"
    yield "A meter with its calendar: --meter NAME"


def _today_in_words(requests: int, holds: int) -> str:
    requests_text = "1 request today" if requests == 1 else f"{requests} requests today"
    return f"{requests_text}, {counted(holds, 'rate-limit pause')}"


def _account_lines(name: str, account: AccountStatus, status: Status, now: datetime) -> Iterator[str]:
    requests, holds = _counts_today(account, status, now)
    yield _row("account", f"{name}: {_today_in_words(requests, holds)}")
    if account.trouble is not None and status.is_running:
        yield _row("", f"waiting: {printable(account.trouble.reason)}")


def _target_lines(name: str, target: TargetStatus, now: datetime, *, runs: bool) -> Iterator[str]:
    sent = "nothing sent yet" if target.sent_at is None else f"last sent {_time(target.sent_at, now)}"
    yield _row("publish", f"{name}: {sent}")
    if runs and (failure := target.failure) is not None:
        yield _row("", f"failing since {_time(failure.at, now)}: {printable(failure.reason)}")
        yield from _wrapped(failure.advice)


def _counts_today(account: AccountStatus, status: Status, now: datetime) -> tuple[int, int]:
    """Requests and rate-limit pauses of today; none if the status is of another day."""
    is_of_today = status.today == str(now.date())
    return (account.requests_today, account.holds_today) if is_of_today else (0, 0)


def _service(status: Status, now: datetime) -> str:
    from collector.service.systemd import unit_files

    if status.is_running:
        work = f", {counted(status.jobs, 'job')} in progress" if status.jobs else ""
        upcoming = "" if status.next_run_at is None else f", next run {_time(status.next_run_at, now)}"
        since = _time(status.started_at, now)
        return _row("service", f"running since {since} (process {status.pid}){work}{upcoming}")
    if any(meter.is_held for meter in status.meters.values()):
        return _row("service", "not running; another command is collecting")
    hint = "; see `systemctl status shelly-collector`" if unit_files() else ""
    return _row("service", f"not running{hint}")


def _meter_lines(name: str, meter: MeterStatus, now: datetime, *, colour: bool) -> Iterator[str]:
    state = f"\x1b[{_COLOURS[meter.state]}m{meter.state}\x1b[0m" if colour else meter.state
    newest = "no data stored yet"
    if meter.newest_hour is not None:
        ended = _time(meter.newest_hour + _HOUR_S, now)
        newest = f"last complete hour ended {ended} ({age_in_words(meter.age_s)} ago)"
    yield f"{name}: {state}, {newest}"
    if meter.reason:
        yield _row("", printable(meter.reason))
    if meter.unknown_zone is not None:
        yield _row("zone", f"{meter.unknown_zone} is unknown to this machine; {meter.zone} is used instead")
        yield from _wrapped(CURES["zone.unknown"])
    elif meter.zone is not None and now.utcoffset() != now.astimezone(meter.zone).utcoffset():
        yield _row("zone", f"days are those of {meter.zone}")
    yield _row("today", f"{meter.hours_today} of {meter.hours_over} completed hours stored")
    counts = Counter(meter.states.values())
    del counts[DayState.TODAY]
    parts = [
        f"{counts[each]} {_words(each)}" for each in DayState if counts[each] or each is DayState.COMPLETE
    ]
    yield _row("days", f"{', '.join(parts)}, since {min(meter.states)}")
    if meter.beginning is not None:
        yield _row("", f"the cloud's data seem to begin on {meter.beginning}")
    if deleted := forgotten(max(meter.states), meter.states):
        yield _row("", f"{counted(deleted, 'complete day')} only in this archive (deleted by the cloud)")
    # Without the newest hour: its scheduled run may be yet to come.
    late = meter.missing_hours - (meter.age_s is not None and meter.age_s >= _HOUR_S)
    if late > 0:
        yield _row("missing", f"{counted(late, 'hour')} without data")
    if meter.expiring:
        yield _row(
            "at risk",
            f"{counted(len(meter.expiring), 'day')} from {meter.expiring[0]} on: "
            f"not complete, and deleted by the cloud within {EXPIRING_DAYS} days",
        )
    if meter.quarantined:
        yield _row("aside", f"{counted(meter.quarantined, 'damaged file')} in quarantine")
    if meter.answered_at is not None:
        yield _row("success", _time(meter.answered_at, now))
    if (failure := meter.failure) is not None and _matters(failure, meter, int(now.timestamp())):
        yield _row("error", f"{_time(failure.at, now)}, {failure.event}: {printable(failure.reason)}")
        yield from _wrapped(failure.advice)


def _matters(failure: Failure, meter: MeterStatus, now: int) -> bool:
    """Whether to show an error: for a day, and as long as nothing has succeeded since."""
    if meter.answered_at is None or now - _RECENT_S <= failure.at <= now:
        return True
    return meter.answered_at <= failure.at <= now  # a time in the future comes from a wrong clock


def _calendar(states: Mapping[date, DayState], first: date, *, ascii_only: bool, colour: bool) -> list[str]:
    """The lines: a ruler, and a row for each month since that of `first`; days without a state are blank."""
    months: dict[str, list[str]] = {}
    for day, state in states.items():
        if day >= first:
            sign, code = SIGNS[state][ascii_only], SIGNS[state][2]
            row = months.setdefault(f"{day:%Y-%m}", [" "] * 31)
            row[day.day - 1] = f"\x1b[{code}m{sign}\x1b[0m" if colour and code else sign
    rows = [f"{month}  {''.join(row).rstrip()}" for month, row in months.items()]
    return [_RULER, *rows] if rows else []


def _a_year_before(day: date) -> date:
    """The first day of the eleventh month before: twelve rows."""
    months = day.year * 12 + day.month - 1 - 11
    return date(months // 12, months % 12 + 1, 1)


def _time(ts: int, now: datetime) -> str:
    """The local time in the zone of `now`, with the date if it is not today."""
    moment = datetime.fromtimestamp(ts, now.tzinfo)
    return f"{moment:%H:%M}" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M}"


def _words(state: DayState) -> str:
    return state.value.replace("_", " ")


def _row(label: str, text: str) -> str:
    return f"{label:<9}{text}"


def _wrapped(text: str) -> Iterator[str]:
    from textwrap import wrap

    yield from (_row("", line) for line in wrap(printable(text), _WIDTH))
