"""Processes that save for ever and say what is saved, and what must be true once they are dead."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from collector.archive.checksums import FILE_NAME, Checksums
from collector.archive.dayfile import DayFormat, decode
from collector.archive.folder import OWN_FOLDER
from collector.archive.store import Archive
from collector.energy.days import local_day
from collector.energy.readings import EnergyDay, HourReading
from collector.errors import DamagedFile
from tests.energy.making import BERLIN, after
from tests.faults.mutants import Save, saving_by

DAYS = [date(2024, 6, number) for number in range(1, 6)]


class Saver(NamedTuple):
    """A process that saves; its acknowledgements come through a pipe. `leave` is what it may wait for."""

    process: int
    pipe: int
    leave: int


class Loss(NamedTuple):
    """What a day's file should have been, and is not."""

    day: date
    what: str


def version_of(day: date, version: int) -> EnergyDay:
    """A day all of whose hours say the version."""
    local = local_day(day, BERLIN)
    each = HourReading(Decimal(version), Decimal(0), Decimal(0))
    return EnergyDay(local, dict.fromkeys(local.hours, each))


def started(folder: Path, version: int, save: Save | None = None, *, halts: bool = False) -> Saver:
    """Forks a process that saves ever newer versions into a meter's folder, by `save` or as we do.

    One that `halts` goes on after its first save when it is told to.
    """
    reader, writer = os.pipe()
    awaited, leave = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            with saving_by(save) if save else nullcontext():
                _save_for_ever(folder, version, writer, awaited if halts else None)
        finally:
            os._exit(1)
    os.close(writer)
    os.close(awaited)
    return Saver(child, reader, leave)


def await_begun(saver: Saver) -> None:
    """Waits until it has acknowledged something."""
    ready, _, _ = select.select([saver.pipe], [], [], 20)
    assert ready, "it never saved anything"


def go_on(saver: Saver) -> None:
    """Has one that halts go on."""
    os.write(saver.leave, b"!")


def killed(saver: Saver) -> dict[date, int]:
    """Kills it, and says which version of each day it had acknowledged."""
    os.kill(saver.process, signal.SIGKILL)
    os.waitpid(saver.process, 0)
    received = b""
    while part := os.read(saver.pipe, 65536):
        received += part
    _forget(saver)
    assert received, "it died by itself"
    lines = received.decode().split("\n")[:-1]
    return {date.fromisoformat(day): int(number) for day, number in map(str.split, lines)}


def abandon(saver: Saver) -> None:
    """Kills it."""
    os.kill(saver.process, signal.SIGKILL)
    os.waitpid(saver.process, 0)
    _forget(saver)


def _forget(saver: Saver) -> None:
    os.close(saver.pipe)
    os.close(saver.leave)


def saved(folder: Path, versions: Sequence[int], save: Save | None = None) -> Iterator[tuple[date, int]]:
    """Saves these versions of each day, in this process; each is given when it is acknowledged."""
    with saving_by(save) if save else nullcontext():
        archive = Archive(folder, DayFormat())
        try:
            for version in versions:
                for day in DAYS:
                    answered = version_of(day, version)
                    archive.merge(answered, after(answered.day, hours=1) + timedelta(seconds=version))
                    yield day, version
            assert len(archive.ledger.asked) == len(DAYS), "the ledger has no part in it"
        finally:
            archive.close()


def is_alive(saver: Saver) -> bool:
    """Whether it still saves. Takes its acknowledgements out of the pipe, which it would wait for else."""
    ready, _, _ = select.select([saver.pipe], [], [], 0)
    return not ready or os.read(saver.pipe, 65536) != b""


@contextmanager
def saving(folders: Sequence[Path], apart: int, save: Save | None = None) -> Iterator[list[Saver]]:
    """Savers in all of these folders at once, their versions that far apart, until the context ends."""
    savers = [started(folder, number * apart, save) for number, folder in enumerate(folders)]
    try:
        yield savers
    finally:
        for saver in savers:
            abandon(saver)


def losses(folder: Path, acknowledged: Mapping[date, int]) -> Iterator[Loss]:
    """The day files that are torn, mixed, or older than what was acknowledged."""
    for day in DAYS:
        path = folder / f"{day}.jsonl"
        try:
            found = version_in(path.read_bytes(), day)
        except FileNotFoundError:
            if day in acknowledged:
                yield Loss(day, "lost")
        except DamagedFile as damage:
            yield Loss(day, f"torn: {damage.reason}")
        else:
            if found < acknowledged.get(day, 0):
                yield Loss(day, "lost")


def unsettled(folder: Path) -> Iterator[Loss]:
    """What an archive that opens the folder finds wrong; it mends what a crash may leave."""
    archive = Archive(folder, DayFormat())
    try:
        for quarantined in archive.scan():
            yield Loss(quarantined.day, quarantined.reason)
    finally:
        archive.close()
    checksums = Checksums(folder / OWN_FOLDER / FILE_NAME)
    for day in DAYS:
        path = folder / f"{day}.jsonl"
        data = path.read_bytes() if path.exists() else b"partial"  # whose record is that of the next one
        digests = [recorded.digest for recorded in checksums.of(day)]
        if b"partial" not in data and sha256(data).digest() not in digests:
            yield Loss(day, "not what its checksum says")


def version_in(data: bytes, day: date) -> int:
    """The one version that all the hours of a day file say. Raises `DamagedFile`."""
    file = decode(data, day)
    versions = {int(reading.import_kwh) for reading in file.readings.values()}
    if len(file.readings) != 24 or len(versions) != 1:
        raise DamagedFile("a mixture")
    return versions.pop()


def newest(folder: Path) -> int:
    """The newest version that is stored; torn files do not count."""
    found = [0]
    for day in DAYS:
        try:
            found.append(version_in((folder / f"{day}.jsonl").read_bytes(), day))
        except (FileNotFoundError, DamagedFile):
            continue
    return max(found)


def _save_for_ever(folder: Path, version: int, acknowledgements: int, awaited: int | None) -> None:
    archive = Archive(folder, DayFormat())
    while True:
        version += 1
        for place in range(len(DAYS)):
            day = DAYS[(version + place) % len(DAYS)]
            answered = version_of(day, version)
            now = after(answered.day, hours=1) + timedelta(seconds=version)  # the ledger notes when
            archive.merge(answered, now)
            os.write(acknowledgements, f"{day} {version}\n".encode())
            if awaited is not None:
                os.read(awaited, 1)
                awaited = None
