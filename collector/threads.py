"""Blocking calls off the event loop, in threads that never keep the process from ending.

A thread pool is joined at exit: a name that does not resolve, or a card that stalls, would hold a
stopping service for as long as it likes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreads(Executor):
    """An executor that runs each call in a daemon thread of its own."""

    def submit(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Starts `call` at once."""
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result: Any = call(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for it
                future.set_exception(error)
            else:
                future.set_result(result)

        Thread(target=work, daemon=True, name="collector-blocking").start()
        return future
