"""One event, one line, no secret; and logging never stops its caller."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from collector import logs
from collector.events import EVENTS

KEY = "S3cret/Key+" * 8
NOON = datetime(2026, 3, 29, 12, 0, 0, 5000, UTC)


@pytest.fixture(autouse=True)
def unconfigured() -> Iterator[None]:
    root = logging.getLogger()
    before = list(root.handlers)
    root.handlers[:] = []
    yield
    structlog.reset_defaults()
    root.handlers[:] = before


def configured(**options: Any) -> io.StringIO:
    stream = io.StringIO()
    logs.configure(stream=stream, secrets=[KEY], environ={}, clock=lambda: NOON, **options)
    return stream


def test_an_event_is_one_json_object_a_line() -> None:
    stream = configured(format="json")
    logs.get_logger("collector.jobs").bind(account="home").info(
        "day.written", meter="grid", hours=23, kwh=1.5
    )
    assert stream.getvalue() == (
        '{"timestamp": "2026-03-29T12:00:00.005Z", "level": "info", "event": "day.written",'
        ' "logger": "collector.jobs", "account": "home", "meter": "grid", "hours": 23, "kwh": 1.5}\n'
    )


def test_auto_is_json_where_there_is_no_terminal() -> None:
    stream = configured(format="auto")
    logs.get_logger("x").info("day.written")
    assert json.loads(stream.getvalue())["event"] == "day.written"


def test_the_console_has_colours_only_on_a_terminal_without_no_color() -> None:
    assert "\x1b" not in console_output(io.StringIO(), {})
    assert "\x1b" in terminal_output({})
    assert "\x1b" not in terminal_output({"NO_COLOR": "1"})


def console_output(stream: io.StringIO, environ: dict[str, str]) -> str:
    logs.configure(format="console", stream=stream, environ=environ)
    logs.get_logger("x").info("day.written", meter="grid")
    return stream.getvalue()


def terminal_output(environ: dict[str, str]) -> str:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream:
        logs.configure(format="auto", stream=stream, environ=environ, under_systemd=True)
        logs.get_logger("x").info("day.written", meter="grid")
        text = os.read(ours, 4096).decode()
    os.close(ours)
    assert "meter" in text
    assert "<6>" not in text
    return text


def test_less_than_the_level_is_not_logged() -> None:
    stream = configured(level="warning")
    logs.get_logger("x").info("day.written")
    logs.get_logger("x").warning("day.partial")
    assert stream.getvalue().count("\n") == 1


@pytest.mark.parametrize("shape", ["json", "console"])
def test_under_systemd_each_line_has_its_priority(shape: str) -> None:
    stream = configured(format=shape, level="debug", under_systemd=True)
    log = logs.get_logger("x")
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(log, level)("job.failed")
    assert [line[:3] for line in stream.getvalue().splitlines()] == ["<7>", "<6>", "<4>", "<3>", "<3>"]


def test_a_unit_is_recognised_by_its_variables() -> None:
    assert logs.started_by_systemd({"JOURNAL_STREAM": "8:1"})
    assert logs.started_by_systemd({"INVOCATION_ID": "abc"})
    assert not logs.started_by_systemd({})


@pytest.mark.parametrize("shape", ["json", "console"])
@given(st.text(), st.text(min_size=1), st.lists(st.text()))
@profile(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_strings_come_an_event_is_one_line(
    shape: str, text: str, key: str, several: list[str]
) -> None:
    evil = text + "\n\r\x1b[2J\0\u2028\u202e\x85\x9b\x7f"
    stream = configured(format=shape)
    logs.get_logger("x" + evil).error(
        "job.failed", **{"f" + key: evil}, several=several, stack=evil, exception=evil
    )
    line = stream.getvalue()
    assert line.endswith("\n")
    assert line[:-1].isprintable()


@pytest.mark.parametrize("shape", ["json", "console"])
@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60))
@profile(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_secret_gets_into_a_line_by_any_way(shape: str, suffix: str) -> None:
    secret = "q7" + suffix
    stream = io.StringIO()
    logs.configure(format=shape, secrets=[secret], stream=stream, environ={})  # type: ignore[arg-type]
    log = logs.get_logger(secret).bind(**{"k" + secret: {secret: [(secret,)]}})
    try:
        local = secret
        raise ValueError(f"GET /?auth_key={local}") from OSError(secret.encode())
    except ValueError as error:
        log.exception(secret, error=error, path=Path(secret))
        logging.getLogger("aiohttp").error("failed %s", secret, exc_info=True)
    assert secret not in stream.getvalue()
    assert json.dumps(secret)[1:-1] not in stream.getvalue()
    assert stream.getvalue().count("\n") == 2


def test_a_traceback_is_logged_without_local_variables() -> None:
    stream = configured()

    def failing() -> None:
        unnamed = "a local " + "value"
        raise ValueError(len(unnamed))

    try:
        failing()
    except ValueError:
        logs.get_logger("x").exception("job.failed")
    (line,) = stream.getvalue().splitlines()
    trace = json.loads(line)["exception"]
    assert trace.startswith("Traceback")
    assert trace.endswith("ValueError: 13")
    assert "in failing" in trace
    assert "a local value" not in trace


def test_libraries_are_logged_from_warnings_on() -> None:
    stream = configured(level="debug")
    logging.getLogger("aiohttp.client").info("not this")
    logging.getLogger("asyncio").warning("slow %d", 3)
    broken = logging.LogRecord("apscheduler", logging.ERROR, __file__, 1, "%d", ("does not fit",), None)
    logging.getLogger().handlers[-1].handle(broken)
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["event"] == "library.reported"
    assert (first["logger"], first["level"], first["message"]) == ("asyncio", "warning", "slow 3")
    assert second["message"] == "%d"


def test_configuring_again_replaces_what_was() -> None:
    """No line comes twice, and loggers that were bound before redact the new secrets."""
    before = configured()
    bound = logs.get_logger("x").bind(meter="grid")
    after = io.StringIO()
    logs.configure(stream=after, secrets=["AnotherSecret"], environ={})
    bound.info("day.written", key="AnotherSecret")
    logging.getLogger("asyncio").warning("once")
    assert "AnotherSecret" not in before.getvalue()
    assert after.getvalue().count("once") == 1


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def test_a_value_without_a_text_does_not_stop_the_line() -> None:
    stream = configured()
    endless: list[Any] = []
    endless.append(endless)
    logs.get_logger("x").info(
        "day.written", a=Unspeakable(), b=endless, c=float("nan"), d=b"\xff", e="x" * 100_000, f=10**30
    )
    line = stream.getvalue()
    event = json.loads(line)
    assert event["a"] == "<Unspeakable>"
    assert event["c"] == "nan"
    assert len(line) < 20_000


class Refusing(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "full"), ValueError("closed")])
def test_a_stream_that_fails_does_not_stop_who_logs(error: Exception) -> None:
    logs.configure(stream=Refusing(error), environ={})
    logs.get_logger("x").info("day.written")
    logging.getLogger("asyncio").error("x")


TIDIED = """
import io, logging
from collector import logs
class Tidied(io.StringIO):
    def write(self, text):
        if "day.written" in text:
            logging.getLogger("asyncio").error("Task exception was never retrieved")
        return super().write(text)
