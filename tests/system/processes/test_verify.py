"""`verify` as a user or a script meets it: what it prints, how it ends, and what it leaves alone."""

from __future__ import annotations

import json
import os
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.archive.mark import Mark, write_mark
from collector.energy.days import wall_clock
from collector.energy.identity import Identity
from tests.support.archives import everything_in, of_an_inverter, older_file
from tests.support.energy_days import AUTUMN, ORDINARY, SPRING
from tests.support.processes import SCENARIO, Cloud, collector, configuration, started, stop, wait_for
from tests.support.world import DEVICE, KEY, mark_as


@pytest.fixture
def config(cloud: Cloud, tmp_path: Path) -> Path:
    """An archive with ten complete days."""
    path = configuration(tmp_path, cloud)
    done = collector("backfill", "--config", str(path), "--days", "10")
    assert done.returncode == 0, done.stderr
    cloud.reset()
    return path


def files(tmp_path: Path) -> list[Path]:
    """The day files of complete days, newest first."""
    found = sorted((tmp_path / "archive" / "house").glob("*.jsonl"), reverse=True)
    return [path for path in found if b"partial" not in path.read_bytes()]


def flip(path: Path) -> date:
    """One digit of it is another one."""
    data = path.read_bytes()
    place = data.index(b'"consumed": ') + len(b'"consumed": ')
    path.write_bytes(data[:place] + (b"7" if data[place : place + 1] != b"7" else b"8") + data[place + 1 :])
    return date.fromisoformat(path.stem)


def report(*words: str, code: int) -> dict[str, Any]:
    done = collector("verify", "--json", *words)
    assert done.returncode == code, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_a_sound_archive_is_exit_0_and_nothing_is_touched(config: Path, tmp_path: Path) -> None:
    """Without the cloud, and without a key."""
    before = everything_in(tmp_path / "archive")
    config.write_text(config.read_text().replace(f'auth_key = "{KEY}"', 'auth_key_file = "/nowhere"'))
    done = collector("verify", "--config", str(config))
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["meter", "days", "findings"]
    assert lines[1].split()[0::2] == ["house", "none"]
    assert lines[2].endswith("days checked: no problems found.")
    assert everything_in(tmp_path / "archive") == before


def test_a_flipped_digit_is_exit_1_with_its_line(config: Path, tmp_path: Path) -> None:
    """A line a finding, and what can be done."""
    day = flip(files(tmp_path)[3])
    done = collector("verify", "--config", str(config))
    assert done.returncode == 1
    assert f"house {day} identity: line 1: consumed is " in done.stdout
    assert f"house {day} checksum: " in done.stdout
    assert "--fix" in done.stdout.splitlines()[-1]


def test_the_report_for_machines_has_these_keys(config: Path, tmp_path: Path) -> None:
    """Stable: scripts rely on them."""
    day = flip(files(tmp_path)[3])
    seen = report("--config", str(config), code=1)
    assert set(seen) == {"meters", "findings"}
    (meter,) = seen["meters"]
    assert set(meter) == {"meter", "folder", "zone", "days", "quarantined", "findings", "cloud"}
    assert (meter["meter"], meter["zone"], meter["cloud"]) == ("house", "Europe/Dublin", None)
    assert seen["findings"] == len(meter["findings"]) == 2
    assert [set(finding) for finding in meter["findings"]] == [{"day", "code", "line", "text", "action"}] * 2
    identity = meter["findings"][0]
    assert (identity["day"], identity["code"], identity["line"]) == (str(day), "identity", 1)
    assert identity["action"] is None


def test_fix_moves_aside_and_the_next_backfill_has_the_day_again(config: Path, tmp_path: Path) -> None:
    """Then all is well."""
    path = files(tmp_path)[3]
    good = path.read_bytes()
    flip(path)
    seen = report("--config", str(config), "--fix", code=1)
    assert {finding["action"] for finding in seen["meters"][0]["findings"]} == {"quarantined"}
    assert seen["meters"][0]["quarantined"] == 1
    assert not path.exists()
    assert collector("backfill", "--config", str(config), "--days", "10").returncode == 0
    assert path.read_bytes() == good
    seen = report("--config", str(config), code=0)
    assert (seen["findings"], seen["meters"][0]["quarantined"]) == (0, 1)
    assert "house: 1 damaged file is in " in collector("verify", "--config", str(config)).stdout


def test_a_day_that_is_gone_is_reported_until_fix_accepts_it(config: Path, tmp_path: Path) -> None:
    """Bug: there was no finding. A file that a sync client left beside it stays where it is."""
    gone, kept = files(tmp_path)[3:5]
    stray = kept.with_name(f"{kept.stem} (1).jsonl")
    stray.write_bytes(gone.read_bytes())
    gone.unlink()
    seen = report("--config", str(config), code=1)
    found = [(each["day"], each["code"]) for each in seen["meters"][0]["findings"]]
    assert found == [(gone.stem, "gone"), (None, "stray")]
    assert seen["meters"][0]["days"] == len(list(gone.parent.glob("????-??-??.jsonl")))
    done = collector("verify", "--config", str(config), "--fix")
    assert f"house {gone.stem} gone: " in done.stdout
    assert "fetched again" in done.stdout
    seen = report("--config", str(config), code=1)
    assert [each["code"] for each in seen["meters"][0]["findings"]] == ["stray"]
    assert stray.exists()


