"""Answers that the simulator tampers with: refused, or only hours whose energy is the truth.

Those changed at random are in tests/faults.
"""

from __future__ import annotations

from datetime import date

import pytest

from collector.cloud.parse import DayAnswer, ReadDay, read_day
from collector.cloud.refusals import read_answer
from collector.errors import AnswerError, SourceError
from collector.simulator import Device
from collector.simulator.api import as_json
from tests.support.cloud_faults import KINDS, TAMPERINGS
from tests.support.stand_in_cloud import EM_ID, NOW, body_of, meter_of, raw_answer, true_hours

_DEVICES = {
    "em": Device(EM_ID),
    "em, utc": Device(EM_ID, stamps="utc", says_timezone="UTC"),
    "em, three tariffs": Device(EM_ID, tariffs=3),
    "3em": Device(EM_ID, "3em"),
    "3em, two tariffs": Device(EM_ID, "3em", tariffs=2),
}
_DAY = date(2026, 6, 1)


def _is_true(read: ReadDay, device: Device, day: date) -> bool:
    truth = true_hours(device, day)
    repeated = {ts for pair in read.energy_day.day.repeated_hours for ts in pair}
    return all(
        tuple(hour)[:2] == truth[ts][:2]
        for ts, hour in read.energy_day.readings.items()
        # A doubled or lost row of a repeated hour is another's pair: its own test knows what then.
        if ts not in repeated
    )


_TOLD_AS_TRUE = {"sum_off", "wrong_zone"}
"""What nothing in an answer gives away."""
_LOSES_PARTS = {"missing_rows", "ragged"}
"""Nothing tells how many parts an hour should have: not played where there are several."""


@pytest.mark.parametrize("kind", sorted(set(TAMPERINGS) - _TOLD_AS_TRUE))
@pytest.mark.parametrize("name", _DEVICES)
def test_what_the_simulator_tampers_with_is_refused_or_true(name: str, kind: str) -> None:
    """Each of its kinds."""
    assert kind in KINDS
    device, day = _DEVICES[name], _DAY
    if device.tariffs and kind in _LOSES_PARTS:
        return
    data = TAMPERINGS[kind](raw_answer(device, day))
    try:
        body = read_answer(200, data, None, None)
        read = read_day(DayAnswer(day, body, None), meter_of(device, solar=False), NOW)
    except (AnswerError, SourceError):
        return
    assert _is_true(read, device, day)


@pytest.mark.parametrize("kind", ["negative", "absurd_value"])
@pytest.mark.parametrize("name", _DEVICES)
def test_one_number_that_cannot_be_costs_no_more_than_its_hour(name: str, kind: str) -> None:
    """Bug: it cost the whole day."""
    device = _DEVICES[name]
    body = read_answer(200, TAMPERINGS[kind](raw_answer(device, _DAY)), None, None)
    read = read_day(DayAnswer(_DAY, body, None), meter_of(device, solar=False), NOW)
    assert _is_true(read, device, _DAY)
    assert len(read.energy_day.missing_hours()) == 1


def test_rows_in_another_order_are_refused() -> None:
    """Reversed, or the odd ones first: what comes after a later hour is never laid on an earlier one."""
    for kind in ("reordered", "shuffled", "doubled_row", "conflicting_row"):
        data = TAMPERINGS[kind](raw_answer(_DEVICES["em"], _DAY))
        with pytest.raises(AnswerError, match="out of order"):
            body = read_answer(200, data, None, None)
            read_day(DayAnswer(_DAY, body, None), meter_of(_DEVICES["em"], solar=False), NOW)


def test_unknown_keys_are_tolerated() -> None:
    """The cloud adds some now and then."""
    for kind in ("extra_keys", "spaced_out", "hostile_rows"):
        data = TAMPERINGS[kind](raw_answer(_DEVICES["em"], _DAY))
        read = read_day(
            DayAnswer(_DAY, read_answer(200, data, None, None), None),
            meter_of(_DEVICES["em"], solar=False),
            NOW,
        )
        assert read.energy_day.is_complete(NOW)
        assert _is_true(read, _DEVICES["em"], _DAY)


def test_a_day_answer_survives_the_line() -> None:
    """What these tests read is what the cloud sends."""
    raw = raw_answer(_DEVICES["em"], _DAY)
    assert body_of(raw) == read_answer(200, as_json(raw), None, None)
