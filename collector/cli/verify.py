"""`shelly-collector verify`: checks every stored file: its format, its checksum, and against the cloud."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from collector.cli import exits, starting
from collector.errors import ArchiveError

if TYPE_CHECKING:
    from datetime import date

    from collector.archive.mark import Remembered
    from collector.cloud.meters import Meter
    from collector.settings import Settings
    from collector.verify.report import MeterReport


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--meter", action="append", metavar="NAME", help="only this meter (default: all)")
    parser.add_argument("--odir", metavar="DIR", help="a folder of day files, without a configuration")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument(
        "--fix",
        action="store_true",
        help="move files with findings to the quarantine folder, so that their days are fetched again; "
        "stop the service first",
    )
    parser.add_argument(
        "--cloud",
        action="store_true",
        help="compare with the cloud's daily totals (one request per 30 days and clamp or phase); days "
        "that differ are fetched again in the next run; stop the service first",
    )


def run(options: argparse.Namespace) -> int:
    """Checks the archive; returns 0 if there are no findings, 1 if there are."""
    from collector.verify.report import as_dict, as_lines

    try:
        settings = _settings(options)
    except starting.Refused as refusal:
        return starting.refused(refusal)
    remembered = _remembered(settings, options)
    try:
        if options.fix or options.cloud:
            _check_there(settings, remembered)
        reports = (
            _with_cloud(settings, options, remembered)
            if options.cloud
            else _from_files(settings, options, remembered)
        )
    except ArchiveError as error:
        print(error, file=sys.stderr)
        return starting.code_of(error)
    except OSError as error:
        if isinstance(error, PermissionError) or not (options.fix or options.cloud):
            return starting.refused(starting.unreadable(error, settings.archive))
        print(f"{error.filename or settings.archive}: {error.strerror}", file=sys.stderr)
        return exits.CANNOT_SAVE
    if options.json:
        print(json.dumps(as_dict(reports)))
    else:
        print("\n".join(as_lines(reports)))
    return _exit_code(reports)


def _remembered(settings: Settings, options: argparse.Namespace) -> Remembered:
    """Where archives were before; not known for a folder without a configuration."""
    from collector.archive.mark import Remembered, remembered_for_others

    return Remembered() if options.odir is not None else remembered_for_others(settings.archive, os.environ)


def _check_there(settings: Settings, remembered: Remembered) -> None:
    """Raises `ArchiveRefused` if any archive is missing, before the first one is changed."""
    from collector.archive.mark import missing

    for meter in settings.meters:
        if (refusal := missing(settings.folder_of(meter), remembered)) is not None:
            raise refusal


def _settings(options: argparse.Namespace) -> Settings:
    if options.odir is None:
        load = starting.settings_from_file if options.cloud else starting.settings_without_keys
        settings = starting.only_meters(load(options.config), options.meter)
    elif options.config or options.meter or options.cloud:
        raise starting.Refused(exits.USAGE, "--odir cannot be combined with --config, --meter or --cloud")
    else:
        settings = _settings_of(options.odir)
    try:
        is_there = settings.archive.is_dir()
    except OSError as error:
        raise starting.unreadable(error, settings.archive) from None
    if not is_there:
        raise starting.Refused(exits.CANNOT_CREATE, f"{settings.archive}: no such folder")
    return settings


def _settings_of(odir: str) -> Settings:
    """Settings for a folder alone; no request is sent, so account and device are placeholders."""
    from collector.settings import from_flags

    return starting.checked(
        lambda: from_flags({}, host="shelly.invalid", id="000000000000", auth_key="no-key-needed", odir=odir)
    )


def _from_files(settings: Settings, options: argparse.Namespace, remembered: Remembered) -> list[MeterReport]:
    if options.fix:
        starting.set_up_logs(settings, sys.stderr)
    return [_report(settings, meter, options, remembered) for meter in settings.meters]


def _report(
    settings: Settings, meter: Meter, options: argparse.Namespace, remembered: Remembered
) -> MeterReport:
    from collector.archive.mark import missing
    from collector.energy.days import system_timezone, wall_clock
    from collector.verify.files import NOTHING_THERE, Finding, inspect
    from collector.verify.repair import repair
    from collector.verify.report import MeterReport

    folder = settings.folder_of(meter)
    name = meter.name if options.odir is None else str(folder)
    if (refusal := missing(folder, remembered)) is not None:
        found = Finding(None, "archive", None, str(refusal))
        return MeterReport(name, folder, replace(NOTHING_THERE, findings=(found,)))
    if not folder.exists():
        return MeterReport(name, folder, NOTHING_THERE)
    now = wall_clock()
    if not options.fix:
        return MeterReport(name, folder, inspect(folder, meter.timezone, now))
    of_folder = options.odir is not None
    report = repair(
        settings, meter, system_timezone(os.environ), now, remembered=remembered, of_folder=of_folder
    )
    return replace(report, meter=name)


def _with_cloud(settings: Settings, options: argparse.Namespace, remembered: Remembered) -> list[MeterReport]:
    import asyncio

    from collector.energy.days import wall_clock
    from collector.verify.cloud import verified

    def progress(meter: str, first: date, last: date) -> None:
        _show_progress(f"{meter}: requesting {first} to {last} from the cloud")

    starting.set_up_logs(settings, sys.stderr)
    try:
        return asyncio.run(verified(settings, wall_clock, progress, fix=options.fix, remembered=remembered))
    finally:
        _show_progress("")


def _show_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _exit_code(reports: list[MeterReport]) -> int:
    for report in reports:
        if report.comparison is not None and report.comparison.gave_up is not None:
            print(starting.advice_on(report.comparison.gave_up), file=sys.stderr)
            return starting.code_of(report.comparison.gave_up)
    return exits.IN_PART if any(report.has_findings for report in reports) else exits.DONE
