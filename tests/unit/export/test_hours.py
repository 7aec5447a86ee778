"""What every export reads: which days and hours, with which values, and what is left out and counted."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from collector.cloud.meters import Kind
from collector.errors import ArchiveRefused
from collector.export.hours import Finding, MeterHours
from collector.overview import MeterFiles
from tests.support.archives import files_of, older_file
from tests.support.energy_days import AUTUMN, BERLIN, LONDON, ORDINARY, SPRING, filled, reading
from tests.support.exported import hours_of, store
from tests.support.world import mark_as

DAY = timedelta(days=1)


def meter(folder: Path, **more: Any) -> MeterFiles:
    return files_of(folder, timezone="Europe/Berlin", **more).meters[0]


def test_the_hours_of_all_days_come_in_order_with_their_files_own_decimals(tmp_path: Path) -> None:
    store(tmp_path / "house", [filled(ORDINARY + DAY), filled(ORDINARY)])
    read = hours_of(meter(tmp_path / "house"))
    hours = list(read.hours())
    starts = [hour.start for hour in hours]
    assert starts == sorted(starts)
    assert len(hours) == 48
    assert [str(value) for value in hours[1][3:]] == ["1.1230", "0.2500", "0.0100", "0.0000", "1.1230"]
    assert [str(value) for value in hours[47][3:]] == ["23.1230", "0.2500", "0.2300", "0.0000", "23.1230"]
    assert (read.tally.hours, read.tally.days, read.tally.incomplete) == (48, 2, 0)


def test_only_the_days_of_the_range_are_read_its_ends_included(tmp_path: Path) -> None:
    store(tmp_path / "house", [filled(ORDINARY + DAY * number) for number in range(5)])
    read = hours_of(meter(tmp_path / "house"), ORDINARY + DAY, ORDINARY + DAY * 3)
    days = sorted({hour.local.date() for hour in read.hours()})
    assert days == [ORDINARY + DAY * number for number in (1, 2, 3)]


def test_a_missing_hour_is_no_hour_and_its_day_counts_as_incomplete(tmp_path: Path) -> None:
    """Never a zero."""
    store(tmp_path / "house", [filled(without=[7, 8])])
    read = hours_of(meter(tmp_path / "house"))
    assert [hour.local.hour for hour in read.hours()] == [*range(7), *range(9, 24)]
    assert (read.tally.hours, read.tally.incomplete) == (22, 1)


def test_where_only_solar_is_missing_it_and_what_follows_from_it_are_not_known(tmp_path: Path) -> None:
    store(tmp_path / "house", [filled(each=reading("1.5000", "0.2500", None))])
    read = hours_of(meter(tmp_path / "house"))
    assert {hour[3:] for hour in read.hours()} == {(Decimal("1.5"), Decimal("0.25"), None, None, None)}
    assert read.tally.incomplete == 1


def test_a_meter_without_solar_has_none_and_consumes_what_it_imports(tmp_path: Path) -> None:
    """The zeros in its files are no measurements, as in `report`."""
    store(tmp_path / "house", [filled(each=reading("1.5000", "0.2500", "0.0000"))])
    one, three = meter(tmp_path / "house", solar=False), meter(tmp_path / "house", kind=Kind.EM3)
    for files in (one, three):
        values = {hour[3:] for hour in hours_of(files).hours()}
        assert values == {(Decimal("1.5"), Decimal("0.25"), None, None, Decimal("1.5"))}


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25), (ORDINARY, 24)])
def test_a_day_has_the_hours_that_the_clocks_leave_it(tmp_path: Path, day: date, hours: int) -> None:
    """Each hour ends where the next one begins."""
    store(tmp_path / "house", [filled(day)])
    found = list(hours_of(meter(tmp_path / "house")).hours())
    assert len(found) == hours
    assert [hour.end for hour in found[:-1]] == [hour.start for hour in found[1:]]
    assert all(hour.local.astimezone(UTC).timestamp() == hour.start for hour in found)


def test_two_hours_that_were_merged_are_one_of_two_hours(tmp_path: Path) -> None:
    files = files_of(tmp_path / "house", merge=True, timezone="Europe/Berlin").meters[0]
    store(tmp_path / "house", [filled(AUTUMN).merge_repeated_hours()])
    found = list(hours_of(files).hours())
    assert len(found) == 24
    assert [hour.end - hour.start for hour in found] == [3600, 3600, 7200, *[3600] * 21]


def test_more_decimals_than_six_are_rounded_as_in_report(tmp_path: Path) -> None:
    folder = tmp_path / "house"
    folder.mkdir()
    columns = {"import": 1.23456789, "export": 0.25, "solar": 0.75}
    (folder / f"{ORDINARY}.jsonl").write_bytes(older_file(lambda label: columns))
    assert {str(hour.import_kwh) for hour in hours_of(meter(folder)).hours()} == {"1.234568"}


def test_zeros_that_the_older_utility_filled_in_are_no_hours(tmp_path: Path) -> None:
    folder = tmp_path / "house"
    folder.mkdir()
    zero, some = {"import": 0, "export": 0}, {"import": 1.2, "export": 0.5, "solar": 0.3}
    data = older_file(lambda label: some if label < 9 else zero, partial=True)
    (folder / f"{ORDINARY}.jsonl").write_bytes(data)
    assert [hour.local.hour for hour in hours_of(meter(folder)).hours()] == list(range(9))


def test_a_damaged_file_is_a_finding_and_all_other_days_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "house"
    store(folder, [filled(ORDINARY + DAY * number) for number in range(3)])
    (folder / f"{ORDINARY + DAY}.jsonl").write_bytes(b'{"ts": 17')
    read = hours_of(meter(folder))
    assert {hour.local.date() for hour in read.hours()} == {ORDINARY, ORDINARY + DAY * 2}
    assert read.tally.findings == [Finding(ORDINARY + DAY, "line 1: not a JSON object")]
    assert (read.tally.days, read.tally.hours) == (2, 48)


def test_a_name_that_is_no_file_is_a_finding(tmp_path: Path) -> None:
    folder = tmp_path / "house"
    store(folder, [filled()])
    (folder / f"{ORDINARY + DAY}.jsonl").mkdir()
    (folder / f"{ORDINARY + DAY * 2}.jsonl").symlink_to("/nowhere")
    read = hours_of(meter(folder))
    assert len(list(read.hours())) == 24
    assert [finding.day for finding in read.tally.findings] == [ORDINARY + DAY, ORDINARY + DAY * 2]


def test_of_a_file_of_another_zone_no_hour_is_written_under_another_day(tmp_path: Path) -> None:
    """Its last hour is the next day's first one here: it would be there twice."""
    folder = tmp_path / "house"
    store(folder, [filled(ORDINARY, LONDON), filled(ORDINARY + DAY)])
    read = hours_of(meter(folder))
    starts = [hour.start for hour in read.hours()]
    assert len(starts) == len(set(starts)) == read.tally.hours == 47
    assert [finding.day for finding in read.tally.findings] == [ORDINARY]


