"""The unit under a real systemd: installed as the README says, started, reloaded, hung, crashed, stopped."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from collector.cli import exits
from collector.simulator import Device
from tests.support.key_forms import AWKWARD_KEY, forms_of
from tests.support.world import hours_of_day, kwh, records_of
from tests.system.machines import installing, roots

pytestmark = [pytest.mark.machines, pytest.mark.timeout(1100)]  # the first one may build a machine

_STOP_S = 5
Facts = Callable[[str], Any]
UnderWay = Mapping[tuple[str, str], Future[Path]]
_TRIALS = ("life", "sharing", "failures", "stops", "instances", "publishing")


@pytest.fixture(scope="module")
def under_way(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnderWay]:
    """The results of each trial on each machine; the machines run side by side, for most of it is waiting."""
    folder = tmp_path_factory.mktemp("machines")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        results = {}
        for suite in roots.SUITES:
            line = stack.enter_context(ThreadPoolExecutor(1))  # a machine boots once at a time
            machine = line.submit(installing.installed, suite, folder / suite)
            for trial in _TRIALS:
                results[suite, trial] = line.submit(_tried, machine, trial, folder / f"{suite}-{trial}")
        yield results


@pytest.fixture(scope="module", params=roots.SUITES)
def suite(request: pytest.FixtureRequest) -> str:
    """The machine's Debian: 12 with systemd 252, as Raspberry Pi OS Bookworm has it, and 13 with 257."""
    return str(request.param)


@pytest.fixture(scope="module")
def lived(suite: str, under_way: UnderWay) -> Path:
    """The results of a whole life."""
    return under_way[suite, "life"].result()


