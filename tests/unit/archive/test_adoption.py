"""Files of the older utility: adopted as they stand, and its zeros not believed where it had no data."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from collector.archive.dayfile import decode, encode, stored_day
from collector.energy.days import local_day
from collector.energy.readings import EnergyDay
from tests.support.archives import MEASURED, Columns, older_file
from tests.support.energy_days import AUTUMN, BERLIN, ORDINARY, SPRING, filled

HOURS = local_day(ORDINARY, BERLIN).hours
NOTHING: Mapping[str, float] = {"import": 0, "export": 0, "solar": 0}


def adopted(columns: Columns, *, partial: bool, no_solar: bool = False) -> EnergyDay:
    file = decode(older_file(columns, partial=partial), ORDINARY)
    assert not file.ours
    return stored_day(file, local_day(ORDINARY, BERLIN), no_solar=no_solar)


def test_a_complete_day_is_read_as_it_stands() -> None:
    """Keys in its order, five decimals, integers for zeros, a key of its own."""
    columns = {**MEASURED, "export": 0, "solar_discard": 0.012}
    day = adopted(lambda label: columns, partial=False)
    assert not day.missing_hours()
    assert day.readings[HOURS[5]] == (Decimal("1.23456"), Decimal(0), Decimal("0.75"))


def test_zeros_of_a_complete_day_are_measurements() -> None:
    """At night there is no sun."""
    assert adopted(lambda label: NOTHING, partial=False).is_whole()


def test_zeros_of_a_partial_day_are_no_measurements() -> None:
    """All 24 rows are there, and those without data say zero: they are requested again."""
    day = adopted(lambda label: NOTHING if label >= 20 else MEASURED, partial=True)
    assert day.missing_hours() == HOURS[20:]
    assert set(day.readings) == set(HOURS[:20])


def test_a_zero_on_one_channel_of_a_partial_day_is_unknown_there() -> None:
    """Solar not known: the grid stays. Grid not known: the hour is missing."""
    no_sun, no_grid = {**MEASURED, "solar": 0}, {**NOTHING, "solar": 0.75}
    day = adopted(lambda label: {3: no_sun, 4: no_grid}.get(label, MEASURED), partial=True)
    assert day.readings[HOURS[3]].solar_kwh is None
    assert HOURS[4] not in day.readings
    assert day.missing_hours() == HOURS[3:5]


def test_a_meter_without_solar_has_true_zeros_there() -> None:
    """Only the grid's zeros are fillings then."""
    no_sun = {**MEASURED, "solar": 0}
    day = adopted(lambda label: NOTHING if label == 7 else no_sun, partial=True, no_solar=True)
    assert day.missing_hours() == HOURS[7:8]


def test_a_zero_of_solar_without_consumed_is_not_known() -> None:
    """The older utility puts the zero first and the other columns only with the measurement."""
    grid_only: Mapping[str, float] = {"import": 1.0, "export": 0}
    day = adopted(lambda label: grid_only if label == 2 else MEASURED, partial=True)
    assert day.readings[HOURS[2]].solar_kwh is None
    assert day.missing_hours() == HOURS[2:3]


def test_zeros_beside_an_hour_without_solar_are_no_measurements() -> None:
    """Bug: one record without `consumed` made all the fillings of its day count as measured."""
    grid_only: Mapping[str, float] = {"import": 1.0, "export": 0}
    day = adopted(lambda label: {2: grid_only, 9: NOTHING}.get(label, MEASURED), partial=True)
    assert day.missing_hours() == (HOURS[2], HOURS[9])
    assert HOURS[9] not in day.readings


def test_a_fall_back_day_has_one_row_for_the_repeated_hour() -> None:
    """24 records, and it says complete: the repeated hour is doubtful, nothing else."""
    file = decode(older_file(day=AUTUMN), AUTUMN)
    day = stored_day(file, local_day(AUTUMN, BERLIN), no_solar=False)
    assert (len(day.readings), file.partial) == (24, False)
    assert day.doubtful == frozenset({day.day.hours[2]})
    assert day.missing_hours() == (day.day.hours[3],)


def test_a_partial_spring_day_is_zero_filled_too() -> None:
    """23 rows are all it can have."""
    data = older_file(lambda label: NOTHING if label == 1 else MEASURED, day=SPRING, partial=True)
    day = stored_day(decode(data, SPRING), local_day(SPRING, BERLIN), no_solar=False)
    assert day.missing_hours() == (day.day.hours[1],)


def test_rows_that_are_not_there_make_no_fillings_of_the_others() -> None:
    """A partial day that lacks rows was not filled with zeros."""
    data = older_file(lambda label: NOTHING, partial=True)
    day = stored_day(
        decode(b"".join(data.splitlines(keepends=True)[:10]), ORDINARY),
        local_day(ORDINARY, BERLIN),
        no_solar=False,
    )
    assert len(day.readings) == 10


def test_a_full_partial_day_in_our_order_is_zero_filled() -> None:
    """We never write one: whoever did, filled it."""
    data = encode(filled(each=filled().readings[HOURS[0]]), 4, complete=False)
    file = decode(data.replace(b'"import": 0.1230', b'"import": 0').replace(b"0.2500", b"0"), ORDINARY)
    assert stored_day(file, local_day(ORDINARY, BERLIN), no_solar=False).readings == {}
