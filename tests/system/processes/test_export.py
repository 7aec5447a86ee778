"""`export` as a user or a script meets it: where it writes, how it ends, and what it leaves alone."""

from __future__ import annotations

import os
import pty
import shlex
import signal
import subprocess
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.support.archives import everything_in
from tests.support.energy_days import ORDINARY, filled
from tests.support.exported import WRITERS, csv_rows, store
from tests.support.processes import PROGRAM, Forks, collector, environment, pytests_own, started
from tests.support.world import DEVICE, mark_as

DAYS = [ORDINARY + timedelta(days=number) for number in range(3)]
NOBODY = 65534
LAST_LINE = "Exported: 72 hours of 3 days, 0 of them incomplete, of 1 meter"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Three days of one meter; the configuration has a key that nobody can read."""
    archive = tmp_path / "archive"
    store(archive / "house", [filled(day) for day in DAYS])
    mark_as(archive / "house")
    path = tmp_path / "config.toml"
    path.write_text(f"""
[archive]
path = "{archive}"
[[account]]
name = "home"
host = "shelly-1-eu.shelly.cloud"
auth_key_file = "/nowhere"
[[account.meter]]
name = "house"
id = "{DEVICE}"
timezone = "Europe/Berlin"
""")
    return path


def export(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return collector("export", *words, "--config", str(config))


def refused(config: Path, *words: str, code: int) -> str:
    """The only line of a command that exports nothing."""
    done = export(config, *words)
    assert (done.returncode, done.stdout) == (code, ""), done
    (line,) = done.stderr.splitlines()
    return line


def test_standard_output_has_the_data_and_nothing_else_and_the_counts_come_last_on_standard_error(
    config: Path, tmp_path: Path
) -> None:
    before = everything_in(tmp_path / "archive")
    done = export(config, "csv")
    assert (done.returncode, done.stderr) == (0, f"{LAST_LINE}\n")
    rows = csv_rows(done.stdout.encode())
    assert len(rows) == 72
    assert sum(Decimal(row["export_kwh"]) for row in rows) == 18
    assert everything_in(tmp_path / "archive") == before


@pytest.mark.parametrize("form", WRITERS)
def test_a_file_has_what_standard_output_would_have(form: str, config: Path, tmp_path: Path) -> None:
    target = tmp_path / "exported"
    done = export(config, form, "--out", str(target))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"{LAST_LINE}\n")
    piped = subprocess.run(
        [*PROGRAM, "export", form, "--config", str(config), "--out", "-"],
        capture_output=True, env=environment(), check=True,
    )  # fmt: skip
    if form == "xlsx":  # a pipe cannot be rewound, so that lengths are written elsewhere
        assert piped.stdout[:4] == target.read_bytes()[:4]
    else:
        assert piped.stdout == target.read_bytes()
    assert [path.name for path in tmp_path.glob("exported*")] == ["exported"]


def test_the_range_and_the_meters_are_those_that_were_asked_for(config: Path, tmp_path: Path) -> None:
    store(tmp_path / "archive" / "garage", [filled(DAYS[0])])
    more = '[[account.meter]]\nname = "garage"\nid = "a8032abe41fd"\ntimezone = "Europe/Berlin"\n'
    config.write_text(config.read_text() + more)
    done = export(config, "csv", "--meter", "house", "--since", str(DAYS[1]), "--until", str(DAYS[1]))
    rows = csv_rows(done.stdout.encode())
    assert {(row["meter"], row["local"][:10]) for row in rows} == {("house", str(DAYS[1]))}
    assert done.stderr.endswith("24 hours of 1 day, 0 of them incomplete, of 1 meter\n")
    assert {row["meter"] for row in csv_rows(export(config, "csv").stdout.encode())} == {"house", "garage"}


def test_a_damaged_day_is_reported_the_rest_exported_and_the_exit_code_is_1(
    config: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "archive" / "house" / f"{DAYS[1]}.jsonl"
    damaged.write_bytes(damaged.read_bytes()[:300])
    done = export(config, "csv")
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert first.startswith(f"house {DAYS[1]}: problem with the file of the day: line ")
    assert last == (
        "Exported: 48 hours of 2 days, 0 of them incomplete, of 1 meter; "
        "1 day with a problem (`verify` shows more)"
    )
    assert {row["local"][:10] for row in csv_rows(done.stdout.encode())} == {str(DAYS[0]), str(DAYS[2])}


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody who may not read")
def test_an_unreadable_day_is_reported_and_the_rest_exported(
    config: Path, tmp_path: Path, forked: Forks
) -> None:
    for folder in (tmp_path, *pytests_own(tmp_path)):
        folder.chmod(0o755)
    for path in (tmp_path / "archive").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (tmp_path / "archive" / "house" / f"{DAYS[1]}.jsonl").chmod(0o600)
    ended = forked.run("export", "csv", "--config", str(config), uid=NOBODY)
    assert ended.code == 1
    assert f"house {DAYS[1]}: problem with the file of the day: it cannot be read" in ended.err
    assert len(csv_rows(ended.out.encode())) == 48


@pytest.mark.parametrize("form", WRITERS)
def test_on_a_full_disk_the_old_file_stays(form: str, config: Path, tmp_path: Path) -> None:
    """A limit of the size of a file stands for the disk."""
    store(tmp_path / "archive" / "house", [filled(date(2023, 1, 1) + timedelta(days=n)) for n in range(90)])
    target = tmp_path / "exported"
    target.write_text("as before")
    command = shlex.join([*PROGRAM, "export", form, "--config", str(config), "--out", str(target)])
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 8; exec {command}"],
        capture_output=True, text=True, env=environment(PYTHONDONTWRITEBYTECODE="1"), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (74, "")
    (line,) = done.stderr.splitlines()
    assert " cannot be written: " in line
    assert target.read_text() == "as before"
    assert [path.name for path in tmp_path.glob("exported*")] == ["exported"]


def test_a_command_that_is_interrupted_leaves_the_old_file_and_no_other(config: Path, tmp_path: Path) -> None:
    store(tmp_path / "archive" / "house", [filled(date(2022, 1, 1) + timedelta(days=n)) for n in range(600)])
    target = tmp_path / "exported"
    target.write_text("as before")
    process = started("export", "xlsx", "--config", str(config), "--out", str(target))
    while len(list(tmp_path.glob("exported*"))) == 1:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (130, "")
    assert target.read_text() == "as before"
    assert [path.name for path in tmp_path.glob("exported*")] == ["exported"]


def test_a_file_is_replaced_where_a_link_leads_and_the_link_stays(config: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "hours.csv").write_text("as before")
    link = tmp_path / "hours.csv"
    link.symlink_to("elsewhere/hours.csv")
    assert export(config, "csv", "--out", str(link)).returncode == 0
    assert link.is_symlink()
    assert len(csv_rows(link.read_bytes())) == 72


def test_a_pipe_with_a_name_is_written_to(config: Path) -> None:
    piped = subprocess.run(
        [*PROGRAM, "export", "csv", "--config", str(config), "--out", "/dev/stdout"],
        capture_output=True, env=environment(), check=True,
    )  # fmt: skip
    assert len(csv_rows(piped.stdout)) == 72


def test_a_device_is_written_to_and_not_replaced(config: Path) -> None:
    assert export(config, "csv", "--out", "/dev/null").returncode == 0
    assert Path("/dev/null").is_char_device()
    assert refused(config, "csv", "--out", "/dev/full", code=74) == (
        "/dev/full cannot be written: No space left on device"
    )


def test_no_export_replaces_a_file_of_the_archive(config: Path, tmp_path: Path) -> None:
    day = tmp_path / "archive" / "house" / f"{DAYS[0]}.jsonl"
    before = everything_in(tmp_path / "archive")
    assert "is in the archive" in refused(config, "csv", "--out", str(day), code=2)
    (tmp_path / "link").symlink_to(day)
    assert "is in the archive" in refused(config, "csv", "--out", str(tmp_path / "link"), code=2)
    assert everything_in(tmp_path / "archive") == before


def test_a_folder_and_a_place_that_is_not_there_are_refused_with_the_reason(
    config: Path, tmp_path: Path
) -> None:
    assert "is a folder: name a file in it" in refused(config, "csv", "--out", str(tmp_path), code=74)
    missing = tmp_path / "none" / "x"
    assert refused(config, "csv", "--out", str(missing), code=74) == (
        f"{missing} cannot be written: No such file or directory"
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["xlsx", "--decimal", ","], "--decimal is an option of csv, not of xlsx"),
        (["csv", "--cumulative"], "--cumulative is an option of influx, not of csv"),
        (["csv", "--decimal", ",", "--delimiter", ","], "--decimal and --delimiter must be different signs"),
        (["influx", "--measurement", ""], "--measurement must be a name without line breaks"),
        (["csv", "--since", "2024-02-01", "--until", "2024-01-01"], "--since is after --until"),
        (["csv", "--meter", "attic"], "no meter 'attic' in "),
    ],
)
def test_wrong_usage_is_answered_in_one_line(words: list[str], reason: str, config: Path) -> None:
    assert reason in refused(config, *words, code=2)


def test_what_a_format_cannot_express_leaves_the_old_file(config: Path, tmp_path: Path) -> None:
    config.write_text(config.read_text().replace("Europe/Berlin", "Asia/Kolkata"))
    store(tmp_path / "archive" / "house", [filled(day, ZoneInfo("Asia/Kolkata")) for day in DAYS])
    target = tmp_path / "exported"
    target.write_text("as before")
    line = refused(config, "homeassistant", "--out", str(target), code=2)
    assert line.startswith("homeassistant: ")
    assert target.read_text() == "as before"
    assert [path.name for path in tmp_path.glob("exported*")] == ["exported"]


def test_the_folder_of_another_meter_is_refused(config: Path, tmp_path: Path) -> None:
    mark_as(tmp_path / "archive" / "house", "0" * 12)
    assert "contains the history of device 000000000000" in refused(config, "csv", code=73)


def test_an_archive_that_is_not_there_is_refused_and_one_without_a_day_is_not(
    config: Path, tmp_path: Path
) -> None:
    (tmp_path / "archive").rename(tmp_path / "moved")
    assert refused(config, "csv", code=73).endswith("archive: no such folder")
    (tmp_path / "archive").mkdir()
    done = export(config, "csv")
    assert (done.returncode, csv_rows(done.stdout.encode())) == (0, [])
    assert done.stderr == "Exported: 0 hours of 0 days, 0 of them incomplete, of 1 meter\n"


@pytest.mark.parametrize("form", WRITERS)
def test_a_reader_that_has_gone_is_no_error(form: str, config: Path) -> None:
    """`export csv | head`: exit 0, and not a word."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PROGRAM, "export", form, "--config", str(config)],
        stdout=writer, stderr=subprocess.PIPE, text=True, env=environment(), check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_not_text_is_not_written_to_a_terminal(config: Path) -> None:
    reader, terminal = pty.openpty()
    done = subprocess.run(
        [*PROGRAM, "export", "xlsx", "--config", str(config)],
        stdout=terminal, stderr=subprocess.PIPE, text=True, env=environment(), check=False,
    )  # fmt: skip
    os.close(terminal)
    os.close(reader)
    assert (done.returncode, done.stderr) == (2, "xlsx is not text: name a file with --out FILE\n")
