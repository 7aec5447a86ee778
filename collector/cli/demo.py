"""`shelly-collector demo`: a backfill and the service without an account, against a simulated cloud."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from collector.archive.dayfile import MAX_BYTES, decode
from collector.archive.files import make_folder, read_at_most, replace_file
from collector.cli import exits, starting
from collector.cli.backfill import Progress
from collector.energy.daily_totals import sums_of
from collector.energy.days import wall_clock

if TYPE_CHECKING:
    from collector.settings import Settings
    from collector.simulator import Simulator

_FIRST_LINE = "# Written by `shelly-collector demo`, and overwritten by each run."
_DAYS, _MOST_DAYS, _MOST_SHOWN = 30, 1095, 31
_PORT = 9787
_MIN_INTERVAL_S = 0.1  # the simulated cloud allows ten requests a second, not one
_BARS = " ▁▂▃▄▅▆▇█"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dir", default="shelly-demo", metavar="DIR", help="folder for the files (default: ./%(default)s)"
    )
    parser.add_argument("--once", action="store_true", help="stop after the backfill")
    parser.add_argument(
        "--days",
        type=_days,
        default=_DAYS,
        metavar="N",
        help="days to collect, 1 to 1095 (default: %(default)s); 1095 take one to two minutes",
    )


def _days(text: str) -> int:
    with suppress(ValueError):
        if 1 <= (days := int(text)) <= _MOST_DAYS:
            return days
    raise argparse.ArgumentTypeError(f"must be a whole number from 1 to {_MOST_DAYS}")


def run(options: argparse.Namespace) -> int:
    """Backfills, shows the days, and keeps collecting and serving the page until Ctrl-C."""
    if not options.dir.strip():
        raise starting.Refused(exits.USAGE, "--dir is empty: name a folder")
    import asyncio

    return asyncio.run(_demo(Path(options.dir), options.days, once=options.once))


async def _demo(folder: Path, days: int, *, once: bool) -> int:
    import asyncio

    from collector.service.app import Signals, serve
    from collector.service.backfill import Scope, backfill
    from collector.service.systemd import Notifier
    from collector.simulator import Limit, Scenario, Simulator

    interrupt = asyncio.Event()
    starting.on_signals(interrupt)
    scenario = Scenario.default(wall_clock().date())
    limit = Limit("lax", _MIN_INTERVAL_S * 0.9)
    accounts = tuple(replace(each, limit=limit) for each in scenario.account)
    async with Simulator(replace(scenario, account=accounts)) as cloud:
        port = _free_port()
        settings = _settings(folder, cloud, days, port)
        greeting = f"A simulated Shelly Cloud answers on {cloud.url}; collecting {days} days from it …"
        print(greeting, flush=True)
        progress = Progress(sys.stderr, days + 1, 2 * (days + 1) * _MIN_INTERVAL_S)
        starting.set_up_logs(settings, progress.as_text(), "warning")
        report = await backfill(settings, Scope(days), wall_clock, interrupt, progress.advance)
        progress.clear()
        archive = settings.folder_of(settings.meters[0])
        print(day_table(archive))
        print(f"{report.requests} requests in {report.duration_s:.1f} s. One file a day, in {archive}")
        if report.interrupted:
            return exits.INTERRUPTED
        if once or report.gave_up is not None:
            print("To look at them in a browser, run it without --once.")
            return exits.IN_PART if report.failures else exits.DONE
        print(f"Look at them in a browser: http://127.0.0.1:{port}/")
        print("Now collecting as the service does, with a log line every hour. Press Ctrl-C to stop.")
        sys.stdout.flush()
        starting.set_up_logs(settings, sys.stdout)
        await serve(settings, lambda: settings, Signals(stop=interrupt), wall_clock, Notifier({}))
    return exits.DONE


def day_table(archive: Path) -> str:
    """A table of the newest days in that folder, oldest first: hours, kWh, and bars of the consumption."""
    lines = [
        "day         hours   import   export    solar  consumed  kWh; bars: consumed per hour, scaled per day"
    ]
    paths = sorted(archive.glob("????-??-??.jsonl"))
    if len(paths) > _MOST_SHOWN:
        lines.append(f"  … {len(paths) - _MOST_SHOWN} days before these")
    for path in paths[-_MOST_SHOWN:]:
        file = decode(read_at_most(path, MAX_BYTES), date.fromisoformat(path.stem))
        readings = file.readings.values()
        consumed = [
            each.import_kwh + max(Decimal(0), (each.solar_kwh or Decimal(0)) - each.export_kwh)
            for each in readings
        ]
        sums = sums_of(readings, decimals=4)
        numbers = f"{sums.import_kwh:9.2f}{sums.export_kwh:9.2f}{sums.solar_kwh:9.2f} {sum(consumed):9.2f}"
        mark = " (incomplete so far)" if file.partial else ""
        lines.append(f"{path.stem}  {len(consumed):5}{numbers}  {_sparkline(consumed)}{mark}")
    return "\n".join(lines)


def _sparkline(values: list[Decimal]) -> str:
    top = max(values, default=Decimal(0)) or Decimal(1)
    return "".join(_BARS[round(float(value / top) * (len(_BARS) - 1))] for value in values)


def _settings(folder: Path, cloud: Simulator, days: int, port: int) -> Settings:
    """Writes the demo's configuration and reads it as a user's is read."""
    from collector.settings import load

    path = folder / "config.toml"
    account = cloud.scenario.account[0]
    try:
        if path.exists() and not path.read_text(errors="replace").startswith(_FIRST_LINE):
            raise starting.Refused(
                exits.CANNOT_CREATE, f"{path} was not written by the demo; name another folder with --dir"
            )
        make_folder(folder)
        text = _configuration(cloud.url, account.auth_key, account.device[0].id, days, port)
        replace_file(path, text.encode())
    except OSError as error:
        raise starting.Refused(exits.CANNOT_CREATE, f"{folder} cannot be used: {error.strerror}") from None
    # Without the settings of a real collector.
    environ = {key: value for key, value in os.environ.items() if not key.startswith("SHELLY_COLLECTOR_")}
    return starting.checked(lambda: load(path, environ), f"{path}: ")


def _free_port() -> int:
    """The usual port of the page, or any other that is free."""
    import socket

    for port in (_PORT, 0):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)) as found:
            return int(found.getsockname()[1])
    return _PORT


def _configuration(url: str, key: str, device: str, days: int, port: int) -> str:
    return f"""{_FIRST_LINE}

[archive]
path = "archive"

[pacing]
min_interval_s = {_MIN_INTERVAL_S}  # only for a simulated cloud; the real one allows one request a second

[schedule]
backfill_days = {days}

[web]
listen = {port}

[[account]]
name = "demo"
host = "{url}"
auth_key = "{key}"  # simulated

[[account.meter]]
name = "house"
id = "{device}"
"""
