"""`config check` and `config show`: check or print the configuration."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from collector.archive.folder import obstacle_in_the_way
from collector.cli import exits, starting
from collector.service.systemd import obstacle
from collector.settings import masked
from collector.status import counted


def configure(parser: ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("check", "list all errors in the configuration; exit code 0 if there are none, else 78"),
        ("show", "print the configuration in force as TOML, without keys"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")


def run(options: Namespace) -> int:
    settings = starting.settings_from_file(options.config)
    path, archive = settings.source, settings.archive
    for warning in settings.warnings:
        print(f"{path}: warning: {warning}", file=sys.stderr)
    if options.action == "show":
        print(masked(settings), end="")
        return exits.DONE
    wrong = f"{path}: archive.path = {archive}: "
    if reason := obstacle_in_the_way(archive):
        raise starting.Refused(exits.BAD_CONFIGURATION, f"{wrong}{reason}: set another folder")
    if (found := obstacle(path, archive)) is not None:
        raise starting.Refused(exits.BAD_CONFIGURATION, f"{wrong}{found.reason} {found.cure}")
    accounts = counted(len(settings.accounts), "account")
    meters = counted(len(settings.meters), "meter")
    targets = f"{counted(len(settings.targets), 'target')}, " if settings.targets else ""
    print(f"OK: {accounts}, {meters}, {targets}archive {archive}")
    return exits.DONE
