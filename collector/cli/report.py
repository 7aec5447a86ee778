"""`shelly-collector report`: sums per day, week, month or year, as a table, for programs, or as a page."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from collector.cli import exits, starting
from collector.energy.days import system_timezone, wall_clock
from collector.energy.totals import NO_HOURS, Period, Totals, totals_by
from collector.overview import History, history_of
from collector.status import counted

if TYPE_CHECKING:
    from collector.settings import Settings

_SHOWN = {Period.DAY: 31, Period.WEEK: 84, Period.MONTH: 365, Period.YEAR: None}
"""How many days back a table begins, in whole periods, if no first day is given."""
_BAR = 12
_COLOURS = ("33", "34")  # of the bar's part from solar, and from the grid
_SIGNS = {True: ("#", "-"), False: ("█", "░")}  # the same by signs; in ASCII, or not
_DAY = timedelta(days=1)
_HEADINGS = "   import   export    solar  consumed   own  self "
_RATE = Decimal("0.0001")
_CSV = ("import_kwh", "export_kwh", "solar_kwh", "solar_used_kwh", "consumption_kwh", "self_consumption",
        "self_sufficiency", "stored_hours", "whole_hours", "expected_hours")  # fmt: skip


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--meter", action="append", metavar="NAME", help="only this meter (default: all)")
    parser.add_argument(
        "--by",
        choices=[each.value for each in Period],
        default=Period.MONTH.value,
        help="what is summed: day, week (ISO: Monday to Sunday), month or year (default: %(default)s)",
    )
    parser.add_argument(
        "--since",
        type=starting.a_date,
        metavar="DATE",
        help="the first day (default: 31 days ago by day, 12 weeks, 12 months, or all by year)",
    )
    parser.add_argument("--until", type=starting.a_date, metavar="DATE", help="the last day (default: today)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print the sums as JSON")
    form.add_argument("--csv", action="store_true", help="print the sums as CSV")
    form.add_argument(
        "--html",
        type=Path,
        metavar="FILE",
        help="write the page with the hours of these years into one file, which opens without a server; - "
        "for standard output",
    )


def run(options: argparse.Namespace) -> int:
    """Prints the sums of each meter; returns 0, also if nothing is stored yet."""
    settings = starting.only_meters(
        starting.settings_from_file(options.config, needs_keys=False), options.meter
    )
    if options.since and options.until and options.since > options.until:
        raise starting.Refused(exits.USAGE, "--since is after --until")
    starting.check_archive(settings.archive)
    try:
        histories = _histories(settings)
        if options.html is not None:
            return _write_page(histories, options)
        reports = [_report(each, options) for each in histories]
    except OSError as error:
        raise starting.unreadable(error, settings.archive) from None
    if options.json:
        print(as_json(reports))
    elif options.csv:
        print(as_csv(reports), end="")
    else:
        print("\n".join(as_lines(reports, sys.stdout, os.environ)))
    return exits.DONE


def _histories(settings: Settings) -> list[History]:
    zone, now = system_timezone(os.environ), wall_clock()
    return [history_of(files, zone, now) for files in settings.files.meters]


@dataclass(frozen=True, slots=True)
class MeterReport:
    """The sums of one meter by `period`, oldest first, and what they add up to; days `[first, last]`."""

    history: History
    period: Period
    first: date
    last: date
    sums: Mapping[str, Totals]

    @property
    def total(self) -> Totals:
        return reduce(add, self.sums.values(), NO_HOURS)


def _report(history: History, options: argparse.Namespace) -> MeterReport:
    period, today = Period(options.by), max(history.states)
    oldest = min(history.stored, default=today)
    first = max(oldest, options.since or _usual_first(period, today) or oldest)
    last = min(today, options.until or today)
    days = history.days(first, last + _DAY)
    sums = totals_by(days, period, no_solar=history.files.meter.has_no_solar)
    return MeterReport(history, period, first, last, sums)


def _usual_first(period: Period, today: date) -> date | None:
    """The first day of the first period that is shown, if none was given; `None` for all."""
    if (back := _SHOWN[period]) is None:
        return None
    first = today - timedelta(days=back - 1)
    if period is Period.MONTH:  # the month after the same one of the year before
        months = today.year * 12 + today.month - 1 - 11
        return date(months // 12, months % 12 + 1, 1)
    return first - timedelta(days=first.weekday()) if period is Period.WEEK else first


def as_json(reports: Sequence[MeterReport]) -> str:
    """The sums for programs: kWh and rates with fixed decimals; unknown values are null."""
    return f'{{"meters": [{", ".join(map(_meter_json, reports))}]}}'


def _meter_json(report: MeterReport) -> str:
    head = {
        "meter": report.history.files.meter.name,
        "timezone": report.history.zone.key,
        "by": report.period,
        "since": report.first.isoformat(),
        "until": report.last.isoformat(),
    }
    periods = ", ".join(
        f'{{"period": {json.dumps(name)}, {_fields(sums)}}}' for name, sums in report.sums.items()
    )
    return f'{json.dumps(head)[:-1]}, "periods": [{periods}], "total": {{{_fields(report.total)}}}}}'


def _fields(sums: Totals) -> str:
    from collector.web.api import energy_fields, number

    rates = ((name, getattr(sums, name)) for name in ("self_consumption", "self_sufficiency"))
    shown = ", ".join(f'"{name}": {number(rate and rate.quantize(_RATE), 4)}' for name, rate in rates)
    hours = ", ".join(
        f'"{name}": {getattr(sums, name)}' for name in ("stored_hours", "whole_hours", "expected_hours")
    )
    return f"{energy_fields(sums)}, {shown}, {hours}"


def as_csv(reports: Sequence[MeterReport]) -> str:
    """The sums as CSV, a line for each meter and period; unknown values are empty."""
    from collector.export.csv_file import row

    lines = [row(("meter", "period", *_CSV))]
    for report in reports:
        for name, sums in report.sums.items():
            values = json.loads(f"{{{_fields(sums)}}}", parse_float=Decimal)
            lines.append(row((report.history.files.meter.name, name, *(values[each] for each in _CSV))))
    return "".join(lines)


def as_lines(reports: Sequence[MeterReport], stream: TextIO, environ: Mapping[str, str]) -> Iterator[str]:
    """A table for each meter, for `stream`: 80 columns, in colour on a terminal."""
    colour = stream.isatty() and not environ.get("NO_COLOR")
    ascii_only = "utf" not in (stream.encoding or "").lower()
    for number, report in enumerate(reports):
        if number:
            yield ""
        yield from _table(report, colour=colour, ascii_only=ascii_only)


def _table(report: MeterReport, *, colour: bool, ascii_only: bool) -> Iterator[str]:
    meter, total = report.history.files.meter, report.total
    head = f"{meter.name}: {report.first} to {report.last}, {report.history.zone.key}, kWh"
    if not report.history.stored:
        yield f"{meter.name}: no data stored yet"
        return
    yield head
    yield f"{report.period:<10}{_HEADINGS}{'':{_BAR}} missing"
    most = max((each.consumption_kwh or Decimal(0) for each in report.sums.values()), default=Decimal(0))
    for name, sums in report.sums.items():
        yield _row(name, sums, _bar(sums, most, colour=colour, ascii_only=ascii_only))
    yield _row("total", total, " " * _BAR)
    solar, grid = _SIGNS[ascii_only]
    if not meter.has_no_solar:
        yield "own: solar used here of all solar; self: solar used here of the consumption;"
        yield f"bars: consumption, from solar {solar} and from the grid {grid}"
    missing = total.expected_hours - total.stored_hours
    if missing > 0:
        yield (
            f"{counted(missing, 'hour')} of {total.expected_hours} without data: they are in no sum "
            "(`status` shows which days)"
        )
    if without := total.stored_hours - total.whole_hours:
        yield f"{counted(without, 'hour')} without solar data: in import and export only"


def _row(name: str, sums: Totals, bar: str) -> str:
    missing = sums.expected_hours - sums.stored_hours
    return (
        f"{name:<10}{_kwh(sums.import_kwh):>9}{_kwh(sums.export_kwh):>9}{_kwh(sums.solar_kwh):>9}"
        f"{_kwh(sums.consumption_kwh):>10}{_percent(sums.self_consumption):>6}"
        f"{_percent(sums.self_sufficiency):>6} {bar}{f'{missing} h' if missing > 0 else '':>7}"
    ).rstrip()


def _bar(sums: Totals, most: Decimal, *, colour: bool, ascii_only: bool) -> str:
    """The consumption, as long as its part of `most`: first what came from solar, then from the grid."""
    consumption = sums.consumption_kwh or Decimal(0)
    length = round(consumption / most * _BAR) if most else 0
    of_solar = round(length * (sums.self_sufficiency or Decimal(0)))
    parts = (of_solar, length - of_solar)
    text = "".join(
        f"\x1b[{code}m{sign * part}\x1b[0m" if colour and part else sign * part
        for sign, part, code in zip(_SIGNS[ascii_only], parts, _COLOURS, strict=True)
    )
    return text + " " * (_BAR - length)


def _kwh(value: Decimal | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 10_000 else f"{value:.0f}"


def _percent(rate: Decimal | None) -> str:
    return "-" if rate is None else f"{rate * 100:.0f}%"


def _write_page(histories: Sequence[History], options: argparse.Namespace) -> int:
    from collector.archive.files import replace_file
    from collector.web.one_file import one_file
    from collector.web.site import STATIC

    data = _page_data(histories, options.since or date.min, options.until or date.max)
    page = one_file(STATIC, data)
    if str(options.html) == "-":
        print(page, end="")
        return exits.DONE
    try:
        replace_file(options.html, page.encode())
    except OSError as error:
        raise starting.Refused(
            exits.CANNOT_SAVE, f"{options.html} cannot be written: {error.strerror}"
        ) from None
    print(f"Written: {options.html}. Open it in a browser; it needs no network.")
    return exits.DONE


def _page_data(histories: Sequence[History], first: date, last: date) -> str:
    """What the page shows without a server, as JSON: all hours of the years with a day in `[first, last]`."""
    from collector.web.api import hours_text, meters_json, years_of

    meters = []
    for each in histories:
        years = (year for year in years_of(each) if first.year <= year <= last.year)
        hours = ", ".join(f'"{year}": {hours_text(each, year)}' for year in years)
        meters.append(f"{json.dumps(each.files.meter.name)}: {{{hours}}}")
    written = int(wall_clock().timestamp())
    head = f'"meters": {meters_json(histories)}, "status": null, "written": {written}'
    return f'{{{head}, "hours": {{{", ".join(meters)}}}}}'
