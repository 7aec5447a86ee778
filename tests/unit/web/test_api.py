"""The answers about energy: what is in the files, and nothing else."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from collector.cloud.meters import Kind
from collector.energy.days import local_day
from collector.overview import as_dict, status_of
from collector.simulator import Device
from collector.web.api import Api
from collector.web.site import Reply, Site
from deb.http import ERROR, RESOURCES
from tests.support.archives import files_of, older_file, write_files
from tests.support.world import DEVICE, records_of

NOW = datetime(2026, 3, 31, 10, 30, tzinfo=UTC)
ZONE = Device(DEVICE).zone
SPRING, AUTUMN = date(2026, 3, 29), date(2025, 10, 26)
HOLE = date(2026, 3, 28)
STORED = [AUTUMN, *(date(2026, 3, 1) + timedelta(days=number) for number in range(30) if number != 27)]
CSV = "/api/v1/csv/"
BARS, STATES, ALONE = f"{CSV}energy", f"{CSV}stored-days", "meter=house"
HOURS, DAYS = "/api/v1/meters/house/hours", "/api/v1/meters/house/days"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The files of a meter: an autumn's day, and a month with a hole in it."""
    place = tmp_path / "house"
    write_files(place, Device(DEVICE), STORED)
    (place / ".collector" / "ledger.jsonl").write_text(f'{{"zone": "{ZONE.key}"}}\n')
    return place


def site_of(folder: Path, clock: Callable[[], datetime] = lambda: NOW, **more: bool) -> Site:
    return Site(Api(files_of(folder, **more), clock, {}))


def ask(site: Site, path: str, query: str = "", tag: str = "", *, packed: bool = False) -> Reply:
    return site.reply(path, query, tag, may_pack=packed)


def answer(site: Site, path: str, query: str = "") -> Any:
    """The answer, which must be as its schema says."""
    reply = ask(site, path, query)
    assert reply.status == 200, reply.body
    found = json.loads(reply.body, parse_float=Decimal)
    name = path.replace("house", "NAME")
    if name in RESOURCES:
        fastjsonschema.validate(RESOURCES[name].schema, json.loads(reply.body))
    return found


def hours_in(found: Any, day: date) -> dict[str, list[Decimal | None]]:
    """The values of that day by quantity."""
    place = 0
    for each in found["days"]:
        if each["day"] == str(day):
            end = place + each["hours"]
            return {name: found[name][place:end] for name in ("import_kwh", "export_kwh", "solar_kwh")}
        place += each["hours"]
    raise AssertionError(day)


def day_in(found: Any, day: date) -> Any:
    return next(each for each in found["days"] if each["day"] == str(day))


def stored(folder: Path, day: date) -> list[dict[str, Any]]:
    return records_of(folder / f"{day}.jsonl")


def test_every_hour_is_there_as_it_is_stored(folder: Path) -> None:
    """Compared with the files, as any program reads them."""
    found = answer(site_of(folder), HOURS, "year=2026")
    for day in STORED:
        if day.year == 2026:
            seen = hours_in(found, day)
            for name in ("import", "export", "solar"):
                assert seen[f"{name}_kwh"] == [record[name] for record in stored(folder, day)]
    length = sum(each["hours"] for each in found["days"])
    assert {len(found[name]) for name in ("import_kwh", "export_kwh", "solar_kwh")} == {length}


def test_values_have_the_same_decimals_throughout(folder: Path) -> None:
    """Also zeros: a reader may cut the point off and add integers."""
    text = ask(site_of(folder), HOURS, "year=2026").body.decode()
    values = text.partition('"import_kwh": [')[2].partition("]")[0].split(",")
    assert {len(value.partition(".")[2]) for value in values if value != "null"} == {4}


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25)])
def test_a_day_of_a_clock_change_has_its_hours_and_their_local_names(
    day: date, hours: int, folder: Path
) -> None:
    """So that no program needs time zones to draw them."""
    found = answer(site_of(folder), HOURS, f"year={day.year}")
    entry = day_in(found, day)
    assert entry["hours"] == len(entry["labels"]) == hours
    assert entry["labels"] == [record["hour"] for record in stored(folder, day)]
    assert entry["start"] == local_day(day, ZONE).start
    assert "labels" not in day_in(found, day + timedelta(days=1))


