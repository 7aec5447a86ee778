"""The diagnosis against a simulated cloud: the result of each check, its requests, what it never shows."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.archive.files import FolderLock
from collector.archive.mark import Remembered
from collector.cli.starting import advice_on
from collector.collect import collector
from collector.doctor import diagnosis
from collector.doctor.bundle import bundle
from collector.doctor.checks import NAMES, Mark
from collector.doctor.diagnosis import Diagnosis, diagnose
from collector.doctor.probe import MOST_REQUESTS
from collector.errors import Rejected
from collector.overview import status_of
from collector.service import systemd
from collector.simulator import Account as CloudAccount
from collector.simulator import Device, Hole, Limit
from collector.status import (
    AccountStatus,
    Failure,
    MeterStatus,
    State,
    Status,
    read_status,
    status_file,
    write_status,
)
from collector.web.endpoint import health_of
from tests.support.archives import write_files
from tests.support.cloud_faults import KINDS
from tests.support.examining import FINE, NOW, PACED, START, a_status, beside, check, examined, with_service
from tests.support.faulty_cloud import Fault, Scenario
from tests.support.key_forms import AWKWARD_KEY as AWKWARD
from tests.support.scanner import assert_no_key_in
from tests.support.service_life import SHALLOW, living
from tests.support.world import DEVICE, KEY, cloud_of, mark_as, world
from tests.support.zone_data import zone_data

TRIPLE, SUN = "34987a45c1d0", "34987a45c1d1"


@pytest.fixture(autouse=True)
def no_time_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The cloud's clock alone is there to compare with; this machine is in Dublin."""
    monkeypatch.setattr(collector, "SYNCHRONIZED", tmp_path / "synchronized")


OF_ALL = [name for name in NAMES if name != "publish"]
"""The checks without those of targets, of which there are none."""


def marks(found: Diagnosis) -> dict[str, str]:
    return {each.name: each.mark.value for each in found.checks}


async def test_if_nothing_is_wrong_every_check_is_ok(tmp_path: Path) -> None:
    """Two requests, at the allowed pace, for yesterday; nothing is left in the archive."""
    async with beside(cloud_of(limit="strict"), tmp_path) as here:
        await here.backfill(4, pacing=PACED)
        before = sorted(here.archive.rglob("*"))
        here.cloud.reset()
        found = await examined(here)
        assert marks(found) == dict.fromkeys(OF_ALL, "ok") | {"service": "warn", "archive": "ok"}
        counts = here.cloud.counts.total
        assert (counts.requests, counts.rejections, found.requests) == (2, 0, 2)
        assert here.cloud.counts.days == {(DEVICE, "2026-06-19", "0"): 1, (DEVICE, "2026-06-19", "1"): 1}
        assert sorted(here.archive.rglob("*")) == before
    assert all(each.text.endswith(".") and not each.text.endswith("..") for each in found.checks)


@pytest.mark.parametrize(("accounts", "meters"), [(1, 12), (3, 5), (12, 1)])
async def test_never_more_than_eight_requests_however_many_meters(
    accounts: int, meters: int, tmp_path: Path
) -> None:
    """Each account gets a request before the second meter of any; the other meters are skipped."""
    clouds, configured = [], []
    for number in range(accounts):
        ids = [f"{number:06x}{meter:06x}" for meter in range(meters)]
        key = f"{KEY}{number}"
        devices = tuple(Device(each) for each in ids)
        clouds.append(CloudAccount(f"a{number}", key, devices, Limit("strict")))
        tables = [{"name": f"m{each}", "id": each} for each in ids]
        configured.append({"name": f"a{number}", "auth_key": key, "meter": tables})
    async with beside(Scenario(tuple(clouds), latency_s=0.5), tmp_path, accounts=configured) as here:
        found = await examined(here)
        counts = here.cloud.counts
        assert counts.total.requests == found.requests == MOST_REQUESTS == 8
        assert counts.total.rejections == 0
        assert counts.total.max_in_flight == 1
        assert (counts.total.smallest_idle_gap_s or 0) >= 1.05 - 1e-6
    of_devices = [each for each in found.checks if each.name == "device"]
    assert len(of_devices) == accounts * meters
    assert [each.mark for each in of_devices].count(Mark.OK) == 4
    assert all("at most 8 requests" in each.text for each in of_devices if each.mark is Mark.SKIP)
    assert len({each.of for each in found.checks if each.name == "key" and each.mark is Mark.OK}) == min(
        accounts, 4
    )


