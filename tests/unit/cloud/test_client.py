"""Client: one door to HTTP. What the cloud said comes out right, whatever else comes out as our errors."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from dataclasses import replace
from datetime import date, timedelta

import pytest

from collector.cloud.client import CloudClient, RequestPolicy, open_session
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import Pacer, Pacing
from collector.cloud.parse import read_day
from collector.cloud.retrying import RetryPolicy
from collector.errors import (
    AnswerError,
    CalledOff,
    CollectorError,
    DeviceUnknown,
    KeyRefused,
    RateLimited,
    Rejected,
    SourceError,
    Unavailable,
)
from collector.simulator import Device
from tests.support.cloud_faults import KINDS
from tests.support.faulty_cloud import Fault, FaultyCloud
from tests.support.key_forms import assert_keeps_the_key, everything_said
from tests.support.stand_in_cloud import (
    EM3_ID,
    EM_ID,
    KEY,
    NOW,
    ONCE,
    PV_ID,
    client_of,
    cloud,
    meter_of,
    true_hours,
    with_fault,
)

_DAY = date(2026, 6, 1)
_GRID_ONLY = Meter("house", EM_ID, solar=False, timezone="Europe/Dublin")

_ANSWERS = {"extra_keys", "spaced_out", "close_after_answer"}
_READABLE = {  # the client hands them on: what is wrong with them is for `read_day` to see
    *("wrong_types", "boolean", "negative", "absurd_value", "other_day", "reordered", "shuffled"),
    *("future_data", "missing_rows", "extra_row", "doubled_row", "conflicting_row", "ragged", "sum_off"),
    *("unknown_zone", "hostile_zone", "wrong_zone", "no_zone", "wrong_interval", "no_interval"),
    *("no_history", "null_history", "object_history", "null_rows", "empty_history"),
    *("hostile_rows", "hostile_stamps"),
}
_BROKEN_JSON = {
    *("nan", "infinity", "huge_exponent", "huge_int", "deep_nesting", "bad_utf8", "nul_bytes"),
    *("truncated_json", "duplicate_keys"),
}
_NAMED: dict[str, type[CollectorError]] = {
    "max_req": RateLimited,
    "too_many_requests": RateLimited,
    "bad_key": KeyRefused,
    "device_not_found": DeviceUnknown,
    "device_not_found_400": DeviceUnknown,
    "device_not_found_404": DeviceUnknown,
    "wrong_channel": Rejected,
    "echoed_key": Rejected,
    "errors_text": Rejected,
    "forbidden_403": Rejected,
    "hostile_error": Rejected,
    "path_gone": Rejected,
}


def _expected(kind: str) -> type[CollectorError] | None:
    if kind in _ANSWERS | _READABLE:
        return None
    return AnswerError if kind in _BROKEN_JSON else _NAMED.get(kind, Unavailable)


async def _outcome(simulator: FaultyCloud, meter: Meter = _GRID_ONLY) -> CollectorError | None:
    async with client_of(simulator) as client:
        try:
            await client.fetch_day(meter, _DAY)
        except CollectorError as error:
            return error
    return None


# -- What is requested --------------------------------------------------------------------------------


@pytest.mark.parametrize("device", [Device(EM_ID), Device(EM3_ID, "3em")], ids=["em", "3em"])
async def test_a_day_comes_as_it_flowed(device: Device) -> None:
    """Over a real socket, to the last digit."""
    async with FaultyCloud(cloud(device)) as simulator, client_of(simulator) as client:
        answer = await client.fetch_day(meter_of(device), _DAY)
    readings = read_day(answer, meter_of(device), NOW).energy_day.readings
    assert {ts: tuple(hour) for ts, hour in readings.items()} == true_hours(device, _DAY)


async def _requested(meter: Meter, *devices: Device) -> list[tuple[str, str, str]]:
    async with FaultyCloud(cloud(*devices)) as simulator, client_of(simulator) as client:
        answer = await client.fetch_day(meter, _DAY)
        assert (answer.solar is None) == (meter.requests_per_day == 1)
        return [(seen.device, seen.channel, seen.day) for seen in simulator.counts.log]


async def test_two_clamps_are_two_requests() -> None:
    """One for each channel, the grid's first, whichever they are."""
    requested = await _requested(Meter("house", EM_ID, grid_channel=1, solar_channel=0))
    assert requested == [(EM_ID, "1", "2026-06-01"), (EM_ID, "0", "2026-06-01")]


async def test_a_day_that_has_begun_is_finished_before_the_next() -> None:
    """Four are requested at once; a kill costs the answers of the one that is half here."""
    days = [_DAY - timedelta(days=age) for age in range(4)]
    async with FaultyCloud(cloud(Device(EM_ID))) as simulator, client_of(simulator) as client:
        await asyncio.gather(*(client.fetch_day(meter_of(Device(EM_ID)), day) for day in days))
        requested = [(call.day, call.channel) for call in simulator.counts.log]
    assert requested == [(day.isoformat(), channel) for day in days for channel in "01"]


