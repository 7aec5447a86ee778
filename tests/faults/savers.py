"""Processes that save for ever and say what is saved, and what must be true once they are dead."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from collector.archive.checksums import FILE_NAME, Checksums
from collector.archive.dayfile import DayFormat, decode
from collector.archive.folder import OWN_FOLDER
from collector.archive.store import Archive
from collector.energy.days import local_day
from collector.energy.readings import EnergyDay, HourReading
from collector.errors import DamagedFile
from tests.faults.mutants import Save, mutant, saving_by
from tests.faults.nursery import Child, born, end
from tests.support.energy_days import BERLIN, after

DAYS = [date(2024, 6, number) for number in range(1, 6)]


class Loss(NamedTuple):
    """What a day's file should have been, and is not."""

    day: date
    what: str


def version_of(day: date, version: int) -> EnergyDay:
    """A day all of whose hours say the version."""
    local = local_day(day, BERLIN)
    each = HourReading(Decimal(version), Decimal(0), Decimal(0))
    return EnergyDay(local, dict.fromkeys(local.hours, each))


def started(folder: Path, version: int, mistake: str | None = None) -> Child:
    """A process that saves ever newer versions into a meter's folder, as we do or with a mistake.

    It says over its line what is saved, and halts after its first save until it is told to go on.
    """
    return born(_save_for_ever, folder, version, mistake)


def await_begun(saver: Child) -> None:
    """Waits until it has saved something, and has it go on."""
    assert saver.line.poll(20), "it never saved anything"
    with suppress(ConnectionError):  # one that died meanwhile is found out by who asks after it
        saver.line.send("go on")


def killed(saver: Child) -> dict[date, int]:
    """Kills it, and says which version of each day it had acknowledged."""
    os.kill(saver.process, signal.SIGKILL)
    acknowledged: dict[date, int] = {}
    with suppress(EOFError, ConnectionError):
        while True:
            day, version = saver.line.recv()
            acknowledged[day] = version
    end(saver)
    assert acknowledged, "it died by itself"
    return acknowledged


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
            assert len(archive.ledger.attempts) == len(DAYS), "the ledger has no part in it"
        finally:
            archive.close()


def is_alive(saver: Child) -> bool:
    """Whether it still saves. Takes its acknowledgements off the line, which it would wait for else."""
    try:
        while saver.line.poll():
            saver.line.recv()
    except (EOFError, ConnectionError):
        return False
    return True


@contextmanager
def saving(folders: Sequence[Path], apart: int, mistake: str | None = None) -> Iterator[list[Child]]:
    """Savers in all of these folders at once, their versions that far apart, until the context ends."""
    savers = [started(folder, number * apart, mistake) for number, folder in enumerate(folders)]
    try:
        for saver in savers:
            await_begun(saver)
        yield savers
    finally:
        for saver in savers:
            end(saver)


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
        for quarantined in archive.scan(DAYS[-1]):
            yield Loss(quarantined.day, quarantined.reason)
        for day in archive.gone | archive.changed:
            yield Loss(day, "called gone or changed, and nobody touched it")
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


def _save_for_ever(line: Connection[Any, Any], folder: Path, version: int, mistake: str | None) -> None:
    with saving_by(mutant(mistake)) if mistake else nullcontext():
        archive = Archive(folder, DayFormat())
        for newer in count(version + 1):
            for place in range(len(DAYS)):
                day = DAYS[(newer + place) % len(DAYS)]
                answered = version_of(day, newer)
                now = after(answered.day, hours=1) + timedelta(seconds=newer)  # the ledger notes when
                archive.merge(answered, now)
                line.send((day, newer))
                if (newer, place) == (version + 1, 0):
                    line.recv()
