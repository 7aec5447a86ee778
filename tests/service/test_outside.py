"""Publishing the status: page, monitor and command get the same, and delay nothing."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from collector.energy.days import wall_clock
from collector.simulator import Device, Hole
from collector.status import MeterStatus, State, Status, status_file, write_status
from tests.support.faulty_cloud import Fault
from tests.support.processes import SCENARIO, cloud_process, configuration, gone, script, started, stop
from tests.support.service_life import Living, events_in, living
from tests.support.statuses import Monitor, Page, monitor, parsed, unused_port
from tests.support.world import DEVICE, cloud_of, records_of

START = datetime(2026, 3, 20, 14, 5, tzinfo=UTC)
_TELL = (
    'echo "$SHELLY_COLLECTOR_METER $SHELLY_COLLECTOR_HEALTH_BEFORE $SHELLY_COLLECTOR_HEALTH" >> told\n'
    'echo "$SHELLY_COLLECTOR_REASON" >> why'
)


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    return unused_port()


def tables(port: int, told: Monitor, command: tuple[str, ...] = (), **health: Any) -> dict[str, Any]:
    """Page, monitor and command all get it."""
    return {
        "schedule": {"backfill_days": 2},
        "health": {"ping_url": told.url, "on_change": list(command), **health},
        "web": {"listen": port},
    }


async def health(port: int) -> tuple[int, str, str]:
    """The page's status, its state, and the meter's reason."""
    answer = await Page(port).ask("/healthz")
    body = json.loads(answer.body)
    return answer.status, body["state"], body["meters"]["house"]["reason"]


async def test_a_meter_that_goes_offline_is_reported_to_all_and_so_is_its_return(
    port: int, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The cloud answers and has nothing newer: 503, fail, the command; and back."""
    hole = Hole(
        datetime(2026, 3, 20, 16),
        datetime(2026, 3, 20, 20),
        heals_at=datetime(2026, 3, 20, 20, 30, tzinfo=UTC),
    )
    command = script(tmp_path, _TELL)
    async with (
        monitor() as told,
        living(
            cloud_of(Device(DEVICE, hole=(hole,))), tmp_path / "archive", START,
            **tables(port, told, command, max_age_h=2),
        ) as service,
    ):  # fmt: skip
        await service.pass_time(minutes=5)
        assert await health(port) == (200, "good", "")
        await service.pass_time(hours=3, minutes=40)  # 17:50
        assert set(told.kinds) == {"/start", ""}
        await service.pass_time(minutes=11)
        status, state, reason = await health(port)
        assert (status, state) == (503, "offline")
        assert "is the meter powered" in reason
        assert told.kinds[-1] == "/fail"
        assert "house: offline" in told.pings[-1][1]
        assert (tmp_path / "told").read_text() == "house good offline\n"
        assert "is the meter powered" in (tmp_path / "why").read_text()
        samples = parsed((await Page(port).ask("/metrics")).body)
        assert samples["shelly_collector_health", "meter=house,state=offline"] == 1
        await service.pass_time(hours=3, minutes=30)  # 21:31
        assert await health(port) == (200, "good", "")
        assert told.kinds[-1] == ""
        assert (tmp_path / "told").read_text() == "house good offline\nhouse offline good\n"
    changed = events_in(log_lines.getvalue(), "health.changed")
    assert [(each["before"], each["state"]) for each in changed] == [("good", "offline"), ("offline", "good")]
    assert "SECRET0PATH" not in log_lines.getvalue()


@pytest.mark.slow
@pytest.mark.usefixtures("rare_looks")
async def test_a_cloud_that_is_down_for_thirty_hours_is_broken_and_then_good_again(
    port: int, tmp_path: Path
) -> None:
    """Nothing is reported before the limit of 26 hours; then the meter is broken, and recovers by itself."""
    command = script(tmp_path, _TELL)
    async with (
        monitor() as told,
        living(cloud_of(), tmp_path / "archive", START, **tables(port, told, command)) as service,
    ):
        cloud = service.world.cloud
        await service.pass_time(minutes=5)
        cloud.play(replace(cloud.scenario, fault=(Fault("status_500"),)))
        await service.pass_time(hours=24)
        assert (await health(port))[:2] == (200, "good")
        assert "/fail" not in told.kinds
        await service.pass_time(hours=6)
        assert (await health(port))[:2] == (503, "broken")
        assert told.kinds.count("/fail") >= 3
        assert (tmp_path / "told").read_text() == "house good broken\n"
        cloud.play(replace(cloud.scenario, fault=()))
        await service.pass_time(minutes=10)
        assert await health(port) == (200, "good", "")
        assert told.kinds[-1] == ""
        assert (tmp_path / "told").read_text() == "house good broken\nhouse broken good\n"


