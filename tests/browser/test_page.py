"""The page in a browser: its figures against the day files, and how it is used."""

from __future__ import annotations

import csv
import itertools
import json
import re
import urllib.parse
import urllib.request
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from collector.archive.dayfile import DayFormat
from collector.cloud.meters import Meter
from collector.energy.history import PlanPolicy
from collector.overview import ArchiveFiles, MeterFiles
from collector.web.one_file import one_file
from collector.web.site import STATIC
from tests.browser.conftest import Open, wait_until_drawn
from tests.browser.house import (
    ABSENT,
    AUTUMN,
    BATTERY,
    COLUMNS,
    FIRST,
    GARAGE_FIRST,
    HOLE,
    HOSTILE_NAME,
    NO_SUN,
    NOW,
    SPRING,
    TODAY,
    Hour,
    hours_in,
    served,
    sum_of,
    sums_of,
)
from tests.support.statuses import page_at
from tests.support.world import DEVICE

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

_DAY = timedelta(1)
_VIEWS = (
    "#show=overview",
    f"#show=energy&range=day&day={HOLE}",
    "#show=energy&range=month&compare=year",
    "#show=energy&range=all",
    "#show=hours&range=month",
    "#show=heat",
    "#show=calendar",
)


def _table(page: Page) -> list[list[str]]:
    """The rows of the table behind the view: each cell's exact value, or its text."""
    if not page.locator("details.figures").first.evaluate("each => each.open"):
        page.click("summary")
    page.wait_for_selector("table")
    rows: list[list[str]] = page.evaluate(
        """() => [...document.querySelectorAll("tbody tr, tfoot tr")].map(row => [...row.children].map(
             cell => cell.querySelector("data")?.value ?? cell.textContent))"""
    )
    return rows


def _values(cells: list[str]) -> list[Decimal | None]:
    return [None if each in ("", "missing") else Decimal(each) for each in cells]


def _title(page: Page) -> str:
    return page.locator("h1").inner_text()


def _wait_for_title(page: Page, pattern: str) -> None:
    """Waits for the view whose title is like that; its name comes first, then the meters."""
    from playwright.sync_api import expect

    expect(page).to_have_title(re.compile(pattern))
    wait_until_drawn(page)


def _energy(range_: str, day: date, more: str = "") -> str:
    return f"#show=energy&range={range_}&day={day}{more}"


# -- The figures ----------------------------------------------------------------------------------------


def test_each_hour_of_a_day_is_in_the_table_as_it_is_in_the_file(show: Open, archive: Path) -> None:
    """All five quantities, to the last decimal, and the sums below."""
    day = BATTERY
    rows = _table(show(_energy("day", day)))
    hours = hours_in(archive / "house", day, day + _DAY)
    assert len(hours) == 24
    assert [_values(row[1:6]) for row in rows] == [*([sums_of([hour]) for hour in hours]), sums_of(hours)]


@pytest.mark.parametrize(
    ("range_", "day", "ends"),
    [
        ("week", date(2026, 11, 11), [date(2026, 11, 9) + _DAY * n for n in range(8)]),
        ("month", NO_SUN, [date(2026, 11, 1) + _DAY * n for n in range(31)]),
        ("year", TODAY, [*(date(2026, month, 1) for month in range(1, 13)), date(2027, 1, 1)]),
        ("all", TODAY, [date(year, 1, 1) for year in (2025, 2026, 2027)]),
    ],
)
def test_bars_of_days_months_and_years_are_the_sums_of_their_files(
    range_: str, day: date, ends: list[date], show: Open, archive: Path
) -> None:
    """Exactly, hour by hour, also where hours or solar are missing; what is still to come is empty."""
    rows = _table(show(_energy(range_, day)))
    parts = [hours_in(archive / "house", *each) for each in itertools.pairwise(ends)]
    expected = [*(sums_of(each) for each in parts), sums_of([hour for each in parts for hour in each])]
    assert [_values(row[1:6]) for row in rows] == expected
    whole = [sum("consumed" in hour for hour in each) for each in parts]
    assert [int(row[6]) for row in rows] == [*whole, sum(whole)]


def test_rates_are_of_the_hours_that_have_all_figures(show: Open, archive: Path) -> None:
    """Solar used here by solar, and by consumption; nothing where there was none."""
    page = show(_energy("day", NO_SUN))
    hours = hours_in(archive / "house", NO_SUN, NO_SUN + _DAY)
    used, solar, consumed = (sum_of(hours, each) for each in ("solar_consumed", "solar", "consumed"))
    assert used and solar and consumed and len(hours) == 24
    text = page.locator(".summary").inner_text()
    assert f"{used / consumed:.0%}".replace("%", " %") + " Self-sufficiency" in text
    assert f"{used / solar:.0%}".replace("%", " %") + " Self-consumption" in text


