"""Hook: a program of the user's that is run when a meter's health changes. No shell, no secrets.

It gets a clean environment: neither the key nor systemd's socket is handed on.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

from collector import logs

_LIMIT_S = 30.0
_GRACE_S = 0.5  # between SIGTERM and SIGKILL
_KILL_S = 0.3  # so long the kernel may take to end what was killed
_MOST_OUTPUT = 4096
_CHUNK = 64 * 1024
_MOST_FIRST_LINE = 200
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_PATH = "/usr/local/bin:/usr/bin:/bin"

_log = logs.get_logger("hook")


class Change(NamedTuple):
    """A meter's health became another."""

    meter: str
    before: str
    state: str
    reason: str
    age_s: int | None


class Hook:
    """Runs the command for each change, one at a time.

    Of the changes of one meter that come meanwhile only the newest is told.
    """

    def __init__(self, command: tuple[str, ...], environ: Mapping[str, str] = os.environ) -> None:
        self._command = command
        self._environ = {"PATH": _PATH} | {name: environ[name] for name in _KEPT if name in environ}
        self._waiting: dict[str, Change] = {}
        self._task: asyncio.Task[None] | None = None

    def tell(self, change: Change) -> None:
        """Has the change told, as soon as the command is free."""
        unheard = self._waiting.pop(change.meter, None)
        if unheard is not None:
            change = change._replace(before=unheard.before)
        if change.before != change.state:
            self._waiting[change.meter] = change
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Ends the command that runs, within a second; what waits is not told."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        while self._waiting:
            change = self._waiting.pop(next(iter(self._waiting)))
            await self._run(change)

    async def _run(self, change: Change) -> None:
        output = _Output()
        try:
            reason, code = await self._until_over(change, output)
            if reason:
                log = _log.bind(meter=change.meter)
                log.warning("hook.failed", reason=reason, code=code, output=output.first_line())
        finally:
            output.close()

    async def _until_over(self, change: Change, output: _Output) -> tuple[str, int | None]:
        """Why it failed, empty where it did not, and its exit code."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output.writing,
                stderr=output.writing,
                env=self._environ | _told(change),
                start_new_session=True,
            )
        except OSError as error:
            return f"it cannot be run: {error.strerror or type(error).__name__}", None
        try:
            output.begin()
            async with asyncio.timeout(_LIMIT_S):
                code = await process.wait()
        except TimeoutError:
            return f"not done within {_LIMIT_S:g} s", None
        finally:
            await _end(process)
        if code < 0:
            return f"ended by signal {-code}", None
        return f"exit code {code}" if code else "", code


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends the command and what it has started, first politely. Nothing to do where it is over."""
    if process.returncode is not None:
        return  # what it has left behind on purpose may stay
    # In a task that has been cancelled, the `asyncio.timeout` of Python 3.11.2, Bookworm's, raises no
    # TimeoutError but goes on cancelling: the second signal would never be sent.
    over = asyncio.create_task(process.wait())
    for number, wait_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, _KILL_S)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        await asyncio.wait([over], timeout=wait_s)
    over.cancel()


def _told(change: Change) -> dict[str, str]:
    """What the command is told, as variables of its environment."""
    return {
        "SHELLY_COLLECTOR_HEALTH": change.state,
        "SHELLY_COLLECTOR_HEALTH_BEFORE": change.before,
        "SHELLY_COLLECTOR_METER": change.meter,
        "SHELLY_COLLECTOR_REASON": _sound(change.reason),
        "SHELLY_COLLECTOR_AGE_S": "" if change.age_s is None else str(change.age_s),
    }


def _sound(text: str) -> str:
    """One line that an environment can hold."""
    return " ".join(text.replace("\0", " ").split()).encode("utf-8", "replace").decode()


class _Output:
    """What the command says, its beginning kept and the rest thrown away, so that it never waits.

    A pipe of our own: asyncio's keeps a process from being over while any child of it holds the pipe.
    """

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._kept = b""

    def begin(self) -> None:
        """To be called once the command has its end of the pipe."""
        os.close(self.writing)
        self.writing = -1
        asyncio.get_running_loop().add_reader(self._reading, self._read)

    def first_line(self) -> str:
        """The first line that says something."""
        self._read()
        lines = self._kept.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in lines if line.strip()), "")[:_MOST_FIRST_LINE]

    def close(self) -> None:
        """Gives both ends back."""
        asyncio.get_running_loop().remove_reader(self._reading)
        os.close(self._reading)
        if self.writing >= 0:
            os.close(self.writing)

    def _read(self) -> None:
        """Takes what is there."""
        with suppress(BlockingIOError):
            data = os.read(self._reading, _CHUNK)
            if not data:
                asyncio.get_running_loop().remove_reader(self._reading)
            self._kept = (self._kept + data)[:_MOST_OUTPUT]
