"""The answer to a span, laid on its days: each as if it had been requested alone, or left to be so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cloud.meters import Meter
from collector.cloud.parse import ReadDay, SpanAnswer, read_day, split_days
from collector.energy.days import local_day
from collector.errors import AnswerError
from collector.simulator import Device, api
from tests.support.stand_in_cloud import EM3_ID, EM_ID, NOW, body_of, cloud, meter_of, told

ZONES = (
    "Europe/Dublin", "Europe/Berlin", "America/New_York", "America/Havana", "Africa/Cairo",
    "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "Asia/Beirut",
)  # fmt: skip
FIRST, MIDDLE, LAST = (date(2026, 6, day) for day in (1, 2, 3))


def raw_span(
    device: Device, first: date, last: date, channel: int = 0, now: datetime = NOW
) -> dict[str, Any]:
    """The body of a span, as the JSON object that the simulated cloud sends."""
    scenario = cloud(device, hour_span_h=200)
    path = api.EM if device.kind == "em" else api.EM3
    query = {"id": device.id, "channel": str(channel), "date_range": "custom"}
    query |= {"date_from": f"{first} 00:00:00", "date_to": f"{last} 23:59:59"}
    answer = api.answer(scenario, scenario.account[0], path, query, NOW)
    assert isinstance(answer, dict)
    return answer


def read_span(answer: SpanAnswer, meter: Meter, now: datetime = NOW) -> dict[date, ReadDay | None]:
    """Each day as it is read, `None` where it cannot be."""
    found: dict[date, ReadDay | None] = {}
    for day, part in split_days(answer, meter).items():
        try:
            found[day] = read_day(part, meter, now)
        except AnswerError:
            found[day] = None
    return found


def single_channel(device: Device, raw: dict[str, Any]) -> dict[date, ReadDay | None]:
    """The three days from `FIRST` on, of the grid clamp alone."""
    answer = SpanAnswer(FIRST, LAST, body_of(raw), None)
    return read_span(answer, meter_of(device, solar=False))


@settings(deadline=None, max_examples=60)
@given(
    zone=st.sampled_from(ZONES),
    first=st.dates(date(2025, 1, 1), date(2026, 6, 14)),
    days=st.integers(2, 4),
    kind=st.sampled_from(["em", "3em"]),
    variant=st.fixed_dictionaries(
        {
            "spring": st.sampled_from(["missing", "nulls", "absent", "zeros"]),
            "autumn": st.sampled_from(["repeated", "fat"]),
            "stamps": st.sampled_from(["local", "utc"]),
            "gaps": st.sampled_from(["missing", "missing_nulls", "nulls", "absent"]),
            "future": st.sampled_from(["missing", "absent"]),
            "tariffs": st.sampled_from([0, 3]),
        }
    ),
)
def test_each_day_of_a_span_is_what_it_is_alone(
    zone: str, first: date, days: int, kind: Any, variant: dict[str, Any]
) -> None:
    """Through both changes of the clocks, where midnight is skipped or repeated, in every form of rows."""
    device = Device(EM_ID if kind == "em" else EM3_ID, kind, timezone=zone, **variant)
    meter, last = meter_of(device), first + timedelta(days=days - 1)
    grid = body_of(raw_span(device, first, last))
    solar = body_of(raw_span(device, first, last, channel=1)) if kind == "em" else None
    for day, read in read_span(SpanAnswer(first, last, grid, solar), meter).items():
        alone = told(device, day)
        assert read is not None, day
        assert read.energy_day.readings == alone.energy_day.readings, day
        assert read.energy_day.doubtful == alone.energy_day.doubtful
        assert read.is_certain(NOW) == alone.is_certain(NOW)


def test_a_whole_day_is_certain_and_one_with_a_single_autumn_row_is_not() -> None:
    """Two hours in one row: only the day's own answer is to decide."""
    assert told(Device(EM_ID), date(2025, 10, 26)).is_certain(NOW)
    assert not told(Device(EM_ID, autumn="fat"), date(2025, 10, 26)).is_certain(NOW)


