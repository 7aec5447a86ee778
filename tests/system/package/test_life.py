"""The package on whole machines of both suites: what each step of its life does, and never touches."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

import collector
from collector.simulator import Device
from deb.building import build
from tests.support.world import hours_of_day, kwh, records_of
from tests.system.machines import roots
from tests.system.package.life import DEVICE, KEY, STEPS
from tests.system.package.machine import Life, lived

pytestmark = [pytest.mark.machines, pytest.mark.timeout(1100)]  # the first one may build a machine

_NEWER = f"{collector.__version__}+1"
_CONFIGURATION, _KEY_FILE = "/etc/shelly-collector/config.toml", "/etc/shelly-collector/auth_key"
_LINK = "/etc/credstore/shelly-collector.auth_key"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two versions of the package."""
    folder = tmp_path_factory.mktemp("packages")
    build(folder / "1").rename(folder / "old.deb")
    build(folder / "2", _NEWER).rename(folder / "new.deb")
    return folder


@pytest.fixture(scope="module")
def lives(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Life]]]:
    """A machine of each suite; they live side by side."""
    folder = tmp_path_factory.mktemp("machines")
    with ThreadPoolExecutor(len(roots.SUITES)) as pool:
        yield {suite: pool.submit(lived, suite, packages, folder / f"of-{suite}") for suite in roots.SUITES}


@pytest.fixture(scope="module", params=roots.SUITES)
def life(request: pytest.FixtureRequest, lives: dict[str, Future[Life]]) -> Life:
    """What the machine of one suite has lived through."""
    return lives[request.param].result()


def test_every_step_ends_well(life: Life) -> None:
    """dpkg would leave the package half installed otherwise."""
    codes = {step.__name__: life.after(step.__name__).get("code", 0) for step in STEPS}
    assert {step: code for step, code in codes.items() if code} == {}


def test_an_installation_makes_the_user_and_starts_nothing(life: Life) -> None:
    """It is enabled for the day on which there is a configuration; one line says how to get there."""
    facts = life.after("installed")
    assert facts["user"].split(":")[5:] == ["/var/lib/shelly-collector", "/usr/sbin/nologin\n"]
    assert (facts["unit"]["UnitFileState"], facts["unit"]["ActiveState"]) == ("enabled", "inactive")
    assert facts["out"].splitlines()[-1].endswith("is configured: sudo shelly-collector setup")
    assert facts["files"] == {
        "/etc/shelly-collector": "755 root:root folder",
        "/etc/credstore": "700 root:root folder",
        _LINK: "-> ../shelly-collector/auth_key",
    }


def test_the_modules_are_compiled_where_they_are_installed(life: Life) -> None:
    """All of them, and again when the system's Python becomes another one."""
    for step in ("installed", "upgraded_while_it_runs", "another_python", "installed_again"):
        assert life.after(step)["compiled"] == life.after(step)["sources"] > 80


def test_a_start_without_a_configuration_is_left_out(life: Life) -> None:
    """It has not failed."""
    state = life.after("started_without_a_configuration")["unit"]
    assert (state["ActiveState"], state["ConditionResult"]) == ("inactive", "no")


def test_an_ordinary_user_can_use_every_command(life: Life) -> None:
    """With Debian's libraries, whatever lies in PYTHONPATH, in ~/.local or in /usr/local."""
    facts = life.after("used_by_an_ordinary_user")
    assert facts["greeting"].startswith("Simulating the Shelly Cloud on http://")
    assert facts["version"] == {"out": f"shelly-collector {collector.__version__}\n", "code": 0}
    assert facts["check"]["code"] == 0
    assert facts["backfill"]["code"] == 0
    assert len(facts["days"]) in (2, 3)  # in the first minutes of a day, today has no hour yet


def test_an_ordinary_user_is_sent_to_sudo_to_set_up_the_service(life: Life) -> None:
    """A collector of their own, beside the service, takes a file that they name."""
    facts = life.after("used_by_an_ordinary_user")
    assert facts["setup"]["code"] == 2
    assert "sudo shelly-collector setup" in facts["setup"]["out"]
    assert facts["own_setup"]["code"] == 0
    assert 'name = "house"' in facts["own_setup"]["out"]


def test_the_line_that_is_printed_leads_to_a_service_that_collects(life: Life) -> None:
    """The configuration is its group's to read, the key is root's alone, the archive is the user's."""
    facts = life.after("configured_and_started")
    assert facts["check"]["code"] == 0
    assert (facts["unit"]["ActiveState"], facts["unit"]["ConditionResult"]) == ("active", "yes")
    assert any('"service.ready"' in line for line in facts["journal"])
    assert '"day.written"' in facts["journal"][-1]
    assert facts["files"][_CONFIGURATION].startswith("640 root:shelly-collector ")
    assert facts["files"][_KEY_FILE].startswith("600 root:root ")
    stored = life.data("configured_and_started").values()
    assert stored
    assert all(what.startswith("640 shelly-collector:shelly-collector ") for what in stored)


def test_setting_it_up_takes_less_than_two_minutes(life: Life) -> None:
    """From the first question to a service that runs; and a second time there is nothing to do."""
    facts = life.after("configured_and_started")
    assert facts["seconds"] < 120
    assert "clamp 2 on the solar roof" in facts["screen"]
    assert "The service collects now." in facts["screen"]
    assert KEY not in facts["screen"]
    assert facts["again"]["code"] == 0
    assert "stays as it is" in facts["again"]["out"]


