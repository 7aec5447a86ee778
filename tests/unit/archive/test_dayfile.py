"""The day file, byte for byte."""

from __future__ import annotations

import json
import locale
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from collector.archive.dayfile import MAX_BYTES, DayFile, decode, encode, has_record, stored_day
from collector.energy.days import local_day
from collector.energy.readings import EnergyDay
from collector.errors import DamagedFile
from tests.support.energy_days import (
    AUTUMN,
    BERLIN,
    LONDON,
    ORDINARY,
    SPRING,
    energy_days,
    filled,
    kwh,
    reading,
)

EXAMPLE = (
    b'{"ts": 1679184000, "datetime": "2023/03/19 00:00:00", "import": 0.0000, "export": 0.0000, "hour": 0, '
    b'"day": "2023-03-19", "month": "2023-03", "year": "2023", "weekday": "7 Sun", "week": "2023-11", '
    b'"solar": 0.0000, "consumed": 0.0000, "solar_consumed": 0.0000}\n'
)
BASE = ["ts", "datetime", "import", "export", "hour", "day", "month", "year", "weekday", "week"]
FILE = encode(filled(), 4, complete=True)
LINES = FILE.splitlines(keepends=True)


def records(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in data.splitlines()]


def altered(**changes: Any) -> bytes:
    """A day of one record with those values."""
    return json.dumps(json.loads(LINES[0]) | changes).encode() + b"\n"


def read(data: bytes, day: date = ORDINARY) -> EnergyDay:
    return stored_day(decode(data, day), local_day(day, BERLIN), no_solar=False)


def test_the_formats_example_is_written_byte_for_byte() -> None:
    """The first line that every reader of the older utility's files knows."""
    day = local_day(date(2023, 3, 19), LONDON)
    zeros = EnergyDay(day, {day.hours[0]: reading("0.0000", "0.0000", "0.0000")})
    assert encode(zeros, 4, complete=True) == EXAMPLE
    assert decode(EXAMPLE, day.date) == DayFile(zeros.readings, partial=False, ours=True)


def test_keys_stand_in_the_formats_order() -> None:
    """With solar, without it, and partial last."""
    solar = ["solar", "consumed", "solar_consumed"]
    day = filled()
    one = EnergyDay(day.day, {day.day.start: reading(solar_kwh=None)})
    assert [list(record) for record in records(FILE)] == [BASE + solar] * 24
    assert [list(record) for record in records(encode(day, 4, complete=False))] == [
        [*BASE, *solar, "partial"]
    ] * 24
    assert [list(record) for record in records(encode(one, 4, complete=False))] == [[*BASE, "partial"]]


@pytest.mark.parametrize("decimals", [4, 5, 6])
def test_decimals_are_fixed(decimals: int) -> None:
    """Also for whole numbers and zeros; no exponent."""
    day = local_day(ORDINARY, BERLIN)
    tiny = reading("0.000001", "1000000", "7E+1").rounded(decimals)
    text = encode(EnergyDay(day, {day.start: tiny}), decimals, complete=False).decode()
    for key in ("import", "export", "solar", "consumed", "solar_consumed"):
        number = text.split(f'"{key}": ')[1].split(",")[0]
        assert number == f"{Decimal(number):.{decimals}f}"
        assert len(number.partition(".")[2]) == decimals


@given(energy_days(), st.integers(4, 6), st.booleans())
def test_columns_add_up_exactly(day: EnergyDay, decimals: int, complete: bool) -> None:
    """In the file as it is written, in decimals: consumed is import and what was used of the sun."""
    for record in records(encode(day.rounded(decimals), decimals, complete=complete)):
        if "solar" in record:
            assert record["consumed"] == record["import"] + record["solar_consumed"]
            assert record["solar_consumed"] == max(Decimal(0), record["solar"] - record["export"])
        assert record.get("partial") is (None if complete else True)


