"""Sends hours to InfluxDB, versions 1 to 3, and to what reads its lines, such as VictoriaMetrics.

A point replaces the one with the same time, measurement, meter and field, except in VictoriaMetrics, which
keeps both. https://docs.influxdata.com/influxdb/v1/write_protocols/ and /v2/api-guide/api_intro/
"""

from __future__ import annotations

import asyncio
import gzip
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from collector.errors import PublishError, TargetRefused
from collector.export.influx import head_of, points
from collector.net import in_words, new_session
from collector.publish.sent import Pending
from collector.publish.targets import Target
from collector.redaction import printable, redactor
from collector.threads import in_batches, in_thread

_POINTS = 1000  # of a request, 0.12 MB; with 5,000 the process keeps 2 MB more
_LIMIT_S = 60.0
_LONGEST_REASON = 300


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
            await self._write(await in_thread(gzip.compress, body, 6, mtime=0))
            count += len(lines)
        return count if totals is None else count // 2

    async def probe(self) -> str:
        """Sends a request without a point; returns what answered. Raises `PublishError` if it refuses."""
        await self._write(gzip.compress(b"", mtime=0), is_probe=True)
        return f"{self._target.host} accepts points"

    async def _write(self, body: bytes, *, is_probe: bool = False) -> None:
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
                text = (
                    ""
                    if answer.ok
                    else (await answer.content.read(_LONGEST_REASON)).decode("utf-8", "replace")
                )
        except TimeoutError:
            raise PublishError(f"no answer from {self._target.host} within {_LIMIT_S:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise PublishError(f"{self._target.host}: {in_words(error)}") from None
        if answer.status >= 300 and not (is_probe and answer.status == 400):  # no point is a wrong request
            raise self._refusal(answer.status, text)

    def _refusal(self, status: int, text: str) -> PublishError:
        words = " ".join(printable(redactor([self._target.token])(text)).split())
        reason = f"{self._target.host} answers {status}{f': {words}' if words else ''}"
        if status in (401, 403):
            return TargetRefused(
                reason, "Check the token (token_file), and that it may write there; then reload the service."
            )
        if status in (300, 301, 302, 307, 308, 404, 405):
            return TargetRefused(
                reason, "Check url: the address to write to, and the database or bucket in it."
            )
        return PublishError(reason)


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
