"""Answers: an answer's JSON to the hours of a day. Each variant of the API, and never a wrong number."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from collector.cloud.meters import Kind, Meter
from collector.cloud.parse import DayAnswer, ReadDay, parse_body, read_day
from collector.energy.days import local_day, zone_named
from collector.errors import AnswerError, ZoneContradicted, ZoneUnknown
from collector.simulator import Device, Hole
from collector.simulator.api import as_json
from tests.support.stand_in_cloud import (
    EM3_ID,
    EM_ID,
    NOW,
    body_of,
    meter_of,
    raw_answer,
    sample_body,
    told,
    true_hour,
    true_hours,
)
from tests.support.zone_data import zone_data

_DAY = date(2026, 6, 1)
_EM, _EM3 = Device(EM_ID), Device(EM3_ID, "3em")
_SPRING, _AUTUMN = date(2026, 3, 29), date(2025, 10, 26)

_CHANGES = {
    "Europe/Dublin": (_SPRING, _AUTUMN),
    "Europe/Berlin": (_SPRING, _AUTUMN),
    "America/New_York": (date(2026, 3, 8), date(2025, 11, 2)),
    "America/Havana": (date(2026, 3, 8), date(2025, 11, 2)),  # midnight itself is skipped, and repeated
    "Africa/Cairo": (date(2026, 4, 24), date(2025, 10, 30)),  # the same, and its last hour is repeated
    "Australia/Lord_Howe": (date(2025, 10, 5), date(2026, 4, 5)),  # by half an hour
    "America/Santiago": (date(2025, 9, 7), date(2026, 4, 4)),
    "Asia/Kathmandu": (_DAY, _DAY),  # a quarter off, and nothing changes
}


def _single(raw: Any, meter: Meter | None = None, now: datetime = NOW, day: date = _DAY) -> ReadDay:
    """One body read as the grid's, without a solar clamp."""
    return read_day(DayAnswer(day, body_of(raw), None), meter or meter_of(_EM, solar=False), now)


def _kwh(read: ReadDay) -> dict[int, tuple[Decimal, Decimal, Decimal | None]]:
    return {ts: tuple(hour) for ts, hour in read.energy_day.readings.items()}  # type: ignore[misc]


def _assert_true(read: ReadDay, device: Device, day: date) -> None:
    """Every hour of the day, each as it flowed, and nothing doubtful about it."""
    assert _kwh(read) == true_hours(device, day)
    assert read.energy_day.doubtful == frozenset()
    assert read.anomalies == ()
    assert read.energy_day.is_complete(NOW)


# -- Ordinary days ------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", [_EM, _EM3], ids=["em", "3em"])
def test_a_day_is_read_as_it_flowed(device: Device) -> None:
    """Wh with two decimals become kWh, exactly."""
    _assert_true(told(device, _DAY), device, _DAY)


def test_a_meter_without_a_solar_clamp_has_true_zeros() -> None:
    """No clamp, no sun: a number, not a gap."""
    read = _single(raw_answer(_EM, _DAY))
    assert {hour.solar_kwh for hour in read.energy_day.readings.values()} == {Decimal(0)}
    assert read.energy_day.is_complete(NOW)


def test_a_pair_of_three_phase_meters_is_one() -> None:
    """The second one's consumption is what the sun gave."""
    roof = Device("34987a45c1d1", "3em", counts="solar")
    grid, solar = body_of(raw_answer(_EM3, _DAY)), body_of(raw_answer(roof, _DAY))
    read = read_day(DayAnswer(_DAY, grid, solar), meter_of(_EM3, pv_id=roof.id), NOW)
    sun = {ts: hour.solar_kwh for ts, hour in read.energy_day.readings.items()}
    assert sun == {ts: roof.total(ts).consumption / 1000 for ts in read.energy_day.day.hours}


def test_scale_factor_and_discard_are_exact() -> None:
    """Import and export are multiplied, the sun loses the discard, down to zero; all in decimals."""
    factor, discard = Decimal("1.0137"), Decimal("0.0033")
    read = told(_EM, _DAY, meter=meter_of(_EM, grid_scale_factor=factor, pv_kwh_discard=discard))
    expected = {
        ts: (taken * factor, given * factor, max(Decimal(0), sun - discard))
        for ts, (taken, given, sun) in true_hours(_EM, _DAY).items()
    }
    assert _kwh(read) == expected
    assert Decimal(0) in {sun for _, _, sun in expected.values()}


def test_local_stamps_may_have_a_t_in_them() -> None:
    """ISO as others write it."""
    raw = raw_answer(_EM, _DAY)
    for row in raw["history"]:
        row["datetime"] = row["datetime"].replace(" ", "T")
    assert _kwh(_single(raw)) == _kwh(_single(raw_answer(_EM, _DAY)))


def test_an_empty_history_is_an_empty_day() -> None:
    """Before the meter was installed: an outcome, not an error."""
    raws: list[dict[str, Any]] = [
        {"history": []},
        {"history": [], "sum": []},
        {"history": [[], [], []], "sum": []},
    ]
    for raw in raws:
        meter = meter_of(_EM3 if "sum" in raw else _EM, solar=False)
        read = _single({"timezone": "Europe/Dublin", "interval": "hour", **raw}, meter)
        assert read.energy_day.readings == {}
        assert not read.energy_day.is_complete(NOW)


