"""What this machine gives the archive: real folders, real file systems where root may mount them."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.archive.dayfile import DayFormat
from collector.archive.store import Archive
from collector.collect import collector
from collector.doctor import machine
from collector.doctor.checks import Mark
from collector.doctor.machine import archive_check, clock_check
from collector.service import systemd
from tests.support.failing_calls import Calls, Failure, folders_refused

NOW = datetime(2026, 6, 20, 14, 30, tzinfo=UTC)
by_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
by_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may do anything")
NOBODY = 65534


@contextmanager
def tmpfs(place: Path, options: str) -> Iterator[Path]:
    """A file system of its own, for as long as the context lasts."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def mountinfo_of(tmp_path: Path, kind: str, options: str = "rw") -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(f"22 1 8:1 / / rw,relatime - {kind} /dev/root {options}\n")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A meter's folder as the service leaves it, in its archive."""
    (tmp_path / "archive").mkdir()
    Archive(tmp_path / "archive" / "house", DayFormat()).close()
    return tmp_path / "archive" / "house"


def test_an_archive_that_is_fine_is_left_as_it_was(folder: Path, tmp_path: Path) -> None:
    """Nothing new is in it; the sentence has the free space and the file system."""
    before = sorted(tmp_path.rglob("*"))
    found = archive_check(folder.parent, [folder], mountinfo_of(tmp_path, "ext4"))
    assert found.mark is Mark.OK
    assert "free on ext4" in found.text
    assert sorted(tmp_path.rglob("*")) == sorted([*before, tmp_path / "mountinfo"])
    assert archive_check(folder.parent, [], mountinfo_of(tmp_path, "ext4")).mark is Mark.OK


def test_an_archive_that_is_not_there_yet_is_no_failure(tmp_path: Path) -> None:
    """The first start makes it; a missing disk, or a file in its place, is one."""
    assert archive_check(tmp_path / "new", []).mark is Mark.WARN
    missing = archive_check(tmp_path / "disk" / "new", [])
    assert missing.mark is Mark.FAIL
    assert "Mount the disk" in missing.cure
    (tmp_path / "file").touch()
    assert archive_check(tmp_path / "file", []).mark is Mark.FAIL
    assert archive_check(tmp_path / "file" / "below", []).mark is Mark.FAIL


@pytest.mark.parametrize(
    ("kind", "options", "mark", "word"),
    [
        ("ext4", "ro,errors=remount-ro", Mark.FAIL, "read-only"),
        ("vfat", "rw", Mark.WARN, "power cut"),
        ("nfs4", "rw", Mark.WARN, "network share"),
        ("fuse.sshfs", "rw", Mark.WARN, "FUSE"),
    ],
)
def test_a_file_system_with_fewer_guarantees_is_reported(
    kind: str, options: str, mark: Mark, word: str, folder: Path, tmp_path: Path
) -> None:
    """With the reason."""
    found = archive_check(folder.parent, [folder], mountinfo_of(tmp_path, kind, options))
    assert found.mark is mark
    assert word in found.text
    assert found.cure


def test_a_file_system_that_cannot_make_names_durable_is_reported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the check was that nothing can be saved there. Found by a test, whatever it is called."""
    monkeypatch.setattr(os, "fsync", folders_refused(errno.EINVAL))
    found = archive_check(folder.parent, [folder], mountinfo_of(tmp_path, "newfs"))
    assert found.mark is Mark.WARN
    assert "power cut" in found.text


def test_a_file_system_without_locks_is_reported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody keeps a second collector out."""
    refused = Failure(range(sys.maxsize), errno.ENOLCK, frozenset({"flock"}))
    with Calls(folder, refused).wrapped() as calls, calls.watched():
        found = archive_check(folder.parent, [folder], mountinfo_of(tmp_path, "newfs"))
    assert found.mark is Mark.WARN
    assert "two collectors" in found.text


@by_root
@pytest.mark.parametrize(
    ("options", "fill", "mark", "word"),
    [
        ("size=2M", 0, Mark.WARN, "only"),
        ("size=2M", 1_900_000, Mark.FAIL, "only"),
        ("size=2M", 2_097_152, Mark.FAIL, "No space left"),
        ("size=900M,nr_inodes=300", 0, Mark.WARN, "room for 2"),
        ("size=900M,nr_inodes=9", 0, Mark.FAIL, "room for"),
        ("size=900M", 0, Mark.WARN, "tmpfs: it is in memory"),
    ],
)
def test_a_disk_that_fills_up_is_reported_in_time(
    options: str, fill: int, mark: Mark, word: str, tmp_path: Path
) -> None:
    """Bytes and inodes, on a real file system; a full one by trying to save."""
    with tmpfs(tmp_path / "disk", options) as disk:
        (disk / "archive").mkdir()
        with (disk / "filler").open("wb") as filler:
            try:
                filler.write(b"\0" * fill)
            except OSError:
                assert word == "No space left"
        found = archive_check(disk / "archive", [])
        assert (found.mark, word in found.text) == (mark, True), found
        assert list((disk / "archive").iterdir()) == []


