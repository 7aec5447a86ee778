"""X6, hostile hosts and addresses in the configuration: refused by every command before any connection.

Each command runs inside one process that keeps every name it looks up and every address that it
connects to, by the interpreter's own audit events.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import figures
from tests.faults.recording import listening
from tests.support.hostile_hosts import HOSTILE
from tests.support.processes import environment
from tests.support.world import DEVICE, KEY

COMMANDS = (["config", "check"], ["config", "show"], ["backfill"], ["run"], ["doctor"], ["verify", "--cloud"])
REFUSED = 78

# `port` is one that somebody listens on: whoever came there would be seen.
WITH_A_LISTENER = [
    "http://user@127.0.0.1:{port}",
    "http://user:word@127.0.0.1:{port}",
    "http://shelly.cloud@127.0.0.1:{port}",
    "http://127.0.0.1:{port}#shelly.cloud",
    "http://127.0.0.1:{port}?shelly.cloud",
    "http://127.0.0.1:{port}/v2/",
    "http://127.0.0.1:{port}\\@shelly.cloud",
    "http://127.0.0.1:{port}\n",
    "http://127.0.0.1:{port}\r\nX: y",
    "http://127.0.0.1:{port}\0.shelly.cloud",
    "http://127.0.0.1:0{port}",
    "http://127.0.0.1:+{port}",
    "http://127.0.0.1:{port}:443",
    "http://127.1:{port}",
    "http://2130706433:{port}",
    "http://0x7f.1:{port}",
    "http://0177.0.0.1:{port}",
    "http://0:{port}",
    "http://0.0.0.0:{port}",
    "http://[::]:{port}",
    "http://[::ffff:127.0.0.1]:{port}",
    "http://[::1%25lo]:{port}",
    "http://127.0.0.1.:{port}",
    "http://localhost.:{port}",
    "http://localhost.localdomain:{port}",
    "http://ⓛocalhost:{port}",
    "http://①②⑦.0.0.1:{port}",
    "http://127。0。0。1:{port}",
    "http://xn--localhost-:{port}",
    "ftp://127.0.0.1:{port}",
    "file://127.0.0.1:{port}/etc/passwd",
    "gopher://127.0.0.1:{port}",
    "unix://127.0.0.1:{port}",
    "http:127.0.0.1:{port}",
    "//127.0.0.1:{port}",
]

ADDRESSES_TO_PING = [
    "http://user@127.0.0.1:{port}/x",
    "http://user:word@127.0.0.1:{port}/x",
    "http://127.0.0.1:{port}#/x",
    "http://127.0.0.1:{port}/x#y",
    "http://127.0.0.1:{port}\\@shelly.cloud/x",
    "http://127.0.0.1:{port}/x y",
    "http://127.0.0.1:{port}/x\n",
    "http://127.0.0.1:{port}/x\r\nX: y",
    "http://127.0.0.1:{port}/x\0",
    "http://127.0.0.1:{port}/\u202e",
    "http://ⓛocalhost:{port}/x",
    "http://127。0。0。1:{port}/x",
    "ftp://127.0.0.1:{port}/x",
    "file:///etc/passwd",
    "javascript://127.0.0.1:{port}/x",
    "//127.0.0.1:{port}/x",
    "127.0.0.1:{port}/x",
    "http:///x",
    "http://",
]

SCRIPT = """
import contextlib, io, json, sys, os
seen = []
sys.addaudithook(lambda event, args: event in NETWORK and seen.append([event, repr(args[1:])]))
NETWORK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"}
from collector.cli import main
for line in sys.stdin:
    words = json.loads(line)
    del seen[:]
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        code = main(words)
    print(json.dumps({"code": code, "seen": seen, "told": told.getvalue()}), flush=True)
"""


class Watched:
    """The program in a process that tells of its connections; a command at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(),
        )  # fmt: skip

    def told(self, *words: str) -> dict[str, Any]:
        """Exit code, connections and output of one command."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


@pytest.fixture
def watched() -> Iterator[Watched]:
    process = Watched()
    try:
        yield process
    finally:
        process.end()


def written(folder: Path, host: str, more: str = "") -> str:
    """A configuration that is right but for what is given."""
    path = folder / "config.toml"
    path.write_text(f"""
[archive]
path = {json.dumps(str(folder / "archive"))}
[pacing]
min_interval_s = {0 if "127.0.0.1" in host else 1.05}
[retry]
attempts = 1
timeout_s = 1
{more}
[[account]]
name = "home"
host = {toml(host)}
auth_key = "{KEY}"
[[account.meter]]
name = "house"
id = "{DEVICE}"
solar = false
""")
    path.chmod(0o600)
    return str(path)


def toml(text: str) -> str:
    """The text as a TOML string; JSON's escapes are TOML's too, but for the surrogate pairs."""
    escaped = "".join(
        char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}" for char in text
    )
    return f'"{escaped}"'


def test_every_command_refuses_a_hostile_host_before_any_connection(watched: Watched, tmp_path: Path) -> None:
    """Exit code 78, the host's own line, no name looked up, nobody called; by the flag, too."""
    with listening() as (port, accepted):
        hosts = [*HOSTILE, *(host.format(port=port) for host in WITH_A_LISTENER)]
        assert len(set(hosts)) == len(hosts) >= 60
        connections = tries = 0
        for host in hosts:
            config = written(tmp_path, host)
            flags = [
                "backfill",
                f"--host={host}",
                "--id",
                DEVICE,
                "--auth_key",
                KEY,
                "--odir",
                str(tmp_path / "x"),
            ]
            for words in (*([*command, "--config", config] for command in COMMANDS), flags):
                told = watched.told(*words)
                assert told["code"] == REFUSED, (host, words, told)
                assert "host" in told["told"], (host, words)
                assert KEY not in told["told"]
                assert told["seen"] == [], (host, words)
                connections += len(told["seen"])
                tries += 1
        assert accepted() == 0
    assert not (tmp_path / "archive").exists()
    assert not (tmp_path / "x").exists()
    figures.note("X6", hosts=len(hosts), commands=tries, connections=connections)


def test_an_address_to_ping_is_refused_like_a_host(watched: Watched, tmp_path: Path) -> None:
    """It is never shown: it is a secret."""
    with listening() as (port, accepted):
        for address in ADDRESSES_TO_PING:
            address = address.format(port=port)
            config = written(tmp_path, "shelly-12-eu.shelly.cloud", f"[health]\nping_url = {toml(address)}\n")
            for command in COMMANDS:
                told = watched.told(*command, "--config", config)
                assert told["code"] == REFUSED, (address, told)
                assert "health.ping_url" in told["told"]
                assert "/x" not in told["told"].replace(str(tmp_path), "")
                assert told["seen"] == []
        assert accepted() == 0


def test_a_connection_that_is_made_is_seen(watched: Watched, tmp_path: Path) -> None:
    """A host that is allowed is called: by its name and its address, or the rig would show nothing."""
    with listening() as (port, accepted):
        told = watched.told("backfill", "--config", written(tmp_path, f"http://127.0.0.1:{port}"))
        assert told["code"] == 69
        assert ["socket.connect", f"(('127.0.0.1', {port}),)"] in told["seen"]
        assert accepted() >= 1
    told = watched.told("doctor", "--config", written(tmp_path, "shelly-12-eu.invalid"))
    assert [event for event, _ in told["seen"]].count("socket.getaddrinfo") >= 1
