"""An answer is the truth, in whichever clothes: every variant of a day, in every kind of zone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.energy.days import LocalDay, local_day, zone_named
from collector.simulator import Account, Device, Energy, Hole, Revision, Shrink, answers
from collector.simulator.answers import Answer
from tests.support.faulty_cloud import Scenario
from tests.support.simulated_requests import EM, EM3, NOW, ZONES, with_options

CHANGING = tuple(zone for zone in ZONES if zone not in ("UTC", "Asia/Kathmandu"))
YEAR = [date(2025, 1, 1) + timedelta(days=number) for number in range(365)]


def days_of(zone: str, hours: int) -> list[LocalDay]:
    return [day for each in YEAR if len((day := local_day(each, zone_named(zone))).hours) == hours]


def asked(day: date | str) -> dict[str, str]:
    return {"date_range": "day", "date_from": f"{day} 00:00:00"}


def em(device: Device, day: date | str, channel: int = 0, now: datetime = NOW) -> list[dict[str, Any]]:
    history: list[dict[str, Any]] = answers.em(device, channel, asked(day), Scenario(), now)["history"]
    return history


def em3(device: Device, day: date | str, now: datetime = NOW) -> Answer:
    return answers.em3(device, asked(day), Scenario(), now)


def energy(row: dict[str, Any]) -> Energy:
    return Energy(Decimal(str(row["consumption"])), Decimal(str(row["reversed"])))


def data(rows: list[dict[str, Any]]) -> list[Energy]:
    return [energy(row) for row in rows if row.get("consumption") is not None]


def total(energies: Sequence[Energy]) -> Energy:
    return Energy(
        sum((e.consumption for e in energies), Decimal()), sum((e.reversed for e in energies), Decimal())
    )


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("channel", [0, 1])
def test_an_ordinary_day_has_24_rows_and_each_is_the_truth(zone: str, channel: int) -> None:
    device = with_options(EM, timezone=zone)
    day = days_of(zone, 24)[100]
    rows = em(device, day.date, channel)
    assert [row["datetime"] for row in rows] == [f"{day.date} {hour:02}:00:00" for hour in range(24)]
    assert data(rows) == [device.energy(channel, ts) for ts in day.hours]


@pytest.mark.parametrize("zone", CHANGING)
@pytest.mark.parametrize(("spring", "rows"), [("missing", 24), ("nulls", 24), ("absent", 23), ("zeros", 24)])
def test_the_skipped_hour_is_a_placeholder_in_its_place_or_absent(zone: str, spring: str, rows: int) -> None:
    device = with_options(EM, timezone=zone, spring=spring)
    (day,) = days_of(zone, 23)
    (skipped,) = set(range(24)) - set(day.labels)
    answer = em(device, day.date)
    assert len(answer) == rows
    if spring == "absent":
        assert data(answer) == [device.energy(0, ts) for ts in day.hours]
        return
    placeholder = answer.pop(skipped)
    assert placeholder["datetime"] == f"{day.date} {skipped:02}:00:00"
    assert placeholder.get("missing", False) == (spring == "missing")
    assert placeholder.get("consumption", None) == (0 if spring == "zeros" else None)
    assert data(answer) == [device.energy(0, ts) for ts in day.hours]


@pytest.mark.parametrize("zone", CHANGING)
def test_the_repeated_hour_comes_twice_with_data_of_its_own(zone: str) -> None:
    device = with_options(EM, timezone=zone)
    (day,) = days_of(zone, 25)
    ((first, second),) = day.repeated_hours
    rows = em(device, day.date)
    place = day.hours.index(first)
    assert rows[place]["datetime"] == rows[place + 1]["datetime"]
    assert [energy(row) for row in rows[place : place + 2]] == [
        device.energy(0, first),
        device.energy(0, second),
    ]
    assert data(rows) == [device.energy(0, ts) for ts in day.hours]


@pytest.mark.parametrize("zone", CHANGING)
def test_one_row_for_a_repeated_hour_has_the_sum(zone: str) -> None:
    device = with_options(EM, timezone=zone, autumn="fat")
    (day,) = days_of(zone, 25)
    ((first, second),) = day.repeated_hours
    rows = em(device, day.date)
    assert len(rows) == 24
    assert energy(rows[day.hours.index(first)]) == total([device.energy(0, first), device.energy(0, second)])


@pytest.mark.parametrize("zone", ZONES)
def test_utc_stamps_name_each_hour_and_no_skipped_one(zone: str) -> None:
    device = with_options(EM, timezone=zone, stamps="utc", says_timezone="UTC")
    for day in (*days_of(zone, 23), *days_of(zone, 25), days_of(zone, 24)[0]):
        answer = answers.em(device, 0, asked(day.date), Scenario(), NOW)
        stamps = [datetime.fromisoformat(row["datetime"]) for row in answer["history"]]
        assert [int(stamp.timestamp()) for stamp in stamps] == list(day.hours)
        assert answer["timezone"] == "UTC"


@pytest.mark.parametrize("zone", ZONES)
def test_three_phases_add_up_to_the_sum_and_stay_index_aligned(zone: str) -> None:
    device = with_options(EM3, timezone=zone)
    for day in (*days_of(zone, 23), *days_of(zone, 25), days_of(zone, 24)[50]):
        answer = em3(device, day.date)
        assert data(answer["sum"]) == [device.total(ts) for ts in day.hours]
        for rows in zip(*answer["history"], answer["sum"], strict=True):
            assert len({row["datetime"] for row in rows}) == 1
            if "missing" not in rows[3]:
                assert total([energy(row) for row in rows[:3]]) == energy(rows[3])
        assert [phase[0]["channel"] for phase in answer["history"]] == ["0", "1", "2"]


@settings(deadline=None, max_examples=150)
@given(
    zone=st.sampled_from(ZONES),
    day=st.dates(date(2024, 1, 1), date(2026, 11, 18)),
    tariffs=st.integers(0, 4),
    zero=st.sampled_from(["none", "rest", "copy"]),
    autumn=st.sampled_from(["repeated", "fat"]),
    spring=st.sampled_from(["missing", "nulls", "absent"]),
    stamps=st.sampled_from(["local", "utc"]),
    kind=st.sampled_from(["em", "3em"]),
)
def test_whatever_the_variant_the_rows_ascend_and_their_parts_add_up_to_the_truth(
    zone: str, day: date, tariffs: int, zero: str, autumn: str, spring: str, stamps: str, kind: str
) -> None:
    device = with_options(
        EM if kind == "em" else EM3, timezone=zone, tariffs=tariffs, autumn=autumn, spring=spring,
        stamps=stamps, tariff_zero=zero if tariffs else "none",
    )  # fmt: skip
    local = local_day(day, zone_named(zone))
    rows = em(device, day) if kind == "em" else em3(device, day)["sum"]
    stamps_seen = [row["datetime"] for row in rows]
    assert stamps_seen == sorted(stamps_seen)
    hours = [row for row in rows if row.get("consumption") is not None]
    buckets = len(local.hours) - (len(local.repeated_hours) if autumn == "fat" else 0)
    assert len(hours) == buckets * (max(tariffs, 1) + (zero != "none" and tariffs > 0))
    assert all(value >= 0 for row in hours for value in energy(row))
    counted = [row for row in hours if not (zero == "copy" and tariffs and row["tariff_id"] == "0")]
    assert total([energy(row) for row in counted]) == total([device.total(ts) for ts in local.hours])


def test_a_tariff_zero_row_may_copy_the_total_of_the_others() -> None:
    rows = em(with_options(EM, tariffs=2, tariff_zero="copy"), "2026-11-18")
    for _, hour in groupby(rows, key=lambda row: row["datetime"]):
        copy, *parts = hour
        assert (copy["tariff_id"], [part["tariff_id"] for part in parts]) == ("0", ["1", "2"])
        assert energy(copy) == total([energy(part) for part in parts])


def test_numbers_have_two_decimals_at_most() -> None:
    for day in YEAR[::30]:
        for each in data(em(EM, day)):
            assert all(value == round(value, 2) and value >= 0 for value in each)


def test_hours_to_come_are_missing_or_absent() -> None:
    assert [row.get("missing", False) for row in em(EM, "2026-11-20")] == [False] * 14 + [True] * 10
    assert len(em(with_options(EM, future="absent"), "2026-11-20")) == 15  # the one under way is a row
    assert em(with_options(EM, future="absent"), "2026-11-21") == []


def test_the_hour_in_progress_may_have_a_part_of_its_value() -> None:
    row = em(with_options(EM, under_way="partial"), "2026-11-20")[14]
    whole = EM.energy(0, int(datetime(2026, 11, 20, 14, tzinfo=UTC).timestamp()))
    assert energy(row).consumption == (whole.consumption / 3).quantize(Decimal("0.01"))


def test_a_late_hour_appears_so_long_after_its_end() -> None:
    device = with_options(EM, late_minutes=10)
    at = datetime(2026, 11, 20, 14, 9, 59, tzinfo=UTC)
    assert len(data(em(device, "2026-11-20", now=at))) == 13
    assert len(data(em(device, "2026-11-20", now=at + timedelta(seconds=1)))) == 14


@pytest.mark.parametrize(
    ("gaps", "row"),
    [
        ("missing", {"missing": True}),
        ("missing_nulls", {"missing": True, "consumption": None, "reversed": None}),
        ("nulls", {"consumption": None, "reversed": None}),
        ("absent", None),
    ],
)
def test_a_hole_looks_and_heals_as_in_the_scenario(gaps: str, row: dict[str, Any] | None) -> None:
    hole = Hole(datetime(2026, 11, 18, 3), datetime(2026, 11, 18, 5), channel=0, heals_at=NOW)
    device = with_options(EM, gaps=gaps, hole=(hole,))
    before = em(device, "2026-11-18", now=NOW - timedelta(seconds=1))
    found = [each for each in before if each["datetime"][11:13] in ("03", "04")]
    if row is None:
        assert found == [] and len(before) == 22
    else:
        assert [{key: each[key] for key in row} for each in found] == [row, row]
        assert len(data(before)) == 22
    assert len(data(em(device, "2026-11-18", 1, NOW - timedelta(seconds=1)))) == 24
    assert len(data(em(device, "2026-11-18"))) == 24


@pytest.mark.parametrize("gaps", ["missing", "nulls", "absent"])
def test_a_hole_on_one_phase_keeps_the_lists_aligned(gaps: str) -> None:
    hole = Hole(date(2026, 11, 18), datetime(2026, 11, 18, 2), channel=1)
    rest = em3(with_options(EM3, hole=(hole,), gaps=gaps), "2026-11-18")
    assert [len(rows) for rows in (*rest["history"], rest["sum"])] == [24] * 4
    assert [len(data(rows)) for rows in (*rest["history"], rest["sum"])] == [24, 22, 24, 24]
    assert energy(rest["sum"][0]) == total([energy(rest["history"][0][0]), energy(rest["history"][2][0])])
    none = em3(with_options(EM3, hole=(hole,), gaps=gaps, sum_of_gaps="missing"), "2026-11-18")
    assert [len(data(rows)) for rows in (*none["history"], none["sum"])] == [24, 22, 24, 22]
    tariffs = em3(with_options(EM3, hole=(hole,), gaps=gaps, tariffs=3), "2026-11-18")
    assert [len(rows) for rows in (*tariffs["history"], tariffs["sum"])] == [72] * 4


@pytest.mark.parametrize(("gaps", "rows"), [("missing", 24), ("nulls", 24), ("absent", 22)])
@pytest.mark.parametrize("sum_of_gaps", ["rest", "missing"])
def test_a_hole_on_all_phases_has_the_rows_of_the_variant(gaps: str, rows: int, sum_of_gaps: str) -> None:
    hole = Hole(date(2026, 11, 18), datetime(2026, 11, 18, 2))
    answer = em3(with_options(EM3, hole=(hole,), gaps=gaps, sum_of_gaps=sum_of_gaps), "2026-11-18")
    assert [len(each) for each in (*answer["history"], answer["sum"])] == [rows] * 4
    assert [len(data(each)) for each in (*answer["history"], answer["sum"])] == [22] * 4


def test_a_revised_hour_has_another_value_from_then_on() -> None:
    revision = Revision(NOW, date(2026, 11, 18), date(2026, 11, 19), 0, Decimal("5.25"))
    device = with_options(EM, revision=(revision,))
    before, after = (
        data(em(device, "2026-11-18", now=NOW - timedelta(hours=1))),
        data(em(device, "2026-11-18")),
    )
    assert [new.consumption - old.consumption for old, new in zip(before, after, strict=True)] == [
        Decimal("5.25")
    ] * 24


def test_a_shrunken_day_answers_with_its_first_hours_only() -> None:
    device = with_options(EM, shrink=(Shrink(NOW, date(2026, 11, 18), date(2026, 11, 19), 3),))
    assert len(em(device, "2026-11-18", now=NOW - timedelta(seconds=1))) == 24
    assert len(em(device, "2026-11-18")) == 3
    assert len(em(device, "2026-11-17")) == 24


def test_before_the_installation_there_is_nothing_or_missing_rows() -> None:
    since = with_options(EM, installed_since=date(2026, 11, 18))
    assert em(since, "2026-11-17") == []
    rows = em(with_options(since, before_install="missing"), "2026-11-17")
    assert [row["missing"] for row in rows] == [True] * 24
    assert len(data(em(since, "2026-11-18"))) == 24


def test_three_years_are_kept() -> None:
    assert len(data(em(EM, "2023-11-20"))) == 24
    assert em(EM, "2023-11-19") == []
    leap = datetime(2028, 2, 29, 12, tzinfo=UTC)
    assert len(data(em(EM, "2025-02-28", now=leap))) == 24
    assert em3(EM3, "2023-11-19")["sum"] == []


@pytest.mark.parametrize(
    ("date_range", "interval", "rows"), [("week", "day", 7), ("month", "day", 31), ("year", "month", 12)]
)
def test_longer_ranges_come_in_days_and_months_that_add_up(date_range: str, interval: str, rows: int) -> None:
    query = {"date_range": date_range, "date_from": "2025-03-30 00:00:00"}
    answer = answers.em(EM, 0, query, Scenario(), NOW)
    assert (answer["interval"], len(answer["history"])) == (interval, rows)
    if interval == "day":
        row = next(row for row in answer["history"] if row["datetime"] == "2025-03-30 00:00:00")
        day = local_day(date(2025, 3, 30), EM.zone)
        assert energy(row) == total([EM.energy(0, ts) for ts in day.hours])


def test_the_endpoint_without_a_suffix_answers_in_utc_with_one_voltage() -> None:
    answer = answers.plain(EM, 0, asked("2026-07-01"), Scenario(), NOW)
    assert answer["timezone"] == "UTC"
    assert answer["history"][0]["datetime"] == "2026-06-30T23:00:00Z"
    assert answer["history"][0]["voltage"] > 200 and "max_voltage" not in answer["history"][0]


def test_the_overall_total_is_what_the_account_took_from_the_grid() -> None:
    roof = with_options(EM3, id="34987a45c1d1", counts="solar")
    account = Account("home", "K" * 40, (EM, with_options(EM3, timezone="Europe/Dublin"), roof))
    answer = answers.overall(account, asked("2026-11-18"), Scenario(), NOW)
    hours = local_day(date(2026, 11, 18), EM.zone).hours
    assert data(answer["history"]) == [total([EM.total(ts), EM3.total(ts)]) for ts in hours]


def test_no_span_is_named_by_nonsense() -> None:
    for query in (
        {},
        {"date_range": "day", "date_from": "soon"},
        {"date_range": "x", "date_from": "2026-01-01"},
    ):
        with pytest.raises(ValueError):
            answers.em(EM, 0, query, Scenario(), NOW)
