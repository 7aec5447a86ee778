"""The simulator's own paths, for other processes: read the counts, change clock and scenario."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

from aiohttp import web

from collector.errors import SettingsError
from collector.simulator.refusals import NOT_FOUND, as_json
from collector.simulator.scenario_file import parse
from collector.simulator.wire import Reply

if TYPE_CHECKING:
    from collector.simulator.server import Simulator

PREFIX = "/_simulator/"
TRAP = f"{PREFIX}trap"
"""Where redirects lead: a client that follows one is counted, and so is a key that it brings."""


def reply(simulator: Simulator, request: web.BaseRequest, body: bytes) -> Reply:
    """Answers `GET counts`, `POST reset`, `POST clock`, `POST scenario`, and whoever is in the trap."""
    if request.path == TRAP:
        return _trap(simulator, request, body)
    try:
        return _command(simulator, request, body)
    except SettingsError as error:
        return Reply(400, as_json({"problems": [str(problem) for problem in error.problems]}))
    except (ValueError, KeyError, TypeError) as error:
        return Reply(400, as_json({"problems": [str(error)]}))


def _command(simulator: Simulator, request: web.BaseRequest, body: bytes) -> Reply:
    match request.method, request.path.removeprefix(PREFIX):
        case "GET", "counts":
            return Reply(200, as_json(simulator.counts.as_json() | {"now": simulator.now.isoformat()}))
        case "POST", "reset":
            simulator.reset()
        case "POST", "clock":
            wanted = dict(json.loads(body))
            now = datetime.fromisoformat(wanted["now"]) if "now" in wanted else simulator.now
            if now.tzinfo is None:
                raise ValueError("now: must name its offset")
            simulator.set_clock(now, float(wanted.get("speed", 1.0)))
        case "POST", "scenario":
            simulator.play(parse(body.decode()))
        case _:
            return NOT_FOUND
    return Reply(200, as_json({"now": simulator.now.isoformat()}))


def _trap(simulator: Simulator, request: web.BaseRequest, body: bytes) -> Reply:
    simulator.counts.trap_hits += 1
    everything = "\n".join([request.raw_path, *request.headers.values(), body.decode("latin-1")])
    keys = [account.auth_key for account in simulator.scenario.account]
    simulator.counts.trap_keys += any(key in everything for key in keys)
    return Reply(200, b"<html><body>Log in to this network</body></html>", {"Content-Type": "text/html"})
