"""The three streams closed, full, or gone: no traceback, and an exit code that says what happened."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import (
    PROGRAM,
    Cloud,
    Ended,
    Forks,
    cloud_process,
    collector,
    configuration,
    environment,
)
from tests.support.world import DEVICE, KEY

FULL = "/dev/full"
CANNOT_WRITE = 74
COMMANDS = {
    "version": ["--version"],
    "help": ["--help"],
    "help of a command": ["backfill", "--help"],
    "no such command": ["backfil"],
    "wrong usage": ["backfill", "--days", "x"],
    "no configuration": ["run", "--config", "{folder}/none.toml"],
    "config show": ["config", "show", "--config", "{config}"],
    "status": ["status", "--config", "{config}"],
    "dry run": ["backfill", "--dry-run", "--config", "{config}"],
    "backfill": ["backfill", "--days", "1", "--json", "--verbose", "--config", "{config}"],
    "verify": ["verify", "--json", "--config", "{config}"],
    "verify beside the cloud": ["verify", "--cloud", "--config", "{config}"],
    "export": ["export", "csv", "--config", "{config}"],
    "doctor": ["doctor", "--config", "{config}"],
    "demo": ["demo", "--once", "--dir", "{folder}"],
    "simulate": ["simulate", "--scenario", "{folder}/none.toml"],
}
UMLAUT = f"""
[archive]
path = "/srv/Zähler"
[[account]]
name = "home"
host = "localhost"
auth_key = "{KEY}"
[[account.meter]]
name = "house"
id = "{DEVICE}"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streams")


@pytest.fixture(scope="module")
def cloud(place: Path) -> Iterator[Cloud]:
    with cloud_process(place) as running:
        yield running


@pytest.fixture(scope="module")
def config(place: Path, cloud: Cloud) -> Path:
    """A day and today are stored."""
    path = configuration(place, cloud)
    assert collector("backfill", "--days", "1", "--config", str(path)).returncode == 0
    return path


def is_quiet(ended: Ended) -> bool:
    """Nothing of Python's own."""
    said = ended.out + ended.err
    return "Traceback" not in said and "Exception ignored" not in said and "Error:" not in said


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_works_with_a_stream_that_is_closed_or_takes_nothing(
    name: str, config: Path, forked: Forks
) -> None:
    """Bugs: `backfill … 2>&-` ended at once in AttributeError, `status > /dev/full` in a traceback.

    What goes to a closed stream is lost, and nothing else; also messages that nobody takes. Output that
    cannot be written is an error of its own.
    """
    words = [word.format(folder=config.parent, config=config) for word in COMMANDS[name]]
    whole = forked.run(*words)
    assert is_quiet(whole), whole
    for stderr in ("closed", FULL):
        ended = forked.run(*words, stdin="closed", stderr=stderr)
        assert (ended.code, bool(ended.out), ended.err) == (whole.code, bool(whole.out), "")
    ended = forked.run(*words, stdout="closed")
    assert (ended.code, ended.out, bool(ended.err)) == (whole.code, "", bool(whole.err))
    assert is_quiet(ended), ended
    if whole.out:
        assert_says_that_output_is_lost(forked.run(*words, stdout=FULL))


@pytest.mark.parametrize("words", [["demo", "--once", "--dir", "{folder}/demo"], ["simulate", "--port", "0"]])
def test_who_would_go_on_for_long_says_so_at_once(words: list[str], forked: Forks, tmp_path: Path) -> None:
    """A demo that nobody can see, a simulator of which nobody learns where it is."""
    words = [word.format(folder=tmp_path) for word in words]
    assert_says_that_output_is_lost(forked.run(*words, stdout=FULL))


def assert_says_that_output_is_lost(ended: Ended) -> None:
    assert is_quiet(ended), ended
    assert ended.code == CANNOT_WRITE
    assert ended.err.splitlines()[-1] == "Standard output cannot be written: No space left on device"


@pytest.mark.parametrize(
    ("stdin", "stdout", "stderr"),
    [("kept", FULL, "kept"), ("kept", "closed", FULL), ("closed", "closed", "closed")],
)
def test_the_service_collects_whatever_its_streams_lead_to(
    stdin: str, stdout: str, stderr: str, config: Path, forked: Forks, tmp_path: Path
) -> None:
    """A log that nobody can read is no reason to stop; SIGTERM ends it in order."""
    path = tmp_path / "config.toml"
    text = config.read_text().replace(str(config.parent / "archive"), str(tmp_path / "archive"))
    path.write_text("[schedule]\nbackfill_days = 1\n" + text)
    ledger = tmp_path / "archive" / "house" / ".collector" / "checksums"
    ended = forked.run("run", "--config", str(path), stdin=stdin, stdout=stdout, stderr=stderr, until=ledger)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert list((tmp_path / "archive" / "house").glob("*.jsonl"))


def test_the_simulated_cloud_serves_with_its_output_closed(forked: Forks) -> None:
    """Until it is stopped."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    ended = forked.run("simulate", "--port", str(port), stdout="closed", until=port)
    assert (ended.code, ended.err) == (0, "")


def test_a_report_holds_nothing_that_was_meant_for_a_closed_stream(
    config: Path, forked: Forks, tmp_path: Path
) -> None:
    """The next file that is opened gets the number of a stream that was closed, and all that is printed."""
    report = tmp_path / "report.txt"
    words = ["doctor", "--config", str(config), "--bundle", str(report)]
    forked.run(*words, stdin="closed", stdout="closed", stderr="closed")
    text = report.read_text()
    assert text.startswith("shelly-collector doctor --bundle")
    assert "requests to the cloud" not in text


def test_characters_that_a_terminal_lacks_are_spelled_out(tmp_path: Path) -> None:
    """A path with an umlaut on a serial console, or in a cron mail."""
    (tmp_path / "config.toml").write_text(UMLAUT)
    done = collector(
        "config", "check", "--config", str(tmp_path / "config.toml"), env={"PYTHONIOENCODING": "ascii"}
    )
    assert (done.returncode, done.stdout) == (0, "OK: 1 account, 1 meter, archive /srv/Z\\xe4hler\n")


def test_a_reader_that_has_gone_is_no_error(config: Path) -> None:
    """`status | head`: exit 0, and not a word."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PROGRAM, "status", "--config", str(config)],
        stdout=writer, stderr=subprocess.PIPE, text=True, env=environment(), check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("status --config {config} > /dev/full", 74),
        ("status --config {config} >&-", 0),
        ("--version > /dev/full", 74),
        ("backfill --days 1 --config {config} 2>&-", 0),
        ("backfill --days 1 --config {config} <&- >&- 2>&-", 0),
    ],
)
def test_a_shell_closes_and_fills_streams_in_the_same_way(command: str, code: int, config: Path) -> None:
    """What the others see in children of one process, as a user types it."""
    words = command.format(config=shlex.quote(str(config)))
    done = subprocess.run(
        ["sh", "-c", f"exec {shlex.join(PROGRAM)} {words}"],
        capture_output=True, text=True, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
