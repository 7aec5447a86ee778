"""`backfill --dry-run` as a user runs it: from files alone, without a key."""

from __future__ import annotations

import errno
import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.archive.mark import FORMAT, Mark, write_mark
from collector.cli import main, starting
from collector.cli.backfill import expected_s
from collector.energy.days import wall_clock
from collector.energy.identity import Identity
from collector.service.backfill import Rehearsal
from collector.settings import load
from tests.support.archives import everything_in, older_file
from tests.support.world import DEVICE, mark_as

CONFIG = """
[archive]
path = "archive"
[[account]]
name = "home"
host = "shelly-12-eu.shelly.cloud"
auth_key_file = "nobody-may-read-it"
[[account.meter]]
name = "house"
id = "a1b2c3d4e5f6"
"""


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SHELLY_COLLECTOR_AUTH_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_a_dry_run_from_flags_needs_no_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bug: it required a key, and named `auth_key_file`, which is no flag; it sends no request."""
    words = ["backfill", "--host", "localhost", "--id", DEVICE, "--odir", str(tmp_path / "x")]
    assert main([*words, "--dry-run", "--json", "--days", "2"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)
    assert plan["requests"] == 6
    assert main(words) == 78
    error = capsys.readouterr().err
    assert "--auth_key: no key given" in error
    assert "auth_key_file" not in error


def test_a_dry_run_from_a_file_needs_no_key_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who may read the archive but not the key sees the plan, too."""
    (tmp_path / "config.toml").write_text(CONFIG)
    words = ["backfill", "--config", str(tmp_path / "config.toml")]
    assert main([*words, "--dry-run"]) == 0
    assert "house: 31 days" in capsys.readouterr().out
    assert main(words) == 78


def test_the_accounts_durations_were_added_up(tmp_path: Path) -> None:
    """Bug: "50 h left" for three hundred accounts, which are requested at the same time, in ten minutes."""
    more = "".join(
        f"""
        [[account]]
        name = "{name}"
        host = "shelly-13-eu.shelly.cloud"
        [[account.meter]]
        name = "{name}"
        id = "a1b2c3d4e5f6"
        """
        for name in ("barn", "mill")
    )
    shed = """[[account.meter]]
        name = "shed"
        id = "a1b2c3d4e5f7"
        """
    (tmp_path / "config.toml").write_text(CONFIG + shed + more)
    settings = load(tmp_path / "config.toml", {}, needs_keys=False)
    plans = [Rehearsal(meter.name, [], 100, 105.0) for meter in settings.meters]
    assert len(plans) == 4
    assert expected_s(settings, plans) == 210.0


IDENTITY = Identity("em", (DEVICE,), (0, 1))


def dry_run(folder: Path, *more: str) -> list[str]:
    return ["backfill", "--host", "localhost", "--id", DEVICE, "--odir", str(folder), "--dry-run", *more]


def plan_of(capsys: pytest.CaptureFixture[str], folder: Path, *more: str) -> dict[str, Any]:
    assert main(dry_run(folder, "--json", *more)) == 0
    (plan,) = json.loads(capsys.readouterr().out)
    assert isinstance(plan, dict)
    return plan


def test_a_dry_run_leaves_out_what_a_run_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: the days before the device was replaced were in the plan."""
    since = wall_clock().date() - timedelta(days=3)
    mark_as(tmp_path)
    write_mark(tmp_path / ".collector", Mark(IDENTITY, since))
    plan = plan_of(capsys, tmp_path, "--days", "9")
    assert min(plan["days"]) == str(since)
    assert plan["not_requested"] == str(since)
    assert main(dry_run(tmp_path, "--days", "9")) == 0
    assert f"days before {since} are not requested" in capsys.readouterr().out
    plan = plan_of(capsys, tmp_path, "--since", str(since - timedelta(days=2)))
    assert min(plan["days"]) == str(since - timedelta(days=2))
    assert plan["not_requested"] is None


def test_a_dry_run_counts_the_daily_totals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Bug: the 14 requests that the README mentions were not in the plan, which is a maximum."""
    plan = plan_of(capsys, tmp_path / "x", "--all")
    assert plan["requests"] == 2 * len(plan["days"]) + 14
    plan = plan_of(capsys, tmp_path / "x", "--days", "45")
    assert plan["requests"] == 2 * len(plan["days"])


