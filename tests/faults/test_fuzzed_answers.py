"""N2: fuzzed answers are refused, or what is taken from them is true. Never a crash, never a wrong row.

An hour that was taken is held against the truth where the mutation left the hour's rows as they were.
Where it changed them to another legal answer, nothing could give that away: the hour is held against
what the changed rows say, and counted apart.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from collector.archive.dayfile import encode
from collector.cloud.meters import Kind, Meter
from collector.cloud.parse import DayAnswer, ReadDay, read_day
from collector.cloud.refusals import read_answer
from collector.energy.readings import HourReading
from collector.errors import AnswerError, SourceError
from collector.simulator import Device
from tests.faults.figures import note
from tests.faults.invented import BODIES, DAY
from tests.faults.literal import Literal
from tests.faults.mutations import bytes_mutated, mutated
from tests.support import amounts
from tests.support.amounts import amount, dice
from tests.support.stand_in_cloud import (
    EM_ID,
    NOW,
    body_of,
    meter_of,
    raw_answer,
    sample,
    sample_body,
    sample_names,
    true_hours,
)
from tests.support.world import kwh

_DEVICES = {
    "em": Device(EM_ID),
    "em, utc": Device(EM_ID, stamps="utc", says_timezone="UTC"),
    "em, three tariffs": Device(EM_ID, tariffs=3),
    "em, a copy": Device(EM_ID, tariffs=2, tariff_zero="copy"),
    "em, a rest": Device(EM_ID, tariffs=1, tariff_zero="rest"),
    "3em": Device(EM_ID, "3em"),
    "3em, two tariffs": Device(EM_ID, "3em", tariffs=2),
}
_DAYS = [date(2026, 6, 1), date(2026, 3, 29), date(2025, 10, 26)]
_SAMPLED = {
    "RECONSTRUCTED_em1p_day_today": (Kind.EM, date(2026, 3, 10)),
    "RECONSTRUCTED_em3p_fall_back_excerpt": (Kind.EM3, date(2025, 10, 26)),
    "RECONSTRUCTED_em3p_spring_forward_excerpt": (Kind.EM3, date(2026, 3, 29)),
    "RECONSTRUCTED_plain_power_consumption_utc": (Kind.EM, date(2025, 12, 12)),
}
_THOUSAND = Decimal(1000)

Truth = dict[int, tuple[Decimal, Decimal]]


@dataclass(frozen=True)
class Shape:
    """An answer as it should be: its JSON, the meter and day it is of, and what is true of them."""

    text: str
    meter: Meter
    day: date
    truth: Truth
    original: Literal


def _shape(raw: dict[str, Any], meter: Meter, day: date, truth: Truth) -> Shape:
    text = json.dumps(raw)
    original = Literal(text.encode(), three_phases=meter.kind is Kind.EM3)
    return Shape(text, meter, day, truth, original)


def _shapes() -> Iterator[Shape]:
    """The simulated cloud's answers in all their variants, and the samples that hold hours."""
    for device in _DEVICES.values():
        for day in _DAYS:
            truth = {ts: hour[:2] for ts, hour in true_hours(device, day).items()}
            yield _shape(raw_answer(device, day), meter_of(device, solar=False), day, truth)
    for name, (kind, day) in _SAMPLED.items():
        raw, meter = sample(name)["body"], Meter("house", EM_ID, kind, solar=False)
        read = read_day(DayAnswer(day, body_of(raw), None), meter, NOW)  # held to its numbers in test_answers
        truth = {ts: hour[:2] for ts, hour in read.energy_day.readings.items()}
        yield _shape(raw, meter, day, truth)


def _read(data: bytes, meter: Meter, day: date) -> ReadDay | None:
    """As the collector reads it; `None` where it refuses. Any error but its own is a crash."""
    try:
        return read_day(DayAnswer(day, read_answer(200, data, None, None), None), meter, NOW)
    except (AnswerError, SourceError) as error:
        assert str(error).isprintable()
        return None


