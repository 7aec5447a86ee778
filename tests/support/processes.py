"""Real processes: the program as a user starts it, and the simulated cloud beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.support.world import DEVICE, KEY

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "collector"]


def zone_at_noon() -> str:
    """A zone where it is about noon: after midnight today has no hours yet, and yesterday lacks its last one.

    Of `Etc/GMT+5` UTC is five hours ahead.
    """
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"  # noqa: TID251 - as the processes do


SCENARIO = f"""
[[account]]
name = "home"
auth_key = "{KEY}"
[account.limit]
style = "none"
[[account.device]]
id = "{DEVICE}"
timezone = "Europe/Dublin"
"""


_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "COVERAGE_PROCESS_CONFIG")  # the last: `python -m tests.mutation`


def environment(**more: str) -> dict[str, str]:
    """A clean environment: none of the collector's variables, no terminal's, no unit's.

    And no certificate authorities: to load all of them is a seventh of a start, and this goes to loopback.
    """
    kept = {key: os.environ[key] for key in _KEPT if key in os.environ}
    ours = {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error", "SSL_CERT_FILE": os.devnull}
    ours["XDG_STATE_HOME"] = "/proc/nowhere"  # what a service remembers is not kept in a developer's home
    return {**kept, **ours, **more}


def collector(
    *words: str, timeout_s: float = 60, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs one command to its end."""
    return subprocess.run(
        [*PROGRAM, *words],
        capture_output=True, text=True, timeout=timeout_s, check=False, cwd=cwd,
        env=environment(**(env or {})), stdin=subprocess.DEVNULL,
    )  # fmt: skip


def started(*words: str, **more: str) -> subprocess.Popen[str]:
    """Starts one command; its output is read from the object."""
    return subprocess.Popen(
        [*PROGRAM, *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(**more),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@dataclass(frozen=True)
class Cloud:
    """A simulated cloud in a process of its own."""

    url: str

    def counts(self) -> dict[str, Any]:
        """What it saw."""
        with urllib.request.urlopen(f"{self.url}/_simulator/counts") as answer:
            counts: dict[str, Any] = json.load(answer)
        return counts

    def play(self, scenario: str) -> None:
        """Goes on with another scenario."""
        self._post("scenario", scenario)

    def reset(self) -> None:
        """Counts from zero."""
        self._post("reset", "")

    def _post(self, what: str, text: str) -> None:
        request = urllib.request.Request(f"{self.url}/_simulator/{what}", text.encode(), method="POST")
        urllib.request.urlopen(request).close()


@contextmanager
def cloud_process(folder: Path, scenario: str = SCENARIO) -> Iterator[Cloud]:
    """The simulated cloud with faults, until the context ends."""
    file = folder / "scenario.toml"
    file.write_text(scenario)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.faulty_cloud", "--port", "0", "--scenario", str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, line + process.stdout.read()
        yield Cloud(line.split()[-1])
    finally:
        process.terminate()
        process.communicate(timeout=10)


def configuration(folder: Path, cloud: Cloud, more: str = "", meter: str = "") -> Path:
    """A configuration file for that cloud, unpaced."""
    path = folder / "config.toml"
    path.write_text(f"""
{more}
[pacing]
min_interval_s = 0
[retry]
wait_initial_s = 0
wait_max_s = 0
wait_jitter_s = 0
[archive]
path = "{folder / "archive"}"
[[account]]
name = "home"
host = "{cloud.url}"
auth_key = "{KEY}"
[[account.meter]]
name = "house"
id = "{DEVICE}"
{meter}
""")
    path.chmod(0o600)
    return path


def usual_configuration(folder: Path, host: str) -> Path:
    """A configuration file as a user has it, at the usual pace."""
    path = folder / "config.toml"
    path.write_text(f"""
[archive]
path = "{folder / "archive"}"
[[account]]
name = "home"
host = "{host}"
auth_key = "{KEY}"
[[account.meter]]
name = "house"
id = "{DEVICE}"
""")
    path.chmod(0o600)
    return path


def pytests_own(folder: Path) -> list[Path]:
    """The folders around a test's own one that pytest made, for the eyes of its user only."""
    return [each for each in folder.parents if each.name.startswith(("pytest-", "popen-"))]


def wait_for(process: subprocess.Popen[str], text: str) -> list[str]:
    """Reads the process's lines up to the first that holds `text`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} never came:\n" + "".join(lines))


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[int, float, str]:
    """Sends the signal; gives the exit code, the seconds until the end, and the rest of the output."""
    began = time.perf_counter()
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    return process.returncode, time.perf_counter() - began, output