stream = Tidied()
logs.configure(format="json", stream=stream, environ={})
logs.get_logger("x").info("day.written")
logs.get_logger("x").info("day.empty")
print(stream.getvalue(), end="")
"""


def test_a_task_that_goes_while_a_line_is_written_is_logged_after_it() -> None:
    """Bug: asyncio logs its failure at once, in the same thread, and that waited for itself for ever."""
    ran = subprocess.run([sys.executable, "-c", TIDIED], capture_output=True, timeout=30, check=True)
    events = [json.loads(line)["event"] for line in ran.stdout.splitlines()]
    assert events == ["day.written", "library.reported", "day.empty"]


def test_a_closed_stream_does_not_stop_who_logs() -> None:
    stream = io.StringIO()
    logs.configure(stream=stream, environ={})
    stream.close()
    logs.get_logger("x").info("day.written")
    logs.configure(stream=stream, environ={})
    logs.get_logger("x").info("day.written")


def test_a_stream_that_knows_ascii_only_gets_the_line_escaped(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        logs.configure(format="console", stream=stream, environ={})
        logs.get_logger("x").info("day.written", meter="Zähler")
    assert b"Z\\xe4hler" in (tmp_path / "log").read_bytes()


def test_a_long_value_is_cut_without_leaving_half_a_secret() -> None:
    stream = configured()
    logs.get_logger("x").info("day.written", body="x" * (8192 - 10) + KEY)
    assert KEY[:6] not in stream.getvalue()


SCRIPT = """
import sys
from collector import logs
logs.configure()
log = logs.get_logger("x")
for each in range(20_000):
    log.info("day.written", number=each)
sys.stderr.write("collected")
"""


@pytest.mark.parametrize("end", ["| head -n 1", ">&-", "> /dev/full"])
def test_a_reader_that_goes_away_does_not_stop_the_process(end: str) -> None:
    """Nor does it leave a traceback, not even at exit."""
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        ["sh", "-c", f'"{sys.executable}" -c "$SCRIPT" {end}'],
        capture_output=True,
        text=True,
        env={**environ, "SCRIPT": SCRIPT},
        check=False,
    )
    assert done.stderr == "collected"


def test_event_names_are_nouns_and_participles() -> None:
    for name, description in EVENTS.items():
        assert re.fullmatch(r"[a-z]+\.[a-z]+", name)
        assert description
