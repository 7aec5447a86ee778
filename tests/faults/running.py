"""`run` as a process of its own, whose log goes to a file: so that nobody has to read along."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import PROGRAM, environment


@dataclass(frozen=True)
class Running:
    """The process, and where its log lies."""

    process: subprocess.Popen[bytes]
    log: Path

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of that name so far."""
        lines = self.log.read_text().splitlines()
        logged = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [event for event in logged if event["event"] == name]

    def wait_for(self, name: str, times: int = 1, within_s: float = 30) -> float:
        """Until that was told so often; the seconds that took."""
        return self.wait_until(lambda: len(self.events(name)) >= times, name, within_s)

    def wait_until(self, done: Callable[[], bool], what: str, within_s: float = 30) -> float:
        """Until that is so; the seconds that took."""
        began = time.perf_counter()
        while not done():
            assert self.process.poll() is None, self.log.read_text()
            assert time.perf_counter() - began < within_s, f"no {what}:\n{self.log.read_text()}"
            time.sleep(0.02)
        return time.perf_counter() - began

    def terminate(self, *after_s: float) -> tuple[int, float]:
        """SIGTERM, and one more after each of these pauses; the exit code, and the seconds until the end.

        That is when all is done and said: a thread in the middle of a sync is the kernel's, which lets go
        of it when the sync returns, also of a process that was killed.
        """
        began = time.perf_counter()
        self.process.send_signal(signal.SIGTERM)
        for pause_s in after_s:
            time.sleep(pause_s)
            self.process.send_signal(signal.SIGTERM)
        while self._lives():
            time.sleep(0.01)
        seconds = time.perf_counter() - began
        return self.process.wait(timeout=30), seconds

    def _lives(self) -> bool:
        stat = Path(f"/proc/{self.process.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] != "Z"


@contextmanager
def running(config: Path, before: Sequence[str] = (), **more: str) -> Iterator[Running]:
    """`run` with that configuration, started by `before` (as `strace …`); killed if it still lives then."""
    log = config.with_name("log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*before, *PROGRAM, "run", "--config", str(config)],
            stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment(**more),
        )  # fmt: skip
    try:
        yield Running(process, log)
    finally:
        process.kill()
        process.wait()