def test_a_file_that_goes_meanwhile_is_no_finding(tmp_path: Path) -> None:
    store(tmp_path / "house", [filled()])
    read = hours_of(meter(tmp_path / "house"))
    (tmp_path / "house" / f"{ORDINARY}.jsonl").unlink()
    assert list(read.hours()) == []
    assert (read.tally.days, read.tally.findings) == (0, [])


def test_the_folder_of_another_meter_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    store(tmp_path / "house", [filled()])
    mark_as(tmp_path / "house", "0" * 12)
    with pytest.raises(ArchiveRefused):
        hours_of(meter(tmp_path / "house"))


def test_a_meter_without_a_folder_has_no_hours(tmp_path: Path) -> None:
    read = hours_of(meter(tmp_path / "house"))
    assert list(read.hours()) == []


def test_the_zone_of_the_cloud_precedes_the_one_of_the_machine(tmp_path: Path) -> None:
    folder = tmp_path / "house"
    store(folder, [filled(ORDINARY, LONDON)])
    (folder / ".collector").mkdir()
    (folder / ".collector" / "ledger.jsonl").write_text('{"zone": "Europe/London"}\n')
    read = MeterHours(files_of(folder).meters[0], BERLIN, date.min, date.max)
    assert next(read.hours()).local == datetime(2024, 6, 12, tzinfo=LONDON)
    assert read.tally.findings == []
