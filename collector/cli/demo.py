"""`shelly-collector demo`: a backfill and the service without an account, against a simulated cloud."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from collector.archive.dayfile import MAX_BYTES, DayFile, decode
from collector.archive.files import read_at_most
from collector.cli import exits, starting
from collector.errors import ArchiveError

if TYPE_CHECKING:
    import asyncio

    from collector.settings import Settings
    from collector.simulator import Scenario, Simulator


_BARS = " ▁▂▃▄▅▆▇█"


def day_table(archive: Path) -> str:
    """A table of the days in that folder, oldest first: hours, kWh, and bars for each hour's consumption."""
    lines = [
        "day         hours   import   export    solar  consumed  kWh; bars: consumed per hour, scaled per day"
    ]
    for path in sorted(archive.glob("????-??-??.jsonl")):
        file = decode(read_at_most(path, MAX_BYTES), date.fromisoformat(path.stem))
        lines.append(_line(path.stem, file))
    return "\n".join(lines)


def _line(day: str, file: DayFile) -> str:
    consumed = [
        reading.import_kwh + max(Decimal(0), (reading.solar_kwh or Decimal(0)) - reading.export_kwh)
        for reading in file.readings.values()
    ]
    sums = [
        sum((reading.import_kwh for reading in file.readings.values()), Decimal(0)),
        sum((reading.export_kwh for reading in file.readings.values()), Decimal(0)),
        sum((reading.solar_kwh or Decimal(0) for reading in file.readings.values()), Decimal(0)),
    ]
    numbers = "".join(f"{value:9.2f}" for value in sums)
    mark = " (incomplete so far)" if file.partial else ""
    return f"{day}  {len(consumed):5}{numbers} {sum(consumed):9.2f}  {_sparkline(consumed)}{mark}"


def _sparkline(values: list[Decimal]) -> str:
    top = max(values, default=Decimal(0)) or Decimal(1)
    return "".join(_BARS[round(float(value / top) * (len(_BARS) - 1))] for value in values)


_FIRST_LINE = "# Written by `shelly-collector demo`, and overwritten by each run."
_METER = "house"
_DAYS = 30
_MIN_INTERVAL_S = 0.1  # the simulated cloud allows ten requests a second, not one


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--dir", default="shelly-demo", metavar="DIR", help="default: ./%(default)s")
    parser.add_argument("--once", action="store_true", help="stop after the backfill")


def run(options: argparse.Namespace) -> int:
    """Backfills 30 days, shows them, and keeps collecting until Ctrl-C."""
    import asyncio

    if not options.dir.strip():
        return starting.refused(starting.Refused(exits.USAGE, "--dir is empty: name a folder"))
    try:
        return asyncio.run(_demo(Path(options.dir), once=options.once))
    except starting.Refused as refusal:
        return starting.refused(refusal)
    except ArchiveError as error:
        print(error, file=sys.stderr)
        return starting.code_of(error)


async def _demo(folder: Path, *, once: bool) -> int:
    import asyncio

    from collector.cli.backfill import Progress
    from collector.energy.days import wall_clock
    from collector.service.backfill import Scope, backfill
    from collector.simulator import Scenario, Simulator

    interrupt = asyncio.Event()
    starting.on_signals(interrupt)
    async with Simulator(_with_fast_limit(Scenario.default(wall_clock().date()))) as cloud:
        settings = _settings(folder, cloud)
        greeting = f"A simulated Shelly Cloud answers on {cloud.url}; collecting {_DAYS} days from it …"
        print(greeting, flush=True)
        progress = Progress(sys.stderr, _DAYS + 1, 2 * (_DAYS + 1) * _MIN_INTERVAL_S)
        starting.set_up_logs(settings, progress.as_text(), "warning")
        report = await backfill(settings, Scope(_DAYS), wall_clock, interrupt, progress.advance)
        progress.clear()
        archive = settings.folder_of(settings.meters[0])
        print(day_table(archive))
        print(f"{report.requests} requests in {report.duration_s:.1f} s. One file a day, in {archive}")
        if report.interrupted:
            return exits.INTERRUPTED
        if once or report.gave_up is not None:
            return exits.IN_PART if report.failures else exits.DONE
        await _keep_collecting(settings, interrupt)
    return exits.DONE


async def _keep_collecting(settings: Settings, interrupt: asyncio.Event) -> None:
    from collector.energy.days import wall_clock
    from collector.service.app import Signals, serve
    from collector.service.systemd import Notifier

    print("Now collecting as the service does, with a log line every hour. Press Ctrl-C to stop.")
    sys.stdout.flush()
    starting.set_up_logs(settings, sys.stdout)
    await serve(settings, lambda: settings, Signals(stop=interrupt), wall_clock, Notifier({}))


def _with_fast_limit(scenario: Scenario) -> Scenario:
    """The same scenario with a rate limit that allows the demo's requests."""
    from dataclasses import replace

    from collector.simulator import Limit

    limit = Limit("lax", _MIN_INTERVAL_S * 0.9)
    return replace(scenario, account=tuple(replace(each, limit=limit) for each in scenario.account))


def _settings(folder: Path, cloud: Simulator) -> Settings:
    """Writes the demo's configuration and reads it as a user's is read."""
    from collector.archive.files import make_folder, replace_file
    from collector.settings import load

    path = folder / "config.toml"
    account = cloud.scenario.account[0]
    try:
        if path.exists() and not path.read_text(errors="replace").startswith(_FIRST_LINE):
            raise starting.Refused(
                exits.CANNOT_CREATE, f"{path} was not written by the demo; name another folder with --dir"
            )
        make_folder(folder)
        replace_file(path, _configuration(cloud.url, account.auth_key, account.device[0].id).encode())
    except OSError as error:
        raise starting.Refused(exits.CANNOT_CREATE, f"{folder} cannot be used: {error.strerror}") from None
    return starting.checked(lambda: load(path, _environment()), f"{path}: ")


def _environment() -> dict[str, str]:
    """The environment without the settings of a real collector."""
    return {key: value for key, value in os.environ.items() if not key.startswith("SHELLY_COLLECTOR_")}


def _configuration(url: str, key: str, device: str) -> str:
    return f"""{_FIRST_LINE}

[archive]
path = "archive"

[pacing]
min_interval_s = {_MIN_INTERVAL_S}  # only for a simulated cloud; the real one allows one request a second

[schedule]
backfill_days = {_DAYS}

[[account]]
name = "demo"
host = "{url}"
auth_key = "{key}"  # simulated

[[account.meter]]
name = "{_METER}"
id = "{device}"
"""
