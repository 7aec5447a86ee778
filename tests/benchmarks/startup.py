"""How long a start takes: `--version` against a bare interpreter, `run` to READY against its libraries.

Against, because seconds say more about the machine, and about who else works on it.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.processes import ROOT, Setup, configuration, environment, folder, started
from tests.benchmarks.table import Row

_RATIO = 3.0
_READY_RATIO = 2.0
_REQUIRED = "import aiohttp, apscheduler.schedulers.asyncio, structlog, tenacity"
_NOBODY = 9  # a port that nobody serves: READY must not wait for the cloud


def measure(setup: Setup) -> Iterator[Row]:
    """Interleaved runs, so that a busy moment hits both alike; the first ones only write .pyc files."""
    rounds = 5 if setup.short else 20
    bare, version = [setup.python, "-c", "pass"], setup.command("--version")
    for command in (bare, version):
        _timed(command)
    pairs = [(_timed(bare), _timed(version)) for _ in range(rounds)]
    yield _compared("`--version` against `python3 -c pass`", pairs, _RATIO)
    libraries = [setup.python, "-c", _REQUIRED]
    _timed(libraries)
    _ready(setup)
    pairs = [(_timed(libraries), _ready(setup)) for _ in range(rounds)]
    yield _compared("`run` to READY against importing the four required packages", pairs, _READY_RATIO)


def _compared(what: str, pairs: list[tuple[float, float]], bound: float) -> Row:
    """The ratio of the medians: what there must be, and what we made of it."""
    floor_s, ours_s = (statistics.median(times) for times in zip(*pairs, strict=True))
    least_floor_s, least_s = (min(times) for times in zip(*pairs, strict=True))
    figures = (
        f"median of {len(pairs)}: {1000 * ours_s:.0f} ms against {1000 * floor_s:.0f} ms; "
        f"minima {1000 * least_s:.0f} ms against {1000 * least_floor_s:.0f} ms"
    )
    return Row.at_most(f"{what} ({figures})", ours_s / floor_s, bound, "times", 2)


def _timed(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, env=environment(), cwd=ROOT, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _ready(setup: Setup) -> float:
    """Seconds from the start of the process to its READY."""
    with folder() as place, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        address = str(place / "notify")
        channel.bind(address)
        channel.settimeout(30)
        command = setup.command("run", "--config", str(configuration(place, _NOBODY, "home")))
        log = Path(place / "log")
        began = time.perf_counter()
        with (
            log.open("wb") as output,
            started(command, stdout=output, env=environment(NOTIFY_SOCKET=address)),
        ):
            while b"READY=1" not in channel.recv(4096).split(b"\n"):
                pass
            return time.perf_counter() - began
