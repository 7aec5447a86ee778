"""Folders that this user may not read: one line with the cure and exit 73, whatever the command."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.support.processes import Forks, cloud_process, collector, configuration, pytests_own
from tests.support.world import DEVICE

NOBODY = 65534
CANNOT_OPEN = 73
COMMANDS = {
    "status": ["status"],
    "dry run": ["backfill", "--dry-run"],
    "backfill": ["backfill"],
    "verify": ["verify"],
    "verify and mend": ["verify", "--fix"],
    "verify beside the cloud": ["verify", "--cloud"],
    "export": ["export", "csv"],
    "run": ["run"],
}
UNREADABLE = {
    "the archive": (".", 0o700),
    "the meter's folder, but for writing": ("house", 0o333),
    "the ledger": ("house/.collector/ledger.jsonl", 0o600),
}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody who may not look")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration that anybody may read, and an archive with a day and today."""
    folder = tmp_path_factory.mktemp("stored")
    with cloud_process(folder) as cloud:
        config = configuration(folder, cloud)
        assert collector("backfill", "--days", "1", "--config", str(config)).returncode == 0
    config.chmod(0o644)
    return folder


@pytest.fixture
def config(stored: Path, tmp_path: Path) -> Path:
    """The same, in a place of this test's own that others can reach."""
    for folder in (tmp_path, *pytests_own(tmp_path)):
        folder.chmod(0o755)
    shutil.copytree(stored, tmp_path, dirs_exist_ok=True)
    tmp_path.chmod(0o755)
    for path in (tmp_path / "archive").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    path = tmp_path / "config.toml"
    path.write_text(path.read_text().replace(str(stored), str(tmp_path)))
    return path


def one_line(forked: Forks, code: int, *words: str) -> str:
    """What the command says to somebody else, in a single line."""
    ended = forked.run(*words, uid=NOBODY)
    assert ended.code == code, ended
    assert ended.out == ""
    (line,) = ended.err.splitlines()
    return line


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("what", UNREADABLE)
def test_what_may_not_be_read_is_told_with_the_cure(
    what: str, name: str, config: Path, forked: Forks
) -> None:
    """Bug: `backfill` and its `--dry-run` ended in a traceback and exit 1."""
    place, mode = UNREADABLE[what]
    (config.parent / "archive" / place).chmod(mode)
    if name == "run":
        ended = forked.run(*COMMANDS[name], "--config", str(config), uid=NOBODY)
        assert (ended.code, "Traceback" in ended.out + ended.err) == (CANNOT_OPEN, False), ended
        line = ended.err.splitlines()[-1]
    else:
        line = one_line(forked, CANNOT_OPEN, *COMMANDS[name], "--config", str(config))
    assert str(config.parent / "archive") in line
    assert "No permission to read" in line or "this user may write" in line


def test_doctor_says_what_it_may_not_look_at(config: Path, forked: Forks, tmp_path: Path) -> None:
    """A check that was skipped, and a report for a bug all the same."""
    (config.parent / "archive" / "house").chmod(0o700)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports").chmod(0o777)
    report = tmp_path / "reports" / "report.txt"
    ended = forked.run("doctor", "--config", str(config), "--bundle", str(report), uid=NOBODY)
    assert (ended.code, ended.err) == (0, "")
    assert "This user cannot read the archive." in ended.out
    assert ended.out.count("This user cannot read the stored days.") == 2  # not "too early to tell"
    assert "cannot be read: [Errno 13]" in report.read_text()


def test_flags_name_a_folder_that_may_not_be_read(config: Path, forked: Forks) -> None:
    """The older utility's folder was root's."""
    odir = config.parent / "archive" / "house"
    odir.chmod(0o700)
    flags = ["--host", "localhost", "--id", "a8032abe41fc", "--odir", str(odir)]
    assert "No permission to read" in one_line(forked, CANNOT_OPEN, "backfill", "--dry-run", *flags)
    flags += ["--auth_key", "KEY0OF0NOBODY"]
    assert "No permission to read" in one_line(forked, CANNOT_OPEN, "backfill", *flags)
    assert "No permission to read" in one_line(forked, CANNOT_OPEN, "verify", "--odir", str(odir))


def test_a_demo_in_a_folder_that_may_not_be_read_is_refused(forked: Forks, tmp_path: Path) -> None:
    """Before it begins."""
    (tmp_path / "demo").mkdir(mode=0o700)
    ended = forked.run("demo", "--once", "--dir", str(tmp_path / "demo"), uid=NOBODY)
    assert ended.code == CANNOT_OPEN
    assert "Traceback" not in ended.err


def test_doctor_finds_a_path_that_no_system_takes(config: Path, forked: Forks) -> None:
    """Root looks at whose it is before all else."""
    config.write_text(config.read_text().replace('/archive"', f'/{"long" * 100}"'))
    ended = forked.run("doctor", "--config", str(config))
    assert (ended.code, ended.err) == (1, "")
    assert "FAIL  archive" in ended.out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_path_that_no_system_takes_is_one_line_too(name: str, config: Path, forked: Forks) -> None:
    """Also other errors of the system's than "may not"."""
    config.write_text(config.read_text().replace('/archive"', f'/{"long" * 100}"'))
    ended = forked.run(*COMMANDS[name], "--config", str(config))
    assert ended.code == CANNOT_OPEN, ended
    assert "Traceback" not in ended.err


def test_a_dry_run_planned_for_a_folder_that_may_not_be_written(config: Path, forked: Forks) -> None:
    """Bug: a plan and exit 0. What a configuration names is the service's: who may look may see the plan."""
    (config.parent / "archive").chmod(0o755)
    flags = ["--host", "localhost", "--id", DEVICE, "--odir"]
    for odir in (config.parent / "archive" / "house", config.parent / "archive" / "new"):
        line = one_line(forked, CANNOT_OPEN, "backfill", "--dry-run", *flags, str(odir))
        assert "No write permission for" in line
    assert forked.run("backfill", "--dry-run", "--config", str(config), uid=NOBODY).code == 0
