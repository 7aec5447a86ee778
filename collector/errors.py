"""Every error that the collector raises.

CollectorError
├── SettingsError            every problem of a configuration: field, value, reason
├── ClockUntrusted           this machine's clock cannot be right
├── CalledOff                an outage began before this request could be sent
├── CommandRefused           the running service does not carry out a command
├── ServiceEnded             the service stopped, or reloaded, before a command was done
├── AnswerError              a body that is not in the API's format; names the field
│   ├── OtherInterval        rows of days where hours were requested, or the reverse
│   ├── ZoneUnknown          a time zone that this machine's list lacks
│   └── ZoneContradicted     hours that contradict this machine's rules of the zone
├── ArchiveError             the archive cannot be used
│   ├── DamagedFile          a day file that cannot be read as one
│   │   └── UnreadableFile   no permission, or a disk error; it may be intact
│   ├── ArchiveLocked        another instance has locked the archive
│   └── ArchiveRefused       another meter's, an unknown one's, or missing; nothing is changed
├── NotExpressible           meters or hours that the format of an export has no way to write
├── PublishError             a target did not take what was sent; it is sent again later
│   └── TargetRefused        it refused the token or the address: a person has to change something
└── SourceError              the cloud did not return the day
    ├── Unavailable          5xx, timeouts, connection, HTML, unexplained 401   retryable
    ├── RateLimited          max_req, 429                                       retryable
    ├── KeyRefused           only if the body names the key
    ├── DeviceUnknown        the account does not know the device
    └── Rejected             any other 4xx

`OSError` from the archive is not wrapped.
"""

from __future__ import annotations

from dataclasses import dataclass


class CollectorError(Exception):
    """Base of all errors of the collector."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration; `file` if it is in a file of the folder `config.d`."""

    field: str
    value: str
    reason: str
    file: str = ""

    def __str__(self) -> str:
        place = f"{self.file}: " if self.file else ""
        shown = f" = {self.value}" if self.value else ""
        return f"{place}{self.field}{shown}: {self.reason}"


class SettingsError(CollectorError):
    """A configuration that cannot be used, with all its `problems`."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


class AnswerError(CollectorError):
    """A body that is not in the API's format; nothing of it may be stored.

    `field` names the wrong key, `reason` what is wrong with it.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class OtherInterval(AnswerError):
    """An answer with rows of another length than was requested: the span was too long, or too short."""


class ZoneUnknown(AnswerError):
    """An answer in a time zone that is not in this machine's list, which may be outdated."""

    def __init__(self, zone: str) -> None:
        super().__init__("timezone", f"{zone} is unknown to this machine's list of time zones")
        self.zone = zone


class ZoneContradicted(AnswerError):
    """An answer that contradicts this machine's rules of its time zone, which may be outdated."""

    def __init__(self, field: str, reason: str, zone: str) -> None:
        super().__init__(field, reason)
        self.zone = zone


class ClockUntrusted(CollectorError):
    """This machine's clock cannot be right; nothing is requested or stored."""


class CalledOff(CollectorError):
    """Not sent: an outage of the account began while the request waited for its turn or for a retry."""


class CommandRefused(CollectorError):
    """The running service does not carry out a command; the text is for the person who sent it."""


class ServiceEnded(CollectorError):
    """The running service stopped, or reloaded its configuration, before a command was done."""


class ArchiveError(CollectorError):
    """The archive cannot be used as it is."""


class DamagedFile(ArchiveError):
    """A day file that cannot be read as one; `reason` has the cause and the line.

    `code` is the finding's code in `verify`; `fault` is the reason without the line.
    """

    def __init__(self, fault: str, line: int | None = None, code: str = "unreadable") -> None:
        self.reason = fault if line is None else f"line {line}: {fault}"
        super().__init__(self.reason)
        self.fault = fault
        self.line = line
        self.code = code


class UnreadableFile(DamagedFile):
    """A day file that this user may not read, or with a disk error: it may be intact."""


class ArchiveLocked(ArchiveError):
    """Another instance has locked the archive."""


class ArchiveRefused(ArchiveError):
    """A folder that must not be used for this meter; nothing in it was changed.

    `event` is the event to log, `reason` names both meters, `cure` what to do.
    """

    def __init__(self, reason: str, cure: str, event: str = "archive.refused") -> None:
        super().__init__(f"{reason}. {cure}")
        self.reason = reason
        self.cure = cure
        self.event = event


class NotExpressible(CollectorError):
    """The format of an export has no way to write these meters or hours; the message has a way out."""


class PublishError(CollectorError):
    """A target did not take what was sent. `reason` and `cure` are for people, `cure` may be empty."""

    def __init__(self, reason: str, cure: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure


class TargetRefused(PublishError):
    """A target refused the token, or there is nothing at its address that could take the hours."""


class SourceError(CollectorError):
    """The cloud did not return what was requested.

    `retry_after_s`: the server's Retry-After, if there was one. `cure`: what to do about this reason, in
    sentences; empty if only the kind of error is known.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None, *, cure: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.cure = cure


class Unavailable(SourceError):
    """The cloud cannot be reached, or the answer is not its own."""


class RateLimited(SourceError):
    """The account's request limit was exceeded, by us or by another program."""


class KeyRefused(SourceError):
    """The cloud answered that the key is wrong."""


class DeviceUnknown(SourceError):
    """The account does not know the device."""


class Rejected(SourceError):
    """Any other 4xx: the same request will not succeed."""


RETRYABLE: tuple[type[SourceError], ...] = (Unavailable, RateLimited)
