"""Many commands at the price of one process: a parent that has imported all and forks for each.

Each child is the program to its very end, the interpreter's own included, with the three streams and
the user that a test wants.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tests.support.processes import environment

_PARENT = """
import gc, json, os, signal, socket, sys, time
import asyncio, encodings.idna
import collector.cli.backfill, collector.cli.config, collector.cli.demo, collector.cli.doctor
import collector.cli.run, collector.cli.simulate, collector.cli.status, collector.cli.status
import collector.cli.status_text
import collector.cli.backfill, collector.cli.verify, collector.verify.report
import collector.doctor.bundle, collector.service.app, collector.verify.cloud, collector.simulator
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
    os.lseek(descriptor, 0, os.SEEK_SET)
    return os.read(descriptor, 1_000_000).decode()

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
        os.environ.update(case["env"])
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


class Ended(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str


class Forks:
    """Runs commands, one after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(
        self,
        *words: str,
        stdin: str = "/dev/null",
        stdout: str = "kept",
        stderr: str = "kept",
        until: object = "",
        uid: int = 0,
        **env: str,
    ) -> Ended:
        """One command to its end. A stream is `kept`, `closed`, or the path that it leads to.

        `until`: it gets a SIGTERM once that path is there, or that port answers. `uid`: another user.
        """
        streams = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        case: dict[str, Any] = {"words": words, **streams, "until": str(until), "uid": uid, "env": env}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))


@contextmanager
def forks() -> Iterator[Forks]:
    """The parent, until the context ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PARENT],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
    )  # fmt: skip
    try:
        yield Forks(process)
    finally:
        process.communicate(timeout=10)
