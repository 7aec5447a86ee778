"""The oracle of the fuzzed answers: what a body says of an hour, word by word, and nothing else.

It shares no line with the code under test: no order of rows, no layout of a day. It only knows which
stamps name an hour, which numbers a meter can measure, and which sums its rows allow.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import combinations
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from collector.energy.days import LocalDay

_MOST_WH = {False: Decimal(40_000), True: Decimal(400_000)}  # an hour; of two clamps, of three phases


class Said(NamedTuple):
    """One row: Wh, and the tariff's name. `None` where the row, or a phase beside it, has no value.

    `least` and `most` are the extremes of its numbers and, times three, of its phases'.
    """

    tariff: str
    consumption: Decimal | None
    reversed: Decimal | None
    least: Decimal = Decimal(0)
    most: Decimal = Decimal(0)


class Literal:
    """A body's rows by the stamp that they carry; three phases: `sum`'s. Nothing where it is no answer."""

    def __init__(self, data: bytes, *, three_phases: bool) -> None:
        self.zone_name: Any = None
        self._rows: Mapping[str, list[Said]] = {}
        self._most_wh = _MOST_WH[three_phases]
        try:
            body = json.loads(data, parse_float=Decimal)
        except (ValueError, RecursionError, ArithmeticError):
            return
        if isinstance(body, dict):
            self.zone_name = body.get("timezone")
            self._rows = _rows_of(body, three_phases=three_phases)

    def rows(self, ts: int, zone: ZoneInfo) -> list[Said]:
        """All that the body says of the hour that starts then, in its order."""
        local = datetime.fromtimestamp(ts, zone).strftime("%Y-%m-%d %H:%M:%S")
        return [*self._rows.get(local, ()), *self._rows.get(_utc(ts), ())]

    def sums(self, ts: int, day: LocalDay) -> set[tuple[Decimal, Decimal]]:
        """What the hour may have had: Wh from and to. Empty where the body does not tell it, or tells
        what cannot be; a row on a repeated hour may stand for both."""
        rows = self.rows(ts, day.zone)
        repeated = {each for pair in day.repeated_hours for each in pair}
        most_wh = self._most_wh * (2 if ts in repeated else 1)
        least = 1 if ts in repeated else len([row for row in rows if row.tariff != "0"] or rows)
        found = set()
        for size in range(least, min(len(rows), 8) + 1):
            for parts in combinations(rows, size):
                if any(None in part or part.least < 0 or part.most > most_wh for part in parts):
                    continue
                sums = _total(parts, 1), _total(parts, 2)
                if len({part.tariff for part in parts}) == size and max(sums) <= most_wh:
                    found.add(sums)
        return found


def _total(parts: Iterable[Said], column: int) -> Decimal:
    return sum((Decimal(part[column] or 0) for part in parts), Decimal(0))


def _utc(ts: int) -> str:
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _rows_of(body: dict[str, Any], *, three_phases: bool) -> Mapping[str, list[Said]]:
    rows = body.get("sum" if three_phases else "history")
    history = body.get("history")
    phases = history if three_phases and isinstance(history, list) else []
    found: dict[str, list[Said]] = defaultdict(list)
    for place, row in enumerate(rows if isinstance(rows, list) else []):
        if isinstance(row, dict) and isinstance(row.get("datetime"), str):
            beside = [phase[place] for phase in phases if isinstance(phase, list) and len(phase) > place]
            said = _said(row)
            phases_said = [_said(each) for each in beside]
            if any(each.consumption is None for each in phases_said):
                said = Said(said.tariff, None, None)
            said = said._replace(
                least=min(each.least for each in (said, *phases_said)),
                most=max(said.most, *(each.most * 3 for each in phases_said), Decimal(0)),
            )
            found[_stamp(row["datetime"])].append(said)
    return found


def _stamp(text: str) -> str:
    """In one spelling: `T` or a space in a local one, `.000` or nothing in one of UTC."""
    if text.endswith("Z"):
        return text[:19] + "Z"
    return text[:10] + " " + text[11:] if text[10:11] == "T" else text


def _said(row: Any) -> Said:
    if not isinstance(row, dict):
        return Said("0", None, None)
    tariff = row.get("tariff_id")
    values = [_number(row.get(key)) for key in ("consumption", "reversed")]
    if row.get("missing") is True:
        values = [None, None]
    known = [value for value in values if value is not None] or [Decimal(0)]
    return Said("0" if tariff in (None, "") else str(tariff), values[0], values[1], min(known), max(known))


def _number(value: Any) -> Decimal | None:
    return Decimal(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else None
