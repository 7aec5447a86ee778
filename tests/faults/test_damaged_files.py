"""S9: damaged files of every kind are found, kept, and collected anew."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from collector.archive.checksums import Recorded
from collector.archive.dayfile import DayFormat, encode, has_record
from collector.archive.store import Archive
from collector.energy.days import local_day
from collector.energy.readings import EnergyDay, HourReading
from collector.simulator import Device
from collector.verify.files import check_day, inspect
from tests.faults import figures
from tests.faults.damage import DAMAGES
from tests.support import amounts
from tests.support.energy_days import AUTUMN, BERLIN, after
from tests.support.world import DEVICE, kwh

METER = Device(DEVICE, timezone="Europe/Berlin")
DAYS = [AUTUMN + timedelta(days=number) for number in range(-50, 50)]  # one of 25 hours among them
NOW = after(local_day(DAYS[-1], BERLIN), hours=1)


def real_day(number: int) -> EnergyDay:
    """What the simulated meter measured that day."""
    local = local_day(DAYS[number], BERLIN)
    return EnergyDay(local, {ts: _reading(ts) for ts in local.hours})


def _reading(ts: int) -> HourReading:
    grid, sun = METER.energy(0, ts), METER.energy(1, ts)
    return HourReading(kwh(grid.consumption), kwh(grid.reversed), kwh(sun.consumption))


def test_every_truncation_of_a_day_is_found() -> None:
    """At every byte, also where a line ends; and as the older utility's file, without a checksum.

    Only the end of the last line is form: without it the day is whole all the same.
    """
    answered = real_day(50)
    whole = encode(answered, 4, complete=True)
    for size in range(len(whole) - 1):
        found = check_day(whole[:size], AUTUMN, BERLIN, NOW, ()).findings
        assert found, f"{size} bytes of it are taken for the whole day"
    figures.note("S9", truncations=len(whole) - 1, overlooked=0)


def test_every_flipped_bit_of_a_line_is_found() -> None:
    """By what the file says, or by its checksum; how many only by that is told."""
    answered = real_day(50)
    whole = encode(answered, 4, complete=True)
    recorded = [Recorded(_digest(whole), saved=True, offset=0)]
    seen_without = flips = 0
    line = len(whole.splitlines(keepends=True)[0])
    for bit in range(0, 8 * line, amounts.amount(3, 1)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        found = check_day(bytes(damaged), AUTUMN, BERLIN, NOW, recorded).findings
        assert found, f"bit {bit} flipped, and nobody sees it"
        seen_without += {each.code for each in found} != {"checksum"}
        flips += 1
    figures.note("S9", flips=flips, seen_without_checksum=seen_without, overlooked=0)


def test_damaged_files_are_found_kept_and_collected_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred at a time, all by the service's look; no byte of them is deleted.

    What can still be read as a whole day may be a person's own correction: `verify --fix` has it anew.
    """
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # no power is cut here
    answered = [real_day(number) for number in range(len(DAYS))]
    whole = [encode(each, 4, complete=True) for each in answered]
    kinds = list(DAMAGES)
    seen: Counter[str] = Counter()
    harmless = 0
    for number in range(amounts.amount(21, 101)):
        folder = tmp_path / str(number)
        stored(folder, answered)
        dice = amounts.dice("S9", number)
        damaged: dict[date, bytes] = {}
        for place, day in enumerate(DAYS):
            kind = kinds[(place + number) % len(kinds)]
            data = DAMAGES[kind](dice, whole[place], whole[place - 1])
            if data == whole[place]:
                harmless += 1
                continue
            (folder / f"{day}.jsonl").write_bytes(data)
            damaged[day] = data
        seen += found_and_mended(folder, damaged)
        archive = Archive(folder, DayFormat())
        for each in answered:
            archive.merge(each, NOW)
        archive.close()
        for place, day in enumerate(DAYS):
            assert (folder / f"{day}.jsonl").read_bytes() == whole[place], (number, day)
        assert inspect(folder, None, NOW).findings == ()
    figures.note("S9", damaged=seen.total(), **seen, deleted=0)
    assert harmless < seen.total() / 50


