"""A scenario under way: each command of the product runs in a forked process of its own, in virtual time.

The process holds the simulated cloud, too. A kill is the end of that process in the midst of its work.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import time_machine
from aiohttp import web

from tests.record import product
from tests.record.network import HOST, Exchange, RecordedLoop
from tests.record.product import FaultyCloud, Scenario

CLOUD, PAGE, PINGS = 18_080, 19_787, 18_090
_KILLED, _SCRIPT_FAILED = 137, 99
_PRIVATE = ("auth_key", "authorization")

_TRAVELLERS: list[time_machine.Traveller] = []
"""Where time is, in a process that runs a command."""

_UNSTABLE = re.compile(rb'(?<="pid": )\d+|(?<=process )\d+|\b[\d.]+ [kMGT]?B(?= free)')
_WORDLESS = re.compile(r"requests\.jsonl|\d{4}-\d\d-\d\d\.jsonl")
_TEXT = re.compile(rb'"(?:[^"\\\n]|\\.)*"')
# The status line; the help of metrics, and so the length of a page; the logger, no part of an event.
_SAID = re.compile(
    rb'(?<=STATUS=).*|(?<=^# HELP ).*|(?<=^Content-Length: ).*|(?<="logger": ")[^"]*', re.MULTILINE
)

Script = Callable[["Life"], Awaitable[None]]


class Stage:
    """One scenario. `now` is the true time, `skew` how far the machine's clock is ahead of it.

    `cloud` is what the next process meets.
    """

    def __init__(self, name: str, folder: Path, seed: int, now: datetime, cloud: Scenario) -> None:
        # The same for every run: the product keeps names of folders, and hashes of them.
        self.root = Path(tempfile.gettempdir()) / "shelly-collector-record" / name
        self.folder = folder
        self.now = now
        self.skew = timedelta(0)
        self.cloud = cloud
        self.archive = self.root / "archive"
        self.config = self.root / "config.toml"
        self.seed = f"{seed}/{name}"
        self._processes = 0
        self.is_in_process = False  # of a command, whose own time goes on
        shutil.rmtree(self.root, ignore_errors=True)
        for each in (self.root, self.root / "home", self.root / "run", self.root / "state"):
            each.mkdir(parents=True)
        folder.mkdir(parents=True)

    def configure(self, text: str) -> None:
        """Writes the configuration file; `[archive]` has its path already."""
        self.config.touch(mode=0o600)
        self.config.write_text(f'[archive]\npath = "{self.archive}"\n{text}')

    def run(self, script: Script, *words: str) -> int:
        """The service, from now on until the script has ended; gives the exit code."""
        return self.command("run", "--config", str(self.config), *words, script=script)

    def command(self, *words: str, script: Script | None = None) -> int:
        """Runs a command in a process of its own, and writes down what it printed; gives the exit code."""
        self._processes += 1
        printed = self.root / f"printed-{self._processes}"
        process = os.fork()
        if process == 0:
            _Process(self, printed).perform(words, script)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        out, err = (printed.with_suffix(suffix).read_text() for suffix in (".out", ".err"))
        if code == _SCRIPT_FAILED:
            raise AssertionError(f"{self.seed}: {' '.join(words)}\n{err}")
        self._note(words, code, out, err)
        if not self.is_in_process:
            end = json.loads(printed.with_suffix(".end").read_text())
            self.now, self.skew = datetime.fromisoformat(end["now"]), timedelta(seconds=end["skew_s"])
        for suffix in (".out", ".err", ".end", ".notify"):
            printed.with_suffix(suffix).unlink()
        return code

    def here(self, *words: str) -> int:
        """A command with the configuration."""
        return self.command(*words, "--config", str(self.config))

    def pass_time(self, **span: float) -> None:
        """While nothing runs."""
        self.now += timedelta(**span)

    def write(self, name: str, text: str) -> None:
        """Adds to a file of the record."""
        with (self.folder / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def finish(self) -> None:
        """Keeps the archive and what the service keeps beside it."""
        for name in ("archive", "run", "state"):
            if (self.root / name).exists():
                shutil.copytree(self.root / name, self.folder / name, symlinks=True)
        paths = sorted(self.root.rglob("*"))
        modes = (f"{path.lstat().st_mode:o} {path.relative_to(self.root)}\n" for path in paths)
        self.write("files.txt", "".join(modes))
        requests = self.folder / "requests.jsonl"
        requests.write_text("".join(sorted(requests.read_text().splitlines(keepends=True), key=_moment)))
        shutil.rmtree(self.root)

    def _note(self, words: tuple[str, ...], code: int, out: str, err: str) -> None:
        shown = [word for word in words if word not in ("--config", str(self.config))]
        with suppress(ValueError):
            out = json.dumps(json.loads(out), indent=1) + "\n"
        self.write(f"{self.moment} {_as_name(shown)}.txt", f"exit {code}\n--- stdout\n{out}--- stderr\n{err}")

    @property
    def moment(self) -> str:
        """For the name of a file."""
        return f"{self.now:%Y-%m-%dT%H%M%S}"


class Life:
    """What a script can do to a process under way."""

    def __init__(
        self,
        stage: Stage,
        loop: RecordedLoop,
        cloud: FaultyCloud,
        die: Callable[[int], None],
    ) -> None:
        self.stage = stage
        self.cloud = cloud
        self.loop = loop
        self._die = die

    async def pass_time(self, **span: float) -> None:
        """Lets that much time pass."""
        await asyncio.sleep(timedelta(**span).total_seconds())

    def here(self, *words: str) -> None:
        """Another command, at this moment; the service goes on after it."""
        self.stage.here(*words)

    async def page(self, path: str) -> None:
        """Asks the service's page, and writes down the whole answer."""
        answer = "nobody listens\n"
        with suppress(ConnectionRefusedError):
            reader, writer = await asyncio.open_connection(HOST, PAGE)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answer = (await reader.read()).decode()
            writer.close()
        self.stage.write(f"{self.stage.moment} page {_as_name([path])}.txt", answer)

    async def look(self) -> None:
        """All that the service shows of itself."""
        self.here("status", "--json")
        await self.page("/metrics")
        await self.page("/healthz")

    def reload(self) -> None:
        """As SIGHUP does."""
        self.loop.handlers[signal.SIGHUP]()

    def stop(self) -> None:
        """As SIGTERM does."""
        self.loop.handlers[signal.SIGTERM]()

    def kill(self) -> None:
        """As SIGKILL does."""
        self._die(_KILLED)

    def step_clock(self, **span: float) -> None:
        """The machine's clock is set forward, or back."""
        self.stage.skew += timedelta(**span)
        _TRAVELLERS[0].shift(timedelta(**span))

    def die_in_save(self, calls: int) -> None:
        """The process ends in the middle of the write, or before the rename, that comes after so many."""
        left = [calls]
        write, replace = os.write, os.replace

        def is_last() -> bool:
            left[0] -= 1
            return left[0] < 0

        def dying_write(descriptor: int, data: Any) -> int:
            if is_last():
                write(descriptor, bytes(data)[: len(data) // 2])
                self.kill()
            return write(descriptor, data)

        def dying_replace(source: Any, target: Any) -> None:
            if is_last():
                self.kill()
            replace(source, target)

        os.write, os.replace = dying_write, dying_replace  # type: ignore[assignment]

    async def broken_disk(self, number: int, **span: float) -> None:
        """Nothing can be written meanwhile; `number` says why."""
        write = os.write

        def broken(descriptor: int, data: Any) -> int:
            raise OSError(number, os.strerror(number))

        os.write = broken
        await self.pass_time(**span)
        os.write = write


class _Process:
    """The forked process: from `perform` nobody returns."""

    def __init__(self, stage: Stage, printed: Path) -> None:
        self._stage = stage
        self._printed = printed
        self._began = stage.now
        self._loop: RecordedLoop | None = None
        self._notes: list[str] = []
        for name, descriptor in (("out", 1), ("err", 2)):
            opened = os.open(printed.with_suffix(f".{name}"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(opened, descriptor)
            os.close(opened)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115

    def perform(self, words: tuple[str, ...], script: Script | None) -> None:
        """Runs the command, and ends the process."""
        code = _SCRIPT_FAILED
        try:
            self._prepare()
            asyncio.run = lambda main, **options: self._run(main, script)
            code = product.main(words)
        except BaseException:  # noqa: BLE001 - there is nobody above in this process
            traceback.print_exc()
        finally:
            self._leave(code)

    def _prepare(self) -> None:
        stage = self._stage
        asyncio._set_running_loop(None)
        random.seed(f"{stage.seed}/{stage.moment}")
        self._set_environment()
        product.make_heartbeats_rare()
        # Within another process time is that one's already.
        if not stage.is_in_process:
            _TRAVELLERS.append(time_machine.travel(stage.now + stage.skew, tick=False).start())
        stage.is_in_process = True
        really_replace = os.replace

        def replace(source: Any, target: Any) -> None:
            really_replace(source, target)
            os.utime(target, (self._now().timestamp(),) * 2)

        os.fsync = lambda fd: None
        os.replace = replace  # type: ignore[assignment]

    def _set_environment(self) -> None:
        root = self._stage.root
        path = os.environ["PATH"]
        os.environ.clear()
        os.environ.update(
            PATH=path,
            TZ="Europe/Dublin",
            HOME=f"{root}/home",
            RUNTIME_DIRECTORY=f"{root}/run",
            STATE_DIRECTORY=f"{root}/state",
            NOTIFY_SOCKET=f"{self._printed}.notify",
        )
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.setblocking(False)
        self._manager.bind(f"{self._printed}.notify")

    def _run(self, main: Coroutine[Any, Any, Any], script: Script | None) -> Any:
        self._loop = RecordedLoop()
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # type: ignore[arg-type, return-value]
            return runner.run(self._with_cloud(main, script))

    async def _with_cloud(self, main: Coroutine[Any, Any, Any], script: Script | None) -> Any:
        loop, stage = self._loop, self._stage
        assert loop is not None
        loop.on_jump = self._on_jump
        pings = web.Server(self._on_ping)
        await loop.create_server(pings, HOST, PINGS)
        async with FaultyCloud(stage.cloud, self._now, CLOUD, log_size=1) as cloud:
            if script is None:
                return await main
            product_at_work = asyncio.create_task(main)
            life = Life(stage, loop, cloud, self._leave)
            plot = asyncio.create_task(self._play(script, life))
            await asyncio.wait([product_at_work, plot], return_when=asyncio.FIRST_COMPLETED)
            if plot.done():
                plot.result()
                life.stop()
            plot.cancel()
            return await product_at_work

    async def _play(self, script: Script, life: Life) -> None:
        await asyncio.sleep(0)
        await script(life)

    def _now(self) -> datetime:
        return self._began + timedelta(seconds=self._loop.time() if self._loop else 0.0)

    def _on_jump(self, seconds: float) -> None:
        self._read_notes()
        _TRAVELLERS[0].shift(seconds)
        self._stage.now = self._now()

    def _read_notes(self) -> None:
        with suppress(BlockingIOError):
            while True:
                text = self._manager.recv(8192).decode()
                if text != "WATCHDOG=1":
                    self._notes.append(f"{self._now():%Y-%m-%d %H:%M:%S.%f} {text!r}\n")

    async def _on_ping(self, request: web.BaseRequest) -> web.Response:
        return web.Response(text="OK")

    def _leave(self, code: int) -> None:
        """Writes down what this process saw, and ends it at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._read_notes()
        self._stage.write("notify.txt", "".join(self._notes))
        exchanges = self._loop.exchanges if self._loop else []
        self._stage.write("requests.jsonl", "".join(_lines(exchanges, self._began)))
        end = {"now": self._now().isoformat(), "skew_s": self._stage.skew.total_seconds()}
        self._printed.with_suffix(".end").write_text(json.dumps(end))
        os._exit(code)


def _lines(exchanges: Iterable[Exchange], began: datetime) -> Iterable[str]:
    for each in exchanges:
        if each.port != PAGE:
            yield json.dumps(_as_dict(each, began)) + "\n"


def _as_dict(exchange: Exchange, began: datetime) -> dict[str, Any]:
    first, *headers = exchange.sent.decode("latin-1").partition("\r\n\r\n")[0].split("\r\n")
    method, _, target = first.partition(" ")
    url = urlsplit(target.removesuffix(" HTTP/1.1"))
    query = [(name, value) for name, value in parse_qsl(url.query) if name not in _PRIVATE]
    ended_s = None if exchange.ended_at is None else round(exchange.ended_at - exchange.at, 6)
    return {
        "at": (began + timedelta(seconds=exchange.at)).astimezone(UTC).isoformat(timespec="microseconds"),
        "port": exchange.port,
        "request": f"{method} {url.path}?{urlencode(query)}",
        "headers": [each for each in headers if each.partition(":")[0].lower() not in _PRIVATE],
        "answer": bytes(exchange.received).partition(b"\r\n")[0].decode("latin-1"),
        "bytes": len(exchange.received),
        "end": exchange.end,
        "seconds": ended_s,
    }


def _moment(line: str) -> str:
    moment: str = json.loads(line)["at"]
    return moment


def _as_name(words: Iterable[str]) -> str:
    return re.sub(r"[^\w.=-]+", "_", " ".join(words)).strip("_")


def settle(folder: Path, *, without_words: bool) -> None:
    """Puts marks in the place of what is another one in each run, and of sentences."""
    for path in folder.rglob("*"):
        if path.is_file():
            data = _UNSTABLE.sub(b"?", path.read_bytes())
            if without_words and not _WORDLESS.fullmatch(path.name):
                data = _TEXT.sub(lambda text: b'"~"' if b" " in text[0] else text[0], _SAID.sub(b"~", data))
            path.write_bytes(data)
