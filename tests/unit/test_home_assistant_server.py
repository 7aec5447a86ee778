"""The stand-in for Home Assistant: what it accepts and refuses, and what tests can let go wrong with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.home_assistant.cases import (
    EXPORT,
    IMPORT,
    LISTED,
    NEW_KEYS,
    OLD_KEY,
    SETTLED,
    Case,
    Message,
    cases,
    imported,
    play,
    read,
    recorded,
    row,
    rows,
)
from tests.support.home_assistant import (
    ADMIN_TOKEN,
    NEW,
    OLD,
    USER_TOKEN,
    Fault,
    HomeAssistantServer,
    Row,
)

pytestmark = pytest.mark.slow  # they test what tests need, not the product

TOKENS = {"admin": ADMIN_TOKEN, "user": USER_TOKEN, "wrong": ADMIN_TOKEN[:-1]}
FIRST = 1704067200
"""The start of 2024 in UTC, in seconds since 1970."""


@pytest.mark.parametrize(
    ("version", "case"),
    [
        pytest.param(version, case, id=f"{version}: {case.name}")
        for version in (OLD, NEW)
        for case in cases(version)
    ],
)
async def test_the_stand_in_answers_as_home_assistant_did(version: str, case: Case) -> None:
    async with HomeAssistantServer(version) as home, aiohttp.ClientSession() as session:
        played = await play(session, home.url, case, TOKENS)
    assert played.verdict == case.verdict
    assert played == recorded(version)[case.name]


class _Client:
    """One connection that has been let in; `answer` sends a command and returns its answer."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._numbers = count(1)

    async def send(self, message: Message) -> None:
        await self.socket.send_json({"id": next(self._numbers), **message})

    async def answer(self, message: Message) -> Any:
        await self.send(message)
        return await self.socket.receive_json()

    async def result(self, message: Message) -> Any:
        answer = await self.answer(message)
        assert answer["success"], answer
        return answer["result"]

    async def is_closed(self) -> bool:
        return (await self.socket.receive()).type is not aiohttp.WSMsgType.TEXT


@asynccontextmanager
async def client_of(home: HomeAssistantServer, token: str = ADMIN_TOKEN) -> AsyncIterator[_Client]:
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{home.url}/api/websocket") as socket:
        assert await socket.receive_json() == {"type": "auth_required", "ha_version": home.version}
        await socket.send_json({"type": "auth", "access_token": token})
        assert (await socket.receive_json())["type"] == "auth_ok"
        yield _Client(socket)


def put(*stats: Message, **metadata: Any) -> Message:
    return imported(*stats, **{**NEW_KEYS, **metadata})


def sums(answered: Mapping[str, Any], statistic_id: str = IMPORT) -> list[float]:
    return [each["sum"] for each in answered.get(statistic_id, [])]


async def test_what_arrived_can_be_read_by_the_test() -> None:
    async with HomeAssistantServer() as home, client_of(home) as client:
        await asyncio.sleep(5)
        await client.result(put(*rows(2, first=1)))
        await client.result(put(*rows(3)))
        await client.result(put(row(), statistic_id=EXPORT))
        await client.answer(put(row("2024-01-01T00:00:00")))
        assert home.messages == {"recorder/import_statistics": 4}
        assert home.imported_rows == {IMPORT: 5, EXPORT: 1}
        assert [(each.statistic_id, each.starts[0]) for each in home.imports] == [
            (IMPORT, FIRST + 3600),
            (IMPORT, FIRST),
            (EXPORT, FIRST),
        ]
        assert all(5 <= each.at_s < 5.5 for each in home.imports)
        hours = [(FIRST + hour * 3600, Row(0.5, (hour + 1) / 2)) for hour in range(3)]
        assert list(home.rows_of(IMPORT).items()) == hours
        assert (home.metadata_of(EXPORT) or {})["unit_class"] == "energy"
        assert [(each.command, each.code) for each in home.refusals] == [
            ("recorder/import_statistics", "home_assistant_error")
        ]
        home.forget_counts()
        assert not home.messages and not home.imported_rows and not home.refusals


async def test_a_deprecated_form_is_accepted_with_a_warning() -> None:
    async with HomeAssistantServer() as home, client_of(home) as client:
        await client.result(put(row()))
        assert not home.warnings
        await client.result(imported(row(), **OLD_KEY))
        assert ["mean_type" in each for each in home.warnings] == [True, False]
        assert ["unit_class" in each for each in home.warnings] == [False, True]


async def test_the_old_version_has_its_own_words_for_a_key_it_does_not_know() -> None:
    async with HomeAssistantServer(OLD) as home, client_of(home) as client:
        answer = await client.answer(imported(row(), **OLD_KEY, mean_type=0))
        assert answer["error"] == {
            "code": "invalid_format",
            "message": "extra keys not allowed @ data['metadata']['mean_type']. Got 0",
        }


async def test_imported_rows_are_readable_only_after_the_queue() -> None:
    async with HomeAssistantServer() as home, client_of(home) as client:
        home.queue_s = 3.0
        assert await client.result(put(*rows(2))) is None
        assert await client.result(LISTED) == []
        await asyncio.sleep(2.9)
        assert await client.result(read()) == {}
        await asyncio.sleep(0.2)
        assert sums(await client.result(read())) == [0.5, 1.0]


