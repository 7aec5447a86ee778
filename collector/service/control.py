"""Control: commands that the running service carries out, because it has locked the archives.

Both ends of a Unix socket in the service's runtime folder. Its permissions decide who may use it: the
service's user, its group and root. A command is one line of JSON in each direction: an object with the
`command` and its options to the service; then objects with `progress`, and in the end one with `result`, or
with `refused`, a sentence. A service that stops or reloads closes the connection without a result.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collector import logs
from collector.collect.collector import Collector, Lane
from collector.collect.worker import AccountRunner
from collector.energy.days import Clock
from collector.errors import CommandRefused, ServiceEnded
from collector.service.accounts import AccountAtWork
from collector.settings import Settings

_FOLDER = "shelly-collector"
_MODE = 0o660
_LONGEST_COMMAND = 4 * 1024 * 1024  # it has the settings of each meter, some 200 bytes
_LONGEST_RESULT = 64 * 1024 * 1024
_READ_S = 5.0  # for the one line of a command
_MOST_AT_ONCE = 8
_MOST_BUFFERED = 64 * 1024  # of progress that nobody reads
_CONNECT_S = 2.0
_PEER = struct.Struct("3i")  # pid, uid, gid: see unix(7)

_log = logs.get_logger("control")


@dataclass(eq=False)
class Running:
    """What a command finds of the running service."""

    settings: Settings
    accounts: list[AccountAtWork]
    clock: Clock
    request: Callable[[AccountRunner, Collector, Lane], None]
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note_outage_change(self) -> None:
        """Must be called when an outage began, changed or ended."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def outage_change(self) -> None:
        """Waits until an outage begins, changes or ends."""
        await self._changed.wait()


Options = Mapping[str, Any]
"""The options of a command, as they came: nothing of them is certain."""

SendProgress = Callable[[Mapping[str, Any]], None]
"""Sends progress to the person who waits; does nothing once nobody does."""

Command = Callable[[Running, Options, SendProgress], Awaitable[Mapping[str, Any]]]
"""Carries out a command and returns its result. It is cancelled when the connection ends."""


def socket_name(archive: Path) -> str:
    """One for each archive: several services may share a runtime folder, and a path has at most 107 bytes."""
    return f"{hashlib.sha256(os.fsencode(archive.resolve())).hexdigest()[:16]}.sock"


def runtime_folder(environ: Mapping[str, str]) -> Path | None:
    """Where a service has its socket: the unit's folder, or the user's; `None` if there is neither."""
    if own := environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        return Path(own)
    of_user = environ.get("XDG_RUNTIME_DIR")
    return Path(of_user, _FOLDER) if of_user else None


def find_service(archive: Path, environ: Mapping[str, str]) -> socket.socket | None:
    """A connection to the service that has that archive; `None` if none is running, or none is allowed."""
    name = socket_name(archive)
    own = runtime_folder(environ)
    for folder in (Path("/run", _FOLDER), *([] if own is None else [own])):
        with suppress(OSError):
            found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                found.settimeout(_CONNECT_S)
                found.connect(os.fspath(folder / name))
            except OSError:
                found.close()
                raise
            return found
    return None


async def carry_out(
    connection: socket.socket,
    command: str,
    options: Options,
    on_progress: Callable[[Options], None],
    on_received: Callable[[], None] = lambda: None,
) -> Mapping[str, Any]:
    """Hands a command to the service and waits for its result. Cancelling only ends the waiting.

    `on_received` is called when the service has the command.

    Raises `CommandRefused`, `ServiceEnded`.
    """
    reader, writer = await asyncio.open_connection(sock=connection, limit=_LONGEST_RESULT)
    try:
        writer.write(_line({"command": command, **options}))
        while line := await reader.readline():
            answer = json.loads(line)
            if "received" in answer:
                on_received()
            elif "progress" in answer:
                on_progress(answer["progress"])
            elif "refused" in answer:
                raise CommandRefused(answer["refused"])
            else:
                result: Mapping[str, Any] = answer["result"]
                return result
    except (OSError, ValueError):  # the connection, or half a line
        raise ServiceEnded from None
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    raise ServiceEnded


