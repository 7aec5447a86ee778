"""The probe: at most eight well-paced requests to the cloud, for yesterday of each meter.

One request at a time, each a full interval after the end of the last answer, no retries, and none while
the service may send one. A rejection is therefore caused by another program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import zip_longest
from typing import Any
from zoneinfo import ZoneInfo

from collector.cloud.client import CloudClient, RequestPolicy, look_up, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.parse import DayAnswer, ReadDay, read_day, zone_of
from collector.energy.days import Clock, date_in
from collector.errors import AnswerError, DeviceUnknown, RateLimited, Rejected, SourceError, Unavailable
from collector.service.accounts import Pacers
from collector.settings import Settings

MOST_REQUESTS = 8
_LOOK_UP_S = 10.0
_TIMEOUT_S = 20.0  # a person waits, and the service's next run is at least twice as far away
_WORTH_WAITING_S = 10.0


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
    error: SourceError | AnswerError | None = None
    device: str = ""
    skipped: str = ""


@dataclass(slots=True)
class AccountResult:
    """One account. `error` is what ended its requests; `rejections` counts those by the rate limit.

    `unreached`: the address families (IPv4, IPv6) without a connection to the host, and why.
    `offset_s`: seconds that this machine's clock is ahead of the cloud's, if the cloud itself answered.
    """

    account: Account
    meters: list[MeterResult] = field(default_factory=list)
    error: SourceError | None = None
    answered: bool = False
    rejections: int = 0
    unreached: dict[str, str] = field(default_factory=dict)
    offset_s: float | None = None


async def probe(
    settings: Settings, zones: Mapping[str, ZoneInfo], clock: Clock, busy_reason: Callable[[], str]
) -> tuple[list[AccountResult], int]:
    """Probes each meter in turn; returns the accounts' results and the number of requests.

    `zones`: the meters' time zones, by name. `busy_reason` is called before each request, which is not sent
    if it returns a reason.
    """
    now = clock()
    yesterday = {name: date_in(zone, now) - timedelta(days=1) for name, zone in zones.items()}
    results = [
        AccountResult(each.account, [MeterResult(meter, yesterday[meter.name]) for meter in each.meters])
        for each in settings.accounts
    ]
    await asyncio.gather(*map(_look_up, results))
    pacers, pacing = Pacers(), replace(settings.pacing, max_in_flight=1)
    policy = replace(settings.retry.once(), timeout_s=min(settings.retry.timeout_s, _TIMEOUT_S))
    async with open_session() as session:
        clients = [
            CloudClient(session, each.account, pacers.of(each.account, pacing, policy.timeout_s), policy)
            for each in results
        ]

        def requests() -> int:
            return sum(each.pacer.requests for each in clients)

        gap_s = settings.pacing.min_interval_s
        probers = [
            _Prober(*each, gap_s, clock, busy_reason, requests) for each in zip(results, clients, strict=True)
        ]
        # The first meter of each account, then the second of each, so that every account gets a request.
        for rank in zip_longest(*(each.meters for each in results)):
            for prober, result in zip(probers, rank, strict=True):
                if result is not None:
                    await prober.probe(result)
    return results, requests()


async def _look_up(result: AccountResult) -> None:
    try:
        await look_up(result.account, _LOOK_UP_S)
    except Unavailable as error:
        result.error = error


@dataclass(frozen=True, slots=True)
class _Prober:
    """Probes the meters of one account."""

    account: AccountResult
    client: CloudClient
    gap_s: float
    clock: Clock
    busy_reason: Callable[[], str]
    requests: Callable[[], int]  # those of all accounts so far

    async def probe(self, result: MeterResult) -> None:
        """Requests the meter's day, clamp by clamp, as long as that is possible."""
        meter = result.meter
        if self.requests() + meter.requests_per_day > MOST_REQUESTS:
            result.skipped = f"at most {MOST_REQUESTS} requests"
            return
        bodies = []
        for device, channel in meter.channels:
            result.device = device
            # As a meter that needs a single request.
            body = await self._body(
                result, replace(meter, id=device, pv_id=None, grid_channel=channel, solar=False)
            )
            if body is None:
                return
            bodies.append(body)
        result.body = bodies[0]
        answer = DayAnswer(result.day, bodies[0], bodies[1] if len(bodies) > 1 else None)
        try:
            result.zone = zone_of(bodies[0], meter)
            result.read = read_day(answer, meter, self.clock())
        except AnswerError as error:
            result.error = error

    async def _body(self, result: MeterResult, part: Meter) -> Mapping[str, Any] | None:
        """The answer for one clamp; after a rejection it is requested once more."""
        account, client = self.account, self.client
        while True:
            if account.error is not None:
                result.skipped = "first solve the failed check of the account, see above"
            elif self.requests() >= MOST_REQUESTS:
                result.skipped = f"at most {MOST_REQUESTS} requests"
            else:
                result.skipped = self.busy_reason()
            if result.skipped:
                return None
            body = None
            try:
                body = (await client.fetch_day(part, result.day, RequestPolicy(is_probe=True))).grid
            except RateLimited as error:
                account.rejections += 1
                if account.rejections > 1 or (error.retry_after_s or 0) > _WORTH_WAITING_S:
                    account.error = error
            except (DeviceUnknown, Rejected, AnswerError) as error:
                result.error = error
            except SourceError as error:
                account.error = error
            finally:
                account.unreached.update(client.unreached())
                await asyncio.sleep(self.gap_s)
            if not isinstance(account.error or result.error, Unavailable):
                # The cloud itself answered: a login page of a network has another clock.
                account.answered = True
                if (cloud_now := client.cloud_now()) is not None:
                    account.offset_s = (self.clock() - cloud_now).total_seconds()
            if body is not None or result.error is not None:
                return body