async def test_a_wrong_key_fails_and_is_sent_once(tmp_path: Path) -> None:
    """The host is fine; what needs the key is skipped, for all meters."""
    wrong = {"name": "home", "auth_key": "ANOTHER0KEY0OF0THE0TESTS"}
    wrong["meter"] = [{"name": f"m{number}", "id": DEVICE} for number in range(3)]  # type: ignore[assignment]
    async with beside(cloud_of(), tmp_path, accounts=[wrong]) as here:
        found = await examined(here)
        assert here.cloud.counts.total.requests == 1
    assert check(found, "key").mark is Mark.FAIL
    assert "app" in check(found, "key").cure
    assert check(found, "host").mark is Mark.OK
    assert {each.mark for each in found.checks if each.name in ("device", "kind")} == {Mark.SKIP}


async def test_an_unknown_device_does_not_hide_the_others(tmp_path: Path) -> None:
    """Its id is named; the account's other meter is requested."""
    meters = ({"name": "lost", "id": "34987a45c1dd"}, {"name": "house", "id": DEVICE})
    async with beside(cloud_of(), tmp_path, meters=meters) as here:
        found = await examined(here)
    assert check(found, "device", "lost").mark is Mark.FAIL
    assert "34987a45c1dd" in check(found, "device", "lost").text
    assert check(found, "device", "house").mark is Mark.OK
    assert check(found, "key").mark is Mark.OK


@pytest.mark.parametrize("looks", ["empty", "error", "nesting"])
@pytest.mark.parametrize(("real", "configured"), [("3em", "em"), ("em", "3em")])
async def test_a_wrong_kind_is_reported_as_far_as_it_can_be_known(
    real: str, configured: str, looks: str, tmp_path: Path
) -> None:
    """Nobody knows how the cloud answers then; an empty answer may mean other things and is a warning."""
    device = Device(DEVICE, kind=real, other_type=looks)  # type: ignore[arg-type]
    meters = ({"name": "house", "id": DEVICE, "kind": configured},)
    async with beside(cloud_of(device), tmp_path, meters=meters) as here:
        found = await examined(here)
    kind = check(found, "kind")
    assert kind.mark is (Mark.WARN if looks == "empty" else Mark.FAIL)
    assert f'Set kind = "{real}" if it is' in kind.cure


@pytest.mark.parametrize("configured", ["em", "3em"])
@pytest.mark.parametrize("before", ["empty", "missing"])
async def test_an_answer_without_an_hour_proves_no_kind(before: str, configured: str, tmp_path: Path) -> None:
    """Bug: rows that are all missing, and empty lists of phases, were called those of the kind."""
    device = Device(DEVICE, configured, installed_since=START.date(), before_install=before)  # type: ignore[arg-type]
    meters = ({"name": "house", "id": DEVICE, "kind": configured},)
    async with beside(cloud_of(device), tmp_path, meters=meters) as here:
        kind = check(await examined(here), "kind")
    assert kind.mark is Mark.WARN
    assert "The answer is that of kind" not in kind.text
    assert "Set kind" in kind.cure
    assert "online" in kind.cure


async def test_a_solar_clamp_without_an_hour_is_not_called_right(tmp_path: Path) -> None:
    """The grid's hours prove the kind, and nothing of the solar clamp."""
    hole = Hole(START.date() - timedelta(days=2), START.date() + timedelta(days=1), channel=1)
    async with beside(cloud_of(Device(DEVICE, hole=(hole,))), tmp_path) as here:
        kind = check(await examined(here), "kind")
    assert kind.mark is Mark.WARN
    assert "solar = false" in kind.cure


async def test_the_second_device_of_a_pair_is_checked_too(tmp_path: Path) -> None:
    """The solar 3EM is unknown: its id is the one that is named."""
    meters = ({"name": "house", "id": TRIPLE, "kind": "3em", "pv_id": SUN},)
    async with beside(cloud_of(Device(TRIPLE, kind="3em")), tmp_path, meters=meters) as here:
        found = await examined(here)
        assert here.cloud.counts.total.requests == 2
    assert check(found, "device").mark is Mark.FAIL
    assert SUN in check(found, "device").text


async def test_an_offline_meter_is_not_taken_for_one_of_another_kind(tmp_path: Path) -> None:
    """It has days stored: then an empty yesterday is about the meter's power or network."""
    async with beside(cloud_of(), tmp_path) as here:
        await here.backfill(3)
        here.cloud.play(cloud_of(Device(DEVICE, installed_since=START.date())))
        found = await examined(here)
    kind = check(found, "kind")
    assert kind.mark is Mark.WARN
    assert "powered" in kind.cure
    assert "kind =" not in kind.cure


