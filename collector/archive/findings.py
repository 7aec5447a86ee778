"""What may be found in day files, and what is known of a file once it was checked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from collector.energy.comparing import DaySums
from collector.errors import DamagedFile

_HOUR = timedelta(hours=1)

CODES = {
    "unreadable": "cannot be read as a day file: empty, cut off, not JSON, a link, a folder",
    "order": "the hours do not ascend",
    "duplicate": "an hour stands in it twice",
    "foreign_hour": "an hour is of another day",
    "missing_hour": "says complete and lacks an hour, or the solar of one",
    "partial": "says complete before the day is over, or only some lines say partial",
    "keys": "a key is missing, or keys, their order or separators are not those of the contract",
    "decimals": "a number has not the decimals of the others",
    "identity": "`consumed` or `solar_consumed` does not follow from the other columns",
    "columns": "a calendar column (`datetime`, `hour`, `day` … `week`) is not that of `ts`",
    "checksum": "its bytes are not those that were recorded: the card lost a bit, or somebody edited it",
    "gone": "was complete when it was saved, and its file is not there any more",
    "older": "was complete when it was saved, and an older file with hours missing lies there instead",
    "neighbour": "does not meet the file of the day before: an hour in both, or hours in neither",
    "stray": "no day's file, and its name ends in `.jsonl`: readers of `*.jsonl` take it for one",
    "archive": "no day is there, and an archive was there before: its disk may not be mounted",
    "ledger": "the ledger has lines that cannot be read; the next start makes it anew",
    "checksums": "the list of checksums has lines that cannot be read; the next start makes it anew",
}
"""What may be found, by its code. Stable: scripts rely on them."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be: a code, the file's line where there is one, a sentence.

    `day` is `None` for what is no day's file.
    """

    day: date | None
    code: str
    line: int | None
    text: str


@dataclass(frozen=True, slots=True)
class Edge:
    """The first or the last hour in a file: epoch seconds, and the local time that it says, as if UTC."""

    ts: int
    wall: datetime

    def is_followed_by(self, other: Edge) -> bool:
        """Whether no hour lies between: by elapsed time, or by local time across a change of the clocks."""
        return other.ts - self.ts == 3600 or other.wall - self.wall == _HOUR


@dataclass(frozen=True, slots=True)
class CheckedDay:
    """What was found in one file; where it could be read, also what it holds."""

    day: date
    findings: tuple[Finding, ...]
    complete: bool = False
    sums: DaySums | None = None
    edges: tuple[Edge, Edge] | None = None


def unreadable(day: date, damage: DamagedFile) -> CheckedDay:
    """A day whose file cannot be read as one."""
    return CheckedDay(day, (Finding(day, damage.code, damage.line, damage.fault),))