def test_hours_that_lack_only_solar_are_not_called_missing(show: Open) -> None:
    """They are stored: without solar data, in import and export only."""
    text = show(_energy("day", NO_SUN)).locator(".summary").inner_text()
    assert "3 hours without solar data: in import and export only" in text
    assert "Partial" not in text
    text = show(_energy("week", NO_SUN)).locator(".summary").inner_text()
    assert "3 hours without solar data" in text
    assert "Partial: 115 of 168 hours are stored, the others are missing" in text


@pytest.mark.parametrize(("day", "count"), [(SPRING, 23), (AUTUMN, 25), (AUTUMN - _DAY, 24)])
def test_a_day_of_a_clock_change_has_23_or_25_bars(day: date, count: int, show: Open, archive: Path) -> None:
    """The hour that is skipped is not there, the one that is repeated is there twice and says so."""
    page = show(_energy("day", day))
    rows = _table(page)
    assert f"{count} bars" in (page.locator(".chart").get_attribute("aria-label") or "")
    assert len(rows) == count + 1
    names = [row[0] for row in rows]
    assert ("2:00" in names) == (count != 23)
    assert ("2:00 (second time)" in names) == (count == 25)
    assert _values(rows[-1][1:6]) == sums_of(hours_in(archive / "house", day, day + _DAY))
    assert "Partial" not in page.locator(".summary").inner_text()


def test_missing_hours_are_grey_and_the_total_says_of_how_many(show: Open) -> None:
    """Never a zero: neither as a bar, nor in the table."""
    page = show(_energy("day", HOLE))
    assert "Partial: 19 of 24 hours" in page.locator(".summary").inner_text()
    rows = _table(page)
    assert [row[0] for row in rows if "missing" in row] == ["9:00", "10:00", "11:00", "12:00", "13:00"]
    greys = [_is_grey(page, hour, 24) for hour in range(24)]
    assert [hour for hour, grey in enumerate(greys) if grey] == [9, 10, 11, 12, 13]


def test_a_day_without_a_file_is_missing_and_today_is_not_yet_over(show: Open) -> None:
    """Tomorrow is neither grey nor missing."""
    page = show(_energy("month", TODAY))
    rows = {row[0]: row for row in _table(page)}
    assert set(rows["Wed, 11 Nov 2026"][1:6]) == {"missing"}
    assert rows["Fri, 20 Nov 2026"][6:] == ["15", "15"]
    assert set(rows["Sat, 21 Nov 2026"][1:6]) == {""}
    assert _is_grey(page, ABSENT.day - 1, 30)
    assert not _is_grey(page, TODAY.day, 30)


def _is_grey(page: Page, index: int, count: int) -> bool:
    """Whether most of the column of that bar, of so many, is coloured other than the background beside it."""
    shares: float = page.evaluate(
        """([index, count]) => {
             const canvas = document.querySelector(".chart canvas");
             const over = document.querySelector(".u-over").getBoundingClientRect();
             const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
             const x = (over.left - box.left + over.width * (index + 0.5) / count) * scale;
             const top = (over.top - box.top) * scale, height = over.height * scale;
             const copy = new OffscreenCanvas(canvas.width, canvas.height)
               .getContext("2d", {willReadFrequently: true});
             copy.drawImage(canvas, 0, 0);
             const data = copy.getImageData(x, top, 1, height).data;
             let grey = 0;
             for (let at = 0; at < data.length; at += 4) {
               const [red, green, blue, alpha] = data.slice(at, at + 4);
               if (alpha > 20 && Math.abs(red - blue) < 16 && Math.abs(red - green) < 16) grey += 1;
             }
             return grey / (data.length / 4);
           }""",
        [index, count],
    )
    return shares > 0.9


def test_the_year_before_is_beside_each_bar(show: Open, archive: Path) -> None:
    """The same days, and their sum."""
    rows = _table(show(_energy("month", date(2026, 10, 20), "&compare=year")))
    days = [
        hours_in(archive / "house", d, d + _DAY) for d in (date(2025, 10, 1) + _DAY * n for n in range(31))
    ]
    nothing = [[None] * 5] * 14
    sums = [*nothing, *(sums_of(each) for each in days[14:]), sums_of([hour for day in days for hour in day])]
    assert [_values(row[8:]) for row in rows] == sums


@pytest.mark.parametrize(
    ("range_", "before", "count"),
    [
        ("day", date(2025, 11, 20), 1),
        ("week", date(2025, 11, 17), 5),
        ("month", date(2025, 11, 1), 20),
    ],
)
def test_the_year_before_of_a_running_period_ends_at_this_hour_in_each_row_and_the_total(
    range_: str, before: date, count: int, show: Open, archive: Path
) -> None:
    """And says so at the bars, in the table, and beside the total."""
    page = show(_energy(range_, TODAY, "&compare=year"))
    *rows, total = _table(page)
    days = [hours_in(archive / "house", d, d + _DAY) for d in (before + _DAY * n for n in range(count))]
    days[-1] = days[-1][: NOW.hour + 1]
    parts = [[hour] for hour in days[0]] if range_ == "day" else days
    assert [_values(row[8:]) for row in rows[: len(parts)]] == [sums_of(each) for each in parts]
    assert not any(cell for row in rows[len(parts) :] for cell in row[8:])
    assert _values(total[8:]) == sums_of([hour for day in days for hour in day])
    heads = page.locator("thead").inner_text()
    assert heads.count("a year before, to this hour") == 5
    assert "pale: a year before, to this hour" in page.locator(".legend").inner_text()


