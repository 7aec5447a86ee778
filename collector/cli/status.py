"""`shelly-collector status`: how collecting stands, from the files alone."""

from __future__ import annotations

import argparse
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from collector.cli import exits, starting

if TYPE_CHECKING:
    from collector.service.overview import Overview
    from collector.settings import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--meter", action="append", metavar="NAME", help="only this meter (default: all)")
    parser.add_argument(
        "--all", action="store_true", help="show every day since the beginning, not only the last year"
    )
    parser.add_argument(
        "--max-age",
        type=_hours,
        metavar="HOURS",
        help="exit 1 when the newest hour is older (default: max_age_h of the configuration, 26)",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(options: argparse.Namespace) -> int:
    """Shows how collecting stands; 0, or 1 when the newest hour of a meter is older than it may be."""
    from dataclasses import replace

    try:
        settings = starting.only_meters(starting.settings_without_keys(options.config), options.meter)
        if options.max_age is not None:
            settings = replace(settings, health=replace(settings.health, max_age_s=options.max_age * 3600))
        seen = _look(settings)
    except starting.Refused as refusal:
        return starting.refused(refusal)
    if options.json:
        from collector.cli.status_json import as_dict

        print(json.dumps(as_dict(seen)))
    else:
        from collector.cli.status_text import lines

        print("\n".join(lines(seen, sys.stdout, os.environ, whole=options.all)))
    return exits.DONE if all(each.health.state == "good" for each in seen.meters) else exits.IN_PART


def _look(settings: Settings) -> Overview:
    from collector.energy.days import wall_clock
    from collector.service.overview import overview

    try:
        return overview(settings, wall_clock(), os.environ)
    except OSError as error:
        raise starting.unreadable(error, settings.archive) from None


def _hours(text: str) -> float:
    with suppress(ValueError):
        if 0 < (hours := float(text)) < 1_000_000:
            return hours
    raise argparse.ArgumentTypeError("must be a number of hours, more than 0 and less than 1,000,000")
