"""`config check` and `config show`: what the configuration says, before anything runs on it."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from collector.archive.folder import obstacle_in_the_way
from collector.errors import SettingsError
from collector.service.systemd import obstacle
from collector.settings import Settings, load, locate, masked, places


def configure(parser: ArgumentParser) -> None:
    """Adds the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("check", "say everything that is wrong with the configuration; exit 78 if anything is"),
        ("show", "print the configuration in force as TOML, keys masked"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")


def run(options: Namespace) -> int:
    """Runs the action asked for; gives the exit code."""
    path = locate(options.config, os.environ)
    if path is None:
        print(_nowhere(os.environ), file=sys.stderr)
        return os.EX_CONFIG
    try:
        settings = load(path, os.environ)
    except SettingsError as error:
        for problem in error.problems:
            print(f"{path}: {problem}", file=sys.stderr)
        return os.EX_CONFIG
    for warning in settings.warnings:
        print(f"{path}: warning: {warning}", file=sys.stderr)
    if options.action == "check" and (reason := obstacle_in_the_way(settings.archive)):
        print(f"{path}: archive.path = {settings.archive}: {reason}: set another one", file=sys.stderr)
        return os.EX_CONFIG
    if options.action == "check" and (found := obstacle(settings.source, settings.archive)) is not None:
        print(f"{path}: archive.path = {settings.archive}: {found.says} {found.cure}", file=sys.stderr)
        return os.EX_CONFIG
    print(masked(settings) if options.action == "show" else _summary(settings), end="")
    return os.EX_OK


def _summary(settings: Settings) -> str:
    accounts = _counted(len(settings.accounts), "account")
    meters = _counted(len(settings.meters), "meter")
    return f"OK: {accounts}, {meters}, archive {settings.archive}\n"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _nowhere(environ: Mapping[str, str]) -> str:
    looked = "".join(f"\n  {path}" for path in places(environ))
    return (
        f"no configuration found; looked for:{looked}\n"
        "Put one there, or name it with --config FILE or SHELLY_COLLECTOR_CONFIG."
    )
