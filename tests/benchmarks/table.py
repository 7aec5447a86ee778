"""What a benchmark says: rows of a Markdown table, and the machine that they were measured on."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `bound` in words; `ok` is None where the figure is for information only."""

    what: str
    figure: str
    bound: str = "-"
    ok: bool | None = None

    @classmethod
    def at_most(cls, what: str, value: float, bound: float, unit: str, digits: int = 1) -> Row:
        """A figure that must not be larger."""
        return cls(what, f"{value:.{digits}f} {unit}".strip(), f"<= {bound:g} {unit}".strip(), value <= bound)

    @classmethod
    def at_least(cls, what: str, value: float, bound: float, unit: str, digits: int = 1) -> Row:
        """A figure that must not be smaller."""
        return cls(what, f"{value:.{digits}f} {unit}".strip(), f">= {bound:g} {unit}".strip(), value >= bound)


def header() -> str:
    """The first lines of the table."""
    return "| what | figure | bound | ok? |\n|---|---|---|---|"


def line(row: Row) -> str:
    """One line of the table."""
    verdict = {True: "yes", False: "**no**", None: ""}[row.ok]
    return f"| {row.what} | {row.figure} | {row.bound} | {verdict} |"


def footer(python: str) -> str:
    """Machine, processor and the versions that the collector ran on."""
    return "\n".join(f"{name}: {value}  " for name, value in _facts(python))


def _facts(python: str) -> Iterable[tuple[str, str]]:
    yield "machine", f"{platform.system()} {platform.release()}, {platform.machine()}"
    yield "processor", f"{os.cpu_count()} x {_processor()}"
    yield "archive on", _filesystem()
    script = (
        "import platform, importlib.metadata as m\n"
        "def v(n):\n"
        "    try: return n + ' ' + m.version(n)\n"
        "    except m.PackageNotFoundError: return 'no ' + n\n"
        "print(platform.python_implementation(), platform.python_version(),\n"
        "      *map(v, ['aiohttp', 'apscheduler', 'structlog', 'tenacity', 'rich']), sep=', ')"
    )
    done = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True)
    yield "python", done.stdout.strip()


def _processor() -> str:
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith(("model name", "Model"))
    ]
    return names[0] if names else platform.processor() or "unknown"


def _filesystem() -> str:
    command = ["stat", "--file-system", "--format=%T", os.environ.get("TMPDIR", "/tmp")]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
