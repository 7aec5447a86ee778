"""Signals that come while the service still loads its modules, which takes a third of a second and more."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import ROOT, Cloud, configuration, started, stop, wait_for

_SLOW = """
import sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "asyncio":
            print("loading", flush=True)
            time.sleep(1)

sys.meta_path.insert(0, Slow())
"""


@pytest.fixture
def loading(cloud: Cloud, tmp_path: Path) -> subprocess.Popen[str]:
    """A service that loads the first of its large modules for a second."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(_SLOW)
    config = configuration(tmp_path, cloud)
    process = started("run", "--config", str(config), PYTHONPATH=f"{tmp_path / 'slow'}:{ROOT}")
    wait_for(process, "loading")
    return process


def test_a_service_that_was_stopped_at_once_died_of_the_signal(loading: subprocess.Popen[str]) -> None:
    """Bug: -15 instead of 0."""
    assert stop(loading)[::2] == (0, "")


def test_a_reload_that_came_at_once_killed_the_service(loading: subprocess.Popen[str]) -> None:
    """Bug: -1. It reads the configuration again as soon as it can: it may have been read already."""
    loading.send_signal(signal.SIGHUP)
    wait_for(loading, "config.reloaded")
    assert stop(loading)[0] == 0
