"""Checksums of the complete days' files as saved, to detect corrupted, edited and missing files.

The format is that of `sha256sum -c .collector/checksums`. In a line only marks are ever changed: a tab after
the digest means that the file is about to be saved, a blank that it is; a `#` at the start that the line no
longer counts; `#!` that the file was reported as gone. If the list is deleted, earlier changes can no longer
be detected.
"""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Mapping, Set
from contextlib import suppress
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from collector.archive.files import append_durably, read_at_most, replace_file
from collector.errors import ArchiveError

FILE_NAME = "checksums"

_LINE = re.compile(rb"([0-9a-f]{64})([ \t])([ *])(\d{4}-\d\d-\d\d)\.jsonl")
_STRUCK = re.compile(rb"#[#0-9a-f][0-9a-f]{62}[ \t][ *]\d{4}-\d\d-\d\d\.jsonl")
_REPORTED = re.compile(rb"#![0-9a-f]{62} [ *](\d{4}-\d\d-\d\d)\.jsonl")
_Change = tuple[int, bytes, bytes]  # a line's offset, the line before and after
_MAX_BYTES = 4 * 1024 * 1024  # a century of days
_STRUCK_LINES_KEPT = 500  # rewriting the list less often spares the card


class Recorded(NamedTuple):
    """One valid line: the SHA-256, and whether we saved the file (else we found it).

    If it is not `settled`, the save may have been interrupted, and the file need not exist.
    """

    digest: bytes
    saved: bool
    offset: int
    settled: bool = True


