"""`python -m tests.mutation.trier`: runs pytest once for each line of words, and answers with how it ended.

It stands in a copy of the tree, has read all that never changes, and forks for every run: reading the
libraries anew takes longer than most of the runs.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import sys
from contextlib import suppress
from importlib import import_module

import pytest

_LIBRARIES = (
    "_hypothesis_pytestplugin", "aiohttp.web", "hypothesis.strategies", "pytest_asyncio.plugin", "structlog",
    "xdist.plugin",
)  # fmt: skip

RUN_S = 120
NO_END = "none"
"""The answer where a run had to be ended; else pytest's exit code."""


def main() -> None:
    """Until there are no more lines."""
    for name in _LIBRARIES:
        import_module(name)
    for line in sys.stdin:
        print(_run(shlex.split(line)), flush=True)


def _run(words: list[str]) -> int | str:
    child = os.fork()
    if child == 0:
        os.setsid()
        quiet = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(quiet, descriptor)
        code = 3  # pytest's own word for a mistake of its own
        try:
            code = pytest.main(words)
        finally:
            os._exit(code)
    watched = os.pidfd_open(child)
    try:
        has_ended = bool(select.select([watched], [], [], RUN_S)[0])
    finally:
        os.close(watched)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # and what it started
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if has_ended else NO_END


if __name__ == "__main__":
    main()
