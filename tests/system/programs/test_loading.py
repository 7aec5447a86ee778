"""Exports in the programs that they are for: a year has the sums that the archive has.

A test is skipped where its program is not installed. `.ci/run` brings the Debian packages `influxdb`,
`prometheus` and `victoria-metrics`; `postgresql` and `gnumeric` would take it too long. `duckdb` is a package
of Python.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import openpyxl
import pytest

from collector.export.hours import COLUMNS
from collector.export.openmetrics import FAMILIES
from collector.simulator import Device
from tests.support.archives import write_files
from tests.support.processes import collector
from tests.support.sharing import documented, queries_of
from tests.support.world import DEVICE
from tests.system.programs.serving import (
    DEDUPLICATED,
    free_port,
    got,
    got_at,
    influxdb,
    influxql,
    post,
    program,
    rounded,
    run,
    server,
    value_of,
    victoriametrics,
)

pytestmark = pytest.mark.timeout(300)
FIRST, LAST = date(2024, 10, 1), date(2025, 9, 30)  # with both changes of the clocks
HOURS = 365 * 24
START, END = 1727737200, 1759273200  # both at midnight in Dublin
_START_S = 60
_FOUR = Decimal("0.0001")
_SERIES = {
    "consumption": "consumption_kwh",
    "solar used here": "solar_used_kwh",
    "from the grid": "import_kwh",
    "to the grid": "export_kwh",
    "solar": "solar_kwh",
}
"""The series of the Grafana dashboards, by their names there."""


class House(NamedTuple):
    """An archive of a year, and what `report` says of it: kWh by column."""

    folder: Path
    config: Path
    sums: Mapping[str, Decimal]

    def export(self, form: str, *words: str) -> Path:
        """The file of an export."""
        target = self.folder / f"export.{form}"
        done = collector("export", form, "--config", str(self.config), "--out", str(target), *words)
        assert done.returncode == 0, done.stderr
        assert done.stderr == f"Exported: {HOURS} hours of 365 days, 0 of them incomplete, of 1 meter\n"
        return target


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """Of the simulated house that the demo shows."""
    folder = tmp_path_factory.mktemp("house")
    folder.chmod(0o755)
    (folder / "archive").mkdir()
    days = [FIRST + timedelta(days=number) for number in range(365)]
    write_files(folder / "archive" / "house", Device(DEVICE, timezone="Europe/Dublin"), days)
    config = folder / "config.toml"
    config.write_text(f"""
[archive]
path = "{folder}/archive"
[[account]]
name = "home"
host = "shelly-1-eu.shelly.cloud"
auth_key_file = "/nowhere"
[[account.meter]]
name = "house"
id = "{DEVICE}"
timezone = "Europe/Dublin"
""")
    told = collector("report", "--config", str(config), "--by", "year", "--since", str(FIRST), "--json")
    (meter,) = json.loads(told.stdout, parse_float=Decimal)["meters"]
    assert meter["total"]["stored_hours"] == HOURS
    return House(folder, config, {name: meter["total"][name] for name in COLUMNS})


def check_dashboard(house: House, name: str, ask: Callable[[str, str], list[object]]) -> None:
    """Every query of that dashboard has the archive's values; `ask` takes a query and the width of a bar, or
    an empty text, and returns the values.
    """
    values = {"$timeFilter": f"time >= {START}s AND time < {END}s", "$__timezone": "Europe/Dublin"}
    values |= {"$__range": f"{END - START}s", "$meter": "house"}
    totals = queries_of(name, "Totals of the range", values)
    found = {_SERIES[series]: rounded(*ask(query, "")) for series, query in totals.items()}
    assert found == house.sums
    rates = queries_of(name, "Rates of the range", values)
    used, solar, consumed = (house.sums[f"{each}_kwh"] for each in ("solar_used", "solar", "consumption"))
    for series, expected in (("self-consumption", used / solar), ("self-sufficiency", used / consumed)):
        assert rounded(*ask(rates[series], "")) == expected.quantize(_FOUR)
    for panel, width, count in (("Energy per day", "1d", 365), ("Energy per hour", "1h", HOURS)):
        queries = queries_of(name, panel, values)
        assert list(queries) == ["solar used here", "from the grid", "to the grid"]
        for series, query in queries.items():
            bars = [Decimal(str(value)) for value in ask(query, width)]
            assert len(bars) == count
            assert rounded(sum(bars)) == house.sums[_SERIES[series]]


def test_sqlite_adds_up_to_the_archive(house: House) -> None:
    """By Python's own SQLite, and by its program where there is one."""
    import sqlite3

    path = house.export("sqlite")
    database = sqlite3.connect(path)
    for name, stored in house.sums.items():
        column = f"{name.removesuffix('_kwh')}_micro_kwh"
        ((total,),) = database.execute(f"SELECT sum({column}) FROM hours")
        assert Decimal(total) / 1_000_000 == stored
        ((of_view,),) = database.execute(f"SELECT sum({name}) FROM energy")
        assert rounded(of_view) == stored
    database.close()


