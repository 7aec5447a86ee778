"""`doctor` as a person meets it: its lines, its exit code, its report; alone and beside the service."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import ssl
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from collector.doctor.checks import NAMES
from collector.status import (
    AccountStatus,
    MeterStatus,
    State,
    Status,
    read_status,
    status_file,
    write_status,
)
from tests.support.key_forms import AWKWARD_KEY as AWKWARD
from tests.support.processes import (
    PROGRAM,
    SCENARIO,
    Cloud,
    collector,
    configuration,
    environment,
    started,
    stop,
    wait_for,
)
from tests.support.scanner import assert_no_key_in
from tests.support.world import DEVICE, KEY

OPENSSL = shutil.which("openssl")
FAR_MINUTE = (datetime.now(UTC).minute + 30) % 60  # noqa: TID251 - the service's schedule is on the real clock


def examined(config: Path, *words: str, **env: str) -> tuple[dict[str, dict[str, Any]], dict[str, Any], int]:
    """The checks by name (the last of each), the whole report, and the exit code."""
    done = collector("doctor", "--config", str(config), "--json", *words, env=env)
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    return {each["check"]: each for each in report["checks"]}, report, done.returncode


def pointed_at(config: Path, host: str) -> Path:
    text = config.read_text().splitlines()
    lines = [f'host = "{host}"' if line.startswith("host") else line for line in text]
    pace = "0" if "://" in host else "1.05"  # this machine alone has none
    config.write_text("\n".join(lines).replace("min_interval_s = 0", f"min_interval_s = {pace}"))
    return config


def test_a_first_run_before_the_service_starts(cloud: Cloud, tmp_path: Path) -> None:
    """A line a check with its cure below, a summary, exit 0: what is not there yet is no failure."""
    config = configuration(tmp_path, cloud)
    done = collector("doctor", "--config", str(config))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    names = [line.split()[1] for line in lines[:-1] if line[0] != " "]
    assert " ".join(names) == "configuration archive service clock host key pace device kind zone clamps"
    assert lines[-1] == "8 ok, 2 warnings, 0 failed, 1 skipped; 2 requests to the cloud."
    assert "\x1b" not in done.stdout
    assert KEY not in done.stdout
    assert cloud.counts()["total"]["requests"] == 2
    assert not (tmp_path / "archive").exists()


def test_json_has_the_documented_keys(cloud: Cloud, tmp_path: Path) -> None:
    """Stable: people build on them."""
    checks, report, code = examined(configuration(tmp_path, cloud))
    assert code == 0
    assert set(report) == {"ok", "requests", "checks"}
    assert report["ok"] is True
    assert report["requests"] == 2
    assert set(checks) == set(NAMES) - {"publish"}  # there is no target
    assert all(set(each) == {"check", "of", "result", "says", "cure"} for each in report["checks"])
    assert {each["result"] for each in report["checks"]} <= {"ok", "warn", "fail", "skip"}
    assert (checks["key"]["of"], checks["device"]["of"], checks["clock"]["of"]) == ("home", "house", None)


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("http://127.0.0.1:9", "no connection"),
        ("no-such-host.invalid", "its name does not resolve"),
    ],
)
def test_a_wrong_host_fails_and_the_rest_is_skipped(host: str, words: str, tmp_path: Path) -> None:
    """Refused, or unresolvable; exit 1, and no more than one request."""
    config = pointed_at(configuration(tmp_path, Cloud("")), host)
    checks, report, code = examined(config)
    assert code == 1
    assert checks["host"]["result"] == "fail"
    assert words in checks["host"]["says"]
    assert {checks[name]["result"] for name in ("key", "pace", "device", "kind")} == {"skip"}
    assert report["requests"] <= 1


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        ("bad_key", "key"),
        ("device_not_found", "device"),
        ("wrong_channel", "kind"),
        ("maintenance", "host"),
        ("redirect_302", "host"),
        ("unexplained_401", "host"),
        ("status_503", "host"),
        ("truncated_json", "kind"),
    ],
)
def test_each_failure_is_reported_by_the_check_that_it_belongs_to(
    fault: str, failing: str, cloud: Cloud, tmp_path: Path
) -> None:
    """One cause, one failure, one cure; one request, without a second attempt."""
    cloud.play(SCENARIO + f'[[fault]]\nkind = "{fault}"\n')
    checks, _, code = examined(configuration(tmp_path, cloud))
    assert [name for name, each in checks.items() if each["result"] == "fail"] == [failing]
    assert checks[failing]["cure"]
    assert code == 1
    assert cloud.counts()["total"]["requests"] == 1


def test_another_client_on_a_strict_account_is_reported(cloud: Cloud, tmp_path: Path) -> None:
    """The cloud rejects what comes too soon after another client's request."""
    cloud.play(SCENARIO.replace('"none"', '"strict"'))
    config = configuration(tmp_path, cloud)
    other = subprocess.Popen([sys.executable, "-c", OTHER, cloud.url], env=environment())
    try:
        checks, report, code = examined(config)
    finally:
        other.kill()
        other.wait()
    assert checks["pace"]["result"] == "warn"
    assert "another program" in checks["pace"]["says"]
    assert report["requests"] <= 8
    assert code == 0


