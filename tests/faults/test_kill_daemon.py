"""S2. kill -9 of the service at random moments of its backfill: the next one goes on, and in pace."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from collector.archive.dayfile import decode
from collector.energy.days import date_in, wall_clock, zone_named
from tests.faults import figures
from tests.faults.amounts import amount, dice
from tests.processes.harness import Cloud, cloud_process, configuration, started, stop, wait_for
from tests.world import DEVICE, KEY

_DAYS = 60
_KILLS = 50
_LIMIT_S, _INTERVAL_S = 0.05, 0.1  # shorter than the real ones; the margin is theirs


@pytest.mark.timeout(900)
def test_kill_9_at_random_moments_damages_nothing_and_breaks_no_pace(tmp_path: Path) -> None:
    """After each kill all files are whole; in the end the archive is like an undisturbed one."""
    chance = dice("S2")
    kills, at_work, repeated = amount(_KILLS, 10 * _KILLS), 0, 0
    gaps: list[float] = []
    with cloud_process(tmp_path, _scenario()) as cloud:
        undisturbed = _finished(*_place(tmp_path / "undisturbed", cloud))
        for number in range(kills // _KILLS):
            cloud.reset()
            config, folder = _place(tmp_path / f"killed{number}", cloud)
            for _ in range(_KILLS):
                asks = _asking(cloud)
                process = started("run", "--config", str(config))
                _wait_until(asks)
                time.sleep(chance.uniform(0, 1.2))
                process.kill()
                process.communicate()
                at_work += 0 < len(_complete(folder)) < _DAYS
                for path in folder.glob("*.jsonl"):
                    decode(path.read_bytes(), date.fromisoformat(path.stem))  # raises where it is damaged
            assert _finished(config, folder) == undisturbed
            assert not list((folder / ".collector").glob("quarantine/*"))
            assert {path.suffix for path in folder.iterdir() if path.is_file()} == {".jsonl"}
            counts = cloud.counts()
            assert counts["total"]["rejections"] == 0
            gaps.append(counts["total"]["smallest_start_gap_s"])
            repeated += _repeated(counts)
    assert at_work > kills // 2  # or the rig hits nothing
    assert min(gaps) >= _LIMIT_S
    assert repeated <= 4 * kills  # at most what was under way: four days, of which one clamp was answered
    figures.note(
        "S2", kills=kills, in_the_middle_of_a_backfill=at_work, days_that_differ=0,
        requests_repeated_per_kill=repeated / kills, of_the_interval_kept=f"{min(gaps) / _LIMIT_S:.2f} times",
    )  # fmt: skip


def _asking(cloud: Cloud) -> Callable[[], bool]:
    """Whether it was asked anything since."""
    before = cloud.counts()["total"]["requests"]

    def asks() -> bool:
        return bool(cloud.counts()["total"]["requests"] > before)

    return asks


def _scenario() -> str:
    since = date_in(zone_named("UTC"), wall_clock()) - timedelta(days=_DAYS)
    return f"""
[[account]]
name = "home"
auth_key = "{KEY}"
[account.limit]
style = "lax"
limit_s = {_LIMIT_S}
[[account.device]]
id = "{DEVICE}"
timezone = "UTC"
installed_since = {since}
"""


def _place(folder: Path, cloud: Cloud) -> tuple[Path, Path]:
    folder.mkdir()
    config = configuration(folder, cloud)
    text = config.read_text()
    assert "min_interval_s = 0\n" in text
    config.write_text(text.replace("min_interval_s = 0\n", f"min_interval_s = {_INTERVAL_S}\n"))
    return config, folder / "archive" / "house"


def _finished(config: Path, folder: Path) -> dict[str, bytes]:
    """Lets the service run until all days are there; the complete files."""
    process = started("run", "--config", str(config))
    wait_for(process, "service.ready")
    _wait_until(lambda: len(_complete(folder)) >= _DAYS)
    code, _, output = stop(process)
    assert code == 0, output
    return _complete(folder)


def _complete(folder: Path) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
    return {name: data for name, data in files.items() if b"partial" not in data}


def _repeated(counts: dict[str, Any]) -> int:
    """Requests for past days that were made more than once."""
    today = date_in(zone_named("UTC"), wall_clock()).isoformat()
    return sum(times - 1 for _, day, _, times in counts["days"] if day < today)


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + 60
    while not condition():
        assert time.perf_counter() < deadline, "it never came to that"
        time.sleep(0.005)
