"""The status is judged at each request, also while the observer hangs."""

from __future__ import annotations

import asyncio
import io
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.status import AccountStatus, Failure, MeterStatus, Status, judge, judged
from tests.support.service_life import SHALLOW, START, events_in, living, status_of
from tests.support.statuses import Page, parsed
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.world import cloud_of


@contextmanager
def a_card_that_keeps_no_status(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Writing the status hangs meanwhile; the day files are saved."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    really = Path.write_text

    def write_text(self: Path, *told: Any, **more: Any) -> int:
        if self.suffix == ".new":
            loop.hang()
        return really(self, *told, **more)

    with patch.context() as stalled:
        stalled.setattr(Path, "write_text", write_text)
        try:
            yield
        finally:
            loop.let_go()


@pytest.mark.usefixtures("rare_looks")
async def test_the_page_judges_at_each_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: with the observer hung it answered 200, good and an age of an hour, after 40 hours."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    web: dict[str, Any] = {**SHALLOW, "web": {"listen": port}}
    async with living(cloud_of(), tmp_path, START, **web) as service:
        await service.pass_time(minutes=30)
        with a_card_that_keeps_no_status(monkeypatch):
            await service.pass_time(hours=20)
            answer = await Page(port).ask("/healthz")
            body = json.loads(answer.body)
            assert (answer.status, body["state"]) == (200, "good")
            assert body["age_s"] == pytest.approx(20.5 * 3600, abs=3600)
            await service.pass_time(hours=20)
            answer, metrics = await Page(port).ask("/healthz"), await Page(port).ask("/metrics")
            body, samples = json.loads(answer.body), parsed(metrics.body)
            assert (answer.status, body["state"]) == (503, "broken")
            house = body["meters"]["house"]
            assert house["age_s"] == body["age_s"] > 39 * 3600
            assert house["age_s"] == samples["shelly_collector_newest_hour_age_seconds", "meter=house"]
            assert samples["shelly_collector_health", "meter=house,state=broken"] == 1
            assert samples["shelly_collector_health", "meter=house,state=good"] == 0


async def test_an_observer_that_hangs_is_no_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: the watchdog heard for 40 hours that all was well. Ten minutes are a stall, twenty are none."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=6)
        with a_card_that_keeps_no_status(monkeypatch):
            await service.pass_time(minutes=13)  # it hangs from twelve past on
            before = service.told.count("WATCHDOG=1")
            await service.pass_time(minutes=1)
            assert service.told.count("WATCHDOG=1") > before
            await service.pass_time(minutes=8)
            before = service.told.count("WATCHDOG=1")
            await service.pass_time(hours=1)
            assert service.told.count("WATCHDOG=1") == before
        await service.pass_time(minutes=2)
        assert service.told.count("WATCHDOG=1") > before
        assert status_of(service).written_at > START.timestamp() + 3600


async def test_a_reload_waits_for_an_observer_that_writes(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else two would write one file: the next observer begins beside the thread of the last."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=6)
        with a_card_that_keeps_no_status(monkeypatch):
            await service.pass_time(minutes=8)  # it hangs from twelve past on
            service.signals.reload.set()
            await service.pass_time(minutes=5)
            assert not events_in(log_lines.getvalue(), "config.reloaded")
        await service.pass_time(seconds=5)
        assert len(events_in(log_lines.getvalue(), "config.reloaded")) == 1
        await service.pass_time(minutes=2)
        assert status_of(service).written_at >= START.timestamp() + 19 * 60


_TIMES = st.integers(0, 2 * 10**9)
_METERS = st.builds(
    MeterStatus,
    newest_hour=st.none() | _TIMES,
    answered_at=st.none() | _TIMES,
    trouble=st.sampled_from(["", "the cloud answered 400"]),
)


@given(_METERS, _TIMES, _TIMES, st.sampled_from([None, Failure("key.refused", 1, "the key")]))
def test_a_status_is_judged_as_each_meter_is(
    meter: MeterStatus, started_at: int, now: int, trouble: Failure | None
) -> None:
    """At any moment, by the one rule of health; a meter's own trouble before its account's."""
    account = AccountStatus(("house",), trouble=trouble)
    status = Status("1", 1, started_at, 0, "", accounts={"home": account}, meters={"house": meter})
    max_age_s = 26 * 3600
    reason = meter.trouble or (trouble.reason if trouble else "")
    expected = judge(meter, reason, started_at, now, max_age_s)
    found = judged(status, now, max_age_s)
    assert found.meters["house"] == expected
    assert (found.state, found.age_s) == (expected.state, expected.age_s)
    assert judged(found, now, max_age_s) == found
