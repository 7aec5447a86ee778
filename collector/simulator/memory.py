"""What the cloud knows of an hour at a moment: an energy, or why there is none. Pure."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from collector.energy.days import date_in, local_day
from collector.simulator.scenario import Device, LocalTime
from collector.simulator.truth import Energy, add, portion

RETENTION_YEARS = 3

NoData = Literal["missing", "hole", "absent"]
"""A `missing` row, a row in the device's own style of gap, or no row at all."""


def known(
    device: Device, channel: int, ts: int, end: int, now: datetime, *, by_the_hour: bool = True
) -> Energy | NoData:
    """What the cloud has at `now` of the hour `[ts, end)` of that clamp or phase; for totals also hours
    that it no longer gives by themselves."""
    day = datetime.fromtimestamp(ts, device.zone).date()
    if by_the_hour and device.hours_kept_since is not None and day < device.hours_kept_since:
        return "absent"
    if day < oldest_kept(date_in(device.zone, now)) or _is_shrunk(device, day, ts, now):
        return "absent"
    if device.installed_since is not None and day < device.installed_since:
        return "absent" if device.before_install == "empty" else "missing"
    if ts >= now.timestamp():
        return "absent" if device.future == "absent" else "missing"
    if _in_a_hole(device, channel, ts, now):
        return "hole"
    energy = _revised(device, channel, ts, now)
    received_s = (now - timedelta(minutes=device.late_minutes)).timestamp() - ts
    if received_s >= end - ts:
        return energy
    if received_s > 0 and device.under_way == "partial":
        return portion(energy, received_s / (end - ts))
    return "missing"


def oldest_kept(today: date) -> date:
    """The oldest day whose statistics the cloud still has."""
    month_and_day = (2, 28) if (today.month, today.day) == (2, 29) else (today.month, today.day)
    return date(today.year - RETENTION_YEARS, *month_and_day)


def moment(time: LocalTime, zone: ZoneInfo) -> float:
    """Epoch seconds of a local date, a local time, or an instant."""
    if not isinstance(time, datetime):
        return local_day(time, zone).start
    return (time if time.tzinfo else time.replace(tzinfo=zone)).timestamp()


def _is_shrunk(device: Device, day: date, ts: int, now: datetime) -> bool:
    return any(
        shrink.at <= now
        and shrink.since <= day < shrink.until
        and ts not in local_day(day, device.zone).hours[: shrink.rows]
        for shrink in device.shrink
    )


def _in_a_hole(device: Device, channel: int, ts: int, now: datetime) -> bool:
    return any(
        hole.channel in (None, channel)
        and moment(hole.since, device.zone) <= ts < moment(hole.until, device.zone)
        and (hole.heals_at is None or now < hole.heals_at)
        for hole in device.hole
    )


def _revised(device: Device, channel: int, ts: int, now: datetime) -> Energy:
    energy = device.energy(channel, ts)
    for revision in device.revision:
        applies = revision.at <= now and revision.channel in (None, channel)
        if applies and moment(revision.since, device.zone) <= ts < moment(revision.until, device.zone):
            energy = add(energy, Energy(revision.add_wh, energy.reversed * 0))
    return energy
