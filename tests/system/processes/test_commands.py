"""The commands as a user or a script meets them: what they print, where, and how they end."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from collector.simulator import Scenario
from tests.support.processes import (
    SCENARIO,
    Cloud,
    collector,
    configuration,
    pytests_own,
    started,
    stop,
    wait_for,
)
from tests.support.world import DEVICE, KEY, kwh, records_of


def flags(cloud: Cloud, odir: Path, *more: str) -> list[str]:
    return ["backfill", "--host", cloud.url, "--id", DEVICE, "--auth_key", KEY, "--odir", str(odir), *more]


def test_backfill_works_from_the_older_utilitys_flags_alone(cloud: Cloud, tmp_path: Path) -> None:
    """`--host --id --auth_key --odir --days`: today and the days before it, in that very folder."""
    done = collector(*flags(cloud, tmp_path / "odir", "--days", "1"))
    assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in (tmp_path / "odir").glob("*.jsonl"))
    assert len(files) in (1, 2)  # in the first minutes of a day, today has no hour yet
    assert len(records_of(tmp_path / "odir" / files[0])) in (23, 24, 25)
    assert "days:" in done.stdout


def test_two_meters_into_one_folder_end_with_73(cloud: Cloud, tmp_path: Path) -> None:
    """The README's two commands, into the default folder: both are named, and the way out."""
    words = ["backfill", "--host", cloud.url, "--auth_key", KEY, "--days", "1", "--id"]
    assert collector(*words, DEVICE, env={"HOME": str(tmp_path)}).returncode == 0
    other = collector(*words, "a8032abe41fc", env={"HOME": str(tmp_path)})
    assert other.returncode == 73
    assert all(word in other.stderr for word in (DEVICE, "a8032abe41fc", "--adopt", "--odir"))


def test_hyphens_are_as_good_as_underscores(cloud: Cloud, tmp_path: Path) -> None:
    """`--auth-key` is `--auth_key`; `--dry-run` asks and writes nothing."""
    words = flags(cloud, tmp_path / "odir", "--dry-run", "--json", "--days", "9")
    words[words.index("--auth_key")] = "--auth-key"
    done = collector(*words, "--pv-kwh-discard", "0.01", "--grid-scale-factor", "2")
    assert done.returncode == 0, done.stderr
    (plan,) = json.loads(done.stdout)
    assert (len(plan["days"]), plan["requests"]) == (10, 20)
    assert plan["duration_s"] == pytest.approx(21)
    assert cloud.counts()["total"]["requests"] == 0
    assert not (tmp_path / "odir").exists()


def test_a_3em_is_collected_from_flags_alone(cloud: Cloud, tmp_path: Path) -> None:
    """Bug: there was no flag for it."""
    cloud.play(SCENARIO + 'kind = "3em"\n')
    done = collector(*flags(cloud, tmp_path / "odir", "--days", "1", "--kind", "3em"))
    assert done.returncode == 0, done.stderr
    assert cloud.counts()["total"]["requests"] == 2
    records = [record for path in (tmp_path / "odir").glob("*.jsonl") for record in records_of(path)]
    assert len(records) >= 23
    assert {record["solar"] for record in records} == {0}


def test_a_meter_without_a_solar_clamp_is_asked_for_once_a_day(cloud: Cloud, tmp_path: Path) -> None:
    """`--no-solar`, or with an underscore."""
    for flag in ("--no-solar", "--no_solar"):
        done = collector(*flags(cloud, tmp_path / "odir", "--days", "9", flag, "--dry-run", "--json"))
        (plan,) = json.loads(done.stdout)
        assert plan["requests"] == len(plan["days"]) == 10


def test_a_backfill_that_has_nothing_names_what_may_be_wrong(cloud: Cloud, tmp_path: Path) -> None:
    """Bug: as a meter of another kind it ended with "2 days: 2 empty", exit 0, and no hint."""
    cloud.play(SCENARIO + 'kind = "3em"\nother_type = "empty"\n')
    config = configuration(tmp_path, cloud)
    for again in ([], ["--json"]):  # the second time only today is asked for
        done = collector("backfill", "--config", str(config), "--days", "1", *again)
        assert done.returncode == 1, done.stderr
        for reason in ("house", "kind", "channel", "online", "host"):
            assert reason in done.stderr
    assert json.loads(done.stdout)["without_data"] == ["house"]


