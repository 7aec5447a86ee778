"""`shelly-collector export`: the stored hours in the format of another program, to a file or a pipe."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from collector.cli import exits, starting
from collector.energy.days import system_timezone
from collector.errors import NotExpressible
from collector.redaction import printable
from collector.status import counted

if TYPE_CHECKING:
    from collector.export.hours import MeterHours, Tally
    from collector.settings import Settings

Writer = Callable[["Sequence[MeterHours]", BinaryIO], None]

FORMATS = ("csv", "xlsx", "sqlite", "influx", "openmetrics", "homeassistant", "hdf")
_BINARY = ("xlsx", "sqlite")
_OPTIONS = {
    "decimal": "csv",
    "delimiter": "csv",
    "bom": "csv",
    "measurement": "influx",
    "cumulative": "influx",
}
"""The options of one format only."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "format",
        choices=FORMATS,
        metavar="FORMAT",
        help="csv: spreadsheets, PostgreSQL. xlsx: Excel, LibreOffice. sqlite: a database file. influx: line "
        "protocol for InfluxDB and VictoriaMetrics. openmetrics: for promtool of Prometheus. homeassistant: "
        "TSV for the integration homeassistant-statistics. hdf: the file of ESB Networks (Ireland), each "
        "hour as two equal halves, the two hours repeated in autumn as their sum",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument("--meter", action="append", metavar="NAME", help="only this meter (default: all)")
    parser.add_argument("--since", type=starting.a_date, metavar="DATE", help="the first day (default: all)")
    parser.add_argument("--until", type=starting.a_date, metavar="DATE", help="the last day (default: all)")
    parser.add_argument(
        "--out",
        default="-",
        metavar="FILE",
        help="the file to write; it is replaced when the new one is whole (default: -, standard output)",
    )
    parser.add_argument(
        "--decimal", choices=(".", ","), metavar="SIGN", help="csv: the decimal sign, . or , (default: .)"
    )
    parser.add_argument(
        "--delimiter",
        type=_a_delimiter,
        metavar="SIGN",
        help='csv: the sign between two fields, or "tab" (default: a comma; a semicolon with --decimal ,)',
    )
    parser.add_argument(
        "--bom", action="store_true", default=None, help="csv: begin with a byte order mark, for Excel"
    )
    parser.add_argument("--measurement", metavar="NAME", help="influx: the measurement (default: energy)")
    parser.add_argument(
        "--cumulative",
        action="store_true",
        default=None,
        help="influx: also write the totals since the first hour, as a meter shows them",
    )


def _a_delimiter(text: str) -> str:
    sign = "\t" if text in ("tab", "\\t") else text
    if len(sign) == 1 and (sign == "\t" or sign.isprintable()) and not sign.isalnum() and sign not in '".-+:':
        return sign
    raise argparse.ArgumentTypeError('must be one sign, such as ; or "tab"')


def run(options: argparse.Namespace) -> int:
    """Writes the export; returns 1 if there was a problem with the file of a day, else 0."""
    settings = _settings(options)
    writer = _writer(options)
    target = None if options.out == "-" else _target(Path(options.out), settings.archive)
    try:
        meters = _meters(settings, options.since or date.min, options.until or date.max)
    except OSError as error:
        raise starting.unreadable(error, settings.archive) from None
    try:
        if target is None:
            _to_standard_output(writer, meters)
        else:
            _to_file(writer, meters, target)
    except NotExpressible as error:
        raise starting.Refused(exits.USAGE, f"{options.format}: {error}") from None
    for line in _report(meters):
        print(line, file=sys.stderr)
    return exits.IN_PART if any(each.tally.findings for each in meters) else exits.DONE


def _settings(options: argparse.Namespace) -> Settings:
    for name, of_format in _OPTIONS.items():
        if getattr(options, name) is not None and options.format != of_format:
            raise starting.Refused(
                exits.USAGE, f"--{name} is an option of {of_format}, not of {options.format}"
            )
    if options.since and options.until and options.since > options.until:
        raise starting.Refused(exits.USAGE, "--since is after --until")
    if options.format in _BINARY and options.out == "-" and sys.stdout.isatty():
        raise starting.Refused(exits.USAGE, f"{options.format} is not text: name a file with --out FILE")
    settings = starting.settings_from_file(options.config, needs_keys=False)
    settings = starting.only_meters(settings, options.meter)
    starting.check_archive(settings.archive)
    return settings


