"""Outside: those who are told how the service is. Only what is configured is imported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from collector.energy.days import Clock
from collector.service.health import Alarms, HealthPolicy, Listen
from collector.service.standing import Standing, judged

Tell = Callable[[Standing], None]


@asynccontextmanager
async def outside(
    listen: Listen | None, alarms: Alarms, before: Standing | None, clock: Clock, policy: HealthPolicy
) -> AsyncIterator[Tell]:
    """Gives what is to be called with each new standing; the page and the alarm live as long as the context.

    `before` is what was said last, also by an earlier process. The page judges by the facts of the last
    standing when it is asked: whoever makes the next one may hang.
    """
    now: Standing | None = None
    tell_alarm: Tell | None = None

    def tell(standing: Standing) -> None:
        nonlocal now
        now = standing
        if tell_alarm is not None:
            tell_alarm(standing)

    def as_of_now() -> Standing | None:
        return None if now is None else judged(now, clock().timestamp(), policy)

    async with AsyncExitStack() as stack:
        if listen is not None:
            from collector.web.endpoint import serving  # a server: only for those who want it

            await stack.enter_async_context(serving(listen, as_of_now, clock))
        if alarms.ping_url or alarms.on_change:
            from collector.service.alarm import alarm_for

            alarm = alarm_for(alarms, before)
            stack.push_async_callback(alarm.close)
            tell_alarm = alarm.observe
        yield tell
