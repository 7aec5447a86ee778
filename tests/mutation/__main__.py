"""`python -m tests.mutation coverage | mutants`: what the tests see of the code, as Markdown tables.

Exit 1 where a bound is missed: every branch of the five modules that everything hangs on and 92 % of all;
90 % of the mistakes that can be made in each of the five.
"""

from __future__ import annotations

import argparse
import sys

from tests.mutation import branches, scores
from tests.mutation.five import FIVE


def main() -> int:
    """0 where every bound is kept, 1 where one is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command")
    commands.add_parser("coverage", help="the suite, and the branches that it takes")
    mutants = commands.add_parser("mutants", help="small mistakes made one by one, and whether a test fails")
    mutants.add_argument(
        "--module", action="append", choices=FIVE, help="may be repeated (default: all five)"
    )
    mutants.add_argument(
        "--only", default="", metavar="TEXT", help="the mistakes whose names have that in them"
    )
    options, words = parser.parse_known_args()
    if options.command == "coverage":
        return branches.measure(words)
    return scores.measure(options.module or list(FIVE), options.only)


if __name__ == "__main__":
    sys.exit(main())
