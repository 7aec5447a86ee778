"""What a run of the fault programme did and found, as a table."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
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
    """The list as a Markdown table, a row for each rig."""
    found: dict[str, list[str]] = {}
    for line in lines:
        rig, figures = json.loads(line)
        text = ", ".join(f"{_figure(value)} {name}" for name, value in figures.items())
        found.setdefault(rig, []).append(text)
    rows = [f"| {rig} | {'; '.join(texts)} |" for rig, texts in sorted(found.items(), key=_place)]
    return "\n".join(["| rig | figures |", "|---|---|", *rows])


def _place(item: tuple[str, list[str]]) -> tuple[str, int]:
    rig = item[0]
    return rig[:1], int("0" + "".join(filter(str.isdigit, rig)))


def _figure(value: float | str) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}" if isinstance(value, float) else value
