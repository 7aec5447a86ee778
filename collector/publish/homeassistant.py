"""Sends hours to Home Assistant's long-term statistics, over its WebSocket; compares what it has.

The statistics are external ones, as https://developers.home-assistant.io/docs/api/websocket describes the
connection; the commands are those of Home Assistant's recorder, tried with 2025.4 and 2026.11.
"""

from __future__ import annotations

import asyncio
import json
import re
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import aiohttp

from collector.errors import PublishError, TargetRefused
from collector.export.homeassistant import KINDS, SOURCE, Row, ids_of, rows
from collector.net import in_words, new_websocket_session, of_own_host
from collector.publish.sent import Pending
from collector.publish.targets import Target
from collector.redaction import printable
from collector.threads import in_batches, in_thread

_ROWS = 500  # of a message, 45 kB: Home Assistant ends the connection at 4 MB; 2,500 rows took as long
_UNREAD = 3 * _ROWS  # sent rows that were not read back: so many keep Home Assistant busy
_LARGEST = 16 * 1024 * 1024  # of an answer: 80,000 rows
_CONNECT_S = 20.0
_ANSWER_S = 60.0
_CLOSE_S = 1.0
_STORED_S = 600.0  # after which queued rows should be readable
_PAUSE_S = 0.1
_HOUR_S = 3600
_NEVER = 1 << 32  # epoch seconds
_LOOK_BACK_S = (8 * 86400, 400 * 86400, _NEVER)  # for the hours before, in steps: an answer has a limit
_ALL = range(len(KINDS))
_DECIMALS = 6  # of kWh
_TOLERANCE = 5e-7  # kWh: half of the last of six decimals
_NOTHING = (Decimal(0),) * len(KINDS)
_NEW_METADATA = (2025, 11)
_VERSION = re.compile(r"(\d{4})\.(\d{1,2})\.")
_ADMIN_CURE = (
    "Create a long-lived access token as an administrator: in Home Assistant, your profile > Security. Write "
    "it into token_file, then reload the service."
)

Stored = Mapping[int, float | None]
"""The sums that Home Assistant has, by the start of the hour in epoch seconds."""


class Difference(NamedTuple):
    """How a statistic differs from the archive: how many hours Home Assistant lacks, how many it has with
    another sum, how many only it has; and the start of the first of all these, epoch seconds.
    """

    statistic: str
    missing: int
    other: int
    extra: int
    first: int

    def and_of(
        self, here: Mapping[int, Decimal], expected: Mapping[int, Decimal], there: Stored
    ) -> Difference:
        """The same and what differs between these hours, by their starts; `expected`: as of `_with_lost`."""
        missing = [start for start in here if start not in there]
        wrong = [start for start in there if start in expected and _differs(expected[start], there, start)]
        extra = [start for start in wrong if start not in here]
        return Difference(
            self.statistic,
            self.missing + len(missing),
            self.other + len(wrong) - len(extra),
            self.extra + len(extra),
            min([self.first, *missing, *wrong]),
        )


class _Beginning(NamedTuple):
    """Where the meter's hours begin, epoch seconds, and Home Assistant's totals before that, by the place in
    `KINDS`.
    """

    at: int
    totals: list[Decimal]


class _Sent(NamedTuple):
    """The rows of a statistic that were sent, from `first` on: 16 bytes for each."""

    first: int
    starts: array[int]
    sums: array[float]

    def add(self, rows_sent: Iterable[tuple[int, Decimal]]) -> None:
        for start, total in rows_sent:
            if start >= self.first:
                self.starts.append(start)
                self.sums.append(float(total))

    def drop(self) -> None:
        """Drops the first rows, which are stored."""
        del self.starts[:_ROWS], self.sums[:_ROWS]

    def part(self, index: int) -> Iterator[tuple[int, float]]:
        """Some rows from that index on."""
        end = index + _ROWS
        return zip(self.starts[index:end], self.sums[index:end], strict=True)


