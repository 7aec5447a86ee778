"""Real processes: the program as a user starts it, and the simulated cloud beside it."""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.world import DEVICE, KEY

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "collector"]

_PARENT = """
import gc, json, os, signal, socket, sys, time
import asyncio, encodings.idna, encodings.utf_8_sig
import collector.cli.backfill, collector.cli.config, collector.cli.demo, collector.cli.doctor
import collector.cli.export, collector.cli.report, collector.cli.reread, collector.cli.run
import collector.cli.setup, collector.cli.simulate
import collector.cli.status
import collector.cli.verify, collector.verify.report
import collector.doctor.bundle, collector.service.app, collector.verify.repair, collector.simulator
from collector.cli import main

def arrange(stream, name, how, kept):
    if how == "closed":
        os.close(stream)
        setattr(sys, name, None)
        setattr(sys, f"__{name}__", None)
    else:
        target = kept if how == "kept" else os.open(how, os.O_RDWR)
        os.dup2(target, stream)

def stopped(child, case):
    for _ in range(2000):
        if os.path.exists(case["until"]) or is_listening(case["until"]):
            os.kill(child, signal.SIGTERM)
            return
        time.sleep(0.01)

def is_listening(port):
    with socket.socket() as caller:
        return port.isdigit() and caller.connect_ex(("127.0.0.1", int(port))) == 0

def read(descriptor):
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()

gc.freeze()  # the collections of each child's end look at none of it: half of what a child costs
for line in sys.stdin:
    case = json.loads(line)
    out, err = os.memfd_create("out", 0), os.memfd_create("err", 0)
    child = os.fork()
    if child == 0:
        if case["uid"]:
            os.setgroups([])
            os.setgid(case["uid"])
            os.setuid(case["uid"])
        os.chdir(case["cwd"])
        os.environ.clear()
        os.environ.update(case["env"])
        time.tzset()
        signal.alarm(case["timeout_s"])
        arrange(2, "stderr", case["stderr"], err)
        arrange(1, "stdout", case["stdout"], out)
        arrange(0, "stdin", case["stdin"], 0)
        sys.argv[1:] = case["words"]
        sys.exit(main())
    if case["until"]:
        stopped(child, case)
    _, status = os.waitpid(child, 0)
    found = {"code": os.waitstatus_to_exitcode(status), "out": read(out), "err": read(err)}
    os.close(out)
    os.close(err)
    print(json.dumps(found), flush=True)
"""


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
    ours["SHELLY_COLLECTOR_PACE_FOLDER"] = "/proc/nowhere"  # this machine's service has a pace of its own
    ours["XDG_STATE_HOME"] = "/proc/nowhere"  # what a service remembers is not kept in a developer's home
    return {**kept, **ours, **more}


def collector(
    *words: str, timeout_s: int = 60, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs one command to its end: forked, or in an interpreter of its own if `env` configures that."""
    command, env = [*PROGRAM, *words], env or {}
    if any(name.startswith("PYTHON") for name in env):
        return subprocess.run(
            command,
            capture_output=True, text=True, timeout=timeout_s, check=False, cwd=cwd,
            env=environment(**env), stdin=subprocess.DEVNULL,
        )  # fmt: skip
    code, out, err = forks().run(*words, timeout_s=timeout_s, cwd=cwd or ROOT, env=env)
    return subprocess.CompletedProcess(command, code, out, err)


class Ended(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


class Forks:
    """Many commands at the price of one process: a parent that has imported all and forks for each.

    Each child is the program to its very end, the interpreter's own included, with the three streams and
    the user that a test wants. One runs at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PARENT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT,
        )  # fmt: skip

    def run(
        self,
        *words: str,
        stdin: str = "/dev/null",
        stdout: str = "kept",
        stderr: str = "kept",
        until: object = "",
        uid: int = 0,
        timeout_s: int = 60,
        cwd: Path = ROOT,
        env: Mapping[str, str] | None = None,
    ) -> Ended:
        """One command to its end. A stream is `kept`, `closed`, or the path that it leads to.

        `until`: it gets a SIGTERM once that path is there, or that port answers. `uid`: another user.
        """
        case = json.dumps({
            "words": words, "stdin": stdin, "stdout": stdout, "stderr": stderr, "until": str(until),
            "uid": uid, "timeout_s": timeout_s, "cwd": str(cwd), "env": environment(**(env or {})),
        })  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(f"{case}\n")
            self._process.stdin.flush()
            return Ended(**json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate(timeout=10)


@cache
def forks() -> Forks:
    """The parent of this process's commands, which ends with it."""
    made = Forks()
    atexit.register(made.close)
    return made


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


def script(folder: Path, text: str) -> tuple[str, ...]:
    """A program of that text."""
    path = folder / "tell"
    path.write_text(f"#!/bin/sh\ncd {shlex.quote(str(folder))}\n{text}\n")
    path.chmod(0o755)
    return (str(path), "a word", "$HOME; touch no-shell")


async def gone(file: Path) -> None:
    """Until the process whose number stands there is over."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{file.read_text().strip()}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":  # its new parent has not looked yet
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it still runs")
