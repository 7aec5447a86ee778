"""`status`: whoever owns the machine sees at a glance that it works, and why not when it does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import (
    ROOT,
    Cloud,
    collector,
    configuration,
    environment,
    pytests_own,
    started,
    stop,
    wait_for,
)


@pytest.fixture
def config(cloud: Cloud, tmp_path: Path) -> Path:
    """Five days and today are stored."""
    path = configuration(tmp_path, cloud, more="[schedule]\nbackfill_days = 5\n")
    done = collector("backfill", "--config", str(path), "--days", "5")
    assert done.returncode == 0, done.stderr
    return path


def status(config: Path, *words: str, code: int = 0) -> str:
    done = collector("status", "--config", str(config), *words)
    assert done.returncode == code, done.stderr
    return done.stdout


def status_json(config: Path, *words: str, code: int = 0) -> dict[str, Any]:
    seen: dict[str, Any] = json.loads(status(config, "--json", *words, code=code))
    return seen


def days_ago(number: int) -> str:
    return str((datetime.now(UTC) - timedelta(days=number)).date())  # noqa: TID251 - the process has no other


def folder_of(config: Path) -> Path:
    return config.parent / "archive" / "house"


def test_it_works_with_the_service_down(config: Path) -> None:
    """From the files alone: newest hour, today, days, last success, and that no service runs."""
    text = status(config)
    assert text.startswith("service  not running")
    assert "house: good, last complete hour ended " in text
    assert "days     5 complete, since " in text
    assert "success  " in text
    seen = status_json(config)
    assert seen["service"]["running"] is False
    (house,) = seen["meters"]
    assert (house["health"], house["days"]["complete"], house["incomplete_days"]) == ("good", 5, {})
    assert house["hours_today"] == house["hours_today_over"] or datetime.now(UTC).minute < 12  # noqa: TID251


def test_the_exit_code_is_a_monitors_check(config: Path) -> None:
    """1 when the newest hour is older than `--max-age`, 26 hours without it; also when there is none."""
    assert status(config, "--max-age", "5")
    assert "broken" in status(config, "--max-age", "0.001", code=1)
    for path in folder_of(config).glob("*.jsonl"):
        if path.stem >= days_ago(2):  # two days: of one, 26 hours are not over before two in the morning
            path.unlink()
    assert "the service is not running" in status(config, code=1)
    assert status(config, "--max-age", "80")
    for path in folder_of(config).glob("*.jsonl"):
        path.unlink()
    assert "no data stored yet" in status(config, "--max-age", "72", code=1)


def test_it_needs_no_key_and_not_the_libraries_of_the_service(config: Path) -> None:
    """Any user of the machine may look; three years are seen in a moment."""
    config.write_text("\n".join(line for line in config.read_text().splitlines() if "auth_key" not in line))
    code = (
        "import sys; from collector.cli import main; main(sys.argv[1:]);"
        "print([name for name in ('aiohttp', 'apscheduler', 'structlog') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "status", "--config", str(config)],
        capture_output=True, text=True, check=True, env=environment(), cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"


def test_each_incomplete_day_is_seen_and_counted(config: Path) -> None:
    """In the calendar and by name: a file that is gone, and one with a missing hour."""
    (folder_of(config) / f"{days_ago(4)}.jsonl").unlink()
    path = folder_of(config) / f"{days_ago(2)}.jsonl"
    lines = [line[:-1] + ', "partial": true}\n' for line in path.read_text().splitlines()[:-1]]
    path.write_text("".join(lines))
    (house,) = status_json(config)["meters"]
    assert house["incomplete_days"] == {days_ago(4): "missing", days_ago(2): "partial"}
    assert house["days"] == {
        "complete": 3, "partial": 1, "empty": 0, "missing": 1, "given_up": 0, "lost": 0,
    }  # fmt: skip
    assert house["missing_hours"] in (24 + 1, 24 + 2)  # the hour just over may not be there yet
    text = status(config)
    assert "3 complete, 1 partial, 1 missing" in text
    assert any(sign in text for sign in ("█○█▒█▌", "▒█▌"))  # a month may end within them


def test_where_only_ascii_can_be_written_the_calendar_is_ascii(config: Path) -> None:
    """A serial console, or LANG=C in a cron mail."""
    done = collector("status", "--config", str(config), env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "# complete  > today" in done.stdout


def test_a_file_that_cannot_be_read_as_one_is_a_missing_day(config: Path) -> None:
    """It is left where it is: `status` changes nothing."""
    path = folder_of(config) / f"{days_ago(3)}.jsonl"
    path.write_bytes(b"\0" * 4096)
    (folder_of(config) / ".collector" / "quarantine").mkdir()
    (folder_of(config) / ".collector" / "quarantine" / "2020-01-01.jsonl.1").touch()
    before = sorted((each, each.stat().st_mtime_ns) for each in folder_of(config).rglob("*"))
    (house,) = status_json(config)["meters"]
    assert house["incomplete_days"] == {days_ago(3): "missing"}
    assert house["quarantined"] == 1
    assert "aside    1 damaged file in quarantine" in status(config)
    assert sorted((each, each.stat().st_mtime_ns) for each in folder_of(config).rglob("*")) == before


def test_a_running_service_is_seen_with_what_it_says(config: Path) -> None:
    """Its process, its next run, the requests of today; and after its end that it does not run."""
    service = started("run", "--config", str(config))
    wait_for(service, "job.finished")
    seen = status_json(config)
    # The status follows the work, after a pause that depends on how long the last one took.
    while (
        not seen["service"]["running"]
        or seen["service"]["jobs"]
        or not seen["accounts"]
        or seen["accounts"][0]["requests_today"] < 2
    ):
        seen = status_json(config)
    assert seen["service"]["pid"] == service.pid
    assert seen["service"]["next_run_at"] > seen["now"]
    assert seen["meters"][0]["archive_in_use"] is True
    assert seen["meters"][0]["last_error"] is None
    text = status(config)
    assert f"(process {service.pid})" in text
    assert "account  home: " in text
    stop(service)
    seen = status_json(config)
    assert (seen["service"]["running"], seen["meters"][0]["archive_in_use"]) == (False, False)


def test_the_last_error_comes_with_what_to_do(config: Path, cloud: Cloud, tmp_path: Path) -> None:
    """In plain words: the key was refused, and where a new one is found."""
    config.write_text(config.read_text().replace("SIMULATED", "ANOTHER"))
    service = started("run", "--config", str(config))
    wait_for(service, "key.refused")
    while (seen := status_json(config))["meters"][0]["last_error"] is None:
        pass
    text = status(config)
    stop(service)
    assert seen["meters"][0]["last_error"]["event"] == "key.refused"
    assert seen["accounts"][0]["trouble"]["event"] == "key.refused"
    assert "Keys change with the account's password" in text
    assert "waiting: the cloud refused the key" in text
    assert "key.refused" in status(config)  # also when the service is gone


def test_odd_words_and_configurations_have_one_clear_answer(config: Path, tmp_path: Path) -> None:
    """A meter that there is not, an age that is none, a file that is missing or wrong."""
    assert "there are: house" in collector("status", "--config", str(config), "--meter", "garage").stderr
    for age in ("0", "-1", "nan", "x", "inf"):
        done = collector("status", "--config", str(config), "--max-age", age)
        assert done.returncode == 2, age
        assert "--max-age" in done.stderr
    assert collector("status", "--config", str(tmp_path / "none.toml")).returncode == 78
    config.write_text(config.read_text() + "nonsense = 1\n")
    assert "nonsense" in collector("status", "--config", str(config)).stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can become somebody who may not look")
def test_who_may_not_read_the_files_is_told_so(config: Path) -> None:
    """Exit 73 with one line, and no traceback."""
    for folder in (config.parent, *pytests_own(config.parent)):
        folder.chmod(0o755)
    config.chmod(0o644)
    folder_of(config).chmod(0o700)
    become = (  # looking once as root, so that all is imported, wherever the interpreter lies
        "import os, sys; from collector.cli import main; main(sys.argv[1:]);"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", become, "status", "--config", str(config)],
        capture_output=True, text=True, check=False, env=environment(), cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 73, done.stderr
    assert "No permission to read" in done.stderr
    assert "Traceback" not in done.stderr
