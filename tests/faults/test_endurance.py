"""P: thousands of requests, one in fifty of which fails: memory, descriptors and tasks stay as they were."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults import figures
from tests.support.amounts import amount
from tests.support.processes import ROOT, SCENARIO, cloud_process, configuration, environment

GROWTH_MB = 1.0
FAILURES = ("status_500", "reset_after_headers", "truncated_body", "gzip_garbage", "too_many_requests")
FAULTS = "".join(
    f'[[fault]]\nkind = "{kind}"\nevery = {every}\n'
    for kind, every in zip(FAILURES, (211, 223, 227, 229, 1999), strict=True)
)


@pytest.mark.timeout(300)
def test_thousands_of_requests_leave_nothing_behind(tmp_path: Path) -> None:
    requests = amount(6_000, 20_000)
    with cloud_process(tmp_path, SCENARIO + FAULTS) as cloud:
        config = configuration(tmp_path, cloud)
        command = [sys.executable, "-m", "tests.faults.enduring", str(config), str(requests)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment(), timeout=280
        )
        failed = cloud.counts()["total"]["faults"]
    assert done.returncode == 0, done.stderr
    samples = [json.loads(line) for line in done.stdout.splitlines()]
    growth_mb = growth([sample["rss_mb"] for sample in samples])
    descriptors = growth([sample["descriptors"] for sample in samples])
    tasks = growth([sample["tasks"] for sample in samples])
    assert failed >= requests // 60
    assert growth_mb <= GROWTH_MB
    assert descriptors == 0
    assert tasks == 0
    figures.note(
        "P", requests=samples[-1]["requests"], of_which_failed=failed, MB_of_RSS_more=round(growth_mb, 2),
        descriptors_more=int(descriptors), tasks_more=int(tasks),
    )  # fmt: skip


def test_a_leak_of_two_hundred_bytes_a_request_would_be_noticed() -> None:
    megabytes = [42 + number * 200 / 1_048_576 for number in range(0, 10_000, 100)]
    assert growth(megabytes) > GROWTH_MB


def growth(values: Sequence[float]) -> float:
    """How much more there is at the end than after a third, by the medians of a twentieth of all values."""
    width = max(1, len(values) // 20)
    third = len(values) // 3
    return statistics.median(values[-width:]) - statistics.median(values[third : third + width])
