"""SharedPace: what the processes of one machine share of the request rate of one host and key.

A file for each host and key in a folder in memory, made by systemd/shelly-collector.tmpfiles. A process holds
its lock for some microseconds, never while it waits or sends. Where the file cannot be used, each process
keeps a pace of its own.

Times in the file are seconds since boot, suspended time included: all processes see that clock, and nobody
sets it. Nothing in it outlives its time: a process that is killed or stopped delays others no longer than
its request may last.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import math
import os
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

ENVIRONMENT = "SHELLY_COLLECTOR_PACE_FOLDER"
_FOLDER = Path("/run/shelly-collector/pace")
_MODE = 0o660  # for the service's user and group; the folder hands the group on
_MAX_BYTES = 16 * 1024
_FORMAT = 1
_LONGEST_AHEAD_S = 3700.0  # the longest hold is an hour; what is further in the future is of another boot
_LONGEST_GAP_S = 60.0  # as the setting
_PATIENCE_S = 1.0  # for a lock that is held for microseconds
_TRY_AGAIN_S = 60.0  # to share
_SAME_MOMENT_S = 0.0005
_LATE_S = 0.5  # a process that has not come for its turn by then has lost it
_NEVER = float("-inf")


def pace_folder(environ: Mapping[str, str]) -> Path:
    """Where the processes of this machine share their paces."""
    return Path(environ.get(ENVIRONMENT) or _FOLDER)


def boot_clock() -> float:
    """Seconds since boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Busy(Exception):
    """Another process has the file for some microseconds. To be tried again after `wait_s` seconds."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(wait_s)
        self.wait_s = wait_s


class Unshared(NamedTuple):
    """Why a process keeps a pace of its own. `is_missing`: there is no such folder on this machine."""

    reason: str
    is_missing: bool


class Sending(NamedTuple):
    """A request that has started. It does not count after `expires_at`."""

    expires_at: float
    is_sent: bool


class Waiting(NamedTuple):
    """A process whose next request may start at `due_at`, and is tried at `comes_at`.

    The lowest of the urgent tickets, or else of the others, is next. Not the earliest: each process converts
    times a little differently, and two could wait for each other.
    """

    ticket: int
    due_at: float
    comes_at: float
    is_urgent: bool


@dataclass(slots=True)
class Record:
    """The pace of one host and key. Times are of the event loop of `me`; processes have random names."""

    me: str = ""
    not_before: float = _NEVER
    held_until: float = _NEVER
    rejected_at: float = _NEVER
    rejected_since: float = _NEVER
    rejections_in_a_row: int = 0
    gap_s: float = 0.0
    serial: bool = False
    sending: dict[str, list[Sending]] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    tickets: int = 0  # drawn so far

    @property
    def latest(self) -> float:
        """The latest moment in it."""
        others = [each.expires_at for sent in self.sending.values() for each in sent]
        others += [moment for each in self.waiting.values() for moment in (each.due_at, each.comes_at)]
        return max(self.not_before, self.held_until, self.rejected_at, *others)

    @property
    def has_others(self) -> bool:
        """Whether another process sends or waits."""
        return any(name != self.me for name in (*self.sending, *self.waiting))

    def sending_of_others(self) -> list[Sending]:
        """The requests that other processes have started."""
        return [each for name, sent in self.sending.items() if name != self.me for each in sent]

    def new_ticket(self) -> int:
        """A place behind all that wait now."""
        self.tickets += 1
        return self.tickets

    def is_preceded(self, waiting: Waiting, now: float) -> bool:
        """Whether another process has its turn before this one, which is `waiting` and due now."""
        mine = not waiting.is_urgent, waiting.ticket, self.me
        return any(
            (not each.is_urgent, each.ticket, name) < mine and each.due_at <= now
            for name, each in self.waiting.items()
        )

    def put(self, sending: list[Sending], waiting: Waiting | None) -> None:
        """Replaces what is known of this process."""
        self.sending.pop(self.me, None)
        self.waiting.pop(self.me, None)
        if sending:
            self.sending[self.me] = sending
        if waiting is not None:
            self.waiting[self.me] = waiting
            self.tickets = max(self.tickets, waiting.ticket)  # one of an earlier file

    def forget_expired(self, now: float) -> None:
        """What processes that were killed or stopped have left."""
        if not self.sending and not self.waiting:
            return
        sending = {
            name: [each for each in sent if each.expires_at > now] for name, sent in self.sending.items()
        }
        self.sending = {name: sent for name, sent in sending.items() if sent}
        self.waiting = {name: each for name, each in self.waiting.items() if each.comes_at + _LATE_S > now}

    def forget_processes(self, now: float) -> None:
        """They have ended. What they learned was for their lives; a hold is for the cloud's sake."""
        self.gap_s, self.serial = 0.0, False
        self.sending.clear()
        self.waiting.clear()
        if self.held_until <= now:
            self.held_until = self.rejected_at = self.rejected_since = _NEVER
            self.rejections_in_a_row = 0


