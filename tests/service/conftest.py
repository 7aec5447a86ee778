"""What the tests of the living service share."""

from __future__ import annotations

import pytest

from tests.support.service_life import look_about_rarely


@pytest.fixture
def rare_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of days and weeks that ask for no sign of life."""
    look_about_rarely(monkeypatch, 600.0)
