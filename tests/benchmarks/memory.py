"""How much memory `run` has after a long backfill, and how much of that grew with the days."""

from __future__ import annotations

import socket
import statistics
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.processes import (
    UNPACED,
    Cloud,
    Setup,
    cloud,
    configuration,
    events,
    folder,
    started,
    wait_until,
)
from tests.benchmarks.table import Row

_RSS_MB, _GROWTH_MB = 44.0, 1.0
_YEARS_DAYS, _SHORT_DAYS = 1095, 180
_EVERY_S = 0.1
_WINDOW = 0.05


def measure(setup: Setup) -> Iterator[Row]:
    """`run` on an empty archive until all is stored."""
    days = _SHORT_DAYS if setup.short else _YEARS_DAYS
    with cloud({"home": "none"}) as server, folder() as place:
        schedule = f"[schedule]\nbackfill_days = {days}"
        config = configuration(place, server.port, "home", UNPACED, schedule)
        log = place / "log"
        with (
            log.open("wb") as output,
            started(setup.command("run", "--config", str(config)), stdout=output) as process,
        ):
            samples = _samples(process.pid, server, log)
            time.sleep(2)
            idle = rss_mb(process.pid)
            peak = _status_mb(process.pid, "VmHWM")
        with_page = _with_page(setup, place, server)
    requests = samples[-1][0]
    begin, end = (_around(samples, requests * share) for share in (1 / 3, 1 - _WINDOW / 2))
    what = f"`run` after {days} days ({requests} requests)"
    yield Row.at_most(f"{what}: RSS, idle", idle, _RSS_MB, "MB")
    yield Row(f"{what}: RSS, most", f"{peak:.1f} MB")
    yield Row(f"`run` on these {days} days with the page on and read: RSS", f"{with_page:.1f} MB")
    yield Row.at_most(f"{what}: RSS growth over the last two thirds", end - begin, _GROWTH_MB, "MB", 2)


def _with_page(setup: Setup, place: Path, server: Cloud) -> float:
    """RSS of a new start on the same archive, with the page on and read once."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = configuration(place, server.port, "home", UNPACED, f"[web]\nlisten = {port}")
    log = place / "log-with-page"
    with (
        log.open("wb") as output,
        started(setup.command("run", "--config", str(config)), stdout=output) as process,
    ):
        wait_until(lambda: any(each["job"] == "refresh" for each in events(log, "job.finished")))
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read()
        return rss_mb(process.pid)


def rss_mb(pid: int) -> float:
    """Resident memory now, in MB of 1024 kB."""
    return _status_mb(pid, "VmRSS")


def _status_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"no {name}")


def _samples(pid: int, server: Cloud, log: Path) -> list[tuple[int, float]]:
    """Requests so far and RSS, until the backfill is over."""
    samples: list[tuple[int, float]] = []

    def over() -> bool:
        samples.append((server.requests(), rss_mb(pid)))
        return any(each["job"] == "backfill" for each in events(log, "job.finished"))

    wait_until(over, within_s=300, every_s=_EVERY_S)
    return samples


def _around(samples: list[tuple[int, float]], requests: float) -> float:
    """The median of the samples near that many requests."""
    width = samples[-1][0] * _WINDOW
    near = [mb for seen, mb in samples if abs(seen - requests) <= width]
    return statistics.median(near or [samples[-1][1]])