@dataclass(slots=True)
class HomeAssistant:
    """A connection to a target of kind `homeassistant`, that has accepted the token."""

    target: Target
    version: str
    _socket: aiohttp.ClientWebSocketResponse
    _number: int = 0

    async def send(self, pending: Pending) -> int:
        """Sends each statistic from its first hour that Home Assistant has not, or has otherwise, to the end,
        and waits until it has stored that. Returns the number of hours.

        Older hours that only Home Assistant has, as of an archive that is gone, stay, and the totals continue
        from them.

        Where it is not known what was sent, that is all of it: an attempt that failed may still be in Home
        Assistant's queue, and would replace what is equal now.

        Raises `PublishError`, `NotExpressible`, `OSError`.
        """
        beginning = await self._beginning(pending)
        # With the part before, to notice if it has lost what was sent: then everything is compared.
        sent = await self._send_from(pending, max(0, pending.first - 1), beginning)
        if sent is None:
            sent = await self._send_from(pending, 0, beginning)
        return sent or 0

    async def _beginning(self, pending: Pending) -> _Beginning:
        at = _NEVER if pending.lost_from is None else pending.lost_from
        if (first := await in_thread(next, _rows(pending, 0, _NOTHING), None)) is not None:
            at = min(at, first.start)
        totals: dict[int, Decimal] = {}
        for look_back_s in _LOOK_BACK_S:
            left = [place for place in _ALL if place not in totals]
            found = await self._stored(pending.hours.name, left, max(0, at - look_back_s), at)
            for place, stored in found.items():
                known = [total for _, total in sorted(stored.items()) if total is not None]
                if known:
                    totals[place] = Decimal(str(round(known[-1], _DECIMALS)))
        return _Beginning(at, [totals.get(place, Decimal(0)) for place in _ALL])

    async def _send_from(self, pending: Pending, index: int, beginning: _Beginning) -> int | None:
        """As `send`, for the parts from that one on; `None` if hours before `pending.first` differ."""
        meter, kept_before = pending.hours.name, pending.start_of(pending.first) if index else 0
        unknown_from = _NEVER if pending.is_known else pending.start_of(pending.first)
        # Hours before all stored ones are lost only if they were sent: others may be of an archive before.
        lost_from = min(pending.start_of(index), _NEVER if pending.lost_from is None else pending.lost_from)
        sent: dict[int, _Sent] = {}  # by the statistic's place in `KINDS`: what was not read back so far
        counts: Counter[int] = Counter()
        begin, totals = pending.start_of(index) if index else beginning.at, _totals(pending, index, beginning)
        async for batch in _with_an_end(in_batches(_rows(pending, index, totals), _ROWS)):
            end = batch[-1].start + _HOUR_S if batch else _NEVER
            if not batch and pending.lost_from is None:
                break
            found = await self._stored(meter, _ALL, begin, end)
            for place in _ALL:
                stored = found[place]
                here = list(_with_lost(_sums(batch, place), stored, totals[place], lost_from))
                wrong = (
                    start for start, total in here if start >= unknown_from or _differs(total, stored, start)
                )
                if place not in sent and (first := next(wrong, None)) is not None:
                    if first < kept_before:
                        return None
                    sent[place] = _Sent(first, array("q"), array("d"))
                if here:
                    totals[place] = here[-1][1]
                if place in sent:
                    await self._import(meter, place, [each for each in here if each[0] >= sent[place].first])
                    sent[place].add(here)
                    counts[place] += sum(start >= sent[place].first for start, _ in here)
                    if len(sent[place].starts) > _UNREAD:
                        await self._until_stored(meter, place, dict(sent[place].part(0)))
                        sent[place].drop()
            begin = end
        await self._wait_until_stored(meter, sent)
        return max(counts.values(), default=0)

    async def _import(self, meter: str, place: int, sums: Sequence[tuple[int, Decimal]]) -> None:
        metadata: dict[str, Any] = {
            "statistic_id": ids_of(meter)[place],
            "source": SOURCE,
            "name": f"{meter} {KINDS[place]}",
            "has_sum": True,
            "unit_of_measurement": "kWh",
        }
        if _is_new(self.version):
            metadata |= {"mean_type": 0, "unit_class": "energy"}
        else:
            metadata["has_mean"] = False
        stats = [{"start": _iso(start), "state": float(total), "sum": float(total)} for start, total in sums]
        if stats:
            await self._call("recorder/import_statistics", metadata=metadata, stats=stats)

    async def _wait_until_stored(self, meter: str, sent: Mapping[int, _Sent]) -> None:
        """Returns when everything that was sent is readable: an accepted import is only queued.

        Imports are stored in their order: while the last row is missing, nothing else is read. Raises
        `PublishError` if it takes too long.
        """
        for place, rows_sent in sent.items():
            if rows_sent.starts:
                await self._until_stored(meter, place, dict(rows_sent.part(len(rows_sent.starts) - 1)))
            while rows_sent.starts:
                await self._until_stored(meter, place, dict(rows_sent.part(0)))
                rows_sent.drop()

    async def _until_stored(self, meter: str, place: int, sums: Mapping[int, float]) -> None:
        """Returns when these sums are readable. Raises `PublishError` if it takes too long."""
        deadline = asyncio.get_running_loop().time() + _STORED_S
        while await self._lacks(meter, place, sums):
            if asyncio.get_running_loop().time() > deadline:
                raise PublishError(
                    f"Home Assistant accepted the hours, but did not store them in {_STORED_S:g} s"
                )
            await asyncio.sleep(_PAUSE_S)

    async def _lacks(self, meter: str, place: int, sums: Mapping[int, float]) -> bool:
        """Whether Home Assistant has not, or has otherwise, some of these sums by the hours' starts."""
        if not sums:
            return False
        stored = await self._stored(meter, [place], min(sums), max(sums) + _HOUR_S)
        return any(_differs(total, stored[place], start) for start, total in sums.items())

    async def check(self, pending: Pending) -> list[Difference]:
        """How each statistic of the meter differs from all stored hours; empty if none does.

        Raises `PublishError`, `NotExpressible`, `OSError`.
        """
        meter = pending.hours.name
        found = [Difference(name, 0, 0, 0, _NEVER) for name in ids_of(meter)]
        begin, totals = await self._beginning(pending)
        async for batch in _with_an_end(in_batches(_rows(pending, 0, totals), _ROWS)):
            end = batch[-1].start + _HOUR_S if batch else _NEVER
            for place, stored in (await self._stored(meter, _ALL, begin, end)).items():
                here = dict(_sums(batch, place))
                expected = dict(_with_lost(here.items(), stored, totals[place]))
                found[place] = found[place].and_of(here, expected, stored)
                totals[place] = next(reversed(expected.values()), totals[place])
            begin = end
        return [each for each in found if each.first != _NEVER]

    async def _stored(self, meter: str, places: Sequence[int], begin: int, end: int) -> dict[int, Stored]:
        """What Home Assistant has in `[begin, end)` of the meter's statistics at these places in `KINDS`."""
        if not places:
            return {}
        ids = ids_of(meter)
        answer = await self._call(
            "recorder/statistics_during_period",
            start_time=_iso(begin),
            end_time=_iso(end),
            statistic_ids=[ids[place] for place in places],
            period="hour",
            types=["sum"],
        )
        try:
            return {place: dict(map(_hour_and_sum, answer.get(ids[place], ()))) for place in places}
        except (AttributeError, TypeError, ValueError, KeyError, OverflowError):
            raise _not_understood("the statistics") from None

    async def probe(self) -> str:
        """Checks that the token is an administrator's; returns what answered. Raises `PublishError`."""
        user = await self._call("auth/current_user")
        if not (isinstance(user, dict) and user.get("is_admin")):
            raise _not_an_administrator()
        return f"Home Assistant {printable(self.version)} at {self.target.host} accepts the token"

    async def _call(self, kind: str, **fields: Any) -> Any:
        """Sends a command; returns its result. Raises `PublishError`."""
        self._number += 1
        try:
            async with asyncio.timeout(_ANSWER_S):
                await self._socket.send_str(json.dumps({"id": self._number, "type": kind, **fields}))
                while (answer := await _received(self._socket)).get("id") != self._number:
                    pass
        except TimeoutError:
            raise PublishError(f"Home Assistant did not answer within {_ANSWER_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise PublishError(f"Home Assistant: {in_words(error)}") from None
        if answer.get("success") is True:
            return answer.get("result")
        refused = answer.get("error")
        raise _refusal(refused if isinstance(refused, dict) else {})


def _rows(pending: Pending, index: int, totals: Sequence[Decimal]) -> Iterator[Row]:
    """The rows of the parts from that one on, after these totals."""
    days, _ = pending.from_part(index)
    return rows(pending.hours.name, pending.hours.hours(days), list(totals))


def _totals(pending: Pending, index: int, beginning: _Beginning) -> list[Decimal]:
    """The totals before that part."""
    _, before = pending.from_part(index)
    return [total + before[place] for place, total in enumerate(beginning.totals)]


async def _with_an_end(batches: AsyncIterator[list[Row]]) -> AsyncIterator[list[Row]]:
    """The batches and an empty one: for what Home Assistant has after the last hour."""
    async for batch in batches:
        yield batch
    yield []


def _with_lost(
    sums: Iterable[tuple[int, Decimal]], stored: Stored, before: Decimal, since: int = 0
) -> Iterator[tuple[int, Decimal]]:
    """The sums of hours, and of those since `since` that only Home Assistant has, which get no energy: it
    cannot remove single hours, and their old sums would make the next hour's energy negative. `before`: the
    sum so far.
    """
    here, total = dict(sums), before
    for start in sorted(here.keys() | {start for start in stored if start >= since}):
        total = here.get(start, total)
        yield start, total


def _sums(batch: Sequence[Row], place: int) -> Iterator[tuple[int, Decimal]]:
    """The hours with a sum of that statistic, and the sum."""
    for start, sums in batch:
        if (total := sums[place]) is not None:
            yield start, total


def _differs(total: Decimal | float, stored: Stored, start: int) -> bool:
    there = stored.get(start)
    return there is None or abs(float(total) - there) > _TOLERANCE


def _hour_and_sum(row: Any) -> tuple[int, float | None]:
    """A row of the answer: the hour's start comes in milliseconds. Raises what conversions raise."""
    total = row.get("sum")
    return int(row["start"]) // 1000, None if total is None else float(total)


def _iso(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _is_new(version: str) -> bool:
    """Whether statistics have a `mean_type` and a `unit_class`; before, other keys were refused."""
    match = _VERSION.match(version)
    return match is None or (int(match[1]), int(match[2])) >= _NEW_METADATA


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[HomeAssistant]:
    """A connection that has accepted the token, to a Home Assistant that is ready. Raises `PublishError`."""
    async with new_websocket_session() as session:
        try:
            async with asyncio.timeout(_CONNECT_S):
                socket = await session.ws_connect(f"{target.url}/api/websocket", max_msg_size=_LARGEST)
        except TimeoutError:
            raise PublishError(f"no connection to {target.host} within {_CONNECT_S:g} s") from None
        except aiohttp.WSServerHandshakeError as error:
            if error.status >= 500 or error.status == 429:  # of a proxy before a Home Assistant that is down
                raise PublishError(f"{target.host} answers {error.status}") from None
            raise TargetRefused(
                f"{target.host} answers {error.status}, not as Home Assistant does", "Check url."
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            found = of_own_host(error)
            raise PublishError(f"{target.host}: {found.reason}", found.cure) from None
        yield await _logged_in(target, socket)
        # Only here: after an error the other side may not answer to a close.
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await socket.close()


async def _logged_in(target: Target, socket: aiohttp.ClientWebSocketResponse) -> HomeAssistant:
    try:
        async with asyncio.timeout(_CONNECT_S):
            version = (await _received(socket)).get("ha_version")
            await socket.send_str(json.dumps({"type": "auth", "access_token": target.token}))
            answer = (await _received(socket)).get("type")
    except TimeoutError:
        raise PublishError(f"{target.host} did not answer the login within {_CONNECT_S:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        raise PublishError(f"{target.host}: {in_words(error)}") from None
    if answer == "auth_invalid":
        raise TargetRefused("Home Assistant refused the token", _ADMIN_CURE)
    if answer != "auth_ok" or not isinstance(version, str):
        raise _not_understood("the login")
    found = HomeAssistant(target, version, socket)
    configuration = await found._call("get_config")
    if not isinstance(configuration, dict) or configuration.get("state") != "RUNNING":
        raise PublishError("Home Assistant is starting or stopping")
    return found


async def _received(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The next message. Raises `PublishError`."""
    message = await socket.receive()
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise PublishError("Home Assistant closed the connection")
    try:
        found = json.loads(message.data)
    except (ValueError, RecursionError):
        raise _not_understood("a message") from None
    if not isinstance(found, dict):
        raise _not_understood("a message")
    return found


def _refusal(error: Mapping[str, Any]) -> PublishError:
    code = error.get("code")
    if code == "unauthorized":
        return _not_an_administrator()
    if code == "unknown_command":
        return PublishError(
            "Home Assistant has no recorder (yet): it is starting, or its configuration excludes the recorder"
        )
    text = " ".join(printable(str(error.get("message") or code or "without a reason")).split())
    return PublishError(f"Home Assistant refused a command: {text[:300]}")


def _not_an_administrator() -> TargetRefused:
    return TargetRefused("the token is not an administrator's", _ADMIN_CURE)


def _not_understood(what: str) -> PublishError:
    return PublishError(f"Home Assistant answered {what} in an unknown way")
