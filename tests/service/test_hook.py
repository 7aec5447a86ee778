"""The command for a change of health: real programs, their environment, and how they end."""

from __future__ import annotations

import asyncio
import io
import os
import signal
from pathlib import Path

import pytest

from collector.service import notify
from collector.service.notify import Change, Hook
from tests.support.processes import gone, script
from tests.support.service_life import events_in

pytestmark = pytest.mark.real_time

_CHANGE = Change("house", "good", "offline", "the cloud answers\nand has nothing newer", 97200)


async def until_done(told: Hook) -> None:
    """Until nothing runs and nothing waits."""
    assert told._task is not None
    await asyncio.wait_for(asyncio.shield(told._task), 20)


async def test_the_command_receives_what_changed_and_nothing_else(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Words as they are, no shell; a clean environment: no key, no credentials, no systemd socket."""
    environ = {
        "PATH": os.environ["PATH"], "HOME": "/home/somebody", "LANG": "C",
        "SHELLY_COLLECTOR_AUTH_KEY": "KEY", "CREDENTIALS_DIRECTORY": "/run/credentials/x",
        "NOTIFY_SOCKET": "/run/systemd/notify", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1",
        "SHELLY_COLLECTOR_CONFIG": "/etc/x", "LD_PRELOAD": "x",
    }  # fmt: skip
    told = Hook(script(tmp_path, 'env > told; echo "$1|$2" > words; cat > input'), environ)
    told.report(_CHANGE)
    await until_done(told)
    heard = dict(line.split("=", 1) for line in (tmp_path / "told").read_text().splitlines())
    for name in ("PWD", "OLDPWD", "SHLVL", "_"):
        heard.pop(name, None)  # the shell's own
    assert heard == {
        "PATH": os.environ["PATH"], "HOME": "/home/somebody", "LANG": "C",
        "SHELLY_COLLECTOR_HEALTH": "offline", "SHELLY_COLLECTOR_HEALTH_BEFORE": "good",
        "SHELLY_COLLECTOR_METER": "house", "SHELLY_COLLECTOR_AGE_S": "97200",
        "SHELLY_COLLECTOR_REASON": "the cloud answers and has nothing newer",
    }  # fmt: skip
    assert (tmp_path / "words").read_text() == "a word|$HOME; touch no-shell\n"
    assert (tmp_path / "input").read_text() == ""
    assert not (tmp_path / "no-shell").exists()
    assert not log_lines.getvalue()


async def test_an_age_that_nobody_knows_is_empty_and_odd_reasons_pass(tmp_path: Path) -> None:
    """No NUL and no broken character stops the command."""
    told = Hook(script(tmp_path, 'echo "[$SHELLY_COLLECTOR_AGE_S][$SHELLY_COLLECTOR_REASON]" > told'))
    told.report(_CHANGE._replace(age_s=None, reason="a\0b \ud800 é"))
    await until_done(told)
    assert (tmp_path / "told").read_text() == "[][a b ? é]\n"


@pytest.mark.parametrize(
    ("text", "reason", "code", "output"),
    [
        ("echo; echo what is wrong >&2; echo more; exit 3", "exit code 3", 3, "what is wrong"),
        ("kill -9 $$", "ended by signal 9", None, ""),
        ("exit 1", "exit code 1", 1, ""),
    ],
)
async def test_a_command_that_fails_is_logged(
    text: str, reason: str, code: int | None, output: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """The reason, the exit code, and the first line of output."""
    told = Hook(script(tmp_path, text))
    told.report(_CHANGE)
    await until_done(told)
    (failed,) = events_in(log_lines.getvalue(), "hook.failed")
    assert (failed["reason"], failed["code"], failed["output"]) == (reason, code, output)
    assert (failed["meter"], failed["level"]) == ("house", "warning")


@pytest.mark.parametrize("kind", ["missing", "not executable", "no program"])
async def test_a_command_that_cannot_be_run_is_logged(
    kind: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """And the next change is tried again."""
    path = tmp_path / "tell"
    if kind != "missing":
        path.write_text("\x7fnot a program")
        path.chmod(0o755 if kind == "no program" else 0o644)
    told = Hook((str(path),))
    before = open_descriptors()
    for state in ("offline", "broken"):
        told.report(_CHANGE._replace(state=state))
        await until_done(told)
    failed = events_in(log_lines.getvalue(), "hook.failed")
    assert len(failed) == 2
    assert all(each["reason"].startswith("it cannot be run: ") for each in failed)
    assert open_descriptors() == before


def open_descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_flood_of_output_is_taken_and_forgotten(tmp_path: Path, log_lines: io.StringIO) -> None:
    """The command never waits for us, and no memory grows."""
    told = Hook(script(tmp_path, "echo first; head -c 20000000 /dev/zero; exit 1"))
    told.report(_CHANGE)
    await until_done(told)
    (failed,) = events_in(log_lines.getvalue(), "hook.failed")
    assert failed["output"] == "first"


async def test_one_long_line_is_cut(tmp_path: Path, log_lines: io.StringIO) -> None:
    """An event is a line that people read."""
    told = Hook(script(tmp_path, "head -c 100000 /dev/zero | tr '\\0' x; exit 1"))
    told.report(_CHANGE)
    await until_done(told)
    (failed,) = events_in(log_lines.getvalue(), "hook.failed")
    assert failed["output"] == "x" * 200


async def test_a_child_that_stays_behind_with_the_output_holds_nobody(tmp_path: Path) -> None:
    """What the command put into the background may live on; the command itself has ended."""
    told = Hook(script(tmp_path, "sleep 30 & echo $! > child"))
    loop = asyncio.get_running_loop()
    began = loop.time()
    told.report(_CHANGE)
    await until_done(told)
    assert loop.time() - began < 5
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


async def test_one_command_at_a_time_and_of_each_meter_only_the_newest(tmp_path: Path) -> None:
    """Several changes meanwhile are reported as one; a change and its reversal not at all."""
    text = (
        "[ -e busy ] && echo overlap >> told; touch busy\n"
        'echo "$SHELLY_COLLECTOR_METER $SHELLY_COLLECTOR_HEALTH_BEFORE $SHELLY_COLLECTOR_HEALTH" >> told\n'
        "sleep 0.3; rm busy"
    )
    told = Hook(script(tmp_path, text))
    told.report(Change("house", "good", "offline", "", 1))
    await asyncio.sleep(0.1)
    told.report(Change("house", "offline", "good", "", 1))
    told.report(Change("house", "good", "broken", "", 1))
    told.report(Change("barn", "good", "offline", "", 1))
    told.report(Change("shed", "good", "offline", "", 1))
    told.report(Change("shed", "offline", "good", "", 1))
    await until_done(told)
    lines = (tmp_path / "told").read_text().splitlines()
    assert lines == ["house good offline", "house offline broken", "barn good offline"]


@pytest.mark.parametrize("deaf", [False, True], ids=["polite", "deaf"])
async def test_a_command_that_takes_too_long_ends_with_all_it_started(
    deaf: bool, tmp_path: Path, log_lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Politely, then not."""
    monkeypatch.setattr(notify, "_LIMIT_S", 0.5)
    trap = "trap '' TERM\n" if deaf else ""
    told = Hook(script(tmp_path, f"{trap}sleep 60 & echo $! > child; echo $$ > own; wait; sleep 60"))
    told.report(_CHANGE)
    await until_done(told)
    (failed,) = events_in(log_lines.getvalue(), "hook.failed")
    assert failed["reason"] == "not done within 0.5 s"
    await gone(tmp_path / "child")
    await gone(tmp_path / "own")


async def test_a_stop_ends_the_command_and_forgets_what_waits(tmp_path: Path) -> None:
    """Within two seconds, though it does not listen to SIGTERM."""
    told = Hook(script(tmp_path, "trap '' TERM\necho x >> told; sleep 60 & echo $! > child; wait; sleep 60"))
    loop = asyncio.get_running_loop()
    told.report(_CHANGE)
    while not (tmp_path / "child").exists():
        await asyncio.sleep(0.02)
    told.report(_CHANGE._replace(meter="barn"))
    began = loop.time()
    await told.close()
    assert loop.time() - began < 2
    await gone(tmp_path / "child")
    assert (tmp_path / "told").read_text() == "x\n"
    await told.close()


async def test_many_commands_leave_nothing_open(tmp_path: Path) -> None:
    """Ten years of changes."""
    told = Hook(script(tmp_path, "exit 0"))
    before = 0
    for number in range(20):
        told.report(_CHANGE)
        await until_done(told)
        before = before or open_descriptors()
        assert open_descriptors() <= before, number
