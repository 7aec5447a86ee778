"""X1, the key: nowhere but in the request, whatever goes wrong while it collects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.faults import figures
from tests.faults.failures import FAILURES, OTHERS
from tests.faults.showing import backfilled, lived
from tests.support.amounts import amount
from tests.support.key_forms import AWKWARD_KEY as KEY
from tests.support.key_forms import forms_of
from tests.support.scanner import assert_no_key_in

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


@pytest.mark.timeout(900)
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
            assert name not in OTHERS or level == "error" or said_of(name) in log, name
            for line in log.splitlines():
                lines += 1
                assert line.isprintable(), name
                assert form == "console" or json.loads(line)["event"], name
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


@pytest.mark.timeout(900)
async def test_no_service_shows_the_key(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Its status, ledger and page, what it tells systemd, and what the command of the alarm gets."""
    names = FAILURES[:: amount(8, 1)]
    places = children = 0
    for number, name in enumerate(names):
        found, told = await lived(name, tmp_path / str(number))
        out, err = capfd.readouterr()
        assert found == {}, name
        assert_no_key_in((out + err).encode())
        places += len(told)
        children += "environ" in told
    assert children >= len(names) // 2
    figures.note("X1", services=len(names), places=places, children=children, keys=0)
