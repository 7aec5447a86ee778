"""`report`: the sums of the archive for people, for programs, and as a page in one file."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from collector.simulator import Device
from tests.support.archives import write_files
from tests.support.processes import PROGRAM, collector, environment, usual_configuration
from tests.support.world import DEVICE, records_of

FIRST = date(2026, 1, 1)
HOLE = date(2026, 2, 10)
DAYS = [day for number in range(90) if (day := FIRST + timedelta(number)) != HOLE]
RANGE = ("--since", str(FIRST), "--until", "2026-03-31")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three months with a hole of a day."""
    place = tmp_path_factory.mktemp("report")
    (place / "archive").mkdir()
    folder = place / "archive" / "house"
    write_files(folder, Device(DEVICE), DAYS)
    (folder / ".collector" / "ledger.jsonl").write_text(f'{{"zone": "{Device(DEVICE).zone.key}"}}\n')
    return usual_configuration(place, "shelly-12-eu.shelly.cloud")


def report(config: Path, *words: str, code: int = 0, **env: str) -> str:
    done = collector("report", "--config", str(config), *words, env=env)
    assert (done.returncode, done.stderr) == (code, ""), done.stderr
    return done.stdout


def as_json(config: Path, *words: str) -> dict[str, Any]:
    (meter,) = json.loads(report(config, "--json", *words), parse_float=Decimal)["meters"]
    found: dict[str, Any] = meter
    return found


def stored(config: Path, column: str, month: str) -> Decimal:
    files = sorted((config.parent / "archive" / "house").glob(f"{month}-*.jsonl"))
    total: Decimal = sum((record[column] for path in files for record in records_of(path)), Decimal(0))
    return total


def test_the_sums_are_those_of_the_files(config: Path) -> None:
    """Month by month, to the last decimal."""
    found = as_json(config, "--by", "month", *RANGE)
    assert [each["period"] for each in found["periods"]] == ["2026-01", "2026-02", "2026-03"]
    for each in found["periods"]:
        for field, column in (
            ("import_kwh", "import"),
            ("export_kwh", "export"),
            ("solar_kwh", "solar"),
            ("solar_used_kwh", "solar_consumed"),
            ("consumption_kwh", "consumed"),
        ):
            assert each[field] == stored(config, column, each["period"])
    assert found["total"]["import_kwh"] == sum(each["import_kwh"] for each in found["periods"])


def test_missing_hours_are_counted_and_in_no_sum(config: Path) -> None:
    """The month with the hole says so, and so does the table."""
    february = as_json(config, *RANGE)["periods"][1]
    assert february["expected_hours"] - february["stored_hours"] == 24
    text = report(config, *RANGE)
    assert "2026-02" in text
    assert any(line.startswith("2026-02") and line.endswith("24 h") for line in text.splitlines())
    assert any("without data" in line for line in text.splitlines())


@pytest.mark.parametrize(("by", "count"), [("day", 90), ("week", 14), ("month", 3), ("year", 1)])
def test_each_period_has_a_line(by: str, count: int, config: Path) -> None:
    """In the table, in JSON and in CSV; a day that is missing, too."""
    assert len(as_json(config, "--by", by, *RANGE)["periods"]) == count
    lines = list(csv.DictReader(io.StringIO(report(config, "--csv", "--by", by, *RANGE))))
    assert len(lines) == count
    table = report(config, "--by", by, *RANGE).splitlines()
    heads = {"year": "2026 "}
    assert sum(line.startswith(heads.get(by, "2026-")) for line in table) == count


def test_csv_has_the_values_of_json(config: Path) -> None:
    """As text, with their decimals; what is unknown is empty."""
    periods = as_json(config, "--by", "day", *RANGE)["periods"]
    lines = list(csv.DictReader(io.StringIO(report(config, "--csv", "--by", "day", *RANGE))))
    for line, each in zip(lines, periods, strict=True):
        assert (line.pop("meter"), line.pop("period")) == ("house", each.pop("period"))
        assert {key: Decimal(value) if value else None for key, value in line.items()} == each
    assert lines[(HOLE - FIRST).days]["import_kwh"] == ""


