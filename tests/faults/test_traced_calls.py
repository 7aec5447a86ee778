"""S7: the same failures as the kernel gives them, and that the rig beside this one misses no call."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from collector.archive.dayfile import DayFormat
from collector.archive.store import Archive
from collector.verify.files import inspect
from tests.faults import figures
from tests.faults.failing_calls import Calls
from tests.faults.failing_lives import ANSWERS, ASIDE, FAILED, NOW, WANTED, Life
from tests.faults.test_failing_calls import begin, check_final, check_kept, undisturbed
from tests.support import amounts
from tests.support.energy_days import filled

pytestmark = pytest.mark.needs("strace")

SYSCALLS = {
    "open": "openat", "close": "close", "read": "read", "write": "write", "fsync": "fsync",
    "fchown": "fchown", "ftruncate": "ftruncate", "pread": "pread64", "pwrite": "pwrite64",
    "mkdir": "mkdir", "unlink": "unlink", "rename": "rename", "replace": "rename", "flock": "flock",
}  # fmt: skip
WORK = """
import sys
from pathlib import Path
from tests.faults.test_traced_calls import work
work(Path(sys.argv[1]))
"""
LIVE = """
import json, sys
from pathlib import Path
from tests.faults.failing_calls import Calls
from tests.faults.test_failing_calls import Life
life = Life(Path(sys.argv[1]), Calls(Path(sys.argv[1])))
life.live()
life.end()
seen = {
    str(day): [None if each is None else each.decode() for each in found] for day, found in life.seen.items()
}
print(json.dumps([[str(day) for day in life.saved], [error.errno for error in life.errors], seen]))
"""
INJECTED = [
    ("fsync", "EIO"),
    ("write", "ENOSPC"),
    ("rename", "EROFS"),
    ("pwrite64", "EIO"),
    ("flock", "EINTR"),
]


def work(folder: Path) -> None:
    """Everything that is done with an archive, and nothing else on that folder."""
    archive = Archive(folder, DayFormat())
    archive.scan(NOW.date())
    for answered in ANSWERS:
        archive.merge(answered, NOW)
    archive.note_failure(filled(FAILED).day, "no answer", NOW)
    archive.request_again(WANTED, "verify")
    archive.scan(NOW.date())
    archive.set_aside(ASIDE, "verify")
    archive.probe()
    archive.close()


def traced(program: str, folder: Path, *options: str) -> tuple[str, str]:
    """What the program printed, and its system calls on that folder."""
    log = folder.with_name(f"{folder.name}.strace")
    command = [
        "strace",
        "-f",
        "-qq",
        "-y",
        "-o",
        str(log),
        *options,
        sys.executable,
        "-c",
        program,
        str(folder),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"PYTHONPATH": "."}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, log.read_text()


def test_no_call_is_missed(tmp_path: Path) -> None:
    """What the kernel saw of the archive's calls is what the rig counts, and lets fail."""
    whole = undisturbed("crash", tmp_path / "whole")
    begin(whole.before, tmp_path / "counted")
    with Calls(tmp_path / "counted").wrapped() as calls, calls.watched():
        work(tmp_path / "counted")
    names = Counter(name for name, _ in calls.made)
    counted = Counter[str]()
    for name, number in names.items():
        if name in SYSCALLS:
            counted[SYSCALLS[name]] += number
    listings = names["scandir"] + names["listdir"]  # each opens the folder, and closes it
    counted.update({"openat": listings, "close": listings})
    begin(whole.before, tmp_path / "traced")
    _, trace = traced(WORK, tmp_path / "traced", "-e", f"trace={','.join(sorted(set(SYSCALLS.values())))}")
    lines = [line for line in trace.splitlines() if str(tmp_path / "traced") in line.partition(" = ")[0]]
    seen = Counter(re.match(r"\d+ +(\w+)\(", line)[1] for line in lines)  # type: ignore[index]
    assert seen == counted
    figures.note("S7", calls_that_strace_saw=seen.total(), missed=0)


@pytest.mark.parametrize("start", ["stored", "crash"])
def test_the_kernels_own_errors_do_no_harm(start: str, tmp_path: Path) -> None:
    """A few of the same failures injected where the program meets the kernel."""
    whole = undisturbed(start, tmp_path / "whole")
    dice = amounts.dice("S7 traced", start)
    rounds = amounts.amount(3, 20)
    for number in range(rounds):
        call, error = INJECTED[number % len(INJECTED)]
        folder = tmp_path / str(number)
        begin(whole.before, folder)
        when = dice.randint(1, 8 if call == "fsync" else 2)
        for_ever = "+" if error != "EINTR" and dice.random() < 0.5 else ""  # Python tries that again itself
        inject = f"inject={call}:error={error}:when={when}{for_ever}"
        said, trace = traced(
            LIVE, folder, "-P", str(folder), *paths(folder), "-e", f"trace={call}", "-e", inject
        )
        saved, numbers, seen = json.loads(said)
        life = Life(folder, Calls(folder))
        life.saved = {date.fromisoformat(day) for day in saved}
        for day, found in seen.items():
            life.seen[date.fromisoformat(day)] |= {None if each is None else each.encode() for each in found}
        check_kept(whole, life)
        assert set(numbers) <= {getattr(errno, error)}
        assert ("INJECTED" in trace) >= bool(numbers)
        life.live()
        life.end()
        assert life.errors == []
        check_final(whole, folder)
        assert inspect(folder, None, NOW).findings == ()
    figures.note("S7", traced_lives=rounds)


def paths(folder: Path) -> list[str]:
    """The files that are written, for strace to look at: it does not look into folders."""
    own = folder / ".collector"
    names = [own, own / "ledger.jsonl", own / "checksums", own / "probe.shelly-tmp", own / "lock"]
    names += [folder / f"{answered.day.date}.jsonl.shelly-tmp" for answered in ANSWERS]
    return [word for name in names for word in ("-P", str(name))]
