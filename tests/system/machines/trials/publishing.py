"""A target of `[[publish]]` with a host's name, and the two places for its token that docs/sharing.md has."""

from __future__ import annotations

import gzip
import json
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.support.sharing import documented
from tests.system.machines.trials import watching
from tests.system.machines.trials.watching import (
    ARCHIVE,
    CONFIG,
    PROGRAM,
    UNIT,
    events,
    ran,
    shown,
    tell,
    timed,
    wait_until,
)

_TOKEN_FILE = "/etc/shelly-collector/influx_token"
_TABLE = f"""
[[publish]]
name = "influxdb"
kind = "influx"
url = "http://influx.lan:8086/api/v2/write?org=home&bucket=energy"
token_file = "{_TOKEN_FILE}"
"""
_RECORD = ARCHIVE / "house/.collector/publish-influxdb.json"
_REQUESTS: list[tuple[str | None, int]] = []


class _Database(BaseHTTPRequestHandler):
    """Notes the login and the number of points of each request."""

    def do_POST(self) -> None:
        """Takes points."""
        body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
        _REQUESTS.append((self.headers["Authorization"], body.count(b"\n")))
        self.send_response(204)
        self.end_headers()

    def log_request(self, code: int | str = 0, size: int | str = 0) -> None:
        """Says nothing."""


def main() -> None:
    """Each fact under the name that the tests ask for."""
    server = ThreadingHTTPServer(("127.0.0.1", 8086), _Database)
    Thread(target=server.serve_forever, daemon=True).start()
    with Path("/etc/hosts").open("a") as hosts:
        hosts.write("127.0.0.1 influx.lan\n")
    with CONFIG.open("a") as config:
        config.write(_TABLE)
    ran("systemctl", "start", "cloud")
    _by_file()
    _by_credential()
    tell("status", json.loads(ran(PROGRAM, "status", "--json").stdout)["targets"])
    tell("root", timed(PROGRAM, "publish", "--once", "--all"))
    tell("doctor", timed(PROGRAM, "doctor", "--json"))
    watching.dump("published")
    watching.keep_archive()


def _by_file() -> None:
    _install("first-token", "-m", "640", "-g", UNIT)
    ran("systemctl", "start", UNIT)
    wait_until(lambda: events("publish.sent"), "the hours by the token in a file")
    tell("by_file", {**shown(), "requests": _REQUESTS})


def _by_credential() -> None:
    """Of which root alone can read the source; what was sent is forgotten, so that it is sent again."""
    _install("second-token", "-m", "600")
    watching.drop_in(*documented("Sent by the service", "[Service]").splitlines()[1:])
    ran("systemctl", "stop", UNIT)
    _RECORD.unlink()
    count = len(_REQUESTS)
    ran("systemctl", "start", UNIT)
    wait_until(lambda: len(_REQUESTS) > count, "the hours by the token in a credential")
    tell("by_credential", {**shown(), "requests": _REQUESTS[count:]})


def _install(token: str, *options: str) -> None:
    words = ("install", *options, "/dev/stdin", _TOKEN_FILE)
    subprocess.run(words, input=f"{token}\n", text=True, check=True)


if __name__ == "__main__":
    main()
