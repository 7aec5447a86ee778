"""The programs that tests load data into: found, started, asked.

A test is skipped where its program is not installed. `.ci/run` brings the Debian packages `influxdb`,
`prometheus` and `victoria-metrics`; `postgresql` and `gnumeric` would take it too long.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

DEDUPLICATED = "-dedup.minScrapeInterval=1ms"
"""The documented flag of VictoriaMetrics."""
_PLACES = ["/usr/lib/postgresql/*/bin", "/usr/sbin"]
_OF_CI = {"influxd", "prometheus", "promtool", "victoria-metrics"}
_START_S = 60
_FOUR = Decimal("0.0001")


def program(name: str) -> str:
    """The path of a program; without it the test is skipped, or fails under CI if `.ci/run` brings it."""
    folders = [str(found) for place in _PLACES for found in Path("/").glob(place[1:])]
    path = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], *folders]))
    if path is None and name in _OF_CI and os.environ.get("CI"):
        pytest.fail(f"{name} is not installed")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
        return port


@contextmanager
def server(command: list[str], url: str, folder: Path, **more: Any) -> Iterator[None]:
    """A program that serves until the context ends; entered when the address answers."""
    with (folder / f"{Path(command[0]).name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, **more)
    try:
        end = time.monotonic() + _START_S  # noqa: TID251 - of another process, in real time
        while not _answers(url):
            assert process.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < end, Path(log.name).read_text()  # noqa: TID251
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except urllib.error.HTTPError:
        return False
    except OSError:
        return False


def got(url: str, **query: str) -> Any:
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=60) as answer:
        return json.load(answer, parse_float=Decimal)


def run(*command: str, **more: Any) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def rounded(value: object) -> Decimal:
    """A sum that a program made of binary numbers, with the decimals of the archive."""
    return Decimal(str(value)).quantize(_FOUR)


def post(url: str, body: bytes) -> None:
    with urllib.request.urlopen(urllib.request.Request(url, body, method="POST"), timeout=60) as answer:
        assert answer.status in (200, 204)


def got_at(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        data: bytes = answer.read()
        return data


def value_of(url: str, query: str, at: str) -> str:
    """The only value of a query in PromQL."""
    (series,) = got(f"{url}/api/v1/query", query=query, time=at, nocache="1")["data"]["result"]
    value: str = series["value"][1]
    return value


@contextmanager
def influxdb(place: Path, *, needs_login: bool = False) -> Iterator[str]:
    """InfluxDB 1, with its data in that folder; gives its address."""
    place.mkdir(exist_ok=True)
    port = free_port()
    config = place / "influxdb.conf"
    config.write_text(f"""
reporting-disabled = true
bind-address = "127.0.0.1:{free_port()}"
[meta]
dir = "{place}/meta"
[data]
dir = "{place}/data"
wal-dir = "{place}/wal"
[http]
bind-address = "127.0.0.1:{port}"
auth-enabled = {str(needs_login).lower()}
[monitor]
store-enabled = false
""")
    url = f"http://127.0.0.1:{port}"
    with server([program("influxd"), "-config", str(config)], f"{url}/ping", place):
        yield url


def influxql(url: str, statement: str, **more: str) -> Any:
    """The results of a statement; `u` and `p` are a user and the password."""
    body = urllib.parse.urlencode({"q": statement}).encode()
    where = f"{url}/query?{urllib.parse.urlencode(more)}"
    with urllib.request.urlopen(urllib.request.Request(where, body), timeout=60) as answer:
        return json.load(answer, parse_float=Decimal)["results"]


@contextmanager
def victoriametrics(place: Path, *flags: str) -> Iterator[str]:
    """VictoriaMetrics, with its data in that folder; gives its address."""
    place.mkdir(exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    options = [f"-storageDataPath={place}/data", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"]
    with server([program("victoria-metrics"), *options, *flags], f"{url}/health", place):
        yield url
