"""Sends hours to InfluxDB, versions 1 to 3, and to what reads its lines, such as VictoriaMetrics.

A point replaces the one with the same time, measurement, meter and field, except in VictoriaMetrics, which
keeps both. https://docs.influxdata.com/influxdb/v1/write_protocols/ and /v2/api-guide/api_intro/
"""

from __future__ import annotations

import asyncio
import gzip
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from collector.errors import PublishError, TargetRefused
from collector.export.influx import head_of, points
from collector.net import new_session, of_own_host
from collector.publish.sent import Pending
from collector.publish.targets import Target
from collector.redaction import printable, redactor
from collector.threads import in_batches, in_thread

_POINTS = 1000  # of a request, 0.12 MB; with 5,000 the process keeps 2 MB more
_LIMIT_S = 60.0
_WRITTEN = 204  # of all versions; another success is of something else, such as the login page of a network
_LONGEST_REASON = 300
_LOGIN_CURE = (
    "Check the token (token_file; for InfluxDB 1 it is user:password), and that it may write there; then "
    "reload the service."
)
_RETENTION_CURE = (
    "The database deletes hours that are older than its retention period, and refuses them. Make one without "
    "an end, see docs/sharing.md."
)
_URL_CURE = "Check url: the address to write to, and the database or bucket in it."


class Influx:
    """A target of kind `influx`."""

    def __init__(self, target: Target, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._session = session

    async def send(self, pending: Pending) -> int:
        """Sends the changed parts; with totals, also all that come after. Returns the number of hours.

        Raises `PublishError`, `OSError`.
        """
        target = self._target
        if target.cumulative:
            days, totals = pending.from_part(pending.first)
        else:
            days, totals = [day for name in pending.changed for day in pending.days[name]], None
        head = head_of(target.measurement, pending.hours.name)
        count = 0
        async for lines in in_batches(points(head, pending.hours.hours(days), totals), _POINTS):
            body = "".join(lines).encode()
            status, text = await self._post(await in_thread(gzip.compress, body, 6, mtime=0))
            if status != _WRITTEN:
                raise self._refusal(status, text)
            count += len(lines)
        return count if totals is None else count // 2

    async def probe(self) -> str:
        """Sends a request without a point; returns what answered. Raises `PublishError` if it refuses."""
        status, text = await self._post(gzip.compress(b"", mtime=0))
        # Version 1 takes a request without a point; for others it is a wrong one.
        may_be_empty = status == 400 and not self._target.is_influx_1
        if status != _WRITTEN and not may_be_empty:
            raise self._refusal(status, text)
        return f"{self._target.host} accepts points"

    async def _post(self, body: bytes) -> tuple[int, str]:
        """The status of the answer, and its text if that is not `_WRITTEN`. Raises `PublishError`."""
        headers = {"Content-Encoding": "gzip", "Content-Type": "text/plain; charset=utf-8"}
        if self._target.token:
            headers["Authorization"] = _authorization(self._target)
        try:
            async with (
                asyncio.timeout(_LIMIT_S),
                self._session.post(
                    self._target.url, data=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                # Whole, so that no part of an echoed token is left at its end; the session has a limit.
                text = "" if answer.status == _WRITTEN else (await answer.read()).decode("utf-8", "replace")
                return answer.status, text
        except TimeoutError:
            raise PublishError(f"no answer from {self._target.host} within {_LIMIT_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            found = of_own_host(error)
            raise PublishError(f"{self._target.host}: {found.reason}", found.cure) from None

    def _refusal(self, status: int, text: str) -> PublishError:
        token = self._target.token
        words = printable(redactor([token, token.partition(":")[2]])(_reason_in(text)))[:_LONGEST_REASON]
        reason = f"{self._target.host} answers {status}{f': {words}' if words else ''}"
        if status in (401, 403):
            return TargetRefused(reason, _LOGIN_CURE)
        if "retention policy" in words:
            return TargetRefused(reason, _RETENTION_CURE)
        if status < 400 or status in (400, 404, 405, 422):
            return TargetRefused(reason, _URL_CURE)
        return PublishError(reason)


def _reason_in(text: str) -> str:
    """What an answer gives as the reason: its line of text, or `error` or `message` of its JSON."""
    if text.lstrip().startswith("<"):  # a page for browsers
        return ""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return " ".join(text.split())
    if isinstance(found, dict):
        given = (found.get(name) for name in ("message", "error"))
        text = next((each for each in given if isinstance(each, str) and each), text)
    return " ".join(text.split())


def _authorization(target: Target) -> str:
    """The header's value: `user:password`, for InfluxDB 1 and proxies, or a token."""
    if ":" in target.token:
        return f"Basic {b64encode(target.token.encode()).decode()}"
    return f"{'Bearer' if '/api/v3/' in target.url else 'Token'} {target.token}"


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Influx]:
    """The target, for a while."""
    async with new_session() as session:
        yield Influx(target, session)
