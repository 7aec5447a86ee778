"""An answer's JSON -> EnergyDay. Pure, and believes nothing: what breaks the contract is an AnswerError."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from collector.cloud.meters import Kind, Meter
from collector.cloud.rows import MOST_ROWS, Anomaly, ChannelHours, Energy, Row, hours_of, parse_rows
from collector.energy.days import LocalDay, UnknownZone, known_zone, local_day, zone_named
from collector.energy.readings import EnergyDay, HourReading
from collector.errors import AnswerError, ZoneUnknown

_WH_PER_KWH = Decimal(1000)


@dataclass(frozen=True, slots=True)
class DayAnswer:
    """The bodies for one day of one meter: the grid's, and the sun's where it is asked for apart.

    The ages tell how long ago each was asked for, in seconds; what was over by then it tells whole.
    """

    date: date
    grid: Mapping[str, Any]
    solar: Mapping[str, Any] | None
    grid_age_s: float = 0.0
    solar_age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ReadDay:
    """One day as the cloud tells it, and what in it nobody can be sure of.

    `unfinished`: import and export, kWh, that are told of hours that are not over. They are not stored.
    """

    energy_day: EnergyDay
    anomalies: tuple[Anomaly, ...]
    unfinished: Mapping[int, tuple[Decimal, Decimal]]


def read_day(answer: DayAnswer, meter: Meter, now: datetime) -> ReadDay:
    """The hours that were over when the day was asked for, in kWh, scaled and with the discard taken off.

    `now` is when the answer was there. Raises `AnswerError`; nothing of such an answer may be stored.
    """
    day = local_day(answer.date, zone_of(answer.grid, meter))
    grid = _channel(answer.grid, day, meter, now - timedelta(seconds=answer.grid_age_s))
    missing_return = [ts for ts, energy in grid.energy.items() if energy.reversed_wh is None]
    if missing_return:
        raise AnswerError("history.reversed", "absent beside consumption")
    if answer.solar is None:
        solar = None
    else:
        if zone_of(answer.solar, meter).key != day.zone.key:
            raise AnswerError("timezone", "the solar device is in another time zone than the grid device")
        solar = _channel(answer.solar, day, meter, now - timedelta(seconds=answer.solar_age_s))
    readings = {
        ts: HourReading(*_grid_kwh(energy, meter), _solar_kwh(ts, grid, solar, meter))
        for ts, energy in sorted(grid.energy.items())
    }
    unfinished = {ts: _grid_kwh(energy, meter) for ts, energy in grid.unfinished.items()}
    anomalies = grid.anomalies + ([] if solar is None else solar.anomalies)
    return ReadDay(EnergyDay(day, readings, frozenset(grid.doubtful)), tuple(anomalies), unfinished)


def zone_of(body: Mapping[str, Any], meter: Meter) -> ZoneInfo:
    """The zone that the answer's local times are in. Raises `AnswerError`.

    An answer with UTC stamps may call its zone UTC although the device's is another; then the
    configured one tells where the local day begins. It also counts where this machine's list of zones
    lacks the one that the answer names; without it that is `ZoneUnknown`.
    """
    name = body.get("timezone")
    if not isinstance(name, str):
        raise AnswerError("timezone", "not a string")
    configured = known_zone(meter.timezone)
    if name == "UTC" and configured is not None and _has_utc_stamps(body):
        return configured
    try:
        return zone_named(name)
    except UnknownZone as error:
        if configured is None:
            raise ZoneUnknown(name) from error
        return configured
    except ValueError as error:
        raise AnswerError("timezone", f"{error}: {name[:64]!a}") from error


def _has_utc_stamps(body: Mapping[str, Any]) -> bool:
    rows = body.get("sum", body.get("history"))
    first = rows[0] if isinstance(rows, list) and rows else None
    stamp = first.get("datetime") if isinstance(first, dict) else None
    return isinstance(stamp, str) and stamp.endswith("Z")


def _channel(body: Mapping[str, Any], day: LocalDay, meter: Meter, now: datetime) -> ChannelHours:
    if body.get("interval") != "hour":
        raise AnswerError("interval", "not hour")
    rows, name = rows_of(body, meter)
    return hours_of(rows, day, now, name, meter.kind.most_wh)


def rows_of(body: Mapping[str, Any], meter: Meter, most_rows: int = MOST_ROWS) -> tuple[list[Row], str]:
    """The rows that count in a body of that kind of device, and their field. Raises `AnswerError`."""
    if meter.kind is Kind.EM3:
        return _three_phase_rows(body, most_rows), "sum"
    history = body.get("history")
    if isinstance(history, list) and history and isinstance(history[0], list):
        raise AnswerError("history", 'lists of phases: if the device is a 3EM, set kind = "3em" (--kind 3em)')
    return parse_rows(history, "history", most_rows), "history"


def _three_phase_rows(body: Mapping[str, Any], most_rows: int) -> list[Row]:
    """The rows of `sum`; one that lacks a phase is missing, for a sum of two phases is a wrong number."""
    phases = body.get("history")
    if "sum" not in body:
        raise AnswerError("sum", 'absent: if the device is an EM with clamps, set kind = "em" (--kind em)')
    rows = parse_rows(body["sum"], "sum", most_rows)
    if not isinstance(phases, list) or (len(phases) != 3 and (phases or rows)):
        raise AnswerError("history", "not three lists of phases")
    for number, phase in enumerate(phases):
        phase_rows = parse_rows(phase, f"history[{number}]", most_rows)
        if len(phase_rows) != len(rows):
            raise AnswerError(f"history[{number}]", "not as long as sum")
        rows = [
            _without_gap(row, beside, f"history[{number}][{place}]")
            for place, (row, beside) in enumerate(zip(rows, phase_rows, strict=True))
        ]
    return rows


def _without_gap(row: Row, beside: Row, name: str) -> Row:
    if row.stamp != beside.stamp:
        raise AnswerError(f"{name}.datetime", "not aligned with sum")
    if beside.energy is None:
        return replace(row, energy=None)
    return replace(row, phases=(*row.phases, beside.energy))


def _grid_kwh(energy: Energy, meter: Meter) -> tuple[Decimal, Decimal]:
    returned_wh = energy.reversed_wh or Decimal(0)
    scale = meter.grid_scale_factor
    return energy.consumption_wh / _WH_PER_KWH * scale, returned_wh / _WH_PER_KWH * scale


def _solar_kwh(ts: int, grid: ChannelHours, solar: ChannelHours | None, meter: Meter) -> Decimal | None:
    if solar is None:
        return Decimal(0)  # no solar clamp: a true zero
    energy: Energy | None = solar.energy.get(ts)
    if energy is None or (ts in solar.doubtful) != (ts in grid.doubtful):
        return None
    return max(Decimal(0), energy.consumption_wh / _WH_PER_KWH - meter.pv_kwh_discard)
