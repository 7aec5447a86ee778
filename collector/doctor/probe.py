"""The probe: at most eight well-paced requests to the cloud, for yesterday of each meter.

One request at a time, each a full interval after the end of the last answer, no retries, and none while
the service may send one. A rejection is therefore caused by another program.
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
_TIMEOUT_S = 20.0  # a person waits, and the service's next run is at least twice as far away
_WORTH_WAITING_S = 10.0

Error = SourceError | AnswerError


@dataclass(slots=True)
class MeterResult:
    """One meter: the answer for `day`, or the `error` and the `device` that was requested.

    `skipped` is the reason where no request was sent.
    """

    meter: Meter
    day: date
    body: Mapping[str, Any] | None = None
    read: ReadDay | None = None
    zone: ZoneInfo | None = None
    error: Error | None = None
    device: str = ""
    skipped: str = ""


@dataclass(slots=True)
class AccountResult:
    """One account. `trouble` is what ended its requests; `rejections` counts those by the rate limit.

    `unreached`: the address families (IPv4, IPv6) without a connection to the host, and why.
    `offset_s`: seconds that this machine's clock is ahead of the cloud's, if the cloud itself answered.
    """

    account: Account
    meters: list[MeterResult] = field(default_factory=list)
    trouble: SourceError | None = None
    answered: bool = False
    rejections: int = 0
    unreached: dict[str, str] = field(default_factory=dict)
    offset_s: float | None = None


@dataclass(slots=True)
class ProbeResult:
    """The results of all accounts, and the number of requests."""

    accounts: list[AccountResult] = field(default_factory=list)
    requests: int = 0


async def probe(
    settings: Settings,
    zones: Mapping[str, ZoneInfo],
    clock: Clock,
    busy_reason: Callable[[], str],
) -> ProbeResult:
    """Probes each meter in turn. `zones`: the meters' time zones, by name. `busy_reason` is called before
    each request, which is not sent if it returns a reason."""
    now = clock()
    result = ProbeResult(
        [
            AccountResult(
                each.account,
                [
                    MeterResult(meter, date_in(zones[meter.name], now) - timedelta(days=1))
                    for meter in each.meters
                ],
            )
            for each in settings.accounts
        ]
    )
    await asyncio.gather(*(_look_up(each) for each in result.accounts))
    pacer = Pacer(replace(settings.pacing, max_in_flight=1))
    policy = replace(settings.retry.once(), timeout_s=min(settings.retry.timeout_s, _TIMEOUT_S))
    async with open_session() as session:
        prober = _Prober(pacer, settings.pacing.min_interval_s, clock, busy_reason)
        clients = [CloudClient(session, each.account, pacer, policy) for each in result.accounts]
        for place, meter in _in_turn(result.accounts):
            await prober.probe(result.accounts[place], meter, clients[place])
    result.requests = pacer.requests
    return result


async def _look_up(result: AccountResult) -> None:
    try:
        await look_up(result.account, _LOOK_UP_S)
    except Unavailable as error:
        result.trouble = error


def _in_turn(accounts: Sequence[AccountResult]) -> Iterator[tuple[int, MeterResult]]:
    """The first meter of each account, then the second of each, so that every account gets a request."""
    for rank in zip_longest(*(each.meters for each in accounts)):
        yield from ((place, meter) for place, meter in enumerate(rank) if meter is not None)


class _Prober:
    def __init__(self, pacer: Pacer, gap_s: float, clock: Clock, busy_reason: Callable[[], str]) -> None:
        self._pacer = pacer
        self._gap_s = gap_s
        self._clock = clock
        self._busy_reason = busy_reason

    async def probe(self, account: AccountResult, result: MeterResult, client: CloudClient) -> None:
        """Requests the meter's day, clamp by clamp, as long as that is possible."""
        bodies = []
        parts = _parts(result.meter)
        if self._pacer.requests + len(parts) > MOST_REQUESTS:
            result.skipped = f"at most {MOST_REQUESTS} requests"
            return
        for part in parts:
            result.device = part.id
            body = await self._body(account, result, client, part)
            if body is None:
                return
            bodies.append(body)
        result.body = bodies[0]
        answer = DayAnswer(result.day, bodies[0], bodies[1] if len(bodies) > 1 else None)
        try:
            result.zone = zone_of(bodies[0], result.meter)
            result.read = read_day(answer, result.meter, self._clock())
        except AnswerError as error:
            result.error = error

    async def _body(
        self, account: AccountResult, result: MeterResult, client: CloudClient, part: Meter
    ) -> Mapping[str, Any] | None:
        """The answer for one clamp; after a rejection it is requested once more."""
        while self._may_request(account, result):
            try:
                answer = await client.fetch_day(part, result.day, RequestPolicy(is_probe=True))
            except RateLimited as error:
                account.rejections += 1
                if account.rejections > 1 or (error.retry_after_s or 0) > _WORTH_WAITING_S:
                    account.trouble = error
            except (DeviceUnknown, Rejected, AnswerError) as error:
                result.error = error
            except SourceError as error:
                account.trouble = error
            else:
                self._note_clock(account, client)
                return answer.grid
            finally:
                account.unreached.update(client.unreached())
                await asyncio.sleep(self._gap_s)
            if not isinstance(account.trouble or result.error, Unavailable):
                self._note_clock(account, client)
            if result.error is not None:
                return None
        return None

    def _may_request(self, account: AccountResult, result: MeterResult) -> bool:
        if account.trouble is not None:
            result.skipped = "first solve the failed check of the account, see above"
        elif self._pacer.requests >= MOST_REQUESTS:
            result.skipped = f"at most {MOST_REQUESTS} requests"
        else:
            result.skipped = self._busy_reason()
        return not result.skipped

    def _note_clock(self, account: AccountResult, client: CloudClient) -> None:
        """Only for an answer of the cloud itself: a login page of a network has another clock."""
        account.answered = True
        cloud_now = client.cloud_now()
        if cloud_now is not None:
            account.offset_s = (self._clock() - cloud_now).total_seconds()


def _parts(meter: Meter) -> list[Meter]:
    """The meter as one or two that need a single request each: for the grid and for solar."""
    if meter.kind is Kind.EM3:
        pair = [meter.id] if meter.pv_id is None else [meter.id, meter.pv_id]
        return [replace(meter, id=device, pv_id=None) for device in pair]
    channels = [meter.grid_channel, meter.solar_channel] if meter.solar else [meter.grid_channel]
    return [replace(meter, grid_channel=channel, solar=False) for channel in channels]
