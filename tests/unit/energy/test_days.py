"""Local days: every moment belongs to exactly one hour of exactly one day, in any zone."""

from __future__ import annotations

import zoneinfo
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.energy.days import date_in, last_skip, local_day, wall_clock, zone_named
from tests.support.energy_days import AUTUMN, BERLIN, ORDINARY, SPRING, dates

ZONES = sorted(zoneinfo.available_timezones() - {"localtime"})
HALF_HOUR_SHIFTS = {"Australia/Lord_Howe", "Australia/LHI"}
# A polar station whose clocks jumped at one minute past midnight: its quarter of an hour is not told apart.
JUMPS_AT_ODD_MINUTES = {"Antarctica/Casey"}

zones = st.sampled_from(ZONES)


@settings(max_examples=150, deadline=None)
@given(name=zones, first=dates)
def test_days_partition_time(name: str, first: date) -> None:
    """The hours of consecutive days, one after the other, have no gap and no overlap."""
    zone = zone_named(name)
    days = [local_day(first + timedelta(days=number), zone) for number in range(4)]
    for day, following in pairwise(days):
        assert day.end == following.start
    for day in days:
        assert day.start == next(iter(day.hours), day.end)
        edges = [*day.hours, day.end]
        assert edges == sorted(set(edges))
        assert [day.end_of(ts) for ts in day.hours] == edges[1:]


@settings(max_examples=150, deadline=None)
@given(name=zones, day=dates)
def test_an_hour_has_one_label(name: str, day: date) -> None:
    """From its start to its last second an hour lies in its day and shows its label on the clock."""
    if name in JUMPS_AT_ODD_MINUTES:
        return
    zone = zone_named(name)
    local = local_day(day, zone)
    longest = 5400 if name in HALF_HOUR_SHIFTS else 3600
    for ts, label in zip(local.hours, local.labels, strict=True):
        for moment in (ts, local.end_of(ts) - 1):
            clock = datetime.fromtimestamp(moment, zone)
            assert (clock.date(), clock.hour) == (day, label)
        assert 900 <= local.end_of(ts) - ts <= longest
        assert ts in local.hours_labelled(label)


@pytest.mark.parametrize("name", sorted({"Europe/Dublin", "America/Havana", *HALF_HOUR_SHIFTS}))
def test_no_day_of_twelve_years_overlaps_the_next(name: str) -> None:
    """Every change of clocks from 2019 to 2030, not a sample."""
    zone = zone_named(name)
    day, last = date(2019, 1, 1), date(2030, 12, 31)
    end = local_day(day, zone).start
    while day <= last:
        local = local_day(day, zone)
        assert (local.start, local.hours[0]) == (end, end)
        end, day = local.end, day + timedelta(days=1)


@settings(max_examples=150, deadline=None)
@given(name=zones, epoch=st.integers(1546300800, 1924905600))
def test_every_moment_is_in_the_day_of_its_date(name: str, epoch: int) -> None:
    """What the clock says and what the day says agree."""
    zone = zone_named(name)
    local = local_day(date_in(zone, datetime.fromtimestamp(epoch, UTC)), zone)
    assert local.start <= epoch < local.end


@pytest.mark.parametrize(
    ("name", "spring", "autumn"),
    [
        ("Europe/Dublin", date(2024, 3, 31), date(2024, 10, 27)),
        ("Europe/Berlin", date(2024, 3, 31), date(2024, 10, 27)),
        ("America/New_York", date(2024, 3, 10), date(2024, 11, 3)),
        ("America/Havana", date(2024, 3, 10), date(2024, 11, 3)),
        ("Africa/Cairo", date(2024, 4, 26), date(2024, 10, 31)),
        ("Pacific/Auckland", date(2024, 9, 29), date(2024, 4, 7)),
        ("Australia/Adelaide", date(2024, 10, 6), date(2024, 4, 7)),
    ],
)
def test_days_have_23_24_or_25_hours(name: str, spring: date, autumn: date) -> None:
    """Also where it is midnight that is skipped or comes twice."""
    zone = zone_named(name)
    short, long = local_day(spring, zone), local_day(autumn, zone)
    assert (len(short.hours), len(set(short.labels)), short.repeated_hours) == (23, 23, ())
    assert (len(long.hours), len(set(long.labels)), len(long.repeated_hours)) == (25, 24, 1)
    assert len(local_day(spring + timedelta(days=2), zone).hours) == 24
    first, second = long.repeated_hours[0]
    assert second - first == 3600


def test_midnight_may_be_skipped_or_come_twice() -> None:
    """In Havana the hour 0 does, in Cairo the day before ends twice."""
    havana, cairo = zone_named("America/Havana"), zone_named("Africa/Cairo")
    assert local_day(date(2024, 3, 10), havana).labels[:2] == (1, 2)
    assert local_day(date(2024, 11, 3), havana).labels[:3] == (0, 0, 1)
    assert local_day(date(2024, 10, 31), cairo).labels[-2:] == (23, 23)
    assert local_day(date(2024, 4, 26), cairo).labels[:2] == (1, 2)


def test_clocks_may_shift_by_half_an_hour() -> None:
    """On Lord Howe an hour of the spring is 30 minutes long, and one of the autumn is 90."""
    zone = zone_named("Australia/Lord_Howe")
    spring, autumn = local_day(date(2024, 10, 6), zone), local_day(date(2024, 4, 7), zone)
    assert {label: spring.end_of(ts) - ts for ts, label in zip(spring.hours, spring.labels, strict=True)}[
        2
    ] == 1800
    assert autumn.end_of(autumn.hours[1]) - autumn.hours[1] == 5400
    assert (spring.repeated_hours, autumn.repeated_hours) == ((), ())


