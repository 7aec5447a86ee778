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
