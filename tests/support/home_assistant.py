"""A stand-in for Home Assistant: the part of its WebSocket that keeps long-term statistics, on loopback.

`async with HomeAssistantServer() as home:` listens at `home.url` and refuses what the real one refuses, as
`python -m tests.home_assistant` has compared. A test reads what arrived (`messages`, `imports`, `rows_of`,
`refusals`, `warnings`) and sets what goes wrong (`faults`, `http_status`, `queue_s`, `latency_s`,
`starting_s`, `stop`, `kill`).

Not played: statistics with means, conversion of units, periods other than hours, clearing a range of time.
They are refused, where the real one would not, with the code `stand_in_cannot` or `invalid_format`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from aiohttp import WSMsgType, web

from collector.simulator.server import reset

HOST, PATH = "127.0.0.1", "/api/websocket"
OLD, NEW = "2025.4.4", "2026.11.0"
"""A version that does not know `mean_type` and `unit_class` yet, and one that does."""
_SIGNED = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
ADMIN_TOKEN = f"{_SIGNED}.eyJpc3MiOiJhZG1pbiJ9.stand-in-token-of-an-administrator"
USER_TOKEN = f"{_SIGNED}.eyJpc3MiOiJ1c2VyIn0.stand-in-token-of-somebody-else"
_AUTH_WAIT_S, _HEARTBEAT_S, _CLEAR_WAIT_S = 10.0, 55.0, 10.0
_NEW_KEYS_SINCE = (2025, 11)
_FAILED = "home_assistant_error"
_STATISTIC_ID = re.compile(r"(?!.+__)(?!_)[\da-z_]+(?<!_):(?!_)[\da-z_]+(?<!_)")
_ENTITY_ID = re.compile(r"(?!.+__)(?!_)[\da-z_]+(?<!_)\.(?!_)[\da-z_]+(?<!_)")
_ENERGY_UNITS = (
    "mWh", "Wh", "kWh", "MWh", "GWh", "TWh", "J", "kJ", "MJ", "GJ", "cal", "kcal", "Mcal", "Gcal", "thm",
)  # fmt: skip
_CONFIG = {
    "location_name": "Home",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "country": "DE",
    "language": "en",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong with the commands that it names.

    - `close`: the connection is closed before the command is carried out
    - `close_after`: it is carried out, then the connection is closed, without an answer
    - `silence`: it is carried out and never answered
    - `late`: it is carried out and answered after `wait_s`
    - `error`: it is not carried out; the answer is an error with `code`
    - `answer`: it is carried out; `text` is sent in place of the answer

    `command` is its type; without one, all are meant. Of those that are meant, counted from 1 since the fault
    was set, `on` picks some; without it, all.
    """

    kind: Literal["close", "close_after", "silence", "late", "error", "answer"]
    on: tuple[int, ...] = ()
    command: str | None = None
    text: str = ""
    code: str = "unknown_error"
    wait_s: float = 0.0


class Row(NamedTuple):
    """What is kept of an hour, in the statistic's unit."""

    state: float | None
    sum: float | None


@dataclass(slots=True)
class Statistic:
    """Metadata as it was sent last, and rows by the start of their hour in seconds since 1970."""

    metadata: dict[str, Any]
    rows: dict[int, Row] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Import:
    """An import that was accepted: when in loop time, and the starts of its rows in seconds since 1970."""

    at_s: float
    statistic_id: str
    metadata: Mapping[str, Any]
    starts: Sequence[int]


class Refused(NamedTuple):
    """An error as it is answered."""

    code: str
    message: str


class Refusal(NamedTuple):
    """An error that was answered, and to which command."""

    command: str
    code: str
    message: str


@dataclass(slots=True)
class _Client:
    """A connection that was let in, and the number of its last command."""

    socket: web.WebSocketResponse
    is_admin: bool
    last_id: int = 0


Outcome = Refused | Mapping[str, Any] | Sequence[Any] | None


