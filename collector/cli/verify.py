"""`shelly-collector verify`: checks every stored file: its format, its checksum, and against the cloud."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from collector.cli import exits, in_service, starting

if TYPE_CHECKING:
    from datetime import date

    from collector.archive.mark import Remembered
    from collector.service.control import Options, Running, SendProgress
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
        help="move files with findings to the quarantine folder, so that their days are fetched again",
    )
    parser.add_argument(
        "--cloud",
        action="store_true",
        help="compare with the cloud's daily totals (one request per 30 days and clamp or phase); days "
        "that differ are fetched again in the next run",
    )


def run(options: argparse.Namespace) -> int:
    """Checks the archive; returns 0 if there are no findings, 1 if there are."""
    settings = _settings(options, needs_keys=False)
    try:
        return in_service.shown(_verified(settings, options))
    except OSError as error:
        if isinstance(error, PermissionError) or not (options.fix or options.cloud):
            raise starting.unreadable(error, settings.archive) from None
        place = error.filename or settings.archive
        raise starting.Refused(exits.CANNOT_SAVE, f"{place}: {error.strerror}") from None


def _verified(settings: Settings, options: argparse.Namespace) -> in_service.Result:
    """What the command prints; the running service does the work if that needs the archives' locks."""
    if options.odir is None and (options.fix or options.cloud):
        from collector.service.control import find_service

        if (service := find_service(settings.archive, os.environ)) is not None:
            meters = in_service.meters_as_options(settings)
            sent = {"meters": meters, "json": options.json, "fix": options.fix, "cloud": options.cloud}
            try:
                return in_service.handed_over(
                    service, "verify", sent, _show_progress, "The rest is not done."
                )
            finally:
                _show("")
    if options.cloud:
        settings = _settings(options, needs_keys=True)
    return _result(_reports(settings, options), as_json=options.json)


async def carried_out(running: Running, options: Options, progress: SendProgress) -> in_service.Result:
    """`--fix` and `--cloud` in the running service."""
    from collector.verify.repair import verified_in_service

    names = in_service.meters_of(running, options)

    def requesting(meter: str, first: date, last: date) -> None:
        progress({"meter": meter, "first": str(first), "last": str(last)})

    reports = await verified_in_service(
        running, names, requesting, fix=options.get("fix") is True, cloud=options.get("cloud") is True
    )
    return _result(reports, as_json=options.get("json") is True)


def _result(reports: list[MeterReport], *, as_json: bool) -> in_service.Result:
    from collector.verify.report import as_json as written
    from collector.verify.report import as_lines

    output = [written(reports)] if as_json else list(as_lines(reports))
    outages = {
        report.meter: report.comparison.gave_up
        for report in reports
        if report.comparison is not None and report.comparison.gave_up is not None
    }
    if outages:
        first = next(iter(outages.values()))
        advice = starting.advice_on_each(outages) if len(reports) > 1 else [starting.advice_on(first)]
        return in_service.Result(starting.code_of(first), output, list(advice))
    found = any(report.has_findings for report in reports)
    return in_service.Result(exits.IN_PART if found else exits.DONE, output, [])


def _settings(options: argparse.Namespace, *, needs_keys: bool) -> Settings:
    if options.odir is None:
        settings = starting.settings_from_file(options.config, needs_keys=needs_keys)
        settings = starting.only_meters(settings, options.meter)
    elif options.config or options.meter or options.cloud:
        raise starting.Refused(exits.USAGE, "--odir cannot be combined with --config, --meter or --cloud")
    else:
        from collector.settings import from_flags

        # No request is sent, so account and device are placeholders.
        host, odir = "shelly.invalid", options.odir
        settings = starting.checked(
            lambda: from_flags({}, needs_key=False, host=host, id="0" * 12, odir=odir)
        )
    starting.check_archive(settings.archive)
    return settings


def _reports(settings: Settings, options: argparse.Namespace) -> list[MeterReport]:
    from collector.archive.mark import Remembered, missing, remembered_for_others
    from collector.energy.days import system_timezone, wall_clock
    from collector.verify.files import inspect
    from collector.verify.report import Finding, MeterReport

    archive, of_folder = settings.archive, options.odir is not None
    # Of a folder without a configuration it is not known where archives were before.
    remembered = Remembered() if of_folder else remembered_for_others(archive, os.environ)
    refusals = [missing(settings.folder_of(meter), remembered) for meter in settings.meters]
    if options.fix or options.cloud:
        if found := next(filter(None, refusals), None):  # before the first archive is changed
            raise found
        starting.set_up_logs(settings, sys.stderr)
    if options.cloud:
        return _with_cloud(settings, options, remembered)
    reports = []
    for meter, refusal in zip(settings.meters, refusals, strict=True):
        folder, now = settings.folder_of(meter), wall_clock()
        if refusal is not None:
            report = MeterReport(folder, findings=(Finding(None, "archive", None, str(refusal)),))
        elif not folder.exists():
            report = MeterReport(folder)
        elif not options.fix:
            report = inspect(folder, meter.timezone, now)
        else:
            from collector.verify.repair import repair

            zone = system_timezone(os.environ)
            report = repair(settings, meter, zone, now, remembered=remembered, of_folder=of_folder)
        reports.append(replace(report, meter=str(folder) if of_folder else meter.name))
    return reports


def _with_cloud(settings: Settings, options: argparse.Namespace, remembered: Remembered) -> list[MeterReport]:
    import asyncio

    from collector.energy.days import wall_clock
    from collector.verify.repair import verified

    try:
        return asyncio.run(
            verified(settings, wall_clock, _show_request, fix=options.fix, remembered=remembered)
        )
    finally:
        _show("")


def _show_request(meter: str, first: date | str, last: date | str) -> None:
    _show(f"{meter}: requesting {first} to {last} from the cloud")


def _show_progress(progress: Options) -> None:
    """The same for what the service sends."""
    _show_request(progress["meter"], progress["first"], progress["last"])


def _show(text: str) -> None:
    """Replaces the line of progress."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