def test_a_dry_run_names_the_first_and_the_last_of_its_days(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: the days that the cloud deletes first are requested first, so a plan of all began a month late."""
    days = plan_of(capsys, tmp_path / "x", "--all")["days"]
    assert days[-1] != min(days)
    assert main(dry_run(tmp_path / "x", "--all")) == 0
    assert f"{len(days)} days, {min(days)} to {max(days)};" in capsys.readouterr().out
    assert main(dry_run(tmp_path / "x", "--days", "0")) == 0
    assert re.search(r"1 day, (\S+) to \1;", capsys.readouterr().out)


def test_a_dry_run_refuses_a_newer_format_as_a_run_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: not with `--adopt`."""
    (tmp_path / ".collector").mkdir()
    (tmp_path / ".collector" / "archive.json").write_text(f'{{"format": {FORMAT + 1}}}')
    for more in ([], ["--adopt"]):
        assert main(dry_run(tmp_path, *more)) == 73
        assert "by a newer collector" in capsys.readouterr().err


def test_a_dry_run_reports_that_files_without_a_mark_must_be_proven(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: the plan was made as if they were this meter's. With `--adopt` the past is left out."""
    yesterday = wall_clock().date() - timedelta(days=1)
    (tmp_path / f"{yesterday}.jsonl").write_bytes(older_file(day=yesterday))
    before = everything_in(tmp_path)
    plan = plan_of(capsys, tmp_path, "--days", "3")
    assert plan["must_be_proven"]
    assert plan["requests"] == 2 * (len(plan["days"]) + 5)
    assert main(dry_run(tmp_path, "--days", "3")) == 0
    assert "compared with the cloud" in capsys.readouterr().out
    plan = plan_of(capsys, tmp_path, "--days", "3", "--adopt")
    assert not plan["must_be_proven"]
    assert len(plan["days"]) == 1
    assert everything_in(tmp_path) == before


def test_a_dry_run_plans_nothing_of_a_kind_that_was_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was found empty as another kind is requested again."""
    mark_as(tmp_path, kind="3em", channels=())
    empty = '{"day": "%s", "outcome": "empty", "asked_at": 9999999999, "tries": 1, "reason": ""}\n'
    (tmp_path / ".collector" / "ledger.jsonl").write_text(
        empty % (wall_clock().date() - timedelta(days=2)),
    )
    assert len(plan_of(capsys, tmp_path, "--days", "3")["days"]) == 4


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_what_cannot_be_written_is_not_called_unreadable(number: int) -> None:
    """Bug: `…/lock cannot be read: Read-only file system`."""
    refused = starting.unreadable(OSError(number, os.strerror(number), "/a/lock"), Path("/a"))
    assert refused.code == 74
    assert refused.lines == (f"/a/lock cannot be written: {os.strerror(number)}",)


def test_a_dry_run_refuses_another_meters_folder_as_a_run_does(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unless `--adopt` is given: then it is planned as a continuation."""
    yesterday = wall_clock().date() - timedelta(days=1)
    (tmp_path / f"{yesterday}.jsonl").write_bytes(older_file(day=yesterday))
    mark_as(tmp_path, "a8032abe41fc")
    assert main(dry_run(tmp_path)) == 73
    assert "a8032abe41fc" in capsys.readouterr().err
    assert len(plan_of(capsys, tmp_path, "--adopt")["days"]) == 1


@pytest.mark.parametrize("in_file", [True, pytest.param(False, marks=pytest.mark.slow)])  # 15 s of retries
def test_an_archive_that_is_missing_is_noticed_where_a_service_may_have_had_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], in_file: bool
) -> None:
    """What flags name is no service's: whoever deletes such a folder may begin anew."""
    folder = tmp_path / "archive" / "house"
    known = tmp_path / ".local" / "state" / "shelly-collector"
    known.mkdir(parents=True)
    (known / "archives.json").write_text(json.dumps([str(folder), str(tmp_path / "odir")]))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("SHELLY_COLLECTOR_AUTH_KEY", "A0KEY0OF0THE0TESTS0AND0OF0NOBODY")
    config = tmp_path / "config.toml"
    text = CONFIG.replace('auth_key_file = "nobody-may-read-it"\n', "").replace(
        '"archive"', f'"{tmp_path / "archive"}"'
    )
    config.write_text(text.replace("shelly-12-eu.shelly.cloud", "http://127.0.0.1:9"))
    flags = ["--host", "http://127.0.0.1:9", "--id", DEVICE, "--odir", str(tmp_path / "odir")]
    dry = main(["backfill", "--dry-run", *(["--config", str(config)] if in_file else flags)])
    assert dry == (73 if in_file else 0)
    assert ("an archive was there before" in capsys.readouterr().err) is in_file
    code = main(["backfill", "--days", "0", *(["--config", str(config)] if in_file else flags)])
    assert code == (73 if in_file else 69)
    assert ("an archive was there before" in capsys.readouterr().err) is in_file


@pytest.mark.parametrize("where", ["file", "file/x", "file/x/y", "/dev/null", "absent/x"])
def test_a_dry_run_planned_for_a_place_where_no_archive_can_be(
    where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: a plan and exit 0, and then the real run ended with 73 before its first request."""
    (tmp_path / "file").touch()
    words = ["backfill", "--host", "localhost", "--id", DEVICE, "--odir", str(tmp_path / where), "--dry-run"]
    assert main(words) == 73
    out, err = capsys.readouterr()
    assert out == ""
    named = tmp_path / where.split("/")[0] if where[0] != "/" else where
    assert str(named) in err
    assert ("does not exist" if where == "absent/x" else "is not a folder") in err


@pytest.mark.parametrize("flag", ["host", "id", "odir", "auth_key", "pv_id"])
def test_an_empty_flag_was_taken_for_the_default(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: `--odir "$DIR"` with an unset variable silently filled ~/.shellyemdata."""
    given = {"host": "localhost", "id": DEVICE, "odir": str(tmp_path / "x"), "auth_key": "KEY0OF0NOBODY"}
    words = [word for name, value in (given | {flag: ""}).items() for word in (f"--{name}", value)]
    assert main(["backfill", *words, "--dry-run"]) == 78
    assert f"--{flag}" in capsys.readouterr().err


def test_an_empty_folder_of_the_demo_was_taken_for_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: as with `--odir`, the configuration and the archive came to lie where nobody meant them."""
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--once", "--dir", ""]) == 2
    assert "--dir is empty" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