def test_the_total_of_the_year_before_says_of_how_many_hours_it_is(show: Open) -> None:
    """Where hours are missing, or the archive begins in the middle."""
    page = show(_energy("year", TODAY, "&compare=year"))
    assert "kWh, from 15 Oct 2025 on" in page.locator(".summary .big").first.inner_text()

    def without_two(route: Route) -> None:
        answer = route.fetch().json()
        answer["import_kwh"][24 * 30 : 24 * 30 + 2] = [None, None]  # 14 November
        route.fulfill(json=answer)

    page.route("**/hours?year=2025", without_two)
    page.goto(page.url.replace("year&day=", "month&day="))
    page.reload()
    wait_until_drawn(page)
    said = page.locator(".summary .big").first.inner_text()
    assert re.search(r"a year before, to this hour: [\d.,]+ kWh of 469 of 471 hours", said)


def test_the_week_of_the_year_before_begins_on_a_monday_too(show: Open, archive: Path) -> None:
    """Weekdays beside weekdays: 52 weeks before."""
    rows = _table(show(_energy("week", date(2026, 11, 5), "&compare=year")))
    before = [date(2025, 11, 3) + _DAY * n for n in range(7)]
    expected = [sums_of(hours_in(archive / "house", day, day + _DAY)) for day in before]
    assert [_values(row[8:]) for row in rows[:7]] == expected


@pytest.mark.parametrize("day", [AUTUMN, date(2026, 10, 26)])
def test_each_hour_is_beside_the_same_local_hour_a_year_before(day: date, show: Open, archive: Path) -> None:
    """Also where only one of the two days has an hour twice: it has a row of its own, and no hour is lost."""
    page = show(_energy("day", day, "&compare=year"))
    *rows, total = _table(page)
    assert len({row[0] for row in rows}) == len(rows) == 25
    before = day.replace(year=2025)
    hours = hours_in(archive / "house", before, before + _DAY)
    twice = len(hours) == 25
    names = [f"{n}:00" for n in range(24)]
    if twice:
        names.insert(3, "2:00 (second time)")
    expected: dict[str, list[Decimal | None]] = {
        name: sums_of([hour]) for name, hour in zip(names, hours, strict=True)
    }
    assert {row[0]: _values(row[8:]) for row in rows if any(row[8:])} == expected
    assert _values(total[8:]) == sums_of(hours)
    assert [row[0] for row in rows if not any(row[1:6])] == (["2:00 (second time)"] if twice else [])


def test_a_leap_day_that_only_the_year_before_has_is_beside_no_other_day(show: Open) -> None:
    """A row of its own, without hours; the other days are beside the same day of the month."""
    pairs = show().evaluate(
        """async () => {
             const { binsOf, paired } = await import("./static/calendar.js");
             const dayOf = (month, n) => ({day: `${month}-${String(n + 1).padStart(2, "0")}`, hours: [{}]});
             const bins = (first, end, count) => binsOf("month", {first, end},
               Array.from({length: count}, (_, n) => dayOf(first.slice(0, 7), n)));
             const now = bins("2025-02-01", "2025-03-01", 28);
             const before = bins("2024-02-01", "2024-03-01", 29);
             return [...paired("month", now, before), ...paired("month", before, now)].map(
               ({bin, beside}) => [bin.key, bin.hours.length, beside?.key ?? null]);
           }"""
    )
    same = [[f"2025-02-{n:02}", 1, f"2024-02-{n:02}"] for n in range(1, 29)]
    other = [[before, hours, now] for now, hours, before in same]
    assert pairs == [*same, ["2024-02-29", 0, "2024-02-29"], *other, ["2024-02-29", 1, None]]


def test_several_meters_are_added_up_hour_by_hour(show: Open, archive: Path) -> None:
    """Import, export and consumption of both; the solar energy is that of the one that has it."""
    page = show(_energy("day", date(2026, 9, 5)))
    page.get_by_label("garage").check()
    _wait_for_title(page, r"house \+ garage")
    days = [hours_in(archive / name, date(2026, 9, 5), date(2026, 9, 6)) for name in ("house", "garage")]
    expected = [_added(one, other) for one, other in zip(*days, strict=True)]
    assert [_values(row[1:6]) for row in _table(page)[:24]] == expected
    page.go_back()
    _wait_for_title(page, "– house$")
    assert not page.get_by_label("garage").is_checked()


