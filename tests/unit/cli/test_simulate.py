"""`shelly-collector simulate`: what it prints, how it ends, and how it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from collector.cli import main

PROGRAM = """
import sys
from collector.cli import main
sys.exit(main(["simulate", *sys.argv[1:]]))
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_and_a_command_to_try_and_stops_on_a_signal(number: signal.Signals) -> None:
    with start("--port", "0") as process:
        assert process.stdout is not None and process.stderr is not None
        first = process.stdout.readline()
        assert first.startswith("Simulating the Shelly Cloud on http://127.0.0.1:")
        url = first.split()[-1]
        lines = [process.stdout.readline() for _ in range(5)]
        assert lines[0].startswith("account demo, auth_key SIMULATED0")
        assert "e8db84d2a1b3" in lines[1]
        key = lines[0].split()[-1]
        assert lines[4] == (
            f"Try: shelly-collector backfill --host {url} --id e8db84d2a1b3 --auth_key {key} --days 3\n"
        )
        day = f"id=e8db84d2a1b3&channel=0&date_range=day&date_from=2026-03-01&auth_key={key}"
        with urlopen(f"{url}/v2/statistics/power-consumption/em-1p?{day}") as answer:
            assert len(json.load(answer)["history"]) == 24
        process.send_signal(number)
        assert process.wait(10) == 0
        assert process.stderr.read() == ""


def run(*arguments: str) -> int:
    return main(["simulate", *arguments])


def test_every_problem_of_a_bad_scenario_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "scenario.toml"
    file.write_text('sped = 1\nlatency_s = -1\n[[fault]]\nkind = "stal"\n')
    assert run("--scenario", str(file)) == 78
    assert sorted(capsys.readouterr().err.splitlines()) == [
        "fault: unknown",
        "latency_s = -1.0: must not be negative",
        "sped: unknown, did you mean speed?",
    ]


def test_a_scenario_that_cannot_be_read_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--scenario", str(tmp_path / "none.toml")) == 78
    (line,) = capsys.readouterr().err.splitlines()
    assert "cannot be read" in line


def test_a_port_in_use_is_one_line() -> None:
    with start("--port", "0") as first:
        assert first.stdout is not None
        port = first.stdout.readline().strip().rpartition(":")[2]
        with start("--port", port) as second:
            assert second.wait(10) == 73
            assert second.stderr is not None
            assert second.stderr.read() == f"Cannot listen on 127.0.0.1:{port}: the port is in use\n"
        first.send_signal(signal.SIGTERM)
        assert first.wait(10) == 0


def test_a_port_is_a_number_up_to_65535(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("70000", "-1", "http"):
        assert run("--port", wrong) == 2