def test_a_hole_is_null_and_says_why(folder: Path) -> None:
    """Never zero."""
    found = answer(site_of(folder), HOURS, "year=2026")
    assert hours_in(found, HOLE) == {name: [None] * 24 for name in ("import_kwh", "export_kwh", "solar_kwh")}
    assert day_in(found, HOLE)["state"] == "missing"
    assert day_in(found, HOLE)["reason"]
    assert day_in(found, SPRING) == {**day_in(found, SPRING), "state": "complete", "reason": ""}


def test_days_follow_one_another_from_the_first_to_today(folder: Path) -> None:
    """A program need not know which are absent."""
    found = answer(site_of(folder), HOURS, "year=2026")
    days = [date.fromisoformat(each["day"]) for each in found["days"]]
    assert days == [date(2026, 1, 1) + timedelta(days=number) for number in range(90)]
    assert days[-1] == NOW.date()


def test_the_hour_that_had_just_ended_was_missing_until_it_was_fetched(folder: Path) -> None:
    """Bug: for some minutes of each hour the page said of a whole archive that an hour was missing.

    10:30 UTC is 12:30 or 11:30 there: the hour until 12:00 or 11:00 may still be fetched.
    """
    (today,) = [each for each in answer(site_of(folder), DAYS)["days"] if "finished" in each]
    over = int((NOW.timestamp() - local_day(NOW.date(), ZONE).start) // 3600)
    assert (today["day"], today["finished"]) == (str(NOW.date()), over - 1)
    assert today["state"] == "today"


def test_the_hour_that_has_just_ended_counts_as_soon_as_it_is_stored(folder: Path) -> None:
    """Five minutes after midnight yesterday is complete."""
    midnight = datetime.fromtimestamp(local_day(NOW.date(), ZONE).start + 300, UTC)
    days = answer(site_of(folder, lambda: midnight), DAYS)["days"]
    assert "finished" not in next(each for each in days if each["day"] == "2026-03-30")


def test_sums_of_days_are_those_of_the_files(folder: Path) -> None:
    """And a day without a file has none."""
    found = answer(site_of(folder), DAYS, "since=2026-03-01&until=2026-03-31")
    for day in STORED[1:]:
        records = stored(folder, day)
        entry = day_in(found, day)
        columns = ("import", "export", "solar", "consumed", "solar_consumed")
        names = ("import_kwh", "export_kwh", "solar_kwh", "consumption_kwh", "solar_used_kwh")
        for name, column in zip(names, columns, strict=True):
            assert entry[name] == sum(record[column] for record in records)
        assert entry["stored_hours"] == len(records)
    assert day_in(found, HOLE)["import_kwh"] is None
    assert [each["day"] for each in found["days"]][::29] == ["2026-03-01", "2026-03-30"]


def test_an_hour_without_solar_is_null_there_alone(folder: Path) -> None:
    """The record has no such column."""
    path = folder / f"{HOLE}.jsonl"
    lines = older_file(day=HOLE, zone=ZONE, partial=True).splitlines(keepends=True)
    without = [
        line.replace(b'"solar": 0.75, ', b"").replace(b', "solar_consumed": 0.5, "consumed": 1.73456', b"")
        for line in lines[:1]
    ]
    path.write_bytes(b"".join([*without, *lines[1:5]]))
    seen = hours_in(answer(site_of(folder), HOURS, "year=2026"), HOLE)
    assert seen["solar_kwh"][:5] == [None, *[Decimal("0.75")] * 4]
    assert seen["import_kwh"][:6] == [*[Decimal("1.23456")] * 5, None]


def test_files_of_five_decimals_are_given_with_five(folder: Path) -> None:
    """As the older utility wrote them; what has even more is rounded to six."""
    path = folder / f"{HOLE}.jsonl"
    path.write_bytes(older_file(day=HOLE, zone=ZONE))
    found = answer(site_of(folder), HOURS, "year=2026")
    assert (found["decimals"], hours_in(found, HOLE)["import_kwh"][0]) == (5, Decimal("1.23456"))
    path.write_bytes(older_file(lambda label: {"import": 0.12345678901, "export": 0, "solar": 0}, day=HOLE))
    assert answer(site_of(folder), HOURS, "year=2026")["decimals"] == 6


def test_a_damaged_file_is_a_hole_with_a_reason(folder: Path) -> None:
    """The rest of the year is there."""
    (folder / "2026-03-10.jsonl").write_bytes(b"\x00" * 400)
    found = answer(site_of(folder), HOURS, "year=2026")
    assert set(hours_in(found, date(2026, 3, 10))["import_kwh"]) == {None}
    assert "cannot be used" in day_in(found, date(2026, 3, 10))["reason"]
    assert None not in hours_in(found, date(2026, 3, 11))["import_kwh"]


def test_a_meter_without_solar_has_none(folder: Path) -> None:
    """Not a series of zeros."""
    site = site_of(folder, solar=False)
    assert answer(site, HOURS, "year=2026")["solar_kwh"] is None
    assert answer(site, "/api/v1/meters")["meters"][0]["solar"] is False
    (first, *_) = answer(site, DAYS, "since=2026-03-01")["days"]
    assert (first["solar_kwh"], first["consumption_kwh"]) == (None, first["import_kwh"])


def test_a_repeated_hour_that_is_merged_is_one_hour(folder: Path) -> None:
    """24 values for that day, and nothing is lost of the two that a file from before still has."""
    found = answer(site_of(folder, merge=True), HOURS, "year=2025")
    records = stored(folder, AUTUMN)
    assert day_in(found, AUTUMN)["hours"] == 24
    seen = hours_in(found, AUTUMN)["import_kwh"]
    assert sum(value for value in seen if value is not None) == sum(each["import"] for each in records)


def test_meters_are_listed_with_what_there_is_of_them(folder: Path) -> None:
    """First and last day are of files, years are those that can be read."""
    assert answer(site_of(folder), "/api/v1/meters") == {
        "meters": [
            {
                "name": "house",
                "account": "home",
                "kind": "em",
                "solar": True,
                "timezone": ZONE.key,
                "first_day": "2025-10-26",
                "last_day": "2026-03-30",
                "years": [2023, 2024, 2025, 2026],  # the cloud keeps three years
            }
        ]
    }


def test_a_meter_without_a_folder_is_there_with_nothing(tmp_path: Path) -> None:
    """It was configured a minute ago."""
    site = site_of(tmp_path / "house")
    (meter,) = answer(site, "/api/v1/meters")["meters"]
    assert (meter["first_day"], meter["last_day"]) == (None, None)
    assert set(answer(site, HOURS, "year=2026")["import_kwh"]) == {None}
    assert answer(site, DAYS)["days"][-1]["import_kwh"] is None


def test_the_status_is_that_of_the_command(folder: Path) -> None:
    """One status, made once."""
    assert answer(site_of(folder), "/api/v1/status") == json.loads(
        json.dumps(as_dict(status_of(files_of(folder), NOW, {})))
    )


def table_of(site: Site, path: str, query: str) -> list[dict[str, str]]:
    """The rows of an answer in CSV."""
    reply = ask(site, path, query)
    assert (reply.status, reply.content_type) == (200, "text/csv; charset=utf-8"), reply.body
    return list(csv.DictReader(io.StringIO(reply.body.decode(), newline="")))


def test_csv_of_days_has_the_sums_of_their_files_and_days_without_one(folder: Path) -> None:
    """A day without a file, and one that has not come, are rows with empty fields."""
    site = site_of(folder)
    rows = table_of(site, BARS, "meter=house&bars=month&since=2026-03-01&until=2026-04-01")
    assert [row["period"] for row in rows] == [f"2026-03-{day:02}" for day in range(1, 32)]
    for row, day in zip(rows, answer(site, DAYS, "since=2026-03-01&until=2026-04-01")["days"], strict=True):
        for name in ("import_kwh", "export_kwh", "solar_kwh", "solar_used_kwh", "consumption_kwh"):
            assert row[name] == ("" if day[name] is None else str(day[name])), day["day"]
        assert row["hours_stored"] == str(day["stored_hours"])
    assert rows[HOLE.day - 1]["import_kwh"] == ""


@pytest.mark.parametrize(
    ("bars", "names"),
    [
        ("day", ["2026-02-20T00:00", "2026-03-31T23:00"]),
        ("week", ["2026-02-20", "2026-03-31"]),
        ("month", ["2026-02-20", "2026-03-31"]),
        ("year", ["2026-02", "2026-03"]),
        ("all", ["2026", "2026"]),
    ],
)
def test_csv_of_bars_has_every_one_of_the_days_however_many_they_are(
    bars: str, names: list[str], folder: Path
) -> None:
    """Also more than the page shows: days of several weeks or months, hours of several days."""
    query = f"{ALONE}&bars={bars}&since=2026-02-20&until=2026-04-01"
    rows = table_of(site_of(folder), BARS, query)
    found = [row["period"] for row in rows]
    assert [found[0], found[-1]] == names
    assert found == sorted(set(found))
    stored_hours = sum(len(stored(folder, day)) for day in STORED if day != AUTUMN)
    assert sum(int(row["hours_stored"]) for row in rows) == stored_hours


def test_csv_puts_the_year_before_beside_its_weekday_or_day(folder: Path) -> None:
    """In columns of their own; a day that only the year before has is a row without hours."""
    query = (
        f"{ALONE}&since=2026-03-02&until=2026-03-09&before_since=2025-10-20&before_until=2025-10-27&bars=week"
    )
    rows = table_of(site_of(folder), BARS, query)
    assert [row["period"] for row in rows] == [f"2026-03-0{number}" for number in range(2, 9)]
    assert [bool(row["year_before_import_kwh"]) for row in rows] == [False] * 6 + [
        True
    ]  # 26 October, a Sunday
    query = query.replace("bars=week", "bars=month")
    of_month = table_of(site_of(folder), BARS, query)
    assert [row["period"] for row in of_month[:7]] == [row["period"] for row in rows]
    assert [row["period"] for row in of_month[7:]] == [f"2025-10-{number}" for number in range(20, 27)]
    assert {row["import_kwh"] for row in of_month[7:]} == {""}
    assert of_month[-1]["year_before_import_kwh"] == rows[-1]["year_before_import_kwh"]


@pytest.mark.parametrize(("day", "hours"), [(AUTUMN, 25), (SPRING, 23)])
def test_csv_of_a_day_has_all_its_hours(day: date, hours: int, folder: Path) -> None:
    """Those that the clock repeats have names of their own."""
    until = day + timedelta(days=1)
    rows = table_of(site_of(folder), BARS, f"meter=house&bars=day&since={day}&until={until}")
    assert len({row["period"] for row in rows}) == len(rows) == hours
    assert [row["import_kwh"] for row in rows] == [
        f"{record['import']:.4f}" for record in stored(folder, day)
    ]


def test_csv_ends_before_the_hour_that_is_given(folder: Path) -> None:
    """As the comparison with a year before does, while the period is not over."""
    (row,) = table_of(site_of(folder), BARS, f"meter=house&bars=all&since=2026-01-01&until={SPRING}T05")
    days = [day for day in STORED if date(2026, 1, 1) <= day < SPRING]
    known = sum(len(stored(folder, day)) for day in days)
    assert row["hours_stored"] == str(known + 4)  # of 0 to 4 o'clock, without 2


def test_csv_of_two_meters_names_the_days_that_either_lacks(folder: Path) -> None:
    """With the reason of the one that is not complete, which may be the first or the second."""
    site_of_both = both_meters(folder, ZONE.key)
    (hole,) = (row for row in table_of(site_of(folder), STATES, ALONE) if row["day"] == str(HOLE))
    for is_reversed in (False, True):
        assert hole in table_of(site_of_both(is_reversed), STATES, f"{ALONE}&meter=barn")
    assert hole["reason"]


def test_csv_does_not_add_up_meters_in_different_time_zones(folder: Path) -> None:
    """Their days are not the same."""
    reply = ask(both_meters(folder, "Asia/Tokyo")(False), STATES, f"{ALONE}&meter=barn")
    assert (reply.status, "time zone" in reply.body.decode()) == (400, True)


def both_meters(folder: Path, zone: str) -> Callable[[bool], Site]:
    """A site of the house and of a barn without a hole, in this order or the other one."""
    write_files(folder.parent / "barn", Device(DEVICE), [*STORED, HOLE])
    house = files_of(folder)
    (files,) = house.meters
    barn = replace(
        files,
        meter=replace(files.meter, name="barn", timezone=zone),
        folder=folder.parent / "barn",
    )
    return lambda is_reversed: Site(
        Api(replace(house, meters=(barn, files) if is_reversed else (files, barn)), lambda: NOW, {})
    )


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("/api/v1/", "", 404),
        ("/api/v1/meters/", "", 404),
        ("/api/v1/meters/barn/hours", "year=2026", 404),
        ("/api/v1/meters/../hours", "year=2026", 404),
        ("/api/v1/meters/house", "", 404),
        ("/api/v1/meters/house/hours/x", "year=2026", 404),
        (HOURS, "", 400),
        (HOURS, "year=26", 400),
        (HOURS, "year=²026", 400),
        (HOURS, "year=2019", 404),
        (HOURS, "year=9999", 404),
        (HOURS, "year=0000", 404),
        (HOURS, "year=2026&year=2025", 400),
        (HOURS, "year=2026&x=1", 400),
        (HOURS, "&".join("x=1" for _ in range(1000)), 400),
        (DAYS, "since=yesterday", 400),
        (DAYS, "since=2026-02-30", 400),
        (DAYS, "since=2026-03-02&until=2026-03-01", 400),
        (BARS, "bars=day&since=2026-03-01&until=2026-03-02", 400),
        (BARS, "meter=barn&bars=day&since=2026-03-01&until=2026-03-02", 404),
        (BARS, "meter=house&since=2026-03-01&until=2026-03-02", 400),
        (BARS, "meter=house&bars=hour&since=2026-03-01&until=2026-03-02", 400),
        (BARS, "meter=house&bars=&since=2026-03-01&until=2026-03-02", 400),
        (BARS, "meter=house&bars=day&since=2026-03-01", 400),
        (BARS, "meter=house&bars=day&since=2026-03-02&until=2026-03-01", 400),
        (BARS, "meter=house&bars=month&since=0001-01-01&until=9999-12-31", 400),
        (BARS, "meter=house&bars=day&since=2026-03-01&until=2026-03-02T25", 400),
        (BARS, "meter=house&bars=day&since=2026-03-01&until=2026-03-02T1", 400),
        (BARS, "meter=house&bars=day&since=2026-03-01T01&until=2026-03-02", 400),
        (BARS, "meter=house&bars=day&since=2026-03-01&until=2026-03-02&before_since=2025-03-01", 400),
        (BARS, "meter=house&bars=day&since=2026-03-01&until=2026-03-02&quantity=solar", 400),
        (f"{CSV}heat-map", "meter=house&quantity=used&since=2026-03-01&until=2026-03-02", 400),
        (f"{CSV}average-day", "meter=house", 400),
        (f"{CSV}stored-days", "meter=house&since=2026-03-01", 400),
        (CSV, "", 404),
        (f"{CSV}house", "", 404),
        ("/api/v1/csv", "", 404),
        ("/api/v1/status", "now", 400),
        ("/api/v1/meters", "a=b", 400),
        ("/etc/passwd", "", 404),
        ("/static/../api.py", "", 404),
        ("/static/", "", 404),
        ("/static", "", 404),
    ],
)
def test_a_wrong_request_is_refused_with_a_reason(path: str, query: str, status: int, folder: Path) -> None:
    """As JSON: no traceback, no file of the machine."""
    reply = ask(site_of(folder), path, query)
    assert reply.status == status
    found = json.loads(reply.body)
    fastjsonschema.validate(ERROR, found)
    assert found["error"]