@pytest.mark.parametrize("who", ["anna", "service"])
def test_what_it_stores_is_right(life: Life, who: str) -> None:
    """Every hour of every day, on Debian's own versions of the libraries."""
    device = Device(DEVICE)
    paths = sorted((life.archive / who).glob("*.jsonl"))
    assert len(paths) >= 2
    for path in paths:
        records = records_of(path)
        hours = hours_of_day(date.fromisoformat(path.stem), device.timezone)
        whole = not records[0].get("partial", False)
        assert [record["ts"] for record in records] == (hours if whole else hours[: len(records)])
        for record in records:
            grid, sun = device.energy(0, record["ts"]), device.energy(1, record["ts"])
            assert (record["import"], record["export"]) == (kwh(grid.consumption), kwh(grid.reversed))
            assert record["solar"] == kwh(sun.consumption)


def test_an_upgrade_restarts_a_service_that_runs(life: Life) -> None:
    """And keeps the configuration, the key and the data."""
    before, after = life.after("configured_and_started"), life.after("upgraded_while_it_runs")
    assert after["unit"]["ActiveState"] == "active"
    assert after["unit"]["MainPID"] != before["unit"]["MainPID"]
    assert f"Unpacking shelly-collector ({_NEWER}) over" in after["out"]
    for path in (_CONFIGURATION, _KEY_FILE, _LINK):
        assert after["files"][path] == before["files"][path]
    assert life.data("upgraded_while_it_runs").keys() == life.data("configured_and_started").keys()
    assert "configured" not in after["out"]


def test_an_upgrade_respects_a_policy_against_restarts(life: Life) -> None:
    """policy-rc.d is how an administrator forbids them."""
    before, after = (
        life.after("upgraded_while_it_runs"),
        life.after("upgraded_where_services_must_not_be_touched"),
    )
    assert after["unit"]["MainPID"] == before["unit"]["MainPID"] != "0"


def test_an_upgrade_starts_nothing_that_was_stopped_or_disabled(life: Life) -> None:
    """Whoever stopped it had a reason."""
    assert life.after("upgraded_while_it_is_stopped")["unit"]["ActiveState"] == "inactive"
    disabled = life.after("upgraded_while_it_is_disabled")["disabled"]
    assert (disabled["UnitFileState"], disabled["ActiveState"]) == ("disabled", "inactive")


def test_a_removal_stops_the_service_and_keeps_configuration_and_data(life: Life) -> None:
    """Nothing of the program stays, not even what was compiled."""
    before, after = life.after("another_python"), life.after("removed")
    assert before["unit"]["ActiveState"] == "active"
    assert (after["unit"]["ActiveState"], after["unit"]["LoadState"]) == ("inactive", "not-found")
    assert not after["program"]
    assert after["err"] == ""
    assert after["files"] == before["files"]


def test_what_was_removed_and_comes_back_collects_on(life: Life) -> None:
    """By itself: nobody would look whether it does."""
    after = life.after("installed_again")
    assert after["unit"]["ActiveState"] == "active"
    assert after["files"][_CONFIGURATION] == life.after("removed")["files"][_CONFIGURATION]
    assert life.data("installed_again").keys() == life.data("removed").keys()
    assert "configured" not in after["out"]


def test_a_purge_takes_configuration_and_key_and_keeps_the_data(life: Life) -> None:
    """In silence; the user stays, so that the files keep their owner."""
    before, after = life.after("installed_again"), life.after("purged_while_it_runs")
    assert after["err"] == ""
    assert after["unit"]["LoadState"] == "not-found"
    assert not any(path.startswith("/etc/shelly-collector") or path == _LINK for path in after["files"])
    assert life.data("purged_while_it_runs").keys() == life.data("installed_again").keys() != set()
    assert after["user"] == before["user"]


def test_a_new_installation_finds_the_old_data_as_they_were(life: Life) -> None:
    """It waits for a configuration again, enabled."""
    after = life.after("installed_on_the_old_data")
    assert life.data("installed_on_the_old_data") == life.data("purged_while_it_runs")
    assert (after["unit"]["UnitFileState"], after["unit"]["ActiveState"]) == ("enabled", "inactive")


def test_a_purge_keeps_what_an_administrator_has_put_beside_the_configuration(life: Life) -> None:
    """It is not the package's."""
    files = life.after("purged_with_something_of_the_administrators")["files"]
    assert "/etc/shelly-collector/notes" in files
    assert _CONFIGURATION not in files


def test_a_unit_that_hides_the_packages_is_told(life: Life) -> None:
    """Who installed it by hand would go on with the old program and not know it."""
    after = life.after("installed_beside_a_unit_of_the_administrators")
    assert "/etc/systemd/system/shelly-collector.service hides the unit of the package" in after["err"]
    assert "hides" not in life.after("installed")["err"]


def test_an_image_that_is_made_without_a_running_system_collects_from_its_first_boot(life: Life) -> None:
    """Installed and configured where no systemd runs. Active is what has said that it is ready."""
    assert life.compiled_in_image > 80
    state = dict(line.split("=", 1) for line in life.first_boot.splitlines())
    assert state == {"ActiveState": "active", "Result": "success"}
