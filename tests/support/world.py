"""A small world for the tests: a simulated cloud, settings that point at it, and a clock both share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from collector.archive.mark import Mark, write_mark
from collector.energy.identity import Identity
from collector.service.backfill import Report, Scope, backfill
from collector.settings import Settings, parse
from collector.simulator import Account, Device, Limit
from tests.support.faulty_cloud import FaultyCloud, Scenario

KEY = "SIMULATED0KEY0OF0THE0TESTS"
DEVICE = "e8db84d2a1b3"


def cloud_of(*devices: Device, limit: str = "none", **options: Any) -> Scenario:
    """A cloud with one account that has these devices."""
    key = options.pop("key", KEY)
    account = Account("home", key, devices or (Device(DEVICE),), Limit(limit))  # type: ignore[arg-type]
    return Scenario(account=(account,), **options)


@dataclass(slots=True)
class World:
    """One archive beside one cloud."""

    cloud: FaultyCloud
    archive: Path
    clock: Callable[[], datetime]
    meters: tuple[dict[str, Any], ...] = ({"name": "house", "id": DEVICE},)
    tables: dict[str, dict[str, Any]] | None = None
    accounts: list[dict[str, Any]] | None = None

    def settings(self, **tables: Any) -> Settings:
        """Settings as from a file, unpaced unless `pacing` says otherwise."""
        key = self.cloud.scenario.account[0].auth_key
        home = {"name": "home", "auth_key": key, "meter": list(self.meters)}
        raw: dict[str, Any] = {
            "archive": {"path": str(self.archive)},
            "pacing": {"min_interval_s": 0},
            "account": [{"host": self.cloud.url, **account} for account in self.accounts or [home]],
        }
        for name, table in {**(self.tables or {}), **tables}.items():
            raw[name] = table if isinstance(table, list) else {**raw.get(name, {}), **table}
        return parse(raw, {}, None)

    async def backfill(
        self, days: int | None = 30, since: date | None = None, *, adopt: bool = False, **tables: Any
    ) -> Report:
        """The one-shot command's work."""
        settings = self.settings(**tables)
        never = asyncio.Event()
        return await backfill(
            settings, Scope(days, since), self.clock, never, lambda *told: None, adopt=adopt
        )

    def folder(self, meter: str = "house") -> Path:
        """Where a meter's files lie."""
        return self.archive / meter


@asynccontextmanager
async def world(scenario: Scenario, archive: Path, start: datetime, **options: Any) -> AsyncIterator[World]:
    """A world that begins at `start` and lives on the loop's time."""
    loop = asyncio.get_running_loop()
    began = loop.time()

    def clock() -> datetime:
        return start + timedelta(seconds=loop.time() - began)

    async with FaultyCloud(scenario, clock=clock) as cloud:
        yield World(cloud, archive, clock, **options)


def mark_as(folder: Path, *devices: str, kind: str = "em", channels: tuple[int, ...] = (0, 1)) -> None:
    """Marks a folder as that meter's archive, as the collector would have."""
    (folder / ".collector").mkdir(parents=True, exist_ok=True)
    write_mark(folder / ".collector", Mark(Identity(kind, devices or (DEVICE,), channels)))


def records_of(path: Path) -> list[dict[str, Any]]:
    """The records of a day file, read as any reader would."""
    return [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]


def hours_of_day(day: date, zone: str) -> list[int]:
    """The hours of a local day, found without the code under test: by asking each of three UTC days.

    Right for all zones whose offset is a multiple of a quarter of an hour and shifts by whole hours.
    """
    tz = ZoneInfo(zone)
    middle = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    quarters = range(int(middle.timestamp()) - 40 * 3600, int(middle.timestamp()) + 40 * 3600, 900)
    moments = ((ts, datetime.fromtimestamp(ts, tz)) for ts in quarters)
    return [ts for ts, local in moments if local.date() == day and local.minute == 0]


def kwh(wh: Decimal, decimals: int = 4) -> Decimal:
    """What a file should say."""
    return (wh / 1000).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)


def check_day(
    path: Path, day: date, device: Device, *, complete: bool, now: datetime | None = None, decimals: int = 4
) -> int:
    """Compares a two-clamp meter's file with the truth; returns the number of its hours.

    An incomplete day has the hours that ended ten minutes before `now`.
    """
    records = records_of(path)
    hours = hours_of_day(day, device.timezone)
    if now is not None:
        hours = [ts for ts in hours if ts + 4200 <= now.timestamp()]
    assert [record["ts"] for record in records] == hours, day
    for record in records:
        ts = record["ts"]
        grid, sun = device.energy(0, ts), device.energy(1, ts)
        assert record["import"] == kwh(grid.consumption, decimals), (day, ts)
        assert record["export"] == kwh(grid.reversed, decimals), (day, ts)
        assert record["solar"] == kwh(sun.consumption, decimals), (day, ts)
        assert record["solar_consumed"] == max(Decimal(0), record["solar"] - record["export"])
        assert record["consumed"] == record["import"] + record["solar_consumed"]
        assert record["datetime"] == f"{datetime.fromtimestamp(ts, device.zone):%Y/%m/%d %H:%M:%S}"
        assert record["day"] == str(day)
        assert record.get("partial", False) is not complete
    return len(hours)
