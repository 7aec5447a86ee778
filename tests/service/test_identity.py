"""An archive knows whose it is: what is another meter's, another tool's or missing is left as it is."""

from __future__ import annotations

import errno
import io
import os
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.archive.files import is_held
from collector.archive.ledger import Ledger
from collector.archive.mark import FORMAT, Mark, Remembered, read_mark
from collector.cli import starting
from collector.cli.backfill import lines_of
from collector.energy.history import Outcome
from collector.errors import ArchiveRefused
from collector.simulator import Device
from collector.status import MeterStatus, read_status
from collector.verify.repair import repair, verified
from collector.verify.report import Action
from tests.support.archives import compared, everything_in, of_an_inverter, older_file
from tests.support.faulty_cloud import Fault, Scenario
from tests.support.service_life import Living, events_in, living
from tests.support.world import DEVICE, World, cloud_of, kwh, records_of, world

NOW = datetime(2026, 3, 20, 14, 35, tzinfo=UTC)
TODAY = date(2026, 3, 20)
OTHER = "a8032abe41fc"
THEIRS = ({"name": "house", "id": OTHER},)
SHALLOW: dict[str, Any] = {"schedule": {"backfill_days": 3, "refresh_jitter_s": 0}}


def two_meters(**options: Any) -> Scenario:
    return cloud_of(Device(DEVICE), Device(OTHER), **options)


def written_by_the_older_utility(folder: Path, device: Device, days: int) -> None:
    """The last days as the older utility stored them: its keys, five decimals, no mark."""
    folder.mkdir(parents=True)
    for number in range(1, days + 1):
        day = TODAY - timedelta(days=number)
        start = int(datetime(day.year, day.month, day.day, tzinfo=device.zone).timestamp())

        def columns(label: int, start: int = start) -> dict[str, float]:
            grid, sun = device.energy(0, start + 3600 * label), device.energy(1, start + 3600 * label)
            wh = {"import": grid.consumption, "export": grid.reversed, "solar": sun.consumption}
            return {key: float(kwh(value, 5)) for key, value in wh.items()}

        (folder / f"{day}.jsonl").write_bytes(older_file(columns, day=day, zone=device.zone))


async def test_two_meters_into_one_folder(tmp_path: Path) -> None:
    """The second one is refused before anything is asked; nothing of the first one is touched."""
    async with world(two_meters(), tmp_path, NOW) as here:
        assert not (await here.backfill(2)).refused
        before, asked = everything_in(here.folder()), here.cloud.counts.total.requests
        here.meters = THEIRS
        report = await here.backfill(2)
        assert starting.code_of(report.refused["house"]) == 73
        assert DEVICE in str(report.refused["house"])
        assert OTHER in str(report.refused["house"])
        assert here.cloud.counts.total.requests == asked
        assert everything_in(here.folder()) == before


async def test_two_meters_into_one_folder_that_has_no_mark_yet(tmp_path: Path) -> None:
    """As earlier releases left it: three days that disagree are requested, and no more."""
    async with world(two_meters(), tmp_path, NOW) as here:
        await here.backfill(8)
        shutil.rmtree(here.folder() / ".collector")
        before = everything_in(here.folder())
        here.meters = THEIRS
        here.cloud.reset()
        report = await here.backfill(8)
        assert isinstance(report.refused["house"], ArchiveRefused)
        assert here.cloud.counts.total.requests == 3 * 2
        assert everything_in(here.folder()) == before


