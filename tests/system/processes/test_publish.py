"""`publish` as a person or a script meets it, with targets on real sockets: its output and its end."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from collector.archive.files import FolderLock
from tests.support.archives import flip
from tests.support.certificates import certificate
from tests.support.energy_days import ORDINARY, filled
from tests.support.exported import store
from tests.support.home_assistant import ADMIN_TOKEN, USER_TOKEN, HomeAssistantServer
from tests.support.influx_server import Database, in_thread
from tests.support.processes import (
    PROGRAM,
    Cloud,
    Forks,
    collector,
    configuration,
    environment,
    pytests_own,
    started,
    stop,
    usual_configuration,
    wait_for,
)
from tests.support.world import mark_as

DAYS = [ORDINARY + timedelta(days=number) for number in range(3)]
NOBODY = 65534
LAST = "Run the same command again to continue, or leave the rest to the service.\n"
PASSWORD = "secret word of the database"
GARAGE = "a8032abe41fd"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Three days of the meter `house`, one of `garage`, and no target yet."""
    archive = tmp_path / "archive"
    store(archive / "house", [filled(day) for day in DAYS])
    mark_as(archive / "house")
    store(archive / "garage", [filled(DAYS[0])])
    mark_as(archive / "garage", GARAGE)
    path = usual_configuration(tmp_path, "http://127.0.0.1:9")
    zone = 'timezone = "Europe/Berlin"\n'
    garage = f'[[account.meter]]\nname = "garage"\nid = "{GARAGE}"\n'
    path.write_text(f"{path.read_text()}{zone}{garage}{zone}")
    return path


@pytest.fixture
def database() -> Iterator[Database]:
    """A database that runs."""
    made = Database()
    with in_thread(made.running()):
        yield made


@pytest.fixture
def home() -> Iterator[HomeAssistantServer]:
    """A Home Assistant that runs."""
    made = HomeAssistantServer()
    with in_thread(made):
        yield made


