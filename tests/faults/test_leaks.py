"""X1, the key: nowhere but in the request, whatever goes wrong."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector import logs
from collector.cli.starting import advice_on
from tests.faults import figures
from tests.faults.amounts import amount
from tests.faults.failures import FAILURES, OTHERS, bring_about, scenario_of
from tests.faults.scanner import assert_no_key_in, found_in, found_under
from tests.key_forms import AWKWARD_KEY as KEY
from tests.key_forms import forms_of
from tests.world import world

START = datetime(2026, 3, 20, 14, 30, tzinfo=UTC)
RETRY = {"attempts": 2, "timeout_s": 5, "wait_initial_s": 1, "wait_max_s": 1, "wait_jitter_s": 0}
SHAPES: list[tuple[Any, Any]] = [
    *(("json", "debug"), ("console", "debug"), ("json", "warning"), ("console", "info")),
    *(("json", "info"), ("console", "warning"), ("json", "error"), ("console", "error")),
]


@pytest.mark.parametrize("before", [b"", b"x", b"xx"])
def test_the_scanner_finds_a_key_in_every_form(before: bytes) -> None:
    """A check that cannot fail is no check."""
    for form in forms_of(KEY):
        with pytest.raises(AssertionError):
            assert_no_key_in(before + form + b" after")


async def backfilled(name: str, folder: Path, form: Any, level: Any) -> tuple[dict[str, list[bytes]], str]:
    """Where the key is after a backfill with that failure: by place, how; and the log."""
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        async with world(scenario_of(name), folder, START) as here:
            bring_about(name, here, patch)
            settings = here.settings(retry=RETRY)
            logs.configure(format=form, level=level, stream=stream, secrets=settings.secrets)
            report = await here.backfill(2, retry=RETRY)
            assert here.cloud.counts.total.keys_outside_query == 0
            assert here.cloud.counts.trap_hits == 0
    told = {
        "log": stream.getvalue(),
        "report": f"{report.failures} {report.gave_up and advice_on(report.gave_up)}",
        "settings": f"{settings!r} {settings.accounts}",
    }
    found = {place: found_in(text.encode()) for place, text in told.items()}
    found |= {str(path): forms for path, forms in found_under([folder]).items()}
    return {place: forms for place, forms in found.items() if forms}, stream.getvalue()


@pytest.mark.timeout(300)
async def test_no_failure_shows_the_key(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every failure: no log line, no output, no file and no report holds it; an event is a line."""
    shapes = SHAPES[: amount(4, len(SHAPES))]
    lines = 0
    for form, level in shapes:
        for number, name in enumerate(FAILURES):
            found, log = await backfilled(name, tmp_path / f"{form}-{level}-{number}", form, level)
            out, err = capfd.readouterr()
            assert found == {}, (form, level, name)
            assert_no_key_in((out + err).encode())
            assert all(line.isprintable() for line in log.splitlines()), name
            assert name not in OTHERS or level == "error" or said_of(name) in log, name
            lines += len(
                [json.loads(line) for line in log.splitlines()] if form == "json" else log.splitlines()
            )
    assert len(FAILURES) >= 80
    figures.note("X1", failures=len(FAILURES), shapes_of_the_log=len(shapes), lines=lines, keys=0)


def said_of(name: str) -> str:
    """The event that tells of it: a failure that did not happen shows nothing."""
    if name.startswith("a bug"):
        return "job.failed"
    if "lost" in name or "broken" in name:
        return "library.reported"
    if "key" in name:
        return "key.refused"
    return "source.unavailable" if "name" in name or name.startswith(("nobody", "no TLS")) else "storage."