class HomeAssistantServer:
    """Plays a Home Assistant of that version; it has started when the context is entered.

    Statistics are in memory. A `file`, if given, gets them too; what it has is there from the start.
    `port` 0 takes any free one, which a restart keeps. `OSError` if it is in use.

    - `queue_s`: seconds from the answer to an import until its rows can be read
    - `latency_s`: seconds before each answer
    - `starting_s`: seconds after a start in which the state is not `RUNNING` and the recorder's commands are
      unknown
    - `http_status`: what the handshake is answered with, as by a proxy whose Home Assistant is down, or None
    - `location`: where that answer leads, if it is a redirect
    """

    def __init__(self, version: str = NEW, file: Path | None = None, port: int = 0) -> None:
        self.version = version
        self.queue_s = self.latency_s = self.starting_s = 0.0
        self.http_status: int | None = None
        self.location: str | None = None
        self.connections = 0
        self.messages: Counter[str] = Counter()
        self.imports: list[Import] = []
        self.refusals: list[Refusal] = []
        self.warnings: list[str] = []
        self._faults: list[tuple[Fault, Counter[None]]] = []
        self._statistics: dict[str, Statistic] = {}
        self._queue: list[tuple[float, Mapping[str, Any]]] = []
        self._file = file
        self._port = port
        self._listening: tuple[asyncio.Server, web.Server] | None = None
        self._open: dict[web.WebSocketResponse, web.BaseRequest] = {}
        self._started_at = 0.0
        for line in file.read_text().splitlines() if file and file.exists() else ():
            self._apply(json.loads(line))

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """As a user would write it: scheme, host and port, no slash at the end."""
        return f"http://{HOST}:{self._port}"

    @property
    def faults(self) -> Sequence[Fault]:
        """What goes wrong; the first that applies is played. Setting them begins their counts anew."""
        return [fault for fault, _ in self._faults]

    @faults.setter
    def faults(self, faults: Sequence[Fault]) -> None:
        self._faults = [(fault, Counter()) for fault in faults]

    @property
    def imported_rows(self) -> Counter[str]:
        """How many rows were accepted, by statistic; one that was sent twice counts twice."""
        found: Counter[str] = Counter()
        for each in self.imports:
            found[each.statistic_id] += len(each.starts)
        return found

    def rows_of(self, statistic_id: str) -> Mapping[int, Row]:
        """The rows that can be read now, in the order of time; none if there is no such statistic."""
        self._settle()
        found = self._statistics.get(statistic_id)
        return {} if found is None else dict(sorted(found.rows.items()))

    def metadata_of(self, statistic_id: str) -> Mapping[str, Any] | None:
        """As it was sent last, with what Home Assistant adds; None if there is no such statistic."""
        self._settle()
        found = self._statistics.get(statistic_id)
        return found.metadata if found else None

    def forget_counts(self) -> None:
        """Empties `messages`, `imports`, `refusals`, `warnings` and the count of connections."""
        self.connections = 0
        for each in (self.messages, self.imports, self.refusals, self.warnings):
            each.clear()

    async def start(self) -> None:
        """Listens; a second start continues with what is stored."""
        loop, http = asyncio.get_running_loop(), web.Server(self._handle, access_log=None)
        listening = await loop.create_server(http, HOST, self._port)
        self._port = listening.sockets[0].getsockname()[1]
        self._listening = listening, http
        self._started_at = loop.time()

    async def stop(self) -> None:
        """Stores what is queued, takes leave of its clients and stops listening."""
        self._settle(everything=True)
        for socket in list(self._open):
            await socket.close()
        await self._end()

    async def kill(self) -> None:
        """Stops like a process that is killed: what is queued is lost, connections are reset."""
        self._settle()
        for request in self._open.values():
            reset(request.transport)
        await self._end()
        self._queue.clear()  # here, for a message that had been received may be carried out until then

    async def _end(self) -> None:
        if self._listening is not None:
            listening, http = self._listening
            self._listening = None
            listening.close()
            await http.shutdown(0)
            await listening.wait_closed()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.http_status is not None:
            headers = {"Location": self.location} if self.location else {}
            return web.Response(status=self.http_status, text="<html>unavailable</html>", headers=headers)
        if request.path != PATH:
            return web.Response(status=404, text="404: Not Found")
        self.connections += 1
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S)
        await socket.prepare(request)
        self._open[socket] = request
        try:
            client = await self._authenticate(socket)
            if client is not None:
                await self._converse(client)
        except ConnectionError:
            pass  # the client has left
        finally:
            del self._open[socket]
        await socket.close()
        return socket

    async def _authenticate(self, socket: web.WebSocketResponse) -> _Client | None:
        """Who has connected; None for somebody who is not let in."""
        await socket.send_json({"type": "auth_required", "ha_version": self.version})
        try:
            message = await socket.receive(_AUTH_WAIT_S)
        except TimeoutError:
            return None
        try:
            offered = _json(message.data) if message.type is WSMsgType.TEXT else None
        except ValueError:
            return None
        await asyncio.sleep(self.latency_s)
        if (
            not isinstance(offered, dict)
            or offered.get("type") != "auth"
            or set(offered) != {"type", "access_token"}
        ):
            await socket.send_json({"type": "auth_invalid", "message": "Auth message incorrectly formatted"})
            return None
        if offered["access_token"] not in (ADMIN_TOKEN, USER_TOKEN):
            await socket.send_json({"type": "auth_invalid", "message": "Invalid access token or password"})
            return None
        await socket.send_json({"type": "auth_ok", "ha_version": self.version})
        return _Client(socket, is_admin=offered["access_token"] == ADMIN_TOKEN)

    async def _converse(self, client: _Client) -> None:
        async for message in client.socket:
            if message.type is not WSMsgType.TEXT:
                return
            try:
                found = _json(message.data)
            except ValueError:
                return
            for each in found if isinstance(found, list) else [found]:
                if not await self._answer(client, each):
                    return

    async def _answer(self, client: _Client, message: Any) -> bool:
        """Carries a command out and answers it. Returns whether the connection remains."""
        match message:
            case {"id": int(number), "type": str(command)} if number > 0 and command:
                self.messages[command] += 1
            case _:
                named = message.get("id") if isinstance(message, dict) else 0
                await self._send(
                    client, named, "", Refused("invalid_format", "Message incorrectly formatted.")
                )
                return True
        if number <= client.last_id:
            await self._send(
                client, number, command, Refused("id_reuse", "Identifier values have to increase.")
            )
            return True
        fault = self._next_fault(command) or Fault("late")
        if fault.kind == "close":
            return False
        if fault.kind == "error":
            outcome: Outcome = Refused(fault.code, "Something went wrong.")
        else:
            outcome = await self._carry_out(command, message, is_admin=client.is_admin)
        if not (isinstance(outcome, Refused) and outcome.code == "unknown_command"):
            client.last_id = number
        await asyncio.sleep(self.latency_s + fault.wait_s)
        if fault.kind == "answer":
            await client.socket.send_str(fault.text)
        elif fault.kind in ("late", "error"):
            await self._send(client, number, command, outcome)
        return fault.kind != "close_after"

    def _next_fault(self, command: str) -> Fault | None:
        played = None
        for fault, counted in self._faults:
            if fault.command in (None, command):
                counted[None] += 1
                if played is None and (not fault.on or counted[None] in fault.on):
                    played = fault
        return played

    async def _send(self, client: _Client, number: Any, command: str, outcome: Outcome) -> None:
        answer: dict[str, Any] = {"id": number, "type": "result", "success": not isinstance(outcome, Refused)}
        if isinstance(outcome, Refused):
            self.refusals.append(Refusal(command, outcome.code, outcome.message))
            answer["error"] = {"code": outcome.code, "message": outcome.message}
        elif command == "ping":
            answer = {"id": number, "type": "pong"}
        else:
            answer["result"] = outcome
        await client.socket.send_json(answer)

    async def _carry_out(self, command: str, message: Mapping[str, Any], *, is_admin: bool) -> Outcome:
        known = _COMMANDS.get(command)
        is_running = asyncio.get_running_loop().time() >= self._started_at + self.starting_s
        if known is None or (command.startswith("recorder/") and not is_running):
            return Refused("unknown_command", "Unknown command.")
        is_new = _version(self.version) >= _NEW_KEYS_SINCE
        schema = known.new_schema if is_new and known.new_schema else known.schema
        problems = [*schema(message, ())]
        if problems:
            return Refused("invalid_format", "\n".join(sorted(each.text(is_new) for each in problems)))
        if known.is_for_admins and not is_admin:
            return Refused("unauthorized", "Unauthorized")
        self._settle()
        match command:
            case "recorder/import_statistics":
                return self._import(message["metadata"], message["stats"], is_new)
            case "recorder/clear_statistics":
                return await self._clear(message["statistic_ids"])
            case "recorder/statistics_during_period":
                return self._read(message)
            case "recorder/list_statistic_ids":
                return [] if message.get("statistic_type") == "mean" else self._listed(self._statistics)
            case "recorder/get_statistics_metadata":
                return self._listed(message.get("statistic_ids") or self._statistics)
            case "auth/current_user":
                return {"id": "1", "name": "Test", "is_owner": False, "is_admin": is_admin, "credentials": []}
            case "get_config":
                state = "RUNNING" if is_running else "NOT_RUNNING"
                return {"state": state, "version": self.version, **_CONFIG}
            case _:
                return None

    def _import(self, sent: Mapping[str, Any], stats: Sequence[Mapping[str, Any]], is_new: bool) -> Outcome:
        metadata = {"mean_type": 0, **sent}
        unit = metadata["unit_of_measurement"]
        if is_new:
            self.warnings += [
                f"WS command recorder/import_statistics called without specifying {key} in metadata, "
                "this is deprecated and will stop working in HA Core 2026.11"
                for key in ("mean_type", "unit_class")
                if key not in sent
            ]
        metadata.setdefault("unit_class", "energy" if unit in _ENERGY_UNITS else None)
        starts = [_time(each["start"]) for each in stats]
        refused = _refused_metadata(metadata) or next(filter(None, map(_refused_start, starts)), None)
        if refused:
            return refused
        seconds = [int(start.timestamp()) for start in starts if start]
        rows = [(at, each.get("state"), each.get("sum")) for at, each in zip(seconds, stats, strict=True)]
        self._enqueue({"metadata": metadata, "rows": rows})
        now = asyncio.get_running_loop().time()
        self.imports.append(Import(now, metadata["statistic_id"], sent, seconds))
        return None

    async def _clear(self, ids: Sequence[str]) -> Outcome:
        due = self._enqueue({"clear": ids})
        wait_s = due - asyncio.get_running_loop().time()
        await asyncio.sleep(min(wait_s, _CLEAR_WAIT_S))
        if wait_s > _CLEAR_WAIT_S:
            return Refused("timeout", "clear_statistics timed out")
        return None

    def _enqueue(self, change: Mapping[str, Any]) -> float:
        """When it will have been applied: not before what was queued earlier."""
        due = asyncio.get_running_loop().time() + self.queue_s
        if self._queue:
            due = max(due, self._queue[-1][0])
        self._queue.append((due, change))
        return due

    def _settle(self, *, everything: bool = False) -> None:
        """Applies what is due; without a running loop, or if told so, everything."""
        due = [each for each in self._queue if everything or each[0] <= asyncio.get_running_loop().time()]
        del self._queue[: len(due)]
        for _, change in due:
            self._apply(change)
            if self._file:
                with self._file.open("a") as file:
                    file.write(f"{json.dumps(change)}\n")

    def _apply(self, change: Mapping[str, Any]) -> None:
        for cleared in change.get("clear", ()):
            self._statistics.pop(cleared, None)
        if "metadata" in change:
            metadata = change["metadata"]
            statistic = self._statistics.setdefault(metadata["statistic_id"], Statistic(metadata))
            statistic.metadata = metadata
            statistic.rows.update(
                (at, Row(_float(state), _float(total))) for at, state, total in change["rows"]
            )

    def _read(self, message: Mapping[str, Any]) -> Outcome:
        since, until = _time(message["start_time"]), _time(message.get("end_time"))
        if since is None:
            return Refused("invalid_start_time", "Invalid start_time")
        if until is None and message.get("end_time"):
            return Refused("invalid_end_time", "Invalid end_time")
        if message["period"] != "hour":
            return _cannot("other periods than hours")
        since_s, until_s = since.timestamp(), until.timestamp() if until else float("inf")
        types = message.get("types", _TYPES)
        found = {}
        for each in dict.fromkeys(message["statistic_ids"]):
            statistic = self._statistics.get(each, Statistic({}))
            hours = list(_hours(statistic.rows, since_s, until_s, types))
            if hours:
                found[each] = hours
        return found

    def _listed(self, ids: Iterable[str]) -> Outcome:
        return [
            {
                "statistic_id": each,
                "display_unit_of_measurement": metadata["unit_of_measurement"],
                "has_mean": False,
                "mean_type": 0,
                "has_sum": True,
                "name": metadata["name"],
                "source": metadata["source"],
                "statistics_unit_of_measurement": metadata["unit_of_measurement"],
                "unit_class": metadata["unit_class"],
            }
            for each in ids
            if each in self._statistics
            for metadata in (self._statistics[each].metadata,)
        ]


