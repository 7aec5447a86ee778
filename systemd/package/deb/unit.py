"""The unit as the package installs it: the one of the repository, with another program and a condition."""

from __future__ import annotations

from collector.cli import PROGRAM

_OURS = (
    "# One virtual environment, out of reach of upgrades of the system's Python packages. pip compiles the\n"
    "# modules as it installs them, which halves the start; the service itself could not write there.\n"
    "ExecStart=/opt/shelly-collector/bin/shelly-collector run\n"
)
_PACKAGED = (
    "# The system's Python with Debian's libraries. The package compiles the modules as it is installed,\n"
    "# which halves the start; the service itself could not write there.\n"
    f"ExecStart=/usr/bin/{PROGRAM} run\n"
)
_ANCHOR = "\n[Service]\n"
_CONDITION = f"""\
# Without a configuration there is nothing to collect: a start is then left out, and has not failed.
ConditionPathExists=/etc/{PROGRAM}/config.toml
# What `systemctl help {PROGRAM}` opens.
Documentation=man:{PROGRAM}(1) man:{PROGRAM}.toml(5)
"""


def packaged(unit: str) -> str:
    """The packaged unit; `ValueError` where the repository's no longer has the lines that differ."""
    return _replaced(_replaced(unit, _OURS, _PACKAGED), _ANCHOR, f"{_CONDITION}{_ANCHOR}")


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise ValueError(f"the unit must have these lines once, or the package needs to know others:\n{old}")
    return text.replace(old, new)
