"""SIGHUP: what a new configuration does to the log, and what one that is rejected does not."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.support.processes import Cloud, configuration, started, stop, wait_for
from tests.support.world import KEY

NEXT = "THE0NEXT0KEY0OF0THE0ACCOUNT"
REJECTED = "A0KEY0THAT0NEVER0CAME0INTO0FORCE"


def test_a_rejected_configuration_leaves_the_log_as_it_was_and_every_key_secret(
    cloud: Cloud, tmp_path: Path
) -> None:
    """Bug: it set up the log before it was accepted, and the key in force was no secret any more.

    The meter has the next key's name and the account the first one's, so that each line of theirs would
    show the key; the folder of the archive that cannot be made has the name of the key in that file.
    """
    config = configuration(tmp_path, cloud, "[log]\nlevel = 'debug'\n[schedule]\nbackfill_days = 3\n")
    first = config.read_text().replace('"house"', f'"{NEXT}"').replace('"home"', f'"{KEY}"')
    config.write_text(first)
    service = started("run", "--config", str(config))
    wait_for(service, "job.finished")
    second = first.replace(f'auth_key = "{KEY}"', f'auth_key = "{NEXT}"')
    config.write_text(second)
    service.send_signal(signal.SIGHUP)
    wait_for(service, "config.reloaded")
    lines = wait_for(service, "key.refused")
    third = second.replace(f'auth_key = "{NEXT}"', f'auth_key = "{REJECTED}"')
    third = third.replace("'debug'", "'error'\nformat = 'console'")
    config.write_text(third.replace(str(tmp_path / "archive"), str(tmp_path / REJECTED / "archive")))
    service.send_signal(signal.SIGHUP)
    lines += wait_for(service, "config.rejected")
    lines += wait_for(service, "job.started")
    code, _, output = stop(service)
    assert code == 0
    events = [json.loads(line) for line in (*lines, *output.splitlines())]
    for place in ("account", "meter"):
        assert {each[place] for each in events if place in each} == {"***"}
    (problem,) = next(each for each in events if each["event"] == "config.rejected")["problems"]
    assert "/*** does not exist" in problem
    assert {"debug", "info", "error"} <= {each["level"] for each in events}
    assert not any(key in line for line in (*lines, output) for key in (KEY, NEXT, REJECTED))


def test_a_reload_takes_in_the_accounts_of_the_folder_and_refuses_all_of_a_wrong_file(
    cloud: Cloud, tmp_path: Path
) -> None:
    config = configuration(tmp_path, cloud, "[schedule]\nbackfill_days = 0\n")
    account = config.read_text().partition("[[account]]")[2].partition("\n[schedule]")[0]
    more = config.parent / "config.d"
    more.mkdir()
    service = started("run", "--config", str(config))
    wait_for(service, "job.finished")
    text = account.replace('"home"', '"cabin"').replace('"house"', '"shed"')
    (more / "cabin.toml").write_text(f"[[account]]{text}")
    service.send_signal(signal.SIGHUP)
    assert json.loads(wait_for(service, "config.reloaded")[-1])["meters"] == 2
    text = account.replace('"home"', '"flat"').replace('"house"', '"a flat"')
    (more / "flat.toml").write_text(f"[[account]]{text}")
    service.send_signal(signal.SIGHUP)
    problems = json.loads(wait_for(service, "config.rejected")[-1])["problems"]
    assert {each.partition(": ")[0] for each in problems} == {str(more / "flat.toml")}
    assert stop(service)[0] == 0
