"""The checker of N8 finds each kind of wrong history; and calls a right one right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from tests.faults.checker import GRID, Answer, File, History, Name, Seen, violations

_DAY = date(2026, 3, 2)
_MIDNIGHT = 1772409600
_HOURS = [_MIDNIGHT + 3600 * number for number in range(24)]
_NOW = _MIDNIGHT + 86400 + 7200
_LATE = _MIDNIGHT + 4 * 86400 + 3600


def _values(kwh: int = 1, hours: list[int] = _HOURS) -> dict[Name, Decimal]:
    return {(ts, column): Decimal(kwh) for ts in hours for column in GRID}


def _file(values: dict[Name, Decimal], *, complete: bool = True) -> File:
    return File(tuple(values.items()), complete)


def _right() -> History:
    """A day is told, and saved; revised, read again after three days, and saved."""
    newer = {**_values(), (_HOURS[5], "import"): Decimal(7)}
    return History(
        hours={_DAY: _HOURS},
        columns=GRID,
        answers=[Answer(10, _NOW, _DAY, GRID, _values()), Answer(30, _LATE, _DAY, GRID, newer)],
        seen=[
            Seen(11, {_DAY: _file(_values())}, _DAY),
            Seen(20, {_DAY: _file(_values())}),
            Seen(31, {_DAY: _file(newer)}, _DAY),
            Seen(40, {_DAY: _file(newer)}),
        ],
        requests=[10, 11.05, 30],
        present=newer,
        ends_at=_LATE + 2 * 86400,
    )


def test_a_right_history_has_no_violation() -> None:
    """Also one in which a save was cut off before it was said, or its saying was."""
    assert violations(_right()) == []
    unsaid = _right()
    unsaid.seen[1:1] = [Seen(12, {_DAY: _file(_values())})]
    assert violations(unsaid) == []


def test_what_was_saved_unsaid_and_then_not_told_again_may_stay() -> None:
    """A service dies between its save and its saying; the next one is told less, and keeps what is there."""
    history = _right()
    less = _values(hours=_HOURS[:-1])
    history.answers[1] = history.answers[1]._replace(values=less)
    kept = _file(_values())
    history.seen[:] = [Seen(12, {_DAY: kept}), Seen(31, {_DAY: kept}, _DAY), Seen(40, {_DAY: kept})]
    history.present = _values()
    assert violations(history) == []
    history.answers[0] = history.answers[0]._replace(values=_values(2))
    assert "invented" in {each.kind for each in violations(history)}


def test_a_complete_file_that_was_never_spoken_of_was_read_all_the_same() -> None:
    """A service dies between its save and its saying; the next one finds a day that is done."""
    history = _right()
    del history.answers[0], history.seen[0]
    history.seen[:] = [Seen(31, {_DAY: _LAST}), Seen(40, {_DAY: _LAST})]
    assert violations(history) == []
    history.answers[0] = history.answers[0]._replace(moment=_NOW)
    assert [each.kind for each in violations(history)] == ["not settled"]


@pytest.mark.parametrize(("early_s", "is_settled"), [(0, True), (119, True), (121, False)])
def test_a_day_is_settled_by_a_clock_that_is_trusted(early_s: int, is_settled: bool) -> None:
    """The service's may be two minutes ahead of the cloud's: it reads the day a little early."""
    history = _right()
    due = _MIDNIGHT + 4 * 86400
    history.answers[1] = history.answers[1]._replace(moment=due - early_s)
    assert ([each.kind for each in violations(history)] == []) is is_settled


def _see(number: int, files: dict[date, File]) -> Callable[[History], None]:
    def change(history: History) -> None:
        history.seen[number] = history.seen[number]._replace(files=files)

    return change


def _ask_too_soon(history: History) -> None:
    history.requests.append(11.5)


def _never_read_again(history: History) -> None:
    del history.answers[1], history.seen[2]
    history.seen[-1] = Seen(40, {_DAY: _file(_values())})
    history.present = _values()


def _never_told(history: History) -> None:
    del history.answers[0]


_LAST = _right().seen[3].files[_DAY]


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("pace", _ask_too_soon),
        ("invented", _see(3, {_DAY: _file({**_LAST.values, (_HOURS[3], "export"): Decimal(9)})})),
        ("invented", _see(3, {_DAY: _file({**_LAST.values, (_HOURS[0] - 3600, "import"): Decimal(1)})})),
        ("invented", _never_told),
        ("doubled", _see(3, {_DAY: File((*_LAST.rows, _LAST.rows[0]), complete=True)})),
        ("doubled", _see(3, {_DAY: _LAST, date(2026, 3, 3): File(_LAST.rows[:1], complete=False)})),
        ("torn", _see(3, {_DAY: replace(_LAST, torn=True)})),
        ("old", _see(3, {_DAY: _file(_values())})),
        ("lost", _see(3, {})),
        ("lost", _see(1, {_DAY: _file(_values(hours=_HOURS[:-1]), complete=False)})),
        ("said, not saved", _see(0, {})),
        ("said, not saved", _see(2, {_DAY: _file(_values(hours=_HOURS[1:]), complete=False)})),
        ("not complete", _see(3, {_DAY: _file(_values(hours=_HOURS[1:]))})),
        ("missing", _see(3, {_DAY: replace(_LAST, rows=_LAST.rows[2:], complete=False)})),
        ("not settled", _never_read_again),
    ],
)
def test_each_kind_of_wrong_history_is_found(kind: str, change: Callable[[History], None]) -> None:
    """Deliberately wrong: the checker could fail."""
    history = _right()
    change(history)
    assert kind in {violation.kind for violation in violations(history)}
