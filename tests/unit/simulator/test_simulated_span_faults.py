"""What can be wrong with a span while its days are right, and the rules that choose spans."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import aiohttp
import pytest

from collector.simulator import Device, Hole
from collector.simulator.answers import Answer, Row
from tests.support.cloud_faults import KINDS, ROW_TAMPERINGS, TAMPERINGS, lists_of
from tests.support.cloud_spans import (
    SPAN_INTERVALS,
    SPAN_KINDS,
    SPAN_LIMITS,
    SPAN_TAMPERINGS,
    SPAN_VARIANTS,
    joined,
)
from tests.support.faulty_cloud import Fault, FaultyCloud, Scenario
from tests.support.simulated_requests import (
    EM,
    EM3,
    address,
    ask,
    in_virtual_time,
    question,
    scenario,
    span_question,
    with_options,
)

FIRST, DAYS = date(2025, 10, 25), 3  # the second one has 25 hours in Dublin and Berlin
SPRING = date(2025, 3, 29)
METERS = [
    EM, EM3, with_options(EM, tariffs=2, tariff_zero="copy"), with_options(EM3, tariffs=2),
    with_options(EM, stamps="utc", says_timezone="UTC"), with_options(EM, autumn="fat"),
]  # fmt: skip
all_meters = pytest.mark.parametrize("device", METERS, ids=["em", "3em", "copy", "3em_tariffs", "utc", "fat"])


def with_rules(device: Device, *rules: Fault, hour_span_h: int = 97) -> Scenario:
    return replace(scenario(device, fault=rules), hour_span_h=hour_span_h)


async def fetch(cloud: FaultyCloud, device: Device, query: dict[str, str]) -> Answer:
    async with (
        aiohttp.ClientSession() as http,
        http.get(address(cloud, device=device), params=query) as reply,
    ):
        assert reply.status == 200
        found: Answer = json.loads(await reply.read())
        return found


def dates(first: date, days: int) -> list[date]:
    return [first + timedelta(days=number) for number in range(days)]


async def span(
    kind: str | None,
    device: Device = EM,
    first: date = FIRST,
    days: int = DAYS,
    covers: Sequence[date] = (),
    **options: Any,
) -> Answer:
    rules = (Fault(kind, covers=tuple(covers)),) if kind else ()
    async with FaultyCloud(with_rules(device, *rules, **options)) as cloud:
        last = first + timedelta(days=days - 1)
        return await fetch(cloud, device, span_question(str(first), str(last), device=device))


async def of_days(device: Device = EM, first: date = FIRST, days: int = DAYS) -> list[Answer]:
    """The days' own answers, which no rule for spans changes."""
    rules = [Fault(kind) for kind in SPAN_KINDS]
    async with FaultyCloud(with_rules(device, *rules)) as cloud:
        return [await fetch(cloud, device, question(str(day), device=device)) for day in dates(first, days)]


def lists(answer: Answer) -> list[list[Row]]:
    return list(lists_of(answer))


def bucket(rows: list[Row], at: int) -> list[Row]:
    return [row for row in rows if row["datetime"] == rows[at]["datetime"]]


@all_meters
async def test_without_a_rule_a_span_is_its_days(device: Device) -> None:
    assert await span(None, device) == joined(await of_days(device))


@all_meters
@pytest.mark.parametrize("kind", SPAN_TAMPERINGS)
async def test_each_kind_changes_every_list_of_a_span(kind: str, device: Device) -> None:
    spoilt, right = await span(kind, device), await span(None, device)
    assert {**spoilt, "history": 0, "sum": 0} == {**right, "history": 0, "sum": 0}
    for rows, good in zip(lists(spoilt), lists(right), strict=True):
        assert rows != good
    assert len({len(rows) for rows in lists(spoilt)}) == 1


