"""How long `export` takes for three years of one meter, and how much memory more than for one day of it."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

from collector.simulator import Device
from tests.benchmarks.processes import METER, ROOT, Setup, configuration, environment, folder
from tests.benchmarks.table import Row
from tests.support.archives import write_files
from tests.support.world import DEVICE

_BOUND_S, _BOUND_MB = 1.0, 25.0
_FORMATS = ("csv", "xlsx", "sqlite", "influx", "openmetrics", "homeassistant", "hdf")
_LAST = date(2026, 10, 31)
_NOBODY = 9  # a port that nobody serves: nothing is requested
_PEAK = """
import sys
from pathlib import Path
from collector.cli import main
code = main(sys.argv[1:])
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
sys.exit(code)
"""


def measure(setup: Setup) -> Iterator[Row]:
    """CSV has bounds; the other formats are for information, but for their memory."""
    days = [_LAST - timedelta(days=number) for number in range(90 if setup.short else 1096)]
    with folder() as place:
        config = configuration(place, _NOBODY, "home")
        (place / "archive").mkdir()
        write_files(place / "archive" / METER, Device(DEVICE, timezone="UTC"), days)
        for form in _FORMATS:
            words = ["export", form, "--config", str(config), "--out", str(place / "exported")]
            _run(setup.command(*words))  # the first one only writes .pyc files
            rounds = 1 if setup.short else 5
            seconds = statistics.median(_timed(setup.command(*words)) for _ in range(rounds))
            what = (
                f"`export {form}` of {len(days)} days (median of {rounds}; {_megabytes(place / 'exported')})"
            )
            is_bound = form == "csv"
            yield Row.at_most(what, seconds, _BOUND_S, "s", 2) if is_bound else Row(what, f"{seconds:.2f} s")
            more = _peak_mb(setup, words) - _peak_mb(setup, [*words, "--since", str(_LAST)])
            yield Row.at_most(f"`export {form}`: memory over that of one day", more, _BOUND_MB, "MB")


def _megabytes(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:.2f} MB"


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    _run(command)
    return time.perf_counter() - began


def _peak_mb(setup: Setup, words: list[str]) -> float:
    """The most memory that the process ever had."""
    return int(_run([setup.python, "-c", _PEAK, *words])) / 1024


def _run(command: list[str]) -> str:
    done = subprocess.run(command, check=True, cwd=ROOT, env=environment(), capture_output=True, text=True)
    return done.stdout
