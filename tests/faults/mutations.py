"""Answers changed at random: as rows, as values, as an object, and as bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

Rows = list[Any]
Body = dict[str, Any]

_ODD: list[Any] = [
    None, True, False, "", "12", "x", -1, -0.01, 0, 1e12, 1e-9, 40_000, 40_000.01, 133_333.3, 133_333.4,
    400_000, 400_000.01, 4_294_967.3, 68_000_000, [], {}, [[]], {"a": 1}, "2026-06-01 99:00:00",
    "2026-06-01 00:30:00", "2026-06-01T05:00:00Z", "\ud800", "\x00", "NaN", "missing",
]  # fmt: skip
_DAYS = ["2026-05-31", "2026-06-02", "2024-02-29", "2026-06-01", "2026-03-29", "2025-10-26", "0000-00-00"]
_ZONES: list[Any] = [
    "UTC", "Europe/London", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Mars/Olympus", "",
    None, "../x",
]  # fmt: skip


def mutated(text: str, dice: Random) -> bytes:
    """The answer's bytes after one to three changes, at times after one more to the bytes themselves."""
    body: Any = json.loads(text)
    for _ in range(dice.choice([1, 1, 1, 2, 3])):
        body = _change(body, dice)
    data = json.dumps(body).encode()
    return bytes_mutated(data, dice) if dice.random() < 0.25 else data


def bytes_mutated(data: bytes, dice: Random) -> bytes:
    """One to three changes of bytes, whatever they mean."""
    changed = bytearray(data)
    for _ in range(dice.randint(1, 3)):
        at, size = dice.randrange(len(changed) + 1), dice.choice([0, 1, 1, 2, 5, 60])
        piece = bytes(changed[at : at + size])
        changed[at : at + size] = dice.choice([
            b"", dice.randbytes(1), dice.choice(b"0123456789").to_bytes(1, "big"), piece * 2, b"\x00",
            b"e9", b",", b"-", b".", b'"', b"{", b"]", b"null", b"\xff", b"1" * 50, b" " * 9,
            piece[::-1], piece.upper(),
        ])  # fmt: skip
        if dice.random() < 0.05:
            del changed[dice.randrange(len(changed) + 1) :]
    return bytes(changed)


def _change(body: Any, dice: Random) -> Any:
    lists = _lists(body)
    if not lists or dice.random() < 0.12:
        return dice.choice(_OF_THE_BODY)(body, dice) if isinstance(body, dict) else body
    mutate, seed = dice.choice(_OF_ROWS), dice.random()
    # All lists alike, mostly: three phases that slip apart are refused at once.
    for rows in lists if dice.random() < 0.6 else [dice.choice(lists)]:
        if rows:
            mutate(rows, Random(seed))
    return body


def _lists(body: Any) -> list[Rows]:
    if not isinstance(body, dict):
        return []
    history = body.get("history")
    lists = history if isinstance(history, list) and history and isinstance(history[0], list) else [history]
    return [each for each in [*lists, body.get("sum")] if isinstance(each, list)]


def _odd(dice: Random) -> Any:
    """Its own: a later change may be made to it."""
    return deepcopy(dice.choice(_ODD))


def _row(rows: Rows, dice: Random) -> dict[str, Any]:
    row = dice.choice(rows)
    return row if isinstance(row, dict) else {}


# -- Rows ---------------------------------------------------------------------------------------------


def _swap(rows: Rows, dice: Random) -> None:
    one, other = dice.randrange(len(rows)), dice.randrange(len(rows))
    rows[one], rows[other] = rows[other], rows[one]


def _shuffle(rows: Rows, dice: Random) -> None:
    dice.shuffle(rows)


def _turn(rows: Rows, dice: Random) -> None:
    at = dice.randrange(len(rows))
    rows[:] = dice.choice([rows[::-1], rows[at:] + rows[:at], rows[:at]])


def _double(rows: Rows, dice: Random) -> None:
    place = dice.randrange(len(rows))
    copy = json.loads(json.dumps(rows[place]))
    rows.insert(dice.choice([place, place + 1, dice.randrange(len(rows))]), copy)


def _put_in_a_foreign_row(rows: Rows, dice: Random) -> None:
    row = dict(_row(rows, dice))
    row["datetime"] = dice.choice(_DAYS) + str(row.get("datetime"))[10:]
    rows.insert(dice.randrange(len(rows) + 1), row)