@pytest.mark.parametrize("device", [_EM, _EM3], ids=["em", "3em"])
def test_days_before_the_meter_was_installed_are_empty(device: Device) -> None:
    """Whether the cloud says nothing of them or says that they are missing."""
    for said in ("empty", "missing"):
        new = replace(device, installed_since=_DAY + timedelta(days=1), before_install=said)
        assert told(new, _DAY).energy_day.readings == {}


@pytest.mark.parametrize("empty", [{"consumption": 0, "reversed": 0}, {"missing": True}])
def test_a_whole_answer_of_another_day_is_refused_though_it_tells_nothing(empty: dict[str, Any]) -> None:
    """Bug: a clamp's night, told for the day before, was taken for a day that the cloud has not."""
    rows = [{"datetime": f"2026-05-31 {hour:02}:00:00", **empty} for hour in range(3)]
    with pytest.raises(AnswerError, match="none of the rows is of the day that was requested"):
        _single(raw_answer(_EM, _DAY) | {"history": rows})


def test_an_empty_row_of_another_day_beside_the_days_own_does_no_harm() -> None:
    """A placeholder."""
    raw = raw_answer(_EM, _DAY)
    raw["history"].append({"datetime": "2026-06-02 00:00:00", "consumption": 0, "reversed": 0})
    assert len(_single(raw).energy_day.readings) == 24


def test_a_placeholder_alone_is_an_empty_day() -> None:
    """A spring day before the meter was installed has no other row."""
    skipped = {"datetime": f"{_SPRING} 01:00:00", "missing": True}
    read = _single(raw_answer(_EM, _SPRING) | {"history": [skipped]}, day=_SPRING)
    assert read.energy_day.readings == {}


# -- Daylight saving ----------------------------------------------------------------------------------


@pytest.mark.parametrize("spring", ["missing", "nulls", "absent", "zeros"])
@pytest.mark.parametrize("zone", _CHANGES)
@pytest.mark.parametrize("kind", ["em", "3em"])
def test_the_skipped_hour_is_no_hour_however_it_is_reported(kind: Any, zone: str, spring: Any) -> None:
    """Its placeholder neither counts as a gap nor overwrites the hour that it shares its epoch with."""
    device = Device(EM_ID, kind, zone, spring=spring)
    _assert_true(told(device, _CHANGES[zone][0]), device, _CHANGES[zone][0])


@pytest.mark.parametrize("stamps", ["local", "utc"])
@pytest.mark.parametrize("zone", _CHANGES)
@pytest.mark.parametrize("kind", ["em", "3em"])
def test_a_repeated_hour_is_kept_twice(kind: Any, zone: str, stamps: Any) -> None:
    """Two real hours under one local name, each with its own energy."""
    device = Device(EM_ID, kind, zone, stamps=stamps)
    _assert_true(told(device, _CHANGES[zone][1]), device, _CHANGES[zone][1])


@pytest.mark.parametrize("zone", ["Europe/Dublin", "America/Havana", "Africa/Cairo", "America/Santiago"])
@pytest.mark.parametrize("kind", ["em", "3em"])
def test_a_repeated_hour_told_once_is_doubtful(kind: Any, zone: str) -> None:
    """One row for both may be one hour or both: it is kept, and the day is not complete."""
    day = _CHANGES[zone][1]
    device = Device(EM_ID, kind, zone, autumn="fat")
    read = told(device, day)
    ((first, second),) = local_day(day, zone_named(zone)).repeated_hours
    assert read.energy_day.doubtful == {first}
    assert second not in read.energy_day.readings
    assert not read.energy_day.is_complete(NOW)
    others = {ts: hour for ts, hour in true_hours(device, day).items() if ts not in (first, second)}
    assert {ts: hour for ts, hour in _kwh(read).items() if ts != first} == others


def _without_repeated(place: int, *, leaves_row: bool) -> tuple[ReadDay, int, int]:
    """The fall-back day in Dublin (01:00 comes twice) with one of the two hours not known."""
    raw = raw_answer(_EM, _AUTUMN)
    repeated = [row for row in raw["history"] if row["datetime"].endswith(" 01:00:00")]
    gone = [{"missing": True, "datetime": repeated[place]["datetime"]}] if leaves_row else []
    at = raw["history"].index(repeated[place])
    raw["history"][at : at + 1] = gone
    ((first, second),) = local_day(_AUTUMN, zone_named("Europe/Dublin")).repeated_hours
    return _single(raw, day=_AUTUMN), first, second


def test_of_a_repeated_hour_the_second_may_be_missing() -> None:
    """The first is known and not doubtful: both have a row."""
    read, first, second = _without_repeated(1, leaves_row=True)
    assert read.energy_day.missing_hours() == (second,)
    assert read.energy_day.doubtful == frozenset()
    assert _kwh(read)[first][:2] == true_hour(_EM, first)[:2]


def test_of_a_repeated_hour_the_first_may_be_missing() -> None:
    """The second is not mistaken for it."""
    read, first, second = _without_repeated(0, leaves_row=True)
    assert read.energy_day.missing_hours() == (first,)
    assert _kwh(read)[second][:2] == true_hour(_EM, second)[:2]


@pytest.mark.parametrize("place", [0, 1])
def test_of_a_repeated_hour_one_without_a_row_makes_the_other_doubtful(place: int) -> None:
    """Nothing tells which one is there."""
    read, first, second = _without_repeated(place, leaves_row=False)
    assert read.energy_day.doubtful == {first}
    assert read.energy_day.missing_hours() == (second,)


