"""Two instances of the unit, made by the lines of docs/scaling.md, with one key and a meter each."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.request import urlopen

from tests.support import documented
from tests.support.key_forms import AWKWARD_KEY
from tests.system.machines.trials.watching import ARCHIVE, PROGRAM, UNIT, ran, shown, tell, timed, wait_until

_ACCOUNT = """
[[account]]
name = "{name}"
host = "http://127.0.0.1:8765"
auth_key = '''{key}'''
[[account.meter]]
name = "{name}-grid"
id = "{device}"
"""
_METERS = {"east": "a8032abe41fc", "west": "a8032abe41fd"}


def main() -> None:
    """Each fact under the name that the tests ask for."""
    ran("systemctl", "start", "cloud")
    tell("lines", timed("bash", "-euxc", documented.instances()))
    for name, device in _METERS.items():
        config = Path(f"/etc/shelly-collector-{name}")
        account = config / "config.d/account.toml"
        account.write_text(_ACCOUNT.format(name=name, key=AWKWARD_KEY, device=device))
        account.chmod(0o640)
        shutil.chown(account, group=UNIT)
        with (config / "config.toml").open("a") as file:
            file.write("[schedule]\nbackfill_days = 6\n")
    ran("systemctl", "start", *(f"{UNIT}@{name}" for name in _METERS))
    wait_until(lambda: all(len(_days(name, name)) >= 2 for name in _METERS), "days of both", timeout_s=60)
    for name in _METERS:
        other = next(each for each in _METERS if each != name)
        config_file = f"/etc/shelly-collector-{name}/config.toml"
        tell(
            name,
            {
                "unit": shown(unit=f"{UNIT}@{name}"),
                "days": len(_days(name, name)),
                "others_days": len(_days(name, other)),
                "status": ran(PROGRAM, "status", "--json", "--config", config_file).stdout,
            },
        )
    with urlopen("http://127.0.0.1:8765/_simulator/counts") as answer:
        tell("seen", json.load(answer)["total"])


def _days(instance: str, meter: str) -> list[Path]:
    return list((ARCHIVE / instance / f"{meter}-grid").glob("*.jsonl"))


if __name__ == "__main__":
    main()