def _put_in_nonsense(rows: Rows, dice: Random) -> None:
    rows.insert(dice.randrange(len(rows) + 1), _odd(dice))


def _blank(rows: Rows, dice: Random) -> None:
    row = _row(rows, dice)
    if dice.random() < 0.5:
        row["missing"] = True
    for key in ("consumption", "reversed"):
        if dice.random() < 0.8:
            row[key] = None


def _drop_an_hour(rows: Rows, dice: Random) -> None:
    stamp = _row(rows, dice).get("datetime")
    rows[:] = [row for row in rows if not isinstance(row, dict) or row.get("datetime") != stamp] or rows


def _drop_a_row(rows: Rows, dice: Random) -> None:
    del rows[dice.randrange(len(rows))]


def _drop_a_key(rows: Rows, dice: Random) -> None:
    row = _row(rows, dice)
    if row:
        row.pop(dice.choice(list(row)))


def _spoil_a_value(rows: Rows, dice: Random) -> None:
    row = _row(rows, dice)
    if row:
        row[dice.choice([*row, "missing", "tariff_id", "new"])] = _odd(dice)


def _move_a_stamp(rows: Rows, dice: Random) -> None:
    row, other = _row(rows, dice), _row(rows, dice)
    stamp = str(row.get("datetime"))
    row["datetime"] = dice.choice([
        str(other.get("datetime")), dice.choice(_DAYS) + stamp[10:],
        stamp[:11] + f"{dice.randrange(24):02}:00:00", stamp.replace(" ", "T"), stamp.replace(" ",
        "T") + "Z", stamp[:-2] + "01",
    ])  # fmt: skip


def _another_value(rows: Rows, dice: Random) -> None:
    """Legal as any: nothing gives it away."""
    row = _row(rows, dice)
    key = dice.choice(["consumption", "reversed", "tariff_id"])
    row[key] = dice.choice(["0", "1", "2", 7]) if key == "tariff_id" else dice.randrange(10**6) / 100


def _same_value_in_other_words(rows: Rows, dice: Random) -> None:
    row = _row(rows, dice)
    if type(row.get("consumption")) is int:
        row["consumption"] = float(row["consumption"])
    row["cost"], row["purpose"] = _odd(dice), _odd(dice)


_OF_ROWS: list[Callable[[Rows, Random], None]] = [
    _swap, _shuffle, _turn, _double, _put_in_a_foreign_row, _put_in_nonsense, _blank, _drop_an_hour,
    _drop_a_row, _drop_a_key, _spoil_a_value, _spoil_a_value, _move_a_stamp, _another_value,
    _same_value_in_other_words,
]  # fmt: skip


# -- The object around them ---------------------------------------------------------------------------


def _another_zone(body: Body, dice: Random) -> Any:
    return body | {"timezone": dice.choice(_ZONES)}


def _another_interval(body: Body, dice: Random) -> Any:
    return body | {"interval": dice.choice(["day", "month", "", None, 1, "HOUR", "10min"])}


def _says_no_or_yes(body: Body, dice: Random) -> Any:
    errors = {dice.choice(["max_req", "invalid_auth_key", "device_not_found", "x"]): _odd(dice)}
    return body | {
        "isok": dice.choice([True, False, None, "false", 0]),
        "errors": dice.choice([errors, [], None]),
    }


def _lose_a_member(body: Body, dice: Random) -> Any:
    key = dice.choice(list(body)) if body else ""
    return {name: value for name, value in body.items() if name != key}


def _spoil_a_member(body: Body, dice: Random) -> Any:
    return body | {dice.choice([*body, "sum", "history"]): _odd(dice)}


def _nest(body: Body, dice: Random) -> Any:
    history = body.get("history")
    return body | dice.choice(
        [{"history": [history]}, {"history": {"0": history}}, {"data": body}, {"sum": history}]
    )


def _wrap(body: Body, dice: Random) -> Any:
    return dice.choice([{"data": body}, [body], {"isok": True, "data": body}, None, "", 1])


def _other_phases(body: Body, dice: Random) -> Any:
    history = body.get("history")
    if not isinstance(history, list) or len(history) < 2:
        return body
    return body | {"history": dice.choice([history[1:], history[::-1], [*history, history[0]], history[0]])}


_OF_THE_BODY: list[Callable[[Body, Random], Any]] = [
    _another_zone, _another_interval, _says_no_or_yes, _lose_a_member, _spoil_a_member, _nest, _wrap,
    _other_phases,
]  # fmt: skip
