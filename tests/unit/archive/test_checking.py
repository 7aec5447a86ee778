"""Checking: what a file should be and is not, by a stable code; and never a word about a good one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.archive.checksums import Recorded
from collector.archive.dayfile import encode
from collector.energy.days import local_day
from collector.energy.readings import EnergyDay
from collector.verify.files import CODES, check_day
from collector.verify.report import CheckedDay
from tests.support.archives import MEASURED, older_file
from tests.support.energy_days import (
    AUTUMN,
    BERLIN,
    LONDON,
    ORDINARY,
    SPRING,
    after,
    energy_days,
    filled,
    kwh,
)

WHOLE = encode(filled(), 4, complete=True)
NOW = after(filled().day, days=200)
NOTHING_MEASURED = {"import": 0, "export": 0, "solar": 0}


def recorded(data: bytes, *, saved: bool = True) -> list[Recorded]:
    return [Recorded(sha256(data).digest(), saved, 0)]


def check(
    data: bytes,
    day: date = ORDINARY,
    zone: ZoneInfo | None = BERLIN,
    record: list[Recorded] | None = None,
) -> CheckedDay:
    return check_day(data, day, zone, NOW, record or [])


def found(
    data: bytes,
    day: date = ORDINARY,
    zone: ZoneInfo | None = BERLIN,
    record: list[Recorded] | None = None,
) -> list[tuple[str, int | None]]:
    return [(each.code, each.line) for each in check(data, day, zone, record).findings]


def edited(number: int, edit: Callable[[str], str], data: bytes = WHOLE) -> bytes:
    """The file with one line changed; counted from 1."""
    lines = data.decode().splitlines(keepends=True)
    lines[number - 1] = edit(lines[number - 1])
    return "".join(lines).encode()


def with_value(number: int, key: str, text: str, data: bytes = WHOLE) -> bytes:
    def exactly(line: str) -> str:
        before, _, rest = line.partition(f'"{key}": ')
        _, comma, after_it = rest.partition(", " if ", " in rest else "}")
        return f'{before}"{key}": {text}{comma}{after_it}'

    return edited(number, exactly, data)


@settings(deadline=None)
@given(day=energy_days(), zone_known=st.booleans(), complete=st.booleans(), decimals=st.integers(4, 6))
def test_what_we_write_has_no_findings(
    day: EnergyDay, zone_known: bool, complete: bool, decimals: int
) -> None:
    """Any day, partial or whole, repeated hours merged or apart, any solar known or not."""
    if not day.readings:
        return
    day = day.rounded(decimals)
    complete = complete and day.is_whole()
    data = encode(day, decimals, complete=complete)
    checked = check(data, AUTUMN, BERLIN if zone_known else None, recorded(data))
    assert checked.findings == ()
    assert checked.complete is complete


@pytest.mark.parametrize("day", [ORDINARY, SPRING, AUTUMN])
def test_a_merged_hour_is_no_missing_one(day: date) -> None:
    """24 records on a fall-back day are what `repeated_hour = "merge"` writes."""
    data = encode(filled(day).merge_repeated_hours(), 4, complete=True)
    assert found(data, day, record=recorded(data)) == []
    assert found(data, day, zone=None) == []


@pytest.mark.parametrize("day", [ORDINARY, SPRING, AUTUMN])
@pytest.mark.parametrize("partial", [False, True])
def test_a_file_of_the_older_utility_has_no_findings(day: date, partial: bool) -> None:
    """Any decimals, keys in any order, zeros that fill a partial day, a repeated hour in one row."""
    columns = {3: NOTHING_MEASURED} if partial else {}
    data = older_file(lambda label: columns.get(label, MEASURED), day=day, partial=partial)
    assert found(data, day) == []
    assert found(data, day, record=recorded(data, saved=False)) == []
    assert found(data, day, zone=None) == []


def test_a_file_of_the_older_utility_may_name_days_in_its_language() -> None:
    """`%a` follows the locale; the digit does not."""
    assert found(older_file().replace(b'"3 Wed"', b'"3 Mi"')) == []
    assert {code for code, _ in found(older_file().replace(b'"3 Wed"', b'"4 Do"'))} == {"columns"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", ("unreadable", None)),
        (b"\r\n", ("unreadable", None)),
        (WHOLE[:-2], ("unreadable", 24)),
        (WHOLE[: len(WHOLE) // 2], ("unreadable", 13)),
        (b"\0" * 8192, ("unreadable", 1)),
        (b" " * 70_000, ("unreadable", None)),
        (edited(5, lambda line: line + line), ("duplicate", 6)),
        (b"".join(reversed(WHOLE.splitlines(keepends=True))), ("order", 2)),
        (encode(filled(ORDINARY + timedelta(days=1)), 4, complete=True), ("foreign_hour", 1)),
        (edited(1, lambda line: line.replace("}", ', "partial": true}')), ("partial", None)),
        (with_value(7, "import", '"many"'), ("unreadable", 7)),
        (with_value(7, "import", "-1.0000"), ("unreadable", 7)),
        (with_value(7, "import", "NaN"), ("unreadable", 7)),
        (with_value(7, "ts", "1718143201"), ("columns", 7)),
    ],
)
def test_a_file_that_is_none_is_reported_with_its_line(data: bytes, expected: tuple[str, int | None]) -> None:
    """One finding: such a file is not trusted in anything."""
    assert found(data, record=recorded(WHOLE)) == [expected]
    assert check(data).sums is None


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (with_value(7, "consumed", "9.9999"), [("identity", 7)]),
        (with_value(7, "solar_consumed", "9.9999"), [("identity", 7)]),
        (with_value(7, "consumed", "1e999999999"), [("decimals", 7), ("identity", 7)]),
        (with_value(7, "consumed", "null"), [("identity", 7)]),
        (with_value(7, "import", "6.123"), [("decimals", 7)]),
        (with_value(7, "import", "6.12300"), [("decimals", 7)]),
        (with_value(7, "import", "61230e-4"), [("keys", 7)]),
        (with_value(7, "weekday", '"3 Mit"'), [("columns", 7)]),
        (with_value(7, "week", '"2024-23"'), [("columns", 7)]),
        (with_value(7, "month", '"2024-07"'), [("columns", 7)]),
        (with_value(7, "year", "2024"), [("columns", 7)]),
        (with_value(7, "hour", "7"), [("columns", 7)]),
        (with_value(7, "hour", "[[]]"), [("columns", 7)]),
        (with_value(7, "datetime", '"2024/06/12 07:00:00"'), [("columns", 7)]),
        (edited(7, lambda line: line.replace(", ", ",")), [("keys", 7)]),
        (edited(7, lambda line: line.replace("}", ', "more": 1}')), [("keys", 7)]),
        (edited(7, lambda line: line.replace('"hour": 6, ', "")), [("keys", 7), ("keys", 7)]),
        (edited(7, lambda line: ""), [("missing_hour", None)]),
        (with_value(7, "import", "6.1231"), [("identity", 7)]),
        (with_value(7, "export", "0.2501"), []),  # more was sold than made: nothing follows from it
    ],
)
def test_what_is_wrong_in_a_file_of_ours_is_reported_with_its_line(
    data: bytes, expected: list[tuple[str, int | None]]
) -> None:
    """To the letter; and whatever it is, the checksum tells it, too."""
    assert found(data, record=recorded(WHOLE)) == [*expected, ("checksum", None)]


def test_an_unrecorded_file_with_our_keys_is_held_to_the_letter() -> None:
    """No one else writes them in that order. A partial file has no record."""
    partial = encode(filled(without=[3]), 4, complete=False)
    assert found(with_value(7, "consumed", "9.9999", partial)) == [("identity", 7)]
    assert found(with_value(7, "consumed", "9.9999")) == [("identity", 7)]


def test_an_older_file_of_a_meter_without_solar_has_no_findings() -> None:
    """It lacks the columns in every hour; where only some lack them, it says complete and is not."""
    bare = {"import": 1.5, "export": 0}
    assert found(older_file(lambda label: bare)) == []
    assert found(older_file(lambda label: bare if label == 6 else MEASURED)) == [("missing_hour", 7)]


def test_the_older_utilitys_columns_must_add_up_too() -> None:
    """By more than the noise of floats."""
    data = older_file()
    wrong = data.replace(b'"consumed": 1.73456', b'"consumed": 1.83456', 1)
    assert found(wrong) == [("identity", 1)]
    assert found(data.replace(b'"consumed": 1.73456', b'"consumed": 1.7346')) == []


FORMS = {
    "line ends of Windows": lambda data: data.replace(b"\n", b"\r\n"),
    "a byte order mark": lambda data: b"\xef\xbb\xbf" + data,
    "blank lines": lambda data: data.replace(b"\n", b"\n\n"),
    "no last line end": lambda data: data[:-1],
    "trailing blanks": lambda data: data.replace(b"\n", b" \n"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("data", [WHOLE, older_file()], ids=["ours", "older"])
def test_the_form_of_a_file_is_no_finding(form: str, data: bytes) -> None:
    """Bug: it was "not a JSON object". Where the file's bytes are recorded, they alone tell of a change."""
    changed = FORMS[form](data)
    assert found(changed) == []
    assert found(changed, record=recorded(changed, saved=False)) == []
    assert found(changed, record=recorded(data, saved=False)) == [("checksum", None)]
    assert check(changed).complete
    assert check(changed).sums == check(data).sums


