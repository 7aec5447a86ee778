"""A simulated cloud in a process of its own, for each test that names it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Cloud, cloud_process


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with cloud_process(tmp_path) as running:
        yield running
