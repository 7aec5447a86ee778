"""Whole file systems, mounted for one test: in memory, or ext4 in an image; and what goes wrong with them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.loops import cut_power, run


@contextmanager
def in_memory(place: Path, options: str) -> Iterator[Path]:
    """A file system in memory, as large as its options say."""
    place.mkdir()
    run("mount", "-t", "tmpfs", "-o", options, "tmpfs", place)
    try:
        yield place
    finally:
        run("umount", "-l", place)


class Ext4:
    """An ext4 in an image, mounted at `place` until the context ends."""

    def __init__(self, image: Path, place: Path) -> None:
        self.image, self.place = image, place
        self._loops: list[str] = []

    @classmethod
    @contextmanager
    def mounted(cls, image: Path, place: Path, size: str = "16M") -> Iterator[Ext4]:
        """A new one. It lets go of its loop devices, however the test ends."""
        run("truncate", "-s", size, image)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,nodiscard", "-e", "remount-ro", image)
        place.mkdir()
        disk = cls(image, place)
        try:
            disk.mount()
            yield disk
        finally:
            with suppress(OSError):
                disk.take_away()
            for loop in disk._loops:
                with suppress(OSError):  # one still open goes with its last user
                    run("losetup", "-d", loop)

    def mount(self) -> None:
        """Mounts it, over a loop device of its own: as a disk that is plugged in again is a new one."""
        loop = run("losetup", "-f", "--show", self.image)
        self._loops.append(loop)
        run("mount", "-o", "commit=1", loop, self.place)

    def take_away(self) -> None:
        """Unmounts it; who has files open keeps what is left of it."""
        run("umount", "-l", self.place)

    def die(self) -> None:
        """From now on every call fails; what was not synced is lost."""
        cut_power(self.place)

    def turn_read_only(self) -> None:
        """As the kernel does when it finds an error."""
        name = Path(self._loops[-1]).name
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("1")

    def repair(self) -> None:
        """What an administrator does: checks it, and mounts it again."""
        done = subprocess.run(["e2fsck", "-fy", str(self.image)], capture_output=True, check=False)
        assert done.returncode in (0, 1), done.stdout
        self.mount()