async def test_another_zone_than_the_configured_one_is_a_warning(tmp_path: Path) -> None:
    """The zone in the meter's answer counts, and both are named."""
    meters = ({"name": "house", "id": DEVICE, "timezone": "America/New_York"},)
    async with beside(cloud_of(), tmp_path, meters=meters) as here:
        found = await examined(here)
    zone = check(found, "zone")
    assert zone.mark is Mark.WARN
    assert "Europe/Dublin" in zone.text
    assert "America/New_York" in zone.text


async def test_a_meter_that_moved_to_another_zone_is_a_warning(tmp_path: Path) -> None:
    """Its files so far are in the old one. The same zone under another name is none."""
    async with beside(cloud_of(), tmp_path) as here:
        await here.backfill(1)
        here.cloud.play(cloud_of(Device(DEVICE, timezone="Eire")))
        assert check(await examined(here), "zone").mark is Mark.OK
        here.cloud.play(cloud_of(Device(DEVICE, timezone="Europe/Athens")))
        zone = check(await examined(here), "zone")
    assert zone.mark is Mark.WARN
    assert "files so far say Europe/Dublin" in zone.text


async def test_a_machine_elsewhere_is_no_fault(tmp_path: Path) -> None:
    """A Pi on UTC is common and harmless: it is mentioned, without a warning."""
    async with beside(cloud_of(Device(DEVICE, timezone="Pacific/Auckland")), tmp_path) as here:
        zone = check(await examined(here), "zone")
    assert zone.mark is Mark.OK
    assert "this machine is in Europe/Dublin" in zone.text


async def test_swapped_clamps_are_reported_without_a_number(tmp_path: Path) -> None:
    """From stored days; and with the right channels nothing is odd."""
    meters = ({"name": "house", "id": DEVICE, "grid_channel": 1, "solar_channel": 0},)
    async with beside(cloud_of(), tmp_path, meters=meters) as here:
        first = await examined(here)
        await here.backfill(5)
        found = await examined(here)
    assert check(first, "clamps").mark is Mark.SKIP
    clamps = check(found, "clamps")
    assert clamps.mark is Mark.WARN
    assert "look swapped" in clamps.text
    assert "Swap grid_channel and solar_channel" in clamps.cure
    assert not any(char.isdigit() for char in clamps.text)


async def test_a_meter_without_solar_has_no_solar_to_doubt(tmp_path: Path) -> None:
    """`solar = false`: one request, and true zeros are no finding."""
    meters = ({"name": "house", "id": DEVICE, "solar": False},)
    async with beside(cloud_of(), tmp_path, meters=meters) as here:
        await here.backfill(9)
        here.cloud.reset()
        found = await examined(here)
        assert here.cloud.counts.total.requests == 1
    assert check(found, "clamps").mark is Mark.OK


async def test_another_program_on_the_account_is_reported(tmp_path: Path) -> None:
    """One rejection is enough: nothing here sends too fast. The request is sent once more."""
    fault = Fault("max_req", on_requests=(1,))
    async with beside(cloud_of(fault=(fault,)), tmp_path) as here:
        found = await examined(here)
        assert here.cloud.counts.total.requests == 3
    assert check(found, "pace").mark is Mark.WARN
    assert "another program" in check(found, "pace").text
    assert check(found, "key").mark is Mark.OK


async def test_a_zone_that_this_machine_does_not_know_is_named_with_its_cure(tmp_path: Path) -> None:
    """Bug: it read "the answer breaks the contract". With the setting it is a warning that names both."""
    device = Device(DEVICE, timezone="Europe/Kyiv", says_timezone="Europe/Kiev")
    for configured, mark in (({}, Mark.FAIL), ({"timezone": "Europe/Kyiv"}, Mark.WARN)):
        meters = ({"name": "house", "id": DEVICE, **configured},)
        with zone_data(tmp_path / "zones", "Europe/Dublin", "Europe/Kyiv"):
            async with beside(cloud_of(device), tmp_path / str(mark), meters=meters) as here:
                found = await examined(here)
        zone = check(found, "zone")
        assert (zone.mark, "Europe/Kiev" in zone.text) == (mark, True)
        assert "tzdata-legacy" in zone.cure
        assert check(found, "kind").mark is (Mark.SKIP if mark is Mark.FAIL else Mark.OK)


