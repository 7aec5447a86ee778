"""Where a key could show: all that a backfill, a living service and its children write, say and are given."""

from __future__ import annotations

import asyncio
import io
import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from collector import logs
from collector.cli.starting import advice_on
from tests.faults.failures import bring_about, scenario_of
from tests.support.key_forms import AWKWARD_KEY as KEY
from tests.support.scanner import found_in, found_under
from tests.support.service_life import living
from tests.support.statuses import Page, unused_port
from tests.support.world import world

Shown = dict[str, list[bytes]]
"""By the place: the forms of the key that were found there; places without any are left out."""

START = datetime(2026, 3, 20, 14, 30, tzinfo=UTC)
_RETRY = {"attempts": 2, "timeout_s": 5, "wait_initial_s": 1, "wait_max_s": 1, "wait_jitter_s": 0}
_CHILD = (
    'tr "\\0" "\\n" < /proc/$$/cmdline > argv; tr "\\0" "\\n" < /proc/$$/environ > environ; echo "$X"; exit 3'
)


async def backfilled(name: str, folder: Path, form: Any = "json", level: Any = "debug") -> tuple[Shown, str]:
    """What shows the key after a backfill of two days with that failure; and the log."""
    stream = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        async with world(scenario_of(name), folder, START) as here:
            bring_about(name, here, patch)
            settings = here.settings(retry=_RETRY)
            logs.configure(format=form, level=level, stream=stream, secrets=settings.secrets)
            report = await here.backfill(2, retry=_RETRY)
            assert here.cloud.counts.total.keys_outside_query == 0
            assert here.cloud.counts.trap_hits == 0
    told = {
        "log": stream.getvalue(),
        "report": f"{report!r} {report.gave_up} {report.gave_up and advice_on(report.gave_up)}",
        "settings": f"{settings!r} {settings.accounts}",
    }
    return _shown(told, folder), stream.getvalue()


async def lived(name: str, folder: Path) -> tuple[Shown, dict[str, str]]:
    """What shows the key after a service lived six hours with that failure; and all that it told, by place.

    Its page is read, and the command for changes of health keeps its own words and environment.
    """
    stream = io.StringIO()
    folder.mkdir()
    port = unused_port()
    tables: dict[str, Any] = {
        "retry": _RETRY,
        "schedule": {"backfill_days": 2, "refresh_jitter_s": 0},
        "health": {"max_age_h": 2, "on_change": _command(folder)},
        "web": {"listen": port},
    }
    told: dict[str, str] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHELLY_COLLECTOR_AUTH_KEY", KEY)  # as a user may give it: the child must not have it
        logs.configure(format="json", level="debug", stream=stream, secrets=[KEY])
        async with living(scenario_of(name, None), folder / "archive", START, **tables) as service:
            bring_about(name, service.world, patch)
            for hour in range(6):
                await service.pass_time(hours=1)
                for path in ("/metrics", "/healthz", "/", "/nothing"):
                    told[f"{path} after {hour} hours"] = str(await Page(port).ask(path))
            told["tasks"] = "\n".join(map(repr, asyncio.all_tasks()))
            await service.stop()
            told["the service manager"] = "\n".join(service.told)
    told["log"] = stream.getvalue()
    told |= {file: (folder / file).read_text() for file in ("argv", "environ") if (folder / file).exists()}
    return _shown(told, folder), told


def _shown(told: dict[str, str], folder: Path) -> Shown:
    found = {place: found_in(text.encode("utf-8", "backslashreplace")) for place, text in told.items()}
    found |= {str(path): forms for path, forms in found_under([folder]).items()}
    return {place: forms for place, forms in found.items() if forms}


def _command(folder: Path) -> list[str]:
    path = folder / "tell"
    path.write_text(f"#!/bin/sh\ncd {shlex.quote(str(folder))}\n{_CHILD}\n")
    path.chmod(0o755)
    return [str(path), "a word"]