OTHER = f"""
import sys, time, urllib.request
while True:
    try:
        urllib.request.urlopen(sys.argv[1] + "/v2/statistics/power-consumption/em-1p?id={DEVICE}&channel=0"
                               "&auth_key={KEY}&date_range=day&date_from=2026-01-01%2000:00:00").close()
    except OSError:
        pass
    time.sleep(0.01)
"""


def test_a_clock_that_the_cloud_contradicts_is_reported(cloud: Cloud, tmp_path: Path) -> None:
    """Unless this machine's time service has set it."""
    cloud.play('date_header = "Mon, 01 Jan 2024 00:00:00 GMT"\n' + SCENARIO)
    checks, _, code = examined(configuration(tmp_path, cloud))
    if Path("/run/systemd/timesync/synchronized").exists():
        assert "the system's time service has set it" in checks["clock"]["says"]
    else:
        assert checks["clock"]["result"] == "fail"
        assert code == 1
    assert "ahead of the cloud's" in checks["clock"]["says"]


def test_swapped_clamps_are_reported(cloud: Cloud, tmp_path: Path) -> None:
    """After a few days are stored."""
    config = configuration(tmp_path, cloud, meter="grid_channel = 1\nsolar_channel = 0\n")
    assert collector("backfill", "--config", str(config), "--days", "5").returncode == 0
    checks, _, code = examined(config)
    assert checks["clamps"]["result"] == "warn"
    assert "swapped" in checks["clamps"]["says"]
    assert code == 0


def settled(archive: Path) -> None:
    """Until the service has reported that no job is in progress; it then writes nothing for half a minute."""
    for _ in range(1000):
        status = read_status(archive, {})
        if status is not None and not status.jobs and status.meters["house"].state == "good":
            return
        time.sleep(0.02)
    raise AssertionError("it is always busy")


def report_status(service: subprocess.Popen[str], archive: Path, jobs: int) -> None:
    """The service's status, ahead of its own next one."""
    now = int(time.time())  # noqa: TID251
    meters = {"house": MeterStatus(State.GOOD, 1800, newest_hour=now - 5400, answered_at=now - 5)}
    accounts = {"home": AccountStatus(("house",), requests_today=4)}
    status = Status(
        "0", service.pid, now - 9, now, "", State.GOOD, 1800, jobs, now + 900, accounts, meters
    )  # fmt: skip
    write_status(status_file(archive, {}), status)


