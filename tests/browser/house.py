"""An archive for the page to show, a server of it in a thread, and what its day files contain."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from collector.archive.dayfile import DayFormat, encode
from collector.cloud.meters import Meter
from collector.energy.days import local_day
from collector.energy.history import PlanPolicy
from collector.energy.readings import EnergyDay, HourReading
from collector.overview import ArchiveFiles, MeterFiles
from collector.simulator import Device
from collector.web.access import Page
from collector.web.endpoint import serving
from tests.support.statuses import page_at, status_of, unused_port
from tests.support.world import DEVICE, kwh, mark_as

NOW = datetime(2026, 11, 20, 14, 20, tzinfo=UTC)  # 15:20 at the meter
TODAY = date(2026, 11, 20)
FIRST = date(2025, 10, 15)  # so that November has one a year before
GARAGE_FIRST = date(2026, 6, 10)
HOLE = date(2026, 11, 10)  # 9 to 13 o'clock are missing
ABSENT = date(2026, 11, 11)  # no file
NO_SUN = date(2026, 11, 12)  # 10 to 12 o'clock have no solar
DAMAGED = date(2026, 11, 13)  # its file is hostile
BATTERY = date(2026, 6, 21)  # 21 o'clock has more export than solar energy
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
HOSTILE_FILE = '{"ts": "<script>document.title = 1</script>", "import": "<img src=x onerror=alert(1)>"}\n'
HOSTILE_NAME = "<img src=x onerror=document.title=1>"

Hour = dict[str, Decimal]


def device_of(*, solar: bool) -> str:
    """The device of a meter with solar, and of one without."""
    return DEVICE if solar else "e8db84d2a1b4"


def write_house(folder: Path, first: date, zone: str, *, solar: bool) -> None:
    """The day files of a meter up to now, with the holes above if it has solar."""
    folder.mkdir(parents=True)
    device = Device(device_of(solar=solar), timezone=zone)
    for number in range((TODAY - first).days + 1):
        day = first + timedelta(number)
        local = local_day(day, device.zone)
        readings = {}
        for index, ts in enumerate(local.hours):
            hole = solar and ((day == HOLE and 9 <= index <= 13) or day == ABSENT)
            if hole or ts + 3600 > NOW.timestamp():
                continue
            grid, sun = device.energy(0, ts), device.energy(1, ts)
            own = kwh(sun.consumption) if solar else Decimal(0)
            exported = kwh(grid.reversed) if solar else Decimal(0)
            if solar and day == BATTERY and index == 21:
                exported += Decimal("0.3")
            dark = solar and day == NO_SUN and 10 <= index <= 12
            readings[ts] = HourReading(kwh(grid.consumption), exported, None if dark else own)
        is_complete = len(readings) == len(local.hours) and not (solar and day == NO_SUN)
        if readings:
            path = folder / f"{day}.jsonl"
            path.write_bytes(encode(EnergyDay(local, readings), 4, complete=is_complete))
    if solar and first <= DAMAGED:
        (folder / f"{DAMAGED}.jsonl").write_text(HOSTILE_FILE)
    mark_as(folder, device.id, channels=(0, 1) if solar else (0,))


def archive_files(folder: Path) -> ArchiveFiles:
    """A house with solar, a garage without, a meter with a hostile name, and a cabin far away."""
    meters = []
    for name, first, zone, solar in (
        ("house", FIRST, "Europe/Berlin", True),
        ("garage", GARAGE_FIRST, "Europe/Berlin", False),
        (HOSTILE_NAME, TODAY - timedelta(3), "Europe/Berlin", True),
        ("cabin", TODAY - timedelta(3), "Asia/Tokyo", True),
    ):
        write_house(folder / name, first, zone, solar=solar)
        since = first if solar else first - timedelta(9)  # the garage has days before its first file
        meter = Meter(name, device_of(solar=solar), solar=solar, since=since, timezone=zone)
        meters.append(MeterFiles(meter, "home", folder / name, DayFormat(), PlanPolicy()))
    return ArchiveFiles(folder, tuple(meters), 26 * 3600.0)


@contextmanager
def served(page: Callable[[int], Page]) -> Iterator[str]:
    """The address of that page (made for a port), served at `NOW` by a thread of its own."""
    port, opened, closing = unused_port(), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with serving(page(port), status_of, lambda: NOW):
            opened.set()
            await closing.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert opened.wait(20)
    try:
        yield f"http://127.0.0.1:{port}/"
    finally:
        loops[0].call_soon_threadsafe(closing.set)
        thread.join(20)


@contextmanager
def served_archive(folder: Path) -> Iterator[str]:
    """The page of such an archive. Files are read in the time zone of the meters."""
    zone, os.environ["TZ"] = os.environ.get("TZ"), "Europe/Berlin"
    archive = archive_files(folder)
    try:
        with served(lambda port: page_at("127.0.0.1", port, archive)) as url:
            yield url
    finally:
        if zone is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = zone


def hours_in(folder: Path, first: date, end: date) -> list[Hour]:
    """The records of the day files in `[first, end)`, as any reader would read them; numbers only."""
    hours = []
    for number in range((end - first).days):
        path = folder / f"{first + timedelta(number)}.jsonl"
        if path.exists() and path.read_text() != HOSTILE_FILE:
            records = [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]
            hours += [{k: v for k, v in each.items() if isinstance(v, Decimal)} for each in records]
    return hours


def sum_of(hours: Iterable[Hour], column: str) -> Decimal | None:
    """The sum of that column over the hours that have it; `None` if none has."""
    values = [hour[column] for hour in hours if column in hour]
    return sum(values, Decimal(0)) if values else None


COLUMNS = ("consumed", "solar_consumed", "import", "export", "solar")
"""The columns of a day file, in the order of the page's table."""


def sums_of(hours: list[Hour]) -> list[Decimal | None]:
    """What the page's table shows of these hours."""
    return [sum_of(hours, column) for column in COLUMNS]