def test_the_table_fits_a_terminal_and_is_plain_in_a_pipe(config: Path) -> None:
    """80 columns, no escapes; in ASCII where the output is."""
    text = report(config, "--by", "day", *RANGE)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert "█" in text
    ascii_only = report(config, "--by", "day", *RANGE, PYTHONIOENCODING="ascii")
    assert ascii_only.isascii()
    assert "#" in ascii_only


@pytest.mark.parametrize(("env", "has_colour"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colours_unless_it_does_not_want_them(
    env: dict[str, str], has_colour: bool, config: Path
) -> None:
    """NO_COLOR, as everywhere."""
    ours, theirs = pty.openpty()
    command = [*PROGRAM, "report", "--config", str(config), *RANGE]
    subprocess.run(command, stdout=theirs, env=environment(**env), check=True, timeout=60)
    os.close(theirs)
    text = b""
    try:
        while some := os.read(ours, 65536):
            text += some
    except OSError:  # the other side is closed
        pass
    os.close(ours)
    assert (b"\x1b[" in text) is has_colour


def test_nothing_stored_is_said_in_words(tmp_path: Path) -> None:
    """And is no failure."""
    config = usual_configuration(tmp_path, "shelly-12-eu.shelly.cloud")
    (tmp_path / "archive").mkdir()
    assert report(config) == "house: no data stored yet\n"
    assert as_json(config)["total"]["import_kwh"] is None


def test_wrong_usage_names_what_is_wrong(config: Path) -> None:
    """An unknown meter, dates the wrong way round, two forms at once."""
    for words, text in (
        (("--meter", "barn"), "no meter 'barn'"),
        (("--since", "2026-03-01", "--until", "2026-02-01"), "--since is after --until"),
        (("--since", "soon"), "must be a date"),
        (("--json", "--csv"), "not allowed with"),
        (("--by", "hour"), "invalid choice"),
    ):
        done = collector("report", "--config", str(config), *words)
        assert done.returncode == 2
        assert text in done.stderr


def test_the_page_in_one_file_has_every_hour_and_refers_to_nothing(config: Path, tmp_path: Path) -> None:
    """What a browser would request is not there; the values are those of the files."""
    file = tmp_path / "energy.html"
    assert str(file) in report(config, "--html", str(file))
    text = file.read_text()
    assert "static/" not in text.partition("<body>")[0]
    data = text.partition('<script type="application/json" id="data">')[2].partition("</script>")[0]
    found = json.loads(data, parse_float=Decimal)
    assert found["status"] is None
    assert [each["name"] for each in found["meters"]["meters"]] == ["house"]
    year = found["hours"]["house"]["2026"]
    total = sum(stored(config, "import", f"2026-{month:02}") for month in (1, 2, 3))
    assert sum(value for value in year["import_kwh"] if value is not None) == total


def test_a_page_that_cannot_be_written_says_why(config: Path, tmp_path: Path) -> None:
    """Exit 74."""
    done = collector("report", "--config", str(config), "--html", str(tmp_path / "no" / "file.html"))
    assert done.returncode == 74
    assert "cannot be written" in done.stderr


def test_a_folder_that_is_not_there_had_no_data_yet(tmp_path: Path) -> None:
    """Bug: exit 0 and "no data stored yet", where the path of the archive was wrong."""
    config = usual_configuration(tmp_path, "http://127.0.0.1:9")
    done = collector("report", "--config", str(config))
    assert (done.returncode, done.stderr) == (73, f"{tmp_path / 'archive'}: no such folder\n")


def test_the_page_as_one_file_went_into_a_file_called_dash(tmp_path: Path) -> None:
    config = usual_configuration(tmp_path, "http://127.0.0.1:9")
    (tmp_path / "archive").mkdir()
    done = collector("report", "--config", str(config), "--html", "-", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("<!doctype html>")
    assert not (tmp_path / "-").exists()