def test_one_row_read_within_the_second_of_the_two_hours_is_doubtful() -> None:
    """It holds the first and a part of the second; taken for the first it would stay wrong for ever."""
    device = Device(EM_ID, autumn="fat", under_way="partial")
    ((first, second),) = local_day(_AUTUMN, zone_named("Europe/Dublin")).repeated_hours
    now = datetime.fromtimestamp(second + 1800, UTC)
    read = _single(raw_answer(device, _AUTUMN, now), now=now, day=_AUTUMN)
    assert read.energy_day.readings[first].import_kwh > true_hour(device, first)[0]
    assert read.energy_day.doubtful == {first}


def test_sun_that_is_doubtful_alone_is_not_told() -> None:
    """Two rows of the grid and one of the sun: the grid is sure, the sun is not."""
    grid = body_of(raw_answer(_EM, _AUTUMN))
    solar = body_of(raw_answer(replace(_EM, autumn="fat"), _AUTUMN, channel=1))
    read = read_day(DayAnswer(_AUTUMN, grid, solar), meter_of(_EM), NOW)
    ((first, second),) = read.energy_day.day.repeated_hours
    assert read.energy_day.doubtful == frozenset()
    assert read.energy_day.missing_hours() == (first, second)
    assert read.energy_day.readings[first].solar_kwh is None


# -- UTC stamps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", _CHANGES)
@pytest.mark.parametrize("kind", ["em", "3em"])
def test_stamps_in_utc_need_the_configured_zone_where_the_body_says_utc(kind: Any, zone: str) -> None:
    """The body may call its zone UTC; the local day is the device's all the same."""
    device = Device(EM_ID, kind, zone, stamps="utc", says_timezone="UTC")
    for day in _CHANGES[zone]:
        _assert_true(told(device, day), device, day)


def test_stamps_in_utc_without_a_known_zone_are_refused() -> None:
    """Another day's hours would be taken for this one's."""
    device = Device(EM_ID, timezone="Europe/Berlin", stamps="utc", says_timezone="UTC")
    with pytest.raises(AnswerError, match="not an hour of the day"):
        told(device, _DAY, meter=meter_of(device, timezone=None))


def test_a_zone_called_utc_with_local_stamps_is_utc() -> None:
    """A meter may be there."""
    device = Device(EM_ID, timezone="UTC")
    _assert_true(told(device, _DAY, meter=meter_of(device, timezone="Europe/Berlin")), device, _DAY)


@pytest.mark.parametrize("stamp", ["2026-06-01T25:00:00Z", "2026-13-01T00:00:00Z", "0000-06-01T00:00:00Z"])
def test_a_utc_stamp_that_is_no_time_is_refused(stamp: str) -> None:
    """It has the shape of one."""
    raw = raw_answer(replace(_EM, stamps="utc"), _DAY)
    raw["history"][3]["datetime"] = stamp
    with pytest.raises(AnswerError, match="not a time") as caught:
        _single(raw)
    assert caught.value.field == "history[3].datetime"


# -- Tariffs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tariffs", [1, 2, 3])
@pytest.mark.parametrize("day", [_DAY, _SPRING, _AUTUMN])
@pytest.mark.parametrize("kind", ["em", "3em"])
def test_the_parts_of_an_hour_are_added(kind: Any, day: date, tariffs: int) -> None:
    """One row for each tariff, on the fall-back day for each of the two hours."""
    device = Device(EM_ID, kind, tariffs=tariffs)
    _assert_true(told(device, day), device, day)


@pytest.mark.parametrize("day", [_DAY, _AUTUMN])
def test_a_tariff_zero_that_is_a_copy_is_not_counted(day: date) -> None:
    """It equals the others' sum in every hour of the day."""
    device = Device(EM_ID, tariffs=2, tariff_zero="copy")
    _assert_true(told(device, day), device, day)


@pytest.mark.parametrize("tariffs", [1, 2, 3])
@pytest.mark.parametrize("day", [_DAY, _AUTUMN])
def test_a_tariff_zero_that_may_be_a_rest_is_reported_and_not_told(day: date, tariffs: int) -> None:
    """Rest or copy, nobody knows: no number is better than a wrong one."""
    device = Device(EM_ID, tariffs=tariffs, tariff_zero="rest")
    read = told(device, day)
    truth = true_hours(device, day)
    assert read.anomalies
    assert {anomaly.field for anomaly in read.anomalies} == {"tariff_id"}
    assert all(hour[:2] == truth[ts][:2] for ts, hour in _kwh(read).items())
    assert not read.energy_day.is_complete(NOW)


def test_a_rest_that_equals_the_others_by_chance_is_not_taken_for_a_copy() -> None:
    """Half and half in one hour: the other hours of the day show what the part is."""
    device = Device(EM_ID, tariffs=1, tariff_zero="rest")
    for day in (_DAY + timedelta(days=number) for number in range(-30, 0)):
        read, truth = told(device, day), true_hours(device, day)
        assert all(hour[:2] == truth[ts][:2] for ts, hour in _kwh(read).items())


def test_a_single_hour_is_not_enough_to_tell_a_copy() -> None:
    """At one in the morning there is no other hour to show it."""
    raw = raw_answer(Device(EM_ID, tariffs=1, tariff_zero="copy"), _DAY)
    raw["history"] = raw["history"][:2]
    read = _single(raw)
    assert read.energy_day.readings == {}
    assert len(read.anomalies) == 1