def test_a_meter_is_added_from_its_first_stored_day_on(show: Open, archive: Path) -> None:
    """Before that day the sum is that of the others, and not missing."""
    rows = _table(show(_energy("week", date(2026, 6, 9), "&meter=house&meter=garage")))
    for index, day in enumerate(date(2026, 6, 8) + _DAY * n for n in range(3)):
        house, garage = (hours_in(archive / name, day, day + _DAY) for name in ("house", "garage"))
        assert len(garage) == (24 if day >= GARAGE_FIRST else 0)
        assert _values(rows[index][3:4]) == [sum_of([*house, *garage], "import")]


def test_meters_in_different_time_zones_are_not_added_up(show: Open) -> None:
    """Their days are not the same hours: the one that is chosen replaces the others."""
    page = show(_energy("day", date(2026, 11, 18)))
    assert "time zone" in page.locator("#meters").inner_text()
    page.get_by_label("garage").check()
    _wait_for_title(page, r"house \+ garage")
    page.get_by_label("cabin").click()
    _wait_for_title(page, "– cabin$")
    assert not page.get_by_label("house").is_checked()


def test_the_only_meter_that_is_ticked_stays_ticked(show: Open) -> None:
    """Its figures are those that are shown."""
    page = show(_energy("day", date(2026, 9, 5), "&meter=garage"))
    page.get_by_label("garage").click()
    assert page.get_by_label("garage").is_checked()
    page.get_by_label("house").check()
    _wait_for_title(page, r"house \+ garage")
    page.get_by_label("house").uncheck()
    _wait_for_title(page, "– garage$")


def _added(house: Hour, garage: Hour) -> list[Decimal | None]:
    own = garage | {"consumed": garage["import"], "solar": Decimal(0), "solar_consumed": Decimal(0)}
    return [house[column] + own[column] for column in COLUMNS]


def test_a_meter_without_solar_has_no_solar_figures(show: Open, archive: Path) -> None:
    """Only what it measures: no consumption, no rates."""
    page = show(_energy("day", date(2026, 9, 5), "&meter=garage"))
    hours = hours_in(archive / "garage", date(2026, 9, 5), date(2026, 9, 6))
    assert [_values(row[1:3]) for row in _table(page)[:24]] == [[h["import"], h["export"]] for h in hours]
    assert "Solar" not in page.locator("#view").inner_text()
    assert "Self" not in page.locator("#view").inner_text()
    page.click("text=Heat map")
    _wait_for_title(page, "^2026 – garage$")
    assert page.locator("#quantities [aria-current]").inner_text() == "From the grid"


def test_the_average_day_has_weekdays_and_weekends_apart(show: Open, archive: Path) -> None:
    """The mean of each local hour over a month."""
    rows = _table(show("#show=hours&range=month&day=2026-09-05"))
    days = [date(2026, 9, 1) + _DAY * n for n in range(30)]
    for column, own in ((1, [d for d in days if d.weekday() < 5]), (6, [d for d in days if d.weekday() > 4])):
        at_19 = [hours_in(archive / "house", day, day + _DAY)[19]["consumed"] for day in own]
        mean = sum(at_19, Decimal(0)) / len(at_19)
        assert abs(Decimal(rows[19][column]) - mean) < Decimal("0.000001")


def test_the_heat_map_has_every_hour_of_the_year(show: Open, archive: Path) -> None:
    """Days down, hours across; the skipped hour is empty, the repeated one added to the first."""
    rows = {row[0]: row[1:] for row in _table(show("#show=heat&day=2026-03-01&quantity=imported"))}
    assert len(rows) == (TODAY - date(2026, 1, 1)).days + 1
    ordinary = hours_in(archive / "house", date(2026, 6, 21), date(2026, 6, 22))
    assert _values(rows["21 Jun"]) == [hour["import"] for hour in ordinary]
    assert rows["29 Mar"][2] == ""
    autumn = [hour["import"] for hour in hours_in(archive / "house", AUTUMN, AUTUMN + _DAY)]
    assert _values(rows["25 Oct"]) == [*autumn[:2], autumn[2] + autumn[3], *autumn[4:]]
    assert rows["10 Nov"][9:14] == ["missing"] * 5
    assert rows["20 Nov"][15:] == [""] * 9


def test_base_load_and_peak_are_those_of_the_files(show: Open, archive: Path) -> None:
    """The lowest hour of each complete day, of these the median; the highest hour."""
    page = show("#show=energy&range=month&day=2026-09-05")
    days = [
        hours_in(archive / "house", d, d + _DAY) for d in (date(2026, 9, 1) + _DAY * n for n in range(30))
    ]
    lowest = sorted(min(hour["consumed"] for hour in day) for day in days)
    highest = max(hour["consumed"] for day in days for hour in day)
    text = page.locator(".summary").inner_text()
    assert f"{lowest[14] * 1000:.0f} W" in text
    assert f"{highest:.2f} kWh, " in text


