"""`backfill`, `reread` and `verify` beside a running service, as a person types them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.support.archives import flip
from tests.support.processes import Cloud, collector, configuration, started, stop, wait_for

_ZONE = ZoneInfo("Europe/Dublin")


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A runtime folder with a short path, because that of a socket has a limit."""
    folder = Path(tempfile.mkdtemp(prefix="run"))
    yield folder
    shutil.rmtree(folder)


@contextmanager
def _service(config: Path, runtime: Path) -> Iterator[subprocess.Popen[str]]:
    process = started("run", "--config", str(config), RUNTIME_DIRECTORY=str(runtime))
    try:
        for _ in range(2):  # of today, and of the days before
            wait_for(process, "job.finished")
        yield process
    finally:
        process.kill()
        process.communicate(timeout=30)


def _today() -> date:
    return datetime.now(_ZONE).date()  # noqa: TID251 - as the processes do


def _typed(runtime: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return collector(*words, env={"RUNTIME_DIRECTORY": str(runtime)})


def test_a_backfill_beside_the_service_is_done_by_it(cloud: Cloud, tmp_path: Path, runtime: Path) -> None:
    """It ended with "another collector is working on" before, and with exit code 75."""
    config = configuration(tmp_path, cloud, "[schedule]\nbackfill_days = 3\n")
    with _service(config, runtime) as service:
        done = _typed(runtime, "backfill", "--config", str(config), "--days", "9", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["failures"] == []
        assert len(list((tmp_path / "archive/house").glob("*.jsonl"))) == 10
        assert stop(service)[0] == 0


def test_it_needs_no_key_where_the_service_has_it(cloud: Cloud, tmp_path: Path, runtime: Path) -> None:
    """A user of the group may read the configuration and the files, and not the key."""
    config = configuration(tmp_path, cloud, "[schedule]\nbackfill_days = 3\n")
    with _service(config, runtime):
        lines = config.read_text().splitlines()
        config.write_text("\n".join(line for line in lines if not line.startswith("auth_key")))
        done = _typed(runtime, "backfill", "--config", str(config), "--days", "5")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("3 days: ")


def test_a_day_is_read_again_beside_the_service(cloud: Cloud, tmp_path: Path, runtime: Path) -> None:
    """Whoever wanted that had to stop the service, remove a file and wait."""
    config = configuration(tmp_path, cloud, "[schedule]\nbackfill_days = 3\n")
    with _service(config, runtime):
        day = str(_today() - timedelta(days=2))
        path = tmp_path / "archive/house" / f"{day}.jsonl"
        right = path.read_text()
        flip(path, "import")
        done = _typed(runtime, "reread", "--config", str(config), "--since", day, "--until", day)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("1 day: 1 complete. 2 requests, ")
        assert path.read_text() == right


def test_verify_mends_and_compares_beside_the_service(cloud: Cloud, tmp_path: Path, runtime: Path) -> None:
    """With the same lines and exit codes as without a service."""
    config = configuration(tmp_path, cloud, "[schedule]\nbackfill_days = 3\n")
    with _service(config, runtime) as service:
        path = tmp_path / "archive/house" / f"{_today() - timedelta(days=2)}.jsonl"
        path.write_text(path.read_text()[:-40])
        mended = _typed(runtime, "verify", "--fix", "--config", str(config))
        assert mended.returncode == 1, mended.stderr
        assert "moved to the quarantine" in mended.stdout
        wait_for(service, "day.written")
        compared = _typed(runtime, "verify", "--cloud", "--config", str(config))
        assert compared.returncode == 0, compared.stdout + compared.stderr
        assert "0 differ." in compared.stdout


@pytest.mark.slow
def test_ctrl_c_ends_the_waiting_and_a_stop_of_the_service_is_reported(
    cloud: Cloud, tmp_path: Path, runtime: Path
) -> None:
    """Exit codes 130 and 1; the service is not disturbed by the first, and continues after the second."""
    more = "[schedule]\nbackfill_days = 3\n"
    config = configuration(tmp_path, cloud, more)
    config.write_text(config.read_text().replace("min_interval_s = 0", "min_interval_s = 1.05"))
    with _service(config, runtime) as service:
        words = ("reread", "--config", str(config), "--since", str(_today() - timedelta(days=90)))
        waiting = started(*words, RUNTIME_DIRECTORY=str(runtime))
        wait_for(service, "command.received")
        code, _, output = stop(waiting, signal.SIGINT)
        assert (code, output.startswith("Interrupted. The service continues")) == (130, True), output
        wait_for(service, "command.finished")
        waiting = started(*words, RUNTIME_DIRECTORY=str(runtime))
        wait_for(service, "command.received")
        assert stop(service)[0] == 0
        output = waiting.communicate(timeout=30)[0]
        assert (waiting.returncode, output.startswith("The service stopped")) == (1, True), output


def test_without_a_service_a_day_is_read_again_by_the_command(cloud: Cloud, tmp_path: Path) -> None:
    """And where its archive is locked by a service without a runtime folder, it ends with 75."""
    config = configuration(tmp_path, cloud, "[schedule]\nbackfill_days = 3\n")
    assert collector("backfill", "--config", str(config), "--days", "3").returncode == 0
    since = str(_today() - timedelta(days=2))
    done = collector("reread", "--config", str(config), "--since", since, "--json")
    assert (done.returncode, sum(json.loads(done.stdout)["days"].values())) == (0, 3), done.stderr
    planned = collector("reread", "--config", str(config), "--since", since, "--dry-run")
    assert planned.stdout.startswith("house: 3 days, "), planned.stderr
    wrong = collector("reread", "--config", str(config), "--since", since, "--until", "2020-01-01")
    assert wrong.returncode == 2
    service = started("run", "--config", str(config))
    wait_for(service, "job.finished")
    refused = collector("reread", "--config", str(config), "--since", since)
    assert refused.returncode == 75, refused.stderr
    stop(service)
