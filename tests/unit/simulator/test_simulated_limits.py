"""The rate limit, judged on time that is an argument, and once over real sockets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import aiohttp
import pytest

from collector.simulator import Limit
from collector.simulator.api import Judge
from tests.support.faulty_cloud import Fault, FaultyCloud
from tests.support.simulated_requests import EM, address, ask, in_virtual_time, question, scenario


def judged(limit: Limit, *calls: tuple[float, float]) -> list[str | None]:
    """The verdicts on calls `(start, end)`, played in the order of time."""
    judge, verdicts = Judge(limit), {}
    events = sorted(
        [(at, 1, call) for call in calls for at in call[:1]] + [(call[1], 0, call) for call in calls]
    )
    for at, is_start, call in events:
        if is_start:
            verdicts[call] = judge.start(at)
        else:
            judge.end(at)
    return [verdicts[call] for call in calls]


def test_without_a_limit_everything_passes() -> None:
    assert judged(Limit("none"), (0, 5), (0.1, 0.2), (0.2, 0.3)) == [None] * 3


def test_lax_wants_a_second_between_starts_and_lets_calls_overlap() -> None:
    assert judged(Limit("lax"), (0, 5), (0.9, 1), (1.0, 1.5), (2.0, 2.1)) == [None, "too_soon", None, None]


def test_strict_counts_an_overlap_as_a_violation() -> None:
    assert judged(Limit("strict"), (0, 5), (2, 2.1)) == [None, "overlap"]


def test_strict_measures_from_the_end_of_the_last_answer() -> None:
    assert judged(Limit("strict"), (0, 0.5), (1.4, 1.5), (2.6, 2.7)) == [None, "too_soon", None]


def test_strict_keeps_the_window_shut_while_rejected_calls_continue() -> None:
    calls = [(0.0, 0.1), (0.6, 0.7), (1.3, 1.4), (2.0, 2.1), (3.2, 3.3)]
    assert judged(Limit("strict"), *calls) == [None, "too_soon", "too_soon", "too_soon", None]


def test_the_length_of_the_window_is_an_option() -> None:
    assert judged(Limit("lax", limit_s=0.2), (0, 0), (0.1, 0.1), (0.25, 0.3)) == [None, "too_soon", None]


@pytest.mark.parametrize(("answer", "status"), [("max_req", 401), ("429", 429)])
def test_a_rejection_has_its_status_and_the_retry_after_unchanged(answer: str, status: int) -> None:
    async def play() -> None:
        limit = Limit("strict", answer=answer, retry_after="soon, perhaps")  # type: ignore[arg-type]
        async with FaultyCloud(scenario(limit=limit)) as cloud, aiohttp.ClientSession() as http:
            assert (await ask(cloud))[0] == 200
            await asyncio.sleep(0.9)
            async with http.get(address(cloud), params=question()) as rejected:
                assert rejected.status == status
                assert rejected.headers["Retry-After"] == "soon, perhaps"
                if status == 401:
                    body = {"isok": False, "errors": {"max_req": "Request limit reached!"}}
                    assert json.loads(await rejected.read()) == body
            await asyncio.sleep(1.01)
            assert (await ask(cloud))[0] == 200
            tally = cloud.counts.accounts["home"]
            assert (tally.requests, tally.answered, tally.rejections, tally.overlaps) == (3, 2, 1, 0)
            assert tally.smallest_idle_gap_s == pytest.approx(0.9)
            assert tally.smallest_start_gap_s == pytest.approx(0.9)

    in_virtual_time(play())


def test_overlapping_calls_are_seen_as_such() -> None:
    async def play() -> None:
        slow = replace(scenario(limit=Limit("strict")), latency_s=5.0)
        async with FaultyCloud(slow) as cloud:
            answers = await asyncio.gather(ask(cloud), ask(cloud, channel="1"))
            assert sorted(status for status, _ in answers) == [200, 401]
            assert cloud.counts.total.overlaps == 1
            assert cloud.counts.total.max_in_flight == 2
            assert cloud.counts.total.smallest_idle_gap_s == 0.0

    in_virtual_time(play())


def test_a_client_that_hangs_up_is_no_longer_in_flight() -> None:
    """Or each timeout of a client would be held against its next request."""

    async def play() -> None:
        stalling = scenario(limit=Limit("strict"), fault=(Fault("stall", times=1),))
        async with FaultyCloud(stalling) as cloud, aiohttp.ClientSession() as http:
            with pytest.raises(asyncio.TimeoutError):
                timeout = aiohttp.ClientTimeout(total=30)
                await http.get(address(cloud), params=question(), timeout=timeout)
            await asyncio.sleep(1.1)
            assert (await ask(cloud))[0] == 200
            assert cloud.counts.log[0].ended_at == pytest.approx(30, abs=1.1)

    in_virtual_time(play())


def test_each_account_has_a_limit_of_its_own() -> None:
    async def play() -> None:
        one = scenario(limit=Limit("strict"))
        other = replace(one.account[0], name="barn", auth_key="ANOTHER0KEY0" * 3)
        async with FaultyCloud(replace(one, account=(*one.account, other))) as cloud:
            assert (await ask(cloud))[0] == 200
            assert (await ask(cloud, auth_key=other.auth_key))[0] == 200
            assert (await ask(cloud))[0] == 401
            assert {name: tally.rejections for name, tally in cloud.counts.accounts.items()} == {
                "home": 1,
                "barn": 0,
            }
            assert cloud.counts.days[EM.id, "2026-11-18", "0"] == 3

    in_virtual_time(play())
