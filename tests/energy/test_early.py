"""Hours that are whole before they can be: a sign that the zone's rules are old."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from collector.energy.early import EarlyHours
from tests.energy.making import reading

HOUR = 3600
START = 1_780_000_000 // HOUR * HOUR
KWH = (Decimal("1.5"), Decimal("0.25"))
LESS = (Decimal("0.3"), Decimal("0.05"))
NOTHING = (Decimal(0), Decimal(0))
WHOLE = reading("1.5", "0.25")


def at(hour: int, minute: int = 12) -> datetime:
    """That many minutes past that hour of the test's day."""
    return datetime.fromtimestamp(START + hour * HOUR + minute * 60, UTC)


def verdicts(early: EarlyHours, *begun: tuple[Decimal, Decimal]) -> list[bool | None]:
    """What is said each hour at 12 past, where the hour that has just begun is told like that."""
    found = []
    for hour, kwh in enumerate(begun):
        finished = {START + (hour - 1) * HOUR: WHOLE} if hour else {}
        found.append(early.note({START + hour * HOUR: kwh}, finished, at(hour)))
    return found


def test_three_hours_in_a_row_that_never_grow_show_it() -> None:
    """One alone may be the end of the power."""
    assert verdicts(EarlyHours(), KWH, KWH, KWH, KWH, KWH) == [None, None, None, True, True]


def test_an_hour_that_grows_shows_the_contrary() -> None:
    """It was told in part: the count begins anew."""
    assert verdicts(EarlyHours(), KWH, KWH, LESS, KWH, KWH) == [None, None, None, False, None]


def test_an_hour_without_energy_shows_nothing() -> None:
    """A house without power gives the same zero at any minute: it neither counts nor ends the count."""
    assert verdicts(EarlyHours(), KWH, NOTHING, NOTHING, KWH, KWH, KWH) == [None] * 5 + [True]
    assert verdicts(EarlyHours(), *[NOTHING] * 6) == [None] * 6


def test_an_hour_that_is_nearly_over_shows_nothing() -> None:
    """Little may be left to come; and one that has not begun may grow still."""
    early = EarlyHours()
    for hour in range(6):
        told = {START + hour * HOUR: KWH, START + (hour + 1) * HOUR: KWH}
        assert early.note(told, {START + (hour - 1) * HOUR: WHOLE}, at(hour, 31)) is None


def test_what_was_begun_long_ago_is_forgotten() -> None:
    """A service that runs for years remembers a day of hours at most."""
    early = EarlyHours()
    early.note({START: KWH}, {}, at(0))
    early.note({}, {}, at(30))
    for hour in range(1, 3):
        early.note({}, {START + hour * HOUR: WHOLE}, at(30 + hour))
    assert early.note({}, {START: reading("9", "9")}, at(33)) is None