@all_meters
async def test_a_span_may_lack_the_hour_at_either_end(device: Device) -> None:
    right = lists(await span(None, device))
    start, end = (
        lists(await span("span_short_at_start", device)),
        lists(await span("span_short_at_end", device)),
    )
    for whole, later, earlier in zip(right, start, end, strict=True):
        assert whole == bucket(whole, 0) + later
        assert whole == earlier + bucket(whole, -1)


@all_meters
async def test_a_span_may_have_an_hour_of_either_neighbour(device: Device) -> None:
    before, *_, after = map(lists, await of_days(device, FIRST - timedelta(days=1), DAYS + 2))
    right = lists(await span(None, device))
    with_before, with_after = await span("span_hour_before", device), await span("span_hour_after", device)
    for place, rows in enumerate(right):
        assert lists(with_before)[place] == bucket(before[place], -1) + rows
        assert lists(with_after)[place] == rows + bucket(after[place], 0)
        assert bucket(before[place], -1)[0]["consumption"] is not None


@all_meters
async def test_the_extra_hour_may_be_missing(device: Device) -> None:
    before, *_, after = map(lists, await of_days(device, FIRST - timedelta(days=1), DAYS + 2))
    right = lists(await span(None, device))
    with_before = lists(await span("span_hour_before_missing", device))
    with_after = lists(await span("span_hour_after_missing", device))
    for place, rows in enumerate(right):
        first, *others = with_before[place]
        assert others == rows
        assert first.items() >= {"missing": True, "datetime": before[place][-1]["datetime"]}.items()
        *others, last = with_after[place]
        assert others == rows
        assert last.items() >= {"missing": True, "datetime": after[place][0]["datetime"]}.items()
        assert "consumption" not in first and "consumption" not in last


@all_meters
@pytest.mark.parametrize(("kind", "factor"), [("span_hours_differ", 2), ("span_all_zero", 0)])
async def test_the_values_of_a_span_may_differ_and_still_add_up(
    kind: str, factor: int, device: Device
) -> None:
    spoilt, right = await span(kind, device), await span(None, device)
    every = 3 if factor else 1
    for rows, good in zip(lists(spoilt), lists(right), strict=True):
        for row, other in zip(rows, good, strict=True):
            times = 1 if int(row["datetime"][11:13]) % every else factor
            for column in ("consumption", "reversed"):
                assert row[column] == pytest.approx(other[column] * times)
            assert {**row, "consumption": 0, "reversed": 0} == {**other, "consumption": 0, "reversed": 0}
    if device.kind == "3em":
        for *phases, whole in zip(*lists(spoilt), strict=True):
            assert sum(row["consumption"] for row in phases) == pytest.approx(whole["consumption"])


@all_meters
async def test_the_values_of_a_span_may_be_an_hour_late(device: Device) -> None:
    before, *_ = map(lists, await of_days(device, FIRST - timedelta(days=1), DAYS + 1))
    for place, rows in enumerate(lists(await span("span_shifted", device))):
        right = lists(await span(None, device))[place]
        values = [*bucket(before[place], -1), *right][: len(right)]
        assert rows == [
            {**given, "datetime": row["datetime"]} for row, given in zip(right, values, strict=True)
        ]


@all_meters
@pytest.mark.parametrize("days", [2, 3, 4])
async def test_a_day_may_have_no_rows_in_a_span(days: int, device: Device) -> None:
    own = await of_days(device, FIRST, days)
    middle = days // 2
    assert await span("span_day_gone", device, days=days) == joined(own[:middle] + own[middle + 1 :])
    for covers in ([FIRST], [FIRST + timedelta(days=days - 1)]):
        left = [answer for day, answer in zip(dates(FIRST, days), own, strict=True) if day not in covers]
        assert await span("span_day_gone", device, days=days, covers=covers) == joined(left)


