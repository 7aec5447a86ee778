"""The machine's service as a trial sees it: commands, waits, and the facts that it leaves in /results."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

RESULTS = Path("/results")
CONFIG = Path("/etc/shelly-collector/config.toml")
ARCHIVE = Path("/var/lib/shelly-collector")
PROGRAM = "/opt/shelly-collector/bin/shelly-collector"
UNIT = "shelly-collector"
_RUNTIME = Path("/run/shelly-collector")
_DROP_IN = Path("/etc/systemd/system/shelly-collector.service.d/trial.conf")
_PER_PROCESS = ("cmdline", "environ", "maps", "comm")


Condition = Callable[[], object]


def tell(name: str, fact: object) -> None:
    """Leaves a fact: JSON in /results/<name>.json."""
    (RESULTS / f"{name}.json").write_text(json.dumps(fact, indent=1))


def ran(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        words, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **(env or {})}
    )


def timed(*words: str, env: Mapping[str, str] | None = None) -> dict[str, object]:
    """Runs a command: its exit code, the seconds it took, what it said."""
    began = time.perf_counter()
    done = ran(*words, env=env)
    return {"code": done.returncode, "took_s": time.perf_counter() - began, "said": done.stdout + done.stderr}


def turned_away(*words: str, user: str, env: Mapping[str, str]) -> dict[str, object]:
    """Runs a command that says little: its exit code and words, its seconds, and those without a core."""
    began = time.perf_counter()
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        user=user, group=user, env={**os.environ, **env},
    ) as process:  # fmt: skip
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        took_s = time.perf_counter() - began
        _, waited_ns, _ = Path(f"/proc/{process.pid}/schedstat").read_text().split()
        said, _ = process.communicate()
    return {"code": process.returncode, "took_s": took_s, "waited_s": int(waited_ns) / 1e9, "said": said}


def wait_until(happened: Condition, what: str, timeout_s: float = 30) -> float:
    """Waits for it, and gives the seconds until then; ends the trial where it never comes."""
    began = time.perf_counter()
    while not happened():
        if time.perf_counter() - began > timeout_s:
            print(ran("systemctl", "status", "--no-pager", "--full", UNIT).stdout)
            raise SystemExit(f"in vain for {timeout_s} s: {what}")
        time.sleep(0.05)
    return time.perf_counter() - began


def shown(*, unit: str = UNIT) -> dict[str, str]:
    """All properties of a unit, as `systemctl show` tells them."""
    lines = ran("systemctl", "show", unit).stdout.splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def is_ready(*, again_after: str = "") -> bool:
    """Whether the service is up, in another process than `again_after`."""
    now = shown()
    return now["ActiveState"] == "active" and now["MainPID"] not in ("0", again_after)


def journal() -> list[str]:
    """The messages about the unit since the boot: the service's own and the manager's."""
    return ran("journalctl", "--unit", UNIT, "--output=cat", "--no-pager").stdout.splitlines()


def events(name: str) -> list[dict[str, object]]:
    """The service's events of that name, as it logged them."""
    lines = (line[line.find("{") :] for line in journal() if f'"event": "{name}"' in line)
    return [json.loads(line) for line in lines]


def drop_in(*lines: str) -> None:
    """Changes the unit as a person would; without lines it is as shipped again."""
    _DROP_IN.parent.mkdir(exist_ok=True)
    _DROP_IN.write_text("\n".join(("[Service]", *lines, "")))
    ran("systemctl", "daemon-reload")


def day_files(meter: str) -> list[Path]:
    """The day files of a meter."""
    return sorted((ARCHIVE / meter).glob("*.jsonl"))


def dump(name: str) -> None:
    """All that others can see of the machine, into /results/<name>: processes, journal, units, /run."""
    folder = RESULTS / name
    folder.mkdir()
    for process in Path("/proc").glob("[0-9]*"):
        for each in _PER_PROCESS:
            try:
                (folder / f"{process.name}.{each}").write_bytes((process / each).read_bytes())
            except OSError:  # it has ended
                continue
    ran("journalctl", "--sync")
    for each in ("export", "json", "verbose", "short"):
        lines = ran("journalctl", "--all", "--no-pager", f"--output={each}").stdout
        (folder / f"journal.{each}").write_text(lines)
    if _RUNTIME.is_dir():
        shutil.copytree(_RUNTIME, folder / "runtime", ignore=shutil.ignore_patterns("*.sock"))
    (folder / "units").write_text(ran("systemctl", "show", "--all", "*").stdout)
    (folder / "unit").write_text(ran("systemctl", "show", "--all", UNIT).stdout)
    (folder / "status").write_text(ran("systemctl", "status", "--full", "--no-pager", UNIT).stdout)


def add_users() -> None:
    """A user who may read the files, and one who may not."""
    ran("useradd", "--no-create-home", "--groups", "shelly-collector", "reader")
    ran("useradd", "--no-create-home", "stranger")


def keep_archive() -> None:
    """The archive into /results, with a list of who may do what in it."""
    shutil.copytree(ARCHIVE, RESULTS / "archive")
    names = ran("find", str(ARCHIVE), "-printf", "%u %g %m %y %P\\n").stdout.splitlines()
    tell("archive", [line.split(" ", 4) for line in names])