def test_a_backfill_reports_in_json(cloud: Cloud, tmp_path: Path) -> None:
    """`--json`: a report on standard output, everything else on standard error."""
    config = configuration(tmp_path, cloud)
    done = collector("backfill", "--config", str(config), "--days", "40", "--json")
    report = json.loads(done.stdout)
    assert report["days"]["written"] == 40
    assert report["failures"] == report["without_data"] == []
    assert report["requests"] <= 60  # two days in one, and what it takes to know that
    again = json.loads(collector("backfill", "--config", str(config), "--days", "40", "--json").stdout)
    assert sum(again["days"].values()) == 1  # complete days are not asked for again


def test_a_day_that_fails_is_listed_and_the_others_are_had(cloud: Cloud, tmp_path: Path) -> None:
    """Exit code 1, and the day with its reason at the end."""
    day = json.loads(collector(*flags(cloud, tmp_path / "x", "--dry-run", "--json")).stdout)[0]["days"][5]
    cloud.play(SCENARIO + f'[[fault]]\nkind = "truncated_json"\ncovers = [{day}]\n')
    config = configuration(tmp_path, cloud)
    done = collector("backfill", "--config", str(config), "--days", "9")
    assert done.returncode == 1
    assert f"house {day}: " in done.stderr
    assert len(list((tmp_path / "archive/house").glob("*.jsonl"))) in (8, 9)


@pytest.mark.parametrize(
    ("kind", "code"),
    [("bad_key", 77), ("status_500", 69), ("maintenance", 69), ("redirect_307", 69), ("unexplained_401", 69)],
)
def test_what_stops_a_backfill_is_told_by_its_exit_code(
    kind: str, code: int, cloud: Cloud, tmp_path: Path
) -> None:
    """77 for a refused key, 69 for a cloud that is not there; with the cure on standard error."""
    cloud.play(SCENARIO + f'[[fault]]\nkind = "{kind}"\n')
    done = collector("backfill", "--config", str(configuration(tmp_path, cloud)), "--days", "9")
    assert done.returncode == code, done.stderr
    assert "The cloud" in done.stderr
    assert cloud.counts()["total"]["requests"] < 20


def test_a_second_instance_leaves_the_first_alone(cloud: Cloud, tmp_path: Path) -> None:
    """75 within two seconds, and the service goes on."""
    config = configuration(tmp_path, cloud)
    service = started("run", "--config", str(config))
    try:
        wait_for(service, "service.ready")
        began = time.perf_counter()
        second = collector("backfill", "--config", str(config))
        assert second.returncode == 75
        assert "another collector" in second.stderr
        assert time.perf_counter() - began < 4  # two seconds, and an interpreter on a busy machine
        assert service.poll() is None
    finally:
        code, _, _ = stop(service)
    assert code == 0


def test_ctrl_c_stops_the_service_in_order(cloud: Cloud, tmp_path: Path) -> None:
    """Exit 0 within five seconds, also in the middle of requests; SIGTERM: tests/faults/test_stopping.py."""
    cloud.play("latency_s = 1.5\n" + SCENARIO)
    service = started("run", "--config", str(configuration(tmp_path, cloud)))
    wait_for(service, "service.ready")
    code, seconds, output = stop(service, signal.SIGINT)
    assert code == 0
    assert seconds < 5
    assert '"service.stopped"' in output


def test_a_second_signal_ends_it_at_once(cloud: Cloud, tmp_path: Path) -> None:
    """Whoever presses Ctrl-C twice does not want to wait."""
    cloud.play(SCENARIO + '[[fault]]\nkind = "stall"\n')
    service = started("run", "--config", str(configuration(tmp_path, cloud)))
    wait_for(service, "service.ready")
    time.sleep(0.3)
    service.send_signal(signal.SIGINT)
    time.sleep(0.3)
    code, seconds, _ = stop(service, signal.SIGINT)
    assert code == 130
    assert seconds < 1


