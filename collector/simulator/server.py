"""The simulated cloud on loopback: `async with Simulator(scenario) as cloud: ... cloud.url`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import quote

from aiohttp import web

from collector.energy.days import Clock, wall_clock
from collector.errors import SettingsError
from collector.simulator import api
from collector.simulator.api import Judge
from collector.simulator.counts import Counts, Served
from collector.simulator.faults import (
    BREAKAGES,
    ECHO,
    MAX_REQ,
    NOT_FOUND,
    REDIRECTS,
    REFUSALS,
    TAMPERINGS,
    TOO_MANY,
    Asked,
    FaultPlan,
    as_json,
    refusal,
)
from collector.simulator.scenario import Account, Fault, Scenario
from collector.simulator.scenario_file import parse, problems_of
from collector.simulator.truth import chance
from collector.simulator.wire import Line, Reply, Server, send

if TYPE_CHECKING:
    pass  # REGROUP


class RunningClock:
    """A `Clock` from `start` on, `speed` simulated seconds for each second of `timer`; 0 stands still."""

    def __init__(self, start: datetime, speed: float, timer: Callable[[], float]) -> None:
        self._start = start
        self._speed = speed
        self._timer = timer
        self._started_at = timer()

    def __call__(self) -> datetime:
        elapsed_s = (self._timer() - self._started_at) * self._speed
        return self._start + timedelta(seconds=elapsed_s)


PREFIX = "/_simulator/"
TRAP = f"{PREFIX}trap"
"""Where redirects lead: a client that follows one is counted, and so is a key that it brings."""


def reply(simulator: Simulator, request: web.BaseRequest, body: bytes) -> Reply:
    """Answers `GET counts`, `POST reset`, `POST clock`, `POST scenario`, and whoever is in the trap."""
    if request.path == TRAP:
        return _trap(simulator, request, body)
    try:
        return _command(simulator, request, body)
    except SettingsError as error:
        return Reply(400, as_json({"problems": [str(problem) for problem in error.problems]}))
    except (ValueError, KeyError, TypeError) as error:
        return Reply(400, as_json({"problems": [str(error)]}))


def _command(simulator: Simulator, request: web.BaseRequest, body: bytes) -> Reply:
    match request.method, request.path.removeprefix(PREFIX):
        case "GET", "counts":
            return Reply(200, as_json(simulator.counts.as_json() | {"now": simulator.now.isoformat()}))
        case "POST", "reset":
            simulator.reset()
        case "POST", "clock":
            wanted = dict(json.loads(body))
            now = datetime.fromisoformat(wanted["now"]) if "now" in wanted else simulator.now
            if now.tzinfo is None:
                raise ValueError("now: must name its offset")
            simulator.set_clock(now, float(wanted.get("speed", 1.0)))
        case "POST", "scenario":
            simulator.play(parse(body.decode()))
        case _:
            return NOT_FOUND
    return Reply(200, as_json({"now": simulator.now.isoformat()}))


def _trap(simulator: Simulator, request: web.BaseRequest, body: bytes) -> Reply:
    simulator.counts.trap_hits += 1
    everything = "\n".join([request.raw_path, *request.headers.values(), body.decode("latin-1")])
    keys = [account.auth_key for account in simulator.scenario.account]
    simulator.counts.trap_keys += any(key in everything for key in keys)
    return Reply(200, b"<html><body>Log in to this network</body></html>", {"Content-Type": "text/html"})


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
        self._server = Server(self._handle)

    async def __aenter__(self) -> Simulator:
        clock = self._clock
        self.play(self._scenario)
        self._clock = clock or self._clock
        self._port = await self._server.open(HOST, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.close()

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

    async def _handle(self, request: web.BaseRequest) -> None:
        body = await request.read()
        if request.path.startswith(PREFIX):
            await send(request, self._dated(reply(self, request, body)))
            return
        self._look_for_keys(request, body)
        if request.method != "GET" or request.path not in api.PATHS:
            await send(request, self._dated(NOT_FOUND))
            return
        await self._serve(request)

    async def _serve(self, request: web.BaseRequest) -> None:
        loop = asyncio.get_running_loop()
        query = request.query
        account = api.account_of(self._scenario, api.key_of(request))
        name = account.name if account else None
        day = query.get("date_from", "")[:10]
        until = query.get("date_to", "")[:10]
        served = Served(loop.time(), name, query.get("id", ""), query.get("channel", ""), day, until)
        self.counts.start(served)
        judge = self._judges.get(name or "")
        try:
            served.violation = judge.start(served.at) if judge else None
            await self._reply(request, account, served)
        finally:
            if judge:
                judge.end(loop.time())
            self.counts.end(served, loop.time())

    async def _reply(self, request: web.BaseRequest, account: Account | None, served: Served) -> None:
        scenario, now, query = self._scenario, self.now, request.query
        await self._latency(scenario)
        if served.violation and account:
            await self._send(request, served, _rejection(account))
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
            await BREAKAGES[fault.kind](Line(request), self._dated(reply))
            return
        await self._send(request, served, reply)

    async def _send(self, request: web.BaseRequest, served: Served, reply: Reply) -> None:
        served.outcome = reply.status
        await send(request, self._dated(reply))

    async def _latency(self, scenario: Scenario) -> None:
        jitter_s = scenario.jitter_s * chance(f"jitter/{scenario.seed}/{self.counts.total.requests}")
        if scenario.latency_s + jitter_s > 0:
            await asyncio.sleep(scenario.latency_s + jitter_s)

    def _refusal(self, fault: Fault, request: web.BaseRequest) -> Reply | None:
        reply = REFUSALS.get(fault.kind)
        if fault.kind == ECHO:
            reply = refusal(400, bad_request=f"Cannot answer {self.url}{request.raw_path}")
        if fault.kind in REDIRECTS:
            # Portals put the address that was asked for into the one they lead to: key and all.
            target = f"http://localhost:{self._port}{TRAP}?url={quote(self.url + request.raw_path)}"
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

    def _look_for_keys(self, request: web.BaseRequest, body: bytes) -> None:
        bearer = api.bearer_of(request)
        headers = [
            value for name, value in request.headers.items() if name.lower() != "authorization" or not bearer
        ]
        elsewhere = "\n".join([request.path, *headers, body.decode("latin-1")])
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
