"""Publishes the status: on the local page, to a ping URL, and to the user's command for health changes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from collector import logs
from collector.energy.days import Clock
from collector.net import in_words, new_session, noting_a_proxy
from collector.status import (
    Alarms,
    State,
    Status,
    age_in_words,
    judged,
)

if TYPE_CHECKING:
    from collector.web.access import Page

_PING_LIMIT_S = 10.0
_MOST_BYTES = 1000

_ping_log = logs.get_logger("ping")


class News(StrEnum):
    """The kinds of pings; the value is the end of the URL's path."""

    SUCCESS = ""
    FAIL = "/fail"
    START = "/start"


class Pinger:
    """Sends pings to one URL. Logs the first that fails, and the first that arrives again."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._is_down = False

    async def ping(self, news: News, text: str) -> bool:
        """Sends `text`, cut to 1 kB; returns whether it arrived within ten seconds."""
        reason = await self._send(url_for(self._url, news), _cut(text))
        if reason and not self._is_down:
            _ping_log.warning("ping.failed", reason=reason)
        elif not reason and self._is_down:
            _ping_log.info("ping.recovered")
        self._is_down = bool(reason)
        return not reason

    async def _send(self, url: str, body: bytes) -> str:
        """Returns why it did not arrive, or an empty text. The response's body is not read."""
        try:
            async with (
                asyncio.timeout(_PING_LIMIT_S),
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
            return noting_a_proxy(f"no answer within {_PING_LIMIT_S:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return in_words(error)
        return ""


def url_for(url: str, news: News) -> str:
    """The URL for this kind of ping; a query stays at its end."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=(parts.path.rstrip("/") if news else parts.path) + news))


def _cut(text: str) -> bytes:
    """At most 1 kB of the text, whole characters only."""
    return text.encode("utf-8", "replace")[:_MOST_BYTES].decode("utf-8", "ignore").encode()


_LIMIT_S = 30.0
_GRACE_S = 0.5  # between SIGTERM and SIGKILL
_KILL_S = 0.3  # for the kernel to end what was killed
_MOST_OUTPUT = 4096
_CHUNK = 64 * 1024
_MOST_FIRST_LINE = 200
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_PATH = "/usr/local/bin:/usr/bin:/bin"

_log = logs.get_logger("hook")


class Change(NamedTuple):
    """A change of a meter's health: the states before and after, the reason, the newest hour's age."""

    meter: str
    before: str
    state: str
    reason: str
    age_s: int | None


class Hook:
    """Runs the command for each change, one at a time.

    Of several changes of a meter while it runs, only the latest state is reported.
    """

    def __init__(self, command: tuple[str, ...], environ: Mapping[str, str] = os.environ) -> None:
        self._command = command
        self._environ = {"PATH": _PATH} | {name: environ[name] for name in _KEPT if name in environ}
        self._waiting: dict[str, Change] = {}
        self._task: asyncio.Task[None] | None = None

    def report(self, change: Change) -> None:
        """Runs the command for the change as soon as it is free; returns at once."""
        waiting = self._waiting.pop(change.meter, None)
        if waiting is not None:
            change = change._replace(before=waiting.before)
        if change.before != change.state:
            self._waiting[change.meter] = change
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._work())

    async def close(self) -> None:
        """Ends a running command within a second; drops the waiting changes."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        while self._waiting:
            change = self._waiting.pop(next(iter(self._waiting)))
            await self._run(change)

    async def _run(self, change: Change) -> None:
        with closing(_Output()) as output:
            reason, code = await self._run_command(change, output)
            if reason:
                log = _log.bind(meter=change.meter)
                log.warning("hook.failed", reason=reason, code=code, output=output.first_line())

    async def _run_command(self, change: Change, output: _Output) -> tuple[str, int | None]:
        """Runs it; returns why it failed (empty if it did not) and its exit code."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output.writing,
                stderr=output.writing,
                env=self._environ | _variables(change),
                start_new_session=True,
            )
        except OSError as error:
            return f"it cannot be run: {error.strerror or type(error).__name__}", None
        try:
            output.begin()
            async with asyncio.timeout(_LIMIT_S):
                code = await process.wait()
        except TimeoutError:
            return f"not done within {_LIMIT_S:g} s", None
        finally:
            await _end(process)
        if code < 0:
            return f"ended by signal {-code}", None
        return f"exit code {code}" if code else "", code


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends the command and its children with SIGTERM, then SIGKILL; nothing if it has ended."""
    if process.returncode is not None:
        return  # background processes that it left may continue
    # In a task that has been cancelled, the `asyncio.timeout` of Python 3.11.2, Bookworm's, raises
    # CancelledError instead of TimeoutError: the second signal would never be sent.
    over = asyncio.create_task(process.wait())
    for number, wait_s in ((signal.SIGTERM, _GRACE_S), (signal.SIGKILL, _KILL_S)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        await asyncio.wait([over], timeout=wait_s)
    over.cancel()


def _variables(change: Change) -> dict[str, str]:
    """The change as environment variables."""
    return {
        "SHELLY_COLLECTOR_HEALTH": change.state,
        "SHELLY_COLLECTOR_HEALTH_BEFORE": change.before,
        "SHELLY_COLLECTOR_METER": change.meter,
        "SHELLY_COLLECTOR_REASON": _sound(change.reason),
        "SHELLY_COLLECTOR_AGE_S": "" if change.age_s is None else str(change.age_s),
    }


def _sound(text: str) -> str:
    """The text as one line, valid as an environment variable."""
    return " ".join(text.replace("\0", " ").split()).encode("utf-8", "replace").decode()


class _Output:
    """A pipe for the command's output: the beginning is kept, the rest dropped, so that it never blocks.

    With a pipe of asyncio's own, a process counts as running while any child of it has the pipe open.
    """

    def __init__(self) -> None:
        self._reading, self.writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._kept = b""

    def begin(self) -> None:
        """Must be called once the command has started."""
        os.close(self.writing)
        self.writing = -1
        asyncio.get_running_loop().add_reader(self._reading, self._read)

    def first_line(self) -> str:
        """The first line that is not blank."""
        self._read()
        lines = self._kept.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in lines if line.strip()), "")[:_MOST_FIRST_LINE]

    def close(self) -> None:
        """Closes both ends."""
        asyncio.get_running_loop().remove_reader(self._reading)
        os.close(self._reading)
        if self.writing >= 0:
            os.close(self.writing)

    def _read(self) -> None:
        """Reads what is available."""
        with suppress(BlockingIOError):
            data = os.read(self._reading, _CHUNK)
            if not data:
                asyncio.get_running_loop().remove_reader(self._reading)
            self._kept = (self._kept + data)[:_MOST_OUTPUT]


_PERIOD_S = 3600.0
_AGAIN_S = 300.0  # until a failed ping is sent again, before the monitor raises an alarm


def alarm_for(alarms: Alarms, before: Status | None) -> Alarm:
    """The alarm of these settings; `before` is the last status, also of an earlier process."""
    return Alarm(
        Pinger(alarms.ping_url) if alarms.ping_url else None,
        Hook(alarms.on_change) if alarms.on_change else None,
        before,
    )


class Alarm:
    """Receives each status; sends pings and runs the command for changes. Either may be `None`."""

    def __init__(self, pinger: Pinger | None, hook: Hook | None, before: Status | None) -> None:
        self._pinger = pinger
        self._hook = hook
        self._pinging: asyncio.Task[None] | None = None
        self._pinged: News | None = None
        self._next_ping = 0.0
        meters = {} if before is None else before.meters
        self._states = {name: each.state for name, each in meters.items()}

    def observe(self, status: Status) -> None:
        """Takes a new status; returns at once, the rest is done in the background."""
        if self._pinger is not None and (self._pinging is None or self._pinging.done()):
            self._ping_if_due(self._pinger, status)
        if self._hook is not None:
            for change in self._changes(status):
                self._hook.report(change)

    async def close(self) -> None:
        """Ends what is in progress, within a second."""
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.wait([self._pinging])
        if self._hook is not None:
            await self._hook.close()

    def _ping_if_due(self, pinger: Pinger, status: Status) -> None:
        """Pings the start once; then success or failure, every hour and after each change.

        Nothing while the state is not known yet: monitors wait a while after a start.
        """
        news = News.SUCCESS if status.state.is_well else News.FAIL
        is_due = news is not self._pinged or asyncio.get_running_loop().time() >= self._next_ping
        is_known = status.state is not State.STARTING or self._pinged is News.SUCCESS
        if self._pinged is None:
            news = News.START
        elif not is_due or not is_known:
            return
        self._pinging = asyncio.create_task(self._ping(pinger, news, status_in_words(status)))

    async def _ping(self, pinger: Pinger, news: News, text: str) -> None:
        sent_at = asyncio.get_running_loop().time()
        arrived = await pinger.ping(news, text)
        self._pinged = news
        self._next_ping = sent_at + (_PERIOD_S if arrived else _AGAIN_S)

    def _changes(self, status: Status) -> list[Change]:
        """The changes between good, offline and broken; not from starting to good."""
        changes = []
        for name, meter in status.meters.items():
            before = self._states.setdefault(name, meter.state)
            if meter.state in (before, State.STARTING):
                continue
            self._states[name] = meter.state
            if not (before is State.STARTING and meter.state is State.GOOD):
                changes.append(Change(name, before, meter.state, meter.reason, meter.age_s))
        return changes


def status_in_words(status: Status) -> str:
    """The status for a person: the service in one line, then each meter that is not well."""
    lines = [f"{status.state}, newest hour: {age_in_words(status.age_s)}"]
    lines += [
        f"{name}: {each.state}, newest hour: {age_in_words(each.age_s)}, {each.reason}"
        for name, each in status.meters.items()
        if not each.state.is_well
    ]
    return "\n".join(lines)


Publish = Callable[[Status], None]


@asynccontextmanager
async def publish_status(
    page: Page | None, alarms: Alarms, before: Status | None, clock: Clock, max_age_s: float
) -> AsyncIterator[Publish]:
    """Yields the function to call with each new status; the page and the alarm live as long as the context.

    `before` is the last status, also of an earlier process. The page judges the newest status again for each
    request: the next one may be late, because a disk stalls.
    """
    newest: Status | None = None
    alarm: Alarm | None = None

    def publish(status: Status) -> None:
        nonlocal newest
        newest = status
        if alarm is not None:
            alarm.observe(status)

    def as_of_now() -> Status | None:
        return None if newest is None else judged(newest, clock().timestamp(), max_age_s)

    async with AsyncExitStack() as stack:
        if page is not None:
            from collector.web.endpoint import serving  # imports a server

            await stack.enter_async_context(serving(page, as_of_now, clock))
        if alarms.ping_url or alarms.on_change:
            alarm = alarm_for(alarms, before)
            stack.push_async_callback(alarm.close)
        yield publish