@asynccontextmanager
async def listening(
    running: Running, commands: Mapping[str, Command], environ: Mapping[str, str]
) -> AsyncIterator[None]:
    """Carries out commands while the body runs. A service without a runtime folder carries out none."""
    server, archive = _Server(running, commands), running.settings.archive
    folder = runtime_folder(environ)
    listener = None
    if folder is not None:
        path = folder / socket_name(archive)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if (other := find_service(archive, environ)) is None:
                listener = await asyncio.start_unix_server(server.answer, path, limit=_LONGEST_COMMAND)
                path.chmod(_MODE)
            else:
                other.close()
                _log.warning("control.failed", reason=f"another service listens at {path}")
        except OSError as error:
            _log.warning("control.failed", reason=f"{path}: {error.strerror or error}")
    try:
        yield
    finally:
        if listener is not None:
            listener.close()
            path.unlink(missing_ok=True)
        server.end_all()


class _Server:
    """The service's end."""

    def __init__(self, running: Running, commands: Mapping[str, Command]) -> None:
        self._running = running
        self._commands = commands
        self._tasks: set[asyncio.Task[Any]] = set()

    def end_all(self) -> None:
        """Ends all commands without a result."""
        for task in self._tasks:
            task.cancel()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one connection."""
        working = asyncio.ensure_future(self._result(reader, writer))
        self._tasks.add(working)
        try:
            if (result := await working) is not None:
                writer.write(_line({"result": result}))
        except CommandRefused as refused:
            writer.write(_line({"refused": str(refused)}))
        except asyncio.CancelledError:  # the service stops or reloads
            pass
        except Exception:  # noqa: BLE001 - the outermost guard of a command: the service continues
            _log.exception("command.failed")
            writer.write(_line({"refused": "The command failed because of a bug; the service's log has it."}))
        finally:
            self._tasks.discard(working)
            writer.close()

    async def _result(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Mapping[str, Any] | None:
        """The command's result; `None` if nobody waits for it any more. Raises `CommandRefused`."""
        name, options = await _read(reader)  # who still sends would not get a refusal
        if len(self._tasks) > _MOST_AT_ONCE:
            raise CommandRefused("The service is already carrying out several commands: try again later.")
        if (command := self._commands.get(name)) is None:
            raise CommandRefused(f"The running service has no command {name!r}: restart it after an update.")
        _log.info("command.received", command=name, uid=_uid_of(writer))
        writer.write(_line({"received": name}))

        def on_progress(progress: Mapping[str, Any]) -> None:
            if not writer.is_closing() and writer.transport.get_write_buffer_size() < _MOST_BUFFERED:
                writer.write(_line({"progress": progress}))

        began = asyncio.get_running_loop().time()
        working = asyncio.ensure_future(command(self._running, options, on_progress))
        leaving = asyncio.create_task(reader.read(1))
        try:
            await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
            is_done = working.done()
            duration_s = round(asyncio.get_running_loop().time() - began, 3)
            _log.info("command.finished", command=name, done=is_done, duration_s=duration_s)
            return working.result() if is_done else None
        finally:
            working.cancel()
            leaving.cancel()


async def _read(reader: asyncio.StreamReader) -> tuple[str, Options]:
    """A command and its options. Raises `CommandRefused`."""
    try:
        async with asyncio.timeout(_READ_S):
            options = json.loads(await reader.readline())
        return str(options.pop("command")), options
    except (TimeoutError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OSError):
        raise CommandRefused(
            "Not a command: one line of JSON is expected, an object with `command`."
        ) from None


def _uid_of(writer: asyncio.StreamWriter) -> int:
    """The user at the other end."""
    peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    uid: int = _PEER.unpack(peer)[1]
    return uid


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"
