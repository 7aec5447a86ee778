"""The clouds of the histories: what their device goes through, which answers are lost, what is there."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from collector.energy.days import local_day
from collector.simulator import Device, Fault, Hole
from collector.simulator.memory import known
from collector.simulator.scenario import Revision, Shrink
from tests.faults.checker import Stored
from tests.world import DEVICE, kwh

_FAULTS = (
    *("status_503", "max_req", "bad_key", "empty_body", "stall", "stall_in_body", "truncated_body"),
    *("reset_before_headers", "reset_after_headers", "close_before_headers", "close_after_answer"),
)


def device_of(dice: random.Random, start: datetime, end: datetime) -> Device:
    """Installed a week or so before, with holes that heal, revisions, shrinks and late data."""

    def moment() -> datetime:
        return start + (end - start) * dice.random()

    def hour() -> datetime:
        return datetime.combine(moment(), datetime.min.time()) - timedelta(hours=dice.randint(0, 72))

    spans = [(since, since + timedelta(hours=dice.randint(1, 30))) for since in (hour() for _ in range(5))]
    holes = tuple(Hole(*span, dice.choice((None, 0, 1)), moment()) for span in spans[:2])
    revised = tuple(Revision(moment(), *span, dice.choice((None, 0, 1))) for span in spans[2:4])
    first: date = spans[4][0].date()
    shrinks = (Shrink(moment(), first, first + timedelta(days=1), dice.randint(0, 12)),)
    return Device(
        DEVICE,
        installed_since=start.date() - timedelta(days=dice.randint(5, 9)),
        late_minutes=dice.choice((0, 8, 90)),
        hole=holes,
        revision=revised,
        shrink=shrinks,
    )


def faults_of(dice: random.Random, start: datetime, end: datetime) -> tuple[Fault, ...]:
    """Three kinds of lost answers, each for some minutes or hours."""
    rules = []
    for kind in dice.sample(_FAULTS, 3):
        since = start + (end - start) * dice.random()
        until = min(end, since + timedelta(hours=dice.uniform(0.1, 8)))
        rules.append(Fault(kind, every=dice.choice((None, 2, 3)), since=since, until=until))
    return tuple(rules)


def present(device: Device, end: datetime, now: datetime) -> Iterator[Stored]:
    """What the cloud has at `now` of the days up to `end`; revised too late to be read again: left out."""
    day = device.installed_since
    assert day is not None
    while day <= end.date():
        local = local_day(day, device.zone)
        read_last = datetime.fromtimestamp(local.end, UTC) + timedelta(days=3)
        settled = replace(device, revision=tuple(each for each in device.revision if each.at < read_last))
        unsettled = len(settled.revision) < len(device.revision)
        for ts in local.hours:
            grid, sun = (known(device, channel, ts, local.end_of(ts), now) for channel in (0, 1))
            if isinstance(grid, str) or isinstance(sun, str) or unsettled:
                continue
            values = {"import": grid.consumption, "export": grid.reversed, "solar": sun.consumption}
            yield Stored(device.id, ts, {name: kwh(value) for name, value in values.items()})
        day += timedelta(days=1)
