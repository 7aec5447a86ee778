"""N1: a proxy before the cloud: seven kinds of trouble in five phases of a connection, by TLS.

Each is an answer or an error of ours, and tells no key; once it is over, all data is there.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from collector.cloud.client import CloudClient, open_session
from collector.cloud.meters import Account
from collector.cloud.pacing import Pacer, Pacing
from collector.errors import CollectorError, Unavailable
from collector.simulator import Device
from tests.faults.figures import note
from tests.faults.proxy import Proxy
from tests.faults.troubles import Kind, Phase, Trouble
from tests.support.amounts import amount, dice
from tests.support.certificates import Certificate, certificate
from tests.support.faulty_cloud import FaultyCloud
from tests.support.key_forms import assert_keeps_the_key
from tests.support.service_life import events_in, living
from tests.support.stand_in_cloud import EM_ID, KEY, ONCE, body_of, cloud, meter_of, raw_answer
from tests.support.world import DEVICE, check_day, cloud_of, hours_of_day, records_of
from tests.support.world import KEY as WORLD_KEY

_DAY = date(2026, 6, 1)
_DEVICE = Device(EM_ID)
_BODY = body_of(raw_answer(_DEVICE, _DAY))
_COMBINATIONS = [(kind, phase) for kind in Kind for phase in Phase]
_START = datetime(2026, 3, 20, 14, 5, tzinfo=UTC)
_DEPTH = 2


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """What the proxy shows."""
    return certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def trusted(shown: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library trusts it as it would trust one that is signed by somebody known."""
    context = ssl.create_default_context(cafile=str(shown.file))
    get = aiohttp.ClientSession.get

    def trusting(session: aiohttp.ClientSession, url: str, **more: Any) -> Any:
        return get(session, url, ssl=context, **more)

    monkeypatch.setattr(aiohttp.ClientSession, "get", trusting)


def _trouble(kind: Kind, phase: Phase, own: Random) -> Trouble:
    """Anywhere in the phase; a latency or a rate that the time limit allows, or does not."""
    return Trouble(
        kind,
        phase,
        share=own.choice([0.0, own.random(), own.random(), 0.999]),
        latency_s=own.choice([0.3, 2.0, 20.0, 45.0]),
        rate=own.choice([20.0, 500.0, 5_000.0]),
        piece=own.choice([7, 50, 200]),
    )


async def _asked(proxy: Proxy) -> str:
    """`answer`, or what the error says; an answer is the true one."""
    async with open_session() as session:
        client = CloudClient(session, Account("home", proxy.url, KEY), Pacer(Pacing()), ONCE)
        try:
            answer = await client.fetch_day(meter_of(_DEVICE, solar=False), _DAY)
        except CollectorError as error:
            assert type(error) is Unavailable, repr(error)
            assert_keeps_the_key(error)
            return error.reason
    assert answer.grid == _BODY
    return "answer"


_GENTLE = {Kind.LATENCY, Kind.SLICE, Kind.BANDWIDTH}
"""An answer may come all the same."""


@pytest.mark.timeout(300)
async def test_whatever_the_line_does_is_an_answer_or_an_outage_in_time(shown: Certificate) -> None:
    """No other error, no key in it, no second request or connection behind the pacer's back."""
    rounds, outcomes = amount(1, 3), Counter[str]()
    loop = asyncio.get_running_loop()
    async with FaultyCloud(cloud(_DEVICE)) as simulator, Proxy(shown.server_context()) as proxy:
        proxy.cloud_port = urlsplit(simulator.url).port or 0
        for kind, phase in _COMBINATIONS * rounds:
            own = dice("N1", kind, phase, sum(outcomes.values()))
            trouble = _trouble(kind, phase, own)
            connections, requests = proxy.connections, simulator.counts.total.requests
            await proxy.play(trouble)
            began = loop.time()
            outcome = await _asked(proxy)
            assert loop.time() - began <= 1.05 + ONCE.timeout_s + 0.01, trouble
            assert proxy.connections - connections <= 1, trouble
            assert simulator.counts.total.requests - requests <= 1, trouble
            if phase is Phase.BETWEEN:
                assert outcome == "answer", trouble
            elif kind not in _GENTLE:
                assert outcome != "answer", trouble
            outcomes[outcome] += 1
            await asyncio.sleep(1)  # what comes behind the answer is still to come
            await proxy.play(None)
            assert await _asked(proxy) == "answer", trouble
    assert len(outcomes) >= 5, outcomes
    assert (simulator.counts.total.smallest_start_gap_s or 0) >= 1.0
    note("N1", combinations=len(_COMBINATIONS), requests=sum(outcomes.values()),
         kinds_of_outcome=len(outcomes), answers=outcomes["answer"], keys_told=0)  # fmt: skip


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.timeout(300)
async def test_all_data_is_there_once_it_is_over(
    kind: Kind, shown: Certificate, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The service goes through each phase's trouble, for minutes or an hour; the pace holds throughout."""
    requests = 0
    for number, phase in enumerate(Phase):
        own = dice("N1", "service", kind, phase, number)
        trouble, minutes = _trouble(kind, phase, own), own.uniform(1, 70)
        archive = tmp_path / str(number)
        async with Proxy(shown.server_context()) as proxy:
            home = {"name": "home", "host": proxy.url, "auth_key": WORLD_KEY,
                    "meter": [{"name": "house", "id": DEVICE}]}  # fmt: skip
            async with living(
                cloud_of(), archive, _START, {"accounts": [home]},
                pacing={"min_interval_s": 1.05}, schedule={"backfill_days": _DEPTH},
            ) as service:  # fmt: skip
                counts = service.world.cloud.counts
                proxy.cloud_port = urlsplit(service.world.cloud.url).port or 0
                await service.pass_time(seconds=own.choice([0, own.uniform(0, 8), own.uniform(0, 3000)]))
                await proxy.play(trouble)
                await service.pass_time(minutes=minutes)
                await proxy.play(None)
                await service.pass_time(minutes=75)
                for back in range(1, _DEPTH + 1):
                    day = _START.date() - timedelta(days=back)
                    check_day(service.world.folder() / f"{day}.jsonl", day, Device(DEVICE), complete=True)
                end = service.world.clock()
                today = records_of(service.world.folder() / f"{_START.date()}.jsonl")
                hours = hours_of_day(_START.date(), "Europe/Dublin")
                over = [ts for ts in hours if ts + 4500 < end.timestamp()]
                assert {record["ts"] for record in today} >= set(over), (trouble, minutes)
                await service.stop()
        assert (counts.total.smallest_start_gap_s or 9) >= 1.0, (trouble, minutes)
        assert counts.total.requests <= proxy.requests <= proxy.connections
        log = log_lines.getvalue()
        assert WORLD_KEY not in log
        asked = sum(event.get("requests", 0) for event in events_in(log, "job.finished"))
        assert counts.total.requests <= asked, (trouble, minutes)
        log_lines.truncate(log_lines.seek(0))
        requests += counts.total.requests
    note("N1", **{f"services through {kind}": len(Phase), "requests": requests})