def test_an_interrupted_backfill_keeps_what_it_has(cloud: Cloud, tmp_path: Path) -> None:
    """Ctrl-C in the middle: exit 130, what is stored is whole, and the next run asks only for the rest."""
    cloud.play("latency_s = 0.05\n" + SCENARIO)
    config = configuration(tmp_path, cloud)
    folder = tmp_path / "archive" / "house"
    process = started("backfill", "--config", str(config), "--days", "60")
    wait_for(process, "day.written")
    code, _, output = stop(process, signal.SIGINT)
    assert code == 130
    assert "Interrupted" in output
    had = len(list(folder.glob("*.jsonl")))
    assert 0 < had < 60
    cloud.play(SCENARIO)
    report = json.loads(collector("backfill", "--config", str(config), "--days", "60", "--json").stdout)
    assert report["days"]["written"] >= 60 - had


def test_the_service_manager_is_told(cloud: Cloud, tmp_path: Path) -> None:
    """READY once the archive is held, WATCHDOG while it works, a STATUS line, STOPPING at the end."""
    address = f"@shelly-collector-test-{os.getpid()}"  # a path could be longer than sockets may have
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address.replace("@", "\0"))
        manager.settimeout(20)
        service = started(
            "run", "--config", str(configuration(tmp_path, cloud)),
            NOTIFY_SOCKET=address, WATCHDOG_USEC="600000",
        )  # fmt: skip
        told = ""
        while "READY=1" not in told or told.count("WATCHDOG=1") < 3 or "Collecting 1 meter" not in told:
            told += manager.recv(4096).decode() + "\n"
        stop(service)
        while "STOPPING=1" not in told:
            told += manager.recv(4096).decode() + "\n"


def test_sighup_reads_the_configuration_again(cloud: Cloud, tmp_path: Path) -> None:
    """A broken file is refused and the service goes on; a good one is in force."""
    config = configuration(tmp_path, cloud)
    service = started("run", "--config", str(config))
    wait_for(service, "service.ready")
    good = config.read_text()
    config.write_text(good + "\nnonsense = 1\n")
    service.send_signal(signal.SIGHUP)
    assert "nonsense" in wait_for(service, "config.rejected")[-1]
    config.write_text(good.replace("[archive]", "[archive]\ndecimals = 5"))
    service.send_signal(signal.SIGHUP)
    wait_for(service, "config.reloaded")
    wait_for(service, "service.ready")
    assert stop(service)[0] == 0


