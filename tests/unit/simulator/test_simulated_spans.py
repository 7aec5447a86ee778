"""A span of several days has the rows of its days, up to the length that comes in hours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.energy.days import local_day, zone_named
from collector.simulator import Account, Device, Hole, Revision, Scenario, Shrink, answers
from collector.simulator.answers import Answer
from tests.support.cloud_spans import joined
from tests.support.simulated_requests import EM, EM3, NOW, ZONES, with_options

LIMITS_H = (24, 36, 48, 60, 72, 96)
ALL_HOURS = Scenario(hour_span_h=24 * 7 + 1)
YEAR = [date(2025, 1, 1) + timedelta(days=number) for number in range(365)]


def of_day(day: date) -> dict[str, str]:
    return {"date_range": "day", "date_from": f"{day} 00:00:00"}


def of_span(first: date, days: int) -> dict[str, str]:
    last = first + timedelta(days=days - 1)
    return {"date_range": "custom", "date_from": f"{first} 00:00:00", "date_to": f"{last} 23:59:59"}


def answer(
    device: Device, query: dict[str, str], played: Scenario = ALL_HOURS, now: datetime = NOW
) -> Answer:
    if device.kind == "em":
        return answers.em(device, 0, query, played, now)
    return answers.em3(device, query, played, now)


def day_by_day(device: Device, first: date, days: int, now: datetime = NOW) -> Answer:
    return joined(answer(device, of_day(first + timedelta(days=number)), now=now) for number in range(days))


@cache
def changes_of(zone: str) -> list[date]:
    """The days of the year that have not 24 hours."""
    return [day for day in YEAR if len(local_day(day, zone_named(zone)).hours) != 24]


def tiles(days: list[date]) -> Iterator[tuple[date, int]]:
    """Spans of two, three and four days, one behind the other, until the days are used up."""
    place, length = 0, 2
    while place < len(days):
        yield days[place], length
        place += length
        length = 2 if length == 4 else length + 1


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "spring_nulls": {"spring": "nulls"},
    "spring_zeros": {"spring": "zeros"},
    "spring_absent": {"spring": "absent"},
    "autumn_fat": {"autumn": "fat"},
    "utc": {"stamps": "utc", "says_timezone": "UTC"},
    "tariffs": {"tariffs": 2},
    "tariff_rest": {"tariffs": 3, "tariff_zero": "rest", "autumn": "fat"},
    "tariff_copy": {"tariffs": 2, "tariff_zero": "copy", "stamps": "utc"},
    "gaps_missing": {"gaps": "missing"},
    "gaps_nulls": {"gaps": "nulls", "sum_of_gaps": "missing"},
    "gaps_missing_nulls": {"gaps": "missing_nulls"},
    "gaps_absent": {"gaps": "absent"},
}


def in_variant(device: Device, zone: str, variant: str) -> Device:
    """With holes, a revision and a day cut short near the changes of the zone, or in autumn and spring."""
    changes = changes_of(zone) or [date(2025, 3, 30), date(2025, 10, 26)]
    near = [day - timedelta(days=1) for day in changes]
    return with_options(
        device, timezone=zone, **VARIANTS[variant],
        hole=tuple(
            Hole(datetime(day.year, day.month, day.day, 21), datetime(day.year, day.month, day.day + 1, 2), 1)
            for day in near
        ) + tuple(Hole(day - timedelta(days=9), day - timedelta(days=8)) for day in near),
        revision=tuple(Revision(NOW, day, day + timedelta(days=3)) for day in near),
        shrink=tuple(Shrink(NOW, day - timedelta(days=5), day - timedelta(days=4), 3) for day in near),
    )  # fmt: skip


@pytest.mark.parametrize("zone", ZONES)
def test_a_span_has_the_rows_of_its_days_all_the_year(zone: str) -> None:
    device = with_options(EM, timezone=zone)
    for first, days in tiles(YEAR):
        span = answer(device, of_span(first, days))
        assert span == day_by_day(device, first, days), (first, days)
        assert span["interval"] == "hour"


@pytest.mark.parametrize("device", [EM, EM3], ids=["em", "3em"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("zone", ZONES)
def test_a_span_over_a_change_has_the_rows_of_its_days_in_every_variant(
    zone: str, variant: str, device: Device
) -> None:
    varied = in_variant(device, zone, variant)
    for change in changes_of(zone) or [date(2025, 3, 30)]:
        dates = [change + timedelta(days=number) for number in (-2, -1, 0, 1)]
        own = [answer(varied, of_day(day)) for day in dates]
        for place, days in ((2, 2), (1, 2), (0, 4)):
            span = answer(varied, of_span(dates[place], days))
            assert span == joined(own[place : place + days]), (dates[place], days)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("zone", ZONES)
def test_a_span_has_the_rows_of_its_days_all_the_year_in_every_variant(zone: str, variant: str) -> None:
    """A two-clamp meter's spans and a three-phase one's by turns."""
    meters = cycle([in_variant(EM, zone, variant), in_variant(EM3, zone, variant)])
    for (first, days), varied in zip(tiles(YEAR), meters, strict=False):
        assert answer(varied, of_span(first, days)) == day_by_day(varied, first, days), (first, days)


@pytest.mark.parametrize("device", [EM, EM3], ids=["em", "3em"])
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("future", ["missing", "absent"])
@pytest.mark.parametrize("under_way", ["missing", "partial"])
def test_a_span_may_end_today_or_later(zone: str, future: str, under_way: str, device: Device) -> None:
    varied = with_options(device, timezone=zone, future=future, under_way=under_way, late_minutes=10)
    for days in (2, 3, 4):
        for first in (date(2026, 11, 18), date(2026, 11, 19), date(2026, 11, 20), date(2026, 11, 21)):
            assert answer(varied, of_span(first, days)) == day_by_day(varied, first, days), (first, days)


@pytest.mark.parametrize("device", [EM, EM3], ids=["em", "3em"])
@pytest.mark.parametrize("before_install", ["empty", "missing"])
def test_a_span_may_begin_before_the_meter_or_before_what_is_kept(
    before_install: str, device: Device
) -> None:
    new = with_options(device, installed_since=date(2026, 11, 12), before_install=before_install)
    for varied, first in (
        (new, date(2026, 11, 10)),
        (with_options(device, hours_kept_since=date(2026, 11, 12)), date(2026, 11, 10)),
        (device, date(2023, 11, 18)),
    ):
        for days in (2, 3, 4):
            assert answer(varied, of_span(first, days)) == day_by_day(varied, first, days), (first, days)


@settings(deadline=None, max_examples=100)
@given(
    zone=st.sampled_from(ZONES),
    first=st.dates(date(2024, 1, 1), date(2026, 11, 22)),
    days=st.integers(1, 7),
    variant=st.sampled_from(sorted(VARIANTS)),
    device=st.sampled_from([EM, EM3]),
)
def test_any_span_has_the_rows_of_its_days(
    zone: str, first: date, days: int, variant: str, device: Device
) -> None:
    varied = with_options(device, timezone=zone, **VARIANTS[variant])
    assert answer(varied, of_span(first, days)) == day_by_day(varied, first, days)


def test_the_other_endpoints_answer_spans_of_hours_too() -> None:
    account = Account("home", "K" * 40, (EM, with_options(EM3, timezone="Europe/Dublin")))
    for ask in (partial(answers.plain, EM, 0), partial(answers.overall, account)):
        days = [ask(of_day(date(2025, 10, day)), ALL_HOURS, NOW) for day in (25, 26, 27)]
        assert ask(of_span(date(2025, 10, 25), 3), ALL_HOURS, NOW) == joined(days)


@pytest.mark.parametrize(
    ("until", "interval", "rows"),
    [
        ("2026-05-01 23:59:59", "hour", 24),
        ("2026-05-02 23:59:59", "hour", 48),
        ("2026-05-03 00:00:00", "hour", 49),  # inclusive by bucket start
        ("2026-05-03 23:59:59", "day", 3),
        ("2026-05-05 23:59:59", "day", 5),
        ("2026-10-31 23:59:59", "day", 184),
        ("2027-04-30 23:59:59", "month", 12),
    ],
)
def test_the_span_decides_the_interval(until: str, interval: str, rows: int) -> None:
    query = {"date_range": "custom", "date_from": "2026-05-01 00:00:00", "date_to": until}
    found = answers.em(EM, 0, query, Scenario(), NOW)
    assert (found["interval"], len(found["history"])) == (interval, rows)


@pytest.mark.parametrize("limit_h", LIMITS_H)
def test_a_span_comes_in_hours_up_to_the_limit_to_the_second(limit_h: int) -> None:
    """`date_to` is included: 48 hours end at 23:59:59."""
    first, played = datetime(2026, 5, 1), Scenario(hour_span_h=limit_h)
    for seconds, interval in ((-1, "hour"), (0, "day")):
        until = first + timedelta(hours=limit_h, seconds=seconds)
        query = {"date_range": "custom", "date_from": f"{first}", "date_to": f"{until}"}
        assert answer(EM, query, played)["interval"] == interval
    for days in (1, 2, 3, 4, 5):
        expected = "hour" if days * 24 <= limit_h else "day"
        assert answer(EM, of_span(first.date(), days), played)["interval"] == expected


@pytest.mark.parametrize("zone", [zone for zone in ZONES if changes_of(zone)])
def test_the_hours_of_a_span_are_those_that_pass_or_24_a_day(zone: str) -> None:
    """Two days with a repeated hour are 49 hours, with a skipped one 47, also where it is at midnight."""
    device = with_options(EM, timezone=zone)
    for change in changes_of(zone):
        hours = 24 + len(local_day(change, zone_named(zone)).hours)
        for first in (change - timedelta(days=1), change):
            for counts, length in (("elapsed", hours), ("nominal", 48)):
                for limit_h, interval in ((length, "hour"), (length - 1, "day")):
                    played = Scenario(hour_span_h=limit_h, hour_span_counts=counts)  # type: ignore[arg-type]
                    assert answer(device, of_span(first, 2), played)["interval"] == interval, (first, counts)


def test_a_day_asked_for_as_such_comes_in_hours_whatever_the_limit() -> None:
    for limit_h in (0, 24):
        found = answer(EM, of_day(date(2025, 10, 26)), Scenario(hour_span_h=limit_h))
        assert (found["interval"], len(found["history"])) == ("hour", 25)


@pytest.mark.parametrize(
    ("interval", "stamps"),
    [
        ("hour", [f"2025-10-{day} {hour:02}:00:00" for day in (25, 26, 27) for hour in range(24)]),
        ("2 hours", [f"2025-10-{day} {hour:02}:00:00" for day in (25, 26, 27) for hour in range(0, 24, 2)]),
        ("day", [f"2025-10-{day} 00:00:00" for day in (25, 26, 27)]),
        ("month", ["2025-10-01 00:00:00"]),
    ],
)
def test_a_span_past_the_limit_comes_in_longer_rows_that_add_up(interval: str, stamps: list[str]) -> None:
    """A repeated hour is in the row that it belongs to."""
    device = with_options(EM, autumn="fat")
    played = Scenario(four_day_interval=interval)  # type: ignore[arg-type]
    found = answer(device, of_span(date(2025, 10, 25), 3), played)
    assert found["interval"] == interval
    assert [row["datetime"] for row in found["history"]] == stamps
    hours = day_by_day(device, date(2025, 10, 25), 3)["history"]
    for column in ("consumption", "reversed"):
        total = sum(row[column] for row in hours)
        assert sum(row[column] for row in found["history"]) == pytest.approx(total)


def test_rows_of_two_hours_go_when_their_hours_do() -> None:
    """Not so rows by the day, which are kept longer."""
    device = with_options(EM, hours_kept_since=date(2025, 11, 1))
    for interval, rows in (("2 hours", 0), ("day", 3)):
        played = Scenario(four_day_interval=interval)  # type: ignore[arg-type]
        assert len(answer(device, of_span(date(2025, 10, 25), 3), played)["history"]) == rows


def test_five_days_come_in_days_whatever_comes_past_the_limit() -> None:
    assert (
        answer(EM, of_span(date(2026, 5, 1), 5), Scenario(four_day_interval="2 hours"))["interval"] == "day"
    )


def test_today_s_hours_are_not_known_of_two_hours_to_come() -> None:
    played = Scenario(hour_span_h=24, four_day_interval="2 hours")
    now = datetime(2026, 11, 20, 15, 20, tzinfo=UTC)
    rows = answer(EM, of_span(date(2026, 11, 19), 2), played, now)["history"]
    assert [row.get("missing", False) for row in rows] == [False] * 20 + [True] * 4