def _hours(
    rows: Mapping[int, Row], since_s: float, until_s: float, types: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The rows in that time as they are answered; the change is against the row before, however old."""
    before = 0.0
    for at, row in sorted(rows.items()):
        if since_s <= at < until_s:
            change = None if row.sum is None else row.sum - before
            columns = {"state": row.state, "sum": row.sum, "change": change, "last_reset": None}
            answered = {name: value for name, value in columns.items() if name in types}
            yield {"start": at * 1000, "end": (at + 3600) * 1000, **answered}
        if row.sum is not None:
            before = row.sum
        elif at < since_s:
            before = 0.0


def _refused_metadata(metadata: Mapping[str, Any]) -> Refused | None:
    identity, source = metadata["statistic_id"], metadata["source"]
    if _ENTITY_ID.fullmatch(identity):
        return Refused(_FAILED, "Invalid source") if source != "recorder" else _cannot("entities' statistics")
    if not _STATISTIC_ID.fullmatch(identity):
        return Refused(_FAILED, "Invalid statistic_id")
    if source != identity.partition(":")[0]:
        return Refused(_FAILED, "Invalid source")
    unit, unit_class = metadata["unit_of_measurement"], metadata["unit_class"]
    if unit_class not in (None, "energy"):
        return Refused(_FAILED, f"Unsupported unit_class: '{unit_class}'")
    if unit_class and unit not in _ENERGY_UNITS:
        return Refused(_FAILED, f"Unsupported unit_of_measurement '{unit}' for unit_class '{unit_class}'")
    if metadata.get("has_mean") or metadata["mean_type"] or not metadata["has_sum"]:
        return _cannot("statistics with means, or without sums")
    return None


def _refused_start(start: datetime | None) -> Refused | None:
    if start is None or start.tzinfo is None:
        return Refused(_FAILED, "Naive timestamp: no or invalid timezone info provided")
    if start.minute or start.second or start.microsecond:
        return Refused(
            _FAILED,
            "Invalid timestamp: timestamps must be from the top of the hour (minutes and seconds = 0)",
        )
    return None


def _cannot(what: str) -> Refused:
    return Refused("stand_in_cannot", f"The stand-in does not play {what}.")


def _json(text: str) -> Any:
    """`ValueError` where Home Assistant's parser has one: NaN and infinities are no JSON."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def _time(text: Any) -> datetime | None:
    """The moment; naive if there is no offset, None if the text is no time."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)


def _version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


# What is wrong with the form of a message, found by nested checks, as Home Assistant's library finds it.


class _Problem(NamedTuple):
    message: str
    path: tuple[str | int, ...]
    got: Any

    def text(self, is_new: bool) -> str:
        if is_new:
            place = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in self.path)
            return f"{self.message} at '{place[1:]}'. Got {self.got!r}"
        place = "".join(f"[{each!r}]" for each in self.path)
        message = _OLD_MESSAGES.get(self.message, self.message)
        if message.startswith("expected '"):
            message = "not a valid value"
        if isinstance(self.path[-1], str) and message not in (_UNKNOWN_KEY, _MISSING_KEY):
            message += " for dictionary value"
        return f"{message} @ data{place}. Got {self.got!r}"


_UNKNOWN_KEY, _MISSING_KEY = "extra keys not allowed", "required key not provided"
_OLD_MESSAGES = {
    "not a valid option": _UNKNOWN_KEY,
    "expected int or float": "expected float",
    "expected str or None": "expected str",
    "value must not be empty": "length of value must be at least 1",
}
_Check = Callable[[Any, tuple[str | int, ...]], Iterator[_Problem]]


def _is(name: str, *kinds: type) -> _Check:
    def check(value: Any, path: tuple[str | int, ...]) -> Iterator[_Problem]:
        if not isinstance(value, kinds):
            yield _Problem(f"expected {name}", path, value)

    return check


def _one_of(*allowed: str) -> _Check:
    def check(value: Any, path: tuple[str | int, ...]) -> Iterator[_Problem]:
        if value not in allowed:
            yield _Problem(f"expected {' or '.join(map(repr, allowed))}", path, value)

    return check


def _list_of(item: _Check, *, is_filled: bool = False) -> _Check:
    def check(value: Any, path: tuple[str | int, ...]) -> Iterator[_Problem]:
        if not isinstance(value, list):
            yield _Problem("expected a list", path, value)
            return
        if is_filled and not value:
            yield _Problem("value must not be empty", path, value)
        for number, each in enumerate(value):
            yield from item(each, (*path, number))

    return check


def _object(required: Mapping[str, _Check], **optional: _Check) -> _Check:
    checks = {**required, **optional}

    def check(value: Any, path: tuple[str | int, ...]) -> Iterator[_Problem]:
        if not isinstance(value, dict):
            yield _Problem("expected a dictionary", path, value)
            return
        for key, each in value.items():
            if key in checks:
                yield from checks[key](each, (*path, key))
            else:
                yield _Problem("not a valid option", (*path, key), each)
        for key in required.keys() - value.keys():
            yield _Problem(_MISSING_KEY, (*path, key), None)

    return check


def _start(value: Any, path: tuple[str | int, ...]) -> Iterator[_Problem]:
    if _time(value) is None:
        yield _Problem(f"Invalid datetime specified: {value}", path, value)


def _start_or_null(value: Any, path: tuple[str | int, ...]) -> Iterator[_Problem]:
    if value is not None:
        yield from _start(value, path)


def _mean_type(value: Any, path: tuple[str | int, ...]) -> Iterator[_Problem]:
    if value not in (0, 1, 2):
        names = (
            "<StatisticMeanType.NONE: 0>, <StatisticMeanType.ARITHMETIC: 1>, <StatisticMeanType.CIRCULAR: 2>"
        )
        yield _Problem(f"value must be one of [{names}]", path, value)


_TEXT, _BOOL, _NUMBER = _is("str", str), _is("bool", bool), _is("int or float", int, float)
_TEXT_OR_NULL = _is("str or None", str, type(None))
_IDS = _list_of(_TEXT)
_TYPES = ("change", "last_reset", "max", "mean", "min", "state", "sum")
_PERIODS = ("5minute", "hour", "day", "week", "month", "year")
_METADATA: Mapping[str, _Check] = {
    "has_sum": _BOOL,
    "name": _TEXT_OR_NULL,
    "source": _TEXT,
    "statistic_id": _TEXT,
    "unit_of_measurement": _TEXT_OR_NULL,
}
_STATS = _list_of(
    _object(
        {"start": _start}, state=_NUMBER, sum=_NUMBER, mean=_NUMBER, min=_NUMBER, max=_NUMBER,
        last_reset=_start_or_null,
    )
)  # fmt: skip


def _message(required: Mapping[str, _Check], **optional: _Check) -> _Check:
    return _object({"id": _is("int", int), "type": _TEXT, **required}, **optional)


@dataclass(frozen=True, slots=True)
class _Command:
    """`new_schema` is for versions that know the newer keys, if they have another."""

    schema: _Check
    new_schema: _Check | None = None
    is_for_admins: bool = False


_COMMANDS: Mapping[str, _Command] = {
    "ping": _Command(_message({})),
    "get_config": _Command(_message({})),
    "auth/current_user": _Command(_message({})),
    "recorder/import_statistics": _Command(
        _message({"metadata": _object({**_METADATA, "has_mean": _BOOL}), "stats": _STATS}),
        _message(
            {
                "metadata": _object(
                    _METADATA, has_mean=_BOOL, mean_type=_mean_type, unit_class=_TEXT_OR_NULL
                ),
                "stats": _STATS,
            }
        ),
        is_for_admins=True,
    ),
    "recorder/clear_statistics": _Command(_message({"statistic_ids": _IDS}), is_for_admins=True),
    "recorder/statistics_during_period": _Command(
        _message(
            {
                "start_time": _TEXT,
                "statistic_ids": _list_of(_TEXT, is_filled=True),
                "period": _one_of(*_PERIODS),
            },
            end_time=_TEXT,
            types=_list_of(_one_of(*_TYPES)),
        )
    ),
    "recorder/list_statistic_ids": _Command(_message({}, statistic_type=_one_of("sum", "mean"))),
    "recorder/get_statistics_metadata": _Command(_message({}, statistic_ids=_IDS)),
}