def test_a_tariff_zero_of_nothing_counts_for_nothing() -> None:
    """Rest or copy, the sum is the same."""
    raw = raw_answer(Device(EM_ID, tariffs=2), _DAY)
    rows = [row for row in raw["history"] if row["tariff_id"] == "1"]
    raw["history"] += [{**row, "tariff_id": "0", "consumption": 0, "reversed": 0} for row in rows]
    raw["history"].sort(key=lambda row: row["datetime"])
    assert _kwh(_single(raw)) == _kwh(_single(raw_answer(_EM, _DAY)))


def test_a_row_without_a_tariff_beside_others_is_not_added() -> None:
    """It is most likely their sum: added, the hour would count double."""
    raw = raw_answer(Device(EM_ID, tariffs=2), _DAY)
    total = raw_answer(_EM, _DAY)["history"]
    for row in total:
        del row["tariff_id"]
    raw["history"] = sorted(raw["history"] + total, key=lambda row: row["datetime"])
    assert _kwh(_single(raw)) == _kwh(_single(raw_answer(_EM, _DAY)))


def test_a_tariff_may_be_a_number() -> None:
    """`0` and `"0"` are one."""
    raw = raw_answer(Device(EM_ID, tariffs=2, tariff_zero="copy"), _DAY)
    for row in raw["history"]:
        row["tariff_id"] = int(row["tariff_id"])
    assert _kwh(_single(raw)) == _kwh(_single(raw_answer(_EM, _DAY)))


def test_an_hour_of_which_one_part_is_missing_is_missing() -> None:
    """What is left is less than what flowed."""
    raw = raw_answer(Device(EM_ID, tariffs=2), _DAY)
    for key in ("consumption", "reversed"):
        raw["history"][7][key] = None
    read = _single(raw)
    assert read.energy_day.missing_hours() == (read.energy_day.day.hours[3],)


# -- Holes, the hour in progress, the future ------------------------------------------------------------


@pytest.mark.parametrize("gaps", ["missing", "missing_nulls", "nulls", "absent"])
@pytest.mark.parametrize("kind", ["em", "3em"])
def test_a_hole_is_a_gap_and_never_a_zero(kind: Any, gaps: Any) -> None:
    """However the cloud tells it."""
    hole = Hole(datetime(2026, 6, 1, 5), datetime(2026, 6, 1, 8))
    device = Device(EM_ID, kind, gaps=gaps, hole=(hole,))
    read = told(device, _DAY)
    hours = read.energy_day.day.hours
    assert read.energy_day.missing_hours() == hours[5:8]
    assert _kwh(read) == {ts: hour for ts, hour in true_hours(device, _DAY).items() if ts not in hours[5:8]}


def test_a_hole_in_the_sun_leaves_the_grid() -> None:
    """The hour is incomplete, what is known of it is kept."""
    hole = Hole(datetime(2026, 6, 1, 5), datetime(2026, 6, 1, 8), channel=1)
    read = told(replace(_EM, hole=(hole,)), _DAY)
    hours = read.energy_day.day.hours
    assert read.energy_day.missing_hours() == hours[5:8]
    assert {read.energy_day.readings[ts].solar_kwh for ts in hours[5:8]} == {None}
    assert all(_kwh(read)[ts][:2] == true_hour(_EM, ts)[:2] for ts in hours)


@pytest.mark.parametrize("tariffs", [0, 2])
@pytest.mark.parametrize("gaps", ["missing", "missing_nulls", "nulls", "absent"])
def test_a_hole_on_one_phase_makes_the_hour_missing(gaps: Any, tariffs: int) -> None:
    """`sum` is then the rest of two phases: a number, and a wrong one."""
    hole = Hole(datetime(2026, 6, 1, 5), datetime(2026, 6, 1, 8), channel=2)
    device = replace(_EM3, gaps=gaps, hole=(hole,), tariffs=tariffs)
    read = told(device, _DAY)
    hours = read.energy_day.day.hours
    assert read.energy_day.missing_hours() == hours[5:8]
    assert _kwh(read) == {ts: hour for ts, hour in true_hours(device, _DAY).items() if ts not in hours[5:8]}


def test_a_hole_on_one_phase_where_the_sum_says_missing_too() -> None:
    """The other answer that the cloud may give."""
    hole = Hole(datetime(2026, 6, 1, 5), datetime(2026, 6, 1, 8), channel=0)
    read = told(replace(_EM3, hole=(hole,), sum_of_gaps="missing"), _DAY)
    assert read.energy_day.missing_hours() == read.energy_day.day.hours[5:8]


@pytest.mark.parametrize("under_way", ["missing", "partial"])
@pytest.mark.parametrize("future", ["missing", "absent"])
@pytest.mark.parametrize("kind", ["em", "3em"])
def test_only_hours_that_are_over_are_reported(kind: Any, future: Any, under_way: Any) -> None:
    """The hour in progress has a partial value or none: never final."""
    device = Device(EM_ID, kind, under_way=under_way, future=future)
    now = datetime(2026, 6, 1, 14, 20, tzinfo=UTC)  # 15:20 in Dublin
    read = told(device, _DAY, now)
    hours = read.energy_day.day.hours
    truth = true_hours(device, _DAY)
    assert _kwh(read) == {ts: truth[ts] for ts in hours[:15]}
    assert not read.energy_day.is_complete(now)


def test_a_clock_somewhat_behind_leaves_hours_out_and_refuses_nothing() -> None:
    """An hour of this machine's clock is not the cloud's fault."""
    raw = raw_answer(_EM, _DAY, datetime(2026, 6, 1, 15, 0, tzinfo=UTC))
    read = _single(raw, now=datetime(2026, 6, 1, 14, 20, tzinfo=UTC))
    assert len(read.energy_day.readings) == 15


