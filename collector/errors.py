"""Every error that the collector raises.

CollectorError
├── SettingsError            every problem of a configuration: field, value, reason
├── ClockUntrusted           this machine's clock cannot be right
├── CalledOff                the account got into trouble before this request's turn came
├── AnswerError              a body that is not what the contract says; names the field
│   ├── ZoneUnknown          a time zone that this machine's list lacks
│   └── ZoneContradicted     hours that cannot be by this machine's rules of the zone
├── ArchiveError             the archive cannot be used
│   ├── DamagedFile          a day file that cannot be trusted
│   │   └── UnreadableFile   one that may not, or could not, be read now; it may be whole
│   ├── ArchiveLocked        another instance holds the archive
│   └── ArchiveRefused       it is another meter's, or nobody knows whose, or gone; nothing is touched
└── SourceError              the cloud did not give the day
    ├── Unavailable          5xx, timeouts, connection, HTML, unexplained 401   retryable
    ├── RateLimited          max_req, 429                                       retryable
    ├── KeyRefused           only where the body names the key
    ├── DeviceUnknown        the account does not know the device
    └── Rejected             any other 4xx

`OSError` from the archive passes through: a full disk is not ours to rename.
"""

from __future__ import annotations

from dataclasses import dataclass


class CollectorError(Exception):
    """Root of everything that the collector raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration."""

    field: str
    value: str
    reason: str

    def __str__(self) -> str:
        shown = f" = {self.value}" if self.value else ""
        return f"{self.field}{shown}: {self.reason}"


class SettingsError(CollectorError):
    """A configuration that cannot be used; carries all its problems at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


class AnswerError(CollectorError):
    """A body that breaks the contract; nothing of it may be stored.

    `field` names the offending key, `reason` says what is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class ZoneUnknown(AnswerError):
    """An answer in a time zone that this machine's list lacks: the list may be old, and the answer right."""

    def __init__(self, zone: str) -> None:
        super().__init__("timezone", f"{zone} is unknown to this machine's list of time zones")
        self.zone = zone


class ZoneContradicted(AnswerError):
    """An answer that contradicts this machine's rules of its time zone: they may be old, and it right."""

    def __init__(self, field: str, reason: str, zone: str) -> None:
        super().__init__(field, reason)
        self.zone = zone


class ClockUntrusted(CollectorError):
    """This machine's clock cannot be right, so nothing that depends on the date may be done."""


class CalledOff(CollectorError):
    """Not asked: the account got into trouble while this request waited, for its turn or to be repeated."""


class ArchiveError(CollectorError):
    """The archive cannot be used as it is."""


class DamagedFile(ArchiveError):
    """A day file that cannot be read as one; `reason` says why, and in which line.

    `code` is the kind of damage, as `verify` names it; `fault` is the reason without the line.
    """

    def __init__(self, fault: str, line: int | None = None, code: str = "unreadable") -> None:
        self.reason = fault if line is None else f"line {line}: {fault}"
        super().__init__(self.reason)
        self.fault = fault
        self.line = line
        self.code = code


class UnreadableFile(DamagedFile):
    """A day file that this user may not read, or that the disk did not give: it may be whole."""


class ArchiveLocked(ArchiveError):
    """Another instance holds the archive."""


class ArchiveRefused(ArchiveError):
    """A folder that must not be used for this meter; nothing in it was moved, overwritten or begun.

    `event` is what is logged, `reason` names both sides, `cure` says what a person can do.
    """

    def __init__(self, reason: str, cure: str, event: str = "archive.refused") -> None:
        super().__init__(f"{reason}. {cure}")
        self.reason = reason
        self.cure = cure
        self.event = event


class SourceError(CollectorError):
    """The cloud did not give what was asked for.

    `retry_after_s` is what the server asked for, where it asked. `cure` is what a person can do about this
    very reason, in sentences; empty where only the kind of error says something.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None, *, cure: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.cure = cure


class Unavailable(SourceError):
    """The cloud cannot be reached or does not answer as itself."""


class RateLimited(SourceError):
    """The account's pace was exceeded, by us or by another program."""


class KeyRefused(SourceError):
    """The cloud named the key as wrong."""


class DeviceUnknown(SourceError):
    """The account does not know the device."""


class Rejected(SourceError):
    """Any other refusal: asking again in the same way will not help."""


RETRYABLE: tuple[type[SourceError], ...] = (Unavailable, RateLimited)