@given(energy_days(), st.booleans())
def test_what_was_written_is_read(day: EnergyDay, complete: bool) -> None:
    """Each reading, the mark, and that it is ours."""
    data = encode(day, 4, complete=complete)
    if not day.readings:
        assert data == b""
        return
    file = decode(data, day.day.date)
    assert file == DayFile(day.readings, partial=not complete, ours=True)
    assert encode(EnergyDay(day.day, file.readings), 4, complete=complete) == data


def test_calendar_columns_are_those_of_the_c_library() -> None:
    """Weekday and week as `strftime` gives them in the C locale, on every day of twelve years."""
    assert locale.setlocale(locale.LC_TIME) == "C"
    day, last = date(2019, 1, 1), date(2030, 12, 31)
    while day <= last:
        local = local_day(day, LONDON)
        record = records(encode(EnergyDay(local, {local.start: reading()}), 4, complete=True))[0]
        assert record["weekday"] == day.strftime("%u %a")
        assert record["week"] == day.strftime("%Y-%W")
        assert (record["day"], record["month"], record["year"]) == (
            day.isoformat(),
            day.strftime("%Y-%m"),
            str(day.year),
        )
        day += timedelta(days=1)


def test_a_repeated_hour_is_kept_twice() -> None:
    """25 records, the same local hour, a `ts` of its own each."""
    written = records(encode(filled(AUTUMN), 4, complete=True))
    assert [record["hour"] for record in written][:5] == [0, 1, 2, 2, 3]
    assert len({record["ts"] for record in written}) == 25
    assert len(records(encode(filled(SPRING), 4, complete=True))) == 23


@pytest.mark.parametrize("size", range(0, len(FILE), 7))
def test_a_file_cut_in_a_line_is_damaged(size: int) -> None:
    """Wherever a write stopped, unless behind a whole record."""
    if not FILE[:size].endswith((b"\n", b"}")):
        with pytest.raises(DamagedFile):
            decode(FILE[:size], ORDINARY)


def test_every_truncation_is_damaged_or_shows() -> None:
    """A file that ends between two records reads well, and then lacks its last hours."""
    for size in range(len(FILE) - 1):
        try:
            file = decode(FILE[:size], ORDINARY)
        except DamagedFile:
            continue
        day = stored_day(file, local_day(ORDINARY, BERLIN), no_solar=False)
        assert len(day.missing_hours()) == 24 - FILE[:size].count(b"}") > 0


FORMS = {
    "line ends of Windows": FILE.replace(b"\n", b"\r\n"),
    "line ends of Windows in a part of it": FILE.replace(b"\n", b"\r\n", 7),
    "line ends of an old Macintosh": FILE.replace(b"\n", b"\r"),
    "a byte order mark": b"\xef\xbb\xbf" + FILE,
    "a blank last line": FILE + b"\n",
    "blank lines": b"\n \n" + FILE.replace(b"\n", b"\r\n\t\r\n") + b"\n" * 100,
    "no last line end": FILE[:-1],
    "trailing blanks": FILE.replace(b"\n", b" \t\n"),
    "leading blanks": b"  " + FILE,
    "all of them": b"\xef\xbb\xbf\r\n" + FILE[:-1].replace(b"\n", b"  \r\n\r\n") + b"  ",
}


@pytest.mark.parametrize("form", FORMS)
def test_form_is_not_damage(form: str) -> None:
    """Bug: what an editor, or the older utility under Windows, made of a line's end spoiled the whole day."""
    assert decode(FORMS[form], ORDINARY) == decode(FILE, ORDINARY)


