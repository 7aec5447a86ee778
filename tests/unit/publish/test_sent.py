"""What a target lacks: found by parts of the history, whatever was changed and if sending ended early."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.energy.readings import EnergyDay
from collector.export.hours import COLUMNS, MeterHours
from collector.publish.sent import Part, Pending, parts_of, pending, read_sent, record_of, write_sent
from collector.publish.targets import Target, TargetKind
from tests.support.archives import files_of
from tests.support.energy_days import energy_days, filled, reading
from tests.support.exported import hours_of, store

DAY = timedelta(days=1)
OCTOBER = date(2024, 10, 26)  # two days of it before the month's end, of which one has 25 hours
TARGET = Target("db", TargetKind.INFLUX, "http://127.0.0.1:8086/write?db=energy&precision=s")

some_days = st.lists(
    st.dates(date(2024, 8, 30), date(2024, 11, 3)), min_size=1, max_size=8, unique=True
).flatmap(lambda days: st.tuples(*map(energy_days, days)))


def house(folder: Path, *days: EnergyDay) -> MeterHours:
    """The stored hours of a meter that has these days, too."""
    store(folder, days)
    return hours_of(files_of(folder, timezone="Europe/Berlin").meters[0])


@contextmanager
def a_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as place:
        yield Path(place, "grid")


def found(hours: MeterHours, sent: dict[str, Part] | None = None) -> Pending:
    result = pending(hours, sent or {})
    assert result is not None
    return result


@given(st.lists(st.dates(date(2023, 1, 1), date(2026, 12, 31)), unique=True))
def test_parts_have_each_day_once_and_their_names_ascend_with_the_days(days: list[date]) -> None:
    parts = parts_of(days)
    assert [day for of_part in parts.values() for day in of_part] == sorted(days)
    assert list(parts) == sorted(parts)
    newest = max(days, default=date.min)
    assert all((len(name) == 10) == (name[:7] == str(newest)[:7]) for name in parts)


@given(some_days)
@settings(max_examples=30, deadline=None)
def test_what_was_sent_is_not_pending(days: Sequence[EnergyDay]) -> None:
    with a_folder() as folder:
        hours = house(folder, *days)
        first = pending(hours, {})
        if first is not None:
            assert pending(house(folder), dict(first.now)) is None
            assert list(first.changed) == list(first.days)


def test_a_file_with_a_new_stamp_and_the_same_hours_is_not_pending(tmp_path: Path) -> None:
    sent = dict(found(house(tmp_path / "grid", filled(OCTOBER), filled(OCTOBER + DAY))).now)
    os.utime(tmp_path / "grid" / f"{OCTOBER}.jsonl", (1, 1))
    assert pending(house(tmp_path / "grid"), sent) is None


def test_a_corrected_hour_makes_its_part_pending_and_no_other(tmp_path: Path) -> None:
    days = [filled(OCTOBER + number * DAY) for number in range(5)]
    sent = dict(found(house(tmp_path / "grid", *days)).now)
    corrected = filled(OCTOBER + 3 * DAY, each=reading("9.9999"))
    now = found(house(tmp_path / "grid", corrected), sent)
    assert list(now.changed) == [str(OCTOBER + 3 * DAY)]
    assert list(now.days)[now.first] == str(OCTOBER + 3 * DAY)


def test_the_days_of_a_month_that_is_over_are_not_sent_again(tmp_path: Path) -> None:
    days = [filled(OCTOBER + number * DAY) for number in range(6)]  # to 31 October
    sent = dict(found(house(tmp_path / "grid", *days)).now)
    assert list(sent) == [str(each.day.date) for each in days]
    now = found(house(tmp_path / "grid", filled(date(2024, 11, 1))), sent)
    assert list(now.changed) == ["2024-11-01"]
    assert list(now.now) == ["2024-10", "2024-11-01"]


def test_after_a_file_that_is_gone_everything_later_has_other_totals(tmp_path: Path) -> None:
    days = [filled(date(2024, 9, 1)), *(filled(OCTOBER + number * DAY) for number in range(3))]
    sent = dict(found(house(tmp_path / "grid", *days)).now)
    (tmp_path / "grid" / f"{OCTOBER}.jsonl").unlink()
    now = found(house(tmp_path / "grid"), sent)
    assert list(now.days)[now.first] == str(OCTOBER + DAY)
    assert list(now.changed) == []


@given(some_days, st.data())
@settings(max_examples=30, deadline=None)
def test_the_totals_before_a_part_are_the_sums_of_all_hours_before_it(
    days: Sequence[EnergyDay], data: st.DataObject
) -> None:
    with a_folder() as folder:
        hours = house(folder, *days)
        now = pending(hours, {})
        if now is None:
            return
        index = data.draw(st.integers(0, len(now.days) - 1))
        later, totals = now.from_part(index)
        earlier = [hour for hour in hours.hours() if hour.local.date() < later[0]]
        for place, total in enumerate(totals):
            assert total == sum((hour[3 + place] or Decimal(0) for hour in earlier), Decimal(0)), COLUMNS[
                place
            ]
        assert now.start_of(index) <= next(iter(hours.hours(later))).start if later else True


changes = st.lists(
    st.tuples(
        st.dates(date(2024, 10, 29), date(2024, 11, 3)).flatmap(energy_days),
        st.sampled_from(["noted", "died", "removed"]),
    ),
    max_size=10,
)


@given(changes)
@settings(max_examples=60, deadline=None)
def test_a_target_that_replaces_by_hour_ends_with_the_archives_totals(
    steps: Sequence[tuple[EnergyDay, str]],
) -> None:
    """Whatever is stored, corrected or removed in between, and if sending was never noted."""
    with a_folder() as folder:
        target: dict[int, Decimal] = {}
        sent: dict[str, Part] = {}
        for day, end in steps:
            if end == "removed":
                (folder / f"{day.day.date}.jsonl").unlink(missing_ok=True)
                hours = house(folder)
            else:
                hours = house(folder, day)
            if (now := pending(hours, sent)) is not None:
                days, totals = now.from_part(now.first)
                total = totals[0]
                for hour in hours.hours(days):
                    total += hour.import_kwh
                    target[hour.start] = total
                sent = now.kept if end == "died" else dict(now.now)
            total = Decimal(0)
            for hour in house(folder).hours():
                total += hour.import_kwh
                assert target[hour.start] == total


@given(some_days)
@settings(max_examples=20, deadline=None)
def test_the_record_reads_back_to_what_was_sent(days: Sequence[EnergyDay]) -> None:
    with a_folder() as folder:
        if (now := pending(house(folder, *days), {})) is not None:
            write_sent(folder, TARGET, now.now)
            assert read_sent(folder, TARGET) == now.now


@pytest.mark.parametrize(
    "other",
    [
        Target("db", TargetKind.INFLUX, "http://127.0.0.1:8086/write?db=other&precision=s"),
        Target("db", TargetKind.INFLUX, TARGET.url, measurement="power"),
        Target("db", TargetKind.INFLUX, TARGET.url, cumulative=True),
    ],
)
def test_a_target_that_was_changed_has_been_sent_nothing(other: Target, tmp_path: Path) -> None:
    write_sent(tmp_path, TARGET, found(house(tmp_path, filled())).now)
    assert read_sent(tmp_path, other) == {}


def test_a_new_token_does_not_send_everything_again(tmp_path: Path) -> None:
    write_sent(tmp_path, TARGET, found(house(tmp_path, filled())).now)
    assert read_sent(tmp_path, Target("db", TargetKind.INFLUX, TARGET.url, token="new")) != {}


def test_a_meter_that_was_renamed_with_its_folder_has_been_sent_nothing(tmp_path: Path) -> None:
    """Bug: the target had its history under the former name only, and new hours under the new one."""
    write_sent(tmp_path / "grid", TARGET, found(house(tmp_path / "grid", filled())).now)
    (tmp_path / "grid").rename(tmp_path / "house")
    assert read_sent(tmp_path / "house", TARGET) == {}


@pytest.mark.parametrize("before", [True, False])
def test_a_clamp_that_was_told_to_measure_solar_or_none_changes_the_hours(
    before: bool, tmp_path: Path
) -> None:
    """Bug: nothing was sent until the files changed."""
    store(tmp_path / "grid", [filled()])

    def hours(*, solar: bool) -> MeterHours:
        return hours_of(files_of(tmp_path / "grid", timezone="Europe/Berlin", solar=solar).meters[0])

    sent = dict(found(hours(solar=before)).now)
    assert pending(hours(solar=before), sent) is None
    assert found(hours(solar=not before), sent).changed == list(sent)


texts = st.text(max_size=12)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | texts
    | st.sampled_from(["2024-10", "NaN", "1.5"]),
    lambda inner: (
        st.lists(inner, max_size=8) | st.dictionaries(texts | st.just("2024-10"), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=60) | anything.map(lambda parts: {"target": "?", "parts": parts}) | anything)
@settings(max_examples=200, deadline=None)
def test_a_record_that_cannot_be_read_means_that_nothing_was_sent(content: object) -> None:
    """It costs sending again, which is harmless."""
    with a_folder() as folder:
        write_sent(make(folder), TARGET, {})
        record = record_of(folder, TARGET)
        if isinstance(content, dict) and content.get("target") == "?":
            content = {**content, "target": json.loads(record.read_bytes())["target"]}
        record.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        for name, part in read_sent(folder, TARGET).items():
            assert date.fromisoformat(f"{name}-01"[:10])
            assert all(each.is_finite() for each in part.totals)


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
