"""Checksums: what each complete day's file was when it was saved, to know a card that lost a bit.

A list that `sha256sum -c .collector/checksums` reads, too. A line is never changed, but struck out by
a `#` at its start once another one counts. Delete it and nothing is lost but the proof.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from collector.archive.files import append_durably, read_at_most, replace_file
from collector.errors import ArchiveError

FILE_NAME = "checksums"

_LINE = re.compile(rb"([0-9a-f]{64}) ([ *])(\d{4}-\d\d-\d\d)\.jsonl")
_STRUCK = re.compile(rb"#[0-9a-f]{63} [ *]\d{4}-\d\d-\d\d\.jsonl")
_MAX_BYTES = 4 * 1024 * 1024  # a century of days
_STRUCK_LINES_KEPT = 500  # rewriting the list less often spares the card


class Recorded(NamedTuple):
    """One line that counts: the SHA-256, and whether we saved that file or found and adopted it."""

    digest: bytes
    saved: bool
    offset: int


class Checksums:
    """The list in `path`, and what it says now.

    `damaged` lines could not be read, and are dropped. `changed` days have a complete file, when last
    looked at, that is not the one that was recorded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recorded: dict[date, tuple[Recorded, ...]] = {}
        self.damaged = 0
        self.changed: set[date] = set()
        self._found: dict[date, bytes] = {}  # complete files without a record: their SHA-256
        self._struck = 0
        self._is_torn = False
        self._read()

    def mend(self) -> None:
        """Writes the list anew where that is due: damaged, torn, or many lines struck out."""
        if self.damaged or self._is_torn or self._struck > _STRUCK_LINES_KEPT:
            self._rewrite()

    def of(self, day: date) -> tuple[Recorded, ...]:
        """What that day's file may be; empty where nothing is recorded.

        More than one only where a save was cut off: the file is then the older or the newer one.
        """
        return self._recorded.get(day, ())

    def note(self, day: date, data: bytes) -> None:
        """Records a file that is about to be saved; durable when this returns. Raises `OSError`."""
        digest = sha256(data).digest()
        recorded = self.of(day)
        if not recorded or recorded[-1].digest != digest:
            self._append({day: digest}, saved=True)
        self._found.pop(day, None)

    def settle(self, day: date) -> None:
        """Only the newest record of that day counts from now on: its file is saved."""
        *older, newest = self.of(day)
        self._strike(day, older)
        self._recorded[day] = (newest,)
        self.changed.discard(day)

    def forget(self, day: date) -> None:
        """That day's complete file is gone, or about to be."""
        self._strike(day, self._recorded.pop(day, ()))
        self._found.pop(day, None)
        self.changed.discard(day)

    def look_at(self, day: date, data: bytes) -> None:
        """Compares that day's complete file with its record; `adopt` makes one where there is none."""
        digest, recorded = sha256(data).digest(), self.of(day)
        self.changed.discard(day)
        if not recorded:
            self._found[day] = digest
        elif digest not in [each.digest for each in recorded]:
            self.changed.add(day)

    def adopt(self) -> None:
        """Records the complete files that were found without a record. Raises `OSError`: they wait then."""
        if self._found:
            self._append(self._found, saved=False)
            self._found.clear()

    def _append(self, digests: Mapping[date, bytes], *, saved: bool) -> None:
        recorded = [(day, Recorded(digest, saved, 0)) for day, digest in sorted(digests.items())]
        lines = [_line_of(day, each) for day, each in recorded]
        offset = append_durably(self._path, b"".join(lines))
        for (day, each), line in zip(recorded, lines, strict=True):
            self._recorded[day] = (*self.of(day), each._replace(offset=offset))
            offset += len(line)

    def _strike(self, day: date, recorded: Iterable[Recorded]) -> None:
        """One byte each. A line that could not be struck out counts on, and does no harm."""
        if not recorded:
            return
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                for each in recorded:
                    line = _line_of(day, each)
                    if os.pread(descriptor, len(line), each.offset) == line:  # else a person changed it
                        os.pwrite(descriptor, b"#", each.offset)
                    self._struck += 1
            finally:
                os.close(descriptor)

    def _rewrite(self) -> None:
        lines: list[bytes] = []
        size = 0
        for day in sorted(self._recorded):
            kept = []
            for each in self._recorded[day]:
                kept.append(each._replace(offset=size))
                lines.append(_line_of(day, each))
                size += len(lines[-1])
            self._recorded[day] = tuple(kept)
        replace_file(self._path, b"".join(lines))
        self.damaged, self._struck, self._is_torn = 0, 0, False

    def _read(self) -> None:
        try:
            data = read_at_most(self._path, _MAX_BYTES)
        except FileNotFoundError:
            return
        except IsADirectoryError as error:
            raise ArchiveError(f"{self._path} is a folder; move it away") from error
        if len(data) > _MAX_BYTES:
            self.damaged = 1
            return
        *lines, last = data.split(b"\n")
        self._is_torn = last != b""
        offset = 0
        for line in lines:
            self._apply(line, offset)
            offset += len(line) + 1

    def _apply(self, line: bytes, offset: int) -> None:
        match = _LINE.fullmatch(line)
        day = None if match is None else _date_of(match[3])
        if match is None or day is None:
            is_struck = _STRUCK.fullmatch(line) is not None
            self._struck += is_struck
            self.damaged += not is_struck
            return
        recorded = Recorded(bytes.fromhex(match[1].decode()), match[2] == b" ", offset)
        self._recorded[day] = (*self.of(day), recorded)


def _line_of(day: date, recorded: Recorded) -> bytes:
    mark = " " if recorded.saved else "*"
    return f"{recorded.digest.hex()} {mark}{day.isoformat()}.jsonl\n".encode()


def _date_of(text: bytes) -> date | None:
    try:
        return date.fromisoformat(text.decode())
    except ValueError:
        return None