def with_target(config: Path, **table: object) -> Path:
    """The configuration with one more `[[publish]]` table."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in table.items()]
    config.write_text("\n".join([config.read_text(), "[[publish]]", *lines, ""]))
    return config


def with_home(config: Path, home: HomeAssistantServer, token: str = ADMIN_TOKEN) -> Path:
    return with_target(config, name="ha", kind="homeassistant", url=home.url, token=token)


def publish(config: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return collector("publish", *words, "--config", str(config))


def failed(config: Path, *words: str) -> str:
    """The line of a target that was not sent its hours."""
    done = publish(config, "--once", *words)
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.endswith(f"\n{LAST}")
    return done.stderr.removesuffix(f"\n{LAST}")


def record(config: Path, meter: str = "house", target: str = "db") -> Path:
    return config.parent / "archive" / meter / ".collector" / f"publish-{target}.json"


def hours_of(database: Database, meter: str = "house") -> int:
    return sum(head == f"energy,meter={meter}" and name == "import_kwh" for head, name, _ in database.values)


# -- What is sent -----------------------------------------------------------------------------------------


def test_what_is_missing_is_sent_once_and_reported_by_meter(config: Path, database: Database) -> None:
    with_target(config, **database.table())
    done = publish(config, "--once")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "db: house: 72 hours sent\ndb: garage: 24 hours sent\n",
        "",
    )
    assert (hours_of(database), hours_of(database, "garage")) == (72, 24)
    requests = database.requests
    again = publish(config, "--once")
    assert (again.returncode, again.stdout) == (0, "db: nothing new to send\n")
    assert database.requests == requests
    assert publish(config, "--once", "--all").stdout == done.stdout


def test_a_corrected_hour_is_sent_with_its_day_alone(config: Path, database: Database) -> None:
    with_target(config, **database.table())
    publish(config, "--once")
    before = database.sum_of("import_kwh")
    flip(config.parent / "archive" / "house" / f"{DAYS[2]}.jsonl", "import")
    assert publish(config, "--once").stdout == "db: house: 24 hours sent\n"
    assert database.sum_of("import_kwh") != before


def test_only_the_meters_and_targets_that_were_named_are_sent(config: Path, database: Database) -> None:
    with_target(config, **database.table())
    with_target(config, **database.table(name="other", measurement="other", meters=["house"]))
    done = publish(config, "--once", "--target", "db", "--meter", "garage")
    assert (done.returncode, done.stdout) == (0, "db: garage: 24 hours sent\n")
    done = publish(config, "--once", "--meter", "house")
    assert done.stdout == "db: house: 72 hours sent\nother: house: 72 hours sent\n"
    assert {head for head, _, _ in database.values} == {
        "energy,meter=house", "energy,meter=garage", "other,meter=house",
    }  # fmt: skip


def test_a_target_that_is_not_sent_the_meter_is_not_said_to_have_all(
    config: Path, database: Database
) -> None:
    """Bug: as if the target had all their hours."""
    with_target(config, **database.table(meters=["house"]))
    done = publish(config, "--once", "--meter", "garage")
    assert (done.returncode, done.stdout) == (2, "")
    assert "no target is sent these meters" in done.stderr


# -- Refusals ---------------------------------------------------------------------------------------------


def test_a_target_that_is_down_is_named_with_the_reason_and_the_others_are_sent(
    config: Path, database: Database
) -> None:
    with_target(config, **Database().table(name="down", token=f"me:{PASSWORD}"))
    with_target(config, **database.table())
    done = publish(config, "--once")
    assert done.returncode == 1
    assert done.stdout == "db: house: 72 hours sent\ndb: garage: 24 hours sent\n"
    first, last = done.stderr.splitlines(keepends=True)
    assert first.startswith("down: 127.0.0.1:")
    assert ": no connection: Connection refused. No action needed if" in first
    assert last == LAST


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_refused_token_is_never_shown_and_the_cure_is(version: int, config: Path) -> None:
    database = Database(version, "Token the-right-one", echo=" for ")
    with_target(config, **database.table(token=f"me:{PASSWORD}"))
    with in_thread(database.running()):
        done = publish(config, "--once")
    assert (done.returncode, done.stdout) == (1, "")
    assert "answers 401: authorization failed for " in done.stderr
    assert "Check the token (token_file; for InfluxDB 1 it is user:password)" in done.stderr
    assert PASSWORD not in done.stderr


def test_a_token_that_is_cut_off_in_a_long_answer_is_not_shown(config: Path) -> None:
    """Bug: of an answer 300 bytes were read, and a token at their end was cut, so that it was not found."""
    token = "t0ken" * 20
    database = Database(2, "Token the-right-one", echo="." * 240)
    with_target(config, **database.table(token=token))
    with in_thread(database.running()):
        assert "t0ken" not in failed(config)


def test_an_answer_in_json_is_shown_as_its_message(config: Path) -> None:
    """Bug: `answers 404: {"error":"database not found"}\\n.`"""
    database = Database()
    with_target(config, **database.table() | {"url": f"{database.url}s"})
    with in_thread(database.running()):
        line = failed(config)
    assert "answers 404: database not found. Check url: the address to write to" in line


def test_a_certificate_that_signs_itself_is_refused_with_the_cure_until_it_is_trusted(
    config: Path, tmp_path: Path
) -> None:
    """Bug: `another device answers in its place (a captive portal?)`, as if it were the cloud's."""
    made = certificate(tmp_path)
    database = Database(tls=made.server_context())
    with_target(config, **database.table(meters=["house"]))
    with in_thread(database.running()):
        line = failed(config)
        assert "this machine does not trust the host's certificate. Within your own network, use http" in line
        trusted = {"SSL_CERT_FILE": str(made.file), "PYTHONWARNINGS": "error"}  # in a new interpreter
        done = collector("publish", "--once", "--config", str(config), env=trusted)
    assert (done.returncode, done.stdout, done.stderr) == (0, "db: house: 72 hours sent\n", "")


def test_hours_that_the_database_would_delete_are_a_refusal_with_the_cure(
    config: Path, database: Database
) -> None:
    """As InfluxDB 1 answers. Bug: a failure without a cure, for ever."""
    database.answers = [400]
    database.reason = "partial write: points beyond retention policy dropped=72"
    line = failed(with_target(config, **database.table()), "--meter", "house")
    assert "Make one without an end" in line