def test_beside_a_live_service(cloud: Cloud, tmp_path: Path) -> None:
    """Requests are sent between its runs, none while it is busy, and it is never disturbed."""
    schedule = f"[schedule]\nbackfill_days = 4\nrefresh_minute = {FAR_MINUTE}\n"
    config = configuration(tmp_path, cloud, schedule)
    archive = tmp_path / "archive"
    service = started("run", "--config", str(config))
    try:
        wait_for(service, '"job": "backfill"')
        settled(archive)  # or it writes one of its own meanwhile
        for jobs, requests in ((0, 2), (1, 0)):
            report_status(service, archive, jobs)
            cloud.reset()
            checks, report, code = examined(config)
            assert report["requests"] == cloud.counts()["total"]["requests"] == requests
            odd = {name for name, each in checks.items() if each["result"] != "ok"}
            assert odd <= {"archive"}, [checks[name] for name in odd]
            assert f"process {service.pid}" in checks["service"]["says"]
            assert code == 0
        assert service.poll() is None
    finally:
        stopped, _, output = stop(service)
    assert stopped == 0
    assert "storage" not in output


def test_beside_a_backfill_no_request_is_sent(cloud: Cloud, tmp_path: Path) -> None:
    """It has locked the archive and writes no status."""
    cloud.play("latency_s = 0.3\n" + SCENARIO)
    config = configuration(tmp_path, cloud)
    backfill = started("backfill", "--config", str(config), "--days", "300")
    wait_for(backfill, "day.written")
    checks, report, code = examined(config)
    stop(backfill, signal.SIGINT)
    assert report["requests"] == 0
    assert checks["host"]["result"] == "skip"
    assert "a collector is working" in checks["host"]["says"]
    assert code == 0


def test_all_problems_of_a_configuration_are_printed(tmp_path: Path) -> None:
    """All its problems, exit 78; nothing is requested and no report is created."""
    config = tmp_path / "config.toml"
    config.write_text('[[account]]\nname = "home"\nhots = "x"\nauth_key = "short"\n')
    done = collector("doctor", "--config", str(config), "--bundle", str(tmp_path / "report.txt"))
    assert done.returncode == 78
    assert all(word in done.stderr for word in ("hots", "host: is missing", "5 characters", "meter"))
    assert not (tmp_path / "report.txt").exists()


def test_a_key_that_cannot_be_read_does_not_hide_the_rest(cloud: Cloud, tmp_path: Path) -> None:
    """The configuration fails with the key's problem and its cure; what needs no key is checked."""
    config = configuration(tmp_path, cloud)
    collector("backfill", "--config", str(config), "--days", "4")
    config.write_text(config.read_text().replace(f'auth_key = "{KEY}"', 'auth_key_file = "nowhere"'))
    cloud.reset()
    checks, report, code = examined(config)
    assert code == 1
    assert checks["configuration"]["result"] == "fail"
    assert "no such file" in checks["configuration"]["says"]
    assert "sudo" in checks["configuration"]["cure"]
    assert {checks[name]["result"] for name in ("host", "key", "device", "kind")} == {"skip"}
    assert {checks[name]["result"] for name in ("archive", "zone", "clamps")} <= {"ok", "warn"}
    assert (report["requests"], cloud.counts()["total"]["requests"]) == (0, 0)


def test_only_the_meters_that_were_named_are_checked(cloud: Cloud, tmp_path: Path) -> None:
    """An unknown name is wrong usage."""
    config = configuration(tmp_path, cloud, meter='[[account.meter]]\nname = "barn"\nid = "34987a45c1d0"')
    _, report, _ = examined(config, "--meter", "house")
    assert {each["of"] for each in report["checks"]} == {None, "home", "house"}
    assert collector("doctor", "--config", str(config), "--meter", "x").returncode == 2


def test_the_bundle_is_for_its_owner_and_overwrites_nothing(cloud: Cloud, tmp_path: Path) -> None:
    """Mode 0600; no key, no whole device id; a second one needs another name."""
    config = configuration(tmp_path, cloud)
    file = tmp_path / "report.txt"
    done = collector("doctor", "--config", str(config), "--bundle", str(file), env={"SECRET": KEY})
    assert done.returncode == 0
    assert f"The report is in {file}" in done.stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert KEY not in text
    assert DEVICE not in text
    assert "== Configuration" in text
    before = file.read_bytes()
    again = collector("doctor", "--config", str(config), "--bundle", str(file))
    assert again.returncode == 73
    assert "it exists already" in again.stderr
    assert file.read_bytes() == before
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert collector("doctor", "--config", str(config), "--bundle", str(tmp_path / "link")).returncode == 73


