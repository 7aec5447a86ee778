"""`backfill --dry-run` as a user meets it: from files alone, whoever asks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.cli import main
from tests.world import DEVICE

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
    """Bug: it asked for a key, and for `auth_key_file`, which is no flag; it makes no request."""
    words = ["backfill", "--host", "localhost", "--id", DEVICE, "--odir", str(tmp_path / "x")]
    assert main([*words, "--dry-run", "--json", "--days", "2"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)
    assert plan["requests"] == 6
    assert main(words) == 78
    error = capsys.readouterr().err
    assert "--auth_key: there is no key" in error
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
def test_an_empty_flag_stood_for_the_default(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: `--odir "$DIR"` with an unset variable silently filled ~/.shellyemdata."""
    given = {"host": "localhost", "id": DEVICE, "odir": str(tmp_path / "x"), "auth_key": "KEY0OF0NOBODY"}
    words = [word for name, value in (given | {flag: ""}).items() for word in (f"--{name}", value)]
    assert main(["backfill", *words, "--dry-run"]) == 78
    assert f"--{flag}" in capsys.readouterr().err


def test_an_empty_folder_of_the_demo_stood_for_the_current_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: as with `--odir`, the configuration and the archive came to lie where nobody meant them."""
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--once", "--dir", ""]) == 2
    assert "--dir is empty" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
