"""Hours that are whole before they can be, or always too late: signs that the zone's rules are old."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.energy.days import date_in, local_day
from collector.energy.plausibility import EarlyHours, LateHours
from collector.energy.readings import EnergyDay, HourReading
from tests.support.energy_days import reading

HOUR = 3600
START = 1_780_000_000 // HOUR * HOUR
KWH = (Decimal("1.5"), Decimal("0.25"))
LESS = (Decimal("0.3"), Decimal("0.05"))
NOTHING = (Decimal(0), Decimal(0))
WHOLE = reading("1.5", "0.25")


def at(hour: int, minute: int = 12) -> datetime:
    """That many minutes past that hour of the test's day."""
    return datetime.fromtimestamp(START + hour * HOUR + minute * 60, UTC)


def verdicts(early: EarlyHours, *begun: tuple[Decimal, Decimal]) -> list[bool | None]:
    """What is said each hour at 12 past, where the hour that has just begun is told like that."""
    found = []
    for hour, kwh in enumerate(begun):
        finished = {START + (hour - 1) * HOUR: WHOLE} if hour else {}
        found.append(early.note({START + hour * HOUR: kwh}, finished, at(hour)))
    return found


def test_three_hours_in_a_row_that_never_grow_show_it() -> None:
    """One alone may be the end of the power."""
    assert verdicts(EarlyHours(), KWH, KWH, KWH, KWH, KWH) == [None, None, None, True, True]


def test_an_hour_that_grows_shows_the_contrary() -> None:
    """It was told in part: the count begins again."""
    assert verdicts(EarlyHours(), KWH, KWH, LESS, KWH, KWH) == [None, None, None, False, None]


def test_an_hour_without_energy_shows_nothing() -> None:
    """A house without power gives the same zero at any minute: it neither counts nor ends the count."""
    assert verdicts(EarlyHours(), KWH, NOTHING, NOTHING, KWH, KWH, KWH) == [None] * 5 + [True]
    assert verdicts(EarlyHours(), *[NOTHING] * 6) == [None] * 6


def test_an_hour_that_is_nearly_over_shows_nothing() -> None:
    """Little may be left to come; and one that has not begun may grow still."""
    early = EarlyHours()
    for hour in range(6):
        told = {START + hour * HOUR: KWH, START + (hour + 1) * HOUR: KWH}
        assert early.note(told, {START + (hour - 1) * HOUR: WHOLE}, at(hour, 31)) is None


def test_what_was_begun_long_ago_is_forgotten() -> None:
    """A service that runs for years remembers a day of hours at most."""
    early = EarlyHours()
    early.note({START: KWH}, {}, at(0))
    early.note({}, {}, at(30))
    for hour in range(1, 3):
        early.note({}, {START + hour * HOUR: WHOLE}, at(30 + hour))
    assert early.note({}, {START: reading("9", "9")}, at(33)) is None


CHICAGO, KOLKATA = ZoneInfo("America/Chicago"), ZoneInfo("Asia/Kolkata")
MIDNIGHT = local_day(date(2026, 6, 12), CHICAGO).start


def looked_at(
    minutes: Iterator[int],
    lateness: Iterator[float] | float,
    *,
    partial: bool = True,
    zone: ZoneInfo = CHICAGO,
    kwh: Iterator[Decimal] | None = None,
) -> list[bool | None]:
    """What is said of a meter whose data are so many minutes late, at each of these minutes of its days.

    Rules that an hour is missing from are, in what is told, the same as data that come an hour late.
    """
    late, found = LateHours(), []
    used: dict[int, Decimal] = {}
    for minute in minutes:
        now = local_day(date(2026, 6, 12), zone).start + minute * 60
        late_s = (lateness if isinstance(lateness, int | float) else next(lateness)) * 60
        requested_at = datetime.fromtimestamp(now, UTC)
        day = local_day(date_in(zone, requested_at), zone)
        told: dict[int, Decimal] = {}
        for ts in day.hours:
            used.setdefault(ts, next(kwh) if kwh else Decimal("0.6"))
            share = min(1, max(0, (now - late_s - ts) / HOUR))
            if share == 1 or (share > 0 and partial):
                told[ts] = round(used[ts] * Decimal(share), 4)
        over = {ts: HourReading(each, Decimal(0), None) for ts, each in told.items() if ts + HOUR <= now}
        under_way = {ts: (each, Decimal(0)) for ts, each in told.items() if ts + HOUR > now}
        found.append(late.note(EnergyDay(day, over), under_way, requested_at))
    return found


