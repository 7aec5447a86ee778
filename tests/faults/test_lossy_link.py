"""N6: a link that loses three packets of ten each way and carries 256 kbit a second."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from collector.simulator import Device
from tests.faults.figures import note
from tests.support.amounts import amount
from tests.support.certificates import Certificate, certificate
from tests.support.namespaces import Namespace, connected
from tests.support.processes import PROGRAM, ROOT, environment, usual_configuration
from tests.support.world import DEVICE, hours_of_day, kwh, records_of

_HOME, _CLOUD = "10.7.0.1", "10.7.0.2"
_SHARE_LOST = 0.3
_LOSSES = [
    'iifname "line" counter',
    f'iifname "line" numgen random mod 100 < {_SHARE_LOST * 100:g} counter drop',
]
_RATE = [
    "tc",
    "qdisc",
    "add",
    "dev",
    "line",
    "root",
    "tbf",
    "rate",
    "256kbit",
    "burst",
    "4kb",
    "latency",
    "1s",
]


@pytest.mark.needs("ip", "nft", "tc", "openssl")
@pytest.mark.timeout(400)
def test_a_backfill_over_a_bad_link_completes(tmp_path: Path) -> None:
    """All hours, each with its value; no request too many.

    Requests leave at their pace. The line may hold one back until the next is close behind it, which
    nobody at home sees: the smallest gap at the cloud is told, and not judged.
    """
    days = amount(5, 15)
    shown = certificate(tmp_path, _CLOUD)
    with connected(_HOME, _CLOUD) as (home, cloud):
        for end in (home, cloud):
            end.run(*_RATE)
        with _distant_cloud(cloud, shown) as process:
            assert process.stdout is not None
            config = usual_configuration(tmp_path, f"https://{_CLOUD}:{int(process.stdout.readline())}")
            for end in (home, cloud):
                end.rules(*_LOSSES)
            began = time.perf_counter()
            runs = [_backfilled(home, config, shown, days)]
            while runs[-1].returncode == 69 and len(runs) < 3:  # what its user would do: once more
                runs.append(_backfilled(home, config, shown, days))
            took_s = time.perf_counter() - began
            assert runs[-1].returncode == 0, runs[-1].stdout + runs[-1].stderr
            came, lost = map(sum, zip(*map(_counted, (home, cloud)), strict=True))
            counts = json.loads(process.communicate("")[0])
    assert counts["total"]["requests"] <= sum(map(_requests, runs))
    _assert_true(tmp_path / "archive" / "house", days)
    assert came > 60
    spread = (came * _SHARE_LOST * (1 - _SHARE_LOST)) ** 0.5
    assert abs(lost - came * _SHARE_LOST) < 5 * spread, f"the link lost {lost} packets of {came}"
    note("N6", days=days, packets=came, packets_lost=lost, requests=counts["total"]["requests"], s=took_s,
         s_smallest_gap=counts["total"]["smallest_start_gap_s"], wrong_hours=0)  # fmt: skip


def _assert_true(folder: Path, days: int) -> None:
    """Every hour of these days that was over, with the energy that flowed; nothing else."""
    device = Device(DEVICE)
    files = sorted(folder.glob("*.jsonl"))
    assert len(files) >= days
    for path in files:
        records = records_of(path)
        hours = hours_of_day(date.fromisoformat(path.stem), device.timezone)
        assert [record["ts"] for record in records] == hours[: len(records)]
        assert len(records) == len(hours) or path == files[-1]
        for record in records:
            grid, sun = device.total(record["ts"]), device.energy(1, record["ts"])
            assert record["import"] == kwh(grid.consumption)
            assert record["export"] == kwh(grid.reversed)
            assert record["solar"] == kwh(sun.consumption)


def _requests(run: subprocess.CompletedProcess[str]) -> int:
    """How many the program says that it made."""
    events = [json.loads(line) for line in run.stderr.splitlines() if line.startswith("{")]
    return sum(event["requests"] for event in events if event["event"] == "job.finished")


@contextmanager
def _distant_cloud(network: Namespace, shown: Certificate) -> Iterator[subprocess.Popen[str]]:
    words = ["python", "-m", "tests.faults.distant_cloud", _CLOUD, str(shown.file), str(shown.key)]
    process = subprocess.Popen(
        network.command(PROGRAM[0], *words[1:]),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment(),
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _backfilled(
    network: Namespace, config: Path, trusted: Certificate, days: int
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        network.command(*PROGRAM, "backfill", "--config", str(config), "--days", str(days)),
        capture_output=True, text=True, timeout=380, check=False, stdin=subprocess.DEVNULL,
        env=environment(SSL_CERT_FILE=str(trusted.file)),
    )  # fmt: skip


def _counted(network: Namespace) -> list[int]:
    """How many packets came over the line, and how many of them it lost."""
    rules = json.loads(network.run("nft", "--json", "list", "ruleset"))["nftables"]
    parts = [part for rule in rules for part in rule.get("rule", {}).get("expr", [])]
    return [part["counter"]["packets"] for part in parts if "counter" in part]
