"""Processes by the thousand, forked from a small one: to fork one as large as the tests' takes far longer."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import traceback
from collections.abc import Callable
from functools import cache
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

_LARGEST = 65536


class Child(NamedTuple):
    """A process, and the line to it."""

    process: int
    line: Connection[Any, Any]


def born(work: Callable[..., None], *words: object) -> Child:
    """Forks a process that does `work(line, *words)` and ends."""
    nursery = _nursery()
    ours, its = Pipe()
    with its:
        socket.send_fds(nursery, [pickle.dumps((work, words))], [its.fileno()])
        return Child(int(nursery.recv(_LARGEST)), ours)


def end(child: Child) -> None:
    """Kills it, waits until it is gone, and hangs up."""
    os.kill(child.process, signal.SIGKILL)
    nursery = _nursery()
    nursery.send(pickle.dumps(child.process))
    nursery.recv(_LARGEST)
    child.line.close()


@cache
def _nursery() -> socket.socket:
    """The way to this process's nursery, which ends with it."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with its:
        get_context("spawn").Process(target=_nurse, args=(its,), daemon=True).start()
    return ours


def _nurse(requests: socket.socket) -> None:
    while True:
        message, lines, _, _ = socket.recv_fds(requests, _LARGEST, 1)
        if not message:
            return
        wanted = pickle.loads(message)
        if not lines:
            os.waitpid(wanted, 0)
            requests.send(b"gone")
            continue
        process = os.fork()
        if process == 0:
            _live(Connection(lines[0]), *wanted)
        os.close(lines[0])
        requests.send(str(process).encode())


def _live(line: Connection[Any, Any], work: Callable[..., None], words: tuple[object, ...]) -> None:
    try:
        work(line, *words)
    except BaseException:  # noqa: BLE001 - nothing may go on where its parent was
        traceback.print_exc()
    finally:
        os._exit(1)