def test_a_target_that_fails_in_the_middle_is_sent_the_rest_by_the_next_run(
    config: Path, database: Database
) -> None:
    with_target(config, **database.table())
    database.answers = [204, 503]
    done = publish(config, "--once")
    assert (done.returncode, done.stdout) == (1, "db: house: 72 hours sent\n")
    assert publish(config, "--once").stdout == "db: garage: 24 hours sent\n"
    assert hours_of(database, "garage") == 24


def test_a_lost_answer_is_a_failure_and_the_next_run_sends_the_hours_again(
    config: Path, database: Database
) -> None:
    with_target(config, **database.table())
    database.lost = 1
    assert "db: 127.0.0.1" in failed(config, "--meter", "house")
    assert publish(config, "--once", "--meter", "house").stdout == "db: house: 72 hours sent\n"
    assert hours_of(database) == 72


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        ([], 2, "one of the arguments --once --check is required"),
        (["--once", "--check"], 2, "not allowed with argument"),
        (["--check", "--all"], 2, "--all is an option of --once, not of --check"),
        (["--check"], 2, "--check compares targets of kind homeassistant only"),
        (["--once", "--target", "attic"], 2, "no target 'attic' in "),
        (["--once", "--meter", "attic"], 2, "no meter 'attic' in "),
    ],
)
def test_wrong_usage_is_answered_in_one_line(
    words: list[str], code: int, reason: str, config: Path, database: Database
) -> None:
    done = publish(with_target(config, **database.table()), *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert reason in done.stderr.splitlines()[-1]
    assert database.requests == 0


def test_without_a_table_the_command_says_what_is_missing(config: Path) -> None:
    done = publish(config, "--once")
    assert (done.returncode, done.stdout) == (78, "")
    assert "has no [[publish]] table" in done.stderr


# -- Interruptions, and several at once ----------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_run_that_is_ended_in_the_middle_is_completed_by_the_next(
    number: signal.Signals, code: int, config: Path
) -> None:
    database = Database()
    with_target(config, **database.table())
    with in_thread(database.running()) as loop:
        loop.call_soon_threadsafe(database.answering.clear)
        process = started("publish", "--once", "--config", str(config))
        while not database.requests:
            assert process.poll() is None
        ended, took_s, output = stop(process, number)
        assert (ended, output) == (code, LAST if number == signal.SIGINT else "")
        assert took_s < 5
        loop.call_soon_threadsafe(database.answering.set)
        assert publish(config, "--once").stdout == "db: house: 72 hours sent\ndb: garage: 24 hours sent\n"
    assert hours_of(database) == 72


def test_a_file_that_cannot_be_used_is_named_and_all_else_is_sent(config: Path, database: Database) -> None:
    """Bug: its hours were left out without a word."""
    with_target(config, **database.table(meters=["house"]))
    file = min((record(config).parent.parent).glob("*.jsonl"))
    file.write_bytes(file.read_bytes()[:1000] + b"?")
    done = publish(config, "--once")
    assert done.returncode == 1
    assert done.stdout == "db: house: 48 hours sent\n"
    assert f"db: house: the file of {file.stem} cannot be used: " in done.stderr
    assert LAST not in done.stderr


def test_two_at_once_send_every_hour_once(config: Path) -> None:
    """The second waits for the first, and finds that nothing is left."""
    database = Database()
    with_target(config, **database.table(meters=["house"]))
    words = ("publish", "--once", "--config", str(config))
    with in_thread(database.running()) as loop:
        loop.call_soon_threadsafe(database.answering.clear)
        first = started(*words)
        while not database.requests:
            assert first.poll() is None
        second = started(*words)
        while not _waits(second):
            assert second.poll() is None
        loop.call_soon_threadsafe(database.answering.set)
        assert first.communicate(timeout=30)[0] == "db: house: 72 hours sent\n"
        assert second.communicate(timeout=30)[0] == "db: nothing new to send\n"
    assert (first.returncode, second.returncode) == (0, 0)
    assert database.requests == 1


def _waits(process: subprocess.Popen[str]) -> bool:
    """Whether a process has used no processor time for a while: all is loaded, and the lock is taken."""
    before = _processor_time(process)
    time.sleep(0.4)
    return _processor_time(process) == before


