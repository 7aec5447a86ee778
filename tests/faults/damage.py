"""What a card, a crash or a person may make of a day file: one damage of each kind, by the dice."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

Damage = Callable[[random.Random, bytes, bytes], bytes]
"""From the dice, a whole file and that of another day: the damaged one."""


def _cut(dice: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: dice.randrange(len(data))]


def _flip(dice: random.Random, data: bytes, other: bytes) -> bytes:
    return _changed(data, dice.randrange(len(data)), lambda byte: byte ^ 1 << dice.randrange(8))


def _flips(dice: random.Random, data: bytes, other: bytes) -> bytes:
    for _ in range(dice.randint(2, 20)):
        data = _flip(dice, data, other)
    return data


def _digit(dice: random.Random, data: bytes, other: bytes) -> bytes:
    place = dice.choice([place for place, byte in enumerate(data) if chr(byte).isdigit()])
    return _changed(data, place, lambda byte: dice.choice([each for each in b"0123456789" if each != byte]))


def _nuls(dice: random.Random, data: bytes, other: bytes) -> bytes:
    begin, end = _range(dice, data)
    return data[:begin] + bytes(end - begin) + data[end:]


def _nul_tail(dice: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: dice.randrange(len(data))] + bytes(dice.choice([1, 512, 4096]))


def _garbage(dice: random.Random, data: bytes, other: bytes) -> bytes:
    begin, end = _range(dice, data)
    return data[:begin] + dice.randbytes(end - begin) + data[end:]


def _all_garbage(dice: random.Random, data: bytes, other: bytes) -> bytes:
    return dice.randbytes(dice.choice([1, 100, len(data)]))


def _splice(dice: random.Random, data: bytes, other: bytes) -> bytes:
    place = dice.randrange(len(data))
    return data[:place] + other[place:]


def _splice_of_lines(dice: random.Random, data: bytes, other: bytes) -> bytes:
    ours, theirs = data.splitlines(keepends=True), other.splitlines(keepends=True)
    place = dice.randrange(len(ours))
    return b"".join(ours[:place] + theirs[place:])


def _appended(dice: random.Random, data: bytes, other: bytes) -> bytes:
    return data + dice.choice([data, other, b"\n", b"{}\n", b" "])


def _doubled_line(dice: random.Random, data: bytes, other: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    place = dice.randrange(len(lines))
    return b"".join([*lines[:place], lines[place], *lines[place:]])


def _lost_line(dice: random.Random, data: bytes, other: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    del lines[dice.randrange(len(lines))]
    return b"".join(lines)


def _shuffled(dice: random.Random, data: bytes, other: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    one, two = sorted(dice.sample(range(len(lines)), 2))
    lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines)


def _long_line(dice: random.Random, data: bytes, other: bytes) -> bytes:
    place = dice.randrange(len(data))
    return data[:place] + dice.choice([b"9", b"x", b" ", b"["]) * dice.choice([5_000, 70_000]) + data[place:]


def _changed(data: bytes, place: int, change: Callable[[int], int]) -> bytes:
    return data[:place] + bytes([change(data[place])]) + data[place + 1 :]


def _range(dice: random.Random, data: bytes) -> tuple[int, int]:
    begin = dice.randrange(len(data))
    return begin, min(len(data), begin + dice.choice([1, 16, 512, 4096]))


DAMAGES: Mapping[str, Damage] = {
    "cut": _cut,
    "flip": _flip,
    "flips": _flips,
    "digit": _digit,
    "nuls": _nuls,
    "nul tail": _nul_tail,
    "garbage": _garbage,
    "all garbage": _all_garbage,
    "splice": _splice,
    "splice of lines": _splice_of_lines,
    "appended": _appended,
    "doubled line": _doubled_line,
    "lost line": _lost_line,
    "shuffled": _shuffled,
    "long line": _long_line,
    "empty": lambda dice, data, other: b"",
    "byte order mark": lambda dice, data, other: b"\xef\xbb\xbf" + data,
    "carriage returns": lambda dice, data, other: data.replace(b"\n", b"\r\n"),
    "other day": lambda dice, data, other: other,
}
