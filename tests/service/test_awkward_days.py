"""Numbers: the days that other tools get wrong."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from collector.energy.history import Outcome
from collector.simulator import Device, Hole, Revision, Shrink
from tests.support.faulty_cloud import Fault
from tests.support.world import DEVICE, World, check_day, cloud_of, hours_of_day, kwh, records_of, world

SPRING, AUTUMN = date(2026, 3, 29), date(2025, 10, 26)  # Europe/Dublin and Europe/Berlin
AFTER_SPRING = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
AFTER_AUTUMN = datetime(2025, 10, 28, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("spring", ["missing", "nulls", "absent", "zeros"])
async def test_the_skipped_hour_is_no_hole(spring: str, tmp_path: Path) -> None:
    """However the placeholder comes, the day has 23 hours and is complete."""
    device = Device(DEVICE, spring=spring)  # type: ignore[arg-type]
    async with world(cloud_of(device), tmp_path, AFTER_SPRING) as here:
        await here.backfill(4)
        assert check_day(here.folder() / f"{SPRING}.jsonl", SPRING, device, complete=True) == 23


async def test_the_repeated_hour_is_kept_twice(tmp_path: Path) -> None:
    """A fall-back day has 25 records, the repeated local hour twice, each with its own energy."""
    device = Device(DEVICE)
    async with world(cloud_of(device), tmp_path, AFTER_AUTUMN) as here:
        await here.backfill(3)
        path = here.folder() / f"{AUTUMN}.jsonl"
        assert check_day(path, AUTUMN, device, complete=True) == 25
        assert [record["hour"] for record in records_of(path)][:4] == [0, 1, 1, 2]


async def test_the_repeated_hour_can_be_merged_for_readers_of_local_time(tmp_path: Path) -> None:
    """`repeated_hour = "merge"`: 24 records, the two hours added on the first `ts`, and complete."""
    device = Device(DEVICE)
    async with world(cloud_of(device), tmp_path, AFTER_AUTUMN) as here:
        await here.backfill(3, archive={"repeated_hour": "merge"})
        records = records_of(here.folder() / f"{AUTUMN}.jsonl")
        hours = hours_of_day(AUTUMN, device.timezone)
        assert [record["ts"] for record in records] == [*hours[:2], *hours[3:]]
        both = device.energy(0, hours[1]).consumption + device.energy(0, hours[2]).consumption
        assert records[1]["import"] == kwh(both)
        assert "partial" not in records[0]


async def test_one_row_for_a_repeated_hour_is_kept_as_partial_and_reported(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """24 rows on a day of 25 hours: nobody can tell what the one row holds, so the day is not complete."""
    device = Device(DEVICE, autumn="fat")
    async with world(cloud_of(device), tmp_path, AFTER_AUTUMN) as here:
        await here.backfill(3)
        records = records_of(here.folder() / f"{AUTUMN}.jsonl")
        assert len(records) == 24
        assert all(record["partial"] for record in records)
        day_total = sum(device.energy(0, ts).consumption for ts in hours_of_day(AUTUMN, device.timezone))
        assert abs(sum(record["import"] for record in records) - kwh(Decimal(day_total))) <= Decimal("0.002")
        assert '"day.doubtful"' in log_lines.getvalue()


async def test_a_complete_day_is_not_spoilt_by_one_row_for_a_repeated_hour_later(tmp_path: Path) -> None:
    """Once both hours are stored, a row that may hold both changes nothing and adds nothing."""
    device = Device(DEVICE)
    async with world(cloud_of(device), tmp_path, AFTER_AUTUMN - timedelta(days=1)) as here:
        await here.backfill(2)
        path = here.folder() / f"{AUTUMN}.jsonl"
        here.cloud.play(cloud_of(Device(DEVICE, autumn="fat")))
        for hole in (1, 2, 5):
            before = {record["ts"]: record["import"] for record in records_of(path)}
            dropped = list(before)[hole]
            drop_hours(path, hole)
            await here.backfill(2)
            after = {record["ts"]: record["import"] for record in records_of(path)}
            if hole == 5:  # not a repeated hour: it comes back
                assert after == before
            elif hole == 1:  # the second one is stored: what may hold both stays out
                assert dropped not in after
            assert sum(after.values()) <= sum(before.values())
            await restore(here)


async def test_tariff_parts_add_up(tmp_path: Path) -> None:
    """A time-of-use account tells each hour in parts; together they are the hour, also when it repeats."""
    device = Device(DEVICE, tariffs=3)
    async with world(cloud_of(device), tmp_path, AFTER_AUTUMN) as here:
        await here.backfill(3)
        assert check_day(here.folder() / f"{AUTUMN}.jsonl", AUTUMN, device, complete=True) == 25


async def test_a_part_that_may_be_a_copy_is_never_added_silently(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Tariff 0 beside others: a copy is recognised; what may be a rest is left out and reported."""
    device = Device(DEVICE, tariffs=2, tariff_zero="copy")
    async with world(cloud_of(device), tmp_path / "copy", AFTER_SPRING) as here:
        await here.backfill(4)
        check_day(here.folder() / f"{SPRING}.jsonl", SPRING, device, complete=True)
    device = Device(DEVICE, tariffs=2, tariff_zero="rest")
    async with world(cloud_of(device), tmp_path / "rest", AFTER_SPRING) as here:
        await here.backfill(4)
        path = here.folder() / f"{SPRING}.jsonl"
        for record in records_of(path) if path.exists() else []:
            assert record["import"] in (kwh(device.energy(0, record["ts"]).consumption), Decimal(0))
        assert '"answer.anomaly"' in log_lines.getvalue()


