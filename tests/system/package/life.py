"""The package's life on a booted machine, from the first installation to the last purge.

Run by that machine's own Python, with its packages in /packages; leaves in /results/facts.json what was
seen after each step, by the name of the step, and a copy of the archive. Nothing is judged here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.terminal import Terminal
from tests.system.package.seeing import DATA, HOME, NAME, copied, journal_until, run, seen, show, told

OLD, NEW = "/packages/old.deb", "/packages/new.deb"
HOOK = f"/usr/share/python3/runtime.d/{NAME}.rtupdate"
POLICY = Path("/usr/sbin/policy-rc.d")
URL, KEY, DEVICE = "http://127.0.0.1:8765", "SIMULATED0KEY0OF0THE0TESTS", "e8db84d2a1b3"
_OLDEST = datetime.now(UTC).date() - timedelta(days=3)  # noqa: TID251 - as the simulated cloud has it
SCENARIO = f"""
[[account]]
name = "home"
auth_key = "{KEY}"
[account.limit]
style = "none"
[[account.device]]
id = "{DEVICE}"
name = "House"
timezone = "Europe/Dublin"
installed_since = {_OLDEST}
"""
EDITS = {
    'host = "shelly-12-eu.shelly.cloud"': f'host = "{URL}"',
    'name = "grid"': 'name = "house"',
    'id = "a1b2c3d4e5f6"': f'id = "{DEVICE}"',
    "min_interval_s = 1.05": "min_interval_s = 0",
    'backfill_days = "all"': "backfill_days = 3",
}
EVIL = "raise SystemExit('not the library that the package depends on')\n"


def main() -> None:
    """Every step, in order."""
    facts: dict[str, Any] = {"python": "{}.{}".format(*sys.version_info)}
    for step in STEPS:
        print(step.__name__, flush=True)
        facts[step.__name__] = {**step(), **seen()}
        Path("/results/facts.json").write_text(json.dumps(facts))
    # The simulated cloud: systemd 257 may wait a minute for what outlives the first process of a unit.
    run("pkill", "--uid", "anna")
    os.wait()


def installed() -> dict[str, Any]:
    return dpkg("--install", OLD)


def started_without_a_configuration() -> dict[str, Any]:
    return told("systemctl", "start", NAME)


def used_by_an_ordinary_user() -> dict[str, Any]:
    """With libraries of the same names in every place that is searched before Debian's."""
    run("useradd", "--create-home", "anna")
    home, python = Path("/home/anna"), "python{}.{}".format(*sys.version_info)
    for folder in (
        home / ".local/lib" / python / "site-packages",
        Path("/usr/local/lib", python, "dist-packages"),
        home / "path",
    ):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "structlog.py").write_text(EVIL)
        (folder / "collector.py").write_text(EVIL)
    (home / "scenario.toml").write_text(SCENARIO)
    cloud = as_anna("simulate", "--scenario", "scenario.toml")
    assert cloud.stdout is not None
    greeting = cloud.stdout.readline()
    config = home / "config.toml"
    config.write_text(edited())
    shutil.chown(config, "anna")
    config.chmod(0o600)
    return {
        "greeting": greeting,
        "version": ended(as_anna("--version")),
        "check": ended(as_anna("config", "check", "--config", "config.toml")),
        "setup": ended(as_anna("setup", "--host", URL, "--dry-run")),
        "own_setup": ended(as_anna("setup", "--host", URL, "--dry-run", "--config", "own.toml")),
        "backfill": ended(as_anna("backfill", "--config", "config.toml", "--days", "2")),
        "days": copied(home / "archive/house", "anna"),
    }