def _processor_time(process: subprocess.Popen[str]) -> list[str]:
    return Path(f"/proc/{process.pid}/stat").read_text().split()[13:15]


def test_with_all_a_meter_is_sent_once_however_long_the_next_one_is_in_use(
    config: Path, database: Database
) -> None:
    """Bug: it was sent again with each attempt, which VictoriaMetrics adds up."""
    with_target(config, **database.table())
    publish(config, "--once")
    database.bodies.clear()
    lock = FolderLock(record(config, "garage").with_suffix(".lock"))
    process = started("publish", "--once", "--all", "--config", str(config))
    wait_for(process, "house: 72 hours sent")
    time.sleep(2.2)  # two attempts
    lock.release()
    assert process.communicate(timeout=30)[0] == "db: garage: 24 hours sent\n"
    assert len(database.bodies) == 2


def test_beside_a_service_that_is_sending_it_waits_and_then_has_nothing_to_do(
    cloud: Cloud, tmp_path: Path
) -> None:
    database = Database()
    config = configuration(tmp_path, cloud, "[schedule]\nbackfill_days = 3\n")
    with_target(config, **database.table())
    with in_thread(database.running()) as loop:
        loop.call_soon_threadsafe(database.answering.clear)
        service = started("run", "--config", str(config))
        while not database.requests:
            assert service.poll() is None
        command = started("publish", "--once", "--config", str(config))
        while not _waits(command):
            assert command.poll() is None
        loop.call_soon_threadsafe(database.answering.set)
        assert command.communicate(timeout=60)[0] == "db: nothing new to send\n"
        assert stop(service)[0] == 0
    assert database.requests == 1


# -- The record -------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can write as somebody else")
def test_what_root_notes_belongs_to_the_user_of_the_archive(config: Path, database: Database) -> None:
    with_target(config, **database.table())
    for path in [config.parent / "archive", *(config.parent / "archive").rglob("*")]:
        shutil.chown(path, NOBODY, NOBODY)
    assert publish(config, "--once").returncode == 0
    assert record(config).exists()
    for path in (config.parent / "archive").rglob("*"):
        assert (path.stat().st_uid, path.stat().st_gid) == (NOBODY, NOBODY), path


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody else")
def test_a_reader_of_the_archive_is_told_to_use_sudo_and_nothing_is_sent(
    config: Path, database: Database, forked: Forks
) -> None:
    """Bug: `Permission denied` and no cure."""
    with_target(config, **database.table())
    for folder in (config.parent, *pytests_own(config)):
        folder.chmod(0o755)
    config.chmod(0o644)
    for path in [config.parent / "archive", *(config.parent / "archive").rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    ended = forked.run("publish", "--once", "--config", str(config), uid=NOBODY)
    assert (ended.code, ended.out) == (1, "")
    assert "Permission denied. Use sudo" in ended.err
    assert database.requests == 0


def test_on_a_full_disk_the_hours_are_sent_and_sent_again_later(config: Path, database: Database) -> None:
    """A limit of the size of a file stands for the disk."""
    with_target(config, **database.table(meters=["house"]))
    command = shlex.join([*PROGRAM, "publish", "--once", "--config", str(config)])
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 0; exec {command}"],
        capture_output=True, text=True, env=environment(PYTHONDONTWRITEBYTECODE="1"), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "File too large" in done.stderr
    assert not record(config).exists()
    assert [path.name for path in record(config).parent.glob("*tmp*")] == []
    assert publish(config, "--once").stdout == "db: house: 72 hours sent\n"
    assert hours_of(database) == 72


def test_what_is_wrong_with_the_archive_is_not_said_to_be_the_targets_fault(
    config: Path, database: Database
) -> None:
    """Bug: the cure was to check the address."""
    with_target(config, **database.table())
    mark_as(config.parent / "archive" / "garage", "0" * 12)
    (config.parent / "archive" / "house" / ".collector" / "publish-db.lock").mkdir()
    for meter in ("house", "garage"):
        text = failed(config, "--meter", meter)
        assert meter in text
        assert "url" not in text


@pytest.mark.parametrize("content", ["", "{", "null", '{"target": "x", "parts": {}}', "[" * 100_000])
def test_a_damaged_record_means_that_everything_is_sent(
    content: str, config: Path, database: Database
) -> None:
    with_target(config, **database.table(meters=["house"]))
    publish(config, "--once")
    record(config).write_text(content)
    assert publish(config, "--once").stdout == "db: house: 72 hours sent\n"


# -- Home Assistant ---------------------------------------------------------------------------------------


def test_home_assistant_is_sent_and_compared_and_differences_end_with_1(
    config: Path, home: HomeAssistantServer
) -> None:
    with_home(config, home)
    assert publish(config, "--once").stdout == "ha: house: 72 hours sent\nha: garage: 24 hours sent\n"
    done = publish(config, "--check")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "ha: house: all 72 hours are equal\nha: garage: all 24 hours are equal\n",
        "",
    )
    flip(config.parent / "archive" / "house" / f"{DAYS[1]}.jsonl", "export")
    (config.parent / "archive" / "garage" / f"{DAYS[0]}.jsonl").unlink()
    done = publish(config, "--check")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("ha: house: shelly_collector:house_export: ")
    assert "with another total; the first begins 20" in lines[0]
    assert done.stderr == "To send all hours again: shelly-collector publish --once --all\n"
    assert publish(config, "--once", "--meter", "house").returncode == 0
    assert publish(config, "--check", "--meter", "house").returncode == 0
    assert ADMIN_TOKEN not in done.stdout + done.stderr