def test_a_finding_has_the_line_that_an_editor_shows() -> None:
    """Also behind blank lines."""
    wrong = with_value(7, "week", '"2024-40"').replace(b"\n", b"\r\n\r\n")
    assert found(wrong) == [("columns", 13)]
    assert found(wrong, zone=None) == [("columns", 13)]


def test_hours_of_another_zone_are_reported() -> None:
    """A file that is whole, of the same date, elsewhere."""
    codes = [code for code, _ in found(encode(filled(zone=LONDON), 4, complete=True))]
    assert "foreign_hour" in codes
    assert "missing_hour" in codes


def test_a_complete_day_without_solar_is_reported() -> None:
    """Such a day is partial, whatever it says."""
    line = WHOLE.splitlines(keepends=True)[6].decode()
    bare = line[: line.index(', "solar"')] + "}\n"
    assert found(edited(7, lambda _: bare)) == [("missing_hour", 7)]


def test_a_day_that_is_not_over_cannot_be_complete() -> None:
    """A clock that ran ahead wrote it."""
    noon = after(filled().day, hours=-12)
    checked = check_day(WHOLE, ORDINARY, BERLIN, noon, [])
    assert [each.code for each in checked.findings] == ["partial"]


def test_a_whole_past_day_may_say_partial() -> None:
    """It may be doubtful; it is requested again."""
    assert found(encode(filled(), 4, complete=False)) == []


