"""The simulated cloud with faults in it and counts of what it saw: what most tests use for `Simulator`.

`async with FaultyCloud(scenario) as cloud:` plays the scenario's `fault` rules; `cloud.counts` is what was
requested. `python -m tests.support.faulty_cloud --scenario FILE` serves one to other processes, which read
the counts and change the scenario at `/_simulator/…`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, datetime
from email.utils import format_datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote, urlsplit

from aiohttp import web

from collector import simulator
from collector.energy.days import Clock
from collector.errors import Problem, SettingsError
from collector.simulator import Account, Simulator, api
from collector.simulator.answers import Answer
from collector.simulator.api import NOT_FOUND, Reply, Violation, as_json, refusal
from collector.simulator.scenario_file import header_problems, read, suggestion
from tests.support.cloud_faults import (
    BREAKAGES,
    ECHO,
    KINDS,
    REDIRECTS,
    REFUSALS,
    ROW_TAMPERINGS,
    TAMPERINGS,
    Line,
    whole,
)
from tests.support.cloud_spans import SPAN_KINDS, Request, spoilt
from tests.support.request_counts import Counts, RequestKind, Served, kind_of

PREFIX = "/_simulator/"
TRAP = f"{PREFIX}trap"
"""Where redirects lead: a client that follows one is counted, and so is a key that it brings."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with the requests that it names; `cloud_faults.KINDS` and
    `cloud_spans.SPAN_KINDS` are the kinds, of which the latter meet spans alone.

    A request is named by account, device, channel, what it asks for (`request_counts.kind_of`), the local
    day that it begins with (`days`), the local days of which it covers one or more (`covers`) and simulated
    time. Of a span, a fault that is about rows spoils those of the days in `covers` alone. Of those requests,
    counted from 1 and without those that the rate limit refused, `on_requests` picks some, `every`
    each n-th, and `times` ends it after so many. The first rule that applies is the one played.
    """

    kind: str
    on_requests: tuple[int, ...] = ()
    every: int | None = None
    times: int | None = None
    account: str | None = None
    device: str | None = None
    channel: int | None = None
    asks: Literal["day", "span", "totals", "devices"] | None = None
    days: tuple[date, ...] = ()
    covers: tuple[date, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario(simulator.Scenario):
    """A simulated cloud with what goes wrong in it.

    `date_header` replaces the `Date` of the answers; an empty text leaves it out.
    """

    fault: tuple[Fault, ...] = ()
    date_header: str | None = None


def parse(text: str) -> Scenario:
    """The scenario that the file describes; `SettingsError` with every problem that it has."""
    problems: list[Problem] = []
    scenario = read(Scenario, text, problems)
    if scenario is not None:
        problems += _problems_of(scenario)
    if problems or scenario is None:
        raise SettingsError(problems)
    return scenario


def _problems_of(scenario: Scenario) -> Iterator[Problem]:
    yield from header_problems("date_header", scenario.date_header)
    for fault in scenario.fault:
        if fault.kind not in (*KINDS, *SPAN_KINDS):
            near = suggestion(fault.kind, (*KINDS, *SPAN_KINDS))
            yield Problem("fault.kind", fault.kind, f"unknown{near}")
        if fault.kind in SPAN_KINDS and fault.asks not in (None, "span"):
            yield Problem("fault.asks", fault.asks, f"{fault.kind} is for spans")
        if fault.every is not None and fault.every < 1:
            yield Problem("fault.every", str(fault.every), "must be 1 or more")
        if fault.retry_after is not None and fault.kind not in REFUSALS:
            yield Problem("fault.retry_after", fault.retry_after, f"{fault.kind} is no refusal")
        yield from header_problems("fault.retry_after", fault.retry_after)


class FaultyCloud:
    """Plays one scenario at a time, as `Simulator` does; `counts` is what was seen.

    `clock` overrides the scenario's own; `port` 0 takes any free one. `SettingsError` where the scenario is
    wrong, `OSError` where the port is taken.
    """

    def __init__(
        self, scenario: simulator.Scenario, clock: Clock | None = None, port: int = 0, log_size: int = 10_000
    ) -> None:
        self.counts = Counts(log_size)
        self._scenario = _sound(scenario)
        self._plan = FaultPlan(self._scenario.fault)
        self._simulator = Simulator(self._scenario, clock, port, self._respond)

    async def __aenter__(self) -> Self:
        await self._simulator.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._simulator.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        """Scheme, host and port, no slash at the end."""
        return self._simulator.url

    @property
    def scenario(self) -> Scenario:
        """What is played."""
        return self._scenario

    @property
    def hour_span_h(self) -> int:
        """The longest span that comes by the hour. Set, it holds from the next request on."""
        return self._scenario.hour_span_h

    @hour_span_h.setter
    def hour_span_h(self, hours: int) -> None:
        self._simulator.change(hour_span_h=hours)
        self._scenario = replace(self._scenario, hour_span_h=hours)

    @property
    def now(self) -> datetime:
        """The simulated moment, aware, in UTC."""
        return self._simulator.now

    def play(self, scenario: simulator.Scenario) -> None:
        """Continues with another scenario, its rules unspent; counts stay. Its `now`, if any, is set."""
        sound = _sound(scenario)
        self._simulator.play(sound)
        self._scenario, self._plan = sound, FaultPlan(sound.fault)

    def set_clock(self, now: datetime, speed: float = 1.0) -> None:
        """Simulated time goes on from there."""
        self._simulator.set_clock(now, speed)

    def reset(self) -> None:
        """Counts from zero; rate limits open, fault rules unspent."""
        self.counts.reset()
        self._simulator.open_limits()
        self._plan = FaultPlan(self._scenario.fault)

    async def _respond(
        self, request: web.BaseRequest, account: Account | None, violation: Violation | None
    ) -> web.StreamResponse:
        body = await request.read()
        if request.path.startswith(PREFIX):
            return await self._write(request, _controlled(self, request, body))
        self._look_for_keys(request, body)
        if not (api.is_statistics(request) or api.is_of_devices(request)):
            return await self._write(request, NOT_FOUND)
        query, now = request.query, asyncio.get_running_loop().time
        day, until = query.get("date_from", "")[:10], query.get("date_to", "")[:10]
        name = account.name if account else None
        kind, days = kind_of(query)
        kind = "devices" if api.is_of_devices(request) else kind
        served = Served(now(), name, query.get("id", ""), query.get("channel", ""), day, until, kind, days)
        served.violation = violation
        self.counts.start(served)
        try:
            return await self._reply(request, account, served)
        finally:
            self.counts.end(served, now())

    async def _reply(
        self, request: web.BaseRequest, account: Account | None, served: Served
    ) -> web.StreamResponse:
        now = self.now
        answer = await self._simulator.answer(request, account, served.violation)
        if served.violation and isinstance(answer, Reply):
            return await self._send(request, served, answer)
        asked = Asked(
            served.account, served.device, served.channel, _day_of(request), served.kind, served.days, now
        )
        fault = self._plan.next(asked)
        reply = answer if isinstance(answer, Reply) else Reply(200, as_json(answer))
        if fault is None:
            return await self._send(request, served, reply)
        served.fault = fault.kind
        if fault.kind in BREAKAGES:
            line = Line(request)
            await BREAKAGES[fault.kind](line, self._dated(reply))
            return line
        again = Request(self._scenario, account, request.path, request.query, now)
        if fault.kind in SPAN_KINDS or (
            served.kind == "span" and fault.covers and fault.kind in ROW_TAMPERINGS
        ):
            spoiled = spoilt(fault.kind, again, fault.covers)
            return await self._send(request, served, Reply(200, as_json(spoiled)) if spoiled else reply)
        return await self._send(request, served, self._spoiled(fault, request, answer) or reply)

    def _spoiled(self, fault: Fault, request: web.BaseRequest, answer: Answer | Reply) -> Reply | None:
        """The refusal or the wrong answer; None where there is no answer that could be spoiled."""
        if fault.kind in TAMPERINGS:
            return None if isinstance(answer, Reply) else Reply(200, TAMPERINGS[fault.kind](answer))
        if fault.kind == ECHO:
            reply = refusal(400, bad_request=f"Cannot answer {self.url}{request.raw_path}")
        elif fault.kind in REDIRECTS:
            # Portals put the address that was asked for into the one they lead to: key and all.
            port = urlsplit(self.url).port
            target = f"http://localhost:{port}{TRAP}?url={quote(self.url + request.raw_path)}"
            reply = Reply(REDIRECTS[fault.kind], b"", {"Location": target})
        else:
            reply = REFUSALS[fault.kind]
        return reply.with_header("Retry-After", fault.retry_after)

    async def _send(self, request: web.BaseRequest, served: Served, reply: Reply) -> web.StreamResponse:
        served.outcome = reply.status
        return await self._write(request, reply)

    async def _write(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        """By the simulator; past aiohttp where there is to be no `Date`, which it would add."""
        dated = self._dated(reply)
        if "Date" in dated.headers:
            return await self._simulator.send(request, dated)
        line = Line(request)
        await line.send(whole(dated))
        return line

    def _dated(self, reply: Reply) -> Reply:
        """The cloud's `Date` is its own clock's, which may be wrong or absent by scenario."""
        text = self._scenario.date_header
        if text is None:
            text = format_datetime(self.now.replace(microsecond=0), usegmt=True)
        return reply.with_header("Date", text or None)

    def _look_for_keys(self, request: web.BaseRequest, body: bytes) -> None:
        bearer = api.bearer_of(request)
        headers = [
            value for name, value in request.headers.items() if name.lower() != "authorization" or not bearer
        ]
        elsewhere = "\n".join([request.path, *headers, body.decode("latin-1")])
        if api.is_of_devices(request):  # where it belongs in the form, and not in the address
            elsewhere = "\n".join([request.raw_path, *headers])
        for account in self._scenario.account:
            for tally in self.counts.tallies(account.name):
                tally.bearer_keys += bearer == account.auth_key
                tally.keys_outside_query += account.auth_key in elsewhere


def _sound(scenario: simulator.Scenario) -> Scenario:
    if not isinstance(scenario, Scenario):
        scenario = Scenario(**{each.name: getattr(scenario, each.name) for each in fields(scenario)})
    problems = list(_problems_of(scenario))
    if problems:
        raise SettingsError(problems)
    return scenario


def _day_of(request: web.BaseRequest) -> date | None:
    """The local day that `date_from` names."""
    try:
        return datetime.fromisoformat(request.query.get("date_from", "")).date()
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a rule can see of a request. `day` is None where `date_from` is no date; `days` are so many."""

    account: str | None
    device: str
    channel: str
    day: date | None
    kind: RequestKind
    days: int
    now: datetime

    def covers(self, day: date) -> bool:
        """Whether that local day is one of those asked for."""
        return self.day is not None and 0 <= (day - self.day).days < self.days