def test_what_has_not_changed_is_not_sent_again(folder: Path) -> None:
    """304 with the tag of the last answer, strong or weak, among others; without reading a file."""
    site = site_of(folder)
    first = ask(site, HOURS, "year=2026")
    for known in (f'W/"{first.tag}"', f'"{first.tag}"', f'"x", W/"{first.tag}"'):
        again = ask(site, HOURS, "year=2026", known)
        assert (again.status, again.body, again.tag) == (304, b"", first.tag)
    assert ask(site, HOURS, "year=2025", f'"{first.tag}"').status == 200
    assert ask(site, HOURS, "year=2019", "*").status == 404
    assert ask(site_of(folder), HOURS, "year=2026").tag == first.tag  # also after a restart


def test_a_change_of_a_file_is_seen(folder: Path) -> None:
    """The tag is another one, and the kept answer is not used."""
    site = site_of(folder)
    first = ask(site, HOURS, "year=2026")
    (folder / "2026-03-10.jsonl").unlink()
    second = ask(site, HOURS, "year=2026", f'"{first.tag}"')
    assert (second.status, second.tag == first.tag) == (200, False)
    assert hours_in(json.loads(second.body), date(2026, 3, 10))["import_kwh"] == [None] * 24


def test_time_changes_the_answer_of_today(folder: Path) -> None:
    """A day begins without any file being changed."""
    now = [NOW]
    site = site_of(folder, lambda: now[0])
    assert answer(site, HOURS, "year=2026")["days"][-1]["day"] == "2026-03-31"
    now[0] += timedelta(days=1)
    assert answer(site, HOURS, "year=2026")["days"][-1]["day"] == "2026-04-01"