class SharedPace:
    """The file of one host and key. Opened when it is first used, and again if it was replaced."""

    def __init__(
        self,
        folder: Path,
        base_url: str,
        key: str,
        *,
        timeout_s: float = 30.0,
        on_unshared: Callable[[Unshared], None] = lambda unshared: None,
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        """`timeout_s`: the time limit of a request.

        `on_unshared` is called at most once.
        """
        # A plain hash is enough: a key has about 90 random characters, so that nobody can test guesses.
        name = hashlib.sha256(f"shelly-collector pace\n{base_url}\n{key}".encode()).hexdigest()[:32]
        self._path = folder / name
        self.timeout_s = timeout_s
        self._me = os.urandom(6).hex()
        self._on_unshared = on_unshared
        self._clock = clock
        self._descriptor: int | None = None
        self._data, self._record = b"", Record()  # as last saved
        self._loop_to_boot_s = 0.0
        self._busy_since: float | None = None
        self._is_reported = False
        self._not_again_before = _NEVER

    @contextmanager
    def record(self) -> Iterator[Record | None]:
        """The record, locked, and saved at the end; `None` while it cannot be shared. Raises `Busy`.

        An exception within leaves the file as it was.
        """
        opened = self._opened(asyncio.get_running_loop().time())
        if opened is None:
            yield None
            return
        descriptor, record = opened
        try:
            yield record
            self._save(descriptor, record)
        finally:
            if self._descriptor is not None:
                fcntl.lockf(descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Leaves the file to the others."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.close()

    def _opened(self, now: float) -> tuple[int, Record] | None:
        """The locked file and its record; `None` while it cannot be shared. Raises `Busy`."""
        if now < self._not_again_before:
            return None
        try:
            descriptor, is_alone = self._locked()
            record = self._read(descriptor, now, is_alone=is_alone)
        except BlockingIOError:
            self._be_patient(now, 0.003, "another process keeps it locked")
        except PermissionError as error:  # a file that was just made is its maker's alone for a moment
            self._be_patient(now, 0.02, _in_words(error))
        except FileNotFoundError as error:
            self._give_up(now, _in_words(error), is_missing=True)
        except OSError as error:
            self._give_up(now, _in_words(error))
        except _UnusableError as error:
            self._give_up(now, str(error))
        else:
            self._busy_since = None
            return descriptor, record
        return None

    def _locked(self) -> tuple[int, bool]:
        """The open file, locked; and whether it was opened just now, and no other process has it open."""
        if self._descriptor is not None:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._descriptor).st_nlink:
                return self._descriptor, False
            self.close()  # it was removed
        folder = self._path.parent.lstat()
        if not stat.S_ISDIR(folder.st_mode) or folder.st_mode & stat.S_IWOTH:
            raise _UnusableError("it must be a folder that only its owner and group may change")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, _MODE)
        try:
            _check(descriptor, self._path.name)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_alone = _joined(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor, self._loop_to_boot_s = descriptor, math.nan
        return descriptor, is_alone

    def _read(self, descriptor: int, now: float, *, is_alone: bool) -> Record:
        """The record of the locked file; `is_alone` if no other process has it open."""
        loop_to_boot_s = self._difference()
        # It changes when the machine was suspended, and not by the moment between two clocks' readings.
        if not abs(loop_to_boot_s - self._loop_to_boot_s) < 2 * _SAME_MOMENT_S:
            self._loop_to_boot_s, self._data = loop_to_boot_s, b""
        data = os.pread(descriptor, _MAX_BYTES + 1, 0)
        if data and data == self._data:  # most often: no other process has been there
            record = self._record
        else:
            try:
                record = _decoded(data, self._loop_to_boot_s, now)
            except ValueError:
                if not is_alone:
                    raise _UnusableError(f"{self._path.name} is damaged, or of another version") from None
                record = Record()  # whatever it is, nobody who wrote it is still there
        if is_alone:
            record.forget_processes(now)
        record.forget_expired(now)
        record.me = self._me
        self._data, self._record = data, record
        return record

    def _difference(self) -> float:
        """Boot time minus loop time; read again if the process was interrupted between the two clocks."""
        loop = asyncio.get_running_loop()
        for _ in range(10):
            before, boot = loop.time(), self._clock()
            if loop.time() - before < _SAME_MOMENT_S:
                break
        return boot - before

    def _save(self, descriptor: int, record: Record) -> None:
        """One write over the old line: a kill leaves either, and maybe the end of a longer one behind it."""
        data = _encoded(record, self._loop_to_boot_s)
        try:
            is_saved = len(data) <= _MAX_BYTES and os.pwrite(descriptor, data, 0) == len(data)
            if len(data) < len(self._data):
                os.ftruncate(descriptor, len(data))
            self._data = data
        except OSError as error:
            reason, is_saved = _in_words(error), False
        else:
            reason = "too many processes share it, or there is no space"
        if not is_saved:
            self._give_up(asyncio.get_running_loop().time(), reason)

    def _be_patient(self, now: float, wait_s: float, reason: str) -> None:
        """Raises `Busy` for a second, then gives up."""
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since < _PATIENCE_S:
            raise Busy(wait_s)
        self._give_up(now, reason)

    def _give_up(self, now: float, reason: str, *, is_missing: bool = False) -> None:
        """Own pace for a while; reported once."""
        self.close()
        self._busy_since = None
        self._not_again_before = now + _TRY_AGAIN_S
        if not self._is_reported:
            self._is_reported = True
            self._on_unshared(Unshared(f"{self._path.parent}: {reason}", is_missing))


class _UnusableError(Exception):
    """The file, or its folder, is not one to share a pace with."""


def _in_words(error: OSError) -> str:
    return error.strerror or str(error)


def _check(descriptor: int, name: str) -> None:
    """Raises `_UnusableError` if it is not one of the files. Lets the group write to one just made."""
    found = os.fstat(descriptor)
    # It is written in place: under a second name it could be any file of this user.
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        raise _UnusableError(f"{name} is not a file of its own")
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != _MODE:
        os.fchmod(descriptor, _MODE)


def _joined(descriptor: int) -> bool:
    """Marks the file as in use, until it is closed. Returns whether no other process uses it.

    This lock and that of `lockf` do not know of each other.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        is_alone = False
    else:
        is_alone = True
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return is_alone


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no moment")


_FROM_JSON = json.JSONDecoder(parse_constant=_no_number).decode
_TO_JSON = json.JSONEncoder(separators=(",", ":")).encode
_MOMENTS = ("not_before", "held_until", "rejected_at", "rejected_since")


def _encoded(record: Record, loop_to_boot_s: float) -> bytes:
    """One line of JSON."""

    def boot(moment: float) -> float | None:
        return None if moment == _NEVER else moment + loop_to_boot_s

    sending = {
        name: [(boot(each.expires_at), each.is_sent) for each in sent]
        for name, sent in record.sending.items()
    }
    waiting = {
        name: (each.ticket, boot(each.due_at), boot(each.comes_at), each.is_urgent)
        for name, each in record.waiting.items()
    }
    content = {
        "format": _FORMAT,
        **{name: boot(getattr(record, name)) for name in _MOMENTS},
        "rejections_in_a_row": record.rejections_in_a_row,
        "gap_s": record.gap_s,
        "serial": record.serial,
        "sending": sending,
        "waiting": waiting,
        "tickets": record.tickets,
    }
    return f"{_TO_JSON(content)}\n".encode()


def _decoded(data: bytes, loop_to_boot_s: float, now: float) -> Record:
    """The record; an empty one of nothing. Raises `ValueError`."""
    if not data:
        return Record()
    line, end, _ = data.partition(b"\n")
    if not end or len(data) > _MAX_BYTES:
        raise ValueError("no line")
    try:
        content = _FROM_JSON(line.decode())
        if content["format"] != _FORMAT:
            raise ValueError("another format")
        return _record_of(content, loop_to_boot_s, now)
    except (TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError("not a record") from error


def _record_of(content: dict[str, Any], loop_to_boot_s: float, now: float) -> Record:
    def moment(boot_s: float | None) -> float:
        return _NEVER if boot_s is None else boot_s - loop_to_boot_s

    not_before, held_until, rejected_at, rejected_since = (moment(content[name]) for name in _MOMENTS)
    record = Record(
        not_before=not_before,
        held_until=held_until,
        rejected_at=rejected_at,
        rejected_since=rejected_since,
        rejections_in_a_row=int(content["rejections_in_a_row"]),
        tickets=int(content["tickets"]),
        gap_s=float(content["gap_s"]),
        serial=bool(content["serial"]),
        sending={
            name: [Sending(moment(expires), bool(is_sent)) for expires, is_sent in sent]
            for name, sent in content["sending"].items()
        },
        waiting={
            name: Waiting(int(ticket), moment(due), moment(comes), bool(is_urgent))
            for name, (ticket, due, comes, is_urgent) in content["waiting"].items()
        },
    )
    of_rejection = (held_until, rejected_at, rejected_since)
    if not 0 <= record.gap_s <= _LONGEST_GAP_S or 0 < of_rejection.count(_NEVER) < len(of_rejection):
        raise ValueError("not a pace")
    return record if record.latest <= now + _LONGEST_AHEAD_S else Record()
