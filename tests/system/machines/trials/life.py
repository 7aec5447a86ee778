"""A whole life: started as the README says, backfill, reloads, rivals, a stop, commands beside it."""

from __future__ import annotations

import time
from datetime import date, timedelta
from pathlib import Path

from tests.support import documented
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
_BARN = """
[[account.meter]]
name = "barn"
id = "a8032abe41fd"
"""


def main() -> None:
    """Each fact under the name that the tests ask for."""
    ran("systemctl", "start", "cloud")
    _start()
    _backfill()
    _reloads()
    _rivals()
    tell("as_ready_as_ever", {**shown(), "events": [line for line in watching.journal() if "{" in line]})
    watching.dump("running")
    tell("stop", {**timed("systemctl", "stop", UNIT), **_end()})
    watching.dump("stopped")
    _root_fills_in()
    watching.keep_archive()
    _commands()
    _control()


def _start() -> None:
    check, start, doctor, status = documented.starting()
    tell("check", timed("sh", "-c", check))
    tell("start", timed("sh", "-c", start))
    tell("started", {**shown(), "enabled": ran("systemctl", "is-enabled", UNIT).stdout.strip()})
    tell("doctor", timed("sh", "-c", doctor))
    wait_until(lambda: shown()["StatusText"] != "Starting", "the first status")
    tell("status", timed("sh", "-c", status))


def _backfill() -> None:
    wait_until(
        lambda: {"refresh", "backfill"} <= {job["job"] for job in events("job.finished")}, "the backfill"
    )
    wait_until(lambda: " 0 jobs in progress" in shown()["StatusText"], "the backfill's end in the status")
    tell("collecting", shown())
    as_reader = ("runuser", "-u", "shelly-collector", "--", PROGRAM)
    tell("looked_at", timed(*as_reader, "status", "--json", "--config", str(CONFIG)))
    tell("verified", timed(*as_reader, "verify", "--config", str(CONFIG)))


def _reloads() -> None:
    good, before = CONFIG.read_text(), shown()
    CONFIG.write_text(good.replace('level = "debug"', 'level = "debug"\nlevle = "loud"'))
    reload = timed("systemctl", "reload", UNIT)
    wait_until(lambda: events("config.rejected"), "config.rejected")
    tell("bad_reload", {**reload, "before": before, "after": shown(), "event": events("config.rejected")[0]})
    CONFIG.write_text(good + _BARN)
    reload = timed("systemctl", "reload", UNIT)
    wait_until(lambda: events("config.reloaded"), "config.reloaded")
    wait_until(lambda: "2 meters" in shown()["StatusText"], "the new meter in the status")
    wait_until(lambda: len(watching.day_files("barn")) >= 3, "the new meter's files")
    barn = [path.name for path in watching.day_files("barn")]
    tell("good_reload", {**reload, "after": shown(), "event": events("config.reloaded")[0], "barn": barn})


def _rivals() -> None:
    """The program again, beside the service: as root, who could do harm, and as the service's user."""
    run = (PROGRAM, "run", "--config", str(CONFIG))
    before = shown()
    tell("root_rival", watching.turned_away(*run, user="root", env={_KEY: AWKWARD_KEY}))
    tell("rival", watching.turned_away(*run, user="shelly-collector", env={_KEY: AWKWARD_KEY}))
    tell("beside_rivals", {"before": before, "after": shown()})


def _root_fills_in() -> None:
    """While the service is down, root fetches older days; then it goes on among them."""
    backfill = (PROGRAM, "backfill", "--config", str(CONFIG), "--days", "9")
    before = [path.name for path in watching.day_files("house")]
    tell("root_fills_in", {**timed(*backfill, env={_KEY: AWKWARD_KEY}), "before": before})
    jobs = len(events("job.finished"))
    ran("systemctl", "start", UNIT)
    wait_until(lambda: len(events("job.finished")) > jobs, "a job after root's backfill")
    ran("systemctl", "stop", UNIT)
    tell("beside_roots_files", events("file.quarantined"))


def _commands() -> None:
    """Beside the service, which has the archives: commands of root, of its group, and of a stranger."""
    watching.add_users()
    ran("systemctl", "start", UNIT)
    commands = (("backfill", "--days", "12"), _reread(), ("verify", "--fix"), ("verify", "--cloud"))
    for user in ("root", "reader", "stranger"):
        for command in commands:
            done = timed("runuser", "-u", user, "--", PROGRAM, *command)
            tell(f"command_{command[0]}{command[-1] * (command[0] == 'verify')}_by_{user}", done)
    ran("systemctl", "stop", UNIT)


def _reread() -> tuple[str, ...]:
    since = date.today() - timedelta(days=9)  # noqa: TID251, DTZ011 - as a person types it
    return ("reread", "--meter", "house", "--since", str(since))


def _end() -> dict[str, object]:
    return {"after": shown(), "events": [line for line in watching.journal()[-8:] if "{" in line]}


def _control() -> None:
    """The key where it must not be, so that a search that finds nothing is known to be able to."""
    words = ("sh", "-c", 'echo "$CONTROL"; exec sleep 600')
    ran("systemd-run", "--unit=control", f"--setenv=CONTROL={AWKWARD_KEY}", *words)
    wait_until(lambda: shown(unit="control")["ActiveState"] == "active", "the control")
    pid = shown(unit="control")["MainPID"]
    wait_until(lambda: b"sleep" in Path("/proc", pid, "cmdline").read_bytes(), "the control's last program")
    time.sleep(0.2)  # the journal takes lines in when it likes
    watching.dump("control")
    tell("control", {"pid": pid})


if __name__ == "__main__":
    main()
