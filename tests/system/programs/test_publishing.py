"""`publish` with real databases: a year has the sums that the archive has, and a corrected hour is corrected.

InfluxDB 1 and VictoriaMetrics, as test_loading.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from collector.export.hours import COLUMNS
from collector.simulator import Device
from tests.support.archives import flip, write_files
from tests.support.processes import collector, usual_configuration
from tests.support.sharing import documented
from tests.support.world import DEVICE
from tests.system.programs.serving import (
    DEDUPLICATED,
    got_at,
    influxdb,
    influxql,
    rounded,
    value_of,
    victoriametrics,
)

pytestmark = pytest.mark.timeout(300)
FIRST = date(2024, 10, 1)  # of a year with both changes of the clocks
HOURS = 365 * 24
END = "1759273200"
TOTALS = [f"{name.removesuffix('_kwh')}_total_kwh" for name in COLUMNS]


class House(NamedTuple):
    """An archive of a year, and a configuration."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    def sent_to(self, url: str, **more: object) -> None:
        """Writes the configuration, with that target."""
        table = {"name": "db", "kind": "influx", "url": url, **more}
        lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in table.items())
        own = usual_configuration(self.folder, "http://127.0.0.1:9").read_text()
        self.config.write_text(f'{own}timezone = "Europe/Dublin"\n[[publish]]\n{lines}\n')

    def publish(self, *words: str) -> subprocess.CompletedProcess[str]:
        return collector("publish", "--once", *words, "--config", str(self.config))

    def sent(self, hours: int, *words: str) -> None:
        """Sends, and so many hours were to be sent."""
        done = self.publish(*words)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"db: house: {hours:,} hours sent\n", "")

    def correct(self, change: str) -> int:
        """Corrects an hour in the middle; returns how many hours its month has."""
        flip(self.folder / "archive" / "house" / "2025-06-15.jsonl", "import", change)
        return 30 * 24

    def sums(self) -> Mapping[str, Decimal]:
        """What `report` has, kWh by column."""
        words = ("--by", "year", "--since", str(FIRST), "--json")
        told = collector("report", "--config", str(self.config), *words)
        (meter,) = json.loads(told.stdout, parse_float=Decimal)["meters"]
        assert meter["total"]["stored_hours"] == HOURS
        return {name: meter["total"][name] for name in COLUMNS}


@pytest.fixture
def house(tmp_path: Path) -> House:
    (tmp_path / "archive").mkdir()
    days = [FIRST + timedelta(days=number) for number in range(365)]
    write_files(tmp_path / "archive" / "house", Device(DEVICE, timezone="Europe/Dublin"), days)
    return House(tmp_path)


def in_influxdb(url: str, what: str, **login: str) -> list[Decimal]:
    """The values of an aggregation of all hours."""
    (result,) = influxql(url, f"SELECT {what} FROM energy WHERE meter = 'house'", db="energy", **login)
    (series,) = result["series"]
    return [rounded(value) for value in series["values"][0][1:]]


def assert_influxdb_has_all(house: House, url: str, **login: str) -> None:
    stored = list(house.sums().values())
    assert in_influxdb(url, ", ".join(f"sum({name})" for name in COLUMNS), **login) == stored
    assert in_influxdb(url, ", ".join(f"last({name})" for name in TOTALS), **login) == stored
    assert in_influxdb(url, "count(import_kwh)", **login) == [HOURS]


def test_influxdb_has_a_year_once_however_often_it_was_sent_and_a_corrected_hour(house: House) -> None:
    with influxdb(house.folder / "influxdb") as url:
        influxql(url, "CREATE DATABASE energy")
        house.sent_to(f"{url}/write?db=energy", cumulative=True)
        house.sent(HOURS)
        assert_influxdb_has_all(house, url)
        house.sent(HOURS, "--all")
        assert_influxdb_has_all(house, url)
        house.correct("0.3")
        house.sent(HOURS - (date(2025, 6, 1) - FIRST).days * 24)  # from June on
        assert_influxdb_has_all(house, url)
        house.sent_to(f"{url}/write?db=energy")  # without totals, only what has changed
        house.sent(HOURS)
        month = house.correct("-0.2")
        house.sent(month)
        stored = list(house.sums().values())
        assert in_influxdb(url, ", ".join(f"sum({name})" for name in COLUMNS)) == stored


