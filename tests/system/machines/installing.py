"""A machine with the collector on it, installed by the README's own lines, beside a simulated cloud."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support import documented
from tests.support.key_forms import AWKWARD_KEY
from tests.system.machines import roots

REPOSITORY = Path(__file__).parents[3]
HOUSE, BARN = "a8032abe41fc", "a8032abe41fd"
ZONE = "Europe/Dublin"
_PYTHONS = {"bookworm": "3.11", "trixie": "3.13"}
_CLOUD = "/opt/shelly-collector/bin/python3 -m tests.support.faulty_cloud --scenario /root/scenario.toml"
# As docs/install.md has them for those who write both files themselves.
_BY_HAND = """\
install -m 640 -g shelly-collector config/collector.toml /etc/shelly-collector/config.toml
install -m 600 /dev/null /etc/shelly-collector/auth_key
"""
_SCENARIO = f"""
[[account]]
name = "home"
auth_key = '''{AWKWARD_KEY}'''
[account.limit]
style = "none"
[[account.device]]
id = "{HOUSE}"
timezone = "{ZONE}"
[[account.device]]
id = "{BARN}"
timezone = "{ZONE}"
[[fault]]
kind = "echoed_key"
device = "{BARN}"
on_requests = [3]
"""
_EDITS = {
    'host = "shelly-12-eu.shelly.cloud"': 'host = "http://127.0.0.1:8765"',
    'name = "grid"': 'name = "house"',
    'id = "a1b2c3d4e5f6"': f'id = "{HOUSE}"',
    # The simulated cloud needs no pace, a week is enough, and the most talkative log hides a key worst.
    "min_interval_s = 1.05": "min_interval_s = 0",
    'backfill_days = "all"': "backfill_days = 6",
    'level = "info"': 'level = "debug"',
}


def installed(suite: str, folder: Path) -> Path:
    """A machine of that suite, ready for the README's second block of lines."""
    wheels = _wheels(_PYTHONS[suite], folder / "wheels")
    root = roots.unpacked(suite, folder)
    shutil.copytree(REPOSITORY, root / "root/clone", ignore=shutil.ignore_patterns(".*", "__pycache__"))
    done = roots.inside(
        root, "bash", "-euxo", "pipefail", "-c", f"cd /root/clone\n{documented.installing()}{_BY_HAND}",
        binds={"/wheels": wheels}, env={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels"}, timeout_s=200,
    )  # fmt: skip
    if done.returncode:
        pytest.fail(f"The README's lines end with {done.returncode}:\n{done.stdout}{done.stderr}")
    (root / "etc/shelly-collector/auth_key").write_text(f"{AWKWARD_KEY}\n")
    _edit(root / "etc/shelly-collector/config.toml")
    (root / "root/scenario.toml").write_text(_SCENARIO)
    cloud = f"[Service]\nWorkingDirectory=/root/clone\nExecStart={_CLOUD}\n"
    (root / "etc/systemd/system/cloud.service").write_text(cloud)
    return root


def tried(root: Path, trial: str, results: Path) -> Path:
    """Runs a module of `trials` in the booted machine; gives the folder of its facts."""
    script = f"#!/bin/sh\ncd /repository && exec python3 -B -m tests.system.machines.trials.{trial}\n"
    return roots.booted(root, script, results, binds={"/repository": REPOSITORY})


def _wheels(python: str, folder: Path) -> Path:
    """All that pip wants for the program, to build and to run it with that Python."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder)]
    target = ["--python-version", python, "--only-binary=:all:"]
    try:
        done = subprocess.run(
            [*words, *target, *wanted], capture_output=True, text=True, check=False, timeout=200
        )
    except subprocess.TimeoutExpired:
        roots.without("pip could not load the program's requirements within 200 s")
    if done.returncode:
        roots.without(f"pip cannot load the program's requirements: {done.stderr[-2000:]}")
    return folder


def _edit(config: Path) -> None:
    """What the README asks a person to write there, and what makes a trial quick."""
    text = config.read_text()
    for shipped, ours in _EDITS.items():
        assert shipped in text, f"config/collector.toml has no {shipped}"
        text = text.replace(shipped, ours)
    config.write_text(text)
