"""`shelly-collector publish`: sends targets what they lack, or compares what they have."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from collector.cli import exits, starting
from collector.energy.days import system_timezone
from collector.errors import ArchiveLocked, ArchiveRefused, NotExpressible, PublishError
from collector.events import CURES
from collector.publish.targets import Target, TargetKind
from collector.redaction import printable

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from collector.export.hours import Finding
    from collector.overview import MeterFiles
    from collector.publish.homeassistant import Difference
    from collector.settings import Settings

_TRIES = 60  # one a second, while another process is sending
_DIFFERS = "To send all hours again: shelly-collector publish --once --all"
_CONTINUE = "Run the same command again to continue, or leave the rest to the service."


def configure(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--once", action="store_true", help="send what the targets lack, and exit")
    what.add_argument(
        "--check",
        action="store_true",
        help="compare the stored hours with those that Home Assistant has; sends nothing",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--target", action="append", metavar="NAME", help="only this target (default: all)")
    parser.add_argument("--meter", action="append", metavar="NAME", help="only this meter (default: all)")
    parser.add_argument(
        "--all",
        action="store_true",
        help="with --once: send also what was sent before, for a target that has lost hours",
    )


def run(options: argparse.Namespace) -> int:
    """Sends or compares; returns 0, or 1 if a target refused or differs."""
    import asyncio

    from collector.publish.publisher import meters_of

    if options.all and options.check:
        raise starting.Refused(exits.USAGE, "--all is an option of --once, not of --check")
    settings = starting.settings_from_file(options.config)
    targets = _targets(settings, options)
    starting.check_archive(settings.archive)
    meters = starting.only_meters(settings, options.meter).files.meters
    targets = [each for each in targets if meters_of(each, meters)]
    if not targets:
        reason = "no target is sent these meters: see `meters` in the [[publish]] tables"
        raise starting.Refused(exits.USAGE, f"{settings.source}: {reason}")
    zone = system_timezone(os.environ)
    code, is_cut_short = exits.DONE, False
    for target in targets:
        try:
            if options.check:
                is_well = asyncio.run(_checked(target, meters, zone))
            else:
                is_well = asyncio.run(_sent(target, meters, zone, again=options.all))
        except PublishError as error:
            is_well, is_cut_short = _failed(target, error, error.cure or CURES["publish.failed"]), True
        except KeyboardInterrupt:
            if options.once:
                print(_CONTINUE, file=sys.stderr)
            raise
        except OSError as error:
            raise starting.unreadable(error, settings.archive) from None
        code = code if is_well else exits.IN_PART
    if is_cut_short and options.once:
        print(_CONTINUE, file=sys.stderr)
    return code


def _failed(target: Target, error: Exception, cure: str = "") -> bool:
    """Prints why a target was not sent its hours, or not compared; returns false."""
    reason = str(error).rstrip(".")
    print(printable(f"{target.name}: {reason}. {cure}".rstrip()), file=sys.stderr)
    return False


def _targets(settings: Settings, options: argparse.Namespace) -> list[Target]:
    """The targets that are meant; raises `Refused` if there is none."""
    if not settings.targets:
        raise starting.Refused(
            exits.BAD_CONFIGURATION,
            f"{settings.source} has no [[publish]] table: see docs/sharing.md, or the example configuration",
        )
    names = options.target or [each.name for each in settings.targets]
    known = {each.name: each for each in settings.targets}
    for name in names:
        if name not in known:
            raise starting.Refused(
                exits.USAGE,
                f"no target {printable(name)!r} in {settings.source}; there are: {', '.join(known)}",
            )
    found = [known[name] for name in names]
    if options.check:
        found = [each for each in found if each.kind is TargetKind.HOME_ASSISTANT]
        if not found:
            raise starting.Refused(exits.USAGE, "--check compares targets of kind homeassistant only")
    return found


async def _sent(target: Target, meters: tuple[MeterFiles, ...], zone: ZoneInfo, *, again: bool) -> bool:
    import asyncio

    from collector.publish.publisher import meters_of, publish

    sent: dict[str, int] = {}
    is_well = True

    def on_sent(meter: str, hours: int, findings: Sequence[Finding]) -> None:
        nonlocal is_well
        sent[meter] = hours
        for each in findings:
            reason = f"the file of {each.day} cannot be used: {each.reason}"
            is_well = _failed(target, PublishError(f"{meter}: {reason}"))
        if hours:
            print(f"{target.name}: {meter}: {hours:,} hours sent", flush=True)

    for left in reversed(range(_TRIES)):
        left_over = [each for each in meters_of(target, meters) if each.meter.name not in sent]
        try:
            await publish(target, left_over, zone, on_sent, again=again, probe=True)
        except ArchiveLocked:
            if not left:
                raise PublishError(
                    "the service, or another command, is sending to it", "Wait until it ends."
                ) from None
            await asyncio.sleep(1)
        else:
            break
    if not any(sent.values()):
        print(f"{target.name}: nothing new to send")
    return is_well


async def _checked(target: Target, meters: tuple[MeterFiles, ...], zone: ZoneInfo) -> bool:
    from collector.publish.homeassistant import opened
    from collector.publish.publisher import all_hours, meters_of
    from collector.threads import in_thread

    is_well = is_equal = True
    async with opened(target) as home_assistant:
        await home_assistant.probe()
        for each in meters_of(target, meters):
            name = each.meter.name
            try:
                found = await in_thread(all_hours, each, zone)
                if found is None:
                    print(f"{target.name}: {name}: no hours are stored")
                    continue
                count = found.hours.tally.hours  # before they are read again
                differences = await home_assistant.check(found)
            except (NotExpressible, ArchiveRefused) as error:
                is_well = _failed(target, error)
                continue
            if not differences:
                print(f"{target.name}: {name}: all {count:,} hours are equal")
            for difference in differences:
                print(f"{target.name}: {name}: {_in_words(difference, found.hours.zone)}")
            is_equal = is_equal and not differences
    if not is_equal:
        print(_DIFFERS, file=sys.stderr)
    return is_well and is_equal


def _in_words(difference: Difference, zone: ZoneInfo) -> str:
    from datetime import datetime

    parts = [
        f"{count:,} {words}"
        for count, words in (
            (difference.missing, "hours missing"),
            (difference.other, "with another total"),
            (difference.extra, "that are not stored here"),
        )
        if count
    ]
    first = datetime.fromtimestamp(difference.first, zone)
    return f"{difference.statistic}: {', '.join(parts)}; the first begins {first:%Y-%m-%d %H:%M} ({zone.key})"
