"""Alarm: hands each change of health to those outside who are to know: a ping URL, a command."""

from __future__ import annotations

import asyncio

from collector.service.health import Alarms, State, age_in_words
from collector.service.hook import Change, Hook
from collector.service.standing import MeterStanding, Standing
from collector.web.ping import News, Pinger

_PERIOD_S = 3600.0
_AGAIN_S = 300.0  # a ping that did not arrive: before the monitor takes it for a silence of ours


def alarm_for(alarms: Alarms, before: Standing | None) -> Alarm:
    """An alarm that tells whom the settings name; `before` is what was said last, also by another process."""
    return Alarm(
        Pinger(alarms.ping_url) if alarms.ping_url else None,
        Hook(alarms.on_change) if alarms.on_change else None,
        before,
    )


class Alarm:
    """Is shown each standing, and tells what is new in it. Either of its messengers may be missing."""

    def __init__(self, pinger: Pinger | None, hook: Hook | None, before: Standing | None) -> None:
        self._pinger = pinger
        self._hook = hook
        self._pinging: asyncio.Task[None] | None = None
        self._pinged: News | None = None
        self._next_ping = 0.0
        meters = {} if before is None else before.meters
        self._states = {name: each.state for name, each in meters.items()}

    def observe(self, standing: Standing) -> None:
        """Looks at a new standing; returns at once, what takes time is done beside."""
        if self._pinger is not None and (self._pinging is None or self._pinging.done()):
            self._ping_if_due(self._pinger, standing)
        if self._hook is not None:
            for change in self._changes(standing):
                self._hook.tell(change)

    async def close(self) -> None:
        """Ends what is under way, within a second."""
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.wait([self._pinging])
        if self._hook is not None:
            await self._hook.close()

    def _ping_if_due(self, pinger: Pinger, standing: Standing) -> None:
        """The start once; then each hour how it is, and at once when that changes.

        While nobody knows how it is, nothing new: a monitor waits a while after a start.
        """
        news = News.SUCCESS if State(standing.state).is_well else News.FAIL
        is_due = news is not self._pinged or asyncio.get_running_loop().time() >= self._next_ping
        is_known = standing.state != State.STARTING or self._pinged is News.SUCCESS
        if self._pinged is None:
            news = News.START
        elif not is_due or not is_known:
            return
        self._pinging = asyncio.create_task(self._ping(pinger, news, in_words(standing)))

    async def _ping(self, pinger: Pinger, news: News, text: str) -> None:
        sent_at = asyncio.get_running_loop().time()
        arrived = await pinger.ping(news, text)
        self._pinged = news
        self._next_ping = sent_at + (_PERIOD_S if arrived else _AGAIN_S)

    def _changes(self, standing: Standing) -> list[Change]:
        """What is worth a command: each change between well, offline and broken.

        A meter of which nothing is known yet has no news; that it then turns out well is none.
        """
        changes = []
        for name, meter in standing.meters.items():
            before = self._states.setdefault(name, meter.state)
            if meter.state in (before, State.STARTING):
                continue
            self._states[name] = meter.state
            if not (before == State.STARTING and meter.state == State.GOOD):
                changes.append(Change(name, before, meter.state, meter.reason, meter.age_s))
        return changes


def in_words(standing: Standing) -> str:
    """How it is, for a person: the whole in a line, then each meter that is not well."""
    lines = [f"{standing.state}, newest hour: {age_in_words(standing.age_s)}"]
    lines += [_meter_in_words(name, each) for name, each in standing.meters.items() if not _is_well(each)]
    return "\n".join(lines)


def _meter_in_words(name: str, meter: MeterStanding) -> str:
    return f"{name}: {meter.state}, newest hour: {age_in_words(meter.age_s)}, {meter.reason}"


def _is_well(meter: MeterStanding) -> bool:
    return State(meter.state).is_well