async def test_a_page_whose_port_is_taken_does_not_stop_the_collecting(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Collecting is the job."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        web = {"listen": taken.getsockname()[1]}
        async with living(cloud_of(), tmp_path, START, schedule={"backfill_days": 2}, web=web) as service:
            await service.pass_time(hours=2)
            assert len(records_of(service.world.folder() / f"{date(2026, 3, 20)}.jsonl")) == 15
    assert len(events_in(log_lines.getvalue(), "web.failed")) == 1
    assert not events_in(log_lines.getvalue(), "web.listening")


async def test_a_reload_moves_the_page(tmp_path: Path, port: int, log_lines: io.StringIO) -> None:
    """The old one is gone, and the same port can be taken again at once."""
    async with living(
        cloud_of(), tmp_path, START, schedule={"backfill_days": 2}, web={"listen": port}
    ) as service:
        await reloaded(service)
        await reloaded(service)
        assert (await health(port))[0] == 200
    assert len(events_in(log_lines.getvalue(), "web.listening")) == 3


async def test_a_reload_ends_what_the_old_settings_had_begun(port: int, tmp_path: Path) -> None:
    """A ping that hangs belongs to them."""
    async with (
        monitor() as told,
        living(cloud_of(), tmp_path, START, **tables(port, told)) as service,
    ):
        told.status = None
        await service.pass_time(seconds=2)
        assert told.waiting == 1
        told.status = 200
        service.signals.reload.set()
        await service.pass_time(seconds=5)
        assert told.waiting == 0
        assert told.kinds[:2] == ["/start", "/start"]


async def reloaded(service: Living) -> None:
    """A minute later with its configuration read again."""
    service.signals.reload.set()
    await service.pass_time(minutes=1)


async def test_a_monitor_that_hangs_holds_up_neither_the_work_nor_a_stop(port: int, tmp_path: Path) -> None:
    """A page's client that never ends neither."""
    async with (
        monitor() as told,
        living(cloud_of(), tmp_path, START, **tables(port, told)) as service,
    ):
        told.status = None
        await service.pass_time(hours=3)
        assert len(records_of(service.world.folder() / f"{date(2026, 3, 20)}.jsonl")) == 16
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        await asyncio.sleep(0.1)
        assert await service.stop() <= 5
        writer.close()


@pytest.fixture
def silence() -> Iterator[int]:
    """A port that accepts connections and never sends anything."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def test_a_stop_takes_five_seconds_at_most_whoever_hangs(port: int, silence: int, tmp_path: Path) -> None:
    """A real process with a slow client, a ping that is not answered and a command that ignores SIGTERM."""
    hole = "\n[[account.device.hole]]\nfrom = 2000-01-01\nuntil = 2100-01-01\n"
    command = script(tmp_path, "trap '' TERM\nsleep 60 & echo $! > child; env > heard; wait; sleep 60")
    health = f'ping_url = "http://127.0.0.1:{silence}/x/SECRET0PATH"\non_change = {json.dumps(command)}'
    with cloud_process(tmp_path, SCENARIO + hole) as cloud:
        file = configuration(tmp_path, cloud, f"[health]\n{health}\n[web]\nlisten = {port}")
        _good_until_now(tmp_path / "archive")
        service = started("run", "--config", str(file), SHELLY_COLLECTOR_AUTH_KEY="KEY0OF0THE0ENVIRONMENT")
        for _ in range(400):
            if (tmp_path / "heard").exists():
                break
            time.sleep(0.05)
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.send(b"GET /healthz HTTP/1.1\r\n")
            code, took_s, output = stop(service)
    asyncio.run(gone(tmp_path / "child"))
    assert code == 0, output
    assert took_s < 5
    assert "SECRET0PATH" not in output
    heard = (tmp_path / "heard").read_text()
    assert "SHELLY_COLLECTOR_HEALTH=offline\n" in heard
    assert "ENVIRONMENT" not in heard


def _good_until_now(archive: Path) -> None:
    """An earlier process said that all was well, and was answered a minute ago."""
    now = int(wall_clock().timestamp())
    house = MeterStatus(State.GOOD, 1800, "", now - 5400, now - 60)
    before = Status("0.1.0", 1, now - 9000, now - 60, "2026-03-20", State.GOOD, 1800, meters={"house": house})
    write_status(status_file(archive, {}), before)
