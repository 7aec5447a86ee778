"""S7: the k-th storage call fails, for every k, in every way, once and for ever after."""

from __future__ import annotations

import errno
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from collector.verify.files import inspect
from tests.faults import figures
from tests.faults.failing_lives import (
    NOW,
    STARTS,
    Life,
    Undisturbed,
    begin,
    check_final,
    check_kept,
    descriptors,
    undisturbed,
    work,
)
from tests.faults.mutants import mutant, saving_by
from tests.support import amounts
from tests.support.failing_calls import WRITES, Calls, Failure
from tests.support.processes import ROOT

CAUGHT = ("no loop on short writes", "second fsync on the same descriptor")

SYSCALLS = {
    "open": "openat", "close": "close", "read": "read", "write": "write", "fsync": "fsync",
    "fchown": "fchown", "ftruncate": "ftruncate", "pread": "pread64", "pwrite": "pwrite64",
    "mkdir": "mkdir", "unlink": "unlink", "rename": "rename", "replace": "rename", "flock": "flock",
}  # fmt: skip
WORK = """
import sys
from pathlib import Path
from tests.faults.failing_lives import work
work(Path(sys.argv[1]))
"""
ERRORS = (
    errno.ENOSPC, errno.EROFS, errno.EIO, errno.EACCES, errno.EDQUOT, errno.EMFILE, errno.EINTR, None,
)  # fmt: skip


def disturbed(whole: Undisturbed, folder: Path, fault: Failure) -> int:
    """One life with that fault, and one after it; gives how many calls failed."""
    begin(whole.before, folder)
    before = descriptors()
    with Calls(folder, fault).wrapped() as calls:
        life = Life(folder, calls)
        life.live()
        check_kept(whole, life)
        failed, calls.fault = calls.failed, None
        life.errors.clear()
        life.live()  # with the same object, where it could be opened
        assert life.errors == []
        check_final(whole, folder)
        life.end()
        fresh = Life(folder, calls)
        fresh.look()
        fresh.end()
        assert fresh.errors == []
    assert descriptors() == before
    check_final(whole, folder)
    assert inspect(folder, None, NOW).findings == ()
    return failed


@pytest.mark.parametrize("start", STARTS)
def test_any_call_may_fail(start: str, tmp_path: Path) -> None:
    """Old or new, told as it is, nothing moved aside that is whole; and all is well once it is over."""
    whole = undisturbed(start, tmp_path / "whole")
    lives = failures = 0
    for fault in some_of(faults_for(whole), start):
        failures += disturbed(whole, tmp_path / str(lives), fault)
        shutil.rmtree(tmp_path / str(lives))
        lives += 1
    assert failures >= lives
    figures.note("S7", calls=len(whole.made), lives=lives, failures=failures, harm=0)


def faults_for(whole: Undisturbed) -> list[list[Failure]]:
    """For each call all ways in which it may fail: first those once, then those for ever after."""
    return [
        [
            make(number, error)
            for make in (Failure.once, Failure.lasting)
            for error in ERRORS
            if error is not None or name in WRITES
        ]
        for number, (name, _) in enumerate(whole.made)
    ]


def some_of(faults: list[list[Failure]], start: str) -> list[Failure]:
    """All of them in the long form; else each call fails once, and for ever, in a way of the dice."""
    if amounts.is_long():
        return [fault for each in faults for fault in each]
    dice = amounts.dice("S7", start)
    return [
        dice.choice(half)
        for each in faults
        for half in (each[: len(each) // 2], each[len(each) // 2 :])
    ]  # fmt: skip


@pytest.mark.needs("strace")
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
    trace = traced(tmp_path / "traced")
    lines = [line for line in trace.splitlines() if str(tmp_path / "traced") in line.partition(" = ")[0]]
    seen = Counter(re.match(r"\d+ +(\w+)\(", line)[1] for line in lines)  # type: ignore[index]
    assert seen == counted
    figures.note("S7", calls_that_strace_saw=seen.total(), missed=0)


def traced(folder: Path) -> str:
    """The system calls of `work` on that folder."""
    log = folder.with_name("strace")
    command = ["strace", "-f", "-qq", "-y", "-o", str(log), "-e", f"trace={','.join(set(SYSCALLS.values()))}"]
    command += [sys.executable, "-c", WORK, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return log.read_text()


@pytest.mark.parametrize("name", CAUGHT)
def test_this_rig_notices(name: str, tmp_path: Path) -> None:
    """A save with that mistake does harm when a call fails."""
    with saving_by(mutant(name)):
        whole = undisturbed("stored", tmp_path / "whole")
        faults = [
            fault for each in faults_for(whole) for fault in each
            if fault.error == (None if "short" in name else errno.EIO)
        ]  # fmt: skip
        with pytest.raises(AssertionError, match="neither old nor new"):
            for number, fault in enumerate(faults):
                disturbed(whole, tmp_path / str(number), fault)