async def test_an_unknown_zone_of_stored_days_is_reported(tmp_path: Path) -> None:
    """Without the cloud, as after an upgrade. The service's status is as good."""
    device = Device(DEVICE, timezone="Europe/Kyiv")
    failure = Failure("zone.unknown", NOW, "Europe/Kiev is unknown")
    status = a_status(meters={"house": MeterStatus(State.GOOD, 1800, failure=failure)}, next_run_at=None)
    async with beside(cloud_of(device), tmp_path) as here:
        await here.backfill(2)
        with zone_data(tmp_path / "zones", "Europe/Dublin"):
            found = await diagnose(here.settings(), FINE, here.clock, {"TZ": "UTC"}, has_keys=False)
            assert check(found, "zone").mark is Mark.FAIL
            assert "Europe/Kyiv" in check(found, "zone").text
        write_status(status_file(here.archive, {}), status)
        lock = FolderLock(here.folder() / ".collector" / "lock")
        found = await diagnose(here.settings(), FINE, here.clock, {"TZ": "UTC"}, has_keys=False)
        lock.release()
    zone = check(found, "zone")
    assert (zone.mark, "Europe/Kiev is unknown" in zone.text) == (Mark.FAIL, True)


async def test_rules_that_an_answer_contradicts_are_reported_with_their_cure(tmp_path: Path) -> None:
    """By what came just now, and by what was noted: it is this machine that lacks something."""
    device = Device(DEVICE, timezone="Etc/GMT+6", says_timezone="America/Chicago")
    with zone_data(tmp_path / "zones", "Etc/GMT+6", "America/Chicago") as data:
        data.release("2025a")
        archive = tmp_path / "archive"
        archive.mkdir(parents=True)
        start = datetime(2026, 3, 9, 14, 30, tzinfo=UTC)  # the clocks were put forward yesterday, or were not
        async with world(cloud_of(device), archive, start) as here:
            found = await examined(here)
            assert check(found, "zone").mark is Mark.FAIL
            assert "America/Chicago" in check(found, "zone").text
            assert "tzdata" in check(found, "zone").cure
            assert check(found, "kind").mark is Mark.SKIP
            await here.backfill(2)
            found = await diagnose(here.settings(), FINE, here.clock, {"TZ": "UTC"}, has_keys=False)
            assert "daylight saving skips" in check(found, "zone").text
            data.put("America/Chicago", rules="Etc/GMT+6")
            data.restart()
            found = await diagnose(here.settings(), FINE, here.clock, {"TZ": "UTC"}, has_keys=False)
            assert check(found, "zone").mark is Mark.OK


@pytest.mark.parametrize(("release", "mark"), [("2023g", Mark.WARN), ("2024b", Mark.OK)])
async def test_rules_of_more_than_two_years_are_a_warning(release: str, mark: Mark, tmp_path: Path) -> None:
    """What was decided since they do not have; the release is named."""
    with zone_data(tmp_path / "zones", "Europe/Dublin") as data:
        data.release(release)
        async with beside(cloud_of(), tmp_path) as here:
            zone = check(await examined(here), "zone")
    assert zone.mark is mark
    assert (release in zone.text) is (mark is Mark.WARN)
    assert "apt" in zone.cure or mark is Mark.OK


@pytest.mark.parametrize("retry_after", [None, "3600", "nonsense"])
async def test_an_account_that_is_used_up_is_left_alone(retry_after: str | None, tmp_path: Path) -> None:
    """Two rejections, or one that asks for an hour: no more requests, and no long wait."""
    meters = tuple({"name": f"m{number}", "id": DEVICE} for number in range(3))
    fault = Fault("max_req", retry_after=retry_after)
    async with beside(cloud_of(fault=(fault,)), tmp_path, meters=meters) as here:
        began = asyncio.get_running_loop().time()
        found = await examined(here)
        assert here.cloud.counts.total.requests == (1 if retry_after == "3600" else 2)
        assert asyncio.get_running_loop().time() - began < 10
    assert check(found, "pace").mark is Mark.WARN
    assert check(found, "key").mark is Mark.SKIP


@pytest.mark.parametrize("off", [timedelta(minutes=10), timedelta(days=-3000)], ids=str)
async def test_a_clock_that_is_off_is_reported_with_its_seconds(off: timedelta, tmp_path: Path) -> None:
    """By the service's own rule."""
    async with beside(cloud_of(), tmp_path) as here:
        found = await examined(here, lambda: here.clock() + off)
    clock = check(found, "clock")
    assert clock.mark is Mark.FAIL
    assert f"{abs(off.total_seconds()):.0f} s {'ahead of' if off > timedelta(0) else 'behind'}" in clock.text
    assert "timedatectl" in clock.cure


async def test_the_date_of_a_page_that_is_not_the_clouds_does_not_count(tmp_path: Path) -> None:
    """A captive portal is a failure of the host, and its `Date` does not count."""
    scenario = cloud_of(fault=(Fault("maintenance"),), date_header="Thu, 01 Jan 1970 00:00:00 GMT")
    async with beside(scenario, tmp_path) as here:
        found = await examined(here)
        assert here.cloud.counts.total.requests == 1
    assert check(found, "host").mark is Mark.FAIL
    assert "captive portal" in check(found, "host").text
    assert check(found, "clock").mark is Mark.SKIP


