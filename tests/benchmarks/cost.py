"""What a stored day costs with the pacer off: processor and wall time of a whole backfill."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

from tests.benchmarks.processes import (
    METER,
    UNPACED,
    Setup,
    cloud,
    configuration,
    environment,
    folder,
    started,
)
from tests.benchmarks.table import Row

_BOUND_MS = 5.0


def measure(setup: Setup) -> Iterator[Row]:
    """Three years by `backfill`, start and end of the process included."""
    depth = ["--days", "120"] if setup.short else ["--all"]
    with cloud({"home": "none"}) as server, folder() as place:
        config = configuration(place, server.port, "home", UNPACED)
        command = setup.command("backfill", "--config", str(config), *depth)
        began = time.perf_counter()
        with started(
            command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.perf_counter() - began
        requests = server.requests()
        days = len(list((place / "archive" / METER).glob("*.jsonl")))
    cpu_s = usage.ru_utime + usage.ru_stime
    what = f"backfill of {days} days, {requests} requests, no pacer (exit {process.returncode})"
    yield Row.at_most(f"{what}: CPU a request", 1000 * cpu_s / requests, _BOUND_MS, "ms", 2)
    yield Row(f"{what}: CPU a stored day", f"{1000 * cpu_s / days:.2f} ms")
    yield Row(f"{what}: wall a stored day", f"{1000 * wall_s / days:.2f} ms")
    yield Row(f"{what}: most memory", f"{usage.ru_maxrss / 1024:.1f} MB")
