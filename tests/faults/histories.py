"""N8: a service lives through days of random trouble; everything told, said and found is written down.

Cloud, clock and pace go on beneath all lives of a history.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import time_machine
from aiohttp import web

from collector.energy.days import local_day, wall_clock
from collector.simulator import Account, Device, api
from collector.simulator.answers import known
from collector.simulator.api import Reply, as_json
from tests.faults.checker import GRID, SOLAR, Answer, History, Values
from tests.faults.lives import Lived, Lives
from tests.faults.weather import BENIGN, DOUBTFUL, Weather
from tests.support.faulty_cloud import FaultyCloud, Scenario
from tests.support.request_counts import Served
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.world import DEVICE, World, kwh

_FAR_DAYS = 430  # a plan of a wrong clock may be followed for a moment when it is set: true days, long ago


async def lived(weather: Weather, archive: Path, dice: random.Random) -> Lived:
    """Lives through that weather, then through a quiet time, and looks at what is there."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    hours = _hours(weather.start.date(), weather.device.zone)
    made = Lived(History(hours, GRID + SOLAR if weather.solar else GRID))
    with time_machine.travel(weather.start, tick=False) as traveller:
        loop.on_jump = traveller.shift
        async with _Recording(weather.scenario, made.history) as cloud:
            meter = {"name": "house", "id": DEVICE, "solar": weather.solar}
            world = World(cloud, archive, wall_clock, meters=(meter,))
            lives = Lives(world, made, loop)
            try:
                await _endure(lives, weather, dice)
                made.counts["spoiled"] = cloud.counts.total.faults
                cloud.play(replace(weather.scenario, fault=()))
                await lives.calm(weather.quiet_s)
            finally:
                await lives.kill()
                loop.set_task_factory(None)
                loop.on_jump = lambda seconds: None
            made.history.requests += [served.at for served in cloud.counts.log]
            made.history.ends_at = int(cloud.now.timestamp())
            made.history.present = _present(weather, cloud.now)
            made.days = (cloud.now - weather.start).total_seconds() / 86400
            lives.look()
    return made


@lru_cache(maxsize=64)
def _hours(start: date, zone: ZoneInfo) -> Mapping[date, Sequence[int]]:
    """The hours of each day that a history may meet."""
    days = (start + timedelta(days=number) for number in range(-_FAR_DAYS, 20))
    return {day: local_day(day, zone).hours for day in days}


async def _endure(lives: Lives, weather: Weather, dice: random.Random) -> None:
    """One trouble after the other, at random times."""
    until = lives.loop.time() + weather.trouble_s
    while lives.loop.time() < until:
        await lives.ensure()
        is_troubled = lives.is_full or bool(lives.skew)  # then it looks every few seconds
        await lives.pass_time(dice.expovariate(1 / (600 if is_troubled else weather.mean_pause_s)))
        weights = (4, 6, 1, 2, 2, 8) if is_troubled else (4, 6, 1, 3, 3, 0)
        match dice.choices(("kill", "cut", "stop", "full", "clock", "over"), weights)[0]:
            case "kill":
                await lives.kill()
            case "cut":
                lives.disk.die_after(dice.choice((0, 1, 2, 3, dice.randrange(60))))
                continue
            case "stop":
                await lives.stop()
            case "full":
                lives.is_full = True
                continue
            case "clock":
                lives.skew = _step(dice)
                lives.made.counts["steps"] += 1
                continue
            case "over":
                lives.is_full, lives.skew = False, timedelta(0)
                continue
        await asyncio.sleep(dice.choice((0, 0, 0.3, dice.uniform(0, 7200), dice.uniform(0, 50_000))))


def _step(dice: random.Random) -> timedelta:
    size = dice.choice((30, 100, 600, 3700, 90_000, 30 * 86400, 400 * 86400))
    return timedelta(seconds=dice.choice((-1, 1)) * size * dice.uniform(0.5, 1))


