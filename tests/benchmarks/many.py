"""What many accounts in one process cost: processor and memory, the start on empty archives and the stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.memory import rss_mb
from tests.benchmarks.processes import (
    METER,
    Cloud,
    Setup,
    account_table,
    environment,
    events,
    started,
    wait_until,
)
from tests.benchmarks.table import Row

_CPU_MS = 2.0  # 500 requests/s on one core
_BASE_MB, _ACCOUNT_MB = 45.0, 0.1
_MOST = 1000
_READY_S, _STOP_S = 10.0, 5.0
_IDLE_S = 10.0
_LATENCY_S = 0.2
_NOBODY = 9  # a port that nobody serves
_WARM_UP_S, _MEASURED_S, _SHORT_S = 15.0, 20.0, 5.0
_IN_MEMORY = Path("/dev/shm")
_TICKS_S = os.sysconf("SC_CLK_TCK")


def measure(setup: Setup) -> Iterator[Row]:
    """Accounts that backfill at a request a second each, one day a request; then a start of a thousand."""
    for count in (100,) if setup.short else (100, 300, _MOST):
        found = _collecting(setup, count)
        what = f"`run` with {count} accounts, {found.per_s:.0f} requests/s plain"
        yield Row.at_most(f"{what}: CPU a request", found.cpu_ms, _CPU_MS, "ms", 2)
        yield Row.at_most(f"{what}: RSS", found.rss_mb, _BASE_MB + _ACCOUNT_MB * count, "MB")
        yield Row.at_most(f"{what}: requests of the slowest account below the median", found.behind, 10, "%")
        yield Row.at_least(f"{what}: smallest gap", found.smallest_gap_s, 1.0, "s", 3)
        yield Row.at_most(f"{what}: stop (exit {found.code})", found.stop_s, _STOP_S, "s")
    ready_s, mb = _ready(setup, _MOST)
    what = f"`run` with {_MOST} accounts and empty archives"
    yield Row.at_most(f"{what}: READY", ready_s, _READY_S, "s")
    yield Row.at_most(f"{what}: RSS, {_IDLE_S:g} s later", mb, _BASE_MB + _ACCOUNT_MB * _MOST, "MB")


@dataclass(frozen=True, slots=True)
class _Collecting:
    """One service that backfills."""

    per_s: float
    cpu_ms: float
    rss_mb: float
    behind: float
    smallest_gap_s: float
    stop_s: float
    code: int


def _collecting(setup: Setup, count: int) -> _Collecting:
    names = [f"home{number}" for number in range(count)]
    schedule = "[schedule]\nbackfill_days = 45"  # for more days the totals are read first
    with _busy_cloud(count) as server, _memory() as name:
        place = Path(name)
        config = _configuration(place, server.port, names, schedule)
        with _run(setup, config) as process:
            time.sleep(_WARM_UP_S)
            before = _sample(process.pid, server)
            time.sleep(_SHORT_S if setup.short else _MEASURED_S)
            after = _sample(process.pid, server)
            resident_mb = rss_mb(process.pid)
            accounts = server.counts()["accounts"].values()
            began = time.perf_counter()
            process.send_signal(signal.SIGTERM)
            code = process.wait(timeout=60)
            stop_s = time.perf_counter() - began
    seconds, cpu_s, requests = (late - early for early, late in zip(before, after, strict=True))
    each = [account["requests"] for account in accounts]
    behind = 100 * (1 - min(each) / median(each))
    smallest_gap_s = min(account["smallest_gap_s"] for account in accounts)
    cpu_ms = 1000 * cpu_s / requests
    return _Collecting(requests / seconds, cpu_ms, resident_mb, behind, smallest_gap_s, stop_s, code)


@contextmanager
def _busy_cloud(count: int) -> Iterator[Cloud]:
    words = [sys.executable, "-m", "tests.benchmarks.busy_cloud", str(count), str(_LATENCY_S)]
    with started(words, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield Cloud(int(process.stdout.readline()))


def _ready(setup: Setup, count: int) -> tuple[float, float]:
    """Seconds from the start of the process until it is ready, and its memory a little later."""
    with _memory() as name:
        place = Path(name)
        config = _configuration(place, _NOBODY, [f"home{number}" for number in range(count)], "")
        began = time.perf_counter()
        with _run(setup, config) as process:
            ready_s = time.perf_counter() - began
            time.sleep(_IDLE_S)
            return ready_s, rss_mb(process.pid)


def _memory() -> tempfile.TemporaryDirectory[str]:
    """A folder in memory, where there is one."""
    return tempfile.TemporaryDirectory(
        prefix="shelly-benchmark-",
        dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None,
        ignore_cleanup_errors=True,
    )


def _configuration(place: Path, port: int, names: list[str], text: str) -> Path:
    """A configuration whose accounts have files of their own."""
    file, more = place / "config.toml", place / "config.d"
    file.write_text(f'{text}\n[archive]\npath = "{place / "archive"}"\n')
    more.mkdir()
    for name in names:
        own = more / f"{name}.toml"
        own.write_text(account_table(name, port, f"{METER}-{name}"))
        own.chmod(0o600)
    return file


@contextmanager
def _run(setup: Setup, config: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`run` with its log beside the configuration; no other archives are known to it."""
    place, command = config.parent, setup.command("run", "--config", str(config))
    env = environment(XDG_STATE_HOME=str(place / "state"))
    with (place / "log").open("wb") as log, started(command, stdout=log, env=env) as process:
        wait_until(lambda: bool(events(place / "log", "service.ready")), every_s=0.05)
        yield process


def _sample(pid: int, server: Cloud) -> tuple[float, float, int]:
    """The time, the processor time of the process, both in seconds, and the requests that the cloud saw."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return time.perf_counter(), (int(fields[11]) + int(fields[12])) / _TICKS_S, server.requests()