def test_it_runs_beside_the_service_but_does_not_fix(config: Path, tmp_path: Path) -> None:
    """75 with the cure, and the service keeps running."""
    service = started("run", "--config", str(config))
    try:
        wait_for(service, "service.ready")
        assert collector("verify", "--config", str(config)).returncode == 0
        for flag in ("--fix", "--cloud"):
            done = collector("verify", "--config", str(config), flag)
            assert done.returncode == 75
            assert "systemctl stop" in done.stderr
        assert service.poll() is None
    finally:
        assert stop(service)[0] == 0


def test_a_folder_of_the_older_utility_is_checked_without_a_configuration(tmp_path: Path) -> None:
    """`--odir`, as the backfill by flags has it."""
    odir = tmp_path / "odir"
    odir.mkdir()
    for day in (ORDINARY, SPRING, AUTUMN):
        (odir / f"{day}.jsonl").write_bytes(older_file(day=day))
    before = everything_in(odir)
    assert report("--odir", str(odir), code=0)["meters"][0]["days"] == 3
    assert everything_in(odir) == before
    (odir / f"{ORDINARY}.jsonl").write_bytes(b"")
    seen = report("--odir", str(odir), code=1)
    assert [finding["code"] for finding in seen["meters"][0]["findings"]] == ["unreadable"]
    mark_as(odir, DEVICE)
    seen = report("--odir", str(odir), "--fix", code=1)
    assert seen["meters"][0]["findings"][0]["action"] == "quarantined"
    assert (odir / ".collector" / "quarantine" / f"{ORDINARY}.jsonl.1").exists()
    report("--odir", str(odir), code=0)


def test_a_folder_without_a_mark_is_not_repaired(tmp_path: Path) -> None:
    """Bug: another tool's good files were moved into quarantine."""
    odir = tmp_path / "odir"
    of_an_inverter(odir, ORDINARY)
    before = everything_in(odir)
    report("--odir", str(odir), code=1)
    done = collector("verify", "--odir", str(odir), "--fix")
    assert done.returncode == 73
    assert f"whose day files are in {odir}" in done.stderr
    assert "`backfill`" in done.stderr
    assert everything_in(odir) == before


def test_what_another_meter_counted_is_not_moved_aside(tmp_path: Path) -> None:
    """Bug: of a folder alone, the old device's days were taken for ones that would be collected again."""
    odir = tmp_path / "odir"
    odir.mkdir()
    today = wall_clock().date()
    day = today - timedelta(days=9)
    path = odir / f"{day}.jsonl"
    path.write_bytes(older_file(day=day) + b"a line of somebody\n")
    (odir / ".collector").mkdir()
    write_mark(odir / ".collector", Mark(Identity("em", (DEVICE,), (0, 1)), today))
    seen = report("--odir", str(odir), "--fix", code=1)
    assert {finding["action"] for finding in seen["meters"][0]["findings"]} == {"kept"}
    assert path.exists()


def test_a_pipe_in_place_of_a_file_does_not_block(config: Path, tmp_path: Path) -> None:
    """It is a finding."""
    path = files(tmp_path)[3]
    path.unlink()
    os.mkfifo(path)
    seen = report("--config", str(config), code=1)
    assert [finding["code"] for finding in seen["meters"][0]["findings"]] == ["unreadable"]


def test_the_cloud_finds_a_wrong_number_that_nothing_else_shows(
    config: Path, tmp_path: Path, cloud: Cloud
) -> None:
    """Both numbers are printed, in two requests; the next backfill reads the day again."""
    path = files(tmp_path)[3]
    good = path.read_bytes()
    assert report("--config", str(config), "--cloud", code=0)["meters"][0]["cloud"]["differences"] == []
    assert cloud.counts()["total"]["requests"] == 2
    place = good.rindex(b'"import": ') + len(b'"import": ')
    digit = b"%d" % ((int(good[place : place + 1]) + 1) % 10)
    (tmp_path / "archive" / "house" / ".collector" / "checksums").unlink()
    path.write_bytes(good[:place] + digit + good[place + 1 :])
    seen = report("--config", str(config), "--cloud", code=1)
    (meter,) = seen["meters"]
    assert set(meter["cloud"]) == {
        "days", "requests", "differences", "uncertain", "unanswered", "distrusted", "gave_up",
    }  # fmt: skip
    (difference,) = meter["cloud"]["differences"]
    assert set(difference) == {"day", "column", "stored_kwh", "cloud_kwh"}
    assert (difference["day"], difference["column"]) == (path.stem, "import")
    assert abs(difference["stored_kwh"] - difference["cloud_kwh"]) == pytest.approx(1, abs=0.01)
    table = collector("verify", "--config", str(config), "--cloud").stdout
    assert f"house {path.stem} cloud: import: file " in table
    assert "1 differ." in table.splitlines()[-1]
    assert collector("backfill", "--config", str(config), "--days", "10").returncode == 0
    assert path.read_bytes() == good


