"""How long `status` and `verify` take for three years of one meter, the start of the process included."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator

from tests.benchmarks.processes import METER, ROOT, UNPACED, Setup, cloud, configuration, environment, folder
from tests.benchmarks.table import Row

_BOUNDS_S = {"status": 0.3, "verify": 2.0}
_ROUNDS, _SHORT_ROUNDS = 5, 1


def measure(setup: Setup) -> Iterator[Row]:
    """The files are those of a backfill, so that each is recorded as saved."""
    depth = ["--days", "120"] if setup.short else ["--all"]
    with cloud({"home": "none"}) as server, folder() as place:
        config = configuration(place, server.port, "home", UNPACED)
        _run(setup.command("backfill", "--config", str(config), *depth))
        days = len(list((place / "archive" / METER).glob("*.jsonl")))
        for name, bound_s in _BOUNDS_S.items():
            command = setup.command(name, "--config", str(config))
            _run(command)  # the first one only writes .pyc files
            seconds, codes = [], set()
            for _ in range(_SHORT_ROUNDS if setup.short else _ROUNDS):
                began = time.perf_counter()
                codes.add(_run(command))
                seconds.append(time.perf_counter() - began)
            ended = ", ".join(map(str, sorted(codes)))
            what = f"`{name}` of {days} days (median of {len(seconds)}; exit {ended})"
            yield Row.at_most(what, statistics.median(seconds), bound_s, "s", 2)


def _run(command: list[str]) -> int:
    quiet = subprocess.DEVNULL
    done = subprocess.run(command, check=False, cwd=ROOT, env=environment(), stdout=quiet, stderr=quiet)
    return done.returncode
