"""The HTTP client: the bodies for one day of a meter, or for many days."""

from __future__ import annotations

import asyncio
import socket
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import aiohttp

from collector.cloud.meters import Account, Kind, Meter
from collector.cloud.pacing import Pacer, Turn
from collector.cloud.parse import MAX_PARTS, DayAnswer, SpanAnswer
from collector.cloud.refusals import moment_of, read_answer
from collector.cloud.retrying import OnRetry, RetryPolicy, retried
from collector.energy.spans import Spans
from collector.errors import RETRYABLE, OtherInterval, SourceError, Unavailable
from collector.net import (
    NO_WAY_CURE,
    ON_A_NEW_CONNECTION,
    cure_for,
    in_words,
    is_broken,
    new_session,
    noting_a_proxy,
    time_limit,
    too_late,
    unreached,
)
from collector.threads import in_thread


def host_of(account: Account) -> str:
    """The host's name or address alone, without scheme and port."""
    return urlsplit(account.base_url).hostname or account.base_url


def path_of(account: Account, meter: Meter) -> str:
    """Host, path and kind of the meter's requests: what was learned of its spans is true of these alone."""
    return f"{host_of(account)}{_PATHS[meter.kind]} {meter.kind}"


async def look_up(account: Account, timeout_s: float) -> None:
    """Resolves the host's name. Raises `Unavailable` with a reason to show to people."""
    name = host_of(account)
    try:
        async with asyncio.timeout(timeout_s):
            await in_thread(socket.getaddrinfo, name, None, type=socket.SOCK_STREAM)
    except TimeoutError:
        reason = f"no name server answered within {timeout_s:g} s"
        raise Unavailable(noting_a_proxy(reason), cure=NO_WAY_CURE) from None
    except OSError as error:
        reason = f"its name does not resolve ({error.strerror})"
        raise Unavailable(noting_a_proxy(reason), cure=NO_WAY_CURE) from None
    except UnicodeError:
        raise Unavailable("its name is not one that can resolve") from None


Session = aiohttp.ClientSession

_PATHS = {
    Kind.EM: "/v2/statistics/power-consumption/em-1p",
    Kind.EM3: "/v2/statistics/power-consumption/em-3p",
}
_MAX_BODY = 1024 * 1024  # a day takes 4 kB; read as JSON, 4 MB would take 12 MB of memory
_LISTS = 4  # times as large are the statuses of all devices of an account with hundreds of them
_CHUNK = 64 * 1024


@asynccontextmanager
async def open_session() -> AsyncIterator[Session]:
    """The one session of a process.

    After a dropped connection aiohttp since about 3.10 would send the request again by itself, without
    the pacer: on another kept connection, or a new one. `_sent` and `_connecting` prevent that.
    """
    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_start.append(_connecting)
    tracing.on_connection_create_end.append(_connected)
    tracing.on_connection_reuseconn.append(_reusing)
    tracing.on_request_headers_sent.append(_sent)
    async with new_session([tracing]) as session:
        yield session


@dataclass(frozen=True, slots=True)
class RequestPolicy:
    """How the requests for one day, or for one span of days, are made.

    `is_probe`: each once, without retries, as during an outage. `is_called_off` is called before each
    request and retry is sent: if it returns true, `CalledOff` is raised instead. `retryable`: the errors
    after which a request is sent again. `is_urgent`: each precedes those of other processes with the key.
    """

    is_probe: bool = False
    is_called_off: Callable[[], bool] = lambda: False
    retryable: tuple[type[SourceError], ...] = RETRYABLE
    is_urgent: bool = False


_USUAL = RequestPolicy()


