"""X1, on the command line: no command shows the key that it works with, however that goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults import figures
from tests.support.key_forms import AWKWARD_KEY
from tests.support.processes import cloud_process, collector
from tests.support.scanner import assert_no_key_in, found_in, found_under
from tests.support.world import DEVICE

_COMMANDS = [
    ["config", "check"],
    ["config", "show"],
    ["backfill", "--days", "2", "--verbose"],
    ["backfill", "--days", "2", "--json"],
    ["backfill", "--days", "9", "--dry-run", "--json"],
    ["status"],
    ["status", "--json"],
    ["status", "--all"],
    ["doctor"],
    ["doctor", "--json"],
    ["doctor", "--bundle", "{folder}/report.txt"],
    ["verify", "--json"],
    ["verify", "--cloud"],
    ["verify", "--fix"],
    ["setup", "--yes", "--dry-run"],
    ["setup", "--yes"],
]


@pytest.mark.parametrize(
    "cloud_knows", [AWKWARD_KEY, "another-key", None], ids=["accepted", "refused", "down"]
)
def test_no_command_shows_the_key(cloud_knows: str | None, tmp_path: Path) -> None:
    """Neither says it nor writes it: what a person sees, what a script reads, what a bug report holds."""
    place = tmp_path / "place"
    place.mkdir()
    config = tmp_path / "config.toml"
    if cloud_knows is None:
        _configure(config, place, "http://127.0.0.1:9")
        _use_all(config, place)
        return
    with cloud_process(tmp_path, _scenario(cloud_knows)) as cloud:
        _configure(config, place, cloud.url)
        _use_all(config, place)
        assert (cloud.counts()["total"]["requests"] > 0) and found_in(config.read_bytes())


def _use_all(config: Path, place: Path) -> None:
    for command in _COMMANDS:
        words = [word.replace("{folder}", str(place)) for word in command]
        done = collector(*words, "--config", str(config), env={"HOME": str(place)})
        assert done.returncode != 2, (command, done.stderr)
        assert_no_key_in((done.stdout + done.stderr).encode())
    assert found_under([place]) == {}
    assert (place / "report.txt").stat().st_size > 500
    figures.note("X1", commands=len(_COMMANDS), keys_shown=0)


def _configure(config: Path, place: Path, url: str) -> None:
    config.write_text(f"""
[pacing]
min_interval_s = 0
[retry]
attempts = 1
[archive]
path = "{place / "archive"}"
[[account]]
name = "home"
host = "{url}"
auth_key = {json.dumps(AWKWARD_KEY)}
[[account.meter]]
name = "house"
id = "{DEVICE}"
""")
    config.chmod(0o600)


def _scenario(key: str) -> str:
    return f"""
[[account]]
name = "home"
auth_key = {json.dumps(key)}
[[account.device]]
id = "{DEVICE}"
timezone = "Europe/Dublin"
"""
