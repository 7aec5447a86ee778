"""Where no machine can be had: a plain run of the tests goes on without, CI does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.system.machines import roots


@pytest.fixture(params=[pytest.skip.Exception, pytest.fail.Exception], ids=["plain", "CI"])
def refusal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> type[BaseException]:
    """How a test ends that cannot be tried: skipped in a plain run, failed under CI."""
    monkeypatch.delenv("CI", raising=False)
    if request.param is pytest.fail.Exception:
        monkeypatch.setenv("CI", "true")
    kind: type[BaseException] = request.param
    return kind


def test_a_missing_tool_is_named(
    refusal: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what brings it; to a user other than root, that root is needed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(refusal, match=r"apt-get install systemd-container mmdebstrap|only root"):
        roots.needed()


def test_a_machine_that_cannot_be_built_is_told_with_the_cause(
    refusal: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network, for example; nothing half-built is left for the next run."""
    tool = tmp_path / "mmdebstrap"
    tool.write_text("#!/bin/sh\necho 'E: no network' >&2\nexit 25\n")
    tool.chmod(0o755)
    cache = tmp_path / "cache"
    monkeypatch.setenv("PATH", f"{tmp_path}:{Path(shutil.which('sh') or '/bin/sh').parent}")
    monkeypatch.setenv(roots.CACHE_VARIABLE, str(cache))
    with pytest.raises(refusal, match="no bookworm machine can be built here: E: no network"):
        roots.unpacked("bookworm", tmp_path / "machine")
    assert [*cache.glob("*.tar")] == []
