"""A machine without any time-zone data: neither the system's nor the package `tzdata`."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Cloud, collector, configuration, started, stop, wait_for

CURE = "apt install tzdata"


@pytest.fixture
def no_data(tmp_path: Path) -> dict[str, str]:
    """The environment of a process on such a machine."""
    package = tmp_path / "no_data" / "tzdata"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('raise ImportError("there is none")\n')
    return {"PYTHONTZPATH": "/nonexistent", "PYTHONPATH": f"{package.parent}:{ROOT}"}


@pytest.mark.parametrize("command", ["status", "doctor", "backfill", "demo"])
def test_a_command_on_a_machine_without_time_zone_data_ended_in_a_traceback(
    command: str, cloud: Cloud, tmp_path: Path, no_data: dict[str, str]
) -> None:
    """Bug: even UTC was looked up in the data that are not there."""
    config = configuration(tmp_path, cloud)
    words = {"backfill": ["--config", str(config), "--days", "0"], "demo": ["--once", "--dir", str(tmp_path)]}
    if command == "demo":
        config.unlink()
    done = collector(command, *words.get(command, ["--config", str(config)]), env=no_data)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert (CURE in said) == (command in ("doctor", "backfill")), said
    if command == "demo":
        assert done.returncode == 0, said
        assert len(list(tmp_path.glob("archive/*/*.jsonl"))) > 30 - 1


def test_the_service_without_time_zone_data_stays_up_and_names_the_cure(
    cloud: Cloud, tmp_path: Path, no_data: dict[str, str]
) -> None:
    """Bug: it ended at once, and under the unit again and again."""
    config = configuration(tmp_path, cloud)
    process = started("run", "--config", str(config), **no_data)
    try:
        assert any("Europe/Dublin" in line for line in wait_for(process, "zone.unknown"))
        time.sleep(0.5)
        assert process.poll() is None
        assert CURE in collector("status", "--config", str(config), env=no_data).stdout
    finally:
        code, _, rest = stop(process)
    assert code == 0
    assert "Traceback" not in rest


@pytest.mark.parametrize(("zone", "is_good"), [("UTC", True), ("Europe/Dublin", False), ("Japan", False)])
def test_a_configured_zone_without_time_zone_data_was_called_no_zone(
    zone: str, is_good: bool, cloud: Cloud, tmp_path: Path, no_data: dict[str, str]
) -> None:
    """Bug: "must be a time zone of the IANA list" was said of UTC and of Japan."""
    config = configuration(tmp_path, cloud, meter=f'timezone = "{zone}"')
    done = collector("config", "check", "--config", str(config), env=no_data)
    assert done.returncode == (0 if is_good else 78), done.stderr
    assert (CURE in done.stderr) == (not is_good)
    assert "IANA" not in done.stderr
