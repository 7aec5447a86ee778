"""The unit's sandbox, read from its files: whether the service may write to its archive, and what to do."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from collector.errors import ArchiveError
from collector.service import systemd
from collector.service.systemd import hint, obstacle
from tests.support.failing_calls import Calls, Failure
from tests.support.world import cloud_of, world

SHIPPED = Path(__file__).parents[2] / "systemd" / systemd.UNIT
OURS = Path("/var/lib/shelly-collector")
DISK = Path("/mnt/disk/energy")
PI = Path("/home/pi/energy")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with the shipped unit, places for drop-ins, and the configuration that the unit reads."""
    etc, lib = tmp_path / "etc", tmp_path / "lib"
    for place in (etc, lib):
        (place / f"{systemd.UNIT}.d").mkdir(parents=True)
    shutil.copy(SHIPPED, lib)
    monkeypatch.setattr(systemd, "PLACES", (etc, lib))
    monkeypatch.setattr(systemd, "CONFIGURATION", tmp_path / "config.toml")
    monkeypatch.setattr(systemd, "_is_missing", lambda path: False)  # of the unit's folders
    (tmp_path / "config.toml").touch()
    return tmp_path


def drop_in(machine: Path, *lines: str, name: str = "override.conf", place: str = "etc") -> None:
    text = "# mine\n[Unit]\nReadWritePaths=/nowhere\n[Service]\n" + "\n".join(lines) + "\n"
    (machine / place / f"{systemd.UNIT}.d" / name).write_text(text)


def says(machine: Path, archive: Path) -> str:
    found = obstacle(machine / "config.toml", archive)
    return "" if found is None else f"{found.reason} {found.cure}"


def test_the_units_own_folder_is_none_to_worry_about(machine: Path) -> None:
    """Nor is what lies in it."""
    assert says(machine, OURS) == says(machine, OURS / "energy") == ""


@pytest.mark.parametrize("archive", [DISK, Path("/srv"), Path("/var/lib/shelly-collector-2"), Path("/etc/x")])
def test_a_folder_elsewhere_is_reported_with_the_line_that_it_needs(machine: Path, archive: Path) -> None:
    """Bug: `config check` and `doctor` found nothing, and the service ended with 73 every 15 seconds."""
    assert "ProtectSystem=strict" in says(machine, archive)
    assert f"ReadWritePaths={archive} " in says(machine, archive).replace(";", " ")
    assert "ProtectHome" not in says(machine, archive)


def test_a_folder_in_a_home_needs_a_second_line(machine: Path) -> None:
    """`ReadWritePaths=` alone is no good there: nothing below what is inaccessible can be opened again."""
    assert f"ReadWritePaths={PI} and ProtectHome=no" in says(machine, PI)
    drop_in(machine, f"ReadWritePaths={PI}")
    assert "ProtectHome=yes" in says(machine, PI)
    drop_in(machine, f"ReadWritePaths={PI}", "ProtectHome=no")
    assert says(machine, PI) == ""
    drop_in(machine, "ProtectHome=no")
    assert "ProtectSystem=strict" in says(machine, PI)


@pytest.mark.parametrize(
    "lines",
    [
        [f"ReadWritePaths={DISK}"],
        ["ReadWritePaths=/mnt/disk"],
        ["ReadWritePaths=/srv -/mnt/disk /opt"],
        ['ReadWritePaths="/mnt/disk" /opt'],
        ["ReadWritePaths=/srv", "ReadWritePaths=/mnt"],
        ["ReadWritePaths = /srv \\", "# a word between", "  /mnt"],
        [f"BindPaths=/dev/shm:{DISK}"],
        [f"BindPaths={DISK}"],
        ["ProtectSystem=full"],
        ["ProtectSystem=no"],
        ["ReadOnlyPaths=/mnt", "ReadWritePaths=/mnt/disk"],
    ],
)
def test_what_lets_the_service_in_is_understood(machine: Path, lines: list[str]) -> None:
    """In each form that systemd reads."""
    assert says(machine, DISK) != ""
    drop_in(machine, *lines)
    assert says(machine, DISK) == ""