def test_data_of_the_future_is_refused() -> None:
    """The answer, or this machine's clock, is wrong."""
    with pytest.raises(AnswerError, match="in the future"):
        _single(raw_answer(_EM, _DAY), now=datetime(2026, 6, 1, 14, 20, tzinfo=UTC))


# -- Numbers that cannot be ---------------------------------------------------------------------------


def _spoilt(device: Device, value: Any, *, at: str = "consumption", hour: int = 3) -> ReadDay:
    """The day with that number in every row of that hour: of a 3EM in `sum` alone."""
    raw = raw_answer(device, _DAY)
    for row in raw["sum" if device.kind == "3em" else "history"]:
        if row["datetime"].endswith(f" {hour:02}:00:00"):
            row[at] = value
    return _single(raw, meter_of(device, solar=False))


def _assert_only_that_hour_is_missing(read: ReadDay, device: Device, hour: int, field: str, why: str) -> None:
    """Every other hour as it flowed, the day partial, and one anomaly with the field and the reason."""
    ts = read.energy_day.day.hours[hour]
    assert read.energy_day.missing_hours() == (ts,)
    others = {each: values[:2] for each, values in true_hours(device, _DAY).items() if each != ts}
    assert {each: values[:2] for each, values in _kwh(read).items()} == others
    assert not read.energy_day.is_complete(NOW)
    (anomaly,) = read.anomalies
    assert (anomaly.ts, anomaly.field) == (ts, field)
    assert why in anomaly.reason


@pytest.mark.parametrize(
    "device", [_EM, _EM3, Device(EM_ID, tariffs=2)], ids=["em", "3em", "em, two tariffs"]
)
@pytest.mark.parametrize("at", ["consumption", "reversed"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        (-0.01, "negative"),
        (-1e40, "negative"),
        (68_000_000, "above"),
        (4_294_967.3, "above"),
        (1e40, "above"),
    ],
)
def test_a_number_that_cannot_be_costs_its_hour_alone(device: Device, at: str, value: Any, why: str) -> None:
    """Bug: 68 MWh, or -0.01 Wh of a clamp's noise, cost the other 23 hours of their day, and 4.29 MWh of a
    counter that had overflowed were stored."""
    _assert_only_that_hour_is_missing(_spoilt(device, value, at=at), device, 3, at, why)


@pytest.mark.parametrize(("device", "most_wh"), [(_EM, 40_000), (_EM3, 400_000)], ids=["em", "3em"])
def test_an_hour_may_have_as_much_as_a_meter_of_its_kind_can_measure(device: Device, most_wh: int) -> None:
    """And a hundredth of a Wh more is a doubt."""
    ts = local_day(_DAY, zone_named("Europe/Dublin")).hours[3]
    assert _spoilt(device, most_wh).energy_day.readings[ts].import_kwh == Decimal(most_wh) / 1000
    assert ts not in _spoilt(device, most_wh + 0.01).energy_day.readings


def test_the_bound_is_of_what_was_measured_not_of_what_it_is_multiplied_to() -> None:
    """`grid_scale_factor` is for clamps that see a part: the rest was never measured."""
    meter = meter_of(_EM, solar=False, grid_scale_factor=Decimal(3))
    raw = raw_answer(_EM, _DAY)
    raw["history"][3]["consumption"] = 39_000
    read = _single(raw, meter)
    assert read.energy_day.readings[read.energy_day.day.hours[3]].import_kwh == 117


@pytest.mark.parametrize("phase", [0, 1, 2])
@pytest.mark.parametrize(("value", "why"), [(-0.01, "negative"), (133_333.34, "above")])
def test_a_phase_that_cannot_be_makes_its_hour_a_doubt(phase: int, value: float, why: str) -> None:
    """`sum` may look harmless: it holds the phase's number all the same."""
    raw = raw_answer(_EM3, _DAY)
    raw["history"][phase][3]["reversed"] = value
    read = _single(raw, meter_of(_EM3))
    _assert_only_that_hour_is_missing(read, _EM3, 3, f"history[{phase}].reversed", why)


def test_parts_of_an_hour_that_together_cannot_be_are_a_doubt() -> None:
    """Each tariff's part alone could."""
    raw = raw_answer(Device(EM_ID, tariffs=2), _DAY)
    for row in raw["history"]:
        if row["datetime"].endswith(" 03:00:00"):
            row["consumption"] = 30_000
    _assert_only_that_hour_is_missing(_single(raw), _EM, 3, "consumption", "above")


def test_a_number_that_cannot_be_does_not_hide_that_tariff_zero_is_a_copy() -> None:
    """In that hour the copy is none; the other hours of the day show it."""
    raw = raw_answer(Device(EM_ID, tariffs=2, tariff_zero="copy"), _DAY)
    (copy,) = [row for row in raw["history"] if row["datetime"][11:13] == "03" and row["tariff_id"] == "0"]
    copy["consumption"] = 4_294_967.3
    _assert_only_that_hour_is_missing(_single(raw), _EM, 3, "consumption", "above")