def _judge(read: ReadDay, data: bytes, shape: Shape) -> Counter[str]:
    """How many hours were true, and how many another legal answer's; fails for any other."""
    literal = Literal(data, three_phases=shape.meter.kind is Kind.EM3)
    day = read.energy_day.day
    found: Counter[str] = Counter()
    for ts, hour in read.energy_day.readings.items():
        assert ts in day.hours
        assert day.end_of(ts) <= NOW.timestamp()
        is_as_it_was = literal.zone_name == shape.original.zone_name and literal.rows(
            ts, day.zone
        ) == shape.original.rows(ts, day.zone)
        if is_as_it_was:
            assert hour[:2] == shape.truth[ts], ts
        else:
            wh = hour.import_kwh * _THOUSAND, hour.export_kwh * _THOUSAND
            assert wh in literal.sums(ts, day), (ts, wh)
        found["true" if is_as_it_was else "changed"] += 1
    return found


def _assert_written(read: ReadDay) -> None:
    """The file says what was read."""
    complete = read.energy_day.is_complete(NOW)
    data = encode(read.energy_day.rounded(4), 4, complete=complete)
    records = [json.loads(line, parse_float=Decimal) for line in data.decode().splitlines()]
    assert [record["ts"] for record in records] == list(read.energy_day.readings)
    for record, hour in zip(records, read.energy_day.readings.values(), strict=True):
        assert record["import"] == kwh(hour.import_kwh * _THOUSAND)
        assert record["export"] == kwh(hour.export_kwh * _THOUSAND)


@pytest.mark.timeout(600)
def test_a_fuzzed_answer_is_refused_or_true() -> None:
    """Rows, values, objects and bytes changed: thousands of answers, each read and judged."""
    shapes = list(_shapes())
    found: Counter[str] = Counter()
    count = amount(3_000, 100_000)
    chance = dice("N2")
    for number in range(count):
        shape, own = shapes[number % len(shapes)], Random(chance.random())
        data = mutated(shape.text, own)
        try:
            read = _read(data, shape.meter, shape.day)
            if read is not None:
                found += _judge(read, data, shape)
                if number % 20 == 0:
                    _assert_written(read)
        except BaseException:
            print(number, shape.meter, shape.day, data)
            raise
        found["refused" if read is None else "kept" if read.energy_day.readings else "empty"] += 1
    assert min(found[kind] for kind in ("refused", "kept", "true", "changed")) > count // 20
    note(
        "N2", fuzzed_answers=count, refused=found["refused"], hours_true=found["true"],
        hours_of_another_legal_answer=found["changed"], wrong_rows=0, crashes=0,
    )  # fmt: skip


@pytest.mark.parametrize("wh", [-0.01, -5, 400_000.01, 4_294_967.3, 1e30])
def test_a_number_that_cannot_be_costs_one_hour_of_any_answer(wh: float) -> None:
    """In any row of any variant: the other hours are what they are without it."""
    chance = dice("N2", wh)
    for shape in _shapes():
        raw = json.loads(shape.text)
        rows = raw["sum" if shape.meter.kind is Kind.EM3 else "history"]
        row = chance.choice([row for row in rows if row.get("consumption") is not None])
        row[chance.choice(["consumption", "reversed"])] = wh
        whole = _read(shape.text.encode(), shape.meter, shape.day)
        read = _read(json.dumps(raw).encode(), shape.meter, shape.day)
        assert whole is not None
        assert read is not None
        hours, before = read.energy_day.readings, whole.energy_day.readings
        assert hours == {ts: before[ts] for ts in hours}
        lost = before.keys() - hours.keys()
        assert len(lost) <= 1  # none where a tariff's part was in doubt already
        assert lost == {each.ts for each in read.anomalies} - {each.ts for each in whole.anomalies}


