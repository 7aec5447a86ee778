"""`shelly-collector backfill`: today and the days before it, once, newest first.

What it has in common with `reread` is here, too. Where the service has the archive, it does the work.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO, cast

from collector.archive.folder import obstacle_in_the_way, survey
from collector.archive.mark import Remembered, mark_for, missing, remembered_for_others
from collector.cli import exits, in_service, starting
from collector.energy.days import date_in, system_timezone, wall_clock
from collector.errors import CommandRefused
from collector.events import CURES
from collector.status import counted

if TYPE_CHECKING:
    from collector.cloud.meters import Meter
    from collector.service.backfill import DayDone, Rehearsal, Report, Reread, Scope
    from collector.service.control import Options, Running, SendProgress
    from collector.settings import LogLevel, Settings


_CLEAR = "\r\x1b[K"
_BAR = 20
_FEW_DAYS = 8  # until then the time left is that of the plan


class Progress(io.TextIOBase):
    """A line of progress on a terminal, and the stream for the log, which is written above that line."""

    def __init__(self, stream: TextIO, days: int, expected_s: float) -> None:
        """`days`: the most to collect; `expected_s`: how long that takes at the allowed request rate."""
        self._stream = stream
        self._days = days
        self._expected_s = expected_s
        self._done = 0
        self._began_at: float | None = None  # loop time of the first day that was done
        self._line = ""
        self.shown = stream.isatty()
        if days:
            self._draw(f"0/{days} days, {_left(expected_s)} left")

    @property
    def left(self) -> int:
        """How many days are not done."""
        return max(0, self._days - self._done)

    def advance_from(self, progress: Options) -> None:
        """The same as `advance`, for what a service sends."""
        from collector.service.backfill import DayDone

        self.advance(DayDone(**{**progress, "day": date.fromisoformat(progress["day"])}))

    def advance(self, done: DayDone) -> None:
        """Counts one more day and shows it."""
        import asyncio

        now = asyncio.get_running_loop().time()
        began_at = self._began_at = now if self._began_at is None else self._began_at
        per_day_s = (now - began_at) / self._done if self._done else 0.0
        speed = f"{60 / per_day_s:.0f} a minute, " if per_day_s else ""
        self._done += 1
        left_s = self.left * (per_day_s if self._done > _FEW_DAYS else self._expected_s / max(self._days, 1))
        share = min(1.0, self._done / max(self._days, 1))
        pauses = f", {counted(done.holds, 'rate-limit pause')}" if done.holds else ""
        bar = "#" * round(share * _BAR)
        self._draw(
            f"{done.meter} {done.day} [{bar:.<{_BAR}}] {self._done}/{self._days} days, {speed}"
            f"{_left(left_s)} left{pauses}, {done.requests} requests"
        )

    def write(self, text: str) -> int:
        """Writes log text above the line."""
        if self.shown and self._line:
            self._stream.write(_CLEAR + text + (self._line if text.endswith("\n") else ""))
        else:
            self._stream.write(text)
        return len(text)

    def as_text(self) -> TextIO:
        """Itself, as the type that loggers need."""
        return cast(TextIO, self)

    def flush(self) -> None:
        """Flushes the stream below."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Whether the stream below is a terminal."""
        return self.shown

    def clear(self) -> None:
        """Removes the line."""
        if self._line:
            self._stream.write(_CLEAR)
            self._stream.flush()
        self._line = ""

    def _draw(self, line: str) -> None:
        if self.shown:
            self._line = line[: shutil.get_terminal_size().columns - 1]
            self._stream.write(_CLEAR + self._line)
            self._stream.flush()


