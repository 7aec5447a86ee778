"""`python -m tests.record FOLDER`: writes what the product does in each scenario into FOLDER.

To compare a build with an older one, which has this command, too:

    git worktree add ../before COMMIT
    (cd ../before && python -m tests.record /tmp/before)
    python -m tests.record /tmp/after
    diff -r /tmp/before /tmp/after

Both with the same interpreter, seed and machine, one after the other; the folder must not be there yet. Where
sentences were changed on purpose, `--without-words` in both leaves them out.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from tests.record.scenarios import SCENARIOS, record

_LONG_ONES = ("month", "three_years")  # are begun first


def main() -> int:
    """0 where every scenario was written."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.record",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="where to; must not be there yet")
    parser.add_argument("--seed", type=int, default=1, help="of all chance (default: 1)")
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=list(SCENARIOS), metavar="NAME,...",
        help=f"of {', '.join(SCENARIOS)} (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--without-words",
        action="store_true",
        help="with ~ for texts of several words in JSON, loggers, the status line, the help of metrics",
    )
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of a set is chance, too
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        os.execve(sys.executable, [sys.executable, "-m", "tests.record", *sys.argv[1:]], environment)
    options.folder.mkdir(parents=True)
    with ProcessPoolExecutor(2, get_context("spawn"), max_tasks_per_child=1) as pool:
        works = {
            pool.submit(record, name, options.folder / name, options.seed, options.without_words): name
            for name in sorted(options.only, key=_LONG_ONES.__contains__, reverse=True)
        }
        for work in as_completed(works):
            print(f"{works[work]:30} {work.result():6.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
