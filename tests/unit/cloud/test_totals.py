"""Totals: a day's energy from a month's answer, or an error; never a number that nobody can be sure of."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cloud.meters import Kind, Meter
from collector.cloud.parse import SpanAnswer, SpanTotals, parse_body, read_totals, spans
from collector.energy.days import local_day
from collector.errors import AnswerError
from collector.simulator import Device, Hole
from collector.simulator.answers import em, em3
from tests.support.faulty_cloud import Scenario

FIRST, LAST = date(2025, 10, 11), date(2025, 11, 9)  # with the day of 25 hours
NOW = datetime(2025, 11, 20, 12, tzinfo=UTC)
EM_ID, EM3_ID = "e8db84d2a1b3", "34987a45c1d0"
CLAMPS = Meter("house", EM_ID)
PHASES = Meter("house", EM3_ID, Kind.EM3)


def body(device: Device, channel: int = 0) -> dict[str, Any]:
    query = {
        "date_range": "custom", "date_from": f"{FIRST} 00:00:00", "date_to": f"{LAST} 23:59:59"
    }  # fmt: skip
    answer = (
        em(device, channel, query, Scenario(), NOW)
        if device.kind == "em"
        else em3(device, query, Scenario(), NOW)
    )
    return parse_body(json.dumps(answer).encode())


def read(device: Device, meter: Meter = CLAMPS, **changes: Any) -> SpanTotals:
    grid = {**body(device), **changes}
    solar = body(device, 1) if meter.kind is Kind.EM and meter.solar else None
    return read_totals(SpanAnswer(FIRST, LAST, grid, solar), meter)


def true_wh(device: Device, day: date, channel: int = 0) -> tuple[Decimal, Decimal]:
    hours = [device.energy(channel, ts) if device.kind == "em" else device.total(ts)
             for ts in local_day(day, device.zone).hours]  # fmt: skip
    return sum((each.consumption for each in hours), Decimal(0)), sum(
        (each.reversed for each in hours), Decimal(0)
    )


def assert_true(told: SpanTotals, device: Device) -> None:
    assert set(told.totals) == {FIRST + timedelta(days=number) for number in range(30)}
    for day, total in told.totals.items():
        taken, given_back = true_wh(device, day)
        assert (total.import_kwh, total.export_kwh) == (taken / 1000, given_back / 1000)


@pytest.mark.parametrize("stamps", ["local", "utc"])
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Havana", "Asia/Kathmandu", "Africa/Cairo"])
def test_totals_are_what_flowed(zone: str, stamps: str) -> None:
    """To the last digit, on days of 23, 24 and 25 hours, also where midnight is repeated or skipped."""
    device = Device(EM_ID, timezone=zone, stamps=stamps)  # type: ignore[arg-type]
    told = read(device)
    assert_true(told, device)
    for day, total in told.totals.items():
        sun, _ = true_wh(device, day, 1)
        assert total.solar_low_kwh == total.solar_high_kwh == sun / 1000


def test_three_phases_are_told_by_their_sum() -> None:
    """One request."""
    device = Device(EM3_ID, kind="3em")
    told = read(device, PHASES)
    assert_true(told, device)
    assert all(total.solar_low_kwh is None for total in told.totals.values())


@pytest.mark.parametrize("tariff_zero", ["none", "copy"])
@pytest.mark.parametrize("tariffs", [1, 2, 3])
def test_parts_of_tariffs_are_summed(tariffs: int, tariff_zero: str) -> None:
    """And a copy of their sum counts once, where the span shows that it is one."""
    device = Device(EM_ID, tariffs=tariffs, tariff_zero=tariff_zero)  # type: ignore[arg-type]
    told = read(device)
    assert_true(told, device)
    assert told.uncertain == frozenset()


def test_a_part_that_may_be_a_rest_or_a_copy_makes_no_total() -> None:
    """Such days are not comparable, and are reported."""
    told = read(Device(EM_ID, tariffs=2, tariff_zero="rest"))
    assert told.totals == {}
    assert len(told.uncertain) == 30


@pytest.mark.parametrize("value", [-0.01, 10_000_000.01])
def test_a_number_that_cannot_be_makes_its_day_uncertain(value: float) -> None:
    """As an hour's is a doubt of the hour: the other days are compared."""
    rows = body(Device(EM_ID))["history"]
    told = read(Device(EM_ID), history=[{**rows[0], "consumption": Decimal(str(value))}, *rows[1:]])
    assert told.uncertain == {FIRST}
    assert len(told.totals) == 29


