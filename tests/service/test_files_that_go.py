"""Complete files that disappear, damaged ones that cannot be fetched again, and what is logged."""

from __future__ import annotations

import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.overview import status_of
from collector.simulator import Device, Hole
from collector.verify.files import inspect
from collector.verify.repair import repair
from collector.verify.report import Action
from tests.support.service_life import SHALLOW, START, TODAY, events_in, living
from tests.support.world import DEVICE, World, check_day, cloud_of, world

DAY = TODAY - timedelta(days=3)
LATER = START + timedelta(days=1200)  # when the cloud has forgotten all of them
pytestmark = pytest.mark.usefixtures("rare_looks")


async def collected(archive: Path, **tables: Any) -> Path:
    """Four days that a service has collected, and their folder."""
    async with living(cloud_of(), archive, START, **tables or SHALLOW) as service:
        await service.pass_time(minutes=30)
        return service.world.folder()


def older(path: Path) -> bytes:
    """The file as it was in the middle of its day."""
    lines = path.read_bytes().splitlines(keepends=True)[:12]
    return b"".join(line.replace(b"}\n", b', "partial": true}\n') for line in lines)


async def lives(archive: Path, start: datetime = START + timedelta(hours=1), **tables: Any) -> None:
    """One more life of a service of five hours."""
    async with living(cloud_of(), archive, start, **tables or SHALLOW) as service:
        await service.pass_time(hours=5)


@pytest.mark.parametrize("tables", [SHALLOW, {"schedule": {"backfill_days": 0, "heal": False}}])
async def test_complete_days_that_went_are_reported_once_and_collected_again(
    tmp_path: Path, log_lines: io.StringIO, tables: dict[str, Any]
) -> None:
    """Bug: nobody saw that they had been there. Also where the service does not request them by itself."""
    folder = await collected(tmp_path)
    (folder / f"{DAY}.jsonl").unlink()
    changed = folder / f"{DAY + timedelta(days=1)}.jsonl"
    changed.write_bytes(older(changed))
    await lives(tmp_path, **tables)
    [event] = events_in(log_lines.getvalue(), "file.gone")
    assert (event["count"], event["older"], event["forgotten"]) == (2, 1, 0)
    assert event["days"] == [str(DAY), str(DAY + timedelta(days=1))]
    for day in (DAY, DAY + timedelta(days=1)):
        check_day(folder / f"{day}.jsonl", day, Device(DEVICE), complete=True)
    assert inspect(folder, None, START + timedelta(days=1)).findings == ()


