"""`shelly-collector doctor`: a line for each check, with what to do below it."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.cli import exits, starting
from collector.redaction import printable
from collector.status import counted

if TYPE_CHECKING:
    from collector.doctor.checks import Check
    from collector.doctor.diagnosis import Diagnosis
    from collector.settings import Settings

_COLOURS = {"ok": "32", "warn": "33", "fail": "31", "skip": "2"}
_SUDO = "If only root can read the key: run it with sudo. Otherwise set the key as described."


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--meter", action="append", metavar="NAME", help="only this meter (default: all)")
    parser.add_argument("--json", action="store_true", help="print the checks as JSON")
    parser.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE",
        help="also write a bug report to FILE (must not exist); it contains no keys and no energy values",
    )


def run(options: argparse.Namespace) -> int:
    """Runs all checks; returns 0 if none failed, 1 if one did, 78 if the configuration cannot be used."""
    settings, configuration, has_keys = _settings(options)
    try:
        # Before root becomes the archive's owner, who may have no write permission in this folder.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        bundle = None if options.bundle is None else os.open(options.bundle, flags, 0o600)
    except OSError as error:
        reason = "it exists already" if isinstance(error, FileExistsError) else error.strerror
        raise starting.Refused(exits.CANNOT_CREATE, f"{options.bundle} cannot be written: {reason}") from None
    starting.set_up_logs(settings, sys.stderr, "error")
    found = _diagnosed(settings, configuration, bundle, has_keys=has_keys)
    if options.json:
        print(json.dumps(_as_dict(found)))
    else:
        _show(found.checks, found.requests)
        if options.bundle is not None:
            print(f"The report is in {options.bundle}: read it before you send it.")
    return exits.IN_PART if any(each.mark == "fail" for each in found.checks) else exits.DONE


def _settings(options: argparse.Namespace) -> tuple[Settings, Check, bool]:
    """The settings, their check, and whether they contain the keys."""
    from collector.doctor.checks import fail, ok, warn

    try:
        settings, has_keys = starting.settings_from_file(options.config), True
    except starting.Refused as refusal:
        try:
            settings, has_keys = starting.settings_from_file(options.config, needs_keys=False), False
        except starting.Refused:
            raise refusal from None  # which also has the problems of the keys
        check = fail(" ".join(f"{line}." for line in refusal.lines), _SUDO)
    else:
        sources = sorted({each.key_source for each in settings.accounts})
        text = f"{settings.source} is valid; the key comes from {', '.join(sources)}."
        check = ok(text)
        if settings.warnings:
            text += f" Warning: {'; '.join(settings.warnings)}."
            check = warn(text, "Correct it, unless it is intended.")
    return starting.only_meters(settings, options.meter), check, has_keys


def _diagnosed(
    settings: Settings, configuration: Check, descriptor: int | None, *, has_keys: bool
) -> Diagnosis:
    """Runs all checks, and writes the report to the descriptor, if there is one."""
    import asyncio

    from collector.doctor.bundle import bundle
    from collector.doctor.diagnosis import diagnose
    from collector.energy.days import wall_clock

    starting.act_as_owner(settings.archive)  # which may not be able to read the modules that root can
    found = asyncio.run(diagnose(settings, configuration, wall_clock, os.environ, has_keys=has_keys))
    if descriptor is not None:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(bundle(settings, found, wall_clock(), os.environ))
    return found


def _show(checks: tuple[Check, ...], requests: int) -> None:
    colours = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = max(len(each.subject) for each in checks)
    for each in checks:
        word = f"{each.mark.upper() if each.mark == 'fail' else each.mark:4}"
        mark = f"\x1b[{_COLOURS[each.mark]}m{word}\x1b[0m" if colours else word
        print(f"{mark}  {each.subject:{width}}  {printable(each.text)}")
        if each.cure:
            print(f"{'':{width + 8}}{printable(each.cure)}")
    counts = {mark: sum(each.mark == mark for each in checks) for mark in _COLOURS}
    print(
        f"{counts['ok']} ok, {counted(counts['warn'], 'warning')}, {counts['fail']} failed, "
        f"{counts['skip']} skipped; {counted(requests, 'request')} to the cloud."
    )


def _as_dict(found: Diagnosis) -> dict[str, Any]:
    return {
        "ok": not any(each.mark == "fail" for each in found.checks),
        "requests": found.requests,
        "checks": [
            {
                "check": each.name,
                "of": each.of or None,
                "result": each.mark.value,
                "says": each.text,
                "cure": each.cure or None,
            }
            for each in found.checks
        ],
    }
