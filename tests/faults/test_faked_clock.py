"""T2, from outside: the real process with a clock that is wrong at boot, set, stepped, and set again."""

from __future__ import annotations

import json
import time
from datetime import date
from pathlib import Path

import pytest

from collector.archive.dayfile import decode
from collector.service.trust import SYNCHRONIZED
from tests.faults import figures
from tests.faults.running import Running, running
from tests.processes.harness import cloud_process, configuration

WITHIN_S = 60.0
FEW = "[schedule]\nbackfill_days = 3\n"


def library() -> Path:
    """The one of the package `faketime`; glob, since each architecture has a folder of its own."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("needs libfaketime")
    return found[0]


@pytest.mark.needs("faketime")
@pytest.mark.skipif(SYNCHRONIZED.exists(), reason="this machine's time service vouches for its clock")
def test_a_real_process_waits_for_its_clock_and_then_works(tmp_path: Path) -> None:
    """From November 2022 to now, two years on, and back."""
    faked = tmp_path / "faked"
    faked.write_text("@2022-11-01 00:00:00")
    variables = {
        "LD_PRELOAD": str(library()),
        "FAKETIME_TIMESTAMP_FILE": str(faked),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    house = tmp_path / "archive" / "house"
    with cloud_process(tmp_path) as cloud:
        with running(configuration(tmp_path, cloud, FEW), **variables) as service:
            service.wait_for("clock.untrusted")
            time.sleep(1)
            assert not list(house.glob("*.jsonl"))
            faked.write_text("+0")
            first_s = service.wait_until(lambda: count(house) == 4, "file", WITHIN_S)
            print(first_s)
            faked.write_text("+730d")
            noticed = service.wait_for("clock.untrusted", 2, WITHIN_S)
            print(noticed)
            faked.write_text("+0")
            again_s = service.wait_for("clock.trusted", 2, WITHIN_S)
            print(again_s)
            print(service.log.read_text())
            code, seconds = service.terminate()
    assert code == 0
    print(count(house))


def count(house: Path) -> int:
    return len(list(house.glob("*.jsonl")))
