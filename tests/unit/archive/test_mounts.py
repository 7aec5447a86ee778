"""Mounts: which file system a folder lies on, from lines as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.archive.files import Mount, covering, mount_of, parse_mounts

ROOT = "22 1 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw,commit=600"
CARD = "40 22 8:1 / /mnt/usb\\040stick rw,nosuid,relatime shared:20 master:1 - vfat /dev/sda1 rw,fmask=0022"
SHARE = "41 22 0:45 / /mnt/share rw,relatime - nfs4 nas:/volume1/my\\040files rw,vers=4.2"
DEAD = "42 22 179:3 / /srv rw,relatime - ext4 /dev/mmcblk0p3 ro,errors=remount-ro"
OVER = "43 41 0:50 / /mnt/share rw - tmpfs tmpfs rw,size=1024k"
LINES = "\n".join([ROOT, CARD, SHARE, DEAD]) + "\n"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/var/lib/shelly-collector", "ext4"),
        ("/mnt/usb stick", "vfat"),
        ("/mnt/usb stick/archive", "vfat"),
        ("/mnt/usb sticks/archive", "ext4"),
        ("/mnt/share/a", "nfs4"),
    ],
)
def test_the_deepest_mount_above_a_folder_counts(path: str, kind: str) -> None:
    """Whole names alone: `/mnt/usb` is not above `/mnt/usb-2`; a blank is written `\\040`."""
    mount = covering(path, list(parse_mounts(LINES)))
    assert mount is not None
    assert mount.kind == kind


def test_of_two_mounts_at_one_point_the_later_one_counts() -> None:
    """It hides the one below."""
    mount = covering("/mnt/share/a", list(parse_mounts(LINES + OVER)))
    assert mount is not None
    assert mount.kind == "tmpfs"


def test_a_file_system_that_went_read_only_is_seen_though_its_mount_says_rw() -> None:
    """After an error on the card the kernel changes the file system's own options."""
    mounts = {mount.point: mount for mount in parse_mounts(LINES)}
    assert mounts["/srv"].is_read_only
    assert not mounts["/"].is_read_only
    assert Mount("/", "ext4", frozenset({"ro", "noatime"})).is_read_only


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("nfs4", "network share"),
        ("cifs", "network share"),
        ("vfat", "power cut"),
        ("exfat", "power cut"),
        ("tmpfs", "memory"),
        ("overlay", "layer"),
        ("fuse.sshfs", "FUSE"),
        ("fuseblk", "FUSE"),
        ("ext4", ""),
        ("btrfs", ""),
        ("f2fs", ""),
    ],
)
def test_what_a_file_system_does_not_promise_is_reported(kind: str, word: str) -> None:
    """And nothing is said against those that keep their word."""
    weakness = Mount("/", kind, frozenset()).weakness
    assert word in weakness
    assert bool(word) == bool(weakness)


@pytest.mark.parametrize(
    "line",
    ["", " - ", "22 1 179:2 / /", "22 1 179:2 / / rw - ext4", "nonsense", "a b c d e f g - h", "\0\0"],
)
def test_a_line_that_is_not_understood_is_left_out(line: str) -> None:
    """The others count."""
    assert [mount.point for mount in parse_mounts(f"{line}\n{ROOT}\n{line}")] == ["/"]


@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    """Whatever a kernel of ten years from now writes."""
    assert covering("/var/lib", list(parse_mounts(text))) is None or text


def test_this_machine_says_where_a_folder_lies(tmp_path: Path) -> None:
    """Also for a folder that is not there yet; and nothing where there is no such list."""
    found = mount_of(tmp_path / "not" / "yet")
    assert found is not None
    assert str(tmp_path).startswith(found.point)
    assert found == mount_of(tmp_path)
    assert mount_of(tmp_path, tmp_path / "none") is None