def test_duckdb_reads_the_csv_and_makes_parquet_of_the_day_files_as_documented(house: House) -> None:
    """`COPY … TO … (FORMAT parquet)`, with columns that are named."""
    duckdb = pytest.importorskip("duckdb", reason="the Python package duckdb is not installed")
    house.export("csv").rename(house.folder / "energy.csv")
    connection = duckdb.connect()
    columns = ", ".join(f"sum({name}::DECIMAL(18, 6))" for name in COLUMNS)
    (sums,) = connection.sql(f"SELECT {columns} FROM '{house.folder}/energy.csv'").fetchall()
    assert dict(zip(COLUMNS, sums, strict=True)) == house.sums
    statement = documented("DuckDB", "COPY").replace(
        "/var/lib/shelly-collector/house", f"{house.folder}/archive/house"
    )
    connection.sql(statement.replace("energy.parquet", f"{house.folder}/energy.parquet"))
    (row,) = connection.sql(
        f"SELECT count(*), sum(import), sum(export), sum(solar) FROM '{house.folder}/energy.parquet'"
    ).fetchall()
    assert row == (HOURS, *(house.sums[name] for name in COLUMNS[:3]))


def test_openpyxl_reads_the_sheet(house: House) -> None:
    book = openpyxl.load_workbook(house.export("xlsx"), read_only=True)
    head, *rows = book["house"].iter_rows(values_only=True)
    assert head[2:] == COLUMNS
    assert (rows[0][0].isoformat(), rows[0][1].isoformat()) == ("2024-10-01T00:00:00", "2024-09-30T23:00:00")
    sums = [sum(Decimal(str(row[place])) for row in rows) for place in range(2, 7)]
    assert dict(zip(COLUMNS, sums, strict=True)) == house.sums
    book.close()


def test_gnumeric_opens_the_sheet(house: House) -> None:
    """It refuses files that openpyxl reads."""
    target = house.folder / "gnumeric.csv"
    run(program("ssconvert"), str(house.export("xlsx")), str(target))
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert rows[1]["local"] == "2024/10/01 01:00:00"
    for name, stored in house.sums.items():
        assert rounded(sum(Decimal(row[name]) for row in rows)) == stored


