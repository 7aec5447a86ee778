"""One door to HTTP: the bodies for a day of a meter, or for the totals of many days."""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from collector.cloud.meters import Account, Kind, Meter
from collector.cloud.pacing import Pacer, Turn
from collector.cloud.parse import DayAnswer, TotalsAnswer
from collector.cloud.refusals import moment_of, read_answer
from collector.cloud.retrying import OnRetry, RetryPolicy, retried
from collector.errors import SourceError, Unavailable
from collector.net import NO_WAY_CURE, cure_for, in_words, new_session, noting_a_proxy, too_late, unreached
from collector.threads import in_thread


def host_of(account: Account) -> str:
    """The host's name or address alone, without scheme and port."""
    return urlsplit(account.base_url).hostname or account.base_url


async def look_up(account: Account, timeout_s: float) -> None:
    """Resolves the host's name, and does no more. Raises `Unavailable`, with words for a person."""
    name = host_of(account)
    try:
        async with asyncio.timeout(timeout_s):
            await in_thread(socket.getaddrinfo, name, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        says = f"no name server answered within {timeout_s:g} s"
        raise Unavailable(noting_a_proxy(says), cure=NO_WAY_CURE) from None
    except OSError as error:
        says = f"its name does not resolve ({error.strerror})"
        raise Unavailable(noting_a_proxy(says), cure=NO_WAY_CURE) from None
    except UnicodeError:
        raise Unavailable("its name is not one that can resolve") from None


Session = aiohttp.ClientSession

_PATHS = {
    Kind.EM: "/v2/statistics/power-consumption/em-1p",
    Kind.EM3: "/v2/statistics/power-consumption/em-3p",
}
_MAX_BODY = 1024 * 1024  # a day takes 4 kB; read as JSON, 4 MB would take 12 MB of memory
_CHUNK = 64 * 1024


@asynccontextmanager
async def open_session() -> AsyncIterator[Session]:
    """The one session of a process.

    A connection that drops makes the library send a request again on its own, past the pacer: a kept
    one in any version, a new one since 3.10 or so.
    """
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_start.append(_connecting)
    tracing.on_connection_create_end.append(_connected)
    tracing.on_request_headers_sent.append(_sent)
    async with new_session([tracing]) as session:
        yield session


class CloudClient:
    """Asks one account's cloud for days. Paced and retried; each attempt pays the pacer."""

    def __init__(
        self,
        session: Session,
        account: Account,
        pacer: Pacer,
        policy: RetryPolicy,
        on_retry: OnRetry = lambda error, attempts, wait_s: None,
    ) -> None:
        self._session = session
        self._account = account
        self._policy = policy
        self._on_retry = on_retry
        self.pacer = pacer
        self._cloud_clock: tuple[datetime, float] | None = None  # and the loop time when it was told

    def cloud_now(self) -> datetime | None:
        """What the cloud's clock says now, going by the last `Date` that it sent."""
        if self._cloud_clock is None:
            return None
        told, at = self._cloud_clock
        return told + timedelta(seconds=asyncio.get_running_loop().time() - at)

    def unreached(self) -> Mapping[str, str]:
        """What was of no use when the host was last connected to: "IPv4" or "IPv6", and why."""
        return unreached(self._session, host_of(self._account))

    async def fetch_day(
        self,
        meter: Meter,
        day: date,
        *,
        once: bool = False,
        is_called_off: Callable[[], bool] = lambda: False,
    ) -> DayAnswer:
        """The bodies for that local day. `once`: without a second attempt, to probe a source that is down.

        `is_called_off` is looked at when a request's turn has come, repeated or not. Raises `CalledOff`,
        `SourceError`, `AnswerError`.
        """
        policy = self._policy.once() if once else self._policy
        span = {"date_range": "day", "date_from": f"{day.isoformat()} 00:00:00"}
        grid, solar = await self._fetch_both(meter, span, policy, is_called_off)
        now = asyncio.get_running_loop().time()
        if solar is None:
            return DayAnswer(day, grid.body, None, now - grid.asked_at)
        return DayAnswer(day, grid.body, solar.body, now - grid.asked_at, now - solar.asked_at)

    async def fetch_totals(
        self, meter: Meter, first: date, last: date, is_called_off: Callable[[], bool] = lambda: False
    ) -> TotalsAnswer:
        """The bodies for the totals of these local days, both included; a request for each channel.

        The cloud tells days, and not hours, for spans of five days and more. Raises `CalledOff`,
        `SourceError`, `AnswerError`.
        """
        span = {
            "date_range": "custom",
            "date_from": f"{first.isoformat()} 00:00:00",
            "date_to": f"{last.isoformat()} 23:59:59",
        }
        grid, solar = await self._fetch_both(meter, span, self._policy, is_called_off)
        return TotalsAnswer(first, last, grid.body, None if solar is None else solar.body)

    async def _fetch_both(
        self, meter: Meter, span: dict[str, str], policy: RetryPolicy, is_called_off: Callable[[], bool]
    ) -> tuple[_Told, _Told | None]:
        """The grid's answer, and the sun's where it is asked for apart."""
        first = partial(self.pacer.turn, is_called_off)
        second = partial(self.pacer.turn, is_called_off, goes_on=True)
        if meter.kind is Kind.EM3:
            grid = await self._fetch(meter.kind, meter.id, 0, span, policy, first)
            if meter.pv_id is None:
                return grid, None
            return grid, await self._fetch(meter.kind, meter.pv_id, 0, span, policy, second)
        grid = await self._fetch(meter.kind, meter.id, meter.grid_channel, span, policy, first)
        if not meter.solar:
            return grid, None
        return grid, await self._fetch(meter.kind, meter.id, meter.solar_channel, span, policy, second)

    async def _fetch(
        self,
        kind: Kind,
        device: str,
        channel: int,
        span: dict[str, str],
        policy: RetryPolicy,
        turn_of: Callable[[], AbstractAsyncContextManager[Turn]],
    ) -> _Told:
        url = self._account.base_url + _PATHS[kind]
        query = {"id": device, "channel": str(channel), **span, "auth_key": self._account.auth_key}

        async def attempt() -> _Told:
            async with turn_of() as turn:
                asked_at = asyncio.get_running_loop().time()
                return _Told(asked_at, await self._request(url, query, policy.timeout_s, _Sending(turn)))

        return await retried(policy, self._on_retry, attempt)

    async def _request(
        self, url: str, query: dict[str, str], timeout_s: float, sending: _Sending
    ) -> dict[str, Any]:
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.get(
                    url, params=query, allow_redirects=False, trace_request_ctx=sending
                ) as response,
            ):
                data = await _read(response)
                headers = response.headers
                self._note_date(headers.get("Date", ""))
                return read_answer(response.status, data, headers.get("Retry-After"), headers.get("Date"))
        except TimeoutError:
            if sending.is_connected:
                failure: SourceError = Unavailable(f"no answer within {timeout_s:g} s")
            else:
                failure = Unavailable(too_late(timeout_s, self.unreached()), cure=NO_WAY_CURE)
        except (aiohttp.ClientError, OSError, ValueError, zlib.error) as error:
            failure = Unavailable(in_words(error), cure=cure_for(error))
        # Not within `except`: the library's errors carry the URL, and so the key, and one of them would
        # hang on ours as its context; `from None` only hides it from the traceback.
        raise failure

    def _note_date(self, text: str) -> None:
        with suppress(ValueError, TypeError, OverflowError):
            self._cloud_clock = moment_of(text), asyncio.get_running_loop().time()


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, decompressed, never more than 1 MB of it in memory."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "", "gzip", "deflate"):
        raise Unavailable("the answer has an encoding that was not asked for")
    inflate = None if encoding in ("identity", "") else zlib.decompressobj(wbits=47)
    parts, size = [], 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        for part in [chunk] if inflate is None else _inflated(inflate, chunk):
            parts.append(part)
            size += len(part)
            if size > _MAX_BODY:
                response.close()
                raise Unavailable("the answer is larger than 1 MB")
    if inflate is not None and not inflate.eof:
        raise Unavailable("the connection broke before the answer was whole")
    return b"".join(parts)


def _inflated(inflate: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    """What the chunk unpacks to, piece by piece: a bomb never stands in memory at once."""
    while True:
        part = inflate.decompress(chunk, _CHUNK)
        yield part
        chunk = inflate.unconsumed_tail
        if not chunk and len(part) < _CHUNK:
            return


class _Told(NamedTuple):
    """A body, and the loop time at which the request for it had its turn."""

    asked_at: float
    body: dict[str, Any]


@dataclass(slots=True)
class _Sending:
    """What the library's signals tell of one request on its way."""

    turn: Turn
    is_connecting: bool = False
    is_connected: bool = False


async def _connecting(session: Session, context: SimpleNamespace, params: Any) -> None:
    """The library's own second attempt would go past the pacer: a request opens one connection."""
    sending: _Sending = context.trace_request_ctx
    if sending.is_connecting:
        raise Unavailable("the connection broke before the answer was whole")
    sending.is_connecting = True


async def _connected(session: Session, context: SimpleNamespace, params: Any) -> None:
    context.trace_request_ctx.is_connected = True


async def _sent(session: Session, context: SimpleNamespace, params: Any) -> None:
    context.trace_request_ctx.turn.sent()