@pytest.mark.parametrize("fault", ["echoed_key", "hostile_401", "redirect_307"])
def test_an_awkward_key_shows_nowhere(fault: str, cloud: Cloud, tmp_path: Path) -> None:
    """Not on the terminal, not in the report; also where one in the environment is wrong."""
    key = json.dumps(AWKWARD)
    cloud.play(SCENARIO.replace(f'"{KEY}"', key) + f'[[fault]]\nkind = "{fault}"\n')
    config = configuration(tmp_path, cloud)
    config.write_text(config.read_text().replace(f'"{KEY}"', key))
    file = tmp_path / "report.txt"
    env = {"SHELLY_COLLECTOR_AUTH_KEY": AWKWARD}
    done = collector("doctor", "--config", str(config), "--bundle", str(file), env=env)
    assert done.returncode == 1, done.stderr
    bad = collector("doctor", "--config", str(config), env={"SHELLY_COLLECTOR_AUTH_KEY": f"{AWKWARD} x"})
    assert "configuration" in bad.stdout
    for text in (done.stdout, done.stderr, file.read_text(), bad.stdout, bad.stderr):
        assert_no_key_in(text.encode())


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals_alone(no_color: str, coloured: bool, cloud: Cloud, tmp_path: Path) -> None:
    """And not if `NO_COLOR` is set."""
    config = configuration(tmp_path, cloud)
    ours, theirs = pty.openpty()
    env = environment(NO_COLOR=no_color)
    with subprocess.Popen(
        [*PROGRAM, "doctor", "--config", str(config)], stdout=theirs, stderr=theirs, env=env
    ) as process:
        os.close(theirs)
        output = b""
        while True:
            try:
                output += (part := os.read(ours, 4096))
            except OSError:  # a terminal that was hung up
                break
            if not part:
                break
        os.close(ours)
        process.wait(30)
    assert b"summary" not in output
    assert (b"\x1b[32mok" in output) is coloured, output


class _Portal(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>log in</html>")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Quiet."""


class _QuietServer(HTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that breaks off is what is looked for."""


@contextmanager
def https_server(folder: Path) -> Iterator[int]:
    """An https server on loopback with a certificate of an unknown authority."""
    assert OPENSSL is not None
    pair = folder / "pair.pem"
    subprocess.run(
        [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", pair, "-out", folder / "c.pem",
         "-days", "2", "-subj", "/CN=localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "c.pem", pair)
    server = _QuietServer(("127.0.0.1", 0), _Portal)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.skipif(OPENSSL is None, reason="needs openssl")
def test_a_certificate_of_an_unknown_authority_is_reported(tmp_path: Path) -> None:
    """As one that is signed by itself, which has nothing to do with the clock; the key is not sent."""
    with https_server(tmp_path) as port:
        config = pointed_at(configuration(tmp_path, Cloud("")), f"https://localhost:{port}")
        checks, _, code = examined(config)
    assert code == 1
    assert checks["host"]["result"] == "fail"
    assert "certificate is signed by itself" in checks["host"]["says"]
    assert "timedatectl" not in checks["host"]["says"] + checks["host"]["cure"]
    assert "Log in" in checks["host"]["cure"]


def test_a_host_without_tls_is_reported(cloud: Cloud, tmp_path: Path) -> None:
    """https to a server of plain http."""
    config = pointed_at(
        configuration(tmp_path, cloud), cloud.url.replace("http://127.0.0.1", "https://localhost")
    )
    checks, _, code = examined(config)
    assert code == 1
    assert "secure connection" in checks["host"]["says"]
    assert cloud.counts()["total"]["requests"] == 0
