"""Coverage as a calendar: a row a month, a character a day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from collector.energy.coverage import DayState

SIGNS = {
    DayState.COMPLETE: ("█", "#", ""),
    DayState.TODAY: ("▌", ">", ""),
    DayState.PARTIAL: ("▒", "+", "33"),
    DayState.EMPTY: ("·", ".", "33"),
    DayState.MISSING: ("○", "o", "33"),
    DayState.GIVEN_UP: ("×", "x", "31"),
    DayState.LOST: ("†", "!", "31"),
}
"""Each state's sign, the same in ASCII, and its colour on a terminal."""

_RULER = "         1        10        20        30"


def calendar(states: Mapping[date, DayState], first: date, *, ascii_only: bool, colour: bool) -> list[str]:
    """The lines: a ruler, and from the month of `first` on a row each; days without a state are blank."""
    months: dict[str, list[str]] = {}
    for day, state in states.items():
        if day >= first:
            row = months.setdefault(f"{day:%Y-%m}", [" "] * 31)
            row[day.day - 1] = _sign(state, ascii_only=ascii_only, colour=colour)
    rows = [f"{month}  {''.join(row).rstrip()}" for month, row in months.items()]
    return [_RULER, *rows] if rows else []


def legend(states: Mapping[date, DayState], *, ascii_only: bool) -> str:
    """What the signs that occur mean."""
    occurring = set(states.values())
    return "  ".join(
        f"{sign[ascii_only]} {state.value.replace('_', ' ')}"
        for state, sign in SIGNS.items()
        if state in occurring
    )


def _sign(state: DayState, *, ascii_only: bool, colour: bool) -> str:
    sign, code = SIGNS[state][ascii_only], SIGNS[state][2]
    return f"\x1b[{code}m{sign}\x1b[0m" if colour and code else sign