async def test_without_keys_no_request_is_sent_and_the_rest_is_checked(tmp_path: Path) -> None:
    """For a user who may not read the key."""
    async with beside(cloud_of(), tmp_path) as here:
        await here.backfill(4)
        here.cloud.reset()
        found = await diagnose(here.settings(), FINE, here.clock, {"TZ": "UTC"}, has_keys=False)
        assert here.cloud.counts.total.requests == 0
    by_name = marks(found)
    assert [by_name[name] for name in ("host", "key", "pace", "device", "kind")] == ["skip"] * 5
    assert [by_name[name] for name in ("archive", "zone", "clamps")] == ["ok"] * 3


def in_trouble(event: str) -> dict[str, AccountStatus]:
    return {"home": AccountStatus(("house",), trouble=Failure(event, NOW - 60, "for some reason"))}


OTHER = "a8032abe41fc"
PAST = [START.date() - timedelta(days=number) for number in range(1, 9)]


async def test_a_service_whose_only_archive_is_refused_is_running(tmp_path: Path) -> None:
    """Bug: it has no lock, so `doctor` advised to start it, while `status` reported that it runs."""
    write_files(tmp_path / "house", Device(OTHER), PAST)
    shutil.rmtree(tmp_path / "house" / ".collector")
    async with living(cloud_of(Device(DEVICE), Device(OTHER)), tmp_path, START) as service:
        await service.pass_time(minutes=20)
        found = await examined(service.world)
        seen = status_of(service.world.settings().files, service.world.clock(), {})
        status = read_status(tmp_path, {})
    of_service = check(found, "service")
    assert (of_service.mark, "The service is running" in of_service.text) == (Mark.FAIL, True)
    assert "systemctl start" not in of_service.cure
    archive = check(found, "archive", "house")
    assert archive.mark is Mark.FAIL
    assert "not what the cloud has" in archive.text
    assert status is not None
    assert f"{archive.text} {archive.cure}" == f"{status.meters['house'].reason}."
    assert health_of(status)[1]["meters"]["house"]["reason"] == seen.meters["house"].reason
    assert seen.meters["house"].reason == status.meters["house"].reason
    assert seen.is_running


async def test_one_refused_archive_of_two_was_laid_on_another_configuration(tmp_path: Path) -> None:
    """Bug: a reload, which changes nothing, was the cure. The other meter is collected."""
    write_files(tmp_path / "house", Device(OTHER), PAST)
    stand = {"meters": ({"name": "house", "id": DEVICE}, {"name": "barn", "id": OTHER})}
    async with living(cloud_of(Device(DEVICE), Device(OTHER)), tmp_path, START, stand, **SHALLOW) as service:
        await service.pass_time(minutes=20)
        found = await examined(service.world)
    of_service = check(found, "service")
    assert of_service.mark is Mark.FAIL
    assert f"house: {tmp_path / 'house'} contains the history of" in of_service.text
    assert "reload" not in of_service.cure
    assert [each.of for each in found.checks if each.name == "archive"] == ["", "house"]
    assert check(found, "archive", "house").mark is Mark.FAIL


async def test_a_disk_that_is_gone_was_no_reason_of_a_service_that_does_not_run(tmp_path: Path) -> None:
    """Its own reason is passed on, in whole sentences."""
    archive, remembered = tmp_path / "archive", Remembered(tmp_path / "archives.json")
    archive.mkdir()
    remembered.add(archive / "house")
    async with living(cloud_of(), archive, START, remembered=remembered) as service:
        await service.pass_time(minutes=20)
        found = await examined(service.world)
    assert check(found, "service").mark is Mark.FAIL
    of_house = check(found, "archive", "house")
    assert (of_house.mark, of_house.text[-12:]) == (Mark.FAIL, "not mounted.")
    assert of_house.cure.startswith("Mount it")


async def test_a_service_that_was_killed_is_not_running(tmp_path: Path) -> None:
    """Its process number may be another process's by now: a run that was due long ago shows it."""
    async with beside(cloud_of(), tmp_path) as here:
        write_status(status_file(here.archive, {}), a_status(next_run_at=NOW - 601))
        of_service = check(await examined(here), "service")
    assert (of_service.mark, "its last status is 5 min old" in of_service.text) == (Mark.WARN, True)


