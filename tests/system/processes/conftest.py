"""A simulated cloud in a process of its own, and a parent that forks the commands."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.processes import SCENARIO, Cloud, Forks, cloud_process, forks


@pytest.fixture(scope="session")
def cloud_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud_process(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def cloud(cloud_of_all: Cloud) -> Cloud:
    """As it was at its start, for each test that names it."""
    cloud_of_all.play(SCENARIO)
    cloud_of_all.reset()
    return cloud_of_all


@pytest.fixture(scope="session")
def forked() -> Forks:
    return forks()