def test_most_days_differed_and_the_next_run_overwrote_them(config: Path, tmp_path: Path) -> None:
    """Bug: a whole archive was replaced. The differences are listed, and no day is read again."""
    config.write_text(config.read_text() + "grid_scale_factor = 2\n")
    before = {path: path.read_bytes() for path in files(tmp_path)}
    seen = report("--config", str(config), "--cloud", code=1)["meters"][0]["cloud"]
    assert {each["day"] for each in seen["differences"]} == {path.stem for path in before}
    assert seen["distrusted"].startswith("10 of 10 complete days differ")
    done = collector("verify", "--config", str(config), "--cloud")
    assert done.returncode == 1
    assert "house cloud: 10 of 10 complete days differ, more than a fifth" in done.stdout
    assert "no day is fetched again" in done.stdout
    assert "grid_scale_factor" in done.stdout
    assert "will be fetched again" not in done.stdout
    assert collector("backfill", "--config", str(config), "--days", "10").returncode == 0
    assert {path: path.read_bytes() for path in before} == before


def test_days_that_could_not_be_compared_are_exit_1(config: Path, cloud: Cloud) -> None:
    """An answer that cannot be used: it is not known whether the files are right."""
    cloud.play(SCENARIO + '[[fault]]\nkind = "no_interval"\n')
    (meter,) = report("--config", str(config), "--cloud", code=1)["meters"]
    assert (meter["findings"], meter["cloud"]["differences"], meter["cloud"]["gave_up"]) == ([], [], None)
    (unanswered,) = meter["cloud"]["unanswered"]
    assert set(unanswered) == {"first", "last", "reason"}
    assert "interval" in unanswered["reason"]


@pytest.mark.parametrize(("kind", "code"), [("bad_key", 77), ("status_500", 69), ("redirect_307", 69)])
def test_a_failure_of_the_cloud_is_shown_by_the_exit_code(
    config: Path, cloud: Cloud, kind: str, code: int
) -> None:
    """The files are checked all the same; the key shows nowhere.

    Bug: the last line was that nothing is wrong, and that 0 differ.
    """
    cloud.play(SCENARIO + f'[[fault]]\nkind = "{kind}"\n')
    done = collector("verify", "--config", str(config), "--cloud")
    assert done.returncode == code
    assert "The cloud" in done.stderr
    assert "days checked: no problems in the files" in done.stdout
    assert "The comparison with the cloud FAILED: no day was compared" in done.stdout
    assert "no problems found" not in done.stdout
    assert KEY not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--odir", "/nowhere/at/all"], 73),
        (["--odir", ".", "--meter", "house"], 2),
        (["--odir", ".", "--cloud"], 2),
        (["--meter", "barn"], 2),
    ],
)
def test_impossible_options_are_one_line_of_error(config: Path, words: list[str], code: int) -> None:
    """In one line, without a traceback."""
    given = words if "--odir" in words else ["--config", str(config), *words]
    done = collector("verify", *given)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.parametrize("is_there", [True, False])
def test_an_archive_whose_disk_is_not_mounted_is_reported_by_every_command(
    cloud: Cloud, tmp_path: Path, is_there: bool
) -> None:
    """Bug: `verify` and `doctor` found nothing wrong; `--fix` and `--cloud` created a second archive."""
    house, known = tmp_path / "archive" / "house", tmp_path / "state" / "shelly-collector"
    house.mkdir(parents=True) if is_there else house.parent.mkdir()
    known.mkdir(parents=True)
    (known / "archives.json").write_text(json.dumps([str(house)]))
    config = str(configuration(tmp_path, cloud))
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    for flags in (["--fix"], ["--cloud"], ["--fix", "--cloud"]):
        done = collector("verify", "--config", config, *flags, env=state)
        assert done.returncode == 73
        assert f"{house} is empty, and an archive was there before" in done.stderr
    done = collector("verify", "--config", config, env=state)
    assert done.returncode == 1
    assert "house archive: " in done.stdout
    assert "not mounted. Mount it" in done.stdout
    done = collector("doctor", "--config", config, env=state)
    assert done.returncode == 1
    assert "an archive was there before" in done.stdout
    done = collector("backfill", "--config", config, "--days", "0", env=state)
    assert done.returncode == 73
    assert "archive was there before" in done.stderr
    assert everything_in(tmp_path / "archive") == {}


def test_a_meter_without_files_is_no_finding(cloud: Cloud, tmp_path: Path) -> None:
    """The service has not started yet."""
    (tmp_path / "archive").mkdir()
    config = configuration(tmp_path, cloud)
    assert report("--config", str(config), code=0)["meters"][0]["days"] == 0
    assert list((tmp_path / "archive").iterdir()) == []
