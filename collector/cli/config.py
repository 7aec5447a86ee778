"""`config check` and `config show`: check or print the configuration."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from collector.archive.folder import obstacle_in_the_way
from collector.cli import starting
from collector.service.systemd import obstacle
from collector.settings import Settings, masked


def configure(parser: ArgumentParser) -> None:
    """Adds the actions and their options."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (
        ("check", "list all errors in the configuration; exit code 0 if there are none, else 78"),
        ("show", "print the configuration in force as TOML, without keys"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")


def run(options: Namespace) -> int:
    """Runs the action; returns the exit code."""
    try:
        settings = starting.settings_from_file(options.config)
    except starting.Refused as refusal:
        return starting.refused(refusal)
    path = settings.source
    for warning in settings.warnings:
        print(f"{path}: warning: {warning}", file=sys.stderr)
    if options.action == "check" and (reason := obstacle_in_the_way(settings.archive)):
        print(f"{path}: archive.path = {settings.archive}: {reason}: set another folder", file=sys.stderr)
        return os.EX_CONFIG
    if options.action == "check" and (found := obstacle(settings.source, settings.archive)) is not None:
        print(f"{path}: archive.path = {settings.archive}: {found.reason} {found.cure}", file=sys.stderr)
        return os.EX_CONFIG
    print(masked(settings) if options.action == "show" else _summary(settings), end="")
    return os.EX_OK


def _summary(settings: Settings) -> str:
    accounts = _counted(len(settings.accounts), "account")
    meters = _counted(len(settings.meters), "meter")
    return f"OK: {accounts}, {meters}, archive {settings.archive}\n"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