def test_offsets_may_have_quarters() -> None:
    """In Kathmandu an hour starts at a quarter past, in UTC."""
    day = local_day(ORDINARY, zone_named("Asia/Kathmandu"))
    assert (len(day.hours), day.start % 3600) == (24, 900)


def test_a_day_may_not_exist() -> None:
    """Samoa went from the 29th to the 31st: a day without hours."""
    day = local_day(date(2011, 12, 30), zone_named("Pacific/Apia"))
    assert (day.hours, day.start) == ((), day.end)


def test_a_label_names_none_one_or_two_hours() -> None:
    """None where it is skipped, two where it is repeated."""
    assert local_day(SPRING, BERLIN).hours_labelled(2) == ()
    assert len(local_day(ORDINARY, BERLIN).hours_labelled(2)) == 1
    assert local_day(AUTUMN, BERLIN).hours_labelled(2) == local_day(AUTUMN, BERLIN).repeated_hours[0]


def test_hours_and_labels_that_do_not_match_are_an_error() -> None:
    """Rather than a day that lacks its last hour in silence."""
    odd = replace(local_day(ORDINARY, BERLIN), labels=tuple(range(23)))
    for call in (lambda: odd.hours_labelled(1), lambda: odd.repeated_hours):
        with pytest.raises(ValueError, match="shorter"):
            call()


def test_merged_repeated_hours_are_the_day_by_labels() -> None:
    """24 hours, one of them two hours long; the day is as long as it was."""
    day = local_day(AUTUMN, BERLIN)
    one = day.merge_repeated_hours()
    assert one.labels == tuple(range(24))
    assert one.end_of(one.hours[2]) - one.hours[2] == 7200
    assert (one.start, one.end, one.repeated_hours) == (day.start, day.end, ())


def test_a_day_is_over_at_its_end() -> None:
    """Not a moment before."""
    day = local_day(ORDINARY, BERLIN)
    assert day.is_over(datetime.fromtimestamp(day.end, UTC))
    assert not day.is_over(datetime.fromtimestamp(day.end - 1, UTC))


def test_a_day_has_arrived_ten_minutes_after_its_end() -> None:
    """So long the cloud may tell a part of its last hour."""
    day = local_day(ORDINARY, BERLIN)
    assert day.has_arrived(datetime.fromtimestamp(day.end + 600, UTC))
    assert not day.has_arrived(datetime.fromtimestamp(day.end + 599, UTC))


def test_the_date_is_the_meters() -> None:
    """It is tomorrow in Auckland."""
    assert date_in(zone_named("Pacific/Auckland"), datetime(2024, 6, 11, 23, tzinfo=UTC)) == ORDINARY


@pytest.mark.parametrize(
    ("name", "today", "skip"),
    [
        ("America/Chicago", date(2026, 6, 12), date(2026, 3, 8)),
        ("America/Chicago", date(2026, 3, 8), date(2025, 3, 9)),  # today's hours are not over
        ("America/Chicago", date(2026, 3, 9), date(2026, 3, 8)),
        ("America/Santiago", date(2026, 6, 10), date(2025, 9, 7)),  # its midnight
        ("Africa/Casablanca", date(2026, 6, 10), date(2026, 3, 22)),  # once after Ramadan
        ("Australia/Lord_Howe", date(2026, 1, 10), None),  # by half an hour
        ("Asia/Tokyo", date(2026, 6, 10), None),
        ("Pacific/Apia", date(2012, 3, 1), date(2011, 9, 24)),  # not the day that it left out
    ],
)
def test_the_last_day_that_skips_an_hour(name: str, today: date, skip: date | None) -> None:
    """Of the year before."""
    found = last_skip(ZoneInfo(name), today)
    assert (found and found.date) == skip


def test_the_wall_clock_is_aware() -> None:
    """In UTC, so that nothing local is compared."""
    assert wall_clock().tzinfo is UTC


@pytest.mark.parametrize("name", ZONES)
def test_every_zone_of_the_machine_is_known(name: str) -> None:
    """None of their names is mistaken for a hostile one."""
    assert zone_named(name) == ZoneInfo(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Europe",
        "Mars/Base",
        "/etc/localtime",
        "../../etc/passwd",
        "Europe/../Europe/Berlin",
        "Europe//Berlin",
        "Europe/Berlin\n",
        "Europe/Berlin\0",
        "\x1b[31mEurope/Berlin",
        "Europe/Ber\u202elin",
        "A" * 65,
        "A/" * 40,
        "zone.tab",
        "leapseconds",
        "tzdata.zi",
        "С/Berlin",
    ],
)
def test_hostile_names_are_no_zones(name: str) -> None:
    """They come over the network; they are refused before they are part of a path."""
    with pytest.raises(ValueError, match="time zone"):
        zone_named(name)


def test_a_name_of_more_than_64_characters_is_none() -> None:
    """A shorter one is looked up; either way a person is told which it was."""
    with pytest.raises(ValueError, match=r"^unknown time zone$"):
        zone_named("A" * 64)
    with pytest.raises(ValueError, match=r"^not the name of a time zone$"):
        zone_named("A" * 65)


@pytest.mark.parametrize("name", ["localtime", "posixrules", "right/Europe/London", "posix/Europe/London"])
def test_files_beside_the_zones_are_no_zones(name: str) -> None:
    """Bug: names that mean another zone on every machine, or count leap seconds, were taken."""
    with pytest.raises(ValueError, match="time zone"):
        zone_named(name)


@given(st.text())
def test_any_text_is_a_zone_or_a_value_error(name: str) -> None:
    """Nothing else is ever raised."""
    with suppress(ValueError):
        assert zone_named(name).key == name