def test_influxdb_with_a_login_takes_the_right_one(house: House) -> None:
    admin = {"u": "admin", "p": "of the database"}
    with influxdb(house.folder / "influxdb", needs_login=True) as url:
        influxql(url, f"CREATE USER admin WITH PASSWORD '{admin['p']}' WITH ALL PRIVILEGES")
        for statement in documented("InfluxDB", "CREATE DATABASE").splitlines():
            influxql(url, statement, **admin)
        for token, status in (
            ("shelly:wrong", "401: authorization failed"),
            ("nobody:secret", "401: authorization failed"),
            ("no-user", "401: unable to parse authentication credentials"),
        ):
            house.sent_to(f"{url}/write?db=energy", token=token)
            done = house.publish()
            assert (done.returncode, done.stdout) == (1, "")
            assert f"answers {status}. Check the token" in done.stderr
            assert token not in done.stderr
        house.sent_to(f"{url}/write?db=energy", token="shelly:secret", cumulative=True)
        house.sent(HOURS)
        assert_influxdb_has_all(house, url, **admin)


@pytest.mark.parametrize(
    ("statement", "query", "reason"),
    [
        ("", "db=none", '404: database not found: "none". Check url'),
        ("", "", "400: database is required. Check url"),
        (
            "CREATE DATABASE energy WITH DURATION 30d",
            "db=energy",
            "dropped=1000. The database deletes hours that are older",
        ),
    ],
)
def test_influxdb_that_cannot_take_the_hours_is_reported_with_the_cure(
    statement: str, query: str, reason: str, house: House
) -> None:
    with influxdb(house.folder / "influxdb") as url:
        if statement:
            influxql(url, statement)
        house.sent_to(f"{url}/write?{query}")
        done = house.publish()
    assert (done.returncode, done.stdout) == (1, "")
    assert reason in done.stderr


def test_a_policy_without_an_end_takes_the_hours_where_the_database_deletes_them(house: House) -> None:
    """As documented."""
    with influxdb(house.folder / "influxdb") as url:
        influxql(url, "CREATE DATABASE energy WITH DURATION 30d")
        influxql(url, documented("InfluxDB", "CREATE RETENTION POLICY"))
        house.sent_to(f"{url}/write?db=energy&rp=forever")
        house.sent(HOURS)
        (result,) = influxql(url, "SELECT sum(import_kwh) FROM forever.energy", db="energy")
        assert rounded(result["series"][0]["values"][0][1]) == house.sums()["import_kwh"]


def in_victoriametrics(url: str, function: str, names: list[str]) -> list[Decimal]:
    """That function of each series over the year."""
    got_at(f"{url}/internal/force_flush")
    queries = [f'{function}(energy_{name}{{meter="house"}}[400d])' for name in names]
    return [rounded(value_of(url, query, END)) for query in queries]


def test_victoriametrics_has_a_year_as_it_is_documented(house: House) -> None:
    """Sent twice: sums are doubled, but with its flag; the totals are right with and without.

    Which value of a corrected hour it shows is left to chance, so that all is deleted and sent again.
    """
    for flags, times in (([], 2), ([DEDUPLICATED], 1)):
        with victoriametrics(house.folder / f"victoria-{times}", *flags) as url:
            house.sent_to(f"{url}/write", cumulative=True)
            house.sent(HOURS, "--all")
            stored = list(house.sums().values())
            assert in_victoriametrics(url, "sum_over_time", list(COLUMNS)) == stored
            assert in_victoriametrics(url, "last_over_time", TOTALS) == stored
            house.sent(HOURS, "--all")
            assert in_victoriametrics(url, "sum_over_time", list(COLUMNS)) == [
                times * each for each in stored
            ]
            assert in_victoriametrics(url, "last_over_time", TOTALS) == stored
            for change in ("0.3", "-0.2"):
                house.correct(change)
                assert house.publish().returncode == 0
            run_documented(url)
            house.sent(HOURS, "--all")
            corrected = list(house.sums().values())
            assert corrected != stored
            assert in_victoriametrics(url, "sum_over_time", list(COLUMNS)) == corrected
            assert in_victoriametrics(url, "last_over_time", TOTALS) == corrected


def run_documented(url: str) -> None:
    """The documented line that deletes the series."""
    line = documented("VictoriaMetrics", "curl").replace("http://localhost:8428", url)
    done = subprocess.run(shlex.split(line), capture_output=True, text=True, check=False, env=os.environ)
    assert (done.returncode, done.stdout) == (0, ""), done
