"""What can be wrong with a span of several days alone, while single days are right.

Every kind is a 200. A span is put together again from its days' own answers, some of them spoilt, or asked
for once more with other options of the meter or another limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from collector.simulator import Account, Scenario, api
from collector.simulator.answers import Answer, Row
from collector.simulator.api import Reply
from tests.support.cloud_faults import ROW_TAMPERINGS, lists_of, spoilt_rows
from tests.support.request_counts import kind_of


def joined(days: Iterable[Answer]) -> Answer:
    """The answers of consecutive days as one: all rows in order, everything else as in the first."""
    first, *others = days
    whole = {name: list(value) if isinstance(value, list) else value for name, value in first.items()}
    if "sum" in first:
        whole["history"] = [list(rows) for rows in first["history"]]
    for day in others:
        for rows, more in zip(lists_of(whole), lists_of(day), strict=True):
            rows += more
    return whole


@dataclass(frozen=True, slots=True)
class Days:
    """The answers of a span's days, those of its two neighbours, and the places in `days` to be spoilt."""

    before: Answer
    days: list[Answer]
    after: Answer
    places: Sequence[int]

    def lists(self) -> list[tuple[list[Row], list[list[Row]], list[Row]]]:
        """By list of the answer: the rows of the day before, of each day, and of the day after."""
        of_days = zip(*(lists_of(day) for day in self.days), strict=True)
        return list(zip(lists_of(self.before), map(list, of_days), lists_of(self.after), strict=True))


def _first_bucket(rows: list[Row]) -> list[Row]:
    """The rows with the first stamp: more than one with tariffs, both hours where it is a repeated one."""
    return [row for row in rows if row["datetime"] == rows[0]["datetime"]]


def _last_bucket(rows: list[Row]) -> list[Row]:
    return _first_bucket(rows[::-1])[::-1]


def _measured(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.get("consumption") is not None]


def _emptied(row: Row) -> Row:
    return {"missing": True} | {name: row[name] for name in row if name in ("datetime", "channel")}


def _short_at_start(span: Days) -> None:
    for _, days, _ in span.lists():
        days[0][: len(_first_bucket(days[0]))] = []


def _short_at_end(span: Days) -> None:
    for _, days, _ in span.lists():
        days[-1][len(days[-1]) - len(_last_bucket(days[-1])) :] = []


def _hour_before(span: Days) -> None:
    for before, days, _ in span.lists():
        days[0][:0] = _last_bucket(before)


def _hour_after(span: Days) -> None:
    for _, days, after in span.lists():
        days[-1] += _first_bucket(after)


def _hour_before_missing(span: Days) -> None:
    for before, days, _ in span.lists():
        days[0][:0] = [_emptied(row) for row in _last_bucket(before)[:1]]


def _hour_after_missing(span: Days) -> None:
    for _, days, after in span.lists():
        days[-1] += [_emptied(row) for row in _first_bucket(after)[:1]]


def _changed(factor: int, every: int) -> Callable[[Days], None]:
    """Multiplies the values of each n-th hour. Phases and tariffs add up as before."""

    def spoil(span: Days) -> None:
        for _, days, _ in span.lists():
            for place in span.places:
                for row in _measured(days[place]):
                    if datetime.fromisoformat(row["datetime"]).hour % every == 0:
                        row["consumption"] = round(row["consumption"] * factor, 2)
                        row["reversed"] = round(row["reversed"] * factor, 2)

    return spoil


def _shifted(span: Days) -> None:
    """Every row gets what the row before it had, from the neighbouring day at midnight."""
    for before, days, _ in span.lists():
        earlier = [before, *([dict(row) for row in rows] for rows in days)]
        for place in span.places:
            values = [*_last_bucket(earlier[place]), *earlier[place + 1]]
            days[place][:] = [
                {**given, "datetime": row["datetime"]}
                for row, given in zip(days[place], values, strict=False)
            ]


def _clocks_ignored(span: Days) -> None:
    """In spring nothing is counted in the first hour after the change: a battery fed the house."""
    zone = ZoneInfo(span.days[0]["timezone"])
    for _, days, after in span.lists():
        first = datetime.fromisoformat(days[0][0]["datetime"]).replace(tzinfo=None)
        parts = len(_first_bucket(days[0]))  # of an hour, with tariffs
        hours = [row for rows in (*days, after) for row in rows if not _is_skipped(row, zone)]
        for place, rows in enumerate(days):
            start = 24 * place
            rows[:] = [
                {**hours[parts * number + part], "datetime": str(first + timedelta(hours=number))}
                for number in range(start, start + 24)
                for part in range(parts)
            ]
            for row in rows:
                if "consumption" in row and _is_skipped(row, zone):
                    row["consumption"] = row["reversed"] = 0


def _is_skipped(row: Row, zone: ZoneInfo) -> bool:
    """Whether no clock there ever shows that time."""
    local = datetime.fromisoformat(row["datetime"])
    there = local if local.tzinfo else local.replace(tzinfo=zone)
    return there.astimezone(UTC).astimezone(there.tzinfo) != there


def _day_gone(span: Days) -> None:
    for _, days, _ in span.lists():
        for place in span.places:
            days[place].clear()


def _day_missing(span: Days) -> None:
    for _, days, _ in span.lists():
        for place in span.places:
            days[place][:] = [_emptied(row) for row in days[place]]


