"""Processes that share a key at a cloud that allows one request at a time, and one a second."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import PROGRAM, Cloud, cloud_process, environment, usual_configuration
from tests.support.world import DEVICE, KEY

_OTHER = "a8032abe41fc"
_INTERVAL_S = 1.3  # a quarter of a second more than usual, for busy machines
_SCENARIO = f"""
latency_s = 0.3
[[account]]
name = "home"
auth_key = "{KEY}"
[account.limit]
style = "strict"
limit_s = 1.0
[[account.device]]
id = "{DEVICE}"
timezone = "Europe/Dublin"
[[account.device]]
id = "{_OTHER}"
timezone = "Europe/Dublin"
"""


@dataclass
class _Machine:
    """Its processes, the folder that they share, and the cloud that they share."""

    folder: Path
    cloud: Cloud
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, command: str, device: str, *options: str) -> subprocess.Popen[bytes]:
        """A process that collects that device into a folder of its own."""
        place = self.folder / f"{command}-{device}"
        place.mkdir()
        config = usual_configuration(place, self.cloud.url)
        text = config.read_text().replace(DEVICE, device)
        config.write_text(f"{text}\n[pacing]\nmin_interval_s = {_INTERVAL_S}\n")
        with (place / "log").open("wb") as log:
            process = subprocess.Popen(
                [*PROGRAM, command, "--config", str(config), *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment(SHELLY_COLLECTOR_PACE_FOLDER=str(self.folder / "pace")),
            )  # fmt: skip
        self.running.append(process)
        return process

    def requests(self) -> list[dict[str, Any]]:
        """What the cloud has seen, in order."""
        log: list[dict[str, Any]] = self.cloud.counts()["log"]
        return log

    def wait_for(self, count: int, *devices: str) -> list[dict[str, Any]]:
        """What the cloud has seen, once it has seen so many requests of each of these devices."""
        for _ in range(100):
            time.sleep(0.5)
            seen = self.requests()
            if all(sum(each["device"] == device for each in seen) >= count for device in devices):
                return seen
        raise AssertionError(f"too few requests: {seen}")


@contextmanager
def _machine(folder: Path) -> Iterator[_Machine]:
    (folder / "pace").mkdir(mode=0o770)
    with cloud_process(folder, _SCENARIO) as cloud:
        machine = _Machine(folder, cloud)
        try:
            yield machine
        finally:
            for process in machine.running:
                process.kill()
                process.wait(10)


def _in_pace(seen: list[dict[str, Any]]) -> None:
    """One rejection at most: that which teaches all of them to request one at a time."""
    gaps = [later["at"] - earlier["at"] for earlier, later in pairwise(seen)]
    assert min(gaps) >= 1.0
    assert sum(each["violation"] is not None for each in seen) <= 1


@pytest.mark.slow
def test_two_backfills_of_one_key_keep_one_pace(tmp_path: Path) -> None:
    """Bug: each had a pace of its own: 17 of 69 requests were rejected, two were 8 ms apart."""
    with _machine(tmp_path) as machine:
        for device in (DEVICE, _OTHER):
            machine.start("backfill", device, "--days", "300")
        seen = machine.wait_for(4, DEVICE, _OTHER)
        _in_pace(seen)
        devices = [each["device"] for each in seen]
        assert abs(devices.count(DEVICE) - devices.count(_OTHER)) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_backfill_that_is_killed_or_stopped_holds_the_other_up_no_longer_than_a_request(
    tmp_path: Path, number: signal.Signals
) -> None:
    """As far as the others know it may last thirty seconds. One that is continued is in pace again."""
    with _machine(tmp_path) as machine:
        one, _ = (machine.start("backfill", device, "--days", "300") for device in (DEVICE, _OTHER))
        machine.wait_for(3, DEVICE, _OTHER)
        one.send_signal(number)
        before = len(machine.requests())
        time.sleep(45)
        seen = machine.requests()
        assert len(seen) - before >= 8
        assert {each["device"] for each in seen[before + 1 :]} == {_OTHER}
        if number == signal.SIGSTOP:
            one.send_signal(signal.SIGCONT)
            seen = machine.wait_for(8, DEVICE)
        _in_pace(seen)


@pytest.mark.slow
def test_the_service_has_today_before_a_backfill_by_hand_goes_on(tmp_path: Path) -> None:
    """Its refresh takes turn after turn, then both go on alternately."""
    with _machine(tmp_path) as machine:
        machine.start("backfill", DEVICE, "--days", "300")
        machine.wait_for(4, DEVICE)
        machine.start("run", _OTHER)
        seen = machine.wait_for(8, _OTHER)
        _in_pace(seen)
        devices = [each["device"] for each in seen]
        first = devices.index(_OTHER)
        assert devices[first : first + 3].count(_OTHER) >= 2
        assert DEVICE in devices[first + 4 :]