@by_root
def test_the_full_disk_of_one_meter_was_taken_for_a_matter_of_permissions(tmp_path: Path) -> None:
    """Bug: "root, its owner, must be able to write there", because the archive's own disk had space."""
    archive = tmp_path / "archive"
    archive.mkdir()
    with tmpfs(archive / "house", "size=100k") as disk:
        (disk / ".collector").mkdir()
        with suppress(OSError), (disk / "filler").open("wb") as filler:
            filler.write(b"\0" * 200_000)
        found = archive_check(archive, [disk])
    assert found.mark is Mark.FAIL
    assert (found.cure or "").startswith("Free some space")


@by_root
def test_a_read_only_archive_fails(tmp_path: Path) -> None:
    """A mount that is read-only by its own options."""
    with tmpfs(tmp_path / "disk", "size=900M") as disk:
        (disk / "archive").mkdir()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        found = archive_check(disk / "archive", [])
        assert found.mark is Mark.FAIL
        assert "read-only" in found.text
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


@by_root
def test_a_user_without_permission_is_advised_to_use_sudo(folder: Path, tmp_path: Path) -> None:
    """What another user cannot do is no sign of what the service can."""
    for path in (tmp_path, folder.parent):
        path.chmod(0o755)
    program = (
        f"import os, sys; os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY});"
        "from pathlib import Path;"
        "from collector.doctor.machine import archive_check; print(archive_check(Path(sys.argv[1]), []))"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import collector.doctor.machine;" + program, str(folder.parent)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "skip" in done.stdout, done.stderr
    assert "sudo" in done.stdout


@by_root
def test_roots_archive_is_reported_if_the_service_has_a_user_of_its_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first `backfill` as root leaves it so."""
    monkeypatch.setattr(machine, "_SERVICE_USER", "nobody")
    found = archive_check(folder.parent, [folder], mountinfo_of(tmp_path, "ext4"))
    assert found.mark is Mark.WARN
    assert found.cure == f"chown -R nobody: {folder.parent}"


@by_user
def test_an_archive_that_its_owner_may_not_write_fails(folder: Path) -> None:
    """Judged by saving a file."""
    own = folder / ".collector"
    own.chmod(0o500)
    found = archive_check(folder.parent, [folder])
    own.chmod(0o750)
    assert found.mark is Mark.FAIL
    assert "Permission denied" in found.text


@pytest.mark.parametrize(
    ("offset_s", "mark", "word"),
    [
        (None, Mark.SKIP, "nothing to compare"),
        (0.4, Mark.OK, "within 2 s of the cloud's"),
        (-119.0, Mark.OK, "119 s behind the cloud's"),
        (121.0, Mark.FAIL, "121 s ahead of the cloud's"),
        (-8e7, Mark.FAIL, "80000000 s behind the cloud's"),
    ],
)
def test_the_clock_is_judged_by_the_services_own_rule(
    offset_s: float | None, mark: Mark, word: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And a time service that has set it settles the matter."""
    monkeypatch.setattr(collector, "SYNCHRONIZED", tmp_path / "synchronized")
    found = clock_check(NOW, NOW.date(), offset_s, None)
    assert (found.mark, word in found.text) == (mark, True), found
    (tmp_path / "synchronized").touch()
    assert clock_check(NOW, NOW.date(), offset_s, None).mark is Mark.OK


def test_a_clock_before_the_newest_stored_day_is_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without the cloud's time."""
    monkeypatch.setattr(collector, "SYNCHRONIZED", tmp_path / "synchronized")
    newest = NOW.date().replace(day=21)
    found = clock_check(NOW, NOW.date(), None, newest)
    assert found.mark is Mark.FAIL
    assert "2026-06-21 is stored already" in found.text
    assert clock_check(NOW, NOW.date(), None, NOW.date()).mark is Mark.OK


def test_a_folder_below_the_units_own_was_an_unmounted_disk_before_the_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: `config check` printed OK and `doctor` "Mount the disk"; the first start creates it."""
    (tmp_path / systemd.UNIT).write_text("[Service]\nStateDirectory=shelly-collector-of-this-test\n")
    monkeypatch.setattr(systemd, "PLACES", (tmp_path,))
    found = archive_check(Path("/var/lib/shelly-collector-of-this-test/sub"), [])
    assert (found.mark, found.cure) == (Mark.WARN, "The first start of the service creates it.")
    assert archive_check(Path("/mnt/shelly-collector-of-this-test/sub"), []).mark is Mark.FAIL
