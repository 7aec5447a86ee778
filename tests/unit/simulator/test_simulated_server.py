"""The simulated cloud as its clients see it: keys, paths, counts, clock, and the remote controls."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from collector.errors import SettingsError
from collector.simulator import Device, Limit, Simulator
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
    span_question,
    with_options,
)

EXAMPLE = Path(__file__).with_name("every_variant.toml").read_text()


async def error_of(cloud: FaultyCloud, **more: str) -> tuple[int, str]:
    status, body = await ask(cloud, **more)
    (name,) = json.loads(body)["errors"]
    return status, name


async def test_the_simulator_by_itself_answers_refuses_and_keeps_its_limit() -> None:
    """What `demo` and `simulate` run: no faults, no counts, and no remote controls."""
    async with Simulator(scenario(limit=Limit("lax", 60.0))) as cloud, aiohttp.ClientSession() as http:
        status, body = await ask(cloud)
        assert (status, len(json.loads(body)["history"])) == (200, 24)
        status, body = await ask(cloud)
        assert (status, list(json.loads(body)["errors"])) == (401, ["max_req"])
        status, body = await ask(cloud, auth_key="OTHER0KEY")
        assert (status, list(json.loads(body)["errors"])) == (401, ["invalid_auth_key"])
        async with http.get(f"{cloud.url}/_simulator/counts") as answer:
            assert (answer.status, answer.headers["Date"]) == (404, "Fri, 20 Nov 2026 14:20:00 GMT")


async def test_the_key_opens_as_parameter_and_as_bearer_token() -> None:
    async with FaultyCloud(scenario()) as cloud, aiohttp.ClientSession() as http:
        assert (await ask(cloud))[0] == 200
        without = {name: value for name, value in question().items() if name != "auth_key"}
        headers = {"Authorization": f"Bearer {KEY}"}
        async with http.get(address(cloud), params=without, headers=headers) as answer:
            assert answer.status == 200
        tally = cloud.counts.accounts["home"]
        assert (tally.bearer_keys, tally.keys_outside_query) == (1, 0)


async def test_another_key_is_named_as_wrong() -> None:
    async with FaultyCloud(scenario()) as cloud:
        assert await error_of(cloud, auth_key="OTHER0KEY") == (401, "invalid_auth_key")
        assert cloud.counts.accounts == {"home": cloud.counts.tallies("home")[1]}
        assert cloud.counts.total.requests == 1 and cloud.counts.tallies("home")[1].requests == 0


async def test_a_key_in_a_header_a_path_or_a_body_is_seen() -> None:
    async with FaultyCloud(scenario()) as cloud, aiohttp.ClientSession() as http:
        await (await http.get(address(cloud), headers={"Referer": f"http://x/?{KEY}"})).read()
        await (await http.get(f"{cloud.url}/{KEY}")).read()
        await (await http.post(f"{cloud.url}/device/status", data={"auth_key": KEY})).read()
        assert cloud.counts.accounts["home"].keys_outside_query == 3


async def test_devices_channels_and_parameters_are_checked() -> None:
    async with FaultyCloud(scenario()) as cloud:
        assert await error_of(cloud, id="000000000000") == (200, "device_not_found")
        assert await error_of(cloud, channel="2") == (400, "wrong_channel")
        assert await error_of(cloud, channel="x") == (400, "wrong_channel")
        assert await error_of(cloud, date_from="") == (400, "wrong_params")


async def test_the_dead_and_the_unknown_are_404() -> None:
    async with FaultyCloud(scenario()) as cloud, aiohttp.ClientSession() as http:
        async with http.post(f"{cloud.url}/statistics/emeter/consumption", data={"id": EM.id}) as answer:
            assert answer.status == 404
        async with http.get(f"{cloud.url}/v2/statistics/power-consumption/em-9p") as answer:
            assert answer.status == 404
        assert cloud.counts.total.requests == 0


@pytest.mark.parametrize("path", ["", "/overall"])
async def test_the_other_endpoints_answer_too(path: str) -> None:
    async with (
        FaultyCloud(scenario()) as cloud,
        aiohttp.ClientSession() as http,
        http.get(address(cloud, path=path), params=question()) as answer,
    ):
        assert len(json.loads(await answer.read())["history"]) == 24


@pytest.mark.parametrize(
    ("other_type", "shape"), [("empty", "history"), ("error", "errors"), ("nesting", "sum")]
)
async def test_the_endpoint_of_another_kind_of_device_answers_as_in_the_scenario(
    other_type: str, shape: str
) -> None:
    device = with_options(EM3, other_type=other_type)
    async with FaultyCloud(scenario(device)) as cloud:
        body = json.loads((await ask(cloud, id=device.id))[1])
        assert shape in body
        assert other_type != "empty" or body["history"] == []


async def test_counts_show_the_requests_of_an_account() -> None:
    async with FaultyCloud(replace(scenario(), latency_s=0.5), log_size=2) as cloud:
        for day in ("2026-11-17", "2026-11-17", "2026-11-18"):
            await ask(cloud, day)
            await asyncio.sleep(1)
        assert cloud.counts.days == {(EM.id, "2026-11-17", "0"): 2, (EM.id, "2026-11-18", "0"): 1}
        assert [(served.day, served.outcome) for served in cloud.counts.log] == [
            ("2026-11-17", 200), ("2026-11-18", 200),
        ]  # fmt: skip
        tally = cloud.counts.accounts["home"]
        assert (tally.requests, tally.answered, tally.max_in_flight) == (3, 3, 1)
        assert tally.smallest_start_gap_s is not None and tally.smallest_idle_gap_s is not None
        assert 0 < tally.smallest_idle_gap_s < tally.smallest_start_gap_s


def test_the_longest_span_of_hours_may_change_between_two_requests() -> None:
    """Rate limits, clock and rules continue: the cloud did not start anew."""
    played = scenario(limit=Limit("strict"), fault=(Fault("status_500", on_requests=(2,)),))

    async def intervals(cloud: FaultyCloud, *limits_h: int) -> list[str]:
        found = []
        for limit_h in limits_h:
            await asyncio.sleep(2)
            cloud.hour_span_h = limit_h
            status, body = await ask(cloud, **span_question("2026-11-01", "2026-11-03"))
            found.append(json.loads(body)["interval"] if status == 200 else str(status))
        return found

    async def play() -> None:
        async with FaultyCloud(replace(played, speed=1.0)) as cloud:
            assert await intervals(cloud, 72, 72, 60, 96, 24) == ["hour", "500", "day", "hour", "day"]
            cloud.hour_span_h = 72
            assert (await ask(cloud))[0] == 401
            assert cloud.now >= NOW + timedelta(seconds=10)
            assert (cloud.hour_span_h, cloud.scenario.hour_span_h) == (72, 72)
            with pytest.raises(SettingsError):
                cloud.hour_span_h = -1
            assert cloud.hour_span_h == 72

    in_virtual_time(play())


async def test_requests_are_counted_by_what_they_ask_for() -> None:
    async with FaultyCloud(faulty("status_500", every=2)) as cloud:
        for last in ("2026-11-01", "2026-11-02", "2026-11-02", "2026-11-04", "2026-11-05", "2026-11-30"):
            await ask(cloud, **span_question("2026-11-01", last))
        await ask(cloud)
        for other in ("week", "month", "year", "decade"):
            await ask(cloud, date_range=other)
        await ask(cloud, **span_question("2026-11-02", "2026-11-01"))
        assert cloud.counts.kinds == {"day": 1, "span": 4, "totals": 5, "none": 2}
        assert cloud.counts.spans == {1: 1, 2: 2, 4: 1}
        assert [(served.kind, served.days) for served in cloud.counts.log][4:8] == [
            ("totals", 5), ("totals", 30), ("day", 1), ("totals", 0),
        ]  # fmt: skip
        counts = (await control(cloud, "counts"))[1]
        assert counts["kinds"]["span"] == 4 and counts["spans"] == [[1, 1], [2, 2], [4, 1]]
        cloud.reset()
        assert not cloud.counts.kinds and not cloud.counts.spans


async def control(cloud: FaultyCloud, command: str, body: str | None = None) -> tuple[int, dict[str, Any]]:
    async with aiohttp.ClientSession() as http:
        method = "GET" if body is None else "POST"
        async with http.request(method, f"{cloud.url}/_simulator/{command}", data=body) as answer:
            return answer.status, json.loads(await answer.read())


async def test_another_process_can_read_and_reset_the_counts() -> None:
    async with FaultyCloud(scenario()) as cloud:
        await ask(cloud)
        status, counts = await control(cloud, "counts")
        assert status == 200
        assert counts["total"]["requests"] == counts["accounts"]["home"]["answered"] == 1
        assert counts["days"] == [[EM.id, "2026-11-18", "0", 1]]
        assert counts["log"][0]["outcome"] == 200
        assert (await control(cloud, "reset", ""))[0] == 200
        assert (await control(cloud, "counts"))[1]["total"]["requests"] == 0


def test_requests_in_progress_at_a_reset_are_forgotten() -> None:
    async def play() -> None:
        async with FaultyCloud(replace(scenario(), latency_s=5.0)) as cloud:
            asked = asyncio.ensure_future(ask(cloud))
            await asyncio.sleep(1)
            cloud.reset()
            assert (await asked)[0] == 200
            await ask(cloud)
            tally = cloud.counts.accounts["home"]
            assert (tally.requests, tally.answered, tally.overlaps, tally.max_in_flight) == (1, 1, 0, 1)

    in_virtual_time(play())


async def test_another_process_can_set_the_clock() -> None:
    async with FaultyCloud(scenario()) as cloud:
        assert (await control(cloud, "clock", '{"now": "2027-01-01T00:00:00Z", "speed": 0}'))[0] == 200
        assert cloud.now == datetime(2027, 1, 1, tzinfo=UTC)
        for wrong in ('{"now": "2027-01-01T00:00:00"}', '{"now": 3}', "{", '{"speed": "x"}', "[1]"):
            assert (await control(cloud, "clock", wrong))[0] == 400


async def test_another_process_can_change_the_scenario() -> None:
    async with FaultyCloud(scenario()) as cloud:
        assert (await control(cloud, "scenario", EXAMPLE))[0] == 200
        assert [account.name for account in cloud.scenario.account] == ["home", "barn"]
        status, answer = await control(cloud, "scenario", "sped = 1\nlatency_s = -1")
        assert (status, len(answer["problems"])) == (400, 2)
        assert [account.name for account in cloud.scenario.account] == ["home", "barn"]


def test_the_clock_runs_at_its_speed_and_dates_the_answers() -> None:
    async def play() -> None:
        running = replace(scenario(), speed=3600.0)
        async with FaultyCloud(running) as cloud, aiohttp.ClientSession() as http:
            await asyncio.sleep(10)
            assert cloud.now == NOW + timedelta(hours=10)
            async with http.get(address(cloud), params=question()) as answer:
                dated = parsedate_to_datetime(answer.headers["Date"])
                assert abs(dated - cloud.now) <= timedelta(seconds=1)

    in_virtual_time(play())


async def test_a_clock_that_is_given_is_the_one_that_counts() -> None:
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    async with FaultyCloud(scenario(), clock=lambda: moment) as cloud:
        assert cloud.now == moment


@pytest.mark.parametrize(("header", "seen"), [("", None), ("Thu, 01 Jan 1970 00:00:00 GMT",) * 2])
async def test_the_date_of_an_answer_may_be_wrong_or_absent(header: str, seen: str | None) -> None:
    async with (
        FaultyCloud(replace(scenario(), date_header=header)) as cloud,
        aiohttp.ClientSession() as http,
        http.get(address(cloud), params=question()) as answer,
    ):
        assert answer.headers.get("Date") == seen


def test_an_answer_takes_its_latency_and_some_jitter() -> None:
    async def play() -> list[float]:
        slow = replace(scenario(), latency_s=2.0, jitter_s=1.0, seed=3)
        async with FaultyCloud(slow) as cloud:
            for _ in range(5):
                await ask(cloud)
            return [(served.ended_at or 0.0) - served.at for served in cloud.counts.log]

    took = in_virtual_time(play())
    assert all(2 <= each < 3.01 for each in took) and len(set(took)) > 1
    assert took == in_virtual_time(play())


async def test_a_kept_connection_answers_one_request_after_the_other() -> None:
    async with FaultyCloud(scenario()) as cloud, aiohttp.ClientSession() as http:
        for _ in range(20):
            async with http.get(address(cloud), params=question()) as answer:
                assert len(json.loads(await answer.read())["history"]) == 24
        assert cloud.counts.total.overlaps == 0


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with FaultyCloud(Scenario()) as cloud:
        port = int(cloud.url.rpartition(":")[2])
        with pytest.raises(OSError, match="in use"):
            async with FaultyCloud(Scenario(), port=port):
                pass


async def test_nonsense_on_the_line_is_a_400() -> None:
    async with FaultyCloud(Scenario()) as cloud:
        for nonsense in (
            b"\x16\x03\x01\r\n\r\n",
            b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"x" * 70_000,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(cloud.url.rpartition(":")[2]))
            writer.write(nonsense)
            assert (await reader.read(12)) == b"HTTP/1.0 400"
            writer.close()


def test_a_device_of_six_digits_is_known() -> None:
    async def play() -> int:
        async with FaultyCloud(scenario(Device("a1b2c3"))) as cloud:
            return (await ask(cloud, id="a1b2c3"))[0]

    assert asyncio.run(play()) == 200
