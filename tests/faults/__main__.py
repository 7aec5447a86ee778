"""`python -m tests.faults [--long] [--seed N] [WORDS FOR PYTEST]`: the fault programme, and its figures."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults import figures
from tests.support import amounts

FOLDER = Path(__file__).parent
# The long ones begin first, or a single worker would be left with them at the end.
LONGEST = ("kill_daemon", "histories", "leaks", "months", "pace_kept", "failing_calls",
           "kill_save", "block_writes")  # fmt: skip


def main() -> int:
    """pytest's exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--long", action="store_true", help="the long form: more of everything")
    parser.add_argument("--seed", type=int, metavar="N", help="repeats the run of that seed")
    options, words = parser.parse_known_args()
    if options.long:
        os.environ[amounts.FORM_VARIABLE] = "long"
    if options.seed is not None:
        os.environ[amounts.SEED_VARIABLE] = str(options.seed)
    print(f"{amounts.SEED_VARIABLE}={amounts.set_seed()}", flush=True)
    places = [] if any(Path(word.partition("::")[0]).exists() for word in words) else _places()
    with tempfile.NamedTemporaryFile("r") as file:
        os.environ[figures.FILE_VARIABLE] = file.name
        pytest = [
            *(sys.executable, "-m", "pytest", "-m", "", "--dist", "load", "--maxschedchunk", "1"),
            *("-n", "3"),  # for two cores: a rig waits for a third of its time
            *places,
            *words,
        ]
        code = subprocess.run(pytest, check=False).returncode
        print(figures.table(file))
    return code


def _places() -> list[str]:
    """All the rigs, the longest first."""
    longest = [FOLDER / f"test_{name}.py" for name in LONGEST]
    return [str(path) for path in (*longest, *sorted(set(FOLDER.glob("test_*.py")) - set(longest)))]


if __name__ == "__main__":
    sys.exit(main())
