"""`shelly-collector`: one module for each command, imported when that command is run."""

from __future__ import annotations

import sys
from collections import namedtuple
from importlib import import_module

from collector import __version__
from collector.cli import exits, streams

TYPE_CHECKING = False  # `typing`, `dataclasses` and `argparse` cost more than all else of `--version`
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

PROGRAM = "shelly-collector"
_VERSION = f"{PROGRAM} {__version__}"


Command = namedtuple("Command", ("help", "example"))
"""A command: its description in one line, and one example."""

COMMANDS = {
    "setup": Command("find the account's meters and write the configuration", "setup"),
    "run": Command(
        "collect continuously, in the foreground", "run --config /etc/shelly-collector/config.toml"
    ),
    "backfill": Command(
        "collect today and the days before it, once",
        "backfill --host shelly-12-eu.shelly.cloud --id a8032abe41fc --auth_key KEY --days 30",
    ),
    "reread": Command(
        "fetch stored days again, also complete ones", "reread --since 2026-03-01 --until 2026-03-07"
    ),
    "status": Command("show the state of collecting, from local files only", "status"),
    "report": Command("show the energy per day, week, month or year", "report --by month"),
    "export": Command(
        "write the stored hours as CSV, Excel or SQLite, or for InfluxDB, Prometheus or Home Assistant",
        "export csv --since 2026-01-01 --out energy.csv",
    ),
    "publish": Command(
        "send Home Assistant or InfluxDB what they lack, or compare what Home Assistant has", "publish --once"
    ),
    "doctor": Command(
        "check what works and what does not, and print what to do", "doctor --bundle report.txt"
    ),
    "verify": Command(
        "check every stored file and its checksum, with --cloud also against the cloud", "verify --json"
    ),
    "demo": Command("try it without an account, with a simulated cloud", "demo --once"),
    "simulate": Command("serve the simulated Shelly Cloud on this machine", "simulate --port 8765"),
    "config": Command("check or show the configuration", "config check"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    streams.prepare()
    try:
        code = _code_of(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except streams.OutputLost as error:
        if error.reader_has_gone:  # as in `status | head`
            return exits.DONE
        print(error, file=sys.stderr)
        return exits.CANNOT_SAVE
    return code


def _code_of(words: list[str]) -> int:
    if words == ["--version"]:
        print(_VERSION)
        return exits.DONE
    name = words[0] if words and words[0] in COMMANDS else None
    try:
        if not words and sys.stdout.isatty():
            from collector.cli import no_command

            return no_command.run()
        if name is None:
            return _without_command(words)
        options = parser_of(name).parse_args(words[1:])
        from collector.cli.starting import run_command

        return run_command(import_module(f"collector.cli.{name}").run, options)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except SystemExit as end:  # argparse: help was shown, or the usage was wrong
        return int(end.code or exits.DONE)


def parser_of(name: str) -> argparse.ArgumentParser:
    from collector.cli.starting import Parser

    command = COMMANDS[name]
    parser = Parser(
        prog=f"{PROGRAM} {name}",
        description=f"{command.help[0].upper()}{command.help[1:]}.",
        epilog=f"example: {PROGRAM} {command.example}",
        allow_abbrev=False,
    )
    import_module(f"collector.cli.{name}").configure(parser)
    return parser


def _without_command(words: list[str]) -> int:
    import argparse

    from collector.cli.starting import Parser

    lines = "\n".join(f"  {name:10} {command.help}" for name, command in COMMANDS.items())
    parser = Parser(
        prog=PROGRAM,
        description="Keeps the hourly history of Shelly energy meters as plain files of your own.",
        usage=f"{PROGRAM} COMMAND [OPTION ...]",
        epilog=f"commands:\n{lines}\n\nexample: {PROGRAM} demo\n{PROGRAM} COMMAND --help shows the options "
        "of each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=_VERSION)
    parser.add_argument("command", nargs="?", help=argparse.SUPPRESS)
    options, _ = parser.parse_known_args(words)
    if options.command is None:
        parser.print_help()
        return exits.USAGE if words else exits.DONE
    return parser.error(f"unknown command {options.command!r}; there are: {', '.join(COMMANDS)}")