def test_the_peak_hour_of_several_years_has_its_year(show: Open) -> None:
    """Bug: the peak of ten years was "1 Jun, 21:00", of whichever year. Within one year its title has it."""
    for range_, pattern in (("all", r" kWh, \d+ \w+ 202[56], "), ("year", r" kWh, \d+ \w+, ")):
        text = show(_energy(range_, TODAY)).locator(".summary").inner_text()
        assert re.search(pattern, text)


def test_the_calendar_shows_which_days_are_whole_and_why_others_are_not(show: Open) -> None:
    """One cell a day, with its state and the reason; a click opens the day."""
    page = show("#show=calendar")
    cells = page.locator(".calendar .day")
    assert cells.count() == (TODAY - FIRST).days + 1
    assert page.locator(".calendar .complete").count() == cells.count() - 5
    assert "hours missing" in (page.locator(".calendar .partial").first.get_attribute("title") or "")
    rows = _table(page)
    assert [row[0] for row in rows] == [f"{n} Nov 2026" for n in (13, 12, 11, 10)]
    assert [row[2:4] for row in rows] == [["0", "24"], ["21", "24"], ["0", "24"], ["19", "24"]]
    assert all(row[4] for row in rows)
    page.locator(".calendar .partial").nth(1).click()
    _wait_for_title(page, "^Thu, 12 November 2026")


def test_the_csv_file_has_exactly_what_the_table_shows(show: Open) -> None:
    """The same rows and values; a missing value is an empty field."""
    names, *lines = _csv(page := show(_energy("month", TODAY, "&compare=year")), "house-month-2026-11-01.csv")
    assert [line[1:] for line in lines] == _without_names(page)
    assert [line[0] for line in lines[:2]] == ["2026-11-01", "2026-11-02"]
    energy = ["consumption_kwh", "solar_used_kwh", "import_kwh", "export_kwh", "solar_kwh"]
    before = [f"year_before_{name}" for name in energy]
    assert names == ["period", *energy, "hours_stored", "hours_expected", *before]


def test_the_csv_file_of_each_view_has_the_figures_that_it_shows(show: Open, url: str) -> None:
    """Written by the collector, from the same files: as many rows and columns, and in each field the same."""
    both = "&meter=house&meter=garage"
    views = {
        "#show=overview": "house-2026-11-20-to-2026-11-20",
        _energy("day", AUTUMN, "&compare=year"): "house-day-2026-10-25",
        _energy("day", HOLE): "house-day-2026-11-10",
        _energy("day", NO_SUN): "house-day-2026-11-12",
        _energy("day", TODAY, "&compare=year"): "house-day-2026-11-20",
        _energy("week", TODAY, "&compare=year"): "house-week-2026-11-16",
        _energy("year", TODAY, "&compare=year"): "house-year-2026-01-01",
        _energy("all", TODAY): "house-all-2025-01-01",
        _energy("month", GARAGE_FIRST, both): "house+garage-month-2026-06-01",
        _energy("day", HOLE, both): "house+garage-day-2026-11-10",
        _energy("year", TODAY, "&meter=garage"): "garage-year-2026-01-01",
        f"#show=heat&meter={HOSTILE_NAME}": "_img_src_x_onerror_document.title_1_-consumption-2026",
        "#show=hours&range=month": "house-average-day-month-2026-11-01",
        "#show=hours&range=year&meter=garage": "garage-average-day-year-2026-01-01",
        "#show=heat": "house-consumption-2026",
        f"#show=heat&quantity=exported{both}": "house+garage-exported-2026",
        "#show=calendar": "house-incomplete-days",
        f"#show=calendar{both}": "house+garage-incomplete-days",
    }  # fmt: skip
    page = show()
    for view, file in views.items():
        page.goto(url + view)
        page.wait_for_selector(f'a.csv[download="{file}.csv"]')
        names, *lines = _csv(page, f"{file}.csv")
        shown = _without_names(page)
        assert len(names) == len(shown[0]) + 1, view
        found = [[_value(cell) for cell in line[1:]] for line in lines]
        assert found == [[_value(cell) for cell in row] for row in shown], view


def _csv(page: Page, name: str) -> list[list[str]]:
    """The lines of the CSV file of the first chart, which must have that name."""
    with page.expect_download() as download:
        page.locator("a.csv").first.click()
    assert download.value.suggested_filename == name
    with Path(download.value.path()).open(newline="") as file:
        return list(csv.reader(file))


def _without_names(page: Page) -> list[list[str]]:
    """The rows of the first table but the total, without their names; empty where something is missing."""
    _table(page)
    rows = page.locator("table").first.locator("tbody tr")
    cells: list[list[str]] = rows.evaluate_all(
        """rows => rows.map(row => [...row.querySelectorAll("td")].map(
             cell => cell.querySelector("data")?.value ?? cell.textContent))"""
    )
    return [["" if cell == "missing" else cell for cell in row] for row in cells]