async def test_day_files_without_a_mark_were_called_an_archive_like_any(tmp_path: Path) -> None:
    """Bug: all was ok, and every backfill ended with 73. Only the cloud shows whose they are."""
    async with beside(cloud_of(), tmp_path) as here:
        write_files(here.folder(), Device(OTHER), PAST)
        shutil.rmtree(here.folder() / ".collector")
        archive = check(await examined(here), "archive", "house")
    assert archive.mark is Mark.WARN
    assert "not compared with the cloud yet; backfill or the service does so first" in archive.text
    assert "--adopt" in archive.cure


async def test_a_foreign_mark_has_the_same_sentence_in_status(tmp_path: Path) -> None:
    """With no service, too."""
    async with beside(cloud_of(), tmp_path) as here:
        write_files(here.folder(), Device(OTHER), PAST)
        archive = check(await examined(here), "archive", "house")
        seen = status_of(here.settings().files, here.clock(), {}).meters["house"]
    assert archive.mark is Mark.FAIL
    assert f"{archive.text} {archive.cure}" == f"{seen.reason}."


@pytest.mark.parametrize("what", ["mark", "folder"])
async def test_a_mark_that_cannot_be_read_was_passed_over(what: str, tmp_path: Path) -> None:
    """Bug: ten checks were ok. A link that leads to itself is one that no user can read."""
    async with beside(cloud_of(), tmp_path) as here:
        mark_as(here.folder(), DEVICE)
        place = here.folder() if what == "folder" else here.folder() / ".collector" / "archive.json"
        shutil.rmtree(place) if what == "folder" else place.unlink()
        place.symlink_to(place)
        found = await examined(here)
    archive = check(found, "archive", "house")
    assert archive.mark is Mark.FAIL
    assert "archive.json cannot be read: Too many levels" in archive.text
    assert "move it away" in archive.cure or "moved away" in archive.cure
    assert check(found, "service").mark is Mark.WARN