async def test_the_older_utilitys_archive_is_adopted_without_a_question(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The newest day and the oldest agree: that is proof; its complete days are kept byte for byte."""
    async with world(cloud_of(), tmp_path, NOW) as here:
        written_by_the_older_utility(here.folder(), Device(DEVICE), days=6)
        before = everything_in(here.folder())
        report = await here.backfill(8)
        assert not report.refused
        assert everything_in(here.folder()).items() >= before.items()
        proof, together = 2, 1 + 1  # two days at once, one of which is compared with itself alone
        assert here.cloud.counts.total.requests == 2 * (proof + 1 + together)
        assert [event["days"] for event in events_in(log_lines.getvalue(), "archive.adopted")] == [6]
        here.cloud.reset()
        await here.backfill(8)
        assert here.cloud.counts.total.requests == 2 * 1


async def test_a_lost_own_folder_costs_the_proof_again_and_no_more(tmp_path: Path) -> None:
    """Whoever deletes `.collector/` loses nothing."""
    async with world(cloud_of(), tmp_path, NOW) as here:
        await here.backfill(8)
        shutil.rmtree(here.folder() / ".collector")
        here.cloud.reset()
        report = await here.backfill(8)
        assert not report.refused
        assert here.cloud.counts.total.requests == 2 * (2 + 1)
        assert read_mark(here.folder() / ".collector") is not None


@pytest.mark.parametrize("make", ["inverter", "utility"])
async def test_day_files_of_another_tool(tmp_path: Path, make: str) -> None:
    """Neither moved nor overwritten, whatever their form; `--adopt` is the way where it is meant."""
    async with world(cloud_of(), tmp_path, NOW) as here:
        if make == "inverter":
            of_an_inverter(here.folder(), TODAY)
        else:
            written_by_the_older_utility(here.folder(), Device("0123456789ab"), days=8)
            for path in here.folder().iterdir():
                lines = [line.replace('"solar"', '"tariff"') for line in path.read_text().splitlines()]
                path.write_text("".join(f"{line}\n" for line in lines))
        before = everything_in(here.folder())
        report = await here.backfill(8)
        assert isinstance(report.refused["house"], ArchiveRefused)
        assert "--adopt" in report.refused["house"].cure
        assert everything_in(here.folder()) == before
        with pytest.raises(ArchiveRefused):
            repair(here.settings(), here.settings().meters[0], Device(DEVICE).zone, NOW)
        with pytest.raises(ArchiveRefused):
            await verified(here.settings(), here.clock, lambda *told: None, fix=True)
        assert everything_in(here.folder()) == before


async def test_an_archive_older_than_what_the_cloud_keeps_cannot_be_decided(tmp_path: Path) -> None:
    """No day overlaps: nothing is asked or touched, until a person says so."""
    long_ago = datetime(2022, 1, 10, 12, tzinfo=UTC)
    async with world(cloud_of(), tmp_path, long_ago) as here:
        await here.backfill(5)
        shutil.rmtree(here.folder() / ".collector")
    before = everything_in(tmp_path / "house")
    async with world(cloud_of(), tmp_path, NOW) as here:
        report = await here.backfill(2)
        assert isinstance(report.refused["house"], ArchiveRefused)
        assert here.cloud.counts.total.requests == 0
        assert everything_in(here.folder()) == before
        assert not (await here.backfill(2, adopt=True)).refused
        assert everything_in(here.folder()).items() >= before.items()
        assert not (await here.backfill(2)).refused


async def test_a_newer_format_is_refused_and_not_touched(tmp_path: Path) -> None:
    """Also where somebody insists."""
    async with world(cloud_of(), tmp_path, NOW) as here:
        await here.backfill(2)
        place = here.folder() / ".collector" / "archive.json"
        place.write_text(f'{{"format": {FORMAT + 1}, "holds": "what nobody here knows"}}')
        before = everything_in(here.folder())
        for adopt in (False, True):
            report = await here.backfill(2, adopt=adopt)
            assert isinstance(report.refused["house"], ArchiveRefused)
            assert everything_in(here.folder()) == before


async def test_a_replaced_device_continues_where_the_old_one_ended(tmp_path: Path) -> None:
    """From the day on which a person says so; what the old one counted stays as it is."""
    async with world(two_meters(), tmp_path, NOW) as here:
        await here.backfill(4)
        older = everything_in(here.folder())
        here.meters = THEIRS
        here.cloud.reset()
        assert not (await here.backfill(4, adopt=True)).refused
        assert here.cloud.counts.total.requests == 2  # today, of the new one
        assert not (await here.backfill(4)).refused
        kept = everything_in(here.folder())
        assert all(kept[name] == file for name, file in older.items() if not name.startswith(".collector/"))
        here.meters = ({"name": "house", "id": DEVICE},)
        assert (await here.backfill(4)).refused
    async with world(two_meters(), tmp_path, NOW + timedelta(hours=2), meters=THEIRS) as here:
        await here.backfill(4)
        told = {record["ts"]: record["import"] for record in records_of(here.folder() / f"{TODAY}.jsonl")}
        device = {ts: DEVICE if ts < NOW.timestamp() - 5400 else OTHER for ts in told}
        assert told == {ts: kwh(Device(device[ts]).energy(0, ts).consumption) for ts in told}
        assert set(device.values()) == {DEVICE, OTHER}


def stored_hours(folder: Path) -> dict[int, Any]:
    """Each stored hour's import."""
    return {
        record["ts"]: record["import"]
        for path in sorted(folder.glob("????-??-??.jsonl"))
        for record in records_of(path)
    }


def cut_off(path: Path, hours: int) -> None:
    """The day as it was before its last hours came: partial."""
    lines = path.read_text().splitlines()[:hours]
    path.write_text("".join(line.removesuffix("}") + ', "partial": true}\n' for line in lines))


@pytest.mark.parametrize("mark", ["none", "damaged"])
async def test_the_old_devices_hours_stay_where_a_folder_without_a_mark_is_adopted(
    tmp_path: Path, mark: str
) -> None:
    """Bug: the new one's answers replaced them, today's and those of the days that were not complete."""
    async with world(two_meters(), tmp_path, NOW) as here:
        await here.backfill(4)
        cut_off(here.folder() / f"{TODAY - timedelta(days=1)}.jsonl", 20)
        before = stored_hours(here.folder())
        if mark == "none":
            shutil.rmtree(here.folder() / ".collector")
        else:
            (here.folder() / ".collector" / "archive.json").write_bytes(b"")
        here.meters = THEIRS
        assert (await here.backfill(4)).refused
        assert not (await here.backfill(4, adopt=True)).refused
        assert stored_hours(here.folder()) == before
    async with world(two_meters(), tmp_path, NOW + timedelta(hours=5), meters=THEIRS) as here:
        await here.backfill(4, since=TODAY - timedelta(days=4))
        after = stored_hours(here.folder())
        assert after.items() >= before.items()
        assert max(after) > max(before)


async def test_a_replaced_meters_archive_without_its_own_folder_keeps_the_old_days(tmp_path: Path) -> None:
    """Bug: its newest day agreed, so all were taken for the new device's, and the old hours were replaced."""
    async with world(two_meters(), tmp_path, NOW) as here:
        await here.backfill(4)
        here.meters = THEIRS
        await here.backfill(0, adopt=True)
    later = NOW + timedelta(days=3)
    async with world(two_meters(), tmp_path, later, meters=THEIRS) as here:
        await here.backfill(2)
        cut_off(here.folder() / f"{TODAY - timedelta(days=2)}.jsonl", 20)
        before = stored_hours(here.folder())
        shutil.rmtree(here.folder() / ".collector")
        assert not (await here.backfill(30)).refused
        assert stored_hours(here.folder()) == before
        mark = read_mark(here.folder() / ".collector")
        assert mark is not None
        assert mark.since == later.date()


async def test_an_older_day_that_agrees_does_not_give_away_newer_ones(tmp_path: Path) -> None:
    """Bug: the old device named again, and the mark lost: the new one's hours were replaced."""
    async with world(two_meters(), tmp_path, NOW) as here:
        await here.backfill(4)
        here.meters = THEIRS
        await here.backfill(0, adopt=True)
    async with world(two_meters(), tmp_path, NOW + timedelta(days=1), meters=THEIRS) as here:
        await here.backfill(1)
        before = stored_hours(here.folder())
        shutil.rmtree(here.folder() / ".collector")
        here.meters = ({"name": "house", "id": DEVICE},)
        assert not (await here.backfill(4)).refused
        assert stored_hours(here.folder()).items() >= before.items()


async def test_a_mark_that_was_damaged_does_not_lose_since_when_the_device_counts(tmp_path: Path) -> None:
    """Bug: it stood there alone. The ledger has it as well."""
    async with world(two_meters(), tmp_path, NOW) as here:
        await here.backfill(4)
        here.meters = THEIRS
        await here.backfill(0, adopt=True)
    async with world(two_meters(), tmp_path, NOW + timedelta(days=3), meters=THEIRS) as here:
        await here.backfill(3)
        (here.folder() / ".collector" / "archive.json").write_bytes(b"")
        assert not (await here.backfill(3)).refused
        mark = read_mark(here.folder() / ".collector")
        assert mark is not None
        assert mark.since == TODAY


AS_3EM = ({"name": "house", "id": DEVICE, "kind": "3em"},)
SWAPPED = ({"name": "house", "id": DEVICE, "grid_channel": 1, "solar_channel": 0},)


@pytest.mark.parametrize("adopt", [False, True])
async def test_a_wrong_kind_is_mended_by_the_hint_that_the_user_gets(tmp_path: Path, adopt: bool) -> None:
    """Bug: the hint ended with 73, for a folder that held nothing; with `--adopt` no past day came."""
    async with world(cloud_of(Device(DEVICE, kind="3em")), tmp_path, NOW) as here:
        report = await here.backfill(4)
        assert report.counts[Outcome.EMPTY] >= 4
        here.meters = AS_3EM
        report = await here.backfill(4, adopt=adopt)
        assert not report.refused
        assert report.counts[Outcome.WRITTEN] == 4
        mark = read_mark(here.folder() / ".collector")
        assert mark == Mark(here.settings().meters[0].identity)
        assert not Ledger(here.folder() / ".collector" / "ledger.jsonl").different


async def test_a_wrong_kind_is_mended_by_a_reload(tmp_path: Path) -> None:
    """Also of a meter that had many empty days: none of them is remembered as such."""
    scenario = cloud_of(Device(DEVICE, kind="3em"))
    async with living(scenario, tmp_path, NOW, **SHALLOW) as service:
        await service.pass_time(minutes=20)
        assert not list((tmp_path / "house").glob("*.jsonl"))
        service.world.meters = AS_3EM
        service.signals.reload.set()
        await service.pass_time(minutes=20)
        assert house(service).state == "good"
        assert len(list((tmp_path / "house").glob("*.jsonl"))) == 4


async def test_a_folder_whose_days_are_gone_or_aside_is_not_one_that_holds_nothing(tmp_path: Path) -> None:
    """It had a meter's days: somebody may bring them back."""
    async with world(two_meters(), tmp_path, NOW) as here:
        await here.backfill(1)
        for path in here.folder().glob("*.jsonl"):
            path.unlink()
        here.meters = THEIRS
        assert (await here.backfill(1)).refused
        (here.folder() / ".collector" / "checksums").unlink()
        (here.folder() / ".collector" / "quarantine").mkdir()
        (here.folder() / ".collector" / "quarantine" / "2026-03-19.jsonl.1").write_text("what a person reads")
        assert (await here.backfill(1)).refused


async def test_adopting_on_a_full_disk_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bug: exit 0, and no effect. It is 74, and the mark is the one that was."""

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with world(two_meters(), tmp_path, NOW) as here:
        await here.backfill(1)
        here.meters = THEIRS
        here.cloud.reset()
        with monkeypatch.context() as broken:
            broken.setattr(os, "write", full)
            report = await here.backfill(1, adopt=True)
        assert report.gave_up is not None
        assert starting.code_of(report.gave_up) == 74
        assert "No space left" in starting.advice_on(report.gave_up)
        assert here.cloud.counts.total.requests == 0
        mark = read_mark(here.folder() / ".collector")
        assert mark is not None
        assert mark.identity.devices == (DEVICE,)
        assert not is_held(here.folder() / ".collector" / "lock")


async def test_adopting_other_clamps_requests_the_days_that_have_no_file(tmp_path: Path) -> None:
    """Bug: of the same device no day before the adoption was requested any more. What is stored stays."""
    async with world(cloud_of(), tmp_path, NOW) as here:
        await here.backfill(2)
        cut_off(here.folder() / f"{TODAY - timedelta(days=1)}.jsonl", 20)
        before = stored_hours(here.folder())
        here.meters = SWAPPED
        assert not (await here.backfill(5, adopt=True)).refused
        after = stored_hours(here.folder())
        assert after.items() >= before.items()
        assert len(list(here.folder().glob("*.jsonl"))) == 6
        assert not (await here.backfill(5)).refused
    async with world(cloud_of(), tmp_path, NOW + timedelta(days=3), meters=SWAPPED) as here:
        await here.backfill(3)
        (here.folder() / ".collector" / "archive.json").unlink()
        assert not (await here.backfill(5)).refused
        mark = read_mark(here.folder() / ".collector")
        assert mark is not None
        assert mark.since is None
        assert mark.kept_to == TODAY


async def test_days_of_other_clamps_need_not_add_up_to_these_ones_totals(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """They would differ for ever, for what is stored stays: no day until the adoption is compared."""
    async with world(cloud_of(), tmp_path, NOW) as here:
        await here.backfill(2)
        here.meters = SWAPPED
        assert not (await here.backfill(60, adopt=True)).refused
        assert not events_in(log_lines.getvalue(), "day.differs")
        (found,) = await verified(here.settings(), here.clock, lambda *told: None, fix=False)
        assert not compared(found).different
        assert compared(found).days == 0


async def test_days_that_are_not_requested_are_spoken_of(tmp_path: Path) -> None:
    """Bug: three years were silently left out."""
    async with world(two_meters(), tmp_path, NOW) as here:
        await here.backfill(2)
        here.meters = THEIRS
        assert not (await here.backfill(2, adopt=True)).not_requested
        report = await here.backfill(5)
        assert len(list(here.folder().glob("*.jsonl"))) == 3
        assert report.not_requested == {"house": TODAY}
        told = "\n".join(lines_of(report))
        assert f"house: days before {TODAY} are not requested" in told
        assert "--since DATE requests them" in told
        report = await here.backfill(5, since=TODAY - timedelta(days=5))
        assert not report.not_requested
        assert len(list(here.folder().glob("*.jsonl"))) == 6


async def test_the_service_asks_the_new_device_for_no_day_of_the_old_one(tmp_path: Path) -> None:
    """Neither for days that are missing, nor for those that are not complete or went."""
    async with world(two_meters(), tmp_path, NOW) as here:
        await here.backfill(2)
        here.meters = THEIRS
        await here.backfill(0, adopt=True)
        cut_off(here.folder() / f"{TODAY - timedelta(days=1)}.jsonl", 20)
        (here.folder() / f"{TODAY - timedelta(days=2)}.jsonl").unlink()
        before = stored_hours(here.folder())
    stand = {"meters": THEIRS}
    async with living(two_meters(), tmp_path, NOW + timedelta(hours=12), stand, **SHALLOW) as service:
        await service.pass_time(hours=5)
        after = stored_hours(tmp_path / "house")
        assert after.items() >= before.items()
        assert {path.stem for path in (tmp_path / "house").glob("*.jsonl")} == {
            str(TODAY + timedelta(days=number)) for number in (-1, 0, 1)
        }
        assert len(records_of(tmp_path / "house" / f"{TODAY - timedelta(days=1)}.jsonl")) == 20


async def test_what_is_mended_of_the_old_device_is_not_asked_of_the_new_one(tmp_path: Path) -> None:
    """A file with nothing in it is moved aside, one that is gone is struck out."""
    async with world(two_meters(), tmp_path, NOW) as here:
        await here.backfill(3)
        here.meters = THEIRS
        await here.backfill(0, adopt=True)
        hurt, gone = (here.folder() / f"{TODAY - timedelta(days=days)}.jsonl" for days in (1, 2))
        hurt.write_bytes(b"")
        gone.unlink()
        done = repair(here.settings(), here.settings().meters[0], Device(DEVICE).zone, NOW)
        assert sorted(done.actions.values()) == [Action.FORGOTTEN, Action.QUARANTINED]
        asked = Ledger(here.folder() / ".collector" / "ledger.jsonl").attempts
        assert not {TODAY - timedelta(days=1), TODAY - timedelta(days=2)} & asked.keys()


async def test_changed_clamps_are_another_archive(tmp_path: Path) -> None:
    """Solar and grid swapped in the configuration would mix two meanings in one file."""
    async with world(cloud_of(), tmp_path, NOW) as here:
        await here.backfill(2)
        here.meters = ({"name": "house", "id": DEVICE, "grid_channel": 1, "solar_channel": 0},)
        assert isinstance((await here.backfill(2)).refused["house"], ArchiveRefused)


def house(service: Living, name: str = "house") -> MeterStatus:
    status = read_status(service.world.archive, {})
    assert status is not None
    return status.meters[name]


async def test_the_service_stays_up_beside_an_archive_that_is_refused(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """That meter is broken, the other one is collected, and nothing is asked again and again."""
    of_an_inverter(tmp_path / "house", TODAY)
    before = everything_in(tmp_path / "house")
    stand = {"meters": ({"name": "house", "id": DEVICE}, {"name": "barn", "id": OTHER})}
    async with living(two_meters(), tmp_path, NOW, stand, **SHALLOW) as service:
        await service.pass_time(hours=30)
        assert house(service).state == "broken"
        assert "--adopt" in house(service).reason
        assert house(service, "barn").state == "good"
        asked = [served.at for served in service.world.cloud.counts.log if served.device == DEVICE]
        assert len(asked) == 5 * 2
        assert max(asked) < 60
        assert len(events_in(log_lines.getvalue(), "archive.refused")) == 1
        assert "WATCHDOG=1" in service.told[-5:]
    assert everything_in(tmp_path / "house") == before


async def test_the_service_with_nothing_but_a_refused_archive_is_not_stuck(tmp_path: Path) -> None:
    """It has nothing to do, and waits; the files are looked at each hour, for somebody may mend it."""
    of_an_inverter(tmp_path / "house", TODAY)
    async with living(cloud_of(), tmp_path, NOW, **SHALLOW) as service:
        await service.pass_time(hours=10)
        assert "WATCHDOG=1" in service.told[-5:]
        assert house(service).state == "broken"
        shutil.rmtree(tmp_path / "house")
        await service.pass_time(hours=2)
        assert house(service).state == "good"


async def test_while_the_cloud_is_down_an_archive_without_a_mark_waits(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Nothing is written until the cloud has said whose it is; then the work begins by itself."""
    device = Device(DEVICE)
    written_by_the_older_utility(tmp_path / "house", device, days=3)
    before = everything_in(tmp_path / "house")
    fault = Fault("status_503", until=NOW + timedelta(hours=2))
    async with living(cloud_of(device, fault=(fault,)), tmp_path, NOW, **SHALLOW) as service:
        await service.pass_time(hours=1, minutes=50)
        assert everything_in(tmp_path / "house") == before
        assert len(events_in(log_lines.getvalue(), "source.unavailable")) == 1
        await service.pass_time(minutes=30)
        assert len(events_in(log_lines.getvalue(), "archive.adopted")) == 1
        assert house(service).state == "good"
    assert everything_in(tmp_path / "house").items() >= before.items()


async def test_answers_that_cannot_be_used_say_nothing_of_the_files(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The archive is neither taken over nor refused; each scheduled run tries again, with few requests."""
    written_by_the_older_utility(tmp_path / "house", Device(DEVICE), days=8)
    before = everything_in(tmp_path / "house")
    odd = Fault("wrong_interval", until=NOW + timedelta(hours=3))
    async with living(cloud_of(fault=(odd,)), tmp_path, NOW, **SHALLOW) as service:
        await service.pass_time(hours=2, minutes=50)
        assert everything_in(tmp_path / "house") == before
        assert service.world.cloud.counts.total.requests <= 3 * 3 * 5 * 2  # rounds, lanes, days, clamps
        await service.pass_time(hours=1)
        assert len(events_in(log_lines.getvalue(), "archive.adopted")) == 1
        assert not events_in(log_lines.getvalue(), "archive.refused")
        assert house(service).state == "good"


async def test_a_disk_that_is_not_mounted_is_no_new_archive(tmp_path: Path, log_lines: io.StringIO) -> None:
    """The mount point is empty: nothing is begun on the card; once it is mounted, the work continues."""
    archive, disk = tmp_path / "mnt", tmp_path / "disk"
    remembered = Remembered(tmp_path / "known" / "archives.json")
    async with living(cloud_of(), archive, NOW, remembered=remembered, **SHALLOW) as service:
        await service.pass_time(minutes=20)
    (archive / "house").rename(disk)
    shutil.rmtree(archive)
    archive.mkdir()
    later = NOW + timedelta(days=1)
    async with living(cloud_of(), archive, later, remembered=remembered, **SHALLOW) as service:
        await service.pass_time(hours=5)
        assert house(service).state == "broken"
        assert not (archive / "house").exists()
        assert service.world.cloud.counts.total.requests == 0
        assert len(events_in(log_lines.getvalue(), "archive.missing")) == 1
        disk.rename(archive / "house")
        await service.pass_time(hours=1)
        assert house(service).state == "good"
        assert len(list((archive / "house").glob("*.jsonl"))) == 5


async def test_a_missing_archive_that_is_meant_to_be_new(tmp_path: Path) -> None:
    """A backfill by hand sees what the service remembers, and begins it where somebody says so."""
    remembered = Remembered(tmp_path / "archives.json")
    remembered.add(tmp_path / "archive" / "house")
    async with world(cloud_of(), tmp_path / "archive", NOW) as here:
        report = await _backfill(here, remembered)
        assert report.refused["house"].event == "archive.missing"
        assert not (tmp_path / "archive").exists()
        assert not (await _backfill(here, remembered, adopt=True)).refused
        assert not (await _backfill(here, remembered)).refused


async def test_verify_begins_no_second_archive_where_a_disk_is_not_mounted(tmp_path: Path) -> None:
    """Bug: `--fix` and `--cloud` marked the empty folder, and nothing noticed any more."""
    remembered = Remembered(tmp_path / "archives.json")
    async with world(cloud_of(), tmp_path / "archive", NOW) as here:
        (tmp_path / "archive" / "house").mkdir(parents=True)
        remembered.add(here.folder())
        settings = here.settings()
        zone = Device(DEVICE).zone
        with pytest.raises(ArchiveRefused) as refused:
            repair(settings, settings.meters[0], zone, NOW, remembered=remembered)
        assert refused.value.event == "archive.missing"
        for fix in (False, True):
            with pytest.raises(ArchiveRefused):
                await verified(settings, here.clock, lambda *told: None, fix=fix, remembered=remembered)
        assert everything_in(tmp_path / "archive") == {}
        assert (await _backfill(here, remembered)).refused


async def _backfill(here: World, remembered: Remembered, *, adopt: bool = False) -> Any:
    import asyncio

    from collector.service.backfill import Scope, backfill

    return await backfill(
        here.settings(), Scope(2), here.clock, asyncio.Event(), lambda *told: None,
        remembered=remembered, adopt=adopt,
    )  # fmt: skip