async def test_a_day_that_went_while_the_service_runs_is_seen_with_its_next_scheduled_run(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """And each time that it goes."""
    async with living(cloud_of(), tmp_path, START, **SHALLOW) as service:
        await service.pass_time(minutes=30)
        path = service.world.folder() / f"{DAY}.jsonl"
        for times in (1, 2):
            path.unlink()
            await service.pass_time(hours=2)
            assert len(events_in(log_lines.getvalue(), "file.gone")) == times
            check_day(path, DAY, Device(DEVICE), complete=True)


async def test_a_day_that_went_and_that_the_cloud_forgot_is_never_called_never_collected(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: `history.lost` said so. Reported once, also over restarts; `verify` still names it."""
    folder = await collected(tmp_path)
    (folder / f"{DAY + timedelta(days=1)}.jsonl").unlink()
    for number in range(3):
        await lives(tmp_path, LATER + timedelta(days=number))
    [event] = events_in(log_lines.getvalue(), "file.gone")
    assert (event["count"], event["older"], event["forgotten"]) == (1, 0, 1)
    lost = [day for event in events_in(log_lines.getvalue(), "history.lost") for day in event["days"]]
    assert str(DAY + timedelta(days=1)) not in lost
    found = inspect(folder, None, LATER).findings
    assert [(each.day, each.code) for each in found if each.code != "partial"] == [
        (DAY + timedelta(days=1), "gone")
    ]


async def test_a_day_that_the_cloud_forgets_after_it_went_is_reported_as_that(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """It could have been had, and nobody had it: that is news, in words of its own."""
    folder = await collected(tmp_path)
    (folder / f"{DAY + timedelta(days=1)}.jsonl").unlink()
    async with living(cloud_of(), tmp_path, START + timedelta(hours=1), **SHALLOW) as service:
        service.world.cloud.play(cloud_of(key="ANOTHER0KEY"))
        await service.pass_time(minutes=2)
    for number in range(2):
        await lives(tmp_path, LATER + timedelta(days=number))
    told = [(each["count"], each["forgotten"]) for each in events_in(log_lines.getvalue(), "file.gone")]
    assert told == [(1, 0), (1, 1)]


async def test_verify_fix_accepts_deleted_files(tmp_path: Path) -> None:
    """The record of a day that somebody deleted on purpose is struck out, and nobody misses it any more."""
    folder = await collected(tmp_path)
    (folder / f"{DAY}.jsonl").unlink()
    async with world(cloud_of(), tmp_path, LATER) as here:
        assert fixed(here) == {DAY: Action.FORGOTTEN}
        assert {each.day for each in inspect(folder, None, LATER).findings} == set()


async def test_verify_fix_has_a_day_again_of_which_an_older_file_is_there(tmp_path: Path) -> None:
    """The older file is sound, and stays until the newer one comes."""
    folder = await collected(tmp_path)
    path = folder / f"{DAY}.jsonl"
    path.write_bytes(older(path))
    async with world(cloud_of(), tmp_path, START + timedelta(hours=1)) as here:
        assert fixed(here) == {DAY: Action.FORGOTTEN}
    assert path.exists()
    await lives(tmp_path, schedule={"backfill_days": 0, "heal": False})
    check_day(path, DAY, Device(DEVICE), complete=True)


def fixed(here: World) -> dict[date, Action]:
    settings = here.settings()
    done = repair(settings, settings.meters[0], Device(DEVICE).zone, here.clock())
    return {day: action for day, action in done.actions.items() if action is not Action.KEPT}


DAMAGES = {
    "a line cut off": lambda data: data[:-40],
    "a line twice": lambda data: data + data.splitlines(keepends=True)[-1],
    "a torn end": lambda data: data[:3000] + bytes(512),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_the_only_copy_of_a_day_stays_where_it_is(
    damage: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: it was moved aside, so that the day had left the folder, and nobody could give it again."""
    folder = await collected(tmp_path)
    day = DAY + timedelta(days=1)
    path = folder / f"{day}.jsonl"
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    data = path.read_bytes()
    await lives(tmp_path, LATER)
    assert path.read_bytes() == data
    [event] = events_in(log_lines.getvalue(), "file.unreadable")
    assert event["days"] == [str(day)]
    assert "no longer keeps" in event["reason"]
    assert not events_in(log_lines.getvalue(), "file.quarantined")
    assert all(str(day) not in event["days"] for event in events_in(log_lines.getvalue(), "history.lost"))
    async with world(cloud_of(), tmp_path, LATER) as here:
        assert day not in fixed(here)
        assert path.read_bytes() == data
        assert here.cloud.counts.total.requests == 0


async def test_a_clock_in_the_past_does_not_make_the_cloud_keep_more(tmp_path: Path) -> None:
    """A Pi starts at the date of its image: what is stored shows that it is later."""
    folder = await collected(tmp_path)
    await lives(tmp_path, LATER)
    path = folder / f"{DAY}.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    data = path.read_bytes()
    await lives(tmp_path, START + timedelta(days=2))
    assert path.read_bytes() == data


async def test_what_holds_nothing_of_its_day_is_moved_aside_however_old(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """No reader could use it anyway."""
    folder = await collected(tmp_path)
    (folder / f"{DAY}.jsonl").write_bytes(b"\0" * 8192)
    await lives(tmp_path, LATER)
    assert (folder / ".collector" / "quarantine" / f"{DAY}.jsonl.1").exists()
    assert len(events_in(log_lines.getvalue(), "file.quarantined")) == 1


async def test_a_file_of_another_form_is_adopted_for_ever(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Bug: line ends of Windows sent days that only this archive has into quarantine, with exit 0."""
    folder = await collected(tmp_path)
    (folder / ".collector" / "checksums").unlink()
    paths = sorted(folder.glob("*.jsonl"))[:3]
    for path in paths:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    before = {path: path.read_bytes() for path in paths}
    await lives(tmp_path)
    await lives(tmp_path, LATER)
    assert {path: path.read_bytes() for path in paths} == before
    for event in ("file.quarantined", "file.unreadable", "file.changed", "file.gone", "hour.revised"):
        assert not events_in(log_lines.getvalue(), event), event
    assert not {each.day for each in inspect(folder, None, LATER).findings} & {
        date.fromisoformat(path.stem) for path in paths
    }


async def test_files_in_quarantine_are_counted(tmp_path: Path) -> None:
    """The cloud has nothing for the day any more: what lies aside is all there is of it."""
    folder = await collected(tmp_path)
    path = folder / f"{DAY}.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    nothing = Hole(datetime.combine(DAY, datetime.min.time()), datetime.combine(DAY, datetime.max.time()))
    scenario = cloud_of(Device(DEVICE, hole=(nothing,)))
    async with living(scenario, tmp_path, START + timedelta(hours=1), **SHALLOW) as service:
        await service.pass_time(hours=2)
        now = datetime.now(UTC)  # noqa: TID251 - the loop's
        assert status_of(service.world.settings().files, now, {}).meters["house"].quarantined == 1
        assert inspect(folder, None, START).quarantined == 1
    assert not path.exists()
