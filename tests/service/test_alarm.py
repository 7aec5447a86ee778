"""Alarm: which news of a service's health goes out, and when."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from collector.service.notify import Alarm, Change, Hook, Pinger, alarm_for, status_in_words
from collector.status import Alarms, MeterStatus, State
from tests.support.statuses import meter_status, monitor, status_of


class Told(Hook):
    """Keeps the changes instead of running a program."""

    def __init__(self) -> None:
        super().__init__(("/bin/true",), {})
        self.changes: list[Change] = []

    def report(self, change: Change) -> None:
        self.changes.append(change)

    @property
    def moves(self) -> list[str]:
        return [f"{each.meter} {each.before} {each.state}" for each in self.changes]


async def live(alarm: Alarm, *states: str, step_s: float = 30.0) -> None:
    """One status after the other, as the heartbeat would show them."""
    for state in states:
        alarm.observe(status_of(state))
        await asyncio.sleep(step_s)


async def test_the_monitor_receives_the_start_and_then_every_hour_that_all_is_well() -> None:
    """No ping while nobody knows yet how it is."""
    async with monitor() as told:
        alarm = Alarm(Pinger(told.url), None, None)
        await live(alarm, "starting", "starting", "starting")
        assert told.kinds == ["/start"]
        await live(alarm, *["good"] * 119)
        assert told.kinds == ["/start", ""]
        await live(alarm, *["good"] * 241)
        assert told.kinds == ["/start", "", "", ""]
        await alarm.close()


async def test_a_change_is_pinged_at_once_and_every_hour_as_long_as_it_lasts() -> None:
    """Fail, fail, and back."""
    async with monitor() as told:
        alarm = Alarm(Pinger(told.url), None, None)
        await live(alarm, "good", "good", "offline")
        assert told.kinds == ["/start", "", "/fail"]
        await live(alarm, *["broken"] * 119)
        assert told.kinds == ["/start", "", "/fail"]
        await live(alarm, *["broken"] * 3)
        assert told.kinds == ["/start", "", "/fail", "/fail"]
        await live(alarm, "good", "good")
        assert told.kinds == ["/start", "", "/fail", "/fail", ""]
        assert told.pings[2][1].startswith("offline, newest hour: 30 min\nhouse: offline")
        await alarm.close()


async def test_a_ping_that_did_not_arrive_is_sent_again_soon() -> None:
    """Else the monitor would take an hour without a network of its own for a silence of ours."""
    async with monitor() as told:
        alarm = Alarm(Pinger(told.url), None, None)
        await live(alarm, "good")
        told.status = 500
        await live(alarm, *["good"] * 25)
        assert told.kinds == ["/start", "", "", ""]  # one every five minutes
        told.status = 200
        await live(alarm, *["good"] * 60)
        assert told.kinds == ["/start", "", "", "", ""]
        await alarm.close()


async def test_a_monitor_that_hangs_gets_one_ping_at_a_time() -> None:
    """Nothing piles up, and a stop does not wait for it."""
    loop = asyncio.get_running_loop()
    async with monitor() as told:
        told.status = None
        alarm = Alarm(Pinger(told.url), None, None)
        await live(alarm, *["good", "offline"] * 4, step_s=1)
        assert told.kinds == ["/start"]
        began = loop.time()
        await alarm.close()
        assert loop.time() - began < 0.1


@pytest.mark.parametrize(
    ("states", "moves"),
    [
        (["good"], []),
        (["starting", "good"], []),
        (["starting", "starting", "broken"], ["house starting broken"]),
        (["good", "offline", "offline"], ["house good offline"]),
        (["good", "offline", "broken", "good"],
         ["house good offline", "house offline broken", "house broken good"]),
        (["good", "starting", "good"], []),
        (["offline", "starting", "good"], ["house offline good"]),
        (["offline", "offline"], []),
    ],
)  # fmt: skip
async def test_each_change_between_well_offline_and_broken_is_worth_a_command(
    states: list[str], moves: list[str]
) -> None:
    """What is found at the first look is no change, and that all is well after a start is no news."""
    told = Told()
    alarm = Alarm(None, told, None)
    await live(alarm, *states)
    assert told.moves == moves
    await alarm.close()


async def test_each_meter_has_changes_of_its_own() -> None:
    """The whole service may stay broken meanwhile; a meter that came later is no change."""
    told = Told()
    alarm = Alarm(None, told, None)

    def show(**states: str) -> None:
        meters = {name: meter_status(state, reason="why", age_s=5) for name, state in states.items()}
        alarm.observe(status_of("broken", meters=meters))

    show(house="broken", barn="good")
    show(house="broken", barn="offline")
    show(house="broken", barn="offline", shed="offline")
    show(house="good", barn="offline", shed="offline")
    assert told.changes == [
        Change("barn", "good", "offline", "why", 5),
        Change("house", "broken", "good", "why", 5),
    ]
    await alarm.close()


async def test_a_change_begins_at_the_state_of_an_earlier_process() -> None:
    """A restart tells nothing twice, and a change that came with it is told."""
    told = Told()
    before = status_of(meters={"house": meter_status("offline"), "barn": meter_status("good")})
    alarm = Alarm(None, told, before)
    for barn in ("starting", "broken"):
        alarm.observe(status_of(meters={"house": meter_status("offline"), "barn": meter_status(barn)}))
    assert told.moves == ["barn good broken"]
    await alarm.close()


def test_the_words_say_what_and_why() -> None:
    """The whole first, then each meter that is not well."""
    parts: dict[str, Any] = {
        "meters": {
            "house": meter_status("offline", age_s=97200, reason="is the meter powered?"),
            "barn": meter_status("good"),
            "shed": MeterStatus(State.BROKEN, reason="no network"),
        },
        "age_s": None,
    }
    assert status_in_words(status_of("broken", **parts)).splitlines() == [
        "broken, newest hour: none yet",
        "house: offline, newest hour: 27 h, is the meter powered?",
        "shed: broken, newest hour: none yet, no network",
    ]


async def test_without_settings_nothing_is_sent() -> None:
    """Nothing is started, nothing has to end."""
    alarm = alarm_for(Alarms(), None)
    before = asyncio.all_tasks()
    alarm.observe(status_of("good"))
    alarm.observe(status_of("broken"))
    assert asyncio.all_tasks() == before
    await alarm.close()


async def test_settings_name_the_receivers() -> None:
    """A URL and a command."""
    async with monitor() as told:
        alarm = alarm_for(Alarms(told.url, ("/bin/true",)), None)
        alarm.observe(status_of("good"))
        await asyncio.sleep(1)
        assert told.kinds == ["/start"]
        await alarm.close()
