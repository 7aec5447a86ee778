"""X7, hostile strings wherever an answer says one: one event is one line, and nothing of it is a path."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from collector import logs
from collector.collect.outages import STRIKES
from collector.events import EVENTS
from collector.service.backfill import Scope, backfill
from collector.settings import parse
from collector.simulator import Device
from tests.faults import figures
from tests.faults.hostile_strings import PLACES, STRINGS, Place, answer
from tests.faults.recording import recording
from tests.support import amounts
from tests.support.amounts import amount
from tests.support.stand_in_cloud import raw_answer
from tests.support.world import DEVICE, KEY

NOW = datetime(2026, 3, 20, 14, 30, tzinfo=UTC)
OUTCOMES = {"day.written", "day.partial", "day.failed", "day.empty", "day.doubtful"}


def hostile(place: Place, said: Callable[[str, str], str | None]) -> Callable[[bytes], bytes]:
    """A cloud that says the string `said(device, day)` there, and is right where that gives none."""

    def answered(head: bytes) -> bytes:
        asked = parse_qs(urlsplit(head.split(b" ")[1].decode()).query)
        device, day = asked["id"][0], date.fromisoformat(asked["date_from"][0][:10])
        body = raw_answer(
            Device(device), day, datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(3)
        )
        text = said(device, str(day))
        return answer(body) if text is None else place(body, text)

    return answered


def settings_for(port: int, archive: Path, *devices: str) -> Any:
    meters = [
        {"name": f"m{number}", "id": device, "solar": False, "timezone": "Europe/Dublin"}
        for number, device in enumerate(devices or [DEVICE])
    ]
    account = {"name": "home", "host": f"http://127.0.0.1:{port}", "auth_key": KEY, "meter": meters}
    raw = {
        "archive": {"path": str(archive)},
        "pacing": {"min_interval_s": 0},
        "retry": {"attempts": 2, "wait_initial_s": 0, "wait_jitter_s": 0},
        "account": [account],
    }
    return parse(raw, {}, None)


async def told_of(place: Place, form: Any, strings: Sequence[str], folder: Path) -> list[str]:
    """The lines of a backfill of as many days as there are strings: each day's first answer says one."""
    waiting = {str(NOW.date() - timedelta(days)): text for days, text in enumerate(strings, 1)}
    stream = io.StringIO()
    async with recording(hostile(place, lambda device, day: waiting.pop(day, None))) as cloud:
        settings = settings_for(cloud.port, folder)
        logs.configure(format=form, level="debug", stream=stream, secrets=settings.secrets)
        scope = Scope(len(strings), NOW.date() - timedelta(len(strings)))
        await backfill(settings, scope, lambda: NOW, asyncio.Event(), lambda *told: None)
    assert waiting == {}
    assert stream.getvalue().endswith("\n")
    return stream.getvalue()[:-1].split("\n")


def assert_no_path_of_theirs(folder: Path) -> None:
    """Every file and folder has a name that we give."""
    ours = re.compile(r"m\d+|\.collector|\d{4}-\d\d-\d\d\.jsonl|[a-z_]+(\.[a-z]+)?|[0-9a-f]{8}\.json")
    names = {path.name for path in folder.rglob("*")}
    assert {name for name in names if not ours.fullmatch(name)} == set()


@pytest.mark.parametrize("place", PLACES)
async def test_a_hostile_string_in_an_answer_is_told_in_one_line(place: str, tmp_path: Path) -> None:
    """In both formats: each line is an event of ours, of printable characters; each day ends once.

    But for the newest ones, which are asked for once more to see whether all days are rejected.
    """
    chance = amounts.dice("X7", place)
    strings_of = {
        "json": chance.sample(STRINGS, amount(len(STRINGS) // 8, len(STRINGS))),
        "console": chance.sample(STRINGS, amount(len(STRINGS) // 16, len(STRINGS))),
    }
    (tmp_path / "archives").mkdir()
    lines = 0
    for form, strings in strings_of.items():
        told = await told_of(PLACES[place], form, strings, tmp_path / "archives" / form)
        assert [line for line in told if not line.isprintable()] == []
        events = [EVENT_OF[form](line) for line in told]
        assert set(events) <= set(EVENTS)
        once = len(strings) + 1  # and today
        assert sum(event in OUTCOMES for event in events) in range(once, once + STRIKES + 1)
        lines += len(told)
    assert_no_path_of_theirs(tmp_path / "archives")
    assert {path.name for path in tmp_path.iterdir()} == {"archives"}
    figures.note("X7", strings=len(strings_of["json"]), lines=lines)


CONSOLE_LINE = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z \[(?:debug|info|warning|error) *\] ([a-z]+\.[a-z]+) ")
EVENT_OF: dict[str, Callable[[str], str]] = {
    "json": lambda line: str(json.loads(line)["event"]),
    "console": lambda line: CONSOLE_LINE.match(line)[1],  # type: ignore[index]
}