def test_a_number_that_cannot_be_on_the_solar_clamp_costs_the_sun_of_its_hour() -> None:
    """The grid's hour is kept, without solar."""
    grid, solar = raw_answer(_EM, _DAY), raw_answer(_EM, _DAY, channel=1)
    solar["history"][12]["consumption"] = -0.01
    read = read_day(DayAnswer(_DAY, body_of(grid), body_of(solar)), meter_of(_EM), NOW)
    ts = read.energy_day.day.hours[12]
    assert read.energy_day.missing_hours() == (ts,)
    assert _kwh(read)[ts] == (*true_hour(_EM, ts)[:2], None)
    assert [(each.ts, each.field) for each in read.anomalies] == [(ts, "consumption")]


def test_a_row_that_stands_for_two_hours_may_have_twice_as_much() -> None:
    """In autumn one row may hold both."""
    raw = raw_answer(replace(_EM, autumn="fat"), _AUTUMN)
    (both,) = [row for row in raw["history"] if row["datetime"].endswith(" 01:00:00")]
    first = local_day(_AUTUMN, zone_named("Europe/Dublin")).hours[1]
    for value, is_told in ((79_000, True), (81_000, False)):
        both["consumption"] = value
        read = _single(raw, day=_AUTUMN)
        assert (first in read.energy_day.readings) is is_told
        assert read.energy_day.doubtful == ({first} if is_told else set())


def test_an_odd_number_of_the_hour_in_progress_is_no_anomaly() -> None:
    """The hour is not over: it counts for nothing yet."""
    now = datetime(2026, 6, 1, 14, 20, tzinfo=UTC)  # 15:20 in Dublin
    raw = raw_answer(replace(_EM, under_way="partial"), _DAY, now)
    raw["history"][15]["consumption"] = -0.01
    read = _single(raw, now=now)
    assert len(read.energy_day.readings) == 15
    assert (read.anomalies, read.unfinished) == ((), {})


@pytest.mark.parametrize("value", [-0.01, 0, 68_000_000])
def test_a_number_in_the_future_is_refused_whatever_it_is(value: Any) -> None:
    """The answer, or this machine's clock, is wrong: nothing of it is believed."""
    raw = raw_answer(_EM, _DAY, datetime(2026, 6, 1, 14, 20, tzinfo=UTC))
    raw["history"][20] = {"datetime": "2026-06-01 20:00:00", "consumption": value, "reversed": 0}
    with pytest.raises(AnswerError, match="in the future"):
        _single(raw, now=datetime(2026, 6, 1, 14, 20, tzinfo=UTC))


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 41])
def test_what_is_no_finite_number_of_a_sane_length_spoils_the_whole_answer(text: str) -> None:
    """Then it is not the hour that is in doubt but the answer."""
    raw = raw_answer(_EM, _DAY)
    raw["history"][3]["consumption"] = "<here>"
    with pytest.raises(AnswerError):
        parse_body(as_json(raw).replace(b'"<here>"', text.encode()))


# -- What breaks the format -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "value", "field", "reason"),
    [
        ("consumption", True, "history[3].consumption", "not a number"),
        ("consumption", "12.5", "history[3].consumption", "not a number"),
        ("consumption", [1], "history[3].consumption", "not a number"),
        ("consumption", None, "history[3].consumption", "not a number"),
        ("reversed", {}, "history[3].reversed", "not a number"),
        ("reversed", None, "history.reversed", "absent beside consumption"),
        ("missing", "yes", "history[3].missing", "not true or false"),
        ("missing", 0, "history[3].missing", "not true or false"),
        ("tariff_id", True, "history[3].tariff_id", "not a string"),
        ("tariff_id", ["0"], "history[3].tariff_id", "not a string"),
        ("datetime", None, "history[3].datetime", "not a string"),
        ("datetime", 1780279200, "history[3].datetime", "not a string"),
        ("datetime", "", "history[3].datetime", "not a time"),
        ("datetime", "2026-06-01", "history[3].datetime", "not a time"),
        ("datetime", "2026-06-01 03:00:00\n", "history[3].datetime", "not a time"),
        ("datetime", "2026-06-01 ٠٣:00:00", "history[3].datetime", "not a time"),
        ("datetime", "2026-06-01 03:00:00+01:00", "history[3].datetime", "not a time"),
        ("datetime", "2026-06-01 03:15:00", "history[3].datetime", "not the start of an hour"),
        ("datetime", "2026-06-01 03:00:01", "history[3].datetime", "not the start of an hour"),
        ("datetime", "2026-06-01 02:00:00", "history[3].datetime", "out of order"),
        ("datetime", "2026-06-01 25:00:00", "history[3].datetime", "another day"),
        ("datetime", "2026-05-31 03:00:00", "history[3].datetime", "another day"),
        ("datetime", "2026-05-31T23:00:00Z", "history[3].datetime", "out of order"),
        ("datetime", "2026-05-31T22:00:00Z", "history[3].datetime", "not an hour of the day"),
    ],
)
def test_a_row_that_breaks_the_format_is_named(at: str, value: Any, field: str, reason: str) -> None:
    """Nothing of such an answer is stored; the field and the reason are reported."""
    raw = raw_answer(_EM, _DAY)
    raw["history"][3][at] = value
    with pytest.raises(AnswerError) as caught:
        _single(raw)
    assert caught.value.field == field
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("at", "value", "field", "reason"),
    [
        ("timezone", None, "timezone", "not a string"),
        ("timezone", 1, "timezone", "not a string"),
        ("timezone", "Mars/Olympus_Mons", "timezone", "unknown"),
        ("timezone", "../../etc/passwd", "timezone", "not the name"),
        ("timezone", "Europe", "timezone", "unknown"),
        ("interval", "day", "interval", "not hour"),
        ("interval", None, "interval", "not hour"),
        ("history", None, "history", "not a list"),
        ("history", {"0": []}, "history", "not a list"),
        ("history", [None], "history[0]", "not an object"),
        ("history", [{}] * 481, "history", "481 rows"),
    ],
)
def test_a_body_that_breaks_the_format_is_named(at: str, value: Any, field: str, reason: str) -> None:
    """The same for what is not in a row."""
    with pytest.raises(AnswerError) as caught:
        _single(raw_answer(_EM, _DAY) | {at: value})
    assert caught.value.field == field
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("history", "field", "reason"),
    [
        (None, "history", "three lists"),
        ([[], []], "history", "three lists"),
        ([], "history", "three lists"),
        ([[], [], []], "history[0]", "not as long as sum"),
        ([None, [], []], "history[0]", "not a list"),
    ],
)
def test_three_phases_that_are_not_three_lists_beside_sum_are_refused(
    history: Any, field: str, reason: str
) -> None:
    """Without the phases nobody sees that one of them is missing in `sum`."""
    with pytest.raises(AnswerError) as caught:
        _single(raw_answer(_EM3, _DAY) | {"history": history}, meter_of(_EM3))
    assert (caught.value.field, reason in caught.value.reason) == (field, True)


