"""An archive in a folder that does not exist yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.archive.store import Archive
from tests.support.archives import opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "meter"


@pytest.fixture
def archive(folder: Path) -> Iterator[Archive]:
    with opened(folder) as each:
        yield each
