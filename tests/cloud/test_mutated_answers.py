"""Answers changed at random: refused, or only hours whose energy is the truth. Never a wrong number."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from random import Random
from typing import Any

import pytest

from collector.cloud.answers import DayAnswer, ReadDay, read_day
from collector.cloud.refusals import read_answer
from collector.errors import AnswerError, SourceError
from collector.simulator import KINDS, Device
from collector.simulator.refusals import as_json
from collector.simulator.tampering import TAMPERINGS
from tests.cloud.stand_in import EM_ID, NOW, body_of, meter_of, raw_answer, true_hours

_DEVICES = {
    "em": Device(EM_ID),
    "em, utc": Device(EM_ID, stamps="utc", says_timezone="UTC"),
    "em, three tariffs": Device(EM_ID, tariffs=3),
    "3em": Device(EM_ID, "3em"),
    "3em, two tariffs": Device(EM_ID, "3em", tariffs=2),
}
_DAYS = [date(2026, 6, 1), date(2026, 3, 29), date(2025, 10, 26)]

Rows = list[dict[str, Any]]


def _swap(rows: Rows, dice: Random) -> None:
    one, other = dice.randrange(len(rows)), dice.randrange(len(rows))
    if rows[one].get("datetime") != rows[other].get("datetime"):  # twins have one name: nobody could tell
        rows[one], rows[other] = rows[other], rows[one]


def _shuffle(rows: Rows, dice: Random) -> None:
    twins = [str(row.get("datetime")) for row in rows]
    if len(set(twins)) == len(twins):
        dice.shuffle(rows)


def _double(rows: Rows, dice: Random) -> None:
    place = dice.randrange(len(rows))
    rows.insert(dice.choice([place, place + 1, dice.randrange(len(rows))]), dict(rows[place]))


def _put_in_a_foreign_row(rows: Rows, dice: Random) -> None:
    row = dict(dice.choice(rows))
    day = dice.choice(["2026-05-31", "2026-06-02", "2024-02-29"])
    row["datetime"] = day + str(row.get("datetime"))[10:]
    rows.insert(dice.randrange(len(rows) + 1), row)


def _blank(rows: Rows, dice: Random) -> None:
    row = dice.choice(rows)
    if dice.random() < 0.5:
        row["missing"] = True
    for key in ("consumption", "reversed"):
        row[key] = None


def _drop_a_key(rows: Rows, dice: Random) -> None:
    row = dice.choice(rows)
    keys = [key for key in row if key != "tariff_id"]
    if keys:
        row.pop(dice.choice(keys))


def _spoil_a_value(rows: Rows, dice: Random) -> None:
    row = dice.choice(rows)
    values: list[Any] = [None, True, "12", -1, -0.01, [], {}, "x", 1e12, "2026-06-01 99:00:00", "\ud800"]
    keys = [key for key in ("datetime", "consumption", "reversed", "missing") if key in row]
    if keys:
        row[dice.choice(keys)] = dice.choice(values)


def _drop(rows: Rows, dice: Random) -> None:
    stamp = dice.choice(rows).get("datetime")  # the whole hour: what is left of one cannot be known
    rows[:] = [row for row in rows if row.get("datetime") != stamp] or rows


_MUTATIONS: list[Callable[[Rows, Random], None]] = [
    _swap, _shuffle, _double, _put_in_a_foreign_row, _blank, _drop_a_key, _spoil_a_value, _drop
]  # fmt: skip


def _mutated(raw: dict[str, Any], dice: Random) -> dict[str, Any]:
    """The answer after one to three changes, to one of its lists or to all of them alike."""
    raw = json.loads(json.dumps(raw))
    lists: list[Rows] = [*raw["history"], raw["sum"]] if "sum" in raw else [raw["history"]]
    for _ in range(dice.randint(1, 3)):
        mutate, seed = dice.choice(_MUTATIONS), dice.random()
        for rows in lists if dice.random() < 0.6 else [dice.choice(lists)]:
            mutate(rows, Random(seed))
    return raw


def _read(raw: dict[str, Any], device: Device, day: date) -> ReadDay | None:
    body = json.dumps(raw).encode()
    try:
        answer = DayAnswer(day, read_answer(200, body, None, None), None)
        return read_day(answer, meter_of(device, solar=False), NOW)
    except AnswerError:
        return None


def _is_true(read: ReadDay, device: Device, day: date) -> bool:
    truth = true_hours(device, day)
    twins = {ts for pair in read.energy_day.day.twins for ts in pair}
    return all(
        tuple(hour)[:2] == truth[ts][:2]
        for ts, hour in read.energy_day.readings.items()
        # A doubled or lost row of a repeated hour is another's twin: its own test knows what then.
        if ts not in twins
    )


@pytest.mark.parametrize("day", _DAYS, ids=str)
@pytest.mark.parametrize("name", _DEVICES)
def test_a_mutated_answer_is_refused_or_true(name: str, day: date) -> None:
    """Rows swapped, doubled, lost, blanked, of other days; keys lost; values spoiled."""
    device = _DEVICES[name]
    raw = raw_answer(device, day)
    refused = kept = 0
    for seed in range(200):
        mutated = _mutated(raw, Random(f"{name} {day} {seed}"))
        read = _read(mutated, device, day)
        refused += read is None
        kept += read is not None and bool(read.energy_day.readings)
        assert read is None or _is_true(read, device, day), seed
    assert refused > 10
    assert kept > 10


_TOLD_AS_TRUE = {"sum_off", "wrong_zone"}
"""What nothing in an answer gives away."""
_LOSES_PARTS = {"missing_rows", "ragged"}
"""Nothing tells how many parts an hour should have: not played where there are several."""


@pytest.mark.parametrize("kind", sorted(set(TAMPERINGS) - _TOLD_AS_TRUE))
@pytest.mark.parametrize("name", _DEVICES)
def test_what_the_simulator_tampers_with_is_refused_or_true(name: str, kind: str) -> None:
    """Each of its kinds."""
    assert kind in KINDS
    device, day = _DEVICES[name], _DAYS[0]
    if device.tariffs and kind in _LOSES_PARTS:
        return
    data = TAMPERINGS[kind](raw_answer(device, day))
    try:
        body = read_answer(200, data, None, None)
        read = read_day(DayAnswer(day, body, None), meter_of(device, solar=False), NOW)
    except (AnswerError, SourceError):
        return
    assert _is_true(read, device, day)


def test_rows_in_another_order_are_refused() -> None:
    """Reversed, or the odd ones first: what comes after a later hour is never laid on an earlier one."""
    for kind in ("reordered", "shuffled", "doubled_row", "conflicting_row"):
        data = TAMPERINGS[kind](raw_answer(_DEVICES["em"], _DAYS[0]))
        with pytest.raises(AnswerError, match="out of order"):
            body = read_answer(200, data, None, None)
            read_day(DayAnswer(_DAYS[0], body, None), meter_of(_DEVICES["em"], solar=False), NOW)


def test_unknown_keys_are_tolerated() -> None:
    """The cloud adds some now and then."""
    for kind in ("extra_keys", "spaced_out", "hostile_rows"):
        data = TAMPERINGS[kind](raw_answer(_DEVICES["em"], _DAYS[0]))
        read = read_day(
            DayAnswer(_DAYS[0], read_answer(200, data, None, None), None),
            meter_of(_DEVICES["em"], solar=False),
            NOW,
        )
        assert read.energy_day.is_complete(NOW)
        assert _is_true(read, _DEVICES["em"], _DAYS[0])


def test_a_day_answer_survives_the_line() -> None:
    """What these tests read is what the cloud sends."""
    raw = raw_answer(_DEVICES["em"], _DAYS[0])
    assert body_of(raw) == read_answer(200, as_json(raw), None, None)