def _left(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


_OUTCOMES = {"written": "complete", "partial": "incomplete so far"}  # in words; the others as they are
_MOST_DAYS = 1095
_SERVICE_CONTINUES = "The service continues by itself with the other days; `status` shows how it goes."
_DEFAULT_ODIR = "~/.shellyemdata"
_TO_BE_PROVEN = (
    "its day files have no mark. First up to five of their days are compared with the cloud; if they are "
    "another meter's, nothing is done, and the exit code is 73."
)
_METER_FLAGS = (
    "host", "id", "auth_key", "odir", "kind", "solar", "pv_id", "grid_scale_factor", "pv_kwh_discard",
)  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    """The options: for a configuration file, or the flags of the older utility."""
    file = parser.add_argument_group("with a configuration file")
    file.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    file.add_argument("--meter", action="append", metavar="NAME", help="only this meter (default: all)")
    flags = parser.add_argument_group("without a configuration file, one meter only")
    flags.add_argument("--host", help="the account's server, as the app shows it")
    flags.add_argument("--id", help="device id")
    flags.add_argument(
        "--auth_key",
        "--auth-key",
        metavar="KEY",
        help="the account's key. Other users of this machine can read it in the list of processes: use "
        "SHELLY_COLLECTOR_AUTH_KEY or a configuration file to keep it private",
    )
    flags.add_argument("--odir", metavar="DIR", help=f"folder of the day files (default: {_DEFAULT_ODIR})")
    flags.add_argument(
        "--kind",
        choices=("em", "3em"),
        help="em: an EM or Pro EM-50, with clamps; 3em: a 3EM or Pro 3EM, with three phases "
        "(default: em; 3em with --pv_id)",
    )
    flags.add_argument(
        "--no-solar", "--no_solar", dest="solar", action="store_const", const=False,
        help="there is no solar clamp: half as many requests",
    )  # fmt: skip
    flags.add_argument(
        "--pv_id", "--pv-id", metavar="ID", help="device id of a second 3EM, which measures solar"
    )
    flags.add_argument(
        "--grid_scale_factor", "--grid-scale-factor", metavar="N", help="multiply import and export by N"
    )
    flags.add_argument(
        "--pv_kwh_discard", "--pv-kwh-discard", metavar="X",
        help="subtract X kWh from each solar hour, never below zero",
    )  # fmt: skip
    span = parser.add_argument_group("how far back")
    depth = span.add_mutually_exclusive_group()
    depth.add_argument(
        "--days", type=_days, default=30, metavar="N", help="full days before today (default: 30)"
    )
    depth.add_argument("--all", action="store_true", help="all that the cloud keeps: three years")
    depth.add_argument(
        "--since", type=starting.a_date, metavar="DATE", help="start at DATE; request empty days too"
    )
    span.add_argument("--until", type=starting.a_date, metavar="DATE", help="end at DATE (default: today)")
    parser.add_argument(
        "--adopt",
        action="store_true",
        help="use a folder that contains days of another or an unknown meter (a replaced device, other "
        "clamps), or create a new archive where an old one is missing",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show the plan (days, maximum number of requests, duration) and exit; needs no key",
    )
    parser.add_argument("--json", action="store_true", help="print a report as JSON at the end")
    parser.add_argument("--verbose", action="store_true", help="log at level debug")


def run(options: argparse.Namespace) -> int:
    """Collects; returns 0 if all days were fetched, 1 if some or all were not, and prints which or why."""
    from collector.service.backfill import Scope

    scope = Scope(None if options.all else options.days, options.since, options.until)
    check_range(scope)
    return collected("backfill", partial(_settings, options), scope, options, adopt=options.adopt)


def check_range(scope: Scope | Reread) -> None:
    """Refuses a range that ends before it begins."""
    if scope.since and scope.until and scope.until < scope.since:
        raise starting.Refused(exits.USAGE, f"--until {scope.until} is before --since {scope.since}")


class Load(Protocol):
    """Reads the settings; without the keys where the running service does the work."""

    def __call__(self, *, needs_keys: bool) -> Settings: ...


def collected(
    command: str, load: Load, scope: Scope | Reread, options: argparse.Namespace, *, adopt: bool
) -> int:
    """Collects the days of `scope`, in the running service if it has the archive, or shows the plan.

    Returns the exit code.
    """
    from collector.service.backfill import Report
    from collector.service.control import find_service

    settings = load(needs_keys=False)
    try:
        if options.dry_run:
            return _rehearse(settings, scope, as_json=options.json, adopt=adopt)
        plans = _plans(settings, scope, adopt=adopt)  # takes a while; the service waits 5 s for a command
        service = None if settings.source is None else find_service(settings.archive, os.environ)
        if service is None:
            settings = load(needs_keys=True)
        progress = Progress(sys.stderr, sum(len(plan.days) for plan in plans), expected_s(settings, plans))
        try:
            if service is None:
                report = _collect(settings, scope, progress, verbose=options.verbose, adopt=adopt)
                result = _result(
                    report, [meter.name for meter in settings.meters], settings, as_json=options.json
                )
            else:
                meters = in_service.meters_as_options(settings)
                sent = {**_as_options(scope), "meters": meters, "json": options.json, "adopt": adopt}
                result = in_service.handed_over(
                    service, command, sent, progress.advance_from, _SERVICE_CONTINUES
                )
                if options.json and not result.output and result.code != exits.CANNOT_CREATE:
                    early = Report(interrupted=True, left=progress.left)
                    result.output.append(json.dumps(_as_dict(early) | {"without_data": []}))
        finally:
            progress.clear()
    except OSError as error:
        raise starting.unreadable(error, settings.archive) from None
    return in_service.shown(result)


def _as_options(scope: Scope | Reread) -> dict[str, Any]:
    """The scope as options for the service."""
    from collector.service.backfill import Scope

    days = [None if day is None else day.isoformat() for day in (scope.since, scope.until)]
    return {"since": days[0], "until": days[1], **({"days": scope.days} if isinstance(scope, Scope) else {})}


async def carried_out(running: Running, options: Options, progress: SendProgress) -> in_service.Result:
    """A backfill in the running service."""
    from collector.service.backfill import Scope

    days = options.get("days")
    if days is not None and not (type(days) is int and 0 <= days <= _MOST_DAYS):
        raise CommandRefused(f"A number of days from 0 to {_MOST_DAYS} is expected.")
    return await carried_out_by(running, Scope(days, *dates_of(options)), options, progress)


def dates_of(options: Options) -> tuple[date | None, date | None]:
    """The first and the last day in a command to the service. Raises `CommandRefused`."""
    try:
        since, until = options["since"], options["until"]
        return since and date.fromisoformat(since), until and date.fromisoformat(until)
    except (LookupError, TypeError, ValueError):
        raise CommandRefused("The command needs two dates, `since` and `until`.") from None


async def carried_out_by(
    running: Running, scope: Scope | Reread, options: Options, progress: SendProgress
) -> in_service.Result:
    """Collects the days of `scope` in the running service."""
    from collector.service.backfill import requested

    names = in_service.meters_of(running, options)
    report = await requested(
        running,
        names,
        scope,
        lambda done: progress({**done._asdict(), "day": str(done.day)}),
        adopt=options.get("adopt") is True,
    )
    return _result(
        report, names, running.settings, as_json=options.get("json") is True, then=_SERVICE_CONTINUES
    )


def _settings(options: argparse.Namespace, *, needs_keys: bool) -> Settings:
    given = [name for name in _METER_FLAGS if getattr(options, name) is not None]
    if not given:
        settings = starting.settings_from_file(options.config, needs_keys=needs_keys)
        return starting.only_meters(settings, options.meter)
    if options.config or options.meter:
        flag = "no-solar" if given[0] == "solar" else given[0]
        raise starting.Refused(exits.USAGE, f"--{flag} cannot be combined with --config or --meter")
    from collector.settings import from_flags

    values = {name: getattr(options, name) for name in _METER_FLAGS}
    if values["odir"] is None:
        values["odir"] = _DEFAULT_ODIR
    return starting.checked(lambda: from_flags(os.environ, needs_key=needs_keys, **values))


def _rehearse(settings: Settings, scope: Scope | Reread, *, as_json: bool, adopt: bool) -> int:
    remembered = _remembered(settings)
    for meter in settings.meters:  # raises if it is another meter's, or of a newer format
        folder = settings.folder_of(meter)
        mark_for(folder, None if adopt else meter.identity)
        if not adopt and (refusal := missing(folder, remembered)) is not None:
            raise refusal
    plans = _plans(settings, scope, adopt=adopt)
    if reason := _why_it_cannot_start(settings):
        raise starting.Refused(exits.CANNOT_CREATE, reason)
    if as_json:
        print(json.dumps([plan.as_dict() for plan in plans]))
        return exits.DONE
    for plan in plans:
        span = f", {min(plan.days)} to {max(plan.days)}" if plan.days else ""  # not in the order of requests
        print(
            f"{plan.meter}: {counted(len(plan.days), 'day')}{span}; at most "
            f"{counted(plan.requests, 'request')}, about {_duration(plan.duration_s)}"
        )
        if plan.must_be_proven:
            print(f"{plan.meter}: {_TO_BE_PROVEN}")
        if plan.not_requested is not None:
            print(_left_out(plan.meter, plan.not_requested))
    return exits.DONE


def _plans(settings: Settings, scope: Scope | Reread, *, adopt: bool) -> list[Rehearsal]:
    from collector.service.backfill import rehearsed

    now = wall_clock()
    return [plan for each in settings.accounts for plan in rehearsed(settings, each, scope, now, adopt=adopt)]


def expected_s(settings: Settings, plans: list[Rehearsal]) -> float:
    """How long all of it takes: accounts are requested at the same time, the meters of one in turn."""
    duration_s = {plan.meter: plan.duration_s for plan in plans}
    of_accounts = (sum(duration_s[meter.name] for meter in each.meters) for each in settings.accounts)
    return max(of_accounts, default=0.0)


def _remembered(settings: Settings) -> Remembered:
    in_file = settings.source is not None  # a folder named by flags is not the service's
    return remembered_for_others(settings.archive, os.environ) if in_file else Remembered()


def _why_it_cannot_start(settings: Settings) -> str:
    """Why the archive cannot be used; empty if no reason is found.

    Write permission is not checked if a configuration names the archive: it is the service's then.
    """
    archive = settings.archive
    if reason := obstacle_in_the_way(archive):
        return f"{reason}: name another one"
    place = archive if archive.exists() else archive.absolute().parent
    if not place.exists():
        return f"{place} does not exist: mount the disk or create the folder, then run the command again"
    if settings.source is None and not os.access(place, os.W_OK | os.X_OK):
        return f"No write permission for {place}: name another folder, or change its owner or mode"
    return ""


def _collect(
    settings: Settings, scope: Scope | Reread, progress: Progress, *, verbose: bool, adopt: bool
) -> Report:
    import asyncio

    from collector.service.backfill import backfill

    level: LogLevel | None = "debug" if verbose else "warning" if progress.shown else None
    starting.set_up_logs(settings, progress.as_text(), level)
    remembered = _remembered(settings)

    async def main() -> Report:
        interrupt = asyncio.Event()
        starting.on_signals(interrupt)
        return await backfill(
            settings, scope, wall_clock, interrupt, progress.advance, remembered=remembered, adopt=adopt
        )

    return asyncio.run(main())


def _result(
    report: Report, meters: list[str], settings: Settings, *, as_json: bool, then: str = starting.CONTINUE
) -> in_service.Result:
    """What is printed of a backfill or reread of these meters, and the exit code."""
    silent = [meter for meter in _without_data(settings, report) if meter.name in meters]
    output = [json.dumps(_as_dict(report) | {"without_data": [meter.name for meter in silent]})] * as_json
    summary, *errors = lines_of(report, then, of_many=len(settings.accounts) > 1)
    (errors.insert if as_json else output.insert)(0, summary)
    errors += [_what_may_be_wrong(meter) for meter in silent]
    return in_service.Result(_exit_code(report) or (exits.IN_PART if silent else exits.DONE), output, errors)


def _without_data(settings: Settings, report: Report) -> list[Meter]:
    """The meters without any data in the cloud: past days are empty, and no day is stored.

    Days that an earlier backfill found empty count too, because they are not requested again at once.
    """
    if report.interrupted or report.gave_up is not None:
        return []
    silent = []
    for meter in settings.meters:
        folder = settings.folder_of(meter)
        if meter.name in report.failures or any(folder.glob("*.jsonl")):
            continue
        known, zone, _ = survey(folder, settings.day_format)
        today = date_in(zone or meter.zone_or(system_timezone(os.environ)), wall_clock())
        if any(state.is_empty for day, state in known.items() if day < today):
            silent.append(meter)
    return silent


def _what_may_be_wrong(meter: Meter) -> str:
    channel = "" if meter.kind == "3em" else f"grid_channel = {meter.grid_channel} is not the clamp, or "
    return (
        f"{meter.name}: the cloud has no data for any of the requested days. Perhaps the meter is of another "
        f"kind than {meter.kind} (--kind, or kind in the configuration), or {channel}it was not online on "
        "these days (check it in the app; --since goes further back), or the host is that of another region: "
        "compare it with the server that the app shows beside the key."
    )


def lines_of(report: Report, then: str = starting.CONTINUE, *, of_many: bool = False) -> Iterator[str]:
    """The summary, and what else a person should know; `then`: what follows an early end.

    `of_many`: there are several accounts, so that those with an outage are named.
    """
    counts = ", ".join(
        f"{count} {_OUTCOMES.get(outcome, outcome)}"
        for outcome, count in sorted(report.counts.items())
        if count
    )
    if report.left:
        counts += f"{', ' * bool(counts)}{report.left} not requested"
    days = sum(report.counts.values()) + report.left
    yield (
        f"{counted(days, 'day')}: {counts or 'none to request'}. {report.requests} requests, "
        f"{counted(report.holds, 'rate-limit pause')}, {_duration(report.duration_s)}."
    )
    for meter, beginning in report.beginnings.items():
        yield f"{meter}: the cloud's data seem to begin on {beginning}."
    for meter, since in report.not_requested.items():
        yield _left_out(meter, since)
    for meter, failures in report.failures.items():
        for day, reason in sorted(failures.items(), reverse=True):
            yield f"{meter} {day}: {reason}"
        if any(reason.startswith("zone.unknown") for reason in failures.values()):
            yield CURES["zone.unknown"]
    for meter, refusal in report.refused.items():
        yield f"{meter}: {refusal}."
    if of_many and report.outages:
        yield from starting.advice_on_each(report.outages, then)
    elif report.gave_up is not None:
        yield starting.advice_on(report.gave_up, then)
    if report.interrupted:
        yield f"Interrupted. {starting.CONTINUE}"


def _left_out(meter: str, since: date) -> str:
    return (
        f"{meter}: days before {since} are not requested: the archive held another meter until then. "
        "--since DATE requests them."
    )


def _as_dict(report: Report) -> dict[str, Any]:
    return {
        "days": {outcome.value: count for outcome, count in sorted(report.counts.items())},
        "left": report.left,
        "failures": [
            {"meter": meter, "day": day.isoformat(), "reason": reason}
            for meter, failures in report.failures.items()
            for day, reason in sorted(failures.items())
        ],
        "beginnings": {meter: day.isoformat() for meter, day in sorted(report.beginnings.items())},
        "not_requested": {meter: day.isoformat() for meter, day in sorted(report.not_requested.items())},
        "requests": report.requests,
        "holds": report.holds,
        "duration_s": round(report.duration_s, 3),
        "interrupted": report.interrupted,
        "refused": {meter: str(refusal) for meter, refusal in report.refused.items()},
        "gave_up": None if report.gave_up is None else str(report.gave_up),
        "outages": {name: str(error) for name, error in sorted(report.outages.items())},
    }


def _exit_code(report: Report) -> int:
    if report.interrupted:
        return exits.INTERRUPTED
    if report.gave_up is not None:
        return starting.code_of(report.gave_up)
    if report.refused:
        return starting.code_of(next(iter(report.refused.values())))
    return exits.IN_PART if report.failures or report.left else exits.DONE


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _days(text: str) -> int:
    with suppress(ValueError):
        if 0 <= (days := int(text)) <= _MOST_DAYS:
            return days
    raise argparse.ArgumentTypeError(f"must be a number from 0 to {_MOST_DAYS}: the cloud keeps three years")
