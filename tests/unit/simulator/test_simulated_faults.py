"""Every fault reaches the wire as described, and the rules choose the requests that they name."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from collector.simulator import Device
from tests.support.cloud_faults import BREAKAGES, HOSTILE, KINDS, REDIRECTS, REFUSALS, TAMPERINGS
from tests.support.faulty_cloud import Fault, FaultyCloud, Scenario
from tests.support.simulated_requests import (
    EM,
    EM3,
    KEY,
    NOW,
    address,
    ask,
    faulty,
    in_virtual_time,
    question,
    scenario,
)


async def raw(cloud: FaultyCloud, *, wanted: int = 1 << 30) -> bytes:
    """All bytes that the line gives until its end, a reset, or so many."""
    where = urlsplit(cloud.url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    query = "&".join(f"{name}={value.replace(' ', '%20')}" for name, value in question().items())
    writer.write(f"GET /v2/statistics/power-consumption/em-1p?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    received = b""
    try:
        while len(received) < wanted and (data := await reader.read(65_536)):
            received += data
    except ConnectionResetError:
        received += b"<reset>"
    finally:
        writer.close()
    return received


async def right(device: Device = EM) -> dict[str, Any]:
    """What comes without a fault."""
    async with FaultyCloud(scenario()) as cloud:
        return await answer(cloud, device)


async def bytes_of(played: Scenario, device: Device, asked: dict[str, str]) -> bytes:
    async with (
        FaultyCloud(played) as cloud,
        aiohttp.ClientSession() as http,
        http.get(address(cloud, device=device), params=asked) as reply,
    ):
        assert reply.status == 200
        return await reply.read()


async def answer(cloud: FaultyCloud, device: Device) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.get(address(cloud, device=device), params=question(device=device)) as reply,
    ):
        assert reply.status == 200
        found: dict[str, Any] = json.loads((await reply.read()).decode(errors="replace"))
        return found


ERRORS = {
    "hostile_error": (400, b"forged"), "hostile_401": (401, b"forged"),
    "errors_list": (401, b'"errors":["'), "errors_text": (400, b'"errors":"'),
    "max_req": (401, b"max_req"), "too_many_requests": (429, b""), "bad_key": (401, b"invalid_auth_key"),
    "unexplained_401": (401, b'{"isok":false,"errors":{}}'), "invalid_token": (401, b"invalid_token"),
    "bare_401": (401, b""), "device_not_found": (200, b"device_not_found"),
    "device_not_found_400": (400, b"device_not_found"), "device_not_found_404": (404, b"device_not_found"),
    "wrong_channel": (400, b"wrong_channel"), "forbidden_403": (403, b"<html>"),
    "path_gone": (404, b"<html>"),
    "status_500": (500, b""), "status_502": (502, b""), "status_503": (503, b"Maintenance"),
    "status_504": (504, b""), "maintenance": (200, b"<!DOCTYPE html>"), "empty_body": (200, b""),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSALS)
async def test_a_refusal_has_its_status_and_body(kind: str) -> None:
    async with FaultyCloud(faulty(kind)) as cloud:
        status, body = await ask(cloud)
        assert status == ERRORS[kind][0]
        assert ERRORS[kind][1] in body
        assert (body == b"") == (kind in ("bare_401", "status_504", "empty_body"))
        assert cloud.counts.log[0].fault == kind


async def test_a_refusal_may_echo_the_key() -> None:
    async with FaultyCloud(faulty("echoed_key")) as cloud:
        status, text = await ask(cloud)
        assert status == 400 and KEY.encode() in text


async def test_a_refusal_may_ask_to_wait() -> None:
    async with (
        FaultyCloud(faulty("status_503", retry_after="9" * 30)) as cloud,
        aiohttp.ClientSession() as http,
        http.get(address(cloud), params=question()) as reply,
    ):
        assert reply.headers["Retry-After"] == "9" * 30


@pytest.mark.parametrize("kind", REDIRECTS)
async def test_whoever_follows_a_redirect_brings_the_key_into_the_trap(kind: str) -> None:
    async with FaultyCloud(faulty(kind)) as cloud, aiohttp.ClientSession() as http:
        async with http.get(address(cloud), params=question(), allow_redirects=False) as reply:
            assert reply.status == REDIRECTS[kind]
            assert urlsplit(reply.headers["Location"]).hostname == "localhost"
            here = reply.headers["Location"].replace("localhost", "127.0.0.1")
        assert (cloud.counts.trap_hits, cloud.counts.trap_keys) == (0, 0)
        async with http.get(here) as reply:
            assert reply.status == 200
        assert (cloud.counts.trap_hits, cloud.counts.trap_keys) == (1, 1)


@pytest.mark.parametrize("device", [EM, EM3], ids=["em", "3em"])
@pytest.mark.parametrize("kind", TAMPERINGS)
async def test_a_spoilt_answer_is_a_200_that_differs_from_the_right_one(kind: str, device: Device) -> None:
    today = question("2026-11-20", device=device)  # with hours to come, which `future_data` needs
    spoilt = await bytes_of(faulty(kind), device, today)
    assert spoilt != await bytes_of(scenario(), device, today)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("nan", b":NaN"), ("infinity", b":-Infinity"), ("huge_exponent", b":1e999"), ("negative", b":-12.5"),
        ("huge_int", b"9" * 5000), ("deep_nesting", b"[" * 100_000), ("bad_utf8", b"\xff\xfe"),
        ("bom", b"\xef\xbb\xbf{"), ("nul_bytes", b"\x00" * 64), ("boolean", b'"consumption":true'),
        ("wrong_interval", b'"interval":"day"'), ("unknown_zone", b"Mars"), ("wrong_zone", b"Kiritimati"),
        ("isok_false", b'{"isok":false'), ("extra_keys", b"phase_angle"), ("wrong_types", b'"consumption":"'),
        ("duplicate_keys", b'"consumption":99999.99,"consumption":'), ("null_history", b'"history":null'),
    ],
)  # fmt: skip
async def test_what_was_promised_is_in_the_body(kind: str, text: bytes) -> None:
    async with FaultyCloud(faulty(kind)) as cloud:
        status, body = await ask(cloud)
        assert status == 200 and text in body


async def test_rows_are_moved_dropped_doubled_and_invented_as_named() -> None:
    good = (await right())["history"]

    async def rows(kind: str, day: str = "2026-11-18") -> list[dict[str, Any]]:
        async with FaultyCloud(faulty(kind)) as cloud:
            found: list[dict[str, Any]] = json.loads((await ask(cloud, day))[1])["history"]
            return found

    assert await rows("reordered") == good[::-1]
    assert sorted(await rows("shuffled"), key=lambda row: row["datetime"]) == good
    assert await rows("missing_rows") == good[:5] + good[8:]
    assert await rows("doubled_row") == good[:12] + good[11:]
    assert await rows("conflicting_row") == [*good[:12], good[11] | {"consumption": 7777}, *good[12:]]
    assert await rows("ragged") == good[:-1]
    assert {row["datetime"][:10] for row in await rows("other_day")} == {"2026-11-17"}
    assert (await rows("extra_row"))[23]["datetime"] == "2026-11-18 25:00:00"
    assert all(row["datetime"] == HOSTILE for row in await rows("hostile_stamps"))
    assert [row["consumption"] for row in await rows("future_data", "2026-11-21")] == [123.45] * 24


async def test_what_is_odd_and_right_keeps_its_values() -> None:
    good = await right()
    for kind in ("extra_keys", "spaced_out"):
        async with FaultyCloud(faulty(kind)) as cloud:
            odd = json.loads((await ask(cloud))[1])
        pairs = zip(odd["history"], good["history"], strict=True)
        assert all(row.items() >= expected.items() for row, expected in pairs)


async def test_a_sum_may_contradict_its_phases() -> None:
    async with FaultyCloud(faulty("sum_off")) as cloud:
        odd, good = await answer(cloud, EM3), await right(EM3)
    assert odd["history"] == good["history"]
    assert odd["sum"][3]["consumption"] == pytest.approx(good["sum"][3]["consumption"] + 1000)


ENDS: dict[str, Callable[[bytes], bool]] = {
    "reset_before_headers": lambda data: data == b"<reset>",
    "reset_after_headers": lambda data: data.endswith(b"\r\n\r\n<reset>"),
    "close_before_headers": lambda data: data == b"",
    "close_in_headers": lambda data: len(data) == 40,
    "close_after_answer": lambda data: data.startswith(b"HTTP/1.1 200") and data.endswith(b"}"),
    "truncated_body": lambda data: data.endswith(b"}") and length(data) == len(body(data)) + 100,
    "truncated_chunks": lambda data: data.endswith(b"}\r\n") and b"chunked" in data,
    "not_http": lambda data: data.startswith(b"SSH-"),
}


def body(data: bytes) -> bytes:
    return data.partition(b"\r\n\r\n")[2]


def length(data: bytes) -> int:
    return int(data.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])


@pytest.mark.parametrize("kind", ENDS)
async def test_a_broken_connection_breaks_where_it_should(kind: str) -> None:
    async with FaultyCloud(faulty(kind)) as cloud:
        data = await raw(cloud)
        assert ENDS[kind](data), data[-80:]


@pytest.mark.parametrize(
    "kind", ["stall", "stall_after_headers", "stall_in_body", "slow_body", "slow_headers"]
)
def test_a_stalled_answer_does_not_end(kind: str) -> None:
    async def play() -> bytes:
        async with FaultyCloud(faulty(kind)) as cloud:
            received = bytearray()
            where = urlsplit(cloud.url)
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            query = "&".join(f"{name}={value.replace(' ', '%20')}" for name, value in question().items())
            writer.write(
                f"GET /v2/statistics/power-consumption/em-1p?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
            )
            with pytest.raises(asyncio.TimeoutError):
                async with asyncio.timeout(60.5):
                    while data := await reader.read(65_536):
                        received += data
            writer.close()
            assert cloud.counts.log[0].outcome == 0
            return bytes(received)

    data = in_virtual_time(play())
    assert (data == b"") == (kind == "stall")
    if kind == "stall_in_body":
        assert len(body(data)) == length(data) // 2
    if kind == "slow_body":
        assert 59 <= len(body(data)) <= 61
    if kind == "slow_headers":
        assert 59 <= len(data) <= 61


@pytest.mark.parametrize("kind", ["endless_body", "endless_headers"])
async def test_an_endless_answer_continues_past_any_cap_until_the_client_leaves(kind: str) -> None:
    async with FaultyCloud(faulty(kind)) as cloud:
        assert len(await raw(cloud, wanted=8_000_000)) >= 8_000_000


async def test_a_bomb_is_small_on_the_line_and_large_in_memory() -> None:
    async with FaultyCloud(faulty("gzip_bomb")) as cloud:
        bomb = body(await raw(cloud, wanted=65_000))
    assert len(bomb) < 100_000
    unpacked = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(bomb, 8_000_000)
    assert len(unpacked) == 8_000_000 and unpacked.startswith(b'{"timezone"')


async def test_gzip_may_be_a_lie() -> None:
    async with FaultyCloud(faulty("gzip_garbage")) as cloud:
        with pytest.raises(aiohttp.ClientError):
            await ask(cloud)


async def test_a_huge_header_is_more_than_a_client_takes() -> None:
    async with FaultyCloud(faulty("huge_header")) as cloud:
        with pytest.raises(aiohttp.ClientError):
            await ask(cloud)


def test_every_kind_is_tested() -> None:
    assert set(REFUSALS) == set(ERRORS)
    others = {"stall", "stall_after_headers", "stall_in_body", "slow_body", "slow_headers", "endless_body",
              "endless_headers", "gzip_bomb", "gzip_garbage", "huge_header"}  # fmt: skip
    assert set(BREAKAGES) == set(ENDS) | others
    assert (
        len(set(KINDS)) == len(KINDS) == 1 + len(REFUSALS) + len(REDIRECTS) + len(TAMPERINGS) + len(BREAKAGES)
    )


async def statuses(cloud: FaultyCloud, count: int, **more: str) -> list[int]:
    return [(await ask(cloud, **more))[0] for _ in range(count)]


async def test_a_rule_may_name_requests_by_number() -> None:
    async with FaultyCloud(faulty("status_500", on_requests=(2, 4))) as cloud:
        assert await statuses(cloud, 5) == [200, 500, 200, 500, 200]


async def test_a_rule_may_name_each_nth_request() -> None:
    async with FaultyCloud(faulty("status_500", every=3)) as cloud:
        assert await statuses(cloud, 6) == [200, 200, 500, 200, 200, 500]


async def test_a_rule_may_heal_after_some_times_and_start_again_after_a_reset() -> None:
    async with FaultyCloud(faulty("status_500", times=2)) as cloud:
        assert await statuses(cloud, 3) == [500, 500, 200]
        cloud.reset()
        assert await statuses(cloud, 1) == [500]
        assert cloud.counts.total.requests == 1


async def test_a_rule_may_name_device_channel_and_days() -> None:
    rule = Fault("status_500", device=EM.id, channel=1, days=(date(2026, 11, 17),))
    async with FaultyCloud(scenario(fault=(rule,))) as cloud:
        assert (await ask(cloud, "2026-11-17", channel="1"))[0] == 500
        assert (await ask(cloud, "2026-11-17", channel="0"))[0] == 200
        assert (await ask(cloud, "2026-11-18", channel="1"))[0] == 200


async def test_a_rule_may_hold_for_a_while_of_simulated_time() -> None:
    rule = Fault("status_503", account="home", since=NOW, until=NOW + timedelta(hours=1))
    async with FaultyCloud(scenario(fault=(rule,))) as cloud:
        assert await statuses(cloud, 1) == [503]
        cloud.set_clock(NOW + timedelta(hours=1), 0.0)
        assert await statuses(cloud, 1) == [200]
        cloud.set_clock(NOW - timedelta(seconds=1), 0.0)
        assert await statuses(cloud, 1) == [200]


async def test_the_first_rule_that_applies_is_played() -> None:
    rules = (Fault("status_500", on_requests=(2,)), Fault("status_503"))
    async with FaultyCloud(scenario(fault=rules)) as cloud:
        assert await statuses(cloud, 3) == [503, 500, 503]


async def test_a_simulator_ends_at_once_while_answers_stall() -> None:
    """Nothing is left behind: warnings are errors, and a task that is destroyed while pending warns."""
    async with aiohttp.ClientSession() as http:
        async with FaultyCloud(replace(faulty("stall"), latency_s=0.0)) as cloud:
            asked = asyncio.ensure_future(http.get(address(cloud), params=question()))
            while not cloud.counts.total.requests:
                await asyncio.sleep(0)
        with pytest.raises(aiohttp.ClientError):
            await asked
        assert cloud.counts.log[0].ended_at is not None


async def test_the_key_is_nowhere_in_the_simulators_output() -> None:
    async with FaultyCloud(scenario()) as cloud:
        assert KEY not in repr(cloud.scenario) and KEY not in json.dumps(cloud.counts.as_json())