def hourly(days: float, minute: int = 12) -> Iterator[int]:
    """A look each hour, for so many days."""
    return (hour * 60 + minute for hour in range(int(days * 24)))


@pytest.mark.parametrize("zone", [CHICAGO, KOLKATA])
@pytest.mark.parametrize("hours", [1, 2])
@pytest.mark.parametrize("upload", [0, 4, 8])
def test_hours_that_always_grow_for_the_same_whole_hours_show_it(
    hours: int, upload: int, zone: ZoneInfo
) -> None:
    """After two days; of each some hours at midnight show nothing, for they are another day's."""
    found = looked_at(hourly(4), hours * 60 + upload, zone=zone)
    first = found.index(True)
    assert 48 <= first <= 48 + 3 * hours + 2
    assert set(found[:first]) == {None}
    assert set(found[first:]) <= {True}


@pytest.mark.parametrize("lateness", [0, 5, 8, 11, 15, 20, 30, 45, 54, 75, 90, 105, 150, 240, 600])
@pytest.mark.parametrize("partial", [True, False])
def test_a_slow_meter_is_no_sign_of_old_rules(lateness: int, partial: bool) -> None:
    """Its newest hours hold more than the minutes since the full hour, or are whole."""
    assert True not in looked_at(hourly(6), lateness, partial=partial)


@pytest.mark.parametrize("lateness", [60, 65])
def test_where_the_hour_in_progress_is_not_told_nothing_shows_it(lateness: int) -> None:
    """A meter that uploads once an hour looks the same: nobody is suspected."""
    assert True not in looked_at(hourly(6), lateness, partial=False)


@given(st.lists(st.integers(0, 55) | st.integers(75, 115), min_size=3, max_size=40), st.booleans())
def test_a_lateness_that_varies_is_no_sign(lateness: list[int], partial: bool) -> None:
    """Though two of three hours look like it."""
    varied = (60 if number % 3 else lateness[number // 3 % len(lateness)] for number in range(1000))
    assert True not in looked_at(hourly(8), varied, partial=partial)


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=30))
def test_it_is_shown_by_hours_of_any_energy(wh: list[int]) -> None:
    """And an hour without any neither counts nor ends the count."""
    kwh = (Decimal(wh[number % len(wh)] if number % 5 else 0) / 1000 for number in range(10_000))
    found = looked_at(hourly(5), 60, kwh=kwh)
    assert False not in found
    assert True in found


def test_an_offline_meter_is_no_sign() -> None:
    """Its newest hour grows older, and is no whole number of hours late: the count begins again."""
    offline = (60 + max(0, 60 * (hour - 30)) if hour < 54 else 60 for hour in range(1000))
    found = looked_at(hourly(4), offline)
    assert True not in found
    assert False not in found


def test_one_hour_that_is_reported_in_time_refutes_it() -> None:
    """The meter can be as quick as that: it goes by our rules."""
    lateness = (0 if hour == 80 else 60 for hour in range(1000))
    found = looked_at(hourly(5), lateness)
    assert found[79:82] == [True, False, None]
    assert True not in found[80:]


def test_looks_in_the_second_half_of_an_hour_show_nothing() -> None:
    """Little is left to come then."""
    assert True not in looked_at(hourly(6, 40), 60)


def test_an_answer_for_another_day_shows_nothing() -> None:
    """Yesterday's last hour is not the newest one."""
    late = LateHours()
    for number in range(100):
        day = local_day(date(2026, 6, 1), CHICAGO)
        readings = dict.fromkeys(day.hours, WHOLE)
        now = datetime.fromtimestamp(MIDNIGHT + number * HOUR, UTC)
        assert late.note(EnergyDay(day, readings), {}, now) is None
