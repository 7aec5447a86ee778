"""Days and readings for the tests of energy and archive."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from collector.energy.days import LocalDay, local_day
from collector.energy.history import DayRecord
from collector.energy.readings import EnergyDay, HourReading

BERLIN = ZoneInfo("Europe/Berlin")
LONDON = ZoneInfo("Europe/London")
ORDINARY = date(2024, 6, 12)
SPRING = date(2024, 3, 31)
AUTUMN = date(2024, 10, 27)

kwh = st.integers(0, 99_999_999).map(lambda wh_and_a_bit: Decimal(wh_and_a_bit).scaleb(-4))
readings_of_an_hour = st.builds(HourReading, kwh, kwh, st.none() | kwh)
dates = st.dates(date(2019, 1, 1), date(2030, 12, 31))


def reading(
    import_kwh: str = "1.5000", export_kwh: str = "0.2500", solar_kwh: str | None = "0.7500"
) -> HourReading:
    solar = None if solar_kwh is None else Decimal(solar_kwh)
    return HourReading(Decimal(import_kwh), Decimal(export_kwh), solar)


def filled(
    day: date = ORDINARY,
    zone: ZoneInfo = BERLIN,
    *,
    without: Iterable[int] = (),
    each: HourReading | None = None,
    doubtful: Iterable[int] = (),
) -> EnergyDay:
    """That day with every hour but those at the places `without`; places count from 0."""
    local = local_day(day, zone)
    left_out = set(without)
    readings = {
        ts: each or reading(f"{place}.1230", "0.2500", f"0.{place:02}00")
        for place, ts in enumerate(local.hours)
        if place not in left_out
    }
    return EnergyDay(local, readings, frozenset(local.hours[place] for place in doubtful))


def after(day: LocalDay, days: float = 0, hours: float = 0) -> datetime:
    """A moment so long after the day's end."""
    return datetime.fromtimestamp(day.end, UTC) + timedelta(days=days, hours=hours)


@st.composite
def energy_days(draw: st.DrawFn, day: date = AUTUMN, zone: ZoneInfo = BERLIN) -> EnergyDay:
    """What an answer may have of a day: all hours or a few; repeated ones both, one, one for both, none."""
    local = local_day(day, zone)
    hours = set(local.hours) if draw(st.booleans()) else draw(st.sets(st.sampled_from(local.hours[:2])))
    doubtful = set()
    for first, second in local.repeated_hours:
        hours -= {first, second}
        sent = draw(st.sampled_from(["both", "first", "second", "one row", "none"]))
        hours |= {first} if sent in ("both", "first", "one row") else set()
        hours |= {second} if sent in ("both", "second") else set()
        doubtful |= {first} if sent == "one row" else set()
    readings = {ts: draw(readings_of_an_hour) for ts in sorted(hours)}
    return EnergyDay(local, readings, frozenset(doubtful))


def nothing(day: date = ORDINARY) -> EnergyDay:
    return EnergyDay(local_day(day, BERLIN), {})


WHOLE = filled()
END = after(WHOLE.day, hours=0.2)
COMPLETE, PARTIAL = DayRecord(stored=True, complete=True), DayRecord(stored=True, complete=False)
TODAY = ORDINARY + timedelta(days=1)
