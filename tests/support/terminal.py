"""A command on a terminal of 80 columns, and the person before it. Needs nothing but Python itself."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

COLUMNS = 80
CTRL_C, CTRL_D = "\x03", "\x04"
_PATIENCE_S = 60.0


class Ending(NamedTuple):
    """The exit code, and all that was on the screen."""

    code: int
    screen: str


class Terminal:
    """`with Terminal(words, env) as terminal:` runs the command; it is ended at the end of the context."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str], cwd: Path | None = None) -> None:
        self.screen = ""
        self._read_to = 0
        self._here, there = pty.openpty()
        fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        self.process = subprocess.Popen(
            words, stdin=there, stdout=there, stderr=there, env=dict(env), cwd=cwd, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(there)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._here)

    def wait_for(self, text: str) -> str:
        """Waits for that text, after what was waited for before; gives what is new up to there."""
        until = time.perf_counter() + _PATIENCE_S
        while (found := self.screen.find(text, self._read_to)) < 0:
            if not self._read(until):
                raise AssertionError(f"{text!r} never came:\n{self.screen}")
        begin, self._read_to = self._read_to, found + len(text)
        return self.screen[begin : self._read_to]

    def type(self, text: str) -> None:
        """Types the text, and Enter unless it ends with a control character."""
        end = "" if text.endswith((CTRL_C, CTRL_D)) else "\n"
        os.write(self._here, f"{text}{end}".encode())

    def answer(self, question: str, text: str = "") -> None:
        """Waits for the question, then types."""
        self.wait_for(question)
        if question.startswith("Key"):
            self.wait_for_silence()
        self.type(text)

    def end(self) -> Ending:
        """The end of the command."""
        until = time.perf_counter() + _PATIENCE_S
        while self._read(until):
            pass
        return Ending(self.process.wait(10), self.screen)

    def echoes(self) -> bool:
        """Whether what is typed is shown."""
        return bool(termios.tcgetattr(self._here)[3] & termios.ECHO)

    def leave_and_come_back(self) -> None:
        """As Ctrl-Z and `fg` do: meanwhile the shell makes the terminal show what is typed."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)
        modes = termios.tcgetattr(self._here)
        modes[3] |= termios.ECHO
        termios.tcsetattr(self._here, termios.TCSANOW, modes)
        self.process.send_signal(signal.SIGCONT)

    def wait_for_silence(self) -> None:
        """Until the terminal no longer shows what is typed: what is typed before that would be lost."""
        until = time.perf_counter() + _PATIENCE_S
        while self.echoes():
            assert time.perf_counter() < until, "the key would be shown"
            time.sleep(0.01)

    def _read(self, until: float) -> bool:
        """Reads what is new; false at the end of the command, or if it takes too long."""
        ready, _, _ = select.select([self._here], [], [], max(0.0, until - time.perf_counter()))
        if not ready:
            raise AssertionError(f"nothing more came:\n{self.screen}")
        try:
            data = os.read(self._here, 65536)
        except OSError:  # all ends of the other side are closed
            return False
        self.screen += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


def controls_in(screen: str) -> list[str]:
    """The control characters on the screen, other than the ends of lines."""
    return re.findall(r"[\x00-\x09\x0b-\x1f\x7f]", screen)
