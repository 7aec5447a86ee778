"""The limits of a unit, compared with what so many meters need."""

from __future__ import annotations

import resource
from contextlib import ExitStack
from pathlib import Path

import pytest

from collector.errors import ArchiveError
from collector.service.accounts import open_archive
from collector.service.limits import too_low
from collector.settings import parse
from tests.support.world import DEVICE, KEY

_MB = 1024 * 1024


class Groups:
    """Control groups as the kernel shows them."""

    def __init__(self, folder: Path) -> None:
        self.root, self.own = folder / "cgroup", folder / "own"
        (self.root / "system.slice" / "unit.service").mkdir(parents=True)
        self.own.write_text("1:cpu:/\n0::/system.slice/unit.service\n")

    def set(self, name: str, value: object, group: str = "system.slice/unit.service") -> None:
        (self.root / group / name).write_text(f"{value}\n")

    def found(self, meters: int, accounts: int = 1) -> list[str]:
        return list(too_low(meters, accounts, 4, self.root, self.own))


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Groups:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (1024, 4096))
    return Groups(tmp_path)


def test_limits_that_are_enough_and_none_are_not_mentioned(groups: Groups) -> None:
    assert groups.found(1) == []
    groups.set("memory.high", 96 * _MB)
    groups.set("memory.max", "max")
    groups.set("pids.max", 128)
    assert groups.found(60, 60) == []
    groups.own.unlink()
    assert groups.found(60, 60) == []


def test_each_limit_that_is_too_low_is_named_with_what_to_set(groups: Groups) -> None:
    groups.set("memory.high", 96 * _MB)
    groups.set("memory.max", 128 * _MB)
    groups.set("pids.max", 32)
    files, high, most, tasks = groups.found(1000, 1000)
    assert "LimitNOFILE=6064" in files  # it was 5064, without the file of each account's pace
    assert "MemoryHigh is 96M" in high
    assert "MemoryHigh=1192M" in high
    assert "MemoryMax=1192M" in most
    assert "TasksMax=108" in tasks


def test_the_limit_of_a_group_above_counts_as_well(groups: Groups) -> None:
    groups.set("memory.max", "max")
    groups.set("memory.max", 40 * _MB, "system.slice")
    (found,) = groups.found(1)
    assert "MemoryMax is 40M" in found


def test_no_limit_of_open_files_is_enough(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY,) * 2)
    assert groups.found(100_000, 100_000) == []


def test_too_few_open_files_were_taken_for_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """Bug: "Too many open files. It must be a folder that this user may write"."""
    meters = [{"name": "house", "id": DEVICE}]
    account = {"name": "home", "host": "shelly-1-eu.shelly.cloud", "auth_key": KEY, "meter": meters}
    settings = parse({"archive": {"path": str(tmp_path / "archive")}, "account": [account]}, {}, None)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as held:
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        with pytest.raises(ArchiveError, match=r"Too many open files\. .*docs/scaling\.md") as error:
            open_archive(settings, settings.meters[0], held, None)
    assert "may write" not in str(error.value)