def _value(cell: str) -> Decimal | str:
    """A number, or a text; a state as the page calls it."""
    try:
        return Decimal(cell)
    except ArithmeticError:
        return {"partial": "hours missing", "missing": "not requested yet", "lost": "lost"}.get(cell, cell)


# -- Its use --------------------------------------------------------------------------------------------


def test_the_first_view_has_today_the_last_days_and_how_collecting_stands(show: Open, archive: Path) -> None:
    """With totals and rates, and a way to the calendar of stored days."""
    page = show()
    assert [each.inner_text() for each in page.locator("h2").all()] == [
        "Today", "Last 14 days", "November 2026", "2026"]  # fmt: skip
    consumed = sum_of(hours_in(archive / "house", TODAY, TODAY + _DAY), "consumed")
    today = page.locator("section.card").first
    assert f"{consumed:.2f} kWh" in today.inner_text()
    assert "Self-sufficiency" in today.inner_text()
    page.wait_for_selector("#status:not(:empty)")
    assert page.locator("#status").inner_text() == "Collecting works, newest hour 20 min old"
    page.click("text=Stored days")
    page.wait_for_selector(".calendar")


def test_a_click_on_a_bar_goes_in_and_back_comes_out(show: Open) -> None:
    """Years, months, days, hours; and out again."""
    page = show("#show=energy&range=all")
    seen = []
    for part, title in ((0.75, "2026"), (0.79, "October 2026"), (0.02, "Thu, 1 October 2026")):
        seen.append(_title(page))
        box = page.locator(".u-over").bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + box["width"] * part, box["y"] + box["height"] / 2)
        _wait_for_title(page, f"^{title} – ")
        wait_until_drawn(page)
    for title in reversed(seen):
        page.go_back()
        _wait_for_title(page, f"^{title} – ")


def test_the_keyboard_moves_in_time_and_changes_the_range(show: Open) -> None:
    """Arrows, d w m y a, t; not while a date is being typed, and not into the future."""
    page = show("#show=energy&range=day&day=2026-11-09")
    steps = (
        ("ArrowLeft", "Sun, 8 November 2026"), ("ArrowRight", "Mon, 9 November 2026"),
        ("w", r"9\s*–\s*15 Nov 2026"), ("m", "November 2026"), ("ArrowLeft", "October 2026"), ("y", "2026"),
        ("ArrowLeft", "2025"), ("a", "2025–2026"), ("d", None), ("t", "Fri, 20 November 2026"),
        ("ArrowRight", "Fri, 20 November 2026"), ("ArrowLeft", None), ("ArrowLeft", "Wed, 18 November 2026"),
    )  # fmt: skip
    for key, title in steps:
        page.keyboard.press(key)
        if title:
            _wait_for_title(page, f"^{title} – ")
    before = page.url
    page.locator("#picker").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("m")
    assert page.url == before


def test_everything_can_be_reached_with_the_tab_key(show: Open) -> None:
    """Also the days behind the bars: the table's rows are links."""
    page = show(_energy("month", TODAY))
    _table(page)
    page.locator("tbody a").first.focus()
    page.keyboard.press("Enter")
    _wait_for_title(page, "^Sun, 1 November 2026")
    order = []
    page.evaluate("document.activeElement.blur()")
    page.locator("#shows a").first.focus()
    for _ in range(22):
        order.append(page.evaluate("document.activeElement.id || document.activeElement.textContent"))
        page.keyboard.press("Tab")
    assert {"Overview", "Stored days", "Week", "today", "picker"} <= {each.strip() for each in order}


def test_the_address_has_the_whole_view(show: Open) -> None:
    """What another browser opens with it is the same; what is wrong in it is left out."""
    page = show("#show=energy&range=week&day=2026-10-07&compare=year&meter=garage&meter=house")
    again = show(page.url.partition("/#")[2].join(["#", ""]))
    assert _title(again) == _title(page)
    assert _table(again) == _table(page)
    wrong = show("#show=nothing&range=x&day=2026-13-45&meter=nobody&quantity=__proto__")
    assert _title(wrong) == "Overview"
    assert _title(show("#show=energy&range=day&day=1999-01-01")) == "Wed, 15 October 2025"


@pytest.mark.parametrize(
    ("asked", "shown", "title"),
    [("1999-05-05", FIRST, "Wed, 15 October 2025"), ("2031-01-01", TODAY, "Fri, 20 November 2026")],
)
def test_the_address_of_a_day_outside_the_data_becomes_that_of_the_day_that_is_shown(
    asked: str, shown: date, title: str, show: Open
) -> None:
    """The first one or today. Back does not lead to the address that nothing was shown of."""
    page = show("#show=energy&range=all")
    page.evaluate("hash => { location.hash = hash }", f"#show=energy&range=day&day={asked}")
    _wait_for_title(page, f"^{title}")
    page.wait_for_url(f"**/{_energy('day', shown)}")
    page.go_back()
    _wait_for_title(page, "^2025–2026")