class _Recording(FaultyCloud):
    """Writes down each answer that is sent as it should be, and of one with an hour in doubt the others."""

    def __init__(self, scenario: Scenario, history: History) -> None:
        super().__init__(scenario, clock=wall_clock, log_size=1_000_000)
        self._history = history
        self._asked_at: dict[int, datetime] = {}
        self._in_doubt: set[int] = set()

    async def _reply(
        self, request: web.BaseRequest, account: Account | None, served: Served
    ) -> web.StreamResponse:
        self._asked_at[id(served)] = self.now  # an answer is of then, however long it takes
        return await super()._reply(request, account, served)

    async def _send(self, request: web.BaseRequest, served: Served, reply: Reply) -> web.StreamResponse:
        if reply.status == 200:
            for day, rows in self._sound_days(request, served, reply).items():
                self._write_down(served, day, rows)
        return await super()._send(request, served, reply)

    def _write_down(self, served: Served, day: date, rows: list[Any]) -> None:
        """The answer for one day, be it of a span."""
        device, channel = self.scenario.account[0].device[0], int(served.channel)
        moment = self._asked_at[id(served)]
        values = told(device, channel, day, moment)
        if channel == 0:
            self._in_doubt.difference_update(self._history.hours[day])
        if served.fault == DOUBTFUL:
            self._in_doubt |= _with_negatives(values, rows)
        # The sun of a day is asked for after its grid: it is not taken where the grid is in doubt.
        values = {name: value for name, value in values.items() if name[0] not in self._in_doubt}
        columns = SOLAR if channel else GRID
        now = asyncio.get_running_loop().time()
        self._history.answers.append(Answer(now, int(moment.timestamp()), day, columns, values))

    def _sound_days(self, request: web.BaseRequest, served: Served, reply: Reply) -> dict[date, list[Any]]:
        """The days of an answer that are as they should be, or spoiled in one hour alone, and their rows.

        A fault that finds nothing to spoil leaves a sound answer. Of a span each day is looked at.
        """
        account, zone = self.scenario.account[0], self.scenario.account[0].device[0].zone
        right = api.answer(self.scenario, account, request.path, request.query, self._asked_at[id(served)])
        first = date.fromisoformat(served.day)
        days = [first + timedelta(days=number) for number in range(served.days)]
        is_harmless = served.fault is None or served.fault in BENIGN or served.fault == DOUBTFUL
        if isinstance(right, Reply) or right["interval"] != "hour":
            return {}
        if len(days) == 1:
            is_sound = is_harmless or reply.body == as_json(right)
            return {first: json.loads(reply.body)["history"]} if is_sound else {}
        try:
            given = json.loads(reply.body)
            rows_given = _by_day(given["history"], zone)
        except (ValueError, TypeError, KeyError):
            return {}
        found = {day: rows_given[day] for day in days if day in rows_given and day in self._history.hours}
        if is_harmless:
            return found
        as_sent = json.loads(as_json(right))
        rows_right = _by_day(as_sent["history"], zone)
        return {day: rows for day, rows in found.items() if rows == rows_right.get(day)}


def _by_day(rows: list[Any], zone: ZoneInfo) -> dict[date, list[Any]]:
    """The rows by their local day, without those that name none."""
    found: dict[date, list[Any]] = defaultdict(list)
    for row in rows:
        with suppress(ValueError, TypeError, KeyError):
            moment = datetime.fromisoformat(row["datetime"])
            found[(moment.astimezone(zone) if moment.tzinfo else moment).date()].append(row)
    return found


def told(device: Device, channel: int, day: date, now: datetime) -> dict[tuple[int, str], Decimal]:
    """What the cloud has of that day and channel at `now`, as the file should have it."""
    values: dict[tuple[int, str], Decimal] = {}
    local = local_day(day, device.zone)
    for ts, end in zip(local.hours, [*local.hours[1:], local.end], strict=True):
        energy = known(device, channel, ts, end, now)
        if isinstance(energy, str):
            continue
        if channel:
            values[ts, "solar"] = kwh(energy.consumption)
        else:
            values[ts, "import"], values[ts, "export"] = kwh(energy.consumption), kwh(energy.reversed)
    return values


def _with_negatives(values: dict[tuple[int, str], Decimal], rows: list[Any]) -> set[int]:
    """The hours of the rows that have a number below zero: the answer tells nothing of them."""
    numbers = [row["consumption"] for row in rows if row.get("consumption") is not None]
    hours = sorted({ts for ts, _ in values})
    return {ts for ts, wh in zip(hours, numbers, strict=True) if wh < 0}


def _present(weather: Weather, now: datetime) -> Values:
    """What should be on disk at `now`: all that the cloud has of hours that were over for a while.

    A record needs its grid channel: solar alone is not written.
    """
    first = weather.start.date() - timedelta(days=2)
    over = now.timestamp() - 3600 - 5400
    found: dict[tuple[int, str], Decimal] = {}
    for number in range((now.date() - first).days + 1):
        day = first + timedelta(days=number)
        grid = told(weather.device, 0, day, now)
        solar = told(weather.device, 1, day, now) if weather.solar else {}
        found.update({name: value for name, value in grid.items() if name[0] <= over})
        found.update({n: v for n, v in solar.items() if n[0] <= over and (n[0], "import") in grid})
    return found
