"""The simulated cloud on loopback: `async with Simulator(scenario) as cloud: … cloud.url`."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from types import TracebackType
from urllib.parse import quote

from collector.energy.days import Clock, wall_clock
from collector.errors import SettingsError
from collector.simulator import api, control
from collector.simulator.breakage import BREAKAGES
from collector.simulator.clock import RunningClock
from collector.simulator.counts import Counts, Served
from collector.simulator.faults import Asked, FaultPlan
from collector.simulator.limits import Judge
from collector.simulator.refusals import (
    ECHO,
    MAX_REQ,
    NOT_FOUND,
    REDIRECTS,
    REFUSALS,
    TOO_MANY,
    as_json,
    refusal,
)
from collector.simulator.scenario import Account, Fault, Scenario
from collector.simulator.scenario_file import problems_of
from collector.simulator.tampering import TAMPERINGS
from collector.simulator.truth import chance
from collector.simulator.wire import Line, Reply, Request

HOST = "127.0.0.1"


class Simulator:
    """Plays one scenario at a time, from entering until leaving the context.

    `clock` overrides the scenario's own; `port` 0 takes any free one. `counts` is what was seen.
    Gaps between requests are measured on the loop's clock. `SettingsError` where the scenario is
    wrong, `OSError` where the port is taken.
    """

    def __init__(
        self, scenario: Scenario, clock: Clock | None = None, port: int = 0, log_size: int = 10_000
    ) -> None:
        self.counts = Counts(log_size)
        self._scenario = _sound(scenario)
        self._clock = clock
        self._port = port
        self._lines: set[Line] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Simulator:
        loop = asyncio.get_running_loop()
        clock = self._clock
        self.play(self._scenario)
        self._clock = clock or self._clock
        self._server = await loop.create_server(lambda: Line(self._handle, self._lines), HOST, self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is None:
            return
        self._server.close()
        answering = [line.busy for line in self._lines if line.busy is not None]
        for line in list(self._lines):
            line.reset()
        await asyncio.sleep(0)  # the lost connections cancel what answers them
        for task in answering:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Scheme, host and port, no slash at the end."""
        return f"http://{HOST}:{self._port}"

    @property
    def scenario(self) -> Scenario:
        """What is played."""
        return self._scenario

    @property
    def now(self) -> datetime:
        """The simulated moment, aware, in UTC."""
        return (self._clock or wall_clock)()

    def play(self, scenario: Scenario) -> None:
        """Goes on with another scenario, its rules unspent; counts stay. Its `now`, if any, is set."""
        self._scenario = _sound(scenario)
        self._forget()
        if scenario.now is not None or scenario.speed != 1.0:
            self.set_clock(scenario.now or self.now, scenario.speed)

    def set_clock(self, now: datetime, speed: float = 1.0) -> None:
        """Simulated time goes on from there."""
        self._clock = RunningClock(now, speed, asyncio.get_running_loop().time)

    def reset(self) -> None:
        """Counts from zero; rate limits open, fault rules unspent."""
        self.counts.reset()
        self._forget()

    def _forget(self) -> None:
        self._plan = FaultPlan(self._scenario.fault)
        self._judges = {account.name: Judge(account.limit) for account in self._scenario.account}

    async def _handle(self, request: Request, line: Line) -> None:
        if request.path.startswith(control.PREFIX):
            reply = control.reply(self, request)
            await line.send(self._dated(reply).whole())
            return
        self._look_for_keys(request)
        if request.method != "GET" or request.path not in api.PATHS:
            await line.send(self._dated(NOT_FOUND).whole())
            return
        await self._serve(request, line)

    async def _serve(self, request: Request, line: Line) -> None:
        loop = asyncio.get_running_loop()
        query = request.query
        account = api.account_of(self._scenario, api.key_of(request))
        name = account.name if account else None
        day = query.get("date_from", "")[:10]
        served = Served(loop.time(), name, query.get("id", ""), query.get("channel", ""), day)
        self.counts.start(served)
        judge = self._judges.get(name or "")
        try:
            served.violation = judge.start(served.at) if judge else None
            await self._reply(request, account, served, line)
        finally:
            if judge:
                judge.end(loop.time())
            self.counts.end(served, loop.time())

    async def _reply(self, request: Request, account: Account | None, served: Served, line: Line) -> None:
        scenario, now, query = self._scenario, self.now, request.query
        await self._latency(scenario)
        if served.violation and account:
            await self._send(served, line, _rejection(account))
            return
        name = account.name if account else None
        fault = self._plan.next(Asked(name, served.device, served.channel, api.day_of(query), now))
        answer = api.answer(scenario, account, request.path, query, now)
        reply = answer if isinstance(answer, Reply) else None
        if fault is not None:
            served.fault = fault.kind
            if fault.kind in TAMPERINGS and not isinstance(answer, Reply):
                reply = Reply(200, TAMPERINGS[fault.kind](answer))
            reply = self._refusal(fault, request) or reply
        reply = reply or Reply(200, as_json(answer))
        if fault is not None and fault.kind in BREAKAGES:
            await BREAKAGES[fault.kind](line, self._dated(reply))
            return
        await self._send(served, line, reply)

    async def _send(self, served: Served, line: Line, reply: Reply) -> None:
        served.outcome = reply.status
        await line.send(self._dated(reply).whole())

    async def _latency(self, scenario: Scenario) -> None:
        jitter_s = scenario.jitter_s * chance(f"jitter/{scenario.seed}/{self.counts.total.requests}")
        if scenario.latency_s + jitter_s > 0:
            await asyncio.sleep(scenario.latency_s + jitter_s)

    def _refusal(self, fault: Fault, request: Request) -> Reply | None:
        reply = REFUSALS.get(fault.kind)
        if fault.kind == ECHO:
            reply = refusal(400, bad_request=f"Cannot answer {self.url}{request.target}")
        if fault.kind in REDIRECTS:
            # Portals put the address that was asked for into the one they lead to: key and all.
            target = f"http://localhost:{self._port}{control.TRAP}?url={quote(self.url + request.target)}"
            reply = Reply(REDIRECTS[fault.kind], b"", {"Location": target})
        if reply is None or fault.retry_after is None:
            return reply
        return _asking_to_wait(reply, fault.retry_after)

    def _dated(self, reply: Reply) -> Reply:
        """The cloud's `Date` is its own clock's, which may be wrong or absent by scenario."""
        text = self._scenario.date_header
        if text == "":
            return reply
        if text is None:
            text = format_datetime(self.now.replace(microsecond=0), usegmt=True)
        return replace(reply, headers={**reply.headers, "Date": text})

    def _look_for_keys(self, request: Request) -> None:
        bearer = api.bearer_of(request)
        headers = [value for name, value in request.headers.items() if name != "authorization" or not bearer]
        elsewhere = "\n".join([request.path, *headers, request.body.decode("latin-1")])
        for account in self._scenario.account:
            for tally in self.counts.tallies(account.name):
                tally.bearer_keys += bearer == account.auth_key
                tally.keys_outside_query += account.auth_key in elsewhere


def _rejection(account: Account) -> Reply:
    reply = MAX_REQ if account.limit.answer == "max_req" else TOO_MANY
    retry_after = account.limit.retry_after
    return reply if retry_after is None else _asking_to_wait(reply, retry_after)


def _asking_to_wait(reply: Reply, retry_after: str) -> Reply:
    return replace(reply, headers={**reply.headers, "Retry-After": retry_after})


def _sound(scenario: Scenario) -> Scenario:
    problems = problems_of(scenario)
    if problems:
        raise SettingsError(problems)
    return scenario