def test_phases_that_slipped_apart_are_refused() -> None:
    """Rows are aligned by their place: another stamp there is another hour."""
    raw = raw_answer(_EM3, _DAY)
    raw["history"][1] = [*raw["history"][1][1:], raw["history"][1][0]]
    with pytest.raises(AnswerError, match="not aligned") as caught:
        _single(raw, meter_of(_EM3))
    assert caught.value.field == "history[1][0].datetime"


def test_the_wrong_kind_configured_gives_the_hint() -> None:
    """It is the user's mistake, and easy to mend."""
    with pytest.raises(AnswerError, match='kind = "3em"'):
        _single(raw_answer(_EM3, _DAY), meter_of(_EM))
    with pytest.raises(AnswerError, match='kind = "em"'):
        _single(raw_answer(_EM, _DAY), meter_of(_EM3))


def test_two_devices_in_two_zones_are_refused() -> None:
    """Their local days are not the same stretch of time."""
    grid = body_of(raw_answer(_EM, _DAY))
    solar = body_of(raw_answer(replace(_EM, timezone="Europe/Berlin"), _DAY, channel=1))
    with pytest.raises(AnswerError, match="another time zone"):
        read_day(DayAnswer(_DAY, grid, solar), meter_of(_EM), NOW)


# -- What this machine's time-zone data lack -----------------------------------------------------------

_FIXED, _CHANGING = "Etc/GMT+6", "America/Chicago"  # Mexico since 2022, and as older rules still have it
_CHANGE = date(2026, 3, 8)  # when they put the clocks forward


def _as_said(truth: str, said: str, day: date, **options: Any) -> ReadDay:
    """A meter whose clock is that of `truth`, under the name of a zone that has other rules here."""
    device = Device(EM_ID, timezone=truth, says_timezone=said, **options)
    return _single(raw_answer(device, day), day=day)


def test_data_of_an_hour_that_the_rules_skip_contradict_the_rules() -> None:
    """Bug: blamed on the cloud, though it is this machine's rules that are of before the abolition."""
    with pytest.raises(ZoneContradicted, match="daylight saving skips in America/Chicago") as caught:
        _as_said(_FIXED, _CHANGING, _CHANGE)
    assert (caught.value.field, caught.value.zone) == ("history[2].datetime", _CHANGING)


def test_an_hour_that_comes_twice_where_the_rules_have_it_once_contradicts_them() -> None:
    """Two rows under one name at night, each with energy of its own: there the clocks were put back."""
    with pytest.raises(ZoneContradicted, match="twice") as caught:
        _as_said("Europe/Berlin", "Africa/Algiers", _AUTUMN, tariffs=2)
    assert (caught.value.field, caught.value.zone) == ("history[6].datetime", "Africa/Algiers")


def test_a_row_that_is_there_twice_is_no_change_of_the_clocks() -> None:
    """The same numbers again, at noon, or one of them without any: a mistake of the cloud."""
    spoiled = []
    for place, changed in ((2, {}), (12, {"consumption": 777}), (2, {"consumption": None, "reversed": None})):
        raw = raw_answer(_EM, _DAY)
        raw["history"].insert(place, {**raw["history"][place], **changed})
        spoiled.append(raw)
    for raw in spoiled:
        with pytest.raises(AnswerError, match="comes twice") as caught:
            _single(raw)
        assert type(caught.value) is AnswerError


def test_stamps_in_utc_of_a_day_that_begins_at_another_hour_contradict_the_rules() -> None:
    """An hour of it is not of the day by our rules. A whole other day is the cloud's mistake."""
    with pytest.raises(ZoneContradicted, match="not an hour of the day"):
        _as_said(_FIXED, _CHANGING, _DAY, stamps="utc")
    raw = raw_answer(replace(_EM, stamps="utc"), _DAY - timedelta(days=1))
    with pytest.raises(AnswerError, match="not an hour of the day") as caught:
        _single(raw)
    assert type(caught.value) is AnswerError


def test_what_good_rules_accept_contradicts_nothing() -> None:
    """Zones that differ by their rules elsewhere in the year: a day on which they agree is read."""
    read = _as_said(_FIXED, _CHANGING, date(2026, 1, 15))
    assert read.energy_day.is_complete(NOW)