def configured_and_started() -> dict[str, Any]:
    """By the line that the installation prints, on a terminal: server and key, and Enter for all else."""
    began = time.perf_counter()
    with Terminal([NAME, "setup"], {"PATH": os.environ["PATH"], "TERM": "linux"}) as terminal:
        terminal.answer("Server: ", URL)
        terminal.answer("Key ", KEY)
        for question in (
            "Enter for all",
            "Is that right?",
            "[house]: ",
            "Where?",
            "Write this?",
            "Start the service",
        ):
            terminal.answer(question)
        code, screen = terminal.end()
    facts = {"code": code, "screen": screen, "seconds": time.perf_counter() - began}
    facts["check"] = told(NAME, "config", "check")
    facts["journal"] = journal_until('"day.written"', f'"day": "{_OLDEST}"')
    facts["days"] = copied(DATA / "house", "service")
    facts["again"] = told(NAME, "setup", "--yes")
    return facts


def upgraded_while_it_runs() -> dict[str, Any]:
    return dpkg("--install", NEW)


def upgraded_where_services_must_not_be_touched() -> dict[str, Any]:
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    facts = dpkg("--install", NEW)
    POLICY.unlink()
    return facts


def upgraded_while_it_is_stopped() -> dict[str, Any]:
    run("systemctl", "stop", NAME)
    return dpkg("--install", NEW)


def upgraded_while_it_is_disabled() -> dict[str, Any]:
    run("systemctl", "disable", NAME)
    facts = dpkg("--install", NEW)
    facts["disabled"] = show()
    run("systemctl", "enable", "--now", NAME)
    return facts


def another_python() -> dict[str, Any]:
    """What Debian's python3 does when its version changes."""
    for folder in HOME.rglob("__pycache__"):
        shutil.rmtree(folder)
    return told(HOOK, "rtupdate", "python3.0", f"python{sys.version_info.major}.{sys.version_info.minor}")


def removed() -> dict[str, Any]:
    return dpkg("--remove", NAME)


def installed_again() -> dict[str, Any]:
    return dpkg("--install", NEW)


def purged_while_it_runs() -> dict[str, Any]:
    return dpkg("--purge", NAME)


def installed_on_the_old_data() -> dict[str, Any]:
    return dpkg("--install", NEW)


def purged_with_something_of_the_administrators() -> dict[str, Any]:
    Path("/etc", NAME, "notes").write_text("mine\n")
    run("systemctl", "stop", NAME)
    run("dpkg", "--remove", NAME)
    return dpkg("--purge", NAME)


def installed_beside_a_unit_of_the_administrators() -> dict[str, Any]:
    """As who has installed it by hand before."""
    Path(f"/etc/systemd/system/{NAME}.service").write_text("[Service]\nExecStart=/bin/true\n")
    return dpkg("--install", NEW)


STEPS = (
    installed,
    started_without_a_configuration,
    used_by_an_ordinary_user,
    configured_and_started,
    upgraded_while_it_runs,
    upgraded_where_services_must_not_be_touched,
    upgraded_while_it_is_stopped,
    upgraded_while_it_is_disabled,
    another_python,
    removed,
    installed_again,
    purged_while_it_runs,
    installed_on_the_old_data,
    purged_with_something_of_the_administrators,
    installed_beside_a_unit_of_the_administrators,
)


def edited() -> str:
    """The shipped example with what a person writes into it."""
    text = Path(f"/usr/share/doc/{NAME}/examples/config.toml").read_text()
    for shipped, ours in EDITS.items():
        assert shipped in text, shipped
        text = text.replace(shipped, ours)
    return text


def as_anna(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [NAME, *words], user="anna", group="anna", extra_groups=[],
        cwd="/home/anna", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={
            "HOME": "/home/anna", "PATH": "/usr/bin:/bin", "PYTHONPATH": "/home/anna/path",
            "SHELLY_COLLECTOR_AUTH_KEY": KEY, "SHELLY_COLLECTOR_ARCHIVE": "/home/anna/archive",
        },
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=60)
    return {"out": out, "code": process.returncode}


def dpkg(*words: str) -> dict[str, Any]:
    return told("dpkg", *words)


if __name__ == "__main__":
    main()
