"""The rigs: what they need of the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        _needed(marker.args)


def _needed(tools: Sequence[str]) -> None:
    """Skips where root or a program is missing; under CI, where all is installed, it fails instead."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if os.geteuid() != 0:
        missing.append("root")
    if missing and os.environ.get("CI"):
        pytest.fail(f"this rig was not tried: {', '.join(missing)} missing")
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