@pytest.mark.parametrize(
    "words", [["--version"], ["--help"], *([name, "--help"] for name in ("run", "backfill", "verify"))]
)
def test_help_and_version_import_none_of_the_packages(words: list[str], tmp_path: Path) -> None:
    """They answer at once, whatever else is broken or slow."""
    code = (
        "import sys\nfrom collector.cli import main\n"
        f"assert main({words!r}) == 0\n"
        "loaded = {'aiohttp', 'apscheduler', 'structlog', 'tenacity', 'asyncio'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    import subprocess

    from tests.support.processes import PROGRAM, environment

    done = subprocess.run(
        [PROGRAM[0], "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "shelly-collector" in done.stdout


def test_every_command_shows_an_example(tmp_path: Path) -> None:
    """`--help` of each command ends with a line to copy."""
    for name in ("run", "backfill", "report", "verify", "demo", "simulate", "config"):
        assert f"example: shelly-collector {name}" in collector(name, "--help").stdout


@pytest.mark.parametrize(
    "words",
    [["backfil"], ["backfill", "--days", "-1"], ["backfill", "--days", "x"], ["backfill", "--since", "soon"],
     ["backfill", "--kind", "5em"], ["backfill", "--no-solar", "--meter", "m"],
     ["backfill", "--all", "--days", "3"], ["run", "--nonsense"],
     ["backfill", "--host", "h", "--meter", "m"]],
)  # fmt: skip
def test_wrong_usage_is_exit_2_with_a_word_about_it(words: list[str]) -> None:
    """No traceback."""
    done = collector(*words)
    assert done.returncode == 2
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_an_archive_that_cannot_be_is_exit_73(cloud: Cloud, tmp_path: Path) -> None:
    """A file in the way, or a disk that is not mounted: one line with the cure."""
    (tmp_path / "file").write_text("")
    for odir in (tmp_path / "file", tmp_path / "not" / "mounted"):
        done = collector(*flags(cloud, odir))
        assert done.returncode == 73
        assert len(done.stderr.splitlines()) == 1


def test_a_closed_output_does_not_stop_the_collecting(cloud: Cloud, tmp_path: Path) -> None:
    """Nobody reads the log any more; the days come all the same."""
    config = configuration(tmp_path, cloud, more="[schedule]\nbackfill_days = 30\n")
    service = started("run", "--config", str(config))
    wait_for(service, "service.ready")
    assert service.stdout is not None
    service.stdout.close()
    deadline = time.perf_counter() + 20
    folder = tmp_path / "archive" / "house"
    while len(list(folder.glob("*.jsonl"))) < 30 and time.perf_counter() < deadline:
        time.sleep(0.05)
    assert len(list(folder.glob("*.jsonl"))) >= 30
    os.kill(service.pid, signal.SIGTERM)
    assert service.wait(timeout=10) == 0


def test_the_demo_shows_its_days(tmp_path: Path) -> None:
    """`demo --once`: thirty days and today through real sockets, a table, and every hour the truth."""
    done = collector("demo", "--once", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n20") >= 30
    assert "█" in done.stdout
    assert "without --once" in done.stdout.splitlines()[-1]
    files = sorted((tmp_path / "shelly-demo/archive/house").glob("*.jsonl"))
    assert len(files) >= 30
    (meter, *_) = Scenario.default().account[0].device
    for record in (record for path in files for record in records_of(path)):
        grid, sun = meter.energy(0, record["ts"]), meter.energy(1, record["ts"])
        assert (record["import"], record["export"]) == (kwh(grid.consumption), kwh(grid.reversed))
        assert record["solar"] == kwh(sun.consumption)


def test_the_demo_prints_where_its_page_is_and_keeps_it_up(tmp_path: Path) -> None:
    """Until Ctrl-C, also if the usual port is taken: the address that is printed answers."""
    with ExitStack() as held:
        with suppress(OSError):  # taken already
            held.enter_context(socket.create_server(("127.0.0.1", 9787)))
        demo = started("demo", "--days", "2", "--dir", str(tmp_path / "demo"))
        try:
            lines = wait_for(demo, '"service.ready"')
            (address,) = [
                line.split()[-1] for line in lines if "http://127.0.0.1" in line and "browser" in line
            ]
            with urllib.request.urlopen(f"{address}api/v1/meters", timeout=10) as answer:
                (meter,) = json.loads(answer.read())["meters"]
            assert meter["name"] == "house"
            with urllib.request.urlopen(address, timeout=10) as answer:
                assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        finally:
            code, _, _ = stop(demo, signal.SIGINT)
    assert code == 0


@pytest.mark.parametrize("days", ["0", "1096", "x", "-1"])
def test_the_demo_collects_from_one_day_to_three_years(days: str) -> None:
    """Anything else is refused."""
    done = collector("demo", "--days", days)
    assert done.returncode == 2
    assert "1095" in done.stderr


def test_the_demo_leaves_other_peoples_files_alone(tmp_path: Path) -> None:
    """A configuration that is not the demo's is not overwritten."""
    (tmp_path / "config.toml").write_text("mine")
    done = collector("demo", "--once", "--dir", str(tmp_path))
    assert done.returncode == 73
    assert (tmp_path / "config.toml").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as somebody else")
def test_a_backfill_by_root_leaves_no_file_that_the_service_cannot_read(cloud: Cloud, tmp_path: Path) -> None:
    """In an archive of another user root acts as that user: a file of root's would lock the service out."""
    config = configuration(tmp_path, cloud)
    archive = tmp_path / "archive"
    archive.mkdir()
    for folder in (tmp_path, *pytests_own(tmp_path)):
        folder.chmod(0o755)
    os.chown(archive, 65534, 65534)
    done = collector("backfill", "--config", str(config), "--days", "1")
    assert done.returncode == 0, done.stderr
    owners = {path.stat().st_uid for path in archive.rglob("*")}
    assert owners == {65534}
