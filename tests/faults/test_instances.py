"""S10. Several at once: one instance holds an archive, and a reader sees a file old or new."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import pytest

from collector.errors import DamagedFile
from tests.faults import figures
from tests.faults.mutants import Save, mutant
from tests.faults.savers import DAYS, is_alive, saving, version_in
from tests.processes.harness import cloud_process, configuration, started, stop, wait_for

CAUGHT = ("in place", "shared temporary name")
_READS = 10_000
_APART = 50_000  # between the versions of one saver and those of the next


def test_of_ten_instances_one_wins_and_the_others_are_out_in_two_seconds(tmp_path: Path) -> None:
    """Two at once, three, five, ten: all but one end with 75, and that one goes on working."""
    slowest_s, losers = 0.0, 0
    with cloud_process(tmp_path) as cloud:
        config = configuration(tmp_path, cloud)
        for number in (2, 3, 5, 10):
            began, cpu_s = time.perf_counter(), _cpu_of_children_s()
            left = [started("run", "--config", str(config)) for _ in range(number)]
            while len(left) > 1:
                for instance in [each for each in left if each.poll() is not None]:
                    assert instance.returncode == 75, instance.communicate()[0]
                    instance.communicate()
                    left.remove(instance)
                    losers += 1
                assert time.perf_counter() - began < 60, "nobody gives way"
                time.sleep(0.005)
            # They share the cores: two seconds are what each may take of one.
            assert (_cpu_of_children_s() - cpu_s) / (number - 1) <= 2
            slowest_s = max(slowest_s, time.perf_counter() - began)
            wait_for(left[0], "service.ready")
            code, _, output = stop(left[0])
            assert code == 0, output
    figures.note("S10", instances_turned_away=losers, the_last_of_ten_after=f"{slowest_s:.1f} s")


def test_a_reader_of_files_that_are_being_rewritten_sees_old_or_new(tmp_path: Path) -> None:
    """Ten thousand reads beside two savers, each of a meter of its own: each is one version, whole."""
    reads, versions = 0, set()
    for version in _read(tmp_path, _READS):
        reads += 1
        versions.add(version)
    assert reads == _READS
    assert len(versions) > 20  # or nothing was rewritten
    figures.note("S10", reads=reads, versions_seen=len(versions), partial=0)


@pytest.mark.parametrize("name", CAUGHT)
def test_this_rig_notices(name: str, tmp_path: Path) -> None:
    """A save with that mistake shows a reader half a file or another meter's, or stops a saver."""
    with pytest.raises((DamagedFile, _SaverDiedError)):
        for _ in _read(tmp_path, _READS, mutant(name)):
            pass


class _SaverDiedError(Exception):
    """Its save failed, where nothing was wrong."""


def _read(folder: Path, times: int, save: Save | None = None) -> Iterator[int]:
    """The versions that a reader of two meters' files sees. Raises `DamagedFile` on a partial one."""
    folders = [folder / "one", folder / "two"]
    with saving(folders, apart=_APART, save=save) as savers:
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


def _cpu_of_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