SPAN_TAMPERINGS: dict[str, Callable[[Days], None]] = {
    "span_short_at_start": _short_at_start,
    "span_short_at_end": _short_at_end,
    "span_hour_before": _hour_before,
    "span_hour_after": _hour_after,
    "span_hour_before_missing": _hour_before_missing,
    "span_hour_after_missing": _hour_after_missing,
    "span_hours_differ": _changed(2, every=3),
    "span_all_zero": _changed(0, every=1),
    "span_shifted": _shifted,
    "span_day_gone": _day_gone,
    "span_day_missing": _day_missing,
}
"""By kind; the hours at the ends are those of the span, all other kinds keep to the days that are to be
spoilt. An hour before or after is the neighbouring day's, with whatever the cloud has of it."""

_OF_ONE_DAY = ("span_day_gone", "span_day_missing")

SPAN_VARIANTS: dict[str, dict[str, Any]] = {
    "span_autumn_twice": {"autumn": "repeated"},
    "span_autumn_fat": {"autumn": "fat"},
    "span_spring_missing": {"spring": "missing"},
    "span_spring_nulls": {"spring": "nulls"},
    "span_spring_zeros": {"spring": "zeros"},
    "span_spring_absent": {"spring": "absent"},
    "span_gaps_absent": {"gaps": "absent"},
    "span_future_absent": {"future": "absent"},
    "span_tariffs": {"tariffs": 2},
    "span_utc": {"stamps": "utc"},
    "span_local": {"stamps": "local"},
}
"""By kind: the meter's options in spans, whatever they are for days."""

SPAN_LIMITS: dict[str, int] = {f"span_limit_{hours}h": hours for hours in (24, 36, 48, 60, 72, 96)}
"""By kind: the longest span of hours, so that rules can change it."""

SPAN_INTERVALS: dict[str, Any] = {
    "span_interval_month": "month",
    "span_interval_2_hours": "2 hours",
    "span_interval_capital": "Hour",
    "span_interval_blank": "",
    "span_interval_null": None,
    "span_interval_number": 3600,
    "span_interval_list": ["hour"],
}
"""By kind: what `interval` says of the rows of hours. (`wrong_interval` and `no_interval` do so too.)"""

DAYS_AS_HOURS = "span_days_as_hours"
"""A row for each day, and `interval` says hour."""

CLOCKS_IGNORED = "span_clocks_ignored"
"""Hours are counted from the span's start on, as if no clock were changed meanwhile."""

SPAN_KINDS: tuple[str, ...] = (
    *SPAN_TAMPERINGS, *SPAN_VARIANTS, *SPAN_LIMITS, *SPAN_INTERVALS, DAYS_AS_HOURS, CLOCKS_IGNORED,
)  # fmt: skip
"""Every kind of fault that only a span can have."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to the simulated cloud, to be answered once more in another way."""

    scenario: Scenario
    account: Account | None
    path: str
    query: Mapping[str, str]
    now: datetime

    def answer(self) -> Answer | None:
        """The right answer; None where it is an error."""
        given = api.answer(self.scenario, self.account, self.path, self.query, self.now)
        return None if isinstance(given, Reply) else given

    def of_day(self, day: date) -> Answer:
        """The right answer for that day alone."""
        query = {**self.query, "date_range": "day", "date_from": f"{day} 00:00:00"}
        given = replace(self, query=query).answer()
        assert given is not None, "a span is answered, and its day is not"
        return given

    def in_variant(self, **options: Any) -> Request:
        """The same of meters with other options."""
        if self.account is None:
            return self
        meters = tuple(replace(device, **options) for device in self.account.device)
        return replace(self, account=replace(self.account, device=meters))

    @property
    def days(self) -> list[date]:
        """The local days of the span."""
        first = datetime.fromisoformat(self.query["date_from"]).date()
        return [first + timedelta(days=number) for number in range(kind_of(self.query)[1])]


def spoilt(kind: str, request: Request, covers: Sequence[date] = ()) -> Answer | None:
    """The answer to the span with that fault, on the days of it that are in `covers`.

    Without `covers` all of its days are spoilt, or the one in the middle if the kind is about one day. None
    where there is no answer that could be spoilt: an error, or a span that does not come by the hour.
    """
    if kind in SPAN_LIMITS:
        limited = replace(request.scenario, hour_span_h=SPAN_LIMITS[kind])
        return replace(request, scenario=limited).answer()
    if kind in SPAN_VARIANTS:
        return request.in_variant(**SPAN_VARIANTS[kind]).answer()
    if kind == DAYS_AS_HOURS:
        by_day = replace(request.scenario, hour_span_h=0, four_day_interval="day")
        given = replace(request, scenario=by_day).answer()
        return given and {**given, "interval": "hour"}
    right, asked = request.answer(), request.days
    if right is None or right["interval"] != "hour":
        return None
    if kind in SPAN_INTERVALS:
        return {**right, "interval": SPAN_INTERVALS[kind]}
    step = timedelta(days=1)
    before, *days, after = map(request.of_day, (asked[0] - step, *asked, asked[-1] + step))
    chosen = [place for place, day in enumerate(asked) if day in covers]
    if not chosen:
        chosen = [len(days) // 2] if kind in _OF_ONE_DAY else list(range(len(days)))
    if kind in ROW_TAMPERINGS:
        for place in chosen:
            days[place] = spoilt_rows(kind, days[place])
    elif kind == CLOCKS_IGNORED:
        _clocks_ignored(Days(before, days, after, chosen))
    else:
        SPAN_TAMPERINGS[kind](Days(before, days, after, chosen))
    return joined(days)