async def test_a_disk_that_is_not_mounted_was_an_archive_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service remembers that an archive was there; so does the doctor."""
    async with beside(cloud_of(), tmp_path) as here:
        remembered = Remembered(tmp_path / "archives.json")
        remembered.add(here.folder())
        monkeypatch.setattr(diagnosis, "remembered_for_others", lambda archive, environ: remembered)
        archive = check(await examined(here), "archive", "house")
        assert archive.mark is Mark.FAIL
        assert "perhaps its disk is not mounted" in archive.text
        mark_as(here.folder(), DEVICE)
        assert {each.of for each in (await examined(here)).checks if each.name == "archive"} == {""}


async def test_beside_an_idle_service_requests_are_sent(tmp_path: Path) -> None:
    """Its next run is far enough away."""
    async with with_service(tmp_path, a_status()) as here:
        found = await examined(here)
        assert here.cloud.counts.total.requests == 2
    assert marks(found) == dict.fromkeys(OF_ALL, "ok")
    assert "30 requests and 0 rate-limit pauses today" in check(found, "pace").text


@pytest.mark.parametrize(
    "status",
    [a_status(jobs=1), a_status(next_run_at=NOW + 20), a_status(next_run_at=None)],
    ids=["at work", "about to", "no plan"],
)
async def test_beside_a_busy_service_no_request_is_sent_and_its_status_counts(
    status: Status, tmp_path: Path
) -> None:
    """Its last answer is recent: host, key, device and kind are as good as requested."""
    async with with_service(tmp_path, status) as here:
        found = await examined(here)
        assert here.cloud.counts.total.requests == 0
    assert marks(found) == dict.fromkeys(OF_ALL, "ok")
    assert "last successful request of the service: 10 min ago" in check(found, "key").text


async def test_a_service_that_had_no_hour_yet_proves_no_kind(tmp_path: Path) -> None:
    """Bug: its last answer was recent, and empty like all before; the kind was called right."""
    meters = {"house": MeterStatus(State.STARTING, None, answered_at=NOW - 600)}
    async with with_service(tmp_path, a_status(jobs=1, meters=meters)) as here:
        found = await examined(here)
    assert check(found, "kind").mark is Mark.WARN
    assert "Set kind" in check(found, "kind").cure
    assert check(found, "device").mark is Mark.OK


@pytest.mark.parametrize("status", [None, a_status(pid=2**22 + 1)], ids=["silent", "of a dead process"])
async def test_beside_a_collector_without_a_status_no_request_is_sent(
    status: Status | None, tmp_path: Path
) -> None:
    """A backfill by hand, or a service that is starting."""
    async with with_service(tmp_path, status) as here:
        found = await examined(here)
        assert here.cloud.counts.total.requests == 0
    assert check(found, "host").mark is Mark.SKIP
    assert "a collector is working" in check(found, "host").text
    assert check(found, "service").mark is Mark.OK


async def test_a_service_whose_run_begins_meanwhile_is_not_disturbed(tmp_path: Path) -> None:
    """Checked before each request: the second one is not sent."""
    async with with_service(tmp_path, a_status(next_run_at=NOW + 46)) as here:
        found = await examined(here)
        assert here.cloud.counts.total.requests == 1
    assert "next run" in check(found, "device").text


@pytest.mark.parametrize(
    ("event", "name"),
    [("source.unavailable", "host"), ("key.refused", "key"), ("clock.untrusted", "clock")],
)
async def test_a_services_trouble_is_reported_by_the_check_it_belongs_to(
    event: str, name: str, tmp_path: Path
) -> None:
    """And as what the service waits for."""
    meters = {"house": MeterStatus(State.GOOD, 90000, answered_at=NOW - 90000)}
    status = a_status(accounts=in_trouble(event), meters=meters)
    async with with_service(tmp_path, status) as here:
        found = await examined(here)
        assert here.cloud.counts.total.requests == 0
    assert check(found, name).mark is Mark.FAIL
    assert check(found, "service").mark is Mark.WARN
    assert "it is waiting: home: for some reason" in check(found, "service").text


@pytest.mark.parametrize(("event", "name"), [("device.unknown", "device"), ("answer.rejected", "kind")])
@pytest.mark.parametrize(("ago", "mark"), [(60, Mark.FAIL), (6000, Mark.OK)], ids=["now", "over"])
async def test_a_meters_failure_is_reported_unless_it_is_over(
    event: str, name: str, ago: int, mark: Mark, tmp_path: Path
) -> None:
    """It is over once the cloud has answered since."""
    meter = MeterStatus(
        State.GOOD,
        1800,
        newest_hour=NOW - 5400,
        answered_at=NOW - 600,
        failure=Failure(event, NOW - ago, "no such thing"),
    )
    async with with_service(tmp_path, a_status(jobs=2, meters={"house": meter})) as here:
        found = await examined(here)
    assert check(found, name).mark is mark


async def test_a_service_that_does_not_collect_fails(tmp_path: Path) -> None:
    """Its own state, with its reason; and one that missed its run."""
    meters = {"house": MeterStatus(State.BROKEN, 200000, "nothing was collected for hours")}
    sick = a_status(state=State.BROKEN, age_s=200000, meters=meters)
    async with with_service(tmp_path, sick) as here:
        service = check(await examined(here), "service")
    assert service.mark is Mark.FAIL
    assert "broken, newest hour 2 days old. house: nothing was collected" in service.text
    shutil.rmtree(tmp_path / "archive")
    async with with_service(tmp_path, a_status(next_run_at=NOW - 3600)) as here:
        service = check(await examined(here), "service")
    assert service.mark is Mark.FAIL
    assert "missed its scheduled run" in service.text


async def test_many_rejections_of_the_service_are_reported(tmp_path: Path) -> None:
    """Another program has the account all day."""
    busy = {"home": AccountStatus(("house",), requests_today=400, holds_today=60)}
    async with with_service(tmp_path, a_status(jobs=1, accounts=busy)) as here:
        pace = check(await examined(here), "pace")
    assert pace.mark is Mark.WARN
    assert "60 times in 400 requests" in pace.text


async def test_an_account_that_was_always_rejected_was_called_the_services_own(tmp_path: Path) -> None:
    """Bug: "ok pace … 5 requests and 5 rejections today"; held off for an hour each time, it is never ten."""
    for requests, holds, mark in ((5, 5, Mark.WARN), (6, 3, Mark.WARN), (2, 2, Mark.OK), (9, 4, Mark.OK)):
        held = {"home": AccountStatus(("house",), requests_today=requests, holds_today=holds)}
        async with with_service(tmp_path, a_status(jobs=1, accounts=held)) as here:
            pace = check(await examined(here), "pace")
        assert pace.mark is mark
        shutil.rmtree(tmp_path / "archive")


async def test_a_service_on_a_part_of_the_meters_is_reported(tmp_path: Path) -> None:
    """It runs with an older configuration."""
    meters = ({"name": "house", "id": DEVICE}, {"name": "barn", "id": DEVICE})
    async with with_service(tmp_path, a_status(), meters=meters) as here:
        service = check(await examined(here), "service")
    assert service.mark is Mark.WARN
    assert "not on barn" in service.text


@pytest.mark.parametrize("kind", KINDS)
async def test_no_failure_shows_the_key_in_checks_or_bundle(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every fault of the simulated cloud, with an awkward key that is in the environment, too."""
    retry = {"timeout_s": 2}
    slug = "a-name-of-the-check-that-is-longer-than-its-key"
    health = {
        "ping_url": f"https://hc-ping.com/{'0c1f' * 6}/{slug}",
        "on_change": ["/bin/tell", "mother-of-x"],
    }
    async with beside(cloud_of(Device(DEVICE), key=AWKWARD, fault=(Fault(kind),)), tmp_path) as here:
        settings = here.settings(retry=retry, health=health)
        quarantine = here.folder() / ".collector" / "quarantine"
        quarantine.mkdir(parents=True)
        (quarantine / f"2026-01-01.jsonl.{'0c1f' * 6}").touch()
        (here.folder() / ".collector" / "ledger.jsonl").write_text(f'{{"reason": "{AWKWARD}"}}\n')
        environ = {"TZ": "UTC", "SHELLY_COLLECTOR_AUTH_KEY": AWKWARD}
        leaky = FINE._replace(text=f"It says auth_key={AWKWARD}.")
        found = await diagnose(settings, leaky, here.clock, environ, has_keys=True)
        report = bundle(settings, found, here.clock(), environ)
        assert here.cloud.counts.total.requests <= MOST_REQUESTS
        assert here.cloud.counts.trap_hits == 0
    out, err = capfd.readouterr()
    for text in (report, repr(found), out, err):
        assert_no_key_in(text.encode())
        assert "0c1f0c1f" not in text
    assert "mother" not in report
    assert DEVICE not in report
    assert DEVICE[-4:] in report
    assert {each.name for each in found.checks} == set(OF_ALL)


