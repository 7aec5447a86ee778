"""The rigs: what they need of the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.faults.amounts import is_long

_FOLDER = Path(__file__).parent
_LONG_S = 3000  # a rig that hangs shows; how long one takes is no test's business


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items if is_long() else ():
        if _FOLDER in item.path.parents:
            item.add_marker(pytest.mark.timeout(_LONG_S), append=False)


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
