"""Missing or old time-zone data of this machine: reported as that, and healed by newer data."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from collector.cli import status
from collector.energy.days import zone_named
from collector.energy.history import DayState
from collector.overview import as_dict, status_of
from collector.simulator import Device
from collector.verify.files import inspect
from collector.verify.repair import verified
from collector.verify.report import as_lines
from tests.support.archives import compared, everything_in
from tests.support.faulty_cloud import Fault
from tests.support.service_life import Living, events_in, living
from tests.support.world import DEVICE, World, check_day, cloud_of, records_of, world
from tests.support.zone_data import ZoneData, zone_data

NOW = datetime(2026, 3, 13, 18, 30, tzinfo=UTC)
LINK = "Europe/Kyiv Europe/Kiev"
KYIV = Device(DEVICE, timezone="Europe/Kyiv", says_timezone="Europe/Kiev")

# Mexico abolished daylight saving; who still has the rules of 2021 takes it for a zone like Chicago.
FIXED, CHANGING = "Etc/GMT+6", "America/Chicago"
CHANGE = date(2026, 3, 8)
MEXICAN = Device(DEVICE, timezone=FIXED, says_timezone=CHANGING)

# Paraguay made it permanent; by older rules its winter is like Santiago's.
# This meter was not there yet when by them the clocks last went forward.
AHEAD, SANTIAGO = "Etc/GMT+3", "America/Santiago"
PARAGUAYAN = Device(DEVICE, timezone=AHEAD, says_timezone=SANTIAGO, installed_since=date(2026, 4, 10))


def meter(**options: Any) -> tuple[dict[str, Any], ...]:
    return ({"name": "house", "id": DEVICE, **options},)


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def is_complete(here: World, day: date) -> bool:
    path = here.folder() / f"{day}.jsonl"
    return path.exists() and not any(record.get("partial") for record in records_of(path))


# -- Names that are not known here --------------------------------------------------------------------


async def test_a_meter_under_an_old_name_of_its_zone_is_collected(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: Debian 13 has no file of that name any more, and every day was rejected."""
    with zone_data(tmp_path / "zones", "Europe/Kyiv") as data:
        data.release("2026f", LINK)
        async with world(cloud_of(KYIV), tmp_path / "archive", NOW) as here:
            (tmp_path / "archive").mkdir()
            assert not (await here.backfill(2)).failures
            assert is_complete(here, date(2026, 3, 12))
    assert not events_in(log_lines.getvalue(), "zone.unknown")