def test_today_is_certain_before_its_first_hour_has_arrived_and_not_without_it_later() -> None:
    """Else every refresh just after midnight would request today twice."""
    device = Device(EM_ID, timezone="Europe/Berlin")
    midnight = datetime.fromtimestamp(local_day(MIDDLE, device.zone).start, UTC)
    early, later = midnight + timedelta(minutes=50), midnight + timedelta(minutes=80)
    assert told(device, MIDDLE, early).is_certain(early)
    assert told(replace(device, late_minutes=120), MIDDLE, early).is_certain(early)
    assert not told(replace(device, late_minutes=120), MIDDLE, later).is_certain(later)


@pytest.mark.parametrize("end", [0, -1])
def test_a_span_that_is_an_hour_short_leaves_that_day_to_be_requested_alone(end: int) -> None:
    """Its neighbours are certain."""
    device = Device(EM_ID)
    raw = raw_span(device, FIRST, LAST)
    del raw["history"][end]
    short = FIRST if end == 0 else LAST
    for day, read in single_channel(device, raw).items():
        assert read is not None
        assert read.is_certain(NOW) == (day != short)


@pytest.mark.parametrize("kind", ["em", "3em"])
def test_an_hour_more_at_either_end_is_left_out(kind: Any) -> None:
    """It is the neighbours'."""
    device = Device(EM_ID if kind == "em" else EM3_ID, kind)
    raw = raw_span(device, FIRST - timedelta(days=1), LAST + timedelta(days=1))
    for rows in [raw["history"]] if kind == "em" else [raw["sum"], *raw["history"]]:
        del rows[:23], rows[-23:]
    for day, read in single_channel(device, raw).items():
        assert read is not None
        assert read.is_certain(NOW)
        assert read.energy_day.readings.keys() == told(device, day).energy_day.readings.keys()


def test_an_answer_to_another_request_is_an_error_though_it_has_one_of_the_days() -> None:
    """Bug: a span that was a day late was taken for what it had of the days."""
    raw = raw_span(Device(EM_ID), FIRST + timedelta(days=1), LAST + timedelta(days=1))
    with pytest.raises(AnswerError):
        single_channel(Device(EM_ID), raw)


@pytest.mark.parametrize("how", ["absent", "missing"])
def test_a_day_without_data_in_the_middle_is_not_certain(how: str) -> None:
    """It may be the span that lacks it."""
    device = Device(EM_ID)
    raw = raw_span(device, FIRST, LAST)
    of_the_day = [row for row in raw["history"] if row["datetime"].startswith(str(MIDDLE))]
    for row in of_the_day:
        if how == "absent":
            raw["history"].remove(row)
        else:
            row.update(missing=True, consumption=None, reversed=None)
    certain = {
        day: read is not None and read.is_certain(NOW) for day, read in single_channel(device, raw).items()
    }
    assert certain == {FIRST: True, MIDDLE: False, LAST: True}


@pytest.mark.parametrize(
    "row",
    [
        7,
        None,
        {},
        {"datetime": 5},
        {"datetime": "noon"},
        {"datetime": "2026-06-31 05:00:00", "consumption": 5, "reversed": 0},
    ],
)
def test_a_row_that_nobody_can_read_spoils_the_day_around_it_alone(row: Any) -> None:
    """And both days, where it stands between them."""
    device = Device(EM_ID)
    for place, spoiled in ((30, {MIDDLE}), (24, {FIRST, MIDDLE}), (0, {FIRST}), (72, {LAST})):
        raw = raw_span(device, FIRST, LAST)
        raw["history"].insert(place, row)
        found = {day for day, read in single_channel(device, raw).items() if read is None}
        assert found == spoiled, place


@pytest.mark.parametrize(
    "broken", ["backwards", "no list", "no sum", "no phases", "a short phase", "no zone"]
)
def test_a_body_that_makes_no_sense_is_an_error(broken: str) -> None:
    """Then all its days are requested alone."""
    kind: Any = "3em" if "phase" in broken or "sum" in broken else "em"
    device = Device(EM3_ID if kind == "3em" else EM_ID, kind)
    raw = raw_span(device, FIRST, LAST)
    match broken:
        case "backwards":
            raw["history"].reverse()
        case "no list":
            raw["history"] = {"rows": raw["history"]}
        case "no sum":
            raw["sum"] = None
        case "no phases":
            raw["history"] = [1, 2, 3]
        case "a short phase":
            del raw["history"][1][5]
        case _:
            raw["timezone"] = 5
    with pytest.raises(AnswerError):
        split_days(SpanAnswer(FIRST, LAST, body_of(raw), None), meter_of(device, solar=False))
