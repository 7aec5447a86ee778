"""Archives that older versions made: opened, believed, and continued; nothing complete is rewritten."""

from __future__ import annotations

import io
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from collector.simulator import Device
from tests.support.service_life import events_in
from tests.support.world import DEVICE, check_day, cloud_of, world

NOW = datetime(2026, 4, 4, 14, 35, tzinfo=UTC)  # two days after they were made
SAMPLES = Path(__file__).parents[1] / "support/samples/archives"
COMPLETE = [date(2026, 3, 29), date(2026, 3, 30), date(2026, 4, 1)]  # the first has 23 hours


@pytest.mark.parametrize("sample", ["without_a_mark", "with_a_mark"])
async def test_an_archive_of_an_older_version_is_continued(
    sample: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """One from before archives had a mark, and one from before spans were learned."""
    folder, device = tmp_path / "house", Device(DEVICE)
    shutil.copytree(SAMPLES / sample, folder)
    (folder / "own").rename(folder / ".collector")
    before = {day: (folder / f"{day}.jsonl").read_bytes() for day in COMPLETE}
    async with world(cloud_of(device), tmp_path, NOW) as here:
        report = await here.backfill(6)
        assert not report.refused
        assert not report.failures
        for number in range(29, 32):
            check_day(folder / f"2026-03-{number}.jsonl", date(2026, 3, number), device, complete=True)
        for number in range(1, 4):
            check_day(folder / f"2026-04-0{number}.jsonl", date(2026, 4, number), device, complete=True)
        assert {day: (folder / f"{day}.jsonl").read_bytes() for day in COMPLETE} == before
        here.cloud.reset()
        await here.backfill(6)
        assert here.cloud.counts.total.requests == 2  # today
    for event in ("ledger.rebuilt", "file.changed", "file.gone", "file.quarantined", "archive.refused"):
        assert not events_in(log_lines.getvalue(), event)