@pytest.fixture(scope="module")
def life(lived: Path) -> Facts:
    """The facts of a whole life."""
    return lambda name: json.loads((lived / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def failures(suite: str, under_way: UnderWay) -> Facts:
    """The facts of ends that nobody ordered."""
    results = under_way[suite, "failures"].result()
    return lambda name: json.loads((results / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def stops(suite: str, under_way: UnderWay) -> Facts:
    """The facts of stops at bad moments."""
    results = under_way[suite, "stops"].result()
    return lambda name: json.loads((results / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def sharing(suite: str, under_way: UnderWay) -> Facts:
    """The facts of several commands beside the service, on one key."""
    results = under_way[suite, "sharing"].result()
    return lambda name: json.loads((results / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def instances(suite: str, under_way: UnderWay) -> Facts:
    """The facts of two instances of the unit."""
    results = under_way[suite, "instances"].result()
    return lambda name: json.loads((results / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def published(suite: str, under_way: UnderWay) -> Path:
    """The results of a service that sends hours to a target."""
    return under_way[suite, "publishing"].result()


@pytest.fixture(scope="module")
def publishing(published: Path) -> Facts:
    """The facts of it."""
    return lambda name: json.loads((published / f"{name}.json").read_text())


def _tried(machine: Future[Path], trial: str, results: Path) -> Path:
    return installing.tried(machine.result(), trial, results)


def _hold(folder: Path, secret: str) -> list[str]:
    """The files below a folder that hold the secret in any form."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.name for path in files if any(form in path.read_bytes() for form in forms_of(secret)))


def _is_full(archive: Path, day: date) -> bool:
    """Whether a day's file says what the simulated meter measured, and all of it."""
    house = Device(installing.HOUSE)
    expected = [
        {
            "ts": ts,
            "import": kwh(house.energy(0, ts).consumption),
            "export": kwh(house.energy(0, ts).reversed),
            "solar": kwh(house.energy(1, ts).consumption),
        }
        for ts in hours_of_day(day, installing.ZONE)
    ]
    records = records_of(archive / "house" / f"{day}.jsonl")
    return expected == [{name: record[name] for name in expected[0]} for record in records]


def _ended_well(stop: dict[str, Any]) -> bool:
    after = stop["after"]
    ended = (after["ActiveState"], after["Result"], after["ExecMainStatus"]) == ("inactive", "success", "0")
    return stop["code"] == 0 and ended and stop["took_s"] <= _STOP_S


def _was_restarted(ended: dict[str, Any]) -> bool:
    """Whether systemd itself started it anew; on a busy computer a short watchdog may have barked twice."""
    before, after = ended["before"], ended["after"]
    return after["ActiveState"] == "active" and int(after["NRestarts"]) > int(before["NRestarts"])


def test_the_lines_of_the_readme_start_the_service(life: Facts) -> None:
    """`config check` is content, `systemctl start` returns with READY, and a boot will start it as well."""
    assert life("check")["code"] == 0, life("check")["said"]
    assert life("start")["code"] == 0, life("start")["said"]
    assert life("started")["ActiveState"] == "active"
    assert life("started")["SubState"] == "running"
    assert life("started")["Type"] == "notify"
    assert life("started")["enabled"] == "enabled"


def test_the_lines_of_the_readme_show_that_it_works(life: Facts) -> None:
    """`doctor` finds nothing that fails, and `status` sees the service."""
    assert life("doctor")["code"] == 0, life("doctor")["said"]
    assert "FAIL" not in life("doctor")["said"]
    assert "service  running since " in life("status")["said"]


def test_a_reader_sees_the_service_and_its_files(life: Facts) -> None:
    """Who may read the files, and not the key, has `status` and `verify`: all is well."""
    assert life("looked_at")["code"] == 0, life("looked_at")["said"]
    seen = json.loads(life("looked_at")["said"])
    assert seen["service"]["running"] is True
    assert seen["accounts"][0]["requests_today"] >= 14
    assert [meter["health"] for meter in seen["meters"]] == ["good"]
    assert life("verified")["code"] == 0, life("verified")["said"]


def test_the_status_says_what_it_does(life: Facts) -> None:
    """In a line for a person, which changes with the work."""
    assert re.fullmatch(
        r"Collecting 1 meter, newest hour .+ old, 0 jobs in progress, next run \d\d:\d\d UTC",
        life("collecting")["StatusText"],
    )
    assert life("good_reload")["after"]["StatusText"].startswith("Collecting 2 meters, ")


def test_the_days_arrive_as_the_cloud_has_them(lived: Path) -> None:
    """Every hour of each full day, except of yesterday, which may not be settled just after midnight."""
    days = sorted(date.fromisoformat(path.stem) for path in (lived / "archive/house").glob("*.jsonl"))
    full = [day for day in days if day < days[-1] - timedelta(days=1)]
    assert len(full) >= 4
    assert full == [full[0] + timedelta(days=after) for after in range(len(full))]
    for day in full:
        assert _is_full(lived / "archive", day)


def test_a_changed_value_would_be_seen(lived: Path, tmp_path: Path) -> None:
    """A check that cannot fail is no check."""
    path = sorted((lived / "archive/house").glob("*.jsonl"))[1]
    records = [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]
    records[3]["import"] += Decimal("0.0001")
    copy = tmp_path / "house" / path.name
    copy.parent.mkdir()
    copy.write_text("".join(json.dumps(record, default=float) + "\n" for record in records))
    assert not _is_full(tmp_path, date.fromisoformat(path.stem))


def test_the_files_are_the_services_own_and_their_readers_are_its_group(life: Facts) -> None:
    """Nothing is root's, not even after the program was started beside it as root."""
    for user, group, mode, kind, name in life("archive"):
        assert (user, group) == ("shelly-collector", "shelly-collector"), name
        assert (kind, mode) in {("d", "750"), ("f", "640")}, f"{name}: {mode}"
    assert any(name.endswith(".jsonl") for *_, name in life("archive"))


def test_what_root_fetched_while_the_service_was_down_is_the_services(life: Facts) -> None:
    """Bug: root's files could not be read, and were moved aside as damaged at the next start."""
    assert life("root_fills_in")["code"] == 0, life("root_fills_in")["said"]
    files = {name for *_, name in life("archive") if name.startswith("house/") and name.endswith(".jsonl")}
    assert len(files) >= len(life("root_fills_in")["before"]) + 3
    assert life("beside_roots_files") == []


@pytest.mark.parametrize("command", ["backfill", "reread", "verify--fix", "verify--cloud"])
def test_the_service_carries_out_commands_of_root_and_of_its_group(life: Facts, command: str) -> None:
    """Out of the sandbox, with nobody's key but its own; a stranger is turned away with a reason."""
    for user in ("root", "reader"):
        done = life(f"command_{command}_by_{user}")
        assert done["code"] == 0, done["said"]
    refused = life(f"command_{command}_by_stranger")
    assert refused["code"] == exits.BAD_CONFIGURATION, refused["said"]
    assert "config.toml: cannot be read by this user" in refused["said"]


def test_commands_on_one_key_beside_the_first_backfill_keep_one_pace(sharing: Facts) -> None:
    """Backfills elsewhere, a doctor, a comparison that the service makes: no gap below a second."""
    for name in ("root", "reader", "doctor", "verify"):
        done = sharing(f"shared_by_{name}")
        assert done["code"] == 0, f"{name}: {done['said']}"
        assert "pace.unshared" not in done["said"]
    counts = sharing("together")["counts"]["total"]
    assert counts["smallest_start_gap_s"] >= 1.0
    assert counts["rejections"] <= 1  # the one that teaches a strict cloud's account to ask one at a time


def test_the_service_root_and_the_group_share_one_file_and_a_stranger_is_warned(sharing: Facts) -> None:
    """Out of the sandbox, and whoever has made the file; a stranger's command works as well."""
    folder, *files = sharing("pace")["found"]
    assert folder == ["shelly-collector", "shelly-collector", "0o42770"]
    assert [each[1:] for each in files] == [["shelly-collector", "0o100660"]]
    assert sharing("pace")["unshared"] == []
    done = sharing("shared_by_stranger")
    assert done["code"] == 0, done["said"]
    assert "pace.unshared" in done["said"]


def test_a_command_may_be_interrupted_and_reports_the_stop_of_the_service(sharing: Facts) -> None:
    """Ctrl-C leaves the service as it was; a service that stops is named as the reason."""
    interrupted = sharing("command_interrupted")
    assert interrupted["code"] == exits.INTERRUPTED, interrupted["said"]
    assert "The service continues" in interrupted["said"]
    assert interrupted["after"]["NRestarts"] == interrupted["before"]["NRestarts"]
    assert sharing("command_stopped")["code"] == exits.IN_PART, sharing("command_stopped")["said"]
    assert "The service stopped" in sharing("command_stopped")["said"]


def test_a_reload_with_a_mistake_leaves_the_old_configuration_in_force(life: Facts) -> None:
    """Told with the mistake and its cure, in the same process, which is ready again."""
    reload = life("bad_reload")
    assert reload["code"] == 0
    assert any("level" in problem for problem in reload["event"]["problems"])
    assert reload["after"]["ActiveState"] == "active"
    assert reload["after"]["MainPID"] == reload["before"]["MainPID"]
    assert reload["after"]["StatusText"].startswith(("Collecting 1 meter,", "Starting"))


def test_a_reload_takes_a_new_meter_in(life: Facts) -> None:
    """In the same process; its days are there soon."""
    reload = life("good_reload")
    assert reload["code"] == 0
    assert reload["event"]["meters"] == 2
    assert reload["barn"]
    assert reload["after"]["MainPID"] == life("started")["MainPID"]
    assert reload["after"]["NRestarts"] == "0"


@pytest.mark.parametrize("rival", ["root_rival", "rival"])
def test_a_second_instance_goes_away_at_once(rival: str, life: Facts) -> None:
    """Whoever starts it; it names what holds the archive, and the service notices nothing.

    They share the computer's cores, and waiting for one is not the instance's to answer for.
    """
    assert life(rival)["code"] == exits.HELD_BY_ANOTHER, life(rival)["said"]
    assert life(rival)["took_s"] - life(rival)["waited_s"] < 2
    beside = life("beside_rivals")
    assert beside["after"]["ActiveState"] == "active"
    assert beside["after"]["MainPID"] == beside["before"]["MainPID"]


def test_an_idle_service_stops_in_time(life: Facts) -> None:
    """With its last words, and no mark of a failure."""
    assert _ended_well(life("stop")), life("stop")
    assert '"event": "service.stopped"' in life("stop")["events"][-1]


def test_the_key_is_read_and_nobody_else_sees_it(lived: Path) -> None:
    """Not in the journal at level debug, in no unit's properties, in no process, in no file it wrote."""
    assert _hold(lived / "running", AWKWARD_KEY) == []
    assert _hold(lived / "stopped", AWKWARD_KEY) == []
    assert _hold(lived / "archive", AWKWARD_KEY) == []


def test_what_was_searched_for_the_key_is_all_there(lived: Path, life: Facts) -> None:
    """The service's own process and lines were among it, and an answer of the cloud that held the key."""
    pid = life("as_ready_as_ever")["MainPID"]
    assert b"shelly-collector\0run" in (lived / "running" / f"{pid}.cmdline").read_bytes()
    assert b"CREDENTIALS_DIRECTORY" in (lived / "running" / f"{pid}.environ").read_bytes()
    for name in ("journal.export", "journal.json", "journal.verbose", "journal.short"):
        assert b"service.stopped" in (lived / "stopped" / name).read_bytes()
    assert b"the cloud answered 400" in (lived / "stopped/journal.export").read_bytes()


def test_a_key_in_a_process_a_unit_or_the_journal_would_be_found(lived: Path, life: Facts) -> None:
    """A search that cannot find is no search: a unit was given the key on purpose."""
    found = _hold(lived / "control", AWKWARD_KEY)
    pid = life("control")["pid"]
    journals = [f"journal.{each}" for each in ("export", "json", "short", "verbose")]
    assert found == sorted([f"{pid}.environ", *journals, "units"])


def test_a_configuration_with_a_mistake_stays_down_and_names_the_cure(failures: Facts) -> None:
    """All mistakes at once, once: no restart repeats them."""
    mistake = failures("mistake")
    after = mistake["after"]
    assert mistake["code"] != 0
    assert (after["ActiveState"], after["Result"], after["NRestarts"]) == ("failed", "exit-code", "0")
    assert after["ExecMainStatus"] == str(exits.BAD_CONFIGURATION)
    told = [line for line in mistake["journal"] if "config.toml: " in line]
    assert any("refresh_minute" in line for line in told)
    assert any("hael" in line and "heal" in line.replace("hael", "") for line in told)


def test_a_crash_is_followed_by_a_new_start(failures: Facts) -> None:
    """kill -9: after RestartSec it is ready again."""
    assert _was_restarted(failures("crash"))


def test_exit_1_is_followed_by_a_new_start(failures: Facts) -> None:
    """It failed before it was ready; the second try works."""
    assert any("status=1/FAILURE" in line for line in failures("exit_1")["journal"])
    assert _was_restarted(failures("exit_1"))


def test_a_disk_that_is_not_mounted_is_no_new_archive(failures: Facts) -> None:
    """Nothing is begun on the card below; `status` names the cure, and with the disk the work goes on."""
    unplugged = failures("unplugged")
    assert unplugged["started"]["code"] == 0, unplugged["started"]["said"]
    assert unplugged["left"] == []
    assert "perhaps its disk is not mounted" in unplugged["said"]["status"]
    assert "perhaps its disk is not mounted" in unplugged["said"]["unit"]
    assert unplugged["again"]["active"]


@pytest.mark.parametrize("hang", ["stopped", "looping"])
def test_a_hung_service_is_ended_and_started_anew(hang: str, failures: Facts) -> None:
    """A process that is stopped, and a loop that hangs in a process that is awake."""
    hung = failures(hang)
    assert any("Watchdog timeout (limit 3s)!" in line for line in hung["journal"])
    assert any("status=9/KILL" in line for line in hung["journal"])
    assert _was_restarted(hung)


def test_a_stop_in_a_backfill_is_in_time(stops: Facts) -> None:
    """Three years are under way, one request a second."""
    assert stops("backfill")["before"]["ActiveState"] == "active"
    assert _ended_well(stops("backfill")), stops("backfill")


@pytest.mark.parametrize("hole", ["name", "address"])
def test_a_stop_before_a_black_hole_is_in_time(hole: str, stops: Facts) -> None:
    """Nothing answers: neither whoever knows the cloud's address, nor whoever is there."""
    assert stops(hole)["before"]["ActiveState"] == "active"
    assert _ended_well(stops(hole)), stops(hole)


@pytest.mark.parametrize("name", ["east", "west"])
def test_instances_with_accounts_of_their_own_collect_side_by_side(instances: Facts, name: str) -> None:
    """Made by the lines of the page about many meters: each has its configuration, archive and status."""
    assert instances("lines")["code"] == 0, instances("lines")["said"]
    found = instances(name)
    assert found["unit"]["ActiveState"] == "active"
    assert found["unit"]["NRestarts"] == "0"
    assert found["days"] >= 2
    assert found["others_days"] == 0
    status = json.loads(found["status"])
    assert status["service"]["running"] is True
    assert str(status["service"]["pid"]) == found["unit"]["MainPID"]


def test_instances_share_the_request_rate_of_a_key(instances: Facts) -> None:
    """Both have an account with the same key: one request a second of both together."""
    assert instances("seen")["requests"] >= 8
    assert instances("seen")["smallest_start_gap_s"] >= 1.0


@pytest.mark.parametrize(("place", "token"), [("by_file", "first-token"), ("by_credential", "second-token")])
def test_the_service_sends_hours_to_a_host_by_its_name_with_the_token(
    place: str, token: str, publishing: Facts
) -> None:
    """Within its sandbox: from a file that its group may read, and from a credential that root has."""
    found = publishing(place)
    assert found["ActiveState"] == "active"
    assert {login for login, _ in found["requests"]} == {f"Token {token}"}
    assert sum(points for _, points in found["requests"]) >= 6 * 24


def test_root_sends_hours_beside_the_service_and_sees_that_it_does(publishing: Facts) -> None:
    """With the token in the file, also where the service has it as a credential."""
    assert publishing("root")["code"] == 0, publishing("root")["said"]
    assert publishing("root")["said"].startswith("influxdb: house: ")
    (target,) = publishing("status")
    assert (target["name"], target["failure"]) == ("influxdb", None)
    checks = json.loads(publishing("doctor")["said"])["checks"]
    (check,) = [each for each in checks if each["check"] == "publish"]
    assert (check["result"], check["says"]) == ("ok", "influx.lan:8086 accepts points.")


def test_what_was_sent_is_noted_by_the_services_user_and_no_token_is_seen(
    publishing: Facts, published: Path
) -> None:
    names = [name for *_, name in publishing("archive") if "publish-influxdb" in name]
    assert len(names) == 2
    for user, group, mode, kind, name in publishing("archive"):
        assert (user, group) == ("shelly-collector", "shelly-collector"), name
        assert (kind, mode) in {("d", "750"), ("f", "640")}, f"{name}: {mode}"
    for token in ("first-token", "second-token"):
        assert _hold(published / "published", token) == []
        assert _hold(published / "archive", token) == []
