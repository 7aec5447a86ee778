"""Commands that the running service carries out, because it has the archives: both ends.

The service runs the command's `carried_out` and sends back what the command prints and its exit code.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from collector.cli import exits, starting
from collector.errors import ArchiveError, CommandRefused, ServiceEnded

if TYPE_CHECKING:
    import socket

    from collector.service.control import Command, Options, Running, SendProgress
    from collector.settings import Settings

_COMMANDS = ("backfill", "reread", "verify")
_ENDED = (
    "The service stopped, or read its configuration again, before this was done. Stored data is safe. "
    "Run the command again to continue."
)


class Result(NamedTuple):
    """What a command prints on standard output and standard error, in lines, and its exit code."""

    code: int
    output: list[str]
    errors: list[str]


def commands() -> Mapping[str, Command]:
    """What the service carries out. The commands' modules are imported when they are first needed."""
    return {name: partial(_carried_out, name) for name in _COMMANDS}


async def _carried_out(
    name: str, running: Running, options: Options, progress: SendProgress
) -> Mapping[str, Any]:
    result: Result
    try:
        result = await import_module(f"collector.cli.{name}").carried_out(running, options, progress)
    except OSError as error:
        result = Result(starting.code_of(error), [], [starting.advice_on(error)])
    except ArchiveError as error:
        result = Result(starting.code_of(error), [], [str(error)])
    return result._asdict()


def meters_as_options(settings: Settings) -> dict[str, str]:
    """The meters as options for the service: by name, each with its settings."""
    return {meter.name: repr(meter) for meter in settings.meters}


def meters_of(running: Running, options: Options) -> list[str]:
    """The names of the meters in `options`. Raises `CommandRefused` if the service has others."""
    known, named = meters_as_options(running.settings), options.get("meters")
    if not isinstance(named, dict):
        raise CommandRefused("The command names no meters.")
    for name, meter in named.items():
        if known.get(name) != meter:
            what = f"has other settings for the meter {name!r}" if name in known else f"has no meter {name!r}"
            raise CommandRefused(
                f"The running service {what}. If the configuration was changed, have the service read it: "
                "systemctl reload shelly-collector"
            )
    return list(named)


def handed_over(
    service: socket.socket,
    name: str,
    options: Options,
    on_progress: Callable[[Options], None],
    interrupted: str,
) -> Result:
    """Has the service carry out the command; returns its result, without output if the waiting ended early.

    `interrupted`: what becomes of the command after Ctrl-C.
    """
    import asyncio

    from collector.service.control import carry_out

    async def main() -> Result:
        interrupt = asyncio.Event()
        starting.on_signals(interrupt)
        received = asyncio.Event()
        working = asyncio.ensure_future(carry_out(service, name, options, on_progress, received.set))
        stop = asyncio.ensure_future(interrupt.wait())
        await asyncio.wait([working, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if working.done():
            return Result(**working.result())
        working.cancel()
        then = interrupted if received.is_set() else "The service has not received the command."
        return Result(exits.INTERRUPTED, [], [f"Interrupted. {then}"])

    try:
        return asyncio.run(main())
    except CommandRefused as refused:
        return Result(exits.CANNOT_CREATE, [], [str(refused)])
    except ServiceEnded:
        return Result(exits.IN_PART, [], [_ENDED])


def shown(result: Result) -> int:
    """Prints what the command has to print; returns its exit code."""
    for line in result.output:
        print(line)
    for line in result.errors:
        print(line, file=sys.stderr)
    return result.code
