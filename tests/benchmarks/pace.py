"""How much of the allowed pace a 90-day backfill uses, as the server saw it. In real time, side by side."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.processes import ROOT, Setup, cloud, configuration, environment, folder, started
from tests.benchmarks.table import Row

_DAYS, _SHORT_DAYS = 90, 30
_LAST = 4  # requests when there is no longer work for all that may be in progress
_LEARNED = 26  # requests until the totals were read and the longest span is known
_PATIENCE_S = 400


@dataclass(frozen=True, slots=True)
class _Trial:
    style: str
    latency_s: float
    bound: float
    zone_known: bool = False

    @property
    def allowed_hz(self) -> float:
        return 1 / 1.05 if self.style == "lax" else 1 / (1 + self.latency_s)

    @property
    def name(self) -> str:
        known = ", zone known" if self.zone_known else ""
        return f"{self.style}, {self.latency_s:g} s latency{known}"


_TRIALS = (
    _Trial("lax", 0.3, 98),
    _Trial("lax", 3, 98),
    _Trial("lax", 3, 98, zone_known=True),
    _Trial("strict", 0.3, 90),
)


def measure(setup: Setup) -> Iterator[Row]:
    """All trials at once, each with a cloud and an account of its own."""
    days = _SHORT_DAYS if setup.short else _DAYS
    with ExitStack() as stack:
        running = []
        for trial in _TRIALS:
            place = stack.enter_context(folder())
            server = stack.enter_context(cloud({"home": trial.style}, trial.latency_s))
            config = configuration(place, server.port, "home")
            command = setup.command("backfill", "--config", str(config), "--days")
            quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            if trial.zone_known:
                subprocess.run([*command, "0"], check=True, cwd=ROOT, env=environment(), **quiet)
            before = server.requests()
            process = stack.enter_context(started([*command, str(days)], **quiet))
            running.append((trial, server, before, process))
        for trial, server, before, process in running:
            code = process.wait(timeout=_PATIENCE_S)
            yield from _rows(trial, server.counts()["log"][before:], days, code)


def _rows(trial: _Trial, log: list[dict[str, Any]], days: int, code: int) -> Iterator[Row]:
    measured = log[_LEARNED:-_LAST]
    seconds = measured[-1]["at"] - measured[0]["at"]
    share = 100 * (len(measured) - 1) / seconds / trial.allowed_hz
    what = f"pace after learning, {days} days, {trial.name}: share of {trial.allowed_hz:.3f} requests/s"
    yield Row.at_least(f"{what} ({len(log)} requests, exit {code})", share, trial.bound, "%")
    learnt = _after_learning(log)
    refused = sum(each["violation"] is not None for each in log)
    later = sum(each["violation"] is not None for each in learnt)
    yield Row.at_most(f"pace, {trial.name}: rejections after learning ({refused} in all)", later, 0, "", 0)


def _after_learning(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The requests that began after the first rejection had been answered; all where none was."""
    first = next((each for each in log if each["violation"] is not None), None)
    return log if first is None else [each for each in log if each["at"] >= first["ended_at"]]
