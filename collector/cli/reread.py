"""`shelly-collector reread`: stored days are fetched again, also complete ones."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from collector.cli import in_service, starting
from collector.cli.backfill import carried_out_by, check_range, collected, dates_of
from collector.energy.days import date_in, system_timezone, wall_clock
from collector.energy.history import first_day
from collector.errors import CommandRefused

if TYPE_CHECKING:
    from collector.service.control import Options, Running, SendProgress
    from collector.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--meter", action="append", metavar="NAME", help="only this meter (default: all)")
    parser.add_argument("--since", type=starting.a_date, metavar="DATE", required=True, help="the first day")
    parser.add_argument("--until", type=starting.a_date, metavar="DATE", help="the last day (default: today)")
    parser.add_argument("--dry-run", action="store_true", help="show the days and requests, and exit")
    parser.add_argument("--json", action="store_true", help="print a report as JSON at the end")
    parser.add_argument("--verbose", action="store_true", help="log at level debug")


def run(options: argparse.Namespace) -> int:
    """Requests the days again; returns 0 if all were fetched, 1 if some were not."""
    from collector.service.backfill import Reread

    scope = Reread(options.since, options.until)
    check_range(scope)
    kept = first_day(date_in(system_timezone(os.environ), wall_clock()), None, None)
    if options.since < kept:
        print(
            f"The cloud has no hours before {kept}: stored days before it stay as they are.", file=sys.stderr
        )
    return collected("reread", partial(_settings, options), scope, options, adopt=False)


def _settings(options: argparse.Namespace, *, needs_keys: bool) -> Settings:
    settings = starting.settings_from_file(options.config, needs_keys=needs_keys)
    return starting.only_meters(settings, options.meter)


async def carried_out(running: Running, options: Options, progress: SendProgress) -> in_service.Result:
    """A reread in the running service."""
    from collector.service.backfill import Reread

    since, until = dates_of(options)
    if since is None:
        raise CommandRefused("A reread needs its first day.")
    return await carried_out_by(running, Reread(since, until), options, progress)
