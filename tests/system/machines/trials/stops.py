"""Stops at bad moments: in the middle of a backfill, and while the cloud is a black hole."""

from __future__ import annotations

from pathlib import Path

from tests.system.machines.trials import watching
from tests.system.machines.trials.watching import CONFIG, UNIT, ran, shown, tell, timed, wait_until

_NAME_SERVER, _ADDRESS = "192.0.2.53", "192.0.2.7"  # of a network that is for documents alone


def main() -> None:
    """Each fact under the name that the tests ask for."""
    ran("systemctl", "start", "cloud")
    ran("ip", "route", "add", "192.0.2.0/24", "dev", "lo")  # what is sent there comes to nothing
    Path("/etc/resolv.conf").write_text(f"nameserver {_NAME_SERVER}\n")
    good = CONFIG.read_text()
    slow = good.replace("backfill_days = 6", 'backfill_days = "all"').replace(
        "interval_s = 0", "interval_s = 1"
    )
    _stop("backfill", slow, lambda: len(watching.day_files("house")) >= 2)
    _stop("name", _elsewhere(good, "shelly-12-eu.shelly.cloud"), lambda: _waits_for(f"{_NAME_SERVER}:53"))
    _stop("address", _elsewhere(good, f"https://{_ADDRESS}"), lambda: _waits_for(f"{_ADDRESS}:443"))


def _stop(name: str, config: str, is_the_moment: watching.Condition) -> None:
    CONFIG.write_text(config)
    ran("systemctl", "start", UNIT)
    wait_until(is_the_moment, f"the moment: {name}")
    before = shown()
    tell(name, {"before": before, **timed("systemctl", "stop", UNIT), "after": shown()})


def _elsewhere(config: str, host: str) -> str:
    return config.replace("http://127.0.0.1:8765", host).replace("interval_s = 0", "interval_s = 1")


def _waits_for(address: str) -> bool:
    """Whether a socket is open that waits for this address."""
    return address in ran("ss", "--numeric", "--all", "--tcp", "--udp").stdout


if __name__ == "__main__":
    main()
