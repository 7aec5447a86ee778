"""T1: nine months each of zones with odd hours: half and quarter offsets, and a day that never was."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.faults.months import Months, months_are_whole

MONTHS = [
    Months("Australia/Lord_Howe", date(2025, 9, 1), (date(2025, 10, 5), date(2026, 4, 5))),
    Months("Asia/Kathmandu", date(2026, 1, 1), (date(2026, 3, 1), date(2026, 6, 1))),
    Months("Pacific/Apia", date(2011, 7, 1), (date(2011, 9, 24), date(2011, 12, 30))),
    Months("America/St_Johns", date(2026, 2, 15), (date(2026, 3, 8), date(2026, 11, 1))),
]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("months", MONTHS, ids=lambda months: months.zone.rpartition("/")[-1])
async def test_each_hour_of_the_months_is_there_once_and_in_time(
    months: Months, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the minutes that the hours begin at, and whenever the service is restarted."""
    await months_are_whole(months, tmp_path, monkeypatch)
