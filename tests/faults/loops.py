"""Real file systems in files: made, mounted through a loop device, cut off as if the power went, and gone."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN: no write reaches the device from now on
_NO_FLUSH = 2  # neither the data nor the journal
TOOLS = ("mkfs.ext4", "mount", "umount")


def make_ext4(image: Path, megabytes: int = 8) -> None:
    """An empty ext4 in a file."""
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))


@contextmanager
def mounted(image: Path, folder: Path, options: str = "") -> Iterator[Path]:
    """The image's file system at `folder`, until the context ends; then everything that uses it is dead."""
    mount(image, folder, options)
    try:
        yield folder
    finally:
        unmount(folder)


def mount(image: Path, folder: Path, options: str = "") -> None:
    """Mounts it; the kernel repairs it from its journal on the way."""
    folder.mkdir(exist_ok=True)
    run("mount", "-o", ",".join(filter(None, ("loop", options))), str(image), str(folder))


def unmount(folder: Path) -> None:
    """Takes it away, though somebody uses it."""
    if subprocess.run(["umount", str(folder)], check=False, capture_output=True).returncode:
        run("umount", "-l", str(folder))


def cut_power(folder: Path) -> None:
    """Nothing that is written from now on is ever on the device."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
    finally:
        os.close(descriptor)


def run(*words: str | Path) -> str:
    """Runs a program of the system and gives its output; `OSError` with its own words where it fails."""
    done = subprocess.run([str(word) for word in words], check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"{' '.join(map(str, words))}: {done.stderr or done.stdout}")
    return done.stdout.strip()
