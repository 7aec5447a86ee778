"""S2. kill -9 of the service at random moments of its backfill: the next one goes on, and in pace."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.archive.dayfile import decode
from collector.energy.days import date_in, wall_clock, zone_named
from tests.faults import figures
from tests.support.amounts import amount, dice
from tests.support.processes import Cloud, cloud_process, configuration, started, stop, wait_for, zone_at_noon
from tests.support.world import DEVICE, KEY

_DAYS = 60
_KILLS = 50  # of one archive
_LIMIT_S, _INTERVAL_S = 0.05, 0.15  # shorter than the real ones; twice their margin, for busy machines
_SLOW_LIMIT_S, _SLOW_INTERVAL_S = 3.0, 3.15  # longer than a start takes, on a busy machine too

pytestmark = pytest.mark.timeout(1800)


@dataclass(slots=True)
class Killed:
    """What many killed services did to their archives and to the cloud."""

    kills: int = 0
    at_work: int = 0
    differing: int = 0
    quarantined: int = 0
    rejections: int = 0
    smallest_gap_s: float = float("inf")
    requests: int = 0
    needed: int = 0
    repeated: list[int] = field(default_factory=list)  # requests, for each kill
    days_repeated: list[int] = field(default_factory=list)


def test_kill_9_at_random_moments_damages_nothing_and_breaks_no_pace(tmp_path: Path) -> None:
    """After each kill all files are whole; in the end the archive is like an undisturbed one.

    Nothing that was saved is asked for again.
    """
    chance, found, today = dice("S2"), Killed(), _today()
    undisturbed = _undisturbed(tmp_path / "undisturbed", today)
    with cloud_process(tmp_path, _scenario(_LIMIT_S, today)) as cloud:
        for number in range(amount(1, 10)):
            cloud.reset()
            config, folder = _place(tmp_path / f"killed{number}", cloud, _INTERVAL_S)
            lives: list[int] = []  # how many requests the cloud had seen when each ended
            for _ in range(_KILLS):
                with _running(config) as process:
                    wait_for(process, "service.ready")  # asking the cloud all the time would skew its gaps
                    time.sleep(chance.uniform(0, amount(8, 12) / 10))
                lives.append(_seen(cloud))
                found.kills += 1
                found.at_work += 0 < len(_complete(folder, today)) < _DAYS
                for path in folder.glob("*.jsonl"):
                    decode(path.read_bytes(), date.fromisoformat(path.stem))  # raises where it is damaged
            finished = _finished(config, folder, today)
            found.differing += sum(
                finished.get(name) != undisturbed.get(name) for name in finished.keys() | undisturbed.keys()
            )
            found.quarantined += len(list((folder / ".collector").glob("quarantine/*")))
            assert {path.suffix for path in folder.iterdir() if path.is_file()} == {".jsonl"}
            _count(found, cloud.counts(), lives, today)
    _whole_and_in_pace(found)
    _asked_once(found)


def _whole_and_in_pace(killed: Killed) -> None:
    assert killed.differing == 0
    assert killed.quarantined == 0
    assert killed.rejections == 0
    assert killed.smallest_gap_s >= _LIMIT_S
    assert killed.at_work > killed.kills // 2  # or the rig hits nothing
    figures.note(
        "S2", kills=killed.kills, in_the_middle_of_a_backfill=killed.at_work,
        days_that_differ=killed.differing, of_the_limit_kept=f"{killed.smallest_gap_s / _LIMIT_S:.2f} times",
    )  # fmt: skip


def _asked_once(killed: Killed) -> None:
    """Requests seen are those needed and those repeated: by one kill one, as a rule.

    That is the answer that was here already: what has begun is finished before the next day begins. Two
    where the kill comes between the second answer and the end of the save; a further day may have begun
    by then where this computer is busy.
    """
    assert killed.requests == killed.needed + sum(killed.repeated)
    assert sum(killed.repeated) <= killed.kills
    assert max(killed.days_repeated) <= 2
    figures.note(
        "S2", requests_seen=killed.requests, needed=killed.needed, repeated=sum(killed.repeated),
        repeated_by_one_kill_at_most=max(killed.repeated),
    )  # fmt: skip


def test_the_pace_holds_where_the_next_service_starts_at_once(tmp_path: Path) -> None:
    """A start is quicker than this interval: the first request has to wait for its turn."""
    kills, today = amount(4, 20), _today()
    with cloud_process(tmp_path, _scenario(_SLOW_LIMIT_S, today)) as cloud:
        config, _ = _place(tmp_path / "killed", cloud, _SLOW_INTERVAL_S)
        for _ in range(kills):
            with _running(config):
                _wait_for_requests(cloud, _seen(cloud))
        total = cloud.counts()["total"]
    assert total["rejections"] == 0
    assert total["smallest_start_gap_s"] >= _SLOW_LIMIT_S
    figures.note("S2", restarts_at_once=kills, smallest_gap=f"{total['smallest_start_gap_s']:.3f} s")


def _count(found: Killed, counts: dict[str, Any], lives: list[int], today: date) -> None:
    """Adds what the cloud saw: of each killed service, what a later one had to ask for again."""
    total = counts["total"]
    assert total["requests"] == len(counts["log"]), "the simulator's log is too short for this rig"
    found.rejections += total["rejections"]
    found.smallest_gap_s = min(found.smallest_gap_s, total["smallest_start_gap_s"])
    asked = [(each["day"], each["until"], each["channel"]) for each in counts["log"]]
    past = [each for each in asked if each[0] < today.isoformat()]  # today is asked for at every start
    found.requests += len(past)
    found.needed += len(set(past))
    for first, end in zip([0, *lives], lives, strict=False):
        again = set(asked[end:]) & {each for each in asked[first:end] if each in past}
        found.repeated.append(len(again))
        found.days_repeated.append(len({day for day, _, _ in again}))


def _today() -> date:
    return date_in(zone_named(zone_at_noon()), wall_clock())


def _scenario(limit_s: float, today: date) -> str:
    return f"""