@all_meters
async def test_a_day_may_have_missing_rows_in_a_span(device: Device) -> None:
    before, middle, after = map(lists, await of_days(device))
    for place, rows in enumerate(lists(await span("span_day_missing", device))):
        assert rows[: len(before[place])] == before[place]
        assert rows[-len(after[place]) :] == after[place]
        missing = rows[len(before[place]) : -len(after[place])]
        assert [row["datetime"] for row in missing] == [row["datetime"] for row in middle[place]]
        assert all(row["missing"] and "consumption" not in row for row in missing)


@pytest.mark.parametrize("device", [EM, EM3], ids=["em", "3em"])
@pytest.mark.parametrize("kind", sorted(ROW_TAMPERINGS - {"future_data"}))
async def test_one_day_of_a_span_may_be_malformed(kind: str, device: Device) -> None:
    """As it is malformed when it is asked for by itself; the others are right."""
    day = FIRST + timedelta(days=1)
    before, right, after = await of_days(device)
    async with FaultyCloud(with_rules(device, Fault(kind, covers=(day,)))) as cloud:
        alone = await fetch(cloud, device, question(str(day), device=device))
        assert await fetch(cloud, device, question(str(FIRST), device=device)) == before
    assert lists(alone) != lists(right)
    spoilt = await span(kind, device, covers=[day])
    assert repr(lists(spoilt)) == repr(lists(joined([before, alone, after])))  # NaN is not equal to itself


async def test_hours_to_come_may_be_invented_on_one_day_of_a_span() -> None:
    today = date(2026, 11, 20)
    rows = (await span("future_data", first=today, days=2, covers=[today]))["history"]
    assert [row.get("missing", False) for row in rows] == [False] * 24 + [True] * 24


@pytest.mark.parametrize(
    ("kind", "interval"),
    [
        *SPAN_INTERVALS.items(),
        ("wrong_interval", "day"),
        ("no_interval", "none at all"),
    ],
)
async def test_the_interval_of_a_span_may_be_odd_while_its_rows_are_hours(kind: str, interval: Any) -> None:
    async with FaultyCloud(with_rules(EM, Fault(kind, asks="span"))) as cloud:
        found = await fetch(cloud, EM, span_question("2025-10-25", "2025-10-27"))
        day = await fetch(cloud, EM, question("2025-10-25"))
    assert found.get("interval", "none at all") == interval
    assert found["history"] == joined(await of_days())["history"]
    assert day["interval"] == "hour"


@pytest.mark.parametrize("limit_h", [24, 97])
async def test_rows_by_the_day_may_be_called_hours(limit_h: int) -> None:
    found = await span("span_days_as_hours", hour_span_h=limit_h)
    assert found["interval"] == "hour"
    assert [row["datetime"] for row in found["history"]] == [f"{day} 00:00:00" for day in dates(FIRST, 3)]


USUAL: dict[str, tuple[date, dict[str, Any]]] = {
    "span_autumn_twice": (FIRST, {"autumn": "fat"}),
    "span_autumn_fat": (FIRST, {}),
    "span_spring_missing": (SPRING, {"spring": "nulls"}),
    "span_spring_nulls": (SPRING, {}),
    "span_spring_zeros": (SPRING, {}),
    "span_spring_absent": (SPRING, {}),
    "span_gaps_absent": (FIRST, {"hole": (Hole(date(2025, 10, 26), date(2025, 10, 27)),)}),
    "span_future_absent": (date(2026, 11, 19), {}),
    "span_tariffs": (FIRST, {}),
    "span_utc": (FIRST, {}),
    "span_local": (FIRST, {"stamps": "utc"}),
}
"""By kind: the first day, and the variant of single days."""


@pytest.mark.parametrize("device", [EM, EM3], ids=["em", "3em"])
@pytest.mark.parametrize("kind", SPAN_VARIANTS)
async def test_a_span_may_come_in_another_variant_than_its_days(kind: str, device: Device) -> None:
    first, usual = USUAL[kind]
    meter = with_options(device, **usual)
    found = await span(kind, meter, first)
    assert found == joined(await of_days(with_options(meter, **SPAN_VARIANTS[kind]), first))
    assert found != joined(await of_days(meter, first))