@pytest.mark.parametrize("text", [b"", b"\n", b"\r\n \t\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_file_of_form_alone_is_empty(text: bytes) -> None:
    """It says nothing of the day."""
    with pytest.raises(DamagedFile, match="empty"):
        decode(text, ORDINARY)


def test_a_damaged_line_is_named_by_its_number_in_the_file() -> None:
    """Blank lines count, for the person's editor counts them."""
    with pytest.raises(DamagedFile, match="line 5: not a JSON object"):
        decode(b"\n\n" + LINES[0] + b"\n" + b"{\n", ORDINARY)


@pytest.mark.parametrize(
    ("data", "has_one"),
    [
        (FILE, True),
        (FILE[: len(FILE) // 2], True),
        (b"\0" * 4096 + b"\n" + LINES[7], True),
        (LINES[3] * 2, True),
        (LINES[3] + b"x" * MAX_BYTES, True),
        (FILE[:50], False),
        (b"", False),
        (b"\0" * 4096, False),
        (LINES[0].replace(b"0.1230", b"NaN"), True),
        (re.sub(rb"\d+\.\d+", b"NaN", FILE), False),
        (FILE.replace(b"}\n", b"},\n"), True),
        (FILE.decode().encode("utf-16"), True),
        (FILE.decode().encode("utf-16-be"), True),
        (re.sub(rb": ([\d.]+)", rb': "\1"', FILE), True),
        (FILE.replace(b", ", b",\n  "), True),
        (FILE.replace(b'"', b"'"), True),
        (b"date,hour,import\n2024-06-12,0,0.123\n", True),
        (encode(filled(ORDINARY + timedelta(days=1)), 4, complete=True), False),
    ],
)
def test_whether_anything_of_the_day_can_be_read(data: bytes, has_one: bool) -> None:
    """What a person can read is enough, whatever lies around it.

    Bug: days that nobody can give again left the folder for a comma, quotes, or UTF-16.
    """
    assert has_record(data, ORDINARY) is has_one


@given(st.integers(0, len(FILE) - 1), st.integers(0, 7))
@settings(max_examples=500)
def test_a_flipped_bit_gives_nothing_outside_the_day(place: int, bit: int) -> None:
    """It is damage, or it is a reading of that day; nothing else is ever raised."""
    data = bytearray(FILE)
    data[place] ^= 1 << bit
    try:
        day = read(bytes(data))
    except DamagedFile:
        return
    assert set(day.readings) <= set(day.day.hours)
    assert all(0 <= hour.import_kwh <= 1_000_000 for hour in day.readings.values())


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_garbage_is_damaged(data: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(DamagedFile):
        decode(data, ORDINARY)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from([*BASE, "solar", "consumed", "partial", "extra"]), json_values)
@example("partial", [])
@example("partial", {})
@example("ts", 10**400)
def test_any_value_in_any_column_is_read_or_damaged(key: str, value: Any) -> None:
    """A list, a text, a number without end: nothing else is ever raised."""
    try:
        day = read(altered(**{key: value}))
    except DamagedFile:
        return
    assert set(day.readings) <= set(day.day.hours)


@pytest.mark.parametrize("mark", [[], {}, "true", None, 1, 0.5])
def test_a_partial_mark_that_is_a_list_is_damage(mark: object) -> None:
    """Bug: a mark that cannot be hashed raised a TypeError, and one such file stopped every scan."""
    with pytest.raises(DamagedFile, match="partial"):
        decode(altered(partial=mark), ORDINARY)


@pytest.mark.parametrize("year", [1, 1999, 2200, 9999])
def test_a_day_at_the_end_of_time_is_damage(year: int) -> None:
    """Bug: a file 9999-12-31.jsonl overflowed the calendar, and stopped every scan."""
    day = date(year, 12, 31)
    ts = int(datetime(year, 12, 31, tzinfo=UTC).timestamp())
    with pytest.raises(DamagedFile, match="year"):
        decode(altered(ts=ts, datetime=f"{year:04}/12/31 00:00:00", day=day.isoformat()), day)


@pytest.mark.parametrize(
    ("damage", "data"),
    [
        ("empty", b""),
        ("larger", b" " * (MAX_BYTES + 1)),
        ("31 lines", LINES[0] * 31),
        ("not a JSON", FILE[:-2]),
        ("not a JSON", FILE + b"\xef\xbb\xbf" + LINES[0]),
        ("not a JSON", b"\0" * 4096 + b"\n"),
        ("not a JSON", FILE + b"\0" * 100 + b"\n"),
        ("not a JSON", b"\f" + FILE),
        ("not a JSON", FILE.replace(b"\n", b" ")),
        ("not a JSON", b"[]\n"),
        ("not a JSON", b"\xff\xfe\n"),
        ("not a JSON", b"[" * 30_000 + b"\n"),
        ("not a JSON", LINES[0][:-2] + b', "hour": 0}\n'),
        ("not a JSON", LINES[0].replace(b'"hour": 0', b'"hour": ' + b"9" * 5000)),
        ("not a JSON", LINES[0].replace(b"0.1230", b"NaN")),
        ("not a JSON", LINES[0].replace(b"0.1230", b"-Infinity")),
        ("out of range", LINES[0].replace(b"0.1230", b"1e999")),
        ("out of range", LINES[0].replace(b"0.1230", b"9" * 4000)),
        ("out of range", LINES[0].replace(b"0.1230", b"-0.0001")),
        ("out of range", LINES[0].replace(b"0.1230", b"1000000.1")),
        ("not a number", altered(**{"import": "1.0"})),
        ("not a number", altered(solar=True)),
        ("not a number", altered(export=None)),
        ("no hour", altered(ts="1718143200")),
        ("no hour", altered(ts=1718143200.0)),
        ("no hour", altered(datetime="2024-06-12 00:00:00")),
        ("no hour", altered(datetime="2024/06/31 00:00:00")),
        ("another day", altered(day="2024-06-13")),
        ("another day", altered(datetime="2024/06/13 00:00:00")),
        ("same hour", altered(ts=json.loads(LINES[0])["ts"] + 1)),
        ("same hour", altered(ts=10**30)),
        ("ascend", LINES[0] + LINES[0]),
        ("ascend", LINES[1] + LINES[0]),
        ("on some lines only", LINES[0] + LINES[1].replace(b"}", b', "partial": true}')),
    ],
)  # fmt: skip
def test_damage_is_reported(damage: str, data: bytes) -> None:
    """What is wrong stands in the reason."""
    with pytest.raises(DamagedFile, match=damage):
        decode(data, ORDINARY)


@pytest.mark.parametrize(
    ("number", "value"), [("-0.0", "0"), ("0", "0"), ("1e2", "100"), ("0.123456789", "0.123456789")]
)
def test_any_number_of_decimals_is_read(number: str, value: str) -> None:
    """Exactly; and a negative zero is a zero."""
    data = LINES[0].replace(b"0.1230", number.encode())
    [hour] = decode(data, ORDINARY).readings.values()
    assert hour.import_kwh == Decimal(value)
    assert not hour.import_kwh.is_signed()


def test_hours_of_another_zone_are_not_of_the_day() -> None:
    """The same date in London ends an hour later."""
    file = decode(encode(filled(zone=LONDON), 4, complete=True), ORDINARY)
    with pytest.raises(DamagedFile, match="Europe/Berlin"):
        stored_day(file, local_day(ORDINARY, BERLIN), no_solar=False)


def test_a_first_repeated_hour_alone_is_doubtful() -> None:
    """The file does not tell whether it is of one hour or of two."""
    day = filled(AUTUMN, without=[3])
    stored = read(encode(day, 4, complete=False), AUTUMN)
    assert stored == replace(day, doubtful=frozenset({day.day.hours[2]}))


@given(kwh, kwh, kwh)
def test_zeros_in_our_own_partial_days_are_measurements(a: Decimal, b: Decimal, c: Decimal) -> None:
    """We never fill with zeros."""
    day = filled(each=reading("0.0000", "0.0000", "0.0000"), without=[4])
    assert read(encode(day, 4, complete=False)) == day