def test_whatever_becomes_of_a_sample_is_an_answer_or_an_error_of_ours() -> None:
    """All samples, refusals and other endpoints' too: their bytes changed, under any status and header."""
    count = amount(600, 20_000)
    chance = dice("N2", "samples")
    bodies = [sample_body(name) for name in sample_names()]
    errors: Counter[str] = Counter()
    for number in range(count):
        data = bytes_mutated(bodies[number % len(bodies)], chance)
        status = chance.choice([200, 200, 200, 204, 301, 400, 401, 403, 404, 429, 500, 503, 999])
        retry_after, sent_at = (chance.choice(_HEADERS) for _ in range(2))
        try:
            read_answer(status, data, retry_after, sent_at)
        except (AnswerError, SourceError) as error:
            assert isinstance(error, AnswerError) or not (error.retry_after_s or 0) < 0
            errors[type(error).__name__] += 1
    assert len(errors) >= 5
    note("N2", fuzzed_samples=count, kinds_of_error=len(errors), crashes=0)


_HEADERS = [
    None, "", "5", "-5", "1e999", "nan", "inf", "9" * 60, "9" * 5000, "Tue, 24 Nov 2026 09:00:00 GMT", "\x00",
    "Tue, 24 Nov 9999 23:59:59 -2359", "Tue, 24 Nov 2026 09:00:00", "0 0 0 0 0", "é",
]  # fmt: skip


# -- Answers that nobody ever gave --------------------------------------------------------------------


@pytest.mark.timeout(600)
@seed(amounts.seed())
@settings(max_examples=amount(300, 5_000), database=None, deadline=None)
@given(BODIES, st.sampled_from([Kind.EM, Kind.EM3]))
def test_an_invented_answer_is_refused_or_read_as_it_stands(body: dict[str, Any], kind: Kind) -> None:
    """Whatever hours come out, the rows say so; the same bytes with three equal phases, too."""
    if kind is Kind.EM3 and isinstance(body.get("sum"), list) and "history" not in body:
        body = body | {"history": [body["sum"]] * 3}
    meter = Meter("house", EM_ID, kind, solar=False, timezone="Europe/Dublin")
    data = json.dumps(body).encode()
    read = _read(data, meter, DAY)
    if read is not None:
        _judge(read, data, _shape({}, meter, DAY, {}))


# -- The changes --------------------------------------------------------------------------------------


def test_what_is_changed_does_not_depend_on_what_was_changed_before() -> None:
    """Bug: a change made to an odd value stayed in it, until one held itself and was no JSON any more."""
    text = json.dumps({"history": [[{"consumption": 1}]], "sum": [{"consumption": 1}]})
    numbers = range(10_000)
    first = [mutated(text, Random(number)) for number in numbers]
    assert [mutated(text, Random(number)) for number in numbers] == first


# -- The judge ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mistake", ["swapped", "doubled", "shifted", "zero for a hole", "impossible"])
def test_the_judge_notices_a_wrong_hour(mistake: str) -> None:
    """Or the rig would see nothing."""
    shape = next(_shapes())
    raw = json.loads(shape.text)
    raw["history"][5] |= {"missing": True, "consumption": None, "reversed": None}
    if mistake == "impossible":
        raw["history"][5] |= {"missing": False, "consumption": 68_000_000, "reversed": 0}
    data = json.dumps(raw).encode()
    read = _read(data, shape.meter, shape.day)
    assert read is not None
    assert _judge(read, data, shape) == {"true": 23}
    hours = dict(read.energy_day.readings)
    first, second, third, *_ = hours
    if mistake == "swapped":
        hours[first], hours[second] = hours[second], hours[first]
    elif mistake == "doubled":
        hours[first] = hours[first]._replace(import_kwh=hours[first].import_kwh * 2)
    elif mistake == "shifted":
        hours[second] = hours[third]
    else:
        import_kwh = Decimal(68_000 if mistake == "impossible" else 0)
        hours[read.energy_day.day.hours[5]] = HourReading(import_kwh, Decimal(0), Decimal(0))
    wrong = replace(read, energy_day=replace(read.energy_day, readings=hours))
    with pytest.raises(AssertionError):
        _judge(wrong, data, shape)