[[account]]
name = "home"
auth_key = "{KEY}"
[account.limit]
style = "lax"
limit_s = {limit_s}
[[account.device]]
id = "{DEVICE}"
timezone = "{zone_at_noon()}"
installed_since = {today - timedelta(days=_DAYS)}
"""


def _undisturbed(folder: Path, today: date) -> dict[str, bytes]:
    """The complete files of a service that nobody kills, and that need not wait."""
    folder.mkdir()
    with cloud_process(folder, _scenario(0, today)) as cloud:
        return _finished(*_place(folder / "place", cloud, 0), today)


def _place(folder: Path, cloud: Cloud, interval_s: float) -> tuple[Path, Path]:
    folder.mkdir()
    config = configuration(folder, cloud)
    text = config.read_text()
    assert "min_interval_s = 0\n" in text
    config.write_text(text.replace("min_interval_s = 0\n", f"min_interval_s = {interval_s}\n"))
    return config, folder / "archive" / "house"


@contextmanager
def _running(config: Path) -> Iterator[subprocess.Popen[str]]:
    """The service, until it is killed at the end of the context."""
    process = started("run", "--config", str(config))
    try:
        yield process
    finally:
        process.kill()
        if process.stdout is not None and not process.stdout.closed:
            process.communicate()


def _finished(config: Path, folder: Path, today: date) -> dict[str, bytes]:
    """Lets the service run until all days are there; the complete files."""
    with _running(config) as process:
        wait_for(process, "service.ready")
        deadline = time.perf_counter() + 60
        while len(_complete(folder, today)) < _DAYS:
            assert time.perf_counter() < deadline, "it never came to its end"
            time.sleep(0.02)
        code, _, output = stop(process)
        assert code == 0, output
    return _complete(folder, today)


def _complete(folder: Path, today: date) -> dict[str, bytes]:
    """The complete files of the days before that one: midnight may pass meanwhile."""
    files = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
    return {name: data for name, data in files.items() if b"partial" not in data and name < f"{today}.jsonl"}


def _seen(cloud: Cloud) -> int:
    return int(cloud.counts()["total"]["requests"])


def _wait_for_requests(cloud: Cloud, before: int) -> None:
    deadline = time.perf_counter() + 60
    while _seen(cloud) <= before:
        assert time.perf_counter() < deadline, "it never asked"
        time.sleep(0.02)
