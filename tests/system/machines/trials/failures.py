"""Ends that nobody ordered: which of them systemd begins anew, and which it leaves at that."""

from __future__ import annotations

import time
from pathlib import Path

from tests.system.machines.trials import watching
from tests.system.machines.trials.watching import (
    CONFIG,
    PROGRAM,
    UNIT,
    is_ready,
    ran,
    shown,
    tell,
    timed,
    wait_until,
)

_QUICK = ("WatchdogSec=3", "RestartSec=1")
_HANGING = Path("/opt/hanging.py")  # where the service's user can read it, wherever the clone lies
_FIRST = Path("/run/first")  # as long as it is there, the service ends with 1
_DISK, _MOUNT = Path("/srv/disk"), Path("/mnt/disk")
_FIRST_FAILS = (
    "ExecStart=",
    f"ExecStart=/bin/sh -c 'test -e {_FIRST} && exit 1; exec {PROGRAM} run'",
    f"ExecStopPost=+rm -f {_FIRST}",
)


def main() -> None:
    """Each fact under the name that the tests ask for."""
    ran("systemctl", "start", "cloud")
    watching.drop_in(*_QUICK)
    _mistake()
    _crash()
    _hang("stopped", "STOP")
    _HANGING.write_text(Path(__file__).with_name(_HANGING.name).read_text())
    watching.drop_in(*_QUICK, "ExecStart=", f"ExecStart=/opt/shelly-collector/bin/python {_HANGING} run")
    _hang("looping", "USR1")
    _first_start_fails()
    _unplugged()


def _mistake() -> None:
    good = CONFIG.read_text()
    CONFIG.write_text(good.replace("refresh_minute = 12", 'refresh_minute = "often"').replace("heal", "hael"))
    start = timed("systemctl", "start", UNIT)
    time.sleep(2.5)  # more than twice RestartSec
    tell("mistake", {**start, "after": shown(), "journal": watching.journal()})
    CONFIG.write_text(good)
    ran("systemctl", "reset-failed", UNIT)


def _crash() -> None:
    ran("systemctl", "start", UNIT)
    before = shown()
    ran("kill", "-KILL", before["MainPID"])
    took_s = wait_until(lambda: is_ready(again_after=before["MainPID"]), "a start after a crash")
    tell("crash", {"before": before, "after": shown(), "took_s": took_s})


def _hang(name: str, signal: str) -> None:
    ran("systemctl", "restart", UNIT)
    before = shown()
    said = len(watching.journal())
    ran("kill", f"-{signal}", before["MainPID"])
    took_s = wait_until(lambda: is_ready(again_after=before["MainPID"]), f"a start after a hang: {name}")
    journal = watching.journal()[said:]
    tell(name, {"before": before, "after": shown(), "took_s": took_s, "journal": journal})


def _first_start_fails() -> None:
    ran("systemctl", "stop", UNIT)
    _FIRST.touch()
    watching.drop_in(*_QUICK, *_FIRST_FAILS)
    ran("systemctl", "reset-failed", UNIT)  # and with it the count of restarts
    before, said = shown(), len(watching.journal())
    ran("systemctl", "start", "--no-block", UNIT)
    took_s = wait_until(is_ready, "a start after exit 1")
    journal = watching.journal()[said:]
    tell("exit_1", {"before": before, "after": shown(), "took_s": took_s, "journal": journal})


def _unplugged() -> None:
    """An archive on a disk of its own, which is not there at the next start, and then is."""
    ran("systemctl", "stop", UNIT)
    for folder in (_DISK, _MOUNT):
        folder.mkdir()
    energy = _MOUNT / "energy"
    CONFIG.write_text(CONFIG.read_text().replace(f'path = "{watching.ARCHIVE}"', f'path = "{energy}"'))
    watching.drop_in(f"ReadWritePaths=-{_MOUNT}")
    _plug()
    owner = ("-o", "shelly-collector", "-g", "shelly-collector", "-m", "750")
    ran("install", "-d", *owner, str(energy))
    started = timed("systemctl", "start", UNIT)
    wait_until(lambda: len(list(energy.glob("house/*.jsonl"))) > 2, "days on the disk")
    ran("systemctl", "stop", UNIT)
    ran("umount", str(_MOUNT))
    ran("install", "-d", *owner, str(energy))  # the card below has such a folder, too
    ran("systemctl", "start", UNIT)
    wait_until(lambda: watching.events("archive.missing"), "a word about the disk")
    wait_until(lambda: "broken" in ran("shelly-collector", "status").stdout, "a status that is broken")
    said = {"status": ran("shelly-collector", "status").stdout, "unit": shown()["StatusText"]}
    left = [str(path) for path in energy.rglob("*")]
    _plug()
    ran("systemctl", "reload", UNIT)  # else it looks once an hour
    wait_until(lambda: "house: good" in ran("shelly-collector", "status").stdout, "a status that is good")
    again = {"active": is_ready(), "status": ran("shelly-collector", "status").stdout}
    tell("unplugged", {"started": started, "said": said, "left": left, "again": again})


def _plug() -> None:
    ran("mount", "--bind", str(_DISK), str(_MOUNT))


if __name__ == "__main__":
    main()