@pytest.mark.parametrize("gaps", ["missing", "missing_nulls", "nulls", "absent"])
def test_a_day_that_the_cloud_lacks_has_no_total(gaps: str) -> None:
    """However the gap comes."""
    hole = Hole(date(2025, 11, 1), date(2025, 11, 3))
    told = read(Device(EM_ID, hole=(hole,), gaps=gaps))  # type: ignore[arg-type]
    assert len(told.totals) == 28
    assert date(2025, 11, 2) not in told.totals


def test_solar_is_not_told_where_the_cloud_lacks_it() -> None:
    """The grid is."""
    told = read(Device(EM_ID, hole=(Hole(date(2025, 11, 1), date(2025, 11, 2), channel=1),)))
    assert told.totals[date(2025, 11, 1)].solar_high_kwh is None
    assert len(told.totals) == 30


def test_totals_are_scaled_as_hours_are() -> None:
    """The grid is multiplied; of solar up to the discard is off each hour of the day."""
    device = Device(EM_ID, timezone="Europe/Berlin")
    meter = Meter("house", EM_ID, grid_scale_factor=Decimal(2), pv_kwh_discard=Decimal("0.002"))
    told = read(device, meter)
    long_day = told.totals[date(2025, 10, 26)]
    assert long_day.import_kwh == true_wh(device, date(2025, 10, 26))[0] / 500
    high, low = long_day.solar_high_kwh, long_day.solar_low_kwh
    assert high is not None
    assert low is not None
    assert high - low == Decimal("0.050")


def edited(change: str) -> dict[str, Any]:
    rows = body(Device(EM_ID))["history"]
    other: dict[str, Any] = {
        "doubled": [*rows[:3], rows[2], *rows[3:]],
        "reversed": rows[::-1],
        "foreign": [{**rows[0], "datetime": "2025-10-10 00:00:00"}, *rows],
        "noon": [{**rows[0], "datetime": "2025-10-11 12:00:00"}, *rows[1:]],
        "utc noon": [{**rows[0], "datetime": "2025-10-11T12:00:00Z"}, *rows[1:]],
        "no time": [{**rows[0], "datetime": "yesterday"}, *rows[1:]],
        "no date": [{**rows[0], "datetime": "2025-13-41 00:00:00"}, *rows[1:]],
        "no utc": [{**rows[0], "datetime": "2025-13-41T00:00:00Z"}, *rows[1:]],
        "no return": [{"datetime": rows[0]["datetime"], "consumption": 1}, *rows[1:]],
        "phases": [rows, rows, rows],
        "text": "none",
    }
    return {"history": other[change]}


@pytest.mark.parametrize(
    "change",
    ["doubled", "reversed", "foreign", "noon", "utc noon", "no time", "no date", "no utc", "no return",
     "phases", "text"],
)  # fmt: skip
def test_what_breaks_the_format_is_an_error(change: str) -> None:
    """As for hours."""
    with pytest.raises(AnswerError):
        read(Device(EM_ID), **edited(change))


@pytest.mark.parametrize("interval", ["hour", "month", None, 1])
def test_only_days_are_taken_for_days(interval: Any) -> None:
    """The server picks the interval; the body tells it."""
    with pytest.raises(AnswerError, match="interval"):
        read(Device(EM_ID), interval=interval)


def test_two_zones_are_an_error() -> None:
    """Grid and sun of one meter are in one place."""
    device = Device(EM_ID)
    with pytest.raises(AnswerError, match="zone"):
        read(device, timezone="Europe/Berlin")


def test_empty_rows_of_other_days_do_no_harm() -> None:
    """Placeholders."""
    rows = body(Device(EM_ID))["history"]
    spare = [{"datetime": "2025-10-10 00:00:00", "missing": True}, *rows, {"datetime": "2025-11-10 00:00:00",
             "consumption": 0, "reversed": 0}]  # fmt: skip
    assert_true(read(Device(EM_ID), history=spare), Device(EM_ID))


@given(days=st.integers(1, 1200))
def test_spans_cover_every_day_once(days: int) -> None:
    """Thirty days each, newest first; the oldest one never so short that the cloud might tell hours."""
    last = date(2026, 3, 1)
    first = last - timedelta(days=days - 1)
    requested = list(spans(first, last))
    covered = [
        start + timedelta(days=number)
        for start, end in requested
        for number in range((end - start).days + 1)
        if start + timedelta(days=number) >= first
    ]
    assert sorted(covered) == [first + timedelta(days=number) for number in range(days)]
    assert all(6 <= (end - start).days <= 29 for start, end in requested)
    assert len(requested) == -(-days // 30)


def test_nothing_is_requested_where_there_is_no_day() -> None:
    """An archive of today alone."""
    assert list(spans(date(2026, 3, 2), date(2026, 3, 1))) == []
