"""Hearing: what the cloud says to at most eight well-paced questions, about yesterday of each meter.

One request at a time, each a whole gap after the end of the last answer, no retries; and none while
the service may ask: so a rejection is somebody else's doing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import zip_longest
from typing import Any
from zoneinfo import ZoneInfo

from collector.cloud.client import CloudClient, RequestPolicy, look_up, open_session
from collector.cloud.meters import Account, Kind, Meter
from collector.cloud.pacing import Pacer
from collector.cloud.parse import DayAnswer, ReadDay, read_day, zone_of
from collector.energy.days import Clock, date_in
from collector.errors import AnswerError, DeviceUnknown, RateLimited, Rejected, SourceError, Unavailable
from collector.settings import Settings

MOST_REQUESTS = 8
_LOOK_UP_S = 10.0
_TIMEOUT_S = 20.0  # a person waits, and the service's next round is at least twice as far
_WORTH_WAITING_S = 10.0

Error = SourceError | AnswerError


@dataclass(slots=True)
class MeterHeard:
    """One meter: what came for `day`, or why nothing did.

    `error` and the `device` that was asked for; `not_asked` says why the cloud was not asked.
    """

    meter: Meter
    day: date
    body: Mapping[str, Any] | None = None
    read: ReadDay | None = None
    zone: ZoneInfo | None = None
    error: Error | None = None
    device: str = ""
    not_asked: str = ""


@dataclass(slots=True)
class AccountHeard:
    """One account. `trouble` is what ended the asking; `rejections` of our pace.

    `unreached`: kinds of addresses by which the host could not be connected to, and why.
    `offset_s`: how far this machine's clock is ahead of the cloud's, where the cloud itself answered.
    """

    account: Account
    meters: list[MeterHeard]
    trouble: SourceError | None = None
    answered: bool = False
    rejections: int = 0
    unreached: dict[str, str] = field(default_factory=dict)
    offset_s: float | None = None


@dataclass(slots=True)
class Heard:
    """Everything that was heard, and what it cost."""

    accounts: list[AccountHeard] = field(default_factory=list)
    requests: int = 0


async def listen(
    settings: Settings,
    zones: Mapping[str, ZoneInfo],
    clock: Clock,
    reason_to_be_quiet: Callable[[], str],
) -> Heard:
    """Asks. `zones` are the meters' as far as they are known, and `reason_to_be_quiet` is asked before
    each request: where it gives one, the cloud is not asked."""
    now = clock()
    heard = Heard(
        [
            AccountHeard(
                each.account,
                [
                    MeterHeard(meter, date_in(zones[meter.name], now) - timedelta(days=1))
                    for meter in each.meters
                ],
            )
            for each in settings.accounts
        ]
    )
    await asyncio.gather(*(_look_up(each) for each in heard.accounts))
    pacer = Pacer(replace(settings.pacing, max_in_flight=1))
    policy = replace(settings.retry.once(), timeout_s=min(settings.retry.timeout_s, _TIMEOUT_S))
    async with open_session() as session:
        asker = _Asker(pacer, settings.pacing.min_interval_s, clock, reason_to_be_quiet)
        clients = [CloudClient(session, each.account, pacer, policy) for each in heard.accounts]
        for place, meter in _in_turn(heard.accounts):
            await asker.ask(heard.accounts[place], meter, clients[place])
    heard.requests = pacer.requests
    return heard


async def _look_up(heard: AccountHeard) -> None:
    try:
        await look_up(heard.account, _LOOK_UP_S)
    except Unavailable as error:
        heard.trouble = error


def _in_turn(accounts: Sequence[AccountHeard]) -> Iterator[tuple[int, MeterHeard]]:
    """The first meter of each account, then the second ones: so that every account is heard."""
    for rank in zip_longest(*(each.meters for each in accounts)):
        yield from ((place, meter) for place, meter in enumerate(rank) if meter is not None)


class _Asker:
    def __init__(
        self, pacer: Pacer, gap_s: float, clock: Clock, reason_to_be_quiet: Callable[[], str]
    ) -> None:
        self._pacer = pacer
        self._gap_s = gap_s
        self._clock = clock
        self._reason_to_be_quiet = reason_to_be_quiet

    async def ask(self, account: AccountHeard, heard: MeterHeard, client: CloudClient) -> None:
        """Asks for the meter's day, clamp by clamp, as long as that is possible."""
        bodies = []
        parts = _parts(heard.meter)
        if self._pacer.requests + len(parts) > MOST_REQUESTS:
            heard.not_asked = f"at most {MOST_REQUESTS} requests"
            return
        for part in parts:
            heard.device = part.id
            body = await self._body(account, heard, client, part)
            if body is None:
                return
            bodies.append(body)
        heard.body = bodies[0]
        answer = DayAnswer(heard.day, bodies[0], bodies[1] if len(bodies) > 1 else None)
        try:
            heard.zone = zone_of(bodies[0], heard.meter)
            heard.read = read_day(answer, heard.meter, self._clock())
        except AnswerError as error:
            heard.error = error

    async def _body(
        self, account: AccountHeard, heard: MeterHeard, client: CloudClient, part: Meter
    ) -> Mapping[str, Any] | None:
        """The answer for one clamp; after a rejection it is asked for once more."""
        while self._may_ask(account, heard):
            try:
                answer = await client.fetch_day(part, heard.day, RequestPolicy(is_probe=True))
            except RateLimited as error:
                account.rejections += 1
                if account.rejections > 1 or (error.retry_after_s or 0) > _WORTH_WAITING_S:
                    account.trouble = error
            except (DeviceUnknown, Rejected, AnswerError) as error:
                heard.error = error
            except SourceError as error:
                account.trouble = error
            else:
                self._note_clock(account, client)
                return answer.grid
            finally:
                account.unreached.update(client.unreached())
                await asyncio.sleep(self._gap_s)
            if not isinstance(account.trouble or heard.error, Unavailable):
                self._note_clock(account, client)
            if heard.error is not None:
                return None
        return None

    def _may_ask(self, account: AccountHeard, heard: MeterHeard) -> bool:
        if account.trouble is not None:
            heard.not_asked = "what failed for the account comes first"
        elif self._pacer.requests >= MOST_REQUESTS:
            heard.not_asked = f"at most {MOST_REQUESTS} requests"
        else:
            heard.not_asked = self._reason_to_be_quiet()
        return not heard.not_asked

    def _note_clock(self, account: AccountHeard, client: CloudClient) -> None:
        """The cloud itself has answered: a page of somebody else's tells another clock."""
        account.answered = True
        cloud_now = client.cloud_now()
        if cloud_now is not None:
            account.offset_s = (self._clock() - cloud_now).total_seconds()


def _parts(meter: Meter) -> list[Meter]:
    """The meter as one or two that take a single request each: the grid's, and the sun's."""
    if meter.kind is Kind.EM3:
        pair = [meter.id] if meter.pv_id is None else [meter.id, meter.pv_id]
        return [replace(meter, id=device, pv_id=None) for device in pair]
    channels = [meter.grid_channel, meter.solar_channel] if meter.solar else [meter.grid_channel]
    return [replace(meter, grid_channel=channel, solar=False) for channel in channels]
