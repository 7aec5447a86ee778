"""`python -m tests.benchmarks [--only pace,rss] [--short] [--python PATH]`: prints a Markdown table."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator

from tests.benchmarks import (
    cost,
    exports,
    many,
    memory,
    pace,
    page,
    publishing,
    requests,
    startup,
    verification,
    writes,
)
from tests.benchmarks.processes import Setup
from tests.benchmarks.table import Row, footer, header, line

_BENCHMARKS: dict[str, Callable[[Setup], Iterator[Row]]] = {
    "start": startup.measure,
    "cpu": cost.measure,
    "rss": memory.measure,
    "many": many.measure,
    "page": page.measure,
    "writes": writes.measure,
    "verify": verification.measure,
    "export": exports.measure,
    "publish": publishing.measure,
    "requests": requests.measure,
    "pace": pace.measure,
}


def main() -> int:
    """0 where every bound is kept, 1 where one is missed."""
    options = _options()
    setup = Setup(options.python, options.short)
    missed = False
    print(header(), flush=True)
    for name in options.only:
        for row in _BENCHMARKS[name](setup):
            print(line(row), flush=True)
            missed = missed or row.ok is False
    print(f"\n{footer(setup.python)}")
    return int(missed)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        type=_names,
        default=list(_BENCHMARKS),
        metavar="NAME,...",
        help=f"of {', '.join(_BENCHMARKS)} (default: all; seven minutes)",
    )
    parser.add_argument("--short", action="store_true", help="fewer days and rounds: a hint, no proof")
    parser.add_argument(
        "--python",
        default=sys.executable,
        metavar="PATH",
        help="the interpreter that runs the collector, in an environment with its requirements alone: "
        "structlog imports rich wherever that is installed (default: this one)",
    )
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in _BENCHMARKS:
            raise argparse.ArgumentTypeError(f"no benchmark {name!r}; there are: {', '.join(_BENCHMARKS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
