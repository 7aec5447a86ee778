"""What the commands print for small mistakes, and that none of them waits or reads without end."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from collector.cli import main
from collector.cli.backfill import lines_of
from collector.cli.setup import how_long
from collector.energy.history import Outcome
from collector.service.backfill import Report
from collector.service.systemd import CONFIGURATION
from tests.support.world import DEVICE


def test_a_configuration_that_is_a_fifo_hung_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: it waited for somebody to write into it."""
    os.mkfifo(tmp_path / "pipe")
    assert main(["config", "check", "--config", str(tmp_path / "pipe")]) == 78
    assert "not a regular file" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["fifo", "/dev/zero", "long"])
def test_a_scenario_without_an_end_was_read_for_ever(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: until the memory was full."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "long").write_bytes(b"#" * 1_100_000)
    assert main(["simulate", "--port", "0", "--scenario", str(tmp_path / what)]) == 78
    assert ("is larger than" if what == "long" else "not a regular file") in capsys.readouterr().err


def test_an_age_beyond_the_bound_was_refused_without_naming_the_bound(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Bug: "must be a number of hours, more than 0", of 1e9."""
    assert main(["status", "--max-age", "1e9"]) == 2
    assert "more than 0 and less than 1,000,000" in capsys.readouterr().err


@pytest.mark.skipif(CONFIGURATION.exists(), reason="this machine has a configuration")
def test_without_a_configuration_the_command_that_writes_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: "Create one there", as if by hand."""
    monkeypatch.delenv("SHELLY_COLLECTOR_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert main(["status"]) == 78
    assert "`shelly-collector setup` writes one." in capsys.readouterr().err


def test_a_folder_without_a_day_file_was_checked_and_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: "0 days checked: no problems found", of a folder that is no archive."""
    assert main(["verify", "--odir", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert f"no day files found in {tmp_path}" in out
    assert "no problems" not in out


def test_no_solar_beside_a_solar_device_was_called_a_setting_of_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Bug: "--no-solar = false", which nobody typed."""
    words = ["backfill", "--host", "localhost", "--id", DEVICE, "--auth_key", "KEY0OF0NOBODY"]
    assert main([*words, "--pv_id", "a8032abe41fc", "--no-solar"]) == 78
    error = capsys.readouterr().err
    assert "--no-solar: " in error
    assert "false" not in error


def test_days_that_were_planned_and_not_requested_were_in_no_count() -> None:
    """Bug: "2 days: 2 failed" though three were planned."""
    summary = next(lines_of(Report(Counter({Outcome.FAILED: 2}), left=1)))
    assert summary.startswith("3 days: 2 failed, 1 not requested. ")
    assert next(lines_of(Report(Counter({Outcome.FAILED: 2})))).startswith("2 days: 2 failed. ")


@pytest.mark.parametrize(
    ("duration_s", "words"),
    [(0.2, "1 minute"), (60, "1 minute"), (2400, "40 minutes"), (5400, "2 hours"), (13_260, "4 hours")],
)
def test_the_collection_of_ten_meters_was_said_to_take_221_minutes(duration_s: float, words: str) -> None:
    """Bug: hours were told in minutes."""
    assert how_long(duration_s) == words