@pytest.mark.parametrize(
    ("lines", "word"),
    [
        (["ReadWritePaths=/mnt/disk", "ReadWritePaths="], "ProtectSystem=strict"),
        (["ReadWritePaths=/mnt/disk2"], "ProtectSystem=strict"),
        ([";ReadWritePaths=/mnt/disk"], "ProtectSystem=strict"),
        (["ReadWritePaths=/mnt", "ReadOnlyPaths=/mnt/disk"], "ReadOnlyPaths"),
        (["ReadWritePaths=/mnt/disk", "InaccessiblePaths=/mnt"], "InaccessiblePaths"),
        (["ReadWritePaths=/mnt/disk", "TemporaryFileSystem=/mnt:ro"], "TemporaryFileSystem"),
        (["StateDirectory=", f"BindReadOnlyPaths={DISK}"], "BindReadOnlyPaths"),
        (["[Install]", "ReadWritePaths=/mnt/disk"], "ProtectSystem=strict"),
    ],
)
def test_what_keeps_the_service_out_is_named(machine: Path, lines: list[str], word: str) -> None:
    """The setting that decides."""
    drop_in(machine, *lines)
    assert word in says(machine, DISK)


@pytest.mark.parametrize(
    "line",
    ["ReadWritePaths={}", "ReadWritePaths=/srv {}", "ReadWritePaths=+{}", "BindPaths={}:/mnt/disk/energy"],
)
def test_a_folder_of_the_units_that_is_not_there_ended_each_start(
    line: str, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: 226/NAMESPACE every 15 seconds, while `config check` and `doctor` found nothing."""
    folder = machine / "my energy"
    monkeypatch.setattr(systemd, "_is_missing", lambda path: path == folder and not path.exists())
    drop_in(machine, "ReadWritePaths=/mnt/disk", line.replace("{}", f'"{folder}"'))
    assert "226/NAMESPACE" in says(machine, DISK)
    assert f"install -d -o shelly-collector -g shelly-collector -m 750 '{folder}'" in says(machine, DISK)
    folder.mkdir()
    assert says(machine, DISK) == ""
    folder.rmdir()
    drop_in(machine, "ReadWritePaths=/mnt/disk", line.replace("{}", f'"-{folder}"').replace("+", ""))
    assert says(machine, DISK) == ""  # systemd passes over it


def test_what_the_unit_makes_itself_need_not_be_there(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its state lies where it says, from the first start on."""
    monkeypatch.setattr(systemd, "_is_missing", lambda path: path.is_relative_to(OURS))
    drop_in(machine, f"ReadWritePaths={OURS}")
    assert says(machine, OURS) == says(machine, OURS / "sub") == ""
    assert systemd.is_made_at_start(OURS)
    assert not systemd.is_made_at_start(
        OURS / "sub"
    )  # whose parent it is not: the collector makes one folder
    assert not systemd.is_made_at_start(DISK)
    drop_in(machine, f"ReadWritePaths={OURS}/sub")
    assert "226/NAMESPACE" in says(machine, OURS / "sub")


def test_a_percent_sign_in_the_line_to_add_was_a_specifier(machine: Path) -> None:
    """Bug: systemd reads `%e` as something else; doubled it is what it is."""
    archive = Path("/mnt/50%energy")
    assert "ReadWritePaths=/mnt/50%%energy;" in says(machine, archive)
    drop_in(machine, "ReadWritePaths=/mnt/50%%energy")
    assert says(machine, archive) == ""


def test_a_bound_folder_shows_through_an_empty_home(machine: Path) -> None:
    """What `ProtectHome=tmpfs` is for."""
    drop_in(machine, "ProtectHome=tmpfs", f"ReadWritePaths={PI}")
    assert "ProtectHome=tmpfs" in says(machine, PI)
    drop_in(machine, "ProtectHome=tmpfs", f"BindPaths={PI}")
    assert says(machine, PI) == ""


def test_a_folder_in_a_private_tmp_would_be_gone_with_the_service(machine: Path) -> None:
    """It could be written, and nobody else would ever see it."""
    assert "PrivateTmp=yes" in says(machine, Path("/tmp/energy"))
    assert "another folder" in says(machine, Path("/tmp/energy"))


def test_of_two_units_and_of_two_drop_ins_of_a_name_the_first_place_counts(machine: Path) -> None:
    """As for systemd: /etc before /usr/lib. Drop-ins of other names are read by their names."""
    drop_in(machine, f"ReadWritePaths={DISK}", place="lib")
    drop_in(machine, "ReadWritePaths=/srv", place="etc")
    assert says(machine, DISK) != ""
    drop_in(machine, f"ReadWritePaths={DISK}", name="a.conf", place="lib")
    assert says(machine, DISK) == ""
    drop_in(machine, "ReadWritePaths=", name="z.conf", place="lib")
    assert says(machine, DISK) != ""
    (machine / "etc" / systemd.UNIT).write_text("[Service]\nExecStart=/bin/true\n")
    assert says(machine, DISK) == ""


def test_a_link_is_judged_by_where_it_leads(machine: Path) -> None:
    """As systemd does."""
    (machine / "link").symlink_to(OURS)
    assert says(machine, machine / "link") == ""
    drop_in(machine, f"ReadWritePaths={machine}/link", "StateDirectory=")
    assert says(machine, OURS) == ""


@pytest.mark.parametrize(
    "spoil",
    [
        lambda machine: (machine / "lib" / systemd.UNIT).unlink(),
        lambda machine: drop_in(machine, "ReadWritePaths=%S/energy"),
        lambda machine: drop_in(machine, 'ReadWritePaths="/mnt'),
        lambda machine: (machine / "etc" / f"{systemd.UNIT}.d" / "x.conf").mkdir(),
    ],
)
def test_what_cannot_be_made_out_is_no_reason_to_alarm(
    machine: Path, spoil: Callable[[Path], object]
) -> None:
    """Without a unit, with what only systemd can expand, with what nobody can read."""
    spoil(machine)
    assert says(machine, DISK) == ""


def test_another_configuration_is_not_the_units(machine: Path) -> None:
    """A person's own, or flags."""
    (machine / "other.toml").touch()
    assert obstacle(machine / "other.toml", DISK) is None
    assert obstacle(None, DISK) is None
    (machine / "same.toml").symlink_to(machine / "config.toml")
    assert obstacle(machine / "same.toml", DISK) is not None


UNDER_SYSTEMD = {"NOTIFY_SOCKET": "/run/systemd/notify", "STATE_DIRECTORY": str(OURS)}


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_service_that_is_kept_out_reports_what_it_needs(number: int) -> None:
    """Outside its own folder, and not in a terminal."""
    error = OSError(number, os.strerror(number))
    assert f"ReadWritePaths={DISK};" in hint(DISK, error, UNDER_SYSTEMD)
    assert f"ReadWritePaths={PI} and ProtectHome=no" in hint(PI, error, UNDER_SYSTEMD)
    assert 'ReadWritePaths="/mnt/usb stick"' in hint(Path("/mnt/usb stick"), error, UNDER_SYSTEMD)
    assert hint(OURS / "energy", error, UNDER_SYSTEMD) == hint(DISK, error, {}) == ""


def test_other_errors_are_not_the_units() -> None:
    """A missing disk is one; but a home that is not there may be one that it hides."""
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory")
    assert hint(DISK, missing, UNDER_SYSTEMD) == ""
    assert hint(DISK, OSError(errno.EIO, "Input/output error"), UNDER_SYSTEMD) == ""
    assert "ProtectHome=no" in hint(PI, missing, UNDER_SYSTEMD)


async def test_the_message_of_exit_73_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: it said "must be a folder that this user may write", of a folder that this user may write."""
    for name, value in UNDER_SYSTEMD.items():
        monkeypatch.setenv(name, value)
    refused = Failure(range(sys.maxsize), errno.EROFS, frozenset({"mkdir"}))
    async with world(cloud_of(), tmp_path / "archive", datetime(2026, 3, 20, tzinfo=UTC)) as here:
        said = pytest.raises(ArchiveError, match=f"Read-only .* ReadWritePaths={tmp_path}/archive;")
        with Calls(tmp_path, refused).wrapped() as calls, calls.watched(), said:
            await here.backfill()
