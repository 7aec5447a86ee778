"""S10. Several at once: one instance holds an archive, and a reader sees a file old or new."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import pytest

from collector.errors import DamagedFile
from tests.faults import figures
from tests.faults.savers import DAYS, is_alive, saving, version_in
from tests.support.amounts import is_long
from tests.support.processes import cloud_process, configuration, started, wait_for

CAUGHT = ("in place", "shared temporary name")
_READS = 10_000
_OUT_S = 2.0
_APART = 50_000  # between the versions of one saver and those of the next


def test_of_ten_instances_one_wins_and_the_others_are_out_in_two_seconds(tmp_path: Path) -> None:
    """Two at once to ten: all but one end with 75, and that one goes on working.

    They share the cores, and waiting for one is not theirs to answer for: it is taken off. A loser that
    dawdles is not excused.
    """
    own_s: list[float] = []
    wall_s: list[float] = []
    with cloud_process(tmp_path) as cloud:
        config = configuration(tmp_path, cloud)
        for number in range(2, 11) if is_long() else (2, 3, 5, 10):
            with _instances(config, number) as instances:
                winner, departures = _departures(instances)
                for loser, seconds, waited in departures:
                    output, _ = loser.communicate()
                    assert loser.returncode == 75, output
                    assert "service.ready" not in output
                    own_s.append(seconds - waited)
                    wall_s.append(seconds)
                assert list(_complaints(winner)) == []  # undisturbed
    assert max(own_s) <= _OUT_S
    figures.note(
        "S10", instances_turned_away=len(own_s), the_slowest_out_after=f"{max(own_s):.2f} s",
        waiting_for_a_core_included=f"{max(wall_s):.2f} s",
    )  # fmt: skip


def test_a_reader_of_files_that_are_being_rewritten_sees_old_or_new(tmp_path: Path) -> None:
    """Ten thousand reads beside two savers, each of a meter of its own: each is one version, whole."""
    reads, partial, versions = 0, 0, set()
    try:
        for version in _read(tmp_path, _READS):
            reads += 1
            versions.add(version)
    except DamagedFile:
        partial += 1
    assert partial == 0
    assert reads == _READS
    assert len(versions) > 20  # or nothing was rewritten
    figures.note("S10", reads=reads, versions_seen=len(versions), partial=partial)


@pytest.mark.parametrize("name", CAUGHT)
def test_this_rig_notices(name: str, tmp_path: Path) -> None:
    """A save with that mistake shows a reader half a file or another meter's, or stops a saver."""
    with pytest.raises((DamagedFile, _SaverDiedError)):
        for _ in _read(tmp_path, _READS, name):
            pass


class _SaverDiedError(Exception):
    """Its save failed, where nothing was wrong."""


def _read(folder: Path, times: int, mistake: str | None = None) -> Iterator[int]:
    """The versions that a reader of two meters' files sees. Raises `DamagedFile` on a partial one."""
    folders = [folder / "one", folder / "two"]
    with saving(folders, apart=_APART, mistake=mistake) as savers:
        places = cycle([(number, day) for day in DAYS for number in range(2)])
        while times:
            number, day = next(places)
            if not all(is_alive(saver) for saver in savers):
                raise _SaverDiedError
            try:
                data = (folders[number] / f"{day}.jsonl").read_bytes()
            except FileNotFoundError:
                continue  # its first version is not there yet
            version = version_in(data, day)
            if version // _APART != number:
                raise DamagedFile("another meter's")
            times -= 1
            yield version


def _complaints(instance: subprocess.Popen[str]) -> Iterator[str]:
    """Stops it once it is ready; what it ever logged that is not information."""
    assert instance.stdout is not None
    lines = wait_for(instance, "service.ready")
    instance.terminate()
    lines += instance.stdout.readlines()  # by the same reader: another one would miss what this one holds
    assert instance.wait(timeout=10) == 0, "".join(lines)
    return (line for line in lines if json.loads(line)["level"] not in ("debug", "info"))


@contextmanager
def _instances(config: Path, number: int) -> Iterator[dict[subprocess.Popen[str], float]]:
    """So many started at once, and when; none outlives the context."""
    instances: dict[subprocess.Popen[str], float] = {}
    try:
        for _ in range(number):
            began = time.perf_counter()
            instances[started("run", "--config", str(config))] = began
        yield instances
    finally:
        for instance in instances:
            if instance.poll() is None:
                instance.kill()
            if instance.stdout is not None and not instance.stdout.closed:
                instance.communicate()


def _departures(
    instances: dict[subprocess.Popen[str], float],
) -> tuple[subprocess.Popen[str], list[tuple[subprocess.Popen[str], float, float]]]:
    """The one that stays; and of the others the seconds until they ended, and those waited for a core."""
    left, gone = dict(instances), []
    deadline = time.perf_counter() + 60
    while len(left) > 1:
        assert time.perf_counter() < deadline, "nobody gives way"
        for instance in list(left):
            if os.waitid(os.P_PID, instance.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                seconds = time.perf_counter() - left.pop(instance)
                _, waited_ns, _ = Path(f"/proc/{instance.pid}/schedstat").read_text().split()
                gone.append((instance, seconds, int(waited_ns) / 1e9))
        time.sleep(0.005)
    [winner] = left
    return winner, gone