async def test_without_a_solar_clamp_it_is_one_request() -> None:
    """A request costs a second of the account's."""
    assert await _requested(_GRID_ONLY) == [(EM_ID, "0", "2026-06-01")]


async def test_three_phases_are_one_request_and_a_pair_is_two() -> None:
    """Each answer has all phases."""
    grid, roof = Device(EM3_ID, "3em"), Device(PV_ID, "3em", counts="solar")
    assert await _requested(meter_of(grid), grid) == [(EM3_ID, "0", "2026-06-01")]
    requested = await _requested(meter_of(grid, pv_id=PV_ID), grid, roof)
    assert requested == [(EM3_ID, "0", "2026-06-01"), (PV_ID, "0", "2026-06-01")]


async def test_the_key_travels_in_the_query_and_nowhere_else() -> None:
    """Not in a header, not in the path."""
    async with FaultyCloud(cloud()) as simulator, client_of(simulator) as client:
        await client.fetch_day(_GRID_ONLY, _DAY)
        tally = simulator.counts.accounts["home"]
        assert (tally.requests, tally.keys_outside_query, tally.bearer_keys) == (1, 0, 0)


# -- What comes out -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_each_fault_is_the_error_that_it_means_within_the_timeout(kind: str) -> None:
    """One request each, no hidden second one; no fault lasts longer than the timeout, or says the key."""
    async with FaultyCloud(with_fault(kind)) as simulator:
        error = await _outcome(simulator)
        assert type(error) is (_expected(kind) or type(None)), error
        assert asyncio.get_running_loop().time() <= Pacing().min_interval_s + ONCE.timeout_s + 0.01
        assert simulator.counts.total.requests == 1
        assert simulator.counts.trap_hits == 0
    if error is not None:
        assert_keeps_the_key(error)


