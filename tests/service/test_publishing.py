"""A database beside the service: it has every stored hour, whatever fails; collecting never waits for it."""

from __future__ import annotations

import asyncio
import io
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from collector.simulator import Device, Revision
from collector.status import TargetStatus
from tests.support.influx_server import Database
from tests.support.service_life import START, Living, events_in, house, living, status_of
from tests.support.world import DEVICE, cloud_of, records_of

SHALLOW: dict[str, Any] = {"schedule": {"backfill_days": 3}}


def stored(service: Living, meter: str = "house") -> dict[int, dict[str, Any]]:
    """Every stored record by its hour."""
    files = sorted(service.world.folder(meter).glob("*.jsonl"))
    return {record["ts"]: record for file in files for record in records_of(file)}


def assert_has_all(database: Database, service: Living) -> None:
    """The database has the stored hours, each with its values, and no other."""
    records = stored(service)
    assert records
    assert database.hours() == set(records)
    for name, column in (("import_kwh", "import"), ("export_kwh", "export"), ("solar_kwh", "solar")):
        assert database.sum_of(name) == sum(record[column] for record in records.values())


def target(service: Living) -> TargetStatus:
    return status_of(service).targets["db"]


async def test_every_stored_hour_is_sent_after_the_backfill_and_each_new_one_after_its_save(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    async with (
        Database().running() as database,
        living(cloud_of(), tmp_path / "archive", START, publish=[database.table()], **SHALLOW) as service,
    ):
        await service.pass_time(minutes=30)
        assert_has_all(database, service)
        before, requests = len(stored(service)), database.requests
        await service.pass_time(hours=1)
        assert len(stored(service)) == before + 1
        assert_has_all(database, service)
        assert database.requests == requests + 1
        assert target(service).failure is None
        assert target(service).sent_at is not None
    assert sum(each["hours"] for each in events_in(log_lines.getvalue(), "publish.sent")) >= before


async def test_a_database_that_is_down_for_a_day_gets_everything_when_it_is_back(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The outage is logged once when it begins and once when it ends, and collecting goes on meanwhile."""
    database = Database()
    async with living(
        cloud_of(), tmp_path / "archive", START, publish=[database.table()], **SHALLOW
    ) as service:
        await service.pass_time(hours=30)
        failure = target(service).failure
        assert failure is not None
        assert failure.event == "publish.failed"
        assert house(service).state.is_well
        async with database.running():
            await service.pass_time(minutes=16)
            assert_has_all(database, service)
            assert target(service).failure is None
    log = log_lines.getvalue()
    assert len(events_in(log, "publish.failed")) == 1
    (recovered,) = events_in(log, "publish.recovered")
    assert recovered["down_s"] == pytest.approx(30 * 3600, abs=1800)


async def test_an_answer_that_was_lost_is_sent_again_and_counts_once(tmp_path: Path) -> None:
    """The points are there, but the collector cannot know."""
    async with (
        Database(lost=2).running() as database,
        living(cloud_of(), tmp_path / "archive", START, publish=[database.table()], **SHALLOW) as service,
    ):
        await service.pass_time(minutes=30)
        assert len(database.bodies) > 2
        assert_has_all(database, service)


async def test_a_service_that_ended_before_it_could_note_what_was_sent_sends_it_again(tmp_path: Path) -> None:
    async with Database().running() as database:
        tables = {"publish": [database.table()], **SHALLOW}
        async with living(cloud_of(), tmp_path / "archive", START, **tables) as service:
            await service.pass_time(minutes=30)
            requests = database.requests
        for record in tmp_path.glob("archive/house/.collector/publish-db.json"):
            record.unlink()
        async with living(
            cloud_of(), tmp_path / "archive", START + timedelta(minutes=40), **tables
        ) as service:
            await service.pass_time(minutes=10)
            assert database.requests == requests + 1
            assert_has_all(database, service)


async def test_nothing_is_sent_or_written_where_nothing_has_changed(tmp_path: Path) -> None:
    """Not after a restart either: the record says what the database has."""
    async with Database().running() as database:
        tables = {"publish": [database.table()], **SHALLOW}
        async with living(cloud_of(), tmp_path / "archive", START, **tables) as service:
            await service.pass_time(minutes=30)
        (record,) = tmp_path.glob("archive/house/.collector/publish-db.json")
        before, requests = record.stat().st_mtime_ns, database.requests
        async with living(
            cloud_of(), tmp_path / "archive", START + timedelta(minutes=40), **tables
        ) as service:
            await service.pass_time(minutes=10)
            assert target(service).sent_at is not None
        assert database.requests == requests
        assert record.stat().st_mtime_ns == before


def corrected_later() -> tuple[Device, int]:
    """A device of which the cloud corrects an hour of yesterday in three hours, and the hour."""
    hour = (START - timedelta(days=1)).replace(hour=9, minute=0)
    revision = Revision(START + timedelta(hours=3), hour, hour + timedelta(hours=1))
    return Device(DEVICE, revision=(revision,)), int(hour.timestamp())


async def test_a_corrected_hour_replaces_the_one_that_was_sent(tmp_path: Path) -> None:
    device, corrected = corrected_later()
    async with (
        Database().running() as database,
        living(
            cloud_of(device), tmp_path / "archive", START, publish=[database.table()], **SHALLOW
        ) as service,
    ):
        await service.pass_time(minutes=30)
        before = database.values["energy,meter=house", "import_kwh", corrected]
        await service.pass_time(hours=14)
        assert database.values["energy,meter=house", "import_kwh", corrected] != before
        assert_has_all(database, service)


async def test_totals_after_a_corrected_hour_are_sent_again(tmp_path: Path) -> None:
    device, _ = corrected_later()
    async with (
        Database().running() as database,
        living(
            cloud_of(device),
            tmp_path / "archive",
            START,
            publish=[database.table(cumulative=True)],
            **SHALLOW,
        ) as service,
    ):
        await service.pass_time(hours=14)
        total = Decimal(0)
        for ts, record in stored(service).items():
            total += record["import"]
            assert database.values["energy,meter=house", "import_total_kwh", ts + 3600] == total


@pytest.mark.parametrize(
    ("version", "token", "header"),
    [
        (1, "me:secret word", "Basic bWU6c2VjcmV0IHdvcmQ="),
        (2, "t0ken-of-the-database", "Token t0ken-of-the-database"),
        (3, "t0ken-of-the-database", "Bearer t0ken-of-the-database"),
    ],
)
async def test_each_version_gets_its_own_address_and_login(
    version: int, token: str, header: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    async with (
        Database(version, header).running() as database,
        living(
            cloud_of(), tmp_path / "archive", START, publish=[database.table(token=token)], **SHALLOW
        ) as service,
    ):
        await service.pass_time(minutes=30)
        assert_has_all(database, service)
    assert token not in log_lines.getvalue()


async def test_a_refused_token_is_tried_once_an_hour_and_a_reload_tries_the_new_one(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """A database may ban who tries too often."""
    file = tmp_path / "token"
    file.write_text("an-older-token\n")  # and refused in the moment of the reload: bug, a lock stayed taken
    async with (
        Database(2, "Token a-newer-token").running() as database,
        living(
            cloud_of(),
            tmp_path / "archive",
            START,
            publish=[database.table(token_file=str(file))],
            **SHALLOW,
        ) as service,
    ):
        await service.pass_time(hours=5)
        assert 3 <= database.requests <= 6
        failure = target(service).failure
        assert failure is not None
        assert "token" in failure.cure
        file.write_text("a-newer-token\n")
        service.signals.reload.set()
        await service.pass_time(minutes=10)
        assert_has_all(database, service)
    assert len(events_in(log_lines.getvalue(), "publish.failed")) == 1


async def test_a_token_that_became_wrong_is_noticed_after_a_reload_with_nothing_to_send(
    tmp_path: Path,
) -> None:
    """Bug: the status stayed fine until the next hour."""
    file = tmp_path / "token"
    file.write_text("the-right-token\n")
    tables: dict[str, Any] = {"schedule": {"backfill_days": 3, "refresh_minute": 59, "refresh_jitter_s": 0}}
    async with (
        Database(2, "Token the-right-token").running() as database,
        living(
            cloud_of(), tmp_path / "archive", START, publish=[database.table(token_file=str(file))], **tables
        ) as service,
    ):
        await service.pass_time(minutes=5)
        assert_has_all(database, service)
        file.write_text("a-wrong-token\n")
        service.signals.reload.set()
        await service.pass_time(minutes=5)
        assert target(service).failure is not None
        assert target(service).sent_at is not None


@pytest.mark.parametrize("status", [200, 302, 400, 404, 413, 429, 500, 503])
async def test_what_a_database_does_not_take_is_sent_again(status: int, tmp_path: Path) -> None:
    """Bug: 200 counted as taken, which is what the login page of a network or of a proxy is answered with."""
    async with (
        Database(answers=[status]).running() as database,
        living(cloud_of(), tmp_path / "archive", START, publish=[database.table()], **SHALLOW) as service,
    ):
        await service.pass_time(minutes=10)
        failure = target(service).failure
        if failure is not None:
            assert str(status) in failure.reason
        await service.pass_time(hours=1, minutes=10)
        assert target(service).failure is None
        assert_has_all(database, service)


async def test_a_record_that_cannot_be_written_is_a_failure_of_the_target_alone(tmp_path: Path) -> None:
    async with (
        Database().running() as database,
        living(cloud_of(), tmp_path / "archive", START, publish=[database.table()], **SHALLOW) as service,
    ):
        (service.world.folder() / ".collector" / "publish-db.json").mkdir(parents=True)
        await service.pass_time(minutes=30)
        failure = target(service).failure
        assert failure is not None
        assert "publish-db.json: " in failure.reason
        assert house(service).state.is_well


async def test_a_meter_that_was_left_out_is_not_sent(tmp_path: Path) -> None:
    meters = ({"name": "house", "id": DEVICE}, {"name": "garage", "id": "b" * 12})
    devices = Device(DEVICE), Device("b" * 12)
    async with (
        Database().running() as database,
        living(
            cloud_of(*devices),
            tmp_path / "archive",
            START,
            {"meters": meters},
            publish=[database.table(meters=["garage"])],
            **SHALLOW,
        ) as service,
    ):
        await service.pass_time(minutes=30)
        assert {head for head, _, _ in database.values} == {"energy,meter=garage"}


async def test_a_long_backfill_is_sent_once_an_hour_and_at_its_end(tmp_path: Path) -> None:
    """With each day that it saves all totals are others."""
    paced: dict[str, Any] = {"schedule": {"backfill_days": 120}, "pacing": {"min_interval_s": 60}}
    async with (
        Database().running() as database,
        living(
            cloud_of(), tmp_path / "archive", START, publish=[database.table(cumulative=True)], **paced
        ) as service,
    ):
        await service.pass_time(minutes=100)
        assert status_of(service).jobs
        first, requests = database.hours(), database.requests
        assert 0 < len(first) < len(stored(service))
        await service.pass_time(minutes=30)
        assert database.requests - requests <= 10
        while status_of(service).jobs:
            await service.pass_time(minutes=10)
        await service.pass_time(minutes=5)
        assert_has_all(database, service)


async def test_a_stop_does_not_wait_for_a_database_that_does_not_answer(tmp_path: Path) -> None:
    kept: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: kept.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    table = {"name": "db", "kind": "influx", "url": f"http://127.0.0.1:{port}/write?db=energy"}
    async with living(cloud_of(), tmp_path / "archive", START, publish=[table], **SHALLOW) as service:
        await service.pass_time(seconds=30)
        assert kept
        assert await service.stop() < 5
    for each in kept:
        each.close()
    silent.close()
