"""N7: a stop while the name server does not answer. A look-up cannot be cancelled."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.figures import note
from tests.support.amounts import amount, dice
from tests.support.namespaces import Namespace, namespace
from tests.support.processes import PROGRAM, environment, stop, usual_configuration, wait_for
from tests.support.world import KEY

_NAME_SERVER = "127.0.0.53"
_STOP_S = 5.0


@pytest.mark.needs("ip", "nft")
@pytest.mark.timeout(300)
def test_a_stop_while_a_name_is_looked_up_is_in_time(tmp_path: Path) -> None:
    """At its start or within it; it would go on for half a minute. Exit code 0 within 5 seconds."""
    config = usual_configuration(tmp_path, "shelly-12-eu.shelly.cloud")
    slowest_s = 0.0
    rounds = amount(2, 6)
    with namespace() as home:
        home.rules("udp dport 53 drop", "tcp dport 53 drop")
        for number in range(rounds):
            moment = dice("N7", number)
            with _running(home, config, tmp_path) as process:
                wait_for(process, "service.started")
                _wait_for_a_look_up(process.pid)
                time.sleep(moment.choice([0, moment.uniform(0, 3.5)]))
                assert _looks_up(process.pid)
                code, took_s, output = stop(process)
            assert code == 0, output
            assert took_s <= _STOP_S
            assert KEY not in output
            slowest_s = max(slowest_s, took_s)
    note("N7", stops=rounds, s_for_the_slowest=slowest_s)


@contextmanager
def _running(home: Namespace, config: Path, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The service in that network, with a name server that is nobody."""
    resolver = folder / "resolv.conf"
    resolver.write_text(f"nameserver {_NAME_SERVER}\noptions timeout:10 attempts:3\n")
    mounted = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
    process = subprocess.Popen(
        home.command("unshare", "--mount", "sh", "-c", mounted, "sh", str(resolver), *PROGRAM, "run",
                     "--config", str(config)),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(),
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _looks_up(pid: int) -> bool:
    """Whether a socket of its network waits for a name server: 53 is 0035."""
    lines = Path(f"/proc/{pid}/net/udp").read_text().splitlines()[1:]
    return any(line.split()[2].endswith(":0035") for line in lines)


def _wait_for_a_look_up(pid: int) -> None:
    deadline = time.perf_counter() + 30
    while not _looks_up(pid):
        assert time.perf_counter() < deadline, "no name was looked up"
        time.sleep(0.01)