def test_postgresql_copies_the_csv(house: House) -> None:
    """The documented statements, by its own `psql`; it refuses to run as root."""
    initdb, postgres, psql = program("initdb"), program("postgres"), program("psql")
    source = house.export("csv").rename(house.folder / "energy.csv")
    source.chmod(0o644)
    place = house.folder / "postgresql"
    place.mkdir(mode=0o755)
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    as_user: dict[str, Any] = {"cwd": place}
    if os.geteuid() == 0:
        for folder in house.folder.parents[:3]:
            folder.chmod(folder.stat().st_mode | 0o055)
        shutil.chown(place, user)
        as_user |= {"user": user, "group": user, "extra_groups": []}
    run(initdb, "-D", str(place / "data"), "-A", "trust", "-U", "postgres", "--no-sync", **as_user)
    data, port = str(place / "data"), str(free_port())
    log = (place / "log").open("wb")
    process = subprocess.Popen(
        [postgres, "-D", data, "-p", port, "-k", str(place), "-c", "listen_addresses="],
        stdout=log, stderr=log, **as_user,
    )  # fmt: skip
    try:
        ask = [psql, "-h", str(place), "-p", port, "-U", "postgres", "-v", "ON_ERROR_STOP=1", "-At", "-q"]
        end = time.monotonic() + _START_S  # noqa: TID251
        while subprocess.run([*ask, "-c", "SELECT 1"], capture_output=True, check=False).returncode:
            assert time.monotonic() < end, (place / "log").read_text()  # noqa: TID251
            time.sleep(0.1)
        for statement in (documented("PostgreSQL", "CREATE TABLE"), documented("PostgreSQL", "\\copy")):
            run(*ask, "-c", statement, cwd=house.folder)
        columns = ", ".join(f"sum({name})" for name in COLUMNS)
        sums = run(*ask, "-F", " ", "-c", f"SELECT {columns} FROM energy").split()
        assert dict(zip(COLUMNS, map(Decimal, sums), strict=True)) == house.sums
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def test_influxdb_takes_the_lines_twice_and_has_them_once(house: House) -> None:
    """Version 1; a second write of the same hour replaces it."""
    lines = house.export("influx", "--cumulative").read_bytes()
    with influxdb(house.folder / "influxdb") as url:
        influxql(url, "CREATE DATABASE energy")
        for _ in range(2):
            post(f"{url}/write?db=energy&precision=s", lines)
        fields = ", ".join(f"sum({name})" for name in COLUMNS)
        last = ", ".join(f"last({name.removesuffix('_kwh')}_total_kwh)" for name in COLUMNS)
        for question in (fields, last):
            answer = got(
                f"{url}/query", db="energy", q=f"SELECT {question} FROM energy WHERE meter = 'house'"
            )
            ((_, *values),) = answer["results"][0]["series"][0]["values"]
            assert dict(zip(COLUMNS, map(rounded, values), strict=True)) == house.sums
        answer = got(f"{url}/query", db="energy", q="SELECT count(import_kwh) FROM energy")
        assert answer["results"][0]["series"][0]["values"][0][1] == HOURS

        def ask(query: str, width: str) -> list[object]:
            del width  # it is in the query
            (series,) = got(f"{url}/query", db="energy", q=query)["results"][0]["series"]
            return [value for _, value in series["values"]]

        check_dashboard(house, "influxdb", ask)


def test_victoriametrics_keeps_a_second_push_apart_but_for_its_documented_flag(house: House) -> None:
    """The totals are right with and without."""
    lines = house.export("influx", "--cumulative").read_bytes()
    for flags, times in (([], 2), ([DEDUPLICATED], 1)):
        with victoriametrics(house.folder / f"victoria-{times}", *flags) as url:
            for _ in range(2):
                post(f"{url}/write?precision=s", lines)
            got_at(f"{url}/internal/force_flush")
            now = str(int(time.mktime((2025, 10, 1, 0, 0, 0, 0, 0, 0))))
            query = 'sum_over_time(energy_import_kwh{meter="house"}[400d])'
            assert rounded(value_of(url, query, now)) == times * house.sums["import_kwh"]
            query = 'last_over_time(energy_import_total_kwh{meter="house"}[400d])'
            assert rounded(value_of(url, query, now)) == house.sums["import_kwh"]
            check_dashboard(house, "prometheus", partial(bars_of, url))


def bars_of(url: str, query: str, width: str) -> list[object]:
    """The values of the only series in PromQL: at the end, or of bars as wide as that, like `1h`."""
    if not width:
        return [value_of(url, query, str(END))]
    step = {"1h": 3600, "1d": 86400}[width]
    answer = got(
        f"{url}/api/v1/query_range",
        query=query,
        start=str(START),
        end=str(END - step),
        step=width,
        nocache="1",
    )
    (series,) = answer["data"]["result"]
    return [value for _, value in series["values"]]


def test_prometheus_takes_the_blocks_that_promtool_makes(house: House) -> None:
    promtool, prometheus = program("promtool"), program("prometheus")
    place = house.folder / "prometheus"
    place.mkdir()
    source = house.export("openmetrics").rename(house.folder / "energy.om")
    line = documented("Prometheus", "promtool").replace("/var/lib/prometheus/metrics2", f"{place}/data")
    words = line.replace("energy.om", str(source)).split()
    run(promtool, *words[words.index("promtool") + 1 :])
    (place / "prometheus.yml").write_text("")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [
        prometheus,
        f"--config.file={place}/prometheus.yml",
        f"--storage.tsdb.path={place}/data",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with server(command, f"{url}/-/ready", place):
        for name, stored in house.sums.items():
            query = f'last_over_time({FAMILIES[name]}_total{{meter="house"}}[400d])'
            assert rounded(value_of(url, query, "1759276800")) == stored
        check_dashboard(house, "prometheus", partial(bars_of, url))
    assert len([entry for entry in (place / "data").iterdir() if (entry / "index").exists()]) <= 5
