"""How long `verify` takes for three years of one meter: start of the process, every file, every checksum."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Iterator

from tests.benchmarks.processes import METER, ROOT, UNPACED, Setup, cloud, configuration, environment, folder
from tests.benchmarks.table import Row

_BOUND_S = 2.0
_ROUNDS, _SHORT_ROUNDS = 5, 1


def measure(setup: Setup) -> Iterator[Row]:
    """The files are those of a backfill, so that each is recorded as saved."""
    depth = ["--days", "120"] if setup.short else ["--all"]
    with cloud({"home": "none"}) as server, folder() as place:
        config = configuration(place, server.port, "home", UNPACED)
        _run(setup.command("backfill", "--config", str(config), *depth))
        days = len(list((place / "archive" / METER).glob("*.jsonl")))
        seconds, codes = [], set()
        for _ in range(_SHORT_ROUNDS if setup.short else _ROUNDS):
            began = time.perf_counter()
            codes.add(_run(setup.command("verify", "--config", str(config))))
            seconds.append(time.perf_counter() - began)
    what = f"`verify` of {days} days (median of {len(seconds)}; exit {', '.join(map(str, sorted(codes)))})"
    yield Row.at_most(what, statistics.median(seconds), _BOUND_S, "s", 2)


def _run(command: list[str]) -> int:
    quiet = subprocess.DEVNULL
    done = subprocess.run(command, check=False, cwd=ROOT, env=environment(), stdout=quiet, stderr=quiet)
    return done.returncode
