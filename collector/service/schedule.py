"""APScheduler triggers that request jobs; the work is done elsewhere.

All triggers are in UTC: a local 01:30 comes twice in autumn and a local midnight is sometimes skipped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from collector.collect.collector import Lane

_MISFIRE_GRACE_S = 3600
_HEARTBEAT_S = 60


RequestJob = Callable[[Lane], None]


class Schedule:
    """The triggers of all meters."""

    def __init__(self, refresh_minute: int, refresh_jitter_s: float) -> None:
        """Today is requested at that minute of each local hour, and up to that many seconds later."""
        self._refresh_minute = refresh_minute
        self._refresh_jitter_s = refresh_jitter_s
        self._meters: list[tuple[RequestJob, Callable[[], ZoneInfo]]] = []
        self._offsets: list[int] = []
        self._scheduler = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"coalesce": True, "misfire_grace_time": _MISFIRE_GRACE_S, "max_instances": 1},
        )

    def add(self, request: RequestJob, zone: Callable[[], ZoneInfo]) -> None:
        """Adds a meter: `request` is called with the lane when a job is due; `zone` returns its time zone."""
        self._meters.append((request, zone))

    def start(self, now: datetime) -> None:
        """Sets all triggers."""
        self._scheduler.start()
        self.replan(now)

    def replan(self, now: datetime) -> None:
        """Sets all triggers again: after a step of the clock the old ones may be years away."""
        self._scheduler.remove_all_jobs()
        self._offsets = self._offsets_at(now)
        # They have no state but the jitter's random numbers, so that meters may share them.
        triggers = {offset: self._triggers(offset) for offset in set(self._offsets)}
        for (request, _), offset in zip(self._meters, self._offsets, strict=True):
            for lane, trigger in triggers[offset].items():
                self._scheduler.add_job(_calling(request, lane), trigger)
        # After a clock step APScheduler's timer still waits for its old end: a job every minute wakes it.
        heartbeat = IntervalTrigger(seconds=_HEARTBEAT_S, timezone=UTC)
        self._scheduler.add_job(_nothing, _WithoutMisfires(heartbeat))

    def _triggers(self, offset: int) -> dict[Lane, BaseTrigger]:
        """The triggers of a meter whose hours begin at that minute."""
        minute = (self._refresh_minute - offset) % 60
        moments: dict[Lane, dict[str, int]] = {
            Lane.REFRESH: {"minute": minute},
            Lane.HEAL: {"minute": (minute + 20) % 60},
            Lane.BACKFILL: {"hour": 4, "minute": (minute + 40) % 60},
        }
        return {
            lane: _WithoutMisfires(CronTrigger(**moment, jitter=self._jitter_s, timezone=UTC))
            for lane, moment in moments.items()
        }

    def is_outdated(self, now: datetime) -> bool:
        """Whether the hours of a meter begin at another minute than the triggers were set for.

        Its zone was not known yet, or has changed by half an hour, as Lord Howe's does.
        """
        return self._offsets != self._offsets_at(now)

    def next_run(self) -> datetime | None:
        """When the next job of any meter is due."""
        times = [job.next_run_time for job in self._scheduler.get_jobs() if job.func is not _nothing]
        return min((time for time in times if time is not None), default=None)

    def stop(self) -> None:
        """Removes all triggers."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def _offsets_at(self, now: datetime) -> list[int]:
        """The minute at which each meter's hours begin in UTC.

        After a change of offset the old minute counts until the last hour before it has been requested.
        """
        delay = timedelta(minutes=self._refresh_minute, seconds=2 * self._refresh_jitter_s)
        return [_offset_minutes(zone(), now - delay) for _, zone in self._meters]

    @property
    def _jitter_s(self) -> int | None:
        return int(self._refresh_jitter_s) or None


class _WithoutMisfires(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Wraps a trigger and skips run times that are already past the misfire limit.

    APScheduler lists all run times before it drops the late ones: after a clock was set from 1970 these are
    30 million, which block the loop for minutes and fill the memory.
    """

    def __init__(self, trigger: BaseTrigger) -> None:
        self._trigger = trigger

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        if previous_fire_time is not None:
            previous_fire_time = max(previous_fire_time, now - timedelta(seconds=_MISFIRE_GRACE_S))
        next_fire_time: datetime | None = self._trigger.get_next_fire_time(previous_fire_time, now)
        return next_fire_time


def _calling(request: RequestJob, lane: Lane) -> Callable[[], Awaitable[None]]:
    async def trigger() -> None:  # a plain function would run in a thread
        request(lane)

    return trigger


async def _nothing() -> None:
    """Only wakes the scheduler."""


def _offset_minutes(zone: ZoneInfo, now: datetime) -> int:
    """The zone's UTC offset in minutes, modulo 60: 45 in Kathmandu, 30 in Adelaide, else mostly 0."""
    offset = now.astimezone(zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds() // 60) % 60
