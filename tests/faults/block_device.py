"""A disk that writes down what is done to it: `python -m tests.faults.block_device IMAGE FOLDER LOG`.

In FOLDER appears a file `disk` with the image's bytes, for a loop mount. LOG gets a record for each
write and each flush, in order, before it is answered.
"""

from __future__ import annotations

import os
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_HEAD = struct.Struct("<qI")
_FLUSH = -1  # in place of an offset


class Record(NamedTuple):
    """A write, or a flush where `data` is None; `end` is where its record ends in the log."""

    offset: int
    data: bytes | None
    end: int


def records_in(log: Path) -> Iterator[Record]:
    """What was done to the disk, in order."""
    text, place = log.read_bytes(), 0
    while place < len(text):
        offset, size = _HEAD.unpack_from(text, place)
        begin = place + _HEAD.size
        place = begin + size
        yield Record(offset, None if offset == _FLUSH else text[begin:place], place)


@contextmanager
def recorded_disk(image: Path, folder: Path, log: Path) -> Iterator[Path]:
    """The disk, until the context ends. Its server is a process of its own: a mount waits for it."""
    folder.mkdir()
    words = [sys.executable, "-m", "tests.faults.block_device", str(image), str(folder), str(log)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        deadline = time.perf_counter() + 20
        while not (folder / "disk").exists():
            assert server.poll() is None, server.communicate()[1]
            assert time.perf_counter() < deadline, "the disk never came"
            time.sleep(0.01)
        yield folder / "disk"
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(folder)], check=False, capture_output=True)
        server.terminate()
        server.communicate(timeout=20)


def serve(image: Path, folder: Path, log: Path) -> None:
    """Serves until it is unmounted."""
    import mfusepy

    disk, journal = os.open(image, os.O_RDWR), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    class Disk(mfusepy.Operations):  # type: ignore[misc]
        def getattr(self, path: str, fh: Any = None) -> dict[str, Any]:
            if path == "/":
                return {"st_mode": stat.S_IFDIR | 0o755, "st_nlink": 2}
            if path == "/disk":
                return {"st_mode": stat.S_IFREG | 0o600, "st_nlink": 1, "st_size": os.fstat(disk).st_size}
            raise FileNotFoundError(path)

        def open(self, path: str, flags: int) -> int:
            return 0

        def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
            return os.pread(disk, size, offset)

        def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
            os.write(journal, _HEAD.pack(offset, len(data)) + data)
            return os.pwrite(disk, data, offset)

        def fsync(self, path: str, datasync: int, fh: int) -> int:
            os.write(journal, _HEAD.pack(_FLUSH, 0))
            return 0

    mfusepy.FUSE(Disk(), str(folder), foreground=True, nothreads=True)


if __name__ == "__main__":
    serve(*map(Path, sys.argv[1:]))
