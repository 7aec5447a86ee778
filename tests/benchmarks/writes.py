"""What a round that changes nothing writes: nothing. Seen by strace, and by the files themselves."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.processes import (
    UNPACED,
    Setup,
    cloud,
    configuration,
    environment,
    events,
    folder,
    started,
    wait_until,
)
from tests.benchmarks.table import Row

_CALLS = (
    "write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync,sync,syncfs,openat,ftruncate,truncate,"
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,chmod,fchmod,fchmodat,link,linkat,symlink"
)
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+)")
_DAYS = 14


def measure(setup: Setup) -> Iterator[Row]:
    """SIGHUP makes `run` look at all its files and ask anew for what is due: today, at least."""
    strace = shutil.which("strace")
    with cloud({"home": "none"}) as server, folder() as place:
        schedule = f"[schedule]\nbackfill_days = {_DAYS}"
        config = configuration(place, server.port, "home", UNPACED, schedule)
        trace, log, archive = place / "trace", place / "log", place / "archive"
        command = setup.command("run", "--verbose", "--config", str(config))
        if strace:
            command = [strace, "-f", "-y", "-qq", "-e", f"trace={_CALLS}", "-o", str(trace), *command]
        # As the unit gives it: a folder in memory, for what the service says of itself.
        env = environment(RUNTIME_DIRECTORY=str(place / "run"))
        with log.open("wb") as output, started(command, stdout=output, env=env) as process:
            pid = process.pid
            wait_until(lambda: _rounds(log) >= 1)
            if strace:
                pid = int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
            before, traced, asked = _state(archive), _size(trace), server.requests()
            os.kill(pid, signal.SIGHUP)
            wait_until(lambda: _rounds(log) >= 2)
            after, asked = _state(archive), server.requests() - asked
            text = trace.read_text() if strace else ""
            first, lines = text[:traced].splitlines(), text[traced:].splitlines()
            os.kill(pid, signal.SIGTERM)
            process.wait(timeout=20)
    what = f"a refresh that changes nothing ({asked} requests, {_DAYS} days stored)"
    changed = sum(before.get(path) != after.get(path) for path in before.keys() | after.keys())
    yield Row.at_most(f"{what}: files and folders changed", changed, 0, "", 0)
    if strace is None:
        yield Row(f"{what}: bytes and fsyncs", "not measured: no strace")
        return
    if _effects(first, str(archive))[0]["fsync"] < 2 * _DAYS:
        raise RuntimeError("strace did not see what the first round wrote: its silence proves nothing")
    seen, written = _effects(lines, str(archive))
    yield Row.at_most(f"{what}: bytes written", written, 0, "bytes", 0)
    yield Row.at_most(f"{what}: fsyncs", seen["fsync"] + seen["fdatasync"], 0, "", 0)
    others = sum(count for name, count in seen.items() if name not in ("fsync", "fdatasync", "write"))
    yield Row.at_most(f"{what}: other calls that change files", others, 0, "", 0)


def _rounds(log: Path) -> int:
    """How many rounds are over: each has a job of each lane."""
    finished = Counter(each["job"] for each in events(log, "job.finished"))
    return min(finished[lane] for lane in ("refresh", "heal", "backfill"))


def _state(archive: Path) -> dict[Path, tuple[int, int, int]]:
    """What changes when a file or a folder does."""
    paths = [archive, *archive.rglob("*")]
    return {
        path: (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns) for path in paths if (stat := path.lstat())
    }


def _size(trace: Path) -> int:
    return len(trace.read_text()) if trace.exists() else 0


def _effects(lines: list[str], archive: str) -> tuple[Counter[str], int]:
    """The calls that change something in the archive, by name, and the bytes written there."""
    seen: Counter[str] = Counter()
    written = 0
    for line in lines:
        call = _CALL.search(line)
        if call is None or archive not in call[2]:
            continue
        name, arguments, result = call.groups()
        if name == "openat" and not re.search("O_TRUNC|O_APPEND|O_WRONLY", arguments):
            continue  # the lock is opened for reading and writing, and nothing is written
        if name.startswith("mkdir") and int(result) < 0:
            continue  # it was there
        seen[name] += 1
        if "write" in name:
            written += max(int(result), 0)
    return seen, written