async def test_clearing_is_answered_when_the_queue_is_done() -> None:
    async with HomeAssistantServer() as home, client_of(home) as client:
        home.queue_s = 3.0
        await client.result(put(*rows(2)))
        await client.result(SETTLED)
        assert sums(await client.result(read())) == [0.5, 1.0]
        home.queue_s = 30.0
        assert (await client.answer(SETTLED))["error"]["code"] == "timeout"


async def test_while_it_starts_the_recorder_is_not_known() -> None:
    async with HomeAssistantServer() as home:
        home.starting_s = 60.0
        async with client_of(home) as client:
            assert (await client.result({"type": "get_config"}))["state"] == "NOT_RUNNING"
            refused = await client.answer({**put(row()), "id": 2})
            assert refused["error"] == {"code": "unknown_command", "message": "Unknown command."}
            await asyncio.sleep(60)
            assert (await client.result({"type": "get_config", "id": 3}))["state"] == "RUNNING"
            await client.result({**put(row()), "id": 4})


async def test_a_stop_stores_what_is_queued_and_a_kill_loses_it() -> None:
    async with HomeAssistantServer() as home:
        home.queue_s = 3.0
        async with client_of(home) as client:
            await client.result(put(*rows(1)))
            url = home.url
            await home.stop()
            assert await client.is_closed()
            with pytest.raises(aiohttp.ClientConnectionError):
                async with client_of(home):
                    pass
        await home.start()
        assert home.url == url
        async with client_of(home) as client:
            await client.result(put(*rows(2, first=1)))
            await home.kill()
            assert await client.is_closed()
        await home.start()
        await asyncio.sleep(10)
        async with client_of(home) as client:
            assert sums(await client.result(read())) == [0.5]


async def test_what_a_file_has_survives_the_server(tmp_path: Path) -> None:
    file = tmp_path / "statistics"
    async with HomeAssistantServer(file=file) as home, client_of(home) as client:
        await client.result(put(*rows(3)))
        await client.result(put(row(), statistic_id=EXPORT))
        await client.result({"type": "recorder/clear_statistics", "statistic_ids": [EXPORT]})
        stored = home.rows_of(IMPORT)
    async with HomeAssistantServer(file=file) as home, client_of(home) as client:
        assert home.rows_of(IMPORT) == stored
        assert [each["statistic_id"] for each in await client.result(LISTED)] == [IMPORT]


async def test_a_connection_is_closed_before_or_after_the_rows_were_taken() -> None:
    async with HomeAssistantServer() as home:
        for kind, taken in (("close", 1), ("close_after", 2)):
            home.faults = [Fault(kind, on=(2,), command="recorder/import_statistics")]  # type: ignore[arg-type]
            async with client_of(home) as client:
                await client.result(put(*rows(1)))
                await client.send(put(*rows(1, first=1)))
                assert await client.is_closed()
            assert len(home.rows_of(IMPORT)) == taken


async def test_everything_is_refused_for_a_while() -> None:
    async with HomeAssistantServer() as home:
        home.http_status = 502
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with client_of(home):
                pass
        assert refused.value.status == 502
        home.http_status = None
        home.faults = [Fault("error", code="timeout")]
        async with client_of(home) as client:
            assert (await client.answer(put(row())))["error"]["code"] == "timeout"
            assert home.rows_of(IMPORT) == {}
            home.faults = []
            await client.result(put(row()))


async def test_answers_come_late_or_never_or_make_no_sense() -> None:
    async with HomeAssistantServer() as home, client_of(home) as client:
        loop = asyncio.get_running_loop()
        home.latency_s = 2.0
        home.faults = [Fault("late", on=(2,), wait_s=30.0), Fault("answer", on=(3,), text="[}")]
        waits = []
        for _ in range(2):
            began = loop.time()
            await client.result(LISTED)
            waits.append(loop.time() - began)
        assert waits == pytest.approx([2, 32], abs=0.5)
        await client.send(LISTED)
        assert (await client.socket.receive()).data == "[}"
        home.faults = [Fault("silence", command="recorder/import_statistics")]
        await client.send(put(row()))
        with pytest.raises(TimeoutError):
            await client.socket.receive(timeout=50)
        assert home.rows_of(IMPORT)


async def test_several_commands_in_one_message_are_answered_each() -> None:
    async with HomeAssistantServer() as home, client_of(home) as client:
        await client.socket.send_str(json.dumps([{"id": 1, **put(row())}, {"id": 2, **LISTED}]))
        assert [(await client.socket.receive_json())["id"] for _ in range(2)] == [1, 2]


async def test_who_does_not_say_who_it_is_is_let_go() -> None:
    async with (
        HomeAssistantServer() as home,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{home.url}/api/websocket") as socket,
    ):
        await socket.receive_json()
        assert (await socket.receive()).type is aiohttp.WSMsgType.CLOSE
        assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.5)


async def test_three_years_are_taken() -> None:
    async with HomeAssistantServer() as home, client_of(home) as client:
        for first in range(0, 26_304, 2_500):
            await client.result(put(*rows(min(2_500, 26_304 - first), first)))
        assert list(home.rows_of(IMPORT).values())[-1] == Row(0.5, 13_152)
        assert len((await client.result(read()))[IMPORT]) == 26_304