def test_a_meter_that_cannot_be_compared_does_not_keep_the_others_from_it(
    config: Path, home: HomeAssistantServer
) -> None:
    """Bug: the comparison ended there."""
    with_home(config, home)
    publish(config, "--once")
    mark_as(config.parent / "archive" / "house", "0" * 12)
    done = publish(config, "--check")
    assert (done.returncode, done.stdout) == (1, "ha: garage: all 24 hours are equal\n")
    assert "contains the history of device 000000000000" in done.stderr


def test_a_home_assistant_that_cannot_be_compared_is_not_said_to_lack_hours(config: Path) -> None:
    """Bug: the last line told to send all hours again."""
    with_target(config, name="ha", kind="homeassistant", url="http://127.0.0.1:9", token=ADMIN_TOKEN)
    done = publish(config, "--check")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("ha: 127.0.0.1:9: no connection: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_meter_that_was_renamed_with_its_folder_is_sent_under_its_new_name(
    config: Path, database: Database
) -> None:
    with_target(config, **database.table())
    publish(config, "--once")
    (config.parent / "archive" / "garage").rename(config.parent / "archive" / "garden")
    config.write_text(config.read_text().replace('name = "garage"', 'name = "garden"'))
    assert publish(config, "--once").stdout == "db: garden: 24 hours sent\n"
    assert hours_of(database, "garden") == 24


def test_home_assistant_is_sent_all_again_where_nothing_was_noted_and_has_it_once(
    config: Path, home: HomeAssistantServer
) -> None:
    with_home(config, home)
    publish(config, "--once", "--meter", "house")
    before = home.rows_of("shelly_collector:house_import")
    record(config, target="ha").unlink()
    done = publish(config, "--once", "--meter", "house")
    assert (done.returncode, done.stdout) == (0, "ha: house: 72 hours sent\n")
    assert home.rows_of("shelly_collector:house_import") == before


def test_home_assistant_that_is_killed_in_the_middle_is_sent_the_rest_by_the_next_run(config: Path) -> None:
    """What it had accepted and not stored is lost."""
    home = HomeAssistantServer()
    with in_thread(home) as loop:
        with_home(config, home)
        home.queue_s = 3600
        process = started("publish", "--once", "--config", str(config))
        while not home.imports:
            assert process.poll() is None
        asyncio.run_coroutine_threadsafe(home.kill(), loop).result(30)
        output, _ = process.communicate(timeout=30)
        assert process.returncode == 1
        assert output.startswith("ha: Home Assistant")
        assert output.endswith(LAST)
        home.queue_s = 0
        assert "no connection: Connection refused" in failed(config)
        asyncio.run_coroutine_threadsafe(home.start(), loop).result(30)
        assert publish(config, "--once").stdout == "ha: house: 72 hours sent\nha: garage: 24 hours sent\n"
        assert publish(config, "--check").returncode == 0


