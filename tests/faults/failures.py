"""What can go wrong with collecting, by name: all that the simulated cloud plays, and what it cannot."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import pytest

from collector.archive import ledger, store
from collector.simulator import Device
from tests.support.cloud_faults import KINDS
from tests.support.faulty_cloud import Fault, Scenario
from tests.support.key_forms import AWKWARD_KEY as KEY
from tests.support.world import DEVICE, World, cloud_of

Go = Callable[[World, pytest.MonkeyPatch], None]
"""Makes it go wrong, before the collecting begins."""

URL = f"https://cloud.example/v2?id={DEVICE}&auth_key={quote(KEY, safe='')}"


def _disk(number: int) -> Go:
    """Every save fails with that error."""

    def go(world: World, patch: pytest.MonkeyPatch) -> None:
        def fail(path: object, data: bytes) -> None:
            raise OSError(number, os.strerror(number), str(path))

        for module in (store, ledger):
            patch.setattr(module, "replace_file", fail)

    return go


def _account(**changes: Any) -> Go:
    def go(world: World, patch: pytest.MonkeyPatch) -> None:
        account = {"name": "home", "auth_key": KEY, "meter": list(world.meters)}
        port = world.cloud.url.rpartition(":")[2]
        told = {name: value.replace("{port}", port) for name, value in changes.items()}
        world.accounts = [{**account, **told}]
        world.tables = {"pacing": {"min_interval_s": 1.05}}

    return go


def _names(error: OSError) -> Go:
    def go(world: World, patch: pytest.MonkeyPatch) -> None:
        def fail(*told: object, **more: object) -> None:
            raise error

        patch.setattr(socket, "getaddrinfo", fail)
        _account(host="https://cloud.example")(world, patch)

    return go


def _bug(error: Callable[[], BaseException], place: str = "collector.collect.collector.read_day") -> Go:
    """A mistake in the middle of a day: raised with the key in a local variable beside it."""

    def go(world: World, patch: pytest.MonkeyPatch) -> None:
        def fail(*told: object, **more: object) -> None:
            auth_key, url, query = KEY, URL, {"auth_key": [KEY.encode(), (KEY,)]}
            raise error() from RuntimeError(repr((len(auth_key), len(url), len(query))))

        patch.setattr(place, fail)

    return go


def _chained() -> BaseException:
    error = ValueError("outermost")
    error.__context__ = KeyError(URL)
    error.__cause__ = ExceptionGroup(KEY, [OSError(5, KEY), TypeError({"auth_key": KEY})])
    error.add_note(f"asked for {URL}")
    return error


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError(URL)

    def __repr__(self) -> str:
        return URL


def _lost(lose: Callable[[], None]) -> Go:
    """Something is lost beside the work: nobody waits for it, the interpreter tells of it."""

    def go(world: World, patch: pytest.MonkeyPatch) -> None:
        original = World.settings

        def settings(self: World, **tables: Any) -> Any:
            asyncio.get_running_loop().call_soon(lose)
            return original(self, **tables)

        patch.setattr(World, "settings", settings)

    return go


def _lost_task() -> None:
    async def asking(url: str) -> None:
        raise ValueError(url)

    asyncio.get_running_loop().create_task(asking(URL), name=URL)
    asyncio.get_running_loop().call_later(0.5, gc.collect)


def _lost_future() -> None:
    asyncio.get_running_loop().create_future().set_exception(ConnectionError(URL))
    gc.collect()


def _broken_callback() -> None:
    def called_back(url: str) -> None:
        raise KeyError(url)

    asyncio.get_running_loop().call_soon(called_back, URL)


def _broken_handler() -> None:
    told = {"message": f"no handler for {URL}", "exception": OSError(URL), "url": URL}
    asyncio.get_running_loop().call_exception_handler(told)


OTHERS: Mapping[str, Go] = {
    "no space": _disk(errno.ENOSPC),
    "no quota": _disk(errno.EDQUOT),
    "read-only": _disk(errno.EROFS),
    "a dead card": _disk(errno.EIO),
    "no permission": _disk(errno.EACCES),
    "no descriptors": _disk(errno.EMFILE),
    "a name that is none": _account(host="https://nothing.invalid"),
    "a name server that fails": _names(socket.gaierror(socket.EAI_AGAIN, f"cannot resolve {URL}")),
    "a name server that is away": _names(OSError(errno.ENETUNREACH, f"cannot reach {URL}")),
    "nobody listens": _account(host="http://127.0.0.1:1"),
    "no TLS there": _account(host="https://localhost:{port}"),
    "a key that is another": _account(auth_key=f"{KEY}X"),
    "a bug with the URL": _bug(lambda: ValueError(URL)),
    "a bug with the key as bytes": _bug(lambda: LookupError(KEY.encode())),
    "a bug with the key in a dict": _bug(lambda: TypeError({"params": {"auth_key": KEY}})),
    "a bug with causes": _bug(_chained),
    "a bug that cannot be said": _bug(_Unspeakable),
    "a bug in the client": _bug(lambda: AttributeError(URL), "collector.cloud.client.read_answer"),
    "a bug in the archive": _bug(lambda: ZeroDivisionError(URL), "collector.archive.store.merged"),
    "a bug that says nothing": _bug(lambda: ValueError("nothing")),
    "a bug with a long text": _bug(lambda: ValueError(f"{'x' * (8192 - 90)} {KEY}")),
    "a bug too deep": _bug(lambda: RecursionError(URL * 50)),
    "a lost task": _lost(_lost_task),
    "a lost future": _lost(_lost_future),
    "a broken callback": _lost(_broken_callback),
    "a broken handler": _lost(_broken_handler),
}
FAILURES = (*KINDS, *OTHERS)
"""All names."""


def scenario_of(name: str, times: int | None = 9) -> Scenario:
    """The cloud for that failure: one that plays it so often, or one that works."""
    faults = (Fault(name, times=times),) if name in KINDS else ()
    return cloud_of(Device(DEVICE), key=KEY, fault=faults)


def bring_about(name: str, world: World, patch: pytest.MonkeyPatch) -> None:
    """Makes it go wrong, where the cloud does not play it."""
    if name in OTHERS:
        OTHERS[name](world, patch)