class Checksums:
    """The list in `path`.

    `damaged`: the number of unreadable lines, which are dropped. `changed`: days whose complete file differed
    from its record when last compared. `gone`: days whose complete file was missing, or was replaced by one
    with hours missing, and that were not reported yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._recorded: dict[date, tuple[Recorded, ...]] = {}
        self.damaged = 0
        self.changed: set[date] = set()
        self.gone: set[date] = set()
        self._reported: dict[date, tuple[int, bytes]] = {}  # the line's offset, and the line
        self._found: dict[date, bytes] = {}  # complete files without a record: their SHA-256
        self._due: list[_Change] = []
        self._struck = 0
        self._is_torn = False
        self._read()

    def mend(self) -> None:
        """Rewrites the list if it is damaged or torn, or has many lines that no longer count."""
        if self.damaged or self._is_torn or self._struck > _STRUCK_LINES_KEPT:
            self._rewrite()

    def of(self, day: date) -> tuple[Recorded, ...]:
        """The records of that day's file; empty if there are none.

        More than one only after an interrupted save: the file may then be any of them.
        """
        return self._recorded.get(day, ())

    @property
    def reported(self) -> Set[date]:
        """Days whose complete file was reported as gone and is still missing."""
        return set(self._reported)

    def was_complete(self, day: date) -> bool:
        """Whether a complete file of that day was saved or found before."""
        return day in self._reported or any(each.settled for each in self.of(day))

    def days(self) -> Set[date]:
        """All days that have a record or were reported as gone."""
        return self._recorded.keys() | self._reported.keys()

    def note(self, day: date, data: bytes) -> None:
        """Records a file that is about to be saved; durable when this returns. Raises `OSError`."""
        digest = sha256(data).digest()
        recorded = self.of(day)
        if not recorded or recorded[-1].digest != digest:
            self._append({day: digest}, saved=True)
        self._found.pop(day, None)

    def settle(self, day: date) -> None:
        """Call when that day's file is saved: only the newest record counts from now on."""
        *older, newest = self.of(day)
        self._strike(day, older)
        self._recorded[day] = (newest,)
        self._settle_as_it_is(day)
        self.changed.discard(day)
        self.gone.discard(day)

    def forget(self, day: date, *, durably: bool = False) -> None:
        """Removes the records of that day: its complete file is removed, or about to be.

        `durably`: also after a power cut; without records that costs nothing.
        """
        self._strike(day, self._recorded.pop(day, ()), durably=durably)
        self._strike_reported(day)
        self._found.pop(day, None)
        self.changed.discard(day)
        self.gone.discard(day)

    def compare(self, day: date, data: bytes, *, complete: bool) -> None:
        """Compares that day's file with its record; `adopt` adds one for a complete file without any."""
        digest, recorded = sha256(data).digest(), self.of(day)
        self.changed.discard(day)
        self.gone.discard(day)
        if digest in [each.digest for each in recorded]:
            self._settle_as_it_is(day)
        elif complete and recorded:
            self.changed.add(day)
        elif complete:
            self._found[day] = digest
        else:
            self._miss(day)

    def find_gone(self, present: Container[date]) -> None:
        """Adds the days with a record that are not `present` to `gone`."""
        for day in self._recorded.keys() | self._found.keys():
            if day not in present:
                self.changed.discard(day)
                self._found.pop(day, None)
                self._miss(day)

    def note_reported(self) -> None:
        """Records that the `gone` days were reported."""
        changes = []
        for day in self.gone:
            *older, newest = self._recorded.pop(day)
            self._strike(day, older)
            line = b"#!" + _line_of(day, newest._replace(settled=True))[2:]
            self._reported[day] = newest.offset, line
            changes.append((newest.offset, _line_of(day, newest), line))
        self._edit(changes)
        self.gone.clear()

    def adopt(self) -> None:
        """Records the complete files that were found without a record, and retries failed changes of marks.

        Raises `OSError`; the next call tries again.
        """
        self._mark()
        if self._found:
            self._append(self._found, saved=False)
            for day in self._found:
                self._strike_reported(day)
            self._found.clear()

    def _miss(self, day: date) -> None:
        """That day's complete file is missing. After an interrupted first save it never existed."""
        if any(each.settled for each in self.of(day)):
            self.gone.add(day)
        else:
            self._strike(day, self._recorded.pop(day, ()))

    def _settle_as_it_is(self, day: date) -> None:
        """Marks the records as settled: the file is one of them."""
        marked = []
        for each in self._recorded[day]:
            if not each.settled:
                after = each._replace(settled=True)
                self._edit([(each.offset, _line_of(day, each), _line_of(day, after))])
                each = after
            marked.append(each)
        self._recorded[day] = tuple(marked)
        self._strike_reported(day)

    def _append(self, digests: Mapping[date, bytes], *, saved: bool) -> None:
        """Appends records: unsettled for files about to be saved, settled for found ones."""
        recorded = [
            (day, Recorded(digest, saved, 0, settled=not saved)) for day, digest in sorted(digests.items())
        ]
        lines = [_line_of(day, each) for day, each in recorded]
        offset = append_durably(self._path, b"".join(lines))
        for (day, each), line in zip(recorded, lines, strict=True):
            self._recorded[day] = (*self.of(day), each._replace(offset=offset))
            offset += len(line)

    def _strike(self, day: date, recorded: Iterable[Recorded], *, durably: bool = False) -> None:
        """Invalidates lines. One that cannot be changed is valid again after the next start."""
        lines = [(each.offset, _line_of(day, each)) for each in recorded]
        self._edit(((offset, line, b"#" + line[1:]) for offset, line in lines), durably=durably)
        self._struck += len(lines)

    def _strike_reported(self, day: date) -> None:
        if day in self._reported:
            offset, line = self._reported.pop(day)
            self._edit([(offset, line, b"##" + line[2:])])
            self._struck += 1

    def _edit(self, changes: Iterable[_Change], *, durably: bool = False) -> None:
        self._due += changes
        self._mark(durably=durably)

    def _mark(self, *, durably: bool = False) -> None:
        """Writes the due changes of marks; if that fails they stay due.

        Byte by byte, because a write of one byte is atomic. `durably`: with `fsync` before and after.
        """
        if not self._due:
            return
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if durably:
                    os.fsync(descriptor)
                for offset, old, new in self._due:
                    if os.pread(descriptor, len(old), offset) == old:  # else a person changed it
                        for place, byte in enumerate(new):
                            if byte != old[place]:
                                os.pwrite(descriptor, new[place : place + 1], offset + place)
                if durably:
                    os.fsync(descriptor)
                self._due.clear()
            finally:
                os.close(descriptor)

    def _rewrite(self) -> None:
        lines: list[bytes] = []
        for day in sorted(self.days()):
            if day in self._reported:
                lines.append(self._reported[day][1])
            lines += [_line_of(day, each) for each in self.of(day)]
        data = b"".join(lines)
        replace_file(self._path, data)
        self._recorded, self._reported, self.damaged, self._struck = {}, {}, 0, 0
        self._parse(data)

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
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        *lines, last = data.split(b"\n")
        self._is_torn = last != b""
        offset = 0
        for line in lines:
            self._apply(line, offset)
            offset += len(line) + 1

    def _apply(self, line: bytes, offset: int) -> None:
        if (match := _LINE.fullmatch(line)) and (day := _date_of(match[4])):
            settled = match[2] == b" "
            recorded = Recorded(bytes.fromhex(match[1].decode()), match[3] == b" ", offset, settled)
            self._recorded[day] = (*self.of(day), recorded)
            if settled and self._reported.pop(day, None) is not None:  # it came back
                self._struck += 1
        elif (match := _REPORTED.fullmatch(line)) and (day := _date_of(match[1])):
            self._reported[day] = offset, line + b"\n"
            self._recorded.pop(day, None)
        elif _STRUCK.fullmatch(line):
            self._struck += 1
        else:
            self.damaged += 1


def _line_of(day: date, recorded: Recorded) -> bytes:
    settled, mark = " " if recorded.settled else "\t", " " if recorded.saved else "*"
    return f"{recorded.digest.hex()}{settled}{mark}{day.isoformat()}.jsonl\n".encode()


def _date_of(text: bytes) -> date | None:
    try:
        return date.fromisoformat(text.decode())
    except ValueError:
        return None
