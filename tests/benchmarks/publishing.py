"""What sending to Home Assistant costs: memory of `run`, and the time of a first fill and of corrected hours.

With `HA_URL` and `HA_TOKEN` in the environment it is sent to that Home Assistant, under a new meter's name;
else to the tests' stand-in in a process of its own.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

from collector.simulator import Device
from tests.benchmarks.memory import rss_mb
from tests.benchmarks.processes import (
    METER,
    ROOT,
    UNPACED,
    Setup,
    cloud,
    configuration,
    environment,
    events,
    folder,
    started,
    wait_until,
)
from tests.benchmarks.table import Row
from tests.support.archives import flip, write_files
from tests.support.home_assistant import ADMIN_TOKEN
from tests.support.world import DEVICE

_MORE_MB, _FILL_S, _CHANGE_S = 3.0, 15.0, 5.0
_LAST = date(2026, 10, 31)
_YEARS_DAYS, _SHORT_DAYS = 1096, 90
_SERVER = """
import asyncio
from tests.support.home_assistant import HomeAssistantServer
async def main():
    async with HomeAssistantServer() as home:
        print(home.url, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def measure(setup: Setup) -> Iterator[Row]:
    """One meter: by the command, whose newest hour then changes and then its first; and by the service."""
    count = _SHORT_DAYS if setup.short else _YEARS_DAYS
    days = [_LAST - timedelta(days=number) for number in range(count)]
    with cloud({"home": "none"}) as server, folder() as place, _home_assistant() as home:
        of = f"{'a real Home Assistant' if home.is_real else 'a stand-in'}, {count} days"
        config, archive = _house(place / "command", server.port, days, home)
        words = ["publish", "--once", "--config", str(config)]
        yield Row.at_most(f"`publish --once`: first fill of {of}", _timed(setup, words), _FILL_S, "s")
        for day, which in ((days[0], "newest"), (days[-1], "first")):
            flip(archive / f"{day}.jsonl", "import")
            what = f"`publish --once`: an hour of the {which} day has changed, {of}"
            yield Row.at_most(what, _timed(setup, words), _CHANGE_S, "s")
        words[1] = "--check"
        yield Row(f"`publish --check` of {of}", f"{_timed(setup, words):.1f} s")
        idle, most = _memory(setup, _house(place / "without", server.port, days)[0])
        idle_with, most_with = _memory(setup, _house(place / "with", server.port, days, home)[0])
        what = f"`run` with a first fill of {of}, over `run` without a target"
        yield Row.at_most(f"{what}: RSS, idle", idle_with - idle, _MORE_MB, "MB")
        yield Row(f"{what}: RSS, most", f"{most_with - most:.1f} MB")


class _Home(NamedTuple):
    """A Home Assistant: its address and token, and whether it is a real one."""

    url: str
    token: str
    is_real: bool


def _house(place: Path, port: int, days: list[date], home: _Home | None = None) -> tuple[Path, Path]:
    """The configuration of a meter with a name of its own and these days, and the folder of its files."""
    place.mkdir()
    more = [UNPACED, "[schedule]\nbackfill_days = 0\nheal = false\nsettle_days = []"]
    if home is not None:
        target = f'name = "ha"\nkind = "homeassistant"\nurl = "{home.url}"\ntoken = "{home.token}"'
        more.append(f"[[publish]]\n{target}")
    config = configuration(place, port, "home", *more)
    meter = f"bench_{secrets.token_hex(4)}"
    config.write_text(config.read_text().replace(f'name = "{METER}"', f'name = "{meter}"'))
    archive = place / "archive" / meter
    archive.parent.mkdir()
    write_files(archive, Device(DEVICE, timezone="UTC"), days)
    (archive / ".collector" / "ledger.jsonl").write_text('{"zone": "UTC"}\n')
    return config, archive


def _memory(setup: Setup, config: Path) -> tuple[float, float]:
    """RSS of the service when it has been idle for a while, and the most it had."""
    log = config.parent / "log"
    with (
        log.open("wb") as output,
        started(setup.command("run", "--config", str(config)), stdout=output) as process,
    ):
        wait_until(lambda: any(each["job"] == "refresh" for each in events(log, "job.finished")))
        if "[[publish]]" in config.read_text():
            wait_until(lambda: any(each["hours"] > 1000 for each in events(log, "publish.sent")))
        time.sleep(5)
        status = Path(f"/proc/{process.pid}/status").read_text()
        return rss_mb(process.pid), int(status.partition("VmHWM:")[2].split()[0]) / 1024


def _timed(setup: Setup, words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(setup.command(*words), check=True, cwd=ROOT, env=environment(), capture_output=True)
    return time.perf_counter() - began


@contextmanager
def _home_assistant() -> Iterator[_Home]:
    if "HA_URL" in os.environ:
        yield _Home(os.environ["HA_URL"], os.environ["HA_TOKEN"], is_real=True)
        return
    command = [sys.executable, "-c", _SERVER]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield _Home(process.stdout.readline().strip(), ADMIN_TOKEN, is_real=False)
        finally:
            process.terminate()
