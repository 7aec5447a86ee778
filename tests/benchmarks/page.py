"""What the page costs: memory, the time and the size of its answers, and what clients take from a refresh."""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import statistics
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from collector.simulator import Device
from collector.web.site import STATIC
from tests.benchmarks.memory import rss_mb
from tests.benchmarks.processes import (
    METER,
    UNPACED,
    Cloud,
    Setup,
    account_table,
    cloud,
    configuration,
    events,
    folder,
    started,
    wait_until,
)
from tests.benchmarks.table import Row
from tests.support.archives import write_files
from tests.support.world import DEVICE

_RSS_MB, _COLD_S, _AGAIN_MS, _FIRST_KB, _DELAY_S = 60.0, 1.0, 50.0, 150.0, 0.5
_CLIENTS, _REFRESHES = 30, 5
_YEARS_DAYS, _SHORT_DAYS = 1095, 400


def measure(setup: Setup) -> Iterator[Row]:
    """`run` on two meters of three years, read by a browser, and by thirty."""
    days = _SHORT_DAYS if setup.short else _YEARS_DAYS
    with cloud({"home": "none"}) as server, folder() as place:
        _write_archive(place / "archive", days)
        yield from _measured(setup, place, server, days)


def _measured(setup: Setup, place: Path, server: Cloud, days: int) -> Iterator[Row]:
    log, port = place / "log", _free_port()
    config = _configuration(place, server, port)
    year = _today().year - 1
    hours = f"meters/{METER}/hours?year={year}"
    with (
        log.open("wb") as output,
        started(setup.command("run", "--config", str(config)), stdout=output) as process,
    ):
        _until_refreshed(log, 2)
        idle = rss_mb(process.pid)
        _forget_cached(place / "archive" / METER)
        cold, size = _timed(port, hours)
        again = min(_timed(port, hours)[0] for _ in range(5))
        first = _first_view(port)
        for meter in (METER, "barn"):
            for each in range(year - 2, year + 2):
                with suppress(OSError):  # a year before the first day is 404
                    _timed(port, f"meters/{meter}/hours?year={each}")
            _timed(port, f"meters/{meter}/days")
        opened = rss_mb(process.pid)
        alone = _refresh_s(process.pid, log)
        with _clients(port, year):
            time.sleep(2)
            beside = _refresh_s(process.pid, log)
            crowded = rss_mb(process.pid)
    what = f"the page of 2 meters and {days} days"
    yield Row(f"{what}: RSS before it is opened", f"{idle:.1f} MB")
    yield Row.at_most(f"{what}: RSS after all years and days were read", opened, _RSS_MB, "MB")
    yield Row.at_most(f"{what}: RSS while {_CLIENTS} clients read it", crowded, _RSS_MB, "MB")
    yield Row.at_most(f"{what}: a year's hours from cold files ({size / 1024:.0f} kB)", cold, _COLD_S, "s", 2)
    yield Row.at_most(f"{what}: the same again", again * 1000, _AGAIN_MS, "ms")
    yield Row.at_most(f"{what}: first view over the wire, one meter", first / 1024, _FIRST_KB, "kB")
    figures = f"{beside:.2f} s against {alone:.2f} s"
    yield Row.at_most(
        f"a refresh of 2 meters beside {_CLIENTS} clients ({figures}): delay",
        beside - alone,
        _DELAY_S,
        "s",
        2,
    )


def _write_archive(archive: Path, days: int) -> None:
    archive.mkdir()
    today = _today()
    device = Device(DEVICE)
    for meter in (METER, "barn"):
        write_files(archive / meter, device, [today - timedelta(number) for number in range(1, days + 1)])
        ledger = archive / meter / ".collector" / "ledger.jsonl"
        ledger.write_text(f'{{"zone": "{device.zone.key}"}}\n')


def _configuration(place: Path, server: Cloud, port: int) -> Path:
    more = (
        UNPACED,
        f"[web]\nlisten = {port}",
        "[schedule]\nbackfill_days = 0\nheal = false\nsettle_days = []",
    )
    config = configuration(place, server.port, "home", *more)
    table = account_table("home", server.port, "barn").partition("[[account.meter]]")
    config.write_text(f"{config.read_text()}{table[1]}{table[2]}")
    return config


def _today() -> date:
    """The real one: the service runs on the real clock."""
    return datetime.now(UTC).date()  # noqa: TID251


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def _until_refreshed(log: Path, count: int) -> None:
    wait_until(
        lambda: sum(each["job"] == "refresh" for each in events(log, "job.finished")) >= count, every_s=0.01
    )


def _refresh_s(pid: int, log: Path) -> float:
    """How long a refresh of both meters lasts, in the service's own words: the median of some."""
    durations: list[float] = []
    for _ in range(_REFRESHES):
        done = sum(each["job"] == "refresh" for each in events(log, "job.finished"))
        os.kill(pid, signal.SIGHUP)
        _until_refreshed(log, done + 2)
        jobs = [each for each in events(log, "job.finished") if each["job"] == "refresh"]
        durations.append(max(each["duration_s"] for each in jobs[-2:]))
    return statistics.median(durations)


def _forget_cached(meter: Path) -> None:
    """Asks the system to forget what it has of these files in memory."""
    os.sync()
    for path in meter.glob("*.jsonl"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _timed(port: int, address: str) -> tuple[float, int]:
    """Seconds and bytes of an answer of `/api/v1`, packed."""
    began = time.perf_counter()
    size = len(_packed(port, f"/api/v1/{address}"))
    return time.perf_counter() - began, size


def _packed(port: int, path: str) -> bytes:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept-Encoding": "gzip"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        body: bytes = answer.read()
    return body


def _first_view(port: int) -> int:
    """Bytes of the page, of all that it refers to, and of the newest year of one meter."""
    page = _packed(port, "/")
    parts = re.findall(r'(?:src|href)="/?(static/[^"]+)"', gzip.decompress(page).decode())
    assert {Path(part).name for part in parts} <= {path.name for path in STATIC.iterdir()}
    answers = ("status", "meters", f"meters/{METER}/hours?year={_today().year}")
    return len(page) + sum(
        len(_packed(port, f"/{each}")) for each in (*parts, *(f"api/v1/{answer}" for answer in answers))
    )


@contextmanager
def _clients(port: int, year: int) -> Iterator[None]:
    """Thirty that request one thing after the other, each another one, so that nothing can be kept."""
    over = threading.Event()

    def work(number: int) -> None:
        count = 0
        while not over.is_set():
            count += 1
            until = date(year, 1, 1) + timedelta(days=(number * 37 + count * 11) % 330)
            with suppress(OSError):
                _packed(port, f"/api/v1/meters/{METER}/days?until={until}")

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(timeout=60)
