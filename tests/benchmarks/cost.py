"""What a stored day costs with the pacer off, plain and with TLS: processor and wall time of a backfill."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from collector.cloud.pacing import Pacing
from tests.benchmarks.processes import (
    METER,
    UNPACED,
    Setup,
    cloud,
    configuration,
    environment,
    folder,
    started,
    tls_relay,
)
from tests.benchmarks.table import Row

_BOUND_MS = 5.1  # a stored day: two fifths of what it took with TLS and a connection for each request
_DAYS_OF_100_REQUESTS = 50
_LATENCY_S = 0.3  # so that as many requests are in progress as may be


def measure(setup: Setup) -> Iterator[Row]:
    """Three years by `backfill`, start and end of the process included; then a hundred requests with TLS."""
    depth = ["--days", "120"] if setup.short else ["--all"]
    for tls in (False, True):
        done = _backfilled(setup, depth, tls=tls)
        how = "with TLS" if tls else "plain"
        what = f"backfill of {done.days} days, {done.requests} requests {how}, no pacer (exit {done.code})"
        yield Row.at_most(f"{what}: CPU a stored day", done.cpu_ms / done.days, _BOUND_MS, "ms", 2)
        yield Row(f"{what}: CPU a request", f"{done.cpu_ms / done.requests:.2f} ms")
        yield Row(f"{what}: wall a stored day", f"{done.wall_ms / done.days:.2f} ms")
        yield Row(f"{what}: most memory", f"{done.most_memory_mb:.1f} MB")
    most = Pacing().max_in_flight
    done = _backfilled(setup, ["--days", str(_DAYS_OF_100_REQUESTS)], tls=True, latency_s=_LATENCY_S)
    what = f"{done.requests} requests with TLS, {most} at once: handshakes"
    yield Row.at_most(what, done.handshakes, most, "", 0)


@dataclass(frozen=True, slots=True)
class _Backfilled:
    """One run of the command."""

    code: int
    days: int
    requests: int
    handshakes: int
    cpu_ms: float
    wall_ms: float
    most_memory_mb: float


def _backfilled(setup: Setup, depth: list[str], *, tls: bool, latency_s: float = 0.0) -> _Backfilled:
    with cloud({"home": "none"}, latency_s) as server, folder() as place:
        with tls_relay(place, server.port) as relay:
            scheme, port = ("https", relay.port) if tls else ("http", server.port)
            config = configuration(place, port, "home", UNPACED, scheme=scheme)
            began = time.perf_counter()
            with started(
                setup.command("backfill", "--config", str(config), *depth),
                env=environment(SSL_CERT_FILE=str(relay.certificate)),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            wall_s = time.perf_counter() - began
        return _Backfilled(
            process.returncode,
            _days_in(place),
            server.requests(),
            relay.handshakes,
            1000 * (usage.ru_utime + usage.ru_stime),
            1000 * wall_s,
            usage.ru_maxrss / 1024,
        )


def _days_in(place: Path) -> int:
    return len(list((place / "archive" / METER).glob("*.jsonl")))
