"""The rigs: a form that takes an hour has more time for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.amounts import is_long

_FOLDER = Path(__file__).parent
_LONG_S = 3000  # a rig that hangs shows; how long one takes is no test's business


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items if is_long() else ():
        if _FOLDER in item.path.parents:
            item.add_marker(pytest.mark.timeout(_LONG_S), append=False)
