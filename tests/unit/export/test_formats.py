"""The formats: what is written reads back to what is stored, and the rules of each one's readers are kept."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zipfile import ZipFile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from collector.cloud.meters import Meter
from collector.energy.readings import EnergyDay
from collector.errors import NotExpressible
from collector.export import csv_file, homeassistant, influx, openmetrics, xlsx
from collector.overview import MeterFiles
from collector.redaction import printable
from tests.support.archives import KEEP, files_of
from tests.support.energy_days import AUTUMN, BERLIN, ORDINARY, SPRING, energy_days, filled, reading
from tests.support.exported import (
    COLUMNS_OF,
    WRITERS,
    asked_of_sqlite,
    csv_rows,
    exported,
    hours_of,
    points,
    sheet_rows,
    store,
    sums_of,
    sums_of_archive,
)

DAY = timedelta(days=1)
some_days = st.tuples(
    *(energy_days(day) for day in (SPRING, ORDINARY, ORDINARY + DAY, AUTUMN, AUTUMN + DAY)),
)
hostile = st.text(st.characters(codec="utf-8"), min_size=1, max_size=70)


def meter(folder: Path, **more: Any) -> MeterFiles:
    return files_of(folder, timezone="Europe/Berlin", **more).meters[0]


def house(folder: Path, *days: EnergyDay) -> MeterFiles:
    """A meter with the name of the folder that has these days."""
    store(folder, days or [filled()])
    return meter(folder)


def named(name: str, folder: Path) -> MeterFiles:
    """A meter with a name that no configuration can have."""
    store(folder, [filled()])
    usual = meter(folder)
    return MeterFiles(Meter(name, usual.meter.id, timezone="Europe/Berlin"), "home", folder, KEEP, usual.plan)


@given(days=some_days, decimals=st.integers(4, 6), solar=st.booleans())
@settings(max_examples=10, deadline=None)
def test_what_is_written_reads_back_to_the_archives_sums_to_the_last_decimal(
    days: Sequence[EnergyDay], decimals: int, solar: bool
) -> None:
    """Whatever hours there are, on days of 23 and 25 hours, too."""
    with tempfile.TemporaryDirectory() as place:
        store(Path(place, "house"), days, decimals)
        files = meter(Path(place, "house"), solar=solar)
        stored = sums_of_archive(files)
        for form in WRITERS:
            found = sums_of(form, exported(form, hours_of(files)), "house")
            expected = {key: kwh for key, kwh in stored.items() if key[1] in COLUMNS_OF[form]}
            assert found == expected, form


@pytest.mark.parametrize("form", WRITERS)
def test_equal_hours_make_equal_files(form: str, tmp_path: Path) -> None:
    files = house(tmp_path / "house", filled(), filled(AUTUMN))
    assert exported(form, hours_of(files)) == exported(form, hours_of(files))


@pytest.mark.parametrize("form", WRITERS)
def test_an_archive_without_a_day_is_a_file_without_an_hour(form: str, tmp_path: Path) -> None:
    data = exported(form, hours_of(meter(tmp_path / "house")))
    assert sums_of(form, data, "house") == {}


@pytest.mark.parametrize("form", [form for form in WRITERS if form != "hdf"])
def test_several_meters_are_in_one_file(form: str, tmp_path: Path) -> None:
    grid, garage = house(tmp_path / "grid"), house(tmp_path / "garage", filled(AUTUMN))
    data = exported(form, hours_of(grid), hours_of(garage))
    if form == "homeassistant":
        assert {row["statistic_id"] for row in csv_rows(data, "\t")} == {
            f"shelly_collector:{name}_{kind}"
            for name in ("grid", "garage")
            for kind in ("import", "export", "solar")
        }
    else:
        assert sums_of(form, data, "") == sums_of_archive(grid) | sums_of_archive(garage)


# -- CSV ------------------------------------------------------------------------------------------------


def test_csv_has_utc_and_local_time_and_the_decimals_of_the_file(tmp_path: Path) -> None:
    lines = exported("csv", hours_of(house(tmp_path / "house", filled(AUTUMN)))).decode().splitlines()
    assert lines[0] == "meter,utc,local,import_kwh,export_kwh,solar_kwh,solar_used_kwh,consumption_kwh"
    assert lines[3:5] == [
        "house,2024-10-27T00:00:00Z,2024-10-27T02:00:00+02:00,2.1230,0.2500,0.0200,0.0000,2.1230",
        "house,2024-10-27T01:00:00Z,2024-10-27T02:00:00+01:00,3.1230,0.2500,0.0300,0.0000,3.1230",
    ]
    assert len(lines) == 26


def test_csv_leaves_a_field_empty_where_nothing_is_known(tmp_path: Path) -> None:
    data = exported("csv", hours_of(house(tmp_path / "house", filled(each=reading(solar_kwh=None)))))
    assert data.decode().splitlines()[1].endswith(",1.5000,0.2500,,,")


@pytest.mark.parametrize(("decimal", "delimiter"), [(",", ";"), (".", "\t"), (",", "|")])
def test_csv_with_a_decimal_comma_and_another_delimiter_is_still_csv(
    tmp_path: Path, decimal: str, delimiter: str
) -> None:
    out = io.BytesIO()
    csv_file.write([hours_of(house(tmp_path / "house"))], out, decimal=decimal, delimiter=delimiter)
    rows = csv_rows(out.getvalue(), delimiter)
    assert rows[1]["import_kwh"] == f"1{decimal}1230"
    assert rows[1]["utc"] == "2024-06-11T23:00:00Z"


def test_csv_begins_with_a_byte_order_mark_on_demand_only(tmp_path: Path) -> None:
    out = io.BytesIO()
    files = house(tmp_path / "house")
    csv_file.write([hours_of(files)], out, bom=True)
    plain = exported("csv", hours_of(files))
    assert plain.startswith(b"meter")
    assert out.getvalue() == b"\xef\xbb\xbf" + plain


@given(name=hostile | st.sampled_from(["=1+1", "+1", "-1", "@SUM(A1)", 'a"b', "a,b", "a\nb", "\t=1"]))
@settings(max_examples=60, deadline=None)
def test_no_name_is_a_formula_or_breaks_the_csv(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        data = exported("csv", hours_of(named(name, Path(place, "house"))))
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    assert {len(row) for row in rows} == {8}
    shown = {row[0] for row in rows[1:]}
    is_formula = name.startswith(("=", "+", "-", "@"))
    assert shown == {f"'{printable(name)}" if is_formula else printable(name)}


@given(st.lists(st.text() | st.integers(0) | st.decimals(0, 10**6, places=4) | st.none(), min_size=2))
def test_any_row_is_read_back_as_it_was_but_for_formulas(fields: list[str | int | Decimal | None]) -> None:
    """Also texts with line breaks, quotes and delimiters, of which a spreadsheet evaluates none."""
    text = csv_file.row(fields, ",", ";") + csv_file.row(["the", "next"])
    found, _ = csv.reader(io.StringIO(text, newline=""), delimiter=";")
    for field, was in zip(found, fields, strict=True):
        if isinstance(was, Decimal):
            assert Decimal(field.replace(",", ".")) == was
        else:
            shown = "" if was is None else str(was)
            assert field == (f"'{shown}" if shown.startswith(("=", "+", "-", "@", "\t", "\r")) else shown)


# -- XLSX -----------------------------------------------------------------------------------------------


def test_xlsx_has_a_sheet_for_each_meter_and_real_dates(tmp_path: Path) -> None:
    files = house(tmp_path / "house", filled(AUTUMN)), house(tmp_path / "garage")
    rows = sheet_rows(exported("xlsx", *map(hours_of, files)))
    assert list(rows) == ["house", "garage"]
    epoch = datetime(1899, 12, 30)
    local, utc = ([epoch + timedelta(days=float(row[column])) for row in rows["house"]] for column in "AB")
    assert all(abs(each - (datetime(2024, 10, 26, 22) + timedelta(hours=number))) < timedelta(milliseconds=1)
               for number, each in enumerate(utc))  # fmt: skip
    assert [round((each - datetime(2024, 10, 27)) / timedelta(hours=1)) for each in local] == [
        0, 1, 2, 2, *range(3, 24)
    ]  # fmt: skip


def test_in_xlsx_every_row_and_cell_has_its_place_and_a_style(tmp_path: Path) -> None:
    """Gnumeric refuses it otherwise."""
    data = exported("xlsx", hours_of(house(tmp_path / "house", filled(each=reading(solar_kwh=None)))))
    sheet = ZipFile(io.BytesIO(data)).read("xl/worksheets/sheet1.xml").decode()
    assert sheet.count("<row ") == sheet.count("<row r=") == 25
    assert sheet.count("<c ") == sheet.count('<c r="') == sheet.count(' s="') == 7 + 24 * 4


def test_an_unknown_value_is_no_cell_in_xlsx(tmp_path: Path) -> None:
    data = exported("xlsx", hours_of(house(tmp_path / "house", filled(each=reading(solar_kwh=None)))))
    assert {frozenset(row) for row in sheet_rows(data)["house"]} == {frozenset("ABCD")}


@given(names=st.lists(hostile, min_size=1, max_size=6) | st.just(["a" * 40, "A" * 50, "a" * 31, "'", "/"]))
@settings(deadline=None)
def test_the_names_of_sheets_are_those_that_excel_accepts(names: list[str]) -> None:
    found = xlsx.sheet_names(names)
    assert len({each.casefold() for each in found}) == len(names)
    for each in found:
        assert 1 <= len(each) <= 31
        assert not set(each) & set("[]:*?/\\")
        assert not each.startswith("'") and not each.endswith("'")


@given(name=hostile)
@settings(max_examples=60, deadline=None)
def test_no_name_breaks_the_xlsx(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        rows = sheet_rows(exported("xlsx", hours_of(named(name, Path(place, "house")))))
    assert [len(each) for each in rows.values()] == [24]


# -- SQLite ---------------------------------------------------------------------------------------------


def test_sqlite_has_exact_integers_and_a_view_in_kwh(tmp_path: Path) -> None:
    data = exported("sqlite", hours_of(house(tmp_path / "house", filled(each=reading(solar_kwh=None)))))
    assert asked_of_sqlite(data, "SELECT * FROM hours ORDER BY start LIMIT 1") == [
        ("house", 1718143200, "2024-06-12T00:00:00+02:00", 1_500_000, 250_000, None, None, None)
    ]
    assert asked_of_sqlite(data, "SELECT utc, import_kwh, export_kwh, solar_kwh FROM energy LIMIT 1") == [
        ("2024-06-11T22:00:00Z", 1.5, 0.25, None)
    ]


# -- InfluxDB -------------------------------------------------------------------------------------------


def test_influx_has_a_point_for_each_hour_with_the_known_fields(tmp_path: Path) -> None:
    lines = exported("influx", hours_of(house(tmp_path / "house", filled(each=reading(solar_kwh=None)))))
    assert lines.decode().splitlines()[0] == (
        "energy,meter=house import_kwh=1.5000,export_kwh=0.2500 1718143200"
    )


def test_influx_with_totals_has_at_the_end_of_each_hour_what_was_counted_until_then(tmp_path: Path) -> None:
    out = io.BytesIO()
    files = house(tmp_path / "house", filled(without=[3]))
    influx.write([hours_of(files)], out, cumulative=True)
    found = points(out.getvalue())
    hours = [point for point in found if "import_kwh" in point.fields]
    totals = [point for point in found if "import_total_kwh" in point.fields]
    assert [point.ts + 3600 for point in hours] == [point.ts for point in totals]
    assert totals[0].fields["import_total_kwh"] == hours[0].fields["import_kwh"]
    for (before, after), hour in zip(pairwise(totals), hours[1:], strict=True):
        grown = after.fields["import_total_kwh"] - before.fields["import_total_kwh"]
        assert grown == hour.fields["import_kwh"]
    assert totals[-1].fields["import_total_kwh"] == sums_of_archive(files)["house", "import_kwh"]


@given(name=hostile | st.sampled_from(["a b", "a,b=c", "a\\", "a\nb=1 1"]))
@settings(max_examples=60, deadline=None)
def test_no_name_breaks_the_line_protocol(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        out = io.BytesIO()
        influx.write([hours_of(named(name, Path(place, "house")))], out, measurement=name)
    lines = out.getvalue().decode().split("\n")
    assert lines.pop() == ""
    assert len(lines) == 24
    head = f"{influx.as_name(name)},meter={influx.as_name(printable(name))} import_kwh="
    assert all(line.startswith(head) for line in lines)
    assert len(re.findall(r"(?<!\\)[ ,=]", head)) == 4  # tag, its value, the fields, the first one's value


# -- OpenMetrics ----------------------------------------------------------------------------------------


def test_openmetrics_is_what_its_own_parser_accepts(tmp_path: Path) -> None:
    """Samples of one counter together, their times ascending, `# EOF` at the end."""
    files = house(tmp_path / "house", filled()), house(tmp_path / "garage", filled(AUTUMN))
    text = exported("openmetrics", *map(hours_of, files)).decode()
    families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    assert [family.name for family in families] == list(openmetrics.FAMILIES.values())
    first = families[0].samples[0]
    assert first.timestamp is not None
    assert float(first.timestamp) == datetime(2024, 6, 11, 23, tzinfo=UTC).timestamp()
    assert [len(family.samples) for family in families] == [49] * 5


@pytest.mark.parametrize("name", ['a"b', "a\\", "a\nb", "größe", "a{b}"])
def test_no_name_breaks_openmetrics(name: str, tmp_path: Path) -> None:
    text = exported("openmetrics", hours_of(named(name, tmp_path / "house"))).decode()
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    labels = {sample.labels["meter"] for family in families for sample in family.samples}
    assert labels == {printable(name)}


# -- Home Assistant -------------------------------------------------------------------------------------


def test_the_tsv_has_sums_that_begin_with_the_first_hours_energy_and_do_not_jump_over_a_gap(
    tmp_path: Path,
) -> None:
    files = house(tmp_path / "house", filled(without=[1, 2]), filled(AUTUMN, without=[0]))
    rows = csv_rows(exported("homeassistant", hours_of(files)), "\t")
    imports = [row for row in rows if row["statistic_id"] == "shelly_collector:house_import"]
    assert rows[0] == {
        "statistic_id": "shelly_collector:house_import",
        "start": "11.06.2024 22:00",
        "unit": "kWh",
        "state": "0.1230",
        "sum": "0.1230",
    }
    sums = [Decimal(row["sum"]) for row in imports]
    grown = [after - before for before, after in pairwise([Decimal(0), *sums])]
    assert grown == [hour.import_kwh for hour in hours_of(files).hours()]


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Haus-2", "haus_2"), ("a__b", "a_b"), ("_x_", "x"), ("Küche", "kuche"), ("電", "meter")],
)
def test_the_id_of_a_statistic_is_one_that_home_assistant_accepts(name: str, slug: str) -> None:
    assert homeassistant.slug_of(name) == slug


def test_two_meters_with_one_id_are_refused_by_name() -> None:
    with pytest.raises(NotExpressible, match=r"grid-1 and grid_1 would both be"):
        homeassistant.slugs(["grid-1", "grid_1"])


def test_an_hour_that_begins_at_half_past_in_utc_is_refused(tmp_path: Path) -> None:
    kolkata = ZoneInfo("Asia/Kolkata")
    store(tmp_path / "house", [filled(ORDINARY, kolkata)])
    files = files_of(tmp_path / "house", timezone=kolkata.key).meters[0]
    with pytest.raises(NotExpressible, match="house is no full hour of UTC"):
        exported("homeassistant", hours_of(files))


# -- HDF ------------------------------------------------------------------------------------------------


def test_an_hour_is_two_halves_of_the_same_power_at_their_local_ends(tmp_path: Path) -> None:
    rows = csv_rows(exported("hdf", hours_of(house(tmp_path / "house"))))
    assert [(row["Read Type"], row["Read Value"], row["Read Date and End Time"]) for row in rows[:4]] == [
        ("Active Import Interval (kW)", "0.1230", "12-06-2024 00:30"),
        ("Active Import Interval (kW)", "0.1230", "12-06-2024 01:00"),
        ("Active Export Interval (kW)", "0.2500", "12-06-2024 00:30"),
        ("Active Export Interval (kW)", "0.2500", "12-06-2024 01:00"),
    ]
    assert rows[-1]["Read Date and End Time"] == "13-06-2024 00:00"


def test_the_two_repeated_hours_of_autumn_are_one_with_the_energy_of_both(tmp_path: Path) -> None:
    rows = csv_rows(exported("hdf", hours_of(house(tmp_path / "house", filled(AUTUMN)))))
    assert len({(row["Read Type"], row["Read Date and End Time"]) for row in rows}) == len(rows) == 24 * 4
    repeated = [row["Read Value"] for row in rows if row["Read Date and End Time"].endswith(" 03:00")]
    assert repeated == ["5.2460", "0.5000"]


def test_a_file_of_several_meters_is_refused(tmp_path: Path) -> None:
    files = house(tmp_path / "grid"), house(tmp_path / "garage")
    with pytest.raises(NotExpressible, match="--meter NAME"):
        exported("hdf", *map(hours_of, files))


def test_the_default_range_has_every_day_that_can_be_stored(tmp_path: Path) -> None:
    assert len(list(hours_of(house(tmp_path / "house"), date.min, date.max).hours())) == 24
    assert hours_of(meter(tmp_path / "house")).zone == BERLIN