@pytest.mark.parametrize("kind", ["negative", "absurd_value"])
async def test_an_hour_that_cannot_be_is_left_out_and_reported_and_had_later(
    kind: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: one such number cost the other 23 hours. The day is partial, and requested again."""
    device, fault = Device(DEVICE), Fault(kind, covers=(DAY,), channel=0)
    async with world(cloud_of(device, fault=(fault,)), tmp_path, AFTER_SPRING) as here:
        await here.backfill(12)
        path = here.folder() / f"{DAY}.jsonl"
        records = records_of(path)
        assert len(records) == 23
        assert all(record["partial"] for record in records)
        assert all(record["import"] == kwh(device.energy(0, record["ts"]).consumption) for record in records)
        (line,) = [line for line in log_lines.getvalue().splitlines() if '"answer.anomaly"' in line]
        event = json.loads(line)
        assert (event["day"], event["field"], event["hours"]) == (str(DAY), "consumption", 1)
        assert event["reason"]
        here.cloud.play(cloud_of(device))
        await here.backfill(12)
        assert check_day(path, DAY, device, complete=True) == 24


async def test_an_hour_that_cannot_be_on_both_channels_was_counted_twice(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Bug: `hours` were readings, two for one hour."""
    fault = Fault("negative", covers=(DAY,), times=4)
    async with world(cloud_of(Device(DEVICE), fault=(fault,)), tmp_path, AFTER_SPRING) as here:
        await here.backfill(12)
        assert len(records_of(here.folder() / f"{DAY}.jsonl")) == 23
    (line,) = [line for line in log_lines.getvalue().splitlines() if '"answer.anomaly"' in line]
    assert json.loads(line)["hours"] == 1


DAY = date(2026, 3, 20)
HOLE = (datetime(2026, 3, 20, 6), datetime(2026, 3, 20, 9))  # local


@pytest.mark.parametrize("channel", [0, 1, None])
async def test_a_hole_is_never_a_zero_and_heals(channel: int | None, tmp_path: Path) -> None:
    """A hole on the grid clamp leaves the hours out; on the solar clamp only its columns. It heals."""
    heals = datetime(2026, 3, 22, tzinfo=UTC)
    device = Device(DEVICE, hole=(Hole(*HOLE, channel=channel, heals_at=heals),))
    async with world(cloud_of(device), tmp_path, datetime(2026, 3, 21, 9, 30, tzinfo=UTC)) as here:
        await here.backfill(3)
        path = here.folder() / f"{DAY}.jsonl"
        records = records_of(path)
        assert all(record["partial"] for record in records)
        in_hole = [record for record in records if 6 <= record["hour"] < 9]
        if channel == 1:
            assert len(records) == 24
            assert all(not {"solar", "consumed", "solar_consumed"} & record.keys() for record in in_hole)
        else:
            assert len(records) == 21
            assert not in_hole
        here.clock = lambda: heals + timedelta(hours=1)
        here.cloud.set_clock(heals + timedelta(hours=1))
        await here.backfill(3)
        assert check_day(path, DAY, device, complete=True) == 24


async def test_an_answer_that_shrinks_takes_nothing_away(tmp_path: Path) -> None:
    """What is stored stays, whatever the cloud forgets."""
    start = datetime(2026, 3, 21, 9, 30, tzinfo=UTC)
    whole = Device(DEVICE, hole=(Hole(datetime(2026, 3, 20, 23), datetime(2026, 3, 21)),))
    async with world(cloud_of(whole), tmp_path, start) as here:
        await here.backfill(3)
        path = here.folder() / f"{DAY}.jsonl"
        before = path.read_bytes()
        assert len(records_of(path)) == 23
        for rows in (5, 0):
            here.cloud.play(cloud_of(Device(DEVICE, shrink=(Shrink(start, DAY, date(2026, 3, 21), rows),))))
            report = await here.backfill(3)
            assert path.read_bytes() == before
            assert report.counts[Outcome.FAILED] == 0


async def test_a_revised_value_wins_once_and_is_reported(tmp_path: Path, log_lines: io.StringIO) -> None:
    """The newer value replaces the older one, with one event that tells both."""
    start = datetime(2026, 3, 20, 20, 30, tzinfo=UTC)
    at = start + timedelta(hours=1)
    change = Revision(at, datetime(2026, 3, 20, 7), datetime(2026, 3, 20, 8), channel=0)
    device = Device(DEVICE, revision=(change,))
    async with world(cloud_of(device), tmp_path, start) as here:
        await here.backfill(0)
        here.clock = lambda: at
        here.cloud.set_clock(at)
        await here.backfill(0)
        await here.backfill(0)
        record = records_of(here.folder() / f"{DAY}.jsonl")[7]
        assert record["import"] == kwh(device.energy(0, record["ts"]).consumption + 10)
        assert log_lines.getvalue().count('"hour.revised"') == 1


async def test_today_holds_the_hours_that_are_over_and_no_other(tmp_path: Path) -> None:
    """Future hours, the hour in progress even with a value, and a late last hour are not written."""
    now = datetime(2026, 3, 20, 14, 5, tzinfo=UTC)
    device = Device(DEVICE, under_way="partial", late_minutes=8)
    async with world(cloud_of(device), tmp_path, now) as here:
        await here.backfill(0)
        path = here.folder() / f"{DAY}.jsonl"
        assert [record["hour"] for record in records_of(path)] == list(range(13))
        later = now + timedelta(minutes=7)
        here.clock = lambda: later
        here.cloud.set_clock(later)
        await here.backfill(0)
        assert [record["hour"] for record in records_of(path)] == list(range(14))


PAIR = (Device("34987a45c1d0", kind="3em"), Device("34987a45c1d1", kind="3em", counts="solar"))


async def test_a_pair_of_three_phase_meters_is_grid_and_sun(tmp_path: Path) -> None:
    """The grid device's `sum` is import and export, the PV device's is solar; scaled, and discarded."""
    meter = {
        "name": "house", "id": PAIR[0].id, "kind": "3em", "pv_id": PAIR[1].id,
        "grid_scale_factor": 3, "pv_kwh_discard": 0.011,
    }  # fmt: skip
    async with world(cloud_of(*PAIR), tmp_path, AFTER_AUTUMN, meters=(meter,)) as here:
        await here.backfill(3)
        await check_three_phase(here, factor=3, discard=Decimal("0.011"))


async def test_a_three_phase_meter_without_a_partner_has_true_zeros_for_the_sun(tmp_path: Path) -> None:
    """No solar device: the solar columns are there, and zero."""
    meter = {"name": "house", "id": PAIR[0].id, "kind": "3em"}
    async with world(cloud_of(*PAIR), tmp_path, AFTER_AUTUMN, meters=(meter,)) as here:
        await here.backfill(3)
        await check_three_phase(here, factor=1, discard=None)


async def check_three_phase(here: World, factor: int, discard: Decimal | None) -> None:
    """Compares the fall-back day with the truth of both devices."""
    records = records_of(here.folder() / f"{AUTUMN}.jsonl")
    assert [record["ts"] for record in records] == hours_of_day(AUTUMN, "Europe/Dublin")
    for record in records:
        grid, sun = (device.total(record["ts"]) for device in PAIR)
        assert record["import"] == kwh(grid.consumption * factor)
        assert record["export"] == kwh(grid.reversed * factor)
        solar = Decimal(0) if discard is None else max(Decimal(0), sun.consumption - discard * 1000)
        assert record["solar"] == kwh(solar)
        assert "partial" not in record


async def test_no_solar_clamp_means_true_zeros(tmp_path: Path) -> None:
    """`solar = false`: one request a day, the solar columns zero, the day complete."""
    meter = {"name": "house", "id": DEVICE, "solar": False}
    async with world(cloud_of(Device(DEVICE)), tmp_path, AFTER_SPRING, meters=(meter,)) as here:
        report = await here.backfill(4)
        assert report.requests == 5
        records = records_of(here.folder() / f"{SPRING}.jsonl")
        assert all(record["solar"] == 0 and "partial" not in record for record in records)


@pytest.mark.parametrize("decimals", [4, 5, 6])
async def test_decimals_are_as_configured(decimals: int, tmp_path: Path) -> None:
    """Rounded half to even, in decimal arithmetic, with a fixed number of places."""
    device = Device(DEVICE)
    async with world(cloud_of(device), tmp_path, AFTER_SPRING) as here:
        await here.backfill(4, archive={"decimals": decimals})
        path = here.folder() / f"{SPRING}.jsonl"
        check_day(path, SPRING, device, complete=True, decimals=decimals)
        assert len(path.read_text().split('"import": ')[1].split(",")[0].split(".")[1]) == decimals


async def restore(here: World) -> None:
    """The whole day again, from a cloud with both hours; then with one row again."""
    here.cloud.play(cloud_of(Device(DEVICE)))
    await here.backfill(2)
    here.cloud.play(cloud_of(Device(DEVICE, autumn="fat")))


def drop_hours(path: Path, *places: int) -> None:
    """Makes holes in a file, as a partial day would have them."""
    lines = [line for number, line in enumerate(path.read_text().splitlines()) if number not in places]
    marked = [line if '"partial"' in line else line[:-1] + ', "partial": true}' for line in lines]
    path.write_text("\n".join(marked) + "\n")
