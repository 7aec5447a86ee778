"""Pings: a monitor elsewhere is told that all is well, and raises the alarm when it hears nothing.

The form is healthchecks.io's: the URL itself, with `/fail`, with `/start`. The URL is a secret: no
line logged here and no error holds it.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from collector import logs
from collector.network import in_words, new_session, noting_a_proxy

_LIMIT_S = 10.0
_MOST_BYTES = 1000

_log = logs.get_logger("ping")


class News(StrEnum):
    """What a ping says; the value is what its path ends in."""

    SUCCESS = ""
    FAIL = "/fail"
    START = "/start"


class Pinger:
    """Sends pings to one URL. An outage is told once, and once when it is over."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._is_down = False

    async def ping(self, news: News, text: str) -> bool:
        """Whether it arrived, within ten seconds; `text`, cut to 1 kB, says why."""
        reason = await self._send(url_for(self._url, news), _cut(text))
        if reason and not self._is_down:
            _log.warning("ping.failed", reason=reason)
        elif not reason and self._is_down:
            _log.info("ping.recovered")
        self._is_down = bool(reason)
        return not reason

    async def _send(self, url: str, body: bytes) -> str:
        """Why it did not arrive; empty where it did. The answer's body is left unread."""
        try:
            async with (
                asyncio.timeout(_LIMIT_S),
                new_session() as session,
                session.post(
                    url,
                    data=body,
                    headers={"Content-Type": "text/plain; charset=utf-8"},
                    allow_redirects=False,
                ) as response,
            ):
                response.close()
                if response.status // 100 != 2:
                    return f"the address answered with status {response.status}"
        except TimeoutError:
            return noting_a_proxy(f"no answer within {_LIMIT_S:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return in_words(error)
        return ""


def url_for(url: str, news: News) -> str:
    """The URL to ask for; a query stays at its end."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=(parts.path.rstrip("/") if news else parts.path) + news))


def _cut(text: str) -> bytes:
    """The beginning of the text, whole characters only."""
    return text.encode("utf-8", "replace")[:_MOST_BYTES].decode("utf-8", "ignore").encode()
