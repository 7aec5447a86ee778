"""Questions to a person on a terminal, and the answers."""

from __future__ import annotations

import os
import signal
import sys
import termios
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from collector.redaction import printable

STOPPING = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
"""The signals that end a command that asks: each raises `KeyboardInterrupt`."""
_WIDTH = 78


@contextmanager
def undisturbed() -> Iterator[None]:
    """Delays Ctrl-C until the end: of a print, which would be printed again, or of a save."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _hide() -> None:
    """From now on the terminal does not show what is typed."""
    modes = termios.tcgetattr(sys.stdin)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, modes)


class Terminal:
    """Questions and answers, in lines of at most 80 columns; nothing else than lines, for screen readers."""

    def __init__(self) -> None:
        self.is_there = sys.stdin.isatty() and sys.stdout.isatty()

    def say(self, text: str = "", indent: str = "") -> None:
        """Prints a paragraph."""
        lines = textwrap.wrap(
            printable(text),
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=" " * len(indent),
            break_long_words=False,
            break_on_hyphens=False,
        )
        print("\n".join(lines), flush=True)

    def ask(self, question: str, default: str = "") -> str:
        """The line that was entered, `default` if it is empty. Raises `KeyboardInterrupt` at its end.

        What was typed before the question was shown is dropped: it answers another one, or none.
        """
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
        with undisturbed():
            shown = f" [{printable(default)}]" if default else ""
            print(f"{printable(question)}{shown}: ", end="", flush=True)
        line = sys.stdin.buffer.readline()
        if not line.endswith(b"\n"):  # Ctrl-D, or the connection is gone
            raise KeyboardInterrupt
        return line.decode(errors="replace").strip() or default

    def ask_unseen(self, question: str) -> str:
        """As `ask`, but what is typed is not shown, not even after Ctrl-Z and `fg`."""
        import getpass

        def go_on(number: int, frame: FrameType | None) -> None:
            _hide()  # the shell has made the terminal show it
            print(f"{question}: ", end="", flush=True)

        before = signal.signal(signal.SIGCONT, go_on)
        try:
            return getpass.getpass(f"{question}: ")
        except EOFError:
            raise KeyboardInterrupt from None
        except UnicodeDecodeError:
            return "\ufffd"  # refused as a character that no key has
        finally:
            signal.signal(signal.SIGCONT, before)

    @contextmanager
    def unechoed(self) -> Iterator[None]:
        """Meanwhile what is typed is not shown: it may be a key, and answers nothing."""
        if not self.is_there or os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp():  # in the background
            yield
            return
        before = termios.tcgetattr(sys.stdin)
        try:
            _hide()
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

    def agree(self, question: str) -> bool:
        """Whether the answer is yes, which Enter is, too."""
        while True:
            answer = self.ask(f"{question} (y or n)", "y").lower()
            if answer in ("y", "yes", "n", "no"):
                return answer.startswith("y")
            self.say("Please answer y or n.")