@pytest.mark.parametrize(
    "kind", ["gzip_bomb", "endless_body", "endless_headers", "huge_header", "deep_nesting"]
)
async def test_a_flood_stays_out_of_memory(kind: str) -> None:
    """A megabyte of a body and no more, whatever is sent."""
    async with FaultyCloud(with_fault(kind)) as simulator:
        await _outcome(simulator)  # what is made once is not what is measured
        gc.collect()
        tracemalloc.start()
        try:
            await _outcome(simulator)
            assert tracemalloc.get_traced_memory()[1] <= 8 * 2**20
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_fault_leaves_no_line_in_the_librarys_logs(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor does an object that is thrown away: its `repr` would carry the URL."""
    gc.freeze()  # what was there before is not looked at
    with caplog.at_level(logging.DEBUG):
        async with FaultyCloud(with_fault(kind)) as simulator:
            await _outcome(simulator)
        gc.collect()
    gc.unfreeze()
    assert KEY not in caplog.text
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_timeout_says_how_long_it_was() -> None:
    """It covers the request, not the queue before it."""
    async with FaultyCloud(with_fault("stall")) as simulator, client_of(simulator) as client:
        tasks = [asyncio.create_task(client.fetch_day(_GRID_ONLY, _DAY)) for _ in range(9)]
        done, _ = await asyncio.wait(tasks)
        assert {str(task.exception()) for task in done} == {"no answer within 30 s"}
        assert asyncio.get_running_loop().time() > 60


async def test_a_timeout_longer_than_the_librarys_own_is_kept() -> None:
    """aiohttp gives up after five minutes where nobody forbids it."""
    policy = RetryPolicy(attempts=1, timeout_s=900)
    async with FaultyCloud(with_fault("stall")) as simulator, client_of(simulator, policy) as client:
        with pytest.raises(Unavailable, match="within 900 s"):
            await client.fetch_day(_GRID_ONLY, _DAY)
        assert asyncio.get_running_loop().time() == pytest.approx(901.05)


# -- Retrying and pacing ------------------------------------------------------------------------------


async def test_each_attempt_pays_the_pacer() -> None:
    """Requests seen are requests meant, and none of them comes too soon."""
    for kind in ("reset_before_headers", "close_before_headers", "status_502", "reset_after_headers"):
        scenario = with_fault(kind, on_requests=(1, 2, 3))
        async with FaultyCloud(scenario) as simulator:
            async with client_of(simulator, RetryPolicy(4, 0.0, 0.0, 0.0)) as client:
                await client.fetch_day(_GRID_ONLY, _DAY)
            assert simulator.counts.total.requests == client.pacer.requests == 4, kind
            gap_s = simulator.counts.total.smallest_start_gap_s
            assert gap_s is not None
            assert gap_s >= 1.0


async def test_a_connection_that_dies_between_two_requests_is_not_met_again() -> None:
    """It is noticed before the next request, which takes a new one."""
    async with FaultyCloud(with_fault("close_after_answer")) as simulator, client_of(simulator) as client:
        for _ in range(3):
            await client.fetch_day(_GRID_ONLY, _DAY)
        assert simulator.counts.total.requests == 3


async def test_further_attempts_are_reported_and_once_makes_none() -> None:
    """To probe a source that is down."""
    told: list[tuple[str, int]] = []
    async with FaultyCloud(with_fault("status_500")) as simulator, open_session() as session:
        client = CloudClient(
            session,
            Account("home", simulator.url, KEY),
            Pacer(Pacing()),
            RetryPolicy(attempts=3),
            lambda error, attempts, wait_s: told.append((error.reason, attempts)),
        )
        with pytest.raises(Unavailable):
            await client.fetch_day(_GRID_ONLY, _DAY)
        assert told == [("the cloud answered 500", 1), ("the cloud answered 500", 2)]
        with pytest.raises(Unavailable):
            await client.fetch_day(_GRID_ONLY, _DAY, RequestPolicy(is_probe=True))
        assert simulator.counts.total.requests == 4


async def test_what_is_called_off_while_it_waits_is_not_sent() -> None:
    """Neither repeated nor, where it waits for its turn, requested at all."""
    async with (
        FaultyCloud(with_fault("status_500")) as simulator,
        client_of(simulator, RetryPolicy()) as client,
    ):
        is_down = False
        waiting = [
            asyncio.create_task(
                client.fetch_day(_GRID_ONLY, _DAY, RequestPolicy(is_called_off=lambda: is_down))
            )
            for _ in range(2)
        ]
        await asyncio.sleep(1.5)
        assert simulator.counts.total.requests == 1
        is_down = True
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [CalledOff, CalledOff]
        assert simulator.counts.total.requests == client.pacer.requests == 1


@pytest.mark.parametrize(
    ("retry_after", "held_s"),
    [("7", 7), ("Mon, 15 Jun 2026 12:00:31 GMT", 30), ("0", 1.5), ("soon", 1.5), ("-3", 1.5), ("1e99", 3600)],
)
@pytest.mark.parametrize("kind", ["max_req", "too_many_requests"])
async def test_a_rate_limit_holds_the_account_off(kind: str, retry_after: str, held_s: float) -> None:
    """By Retry-After, within reason; by 1.5 s without one."""
    scenario = with_fault(kind, times=1, retry_after=retry_after)
    async with FaultyCloud(scenario) as simulator, client_of(simulator, RetryPolicy()) as client:
        await client.fetch_day(_GRID_ONLY, _DAY)
        gap_s = simulator.counts.total.smallest_start_gap_s
        assert gap_s == pytest.approx(held_s, abs=1.0 if "Jun" in retry_after else 0.01)


async def test_a_request_that_is_cancelled_hangs_up() -> None:
    """A stop does not leave a request behind."""
    async with FaultyCloud(with_fault("stall")) as simulator, client_of(simulator) as client:
        task = asyncio.create_task(client.fetch_day(_GRID_ONLY, _DAY))
        await asyncio.sleep(2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert_keeps_the_key(caught.value)
        await asyncio.sleep(0.1)
        assert simulator.counts.log[0].ended_at is not None


# -- What the client never does -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"])
async def test_no_proxy_of_the_environment_is_used(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would see every URL, and so the key."""
    async with FaultyCloud(cloud()) as proxy, FaultyCloud(cloud()) as simulator:
        monkeypatch.setenv(name, proxy.url)
        assert await _outcome(simulator) is None
        assert (proxy.counts.total.requests, simulator.counts.total.requests) == (0, 1)


async def test_a_day_that_nobody_knows_the_key_of_says_nothing_of_it() -> None:
    """Another account's key."""
    async with FaultyCloud(cloud()) as simulator, open_session() as session:
        account = Account("home", simulator.url, KEY.lower())
        client = CloudClient(session, account, Pacer(Pacing()), ONCE)
        with pytest.raises(KeyRefused) as caught:
            await client.fetch_day(_GRID_ONLY, _DAY)
        assert KEY.lower() not in everything_said(caught.value)
        assert KEY.lower() not in repr(account) + repr(client) + repr(session)


async def test_an_unknown_device_is_told_apart() -> None:
    """That one is marked, the others go on."""
    async with FaultyCloud(cloud()) as simulator, client_of(simulator) as client:
        with pytest.raises(DeviceUnknown):
            await client.fetch_day(replace(_GRID_ONLY, id="000000000000"), _DAY)
        await client.fetch_day(_GRID_ONLY, _DAY)


def test_the_faults_are_all_known_here() -> None:
    """A kind that the simulator learns must be thought about."""
    assert set(KINDS) >= _ANSWERS | _READABLE | _BROKEN_JSON | set(_NAMED)
    assert issubclass(Unavailable, SourceError)
    assert Fault("stall").kind in KINDS