def test_an_answer_is_packed_for_those_who_take_it(folder: Path) -> None:
    """The same bytes."""
    site = site_of(folder)
    packed, plain = ask(site, HOURS, "year=2026", packed=True), ask(site, HOURS, "year=2026")
    assert (packed.is_packed, plain.is_packed) == (True, False)
    assert gzip.decompress(packed.body) == plain.body


def test_kept_answers_are_bounded_and_given_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many addresses a client thinks of; of 20 kB here, instead of half a megabyte."""
    monkeypatch.setattr("collector.web.site._MOST_KEPT", 20 * 1024)
    site, sizes = site_of(folder), []
    for number in range(8):
        ask(site, DAYS, f"until={date(2026, 3, 1) + timedelta(days=number)}")
        sizes.append(site.kept_bytes)
    assert max(sizes) <= 20 * 1024
    assert sizes[-1] < 6 * sizes[0]  # not all eight are kept
    site.forget()
    assert site.kept_bytes == 0


def test_a_folder_that_cannot_be_read_is_said_to_be(folder: Path) -> None:
    """503, and no path of the machine."""
    for path in folder.glob("*.jsonl"):
        path.unlink()
    (folder / ".collector" / "archive.json").unlink()
    (folder / ".collector" / "ledger.jsonl").unlink()
    (folder / ".collector").rmdir()
    folder.rmdir()
    folder.write_text("not a folder")
    reply = ask(site_of(folder), DAYS)
    assert reply.status == 503
    assert str(folder) not in reply.body.decode()


@pytest.fixture
def static(tmp_path: Path) -> Iterator[Path]:
    """A page, and a file beside it that is not of it."""
    place = tmp_path / "static"
    place.mkdir()
    (place / "index.html").write_text("<!doctype html>")
    (place / "page.js").write_text("export const x = 1;")
    (tmp_path / "secret.js").write_text("key")
    (place / "link.js").symlink_to(tmp_path / "secret.js")
    yield place


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/static/page.js", "text/javascript; charset=utf-8"),
        ("/static/index.html", "text/html; charset=utf-8"),
        ("/static/link.js", None),
        ("/static/../secret.js", None),
        ("/static//etc/passwd", None),
        ("/static/nothing.js", None),
        ("/page.js", None),
        ("/static/page.js/", None),
        ("/static/.", None),
    ],
)
def test_only_the_files_of_the_page_are_served(
    path: str, kind: str | None, static: Path, folder: Path
) -> None:
    """By their own names, with their types."""
    reply = Site(Api(files_of(folder), lambda: NOW, {}), static).reply(path, "", "", may_pack=False)
    assert (reply.status, reply.content_type) == ((200, kind) if kind else (404, "application/json"))
    assert b"key" not in reply.body


def test_a_meter_of_three_phases_says_so(folder: Path) -> None:
    """Without a second device it has no solar."""
    archive = files_of(folder, kind=Kind.EM3, solar=False)
    (found,) = answer(Site(Api(archive, lambda: NOW, {})), "/api/v1/meters")["meters"]
    assert (found["kind"], found["solar"]) == ("3em", False)