def stored(folder: Path, answered: list[EnergyDay]) -> None:
    archive = Archive(folder, DayFormat())
    for each in answered:
        archive.merge(each, NOW)
    archive.close()


def found_and_mended(folder: Path, damaged: Mapping[date, bytes]) -> Counter[str]:
    """Looks as the service does at its start, then as `verify --fix`; every damaged file is aside then."""
    archive = Archive(folder, DayFormat())
    moved = {each.day: each.place for each in archive.scan(NOW.date())}
    known = archive.known()
    wanted = {day for day in damaged if day in known and not known[day].complete}
    assert moved.keys() | wanted | archive.changed == damaged.keys()
    healed_by_service = len(moved) + len(wanted)
    for day, checked in inspect(folder, None, NOW).days.items():
        if day in damaged:
            assert checked.findings, f"{day} is damaged, and nobody sees it: {damaged[day]!r}"
        if checked.findings and {each.code for each in checked.findings} != {"neighbour"}:
            moved[day] = archive.set_aside(day, checked.findings[0].code).place
    archive.close()
    assert {day: place.read_bytes() for day, place in moved.items()} == damaged
    told = len(damaged) - healed_by_service
    return Counter(healed_by_service=healed_by_service, told_by_service_and_healed_by_verify=told)


def test_of_what_nobody_can_give_again_only_rubbish_is_moved(tmp_path: Path) -> None:
    """Damage of every kind, years later: what holds a record of its day stays, byte for byte."""
    dice = amounts.dice("S9 only copies")
    whole = [encode(real_day(number), 4, complete=True) for number in range(len(DAYS))]
    kinds = list(DAMAGES)
    put = {}
    for place, day in enumerate(DAYS):
        put[day] = DAMAGES[kinds[place % len(kinds)]](dice, whole[place], whole[place - 1])
        (tmp_path / f"{day}.jsonl").write_bytes(put[day])
    archive = Archive(tmp_path, DayFormat())
    moved = {each.day for each in archive.scan((NOW + timedelta(days=1200)).date())}
    archive.close()
    assert moved == {day for day in moved if not has_record(put[day], day)}
    for day in put.keys() - moved:
        assert (tmp_path / f"{day}.jsonl").read_bytes() == put[day]
    assert 0 < len(moved) < len(DAYS) / 2


LOOK = """
import resource, sys
from datetime import UTC, date, datetime
from pathlib import Path
from collector.archive.dayfile import DayFormat
from collector.verify.files import inspect
from collector.archive.store import Archive
from collector.archive.folder import survey
def memory():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
folder, small, large = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
def look():
    survey(folder, DayFormat())
    inspect(folder, None, datetime(2024, 12, 1, tzinfo=UTC))
    archive = Archive(folder, DayFormat())
    moved = archive.scan(date(2024, 12, 1))
    archive.close()
    return len(moved)
small.rename(folder / small.name)
assert look() == 1
before = memory()
large.rename(folder / large.name)
assert look() == 1
print(memory() - before)
"""


@pytest.mark.parametrize("begin", [b"{", b'{"ts": 1730000000, "import": 9', b"\n" * 40])
def test_a_line_of_a_gigabyte_costs_no_memory(begin: bytes, tmp_path: Path) -> None:
    """The service's look, `verify` and `status`: none reads more than the start of it."""
    small, large = tmp_path / "2024-10-26.jsonl", tmp_path / "2024-10-27.jsonl"
    small.write_bytes(bytes(100_000))
    with large.open("wb") as file:
        file.write(begin)
        file.truncate(1 << 30)
    command = [sys.executable, "-c", LOOK, str(tmp_path / "meter"), str(small), str(large)]
    (tmp_path / "meter").mkdir()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= 1024
    assert (tmp_path / "meter/.collector/quarantine/2024-10-27.jsonl.1").stat().st_size == 1 << 30
    figures.note("S9", kB_more_for_a_line_of_a_GB=float(done.stdout))


def _digest(data: bytes) -> bytes:
    return sha256(data).digest()
