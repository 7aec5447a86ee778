"""The key: nowhere but in the request, whatever goes wrong."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from collector import logs
from collector.simulator import KINDS, Device, Fault
from tests.key_forms import AWKWARD_KEY as KEY
from tests.key_forms import forms_of
from tests.world import DEVICE, cloud_of, world

START = datetime(2026, 3, 20, 14, 30, tzinfo=UTC)


def assert_no_key_in(data: bytes) -> None:
    """Not one form of it."""
    for form in forms_of(KEY):
        assert form not in data


def test_the_scanner_finds_a_key_in_every_form() -> None:
    """A check that cannot fail is no check."""
    for form in forms_of(KEY):
        with pytest.raises(AssertionError):
            assert_no_key_in(b"before " + form + b" after")


@pytest.mark.parametrize("kind", KINDS)
async def test_no_failure_shows_the_key(
    kind: str, tmp_path: Path, log_lines: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every fault of the simulated cloud: no log line, no output, no file and no report holds the key."""
    retry = {"attempts": 2, "timeout_s": 5, "wait_initial_s": 1, "wait_max_s": 1, "wait_jitter_s": 0}
    scenario = cloud_of(Device(DEVICE), key=KEY, fault=(Fault(kind, times=9),))
    async with world(scenario, tmp_path, START) as here:
        settings = here.settings(retry=retry)
        logs.configure(format="json", level="debug", stream=log_lines, secrets=settings.secrets)
        report = await here.backfill(2, retry=retry)
        said = f"{report!r} {report.gave_up} {settings!r}"
        assert here.cloud.counts.total.keys_outside_query == 0
        assert here.cloud.counts.trap_hits == 0
    out, err = capfd.readouterr()
    assert_no_key_in((said + log_lines.getvalue() + out + err).encode())
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert_no_key_in(path.read_bytes())
    for line in log_lines.getvalue().splitlines():
        json.loads(line)  # one event, one line, whatever strings came


async def test_a_bug_in_the_middle_of_a_day_shows_no_key(
    tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error with the key in its text: told with its traceback, without the key."""
    async with world(cloud_of(Device(DEVICE), key=KEY), tmp_path, START) as here:
        settings = here.settings()
        logs.configure(format="json", level="debug", stream=log_lines, secrets=settings.secrets)
        url = f"{here.cloud.url}/?auth_key={quote(KEY)}"
        monkeypatch.setattr("collector.service.collection.read_day", lambda *told: int(url))
        report = await here.backfill(1)
        assert report.failures
    assert '"job.failed"' in log_lines.getvalue()
    assert "ValueError" in log_lines.getvalue()
    assert_no_key_in(log_lines.getvalue().encode())