def test_an_old_name_of_a_zone_is_understood_where_only_the_new_one_has_a_file(tmp_path: Path) -> None:
    """Bug: on Debian 13 every day of a meter in `Europe/Kiev` was rejected."""
    raw = raw_answer(Device(EM_ID, timezone="Europe/Kyiv", says_timezone="Europe/Kiev"), _DAY)
    with zone_data(tmp_path / "zones", "Europe/Kyiv") as data:
        data.release("2026f", "Europe/Kyiv Europe/Kiev")
        read = _single(raw, meter_of(_EM, solar=False, timezone=None))
        assert read.energy_day.day.zone.key == "Europe/Kyiv"
        assert read.energy_day.is_complete(NOW)


def test_the_configured_zone_counts_where_the_named_one_is_unknown_here(tmp_path: Path) -> None:
    """Bug: `timezone` was left aside, and the name was told nowhere."""
    raw = raw_answer(Device(EM_ID, timezone="Europe/Kyiv", says_timezone="Europe/Kiev"), _DAY)
    with zone_data(tmp_path / "zones", "Europe/Kyiv"):
        read = _single(raw, meter_of(_EM, solar=False, timezone="Europe/Kyiv"))
        assert read.energy_day.is_complete(NOW)
        for configured in (None, "Europe/Kiev"):  # what the configuration names may become unknown, too
            with pytest.raises(ZoneUnknown, match="Europe/Kiev is unknown to this machine") as caught:
                _single(raw, meter_of(_EM, solar=False, timezone=configured))
            assert (caught.value.field, caught.value.zone) == ("timezone", "Europe/Kiev")


def test_a_zone_that_is_none_is_named_in_the_message() -> None:
    """So that a person sees what the cloud said; escaped."""
    for name, shown in (("Mars/Base", "'Mars/Base'"), ("x\x1b[31m\u202e", r"'x\x1b[31m\u202e'")):
        with pytest.raises(AnswerError) as caught:
            _single(raw_answer(_EM, _DAY) | {"timezone": name})
        assert shown in caught.value.reason


@pytest.mark.parametrize("under_way", ["missing", "partial"])
def test_what_is_reported_of_unfinished_hours_is_kept_apart(under_way: Any) -> None:
    """It is not stored; it shows whether the hour was over already."""
    now = datetime(2026, 6, 1, 14, 20, tzinfo=UTC)
    read = told(Device(EM_ID, under_way=under_way), _DAY, now)
    hour = read.energy_day.day.hours[15]
    assert list(read.unfinished) == ([hour] if under_way == "partial" else [])
    assert hour not in read.energy_day.readings
    assert not read.anomalies


# -- Samples ------------------------------------------------------------------------------------------


def _sampled(name: str, kind: Kind, day: date, zone: str | None = None) -> ReadDay:
    meter = Meter("house", EM_ID, kind, solar=False, timezone=zone)
    return read_day(DayAnswer(day, parse_body(sample_body(name)), None), meter, NOW)


def test_the_sample_of_a_day_under_way() -> None:
    """Fourteen hours, and ten to come."""
    read = _sampled("RECONSTRUCTED_em1p_day_today", Kind.EM, date(2026, 3, 10))
    imported = [hour.import_kwh for hour in read.energy_day.readings.values()]
    assert imported[:2] + imported[-1:] == [Decimal("0.18"), Decimal("0.18337"), Decimal("0.22381")]
    assert len(read.energy_day.missing_hours()) == 10


def test_the_sample_of_a_fall_back_day() -> None:
    """`sum` is read, its repeated hour twice."""
    read = _sampled("RECONSTRUCTED_em3p_fall_back_excerpt", Kind.EM3, _AUTUMN)
    hours = read.energy_day.day.hours
    wh = {ts: int(hour.import_kwh * 1000) for ts, hour in read.energy_day.readings.items()}
    assert wh == dict(zip(hours[1:5], (420, 423, 426, 429), strict=True))
    assert read.energy_day.doubtful == frozenset()


def test_the_sample_of_a_spring_forward_day() -> None:
    """The placeholder is no hour."""
    read = _sampled("RECONSTRUCTED_em3p_spring_forward_excerpt", Kind.EM3, _SPRING)
    hours = read.energy_day.day.hours
    wh = {ts: int(hour.import_kwh * 1000) for ts, hour in read.energy_day.readings.items()}
    assert wh == {hours[1]: 420, hours[2]: 426}
    assert len(hours) == 23


def test_the_sample_with_stamps_in_utc() -> None:
    """In the configured zone, or in UTC."""
    for zone in ("Europe/Berlin", None):
        read = _sampled("RECONSTRUCTED_plain_power_consumption_utc", Kind.EM, date(2025, 12, 12), zone)
        ((ts, hour),) = read.energy_day.readings.items()
        assert (ts, hour.import_kwh) == (1765526400, Decimal("0.0124"))


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("RECONSTRUCTED_legacy_emeter_consumption", "timezone"),
        ("real_v1_device_status_gen2_docs", "timezone"),
        ("real_v2_statistics_weather_station_custom_47min", "interval"),
    ],
)
def test_the_samples_of_other_endpoints_are_refused(name: str, field: str) -> None:
    """They are answers, and none of ours."""
    with pytest.raises(AnswerError) as caught:
        _sampled(name, Kind.EM, date(2026, 3, 30))
    assert caught.value.field == field