@pytest.mark.parametrize("kind", SPAN_LIMITS)
async def test_a_rule_may_change_the_longest_span_of_hours(kind: str) -> None:
    rule = Fault(kind, on_requests=(2, 3, 4, 5))
    async with FaultyCloud(with_rules(EM, rule, hour_span_h=60)) as cloud:
        await fetch(cloud, EM, question("2026-05-01"))  # no span, and not counted by the rule
        found = [
            (await fetch(cloud, EM, span_question("2026-05-01", f"2026-05-0{days}")))["interval"]
            for days in (2, 1, 2, 3, 4, 2, 3)
        ]
    hours = [("hour" if days * 24 <= SPAN_LIMITS[kind] else "day") for days in (1, 2, 3, 4)]
    assert found == ["hour", *hours, "hour", "day"]


async def test_a_span_that_does_not_come_by_the_hour_is_as_it_is() -> None:
    right = await span(None, hour_span_h=60)
    assert right["interval"] == "day"
    for kind in SPAN_TAMPERINGS:
        assert await span(kind, hour_span_h=60) == right


@pytest.mark.parametrize(
    ("kind", "status"), [("bad_key", 401), ("wrong_channel", 400), ("status_500", 500), ("path_gone", 404)]
)
async def test_spans_may_be_refused_while_days_and_totals_are_answered(kind: str, status: int) -> None:
    async with FaultyCloud(with_rules(EM, Fault(kind, asks="span"))) as cloud:
        for last, expected in (("2026-05-02", status), ("2026-05-04", status), ("2026-05-05", 200)):
            assert (await ask(cloud, **span_question("2026-05-01", last)))[0] == expected
        assert (await ask(cloud, "2026-05-01"))[0] == 200
        assert [served.fault for served in cloud.counts.log] == [kind, kind, None, None]


def test_spans_may_stall_while_days_are_answered() -> None:
    async def play() -> None:
        async with FaultyCloud(with_rules(EM, Fault("stall", asks="span"))) as cloud:
            with pytest.raises(asyncio.TimeoutError):
                async with asyncio.timeout(30):
                    await ask(cloud, **span_question("2026-05-01", "2026-05-02"))
            assert (await ask(cloud, "2026-05-01"))[0] == 200

    in_virtual_time(play())


async def test_a_rule_may_name_what_is_asked_for() -> None:
    for asks, statuses in (("day", [500, 200, 200]), ("span", [200, 500, 200]), ("totals", [200, 200, 500])):
        rule = Fault("status_500", asks=asks)  # type: ignore[arg-type]
        async with FaultyCloud(with_rules(EM, rule)) as cloud:
            assert [
                (await ask(cloud, "2026-05-01"))[0],
                (await ask(cloud, **span_question("2026-05-01", "2026-05-02")))[0],
                (await ask(cloud, **span_question("2026-05-01", "2026-05-30")))[0],
            ] == statuses


async def test_a_rule_may_name_whatever_covers_a_day() -> None:
    async with FaultyCloud(with_rules(EM, Fault("status_500", covers=(date(2026, 5, 3),)))) as cloud:
        for first, last, status in (
            ("2026-05-01", "2026-05-02", 200),
            ("2026-05-02", "2026-05-03", 500),
            ("2026-05-01", "2026-05-30", 500),
            ("2026-05-04", "2026-05-05", 200),
        ):
            assert (await ask(cloud, **span_question(first, last)))[0] == status
        assert [(await ask(cloud, f"2026-05-0{day}"))[0] for day in (2, 3, 4)] == [200, 500, 200]


def test_kinds_of_spans_have_names_of_their_own() -> None:
    assert len({*SPAN_KINDS, *KINDS}) == len(SPAN_KINDS) + len(KINDS)
    assert set(TAMPERINGS) >= ROW_TAMPERINGS