def test_a_hole_shows_where_the_zone_is_not_known() -> None:
    """By the steps from hour to hour; across a change of the clocks there is none."""
    assert found(edited(7, lambda line: ""), zone=None) == [("missing_hour", 7)]
    for day in (SPRING, AUTUMN):
        assert found(encode(filled(day), 4, complete=True), day, zone=None) == []


def test_a_partial_file_is_not_held_to_a_record() -> None:
    """A complete one of that day was there before; a power cut may have kept its line."""
    partial = encode(filled(without=[3]), 4, complete=False)
    assert found(partial, record=recorded(WHOLE)) == []


def test_both_sides_of_a_cut_off_save_are_right() -> None:
    """The file is the older one or the newer one."""
    other = encode(filled(without=[]), 5, complete=True)
    both = [*recorded(WHOLE), *recorded(other)]
    assert found(WHOLE, record=both) == []
    assert found(other, record=both) == []


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_is_always_found(data: st.DataObject) -> None:
    """Anywhere in a file that we saved."""
    place = data.draw(st.integers(0, len(WHOLE) - 1))
    bit = data.draw(st.integers(0, 7))
    flipped = bytearray(WHOLE)
    flipped[place] ^= 1 << bit
    codes = found(bytes(flipped), record=recorded(WHOLE))
    assert codes
    assert {code for code, _ in codes} <= set(CODES)


@settings(max_examples=300, deadline=None)
@given(
    number=st.integers(1, 24),
    key=st.sampled_from(
        ["ts", "datetime", "import", "solar", "hour", "week", "consumed", "solar_consumed", "x"]
    ),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=4,
    ),
    older=st.booleans(),
    zone_known=st.booleans(),
)
def test_any_value_anywhere_stops_nobody(
    number: int, key: str, value: Any, older: bool, zone_known: bool
) -> None:
    """Whatever a file says, the answer is a list of findings."""
    lines = (older_file() if older else WHOLE).splitlines()
    record = json.loads(lines[number - 1])
    record[key] = value
    lines[number - 1] = json.dumps(record).encode()
    checked = check(b"\n".join(lines) + b"\n", zone=BERLIN if zone_known else None)
    assert {each.code for each in checked.findings} <= set(CODES)
    assert all("\n" not in each.text and len(each.text) < 200 for each in checked.findings)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes_stop_nobody(data: bytes) -> None:
    """Garbage is told as garbage."""
    assert check(data).findings


@given(a=kwh, b=kwh)
def test_the_sums_are_those_of_the_hours(a: Any, b: Any) -> None:
    """To compare with what the cloud says."""
    each = filled().readings[local_day(ORDINARY, BERLIN).hours[0]]._replace(import_kwh=a, solar_kwh=b)
    sums = check(encode(filled(each=each), 4, complete=True)).sums
    assert sums is not None
    assert (sums.import_kwh, sums.solar_kwh, sums.hours, sums.decimals) == (24 * a, 24 * b, 24, 4)
