"""Commands to the running service: what a person types beside it, carried out by it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.archive.mark import Remembered
from collector.cli import in_service
from collector.errors import CommandRefused, ServiceEnded
from collector.service.control import (
    Running,
    carry_out,
    find_service,
    listening,
    runtime_folder,
    socket_name,
)
from tests.support.archives import flip
from tests.support.faulty_cloud import Fault
from tests.support.service_life import SHALLOW, Living, events_in, living
from tests.support.world import DEVICE, KEY, cloud_of

START = datetime(2026, 3, 20, 14, 5, tzinfo=UTC)
FORTNIGHT: dict[str, Any] = {"schedule": {"backfill_days": 15}}
PACED: dict[str, Any] = {**FORTNIGHT, "pacing": {"min_interval_s": 1.05}}
WEEK: dict[str, Any] = {"since": "2026-03-10", "until": "2026-03-16"}
LAST_DAYS: dict[str, Any] = {"days": 10, "since": None, "until": None}
CLAMPS = 2


@pytest.fixture(autouse=True)
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The service's runtime folder; a short path, because that of a socket has a limit."""
    folder = Path(tempfile.mkdtemp(prefix="run"))
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
    yield folder
    shutil.rmtree(folder)


async def _sent(service: Living, name: str, options: Mapping[str, Any], told: list[Any] | None = None) -> Any:
    """The result of a command to the service."""
    connection = find_service(service.world.archive, os.environ)
    assert connection is not None
    words = {"meters": in_service.meters_as_options(service.world.settings()), **options}
    return await carry_out(connection, name, words, ([] if told is None else told).append)


def _requested(service: Living) -> list[str]:
    """The days that the cloud was asked for by themselves or in a span, one entry for each request."""
    return [each.day for each in service.world.cloud.counts.log if each.kind == "day"]


def _days(service: Living) -> list[str]:
    return sorted(path.stem for path in service.world.folder().glob("*.jsonl"))


async def test_a_backfill_is_carried_out_by_the_service(tmp_path: Path) -> None:
    """It goes further back than the service's own; its progress and its result come back."""
    told: list[Any] = []
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        assert len(_days(service)) == 4
        result = await _sent(service, "backfill", LAST_DAYS, told)
        assert _days(service)[0] == "2026-03-10"
        assert len(_days(service)) == 11
        assert result["code"] == 0
        assert {each["day"] for each in told} == {"2026-03-20", *(f"2026-03-{day}" for day in range(10, 17))}
        assert all(each["meter"] == "house" and each["requests"] > 0 for each in told)


async def test_a_reread_fetches_complete_days_again(tmp_path: Path) -> None:
    """A value that the cloud has revised long after the day has settled replaces the stored one."""
    async with living(cloud_of(), tmp_path, START, **FORTNIGHT) as service:
        await service.pass_time(minutes=5)
        path = service.world.folder() / "2026-03-12.jsonl"
        right = path.read_text()
        flip(path, "import")
        before = len(_requested(service))
        result = await _sent(service, "reread", WEEK)
        assert result["code"] == 0
        assert path.read_text() == right
        assert 0 < len(_requested(service)) - before <= 7 * CLAMPS


async def test_a_reread_goes_on_when_nobody_waits_for_it(tmp_path: Path) -> None:
    """Ctrl-C in the middle ends the waiting, not the work."""
    async with living(cloud_of(latency_s=0.2), tmp_path, START, **PACED) as service:
        await service.pass_time(minutes=5)
        days = {day: service.world.folder() / f"{day}.jsonl" for day in _days(service)}
        flip(days["2026-03-12"], "import")
        wrong = days["2026-03-12"].read_text()
        waiting = asyncio.create_task(_sent(service, "reread", {**WEEK, "since": "2026-03-06"}))
        await service.pass_time(seconds=1.5)
        waiting.cancel()
        assert days["2026-03-12"].read_text() == wrong
        await service.pass_time(minutes=1)
        assert days["2026-03-12"].read_text() != wrong


@pytest.mark.parametrize("how", ["stop", "reload"])
async def test_a_stop_in_the_middle_is_reported_and_a_reread_resumed(how: str, tmp_path: Path) -> None:
    """What was to be read again is recorded: the service that starts next goes on with it."""
    async with living(cloud_of(latency_s=0.2), tmp_path, START, **PACED) as service:
        await service.pass_time(minutes=5)
        path = service.world.folder() / "2026-03-10.jsonl"  # the last of the week that is requested
        right = path.read_text()
        flip(path, "import")
        waiting = asyncio.create_task(_sent(service, "reread", WEEK))
        await service.pass_time(seconds=1.5)
        (service.signals.stop if how == "stop" else service.signals.reload).set()
        with pytest.raises(ServiceEnded):
            await waiting
        assert path.read_text() != right
    if how == "stop":
        async with living(cloud_of(latency_s=0.2), tmp_path, START, **PACED) as service:
            await service.pass_time(minutes=1)
            assert path.read_text() == right