def _meters(settings: Settings, since: date, until: date) -> list[MeterHours]:
    from collector.export.hours import MeterHours

    zone = system_timezone(os.environ)
    return [MeterHours(files, zone, since, until) for files in settings.files.meters]


def _writer(options: argparse.Namespace) -> Writer:
    """What writes the format with its options; imports that format only."""
    if options.format == "csv":
        from collector.export import csv_file

        decimal = options.decimal or "."
        delimiter = options.delimiter or ("," if decimal == "." else ";")
        if delimiter == decimal:
            raise starting.Refused(exits.USAGE, "--decimal and --delimiter must be different signs")
        return partial(csv_file.write, decimal=decimal, delimiter=delimiter, bom=bool(options.bom))
    if options.format == "influx":
        from collector.export import influx

        measurement = "energy" if options.measurement is None else options.measurement
        if not measurement or not measurement.isprintable():
            raise starting.Refused(exits.USAGE, "--measurement must be a name without line breaks")
        return partial(influx.write, measurement=measurement, cumulative=bool(options.cumulative))
    write: Writer = import_module(f"collector.export.{options.format}").write
    return write


def _target(path: Path, archive: Path) -> Path:
    """The file that is replaced; of a link the one that it leads to. Raises `Refused`."""
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            return path  # a pipe or a device, such as /dev/stdout, whose own path leads nowhere
        target = path.resolve()
        if target.is_relative_to(archive.resolve()):
            raise starting.Refused(
                exits.USAGE, f"{path} is in the archive {archive}: write to another folder"
            )
        if target.is_dir():
            raise starting.Refused(exits.CANNOT_SAVE, f"{path} is a folder: name a file in it")
    except (OSError, RuntimeError) as error:  # RuntimeError: links that lead to each other, until Python 3.12
        raise _not_written(path, error) from None
    return target


def _to_standard_output(writer: Writer, meters: Sequence[MeterHours]) -> None:
    try:
        writer(meters, sys.stdout.buffer)
        sys.stdout.flush()
    except OSError as error:  # of a temporary file; one of standard output is an `OutputLost`
        raise _not_written("the export", error) from None


def _to_file(writer: Writer, meters: Sequence[MeterHours], target: Path) -> None:
    from collector.archive.files import replace_file

    def write(descriptor: int) -> None:
        with open(descriptor, "wb", closefd=False) as out:
            writer(meters, out)

    try:
        if target.exists() and not target.is_file():  # a pipe or a device: there is nothing to replace
            with target.open("wb") as out:
                writer(meters, out)
        else:
            replace_file(target, write)
    except OSError as error:
        raise _not_written(target, error) from None


def _not_written(place: Path | str, error: Exception) -> starting.Refused:
    from collector.archive.files import TEMPORARY_SUFFIX

    named, reason = place, str(error)
    if isinstance(error, OSError):
        named = str(error.filename or place).removesuffix(TEMPORARY_SUFFIX)
        reason = error.strerror or reason
    return starting.Refused(exits.CANNOT_SAVE, f"{named} cannot be written: {reason}")


def _report(meters: Sequence[MeterHours]) -> Iterator[str]:
    """A line for each day with a problem, then one with the counts."""
    for each in meters:
        for day, reason in each.tally.findings:
            yield f"{each.name} {day}: problem with the file of the day: {printable(reason)}"
    hours, days, incomplete, problems = (
        sum(counts) for counts in zip(*(_counts(each.tally) for each in meters), strict=True)
    )
    left_out = f"; {counted(problems, 'day')} with a problem (`verify` shows more)"
    yield (
        f"Exported: {counted(hours, 'hour')} of {counted(days, 'day')}, {incomplete} of them incomplete, of "
        f"{counted(len(meters), 'meter')}{left_out if problems else ''}"
    )


def _counts(tally: Tally) -> tuple[int, int, int, int]:
    return tally.hours, tally.days, tally.incomplete, len(tally.findings)
