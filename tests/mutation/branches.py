"""The lines and branches that the suite takes, in its own processes and in those that it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.mutation.five import FIVE, ROOT

BOUND = 92.0
_SUITE = ["-n", "2", "--dist", "loadfile", "-m", "not machines", "--ignore", "tests/faults"]


def measure(words: Sequence[str]) -> int:
    """Runs the suite, without whole machines and without the fault rigs, and prints a table.

    0 where the suite passes, each of the five is covered to the last branch, and all of it well enough.
    `words` are pytest's.
    """
    with TemporaryDirectory(prefix="coverage-") as folder:
        Path(folder).chmod(0o1777)  # some processes become other users
        os.environ["COVERAGE_FILE"] = f"{folder}/data"
        code = _coverage("run", "-m", "pytest", *_SUITE, *words)
        _coverage("combine", "--quiet")
        _coverage("json", "--quiet", "-o", f"{folder}/report.json")
        report = json.loads(Path(folder, "report.json").read_text())
    rows, kept = table(report)
    print("\n".join(rows))
    return int(code != 0 or not kept)


def table(report: Mapping[str, Any]) -> tuple[list[str], bool]:
    """The figures of coverage's JSON report as a table, and whether every bound is kept."""
    rows = ["| module | lines and branches | not taken |", "|---|---|---|"]
    kept = report["totals"]["percent_covered"] >= BOUND
    for module in FIVE:
        file = report["files"][module]
        lines = [str(line) for line in file["missing_lines"]]
        lines += [f"{start}->{end if end > 0 else 'exit'}" for start, end in file["missing_branches"]]
        kept = kept and not lines
        rows.append(_row(f"`{module}`", file["summary"]["percent_covered"], ", ".join(lines) or "-"))
    totals = report["totals"]
    missing = f"{totals['missing_lines']} lines, {totals['missing_branches']} branches"
    rows.append(_row(f"all of `collector` (at least {BOUND:g} %)", totals["percent_covered"], missing))
    return rows, kept


def _row(what: str, percent: float, missing: str) -> str:
    return f"| {what} | {percent:.1f} % | {missing} |"


def _coverage(*words: str) -> int:
    return subprocess.run([sys.executable, "-m", "coverage", *words], cwd=ROOT, check=False).returncode
