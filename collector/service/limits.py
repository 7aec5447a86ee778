"""Whether the limits of the unit, or of the shell, are enough for that many accounts."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MEMORY_MB, _MEMORY_OF_METER_MB = 45.0, 0.75  # with three years of files; 0.1 at the start
_FILES, _TASKS = 64, 72  # besides each meter's lock, each account's connections and pace; whatever the meters
_MB = 1024 * 1024
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


def too_low(
    meters: int, accounts: int, in_flight: int, cgroups: Path = CGROUPS, own: Path = OWN_CGROUP
) -> Iterator[str]:
    """A sentence for each limit that is too low for so many meters and accounts.

    `in_flight`: the connections of an account.
    """
    files = _FILES + meters + accounts * (in_flight + 1)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed != resource.RLIM_INFINITY and allowed < files:
        yield (
            f"{allowed} files may be open, and {meters} meters need up to {files}: set "
            f"LimitNOFILE={files} in a drop-in (systemctl edit shelly-collector)"
        )
    memory_mb = round(_MEMORY_MB + _MEMORY_OF_METER_MB * meters)
    for name, setting, unit, needed in (
        ("memory.high", "MemoryHigh", _MB, memory_mb),
        ("memory.max", "MemoryMax", _MB, memory_mb),
        ("pids.max", "TasksMax", 1, _TASKS),
    ):
        limit = _lowest(name, cgroups, own)
        if limit is not None and limit // unit < needed:
            suffix = "M" if unit == _MB else ""
            yield (
                f"{setting} is {limit // unit}{suffix}, and {meters} meters need {needed}{suffix}: set "
                f"{setting}={needed * 3 // 2}{suffix} in a drop-in (systemctl edit shelly-collector)"
            )


def _lowest(name: str, cgroups: Path, own: Path) -> int | None:
    """That limit of this process's control group and those above it; `None` if there is none."""
    limits = []
    with suppress(OSError, ValueError):
        path = own.read_text().partition("0::/")[2].partition("\n")[0]
        folder = cgroups / path
        for each in (folder, *folder.parents):
            if not each.is_relative_to(cgroups):
                break
            with suppress(OSError, ValueError):  # the root has no limits, others "max"
                limits.append(int((each / name).read_text()))
    return min(limits, default=None)