async def test_an_archive_that_the_unit_keeps_the_service_from_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: root can write there, and the service ended with exit 73. Not while it shows that it can."""
    (tmp_path / systemd.UNIT).write_text("[Service]\nProtectSystem=strict\n")
    (tmp_path / "config.toml").touch()
    monkeypatch.setattr(systemd, "PLACES", (tmp_path,))
    monkeypatch.setattr(systemd, "CONFIGURATION", tmp_path / "config.toml")
    async with beside(cloud_of(), tmp_path) as here:
        await here.backfill(1)
        settings = replace(here.settings(), source=tmp_path / "config.toml")
        for mark in (Mark.FAIL, Mark.OK):
            found = check(await diagnose(settings, FINE, here.clock, {}, has_keys=False), "archive")
            assert found.mark is mark
            assert (f"ReadWritePaths={here.archive};" in found.cure) is (mark is Mark.FAIL)
            if mark is Mark.FAIL:
                lock = FolderLock(here.folder() / ".collector" / "lock")
        lock.release()


async def test_the_bundle_describes_the_archive_and_contains_no_energy(tmp_path: Path) -> None:
    """Versions, files by number, quarantine, the ledger's end; not one value of any hour."""
    async with beside(cloud_of(), tmp_path) as here:
        await here.backfill(4)
        values = {
            line.split(f'"{column}": ')[1].split(",")[0]
            for path in here.folder().glob("*.jsonl")
            for line in path.read_text().splitlines()
            for column in ("import", "export", "solar", "consumed")
        } - {"0.0000"}
        (here.folder() / "2026-06-17.jsonl").write_text("damaged\n")
        await here.backfill(4)
        settings = here.settings()
        text = bundle(settings, await examined(here), here.clock(), {})
    assert len(values) > 50
    assert not [value for value in values if value in text]
    assert "5 files" in text
    assert "first 2026-06-16, last 2026-06-20" in text
    assert "1 file in quarantine:\n  2026-06-17.jsonl.1" in text
    assert '"zone": "Europe/Dublin"' in text
    assert "aiohttp " in text
    assert "ok  configuration: It is valid." in text


@pytest.mark.parametrize("kind", ["path_gone", "forbidden_403"])
async def test_a_path_that_is_gone_had_three_different_cures(kind: str, tmp_path: Path) -> None:
    """Bug: `doctor` advised to check the connection, `backfill` and `status` something else."""
    wanted = "update the collector"
    async with beside(cloud_of(fault=(Fault(kind),)), tmp_path) as here:
        found = await examined(here)
        report = await here.backfill(2)
    assert isinstance(report.gave_up, Rejected)
    failure = Failure("source.unavailable", NOW, report.gave_up.reason, report.gave_up.cure)
    down = {"home": AccountStatus(("house",), trouble=failure)}
    async with with_service(tmp_path / "held", a_status(jobs=1, accounts=down)) as here:
        beside_service = check(await examined(here), "host")
    for cure in (
        check(found, "host").cure,
        check(found, "kind").cure,
        beside_service.cure,
        advice_on(report.gave_up),
        report.gave_up.cure,
    ):
        assert all(word in cure for word in ("host, id and kind", wanted))
        assert "online" not in cure
