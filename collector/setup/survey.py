"""What `setup` requests of the cloud besides the devices: days to find the roof by, and the oldest day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from itertools import combinations
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collector.cloud.client import CloudClient
from collector.cloud.devices import CloudMeter
from collector.cloud.meters import Kind, Meter
from collector.cloud.parse import SPAN_DAYS, DayAnswer, read_day, read_totals, span_before
from collector.cloud.retrying import RetryPolicy
from collector.energy.days import Clock, date_in
from collector.energy.history import first_day
from collector.energy.plausibility import ENOUGH_DAYS
from collector.energy.readings import EnergyDay
from collector.errors import AnswerError, DeviceUnknown, Rejected, SourceError
from collector.setup.meters import (
    DAYS_NEEDED,
    Candidate,
    Roof,
    Verdict,
    called,
    candidate_of,
    find_roof,
    with_roof,
)

RETRY = RetryPolicy(attempts=3, wait_initial_s=1.0, wait_max_s=4.0, wait_jitter_s=0.0, timeout_s=20.0)
"""A person is waiting."""
_DAY = timedelta(days=1)
_MOST_TRIES = DAYS_NEEDED + 2  # a meter may have been offline
_LONG_GAP_DAYS = 150  # a meter that was off for so long is rare, and each further request costs a second
_MOST_DAYS = 240  # from about a year on the cloud answers by the month
_CLAMPS = "clamp 1 (channel 0)", "clamp 2 (channel 1)"
_NO_ANSWER: tuple[type[SourceError | AnswerError], ...] = (AnswerError, DeviceUnknown, Rejected)


async def with_clamps(client: CloudClient, device: CloudMeter, clock: Clock, zone: ZoneInfo) -> Candidate:
    """The two-clamp device, with the clamps that its newest days show; `zone` is this machine's.

    Raises `SourceError` if the cloud does not answer.
    """
    candidate = candidate_of(device)
    meter, swapped = candidate.meter, replace(candidate.meter, grid_channel=1, solar_channel=0)
    as_read, as_swapped = list[EnergyDay](), list[EnergyDay]()
    verdict = Verdict(Roof.UNKNOWN, "")
    for day in _newest_days(clock, zone):
        try:
            answer = await client.fetch_day(meter, day)
            as_read.append(read_day(answer, meter, clock()).energy_day)
            as_swapped.append(read_day(_exchanged(answer), swapped, clock()).energy_day)
        except _NO_ANSWER as error:
            return with_roof(candidate, Verdict(Roof.UNKNOWN, f"The cloud has no hours of it: {error}."))
        if (known := sum(bool(each.readings) for each in as_read)) >= ENOUGH_DAYS:
            verdict = find_roof(as_read, as_swapped, *_CLAMPS)
            if verdict.roof is not Roof.UNKNOWN or known >= DAYS_NEEDED:
                break
    return with_roof(candidate, verdict if verdict.why else find_roof(as_read, as_swapped, *_CLAMPS))


async def with_roofs(
    client: CloudClient, devices: Sequence[CloudMeter], clock: Clock, zone: ZoneInfo
) -> list[Candidate]:
    """The three-phase devices, each a meter; those on a solar roof are marked.

    A roof is seen beside a device that measures a house, any house. With a single device nothing is
    requested. Raises `SourceError` if the cloud does not answer.
    """
    answers: dict[str, dict[date, DayAnswer]] = {each.id: {} for each in devices}
    roofs, houses = dict[str, str](), set[str]()  # a roof's id -> why
    for count in (ENOUGH_DAYS, DAYS_NEEDED):
        if len(devices) < 2 or answers.keys() <= roofs.keys() | houses:
            break
        for each in devices:
            await _fetch_days(client, each, _newest_days(clock, zone)[:count], answers[each.id])
        for one, other in combinations(devices, 2):
            names = called(one, devices), called(other, devices)
            verdict = _roof_of_two(one, other, answers, names, clock)
            if verdict.roof in (Roof.FIRST, Roof.SECOND):
                house, roof = (one, other) if verdict.roof is Roof.SECOND else (other, one)
                roofs.setdefault(roof.id, verdict.why)
                houses.add(house.id)
    found = []
    for each in devices:
        on_roof = each.id in roofs and each.id not in houses
        why = roofs[each.id] if on_roof else ""
        found.append(replace(candidate_of(each), why=why, on_roof=on_roof))
    return found


class Oldest(NamedTuple):
    """The oldest day of which the cloud has data, and the zone of the meter; `None` if not known."""

    day: date | None
    zone: ZoneInfo | None


async def oldest_day(client: CloudClient, meter: Meter, clock: Clock, zone: ZoneInfo) -> Oldest:
    """The oldest day of the meter, by its daily totals; data before a gap of half a year are not seen.

    Raises `SourceError` if the cloud does not answer.
    """
    grid = replace(meter, pv_id=None, solar=False)
    today = date_in(zone, clock())
    first, last, length = first_day(today, None, None), today - _DAY, SPAN_DAYS
    found = Oldest(None, None)
    while first <= last:
        span = span_before(first, last, length)
        try:
            totals = read_totals(await client.fetch_span(grid, *span, "day"), grid)
        except _NO_ANSWER:
            break
        if totals.with_data:
            found = Oldest(min(totals.with_data), totals.zone)
        elif found.day is not None and (found.day - span[0]).days > _LONG_GAP_DAYS:
            break
        last, length = span[0] - _DAY, min(2 * length, _MOST_DAYS)
    return found


def _newest_days(clock: Clock, zone: ZoneInfo) -> list[date]:
    yesterday = date_in(zone, clock()) - _DAY
    return [yesterday - number * _DAY for number in range(_MOST_TRIES)]


def _exchanged(answer: DayAnswer) -> DayAnswer:
    """The answer with solar's body as the grid's and the reverse."""
    assert answer.solar is not None  # noqa: S101 - both clamps were requested
    return DayAnswer(answer.date, answer.solar, answer.grid, answer.solar_age_s, answer.grid_age_s)


async def _fetch_days(
    client: CloudClient, device: CloudMeter, days: Sequence[date], answers: dict[date, DayAnswer]
) -> None:
    """Adds the answers for those days of a three-phase device, until the cloud refuses one."""
    meter = Meter("", device.id, Kind.EM3)
    for day in days:
        try:
            if day not in answers:
                answers[day] = await client.fetch_day(meter, day)
        except _NO_ANSWER:
            return


def _roof_of_two(
    one: CloudMeter,
    other: CloudMeter,
    answers: Mapping[str, Mapping[date, DayAnswer]],
    names: tuple[str, str],
    clock: Clock,
) -> Verdict:
    def days(grid: CloudMeter, solar: CloudMeter) -> list[EnergyDay]:
        meter = Meter("", grid.id, Kind.EM3, pv_id=solar.id)
        both = [(answers[grid.id][day], answers[solar.id][day]) for day in common]
        joined = [DayAnswer(a.date, a.grid, b.grid, a.grid_age_s, b.grid_age_s) for a, b in both]
        return [read_day(each, meter, clock()).energy_day for each in joined]

    common = sorted(answers[one.id].keys() & answers[other.id].keys())
    try:
        return find_roof(days(one, other), days(other, one), *names)
    except AnswerError as error:
        return Verdict(Roof.UNKNOWN, f"Their days cannot be read together: {error}.")