class CloudClient:
    """Requests days from one account's cloud. Every attempt, retries included, waits for the pacer."""

    def __init__(
        self,
        session: Session,
        account: Account,
        pacer: Pacer,
        retry: RetryPolicy,
        on_retry: OnRetry = lambda error, attempts, wait_s: None,
    ) -> None:
        self._session = session
        self._account = account
        self._retry = retry
        self._on_retry = on_retry
        self.pacer = pacer
        self.answers = 0  # received so far
        self._spans: dict[str, Spans] = {}
        self._cloud_clock: tuple[datetime, float] | None = None  # and the loop time when it was received

    def spans(self, meter: Meter) -> Spans:
        """What is known of spans of that meter: those of another may be wrong."""
        return self._spans.setdefault(meter.name, Spans())

    def path_of(self, meter: Meter) -> str:
        """Host, path and kind of the meter's requests."""
        return path_of(self._account, meter)

    def cloud_now(self) -> datetime | None:
        """The cloud's time now, from the last `Date` header; `None` before the first answer."""
        if self._cloud_clock is None:
            return None
        date_sent, at = self._cloud_clock
        return date_sent + timedelta(seconds=asyncio.get_running_loop().time() - at)

    def unreached(self) -> Mapping[str, str]:
        """The IP versions that failed when the host was last connected to ("IPv4", "IPv6"), and why."""
        return unreached(self._session, host_of(self._account))

    async def fetch_day(self, meter: Meter, day: date, policy: RequestPolicy = _USUAL) -> DayAnswer:
        """The bodies for that local day. Raises `CalledOff`, `SourceError`, `AnswerError`."""
        span = {"date_range": "day", "date_from": f"{day.isoformat()} 00:00:00"}
        grid, solar = await self._fetch_channels(meter, span, policy)
        now = asyncio.get_running_loop().time()
        if solar is None:
            return DayAnswer(day, grid.body, None, now - grid.requested_at)
        return DayAnswer(day, grid.body, solar.body, now - grid.requested_at, now - solar.requested_at)

    async def fetch_span(
        self, meter: Meter, first: date, last: date, interval: str, policy: RequestPolicy = _USUAL
    ) -> SpanAnswer:
        """The bodies for these local days, both included, in rows of an `interval`: `hour` or `day`.

        The server chooses the interval by the length of the span; it chose days from five days on. Raises
        `OtherInterval` if the answer has another one, `CalledOff`, `SourceError`, `AnswerError`.
        """
        span = {
            "date_range": "custom",
            "date_from": f"{first.isoformat()} 00:00:00",
            "date_to": f"{last.isoformat()} 23:59:59",
        }
        grid, solar = await self._fetch_channels(meter, span, policy, interval)
        now = asyncio.get_running_loop().time()
        if solar is None:
            return SpanAnswer(first, last, grid.body, None, now - grid.requested_at)
        ages = now - grid.requested_at, now - solar.requested_at
        return SpanAnswer(first, last, grid.body, solar.body, *ages)

    async def _fetch_channels(
        self, meter: Meter, span: dict[str, str], policy: RequestPolicy, interval: str = ""
    ) -> tuple[_Received, _Received | None]:
        """The grid's body, and solar's if it needs its own request, which precedes those of other days.

        Raises `OtherInterval` as soon as one has another interval.
        """
        received = []
        for number, (device, channel) in enumerate(meter.channels):
            each = await self._fetch(meter.kind, device, channel, span, policy, continues=number > 0)
            if interval and each.body.get("interval") != interval:
                raise OtherInterval("interval", f"not {interval}")
            received.append(each)
        return received[0], received[1] if len(received) > 1 else None

    async def _fetch(
        self,
        kind: Kind,
        device: str,
        channel: int,
        span: dict[str, str],
        policy: RequestPolicy,
        *,
        continues: bool,
    ) -> _Received:
        query = {"id": device, "channel": str(channel), **span, "auth_key": self._account.auth_key}
        return await self._exchange(_Question(_PATHS[kind], query), policy, continues=continues)

    async def fetch_list(self, path: str, **form: str) -> dict[str, Any]:
        """The body of an endpoint of the account's devices; the key is in the form, not in the address.

        Raises `SourceError`, `AnswerError`.
        """
        fields = {"auth_key": self._account.auth_key, **form}
        received = await self._exchange(
            _Question(path, fields, is_form=True, times=_LISTS), _USUAL, continues=False
        )
        return received.body

    async def _exchange(self, question: _Question, policy: RequestPolicy, *, continues: bool) -> _Received:
        retry = self._retry.once() if policy.is_probe else self._retry

        async def send(headers: Mapping[str, str], *, continues: bool) -> _Received:
            turn_for = self.pacer.turn(policy.is_called_off, continues=continues, urgent=policy.is_urgent)
            async with turn_for as turn:
                sending = _Sending(turn, asyncio.get_running_loop().time())
                body = await self._request(question, headers, retry.timeout_s, sending)
                return _Received(sending.requested_at, body)

        async def attempt() -> _Received:
            """If a kept connection was lost, the request is sent once more, in a turn of its own."""
            with suppress(_KeptConnectionBroke):
                return await send({}, continues=continues)
            return await send(ON_A_NEW_CONNECTION, continues=True)

        return await retried(retry, self._on_retry, attempt, policy.retryable)

    async def _request(
        self, question: _Question, headers: Mapping[str, str], timeout_s: float, sending: _Sending
    ) -> dict[str, Any]:
        if question.is_form:
            send = partial(self._session.post, data=question.fields)
        else:
            send = partial(self._session.get, params=question.fields)
        url = self._account.base_url + question.path
        try:
            async with (
                time_limit(timeout_s),
                send(url, headers=headers, allow_redirects=False, trace_request_ctx=sending) as response,
            ):
                data = await _read(response, question.times * _MAX_BODY)
                received = response.headers
                age_s = asyncio.get_running_loop().time() - sending.requested_at
                if age_s <= timeout_s:  # in a process that was stopped it may be of an hour ago
                    self._note_date(received.get("Date", ""))
                wait, sent_at = received.get("Retry-After"), received.get("Date")
                body = read_answer(response.status, data, wait, sent_at, question.times * MAX_PARTS)
                self.answers += 1
                return body
        except TimeoutError:
            if sending.connection == "none":
                failure: SourceError = Unavailable(too_late(timeout_s, self.unreached()), cure=NO_WAY_CURE)
            else:
                failure = Unavailable(f"no answer within {timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError, zlib.error) as error:
            if sending.connection == "kept" and is_broken(error):
                failure = _KeptConnectionBroke(in_words(error))
            else:
                failure = Unavailable(in_words(error), cure=cure_for(error))
        # Not within `except`: aiohttp's errors contain the URL, and so the key, and would become the
        # context of ours; `from None` only hides them from the traceback.
        raise failure

    def _note_date(self, text: str) -> None:
        with suppress(ValueError, TypeError, OverflowError):
            self._cloud_clock = moment_of(text), asyncio.get_running_loop().time()


async def _read(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The body, decompressed, never more than `most` bytes of it in memory."""
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "", "gzip", "deflate"):
        raise Unavailable("the answer has an encoding that was not requested")
    inflate = None if encoding in ("identity", "") else zlib.decompressobj(wbits=47)
    parts, size = [], 0
    async for chunk in response.content.iter_chunked(_CHUNK):
        for part in [chunk] if inflate is None else _inflated(inflate, chunk):
            parts.append(part)
            size += len(part)
            if size > most:
                response.close()
                raise Unavailable(f"the answer is larger than {most // _MAX_BODY} MB")
    if inflate is not None and not inflate.eof:
        raise Unavailable("the connection broke before the answer was whole")
    return b"".join(parts)


def _inflated(inflate: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    """The unpacked chunk in pieces of at most 64 kB, so that a zip bomb never fills the memory."""
    while True:
        part = inflate.decompress(chunk, _CHUNK)
        yield part
        chunk = inflate.unconsumed_tail
        if not chunk and len(part) < _CHUNK:
            return


class _Question(NamedTuple):
    """A request: a GET with the fields in its address, or a POST with them in a form.

    `times`: how many times larger than a day's the answer may be.
    """

    path: str
    fields: dict[str, str]
    is_form: bool = False
    times: int = 1

    def __repr__(self) -> str:
        return self.path  # the fields have the key


class _Received(NamedTuple):
    """A body, and the loop time at which its request was started."""

    requested_at: float
    body: dict[str, Any]


class _KeptConnectionBroke(Unavailable):
    """A kept connection is lost, which does not mean that the cloud is down."""


@dataclass(slots=True)
class _Sending:
    """The progress of one request, as reported by aiohttp's signals."""

    turn: Turn
    requested_at: float
    connection: Literal["none", "new", "kept"] = "none"


async def _connecting(session: Session, context: SimpleNamespace, params: Any) -> None:
    """Stops aiohttp's own second attempt before it makes a connection."""
    sending: _Sending = context.trace_request_ctx
    if sending.turn.is_sent:
        raise aiohttp.ClientConnectionError
    sending.connection = "none"


async def _connected(session: Session, context: SimpleNamespace, params: Any) -> None:
    context.trace_request_ctx.connection = "new"


async def _reusing(session: Session, context: SimpleNamespace, params: Any) -> None:
    """An exception here would leave the connection open, so `_sent` stops aiohttp's own second attempt."""
    sending: _Sending = context.trace_request_ctx
    if not sending.turn.is_sent:
        sending.connection = "kept"


async def _sent(session: Session, context: SimpleNamespace, params: Any) -> None:
    """Called before the first byte is sent. If this is aiohttp's own second attempt, it ends here."""
    turn: Turn = context.trace_request_ctx.turn
    if turn.is_sent:
        raise aiohttp.ClientConnectionError
    turn.sent()
