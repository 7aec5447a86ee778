"""How long a start takes: `--version` against a bare interpreter, and `run` until it says READY."""

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
_READY_S = 0.5
_NOBODY = 9  # a port that nobody serves: READY must not wait for the cloud


def measure(setup: Setup) -> Iterator[Row]:
    """Interleaved runs, so that a busy moment hits both alike; the first ones only write .pyc files."""
    rounds = 5 if setup.short else 20
    bare, version = [setup.python, "-c", "pass"], setup.command("--version")
    for command in (bare, version):
        _timed(command)
    pairs = [(_timed(bare), _timed(version)) for _ in range(rounds)]
    bare_s, version_s = (statistics.median(times) for times in zip(*pairs, strict=True))
    least = min(each[1] for each in pairs) / min(each[0] for each in pairs)
    what = f"`--version` against `python3 -c pass`, median of {rounds}"
    times = f"{1000 * version_s:.0f} ms against {1000 * bare_s:.0f} ms, by their minima {least:.2f}"
    yield Row.at_most(f"{what} ({times})", version_s / bare_s, _RATIO, "times", 2)
    ready = sorted(_ready(setup) for _ in range(rounds // 2 + 1))[1:]
    what = f"`run` to READY, median of {len(ready)} (minimum {ready[0]:.3f} s)"
    yield Row.at_most(what, statistics.median(ready), _READY_S, "s", 3)


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
