"""T2, from outside: the real process with a clock that is wrong at boot, set, stepped, and set again."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.collect.collector import SYNCHRONIZED
from collector.simulator import Device
from tests.faults import figures
from tests.faults.running import Running, running
from tests.support.amounts import is_long
from tests.support.processes import SCENARIO, cloud_process, configuration, zone_at_noon
from tests.support.world import DEVICE, kwh, records_of

WITHIN_S = 60.0
DAYS = 4
CONFIG = f"[schedule]\nbackfill_days = {DAYS - 1}\n"


@pytest.mark.needs("faketime")
@pytest.mark.timeout(300)
@pytest.mark.skipif(SYNCHRONIZED.exists(), reason="this machine's time service vouches for its clock")
def test_a_real_process_waits_for_its_clock_and_then_works(tmp_path: Path) -> None:
    """It boots in November 2022 and is set right; in the long form it also goes two years on, and back."""
    faked = tmp_path / "faked"
    faked.write_text("@2022-11-01 00:00:00")
    variables = {
        "LD_PRELOAD": str(_library()),
        "FAKETIME_TIMESTAMP_FILE": str(faked),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    house = tmp_path / "archive" / "house"
    with cloud_process(tmp_path, SCENARIO.replace("Europe/Dublin", zone_at_noon())) as cloud:  # noqa: SIM117  the service ends first
        with running(configuration(tmp_path, cloud, CONFIG), **variables) as service:
            service.wait_for("clock.untrusted")
            assert _days(house) == 0
            faked.write_text("+0")
            work_s = service.wait_until(lambda: _days(house) == DAYS, "files", WITHIN_S)
            if is_long():
                _step_and_back(service, faked, house)
            told = [len(service.events(name)) for name in ("clock.untrusted", "clock.trusted")]
            states = {event["state"] for event in service.events("health.changed")}
            code, _ = service.terminate()
    assert code == 0
    assert told == ([2, 2] if is_long() else [1, 1])
    assert is_long() or states <= {"good", "offline"}
    wrong = _wrong_hours(house)
    assert wrong == 0
    figures.note(
        "T2", real_processes=1, wrong_hours=wrong, s_to_work_after_its_clock_was_set=round(work_s, 1)
    )


def _step_and_back(service: Running, faked: Path, house: Path) -> None:
    faked.write_text("+730d")
    service.wait_for("clock.untrusted", 2, WITHIN_S)
    assert _days(house) == DAYS
    faked.write_text("+0")
    service.wait_for("clock.trusted", 2, WITHIN_S)


def _library() -> Path:
    """The package `faketime` has it in a folder that is named after the architecture."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def _days(house: Path) -> int:
    return len(list(house.glob("*.jsonl")))


def _wrong_hours(house: Path) -> int:
    """Hours on disk that are not what flowed."""
    device = Device(DEVICE)
    records = [record for path in house.glob("*.jsonl") for record in records_of(path)]
    assert len({record["ts"] for record in records}) == len(records)
    return sum(
        (record["import"], record["solar"])
        != (kwh(device.energy(0, record["ts"]).consumption), kwh(device.energy(1, record["ts"]).consumption))
        for record in records
    )
