"""`shelly-collector verify`: every stored file against its contract, its checksum, and the cloud."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from collector.cli import exits, starting
from collector.errors import ArchiveError

if TYPE_CHECKING:
    from collector.cli.findings import MeterReport
    from collector.cloud.meters import Meter
    from collector.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--meter", action="append", metavar="NAME", help="only this meter (default: all)")
    parser.add_argument("--odir", metavar="DIR", help="a folder of day files, without a configuration")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument(
        "--fix",
        action="store_true",
        help="move files with findings aside and have their days collected anew; stop the service first",
    )


def run(options: argparse.Namespace) -> int:
    """Checks; 0 where nothing was found, 1 where something was."""
    from collector.cli.findings import as_dict, as_lines

    try:
        settings = _settings(options)
        reports = [_report(settings, meter, options) for meter in settings.meters]
    except starting.Refused as refusal:
        return starting.refused(refusal)
    except ArchiveError as error:
        print(error, file=sys.stderr)
        return starting.code_of(error)
    except OSError as error:
        print(f"{error.filename or 'the archive'}: {error.strerror}", file=sys.stderr)
        return exits.CANNOT_SAVE if options.fix else exits.CANNOT_CREATE
    if options.json:
        print(json.dumps(as_dict(reports)))
    else:
        print("\n".join(as_lines(reports)))
    return exits.IN_PART if any(report.inspection.findings for report in reports) else exits.DONE


def _settings(options: argparse.Namespace) -> Settings:
    if options.odir is None:
        settings = starting.settings_without_keys(options.config)
        settings = starting.only(settings, options.meter) if options.meter else settings
    elif options.config or options.meter:
        raise starting.Refused(exits.USAGE, "--odir needs no configuration: leave out --config and --meter")
    else:
        settings = _settings_of(options.odir)
    if not settings.archive.is_dir():
        raise starting.Refused(exits.CANNOT_CREATE, f"{settings.archive}: there is no such folder")
    return settings


def _settings_of(odir: str) -> Settings:
    """Of a folder alone; no cloud is asked, so account and device are stand-ins."""
    from collector.settings import from_flags

    return starting.checked(
        lambda: from_flags({}, host="shelly.invalid", id="000000000000", auth_key="no-key-needed", odir=odir)
    )


def _report(settings: Settings, meter: Meter, options: argparse.Namespace) -> MeterReport:
    from collector.archive.inspection import NOTHING_THERE, inspect
    from collector.cli.findings import MeterReport
    from collector.energy.days import wall_clock, zone_named

    folder = settings.folder_of(meter)
    name = meter.name if options.odir is None else str(folder)
    if not folder.exists():
        return MeterReport(name, folder, NOTHING_THERE)
    zone = None if meter.timezone is None else zone_named(meter.timezone)
    if not options.fix:
        return MeterReport(name, folder, inspect(folder, zone, wall_clock()))

    from collector.service.assembly import home_zone
    from collector.service.repair import repair

    starting.act_as_owner(folder)
    starting.set_up_logs(settings, sys.stderr)
    done = repair(settings, meter, zone, home_zone(os.environ), wall_clock())
    return MeterReport(name, folder, done.inspection, done.actions)
