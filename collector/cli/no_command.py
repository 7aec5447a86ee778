"""`shelly-collector` alone on a terminal: where things stand, and the likely next step."""

from __future__ import annotations

import os

from collector.cli import PROGRAM, exits, starting
from collector.service.systemd import CONFIGURATION, unit_files
from collector.settings import locate
from collector.settings.files import is_there


def run() -> int:
    """Prints both in a few lines; returns 0."""
    path = locate(None, os.environ)
    sudo = "" if os.geteuid() == 0 else "sudo "
    if path is None or not is_there(path):
        print("Nothing is configured yet." if path is None else f"There is no {path} yet.")
        _next(
            f"{sudo if unit_files() else ''}{PROGRAM} setup", "finds your meters; you need the account's key"
        )
        _next(f"{PROGRAM} demo", "to try it without an account")
    elif not os.access(path, os.R_OK):
        print(f"This user cannot read {path}.")
        _next(f"sudo {PROGRAM}", "shows where things stand")
    else:
        try:
            _configured(sudo)
        except starting.Refused as refusal:
            print("\n".join(refusal.lines))
            _next(f"{sudo}{PROGRAM} doctor", "checks everything, and prints what to do")
    _next(f"{PROGRAM} --help", "lists all commands")
    return exits.DONE


def _configured(sudo: str) -> None:
    from collector.energy.days import wall_clock
    from collector.overview import status_of
    from collector.redaction import printable
    from collector.status import State, newest_in_words

    settings = starting.settings_from_file(None, needs_keys=False)
    try:
        status = status_of(settings.files, wall_clock(), os.environ)
    except OSError as error:
        raise starting.unreadable(error, settings.archive) from None
    state = "is running" if status.is_running else "is not running"
    print(f"The collector {state}: {newest_in_words(status)}. Configuration: {settings.source}")
    for name, meter in status.meters.items():
        reason = f": {printable(meter.reason)}" if meter.reason else ""
        print(f"  {name}: {meter.state}{reason}")
    if not status.is_running:
        if settings.source == CONFIGURATION and unit_files():
            _next(f"{sudo}systemctl enable --now {PROGRAM}", "starts the service, now and at each boot")
        else:
            _next(f"{PROGRAM} run --config {settings.source}", "collects from now on")
    elif status.state in (State.GOOD, State.STARTING):
        _next(f"{PROGRAM} status", "shows each day; there is nothing to do")
    else:
        _next(f"{sudo}{PROGRAM} doctor", "checks everything, and prints what to do")


def _next(command: str, what: str) -> None:
    print(f"  {command}\n      {what}")
