"""One key for all: the service in its first backfill, and commands beside it, at a strict cloud."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from datetime import date, timedelta
from pathlib import Path

from tests.support.key_forms import AWKWARD_KEY
from tests.system.machines.trials import watching
from tests.system.machines.trials.watching import (
    CONFIG,
    PROGRAM,
    UNIT,
    events,
    ran,
    shown,
    tell,
    timed,
    wait_until,
)

_KEY = "SHELLY_COLLECTOR_AUTH_KEY"
_CLOUD = "http://127.0.0.1:8765"
_HOUSE = "a8032abe41fc"
_INTERVAL_S = 1.3  # a quarter of a second more than usual, for busy machines
_SCENARIO = Path("/root/scenario.toml")


def main() -> None:
    """Each fact under the name that the tests ask for."""
    _SCENARIO.write_text(_SCENARIO.read_text().replace('style = "none"', 'style = "strict"\nlimit_s = 1.0'))
    text = CONFIG.read_text().replace("min_interval_s = 0\n", f"min_interval_s = {_INTERVAL_S}\n")
    CONFIG.write_text(text.replace("backfill_days = 6\n", "backfill_days = 60\n"))
    ran("systemctl", "start", "cloud")
    watching.add_users()
    ran("systemctl", "start", UNIT)
    wait_until(lambda: len(watching.day_files("house")) >= 3, "the first days")
    _together()
    _ended_early()
    tell("shared_by_stranger", timed(*_elsewhere("stranger"), env={_KEY: AWKWARD_KEY}))


def _together() -> None:
    """Four commands at once beside the first backfill."""
    said = {
        "root": _begun(*_elsewhere("root")),
        "reader": _begun(*_elsewhere("reader")),
        "doctor": _begun(PROGRAM, "doctor"),
        "verify": _begun("runuser", "-u", "reader", "--", PROGRAM, "verify", "--cloud"),
    }
    for name, process in said.items():
        output = process.communicate(timeout=120)[0]
        tell(f"shared_by_{name}", {"code": process.returncode, "said": output})
    with urllib.request.urlopen(f"{_CLOUD}/_simulator/counts") as answer:
        counts = json.load(answer)
    backfill = [job for job in events("job.finished") if job["job"] == "backfill"]
    tell("together", {"counts": {**counts, "log": None}, "backfill": backfill})
    pace = Path("/run/shelly-collector/pace")
    found = [(each.owner(), each.group(), oct(each.stat().st_mode)) for each in (pace, *pace.iterdir())]
    tell("pace", {"found": found, "unshared": events("pace.unshared")})


def _begun(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, _KEY: AWKWARD_KEY},
    )


def _elsewhere(user: str) -> tuple[str, ...]:
    """A backfill into a folder of that user."""
    folder = Path("/var/tmp", user)
    folder.mkdir()
    config = folder / "config.toml"
    config.write_text(f"""
[archive]
path = "{folder / "archive"}"
[pacing]
min_interval_s = {_INTERVAL_S}
[[account]]
name = "home"
host = "{_CLOUD}"
[[account.meter]]
name = "house"
id = "{_HOUSE}"
""")
    shutil.chown(folder, user)
    backfill = (PROGRAM, "backfill", "--config", str(config), "--days", "3")
    return ("runuser", "--preserve-environment", "-u", user, "--", *backfill)


def _ended_early() -> None:
    """A command with Ctrl-C in the middle, and one with a stop of the service in the middle."""
    since = date.today() - timedelta(days=30)  # noqa: TID251, DTZ011 - as a person types it
    reread = (PROGRAM, "reread", "--since", str(since))
    before = shown()
    interrupted = ("timeout", "--preserve-status", "-s", "INT", "3", *reread)
    tell("command_interrupted", {**timed(*interrupted), "before": before, "after": shown()})
    waiting = _begun(*reread)
    time.sleep(3)
    ran("systemctl", "stop", UNIT)
    said = waiting.communicate(timeout=60)[0]
    tell("command_stopped", {"code": waiting.returncode, "said": said})


if __name__ == "__main__":
    main()