async def test_an_outage_ends_the_waiting_and_the_service_collects_the_days_later(tmp_path: Path) -> None:
    """A person is told why nothing happens; the days come when the cloud answers again."""
    fault = Fault(
        "status_500", since=datetime(2026, 3, 20, 14, 10, tzinfo=UTC), until=START + timedelta(hours=1)
    )
    async with living(replace(cloud_of(), fault=(fault,)), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=6)
        result = await _sent(service, "backfill", {**LAST_DAYS, "days": 50, "json": True})
        assert result["code"] == 69
        assert json.loads(result["output"][0])["left"] == 48  # today, and all but the three that are there
        assert len(_days(service)) == 4
        assert (await _sent(service, "backfill", LAST_DAYS))["code"] == 69  # at once, for it is known by now
        await service.pass_time(hours=1.2)
        assert len(_days(service)) == 51


async def test_the_outage_of_one_account_ended_a_backfill_of_all(tmp_path: Path) -> None:
    """Bug: with one wrong key among many, a backfill of all ended at once. Nor was the account named."""
    account: dict[str, Any] = {"name": "home", "auth_key": KEY, "meter": [{"name": "house", "id": DEVICE}]}
    ill = {"name": "barn", "auth_key": f"{KEY}OLD", "meter": [{"name": "stable", "id": DEVICE}]}
    stand = {"accounts": [ill, account]}
    async with living(cloud_of(), tmp_path, START, stand, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        result = await _sent(service, "backfill", {**LAST_DAYS, "json": True})
        assert len(_days(service)) == 11
        assert result["code"] == 77
        report = json.loads(result["output"][0])
        assert report["days"] == {"unchanged": 1, "written": 7}
        assert report["left"] == 11
        assert report["outages"] == {"barn": "the cloud refused the key"}
        assert result["errors"][1].startswith("barn: The cloud refused the key.")


async def test_days_that_another_command_had_in_hand_were_not_waited_for(tmp_path: Path) -> None:
    """Bug: the second of two equal commands ended at once with "0 days: none to request"."""
    days = {"since": "2026-03-09", "until": "2026-03-10", "json": True}
    async with living(cloud_of(latency_s=6.0), tmp_path, START, **FORTNIGHT) as service:
        await service.pass_time(minutes=10)
        for day in ("2026-03-09", "2026-03-10"):
            (service.world.folder() / f"{day}.jsonl").unlink()
        first = asyncio.create_task(_sent(service, "backfill", {**days, "days": None}))
        await service.pass_time(seconds=1.5)
        result = await _sent(service, "backfill", {**days, "days": None})
        assert {"2026-03-09", "2026-03-10"} <= set(_days(service))
        assert json.loads(result["output"][0])["days"] == {"written": 2}
        assert (await first)["code"] == 0


async def test_two_days_of_a_person_waited_for_months_that_were_read_again(tmp_path: Path) -> None:
    """Bug: a backfill of two days took six minutes, behind the rest of an interrupted reread."""
    tables = {**PACED, "schedule": {"backfill_days": 100}}
    async with living(cloud_of(latency_s=0.2), tmp_path, START, **tables) as service:
        await service.pass_time(minutes=10)
        waiting = asyncio.create_task(_sent(service, "reread", {**WEEK, "since": "2025-12-20"}))
        await service.pass_time(seconds=3)
        waiting.cancel()
        (service.world.folder() / "2026-03-10.jsonl").unlink()
        began = asyncio.get_running_loop().time()
        day = {"days": None, "since": "2026-03-10", "until": "2026-03-10"}
        assert (await _sent(service, "backfill", day))["code"] == 0
        assert asyncio.get_running_loop().time() - began < 20


async def test_an_archive_that_went_away_was_verified_and_had_no_findings(tmp_path: Path) -> None:
    """Bug: "no day files found", exit 0, where a disk was no longer mounted."""
    archive = tmp_path / "archive"
    known = Remembered(tmp_path / "known.json")
    async with living(cloud_of(), archive, START, remembered=known, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        service.world.folder().rename(tmp_path / "away")
        service.world.folder().mkdir()
        result = await _sent(service, "verify", {"fix": True})
        assert result["code"] == 73
        assert "perhaps its disk is not mounted" in result["errors"][0]
        with pytest.raises(CommandRefused, match="not mounted"):
            await _sent(service, "backfill", LAST_DAYS)


async def test_a_meter_with_other_settings_was_taken_for_the_one_that_the_service_has(tmp_path: Path) -> None:
    """Bug: after a changed id in the configuration `backfill --adopt` collected the old device."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        settings = service.world.settings()
        other = replace(settings.meters[0], id="a8032abe41fc")
        words = {**LAST_DAYS, "meters": {other.name: repr(other)}}
        with pytest.raises(CommandRefused, match="reload"):
            await _sent(service, "backfill", words)


async def test_a_command_for_thousands_of_meters_was_too_long(tmp_path: Path) -> None:
    """Bug: from some 1,200 meters on each command beside the service was refused as none."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        settings = repr(service.world.settings().meters[0])
        meters = {f"house{number}": settings for number in range(10_000)}
        with pytest.raises(CommandRefused, match="has no meter 'house0'"):
            await _sent(service, "backfill", {**LAST_DAYS, "meters": meters})


async def test_verify_moves_damaged_files_aside_and_the_service_fetches_their_days_at_once(
    tmp_path: Path,
) -> None:
    """Without a stop of the service, and without waiting for its next scheduled run."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        path = service.world.folder() / "2026-03-18.jsonl"
        right = path.read_text()
        flip(path, "import")
        options = {"fix": True, "cloud": False, "json": True}
        result = await _sent(service, "verify", options)
        assert result["code"] == 1
        (found,) = json.loads(result["output"][0])["meters"]
        assert [(each["day"], each["action"]) for each in found["findings"]] == [
            ("2026-03-18", "quarantined")
        ]
        await service.pass_time(seconds=5)
        assert path.read_text() == right


async def test_verify_compares_with_the_cloud_at_the_services_pace(tmp_path: Path) -> None:
    """In the middle of its backfill: no two requests nearer than allowed, and both come to an end."""
    tables = {**PACED, "schedule": {"backfill_days": 40}}
    async with living(cloud_of(limit="strict"), tmp_path, START, **tables) as service:
        await service.pass_time(seconds=20)
        options = {"fix": False, "cloud": True, "json": True}
        result = await _sent(service, "verify", options)
        assert result["code"] == 0
        (found,) = json.loads(result["output"][0])["meters"]
        assert found["cloud"]["days"] > 5
        assert found["cloud"]["differences"] == []
        await service.pass_time(minutes=5)
        assert len(_days(service)) == 41
        gap_s = service.world.cloud.counts.total.smallest_start_gap_s
        assert gap_s is not None
        assert gap_s >= 1.0


async def test_a_day_that_is_saved_during_the_comparison_does_not_differ(tmp_path: Path) -> None:
    """Bug: a day that was fetched between the look at its file and the cloud's total was reported."""
    tables = {**PACED, "schedule": {"backfill_days": 40}}
    async with living(cloud_of(latency_s=3.0), tmp_path, START, **tables) as service:
        await service.pass_time(minutes=4)
        path = service.world.folder() / "2026-03-18.jsonl"
        right = path.read_text()
        path.write_text(right[:-40])
        again = {"since": "2026-03-18", "until": "2026-03-18"}
        fixed = {"fix": True, "cloud": False, "json": True}
        assert (await _sent(service, "verify", fixed))["code"] == 1
        rereading = asyncio.create_task(_sent(service, "reread", again))
        result = await _sent(service, "verify", {**fixed, "fix": False, "cloud": True})
        assert path.read_text() == right
        await rereading
        (found,) = json.loads(result["output"][0])["meters"]
        assert found["cloud"]["differences"] == []


@pytest.mark.parametrize(
    "line",
    [
        b"\n",
        b"nonsense\n",
        b"[]\n",
        b"{}\n",
        b'"backfill"\n',
        b'{"command": 7}\n',
        b'{"command": "shutdown"}\n',
        b'{"command": "reread"}\n',
        b'{"command": "reread", "meters": {"house": "x"}, "since": null, "until": null}\n',
        b'{"command": "reread", "meters": {"house": "x"}, "since": "yesterday", "until": null}\n',
        b'{"command": "reread", "meters": {"house": "x"}, "since": 20260301, "until": null}\n',
        b'{"command": "backfill", "meters": {"house": "x"}, "days": 1e99, "since": null, "until": null}\n',
        b'{"command": "backfill", "meters": {"house": "x"}, "days": true, "since": null, "until": null}\n',
        b'{"command": "backfill", "meters": {"barn": "x"}, "days": 3, "since": null, "until": null}\n',
        b'{"command": "backfill", "meters": "house", "days": 3, "since": null, "until": null}\n',
        b'{"command": "verify", "meters": [["house"]]}\n',
        b"[" * 200_000 + b"\n",
        b"\xff\xfe\n",
        b"x" * (4 * 1024 * 1024 + 1),
    ],
)
async def test_a_command_that_is_none_is_refused_and_the_service_continues(
    line: bytes, tmp_path: Path
) -> None:
    """Whatever comes over the socket, one sentence goes back."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        connection = find_service(service.world.archive, os.environ)
        assert connection is not None
        reader, writer = await asyncio.open_connection(sock=connection)
        writer.write(line)
        answers = [json.loads(answer) async for answer in reader]
        writer.close()
        assert [list(each) for each in answers if "received" not in each] == [["refused"]]
        assert (await _sent(service, "backfill", LAST_DAYS))["code"] == 0


async def test_one_who_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    """Nor do many of them keep others from their turn for long."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        silent = [find_service(service.world.archive, os.environ) for _ in range(8)]
        await asyncio.sleep(0.1)
        with pytest.raises(CommandRefused, match="several commands"):
            await _sent(service, "backfill", LAST_DAYS)
        await service.pass_time(seconds=6)
        assert (await _sent(service, "backfill", LAST_DAYS))["code"] == 0
        for each in silent:
            assert each is not None
            each.close()


async def test_a_command_too_many_was_told_that_the_service_had_stopped(tmp_path: Path) -> None:
    """Bug: the service refused it before it was sent, and so the refusal was lost."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        silent = [find_service(service.world.archive, os.environ) for _ in range(8)]
        await asyncio.sleep(0.1)
        connection = find_service(service.world.archive, os.environ)
        assert connection is not None
        await asyncio.sleep(0.1)
        with pytest.raises(CommandRefused, match="several commands"):
            await carry_out(connection, "backfill", {}, lambda told: None)
        for each in silent:
            assert each is not None
            each.close()


async def test_a_command_with_a_bug_ends_itself_alone(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender is told, the log has the traceback, and the next command is carried out."""

    async def broken(*told: object) -> None:
        raise ZeroDivisionError

    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        with monkeypatch.context() as patch:
            patch.setattr("collector.cli.verify.carried_out", broken)
            with pytest.raises(CommandRefused):
                await _sent(service, "verify", {})
        assert (await _sent(service, "backfill", LAST_DAYS))["code"] == 0
    (event,) = events_in(log_lines.getvalue(), "command.failed")
    assert "ZeroDivisionError" in json.dumps(event)


async def test_a_second_service_does_not_take_the_first_ones_socket(tmp_path: Path, runtime: Path) -> None:
    """It would, for instance, be one with other meters in the same folder."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        path = runtime / socket_name(tmp_path)
        before = path.stat()
        assert before.st_mode & 0o777 == 0o660
        other = Running(service.world.settings(), [], service.world.clock, lambda *told: None)
        async with listening(other, {}, os.environ):
            assert path.stat().st_ino == before.st_ino
            assert (await _sent(service, "backfill", LAST_DAYS))["code"] == 0
        assert path.stat().st_ino == before.st_ino
    assert not path.exists()


async def test_a_socket_that_a_killed_service_left_is_replaced(tmp_path: Path, runtime: Path) -> None:
    """Nobody listens there; commands work as without a service until the next one listens."""
    with socket.socket(socket.AF_UNIX) as left:
        archive = tmp_path / "archive"
        name = socket_name(archive)
        left.bind(str(runtime / name))
    assert find_service(archive, os.environ) is None
    async with living(cloud_of(), archive, START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        assert (await _sent(service, "backfill", LAST_DAYS))["code"] == 0


async def test_without_a_runtime_folder_the_service_collects_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_lines: io.StringIO
) -> None:
    """It carries out no commands, and warns only where it has a folder that it cannot use."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "file" / "here"))
    async with living(cloud_of(), tmp_path / "archive", START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
        assert len(_days(service)) == 4
        assert find_service(service.world.archive, os.environ) is None
    assert len(events_in(log_lines.getvalue(), "control.failed")) == 1
    monkeypatch.delenv("RUNTIME_DIRECTORY")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    assert runtime_folder(os.environ) is None
    async with living(cloud_of(), tmp_path / "archive", START, **SHALLOW) as service:
        await service.pass_time(minutes=2)
    assert len(events_in(log_lines.getvalue(), "control.failed")) == 1
