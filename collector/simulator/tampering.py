"""Answers with status 200 that must not be believed: each takes the right answer and spoils it. Pure.

The functions may change the answer they are given; they return the body.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from collector.simulator.refusals import HOSTILE, as_json
from collector.simulator.rendering import Answer
from collector.simulator.rows import Row


def _lists(answer: Answer) -> Iterator[list[Row]]:
    history = answer["history"]
    yield from history if history and isinstance(history[0], list) else [history]
    if "sum" in answer:
        yield answer["sum"]


def _rows(answer: Answer) -> Iterator[Row]:
    for rows in _lists(answer):
        yield from rows


def _measured(answer: Answer) -> list[Row]:
    return [row for row in _rows(answer) if row.get("consumption") is not None]


def _with_value(value: Any) -> Callable[[Answer], bytes]:
    """Puts the value in the place of one `consumption` of every list."""

    def spoil(answer: Answer) -> bytes:
        for rows in _lists(answer):
            measured = [row for row in rows if row.get("consumption") is not None]
            for row in measured[len(measured) // 2 :][:1]:
                row["consumption"] = value
        return as_json(answer)

    return spoil


def _with_text(text: str) -> Callable[[Answer], bytes]:
    """The same with a JSON text that Python's encoder would not write."""
    put = _with_value("<here>")
    return lambda answer: put(answer).replace(b'"<here>"', text.encode())


def _with_top(**values: Any) -> Callable[[Answer], bytes]:
    return lambda answer: as_json({**answer, **values})


def _isok_false(answer: Answer) -> bytes:
    return as_json({"isok": False, "errors": {"internal": "Something went wrong"}, **answer})


def _wrong_types(answer: Answer) -> bytes:
    for row in _measured(answer):
        row["consumption"], row["reversed"] = str(row["consumption"]), [row["reversed"]]
    return as_json(answer)


def _bad_utf8(answer: Answer) -> bytes:
    for row in _measured(answer):
        row["purpose"] = "<here>"
    return as_json(answer).replace(b"<here>", b"\xff\xfe\xc3(")


def _duplicate_keys(answer: Answer) -> bytes:
    return as_json(answer).replace(b'"consumption":', b'"consumption":99999.99,"consumption":')


def _other_day(answer: Answer) -> bytes:
    for row in _rows(answer):
        moved = datetime.fromisoformat(row["datetime"]) - timedelta(days=1)
        is_utc = row["datetime"].endswith("Z")
        row["datetime"] = moved.strftime("%Y-%m-%dT%H:%M:%SZ" if is_utc else "%Y-%m-%d %H:%M:%S")
    return as_json(answer)


def _reordered(answer: Answer) -> bytes:
    for rows in _lists(answer):
        rows.reverse()
    return as_json(answer)


def _shuffled(answer: Answer) -> bytes:
    for rows in _lists(answer):
        rows[:] = rows[1::2] + rows[0::2]
    return as_json(answer)


def _future_data(answer: Answer) -> bytes:
    for row in _rows(answer):
        if row.pop("missing", False):
            row.update(consumption=123.45, reversed=0, cost=0, purpose="other", tariff_id="0")
    return as_json(answer)


def _missing_rows(answer: Answer) -> bytes:
    for rows in _lists(answer):
        del rows[5:8]
    return as_json(answer)


def _extra_row(answer: Answer) -> bytes:
    for rows in _lists(answer):
        rows[-1:] = [row | {"datetime": row["datetime"][:11] + "25:00:00"} for row in rows[-1:]] + rows[-1:]
    return as_json(answer)


def _doubled_row(answer: Answer) -> bytes:
    for rows in _lists(answer):
        rows[12:12] = [dict(row) for row in rows[11:12]]
    return as_json(answer)


def _conflicting_row(answer: Answer) -> bytes:
    for rows in _lists(answer):
        rows[12:12] = [row | {"consumption": 7777} for row in rows[11:12]]
    return as_json(answer)


def _extra_keys(answer: Answer) -> bytes:
    for row in _rows(answer):
        row.update(phase_angle=0.98, note={"nested": [1, None]}, total=1e6)
    return as_json({"version": 3, **answer, "units": {"consumption": "Wh"}})


def _hostile_rows(answer: Answer) -> bytes:
    for row in _rows(answer):
        row.update({"purpose": HOSTILE, "tariff_id": HOSTILE, HOSTILE: HOSTILE})
    return as_json(answer)


def _hostile_stamps(answer: Answer) -> bytes:
    for row in _rows(answer):
        row["datetime"] = HOSTILE
    return as_json(answer)


def _ragged(answer: Answer) -> bytes:
    """One list shorter than the others; of a flat answer, its last row."""
    next(_lists(answer))[-1:] = []
    return as_json(answer)


def _sum_off(answer: Answer) -> bytes:
    rows: list[Row] = answer["sum"] if "sum" in answer else answer["history"]
    for row in rows:
        if row.get("consumption") is not None:
            row["consumption"] += 1000
    return as_json(answer)


def _spaced_out(answer: Answer) -> bytes:
    return b"\n \t" + json.dumps(answer, indent=4).encode("utf-8") + b"\n\n"


TAMPERINGS: dict[str, Callable[[Answer], bytes]] = {
    "isok_false": _isok_false,
    "wrong_types": _wrong_types,
    "boolean": _with_value(value=True),
    "negative": _with_value(-12.5),
    "nan": _with_text("NaN"),
    "infinity": _with_text("-Infinity"),
    "huge_exponent": _with_text("1e999"),
    "huge_int": _with_text("9" * 5000),
    "absurd_value": _with_value(9_000_000_000),
    "deep_nesting": _with_text("[" * 100_000 + "]" * 100_000),
    "bad_utf8": _bad_utf8,
    "bom": lambda answer: b"\xef\xbb\xbf" + as_json(answer),
    "nul_bytes": lambda answer: as_json(answer) + b"\x00" * 64,
    "truncated_json": lambda answer: as_json(answer)[:-40],
    "duplicate_keys": _duplicate_keys,
    "other_day": _other_day,
    "reordered": _reordered,
    "shuffled": _shuffled,
    "future_data": _future_data,
    "missing_rows": _missing_rows,
    "extra_row": _extra_row,
    "doubled_row": _doubled_row,
    "conflicting_row": _conflicting_row,
    "ragged": _ragged,
    "sum_off": _sum_off,
    "extra_keys": _extra_keys,
    "unknown_zone": _with_top(timezone="Mars/Olympus_Mons"),
    "hostile_zone": _with_top(timezone=HOSTILE),
    "wrong_zone": _with_top(timezone="Pacific/Kiritimati"),
    "no_zone": lambda answer: as_json({key: answer[key] for key in answer if key != "timezone"}),
    "wrong_interval": _with_top(interval="day"),
    "no_interval": lambda answer: as_json({key: answer[key] for key in answer if key != "interval"}),
    "no_history": lambda answer: as_json({key: answer[key] for key in answer if key != "history"}),
    "null_history": _with_top(history=None),
    "object_history": _with_top(history={"0": []}),
    "null_rows": _with_top(history=[None, None]),
    "empty_history": _with_top(history=[], sum=[]),
    "hostile_rows": _hostile_rows,
    "hostile_stamps": _hostile_stamps,
    "spaced_out": _spaced_out,
    "bare_null": lambda answer: b"null",
    "bare_list": lambda answer: as_json([answer]),
    "bare_number": lambda answer: b"42",
}
"""By the kind of the fault that plays it. `extra_keys`, `spaced_out` and `bom` are right in substance."""