async def test_another_name_of_the_zone_is_no_news(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Bug: `Europe/Kiev` became `Europe/Kyiv`, and the meter was said to have moved."""
    names = ("Europe/Kiev", "Europe/Kyiv")
    with zone_data(tmp_path / "zones", *names):
        (tmp_path / "archive").mkdir()
        for name in names:
            device = Device(DEVICE, timezone="Europe/Kyiv", says_timezone=name)
            async with world(cloud_of(device), tmp_path / "archive", NOW) as here:
                assert not (await here.backfill(2)).failures
    assert not events_in(log_lines.getvalue(), "zone.changed")
    assert not events_in(log_lines.getvalue(), "file.outdated")
    assert not list((tmp_path / "archive").rglob("quarantine"))


async def test_a_zone_that_this_machine_does_not_know_is_named_and_not_the_clouds_mistake(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: "timezone: unknown time zone", for each day, and the cloud was blamed."""
    (tmp_path / "archive").mkdir()
    with zone_data(tmp_path / "zones", "Europe/Kyiv"):
        async with world(cloud_of(KYIV), tmp_path / "archive", NOW) as here:
            report = await here.backfill(2)
    reasons = report.failures["house"].values()
    assert len(reasons) == 3
    assert all("zone.unknown" in reason and "Europe/Kiev" in reason for reason in reasons)
    log = log_lines.getvalue()
    (told,) = events_in(log, "zone.unknown")
    assert (told["zone"], told["configured"], told["level"]) == ("Europe/Kiev", None, "error")
    assert "apt install tzdata" in told["reason"]
    assert not events_in(log, "answer.rejected")
    assert not list(here.folder().glob("*.jsonl"))


async def test_the_setting_decides_where_the_named_zone_is_not_known(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: it did not help. That it is in force is logged once."""
    (tmp_path / "archive").mkdir()
    configured = meter(timezone="Europe/Kyiv")
    with zone_data(tmp_path / "zones", "Europe/Kyiv"):
        async with world(cloud_of(KYIV), tmp_path / "archive", NOW, meters=configured) as here:
            assert not (await here.backfill(2)).failures
            check_day(here.folder() / "2026-03-12.jsonl", date(2026, 3, 12), KYIV, complete=True)
    (told,) = events_in(log_lines.getvalue(), "zone.unknown")
    assert (told["zone"], told["configured"], told["level"]) == ("Europe/Kiev", "Europe/Kyiv", "warning")


async def test_an_archive_survives_an_upgrade_that_takes_its_zones_name_away(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: ledger rebuilt. Nothing is moved, `status` works, and collecting continues with the setting."""
    (tmp_path / "archive").mkdir()
    with zone_data(tmp_path / "zones", "Europe/Kiev", "Europe/Kyiv"):
        async with world(cloud_of(KYIV), tmp_path / "archive", NOW) as here:
            await here.backfill(3)
    before = {path: path.read_bytes() for path in here.folder().glob("*.jsonl")}
    with zone_data(tmp_path / "less", "Europe/Kyiv"):
        later = NOW + timedelta(days=1)
        async with world(cloud_of(KYIV), tmp_path / "archive", later) as here:
            seen = status_of(here.settings().files, later, {})
            assert list(seen.meters["house"].states.values()).count(DayState.COMPLETE) == 3
            assert seen.meters["house"].unknown_zone == "Europe/Kiev"
            text = status.lines(seen, ZoneInfo("UTC"), io.StringIO(), {}, whole=False)
            assert any("Europe/Kiev" in line for line in text)
            assert as_dict(seen)["meters"][0]["unknown_timezone"] == "Europe/Kiev"
            assert (await here.backfill(1)).failures
            assert {path: path.read_bytes() for path in before} == before
            here.meters = meter(timezone="Europe/Kyiv")
            assert not (await here.backfill(1)).failures
            assert is_complete(here, date(2026, 3, 13))
    log = log_lines.getvalue()
    assert not events_in(log, "ledger.rebuilt")
    assert not events_in(log, "file.quarantined")


@pytest.mark.parametrize("fix", [False, True])
async def test_files_without_a_mark_wait_where_the_zone_is_not_known(
    fix: bool, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Whose they are cannot be found out, and `verify --cloud` says so. They are the meter's once it is."""
    (tmp_path / "archive").mkdir()
    async with world(cloud_of(KYIV), tmp_path / "archive", NOW) as here:
        await here.backfill(8)
        shutil.rmtree(here.folder() / ".collector")
        before = everything_in(here.folder())
        here.cloud.reset()
        with zone_data(tmp_path / "less", "Europe/Kyiv"):
            report = await here.backfill(2)
            assert all("zone.unknown" in reason for reason in report.failures["house"].values())
            assert here.cloud.counts.total.requests == 2  # so would all other days end
            assert len(events_in(log_lines.getvalue(), "zone.unknown")) == 1
            (found,) = await verified(here.settings(), here.clock, lambda *told: None, fix=fix)
            (unanswered,) = compared(found).unanswered
            assert "Europe/Kiev" in unanswered.reason
            assert (unanswered.first, unanswered.last) == (date(2026, 3, 5), date(2026, 3, 12))
            assert everything_in(here.folder()) == before
        assert not (await here.backfill(8)).refused
    log = log_lines.getvalue()
    assert len(events_in(log, "zone.unknown")) == 2  # each command once
    assert [each["days"] for each in events_in(log, "archive.adopted")] == [9]


async def test_totals_of_a_zone_that_is_not_known_are_no_refusal(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """It is this machine's lack, reported once; the totals are read as soon as it knows the zone."""
    (tmp_path / "archive").mkdir()
    async with world(cloud_of(KYIV), tmp_path / "archive", NOW) as here:
        with zone_data(tmp_path / "less", "Europe/Kyiv"):
            assert (await here.backfill(60)).failures["house"]
        log = log_lines.getvalue()
        assert len(events_in(log, "zone.unknown")) == 1
        assert not events_in(log, "totals.refused")
        report = await here.backfill(60)
        assert not report.failures
        assert [event["days_with_data"] for event in events_in(log_lines.getvalue(), "totals.read")] == [60]


async def test_verify_names_a_zone_that_is_not_known_and_finds_nothing(tmp_path: Path) -> None:
    """What depends on it is not checked; the files are not the less whole."""
    (tmp_path / "archive").mkdir()
    async with world(cloud_of(KYIV), tmp_path / "archive", NOW) as here:
        await here.backfill(2)
    with zone_data(tmp_path / "less", "Europe/Kyiv"):
        report = replace(inspect(here.folder(), None, NOW), meter="house")
    lines = list(as_lines([report]))
    assert not report.has_findings
    assert "Europe/Kiev" in lines[2]
    assert "tzdata-legacy" in lines[3]


async def test_an_answer_in_a_zone_that_is_not_the_meters_doubts_no_rules(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Its hours fit that zone no more than the other: the cloud's mistake, and no day is touched."""
    (tmp_path / "archive").mkdir()
    change = date(2025, 10, 26)
    now = datetime(2025, 10, 27, 9, 30, tzinfo=UTC)
    async with world(cloud_of(), tmp_path / "archive", now) as here:
        await here.backfill(2)
        before = {path: path.read_bytes() for path in here.folder().glob("*.jsonl")}
        here.cloud.play(cloud_of(fault=(Fault("wrong_zone"),)))
        (here.folder() / f"{change}.jsonl").unlink()
        report = await here.backfill(2)
        assert report.failures["house"][change].startswith("answer.rejected")
        assert {path: path.read_bytes() for path in before if path.stem != str(change)} == {
            path: data for path, data in before.items() if path.stem != str(change)
        }
    assert not events_in(log_lines.getvalue(), "zone.suspected")


# -- Rules that are old -------------------------------------------------------------------------------


@pytest.fixture
def old_rules(tmp_path: Path) -> Iterator[ZoneData]:
    """A machine whose rules of the meter's zone are those of before the abolition."""
    (tmp_path / "archive").mkdir()
    with zone_data(tmp_path / "zones", FIXED, CHANGING, AHEAD, SANTIAGO) as data:
        data.release("2022a")
        yield data


async def test_old_rules_are_suspected_and_healed(
    old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: 24 wrong `ts` in complete files, and a day that was rejected as if the cloud were wrong."""
    async with world(cloud_of(MEXICAN), tmp_path / "archive", NOW) as here:
        report = await here.backfill(8)
        (reason,) = report.failures["house"].values()
        assert reason.startswith("zone.suspected")
        wrong = days(CHANGE, NOW.date() - timedelta(days=1))
        assert not any(is_complete(here, day) for day in wrong)
        assert (here.folder() / f"{wrong[-1]}.jsonl").exists()  # its numbers are right, and kept
        (told,) = events_in(log_lines.getvalue(), "zone.suspected")
        assert (told["zone"], told["release"], told["day"]) == (CHANGING, "2022a", str(CHANGE))
        assert CHANGING in told["reason"]

        old_rules.put(CHANGING, rules=FIXED)
        old_rules.release("2026f")
        assert not (await here.backfill(8)).failures
        for day in days(NOW.date() - timedelta(days=8), wrong[-1]):
            check_day(here.folder() / f"{day}.jsonl", day, MEXICAN, complete=True)
    log = log_lines.getvalue()
    (told,) = events_in(log, "file.outdated")
    assert (told["oldest"], told["newest"]) == (str(CHANGE + timedelta(days=1)), str(NOW.date()))
    assert [each["release"] for each in events_in(log, "zone.trusted")] == ["2026f"]
    assert not events_in(log, "hour.revised")


async def test_rules_newer_than_the_day_are_not_suspected(
    old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """They know what was decided: such an answer is the cloud's mistake, as before."""
    old_rules.release("2027a")
    async with world(cloud_of(MEXICAN), tmp_path / "archive", NOW) as here:
        report = await here.backfill(8)
    (reason,) = report.failures["house"].values()
    assert reason.startswith("answer.rejected")
    assert not events_in(log_lines.getvalue(), "zone.suspected")


async def test_wrong_hours_that_nothing_showed_are_found_when_the_rules_are_new(
    old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """An archive of a summer, complete, each hour off by one; what the cloud has forgotten stays."""
    now = datetime(2026, 6, 15, 18, 30, tzinfo=UTC)
    forgotten, kept = days(date(2026, 6, 9), date(2026, 6, 11)), days(date(2026, 6, 12), date(2026, 6, 14))
    meter = replace(MEXICAN, installed_since=date(2026, 6, 1))  # after the last change of the clocks
    async with world(cloud_of(meter), tmp_path / "archive", now) as here:
        await here.backfill(6)
        assert all(is_complete(here, day) for day in forgotten + kept)
        before = {day: (here.folder() / f"{day}.jsonl").read_bytes() for day in forgotten}
        old_rules.put(CHANGING, rules=FIXED)
        here.cloud.play(cloud_of(replace(MEXICAN, installed_since=kept[0])))
        await here.backfill(6)
        for day in kept:
            check_day(here.folder() / f"{day}.jsonl", day, MEXICAN, complete=True)
        assert {day: (here.folder() / f"{day}.jsonl").read_bytes() for day in forgotten} == before
        (told,) = events_in(log_lines.getvalue(), "file.outdated")
        assert told["count"] == 7  # today's, too


async def test_files_of_other_rules_without_a_mark_are_the_meters(
    old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Each of their hours is off by one: they are compared by their local times, taken over and healed."""
    now = datetime(2026, 6, 15, 18, 30, tzinfo=UTC)
    async with world(cloud_of(MEXICAN), tmp_path / "archive", now) as here:
        await here.backfill(8)
        shutil.rmtree(here.folder() / ".collector")
        old_rules.put(CHANGING, rules=FIXED)
        old_rules.release("2026f")
        old_rules.restart()
        assert not (await here.backfill(8)).refused
        await here.backfill(8)  # before an answer the zone of the files was not known
        for day in days(date(2026, 6, 7), date(2026, 6, 14)):
            check_day(here.folder() / f"{day}.jsonl", day, MEXICAN, complete=True)
    assert len(events_in(log_lines.getvalue(), "archive.adopted")) == 1


@pytest.mark.usefixtures("rare_looks")
async def test_new_rules_are_taken_by_a_service_that_runs(
    old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """An update of the data restarts nothing. Within an hour or two all days are right, and complete."""
    start = datetime(2026, 3, 7, 18, 5, tzinfo=UTC)
    tables: dict[str, Any] = {"schedule": {"backfill_days": 2}}
    async with living(cloud_of(MEXICAN), tmp_path / "archive", start, **tables) as service:
        await service.pass_time(days=4)
        here = service.world
        assert not any(is_complete(here, day) for day in days(CHANGE, date(2026, 3, 10)))
        assert len(events_in(log_lines.getvalue(), "zone.suspected")) == 1
        old_rules.put(CHANGING, rules=FIXED)
        await service.pass_time(hours=2)
        for day in days(date(2026, 3, 5), date(2026, 3, 10)):
            check_day(here.folder() / f"{day}.jsonl", day, MEXICAN, complete=True)
    assert len(events_in(log_lines.getvalue(), "zone.trusted")) == 1


@pytest.mark.usefixtures("rare_looks")
@pytest.mark.parametrize("under_way", [pytest.param("missing", marks=pytest.mark.slow), "partial"])
async def test_hours_that_are_whole_too_early_show_that_the_rules_are_old(
    under_way: Any, old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The meter is an hour ahead of our rules: an hour that has just begun has ended, and never grows."""
    device = replace(PARAGUAYAN, under_way=under_way)
    start = datetime(2026, 6, 10, 12, 5, tzinfo=UTC)
    tables: dict[str, Any] = {"schedule": {"backfill_days": 2}}
    async with living(cloud_of(device), tmp_path / "archive", start, **tables) as service:
        await service.pass_time(days=2)
        here = service.world
        (told,) = events_in(log_lines.getvalue(), "zone.suspected")
        assert (told["zone"], told["day"]) == (SANTIAGO, None)
        assert not any(is_complete(here, day) for day in days(date(2026, 6, 8), date(2026, 6, 11)))
        old_rules.put(SANTIAGO, rules=AHEAD)
        await service.pass_time(hours=2)
        for day in days(date(2026, 6, 8), date(2026, 6, 11)):
            check_day(here.folder() / f"{day}.jsonl", day, device, complete=True)


@pytest.mark.usefixtures("rare_looks")
async def test_a_doubt_of_the_rules_ends_when_an_hour_grows_after_all(
    old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The meter's own clock was wrong, say, and was set: what was held back is complete by the same rules."""
    ahead = replace(PARAGUAYAN, under_way="partial")
    start = datetime(2026, 6, 10, 12, 5, tzinfo=UTC)
    tables: dict[str, Any] = {"schedule": {"backfill_days": 2}}
    async with living(cloud_of(ahead), tmp_path / "archive", start, **tables) as service:
        await service.pass_time(days=1)
        assert len(events_in(log_lines.getvalue(), "zone.suspected")) == 1
        right = Device(DEVICE, timezone=SANTIAGO, under_way="partial")
        service.world.cloud.play(cloud_of(right))
        await service.pass_time(hours=4)
        assert len(events_in(log_lines.getvalue(), "zone.trusted")) == 1
        for day in days(date(2026, 6, 9), date(2026, 6, 10)):
            check_day(service.world.folder() / f"{day}.jsonl", day, right, complete=True)
    assert len(events_in(log_lines.getvalue(), "zone.suspected")) == 1


JUNE = datetime(2026, 6, 12, 18, 5, tzinfo=UTC)
FEW_DAYS: dict[str, Any] = {"schedule": {"backfill_days": 2}}


def requests_for(service: Living, day: date) -> int:
    return service.world.cloud.counts.days[(DEVICE, str(day), "0")]


@pytest.mark.usefixtures("rare_looks")
@pytest.mark.parametrize("under_way", [pytest.param("missing", marks=pytest.mark.slow), "partial"])
async def test_a_newest_hour_that_is_always_late_by_an_hour_shows_that_the_rules_are_old(
    under_way: Any, old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: five days of June, complete, each `ts` an hour too early, and not a word.

    Late is what a slow meter is, too. So the day is requested on which the clocks last went forward: old
    rules contradict what was measured in the hour that they skip. It is not stored; nothing else is asked.
    """
    meter = replace(MEXICAN, under_way=under_way)
    async with living(cloud_of(meter), tmp_path / "archive", JUNE, **FEW_DAYS) as service:
        await service.pass_time(days=3)
        (told,) = events_in(log_lines.getvalue(), "zone.suspected")
        assert (told["zone"], told["release"], told["day"]) == (CHANGING, "2022a", str(CHANGE))
        june = days(date(2026, 6, 10), date(2026, 6, 14))
        folder = service.world.folder()
        assert {path.stem for path in folder.glob("*.jsonl")} >= {str(day) for day in june}
        assert not any(is_complete(service.world, day) for day in june)
        assert not (folder / f"{CHANGE}.jsonl").exists()
        assert requests_for(service, CHANGE) == 1
        old_rules.put(CHANGING, rules=FIXED)
        old_rules.release("2026f")
        await service.pass_time(hours=2)
        for day in june:
            check_day(folder / f"{day}.jsonl", day, meter, complete=True)
    assert [each["release"] for each in events_in(log_lines.getvalue(), "zone.trusted")] == ["2026f"]
    assert requests_for(service, CHANGE) == 1


async def test_a_backfill_by_hand_tries_old_rules_before_it_saves_a_day(
    old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: 24 wrong `ts` in each file, and exit 0. The days are there, none is complete."""
    async with world(cloud_of(MEXICAN), tmp_path / "archive", JUNE) as here:
        await here.backfill(6)
        assert not any(is_complete(here, day) for day in days(date(2026, 6, 6), date(2026, 6, 11)))
        assert here.cloud.counts.days[(DEVICE, str(CHANGE), "0")] == 1
    assert len(events_in(log_lines.getvalue(), "zone.suspected")) == 1


async def test_rules_that_are_not_old_cost_no_request(
    old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """They are of the last two years, as far as their release says."""
    async with world(cloud_of(MEXICAN), tmp_path / "archive", JUNE) as here:
        old_rules.release("2024a")
        await here.backfill(1)
        assert here.cloud.counts.days[(DEVICE, str(CHANGE), "0")] == 0
    assert not events_in(log_lines.getvalue(), "zone.suspected")


@pytest.mark.slow
@pytest.mark.usefixtures("rare_looks")
async def test_a_newest_hour_that_always_grows_for_one_more_hour_shows_that_the_rules_are_old(
    old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """No meter was there yet when the clocks last went forward: two days of such hours show it."""
    meter = replace(MEXICAN, under_way="partial", installed_since=date(2026, 6, 1))
    async with living(cloud_of(meter), tmp_path / "archive", JUNE, **FEW_DAYS) as service:
        await service.pass_time(days=4)
        (told,) = events_in(log_lines.getvalue(), "zone.suspected")
        assert (told["zone"], told["day"]) == (CHANGING, None)
        assert "still grow" in told["reason"]
        assert not is_complete(service.world, date(2026, 6, 15))
        assert requests_for(service, CHANGE) == 1
        old_rules.put(CHANGING, rules=FIXED)
        old_rules.release("2026f")
        await service.pass_time(hours=3)
        for day in days(date(2026, 6, 10), date(2026, 6, 15)):
            check_day(service.world.folder() / f"{day}.jsonl", day, meter, complete=True)


@pytest.mark.usefixtures("rare_looks")
@pytest.mark.parametrize(
    "installed", [pytest.param(None, marks=pytest.mark.slow), date(2026, 6, 1)], ids=["always", "june"]
)
@pytest.mark.parametrize(
    ("under_way", "late_minutes"),
    [
        pytest.param("missing", 0, marks=pytest.mark.slow),
        pytest.param("missing", 60, marks=pytest.mark.slow),
        pytest.param("missing", 90, marks=pytest.mark.slow),
        pytest.param("partial", 8, marks=pytest.mark.slow),
        pytest.param("partial", 30, marks=pytest.mark.slow),
        ("partial", 100),
    ],
)
async def test_a_slow_meter_is_not_suspected_however_old_the_rules_are(
    under_way: Any, late_minutes: int, installed: date | None, old_rules: ZoneData, tmp_path: Path,
    log_lines: io.StringIO,
) -> None:  # fmt: skip
    """By its newest hours alone it cannot be told from one whose clock is behind the rules."""
    meter = Device(
        DEVICE, timezone=CHANGING, under_way=under_way, late_minutes=late_minutes, installed_since=installed
    )
    async with living(cloud_of(meter), tmp_path / "archive", JUNE, **FEW_DAYS) as service:
        await service.pass_time(days=4)
        for day in days(date(2026, 6, 10), date(2026, 6, 14)):
            check_day(service.world.folder() / f"{day}.jsonl", day, meter, complete=True)
        assert requests_for(service, CHANGE) == 1
    names = {json.loads(line)["event"] for line in log_lines.getvalue().splitlines()}
    assert names.isdisjoint({"zone.suspected", "zone.trusted", "file.outdated", "answer.rejected"})
    assert old_rules


@pytest.mark.slow
@pytest.mark.usefixtures("rare_looks")
async def test_a_meter_that_is_always_an_hour_late_is_believed_where_it_followed_the_last_change(
    old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The hour in progress is returned in part, and all comes an hour late: just as if the rules were old."""
    meter = Device(DEVICE, timezone=CHANGING, under_way="partial", late_minutes=60)
    async with living(cloud_of(meter), tmp_path / "archive", JUNE, **FEW_DAYS) as service:
        await service.pass_time(days=4)
    assert not events_in(log_lines.getvalue(), "zone.suspected")
    assert old_rules


@pytest.mark.slow
@pytest.mark.usefixtures("rare_looks")
async def test_a_doubt_of_a_late_meters_rules_ends_with_newer_ones_that_are_the_same(
    old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Always an hour late to the minute, and there only since the last change: the rules may be right.

    With a new release they are known to be, though nothing else has changed, and the days are complete.
    """
    meter = Device(
        DEVICE, timezone=CHANGING, under_way="partial", late_minutes=60, installed_since=date(2026, 6, 1)
    )
    async with living(cloud_of(meter), tmp_path / "archive", JUNE, **FEW_DAYS) as service:
        await service.pass_time(days=4)
        assert len(events_in(log_lines.getvalue(), "zone.suspected")) == 1
        assert not is_complete(service.world, date(2026, 6, 15))
        old_rules.release("2026f")
        await service.pass_time(hours=3)
        assert len(events_in(log_lines.getvalue(), "zone.trusted")) == 1
        for day in days(date(2026, 6, 10), date(2026, 6, 15)):
            check_day(service.world.folder() / f"{day}.jsonl", day, meter, complete=True)
    assert len(events_in(log_lines.getvalue(), "zone.suspected")) == 1


@pytest.mark.parametrize("kind", ["status_503", "path_gone", "no_zone"])
async def test_a_change_that_the_cloud_does_not_return_keeps_nobody_from_work(
    kind: str, old_rules: ZoneData, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """It is requested again once an hour; the days themselves are collected meanwhile."""
    fault = Fault(kind, covers=(CHANGE,), until=JUNE + timedelta(hours=2))
    options: dict[str, Any] = {**FEW_DAYS, "retry": {"attempts": 1}}
    async with living(cloud_of(MEXICAN, fault=(fault,)), tmp_path / "archive", JUNE, **options) as service:
        await service.pass_time(minutes=55)
        assert is_complete(service.world, date(2026, 6, 11))
        assert requests_for(service, CHANGE) <= 2
        assert not events_in(log_lines.getvalue(), "source.unavailable")
        await service.pass_time(hours=3)
        assert len(events_in(log_lines.getvalue(), "zone.suspected")) == 1
        assert not is_complete(service.world, date(2026, 6, 11))
    assert old_rules


@pytest.mark.usefixtures("rare_looks")
@pytest.mark.parametrize(
    ("under_way", "late_minutes"),
    [
        pytest.param("partial", 0, marks=pytest.mark.slow),
        pytest.param("missing", 90, marks=pytest.mark.slow),
        ("partial", 8),
    ],
)
async def test_right_rules_are_not_suspected(
    under_way: Any, late_minutes: int, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """However old they are, and however the hour in progress is returned: it grows until it has ended."""
    (tmp_path / "archive").mkdir()
    device = Device(DEVICE, timezone=CHANGING, under_way=under_way, late_minutes=late_minutes)
    with zone_data(tmp_path / "zones", CHANGING):  # of a release that nothing tells
        start = datetime(2026, 3, 7, 12, 5, tzinfo=UTC)
        tables: dict[str, Any] = {"schedule": {"backfill_days": 2}}
        async with living(cloud_of(device), tmp_path / "archive", start, **tables) as service:
            await service.pass_time(days=2, hours=2)
            assert all(is_complete(service.world, day) for day in days(date(2026, 3, 5), CHANGE))
    names = {json.loads(line)["event"] for line in log_lines.getvalue().splitlines()}
    assert names.isdisjoint({"zone.suspected", "zone.trusted", "zone.unknown", "file.outdated"})
    assert zone_named(CHANGING)