class FaultPlan:
    """The rules of a scenario, and how many requests each has met."""

    def __init__(self, rules: Sequence[Fault]) -> None:
        self._rules = rules
        self._met: Counter[int] = Counter()
        self._played: Counter[int] = Counter()

    def next(self, asked: Asked) -> Fault | None:
        """The fault to play on this request; every rule that names the request counts it."""
        due = [place for place, rule in enumerate(self._rules) if self._is_due(place, rule, asked)]
        if not due:
            return None
        self._played[due[0]] += 1
        return self._rules[due[0]]

    def _is_due(self, place: int, rule: Fault, asked: Asked) -> bool:
        if not _names(rule, asked):
            return False
        self._met[place] += 1
        met = self._met[place]
        if rule.times is not None and self._played[place] >= rule.times:
            return False
        if rule.on_requests:
            return met in rule.on_requests
        return rule.every is None or met % rule.every == 0


def _names(rule: Fault, asked: Asked) -> bool:
    return (
        rule.account in (None, asked.account)
        and rule.device in (None, asked.device)
        and (rule.channel is None or str(rule.channel) == asked.channel)
        and (rule.kind not in SPAN_KINDS or asked.kind == "span")
        and rule.asks in (None, asked.kind)
        and (not rule.days or asked.day in rule.days)
        and (not rule.covers or any(asked.covers(day) for day in rule.covers))
        and (rule.since is None or rule.since <= asked.now)
        and (rule.until is None or asked.now < rule.until)
    )