def test_the_facts_stay_within_their_card(show: Open) -> None:
    """Where they are beside the totals, on a screen that is just wide enough for that."""
    page = show(_energy("year", TODAY))
    for width in (1000, 1020, 1040, 1200):
        page.set_viewport_size({"width": width, "height": 900})
        card, *texts = page.evaluate(
            """() => [...document.querySelectorAll(".summary, dt, dd")].map(each => {
                 const content = document.createRange();
                 content.selectNodeContents(each);
                 return (each.className ? each : content).getBoundingClientRect().right;
               })"""
        )  # fmt: skip
        assert max(texts) <= card + 0.5, width


def test_the_wall_display_shows_one_view_and_refreshes_itself(show: Open) -> None:
    """Nothing to press; Esc ends it."""
    page = show("#show=energy&range=week&wall=on")
    assert page.locator("nav:visible, button:visible, input:visible, summary:visible").count() == 0
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(500)
    assert any("hours?year=2026" in each for each in asked)
    page.keyboard.press("Escape")
    page.wait_for_selector("nav:visible")


def test_after_new_year_the_last_days_of_december_are_still_read_again(show: Open) -> None:
    """A page left open: what arrives late belongs to the year before."""
    page = show(_energy("year", TODAY))

    def meters(route: Route) -> None:
        answer = route.fetch().json()
        for each in answer["meters"]:
            each["years"].append(2027)
        route.fulfill(json=answer)

    no_values = [None] * 24
    day = {"day": "2027-01-01", "hours": 24, "finished": 1, "state": "today", "reason": ""}
    columns = {f"{each}_kwh": no_values for each in ("import", "export", "solar")}
    new = {"timezone": "Europe/Berlin", **columns, "days": [day]}
    page.route("**/api/v1/meters", meters)
    page.route("**/hours?year=2027", lambda route: route.fulfill(json=new))
    for _ in range(3):
        with page.expect_request("**/hours?year=2026", timeout=5000):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        wait_until_drawn(page)


@pytest.mark.parametrize("view", _VIEWS)
def test_nothing_is_wider_than_a_phone(view: str, show: Open) -> None:
    """375 px, without scrolling to the side."""
    page = show(view, width=375)
    if page.locator("details.figures").count():
        _table(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_every_tab_can_be_seen_on_a_phone(show: Open) -> None:
    """375 px, without scrolling the tabs."""
    page = show("#show=calendar", width=375)
    ends = page.evaluate(
        "[...document.querySelectorAll('#shows a')].map(each => each.getBoundingClientRect().right)"
    )
    assert len(ends) == 5
    assert max(ends) <= 375 - 10


@pytest.mark.parametrize(("scheme", "lowest", "highest"), [("dark", 0, 60), ("light", 200, 255)])
def test_it_is_dark_where_the_browser_is(scheme: str, lowest: int, highest: int, show: Open) -> None:
    """The page and the letters in its drawings."""
    page = show("#show=energy&range=month", color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert all(lowest <= int(each) <= highest for each in re.findall(r"\d+", ground)[:3])


def test_numbers_and_dates_are_in_the_browsers_language(show: Open) -> None:
    """German: a comma, and the names of days and months."""
    page = show(_energy("year", TODAY), locale="de-DE")
    _table(page)
    assert re.search(r"\d\.\d{3},\d{3}", page.locator("tfoot").inner_text())
    assert "Oktober 2026" in page.locator("tbody").inner_text()


# -- Its safety -----------------------------------------------------------------------------------------


def test_a_hostile_meter_name_and_a_hostile_file_stay_text(show: Open) -> None:
    """Neither becomes an element, nor a part of a program, nor a formula of a spreadsheet."""
    for view in _VIEWS:
        page = show(f"{view}&meter={HOSTILE_NAME}")
        assert page.get_by_label(HOSTILE_NAME).is_checked()
        assert page.locator("img, main script").count() == 0
        assert page.title().endswith(HOSTILE_NAME)
    page = show(_energy("day", date(2026, 11, 13)))
    assert page.title() == "Fri, 13 November 2026 – house"
    assert set(_table(page)[0][1:6]) == {"missing"}


def test_a_script_in_the_page_would_not_run_and_would_be_noticed(show: Open, complaints: list[str]) -> None:
    """The content security policy is in force, and these tests see when it is broken."""
    page = show()
    page.evaluate(
        """() => {
             const script = document.createElement("script");
             script.textContent = "document.title = 'owned'";
             document.body.append(script);
             fetch("http://127.0.0.2:9/").catch(() => {});
           }"""
    )
    page.wait_for_timeout(200)
    assert page.title() != "owned"
    assert sum("Content Security Policy" in each for each in complaints) >= 2
    complaints.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", _VIEWS)
def test_axe_has_no_serious_finding(view: str, scheme: str, show: Open) -> None:
    """Contrast, names, roles, order: for those who do not see, or see little."""
    from axe_playwright_python.sync_playwright import Axe

    page = show(view, color_scheme=scheme)
    if page.locator("details.figures").count() and "heat" not in view:  # its 8,000 cells take half a minute
        _table(page)
    found: list[dict[str, Any]] = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["html"][:100] for node in each["nodes"][:3]]) for each in serious] == []