@pytest.mark.parametrize(
    ("what", "token"), [("--once", USER_TOKEN), ("--once", "not-a-token"), ("--check", "not-a-token")]
)
def test_home_assistant_that_refuses_the_token_is_named_with_the_cure(
    what: str, token: str, config: Path, home: HomeAssistantServer
) -> None:
    done = publish(with_home(config, home, token), what)
    assert done.returncode == 1
    assert "Create a long-lived access token as an administrator" in done.stderr
    assert token not in done.stdout + done.stderr


# -- What others show -------------------------------------------------------------------------------------


def checks(config: Path) -> dict[str, tuple[str, str]]:
    """The verdicts of `doctor` on targets, and their texts."""
    done = collector("doctor", "--config", str(config), "--json")
    found = json.loads(done.stdout)["checks"]
    return {each["of"]: (each["result"], each["says"]) for each in found if each["check"] == "publish"}


def test_doctor_tries_each_target(config: Path, database: Database, home: HomeAssistantServer) -> None:
    with_target(config, **database.table(name="up"))
    with_target(config, **Database().table(name="down"))
    with_target(config, **database.table(name="elsewhere") | {"url": f"{database.url}s"})
    with_home(config, home, USER_TOKEN)
    found = checks(config)
    assert found["up"] == ("ok", f"127.0.0.1:{database.port} accepts points.")
    assert found["down"][0] == "fail"
    assert found["elsewhere"][0] == "fail"
    assert "database not found." in found["elsewhere"][1]
    assert found["ha"] == ("fail", "the token is not an administrator's.")
    assert database.values == {}


def test_doctor_finds_an_address_that_version_1_calls_wrong(config: Path, database: Database) -> None:
    """Without a database, or with a path that there is not. Bug: 400 was taken for the missing point."""
    database.answers = [400]
    database.reason = "database is required"
    assert checks(with_target(config, **database.table()))["db"] == (
        "fail", f"127.0.0.1:{database.port} answers 400: database is required.",
    )  # fmt: skip


def test_config_check_counts_the_targets(config: Path, database: Database) -> None:
    """So that a table that was added is seen to be read."""
    for count, words in ((0, ""), (1, "1 target, "), (2, "2 targets, ")):
        if count:
            with_target(config, **database.table(name=f"db{count}"))
        done = collector("config", "check", "--config", str(config))
        assert done.stdout == f"OK: 1 account, 2 meters, {words}archive {config.parent}/archive\n"


def test_status_shows_what_the_service_says_of_its_targets(cloud: Cloud, tmp_path: Path) -> None:
    database, refusing = Database(), Database(2, "Token the-right-one")
    config = configuration(tmp_path, cloud, "[schedule]\nbackfill_days = 3\n")
    with_target(config, **database.table())
    with_target(config, **refusing.table(name="refusing", token="the-wrong-one"))
    with_target(config, **Database().table(name="down"))
    env = {"RUNTIME_DIRECTORY": str(tmp_path)}
    with in_thread(database.running()), in_thread(refusing.running()):
        service = started("run", "--config", str(config), **env)
        try:
            seen: set[str] = set()
            while seen != {"publish.sent", "refusing", "down"}:
                (*_, line) = wait_for(service, "publish.")
                event = json.loads(line)
                seen.add(event["event"] if event["event"] == "publish.sent" else event["target"])
            while True:
                shown = collector("status", "--config", str(config), "--json", env=env)
                targets = {each["name"]: each for each in json.loads(shown.stdout)["targets"]}
                if targets["db"]["last_sent"] and targets["down"]["failure"]:
                    break
        finally:
            _, _, rest = stop(service)
        text = collector("status", "--config", str(config), env=env).stdout
    assert targets["db"]["failure"] is None
    assert "Check the token" in targets["refusing"]["failure"]["cure"]
    assert targets["refusing"]["last_sent"] is None
    assert "refusing: " in text
    assert "the-wrong-one" not in shown.stdout + text + rest
    assert Decimal(hours_of(database)) > 0
