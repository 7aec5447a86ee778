"""T1: nine months each of eight zones: changes at night or at midnight, odd offsets, a lost day."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.faults.months import Months, months_are_whole

MONTHS = [
    Months("Europe/Dublin", date(2025, 9, 1), (date(2025, 10, 26), date(2026, 3, 29))),
    Months("Europe/Berlin", date(2026, 2, 15), (date(2026, 3, 29), date(2026, 10, 25))),
    Months("America/Havana", date(2026, 2, 15), (date(2026, 3, 8), date(2026, 11, 1))),
    Months("Africa/Cairo", date(2026, 2, 15), (date(2026, 4, 24), date(2026, 10, 30))),
    Months("Australia/Lord_Howe", date(2025, 9, 1), (date(2025, 10, 5), date(2026, 4, 5))),  # half an hour
    Months("Asia/Kathmandu", date(2026, 1, 1), (date(2026, 3, 1), date(2026, 6, 1))),  # 5:45 ahead, no change
    Months("Pacific/Apia", date(2011, 7, 1), (date(2011, 9, 24), date(2011, 12, 30))),  # without 2011-12-30
    Months("America/St_Johns", date(2026, 2, 15), (date(2026, 3, 8), date(2026, 11, 1))),  # 3:30 behind
]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("months", MONTHS, ids=lambda months: months.zone.rpartition("/")[-1])
async def test_each_hour_of_the_months_is_there_once_and_in_time(
    months: Months, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the clocks do, and whenever the service is restarted."""
    await months_are_whole(months, tmp_path, monkeypatch)
