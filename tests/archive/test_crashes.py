"""kill -9 of a process that saves, at random moments: every file is the old one or the new one."""

from __future__ import annotations

import os
import random
import select
import signal
from datetime import date
from decimal import Decimal
from pathlib import Path

from collector.archive.dayfile import DayFormat, decode
from collector.archive.store import Archive
from collector.energy.days import local_day
from collector.energy.readings import EnergyDay, HourReading
from tests.energy.making import BERLIN, after

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "100"))
SEED = int(os.environ.get("CRASH_SEED", random.SystemRandom().randrange(1 << 32)))
DAYS = [date(2024, 6, number) for number in range(1, 6)]


def version_of(day: date, version: int) -> EnergyDay:
    """A day all of whose hours say the version."""
    local = local_day(day, BERLIN)
    each = HourReading(Decimal(version), Decimal(0), Decimal(0))
    return EnergyDay(local, dict.fromkeys(local.hours, each))


def save_for_ever(folder: Path, version: int, acknowledgements: int) -> None:
    """Saves ever newer versions, and tells each that is saved."""
    archive = Archive(folder, DayFormat())
    while True:
        version += 1
        for place in range(len(DAYS)):
            day = DAYS[(version + place) % len(DAYS)]
            answered = version_of(day, version)
            archive.merge(answered, after(answered.day))
            os.write(acknowledgements, f"{day} {version}\n".encode())


def killed_saver(folder: Path, version: int, wait_s: float) -> dict[date, int]:
    """Starts a saver, kills it at some moment, and says what it had acknowledged."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        try:
            save_for_ever(folder, version, writer)
        finally:
            os._exit(1)
    os.close(writer)
    received = os.read(reader, 1)  # it has begun to save
    select.select([], [], [], wait_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while part := os.read(reader, 65536):
        received += part
    os.close(reader)
    return {
        date.fromisoformat(day): int(number) for day, number in map(str.split, received.decode().splitlines())
    }


def test_kill_9_tears_no_file_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """After each death every day file is one version, whole, and not older than what was acknowledged."""
    print(f"CRASH_SEED={SEED}")
    chance = random.Random(SEED)
    folder = tmp_path / "meter"
    version = 0
    for _ in range(ROUNDS):
        acknowledged = killed_saver(folder, version, chance.uniform(0, 0.02))
        for day in DAYS:
            path = folder / f"{day}.jsonl"
            if day not in acknowledged and not path.exists():
                continue
            file = decode(path.read_bytes(), day)
            assert len(file.readings) == 24
            [found] = {int(reading.import_kwh) for reading in file.readings.values()}
            assert found >= acknowledged.get(day, 0)
            version = max(version, found)
        assert {path.suffix for path in folder.iterdir() if path.is_file()} <= {".jsonl", ".shelly-tmp"}
    archive = Archive(folder, DayFormat())
    assert archive.scan() == ()
    assert not archive.ledger.rebuilt
    assert not list(folder.rglob("*.shelly-tmp"))
    assert len(archive.known()) == len(DAYS)
    assert all(known.complete for known in archive.known().values())
    archive.close()
