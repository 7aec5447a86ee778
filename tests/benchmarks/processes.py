"""The simulator and the collector, each in a process of its own, as a user starts them."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.certificates import certificate

ROOT = Path(__file__).resolve().parents[2]
KEY = "SIMULATED0NOT0A0REAL0KEY0OF0"
METER = "grid"
DEVICE_ID = "e8db84d2a1b3"


@dataclass(frozen=True, slots=True)
class Setup:
    """How to measure: the interpreter that runs the collector, and whether a hint is enough."""

    python: str = sys.executable
    short: bool = False

    def command(self, *words: str) -> list[str]:
        """A command of the collector."""
        return [self.python, "-m", "collector", *words]


def environment(**extra: str) -> dict[str, str]:
    """Ours, without what skews: .pyc files are written, the system's certificates are used, no systemd."""
    skewing = (
        "PYTHONDONTWRITEBYTECODE", "NOTIFY_SOCKET", "INVOCATION_ID", "JOURNAL_STREAM", "SSL_CERT_FILE",
        "SSL_CERT_DIR",
    )  # fmt: skip
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in skewing and not name.startswith(("SHELLY_COLLECTOR_", "WATCHDOG_", "COV_"))
    }
    return kept | extra


@dataclass(frozen=True, slots=True)
class Cloud:
    """A simulator that runs elsewhere."""

    port: int

    def counts(self) -> dict[str, Any]:
        """All that it saw."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/_simulator/counts")
            counts: dict[str, Any] = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        return counts

    def requests(self) -> int:
        """How many requests it saw."""
        total: int = self.counts()["total"]["requests"]
        return total


@contextmanager
def cloud(accounts: dict[str, str], latency_s: float = 0.0, hour_span_h: int = 60) -> Iterator[Cloud]:
    """A simulated cloud with these accounts, each with the style of its rate limit and one meter."""
    scenario = f"latency_s = {latency_s}\nhour_span_h = {hour_span_h}\n"
    for name, style in accounts.items():
        scenario += f'[[account]]\nname = "{name}"\nauth_key = "{KEY}{name}"\n'
        scenario += f'limit = {{ style = "{style}" }}\n[[account.device]]\nid = "{DEVICE_ID}"\n'
    with folder() as place:
        file = place / "scenario.toml"
        file.write_text(scenario)
        words = ["-m", "tests.support.faulty_cloud", "--port", "0", "--scenario", str(file)]
        with started([sys.executable, *words], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            greeting = process.stdout.readline().decode()
            yield Cloud(int(greeting.rsplit(":", 1)[1]))


@contextmanager
def folder() -> Iterator[Path]:
    """A folder for one measurement."""
    with tempfile.TemporaryDirectory(prefix="shelly-benchmark-") as name:
        yield Path(name)


@dataclass(slots=True)
class TlsRelay:
    """A relay with TLS before a server; `handshakes` is known at its end."""

    port: int
    certificate: Path
    handshakes: int = 0


@contextmanager
def tls_relay(place: Path, port: int) -> Iterator[TlsRelay]:
    """Before the server on that port, with a certificate that is put into the folder."""
    shown = certificate(place)
    words = [sys.executable, "-m", "tests.benchmarks.tls_relay", str(shown.file), str(shown.key), str(port)]
    with started(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        relay = TlsRelay(int(process.stdout.readline()), shown.file)
        yield relay
        process.stdin.close()
        relay.handshakes = int(process.stdout.readline())


def configuration(place: Path, port: int, account: str, *extra: str, scheme: str = "http") -> Path:
    """A configuration for one account and meter; `extra` are lines of TOML above them."""
    file = place / "config.toml"
    lines = [*extra, f'[archive]\npath = "{place / "archive"}"', account_table(account, port, METER, scheme)]
    file.write_text("\n".join(lines))
    file.chmod(0o600)
    return file


def account_table(account: str, port: int, meter: str, scheme: str = "http") -> str:
    """The table of an account of the simulated cloud at that port, with its meter."""
    return (
        f'[[account]]\nname = "{account}"\nhost = "{scheme}://127.0.0.1:{port}"\n'
        f'auth_key = "{KEY}{account}"\n[[account.meter]]\nname = "{meter}"\nid = "{DEVICE_ID}"\n'
    )


UNPACED = "[pacing]\nmin_interval_s = 0"


@contextmanager
def started(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A child process, in the project's folder; ended in order on the way out."""
    options.setdefault("env", environment())
    options.setdefault("cwd", ROOT)
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


def wait_until(what: Callable[[], bool], within_s: float = 120.0, every_s: float = 0.1) -> None:
    """Waits for something that another process does; `TimeoutError` where it does not."""
    give_up_at = time.perf_counter() + within_s
    while not what():
        if time.perf_counter() > give_up_at:
            raise TimeoutError(f"not within {within_s:g} s")
        time.sleep(every_s)


def events(log: Path, name: str) -> list[dict[str, Any]]:
    """The log's events of that name."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line.get("event") == name]
