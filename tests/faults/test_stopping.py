"""P: SIGTERM in eight states of the real process: gone within five seconds, exit 0, files whole."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from collector.archive.dayfile import decode
from tests.faults import figures
from tests.faults.running import Running, running
from tests.support.amounts import amount, dice
from tests.support.processes import SCENARIO as IN_DUBLIN
from tests.support.processes import Cloud, cloud_process, configuration, zone_at_noon

BOUND_S = 5.0
FEW = "[schedule]\nbackfill_days = 3\n"

SCENARIO = IN_DUBLIN.replace("Europe/Dublin", zone_at_noon())


@contextmanager
def service(folder: Path, scenario: str, *changes: tuple[str, str]) -> Iterator[Running]:
    """`run` before a cloud that plays that; `changes` are made to its configuration."""
    with cloud_process(folder, scenario) as cloud:  # noqa: SIM117  the service ends first
        with running(changed(configuration(folder, cloud, FEW), *changes)) as started:
            yield started


def changed(config: Path, *changes: tuple[str, str]) -> Path:
    """The configuration with other lines."""
    text = config.read_text()
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    config.write_text(text)
    return config


def check_files(folder: Path) -> int:
    """All day files are whole and nothing else lies among them; how many there are."""
    house = folder / "archive" / "house"
    files = sorted(house.glob("*.jsonl"))
    for path in files:
        decode(path.read_bytes(), date.fromisoformat(path.stem))
    others = {path.name for path in house.glob("*") if path.is_file()} - {path.name for path in files}
    assert all(name.endswith(".shelly-tmp") for name in others), others
    return len(files)


def check_stop(state: str, started: Running, folder: Path, *again_after_s: float) -> None:
    """Stops it, and looks at how that went."""
    code, seconds = started.terminate(*again_after_s)
    log = started.log.read_text()
    assert code == 0, log
    assert seconds <= BOUND_S, log
    assert '"level": "error", "event": "job.failed"' not in log
    check_files(folder)
    figures.note("P", **{f"s to stop: {state}": round(seconds, 2)})


def test_an_idle_service_stops(tmp_path: Path) -> None:
    with service(tmp_path, SCENARIO) as started:
        started.wait_for("job.finished", times=2)
        time.sleep(0.2)
        check_stop("idle", started, tmp_path)
    assert check_files(tmp_path) == 4


def test_a_service_stops_while_a_request_is_under_way(tmp_path: Path) -> None:
    with cloud_process(tmp_path, "latency_s = 20\n" + SCENARIO) as cloud:  # noqa: SIM117  the service ends first
        with running(configuration(tmp_path, cloud, FEW)) as started:
            started.wait_until(lambda: cloud.counts()["total"]["requests"] > 0, "request")
            check_stop("request under way", started, tmp_path)


def test_a_service_stops_while_it_waits_to_try_again(tmp_path: Path) -> None:
    waits = ("wait_initial_s = 0\nwait_max_s = 0", "wait_initial_s = 60\nwait_max_s = 60")
    debug = ("[retry]", '[log]\nlevel = "debug"\n[retry]')
    with service(tmp_path, SCENARIO + '[[fault]]\nkind = "status_500"\n', waits, debug) as started:
        started.wait_for("request.retried")
        check_stop("back-off", started, tmp_path)


def test_a_service_stops_while_a_rejected_account_is_held(tmp_path: Path) -> None:
    fault = '[[fault]]\nkind = "too_many_requests"\nretry_after = "600"\n'
    with service(tmp_path, SCENARIO + fault) as started:
        started.wait_for("account.held")
        check_stop("hold after a rejection", started, tmp_path)


def test_a_service_stops_before_a_host_that_takes_no_connection(tmp_path: Path) -> None:
    """Its queue is full, so that a connection is neither taken nor refused."""
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for each in (first, second):
            each.setblocking(False)
            each.connect_ex(deaf.getsockname())
        config = configuration(tmp_path, Cloud(f"http://127.0.0.1:{deaf.getsockname()[1]}"), FEW)
        with running(config) as started:
            started.wait_for("service.ready")
            time.sleep(0.5)
            check_stop("host that hangs", started, tmp_path)


@pytest.mark.needs("strace")
def test_a_service_stops_while_a_card_takes_eight_seconds_to_sync(tmp_path: Path) -> None:
    """The file that is being saved is the old one or the new one."""
    with cloud_process(tmp_path) as cloud:
        config = configuration(tmp_path, cloud, FEW)
        with running(config) as before:
            before.wait_for("job.finished", times=2)
            assert before.terminate()[0] == 0
        for path in (tmp_path / "archive" / "house").glob("*.jsonl"):
            path.unlink()
        with running(config, slow_syncs(tmp_path / "trace")) as started:
            started.wait_for("service.ready")
            started.wait_until(lambda: "sync(" in (tmp_path / "trace").read_text(), "sync", 60)
            check_stop("slow fsync", started, tmp_path)


@pytest.mark.needs("strace")
def test_a_first_start_stops_while_a_card_takes_eight_seconds_to_sync(tmp_path: Path) -> None:
    """Bug: the archive's folders were made on the loop's own thread, which heard no signal meanwhile."""
    config = configuration(tmp_path, Cloud("http://127.0.0.1:9"), FEW)
    with running(config, slow_syncs(tmp_path / "trace")) as started:
        started.wait_for("service.started")
        started.wait_until(lambda: "sync(" in (tmp_path / "trace").read_text(), "sync", 60)
        check_stop("first start, slow fsync", started, tmp_path)
        assert not started.events("service.ready")


def slow_syncs(trace: Path) -> list[str]:
    """The command before another one whose syncs take eight seconds each, and stand in `trace`."""
    syncs = "fsync,fdatasync"
    return [
        *("strace", "-D", "-f", "-qq", "-o", str(trace), "-e", f"trace={syncs}"),
        *("-e", f"inject={syncs}:delay_enter=8000000"),
    ]


def test_a_service_stops_while_it_starts(tmp_path: Path) -> None:
    """Before Python hears signals the kernel ends it, which systemd takes for a clean end just the same."""
    rolls = dice("P", "start-up")
    slowest_s, codes = 0.0, set()
    with cloud_process(tmp_path) as cloud:
        config = configuration(tmp_path, cloud, FEW)
        for number in range(amount(20, 60)):
            with running(config) as started:
                time.sleep(0 if number == 0 else rolls.uniform(0, 1.0))
                code, seconds = started.terminate()
                log = started.log.read_text()
                began = "service.started" in log
                assert code == 0 or (code == -signal.SIGTERM and not began), (code, log)
                assert "Traceback" not in log
                codes.add(code)
                slowest_s = max(slowest_s, seconds)
                check_files(tmp_path)
    assert slowest_s <= BOUND_S
    assert 0 in codes
    figures.note("P", **{"s to stop: start-up": round(slowest_s, 2)})


def test_a_service_that_is_told_twice_stops_at_once(tmp_path: Path) -> None:
    with cloud_process(tmp_path, "latency_s = 20\n" + SCENARIO) as cloud:  # noqa: SIM117  the service ends first
        with running(configuration(tmp_path, cloud, FEW)) as started:
            started.wait_until(lambda: cloud.counts()["total"]["requests"] > 0, "request")
            check_stop("told twice", started, tmp_path, 0.3)
