"""N3: an answer that would fill the memory, or never ends, costs at most 8 MB and its time limit.

Each meets a process of its own, that reads it as the service does.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from threading import Thread

import pytest

from collector.simulator import Device
from collector.simulator.api import as_json
from tests.faults.bombed import TIMEOUT_S
from tests.faults.bombs import BOMBS
from tests.faults.figures import note
from tests.support.amounts import amount
from tests.support.processes import ROOT, environment
from tests.support.stand_in_cloud import EM_ID, raw_answer

_GROWTH = 8 * 2**20


@contextmanager
def _sending(pieces: Callable[[], Iterator[bytes]]) -> Iterator[str]:
    """A server that answers each request with these bytes, as fast as they are read; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(65_536)
                        for number, piece in enumerate(pieces()):
                            connection.sendall(piece)
                            if number == 0:
                                time.sleep(0.05)  # what follows the headers is read apart from them
                    except OSError:
                        pass  # the client has had enough

        Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


def _good() -> Iterator[bytes]:
    body = as_json(raw_answer(Device(EM_ID), date(2026, 6, 1)))
    return iter([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body])


@pytest.mark.timeout(300)
def test_no_bomb_costs_more_than_8_mb_or_its_time() -> None:
    """Nor is any of them taken for an answer."""
    rounds = amount(1, 3)
    growths: dict[str, int] = {}
    slowest_s = 0.0
    wrong = []
    for name, pieces in [*BOMBS.items()] * rounds:
        with _sending(_good) as good, _sending(pieces) as bomb:
            done = subprocess.run(
                [sys.executable, "-m", "tests.faults.bombed", good, bomb],
                capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment(), check=False,
            )  # fmt: skip
        assert done.returncode == 0, f"{name}: {done.stderr[-2000:]}"
        told = json.loads(done.stdout)
        print(f"{name:40} {told['growth'] / 2**20:6.2f} MB {told['took_s']:6.2f} s  {told['outcome']}")
        growths[name] = max(growths.get(name, 0), told["growth"])
        slowest_s = max(slowest_s, told["took_s"])
        if told["growth"] > _GROWTH or told["took_s"] > TIMEOUT_S + 1 or told["outcome"] == "an answer":
            wrong.append((name, told))
    assert not wrong
    largest = max(growths, key=lambda name: growths[name])
    note("N3", bombs=len(BOMBS) * rounds, MB_at_most=growths[largest] / 2**20, s_at_most=slowest_s)
