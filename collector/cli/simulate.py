"""`shelly-collector simulate`: a Shelly Cloud on loopback, until it is stopped."""

from __future__ import annotations

import argparse
import errno
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from collector.cli import exits, starting
from collector.energy.days import wall_clock
from collector.errors import Problem, SettingsError

if TYPE_CHECKING:
    from collector.simulator import Scenario, Simulator

_LARGEST = 1_000_000


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=_port,
        default=8765,
        metavar="PORT",
        help="port on 127.0.0.1; 0 means any free one (default: %(default)s)",
    )
    parser.add_argument(
        "--scenario",
        type=Path,
        metavar="FILE",
        help="a TOML file with the accounts, their meters and rate limits, and the latency of the answers",
    )


def run(options: argparse.Namespace) -> int:
    """Serves until SIGINT or SIGTERM; returns 0. Refused if the port or the scenario cannot be used."""
    import asyncio

    scenario = starting.checked(lambda: _scenario(options.scenario))
    try:
        asyncio.run(_serve(scenario, options.port))
    except OSError as error:
        reason = "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise starting.Refused(
            exits.CANNOT_CREATE, f"Cannot listen on 127.0.0.1:{options.port}: {reason}"
        ) from None
    return exits.DONE


def _port(text: str) -> int:
    with suppress(ValueError):
        if 0 <= (port := int(text)) <= 65535:
            return port
    raise argparse.ArgumentTypeError("must be a number from 0 to 65535")


def _scenario(file: Path | None) -> Scenario:
    from collector.settings.files import read_regular_file
    from collector.simulator import Scenario, parse

    if file is None:
        return Scenario.default(wall_clock().date())
    try:
        data = read_regular_file(file, _LARGEST)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([Problem("--scenario", str(file), f"cannot be read: {error}")]) from error
    if len(data) > _LARGEST:
        raise SettingsError([Problem("--scenario", str(file), f"is larger than {_LARGEST} bytes")])
    return parse(text)


async def _serve(scenario: Scenario, port: int) -> None:
    import asyncio

    from collector.simulator import Simulator

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Simulator(scenario, port=port) as simulator:
        print("\n".join(_greeting(simulator)), flush=True)
        await stop.wait()


def _greeting(simulator: Simulator) -> Iterator[str]:
    """The address, the accounts with their simulated keys and devices, and a command to try."""
    accounts = simulator.scenario.account
    yield f"Simulating the Shelly Cloud on {simulator.url}"
    for account in accounts:
        yield f"account {account.name}, auth_key {account.auth_key}"
        yield from (f"  {device.kind:<3} {device.id}  {device.timezone}" for device in account.device)
    if accounts and accounts[0].device:
        yield (
            f"Try: shelly-collector backfill --host {simulator.url} --id {accounts[0].device[0].id} "
            f"--auth_key {accounts[0].auth_key} --days 3"
        )
