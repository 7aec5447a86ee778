"""Spans of several days as the simulated cloud answers them."""

from __future__ import annotations

from collections.abc import Iterable

from collector.simulator.answers import Answer


def joined(days: Iterable[Answer]) -> Answer:
    """The answers of consecutive days as one: all rows in order, everything else as in the first."""
    first, *others = days
    whole = {name: list(value) if isinstance(value, list) else value for name, value in first.items()}
    if "sum" in first:
        whole["history"] = [list(rows) for rows in first["history"]]
    for day in others:
        if "sum" not in first:
            whole["history"] += day["history"]
            continue
        whole["sum"] += day["sum"]
        for rows, more in zip(whole["history"], day["history"], strict=True):
            rows += more
    return whole
