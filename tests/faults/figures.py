"""What a run of the fault programme did and found, as a table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

FILE_VARIABLE = "FAULTS_FIGURES"


def note(rig: str, **figures: float | str) -> None:
    """Adds a rig's figures to the run's list, where it keeps one: `note("S1", kills=2000, torn=0)`.

    Underscores become spaces; one call a test, after its assertions.
    """
    print(rig, figures)
    if path := os.environ.get(FILE_VARIABLE):
        line = json.dumps([rig, {name.replace("_", " "): figure for name, figure in figures.items()}])
        with Path(path).open("a") as file:
            file.write(f"{line}\n")


def table(lines: Iterable[str]) -> str:
    """The list as a Markdown table, a row for each rig: counts added up, all else beside one another."""
    found: dict[str, dict[str, list[float | str]]] = {}
    for line in lines:
        rig, figures = json.loads(line)
        for name, value in figures.items():
            found.setdefault(rig, {}).setdefault(name, []).append(value)
    rows = [f"| {rig} | {', '.join(_texts(found[rig]))} |" for rig in sorted(found, key=_place)]
    return "\n".join(["| rig | figures |", "|---|---|", *rows])


def _texts(figures: dict[str, list[float | str]]) -> Iterator[str]:
    for name, values in figures.items():
        counts = [value for value in values if isinstance(value, int)]
        others = [_figure(value) for value in values if not isinstance(value, int)]
        yield " / ".join(dict.fromkeys([f"{sum(counts):,}"] * bool(counts) + others)) + f" {name}"


def _place(rig: str) -> tuple[str, int]:
    return rig[:1], int("0" + "".join(filter(str.isdigit, rig)))


def _figure(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
