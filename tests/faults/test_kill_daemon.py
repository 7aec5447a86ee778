"""kill -9 at random moments of a backfill: no damaged file, and the next run goes on."""

from __future__ import annotations

import os
import random
import shutil
import time
from datetime import date
from pathlib import Path

from collector.archive.dayfile import decode
from tests.processes.harness import cloud_process, collector, configuration, started

ROUNDS = 50
DAYS = 150


def test_kill_9_at_random_moments_damages_nothing(tmp_path: Path) -> None:
    """Fifty kills; after each all files are whole, and in the end the archive is like an undisturbed one.

    The seed is printed; COLLECTOR_TEST_SEED takes it back.
    """
    seed = int(os.environ.get("COLLECTOR_TEST_SEED", "0")) or random.randrange(1, 2**32)
    print(f"COLLECTOR_TEST_SEED={seed}")
    dice = random.Random(seed)
    with cloud_process(tmp_path) as cloud:
        config = configuration(tmp_path, cloud)
        folder = tmp_path / "archive" / "house"
        undisturbed = backfilled(config, folder)
        killed_at_work = 0
        for _ in range(ROUNDS):
            if len(list(folder.glob("*.jsonl"))) > DAYS * 3 // 4:
                shutil.rmtree(folder)
            before = len(list(folder.glob("*.jsonl")))
            process = started("backfill", "--config", str(config), "--days", str(DAYS))
            wait_for_work(folder, before)
            time.sleep(dice.uniform(0, 0.25))
            process.kill()
            process.communicate()
            killed_at_work += before < len(list(folder.glob("*.jsonl"))) < DAYS
            for path in folder.glob("*.jsonl"):
                decode(path.read_bytes(), date.fromisoformat(path.stem))  # raises where it is damaged
        assert killed_at_work > ROUNDS // 2  # or the rig hits nothing
        assert backfilled(config, folder) == undisturbed
        assert not list((folder / ".collector").glob("quarantine/*"))
        assert {path.suffix for path in folder.iterdir() if path.is_file()} == {".jsonl"}


def backfilled(config: Path, folder: Path) -> dict[str, bytes]:
    """A backfill to its end; the complete files."""
    done = collector("backfill", "--config", str(config), "--days", str(DAYS))
    assert done.returncode == 0, done.stderr
    files = {path.name: path.read_bytes() for path in folder.glob("*.jsonl")}
    return {name: data for name, data in files.items() if b"partial" not in data}


def wait_for_work(folder: Path, before: int) -> None:
    """Until the process has saved a file or two."""
    deadline = time.perf_counter() + 20
    while len(list(folder.glob("*.jsonl"))) <= before and time.perf_counter() < deadline:
        time.sleep(0.005)