def test_a_new_service_says_that_nothing_is_stored_yet(show: Open, tmp_path: Path) -> None:
    """In words, not as a page of zeros; also if no meter is configured."""
    meter = Meter("house", DEVICE, timezone="Europe/Berlin")
    files = MeterFiles(meter, "home", tmp_path / "house", DayFormat(), PlanPolicy())
    for meters, words in (((files,), "Nothing is stored yet"), ((), "No meter is configured")):
        archive = ArchiveFiles(tmp_path, meters, 3600.0)
        with served(partial(page_at, "127.0.0.1", archive=archive)) as address:
            page = show(address=address)
            assert page.locator("#view").inner_text().startswith(words)


def test_while_the_figures_are_read_the_page_says_so(show: Open) -> None:
    """Bug: while the collector read the files of ten years, the page was empty, without a word."""
    page = show(_energy("month", TODAY))
    waiting: list[Route] = []
    page.route("**/api/v1/meters", lambda route: waiting.append(route))
    with page.expect_request("**/api/v1/meters"):
        page.reload()
    said = "getComputedStyle(document.getElementById('view'), '::before').content"
    assert page.evaluate(said) == '"Loading …"'
    waiting.pop().continue_()
    wait_until_drawn(page)
    assert page.evaluate(said) == "none"


def test_a_collector_that_does_not_answer_is_reported_and_the_figures_stay(
    show: Open, complaints: list[str]
) -> None:
    """In words, above the last figures; and that is over as soon as it answers."""
    page = show(_energy("month", TODAY))
    page.route("**/api/**", lambda route: route.abort())
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("#trouble:visible")
    assert "does not answer" in page.locator("#trouble").inner_text()
    assert page.locator(".chart").count() == 1
    page.unroute("**/api/**")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("#trouble", state="hidden")
    assert all("ERR_FAILED" in each for each in complaints)
    complaints.clear()


def test_status_and_view_say_the_same_when_the_collector_fails_and_when_it_answers_again(
    show: Open, complaints: list[str]
) -> None:
    """No green beside red; with the first good status, a minute later at most, the figures are read again."""
    page = show(_energy("month", TODAY))
    page.clock.install()
    page.reload()
    wait_until_drawn(page)
    page.wait_for_selector("#status.good")
    page.route("**/api/**", lambda route: route.abort())
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_selector("#trouble:visible")
    page.wait_for_selector("#status.bad", timeout=5000)
    assert "does not answer" in page.locator("#status").inner_text()
    page.unroute("**/api/**")
    page.clock.fast_forward(60_000)
    page.wait_for_selector("#trouble", state="hidden", timeout=5000)
    page.wait_for_selector("#status.good", timeout=5000)
    assert all("ERR_FAILED" in each for each in complaints)
    complaints.clear()


def test_a_report_in_one_file_shows_the_same_without_a_server(show: Open, url: str, tmp_path: Path) -> None:
    """All views, from the data in the file, hostile names included; it requests nothing at all."""
    answers = {name: _answer(url, name) for name in ("meters", *_hours_of_all(_answer(url, "meters")))}
    hours: dict[str, dict[str, Any]] = {}
    for name, answer in answers.items():
        if name != "meters":
            hours.setdefault(answer["meter"], {})[str(answer["year"])] = answer
    data = {"meters": answers["meters"], "status": None, "written": NOW.timestamp(), "hours": hours}
    file = tmp_path / "report.html"
    file.write_text(one_file(STATIC, json.dumps(data)))
    shown = show(f"{_energy('month', TODAY)}&meter={HOSTILE_NAME}", address=file.as_uri())
    assert _table(shown) == _table(show(f"{_energy('month', TODAY)}&meter={HOSTILE_NAME}"))
    assert shown.locator("#status").inner_text().startswith("Report of 20 November 2026")
    assert shown.locator("a.csv").count() == 0  # nobody is there to write it
    for view in _VIEWS:
        show(view, address=file.as_uri())


def _answer(url: str, name: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}api/v1/{name}") as answer:
        parsed: dict[str, Any] = json.load(answer)
    return parsed


def _hours_of_all(meters: dict[str, Any]) -> list[str]:
    return [
        f"meters/{urllib.parse.quote(each['name'], safe='')}/hours?year={year}"
        for each in meters["meters"]
        for year in each["years"]
    ]


def test_the_first_view_takes_at_most_150_kilobytes(show: Open) -> None:
    """Over the wire: the page, its parts and a year of hours."""
    page = show()
    size = page.evaluate("performance.getEntries().reduce((sum, each) => sum + (each.transferSize ?? 0), 0)")
    assert 40_000 < size <= 150_000