def _controlled(cloud: FaultyCloud, request: web.BaseRequest, body: bytes) -> Reply:
    """Answers `GET counts`, `POST reset`, `POST clock`, `POST scenario`, and whoever is in the trap."""
    if request.path == TRAP:
        return _trap(cloud, request, body)
    try:
        return _command(cloud, request, body)
    except SettingsError as error:
        return Reply(400, as_json({"problems": [str(problem) for problem in error.problems]}))
    except (ValueError, KeyError, TypeError) as error:
        return Reply(400, as_json({"problems": [str(error)]}))


def _command(cloud: FaultyCloud, request: web.BaseRequest, body: bytes) -> Reply:
    match request.method, request.path.removeprefix(PREFIX):
        case "GET", "counts":
            return Reply(200, as_json(cloud.counts.as_json() | {"now": cloud.now.isoformat()}))
        case "POST", "reset":
            cloud.reset()
        case "POST", "clock":
            wanted = dict(json.loads(body))
            now = datetime.fromisoformat(wanted["now"]) if "now" in wanted else cloud.now
            if now.tzinfo is None:
                raise ValueError("now: must name its offset")
            cloud.set_clock(now, float(wanted.get("speed", 1.0)))
        case "POST", "scenario":
            cloud.play(parse(body.decode()))
        case _:
            return NOT_FOUND
    return Reply(200, as_json({"now": cloud.now.isoformat()}))


def _trap(cloud: FaultyCloud, request: web.BaseRequest, body: bytes) -> Reply:
    cloud.counts.trap_hits += 1
    everything = "\n".join([request.raw_path, *request.headers.values(), body.decode("latin-1")])
    keys = [account.auth_key for account in cloud.scenario.account]
    cloud.counts.trap_keys += any(key in everything for key in keys)
    return Reply(200, b"<html><body>Log in to this network</body></html>", {"Content-Type": "text/html"})


async def _serve(scenario: Scenario, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with FaultyCloud(scenario, port=port) as cloud:
        print(f"Simulating the Shelly Cloud on {cloud.url}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--scenario", type=Path, required=True)
    options = parser.parse_args()
    asyncio.run(_serve(parse(options.scenario.read_text()), options.port))
